"""The real debugger at the other end: objects to debug, and clients that have come to the first stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from debug.dap.client import DapClient, Serving, served

from pybpftime.debug.dap.backend import SessionBackend

TESTS = Path(__file__).resolve().parents[2]
PROGRAMS = TESTS / "programs"
PCAP = str(TESTS / "captures" / "mixed.pcap")
PARSER = {"object": str(PROGRAMS / "xdp_parser.O0.bpf.o"), "pcap": PCAP}
OPTIMISED = {"object": str(PROGRAMS / "xdp_parser.bpf.o"), "pcap": PCAP}
SOURCE = {"path": str(PROGRAMS / "xdp_parser.bpf.c")}
ABILITIES = {
    "supportsVariableType": True,
    "supportsVariablePaging": True,
    "supportsMemoryReferences": True,
    "supportsProgressReporting": True,
    "supportsInvalidatedEvent": True,
    "supportsMemoryEvent": True,
}
IPV4 = ("ffffffffffff 020000000001 0800 4500001c 00010000 40110000 0a000001 0a000002 04d20035 00080000").replace(
    " ", ""
)
"""A UDP datagram, from port 1234 to port 53."""


def object_of(name: str) -> str:
    """The path of an object among the test programs."""
    return str(PROGRAMS / f"{name}.bpf.o")


def assembly(folder: Path, text: str) -> dict[str, Any]:
    """Launch arguments for a program of its own, as text."""
    file = folder / "program.s"
    file.write_text(text, "utf-8")
    return {"object": str(file)}


@contextmanager
def connected(**more: Any) -> Iterator[tuple[DapClient, Serving]]:
    """A client that has introduced itself."""
    with served(SessionBackend()) as (client, serving):
        client.initialize(**ABILITIES, **more)
        yield client, serving
    assert serving.log == []


@contextmanager
def debugging(arguments: dict[str, Any] = PARSER, *lines: int, **more: Any) -> Iterator[DapClient]:
    """A client at the first stop of a program, with breakpoints at lines of the parser."""
    with connected() as (client, _):
        launch(client, {**arguments, **more}, *lines)
        stopped(client)
        yield client


def launch(client: DapClient, arguments: dict[str, Any], *lines: int) -> None:
    """Everything up to `configurationDone`."""
    client.body("launch", arguments)
    client.event("initialized")
    if lines:
        at_lines(client, *lines)
    client.body("configurationDone")


def at_lines(client: DapClient, *lines: int, **options: Any) -> list[dict[str, Any]]:
    """Set breakpoints at lines of the parser."""
    wanted = [{"line": line, **options} for line in lines]
    found: list[dict[str, Any]] = client.body("setBreakpoints", {"source": SOURCE, "breakpoints": wanted})[
        "breakpoints"
    ]
    return found


def stopped(client: DapClient) -> dict[str, Any]:
    """The next stop."""
    body: dict[str, Any] = client.event("stopped")["body"]
    client.thread = body["threadId"]
    return body


def move(client: DapClient, command: str, **more: Any) -> dict[str, Any]:
    """Move, and wait for the stop."""
    client.body(command, {"threadId": client.thread, **more})
    return stopped(client)


def frames(client: DapClient, **more: Any) -> list[dict[str, Any]]:
    """The stack."""
    found: list[dict[str, Any]] = client.body("stackTrace", {"threadId": client.thread, **more})["stackFrames"]
    return found


def at(client: DapClient) -> tuple[str, int]:
    """Function and line where the program stands."""
    top = frames(client)[0]
    return top["name"], top["line"]


def scope(client: DapClient, name: str, frame: int = 0) -> int:
    """The number of a scope's variables."""
    scopes = client.body("scopes", {"frameId": frames(client)[frame]["id"]})["scopes"]
    return next(int(one["variablesReference"]) for one in scopes if one["name"] == name)


def variables(client: DapClient, reference: int, **more: Any) -> dict[str, dict[str, Any]]:
    """Variables by name."""
    found = client.body("variables", {"variablesReference": reference, **more})["variables"]
    return {one["name"]: one for one in found}


def value(client: DapClient, text: str, context: str = "watch") -> str:
    """The value of an expression in the innermost frame."""
    arguments = {"expression": text, "context": context, "frameId": frames(client)[0]["id"]}
    return str(client.body("evaluate", arguments)["result"])


def outputs(client: DapClient) -> str:
    """What was put out so far."""
    return "".join(one["body"]["output"] for one in client.transcript if one.get("event") == "output")
