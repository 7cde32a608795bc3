"""Changing what a helper has answered."""

from __future__ import annotations

from pybpftime.debug.accesses import Recorder
from pybpftime.debug.calls import helper_calls
from pybpftime.debug.expression import MapValue
from pybpftime.debug.repl.interpreter import Interpreter
from pybpftime.debug.repl.show import register_text
from pybpftime.debug.timeline import Change
from pybpftime.debug.world import World
from pybpftime.errors import InputError
from pybpftime.isa.encoding import MASK64


def set_result(repl: Interpreter, text: str) -> None:
    """Give the helper call that the program stands behind, or that is next and is made now, another result.

    What else the call does, it does as always.  InputError where there is no such call, or where it does not return.
    """
    session, world = repl.session, repl.session.world
    found = session.value(text)
    if isinstance(found, MapValue):
        raise InputError(f"{text} is a map and no result")
    number = found.number()
    if not isinstance(number, int):
        raise InputError(f"{text} is of type {found.type_text}, and a result is an integer or a pointer")
    value = number & MASK64
    name = returned(world)
    if name is None:
        name = next_call(world)
        if name is None:
            raise InputError("the program stands neither behind the call of a helper nor before one")
        repl.move(session.plan_instruction(over=True).go_on)
        if returned(world) != name:
            raise InputError(f"{name} has not returned: the program stopped before that")
    before = register_text(world, world.machine.registers[0])
    session.change(Change.REGISTER, 0, value)
    repl.say(f"the result of {name} is {register_text(world, value)} now; it was {before}")


def returned(world: World) -> str | None:
    """The helper whose result r0 is: the last instruction was its call, or the last return to it."""
    step = world.step
    if not world.has_begun or world.ending is not None or step == world.timeline.starts[world.index]:
        return None
    world.paused = False
    try:
        log = Recorder(world).record(step - 1, step)
    finally:
        world.goto(step)
    call = log.calls.get(step - 1)
    if call is None or call.tail_called:
        return None
    before, behind = log.depths[0], log.depths[-1]
    is_over = behind < before if call.returned else behind == before
    return call.call.declaration.name if is_over else None


def next_call(world: World) -> str | None:
    """The helper that the next instruction calls."""
    if not world.has_begun or world.ending is not None:
        return None
    code, slot = world.machine.locate(world.pc)
    calls = helper_calls(code.program.spec, world.object.helpers)
    return next((call.declaration.name for call in calls if call.slot == slot), None)
