"""The live machine: any step can be gone to, and is the same whenever it is."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from debug.debug_support import assembled, every_object, everything, session_of

from pybpftime.debug.answers import AnswerBook
from pybpftime.debug.timeline import Change, Invocation
from pybpftime.debug.world import ENDED
from pybpftime.errors import InputError
from pybpftime.machine import STRICT, HostEnvironment

COUNTER = "r0 = 0\nr1 = {}\nagain: r0 += 2\nr1 -= 1\nif r1 != 0 goto again\nexit"


@every_object
def test_a_step_that_is_gone_to_is_what_it_was(path: Path) -> None:
    """With many checkpoints, and again with the first one only."""
    world = session_of(path).world
    world.timeline.interval = 37
    seen = {}
    while not world.is_over and world.step < 3000:
        world.advance(world.step + 1)
        seen[world.step] = everything(world)
    random = Random(7)
    steps = random.sample(sorted(seen), min(40, len(seen)))
    for step in steps:
        world.goto(step)
        assert everything(world) == seen[step]
    del world.timeline.checkpoints[1:]
    for step in steps[:10]:
        world.goto(step)
        assert everything(world) == seen[step]


@every_object
def test_running_in_one_go_is_running_step_by_step(path: Path) -> None:
    world, other = session_of(path).world, session_of(path).world
    world.advance()
    while not other.is_over and other.step < 3000:
        other.advance(other.step + 1)
    world.goto(other.step)
    assert everything(world) == everything(other)


def test_an_invocation_takes_one_step_more_than_instructions() -> None:
    world = assembled(COUNTER.format(3), runs=2).world
    world.advance()
    assert world.timeline.starts == [0, 13]
    assert [world.timeline.ends_at(index) for index in (0, 1)] == [12, 25]
    assert world.step == world.timeline.end == 25
    assert [ending.result and ending.result.r0 for ending in world.timeline.endings.values()] == [6, 6]


def test_an_instruction_that_faults_counts() -> None:
    world = assembled("r0 = 1\nr0 = *(u8 *)(r0 + 0)\nexit", runs=2).world
    world.advance(to_fault=True)
    assert (world.step, world.pc, world.index) == (2, 1, 0)
    assert world.has_failed
    world.advance()
    assert world.timeline.starts == [0, 3]


def test_the_budget_of_an_invocation_is_its_end() -> None:
    world = assembled("again: goto again", runs=2, budget=1000).world
    world.advance()
    assert [str(ending.error) for ending in world.timeline.endings.values()] == [
        "test: instruction 0: the instruction budget is used up (budget=1000)"
    ] * 2
    assert world.timeline.starts == [0, 1001]


def test_every_step_is_shown_to_who_asks() -> None:
    world = assembled(COUNTER.format(2), runs=2).world
    seen: list[int] = []
    world.advance(until=lambda pc: bool(seen.append(pc)))
    once = [1, 2, 3, 4, 2, 3, 4, 5, ENDED]
    assert seen == [0, *once, 0, *once]


def test_the_step_at_which_the_budget_is_used_up_is_shown_once() -> None:
    world = assembled("again: goto again", budget=5).world
    seen: list[int] = []
    world.advance(until=lambda pc: bool(seen.append(pc)))
    assert seen == [0, 0, 0, 0, 0, ENDED]
    assert world.step == 5


def test_a_pause_stops_at_once_and_only_once() -> None:
    world = assembled("again: goto again").world
    world.advance(5)
    world.paused = True
    world.advance()
    assert (world.step, world.paused) == (5, False)


def test_checkpoints_are_thinned_out_when_they_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pybpftime.debug.timeline.LARGEST_HISTORY", 60_000)
    world = assembled(COUNTER.format(3000)).world
    world.timeline.interval = 16
    world.advance()
    assert world.timeline.interval > 16
    assert len(world.timeline.checkpoints) < 60
    assert world.timeline.checkpoints[0].step == 0
    for step in (8000, 1, 4444):
        world.goto(step)
        assert world.step == step


class TestForks:
    def test_a_change_in_the_past_forks_and_both_remain(self) -> None:
        world = assembled(COUNTER.format(3)).world
        world.advance()
        world.goto(5)
        before = everything(world)
        assert world.change(Change.REGISTER, 1, 10)
        world.advance()
        assert world.timeline.number == 2
        assert world.timeline.parent is world.timelines[0]
        ending = world.ending
        assert ending is not None and ending.result is not None
        assert (ending.result.r0, world.step) == (22, 36)
        world.switch(1, 5)
        assert everything(world) == before
        world.advance()
        assert world.ending is not None and world.ending.result is not None
        assert world.ending.result.r0 == 6

    def test_a_change_at_the_end_of_what_is_known_does_not_fork(self) -> None:
        world = assembled(COUNTER.format(3)).world
        world.advance(5)
        assert not world.change(Change.REGISTER, 0, 100)
        world.advance()
        assert world.ending is not None and world.ending.result is not None
        assert world.ending.result.r0 == 104
        assert len(world.timelines) == 1
        for step in (4, 5, 6):
            world.goto(step)
        assert world.machine.registers[0] == 102

    def test_memory_and_what_it_does_not_reach(self) -> None:
        world = assembled("r0 = *(u8 *)(r1 + 1)\nexit", mem=b"\1\2\3").world
        world.advance(0)
        world.begin_next()
        address = world.machine.registers[1]
        assert address is not None
        world.change(Change.MEMORY, address + 1, b"\x2a")
        world.advance()
        assert world.ending is not None and world.ending.result is not None
        assert world.ending.result.r0 == 42
        with pytest.raises(InputError, match="no 3 bytes that can be set"):
            world.change(Change.MEMORY, address + 1, b"\0\0\0")
        with pytest.raises(InputError, match="there is no memory at 0x10"):
            world.change(Change.MEMORY, 16, b"\0")

    def test_a_map_element_in_the_past(self) -> None:
        path = Path(__file__).parent.parent / "programs" / "malloc.bpf.o"
        world = session_of(path).world
        world.advance()
        name, view = next((name, view) for name, view in world.object.maps.items() if view.raw.spec.contents is None)
        key = bytes(view.raw.key_size)
        world.goto(0)
        empty = everything(world)
        world.change(Change.ELEMENT, (name, key), b"\7".ljust(view.raw.value_size, b"\0"))
        changed = view.raw.lookup(key)
        world.switch(1, 0)
        assert everything(world) == empty
        world.switch(2, 0)
        assert view.raw.lookup(key) == changed


def test_what_was_answered_is_answered_again() -> None:
    """The clock and the random numbers of this machine, in a run that is executed again and again."""
    path = Path(__file__).parent.parent / "programs" / "environment.bpf.o"
    runs = [Invocation("observe", bytes(60)) for _ in range(3)]
    world = session_of(path, runs, environment=HostEnvironment(), level=STRICT).world
    world.timeline.interval = 10
    seen = {}
    while not world.is_over:
        world.advance(world.step + 1)
        seen[world.step] = everything(world)
    for step in sorted(seen, reverse=True):
        world.goto(step)
        assert everything(world) == seen[step]
    book = world.object.environment
    assert isinstance(book, AnswerBook)
    assert len(book.answers.times) > 3
