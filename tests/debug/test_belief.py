"""Truth beside belief: at every step of a run the machine lies in a state that the verifier published."""

from __future__ import annotations

from pathlib import Path

import pytest
from debug.debug_support import PROGRAMS, TESTS, assembled, invocations, session_of

from pybpftime.debug.belief import Beliefs
from pybpftime.debug.stops import Reason
from pybpftime.debug.timeline import Change
from pybpftime.runtime.load import read_object

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
