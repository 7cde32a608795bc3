"""`pybpftime conformance mutate`: how many single bugs in the semantics a suite sees."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from pybpftime.cli.conformance_run import UNUSABLE, Unusable
from pybpftime.cli.conformance_selection import suite_option, whole_suite
from pybpftime.cli.output import console, count_of, number, print_json, table
from pybpftime.conformance.mutation.catalogue import mutants
from pybpftime.conformance.mutation.mutant import Mutant
from pybpftime.conformance.mutation.processes import findings
from pybpftime.conformance.mutation.report import Count, Score
from pybpftime.conformance.mutation.score import Fate, Finding, baseline
from pybpftime.conformance.suite import Suite
from pybpftime.errors import BpfError, InputError

OURS = "our corpus"
MOST_SURVIVORS = 20
"""Missing cases that are shown unless --survivors says how many."""
MOST_REASONS = 5
"""Reasons that are shown for cases that were not used."""
STYLES = {Fate.EQUIVALENT: "green", Fate.MISSING: "red", Fate.UNDECIDED: "yellow"}


@click.command("mutate")
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@suite_option
@click.option("--sample", type=click.IntRange(1), metavar="N", help="Only N of the mutants, chosen at random.")
@click.option("--seed", default=1, show_default=True, metavar="N", help="What --sample chooses by.")
@click.option("--jobs", "-j", type=click.IntRange(1), metavar="N", help="Processes (default: one for each CPU).")
@click.option("--survivors", default=MOST_SURVIVORS, show_default=True, type=click.IntRange(0), metavar="N",
              help="Missing cases to show.")  # fmt: skip
@click.option("--list", "only_list", is_flag=True, help="List the mutants, and run none.")
@click.option("--json", "as_json", is_flag=True, help="Print the score, and what became of every mutant, as JSON.")
def mutate_command(
    patterns: tuple[str, ...],
    suite: str | None,
    sample: int | None,
    seed: int,
    jobs: int | None,
    survivors: int,
    only_list: bool,
    as_json: bool,
) -> int:
    """Measure a suite: seed single bugs into the semantics of the reference engine, and count those that it sees.

    A mutant whose name matches a PATTERN (shell style; default: all) is one bug in one row of the ISA table, such as
    add32_reg/keeps-upper-half. It is killed when a case fails that passes without it. One that survives is proved
    equivalent by z3 (no program can tell), or a case is missing.

    The exit code is 0 when every mutant is killed or equivalent, 1 when a case is missing, and 2 when something is
    not usable.

    \b
    Examples:
      pybpftime conformance mutate
      pybpftime conformance mutate 'sdiv*' --survivors 100
      pybpftime conformance mutate --suite my-cases --json
    """
    try:
        chosen = _chosen(patterns, sample, seed)
        if only_list:
            _print_list(chosen, as_json)
            return 0
        score = _measured(chosen, whole_suite(suite), suite or OURS, jobs or os.cpu_count() or 1)
    except BpfError as error:
        raise Unusable(str(error)) from None
    if as_json:
        print_json(score.as_dict())
    else:
        print_score(console(), score, survivors)
    if score.problems:
        return UNUSABLE
    return 0 if score.is_perfect else 1


def _chosen(patterns: Sequence[str], sample: int | None, seed: int) -> list[Mutant]:
    known = mutants()
    for pattern in patterns:
        if not any(fnmatchcase(id, pattern) for id in known):
            raise InputError(f"no mutant is named {pattern}; --list shows all")
    chosen = [
        mutant for id, mutant in known.items() if not patterns or any(fnmatchcase(id, pattern) for pattern in patterns)
    ]
    if sample is None or sample >= len(chosen):
        return chosen
    kept = {mutant.id for mutant in random.Random(seed).sample(chosen, sample)}
    return [mutant for mutant in chosen if mutant.id in kept]


def _measured(chosen: Sequence[Mutant], suite: Suite, name: str, processes: int) -> Score:
    began = time.monotonic()
    with _progress() as shown:
        cases = baseline(shown("cases", suite.cases))
        found = {one.mutant: one for one in shown("mutants", findings(chosen, cases, processes), len(chosen))}
    return Score(
        suite=name,
        cases=len(cases.ran) + len(cases.refused),
        unusable={result.case.name: result.why for result in cases.unusable},
        problems=tuple(str(problem) for problem in suite.problems),
        complete=len(chosen) == len(mutants()),
        seconds=time.monotonic() - began,
        findings=tuple(found[mutant.id] for mutant in chosen),
    )


@contextmanager
def _progress() -> Iterator[Callable[..., Iterable[Any]]]:
    """`shown(what, things, total)` gives the things; on a terminal a bar counts them."""
    if not sys.stderr.isatty():
        yield lambda what, things, total=None: things
        return
    # No thread refreshes it: processes are forked.
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as bar:

        def shown(what: str, things: Iterable[Any], total: int | None = None) -> Iterator[Any]:
            task, drawn = bar.add_task(what, total=total if total is not None else len(tuple(things))), 0.0
            for thing in things:
                yield thing
                bar.advance(task)
                if time.monotonic() - drawn > 0.1:
                    bar.refresh()
                    drawn = time.monotonic()

        yield shown


# --- printing ---------------------------------------------------------------------------------------------------------


def _print_list(chosen: Sequence[Mutant], as_json: bool) -> None:
    if as_json:
        print_json([{"mutant": one.id, "kind": str(one.kind), "sentence": one.sentence} for one in chosen])
        return
    grid = table("mutant", "kind", "bug")
    for one in chosen:
        grid.add_row(one.id, str(one.kind), one.sentence)
    console().print(grid)


def print_score(console: Console, score: Score, survivors: int) -> None:
    """The table of kinds, then what survived."""
    for problem in score.problems:
        console.print(Text.assemble(("not usable: ", "red"), problem))
    columns = ("mutants", "killed", "in r0 alone", "equivalent", "missing", "undecided")
    grid = table("kind", *((name, "right") for name in columns))
    for kind, numbers in score.kinds.items():
        grid.add_row(str(kind), *_cells(numbers))
    grid.add_row("all", *_cells(score.total), style="bold")
    console.print(grid)
    _print_equivalent(console, [one for one in score.survivors if one.fate is Fate.EQUIVALENT])
    _print_missing(console, [one for one in score.survivors if one.fate is not Fate.EQUIVALENT], survivors)
    console.print()
    console.print(Text(_summary(score), style="bold"))
    _print_unusable(console, score)


def _print_unusable(console: Console, score: Score) -> None:
    """Each reason, with its case if it is one."""
    reasons: dict[str, list[str]] = {}
    for name, why in score.unusable.items():
        reasons.setdefault(why, []).append(name)
    for why, names in list(reasons.items())[:MOST_REASONS]:
        cases = names[0] if len(names) == 1 else count_of(len(names), "case")
        console.print(Text.assemble(("not used: ", "yellow"), f"{cases}: {why}"))
    if len(reasons) > MOST_REASONS:
        console.print(Text(f"and {count_of(len(reasons) - MOST_REASONS, 'more reason')}; --json has all", style="dim"))


def _cells(numbers: Count) -> list[Text]:
    values = {
        "": (numbers.mutants, numbers.killed, numbers.killed_in_r0),
        STYLES[Fate.EQUIVALENT]: (numbers.equivalent,),
        STYLES[Fate.MISSING]: (numbers.missing,),
        STYLES[Fate.UNDECIDED]: (numbers.undecided,),
    }
    return [Text(number(value), style=style if value else "dim") for style, some in values.items() for value in some]


def _print_equivalent(console: Console, found: Sequence[Finding]) -> None:
    if not found:
        return
    console.print()
    grid = table("equivalent", "bug", "because")
    for one in found:
        grid.add_row(one.mutant, one.sentence, one.why)
    console.print(grid)


def _print_missing(console: Console, found: Sequence[Finding], limit: int) -> None:
    if not found:
        return
    console.print()
    grid = table("survives", "bug", "because")
    for one in found[:limit]:
        grid.add_row(Text(one.mutant, style=STYLES[one.fate]), one.sentence, one.why)
    console.print(grid)
    for one in found[:limit]:
        if one.example:
            console.print()
            console.print(Text(f"{one.mutant} is seen by", style="dim"))
            console.print(Text(one.example.rstrip()))
    if len(found) > limit:
        console.print(Text(f"and {number(len(found) - limit)} more; --survivors {len(found)} shows all", style="dim"))


def _summary(score: Score) -> str:
    total = score.total
    text = f"{count_of(score.cases, 'case')} of {score.suite} kill {number(total.killed)} of "
    text += f"{count_of(total.different, 'mutant')} that a program can tell apart: {_percent(total.share)}, "
    text += f"{_percent(total.share_in_r0)} where only r0 is shown ({score.seconds:.0f} s)"
    return text


def _percent(share: float) -> str:
    """Rounded down, so that 100 % means all."""
    return f"{int(share * 1000) / 10:.1f} %"
