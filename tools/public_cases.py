"""Run the public cases of bpf_conformance and print how many of each conformance group pass.

    python -m tools.public_cases [FOLDER]

FOLDER holds `.data` files; left out, the one beside the checkout is taken.  A case counts for every group that one
of its instructions belongs to (RFC 9669 section 2.4).  The exit code is 1 when a case fails.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pybpftime.conformance.case import Case, Signature
from pybpftime.conformance.judge import judge
from pybpftime.conformance.runtime import Outcome as Answer
from pybpftime.conformance.runtime import OutcomeKind, Profile
from pybpftime.conformance.runtimes.bare import run_code
from pybpftime.conformance.suite import load_suite
from pybpftime.errors import BpfError

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT.parent / "shared" / "data" / "bpf_conformance"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case; `problem` is None when it passed."""

    name: str
    groups: frozenset[str]
    problem: str | None = None


def run_case(path: Path) -> Outcome:
    """Run one file on the reference engine, as the plugin does."""
    suite = load_suite(path)
    if suite.problems:
        return Outcome(path.stem, frozenset(), f"cannot be read: {suite.problems[0]}")
    [case] = suite.cases
    groups = groups_of(case)
    try:
        r0 = run_code(case.code, case.memory or b"")
    except BpfError as error:
        return Outcome(case.name, groups, str(error))
    answer = Answer(OutcomeKind.RETURNED, Signature({0: r0}))
    return Outcome(case.name, groups, judge(case, Profile("pybpftime-plugin"), answer).why or None)


def groups_of(case: Case) -> frozenset[str]:
    """The conformance groups that the instructions of a case belong to; the name of one that is in none (callx)."""
    return frozenset(str(group) for row in case.rows for group in row.groups or {row.name})


def case_files(folder: Path) -> list[Path]:
    """The files of a folder, in order."""
    return sorted(folder.glob("*.data"))


def report(outcomes: Sequence[Outcome], console: Console, seconds: float) -> None:
    """Print the table, and what failed."""
    table = Table("group", title=f"bpf_conformance, {len(outcomes)} cases in {seconds:.1f} s", title_justify="left")
    for column in ("cases", "passed", "failed"):
        table.add_column(column, justify="right")
    for group in sorted({group for outcome in outcomes for group in outcome.groups}):
        _add(table, group, [outcome for outcome in outcomes if group in outcome.groups])
    table.add_section()
    _add(table, "all", outcomes)
    console.print(table)
    for outcome in outcomes:
        if outcome.problem is not None:
            console.print(f"{outcome.name}: {outcome.problem}", style="red", markup=False)


def _add(table: Table, name: str, outcomes: Iterable[Outcome]) -> None:
    results = [outcome.problem is None for outcome in outcomes]
    failed = results.count(False)
    style = "red" if failed else "green"
    table.add_row(name, str(len(results)), f"[{style}]{results.count(True)}[/]", str(failed))


def main() -> int:
    """Run all cases of a folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    files = case_files(folder)
    if not files:
        print(f"there are no .data files in {folder}", file=sys.stderr)
        return 2
    start = time.perf_counter()
    outcomes = [run_case(path) for path in files]
    report(outcomes, Console(), time.perf_counter() - start)
    return 1 if any(outcome.problem for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
