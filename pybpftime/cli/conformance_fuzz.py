"""`pybpftime conformance fuzz` and `merge`: random programs that every runtime must answer as the reference does."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from pybpftime.cli.conformance_run import FAILED, Stop, Unusable
from pybpftime.cli.output import console, count_of, number, print_json, table
from pybpftime.conformance.fuzz.campaign import Campaign, shard_numbers
from pybpftime.conformance.fuzz.campaign import Progress as State
from pybpftime.conformance.fuzz.findings import Finding
from pybpftime.conformance.fuzz.journal import Journal, create, load, merge, summary
from pybpftime.conformance.fuzz.plan import Plan
from pybpftime.conformance.fuzz.reproducer import folder_name
from pybpftime.errors import BpfError, HostError, InputError
from pybpftime.isa import Group, decode_program
from pybpftime.isa.disassembler import disassemble

CASES = 20_000
SHOWN = 20
"""Findings that are shown in full; every one has a folder."""
PART = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as click hands it over."""

    runtimes: tuple[str, ...]
    seed: int
    count: int | None
    seconds: float | None
    groups: str | None
    out: str
    part: str
    jobs: int | None
    resume: bool
    scheduler: str | None
    as_json: bool

    @property
    def cases(self) -> int | None:
        """How many there are to be; None for as many as the time allows."""
        return CASES if self.count is None and self.seconds is None else self.count

    @property
    def numbered_part(self) -> tuple[int, int]:
        """K and N of --shard."""
        found = PART.fullmatch(self.part)
        if found is None or int(found[1]) > int(found[2]):
            raise InputError(f"--shard is K/N with K from 1 to N, not {self.part!r}")
        return int(found[1]), int(found[2])

    @property
    def plan(self) -> Plan:
        """The campaign that is asked for."""
        groups = () if self.groups is None else tuple(name.strip() for name in self.groups.split(","))
        unknown = [name for name in groups if name not in list(Group)]
        if unknown:
            raise InputError(f"--groups: there is no group {unknown[0]!r}; there is {', '.join(Group)}")
        return Plan(self.runtimes, self.seed, groups)


@click.command("fuzz")
@click.option("--runtime", "-r", "runtimes", metavar="NAME|PROFILE.toml|PLUGIN", multiple=True,
              help="What to ask: a runtime known by name, a profile, a plugin. All get the same programs.")  # fmt: skip
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), metavar="N",
              help="Another seed, other programs.")  # fmt: skip
@click.option("--count", type=click.IntRange(1), metavar="N",
              help=f"How many programs in all, rounded up to whole shards (default: {CASES:,}).")  # fmt: skip
@click.option("--time", "seconds", type=click.FloatRange(0, min_open=True), metavar="S",
              help="Begin no more after S seconds; without --count as many programs as that allows.")  # fmt: skip
@click.option("--groups", metavar="GROUP,...", help="Only instructions of these groups of RFC 9669.")
@click.option("--out", default="fuzz-out", show_default=True, metavar="DIR", help="Where the campaign is kept.")
@click.option("--shard", "part", default="1/1", metavar="K/N", help="Do the K-th of N parts; see `merge`.")
@click.option("--jobs", "-j", type=click.IntRange(1), metavar="N",
              help="Processes, each with runtimes of its own (default: one for each CPU).")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with the campaign that DIR has.")
@click.option("--scheduler", metavar="ADDRESS", help="Do it on the Dask cluster whose scheduler is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def fuzz_command(**options: Any) -> int:
    """Generate valid programs and find those that a runtime answers otherwise than the reference.

    A difference is reduced to the few instructions that matter, filed under the row of the ISA table that is to blame
    and its clause, and written to DIR/bugs with everything that repeats it. The same bug is reported once. Crashes,
    hangs and garbage are findings too. The campaign can be interrupted at any time, and gone on with.

    The exit code is 0 when all answers are right, 1 when there are findings, and 2 when something is not usable.

    \b
    Examples:
      pybpftime conformance fuzz --runtime kernel --count 100000
      pybpftime conformance fuzz -r ./my-plugin -r kernel --time 60 --out found
      pybpftime conformance fuzz -r kernel --out part2 --shard 2/4 --count 1000000
    """
    return execute(Options(**options))


def execute(options: Options) -> int:
    """Do what the command line says; the result is the exit code."""
    try:
        journal = _journal(options)
        with Stop() as stop:
            _run(journal, options, stop)
            journal.write_bugs()
    except BpfError as error:
        raise Unusable(str(error)) from None
    _print(journal, options.as_json)
    if stop.signal is not None:
        return 128 + stop.signal
    return FAILED if journal.findings else 0


def _journal(options: Options) -> Journal:
    """The campaign of the folder, or a new one."""
    folder = Path(options.out)
    if options.resume:
        journal = load(folder)
        if options.runtimes and options.plan != journal.plan:
            raise InputError("has a campaign of another plan; --resume needs no other options", file=options.out)
        journal.plan.open().close()
        return journal
    if not options.runtimes:
        raise InputError("say which runtimes to ask (--runtime), or --resume a campaign")
    plan = options.plan
    with plan.open() as bench:  # what cannot be opened is said here, not by every process
        versions = {profile.name: profile.version for profile in bench.profiles}
    return create(folder, plan, versions)


def _run(journal: Journal, options: Options, stop: Stop) -> None:
    numbers = shard_numbers(journal, options.cases, options.numbered_part)
    with _progress(options) as watch:
        if options.scheduler is None:
            Campaign(journal, jobs=options.jobs or os.cpu_count() or 1, watch=watch).run(numbers, options.seconds, stop)
            return
        try:
            from pybpftime.conformance.fuzz.cluster import run_on_cluster
        except ImportError:
            raise HostError("--scheduler needs Dask: pip install 'pybpftime[cluster]'") from None
        run_on_cluster(journal, options.scheduler, numbers, options.seconds, stop, watch)


@contextmanager
def _progress(options: Options) -> Iterator[Callable[[State], None]]:
    """What is to be told how far it is; shown on a terminal."""
    if not sys.stderr.isatty():
        yield lambda state: None
        return
    columns = (TextColumn("fuzz"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        task = bar.add_task("fuzz", total=options.seconds or options.cases, told="")
        shown = 0.0

        def watch(state: State) -> None:
            nonlocal shown
            if time.monotonic() - shown > 0.2:
                told = f"{state.cases:,} programs, {state.rate:,.0f} a second, {count_of(state.findings, 'finding')}"
                bar.update(task, completed=state.seconds if options.seconds else state.cases, told=told)
                bar.refresh()
                shown = time.monotonic()

        yield watch


@click.command("merge")
@click.argument("folders", metavar="DIR...", nargs=-1, required=True)
@click.option("--to", "target", required=True, metavar="DIR", help="A new folder for the whole campaign.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def merge_command(folders: tuple[str, ...], target: str, as_json: bool) -> int:
    """Put the parts of a fuzzing campaign together: what `fuzz --shard K/N` left in the folders.

    A shard that is in several folders counts once. The exit code is 0 without findings, 1 with some, and 2 when the
    folders are not of one campaign.
    """
    try:
        journal = merge([Path(folder) for folder in folders], Path(target))
    except BpfError as error:
        raise Unusable(str(error)) from None
    _print(journal, as_json)
    return FAILED if journal.findings else 0


# -- output -----------------------------------------------------------------------------------------------------------


def _print(journal: Journal, as_json: bool) -> None:
    data = summary(journal)
    if as_json:
        print_json(data)
        return
    out = console()
    grid = table("runtime", ("asked", "right"), ("differ", "right"), ("limits", "right"), ("cannot", "right"))
    for name, sums in data["runtimes"].items():
        cells = (sums["asked"], sums["differences"], sums["limits"], sums["unsupported"])
        grid.add_row(name, *(number(cell) for cell in cells))
    out.print(grid)
    for finding in journal.findings[:SHOWN]:
        out.print()
        _print_finding(out, finding, journal.folder)
    rest = len(journal.findings) - SHOWN
    if rest > 0:
        out.print(Text(f"and {count_of(rest, 'more finding')} in the folder", style="dim"))
    unexamined = sum(sums["unexamined"] for sums in data["runtimes"].values())
    if unexamined:
        out.print(Text(f"{count_of(unexamined, 'difference')} beyond those that were looked into", style="yellow"))
    out.print()
    found = count_of(len(journal.findings), "finding")
    out.print(
        f"{count_of(data['cases'], 'program')} in {count_of(data['shards'], 'shard')}: {found}, in {journal.folder}"
    )


def _print_finding(out: Console, finding: Finding, folder: Path) -> None:
    out.print(Text(finding.title(), style="bold red"))
    out.print(Text(f"  {count_of(finding.count, 'program')}, the first {finding.origin}", style="dim"))
    for line in disassemble(decode_program(finding.code)).rstrip("\n").splitlines():
        out.print(Text(f"  {line}"))
    if finding.memory:
        out.print(Text(f"  memory {finding.memory.hex()}"))
    for answer, names in finding.agreement:
        out.print(Text(f"  {', '.join(names)}: {answer}"))
    for step in finding.steps:
        out.print(Text(f"  {step}", style="dim"))
    out.print(Text(f"  {folder / 'bugs' / folder_name(finding)}", style="dim"))
