"""Cases of RFC 9669 section 4.1: a file for each operation, and programs that fold many results into r0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pybpftime.conformance.corpus.bits import BINARY, extended, low, negative, unsigned
from pybpftime.conformance.corpus.operands import (
    DIVISIONS,
    SHIFTS,
    Pair,
    immediate_pairs,
    pairs_for,
    pairs_with_garbage,
    values,
    with_garbage,
)
from pybpftime.conformance.corpus.text import CaseText, Table, document, shown

CITE = "RFC 9669 4.1"
RETURN_R6 = ("mov %r0, %r6", "exit")
RETURN_W6 = ("mov32 %r0, %r6", "exit")
BEYOND = {32: (32, 33, 63, -1), 64: (64, 65, 127, -1)}


def files() -> Iterator[tuple[str, str]]:
    """Paths below conformance/cases, and their text."""
    for name in BINARY:
        yield f"arithmetic/{name}.case", document(f"{name}: every operand class at both widths.", CITE, _cases(name))
    yield "arithmetic/mov.case", document("mov: copies, and copies that extend the sign.", CITE, list(_moves()))
    yield "arithmetic/neg.case", document("neg: the negative number.", CITE, list(_negations()))


def _table(pairs: Sequence[Pair], results: Sequence[int], second: str) -> Table:
    rows = [(shown(dst), shown(src), shown(r0)) for (dst, src), r0 in zip(pairs, results, strict=True)]
    return Table(("dst", second), ("r0",), tuple(dict.fromkeys(rows)))


def _cases(name: str) -> list[CaseText]:
    return [*_full_width(name), *_half_width(name), *_base32(name), *_refusable(name)]


def _full_width(name: str) -> Iterator[CaseText]:
    operation, pairs = BINARY[name], pairs_for(name, 64)
    yield CaseText(
        "reg64",
        "both operands in registers, 64 bits; src is intact, or r0 is not the result",
        ("lddw %r6, {dst}", "lddw %r7, {src}", f"{name} %r6, %r7", *_intact("%r7"), *RETURN_R6),
        table=_table(pairs, [operation(dst, src, 64) for dst, src in pairs], "src"),
    )
    pairs = immediate_pairs(name, 64)
    yield CaseText(
        "imm64",
        "the immediate is extended to 64 bits with its sign",
        ("lddw %r6, {dst}", f"{name} %r6, {{imm}}", *RETURN_R6),
        table=_table(pairs, [operation(dst, extended(imm, 32, 64), 64) for dst, imm in pairs], "imm"),
    )
    same = values(name, 64)
    rows = tuple((shown(value), shown(operation(value, value, 64))) for value in same)
    yield CaseText(
        "same64",
        "dst and src are one register",
        ("lddw %r6, {dst}", f"{name} %r6, %r6", *RETURN_R6),
        table=Table(("dst",), ("r0",), rows),
    )


def _half_width(name: str) -> Iterator[CaseText]:
    operation = BINARY[name]
    pairs = list(pairs_with_garbage(pairs_for(name, 32)))
    yield CaseText(
        "reg32",
        "32 bits: upper halves of operands do not matter, that of the result is zero, src is intact",
        ("lddw %r6, {dst}", "lddw %r7, {src}", f"{name}32 %r6, %r7", *_intact("%r7"), *RETURN_R6),
        table=_table(pairs, [operation(low(dst, 32), low(src, 32), 32) for dst, src in pairs], "src"),
    )
    immediates = immediate_pairs(name, 32)
    pairs = list(zip(with_garbage([dst for dst, _ in immediates]), (imm for _, imm in immediates), strict=True))
    yield CaseText(
        "imm32",
        "32 bits, immediate: the upper half of dst does not matter, that of the result is zero",
        ("lddw %r6, {dst}", f"{name}32 %r6, {{imm}}", *RETURN_R6),
        table=_table(pairs, [operation(low(dst, 32), unsigned(imm, 32), 32) for dst, imm in pairs], "imm"),
    )
    same = list(with_garbage(values(name, 32)))
    rows = tuple((shown(value), shown(operation(low(value, 32), low(value, 32), 32))) for value in same)
    yield CaseText(
        "same32",
        "32 bits, dst and src are one register",
        ("lddw %r6, {dst}", f"{name}32 %r6, %r6", *RETURN_R6),
        table=Table(("dst",), ("r0",), rows),
    )


def _base32(name: str) -> Iterator[CaseText]:
    """For runtimes without 64-bit operations."""
    operation, pairs = BINARY[name], pairs_for(name, 32)[::3]
    yield CaseText(
        "base32.reg",
        "by 32-bit instructions alone",
        ("mov32 %r6, {dst}", "mov32 %r7, {src}", f"{name}32 %r6, %r7", *RETURN_W6),
        table=_table(pairs, [operation(dst, src, 32) for dst, src in pairs], "src"),
    )
    pairs = immediate_pairs(name, 32)[1::3]
    yield CaseText(
        "base32.imm",
        "by 32-bit instructions alone",
        ("mov32 %r6, {dst}", f"{name}32 %r6, {{imm}}", *RETURN_W6),
        table=_table(pairs, [operation(dst, unsigned(imm, 32), 32) for dst, imm in pairs], "imm"),
    )


def _refusable(name: str) -> Iterator[CaseText]:
    """Immediates that mean something, and that Linux refuses to load (check_alu_op)."""
    operation = BINARY[name]
    if name not in SHIFTS + DIVISIONS:
        return
    why = "Linux refuses an immediate distance outside the width (check_alu_op)"
    if name in DIVISIONS:
        why = "Linux refuses to divide by an immediate 0 (check_alu_op)"
    for width in (64, 32):
        dst = values(name, width)[-1]
        rows = tuple(
            (shown(dst), shown(imm), shown(operation(dst, extended(imm, 32, width), width)))
            for imm in (BEYOND[width] if name in SHIFTS else (0,))
        )
        yield CaseText(
            f"refusable{width}",
            "the RFC gives the immediate a meaning, a loader may refuse it",
            ("lddw %r6, {dst}", f"{name}{'32' if width == 32 else ''} %r6, {{imm}}", *RETURN_R6),
            expect=("return {result}", f"invalid because {why}"),
            table=Table(("dst", "imm", "result"), (), rows),
        )


def _intact(register: str) -> tuple[str, ...]:
    """Adds to r6 what `register` differs from {src} by, which is nothing."""
    return ("lddw %r8, {src}", f"sub %r8, {register}", "add %r6, %r8")


def _moves() -> Iterator[CaseText]:
    for width in (64, 32):
        suffix = "32" if width == 32 else ""
        numbers = list(with_garbage(values("mov", 32))) if width == 32 else values("mov", 64)
        old = "0x5a5a5a5aa5a5a5a5"
        yield CaseText(
            f"reg{width}",
            "a copy" if width == 64 else "a copy of the lower half; the upper half of the result is zero",
            (f"lddw %r6, {old}", "lddw %r7, {src}", f"mov{suffix} %r6, %r7", *_intact("%r7"), *RETURN_R6),
            table=Table(("src",), ("r0",), tuple((shown(value), shown(low(value, width))) for value in numbers)),
        )
        immediates = (0, 1, -1, 0x7FFF_FFFF, -0x8000_0000, 0x7F, -0x80, 0x1234_5678, -0x1234_5678)
        rows = tuple(
            (shown(imm), shown(extended(imm, 32, 64) if width == 64 else unsigned(imm, 32))) for imm in immediates
        )
        yield CaseText(
            f"imm{width}",
            "the immediate is extended with its sign" if width == 64 else "the upper half of the result is zero",
            (f"lddw %r6, {old}", f"mov{suffix} %r6, {{imm}}", *RETURN_R6),
            table=Table(("imm",), ("r0",), rows),
        )
        for bits in (8, 16, 32)[: 3 if width == 64 else 2]:
            yield from _sign_extensions(bits, width)
    yield CaseText(
        "base32.imm", "by 32-bit instructions alone", ("mov32 %r0, {imm}", "exit"),
        table=Table(("imm",), ("r0",), (("0", "0"), ("1", "1"), ("-1", "0xffffffff"), ("0x7fffffff", "0x7fffffff"))),
    )  # fmt: skip
    yield CaseText(
        "base32.reg", "by 32-bit instructions alone", ("mov32 %r7, {imm}", "mov32 %r0, %r7", "exit"),
        table=Table(("imm",), ("r0",), (("0", "0"), ("-1", "0xffffffff"), ("0x12345678", "0x12345678"))),
    )  # fmt: skip
    for bits in (8, 16):
        rows = tuple((shown(value), shown(extended(value, bits, 32))) for value in _boundaries(bits, 32))
        yield CaseText(
            f"base32.movsx{bits}", "by 32-bit instructions alone",
            ("mov32 %r7, {src}", f"movsx{bits}32 %r0, %r7", "exit"), table=Table(("src",), ("r0",), rows),
        )  # fmt: skip


def _boundaries(bits: int, width: int) -> list[int]:
    """Numbers about the sign of the low `bits`, with the rest clear and set."""
    sign = 2 ** (bits - 1)
    clear = [0, 1, sign - 1, sign, 2 * sign - 1]
    rest = 2**width - 2 * sign
    return [
        *clear,
        *(rest + value for value in (0, sign - 1, sign)),
        *(low(0x5A5A_5A5A_A5A5_A5A5 + d, width) for d in (0, 0xDB80)),
    ]


def _sign_extensions(bits: int, width: int) -> Iterator[CaseText]:
    name = f"movsx{bits}{width}"
    numbers = _boundaries(bits, 64)
    rows = tuple((shown(value), shown(extended(value, bits, width))) for value in numbers)
    yield CaseText(
        name,
        f"the low {bits} bits with their sign, to {width} bits" + ("; the upper half is zero" if width == 32 else ""),
        ("lddw %r6, 0x5a5a5a5aa5a5a5a5", "lddw %r7, {src}", f"{name} %r6, %r7", *_intact("%r7"), *RETURN_R6),
        table=Table(("src",), ("r0",), rows),
    )
    yield CaseText(
        f"{name}.same", "dst and src are one register", ("lddw %r6, {src}", f"{name} %r6, %r6", *RETURN_R6),
        table=Table(("src",), ("r0",), rows[2:5]),
    )  # fmt: skip


def _negations() -> Iterator[CaseText]:
    numbers = [*values("neg", 64), 0xFFFF_FFFF, 0x1_0000_0000, 0xFFFF_FFFF_0000_0000, 0x80, 0xFF80]
    rows = tuple((shown(value), shown(negative(value, 64))) for value in numbers)
    yield CaseText(
        "all64", "64 bits; MIN stays", ("lddw %r6, {dst}", "neg %r6", *RETURN_R6), table=Table(("dst",), ("r0",), rows)
    )
    numbers = list(with_garbage([*values("neg", 32), 0x80, 0xFF80]))
    rows = tuple((shown(value), shown(negative(low(value, 32), 32))) for value in numbers)
    yield CaseText(
        "all32", "32 bits: the upper half does not matter, and is zero in the result; MIN stays",
        ("lddw %r6, {dst}", "neg32 %r6", *RETURN_R6), table=Table(("dst",), ("r0",), rows),
    )  # fmt: skip
    rows = tuple((shown(value), shown(negative(value, 32))) for value in values("neg", 32))
    yield CaseText(
        "base32",
        "by 32-bit instructions alone",
        ("mov32 %r6, {dst}", "neg32 %r6", *RETURN_W6),
        table=Table(("dst",), ("r0",), rows),
    )
