"""`pybpftime verify`: is a program safe, and if not, why."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pybpftime.cli.failure import printable
from pybpftime.cli.inputs import HELPER_FILES, TYPE, choose_programs, read_helpers, read_source, require_name
from pybpftime.cli.output import console, print_json
from pybpftime.cli.verify_output import json_data, print_answers
from pybpftime.cli.verify_workers import Answer, Limits, Task, verify_all
from pybpftime.errors import BpfError, InputError
from pybpftime.helpers import HelperTable
from pybpftime.program.spec import ProgramSpec
from pybpftime.uapi import ProgramType
from pybpftime.verifier import DEFAULT_BUDGET, Verdict
from pybpftime.verifier.witness_file import witness_data

TIMEOUT = 120.0
"""Seconds for each program, unless --timeout says otherwise."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as click hands it over."""

    sources: tuple[str, ...]
    program: str | None
    type_: str | None
    explain: bool
    witness_out: str | None
    budget: int
    timeout: float
    jobs: int | None
    helper_files: tuple[str, ...]
    as_json: bool


@click.command()
@click.argument("sources", metavar="OBJ...", nargs=-1, required=True)
@click.option("--program", "-p", metavar="NAME", help="This program only.")
@TYPE
@click.option(
    "--explain",
    is_flag=True,
    help="Say everything of each rejection, also where there are several programs; and what z3 proved of safe ones.",
)
@click.option("--witness-out", metavar="FILE", help="Write the input that breaks the program, for `debug --witness`.")
@click.option("--budget", default=DEFAULT_BUDGET, type=click.IntRange(1), show_default=True, metavar="N",
              help="Instructions that may be processed for a program.")  # fmt: skip
@click.option("--timeout", default=TIMEOUT, type=click.FloatRange(0, 86_400, min_open=True), show_default=True,
              metavar="S", help="Seconds that a program may take.")  # fmt: skip
@click.option(
    "--jobs", "-j", type=click.IntRange(1), metavar="N", help="Programs at a time (default: one for each CPU)."
)
@HELPER_FILES
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def verify(**options: Any) -> int:
    """Prove that the programs of each OBJ are safe, or say what breaks them.

    A program is safe when no input makes it fault under Linux's rules, and it ends;
    unsafe when there is an input with which it does, and did, in the interpreter;
    not proved otherwise, with what is missing. docs/errors explains the reasons.

    OBJ is an ELF object, or a raw program (binary, hex, assembly; - is standard
    input), which --type gives a type. A single program that is not safe is explained
    in full; --explain does that for several, and says what z3 proved of safe ones.

    The exit code is 0 when all programs are safe, else 1.

    \b
    Examples:
      pybpftime verify xdp_parser.bpf.o
      pybpftime verify *.bpf.o --timeout 10
      pybpftime verify prog.bpf.o -p parse --json | jq .verdicts
      printf 'r0 = 2\\nexit\\n' | pybpftime verify --type xdp -
    """
    return execute(Options(**options))


def execute(options: Options) -> int:
    """Do what the command line says; the result is the exit code."""
    began = time.monotonic()
    require_name("--witness-out", options.witness_out)
    if math.isnan(options.timeout):  # which click takes to be in any range
        raise InputError("--timeout takes a number of seconds, not nan")
    helpers, _ = read_helpers(options.helper_files)
    tasks, errors = _tasks(options, helpers)
    if options.witness_out is not None and len(tasks) != 1:
        raise InputError(f"--witness-out is for one program, and there are {len(tasks)}: --program NAME chooses one")
    limits = Limits(options.budget, options.timeout)
    processes = options.jobs or os.cpu_count() or 1
    with _progress(len(tasks)) as advance:
        answers = verify_all(tasks, limits, options.helper_files, processes, advance)
    written = options.witness_out is not None and _write_witness(options.witness_out, answers[0])
    seconds = time.monotonic() - began
    if options.as_json:
        print_json(json_data(answers, errors, seconds))
    else:
        in_full = options.explain or len(tasks) == 1
        print_answers(
            console(),
            answers,
            errors,
            seconds,
            in_full=in_full,
            proofs=options.explain,
            witness_file=options.witness_out if written else None,
        )
    if options.witness_out is not None and not written:
        click.echo(f"{options.witness_out} is not written: there is no input that breaks the program", err=True)
    all_safe = all(answer.report is not None and answer.report.verdict is Verdict.SAFE for answer in answers)
    return 0 if all_safe and not errors else 1


def _tasks(options: Options, helpers: HelperTable) -> tuple[list[Task], list[str]]:
    """The programs, and what is wrong with objects that cannot be read; the only object raises that."""
    tasks: list[Task] = []
    errors: list[str] = []
    for source in options.sources:
        name = "standard input" if source == "-" else source
        try:
            spec = read_source(source, options.type_, helpers, program=options.program)
            chosen = choose_programs(spec, options.program)
            for one in chosen:
                _require_type(one)
            tasks += [Task(name, spec, one.name) for one in chosen]
        except (BpfError, click.ClickException) as error:
            if len(options.sources) == 1:
                raise
            errors.append(error.message if isinstance(error, click.ClickException) else str(error))
    if not tasks and not errors:
        raise InputError("there is no program in it", file=options.sources[0])
    return tasks, errors


def _require_type(program: ProgramSpec) -> None:
    if program.type is ProgramType.BPF_PROG_TYPE_UNSPEC:
        reason = f"{program.name} has no program type, which says what it may do: give --type"
        raise InputError(reason, file=program.file)


@contextmanager
def _progress(count: int) -> Iterator[Callable[[Answer], None]]:
    """What is to be told of each answer: on a terminal a bar shows how many there are."""
    if count < 2 or not sys.stderr.isatty():
        yield lambda answer: None
        return
    # No thread refreshes it: the processes are forked.
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        task = bar.add_task("verifying", total=count)

        def advance(answer: Answer) -> None:
            bar.update(task, advance=1, description=printable(answer.task.program)[:30])
            bar.refresh()

        bar.refresh()
        yield advance


def _write_witness(file: str, answer: Answer) -> bool:
    """Write the witness, if there is one; whether there is."""
    witness = None if answer.report is None else answer.report.witness
    if witness is None:
        return False
    try:
        with open(file, "w", encoding="utf-8") as stream:
            json.dump(witness_data(witness, answer.task.program), stream, indent=2)
            stream.write("\n")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", file=file) from None
    return True
