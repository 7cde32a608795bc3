"""The table of requests is complete, and its capabilities are those of the protocol."""

from __future__ import annotations

import re
from typing import get_type_hints

import pytest
from debug.dap.fake_backend import FakeBackend
from debug.dap.schema import definitions

from pybpftime.debug.dap.handling import handlers_of, request
from pybpftime.debug.dap.protocol import NoArguments
from pybpftime.debug.dap.requests import DAP_VERSION, NOT_ANNOUNCED, REQUESTS, State, capabilities
from pybpftime.debug.dap.server import Server
from tools.install_dap_client import PROTOCOL_TYPES, installed

ANNOUNCED = {name for row in REQUESTS.values() for name in row.capabilities}
FROM_THE_BACKEND = {"exceptionBreakpointFilters", "completionTriggerCharacters"}


@pytest.fixture(scope="module")
def typescript() -> str:
    """The protocol as the published package of its types says it, without comments."""
    folder = installed()
    if folder is None:
        pytest.skip("needs python -m tools.install_dap_client")
    return re.sub(r"/\*.*?\*/", "", (folder / PROTOCOL_TYPES).read_text("utf-8"), flags=re.DOTALL)


def test_every_request_of_the_schema_is_in_the_table() -> None:
    found = set()
    for name, definition in definitions().items():
        if name.endswith("Request") and name != "Request":
            found |= set(definition["allOf"][1]["properties"]["command"]["enum"])
    assert found == set(REQUESTS) - {"locations"}  # which is younger


def test_every_request_of_the_current_version_is_in_the_table(typescript: str) -> None:
    assert set(re.findall(r"// command: '(\w+)'", typescript)) == set(REQUESTS)


def test_every_capability_of_the_current_version_is_decided(typescript: str) -> None:
    block = re.search(r"interface Capabilities \{(.*?)\n\t\}", typescript, re.DOTALL)
    assert block
    known = set(re.findall(r"(\w+)\?:", block[1]))
    assert known == ANNOUNCED | set(NOT_ANNOUNCED) | FROM_THE_BACKEND
    assert not ANNOUNCED & set(NOT_ANNOUNCED)


def test_the_version_of_the_table_is_the_installed_one() -> None:
    folder = installed()
    if folder is None:
        pytest.skip("needs python -m tools.install_dap_client")
    package = (folder / PROTOCOL_TYPES).parent.parent / "package.json"
    assert f'"version": "{DAP_VERSION}.' in package.read_text("utf-8")


def test_what_nobody_handles_is_not_announced() -> None:
    assert capabilities([]) == {}
    assert capabilities(["stepBack"]) == {"supportsStepBack": True}
    assert capabilities(REQUESTS, [{"filter": "f", "label": "F"}], ["."]) == {
        **dict.fromkeys(ANNOUNCED, True),
        "exceptionBreakpointFilters": [{"filter": "f", "label": "F"}],
        "completionTriggerCharacters": ["."],
    }


def test_rows_that_are_not_served_say_why_and_nothing_else() -> None:
    for row in REQUESTS.values():
        assert row.states <= set(State) and row.states
        if row.why_not is not None:
            assert row.why_not and row.arguments is NoArguments and not row.capabilities


@pytest.mark.parametrize("owner", [FakeBackend, Server])
def test_handlers_take_the_arguments_of_the_table(owner: type) -> None:
    checked = 0
    for name in vars(owner):
        command = getattr(vars(owner)[name], "dap_command", None)
        if command is not None:
            assert get_type_hints(vars(owner)[name])["arguments"] is REQUESTS[command].arguments, command
            checked += 1
    assert checked >= 5


@pytest.mark.parametrize("command", ["terminateThreads", "fly"])
def test_only_served_requests_get_handlers(command: str) -> None:
    with pytest.raises(ValueError, match=command):
        request(command)


def test_two_handlers_of_a_request_are_a_mistake() -> None:
    class Twice:
        @request("next")
        def one(self) -> None: ...

        @request("next")
        def other(self) -> None: ...

    with pytest.raises(ValueError, match="two handlers of next"):
        handlers_of(Twice())
