"""From a failed obligation to an explanation: the path that matters, and what is known where the program goes wrong.

The path is a backward slice: from the registers that the obligation is about over whatever wrote them, and the
conditional jumps that compared one of the numbers behind them, or an address into the same region.
"""

from __future__ import annotations

import re

from pybpftime.isa import Form, registers
from pybpftime.program.spec import ProgramSpec
from pybpftime.verifier.explanation import Explanation, Known, Step
from pybpftime.verifier.explore import Failure
from pybpftime.verifier.obligations import Between, Claim, Obligation, SizedWithin
from pybpftime.verifier.retrace import retrace
from pybpftime.verifier.slicing import Slice
from pybpftime.verifier.state import FRAME_POINTER, State
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.values import Pointer, RegionKind, Scalar
from pybpftime.verifier.wording import LOST_ADDRESSES, input_name, length_text, place_of, value_text

MOST_STEPS = 12
FIRST_STEPS = 3
"""How many steps are listed; where there are more, these many of the first and the last ones."""


def explain(subject: Subject, start: State, failure: Failure) -> Explanation:
    """The explanation of a failure in an exploration that began with `start`."""
    state, obligation = failure.state, failure.obligation
    spec = subject.spec
    steps = _steps(subject, retrace(subject, start, state), obligation)
    gap = FIRST_STEPS if len(steps) > MOST_STEPS else 0
    left_out = max(len(steps) - MOST_STEPS, 0)
    shown = steps[:gap] + steps[gap + left_out :]
    place = place_of(spec, state.pc)
    carets = carets_in(place.instruction, obligation.register)
    known = _known(subject, state, obligation)
    return Explanation(place, carets, tuple(shown), gap, left_out, known, _fix(state, obligation))


def explain_place(spec: ProgramSpec, pc: int | None, register: int | None = None) -> Explanation:
    """The explanation where no state is known: the place alone."""
    if pc is None or not 0 <= pc < len(spec.instructions):
        return Explanation()
    place = place_of(spec, pc)
    return Explanation(place, carets_in(place.instruction, register))


def carets_in(text: str, register: int | None) -> tuple[int, int]:
    """The columns of the operand that is in `register`: of the address in brackets, if it is that; else of all."""
    code = text.partition("  ;")[0]
    if register is not None:
        for pattern in (rf"(?<=\()r{register} [+-] (0x)?[0-9a-f]+(?=\))", rf"\b[rw]{register}\b"):
            found = re.search(pattern, code)
            if found:
                return found.span()
    return 0, len(code)


def _fix(state: State, obligation: Obligation) -> str:
    """Advice that is better than that of the reason, where it is known why a number is no address any more."""
    value = None if obligation.register is None else state.registers[obligation.register]
    name = input_name(value) if isinstance(value, Scalar) else ""
    return next((advice for start, advice in LOST_ADDRESSES.items() if name.startswith(start)), "")


# --- the path ---------------------------------------------------------------------------------------------------------


def _steps(subject: Subject, path: list[State], obligation: Obligation) -> list[Step]:
    """The steps of `path` that matter to `obligation`, which is about its last state; each instruction once."""
    if not path:
        return []
    slice = Slice(subject, path)
    state = path[-1]
    slice.want(state, *concerned(subject, state, obligation))
    _want_more(slice, state, obligation)
    times: dict[tuple[int, int], int] = {}
    found: dict[tuple[int, int], Step] = {}
    for index, known in slice.steps():
        key = (path[index].pc, len(path[index].callers))
        times[key] = times.get(key, 0) + 1
        if key not in found:  # backwards: the last time counts
            found[key] = Step(place_of(subject.spec, key[0]), known)
    return [Step(step.place, step.known, times[key]) for key, step in reversed(found.items())]


def _want_more(slice: Slice, state: State, obligation: Obligation) -> None:
    """What an obligation depends on besides registers: how control came to be where it should not be."""
    match obligation.code:
        case "infinite-loop":
            slice.want_jumps(lambda before, after: before.pc == state.pc)
        case "unreleased" if state.held:
            region = state.held[0]
            slice.follow(Pointer(region))
            slice.want_jumps(lambda before, after: before.pc == region.pc)
        case "lock-held" | "lock" if state.lock is not None:
            slice.follow(state.lock)
            slice.want_jumps(lambda before, after: before.lock is None and after.lock is not None)
        case "uninitialised-register" | "uninitialised-return":
            slice.want_jumps(lambda before, after: False)
        case _:
            pass


# --- what is known ----------------------------------------------------------------------------------------------------


def concerned(subject: Subject, state: State, obligation: Obligation) -> tuple[int, ...]:
    """The registers that the obligation is about: its own, that of a size beside it, and both that are added."""
    numbers = [] if obligation.register is None else [obligation.register]
    if subject.row(state.pc).form is Form.BINARY:
        numbers += registers(subject.row(state.pc).reads, subject.instruction(state.pc))
    for claim in obligation.claims:
        scalar = _number_of(claim)
        numbers += [
            number
            for number, value in enumerate(state.registers)
            if value is scalar is not None and number not in numbers
        ]
    return tuple(number for number in dict.fromkeys(numbers) if number != FRAME_POINTER)


def _number_of(claim: Claim) -> object:
    if isinstance(claim, SizedWithin):
        return claim.size
    return claim.scalar if isinstance(claim, Between) else None


def _known(subject: Subject, state: State, obligation: Obligation) -> tuple[Known, ...]:
    """The registers that it is about, and the length of a packet that one of them leads to."""
    numbers = concerned(subject, state, obligation)
    values = {number: state.registers[number] for number in sorted(numbers)}
    known = [Known(f"r{number}", value_text(value)) for number, value in values.items() if number != FRAME_POINTER]
    regions = {value.region: None for value in values.values() if isinstance(value, Pointer)}
    for region in regions:
        length = length_text(state, region)
        if length is not None:
            known.append(Known(f"length of the {region.name}", length))
    known += [Known("to be released", one.name) for one in state.held if obligation.code == "unreleased"]
    if state.lock is not None:
        known.append(Known("lock held", value_text(state.lock)))
    known += [
        Known(f"r{FRAME_POINTER}", "the frame pointer, behind the stack's last byte")
        for region in regions
        if region.kind is RegionKind.STACK and obligation.code == "stack-bounds" and not region.depth
    ]
    return tuple(known)
