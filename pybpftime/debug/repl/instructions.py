"""Instructions as text, with the names that the program has for what they refer to."""

from __future__ import annotations

from pybpftime.engines.reference.link import called_helper
from pybpftime.helpers import HelperTable
from pybpftime.isa import lookup
from pybpftime.isa.row import Form, Immediate, jump_offset
from pybpftime.program.spec import ProgramSpec
from pybpftime.verifier.wording import instruction_text


def place_text(spec: ProgramSpec, slot: int) -> str:
    """`parse+12`"""
    return f"{spec.name}+{slot}"


def shown_instruction(spec: ProgramSpec, slot: int, helpers: HelperTable) -> str:
    """The instruction at a slot, where it jumps to, and what it calls."""
    if not 0 <= slot < len(spec.instructions):
        return "(end of the program)"
    text = instruction_text(spec, slot)
    target = jump_target(spec, slot)
    if target is None:
        name = _called(spec, slot, helpers)
        return text if name is None or name in text else f"{text}  ; {name}"
    function = next((one.name for one in spec.functions if one.start == target), None)
    return f"{text}  ; {function or place_text(spec, target)}"


def jump_target(spec: ProgramSpec, slot: int) -> int | None:
    """The slot that a jump or local call leads to."""
    instruction = spec.instructions[slot]
    row = None if instruction is None else lookup(instruction)
    if instruction is None or row is None:
        return None
    if not (row.jumps or row.form is Form.CALL_LOCAL or row.immediate is Immediate.CODE):
        return None
    return slot + 1 + jump_offset(row, instruction)


def _called(spec: ProgramSpec, slot: int, helpers: HelperTable) -> str | None:
    """The helper or kfunc that is called."""
    instruction = spec.instructions[slot]
    row = None if instruction is None else lookup(instruction)
    if instruction is None or row is None:
        return None
    number = called_helper(instruction, row, spec.references.get(slot), helpers)
    found = None if number is None else helpers.get(number)
    return None if found is None else found.declaration.name


def slots_from(spec: ProgramSpec, start: int, count: int) -> list[int]:
    """The slots of `count` instructions from `start` on."""
    found = [slot for slot in range(max(start, 0), len(spec.instructions)) if spec.instructions[slot] is not None]
    return found[:count]
