"""Jumps, calls and exit (RFC 9669 section 4.3).

A condition is a pure function of two operands; the decorator makes its rows: immediate and register operand,
64 bits (JMP, whose immediate is sign-extended, for unsigned comparisons too) and 32 bits (JMP32).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pybpftime.isa.algebra import Algebra, B, V
from pybpftime.isa.encoding import Class, Source
from pybpftime.isa.row import Form, Group, Row, variants

BASE32 = frozenset({Group.BASE32})
BASE = {32: BASE32, 64: frozenset({Group.BASE64})}
CLASSES = {32: Class.JMP32, 64: Class.JMP}
ARGUMENTS = ("r1", "r2", "r3", "r4", "r5")
CLOBBERED = ("r0", *ARGUMENTS)
Condition = Callable[..., Any]

_rows: list[Row] = []


def rows() -> tuple[Row, ...]:
    """The rows of this chapter."""
    return (*_rows, *_control_rows())


def condition(name: str, code: int, symbol: str) -> Callable[[Condition], Condition]:
    """Declare `if compute(m, dst, operand) goto +offset` with a K and an X row at both widths."""

    def declare(compute: Condition) -> Condition:
        for width, suffix, source, operand, other in variants(64, 32):
            row = Row(
                name=f"{name}{suffix}_{'imm' if source is Source.K else 'reg'}",
                opcode=code | source | CLASSES[width],
                form=Form.JUMP_IF,
                fixed={"src_reg": 0} if source is Source.K else {"imm": 0},
                pseudo_c=f"if {{dst{suffix}}} {symbol} {other} goto {{jump}}",
                mnemonic=f"{name}{suffix} {{dst}}, {{{operand.removesuffix('_reg')}}}, {{jump}}",
                section="4.3",
                groups=BASE[width],
                meaning=(compute.__doc__ or "").removesuffix("."),
                operand=operand,
                width=width,
                compute=compute,
                reads=("dst",) if source is Source.K else ("dst", "src"),
            )
            _rows.append(row)
        return compute

    return declare


@condition("jeq", 0x10, "==")
def equal(m: Algebra[V, B], dst: V, src: V) -> B:
    """PC += offset if dst == src."""
    return m.equal(dst, src)


@condition("jgt", 0x20, ">")
def greater(m: Algebra[V, B], dst: V, src: V) -> B:
    """PC += offset if dst > src, unsigned."""
    return m.less(src, dst)


@condition("jge", 0x30, ">=")
def greater_or_equal(m: Algebra[V, B], dst: V, src: V) -> B:
    """PC += offset if dst >= src, unsigned."""
    return m.less_or_equal(src, dst)


@condition("jset", 0x40, "&")
def any_bit_set(m: Algebra[V, B], dst: V, src: V) -> B:
    """PC += offset if dst & src is not 0."""
    return m.not_equal(m.bitwise_and(dst, src), m.const(0))


@condition("jne", 0x50, "!=")
def not_equal(m: Algebra[V, B], dst: V, src: V) -> B:
    """PC += offset if dst != src."""
    return m.not_equal(dst, src)


@condition("jsgt", 0x60, "s>")
def signed_greater(m: Algebra[V, B], dst: V, src: V) -> B:
    """PC += offset if dst > src, signed."""
    return m.signed_less(src, dst)


@condition("jsge", 0x70, "s>=")
def signed_greater_or_equal(m: Algebra[V, B], dst: V, src: V) -> B:
    """PC += offset if dst >= src, signed."""
    return m.signed_less_or_equal(src, dst)


@condition("jlt", 0xA0, "<")
def less(m: Algebra[V, B], dst: V, src: V) -> B:
    """PC += offset if dst < src, unsigned."""
    return m.less(dst, src)


@condition("jle", 0xB0, "<=")
def less_or_equal(m: Algebra[V, B], dst: V, src: V) -> B:
    """PC += offset if dst <= src, unsigned."""
    return m.less_or_equal(dst, src)


@condition("jslt", 0xC0, "s<")
def signed_less(m: Algebra[V, B], dst: V, src: V) -> B:
    """PC += offset if dst < src, signed."""
    return m.signed_less(dst, src)


@condition("jsle", 0xD0, "s<=")
def signed_less_or_equal(m: Algebra[V, B], dst: V, src: V) -> B:
    """PC += offset if dst <= src, signed."""
    return m.signed_less_or_equal(dst, src)


def _control_rows() -> Iterator[Row]:
    none = {"dst_reg": 0, "src_reg": 0, "offset": 0, "imm": 0}
    offset_only = {"dst_reg": 0, "src_reg": 0, "imm": 0}
    yield Row(
        name="ja", opcode=0x05, form=Form.JUMP, fixed=offset_only, pseudo_c="goto {jump}", mnemonic="ja {jump}",
        section="4.3", groups=BASE32, meaning="PC += offset", operand="offset",
    )  # fmt: skip
    yield Row(
        name="ja32", opcode=0x06, form=Form.JUMP, fixed={"dst_reg": 0, "src_reg": 0, "offset": 0},
        pseudo_c="gotol {jump}", mnemonic="ja32 {jump}", section="4.3", groups=BASE32, meaning="PC += imm",
        operand="imm",
    )  # fmt: skip
    yield Row(
        name="gotox", opcode=0x0D, form=Form.JUMP_REGISTER, fixed={"src_reg": 0, "offset": 0, "imm": 0},
        pseudo_c="gotox {dst}", mnemonic="gotox {dst}", section="4.3", groups=frozenset(),
        meaning="PC = dst, an address taken from a jump table", operand="dst_reg", reads=("dst",), origin="Linux 6.19",
    )  # fmt: skip
    yield Row(
        name="may_goto", opcode=0xE5, form=Form.MAY_JUMP, fixed=offset_only, pseudo_c="may_goto {jump}",
        mnemonic="may_goto {jump}", section="4.3", groups=frozenset(),
        meaning="PC += offset once the loop budget is spent", operand="offset", origin="Linux 6.9",
    )  # fmt: skip
    calls = (
        ("call_helper", 0, Form.CALL_HELPER, "call {helper}", "call {helper}", "r0 = helper function imm (r1 to r5)"),
        ("call_local", 1, Form.CALL_LOCAL, "call {call}", "call local {call}", "call the function at PC + imm"),
        (
            "call_btf",
            2,
            Form.CALL_BTF,
            "call kfunc {kfunc}{module}",
            "call runtime {kfunc}{module}",
            "r0 = function with BTF id imm (r1 to r5)",
        ),
    )
    for name, src_reg, form, pseudo_c, mnemonic, meaning in calls:
        # The offset of a call by BTF id selects the BTF of a module (Linux 5.17, bpf_kfunc_desc); else it is unused.
        fixed = {"dst_reg": 0, "src_reg": src_reg} | ({} if form is Form.CALL_BTF else {"offset": 0})
        yield Row(
            name=name, opcode=0x85, form=form, fixed=fixed, pseudo_c=pseudo_c, mnemonic=mnemonic, section="4.3",
            groups=BASE32, meaning=meaning, operand="imm", reads=ARGUMENTS, writes=CLOBBERED,
        )  # fmt: skip
    yield Row(
        name="callx", opcode=0x8D, form=Form.CALL_REGISTER, fixed={"src_reg": 0, "offset": 0, "imm": 0},
        pseudo_c="callx {dst}", mnemonic="call {dst}", section="4.3", groups=frozenset(),
        meaning="call the function whose address is in dst", operand="dst_reg", reads=("dst", *ARGUMENTS),
        writes=CLOBBERED, origin="clang",
    )  # fmt: skip
    yield Row(
        name="exit", opcode=0x95, form=Form.EXIT, fixed=none, pseudo_c="exit", mnemonic="exit", section="4.3",
        groups=BASE32, meaning="return r0", reads=("r0",),
    )  # fmt: skip
