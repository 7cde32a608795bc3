"""The report as one JSON document: docs/reference/conformance-report.md and its schema describe every field."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from pybpftime import __version__
from pybpftime.conformance.case import Case, Expectation, Signature
from pybpftime.conformance.judge import Status
from pybpftime.conformance.report.data import Report, RuntimeRun, Tally, tallies, tally
from pybpftime.conformance.run.coverage import ALL_CELLS, Cell, OperandClass
from pybpftime.conformance.run.selection import area
from pybpftime.conformance.runtime import Outcome, Profile
from pybpftime.isa import BY_NAME
from pybpftime.isa.disassembler import listing

FORMAT = "pybpftime-conformance"
VERSION = 1
LONGEST_MESSAGE = 4_000
"""Characters of what a runtime says."""


def document(report: Report) -> dict[str, Any]:
    """The report as data that `json` writes."""
    places = _places(report)
    return {
        "format": FORMAT,
        "version": VERSION,
        "producer": {
            "name": "pybpftime",
            "version": __version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()}",
            "machine": platform.machine(),
        },
        "started": report.started.isoformat(timespec="seconds"),
        "seconds": round(report.seconds, 3),
        "complete": report.complete,
        "stopped": report.stopped,
        "suite": {
            "name": report.suite,
            "digest": digest(report.cases),
            "patterns": list(report.patterns),
            "groups": None if report.groups is None else [str(group) for group in report.groups],
            "cases": len(report.cases),
            "problems": [str(problem) for problem in report.problems],
        },
        "runtimes": [_runtime(report, run) for run in report.runs],
        "coverage": None if report.cells is None else _coverage(report.cells, places),
        "cases": [_case(report, index, case, places) for index, case in enumerate(report.cases)],
    }


def digest(cases: Sequence[Case]) -> str:
    """SHA-256 of all that is judged: equal when two runs judged the same."""
    sha = hashlib.sha256()
    for case in cases:
        judged = replace(case, cite="", about="", file="", line=0)
        sha.update(repr((judged.name, judged.code, judged.memory, judged.maps, judged.budget)).encode())
        sha.update(repr([_expectation(expected) for expected in judged.expected]).encode())
    return sha.hexdigest()


# --- runtimes ---------------------------------------------------------------------------------------------------------


def _runtime(report: Report, run: RuntimeRun) -> dict[str, Any]:
    return {
        "given": run.given,
        **_profile(run.profile),
        "seconds": round(run.seconds, 3),
        "totals": _tally(tally(report.cases, run)),
        "areas": {name: _tally(counts) for name, counts in tallies(report.cases, run).items()},
    }


def _profile(profile: Profile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "description": profile.description,
        "version": profile.version,
        "groups": sorted(profile.groups),
        "features": sorted(profile.features),
        "refuses": sorted(profile.refuses),
        "shows": sorted(profile.shows),
        "budget": profile.budget,
        "timeout": profile.timeout,
        "limits": [
            {"pattern": limit.pattern, "reason": limit.reason, "refusal": limit.refusal} for limit in profile.limits
        ],
    }


def _tally(counts: Tally) -> dict[str, Any]:
    return {
        "cases": counts.cases,
        "run": counts.run,
        "passed": counts.passed,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "not_applicable": counts.not_applicable,
        "missing": counts.missing,
        "reasons": [
            {"status": str(status), "reason": reason, "cases": cases}
            for (status, reason), cases in counts.reasons.most_common()
        ],
    }


# --- cases ------------------------------------------------------------------------------------------------------------


def _case(report: Report, index: int, case: Case, places: Mapping[Cell, int]) -> dict[str, Any]:
    cells = frozenset[Cell]() if report.cells is None else report.cells[index]
    return {
        "name": case.name,
        "about": case.about,
        "cite": case.cite,
        "file": case.file,
        "line": case.line,
        "area": area(case),
        "groups": sorted(case.groups),
        "features": sorted(case.features),
        "code": case.code.hex(),
        "disassembly": list(disassembly(case.code)),
        "memory": _bytes(case.memory),
        "maps": [
            {"name": one.name, "type": one.type.name, "key": one.key_size, "value": one.value_size,
             "entries": one.max_entries}
            for one in case.maps
        ],
        "budget": case.budget,
        "expected": [_expectation(expected) for expected in case.expected],
        "cells": sorted(places[cell] for cell in cells),
        "results": [_result(report, run, case) for run in report.runs],
    }  # fmt: skip


@lru_cache(maxsize=1 << 16)
def disassembly(code: bytes) -> tuple[str, ...]:
    """The program as text, a label or an instruction a line."""
    lines: list[str] = []
    for line in listing(code):
        lines += [f"{line.label}:"] if line.label else []
        lines.append(f"{line.pc:5}: {line.text}" + (f"  ; {line.comment}" if line.comment else ""))
    return tuple(lines)


def _expectation(expected: Expectation) -> dict[str, Any]:
    trap = None if expected.trap is None else str(expected.trap)
    return {"verdict": str(expected.verdict), **_signature(expected.signature), "trap": trap, "why": expected.why}


def _result(report: Report, run: RuntimeRun, case: Case) -> dict[str, Any] | None:
    result = run.results.get(case.name)
    if result is None:
        return None
    passed = result.status is Status.PASSED  # which says what the outcome is, and most results are
    data = {
        "status": str(result.status),
        "why": shortened(result.why),
        "seconds": round(result.seconds, 6),
        "attempts": result.attempts,
        "outcome": None if passed or result.outcome is None else _outcome(result.outcome),
    }
    return data | ({"repeat": report.repeat(run, case)} if result.status is Status.FAILED else {})


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "kind": str(outcome.kind),
        **_signature(outcome.signature),
        "trap": None if outcome.trap is None else str(outcome.trap),
        "pc": outcome.pc,
        "message": shortened(outcome.message),
    }


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "registers": {f"r{number}": f"{value:#x}" for number, value in sorted(signature.registers.items())},
        "memory": _bytes(signature.memory),
        "stack": _bytes(signature.stack),
    }


def _bytes(content: bytes | None) -> str | None:
    return None if content is None else content.hex()


def shortened(text: str) -> str:
    """What a runtime says, cut where it says too much."""
    if len(text) <= LONGEST_MESSAGE:
        return text
    return f"{text[:LONGEST_MESSAGE]}... ({len(text) - LONGEST_MESSAGE:,} characters more)"


# --- coverage ---------------------------------------------------------------------------------------------------------


def _places(report: Report) -> Mapping[Cell, int]:
    """The index of each cell in the document; beside `ALL_CELLS` none can be."""
    return {} if report.cells is None else {cell: index for index, cell in enumerate(ALL_CELLS)}


def _coverage(cells: Sequence[frozenset[Cell]], places: Mapping[Cell, int]) -> dict[str, Any]:
    cases = Counter(cell for executed in cells for cell in executed)
    return {
        "classes": [str(one) for one in OperandClass],
        "reachable": len(places),
        "reached": len(cases),
        "rows": [
            {"name": name, "groups": sorted(row.groups), "section": row.section, "origin": row.origin}
            for name, row in BY_NAME.items()
        ],
        "cells": [
            {"row": cell.row, "operand": cell.operand, "class": str(cell.value), "cases": cases[cell]}
            for cell in places
        ],
    }
