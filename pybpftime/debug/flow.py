"""Where control goes within a function: what the debugger has to know of a program's code before it runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pybpftime.errors import InputError
from pybpftime.isa import Form, Program, jump_offset, lookup
from pybpftime.program.spec import Function


def successors(instructions: Program, slot: int) -> tuple[int, ...]:
    """The slots that may be executed next without leaving the function; a call goes on behind itself.

    Empty for an exit, for a jump through a register, and where no instruction begins.
    """
    instruction = instructions[slot] if 0 <= slot < len(instructions) else None
    if instruction is None:
        return ()
    try:
        row = lookup(instruction)
    except InputError:
        return ()
    following = slot + instruction.slots
    match row.form:
        case Form.EXIT | Form.JUMP_REGISTER:
            return ()
        case Form.JUMP:
            return (following + jump_offset(row, instruction),)
        case Form.JUMP_IF | Form.MAY_JUMP:
            return (following, following + jump_offset(row, instruction))
    return (following,)


def control_flow(instructions: Program) -> tuple[tuple[int, ...], ...]:
    """The successors of every slot."""
    return tuple(successors(instructions, slot) for slot in range(len(instructions)))


def first_reached(flow: Sequence[tuple[int, ...]], function: Function, targets: Collection[int]) -> list[int]:
    """Those of the `targets` that can be executed before any other of them, ascending.

    `flow` is the `control_flow` of the function's program.  Whoever stops at these stops once each time the function
    gets to any target.  Targets that nothing reaches are left out, unless none is reached.
    """
    reached: set[int] = set()
    seen = {function.start}
    pending = [function.start]
    while pending:
        slot = pending.pop()
        if slot in targets:
            reached.add(slot)
            continue
        for following in flow[slot]:
            if function.start <= following < function.end and following not in seen:
                seen.add(following)
                pending.append(following)
    return sorted(reached or targets)
