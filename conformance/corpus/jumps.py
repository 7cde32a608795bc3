"""Cases of the conditions of RFC 9669 section 4.3: a file for each.

Operands are constants plus a 0 out of memory, so that neither a verifier nor a compiler knows which way it goes.
r0 is 1 when the jump is taken and 2 when it is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pybpftime.conformance.corpus.bits import CONDITIONS, extended, low
from pybpftime.conformance.corpus.operands import (
    Pair,
    compared_pairs,
    compared_with_immediate,
    pairs_with_garbage,
    values,
    with_garbage,
)
from pybpftime.conformance.corpus.text import CaseText, Table, document, shown

CITE = "RFC 9669 4.3"
ZEROS = "00" * 8
TAKEN, NOT_TAKEN = "1", "2"


def files() -> Iterator[tuple[str, str]]:
    """Paths below conformance/cases, and their text."""
    for name in CONDITIONS:
        about = f"{name}: taken (r0 is 1) and not taken (r0 is 2), with every operand class at both widths."
        yield f"jumps/{name}.case", document(about, CITE, list(_cases(name)))


def _program(operands: Sequence[str], jump: str) -> tuple[str, ...]:
    lines = ["ldxdw %r0, [%r1]"]
    for register, operand in zip(("%r6", "%r7"), operands, strict=False):
        lines += [f"lddw {register}, {operand}", f"add {register}, %r0"]
    return (*lines, f"mov %r0, {TAKEN}", f"{jump}, +1", f"mov %r0, {NOT_TAKEN}", "exit")


def _narrow_program(operands: Sequence[str], jump: str) -> tuple[str, ...]:
    lines = ["ldxw %r0, [%r1]"]
    for register, operand in zip(("%r6", "%r7"), operands, strict=False):
        lines += [f"mov32 {register}, {operand}", f"add32 {register}, %r0"]
    return (*lines, f"mov32 %r0, {TAKEN}", f"{jump}, +1", f"mov32 %r0, {NOT_TAKEN}", "exit")


def _table(pairs: Sequence[Pair], outcomes: Sequence[bool], second: str) -> Table:
    rows = [
        (shown(dst), shown(src), TAKEN if taken else NOT_TAKEN)
        for (dst, src), taken in zip(pairs, outcomes, strict=True)
    ]
    return Table(("dst", second), ("r0",), tuple(dict.fromkeys(rows)))


def _cases(name: str) -> Iterator[CaseText]:
    holds = CONDITIONS[name]
    pairs = compared_pairs(64)
    yield CaseText(
        "reg64", "64 bits", _program(("{dst}", "{src}"), f"{name} %r6, %r7"), mem=ZEROS,
        table=_table(pairs, [holds(dst, src, 64) for dst, src in pairs], "src"),
    )  # fmt: skip
    pairs = compared_with_immediate(64)
    yield CaseText(
        "imm64", "64 bits: the immediate is extended with its sign, for unsigned conditions too",
        _program(("{dst}",), f"{name} %r6, {{imm}}"), mem=ZEROS,
        table=_table(pairs, [holds(dst, extended(imm, 32, 64), 64) for dst, imm in pairs], "imm"),
    )  # fmt: skip
    pairs = list(pairs_with_garbage(compared_pairs(32)))
    yield CaseText(
        "reg32", "32 bits: upper halves do not matter", _program(("{dst}", "{src}"), f"{name}32 %r6, %r7"), mem=ZEROS,
        table=_table(pairs, [holds(low(dst, 32), low(src, 32), 32) for dst, src in pairs], "src"),
    )  # fmt: skip
    immediate = compared_with_immediate(32)
    pairs = list(zip(with_garbage([dst for dst, _ in immediate]), (imm for _, imm in immediate), strict=True))
    yield CaseText(
        "imm32", "32 bits: the upper half does not matter", _program(("{dst}",), f"{name}32 %r6, {{imm}}"), mem=ZEROS,
        table=_table(pairs, [holds(low(dst, 32), extended(imm, 32, 32), 32) for dst, imm in pairs], "imm"),
    )  # fmt: skip
    for width in (64, 32):
        same = values(name, 64)[:5] if width == 64 else [*with_garbage(values(name, 32)[:5]), 0x1_0000_0000]
        rows = []
        for value in same:
            operand = low(value, width)
            rows.append((shown(value), TAKEN if holds(operand, operand, width) else NOT_TAKEN))
        suffix = "32" if width == 32 else ""
        yield CaseText(
            f"same{width}", "dst and src are one register", _program(("{dst}",), f"{name}{suffix} %r6, %r6"), mem=ZEROS,
            table=Table(("dst",), ("r0",), tuple(rows)),
        )  # fmt: skip
    pairs = compared_pairs(32)[1:9:2] + compared_pairs(32)[:1]
    yield CaseText(
        "base32.reg", "by 32-bit instructions alone", _narrow_program(("{dst}", "{src}"), f"{name}32 %r6, %r7"),
        mem=ZEROS, table=_table(pairs, [holds(dst, src, 32) for dst, src in pairs], "src"),
    )  # fmt: skip
    pairs = compared_with_immediate(32)[1:9:2] + compared_with_immediate(32)[:1]
    yield CaseText(
        "base32.imm", "by 32-bit instructions alone", _narrow_program(("{dst}",), f"{name}32 %r6, {{imm}}"), mem=ZEROS,
        table=_table(pairs, [holds(dst, extended(imm, 32, 32), 32) for dst, imm in pairs], "imm"),
    )  # fmt: skip
