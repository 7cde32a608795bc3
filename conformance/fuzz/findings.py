"""What was found, as plain data: one finding for each runtime, row and kind of difference, with a minimal case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pybpftime.conformance.case import Case, Expectation, Signature, Verdict
from pybpftime.conformance.fuzz.attribution import LOST_EXTENSION, UNKNOWN, UNREPEATED
from pybpftime.conformance.fuzz.comparison import Kind
from pybpftime.isa import BY_NAME
from pybpftime.isa.row import RFC

Key = tuple[str, str, str]


TOLD = {
    UNKNOWN: "no single row explains it",
    UNREPEATED: "once, and not when it was asked again",
    LOST_EXTENSION: "the upper half of r0 behind a 32-bit cmpxchg (a known defect of Linux, decision 18)",
}
"""What is said instead of a row."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The same bug however often it was met.

    `row` is to blame, UNKNOWN when no single one is; `origin` names the generated case, `code` and `memory` are the
    minimal one; right is to return `expected` and to leave `left` in memory.  `answers` maps each runtime, and
    `reference`, to what it says of it; `steps` are the lines of the first diverging step, none when there is none;
    `count` is how many cases met it.
    """

    runtime: str
    kind: Kind
    row: str
    origin: str
    code: bytes
    memory: bytes | None
    expected: int
    left: bytes | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    count: int = 1

    @property
    def key(self) -> Key:
        """What makes two findings the same bug."""
        return self.runtime, self.row, self.kind.value

    @property
    def clause(self) -> str:
        """The rule that the row stands under."""
        row = BY_NAME.get(self.row)
        if row is None:
            return ""
        return f"{RFC} section {row.section}" if row.origin == RFC else f"{row.origin}, beside {RFC} {row.section}"

    @property
    def agreement(self) -> list[tuple[str, list[str]]]:
        """Each answer with those who give it, the reference's first."""
        groups: dict[str, list[str]] = {}
        for name, answer in sorted(self.answers.items(), key=lambda item: item[0] != "reference"):
            groups.setdefault(answer, []).append(name)
        return list(groups.items())

    def title(self) -> str:
        """`dpdk returns another value: lock_xchg (RFC 9669 section 5.3)`"""
        row = f"{self.row} ({self.clause})" if self.clause else TOLD.get(self.row, self.row)
        return f"{self.runtime} {self.kind}: {row}"

    def case(self, name: str) -> Case:
        """The minimal case, with the right answer."""
        left = self.left if self.kind is Kind.MEMORY else None
        expected = (Expectation(Verdict.RETURN, Signature({0: self.expected}, left), why=self.clause),)
        return Case(name, self.code, expected, self.memory, cite=self.clause, about=f"{self.runtime} {self.kind}")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "runtime": self.runtime,
            "kind": self.kind.name.lower(),
            "row": self.row,
            "clause": self.clause,
            "count": self.count,
            "origin": self.origin,
            "code": self.code.hex(),
            "memory": None if self.memory is None else self.memory.hex(),
            "expected": f"{self.expected:#x}",
            "left": None if self.left is None else self.left.hex(),
            "answers": dict(self.answers),
            "steps": list(self.steps),
        }


def from_dict(data: Mapping[str, Any]) -> Finding:
    """What `as_dict` wrote; KeyError, TypeError or ValueError for anything else."""
    return Finding(
        runtime=data["runtime"],
        kind=Kind[data["kind"].upper()],
        row=data["row"],
        origin=data["origin"],
        code=bytes.fromhex(data["code"]),
        memory=_bytes(data["memory"]),
        expected=int(data["expected"], 16),
        left=_bytes(data["left"]),
        answers=dict(data["answers"]),
        steps=tuple(data["steps"]),
        count=int(data["count"]),
    )


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each key: the shortest case, and all counts; those met most often first."""
    best: dict[Key, Finding] = {}
    for finding in findings:
        known = best.get(finding.key)
        if known is None:
            best[finding.key] = finding
        else:
            shorter = min(known, finding, key=lambda one: (len(one.code), len(one.memory or b"")))
            best[finding.key] = replace(shorter, count=known.count + finding.count)
    return sorted(best.values(), key=lambda finding: (-finding.count, finding.key))
