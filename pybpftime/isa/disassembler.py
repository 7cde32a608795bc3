"""Programs to text, in either syntax, which `assemble` turns back into the same program."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from string import Formatter

from pybpftime.errors import InputError
from pybpftime.isa.encoding import (
    MAX_REGISTER,
    SLOT_BYTES,
    WIDE_OPCODE,
    Instruction,
    Program,
    decode_program,
)
from pybpftime.isa.row import Form, Immediate, Row, jump_offset
from pybpftime.isa.syntax import SLOTS, Syntax, syntax_named, template
from pybpftime.isa.table import lookup
from pybpftime.isa.tokens import NAME, REGISTER


def _nameless(number: int) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Names:
    """What numbers in instructions are called; each function gives None for what it does not know.

    `helper` by id and `kfunc` by BTF id become part of the text (`call bpf_ktime_get_ns#5`), `function` by slot
    becomes a label; `map` by file descriptor and `map_index` by index go into a comment.
    """

    helper: Callable[[int], str | None] = _nameless
    kfunc: Callable[[int], str | None] = _nameless
    function: Callable[[int], str | None] = _nameless
    map: Callable[[int], str | None] = _nameless
    map_index: Callable[[int], str | None] = _nameless


NO_NAMES = Names()


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction of a listing: its slot, its text, the label before it and the comment behind it."""

    pc: int
    text: str
    instruction: Instruction | None  # None for bytes at the end that fill no slot
    label: str | None = None
    comment: str | None = None

    def __str__(self) -> str:
        label = f"{self.label}:\n" if self.label else ""
        return f"{label}    {self.text}" + (f"  ; {self.comment}" if self.comment else "")


def format_instruction(instruction: Instruction, *, syntax: str = "pseudo-c", names: Names = NO_NAMES) -> str:
    """One instruction as text, jumps as distances.  What no row describes is printed as `.8byte 0x...`."""
    return _line(0, instruction, syntax_named(syntax), names, {}).text


def disassemble(
    program: Program | bytes, *, syntax: str = "pseudo-c", labels: bool = True, names: Names = NO_NAMES
) -> str:
    """The text of a program, an instruction a line, that `assemble` turns into an equal program.

    Bytes are little-endian; any bytes are accepted, and `assemble_bytes` turns the text into the same bytes.
    Without `labels`, jumps and local calls are distances.
    """
    return "".join(f"{line}\n" for line in listing(program, syntax=syntax, labels=labels, names=names))


def listing(
    program: Program | bytes, *, syntax: str = "pseudo-c", labels: bool = True, names: Names = NO_NAMES
) -> list[Line]:
    """The lines of `disassemble` as values."""
    chosen = syntax_named(syntax)
    code = program if isinstance(program, bytes) else b""
    if isinstance(program, bytes):
        program = _lenient_program(program)
    targets = _labels(program, names) if labels else {}
    lines = [
        _line(pc, instruction, chosen, names, targets)
        for pc, instruction in enumerate(program)
        if instruction is not None
    ]
    rest = code[len(code) // SLOT_BYTES * SLOT_BYTES :]
    if rest:
        text = ".byte " + ", ".join(f"{byte:#04x}" for byte in rest)
        lines.append(Line(len(program), text, None, comment=f"{len(rest)} bytes fill no slot"))
    return lines


def _lenient_program(code: bytes) -> Program:
    """As `decode_program`, but a wide instruction without a proper second slot stands alone."""
    program: list[Instruction | None] = []
    slots = len(code) // SLOT_BYTES
    while len(program) < slots:
        start = len(program) * SLOT_BYTES
        size = 2 if code[start] == WIDE_OPCODE else 1
        try:
            program += decode_program(code[start : min(start + size * SLOT_BYTES, slots * SLOT_BYTES)])
        except InputError:
            (half,) = decode_program(b"\0" + code[start + 1 : start + SLOT_BYTES])
            program.append(half and replace(half, opcode=WIDE_OPCODE))
    return tuple(program)


# --- labels ---

_LABEL = re.compile(NAME, re.ASCII)


def _labels(program: Program, names: Names) -> Mapping[int, str]:
    """A label for every slot that something in the program leads to; at its end, one may stand too."""
    slots = sorted(set(_targets(program)))
    taken = {f"L{slot}" for slot in slots}
    labels: dict[int, str] = {}
    for slot in slots:
        name = names.function(slot)
        if name is None or not is_label(name) or name in taken:
            name = f"L{slot}"
        taken.add(name)
        labels[slot] = name
    return labels


def is_label(name: str) -> bool:
    """Whether the assembler takes `name` as a label."""
    return bool(_LABEL.fullmatch(name)) and not REGISTER.fullmatch(name) and name != "pc"


def _targets(program: Program) -> Iterator[int]:
    for pc, instruction in enumerate(program):
        row = None if instruction is None else _row(instruction)
        if instruction is not None and row is not None and _has_target(row):
            target = pc + 1 + jump_offset(row, instruction)
            if 0 <= target < len(program) and program[target] is not None:
                yield target


def _has_target(row: Row) -> bool:
    return row.jumps or row.form is Form.CALL_LOCAL or row.immediate is Immediate.CODE


# --- lines ---


def _line(pc: int, instruction: Instruction, syntax: Syntax, names: Names, labels: Mapping[int, str]) -> Line:
    label = labels.get(pc)
    try:
        row = _row_or_error(instruction)
    except InputError as error:
        return Line(pc, _words(instruction), instruction, label, error.reason)
    texts = {name: SLOTS[name].show(SLOTS[name].get(row, instruction), syntax) for name in _placeholders(row, syntax)}
    if _has_target(row):
        target = labels.get(pc + 1 + jump_offset(row, instruction))
        texts |= {"jump": target, "call": target} if target else {}
    function = _function_name(row, instruction, names)
    if function is not None:
        texts |= dict.fromkeys(("helper", "kfunc"), f"{function}#{instruction.imm & 0xFFFF_FFFF}")
    return Line(pc, template(row, syntax).format_map(texts), instruction, label, _comment(row, instruction, names))


@cache
def _placeholders(row: Row, syntax: Syntax) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, name, _, _ in Formatter().parse(template(row, syntax)) if name))


RANGES = {"opcode": (0, 0xFF), "dst_reg": (0, MAX_REGISTER), "src_reg": (0, MAX_REGISTER),
          "offset": (-(1 << 15), (1 << 15) - 1), "imm": (-(1 << 31), (1 << 31) - 1)}  # fmt: skip


def _row(instruction: Instruction) -> Row | None:
    """The row under which an instruction can be printed, if any."""
    try:
        return _row_or_error(instruction)
    except InputError:
        return None


def _row_or_error(instruction: Instruction) -> Row:
    row = lookup(instruction)
    for field, (low, high) in RANGES.items():
        value = getattr(instruction, field)
        if field not in row.fixed and not low <= value <= high:
            raise InputError(f"{row.name}: {field} is {value}, from {low} to {high} are possible")
    if row.wide != (instruction.next_imm is not None):
        raise InputError(f"{row.name}: takes {'two slots' if row.wide else 'one slot'}")
    return row


def _words(instruction: Instruction) -> str:
    """The slots of any instruction as little-endian words."""
    fields = (
        (instruction.opcode, 8), (instruction.dst_reg, 4), (instruction.src_reg, 4), (instruction.offset, 16),
        (instruction.imm, 32),
    )  # fmt: skip
    word, shift = 0, 0
    for value, bits in fields:
        word |= (value & (1 << bits) - 1) << shift
        shift += bits
    words = [word] if instruction.next_imm is None else [word, (instruction.next_imm & 0xFFFF_FFFF) << 32]
    return ".8byte " + ", ".join(f"{word:#018x}" for word in words)


# --- names ---

_FUNCTION = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def _function_name(row: Row, instruction: Instruction, names: Names) -> str | None:
    if row.form not in (Form.CALL_HELPER, Form.CALL_BTF):
        return None
    find = names.helper if row.form is Form.CALL_HELPER else names.kfunc
    name = find(instruction.imm & 0xFFFF_FFFF)
    return name if name and _FUNCTION.fullmatch(name) and not REGISTER.fullmatch(name) else None


def _comment(row: Row, instruction: Instruction, names: Names) -> str | None:
    if row.immediate in (Immediate.MAP_BY_FD, Immediate.MAP_VALUE_BY_FD):
        name = names.map(instruction.imm)
    elif row.immediate in (Immediate.MAP_BY_INDEX, Immediate.MAP_VALUE_BY_INDEX):
        name = names.map_index(instruction.imm)
    else:
        return None
    return name and " ".join(name.split())  # on one line
