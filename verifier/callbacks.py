"""Functions of the program that helpers call: the states in which they begin, by what the declarations hand to them."""

from __future__ import annotations

from pybpftime.helpers.declarations import CallbackArgument, CallbackKind, HelperDeclaration, Role
from pybpftime.maps.spec import MapSpec
from pybpftime.verifier import arguments, domain, functions, objects
from pybpftime.verifier.obligations import Unsupported
from pybpftime.verifier.results import value_region
from pybpftime.verifier.state import Callback, State, new_frame
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.values import Input, InputKind, Pointer, Region, RegionKind, Scalar, Value, rely

_K = RegionKind
_A = CallbackArgument
MAX_LOOPS = 1 << 23  # BPF_MAX_LOOPS
ARGUMENTS = 5
LOOP = "bpf_loop"


def begun(subject: Subject, state: State, helper: HelperDeclaration) -> list[State]:
    """The states at the start of the callback of the call at `state.pc`: none or one."""
    index = _index_of(helper, Role.FUNCTION)
    if index is None:
        return []
    function, kind = state.registers[index + 1], helper.parameters[index].kind.callback
    assert isinstance(function, Pointer) and function.region.target is not None
    if kind is None:
        raise Unsupported(f"the callback of {helper.name}")
    target = function.region.target
    if kind.later:
        return _begun_later(subject, state, helper, kind, target)
    if len(state.frames) >= functions.MAX_FRAMES:
        raise Unsupported("a callback in the eighth frame")
    if helper.name == LOOP and _most_rounds(state) == 0:
        return []
    callback = Callback(helper.name, state.pc, True, len(state.held), kind.highest_result)
    return [functions.entered(state, target, _values(subject, state, helper, kind), state.pc, callback)]


def _begun_later(
    subject: Subject, state: State, helper: HelperDeclaration, kind: CallbackKind, target: int
) -> list[State]:
    """A callback that runs when nothing of the program does: what it begins with depends on the map alone."""
    map = _map(subject, state, helper)
    if (target, map) in subject.later_callbacks:
        return []
    subject.later_callbacks.add((target, map))
    callback = Callback(helper.name, state.pc, False, 0, kind.highest_result)
    frame = new_frame(target, 0, callback=callback)
    registers = (None, *_values(subject, state, helper, kind), *frame.registers[1 + ARGUMENTS :])
    started = state._replace(pc=target, frame=frame._replace(registers=registers), callers=(), held=(), lock=None)
    return [started]


def _values(subject: Subject, state: State, helper: HelperDeclaration, kind: CallbackKind) -> tuple[Value | None, ...]:
    """What r1 to r5 hold."""
    values = [_value(subject, state, helper, argument) for argument in kind.arguments]
    return (*values, *(None,) * (ARGUMENTS - len(values)))


def _value(subject: Subject, state: State, helper: HelperDeclaration, argument: CallbackArgument) -> Value | None:
    pc = state.pc
    match argument:
        case _A.INDEX:
            most = _most_rounds(state) if helper.name == LOOP else MAX_LOOPS
            return Scalar(domain.unsigned(0, most - 1), Input(InputKind.ARGUMENT, "index of the loop"), pc=pc)
        case _A.MAP:
            map = _map(subject, state, helper)
            return Pointer(Region(_K.MAP, f"map {map.name}", pc=pc, map=map))
        case _A.KEY:
            map = _map(subject, state, helper)
            return Pointer(Region(_K.MAP_KEY, f"key of map {map.name}", map.key_size, pc, map, writable=False))
        case _A.VALUE:
            return Pointer(value_region(_map(subject, state, helper), pc))
        case _A.TASK:
            return _argument(state, helper, Role.OBJECT)
        case _A.CONTEXT:
            return _argument(state, helper, Role.STACK)
        case _A.MAPPING:
            return Pointer(objects.result("vm_area_struct", "mapping that was found", pc))
        case _A.DYNPTR:
            raise Unsupported(f"the callback of {helper.name}")


def _index_of(helper: HelperDeclaration, role: Role) -> int | None:
    return next((index for index, one in enumerate(helper.parameters) if one.kind.role is role), None)


def _argument(state: State, helper: HelperDeclaration, role: Role) -> Value | None:
    index = _index_of(helper, role)
    return None if index is None else state.registers[index + 1]


def _map(subject: Subject, state: State, helper: HelperDeclaration) -> MapSpec:
    """The map argument of the call, or the map that the timer lies in."""
    map = arguments.map_of(subject, state, helper)
    timer = _argument(state, helper, Role.TIMER)
    if map is None and isinstance(timer, Pointer):
        map = timer.region.map
    assert map is not None
    return map


def _most_rounds(state: State) -> int:
    """How often bpf_loop calls back at most: the low half of r1 counts, and above the limit it refuses."""
    count = state.registers[1]
    if not isinstance(count, Scalar):
        return MAX_LOOPS
    rely(count)
    return min(count.range.umax, MAX_LOOPS) if count.range.umax <= 0xFFFF_FFFF else MAX_LOOPS
