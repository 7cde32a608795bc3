"""The machine without an engine: runs begin, frames come and go, code has addresses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pybpftime.errors import Fault, FaultKind, InputError, InternalError, LimitExceeded
from pybpftime.isa import IntAlgebra
from pybpftime.machine import (
    LENIENT,
    LEVELS,
    LINUX,
    STRICT,
    Effects,
    Environment,
    Limits,
    Machine,
    Memory,
    Region,
    RegionKind,
    Strictness,
)
from pybpftime.machine.machine import new_memory
from pybpftime.machine.pointers import NarrowPointerAlgebra, PointerAlgebra, TrackingMemory


@pytest.mark.parametrize("level", LEVELS.values(), ids=list(LEVELS))
def test_a_run_begins_with_its_arguments_and_one_empty_frame(level: Strictness) -> None:
    machine = Machine(strictness=level)
    machine.reset(7, (10, 20))
    unset = 0 if level is LENIENT else None
    stack = machine.frames[0].stack
    assert machine.registers == [unset, 10, 20, *[unset] * 7, stack.base + 512]
    assert len(machine.frames) == 1
    assert (machine.frames[0].entry, machine.frames[0].return_pc) == (7, None)
    assert machine.unset == unset


def test_a_run_begins_with_nothing_of_the_run_before() -> None:
    machine = Machine()
    machine.reset(0, (1, 2, 3, 4, 5))
    machine.push_frame(3, 1)
    stack = machine.frames[1].stack
    machine.effects.printk.append("line")
    machine.effects.redirect = ("lo", 1)
    machine.tail_calls, machine.held_lock, machine.loop_budget = 5, 99, 0
    machine.reset(0, ())
    assert machine.registers[:10] == [None] * 10
    assert machine.effects == Effects()
    assert (machine.tail_calls, machine.held_lock, machine.loop_budget) == (0, None, 8 << 20)
    assert stack.start == stack.end
    assert len(machine.frames) == 1


def test_what_a_run_did_before_stays_with_whoever_keeps_it() -> None:
    machine = Machine()
    before = machine.effects
    before.records["x"] = 1
    machine.reset(0, ())
    assert machine.effects is not before
    assert before.records == {"x": 1}


def test_frames_save_and_restore() -> None:
    machine = Machine()
    machine.reset(0, (1,))
    machine.registers[6:10] = [6, 7, 8, 9]
    r10 = machine.registers[10]
    machine.push_frame(20, 3)
    assert machine.registers[1] == 1
    assert machine.registers[6:10] == [None] * 4
    assert machine.registers[10] != r10
    assert machine.frames[1].saved == (6, 7, 8, 9, r10)
    machine.registers[0] = 5
    assert machine.pop_frame() == 3
    assert machine.registers == [5, None, None, None, None, None, 6, 7, 8, 9, r10]
    assert machine.pop_frame() is None
    assert machine.frames == []


def test_the_depth_is_limited() -> None:
    machine = Machine(limits=Limits(max_depth=3))
    machine.reset(0, ())
    machine.push_frame(0, 0)
    machine.push_frame(0, 0)
    with pytest.raises(LimitExceeded, match=r"limited to 3 frames$") as caught:
        machine.push_frame(0, 0)
    assert (caught.value.limit, caught.value.amount) == ("depth", 3)
    assert len(machine.frames) == 3


def test_the_limits_are_those_of_linux_unless_given() -> None:
    assert Machine().limits == Limits(max_depth=8, frame_size=512, tail_calls=33, loops=8 << 20)
    limits = Limits(max_depth=20, loops=3)
    machine = Machine(limits=limits)
    assert machine.limits == limits
    for _ in range(2):
        machine.reset(0, ())
        assert machine.loop_budget == 3
        machine.loop_budget = 0
    for _ in range(19):
        machine.push_frame(0, 0)
    assert len({frame.stack.base for frame in machine.frames}) == 20
    with pytest.raises(LimitExceeded):
        machine.push_frame(0, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_depth", 0), ("max_depth", -1), ("max_depth", "8"), ("max_depth", True),
     pytest.param("max_depth", 10**5000, id="huge"),
     ("frame_size", 0), ("frame_size", 12), ("frame_size", 1 << 21), ("tail_calls", -1), ("tail_calls", None),
     ("loops", 1.5)],
)  # fmt: skip
def test_limits_that_make_no_sense_are_refused(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"the limit {field} is a"):
        Limits(**{field: value})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="more than 256 MiB of stack"):
        Limits(max_depth=1 << 20, frame_size=1 << 20)


def test_arguments_are_five_at_most() -> None:
    with pytest.raises(InternalError, match="6 arguments do not fit into r1 to r5"):
        Machine().reset(0, range(6))


def test_what_a_machine_is_made_of() -> None:
    memory, environment = Memory(), Environment(pid=5)
    machine = Machine(memory, STRICT, environment, limits=Limits(frame_size=64))
    assert machine.memory is memory
    assert machine.environment is environment
    assert machine.strictness is STRICT
    machine.reset(0, ())
    assert len(machine.frames[0].stack.data) == 64
    assert Machine().strictness is LINUX
    assert Machine().environment.pid == 1


def test_memory_and_algebra_follow_the_level() -> None:
    for level in (LENIENT, LINUX):
        machine = Machine(strictness=level)
        assert type(machine.memory) is Memory
        assert {type(machine.algebra(width)) for width in (32, 64)} == {IntAlgebra}
        assert [machine.algebra(width).width for width in (32, 64)] == [32, 64]
    machine = Machine(strictness=STRICT)
    assert isinstance(machine.memory, TrackingMemory)
    assert isinstance(machine.algebra(64), PointerAlgebra)
    assert isinstance(machine.algebra(32), NarrowPointerAlgebra)
    region = Region(RegionKind.MEMORY, "memory", bytearray(16))
    for level, faults in ((LENIENT, False), (LINUX, True), (STRICT, True)):
        space = new_memory(level)
        space.map(region)
        if faults:
            with pytest.raises(Fault, match="not aligned to 4"):
                space.load_acquire(region.base + 2, 4)
        else:
            assert space.load_acquire(region.base + 2, 4) == 0


# -- code -----------------------------------------------------------------------------------------------------------


def test_programs_lie_one_behind_the_other() -> None:
    machine = Machine()
    first = machine.add_code("first", 4, "first")
    second = machine.add_code("second", 2, "second")
    assert [(code.start, code.end) for code in machine.code] == [(0, 4), (4, 6)]
    assert machine.locate(0) == (first, 0)
    assert machine.locate(3) == (first, 3)
    assert machine.locate(4) == (second, 0)
    assert machine.locate(5) == (second, 1)


def test_every_slot_has_an_address_that_leads_back() -> None:
    machine = Machine()
    machine.add_code("first", 4, "first")
    machine.add_code("second", 2, "second")
    addresses = [machine.code_address(pc) for pc in range(6)]
    assert [machine.code_pc(address) for address in addresses] == list(range(6))
    assert len(set(addresses)) == 6
    assert machine.memory.describe(addresses[5]) == "code of second+8"
    assert all(machine.is_pointer(address) for address in addresses)


@pytest.mark.parametrize("distance", [-8, 1, 4, 32, 1 << 32])
def test_other_addresses_are_no_code(distance: int) -> None:
    machine = Machine()
    machine.add_code("program", 4, "main")
    with pytest.raises(Fault) as caught:
        machine.code_pc(machine.code_address(0) + distance)
    assert caught.value.kind is FaultKind.CALL


def test_regions_that_are_no_code_of_this_machine_hold_no_functions() -> None:
    machine = Machine()
    other = Machine(machine.memory)
    machine.add_code("program", 4, "main")
    other.add_code("program", 4, "main")
    with pytest.raises(Fault, match="code of main is code of a program that does not run here"):
        machine.code_pc(other.code_address(0))
    lookalike = Region(RegionKind.CODE, "code", bytearray(), owner=SimpleNamespace(start=0, end=4))
    machine.memory.map(lookalike)
    with pytest.raises(Fault, match="not the address of a function"):
        machine.code_pc(lookalike.base)
    with pytest.raises(Fault, match="0x0 is not the address of a function"):
        Machine().code_pc(0)


def test_code_is_neither_read_nor_written() -> None:
    machine = Machine()
    machine.add_code("program", 4, "main")
    address = machine.code_address(1)
    for access in (lambda: machine.memory.load(address, 8), lambda: machine.memory.write(address, b"x")):
        with pytest.raises(Fault, match=r"code of main\+8: no byte of it may be accessed"):
            access()


def test_numbers_are_no_pointers() -> None:
    machine = Machine()
    for number in (0, 1, 0xFFFF_FFFF, (1 << 64) - 1, 0x7FFF_FFFF_FFFF):
        assert not machine.is_pointer(number)
    machine.reset(0, ())
    pointer = machine.registers[10]
    assert pointer is not None
    assert machine.is_pointer(pointer)
    assert machine.is_pointer(pointer - 4096)
