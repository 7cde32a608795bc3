"""Each request that is served has a handler that fits the table, a test that covers it, and a line in the documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
from debug.dap.covering import covers, note

from pybpftime.debug.dap.backend import SessionBackend
from pybpftime.debug.dap.handling import Run, handlers_of
from pybpftime.debug.dap.requests import REQUESTS
from pybpftime.debug.dap.server import Server
from tools import gen_dap_docs

SERVED = {row.command for row in REQUESTS.values() if row.why_not is None}


def test_every_request_has_one_handler() -> None:
    handled = [getattr(method, "dap_command", None) for method in vars(Server).values()]
    assert {one for one in handled if one} | set(handlers_of(SessionBackend())) == SERVED


@pytest.mark.parametrize("command", sorted(handlers_of(SessionBackend())))
def test_handlers_take_and_give_what_the_table_says(command: str) -> None:
    handler: Callable[..., Any] = handlers_of(SessionBackend())[command]
    hints = get_type_hints(handler)
    assert hints["arguments"] is REQUESTS[command].arguments
    allowed = {REQUESTS[command].body, Run, type(None)}
    given = set(getattr(hints["return"], "__args__", (hints["return"],)))
    assert given <= allowed, given


def test_every_request_is_covered_by_a_test() -> None:
    covered = gen_dap_docs.covering()
    assert set(covered) == SERVED
    assert all(covered.values())


def test_a_test_that_does_not_do_what_it_says_fails() -> None:
    @covers("fly")
    def liar() -> None:
        note({"command": "fly", "message": "unsupported"})

    @covers("fly")
    def honest() -> None:
        note({"command": "fly"})

    with pytest.raises(AssertionError, match="liar says that it covers fly"):
        liar()
    honest()


def test_the_page_is_what_the_generator_writes() -> None:
    assert gen_dap_docs.TARGET.read_text("utf-8") == gen_dap_docs.page(), "run python -m tools.gen_dap_docs"
