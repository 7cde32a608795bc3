"""Every operation and condition on all pairs of 8 and 8 operands out of memory, which no compiler knows beforehand."""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.conformance.corpus import folds
from pybpftime.conformance.corpus.bits import BINARY, CONDITIONS, extended, low
from pybpftime.conformance.corpus.operands import (
    compared_crossed,
    compared_immediates,
    crossed,
    crossed_immediates,
    with_garbage,
)
from pybpftime.conformance.corpus.text import CaseText, Table, document, little, shown

ABOUT = "{what} of all pairs of eight operands and eight others; one wrong result changes r0."


def files() -> Iterator[tuple[str, str]]:
    """Paths below conformance/cases, and their text."""
    yield "arithmetic/crossed.case", document(ABOUT.format(what="Results"), "RFC 9669 4.1", list(_arithmetic()))
    yield "jumps/crossed.case", document(ABOUT.format(what="Decisions"), "RFC 9669 4.3", list(_jumps()))


def _table(rows: list[tuple[str, ...]], *inputs: str) -> Table:
    return Table(("name", *inputs), ("r0",), tuple(rows))


def _arithmetic() -> Iterator[CaseText]:
    rows: list[tuple[str, ...]] = []
    for name, operation in BINARY.items():
        dst, src = crossed(name, 64)
        results = [operation(a, b, 64) for a in dst for b in src]
        rows.append((name, name, little(*dst, *src), shown(folds.folded(results))))
        halves, others = crossed(name, 32)
        results = [operation(a, b, 32) for a in halves for b in others]
        memory = little(*with_garbage(halves), *reversed(list(with_garbage(others[::-1]))))
        rows.append((f"{name}32", f"{name}32", memory, shown(folds.folded(results))))
    yield CaseText(
        "reg", "operands in registers", folds.crossing("{op}", 8, 8), mem="{memory}", table=_table(rows, "op", "memory")
    )
    rows = []
    for name, operation in BINARY.items():
        dst, src = crossed(name, 32)
        results = [operation(a, b, 32) for a in dst for b in src]
        rows.append((name, name, little(*dst, *src, size=4), shown(folds.folded(results, 32))))
    yield CaseText(
        "base32", "by 32-bit instructions alone", folds.crossing("{op}32", 8, 4), mem="{memory}",
        table=_table(rows, "op", "memory"),
    )  # fmt: skip
    for width in (64, 32):
        yield _arithmetic_immediates(width)


def _arithmetic_immediates(width: int) -> CaseText:
    rows: list[tuple[str, ...]] = []
    for name, operation in BINARY.items():
        dst, immediates = crossed(name, width)[0], crossed_immediates(name, width)
        results = [operation(a, extended(imm, 32, width), width) for a in dst for imm in immediates]
        memory = little(*(dst if width == 64 else with_garbage(dst)))
        op = name if width == 64 else f"{name}32"
        rows.append((name, op, *map(shown, immediates), memory, shown(folds.folded(results))))
    return CaseText(
        f"imm{width}", "the second operand is an immediate", folds.crossing_immediates("{op}", 8, 8, 8), mem="{memory}",
        table=_table(rows, "op", *(f"i{number}" for number in range(8)), "memory"),
    )  # fmt: skip


def _jumps() -> Iterator[CaseText]:
    rows: list[tuple[str, ...]] = []
    narrow: list[tuple[str, ...]] = []
    for name, holds in CONDITIONS.items():
        dst, src = compared_crossed(64)
        taken = [holds(a, b, 64) for a in dst for b in src]
        rows.append((name, name, little(*dst, *src), shown(folds.decided(taken))))
        dst, src = compared_crossed(32)
        taken = [holds(a, b, 32) for a in dst for b in src]
        memory = little(*with_garbage(dst), *reversed(list(with_garbage(src[::-1]))))
        rows.append((f"{name}32", f"{name}32", memory, shown(folds.decided(taken))))
        few = [holds(a, b, 32) for a in dst[:5] for b in src[:5]]
        narrow.append((name, name, little(*dst[:5], *src[:5], size=4), shown(low(folds.decided(few), 32))))
    yield CaseText(
        "reg", "operands in registers", folds.deciding("{op}", 8, 8), mem="{memory}", table=_table(rows, "op", "memory")
    )
    yield CaseText(
        "base32", "by 32-bit instructions alone", folds.deciding("{op}32", 5, 4), mem="{memory}",
        table=_table(narrow, "op", "memory"),
    )  # fmt: skip
    for width in (64, 32):
        rows = []
        for name, holds in CONDITIONS.items():
            dst, immediates = compared_crossed(width)[0], compared_immediates()
            taken = [holds(a, extended(imm, 32, width), width) for a in dst for imm in immediates]
            memory = little(*(dst if width == 64 else with_garbage(dst)))
            op = name if width == 64 else f"{name}32"
            rows.append((name, op, *map(shown, immediates), memory, shown(folds.decided(taken))))
        yield CaseText(
            f"imm{width}", "the second operand is an immediate", folds.deciding_immediates("{op}", 8, 8, 8),
            mem="{memory}", table=_table(rows, "op", *(f"i{number}" for number in range(8)), "memory"),
        )  # fmt: skip
