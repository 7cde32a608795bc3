"""Truth beside belief: at every step of a run the machine lies in a state that the verifier published."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from threading import enumerate as enumerate_threads
from typing import Any

import pytest
from debug.debug_support import PROGRAMS, TESTS, assembled, invocations, session_of

from pybpftime.debug import belief as belief_module
from pybpftime.debug.belief import Beliefs
from pybpftime.debug.stops import Reason
from pybpftime.debug.timeline import Change
from pybpftime.program.spec import ProgramSpec
from pybpftime.runtime.load import read_object
from pybpftime.verifier import Report, Verdict

pytest.importorskip("z3", reason="needs z3-solver")

OPTIMISED = [path for path in PROGRAMS if path.name.count(".") == 2]
MOST_STEPS = 150


@pytest.mark.parametrize("path", OPTIMISED, ids=lambda path: path.name.removesuffix(".bpf.o"))
def test_every_step_lies_in_what_was_published(path: Path) -> None:
    session = session_of(path)
    session.start()
    beliefs = Beliefs(session)
    for _ in range(MOST_STEPS):
        belief = beliefs.here()
        assert not belief.is_outside, (session.world.step, belief.why_not)
        if session.world.ending is None and not belief.why_not:
            assert belief.values["r10"]
        if session.step_instruction().reason is Reason.END:
            break


def test_what_is_believed_of_a_packet() -> None:
    path = TESTS / "programs" / "xdp_parser.bpf.o"
    session = session_of(path, list(invocations(read_object(path), 2)))
    session.start()
    beliefs = Beliefs(session)
    first = beliefs.here()
    assert "context" in first.values["r1"]
    session.step_instruction(4)
    assert beliefs.here().values.keys() >= {"r10"}


def test_without_a_claim_it_is_said_why() -> None:
    session = assembled("r0 = 0\nexit")
    assert Beliefs(session).here().why_not == "no program is running"
    session.start()
    assert "has no program type" in Beliefs(session).here().why_not
    changed = session_of(TESTS / "programs" / "xdp_parser.bpf.o")
    changed.start()
    changed.change(Change.REGISTER, 2, 5)
    belief = Beliefs(changed).here()
    assert (belief.is_outside, belief.why_not) == (
        False, "the state was changed by hand, so it may be one that cannot happen",
    )  # fmt: skip


def test_what_is_true_stands_beside_what_is_believed() -> None:
    session = session_of(TESTS / "programs" / "xdp_parser.bpf.o")
    session.start()
    beliefs = Beliefs(session)
    seen = set()
    for _ in range(MOST_STEPS):
        belief = beliefs.here()
        registers, frame = session.world.machine.registers, session.world.machine.frames[-1]
        for one in belief.lines:
            if one.name.startswith("r"):
                assert one.value == registers[int(one.name[1:])]
            else:
                start = 512 + int(one.name[2:])
                assert isinstance(one.value, int)
                assert frame.stack.data[start] == one.value & 0xFF
            seen.add(one.name[:2])
        if session.step_instruction().reason is Reason.RETURNED:
            break
    assert {"r1", "r0", "fp"} <= seen


def test_a_run_outside_of_what_is_believed_says_where() -> None:
    session = session_of(TESTS / "programs" / "xdp_parser.bpf.o")
    session.start()
    beliefs = Beliefs(session)
    assert str(beliefs.here().lines[0]).startswith("the context (xdp_md) (here 0x")
    session.world.machine.registers[1] = 5  # no change by the user: as if the machine were wrong
    belief = beliefs.here()
    assert belief.is_outside and belief.values == {}
    assert [str(one) for one in belief.lines] == ["OUTSIDE: it is 5, and the verifier expects the context (xdp_md)"]
    assert belief.why_not == "r1 is 5, and the verifier expects the context (xdp_md)"


def test_it_is_known_when_the_verifier_is_done() -> None:
    session = session_of(TESTS / "programs" / "xdp_parser.bpf.o")
    beliefs = Beliefs(session)
    assert beliefs.is_known()  # nothing runs, of which there is nothing to know
    session.start()
    told = Event()
    assert not beliefs.is_known(on_known=told.set)
    assert told.wait(60) and beliefs.is_known() and beliefs.here().lines


def test_a_verification_that_nobody_waits_for_ends() -> None:
    session = session_of(TESTS / "programs" / "xdp_parser.O0.bpf.o")
    session.start()
    beliefs, told = Beliefs(session), Event()
    beliefs.is_known(on_known=told.set)
    beliefs.close()
    assert not any(one.name == "verifier" for one in enumerate_threads())
    assert not told.is_set()


def test_without_the_solver_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(program: ProgramSpec, *arguments: Any, **options: Any) -> Report:
        return Report(program.name, Verdict.NOT_PROVED)

    monkeypatch.setattr(belief_module, "verify", refuse)
    monkeypatch.setattr(belief_module, "solver_is_there", lambda: False)
    session = session_of(TESTS / "programs" / "xdp_parser.bpf.o")
    session.start()
    assert Beliefs(session).here().why_not == (
        "parse is not proved safe, so nothing is claimed of its runs; more is proved with the package z3-solver: "
        "pip install 'pybpftime[verify]'"
    )
