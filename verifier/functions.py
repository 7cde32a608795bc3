"""Local calls, returns, callbacks and the end of the program.

Static and global functions alike are followed into, with what the caller knows: so a fact about an argument is a
fact in the callee.  (Linux verifies a global function once, by its BTF prototype; following it accepts more and costs
time.)
"""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.program.types.returns import LSM_BOOLEAN_HOOKS
from pybpftime.uapi import ProgramType
from pybpftime.verifier.obligations import Between, Obligation, Unsupported
from pybpftime.verifier.state import CLOBBERED, Callback, Fact, FactKind, Frame, State, mapped, new_frame
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.values import InputKind, Pointer, RegionKind, Scalar, Value, rely, unknown

MAX_FRAMES = 8  # MAX_CALL_FRAMES
BOOLEAN = range(2)


def requires_of_call(subject: Subject, state: State) -> Iterator[Obligation]:
    """A frame that is left, and no lock if the function is one that Linux verifies by itself."""
    if len(state.frames) >= MAX_FRAMES:
        sentence = f"this call would be the {len(state.frames) + 1}th function that is running, Linux has {MAX_FRAMES}"
        yield Obligation("call-depth", sentence)
    if state.lock is not None and subject.is_global(subject.target(state.pc)):
        yield Obligation("lock", "a global function is called while a spin lock is held")


def enter(subject: Subject, state: State) -> State:
    """The state at the first instruction of the function called."""
    arguments = state.registers[1:6]
    return entered(state, subject.target(state.pc), arguments, subject.following(state.pc), None)


def entered(
    state: State, start: int, arguments: tuple[Value | None, ...], return_pc: int, callback: Callback | None
) -> State:
    """The state in a new frame at `start`, with `arguments` in r1, r2, ..."""
    frame = new_frame(start, len(state.frames), return_pc, callback)
    for value in arguments:
        if isinstance(value, Scalar):
            value.copied = True
    registers = (None, *arguments, *frame.registers[1 + len(arguments) :])
    return state._replace(pc=start, frame=frame._replace(registers=registers), callers=state.frames)


def requires_of_exit(subject: Subject, state: State) -> Iterator[Obligation]:
    """What holds when the running function returns."""
    result = state.registers[0]
    if not state.callers and state.lock is not None:
        yield Obligation("lock-held", "the program ends with a spin lock held")
    if state.callers or state.frame.callback is not None:
        yield from _requires_of_return(state, result)
        return
    if state.held:
        one = state.held[0]
        yield Obligation(
            "unreleased", f"the program ends and the {one.name}, from instruction {one.pc}, is not released"
        )
    if result is None and subject.info.returns.of_function:
        raise Unsupported("r0 unset in the place of a function that may return nothing")
    if result is None:
        yield Obligation("uninitialised-return", "the program ends with r0 unset", 0)
        return
    yield from _requires_of_result(subject, result)


def _requires_of_result(subject: Subject, result: Value) -> Iterator[Obligation]:
    allowed = subject.info.returns.allowed_range(subject.spec.attach_type)
    if subject.program_type is ProgramType.BPF_PROG_TYPE_LSM and subject.spec.attach_to in LSM_BOOLEAN_HOOKS:
        allowed = BOOLEAN
    if allowed is None:
        return
    what = f"{allowed.start}" if len(allowed) == 1 else f"{allowed.start} to {allowed.stop - 1}"
    if isinstance(result, Pointer):
        sentence = f"r0 points to the {result.region.name}, and programs of this type return {what}"
        yield Obligation("return-value", sentence, 0)
        return
    rely(result)
    if not (allowed.start <= result.range.smin and result.range.smax < allowed.stop):
        sentence = f"r0 is {result.range}, and programs of this type return {what}"
        claim = Between(result, allowed.start, allowed.stop - 1, signed=True)
        yield Obligation("return-value", sentence, 0, (claim,))


def _requires_of_return(state: State, result: Value | None) -> Iterator[Obligation]:
    frame = state.frame
    if isinstance(result, Pointer) and result.region.kind is RegionKind.STACK:
        yield Obligation("stack-escape", f"the function returns a pointer to the {result.region.name}", 0)
    if frame.callback is None:
        return
    if len(state.held) > frame.callback.held:
        one = state.held[-1]
        sentence = f"a callback returns and the {one.name}, from instruction {one.pc}, is not released"
        yield Obligation("unreleased", sentence)
    highest = frame.callback.highest_result
    what = f"a callback of {frame.callback.helper} returns {'0 to go on or 1 to stop' if highest else '0'}"
    if not isinstance(result, Scalar):
        yield Obligation("callback-return", f"{what}, and r0 holds no number", 0)
        return
    rely(result)
    if not (result.range.smin >= 0 and result.range.smax <= highest):
        sentence = f"{what}, and r0 is {result.range}"
        yield Obligation("callback-return", sentence, 0, (Between(result, 0, highest, signed=True),))


def leave(subject: Subject, state: State) -> list[State]:
    """The states behind the exit of the running function: none when that was the program."""
    if not state.callers:
        return []
    frame = state.frame
    caller = state.callers[-1]
    state = _without_stack(state._replace(frame=caller, callers=state.callers[:-1], pc=frame.return_pc), frame)
    if frame.callback is not None:  # the helper is called again: it may call back once more, or return
        return [state._replace(facts=Fact(state.facts, frame.return_pc, FactKind.ROUND, None))]
    result = frame.registers[0]
    if isinstance(result, Scalar):
        result.copied = True
    caller = state.frame
    return [state.with_frame(caller._replace(registers=(result, *CLOBBERED, *caller.registers[6:])), frame.return_pc)]


def _without_stack(state: State, frame: Frame) -> State:
    """Pointers into the stack of a function that has returned are plain numbers."""

    def change(value: Value) -> Value:
        if isinstance(value, Pointer) and value.region is frame.region:
            return unknown("address of a stack that is gone", state.pc, InputKind.ADDRESS)
        return value

    return mapped(state, change)
