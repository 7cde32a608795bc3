"""Objects and programs as a user meets them: names, threads, helpers that run programs, what is printed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import pybpftime
from pybpftime import InputError, LimitExceeded, Result, assemble, load
from pybpftime.machine import Machine, Observer
from pybpftime.program.packets import read_packets
from pybpftime.runtime import Object
from pybpftime.testing.bpf import replaced_helpers

TESTS = Path(__file__).resolve().parent.parent
OBJECTS = TESTS / "programs"
FRAMES = [packet.data for packet in read_packets(TESTS / "captures" / "tiny.pcap")]
CLOCK = assemble("call 5\nexit")  # bpf_ktime_get_ns


# --- names ---


@pytest.mark.parametrize("kind", ["map", "program", "global variable"])
def test_a_name_that_is_not_there_says_which_there_are(kind: str) -> None:
    loaded = load(OBJECTS / "globals.bpf.o")
    things: Any = {"map": loaded.maps, "program": loaded.programs, "global variable": loaded.globals}[kind]
    first = min(things)
    with pytest.raises(InputError, match=f"there is no {kind} named {first}x; did you mean {first}"):
        things[f"{first}x"]
    with pytest.raises(InputError, match=f"there is no {kind} named Q{{60}}; there is .*{first}"):
        things["Q" * 10_000]
    for name in ("nope", 5, None, [1]):
        assert name not in things
        with pytest.raises(InputError, match=f"there is no {kind} named"):
            things[name]
    assert things.get("nope") is None
    assert things.get("nope", 3) == 3
    assert things.get(first) is not None
    assert first in things
    assert len(list(things)) == len(things) > 0


def test_the_maps_of_a_program_are_those_of_its_object() -> None:
    loaded = load(OBJECTS / "globals.bpf.o")
    assert loaded["measure"].maps is loaded.maps
    assert "measure" in loaded
    assert "nope" not in loaded
    with pytest.raises(InputError, match=r"globals\.bpf\.o: there is no map named nope"):
        loaded["measure"].maps["nope"]


def test_variables_are_a_mapping() -> None:
    with pytest.raises(InputError, match="variables takes an object of the class Mapping, not list"):
        load(OBJECTS / "globals.bpf.o", variables=["packets"])  # type: ignore[arg-type]


def test_a_huge_number_in_place_of_an_object_is_refused() -> None:
    with pytest.raises(InputError, match="limits takes an object of the class Limits, not int"):
        load(CLOCK, limits=10**5000)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"helpers takes .*, not int"):
        load(CLOCK, helpers=10**5000)  # type: ignore[arg-type]


def test_an_environment_is_checked_when_an_object_takes_it() -> None:
    environment = pybpftime.Environment()
    environment.pid = -1
    with pytest.raises(InputError, match=r"^Environment: pid is a number from 0"):
        load(CLOCK, environment=environment)


# --- threads ---


def test_threads_take_turns() -> None:
    """Without turns, one run unmaps the stack, the packet or the element that the other works on."""
    loaded = load(OBJECTS / "globals.bpf.o")
    program = loaded["measure"]
    alone = [load(OBJECTS / "globals.bpf.o")["measure"].run(frame).r0 for frame in FRAMES]
    rounds, found, ready = 150, [], threading.Barrier(3)

    def work() -> None:
        ready.wait()
        try:
            found.append([program.run(frame).r0 for _ in range(rounds) for frame in FRAMES])
        except Exception as error:
            found.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone * rounds] * 3
    assert loaded.globals["packets"] == 3 * rounds * len(FRAMES)


def test_a_map_is_changed_between_runs_not_within_one() -> None:
    """A helper lets another thread ask for the map in the middle of a run: it has the answer after the run."""
    answers: list[int] = []
    threads: list[threading.Thread] = []

    def meanwhile() -> int:
        thread = threading.Thread(target=lambda: answers.append(loaded.globals["packets"]))
        threads.append(thread)
        thread.start()
        thread.join(0.05)
        assert not answers
        loaded.globals["packets"] = 40  # the thread that runs the program may
        return 0

    loaded = load(OBJECTS / "globals.bpf.o")

    class Once(Observer):
        def started(self, machine: Machine, pc: int) -> None:
            meanwhile()

    loaded["measure"].run(FRAMES[0], observers=[Once()])
    threads[0].join()
    assert answers == [41]


def running(answer: Any) -> Object:
    """A program whose clock is `answer(object)`."""
    loaded = load(CLOCK, helpers=replaced_helpers({"bpf_ktime_get_ns": lambda: answer(loaded)}))
    return loaded


def test_a_helper_cannot_run_a_program_of_the_object_that_runs() -> None:
    loaded = running(lambda loaded: loaded.program.run().r0)
    for _ in range(2):  # the refusal leaves nothing behind
        with pytest.raises(InputError, match="program program cannot run while program does"):
            loaded.program.run()


def test_a_helper_may_run_a_program_of_another_object() -> None:
    other = load(assemble("r0 = 7\nexit"))
    assert running(lambda loaded: other.program.run().r0).program.run().r0 == 7


def test_an_observer_cannot_run_the_program_that_it_watches() -> None:
    class Greedy(Observer):
        def before(self, machine: Machine, pc: int) -> None:
            loaded.program.run()

    loaded = load(assemble("r0 = 1\nexit"))
    with pytest.raises(InputError, match="cannot run while"):
        loaded.program.run(observers=[Greedy()])
    assert loaded.program.run().r0 == 1


# --- what is printed ---


def test_a_result_is_short_and_can_be_a_key() -> None:
    parser = load(OBJECTS / "xdp_parser.bpf.o").program
    first, again = (load(OBJECTS / "xdp_parser.bpf.o").program.run(FRAMES[1] + bytes(5000)) for _ in range(2))
    assert repr(first).startswith(f"<result XDP_PASS: r0=0x2, {first.instructions} instructions, packet of ")
    assert len(repr(first)) < 400
    assert {first: 1}[again] == 1
    assert hash(first) == hash(again)
    assert {first, parser.run(FRAMES[0])} != {first}
    assert "packet" not in repr(load(assemble("r0 = 1\nexit")).program.run())


def test_what_a_result_holds_is_shown() -> None:
    result = Result(verdict=load(assemble("r0 = 5\nexit")).program.run().verdict, r0=5, instructions=2,
                    packet=b"", context={"mark": 3}, printk=("hello",), redirect=("ifindex", 4))  # fmt: skip
    assert repr(result) == (
        "<result 5: r0=0x5, 2 instructions, packet of 0 bytes, context {'mark': 3}, printk ['hello'], "
        "redirect to ifindex 4>"
    )


def test_representations_name_what_there_is() -> None:
    loaded = load(OBJECTS / "globals.bpf.o")
    assert repr(loaded).endswith("globals.bpf.o: measure, describe>")
    assert repr(load(CLOCK)) == "<object: program>"
    assert "packets=0" in repr(loaded.globals)
    assert len(repr(loaded.globals)) < 1000
    assert repr(load(CLOCK).globals) == "<globals: none>"
    assert repr(loaded.programs).startswith("{'measure': <program measure: xdp, ")


def test_a_budget_that_is_used_up_is_named() -> None:
    with pytest.raises(LimitExceeded, match=r"the instruction budget is used up \(budget=100\)") as caught:
        load(assemble("loop: goto loop")).program.run(budget=100)
    assert (caught.value.limit, caught.value.amount) == ("instructions", 100)
