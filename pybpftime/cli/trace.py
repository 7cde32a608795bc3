"""`pybpftime trace`: run the probes of an object on a live process; `pybpftime detach`: clean up after a killed one."""

from __future__ import annotations

import math
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from pybpftime.attach.environment import LiveEnvironment
from pybpftime.attach.probe import Ending
from pybpftime.cli.inputs import (
    HELPER_FILES,
    SOURCE,
    chosen_level,
    level_options,
    read_helpers,
    read_json,
    read_source,
    require_name,
)
from pybpftime.cli.output import count_of
from pybpftime.cli.proof import NO_VERIFY, require_proved
from pybpftime.cli.run_inputs import fill_from_option, parse_variable
from pybpftime.cli.trace_records import Records, record_types
from pybpftime.cli.trace_report import JsonReport, Report, TextReport, report_file
from pybpftime.engines import DEFAULT_BUDGET
from pybpftime.errors import HostError, InputError
from pybpftime.helpers import HelperTable
from pybpftime.machine import LEVELS
from pybpftime.program.spec import ObjectSpec
from pybpftime.runtime import Object
from pybpftime.runtime.live import LiveTrace
from pybpftime.runtime.probe_targets import find_targets


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as click hands it over."""

    source: str
    command: tuple[str, ...]
    programs: tuple[str, ...]
    pid: int | None
    places: tuple[str, ...]
    record_types: tuple[str, ...]
    variables: tuple[str, ...]
    map_contents: str | None
    strict: bool
    linux: bool
    lenient: bool
    budget: int
    helper_files: tuple[str, ...]
    duration: float | None
    output: str | None
    as_json: bool
    unsafe_attach: bool
    no_verify: bool


@click.command()
@click.option("--program", "-p", "programs", multiple=True, metavar="NAME",
              help="Attach this program only; again for others.")  # fmt: skip
@click.option("--pid", type=click.IntRange(1), metavar="PID", help="The process to attach to.")
@click.option("--at", "places", multiple=True, metavar="[NAME=]PATH:FUNCTION",
              help="Where to attach, instead of the place in the section name; again for others.")  # fmt: skip
@click.option("--record", "record_types", multiple=True, metavar="MAP=TYPE",
              help="Show the records of a ring buffer or perf event array as this type of the object.")  # fmt: skip
@click.option("--set", "variables", metavar="NAME=VALUE", multiple=True, help="Set a global variable before loading.")
@click.option("--maps", "map_contents", metavar="JSON", help="Contents of maps before the first hit; or @FILE.")
@level_options
@click.option("--budget", default=DEFAULT_BUDGET, type=click.IntRange(1), show_default=True, metavar="N",
              help="Instructions that a run may take.")  # fmt: skip
@HELPER_FILES
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Detach after this time.")
@click.option("--output", "-o", metavar="FILE", help="Write the report to FILE.")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON lines: records as they come, then a summary.")
@click.option("--unsafe-attach", is_flag=True,
              help="Attach even where the process would not survive a tracer that is killed.")  # fmt: skip
@NO_VERIFY
@SOURCE
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD ARGS...]")
def trace(**options: Any) -> int:
    """Run the uprobes and uretprobes of OBJ in a live process: one that runs (--pid), or one that is started.

    The process is stopped for a moment at each hit and goes on unchanged.  When it ends, or on Ctrl-C, every probe is
    taken out and the maps are printed: to standard output, or to standard error where a started program has that.

    All programs are attached but those of sections that begin with ?, or those that -p names.  Functions are those of a
    file (/usr/bin/bash:readline) or of a library by its name (libc.so.6:malloc), as the section or --at says.

    The exit code is that of the program that was started, 128 and its signal if one killed it; 0 with --pid.

    \b
    Examples:
      pybpftime trace malloc.bpf.o -- python3 -c 'print(1)'
      pybpftime trace malloc.bpf.o --pid 1234 --duration 5
      pybpftime trace readline.bpf.o --record 'lines=struct line' --pid 1234
      pybpftime trace latency.bpf.o --at begin=libc:write --at end=libc:write -- ls
      pybpftime trace malloc.bpf.o -p malloc_entry --json -o report.json -- python3 -c 'print(1)'
    """
    return execute(Options(**options))


@click.command()
@click.argument("pid", type=click.IntRange(1), metavar="PID")
def detach(pid: int) -> int:
    """Take out of a process what a `pybpftime trace` that was killed has left in it.

    \b
    Example:
      pybpftime detach 1234
    """
    from pybpftime.attach.cleanup import clean

    cleaned = clean(pid)
    if cleaned is None:
        click.echo(f"process {pid}: there is nothing of a trace in it")
        return 0
    click.echo(f"process {pid}: took out {count_of(cleaned.breakpoints, 'breakpoint')}")
    if not cleaned.complete:
        click.echo("its areas stay mapped, without any probe: a signal handler will return to one; try again later")
    return 0


def execute(options: Options) -> int:
    """Do what the command line says; the result is the exit code."""
    from pybpftime.attach.session import BreakpointSession

    if (options.pid is None) == (not options.command):
        raise InputError("give either --pid PID or a program to start, behind --")
    if options.duration is not None and math.isnan(options.duration):  # which click takes to be in any range
        raise InputError("--duration takes a number of seconds, not nan")
    helpers, _ = read_helpers(options.helper_files)
    spec = read_source(options.source, helpers=helpers)
    targets = find_targets(spec, options.programs, options.places)
    records = Records(spec, record_types(spec, options.record_types))
    loaded = _load(options, spec, helpers)
    if not options.no_verify:
        require_proved(loaded, dict.fromkeys(name for name, _ in targets))
    for name, _ in targets:
        loaded[name].prepare()
    with _report_stream(options) as stream:
        if options.pid is not None:
            what = f"process {options.pid}"
            session = BreakpointSession.attach(options.pid, unsafe=options.unsafe_attach)
        else:
            what = shlex.join(options.command)
            session = BreakpointSession.start(options.command, unsafe=options.unsafe_attach)
        with session:
            live = LiveTrace(loaded, session, budget=options.budget)
            kind: type[TextReport | JsonReport] = JsonReport if options.as_json else TextReport
            report: Report = kind(live, records, session.notes, stream)
            for name, target in targets:
                live.attach(loaded[name], target)
            report.begin(what, started=options.pid is None)
            live.watch(report.record, report.printk)
            ending = live.serve(duration=options.duration)
        report.end(ending)
    return 0 if options.pid is not None else exit_code(session.pid, ending)


def _load(options: Options, spec: ObjectSpec, helpers: HelperTable) -> Object:
    """The object with its maps, filled."""
    loaded = Object(
        spec,
        level=LEVELS[chosen_level(strict=options.strict, linux=options.linux, lenient=options.lenient)],
        environment=LiveEnvironment(),
        helpers=helpers,
        variables=dict(parse_variable(text) for text in options.variables),
    )
    if options.map_contents is not None:
        fill_from_option(loaded, read_json("--maps", options.map_contents))
    return loaded


def exit_code(pid: int, ending: Ending) -> int:
    """See `trace`.  A program that was started and goes on without us is waited for, but when we are to end, too.

    On Ctrl-C a terminal has sent it SIGINT as well.
    """
    if ending.interrupted_by not in (None, signal.SIGINT):
        return 128 + (ending.interrupted_by or 0)
    if ending.exit_code is None and ending.signal is None:
        try:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except ChildProcessError:
            raise HostError("it ended while the probes were taken out, with an exit code unknown", pid=pid) from None
        return status if status >= 0 else 128 - status
    return ending.exit_code if ending.exit_code is not None else 128 + (ending.signal or 0)


@contextmanager
def _report_stream(options: Options) -> Iterator[Any]:
    """Where the report goes."""
    require_name("--output", options.output)
    if options.output is None:
        yield sys.stdout if options.pid is not None else sys.stderr
    else:
        with report_file(options.output) as file:
            yield file


# --- what is attached where -------------------------------------------------------------------------------------------
