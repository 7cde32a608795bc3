"""Arithmetic and byte swaps (RFC 9669 sections 4.1 and 4.2).

One function per operation; the decorator makes its rows: immediate and register operand, 32 and 64 bits.  A
function sees operands of the width it works on.  The frame around it, in every engine, reads the operands,
narrows them to the width (immediates are sign-extended to 64 bits first), and zero-extends the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pybpftime.isa.algebra import Algebra, B, V
from pybpftime.isa.encoding import Class, Source
from pybpftime.isa.row import ConstantRule, Form, Group, Row, variants

BASE = {32: Group.BASE32, 64: Group.BASE64}
DIVMUL = {32: Group.DIVMUL32, 64: Group.DIVMUL64}
CLASSES = {32: Class.ALU, 64: Class.ALU64}
Operation = Callable[..., Any]

_rows: list[Row] = []


def rows() -> tuple[Row, ...]:
    """The rows of this chapter."""
    return tuple(_rows)


def binary(
    name: str,
    code: int,
    symbol: str,
    *,
    offset: int = 0,
    groups: dict[int, Group] = BASE,
    constant: ConstantRule | None = None,
) -> Callable[[Operation], Operation]:
    """Declare `dst = compute(m, dst, operand)` with a K and an X row at both widths."""

    def declare(compute: Operation) -> Operation:
        for width, suffix, source, operand, other in variants(32, 64):
            row = Row(
                name=f"{name}{suffix}_{'imm' if source is Source.K else 'reg'}",
                opcode=code | source | CLASSES[width],
                form=Form.BINARY,
                fixed={"offset": offset} | ({"src_reg": 0} if source is Source.K else {"imm": 0}),
                pseudo_c=f"{{dst{suffix}}} {symbol} {other}",
                mnemonic=f"{name}{suffix} {{dst}}, {{{operand.removesuffix('_reg')}}}",
                section="4.1",
                groups=frozenset({groups[width]}),
                meaning=_first_line(compute),
                operand=operand,
                width=width,
                compute=compute,
                constant_rule=constant if source is Source.K else None,
                reads=("dst",) if source is Source.K else ("dst", "src"),
                writes=("dst",),
            )
            _rows.append(row)
        return compute

    return declare


def _first_line(function: Operation) -> str:
    return (function.__doc__ or "").strip().splitlines()[0].removesuffix(".")


@binary("add", 0x00, "+=")
def add(m: Algebra[V, B], dst: V, src: V) -> V:
    """dst += src, wrapping at the width."""
    return m.add(dst, src)


@binary("sub", 0x10, "-=")
def subtract(m: Algebra[V, B], dst: V, src: V) -> V:
    """dst -= src, wrapping at the width."""
    return m.sub(dst, src)


@binary("mul", 0x20, "*=", groups=DIVMUL)
def multiply(m: Algebra[V, B], dst: V, src: V) -> V:
    """dst *= src, wrapping at the width."""
    return m.mul(dst, src)


@binary("div", 0x30, "/=", groups=DIVMUL, constant=ConstantRule.NOT_ZERO)
def divide(m: Algebra[V, B], dst: V, src: V) -> V:
    """dst = (src != 0) ? (dst / src) : 0, unsigned."""
    return m.udiv(dst, src)


@binary("sdiv", 0x30, "s/=", offset=1, groups=DIVMUL, constant=ConstantRule.NOT_ZERO)
def signed_divide(m: Algebra[V, B], dst: V, src: V) -> V:
    """dst = (src != 0) ? (dst s/ src) : 0, truncated toward zero; MIN s/ -1 is MIN."""
    return m.sdiv(dst, src)


@binary("or", 0x40, "|=")
def bitwise_or(m: Algebra[V, B], dst: V, src: V) -> V:
    """dst |= src."""
    return m.bitwise_or(dst, src)


@binary("and", 0x50, "&=")
def bitwise_and(m: Algebra[V, B], dst: V, src: V) -> V:
    """dst &= src."""
    return m.bitwise_and(dst, src)


@binary("lsh", 0x60, "<<=", constant=ConstantRule.BELOW_WIDTH)
def shift_left(m: Algebra[V, B], dst: V, src: V) -> V:
    """dst <<= (src & mask), where mask is 31 or 63."""
    return m.shift_left(dst, m.bitwise_and(src, m.const(m.width - 1)))


@binary("rsh", 0x70, ">>=", constant=ConstantRule.BELOW_WIDTH)
def shift_right(m: Algebra[V, B], dst: V, src: V) -> V:
    """dst >>= (src & mask), filling with zeros."""
    return m.shift_right(dst, m.bitwise_and(src, m.const(m.width - 1)))


@binary("mod", 0x90, "%=", groups=DIVMUL, constant=ConstantRule.NOT_ZERO)
def modulo(m: Algebra[V, B], dst: V, src: V) -> V:
    """dst = (src != 0) ? (dst % src) : dst, unsigned."""
    return m.umod(dst, src)


@binary("smod", 0x90, "s%=", offset=1, groups=DIVMUL, constant=ConstantRule.NOT_ZERO)
def signed_modulo(m: Algebra[V, B], dst: V, src: V) -> V:
    """dst = (src != 0) ? (dst s% src) : dst, with the sign of the dividend; MIN s% -1 is 0."""
    return m.smod(dst, src)


@binary("xor", 0xA0, "^=")
def bitwise_xor(m: Algebra[V, B], dst: V, src: V) -> V:
    """dst ^= src."""
    return m.bitwise_xor(dst, src)


@binary("arsh", 0xC0, "s>>=", constant=ConstantRule.BELOW_WIDTH)
def shift_right_signed(m: Algebra[V, B], dst: V, src: V) -> V:
    """dst s>>= (src & mask), filling with the sign."""
    return m.shift_right_signed(dst, m.bitwise_and(src, m.const(m.width - 1)))


def move(m: Algebra[V, B], src: V) -> V:
    """dst = src."""
    return src


def negate(m: Algebra[V, B], dst: V) -> V:
    """dst = -dst."""
    return m.sub(m.const(0), dst)


def sign_extended(bits: int) -> Operation:
    """dst = (s`bits`)src."""

    def extend(m: Algebra[V, B], src: V) -> V:
        return m.sign_extend(src, bits)

    return extend


def to_little_endian(bits: int) -> Operation:
    """dst = le`bits`(dst): on a little-endian machine, which ours is, a truncation."""

    def convert(m: Algebra[V, B], dst: V) -> V:
        return m.low(dst, bits)

    return convert


def byte_swapped(bits: int) -> Operation:
    """dst = the low `bits` of dst in reversed byte order: be`bits` on a little-endian machine, and bswap`bits`."""

    def convert(m: Algebra[V, B], dst: V) -> V:
        return m.byte_swap(dst, bits)

    return convert


def _unary_rows() -> Iterator[Row]:
    for width, suffix, r in ((32, "32", "32"), (64, "", "")):
        group, klass = frozenset({BASE[width]}), CLASSES[width]
        yield Row(
            name=f"mov{suffix}_imm", opcode=0xB0 | klass, form=Form.UNARY, fixed={"src_reg": 0, "offset": 0},
            pseudo_c=f"{{dst{r}}} = {{imm}}", mnemonic=f"mov{suffix} {{dst}}, {{imm}}", section="4.1", groups=group,
            meaning="dst = imm", operand="imm", width=width, compute=move, writes=("dst",),
        )  # fmt: skip
        for bits in (0, 8, 16, 32)[: 3 if width == 32 else 4]:
            name = f"movsx{bits}{width}" if bits else f"mov{suffix}"
            text = f"(s{bits}){{src{r}}}" if bits else f"{{src{r}}}"
            yield Row(
                name=f"{name}_reg", opcode=0xB8 | klass, form=Form.UNARY, fixed={"offset": bits, "imm": 0},
                pseudo_c=f"{{dst{r}}} = {text}", mnemonic=f"{name} {{dst}}, {{src}}", section="4.1", groups=group,
                meaning=f"dst = (s{bits})src" if bits else "dst = src", operand="src_reg", width=width,
                compute=sign_extended(bits) if bits else move, reads=("src",), writes=("dst",),
            )  # fmt: skip
        yield Row(
            name=f"neg{suffix}", opcode=0x80 | klass, form=Form.UNARY, fixed={"src_reg": 0, "offset": 0, "imm": 0},
            pseudo_c=f"{{dst{r}}} = -{{dst{r}}}", mnemonic=f"neg{suffix} {{dst}}", section="4.1", groups=group,
            meaning="dst = -dst", operand="dst_reg", width=width, compute=negate, reads=("dst",), writes=("dst",),
        )  # fmt: skip
    swaps = (("le", 0xD4, to_little_endian), ("be", 0xDC, byte_swapped), ("bswap", 0xD7, byte_swapped))
    for name, opcode, compute in swaps:
        for bits in (16, 32, 64):
            yield Row(
                name=f"{name}{bits}", opcode=opcode, form=Form.UNARY, fixed={"src_reg": 0, "offset": 0, "imm": bits},
                pseudo_c=f"{{dst}} = {name}{bits} {{dst}}", mnemonic=f"{name.replace('bswap', 'swap')}{bits} {{dst}}",
                section="4.2", groups=frozenset({Group.BASE64 if bits == 64 else Group.BASE32}),
                meaning=f"dst = {name}{bits}(dst)", operand="dst_reg", compute=compute(bits), reads=("dst",),
                writes=("dst",),
            )  # fmt: skip


_rows.extend(_unary_rows())
