"""`pybpftime conformance claims`: is what a verifier says of a program true of its runs?"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from pybpftime.cli.conformance_run import FAILED, UNUSABLE, Stop, Unusable
from pybpftime.cli.inputs import require_name
from pybpftime.cli.output import console, count_of, number, print_json, table
from pybpftime.conformance.case import Case
from pybpftime.conformance.claims.acceptance import Disagreement
from pybpftime.conformance.claims.campaign import Campaign, Result, Verifier, generated
from pybpftime.conformance.claims.run import Violation
from pybpftime.conformance.report.document import disassembly
from pybpftime.conformance.suite import default_suite, load_suite
from pybpftime.errors import BpfError, HostError, InputError
from pybpftime.kernel import available

PROGRAMS = 200
SHOWN = 10
"""Findings of each kind that are shown; --json has all."""
TAKES = "takes it"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What there is to examine: `cases` comes with how many they are."""

    cases: Iterable[Case]
    count: int
    problems: Sequence[InputError] = field(default_factory=tuple)


@click.command("claims")
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option("--runtime", "-r", "verifiers", type=click.Choice([str(one) for one in Verifier]), multiple=True,
              help="Whose claims to check (default: both, which compares their answers, too).")  # fmt: skip
@click.option("--suite", metavar="DIR|FILE", help="Cases in .case and .data files (default: our corpus).")
@click.option("--count", type=click.IntRange(0), metavar="N",
              help=f"Generated programs (default: {PROGRAMS} without PATTERN and --suite, else none).")  # fmt: skip
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), metavar="N",
              help="Another seed, other programs.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def claims_command(
    patterns: tuple[str, ...],
    verifiers: tuple[str, ...],
    suite: str | None,
    count: int | None,
    seed: int,
    as_json: bool,
) -> int:
    """Run programs that a verifier takes, and hold every number in a register against what it claimed there.

    The programs are generated ones, or the cases of the suite whose names match a PATTERN (shell style). Linux's claims
    are those of its log, followed with the decisions of the run until the log says that it saw such a state before;
    ours are the states that `verify` goes through. A run whose result is not the kernel's is a finding, too. Programs
    that one of the two takes and the other refuses are listed with both reasons.

    The exit code is 0 when all claims were true, 1 when one was not, and 2 when something is not usable.

    \b
    Examples:
      pybpftime conformance claims
      pybpftime conformance claims --runtime kernel --count 5000 --seed 7
      pybpftime conformance claims 'arithmetic/*' 'jumps/*' --json
    """
    try:
        require_name("--suite", suite)
        asked = [Verifier(name) for name in dict.fromkeys(verifiers)] or [*Verifier]
        _require_kernel(asked)
        chosen = _chosen(patterns, suite, count, seed)
        with Stop() as stop, Campaign(asked) as campaign:
            _examine(campaign, chosen, stop)
    except BpfError as error:
        raise Unusable(str(error)) from None
    result = campaign.result
    if as_json:
        print_json(_document(result, chosen.problems))
    else:
        _print(console(), result, chosen.problems)
    if stop.signal is not None:
        return 128 + stop.signal
    if not result.is_right:
        return FAILED
    return UNUSABLE if chosen.problems or result.programs == result.excluded.total() else 0


def _require_kernel(asked: Sequence[Verifier]) -> None:
    reason = available() if Verifier.KERNEL in asked else None
    if reason is not None:
        raise HostError(f"{reason}; --runtime {Verifier.OURS} asks our verifier alone")


def _chosen(patterns: Sequence[str], given: str | None, count: int | None, seed: int) -> Chosen:
    if not patterns and given is None:
        count = PROGRAMS if count is None else count
        return Chosen(generated(seed, count), count)
    suite = default_suite() if given is None else load_suite(given)
    if suite.problems and not suite.cases:
        raise suite.problems[0]
    cases = suite.select(patterns).cases
    more = count or 0
    return Chosen(chain(cases, generated(seed, more)), len(cases) + more, suite.problems)


def _examine(campaign: Campaign, chosen: Chosen, stop: Stop) -> None:
    with _progress(chosen.count) as advance:
        for _ in campaign.examine(chosen.cases):
            advance(campaign.result)
            if stop():
                return


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Result], None]]:
    """What is to be told when a program is done; shown on a terminal."""
    if not sys.stderr.isatty():
        yield lambda result: None
        return
    columns = (TextColumn("claims"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        task, shown = bar.add_task("claims", total=total), 0.0

        def advance(result: Result) -> None:
            nonlocal shown
            if time.monotonic() - shown > 0.1:
                bar.update(task, completed=result.programs)
                bar.refresh()
                shown = time.monotonic()

        yield advance


# --- output -----------------------------------------------------------------------------------------------------------


def _document(result: Result, problems: Sequence[InputError]) -> dict[str, Any]:
    """The result as data.  `cases` are the programs that something was found about: code and memory."""
    return {
        "programs": result.programs,
        "unfinished": result.unfinished,
        "excluded": dict(result.excluded),
        "verifiers": {
            str(name): {
                "taken": score.taken,
                "refused": score.refused,
                "steps": score.steps,
                "followed": score.followed,
                "share": round(score.share, 4),
                "numbers": score.numbers,
                "lost": score.lost,
                "violations": score.violations,
            }
            for name, score in result.verifiers.items()
        },
        "failures": result.failures,
        "disagreements": result.disagreements,
        "cases": {name: {"hex": case.code, "mem": case.memory} for name, case in result.cases.items()},
        "problems": [str(problem) for problem in problems],
    }


def _print(out: Console, result: Result, problems: Sequence[InputError]) -> None:
    for problem in problems:
        out.print(Text.assemble(("not usable: ", "red"), str(problem)))
    columns = ("takes", "refuses", "steps", "followed", "share", "numbers", "not true")
    grid = table("verifier", *((name, "right") for name in columns))
    for name, score in result.verifiers.items():
        counts = (score.taken, score.refused, score.steps, score.followed)
        share, wrong = f"{score.share:.1%}", len({one.program for one in score.violations})
        style = "red" if wrong else "green"
        grid.add_row(
            str(name), *(number(one) for one in counts), share, number(score.numbers), Text(number(wrong), style=style)
        )
    out.print(grid)
    for reason, count in result.excluded.most_common():
        out.print(Text.assemble(("not asked: ", "yellow"), f"{count_of(count, 'program')}: {reason}"))
    _print_violations(out, result)
    _print_failures(out, result)
    _print_disagreements(out, result)
    out.print()
    out.print(Text(_summary(result), style="bold"))


def _print_violations(out: Console, result: Result) -> None:
    for one in result.violations[:SHOWN]:
        out.print()
        out.print(Text.assemble((f"{one.verifier} is wrong about ", "red"), (one.program, "bold")))
        for name, text in _told(one).items():
            out.print(Text.assemble((f"  {name:<9}", "dim"), text))
        _print_program(out, result.cases.get(one.program))
    _print_rest(out, len(result.violations), "violation")


def _told(one: Violation) -> dict[str, str]:
    value = "" if one.value is None else f"{one.place} = {one.value:#x}"
    return {
        "step": f"{one.step}, before slot {one.slot}: {one.instruction}",
        "behind": one.behind,
        "run": value or one.claim,
        "claimed": f"{one.place} = {one.claim}" if value else one.source,
        "source": one.source,
    }


def _print_failures(out: Console, result: Result) -> None:
    for one in result.failures[:SHOWN]:
        out.print()
        out.print(Text.assemble(("another run: ", "red"), (one.program, "bold"), f": {one.what}"))
        _print_program(out, result.cases.get(one.program))
    _print_rest(out, len(result.failures), "run")


def _print_disagreements(out: Console, result: Result) -> None:
    found = sorted(result.disagreements, key=_is_explained)
    if not found:
        return
    grid = table("one takes it", "the kernel", "ours", "because")
    for one in found[:SHOWN]:
        because = one.explanation or Text("not known", style="yellow")
        grid.add_row(one.program, one.kernel or TAKES, one.ours or TAKES, because)
    out.print()
    out.print(grid)
    _print_rest(out, len(found), "disagreement")


def _is_explained(one: Disagreement) -> bool:
    return one.explanation is not None


def _print_program(out: Console, case: Case | None) -> None:
    if case is None:
        return
    for line in disassembly(case.code):
        out.print(Text(f"    {line}"))
    if case.memory:
        out.print(Text.assemble(("    memory ", "dim"), case.memory.hex()))


def _print_rest(out: Console, count: int, what: str) -> None:
    if count > SHOWN:
        out.print(Text(f"and {count_of(count - SHOWN, f'more {what}')}; --json has all", style="dim"))


def _summary(result: Result) -> str:
    text = f"{count_of(result.programs, 'program')}: {count_of(len(result.violations), 'claim')} not true, "
    text += f"{count_of(len(result.failures), 'run')} with another result, "
    text += f"{count_of(len(result.disagreements), 'disagreement')}"
    return text + (f", {count_of(result.unfinished, 'run')} too long" if result.unfinished else "")
