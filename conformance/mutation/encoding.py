"""Bugs in reading: what a runtime has to refuse (RFC 9669 sections 3 to 5) is taken for something else.

Each reads the bytes of a program as other bytes: a field that is not looked at is one that has the right value.  Only
what has to be refused is read otherwise, so programs that mean something are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from pybpftime.conformance.mutation.mutant import Decoded, Kind, Seed
from pybpftime.isa import BY_NAME, TABLE, Form, Immediate, Instruction, Row, registers
from pybpftime.isa.encoding import MAX_REGISTER, SLOT_BYTES, WIDE_OPCODE, Class
from pybpftime.isa.row import jump_field, jump_offset
from pybpftime.isa.table import BY_OPCODE

NO_OPERATION = Instruction(BY_NAME["ja"].opcode)
EXIT = Instruction(BY_NAME["exit"].opcode)
CLASS = 0x07
"""The bits of an opcode that are its class."""
FIRST_OF_CLASS = {row.opcode & CLASS: row for row in reversed(TABLE)}
SECOND_SLOT = {"opcode": slice(0, 1), "registers": slice(1, 2), "offset": slice(2, 4)}

Edit = Callable[[Sequence[Instruction | None], int], Instruction]
"""What the instruction at a slot is taken for."""


def seeds(row: Row) -> Iterator[Seed]:
    """The bugs of reading one row's instructions."""
    for field, value in row.fixed.items():
        sentence = f"{field} is not checked to be {value:#x}"
        yield Kind.DECODING, f"unchecked-{field}", sentence, _reading(partial(_unchecked, row, field))
    for field in ("dst_reg", "src_reg"):
        if field not in row.fixed:
            sentence = f"{field} is not checked to be at most {MAX_REGISTER}"
            yield Kind.DECODING, f"large-{field}", sentence, _reading(partial(_large, row, field))
    if row.writes and set(row.writes) & {"dst", "src"}:
        yield Kind.DECODING, "writes-r10", "writing to r10 is no error, and does nothing", _reading(partial(_r10, row))
    if row.jumps or row.form is Form.CALL_LOCAL or row.immediate is Immediate.CODE:
        outside = _reading(partial(_outside, row))
        yield Kind.DECODING, "outside", "a target outside the program is its last instruction", outside
        inside = _reading(partial(_into_wide, row))
        yield Kind.DECODING, "into-wide", "a target inside a wide instruction is that instruction", inside
    if FIRST_OF_CLASS[row.opcode & CLASS] is row:
        sentence = f"opcodes of class {Class(row.opcode & CLASS).name} that mean nothing do nothing"
        unknown = replace(_reading(partial(_unknown, row.opcode & CLASS)), anywhere=True)
        yield Kind.DECODING, "unknown-opcodes", sentence, unknown
    if row is BY_NAME["lddw"]:
        yield from _of_second_slots()
    if row is BY_NAME["exit"]:
        yield (
            Kind.DECODING,
            "empty-program",
            "a program of no instruction ends at once",
            Decoded(_never_empty, anywhere=True),
        )
        sentence = "bytes at the end that fill no slot are not looked at"
        yield Kind.DECODING, "odd-length", sentence, Decoded(_whole_slots, anywhere=True)


def is_known(instruction: Instruction) -> bool:
    """Whether some row matches."""
    return any(row.matches(instruction) for row in BY_OPCODE.get(instruction.opcode, ()))


def _reading(edit: Edit) -> Decoded:
    """A reading that takes one instruction for another."""

    def read(code: bytes) -> bytes:
        program = _cut(code)
        pieces = [code[at : at + SLOT_BYTES] for at in range(0, len(code), SLOT_BYTES)]
        for slot, instruction in enumerate(program):
            if instruction is not None and (other := edit(program, slot)) != instruction:
                encoded = other.encode() + NO_OPERATION.encode() * (instruction.slots - other.slots)
                pieces[slot : slot + instruction.slots] = [encoded[:SLOT_BYTES], encoded[SLOT_BYTES:]][
                    : instruction.slots
                ]
        return b"".join(pieces)

    return Decoded(read)


def _cut(code: bytes) -> list[Instruction | None]:
    """The instructions of bytes that need not be a program: what is cut off or no second slot stays what it is."""
    program: list[Instruction | None] = []
    at, end = 0, len(code) // SLOT_BYTES * SLOT_BYTES
    while at < end:
        opcode, numbers = code[at], code[at + 1]
        offset = int.from_bytes(code[at + 2 : at + 4], "little", signed=True)
        imm = int.from_bytes(code[at + 4 : at + 8], "little", signed=True)
        at += SLOT_BYTES
        next_imm = None
        if opcode == WIDE_OPCODE and at < end and not any(code[at : at + 4]):
            next_imm = int.from_bytes(code[at + 4 : at + 8], "little", signed=True)
            at += SLOT_BYTES
        program.append(Instruction(opcode, numbers & 0xF, numbers >> 4, offset, imm, next_imm))
        program += [None] if next_imm is not None else []
    return program


def _at(program: Sequence[Instruction | None], slot: int) -> Instruction:
    instruction = program[slot]
    assert instruction is not None
    return instruction


def _unchecked(row: Row, field: str, program: Sequence[Instruction | None], slot: int) -> Instruction:
    instruction = _at(program, slot)
    if instruction.opcode != row.opcode or is_known(instruction):
        return instruction
    if field == "next_imm" and instruction.next_imm is None:
        return instruction
    other = replace(instruction, **{field: row.fixed[field]})
    return other if row.matches(other) else instruction


def _large(row: Row, field: str, program: Sequence[Instruction | None], slot: int) -> Instruction:
    instruction = _at(program, slot)
    number = getattr(instruction, field)
    if not _is(row, instruction) or number <= MAX_REGISTER:
        return instruction
    return replace(instruction, **{field: number & 7})


def _r10(row: Row, program: Sequence[Instruction | None], slot: int) -> Instruction:
    instruction = _at(program, slot)
    if not _is(row, instruction) or MAX_REGISTER not in registers(row.writes, instruction):
        return instruction
    return NO_OPERATION


def _outside(row: Row, program: Sequence[Instruction | None], slot: int) -> Instruction:
    instruction = _at(program, slot)
    if not _is(row, instruction) or 0 <= slot + 1 + jump_offset(row, instruction) < len(program):
        return instruction
    return replace(instruction, **{jump_field(row): len(program) - 1 - (slot + 1)})


def _into_wide(row: Row, program: Sequence[Instruction | None], slot: int) -> Instruction:
    instruction = _at(program, slot)
    if not _is(row, instruction):
        return instruction
    target = slot + 1 + jump_offset(row, instruction)
    if not 0 <= target < len(program) or program[target] is not None:
        return instruction
    return replace(instruction, **{jump_field(row): target - 1 - (slot + 1)})


def _unknown(klass: int, program: Sequence[Instruction | None], slot: int) -> Instruction:
    instruction = _at(program, slot)
    unknown = instruction.opcode & CLASS == klass and instruction.opcode not in BY_OPCODE
    return NO_OPERATION if unknown else instruction


def _is(row: Row, instruction: Instruction) -> bool:
    return instruction.opcode == row.opcode and row.matches(instruction)


# --- what is no field of an instruction -------------------------------------------------------------------------------


def _of_second_slots() -> Iterator[Seed]:
    for name, part in SECOND_SLOT.items():
        sentence = f"{name} of the second slot {'are' if name.endswith('s') else 'is'} not checked to be 0"
        yield Kind.DECODING, f"second-{name}", sentence, Decoded(partial(_clean_second_slots, part))
    yield Kind.DECODING, "cut-off", "a second slot that is missing is 0", Decoded(_completed)


def _clean_second_slots(part: slice, code: bytes) -> bytes:
    cleaned = bytearray(code)
    for at in _wide_starts(code):
        if at + 2 * SLOT_BYTES > len(code):
            break
        second = bytearray(cleaned[at + SLOT_BYTES : at + 2 * SLOT_BYTES])
        second[part] = bytes(part.stop - part.start)
        cleaned[at + SLOT_BYTES : at + 2 * SLOT_BYTES] = second
    return bytes(cleaned)


def _completed(code: bytes) -> bytes:
    starts = _wide_starts(code)
    return code + bytes(SLOT_BYTES) + EXIT.encode() if starts and starts[-1] + SLOT_BYTES == len(code) else code


def _wide_starts(code: bytes) -> list[int]:
    starts, at = [], 0
    while at + SLOT_BYTES <= len(code):
        is_wide = code[at] == WIDE_OPCODE
        starts += [at] if is_wide else []
        at += 2 * SLOT_BYTES if is_wide else SLOT_BYTES
    return starts


def _never_empty(code: bytes) -> bytes:
    return code or EXIT.encode()


def _whole_slots(code: bytes) -> bytes:
    return code[: len(code) // SLOT_BYTES * SLOT_BYTES]
