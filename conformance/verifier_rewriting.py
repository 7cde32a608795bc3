"""Programs for the verifier, written in another way: instructions put in, replaced, taken out.

Whatever becomes unreachable goes, because Linux takes no program with dead code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pybpftime.conformance.verifier_draft import GeneratedProgram
from pybpftime.conformance.verifier_fragments import HELPERS
from pybpftime.isa import BY_NAME, Form, Immediate, Instruction, Row, jump_offset, lookup, sign_extend
from pybpftime.isa.row import jump_field
from pybpftime.verifier.subject import HELPERS_BY_ID

Slots = Sequence[Instruction | None]
"""Instructions as a program has them: an instruction of two slots is followed by None."""
QUIET = HELPERS["bpf_get_prandom_u32"]
"""A helper that every program may call, which changes nothing and of whose result nothing is known."""
WORD = range(-(1 << 31), 1 << 31)
"""Numbers that an immediate of 32 bits can be."""


@dataclass(slots=True)
class Changes:
    """What is to be done to a program, by slots of the program as it is.

    `before` is put in front of an instruction, where jumps to it lead then; its own jumps stay inside.  `instead` is in
    the place of the instruction, None for nothing; a jump there leads where it would from the old place.
    """

    before: dict[int, Slots] = field(default_factory=dict)
    instead: dict[int, Instruction | None] = field(default_factory=dict)


def rewritten(program: GeneratedProgram, changes: Changes) -> GeneratedProgram:
    """The program after the changes, without what cannot be reached any more."""
    now = {
        slot: changes.instead.get(slot, instruction)
        for slot, instruction in enumerate(program.instructions)
        if instruction is not None
    }
    reached = _reached(program, now)
    places: dict[int, int] = {}  # of what is in front of the instruction
    own: dict[int, int] = {}  # of the instruction itself
    count = 0
    for slot in sorted(reached):
        instruction = now[slot]
        places[slot] = count
        own[slot] = count + len(changes.before.get(slot, ()))
        count = own[slot] + (0 if instruction is None else instruction.slots)
    slots: list[Instruction | None] = []
    for slot in sorted(reached):
        slots += changes.before.get(slot, ())
        instruction = now[slot]
        if instruction is not None:
            slots += [_moved(instruction, slot, own[slot], places), *[None] * (instruction.slots - 1)]
    references = {own[slot]: one for slot, one in program.references.items() if slot in reached}
    functions = tuple(places[slot] for slot in program.functions if slot in reached)
    return replace(program, instructions=tuple(slots), references=references, functions=functions)


def _reached(program: GeneratedProgram, now: Mapping[int, Instruction | None]) -> set[int]:
    reached: set[int] = set()
    pending = [0]
    while pending:
        slot = pending.pop()
        if slot not in reached:
            reached.add(slot)
            old = program.instructions[slot]
            assert old is not None
            pending += _successors(now[slot], slot, slot + old.slots)
    return reached


def _successors(instruction: Instruction | None, slot: int, following: int) -> list[int]:
    """Where control may come from a slot, functions that are called or whose address is taken included."""
    if instruction is None:
        return [following]
    row = lookup(instruction)
    if row.form is Form.EXIT:
        return []
    if not leads(row):
        return [following]
    target = slot + 1 + jump_offset(row, instruction)
    return [target] if row.form is Form.JUMP else [following, target]


def leads(row: Row) -> bool:
    """Whether an instruction has a place in the program in one of its fields."""
    return row.jumps or row.form is Form.CALL_LOCAL or row.immediate is Immediate.CODE


def _moved(instruction: Instruction, old: int, new: int, places: Mapping[int, int]) -> Instruction:
    row = lookup(instruction)
    if not leads(row):
        return instruction
    target = old + 1 + jump_offset(row, instruction)
    return replace(instruction, **{jump_field(row): places[target] - new - 1})


def without_callbacks(program: GeneratedProgram) -> GeneratedProgram:
    """The program with a helper that calls nothing back in the place of each that does."""
    changes = Changes()
    for slot, instruction in enumerate(program.instructions):
        if instruction is not None and lookup(instruction).form is Form.CALL_HELPER:
            helper = HELPERS_BY_ID[instruction.imm]
            if any(one.kind.role == "function" for one in helper.parameters):
                changes.instead[slot] = replace(instruction, imm=QUIET)
    return rewritten(program, changes)


# --- instructions -----------------------------------------------------------------------------------------------------


def make(row: str, **fields: int) -> Instruction:
    """The instruction of a row, by name."""
    return Instruction(BY_NAME[row].opcode, **{**BY_NAME[row].fixed, **fields})


def load(register: int, number: int) -> Slots:
    """Put a number of 64 bits, taken modulo 2**64, into a register."""
    if (signed := sign_extend(number, 64)) in WORD:
        return (make("mov_imm", dst_reg=register, imm=signed),)
    return make("lddw", dst_reg=register, imm=sign_extend(number, 32), next_imm=signed >> 32), None
