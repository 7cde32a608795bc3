"""Legacy packet access: LD_ABS and LD_IND, which read the packet behind the context in r6, or end the program."""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.verifier import domain
from pybpftime.verifier.obligations import Obligation
from pybpftime.verifier.state import CLOBBERED, State
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.values import Input, InputKind, Pointer, RegionKind, Scalar


def requires(subject: Subject, state: State) -> Iterator[Obligation]:
    """check_ld_abs: r6 is the context, and nothing is held, because the program may end here."""
    if not subject.info.legacy_packet_access:
        name = subject.info.name
        yield Obligation("helper-not-allowed", f"programs of type {name} have no legacy packet access")
    context = state.registers[6]
    if context is None:
        yield Obligation("uninitialised-register", "r6 was never set, and must be the context", 6)
    elif not isinstance(context, Pointer) or context.region.kind is not RegionKind.CONTEXT or context.offset:
        yield Obligation("helper-argument", "r6 must be the context for a legacy packet access", 6)
    if state.held:
        yield Obligation("unreleased", "a legacy packet access may end the program with a reference held")
    if state.lock is not None:
        yield Obligation("lock", "a legacy packet access while a spin lock is held")
    instruction = subject.instruction(state.pc)
    if "src" in subject.row(state.pc).reads and state.registers[instruction.src_reg] is None:
        number = instruction.src_reg
        yield Obligation("uninitialised-register", f"r{number} was never set", number)


def transfer(subject: Subject, state: State) -> list[State]:
    """r0 is what was read; r1 to r5 are gone.  Outside the packet the program ends and returns 0."""
    row = subject.row(state.pc)
    value = Scalar(domain.of_size(row.size), Input(InputKind.PACKET, "legacy packet load", size=row.size), pc=state.pc)
    frame = state.frame._replace(registers=(value, *CLOBBERED, *state.registers[6:]))
    return [state.with_frame(frame, subject.following(state.pc))]
