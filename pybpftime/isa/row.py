"""Rows of the ISA table: what one instruction is, in every respect that anybody asks about.

A row is keyed as the IANA "BPF Instruction Set" registry keys it: by opcode and by the values of those fields
that tell it from its neighbours (sdiv is div with offset 1).  A field is either *fixed* to a value, as the key
or because RFC 9669 section 3 wants unused fields zero, or an operand, which takes any value.

What an instruction does is either pure, `compute` over an `Algebra`, or one of the effect forms of `Form`,
some with a pure part.  An engine implements each form once; nothing else has to know an opcode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Any

from pybpftime.isa.encoding import Instruction, Source


class Group(StrEnum):
    """Conformance groups (RFC 9669 section 2.4)."""

    BASE32 = "base32"
    BASE64 = "base64"
    ATOMIC32 = "atomic32"
    ATOMIC64 = "atomic64"
    DIVMUL32 = "divmul32"
    DIVMUL64 = "divmul64"
    PACKET = "packet"


INCLUDES: Mapping[Group, frozenset[Group]] = {
    Group.BASE64: frozenset({Group.BASE32}),
    Group.ATOMIC64: frozenset({Group.ATOMIC32}),
    Group.DIVMUL64: frozenset({Group.DIVMUL32}),
}
"""A runtime that supports the group on the left supports those on the right (RFC 9669 section 2.4)."""


class Form(Enum):
    """The closed set of things that an instruction can do.  `compute` has the parameters in brackets."""

    BINARY = auto()  # dst = compute(m, dst, operand)
    UNARY = auto()  # dst = compute(m, operand)
    JUMP_IF = auto()  # if compute(m, dst, operand): pc += offset
    JUMP = auto()  # pc += operand (offset or imm)
    JUMP_REGISTER = auto()  # pc = dst, a code address
    MAY_JUMP = auto()  # pc += offset if the loop budget is spent
    LOAD = auto()  # dst = compute(m, *(size *)(src + offset))
    STORE = auto()  # *(size *)(dst + offset) = operand
    ATOMIC = auto()  # old = *(size *)(dst + offset) = compute(m, old, src, r0), as one step; result = old
    LOAD_ACQUIRE = auto()  # dst = *(size *)(src + offset), later accesses stay behind it
    STORE_RELEASE = auto()  # *(size *)(dst + offset) = src, earlier accesses stay before it
    IMMEDIATE = auto()  # dst = a 64-bit immediate or platform variable; `immediate` says which
    CALL_HELPER = auto()  # r0 = helper imm (r1..r5)
    CALL_LOCAL = auto()  # call the function at pc + imm
    CALL_BTF = auto()  # r0 = kernel function with BTF id imm (r1..r5)
    CALL_REGISTER = auto()  # call the function whose address is in dst
    EXIT = auto()  # return r0
    PACKET = auto()  # r0 = network-order value of the packet; ends the program when it is outside
    CAST = auto()  # dst = src moved to another address space


class Immediate(Enum):
    """What a wide instruction loads: the src_reg values of RFC 9669 section 5.4."""

    VALUE = 0
    MAP_BY_FD = 1
    MAP_VALUE_BY_FD = 2
    VARIABLE = 3
    CODE = 4
    MAP_BY_INDEX = 5
    MAP_VALUE_BY_INDEX = 6


class ConstantRule(Enum):
    """What Linux demands of an immediate operand; in a register the same values have a meaning."""

    NOT_ZERO = auto()  # a divisor
    BELOW_WIDTH = auto()  # a shift distance: 0 to width - 1


RFC = "RFC 9669"
FIELDS = ("dst_reg", "src_reg", "offset", "imm")
OPERAND_REGISTERS = {"dst": "dst_reg", "src": "src_reg"}


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One instruction of the table.

    `name` is unique.  `fixed` maps each field that is no operand to its value.  `width` is the operand width in
    bits, `size` the bytes of a memory access.  `operand` names the second operand's field: src_reg, imm or
    offset.  `pseudo_c` and `mnemonic` are its text in the two syntaxes (see `syntax`).  `reads` and `writes`
    name registers: `dst`, `src`, `r0` to `r6`.  `constant_rule` is for rows whose operand is imm.  `origin` is
    RFC 9669, the Linux release that brought it, or clang.
    """

    name: str
    opcode: int
    form: Form
    fixed: Mapping[str, int]
    pseudo_c: str
    mnemonic: str
    section: str
    groups: frozenset[Group]
    meaning: str
    operand: str = ""
    width: int = 64
    size: int = 0
    compute: Callable[..., Any] | None = None
    fetch: bool = False
    immediate: Immediate | None = None
    constant_rule: ConstantRule | None = None
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    origin: str = RFC

    def matches(self, instruction: Instruction) -> bool:
        """Whether every fixed field has its value."""
        return all(getattr(instruction, field) == value for field, value in self.fixed.items())

    @property
    def wide(self) -> bool:
        """Whether it takes two slots."""
        return self.form is Form.IMMEDIATE

    @property
    def jumps(self) -> bool:
        """Whether it has a jump target in offset or imm."""
        return self.form in (Form.JUMP_IF, Form.JUMP, Form.MAY_JUMP)


def variants(*widths: int) -> Iterator[tuple[int, str, Source, str, str]]:
    """The rows of an operation on two operands, at each width an immediate and a register one.

    What they differ in: width, the suffix of names and of registers, and of the second operand its source, its field
    and its placeholder.
    """
    for width in widths:
        suffix = "32" if width == 32 else ""
        yield width, suffix, Source.K, "imm", "{imm}"
        yield width, suffix, Source.X, "src_reg", f"{{src{suffix}}}"


def registers(names: tuple[str, ...], instruction: Instruction) -> tuple[int, ...]:
    """Register numbers behind `row.reads` or `row.writes` in an instruction."""
    return tuple(
        getattr(instruction, OPERAND_REGISTERS[name]) if name in OPERAND_REGISTERS else int(name[1:]) for name in names
    )


def jump_field(row: Row) -> str:
    """The field that holds the distance of a jump, local call or code address."""
    return "offset" if row.form in (Form.JUMP_IF, Form.MAY_JUMP) or row.operand == "offset" else "imm"


def jump_offset(row: Row, instruction: Instruction) -> int:
    """Slots to jump, counted from the following instruction; for rows that jump, local calls and code addresses."""
    distance: int = getattr(instruction, jump_field(row))
    return distance
