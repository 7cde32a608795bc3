"""Observers: what they see and in which order, and that watching changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from engines.engine_support import Calls, rig
from hypothesis import given, settings
from hypothesis import strategies as st
from support.instructions import valid_programs

from pybpftime.errors import BpfError, Fault, FaultKind, LimitExceeded
from pybpftime.isa import Program
from pybpftime.machine import LEVELS, Machine, Observer
from pybpftime.program.contexts.memory import MemoryContext, SyscallContext

Event = tuple[Any, ...]


class Log(Observer):
    """Writes down every event."""

    def __init__(self, events: list[Event] | None = None, name: str = "") -> None:
        self.events = [] if events is None else events
        self.name = (name,) if name else ()

    def started(self, machine: Machine, pc: int) -> None:
        self.events.append((*self.name, "started", pc, machine.registers[1], len(machine.frames)))

    def before(self, machine: Machine, pc: int) -> None:
        self.events.append((*self.name, "before", pc))

    def after(self, machine: Machine, pc: int, next_pc: int) -> None:
        self.events.append((*self.name, "after", pc, next_pc))

    def helper_called(self, machine: Machine, name: str, arguments: Sequence[int], result: int) -> None:
        self.events.append((*self.name, "helper", name, tuple(arguments), result))

    def finished(self, machine: Machine, error: BpfError | None) -> None:
        self.events.append((*self.name, "finished", None if error is None else type(error).__name__))


def events(text: str, **options: Any) -> list[Event]:
    """All events of a run, which may fail."""
    log = Log()
    bench = rig(text, observers=[log], **options)
    try:
        bench.run(budget=50)
    except BpfError as error:
        assert log.events[-1] == ("finished", type(error).__name__)
    return log.events


def test_the_order_of_events() -> None:
    assert events("r0 = 1 ll\ngoto +0\nexit") == [
        ("started", 0, 0, 1),
        ("before", 0), ("after", 0, 2),
        ("before", 2), ("after", 2, 3),
        ("before", 3),
        ("finished", None),
    ]  # fmt: skip


def test_calls_and_returns_are_steps() -> None:
    assert events("call f\nexit\nf: r0 = 1\nexit")[1:] == [
        ("before", 0), ("after", 0, 2),
        ("before", 2), ("after", 2, 3),
        ("before", 3), ("after", 3, 1),
        ("before", 1),
        ("finished", None),
    ]  # fmt: skip


def test_the_context_is_there_when_a_run_starts() -> None:
    log = Log()
    bench = rig("r0 = 0\nexit", data=b"12345678", observers=[log])
    bench.run()
    _, pc, address, frames = log.events[0]
    assert (pc, frames) == (0, 1)
    assert bench.machine.memory.read(address, 8) == b"12345678"


def test_a_helper_is_seen_with_arguments_and_result() -> None:
    assert events("r1 = 3\nr2 = -1\ncall probe\nexit")[5:8] == [
        ("before", 2),
        ("helper", "probe", (3, (1 << 64) - 1), 2),
        ("after", 2, 3),
    ]


def test_a_callback_follows_the_call_and_the_helper_is_done_when_it_returns() -> None:
    text = "r1 = 7\nr2 = 0\ncall probe\nexit\nf: r0 = r1\nexit"
    log = events(text, on_probe=lambda machine, first, second: Calls(machine.code_address(4), [first]))
    assert log[5:] == [
        ("before", 2), ("after", 2, 4),
        ("before", 4), ("after", 4, 5),
        ("before", 5), ("helper", "probe", (7, 0), 7), ("after", 5, 3),
        ("before", 3),
        ("finished", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("r0 = 1\nr0 = *(u8 *)(r0 + 0)\nexit", "Fault"),
        ("goto -1", "LimitExceeded"),
        ("call +0\ncall -2\nexit", "LimitExceeded"),
    ],
)
def test_a_run_that_fails_is_finished_with_its_error(text: str, error: str) -> None:
    log = events(text)
    assert log[-1] == ("finished", error)
    assert log[-2][0] in ("before", "after")
    assert [event for event in log if event[0] == "finished"] == [("finished", error)]


def test_the_error_is_located_when_observers_see_it() -> None:
    seen: list[BpfError | None] = []

    class Errors(Observer):
        def finished(self, machine: Machine, error: BpfError | None) -> None:
            seen.append(error)

    with pytest.raises(Fault) as caught:
        rig("r0 = r9\nexit", observers=[Errors()]).run()
    assert seen == [caught.value]
    assert caught.value.pc == 0


def test_observers_are_told_in_their_order() -> None:
    log: list[Event] = []
    rig("r0 = 1\nexit", observers=[Log(log, "a"), Log(log, "b")]).run()
    assert [event[:2] for event in log] == [
        ("a", "started"), ("b", "started"),
        ("a", "before"), ("b", "before"), ("a", "after"), ("b", "after"),
        ("a", "before"), ("b", "before"),
        ("a", "finished"), ("b", "finished"),
    ]  # fmt: skip


def test_an_observer_base_does_nothing() -> None:
    text = "r1 = 1\nr2 = 2\ncall probe\nexit"
    assert rig(text, observers=[Observer()]).run() == rig(text).run()


@pytest.mark.parametrize("event", ["started", "before", "after", "helper_called", "finished"])
def test_an_observer_that_raises_ends_the_run_and_the_machine_runs_again(event: str) -> None:
    class Stop(Exception):
        pass

    def stop(*arguments: object) -> None:
        raise Stop

    observer = Observer()
    setattr(observer, event, stop)
    log = Log()
    bench = rig("r1 = 1\nr2 = 2\ncall probe\nexit", observers=[log, observer])
    with pytest.raises(Stop):
        bench.run()
    assert [one[0] for one in log.events].count("finished") == (0 if event == "started" else 1)
    bench.machine.observers = ()
    assert bench.run().r0 == 3


def test_an_observer_may_stop_a_run_with_a_fault() -> None:
    class Guard(Observer):
        def before(self, machine: Machine, pc: int) -> None:
            if machine.registers[0] == 5:
                raise Fault(FaultKind.TRAP, "r0 is 5")

    with pytest.raises(Fault, match="r0 is 5") as caught:
        rig("r0 = 4\nr0 += 1\nr0 += 1\nexit", observers=[Guard()]).run()
    assert caught.value.pc == 2


def test_an_observer_that_changes_a_register_changes_the_run() -> None:
    class Poke(Observer):
        def before(self, machine: Machine, pc: int) -> None:
            if pc == 1:
                machine.registers[0] = 40

    assert rig("r0 = 1\nr0 += 2\nexit", observers=[Poke()]).run().r0 == 42


# -- watching changes nothing -----------------------------------------------------------------------------------------


def result_of(program: Program, level: str, observers: Sequence[Observer]) -> tuple[object, ...]:
    """Everything that a run of 200 instructions at most leaves behind."""
    context = SyscallContext(bytes(range(64)))
    bench = rig(program, level=LEVELS[level], context=context, observers=observers, targets=[None])
    outcome: object
    try:
        outcome = bench.run(budget=200)
    except BpfError as error:
        outcome = error.as_dict()
    registers = tuple(bench.machine.registers)
    frames = [(frame.entry, frame.return_pc, frame.saved, bytes(frame.stack.data)) for frame in bench.machine.frames]
    return outcome, registers, frames, bytes(context.memory), bench.value


@settings(max_examples=150)
@given(program=valid_programs(), level=st.sampled_from(list(LEVELS)))
def test_the_watched_loop_gives_what_the_bare_one_gives(program: Program, level: str) -> None:
    try:
        bare = result_of(program, level, ())
    except BpfError as error:  # refused when it is compiled
        with pytest.raises(type(error)):
            result_of(program, level, (Log(),))
        return
    assert result_of(program, level, (Log(),)) == bare


def test_nobody_is_told_anything_when_nobody_listens() -> None:
    log = Log()
    bench = rig("r0 = 1\nexit", observers=[log])
    bench.machine.observers = ()
    bench.run()
    assert log.events == []


def test_what_a_limit_says_is_the_same_watched_or_not() -> None:
    for observers in ((), (Log(),)):
        with pytest.raises(LimitExceeded) as caught:
            rig("r0 = 1\ngoto -2", observers=observers, context=MemoryContext(b"")).run(budget=7)
        assert (caught.value.pc, caught.value.amount) == (1, 7)
