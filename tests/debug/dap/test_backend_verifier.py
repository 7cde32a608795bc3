"""The real debugger: what the verifier knows, as a scope that is filled when somebody opens it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from debug.dap.client import DapClient, served
from debug.dap.covering import covers
from debug.dap.real import ABILITIES, OPTIMISED, assembly, debugging, move, scope, stopped, variables
from debug.debug_support import invocations, session_of

from pybpftime.debug import belief
from pybpftime.debug.dap.backend import SessionBackend, proof
from pybpftime.debug.session import Session
from pybpftime.runtime.load import read_object
from pybpftime.verifier import verify

pytest.importorskip("z3", reason="needs z3-solver")


@covers("scopes", "variables", "setVariable")
def test_every_register_with_what_the_verifier_knows() -> None:
    with debugging(OPTIMISED) as client:
        move(client, "next")
        for _ in range(3):
            move(client, "stepIn", granularity="instruction")
        reference = scope(client, "Verifier")
        known, true = variables(client, reference), variables(client, scope(client, "Registers"))
        assert known["r10"]["value"].startswith("fp (here 0x")
        assert known["r10"]["value"].removeprefix("fp (here ").removesuffix(")") in true["r10"]["value"]
        assert known["r1"]["value"].startswith("packet (here 0x")
        assert {one["presentationHint"]["attributes"][0] for one in known.values()} == {"readOnly"}
        change = {"variablesReference": reference, "name": "r10", "value": "0"}
        assert client.error("setVariable", change) == "r10 cannot be changed"
        assert len(variables(client, reference, start=1, count=1)) == 1


def test_where_nothing_is_claimed_it_is_said_why(tmp_path: Path) -> None:
    with debugging(assembly(tmp_path, "r0 = 0\nexit")) as client:
        (said,) = variables(client, scope(client, "Verifier")).values()
        assert "has no program type" in said["value"]


def test_a_value_outside_of_what_is_believed() -> None:
    with joined() as (client, session):
        move(client, "stepIn", granularity="instruction")
        session.world.machine.registers[1] = 5  # no change by the user: as if the machine were wrong
        rows = variables(client, scope(client, "Verifier"))
        assert rows["verifier"]["value"].startswith("this run is outside of what the verifier expects, which is a bug")
        assert rows["r1"]["value"] == "OUTSIDE: it is 5, and the verifier expects the context (xdp_md)"


def test_a_verification_that_takes_long_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow(monkeypatch) as begun, debugging(OPTIMISED) as client:
        asked = client.send("variables", {"variablesReference": scope(client, "Verifier")})
        assert begun.wait(60)
        client.body("cancel", {"requestId": asked})
        assert client.response(asked)["message"] == "cancelled"
        move(client, "next")  # nothing waits for the verifier


def test_a_verification_that_takes_long_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "PATIENCE", 0.1)
    with slow(monkeypatch), debugging(OPTIMISED) as client:
        (said,) = variables(client, scope(client, "Verifier")).values()
        assert said["value"] == "the verifier is still at work: look again later"


@contextmanager
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Within, the verifier gets nowhere; gives the event that it was asked."""
    begun, go_on = threading.Event(), threading.Event()

    def wait(*arguments: Any, **options: Any) -> Any:
        begun.set()
        go_on.wait(60)
        return verify(*arguments, **options)

    monkeypatch.setattr(belief, "verify", wait)
    monkeypatch.setattr(belief, "PATIENCE", 0.0)
    try:
        yield begun
    finally:
        go_on.set()


@contextmanager
def joined() -> Iterator[tuple[DapClient, Session]]:
    """A client that has joined a session on the parser."""
    path = Path(OPTIMISED["object"])
    session = session_of(path, list(invocations(read_object(path), 2)))
    with served(SessionBackend(session)) as (client, _):
        client.initialize(**ABILITIES)
        client.body("attach", {})
        client.event("initialized")
        client.body("configurationDone")
        stopped(client)
        yield client, session
