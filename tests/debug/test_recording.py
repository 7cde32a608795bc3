"""Recordings: what a session depends on is all there, and runs again to the same states."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from debug.recording_support import OBJECTS, PROGRAMS, checked_elsewhere, open_object, open_text, run_to_end

from pybpftime.debug.answers import AnswerBook
from pybpftime.debug.launch import Launch, open_session
from pybpftime.debug.recording import digest, open_recording, read_recording, save
from pybpftime.debug.recording.digest import combined
from pybpftime.debug.session import Session
from pybpftime.debug.symbols import DebugFile
from pybpftime.debug.timeline import Change, Invocation
from pybpftime.errors import InputError
from pybpftime.helpers import default_helpers, load_helper_module
from pybpftime.isa.text_input import parse_program_text
from pybpftime.machine import Environment, HostEnvironment, Limits
from pybpftime.program.elf import load_object
from pybpftime.program.packets import read_packets
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.runtime import Object

Recorded = dict[str, tuple[str, bool, str]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Every object on the clock and the random numbers of this host, with a fork: its digest, and that elsewhere."""
    folder = tmp_path_factory.mktemp("recordings")
    digests = {}
    for path in OBJECTS:
        session = run_to_end(open_object(path, 3, HostEnvironment(cpu_count=4)))
        session.goto(session.world.step // 2)
        session.change(Change.REGISTER, 5, 0x77)
        run_to_end(session)
        save(session, folder / path.name)
        digests[path.name] = combined(read_recording(folder / path.name).checksums)
    found = checked_elsewhere(folder / name for name in digests)
    return {name: (digests[name], *one) for name, one in zip(digests, found, strict=True)}


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_a_fresh_process_comes_to_the_same_states(path: Path, recorded: Recorded) -> None:
    here, equal, there = recorded[path.name]
    assert equal
    assert there == here


def test_what_a_session_is_made_of_comes_back(tmp_path: Path) -> None:
    packets = tuple(read_packets(str(PROGRAMS.parent / "captures" / "tiny.pcap")))
    content = (PROGRAMS / "xdp_parser.bpf.o").read_bytes()
    launch = Launch(
        load_object(content, name="/somewhere/xdp_parser.bpf.o"), content, packets=packets, ctx={"ingress_ifindex": 3},
        environment=Environment(cpu_count=4, pid=77, comm="caf\u00e9", user_stack=(1, 2)), level="strict",
        limits=Limits(max_depth=4), budget=5000,
    )  # fmt: skip
    session = run_to_end(open_session(launch))
    save(session, tmp_path / "one.bpfrec")
    other = open_recording(tmp_path / "one.bpfrec")
    assert not other.world.has_begun
    assert [one.packet for one in other.world.invocations] == [packet.data for packet in packets]
    assert [one.label for one in other.world.invocations] == ["packet 1", "packet 2", "packet 3"]
    assert [one.ctx for one in other.world.invocations] == [{"ingress_ifindex": 3}] * 3
    assert other.world.budget == 5000
    assert other.object.level == session.object.level
    assert other.object.limits == Limits(max_depth=4)
    environment = other.object.environment
    assert (environment.cpu_count, environment.pid, environment.comm) == (4, 77, "caf\u00e9")
    assert environment.user_stack == (1, 2)
    assert other.object.spec.file == "xdp_parser.bpf.o"
    run_to_end(other)
    assert other.world.timeline.endings == session.world.timeline.endings
    assert str(tmp_path) not in (tmp_path / "one.bpfrec").read_text()
    assert "/somewhere" not in (tmp_path / "one.bpfrec").read_text()


def test_results_do_not_come_from_the_file_but_from_running(tmp_path: Path) -> None:
    session = run_to_end(open_text("r0 = 7\nexit\n"))
    save(session, tmp_path / "one.bpfrec")
    other = open_recording(tmp_path / "one.bpfrec")
    assert other.world.timeline.endings == {}
    run_to_end(other)
    result = other.world.timeline.endings[0].result
    assert result is not None
    assert result.r0 == 7


def test_the_answers_of_the_host_come_back(tmp_path: Path) -> None:
    text = """
        call bpf_ktime_get_ns
        r6 = r0
        call bpf_get_prandom_u32
        r7 = r0
        r1 = r10
        r1 += -8
        r2 = 8
        r3 = 0x1000
        call bpf_probe_read_user
        r0 = *(u64 *)(r10 - 8)
        r0 ^= r6
        r0 ^= r7
        exit
    """
    asked: list[tuple[int, int]] = []

    def user_memory(address: int, length: int) -> bytes | None:
        asked.append((address, length))
        return bytes(range(length)) if len(asked) < 3 else None

    session = run_to_end(open_text(text, 3, environment=HostEnvironment(user_memory=user_memory)))
    wanted = [ending.result for ending in session.world.timeline.endings.values()]
    save(session, tmp_path / "one.bpfrec")
    other = run_to_end(open_recording(tmp_path / "one.bpfrec"))
    assert [ending.result for ending in other.world.timeline.endings.values()] == wanted
    assert len({result.r0 for result in wanted if result is not None}) == 3
    assert asked == [(0x1000, 8)] * 3


def test_edits_and_time_lines_come_back(tmp_path: Path) -> None:
    session = open_object(PROGRAMS / "xdp_parser.O0.bpf.o", 3, Environment())
    run_to_end(session)
    session.goto(20)
    assert session.change(Change.REGISTER, 0, 5)
    run_to_end(session)
    session.goto(400)
    packet = next(region.base + region.start for region in session.object.memory if region.name == "packet")
    assert session.change(Change.MEMORY, packet + 20, b"\x99")
    run_to_end(session)
    session.goto(session.world.timeline.end)
    key = (3).to_bytes(4, "little")
    value = b"\x07" * session.object.maps["protocols"].spec.value_size
    session.change(Change.ELEMENT, ("protocols", key), value)
    ends = [timeline.end for timeline in session.world.timelines]
    save(session, tmp_path / "one.bpfrec")

    other = open_recording(tmp_path / "one.bpfrec")
    assert other.world.timeline.number == session.world.timeline.number
    assert [(one.number, one.forked_at, one.end) for one in other.world.timelines] == [
        (one.number, one.forked_at, one.end) for one in session.world.timelines
    ]
    assert [timeline.edits for timeline in other.world.timelines] == [
        timeline.edits for timeline in session.world.timelines
    ]
    assert digest(other) == digest(session)
    other.world.switch(session.world.timeline.number, ends[-1])
    assert other.object.maps["protocols"].raw.lookup(key) == value
    for timeline in session.world.timelines:
        other.world.switch(timeline.number, timeline.end)
        assert other.world.step == timeline.end
        assert other.world.timeline.endings == timeline.endings


def test_a_change_in_a_replay_forks_though_the_steps_behind_it_were_not_executed_yet(tmp_path: Path) -> None:
    save(run_to_end(open_text("r1 = 1\nr2 = 2\nr0 = r1\nexit\n")), tmp_path / "one.bpfrec")
    other = open_recording(tmp_path / "one.bpfrec")
    other.start()
    other.goto(2)
    assert other.change(Change.REGISTER, 1, 9)
    run_to_end(other)
    changed = other.world.timeline.endings[0].result
    other.world.switch(1, 0)
    run_to_end(other)
    kept = other.world.timeline.endings[0].result
    assert changed is not None
    assert kept is not None
    assert (changed.r0, kept.r0) == (9, 1)


def test_a_session_that_is_not_over_is_recorded_as_far_as_it_went(tmp_path: Path) -> None:
    session = open_text("r0 = 0\nr0 += 1\ngoto -2\n", 2)
    session.start()
    session.goto(1000)
    save(session, tmp_path / "one.bpfrec")
    recording = read_recording(tmp_path / "one.bpfrec")
    assert recording.session.world.timeline.end == 1000
    assert recording.check().is_equal
    assert recording.session.world.step == 0


def test_a_session_that_has_not_begun_can_be_recorded(tmp_path: Path) -> None:
    save(open_text("r0 = 3\nexit\n", 2), tmp_path / "one.bpfrec")
    recording = read_recording(tmp_path / "one.bpfrec")
    assert not recording.check().is_equal
    run_to_end(recording.session)
    assert sorted(recording.session.world.timeline.endings) == [0, 1]


def test_saving_leaves_the_session_where_it_is(tmp_path: Path) -> None:
    session = run_to_end(open_object(PROGRAMS / "globals.bpf.o", 4, Environment()))
    session.goto(17)
    registers, pc = list(session.world.machine.registers), session.world.pc
    save(session, tmp_path / "one.bpfrec")
    assert (session.world.step, session.world.pc) == (17, pc)
    assert session.world.machine.registers == registers


def test_a_replay_that_goes_another_way_is_found(tmp_path: Path) -> None:
    session = run_to_end(open_text("call bpf_get_prandom_u32\nr0 &= 255\nexit\n", 5, environment=HostEnvironment()))
    file = tmp_path / "one.bpfrec"
    save(session, file)
    lines = file.read_text().splitlines()
    [at] = [number for number, line in enumerate(lines) if '"numbers"' in line]
    data = json.loads(lines[at])
    data["values"][3] ^= 1
    lines[at] = json.dumps(data)
    file.write_text("\n".join(lines) + "\n")
    difference = read_recording(file).check().difference
    assert difference is not None
    assert difference.invocation == 3


# --- what cannot be recorded, or not be replayed ----------------------------------------------------------------------


def test_an_object_that_ran_before_is_refused_where_that_shows_in_addresses(tmp_path: Path) -> None:
    content = (PROGRAMS / "multi.bpf.o").read_bytes()
    spec = load_object(content)
    loaded = Object(spec, environment=AnswerBook(Environment()))
    list(loaded)[-1].prepare()
    session = Session(loaded, [Invocation(next(iter(loaded)).name, b"\0" * 60)], debug=DebugFile(content))
    with pytest.raises(InputError, match="ran before the session"):
        save(session, tmp_path / "one.bpfrec")


def test_a_changed_object_file_is_refused(tmp_path: Path) -> None:
    session = open_object(PROGRAMS / "globals.bpf.o", 1, Environment())
    assert session.debug is not None
    session.debug.content = (PROGRAMS / "lru.bpf.o").read_bytes()
    with pytest.raises(InputError, match="has changed"):
        save(session, tmp_path / "one.bpfrec")


HELPER = """
from pybpftime.helpers import helper, implements
from pybpftime.helpers.declarations.kinds import Integer

@helper(0x10007)
def my_number() -> Integer:
    "A number."

@implements(my_number)
def number(machine):
    return 42
"""


def test_helpers_of_ones_own_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HELPER)
    table = default_helpers().extended(load_helper_module(tmp_path / "mine.py"))
    spec = ObjectSpec(None, {"p": ProgramSpec("p", parse_program_text(b"call 0x10007\nexit\n"))}, {}, license="GPL")
    session = run_to_end(open_session(Launch(spec, level="linux", helpers=table)))
    file = tmp_path / "one.bpfrec"
    save(session, file)
    with pytest.raises(InputError, match="needs the helper my_number: give the module"):
        open_recording(file)
    result = run_to_end(open_recording(file, helpers=table)).world.timeline.endings[0].result
    assert result is not None
    assert result.r0 == 42
