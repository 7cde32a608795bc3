"""The same session is the same wherever it runs, however it came there, and whatever was looked at on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from debug.recording_support import OBJECTS, PACKETS, PROGRAMS, open_object, open_text, run_to_end
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftime.debug.answers import AnswerBook
from pybpftime.debug.recording import digest
from pybpftime.debug.session import Session
from pybpftime.debug.timeline import Change, Invocation
from pybpftime.debug.values import TypedValue
from pybpftime.errors import InputError
from pybpftime.isa.text_input import parse_program_text
from pybpftime.machine import LEVELS, Environment, Limits
from pybpftime.program.elf import load_object
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.runtime import Object


@pytest.mark.parametrize("path", OBJECTS[::3], ids=lambda path: path.name)
def test_two_sessions_on_the_same_inputs_have_one_digest(path: Path) -> None:
    one, other = (run_to_end(open_object(path, 3, Environment(cpu_count=2), level="strict")) for _ in range(2))
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("change", "packet", "cpu"),
    [(b"", PACKETS[1], 1), (b"", PACKETS[0], 2), (b"\x01", PACKETS[0], 1)],
    ids=["packet", "cpu", "map"],
)
def test_other_inputs_have_another_digest(change: bytes, packet: bytes, cpu: int) -> None:
    def run(map_start: bytes, frame: bytes, on: int) -> str:
        loaded = Object(load_object(str(PROGRAMS / "percpu.bpf.o")), environment=AnswerBook(Environment(cpu_count=4)))
        if map_start:
            loaded.maps["totals"].raw.update(bytes(4), [map_start.ljust(24, b"\0")] * 4)
        return digest(run_to_end(Session(loaded, [Invocation("count", frame, fields={"cpu": on})])))

    assert run(b"", PACKETS[0], 1) != run(change, packet, cpu)
    assert run(b"", PACKETS[0], 1) == run(b"", PACKETS[0], 1)


@settings(max_examples=25)
@given(steps=st.lists(st.floats(0, 1), max_size=12), interval=st.sampled_from([7, 50, 1 << 15]))
def test_the_way_to_a_step_does_not_matter(steps: list[float], interval: int) -> None:
    path = PROGRAMS / "lru.bpf.o"
    plain = run_to_end(open_object(path, 6, Environment()))
    session = open_object(path, 6, Environment())
    session.world.timeline.interval = interval
    session.start()
    for part in steps:
        session.goto(int(part * plain.world.step))
    run_to_end(session)
    assert digest(session) == digest(plain)


def test_looking_at_an_element_of_an_lru_map_is_no_use_of_it() -> None:
    session = open_object(PROGRAMS / "lru.bpf.o", 3, Environment())
    recent = session.object.maps["recent"].raw
    for key in range(10):
        recent.update(key.to_bytes(6, "little"), bytes(16))
    session = Session(session.object, session.world.invocations, debug=session.debug)
    session.start()
    before = bytes(recent.slab.data)
    element = session.value("recent[{{0, 0, 0, 0, 0, 0}}]")
    assert isinstance(element, TypedValue)
    assert element.text()
    assert bytes(recent.slab.data) == before


def test_fields_of_one_invocation_do_not_outlive_it() -> None:
    text = "call bpf_get_smp_processor_id\nexit\n"
    session = run_to_end(open_text(text, environment=Environment(cpu_count=4), fields=[{"cpu": 3}, {}, {"cpu": 2}]))
    results = [ending.result for _, ending in sorted(session.world.timeline.endings.items())]
    assert [result.r0 for result in results if result is not None] == [3, 0, 2]
    first = digest(session)
    session.goto(session.world.timeline.starts[1])
    run_to_end(session)
    assert digest(session) == first


def deep(name: str, depth: int) -> ProgramSpec:
    """A program that calls itself `depth` times, writing a little on every stack."""
    text = f"r1 = {depth}\ncall down\nr0 = 0\nexit\n"
    text += "down: *(u64 *)(r10 - 8) = r1\nr6 = r10\nif r1 == 0 goto up\nr1 += -1\ncall down\nup: r0 = 0\nexit\n"
    return ProgramSpec(name, parse_program_text(text.encode()))


def test_frames_beyond_the_usual_depth_have_one_address_in_all_programs() -> None:
    """Stacks are mapped when they are needed, by several programs in one address space."""
    spec = ObjectSpec(None, {name: deep(name, 12) for name in ("one", "two")}, {}, license="GPL")

    def session() -> Session:
        loaded = Object(
            spec, level=LEVELS["strict"], environment=AnswerBook(Environment()), limits=Limits(max_depth=32)
        )
        return Session(loaded, [Invocation(name) for name in ("one", "two", "one", "two")])

    plain = run_to_end(session())
    wanted = digest(plain)
    results = [ending.result for ending in plain.world.timeline.endings.values()]
    assert [result is not None for result in results] == [True] * 4
    other = run_to_end(session())
    other.goto(5)
    other.change(Change.REGISTER, 2, 1)
    run_to_end(other)
    assert {ending.error for ending in other.world.timeline.endings.values()} == {None}
    other.world.switch(1, 3)
    run_to_end(other)
    assert {ending.error for ending in other.world.timeline.endings.values()} == {None}
    assert digest(run_to_end(session())) == wanted


def test_time_beyond_what_was_recorded_goes_on_by_its_tick() -> None:
    book = AnswerBook(None, tick_ns=50)
    book.answers.times.append(7000)
    assert [book.now() for _ in range(3)] == [7000, 7050, 7100]


def test_what_a_map_keeps_beside_its_values_cannot_be_changed() -> None:
    session = open_object(PROGRAMS / "latency.bpf.o", 1, Environment())
    session.start()
    region = session.object.maps["started"].raw.region
    assert region is not None
    for offset in (120, region.start - 8, 4096):
        with pytest.raises(InputError):
            session.change(Change.MEMORY, region.base + offset, b"\x01\x02\x03\x04")
    array = session.object.maps["histogram"].raw.region
    assert array is not None
    session.change(Change.MEMORY, array.base + array.start, b"\x01\x02\x03\x04")
    assert session.object.maps["histogram"].raw.lookup(bytes(4))[:4] == b"\x01\x02\x03\x04"
