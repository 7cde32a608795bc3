"""How instructions are written: the two syntaxes, and what may stand at each placeholder of a row's templates.

`pseudo_c` and `mnemonic` of a `Row` are templates such as `{dst} += {imm}`.  Filled in they are the text that is
printed; cut into tokens they are the grammar that is read (`grammar`).  A `Slot` knows both directions of one
placeholder: the value in an instruction, its text, the tokens that it accepts, the fields that it sets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pybpftime.errors import InputError
from pybpftime.isa.encoding import MAX_REGISTER, Instruction, sign_extend
from pybpftime.isa.row import Form, Row, jump_field, jump_offset
from pybpftime.isa.tokens import Kind, Token


class Syntax(StrEnum):
    """Pseudo-C as llvm-objdump and the kernel's verifier print it; mnemonics as ubpf and bpf_conformance do."""

    PSEUDO_C = "pseudo-c"
    MNEMONIC = "mnemonic"


def syntax_named(name: str) -> Syntax:
    """The syntax of that name; InputError when there is none."""
    try:
        return Syntax(name)
    except ValueError:
        raise InputError(f"there is no syntax {name!r}, there are {' and '.join(Syntax)}") from None


class NoMatch(Exception):
    """The tokens at `position` are not what a slot accepts.  `wrong` is a sentence where more can be said."""

    def __init__(self, position: int, expected: str, wrong: str = "") -> None:
        self.position = position
        self.expected = expected
        self.wrong = wrong


@dataclass(frozen=True, slots=True)
class Operand:
    """What stood at a placeholder: a number, or a name (with the number behind `#`) to be resolved later."""

    column: int
    value: int = 0
    name: str | None = None


Reader = Callable[[Sequence[Token], int], tuple[Operand, int]]


@dataclass(frozen=True, slots=True)
class Slot:
    """One placeholder.

    `get` takes its value out of an instruction and `show` writes it.  `read` parses it at a position of a list of
    tokens and gives the position after it, or raises NoMatch.  `put` says which fields a value sets.
    """

    get: Callable[[Row, Instruction], int]
    show: Callable[[int, Syntax], str]
    read: Reader
    put: Callable[[Row, int], Mapping[str, int]]


# --- writing ---


def _show_register(letter: str) -> Callable[[int, Syntax], str]:
    return lambda value, syntax: f"{letter}{value}" if syntax is Syntax.PSEUDO_C else f"%r{value}"


def _show_number(value: int, syntax: Syntax) -> str:
    """Pseudo-C always in hexadecimal, as llvm-objdump; mnemonics as a person would write it."""
    return f"{value:#x}" if syntax is Syntax.PSEUDO_C or abs(value) >= 10_000 else str(value)


def _show_imm64(value: int, syntax: Syntax) -> str:
    return f"{sign_extend(value, 64):#x}" if syntax is Syntax.PSEUDO_C else f"{value:#x}"


def _show_offset(value: int, syntax: Syntax) -> str:
    if syntax is Syntax.PSEUDO_C:
        return f"{'-' if value < 0 else '+'} {abs(value):#x}"
    return f"{value:+d}" if value else ""


def _show_distance(value: int, syntax: Syntax) -> str:
    return f"{value:+#x}" if syntax is Syntax.PSEUDO_C else f"{value:+d}"


def _show_function(value: int, syntax: Syntax) -> str:
    return _show_number(value & 0xFFFF_FFFF, syntax)


def _show_module(value: int, syntax: Syntax) -> str:
    return f", module {value}" if value else ""


# --- reading ---


_DIGITS = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]+")


def _number(tokens: Sequence[Token], position: int, expected: str = "a number") -> int:
    token = tokens[position]
    if token.kind is not Kind.NUMBER:
        raise NoMatch(position, expected)
    if not _DIGITS.fullmatch(token.text):
        raise NoMatch(position, expected, f"{token} is not a number")
    if len(token.text) > 40:
        raise NoMatch(position, expected, "the number does not fit 64 bits")
    return int(token.text, 16 if token.text[1:2] in ("x", "X") else 10)


def signed_number(low: int, high: int, too_big: str) -> Reader:
    def read(tokens: Sequence[Token], position: int) -> tuple[Operand, int]:
        start, sign = position, 1
        if tokens[position].text in ("-", "+"):
            sign = -1 if tokens[position].text == "-" else 1
            position += 1
        value = sign * _number(tokens, position)
        if not low <= value <= high:
            raise NoMatch(start, "a number", f"{value:#x} {too_big}")
        return Operand(tokens[start].column, value), position + 1

    return read


def _read_register(letter: str) -> Reader:
    names = "a register" if letter == "r" else "a 32-bit register"

    def read(tokens: Sequence[Token], position: int) -> tuple[Operand, int]:
        token = tokens[position]
        text = token.text.removeprefix("%")
        if token.kind is not Kind.REGISTER or not text.startswith(letter):
            raise NoMatch(position, names)
        if len(text) > 3 or int(text[1:]) > MAX_REGISTER:
            raise NoMatch(
                position, names, f"there is no register {token}, there are {letter}0 to {letter}{MAX_REGISTER}"
            )
        return Operand(token.column, int(text[1:])), position + 1

    return read


def _read_offset(tokens: Sequence[Token], position: int) -> tuple[Operand, int]:
    sign, column = tokens[position].text, tokens[position].column
    if sign not in ("+", "-"):
        return Operand(column), position
    value = _number(tokens, position + 1) * (-1 if sign == "-" else 1)
    if not -0x8000 <= value <= 0x7FFF:
        raise NoMatch(position, "an offset", f"{value:+#x} does not fit the 16 bits of offset (-0x8000 to 0x7fff)")
    return Operand(column, value), position + 2


def _read_target(tokens: Sequence[Token], position: int) -> tuple[Operand, int]:
    """`+N`, `-N`, `pc+N` or a label."""
    first = tokens[position]
    signed = tokens[position + 1].text if first.text == "pc" else first.text
    if signed in ("+", "-"):
        position += 1 if first.text == "pc" else 0
        value = _number(tokens, position + 1) * (-1 if signed == "-" else 1)
        return Operand(first.column, value), position + 2
    if first.kind is Kind.NUMBER:
        raise NoMatch(position, "a label", f"a distance has a sign: write +{first.text} or -{first.text}, or a label")
    if first.kind is not Kind.NAME:
        raise NoMatch(position, "a label, +N or -N")
    return Operand(first.column, name=first.text), position + 1


def _read_function(tokens: Sequence[Token], position: int) -> tuple[Operand, int]:
    """A number, `name#number`, or a name."""
    first = tokens[position]
    if first.kind is not Kind.NAME:
        value = _number(tokens, position, "the number or name of a function")
        if value > 0xFFFF_FFFF:
            raise NoMatch(position, "a number", f"{value:#x} {_TOO_BIG_32}")
        return Operand(first.column, value), position + 1
    if tokens[position + 1].text == "#":
        value = _number(tokens, position + 2)
        if value > 0xFFFF_FFFF:
            raise NoMatch(position + 2, "a number", f"{value:#x} {_TOO_BIG_32}")
        return Operand(first.column, value, first.text), position + 3
    return Operand(first.column, NAMED, first.text), position + 1


NAMED = -1
"""`Operand.value` of a function that was given by name alone."""


def _read_module(tokens: Sequence[Token], position: int) -> tuple[Operand, int]:
    column = tokens[position].column
    if tokens[position].text != "," or tokens[position + 1].text != "module":
        return Operand(column), position
    return _module(tokens, position + 2)


_TOO_BIG_32 = "does not fit the 32 bits of imm"
_imm = signed_number(-(1 << 31), (1 << 32) - 1, f"{_TOO_BIG_32} (64 bits are loaded by `r1 = N ll` or `lddw %r1, N`)")
_imm64 = signed_number(-(1 << 63), (1 << 64) - 1, "does not fit 64 bits")
_module = signed_number(-0x8000, 0x7FFF, "does not fit the 16 bits of offset")
_half = signed_number(0, 0xFFFF, "does not fit 16 bits")


def _jump_fields(row: Row, value: int) -> Mapping[str, int]:
    field = jump_field(row)
    bits = 16 if field == "offset" else 32
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise InputError(f"the target is {value:+d} slots away and {field} has {bits} bits")
    return {field: value}


def _slot(field: str, show: Callable[[int, Syntax], str], read: Reader) -> Slot:
    """The slot of a whole field."""
    return Slot(
        get=lambda row, instruction: getattr(instruction, field) or 0,
        show=show,
        read=read,
        put=lambda row, value: {field: value},
    )


_target = Slot(jump_offset, _show_distance, _read_target, _jump_fields)

SLOTS: Mapping[str, Slot] = {
    "dst": _slot("dst_reg", _show_register("r"), _read_register("r")),
    "src": _slot("src_reg", _show_register("r"), _read_register("r")),
    "dst32": _slot("dst_reg", _show_register("w"), _read_register("w")),
    "src32": _slot("src_reg", _show_register("w"), _read_register("w")),
    "offset": _slot("offset", _show_offset, _read_offset),
    "imm": _slot("imm", _show_number, _imm),
    "next_imm": _slot("next_imm", _show_number, _imm),
    "imm64": Slot(
        get=lambda row, instruction: instruction.imm64,
        show=_show_imm64,
        read=_imm64,
        put=lambda row, value: {"imm": value, "next_imm": value >> 32},
    ),
    "jump": _target,
    "call": _target,
    "helper": _slot("imm", _show_function, _read_function),
    "kfunc": _slot("imm", _show_function, _read_function),
    "module": _slot("offset", _show_module, _read_module),
    "to_space": Slot(
        get=lambda row, instruction: instruction.imm >> 16 & 0xFFFF,
        show=_show_number,
        read=_half,
        put=lambda row, value: {"imm": value << 16},
    ),
    "from_space": Slot(
        get=lambda row, instruction: instruction.imm & 0xFFFF,
        show=_show_number,
        read=_half,
        put=lambda row, value: {"imm": value},
    ),
}
"""Every placeholder of a template."""

# --- templates ---


@dataclass(frozen=True, slots=True)
class Template:
    """One way to write a row.

    `ambiguous`: it reads like another row too and counts only where the opcode or the bytes stand before it.
    """

    row: Row
    text: str
    ambiguous: bool = False


def template(row: Row, syntax: Syntax) -> str:
    """How the row is printed."""
    return row.pseudo_c if syntax is Syntax.PSEUDO_C else row.mnemonic


def templates(row: Row, syntax: Syntax) -> Iterator[Template]:
    """Every way to write the row in that syntax, the one that is printed first."""
    text = template(row, syntax)
    yield Template(row, text)
    if syntax is Syntax.PSEUDO_C and row.size and "32}" in text:  # the kernel and `llvm-objdump -mcpu=v2`: r, not w
        yield Template(row, text.replace("32}", "}").replace("w0", "r0"))
    for other, ambiguous in _ALIASES[syntax](row):
        yield Template(row, other, ambiguous)


def _pseudo_c_aliases(row: Row) -> Iterator[tuple[str, bool]]:
    name = row.name.removesuffix("32").removeprefix("lock_")
    if row.form is Form.ATOMIC:  # as print_bpf_insn of the kernel writes them
        pointer = f"(u{row.width} *)({{dst}} {{offset}})"
        prefix = "atomic64" if row.width == 64 else "atomic"
        if name == "cmpxchg":
            yield f"r0 = {prefix}_cmpxchg({pointer}, r0, {{src}})", False
        elif row.fetch:
            yield f"{{src}} = {prefix}_{name}({pointer}, {{src}})", False
    elif row.form is Form.PACKET and "{src}" in row.pseudo_c:  # llvm-objdump leaves out the number
        yield row.pseudo_c.replace(" + {imm}", ""), False
    elif row.name == "lddw":  # the kernel: the opcode before it tells it from mov
        yield "{dst} = {imm64}", True
    elif row.wide and row.fixed.keys() >= {"src_reg"}:  # llvm-objdump
        yield f"ld_pseudo {{dst}}, {row.fixed['src_reg']:#x}, {{imm}}", False
        yield f"ld_pseudo {{dst}}, {row.fixed['src_reg']}, {{imm}}", False
    elif row.form is Form.CALL_BTF:
        yield "call kernel-function#{kfunc}", False
        yield "call {kfunc}", True
    elif row.form is Form.CALL_LOCAL:
        yield "call {helper}", True  # llvm-objdump writes no sign before a distance


def _mnemonic_aliases(row: Row) -> Iterator[tuple[str, bool]]:
    if row.name.startswith("bswap"):
        yield f"{row.name} {{dst}}", False
    elif row.form is Form.ATOMIC and row.fetch and "fetch" not in row.name:
        yield row.mnemonic.replace("lock ", "lock fetch "), False
    elif row.form is Form.CALL_HELPER:
        yield "call helper {helper}", False
    elif row.form is Form.CALL_REGISTER:
        yield "callx {dst}", False


_ALIASES: Mapping[Syntax, Callable[[Row], Iterator[tuple[str, bool]]]] = {
    Syntax.PSEUDO_C: _pseudo_c_aliases,
    Syntax.MNEMONIC: _mnemonic_aliases,
}
