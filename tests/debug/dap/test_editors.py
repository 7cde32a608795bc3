"""What the documents tell editors agrees with what the server takes."""

from __future__ import annotations

import json
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NotRequired, get_args, get_origin, get_type_hints

import pytest

from pybpftime.debug.dap.protocol import LaunchArguments
from pybpftime.debug.dap.shapes import convert

HANDLED_BY_VSCODE = {"noDebug"}  # "Run without debugging"
JSON_TYPES = {str: "string", bool: "boolean", int: "integer", list: "array", dict: "object"}


@pytest.fixture(scope="module")
def debugger(repository: Path) -> Any:
    manifest = json.loads((repository / "docs/editors/vscode/package.json").read_text("utf-8"))
    (found,) = manifest["contributes"]["debuggers"]
    return found


def test_vscode_offers_the_arguments_that_are_taken(debugger: Any) -> None:
    (offered,) = debugger["configurationAttributes"].values()  # of `launch`; the command has nothing to attach to
    hints = get_type_hints(LaunchArguments)
    extras = get_type_hints(LaunchArguments, include_extras=True)
    required = {name for name, hint in extras.items() if not _optional(hint)}
    assert set(offered["properties"]) == set(hints) - HANDLED_BY_VSCODE
    assert set(offered.get("required", [])) == required
    for name, described in offered["properties"].items():
        hint = get_args(hints[name])[0] if get_origin(hints[name]) is NotRequired else hints[name]
        if get_origin(hint) is Literal:
            assert tuple(described["enum"]) == get_args(hint)
        elif get_origin(hint) is UnionType:
            assert described["type"] == [JSON_TYPES[get_origin(one) or one] for one in get_args(hint)], name
        else:
            assert described["type"] == JSON_TYPES[get_origin(hint) or hint], name
        assert described["description"]


def _optional(hint: Any) -> bool:
    return get_origin(hint) is NotRequired


def test_vscode_starts_the_command(debugger: Any) -> None:
    assert [debugger["runtime"], *debugger["runtimeArgs"]] == ["pybpftime", "dap"] and "program" not in debugger


def test_snippets_are_arguments(debugger: Any) -> None:
    bodies = [snippet["body"] for snippet in debugger["configurationSnippets"]] + debugger["initialConfigurations"]
    assert len(bodies) >= 4
    for body in bodies:
        assert body["type"] == debugger["type"] and body["name"]
        taken = convert(body, LaunchArguments, lambda kind, value: value)
        assert set(taken) == set(body) - {"type", "request", "name"} and taken
