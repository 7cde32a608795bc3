"""A case's program as a verifier wants it: entered with its memory in r1, and with r0 left where it can be read.

Linux gives a program a context in r1 and hands back 32 bits of what it returns.  So other instructions stand in front
of a case's program:

    entry      r1 = address of the memory, or 0; r2 = its length
    guard      if r2 == length goto body             always; a program without an exit needs the exit below reachable
    exit       r1 = address of the result; *(u64 *)(r1 + 0) = r0; *(u64 *)(r1 + 8) = 1; r0 = 0; exit
    body       the case's slots, in which each exit of the entry function is a jump to the exit above

Functions of the program stay functions with their own exits, so calls may be as deep and frames as large as ever.
Behind the body stands nothing, so falling off its end is what it was.  The body moves as a whole, so no distance in
it changes; a jump or call in front of its first slot goes as far as it can, and leads nowhere still.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from pybpftime.isa import BY_NAME, TABLE, Form, Immediate, Instruction, encode_program
from pybpftime.isa.encoding import SLOT_BYTES
from pybpftime.isa.row import jump_field

WIDE = BY_NAME["lddw"].opcode
CALL = BY_NAME["call_local"].opcode
VALUE, CODE = Immediate.VALUE.value, Immediate.CODE.value
CALL_LOCAL = BY_NAME["call_local"].fixed["src_reg"]
JUMPS = {row.opcode: jump_field(row) for row in TABLE if row.jumps}
PACKET = frozenset(row.opcode for row in TABLE if row.form is Form.PACKET)
EXIT = Instruction(BY_NAME["exit"].opcode)
EXIT_BYTES = EXIT.encode()

RESULT_BYTES = 16

_SLOT = struct.Struct("<BBhi")
_LEAST = {"offset": -(1 << 15), "imm": -(1 << 31)}
_PLACES = re.compile(r"\b(insn|instruction|function at|leads to|(?<=\d )to) (\d+)")


@dataclass(slots=True)
class Outline:
    """What has to be known of a program before it can be wrapped.  All are slots.

    `exits` are those of the entry function; `outside` maps jumps and calls that lead in front of the first slot to the
    field that says so; `maps` are wide instructions that name a map, with src_reg and imm.
    """

    exits: list[int]
    outside: dict[int, str]
    maps: list[tuple[int, int, int]]
    reads_packet: bool


def outline(code: bytes) -> Outline:
    """Read the slots of a program, whatever they mean."""
    exits: list[int] = []
    found = Outline(exits, {}, [], reads_packet=False)
    end = len(code) // SLOT_BYTES  # of the entry function
    skip = False
    for slot, (opcode, registers, offset, imm) in enumerate(_SLOT.iter_unpack(code)):
        if skip:
            skip = False
            continue
        if opcode == EXIT.opcode:
            if code.startswith(EXIT_BYTES, slot * SLOT_BYTES):  # one with other fields is for the verifier to refuse
                exits.append(slot)
        elif opcode in JUMPS:
            field = JUMPS[opcode]
            if slot + 1 + (offset if field == "offset" else imm) < 0:
                found.outside[slot] = field
        elif opcode == WIDE or (opcode == CALL and registers >> 4 == CALL_LOCAL):
            skip = opcode == WIDE
            if not skip or registers >> 4 == CODE:
                target = slot + 1 + imm
                if target < 0:
                    found.outside[slot] = "imm"
                elif target:
                    end = min(end, target)
            elif registers >> 4 != VALUE:
                found.maps.append((slot, registers >> 4, imm))
        elif opcode in PACKET:
            found.reads_packet = True
    found.exits = [slot for slot in exits if slot < end]
    return found


def load_number(register: int, value: int) -> bytes:
    """`register = value`, signed 32 bits."""
    return Instruction(BY_NAME["mov_imm"].opcode, register, imm=value).encode()


def load_address(register: int, immediate: Immediate, imm: int, next_imm: int = 0) -> bytes:
    """The two slots of a wide instruction."""
    return Instruction(WIDE, register, immediate.value, 0, imm, next_imm).encode()


def exit_storing(result: bytes) -> bytes:
    """The exit of a wrapped program; `result` is the instruction that puts the result's address into r1."""
    store = Instruction(BY_NAME["stxdw"].opcode, 1, 0)
    stored = Instruction(BY_NAME["stdw"].opcode, 1, offset=8, imm=1)
    return result + encode_program((store, stored)) + load_number(0, 0) + EXIT_BYTES


def read_result(result: bytes) -> int | None:
    """r0 as the exit stored it, in RESULT_BYTES that were 0; None for a program that has left in another way."""
    return int.from_bytes(result[:8], "little") if result[8] else None


def wrap(code: bytes, found: Outline, entry: bytes, length: int, leave: bytes) -> tuple[bytearray, int]:
    """The wrapped program and its number of slots in front of the body.

    `entry` are the instructions that set r1; `leave` is what `exit_storing` gave.
    """
    guard = Instruction(BY_NAME["jeq_imm"].opcode, 2, 0, len(leave) // SLOT_BYTES, length)
    front = entry + load_number(2, length) + guard.encode()
    exit_slot = len(front) // SLOT_BYTES
    front += leave
    first = len(front) // SLOT_BYTES
    wrapped = bytearray(front + code)
    for slot in found.exits:
        wrapped[(first + slot) * SLOT_BYTES : (first + slot + 1) * SLOT_BYTES] = _jump(exit_slot - (first + slot) - 1)
    for slot, field in found.outside.items():
        place = (first + slot) * SLOT_BYTES + (2 if field == "offset" else 4)
        struct.pack_into("<h" if field == "offset" else "<i", wrapped, place, _LEAST[field])
    return wrapped, first


def _jump(distance: int) -> bytes:
    if distance >= _LEAST["offset"]:
        return Instruction(BY_NAME["ja"].opcode, offset=distance).encode()
    return Instruction(BY_NAME["ja32"].opcode, imm=distance).encode()


def set_immediate(wrapped: bytearray, slot: int, src_reg: int, imm: int) -> None:
    """Make the wide instruction at `slot` one of another kind; dst_reg and the second slot stay."""
    place = slot * SLOT_BYTES
    wrapped[place + 1] = wrapped[place + 1] & 0xF | src_reg << 4
    struct.pack_into("<i", wrapped, place + 4, imm)


def in_slots_of_case(message: str, first: int) -> str:
    """A verifier's sentence, Linux's or ours, with the slots that it names counted from the body's first one."""
    return _PLACES.sub(lambda match: f"{match[1]} {int(match[2]) - first}", message)
