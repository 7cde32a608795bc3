"""When does one state cover another?  Marks decide what has to agree."""

from __future__ import annotations

import pytest

from pybpftime.isa.assembler import assemble
from pybpftime.program.spec import ProgramSpec
from pybpftime.uapi import ProgramType
from pybpftime.verifier import domain, inclusion, stack
from pybpftime.verifier.state import Fact, FactKind, Reach, State, new_frame, new_packet
from pybpftime.verifier.subject import Options, Subject
from pybpftime.verifier.values import (
    InputKind,
    Pointer,
    Region,
    RegionKind,
    Scalar,
    Value,
    constant,
    rely,
    rely_exactly,
    unknown,
)

# r0 to r9 are read behind slot 0, so all of them live there.
PROGRAM = assemble("\n".join([*(f"r0 ^= r{number}" for number in range(10)), "exit"]))


@pytest.fixture
def subject() -> Subject:
    return Subject(ProgramSpec("live", PROGRAM, type=ProgramType.BPF_PROG_TYPE_XDP), {}, Options())


def number(low: int = 0, high: int = (1 << 64) - 1) -> Scalar:
    return unknown("input", 0, InputKind.CONTEXT, domain.unsigned(low, high))


def state(values: dict[int, Value], slots: dict[int, Value] | None = None) -> State:
    frame = new_frame(0, 0)
    for register, value in values.items():
        frame = frame.put(register, value)
    kept = stack.EMPTY
    for offset, value in (slots or {}).items():
        kept = stack.store(kept, offset, 8, value)
    return State(0, frame.with_stack(kept))


def covers(subject: Subject, old: State, new: State) -> bool:
    return inclusion.covers(subject, old, (), new) is not None


def test_a_number_that_no_proof_relied_on_may_be_any_number(subject: Subject) -> None:
    assert covers(subject, state({1: constant(5)}), state({1: number()}))


def test_a_precise_number_must_lie_in_its_range(subject: Subject) -> None:
    known = number(0, 10)
    rely(known)
    assert covers(subject, state({1: known}), state({1: number(3, 7)}))
    assert not covers(subject, state({1: known}), state({1: number(3, 11)}))


def test_what_a_precise_number_was_computed_from_is_precise(subject: Subject) -> None:
    first = number(0, 10)
    second = first.refined(domain.unsigned(0, 5), constant(5), 1)
    rely(second)
    assert not covers(subject, state({1: first}), state({1: number()}))


def test_an_exact_number_must_be_the_very_same(subject: Subject) -> None:
    known = number(0, 10)
    rely_exactly([known])
    assert covers(subject, state({1: known}), state({1: known}))
    assert not covers(subject, state({1: known}), state({1: number(0, 10)}))


def test_a_need_must_be_on_the_path(subject: Subject) -> None:
    fact = Fact(None, 0, FactKind.COMPARISON, constant(1))
    other = Fact(None, 0, FactKind.COMPARISON, constant(1))
    old = state({})
    assert inclusion.covers(subject, old, [fact], old._replace(facts=Fact(fact, 1, FactKind.CALL, None)))
    assert not inclusion.covers(subject, old, [fact], old._replace(facts=other))


def test_registers_that_were_one_number_must_be_one_number(subject: Subject) -> None:
    shared = number(0, 10)
    rely(shared)
    one, other = number(0, 10), number(0, 10)
    assert covers(subject, state({1: shared, 2: shared}), state({1: one, 2: one}))
    assert not covers(subject, state({1: shared, 2: shared}), state({1: one, 2: other}))


def test_an_unset_register_covers_nothing_that_lives(subject: Subject) -> None:
    assert not covers(subject, state({1: number()}), state({}))
    assert covers(subject, state({}), state({1: number()}))


def test_a_pointer_is_no_number(subject: Subject) -> None:
    value = Pointer(Region(RegionKind.MAP_VALUE, "value", 8))
    assert not covers(subject, state({1: number()}), state({1: value}))
    assert not covers(subject, state({1: value}), state({1: number()}))


def test_pointers_into_one_region_must_stay_in_one_region(subject: Subject) -> None:
    def region() -> Region:
        return Region(RegionKind.MAP_VALUE, "value", 8)

    one, other, third = region(), region(), region()
    old = state({1: Pointer(one, 0, None, True), 2: Pointer(one, 4, None, True)})
    assert covers(subject, old, state({1: Pointer(other, 0, None, True), 2: Pointer(other, 4, None, True)}))
    assert not covers(subject, old, state({1: Pointer(other, 0, None, True), 2: Pointer(third, 4, None, True)}))


def test_a_pointer_that_was_checked_does_not_cover_one_that_was_not(subject: Subject) -> None:
    one, other = (Region(RegionKind.MAP_VALUE, "value", 8) for _ in range(2))
    checked, unchecked = state({1: Pointer(one)}), state({1: Pointer(other, nullable=True)})
    assert not covers(subject, checked, unchecked)
    assert covers(subject, unchecked, checked)


def test_a_slot_that_nobody_read_does_not_matter(subject: Subject) -> None:
    old = state({}, {-8: Pointer(Region(RegionKind.MAP_VALUE, "value", 8))})
    assert covers(subject, old, state({}))
    stack.load(old.frame.stack, -8, 8, 0)
    assert not covers(subject, old, state({}))


def test_what_the_old_state_relied_on_is_passed_on(subject: Subject) -> None:
    known, mine = number(0, 10), number(2, 3)
    rely(known)
    old, new = state({1: known}), state({1: mine})
    matching = inclusion.covers(subject, old, (), new)
    assert matching is not None
    inclusion.pass_on(matching, old, new)
    assert mine.precise


def test_the_reach_of_a_packet_that_was_relied_on_must_be_there(subject: Subject) -> None:
    packet, lengths = new_packet()
    variable, mine = number(0, 100), number(0, 100)
    reach = Reach(8, variable)
    key = (packet.data, variable)
    old = state({1: Pointer(packet.data, 0, variable)})._replace(packet=packet, lengths=lengths, reaches={key: reach})
    bare = state({1: Pointer(packet.data, 0, mine)})._replace(packet=packet, lengths=lengths)
    less = bare._replace(reaches={(packet.data, mine): Reach(7, mine)})
    enough = bare._replace(reaches={(packet.data, mine): Reach(8, mine)})
    assert covers(subject, old, bare), "nobody relied on it"
    reach.use()
    assert not covers(subject, old, bare)
    assert not covers(subject, old, less)
    assert covers(subject, old, enough)


def test_a_held_reference_must_be_held(subject: Subject) -> None:
    one, other = (Region(RegionKind.RECORD, "record", 8, held=True) for _ in range(2))
    old = state({1: Pointer(one)})._replace(held=(one,))
    assert covers(subject, old, state({1: Pointer(other)})._replace(held=(other,)))
    assert not covers(subject, old, state({1: Pointer(other)}))
    assert not covers(subject, old, state({1: Pointer(one)})._replace(held=(other,)))


def test_widening_includes_what_it_widens(subject: Subject) -> None:
    old = state({1: number(0, 3), 2: constant(1), 3: constant(7)}, {-8: constant(1)})
    new = state({1: number(0, 4), 2: constant(2), 3: constant(7)}, {-8: constant(2)})
    wide = inclusion.widened(old, new)
    for register in (1, 2, 3):
        value, narrow = wide.registers[register], new.registers[register]
        assert isinstance(value, Scalar)
        assert isinstance(narrow, Scalar)
        assert value.range.includes(narrow.range)
    assert wide.registers[3] is new.registers[3], "what did not change stays known"
