"""A program to be edited: instructions whose jumps name the line they lead to.

Lines are numbered from 0, wide instructions count once.  Every edit is one `rebuilt`: it says what becomes of each
line, and every jump leads to where the line that it named begins now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pybpftime.errors import InputError
from pybpftime.isa import BY_NAME, Form, Immediate, Instruction, Program, Row, encode_program, jump_offset, lookup
from pybpftime.isa.row import FIELDS, jump_field

SHORTEST, LONGEST = -(1 << 15), (1 << 15) - 1


@dataclass(frozen=True, slots=True)
class Line:
    """An instruction.  `target` is the line that a jump, call or code address leads to, None for the others."""

    instruction: Instruction
    row: Row
    target: int | None = None


Lines = tuple[Line, ...]


def has_target(row: Row) -> bool:
    """Whether instructions of the row lead somewhere."""
    return row.jumps or row.form is Form.CALL_LOCAL or row.immediate is Immediate.CODE


def line(name: str, target: int | None = None, **fields: int) -> Line:
    """An instruction of the row `name`; fields not given are what the row fixes them to, else 0."""
    row = BY_NAME[name]
    values = dict(row.fixed) | fields
    if row.wide:
        values.setdefault("next_imm", 0)
    return Line(Instruction(row.opcode, **values), row, target)


def listing(program: Program) -> Lines:
    """The lines of a program.  InputError for what has no row, or leads to no instruction."""
    slots = [slot for slot, instruction in enumerate(program) if instruction is not None]
    numbers = {slot: number for number, slot in enumerate(slots)}
    lines = []
    for slot in slots:
        instruction = program[slot]
        assert instruction is not None
        row = lookup(instruction)
        target = None
        if has_target(row):
            target = numbers.get(slot + 1 + jump_offset(row, instruction))
            if target is None:
                raise InputError(f"{row.name} leads to no instruction", instruction=slot)
        lines.append(Line(instruction, row, target))
    return tuple(lines)


def assembled(lines: Lines) -> Program:
    """The program.  InputError when a jump leads to no instruction, or further than its field can say."""
    slots = []
    place = 0
    for one in lines:
        slots.append(place)
        place += one.instruction.slots
    program: list[Instruction | None] = []
    for slot, one in zip(slots, lines, strict=True):
        instruction = one.instruction
        if one.target is not None:
            if one.target >= len(lines):
                raise InputError(f"{one.row.name} leads behind the last instruction", instruction=slot)
            instruction = _aimed(one, slots[one.target] - slot - 1)
        program.append(instruction)
        if one.row.wide:
            program.append(None)
    return tuple(program)


def _aimed(one: Line, distance: int) -> Instruction:
    field = jump_field(one.row)
    if field == "offset" and not SHORTEST <= distance <= LONGEST:
        raise InputError(f"{one.row.name} cannot reach {distance} slots")
    old = one.instruction
    values = {name: getattr(old, name) for name in FIELDS} | {field: distance}
    return Instruction(old.opcode, **values, next_imm=old.next_imm)


def encoded(lines: Lines) -> bytes:
    """The bytes of the program; InputError as `assembled`."""
    return encode_program(assembled(lines))


def rebuilt(lines: Lines, pieces: Sequence[Sequence[Line]]) -> Lines:
    """The program in which line i has become `pieces[i]`: nothing, itself, or others.

    Targets in the pieces are numbers of lines of the old program.
    """
    starts = [0]
    for piece in pieces:
        starts.append(starts[-1] + len(piece))
    return tuple(
        one if one.target is None else replace(one, target=starts[one.target]) for piece in pieces for one in piece
    )


def without(lines: Lines, numbers: Iterable[int]) -> Lines:
    """The program without some of its lines; what led to them leads to what follows."""
    gone = frozenset(numbers)
    return rebuilt(lines, [() if number in gone else (one,) for number, one in enumerate(lines)])


def replaced(lines: Lines, changes: Mapping[int, Sequence[Line]]) -> Lines:
    """The program with other instructions at some lines."""
    return rebuilt(lines, [changes.get(number, (one,)) for number, one in enumerate(lines)])


def with_fields(one: Line, **fields: int) -> Line:
    """The line with other values in some fields of its instruction."""
    return replace(one, instruction=replace(one.instruction, **fields))


def slots_of(lines: Lines) -> list[int]:
    """The slot that each line begins at."""
    places, place = [], 0
    for one in lines:
        places.append(place)
        place += one.instruction.slots
    return places
