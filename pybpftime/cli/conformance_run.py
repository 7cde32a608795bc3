"""`pybpftime conformance run`: judge runtimes by a suite."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pybpftime.cli.conformance_output import print_report
from pybpftime.cli.conformance_selection import read_groups, selected, selection_options
from pybpftime.cli.failure import Failure, printable
from pybpftime.cli.inputs import require_name
from pybpftime.cli.output import console
from pybpftime.conformance.judge import Result, Status
from pybpftime.conformance.report.data import Report, RuntimeRun
from pybpftime.conformance.report.files import Targets, texts, write
from pybpftime.conformance.run.coverage import suite_cells
from pybpftime.conformance.run.runner import Options as RunOptions
from pybpftime.conformance.run.runner import read_profile, run_cases
from pybpftime.conformance.runtime import Runtime
from pybpftime.conformance.runtimes.profiles import Options as OpenOptions
from pybpftime.conformance.runtimes.profiles import open_runtime
from pybpftime.errors import BpfError, InputError

FAILED = 1
UNUSABLE = 2
STDOUT = "-"
PERIOD = 5.0
"""Seconds after which the files of a run that goes on are written again, unless writing takes long."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as click hands it over."""

    patterns: tuple[str, ...]
    runtimes: tuple[str, ...]
    suite: str | None
    groups: str | None
    jobs: int | None
    timeout: float | None
    retries: int
    fail_fast: bool
    failures: int
    json: str | None
    junit: str | None
    html: str | None
    badge: str | None

    @property
    def reports(self) -> dict[str, str]:
        """What is to be written where, `-` for standard output."""
        given = {"json": self.json, "junit": self.junit, "html": self.html, "badge": self.badge}
        return {kind: name for kind, name in given.items() if name is not None}

    @property
    def targets(self) -> Targets:
        """The files to write."""
        return Targets(**{kind: name for kind, name in self.reports.items() if name != STDOUT})

    @property
    def printed(self) -> str | None:
        """The report that is written to standard output, if one is."""
        return next((kind for kind, name in self.reports.items() if name == STDOUT), None)


class Unusable(Failure):
    """Nothing can be judged: the suite, a runtime or an option is not what it should be."""

    exit_code = UNUSABLE


@click.command("run")
@selection_options
@click.option("--runtime", "-r", "runtimes", metavar="NAME|PROFILE.toml|PLUGIN", multiple=True, required=True,
              help="What to judge: a runtime known by name, a profile, a plugin. Several are compared.")  # fmt: skip
@click.option("--jobs", "-j", type=click.IntRange(1), metavar="N",
              help="Processes, each with a runtime of its own (default: one for each CPU).")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(0, 86_400, min_open=True), metavar="S",
              help="Seconds that a case may take (default: what the runtime's profile says).")  # fmt: skip
@click.option(
    "--retries", default=0, type=click.IntRange(0, 100), metavar="N", help="Ask again up to N times on failure."
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure.")
@click.option("--failures", default=10, show_default=True, type=click.IntRange(0), metavar="N",
              help="Failures to show of each runtime.")  # fmt: skip
@click.option("--json", metavar="FILE", help="Write the report as JSON (docs/reference/conformance-report.md).")
@click.option("--junit", metavar="FILE", help="Write the report as JUnit XML, for CI servers.")
@click.option("--html", metavar="FILE", help="Write the report as one page, with filters and a map of coverage.")
@click.option("--badge", metavar="FILE", help="Write an SVG with the number of cases passed.")
def run_command(**options: Any) -> int:
    """Judge runtimes: run every case whose name matches a PATTERN (shell style; default: all).

    A case passes when the runtime's answer is one that is right. What a runtime does not claim to be is not applicable;
    what its profile lists as a known limit, or what it says it cannot do, is skipped; neither is a pass.

    The exit code is 0 when all applicable cases pass, 1 when some fail, and 2 when something is not usable:
    an option, a runtime, a file of the suite. Ctrl-C and SIGTERM end the run; the files then hold a
    partial report, as they do every few seconds. A FILE may be -: standard output, in place of the table.

    \b
    Examples:
      pybpftime conformance run --runtime reference
      pybpftime conformance run --runtime ./my-plugin --html report.html
      pybpftime conformance run -r kernel -r reference 'arithmetic/*'
      pybpftime conformance run -r my-runtime.toml --groups base32 --junit junit.xml
    """
    return execute(Options(**options))


def execute(options: Options) -> int:
    """Do what the command line says; the result is the exit code."""
    try:
        report = _prepare(options)
        with Stop() as stop:
            _run(report, options, stop)
            write(report, options.targets, final=True)
    except BpfError as error:
        raise Unusable(str(error)) from None
    if options.printed is None:
        print_report(console(), report, options.failures)
    else:
        sys.stdout.write(texts(report)[options.printed]())
    if stop.signal is not None:
        return 128 + stop.signal
    if report.problems or not any(run.of(Status.PASSED) or run.of(Status.FAILED) for run in report.runs):
        return UNUSABLE
    return FAILED if any(run.of(Status.FAILED) for run in report.runs) else 0


# --- before the run ---------------------------------------------------------------------------------------------------


def _prepare(options: Options) -> Report:
    """The report of a run that has not begun."""
    _check_reports(options.reports)
    if options.timeout is not None and math.isnan(options.timeout):  # which click takes to be in any range
        raise InputError("--timeout takes a number of seconds, not nan")
    if options.badge is not None and len(options.runtimes) > 1:
        raise InputError("--badge is for one runtime")
    if len(set(options.runtimes)) < len(options.runtimes):
        raise InputError("--runtime: the same one twice")
    chosen = selected(options.suite, options.patterns, options.groups)
    problems: list[BpfError] = list(chosen.problems)
    runs = []
    for given in options.runtimes:
        require_name("--runtime", given)
        try:
            profile = read_profile(_opener(given, options))
        except BpfError as error:
            if len(options.runtimes) == 1:
                raise
            problems.append(error)
            continue
        runs.append(RuntimeRun(given, replace(profile, timeout=options.timeout or profile.timeout)))
    _tell_apart(runs)
    if not runs:
        raise InputError("; ".join(str(problem) for problem in problems))
    return Report(
        suite=options.suite or "",
        patterns=options.patterns,
        groups=read_groups(options.groups),
        cases=chosen.cases,
        problems=problems,
        runs=runs,
        started=datetime.now(UTC),
    )


def _check_reports(reports: Mapping[str, str]) -> None:
    """InputError for a name that is empty, or given to two."""
    places: dict[str, str] = {}
    for kind, name in reports.items():
        require_name(f"--{kind}", name)
        place = name if name == STDOUT else os.path.realpath(name)
        if place in places and (name == STDOUT or not os.path.exists(name) or os.path.isfile(name)):
            raise InputError(f"--{places[place]} and --{kind}: the same file")
        places[place] = kind


def _tell_apart(runs: Sequence[RuntimeRun]) -> None:
    """Runtimes that have one name are called as the command line calls them."""
    often = Counter(run.profile.name for run in runs)
    for run in runs:
        if often[run.profile.name] > 1:
            run.profile = replace(run.profile, name=run.given)


def _opener(given: str, options: Options) -> partial[Runtime]:
    return partial(open_runtime, given, OpenOptions(timeout=options.timeout))


# --- the run ----------------------------------------------------------------------------------------------------------


def _run(report: Report, options: Options, stop: Stop) -> None:
    """Fill the report, and write it every few seconds."""
    began = time.monotonic()
    run_options = RunOptions(jobs=options.jobs or os.cpu_count() or 1, retries=options.retries)
    writer = _Writer(report, options.targets)
    writer.write()  # so that a file that cannot be written is said before the run
    if options.json or options.html:
        report.cells = suite_cells(report.cases, jobs=run_options.jobs, stopped=stop)
    for run in report.runs:
        started = time.monotonic()
        results = run_cases(report.cases, run.profile, _opener(run.given, options), run_options, stop)
        with _progress(run, len(report.cases)) as advance:
            for result in results:
                run.results[result.case.name] = result
                advance(result)
                run.seconds = time.monotonic() - started
                report.seconds = time.monotonic() - began
                writer.write_in_time()
                if options.fail_fast and result.status is Status.FAILED:
                    report.stopped = f"{result.case.name} failed, and --fail-fast was given"
                    break
            results.close()
        if stop():
            report.stopped = f"interrupted by {signal.Signals(stop.signal or 0).name}"
        if report.stopped:
            return


@dataclass(slots=True)
class _Writer:
    """Writes the files, and again from time to time: a tenth of the time at most goes into that."""

    report: Report
    targets: Targets
    due: float = 0.0

    def write(self) -> None:
        began = time.monotonic()
        write(self.report, self.targets, final=False)
        ended = time.monotonic()
        self.due = ended + max(PERIOD, 10 * (ended - began))

    def write_in_time(self) -> None:
        if self.targets and time.monotonic() > self.due:
            self.write()


@contextmanager
def _progress(run: RuntimeRun, count: int) -> Iterator[Callable[[Result], None]]:
    """What is to be told of each result: on a terminal a bar shows how many there are."""
    if not sys.stderr.isatty():
        yield lambda result: None
        return
    # No thread refreshes it: the processes are forked.
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failed]}"))
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        task = bar.add_task(printable(run.profile.name)[:30], total=count, failed="")
        failed, shown = 0, 0.0

        def advance(result: Result) -> None:
            nonlocal failed, shown
            failed += result.status is Status.FAILED
            bar.update(task, advance=1, failed=f"{failed:,} failed" if failed else "")
            if time.monotonic() - shown > 0.1:
                bar.refresh()
                shown = time.monotonic()

        bar.refresh()
        yield advance


class Stop:
    """While this is entered, the first SIGINT, SIGTERM or SIGHUP is noted, which ends the run; a second raises at once.

    Where somebody else handles or ignores one, and outside of the main thread, nothing changes.
    """

    SIGNALS: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.signal is not None

    def __enter__(self) -> Self:
        for number in self.SIGNALS:
            handler = signal.getsignal(number)
            if handler in (signal.SIG_DFL, signal.default_int_handler):
                try:
                    signal.signal(number, self._note)
                except ValueError:  # not the main thread
                    return self
                self._before[number] = handler
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
