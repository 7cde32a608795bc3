"""How `pybpftime conformance run` prints: a table of areas, what was not run and why, the failures."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from pybpftime.cli.output import count_of, number, table
from pybpftime.conformance.judge import Result, Status, answered, described
from pybpftime.conformance.report.data import Report, RuntimeRun, Tally, tallies, tally
from pybpftime.conformance.report.document import disassembly, shortened

MOST_LINES = 24
"""Lines of a program that are shown."""
MOST_REASONS = 12
"""Reasons that are shown for what was not run; the files have all of them."""
STYLES = {"passed": "green", "failed": "red", "skipped": "yellow", "not applicable": "dim", "not reached": "yellow"}


def print_report(console: Console, report: Report, failures: int) -> None:
    """The report, at most so many failures of each runtime."""
    for problem in report.problems:
        console.print(Text.assemble(("not usable: ", "red"), str(problem)))
    if report.problems:
        console.print()
    for run in report.runs:
        console.print(_title(run))
    console.print()
    if len(report.runs) == 1:
        _print_one(console, report, report.runs[0])
    else:
        _print_side_by_side(console, report)
    _print_reasons(console, report)
    for run in report.runs:
        _print_failures(console, report, run, failures)
    _print_end(console, report)


def _title(run: RuntimeRun) -> Text:
    profile = run.profile
    version = f" {profile.version}" if profile.version else ""
    about = f"  {profile.description}" if profile.description else ""
    return Text.assemble((profile.name, "bold"), version, (about, "dim"))


# --- tables -----------------------------------------------------------------------------------------------------------


def _counts(counts: Tally) -> dict[str, int]:
    return {
        "passed": counts.passed,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "not applicable": counts.not_applicable,
        "not reached": counts.missing,
    }


def _lines(report: Report, run: RuntimeRun) -> list[tuple[str, Tally]]:
    return [*tallies(report.cases, run).items(), ("all", tally(report.cases, run))]


def _print_one(console: Console, report: Report, run: RuntimeRun) -> None:
    """A column for each way to come out; "not reached" only in a partial report."""
    names = [name for name in STYLES if name != "not reached" or not report.complete]
    grid = table("area", ("run", "right"), *((name, "right") for name in names))
    for area, counts in _lines(report, run):
        values = _counts(counts)
        cells = [Text(number(values[name]), style=STYLES[name] if values[name] else "dim") for name in names]
        grid.add_row(area, number(counts.run), *cells, style="bold" if area == "all" else None)
    console.print(grid)


def _print_side_by_side(console: Console, report: Report) -> None:
    """A column for each runtime, which says what there is."""
    columns = [dict(_lines(report, run)) for run in report.runs]
    grid = table("area", ("cases", "right"), *(run.profile.name for run in report.runs))
    for area, counts in columns[0].items():
        cells = [_words(_counts(column[area])) for column in columns]
        grid.add_row(area, number(counts.cases), *cells, style="bold" if area == "all" else None)
    console.print(grid)


def _words(values: dict[str, int]) -> Text:
    parts = [Text(f"{number(value)} {name}", style=STYLES[name]) for name, value in values.items() if value]
    return Text(", ").join(parts)


def _print_reasons(console: Console, report: Report) -> None:
    several = len(report.runs) > 1
    rows = [
        (run.profile.name, status, reason, cases)
        for run in report.runs
        for (status, reason), cases in tally(report.cases, run).reasons.most_common()
    ]
    if not rows:
        return
    grid = table(*(("runtime",) if several else ()), "not run", ("cases", "right"), "because")
    for name, status, reason, cases in rows[:MOST_REASONS]:
        cells = (Text(str(status), style=STYLES[status]), number(cases), shortened(reason))
        grid.add_row(*((name, *cells) if several else cells))
    console.print()
    console.print(grid)
    if len(rows) > MOST_REASONS:
        console.print(Text(f"and {count_of(len(rows) - MOST_REASONS, 'more reason')}", style="dim"))


# --- failures ---------------------------------------------------------------------------------------------------------


def _print_failures(console: Console, report: Report, run: RuntimeRun, limit: int) -> None:
    failed = run.of(Status.FAILED)
    for result in failed[:limit]:
        console.print()
        _print_failure(console, report, run, result)
    if len(failed) > limit:
        console.print()
        console.print(Text(f"{count_of(len(failed) - limit, 'more failure')} of {run.profile.name}", style="bold red"))
        console.print(Text(f"--failures {len(failed)} shows all, --html FILE makes a page of them", style="dim"))


def _print_failure(console: Console, report: Report, run: RuntimeRun, result: Result) -> None:
    case = result.case
    place = f"{case.file}:{case.line}" if case.file else ""
    where = ", ".join(part for part in (case.cite, place) if part)
    console.print(Text.assemble((f"{run.profile.name} fails ", "red"), (case.name, "bold"), (f"  {where}", "dim")))
    expected = " or ".join(described(expectation) for expectation in case.expected)
    got = "nothing" if result.outcome is None else shortened(answered(result.outcome))
    lines: list[tuple[str, str]] = [("expected", expected), ("got", got)]
    if result.why not in (f"expected {expected}, got {got}", ""):
        lines.insert(0, ("because", shortened(result.why)))
    if result.attempts > 1:
        lines.append(("asked", f"{result.attempts} times"))
    for name, text in lines:
        console.print(Text.assemble((f"  {name:<9}", "dim"), text))
    _print_program(console, disassembly(case.code))
    console.print(Text.assemble(("  repeat   ", "dim"), report.repeat(run, case)))


def _print_program(console: Console, lines: Sequence[str]) -> None:
    for line in lines[:MOST_LINES]:
        console.print(Text(f"    {line}"))
    if len(lines) > MOST_LINES:
        console.print(Text(f"    and {count_of(len(lines) - MOST_LINES, 'more line')}", style="dim"))


# --- the end ----------------------------------------------------------------------------------------------------------


def _print_end(console: Console, report: Report) -> None:
    console.print()
    if report.stopped:
        console.print(Text(f"partial: {report.stopped}", style="yellow"))
    verdicts = ", ".join(f"{run.profile.name} {_verdict(tally(report.cases, run))}" for run in report.runs)
    console.print(Text(f"{count_of(len(report.cases), 'case')} in {report.seconds:.1f} s: {verdicts}", style="bold"))


def _verdict(counts: Tally) -> str:
    if not counts.run:
        return "ran none"
    return f"fails {number(counts.failed)} of {number(counts.run)}" if counts.failed else f"passes {number(counts.run)}"
