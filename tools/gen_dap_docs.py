"""Writes docs/reference/dap.md: each request of the Debug Adapter Protocol, what becomes of it, which tests cover it.

    python -m tools.gen_dap_docs            write the page
    python -m tools.gen_dap_docs --check    change nothing, say whether it is right

What a request does is the docstring of its handler, the launch arguments are those of the editor extension, and tests
say themselves what they cover (`@covers`), which they are held to.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pybpftime.debug.dap.backend import SessionBackend
from pybpftime.debug.dap.backend.breakpoint_requests import FILTERS
from pybpftime.debug.dap.backend.commands import INSTEAD, MOVES
from pybpftime.debug.dap.bodies import EVENTS
from pybpftime.debug.dap.handling import handlers_of
from pybpftime.debug.dap.requests import DAP_VERSION, NOT_ANNOUNCED, REQUESTS, DuringRun, Request
from pybpftime.debug.dap.server import Server
from tools.generated import write_or_check

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "reference" / "dap.md"
TESTS = ROOT / "tests" / "debug" / "dap"
EXTENSION = ROOT / "docs" / "editors" / "vscode" / "package.json"

INTRODUCTION = f"""\
# The Debug Adapter Protocol

This page is written by `tools/gen_dap_docs.py`.  `pybpftime dap` serves version {DAP_VERSION} of the protocol; how to
use it in an editor says [debug in an editor](../how-to/debug-in-an-editor.md).

Everything is one time line, over all packets: what goes back, goes back through earlier packets too.  A change of
something in the past begins a new time line, and the console says so; the old one is kept.

Numbers of frames and of lists of variables hold until the program moves; after that they are refused.  Addresses of
data are those that the program sees.  Instructions have addresses of their own, 8 bytes for each slot, which do not
change from one session to the next.
"""

DURING = {
    DuringRun.WAITS: "waits for the stop",
    DuringRun.SERVED: "is answered",
    DuringRun.ENDS_RUN: "ends the run",
}


def covering() -> dict[str, list[str]]:
    """Command -> the tests that say that they cover it, as `file::test`."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.glob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "covers":
                    for argument in decorator.args:
                        assert isinstance(argument, ast.Constant)
                        found.setdefault(str(argument.value), []).append(f"{path.name}::{node.name}")
    return found


def handlers() -> dict[str, Any]:
    """Command -> its handler, of the server or of the debugger."""
    own = {getattr(method, "dap_command", ""): method for _, method in inspect.getmembers(Server, inspect.isfunction)}
    own.pop("", None)
    return own | handlers_of(SessionBackend())


def sentence(handler: Any) -> str:
    """What it does: the first paragraph of its docstring."""
    text = inspect.getdoc(handler)
    assert text, f"{handler} has no docstring"
    return " ".join(text.split("\n\n")[0].split())


def row(request: Request, handler: Any, tests: list[str]) -> str:
    """A line of the table."""
    linked = ", ".join(_link(test) for test in tests)
    return f"| `{request.command}` | {sentence(handler)} | {DURING[request.during_run]} | {linked} |"


def _link(test: str) -> str:
    file, _, name = test.partition("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../../tests/debug/dap/{file})"


def page() -> str:
    """The text of the page."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield INTRODUCTION
    yield "## Requests\n"
    yield "| Request | What it does | During a run it | Tests |\n| --- | --- | --- | --- |"
    known, tests = handlers(), covering()
    served = [one for one in REQUESTS.values() if one.why_not is None]
    for one in served:
        yield row(one, known[one.command], tests.get(one.command, []))
    yield "\nNot served:\n"
    for one in REQUESTS.values():
        if one.why_not is not None:
            yield f"- `{one.command}`: {one.why_not}."
    yield "\n## Launch arguments\n"
    yield "| Argument | Type | Meaning |\n| --- | --- | --- |"
    for name, described in launch_arguments().items():
        kind = described["type"]
        yield f"| `{name}` | {' or '.join(kind) if isinstance(kind, list) else kind} | {described['description']} |"
    yield "\n## Exception filters\n"
    for filter in FILTERS:
        yield f"- `{filter['filter']}`: {filter['label']}.{' On by default.' if filter.get('default') else ''}"
    yield "\n## Console\n"
    yield "An expression of C may assign there.  Besides, the commands of `pybpftime debug` work, which `help` lists;"
    yield f"{_names(MOVES)} can be paused.  These do not work there:\n"
    for name, why in INSTEAD.items():
        yield f"- `{name}`: {why}."
    yield "\n## Events\n"
    yield f"Sent are {_names(EVENTS)}.  The reason of `stopped` is one of the protocol's,"
    yield "or `end`: the last run is over, and one more `continue` ends the session.\n"
    yield "## Capabilities that are not announced\n"
    for name, why in NOT_ANNOUNCED.items():
        yield f"- `{name}`: {why}."


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def launch_arguments() -> dict[str, Any]:
    """What the extension for VS Code says of them."""
    manifest = json.loads(EXTENSION.read_text("utf-8"))
    (debugger,) = manifest["contributes"]["debuggers"]
    properties: dict[str, Any] = debugger["configurationAttributes"]["launch"]["properties"]
    return {name: {**one, "description": re.sub(r"\|", r"\\|", one["description"])} for name, one in properties.items()}


if __name__ == "__main__":
    sys.exit(write_or_check(TARGET, page(), "tools.gen_dap_docs"))
