"""The published JSON schema of the protocol, from the package that carries it, as a check of single messages."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

SCHEMA = "_vendored/pydevd/_pydevd_bundle/_debug_adapter/debugProtocol.json"


@cache
def definitions() -> dict[str, Any]:
    """Name -> definition.  The package is only looked at: importing it would start a debugger of Python."""
    spec = find_spec("debugpy")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs debugpy")
    path = Path(spec.submodule_search_locations[0]) / SCHEMA
    if not path.is_file():
        pytest.skip("needs a debugpy that carries the schema of the protocol")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))["definitions"]
    return found


@cache
def _validator(name: str) -> Any:
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema")
    return jsonschema.Draft4Validator({"$ref": f"#/definitions/{name}", "definitions": definitions()})


def definition_of(message: dict[str, Any]) -> str:
    """The name of the definition that a message must meet; of requests that the schema lacks the general one."""
    kind = message.get("type")
    if kind == "event":
        return _known(f"{_title(message.get('event'))}Event", "Event")
    if kind == "request":
        return _known(f"{_title(message.get('command'))}Request", "Request")
    if kind == "response":
        if message.get("success") is False:
            return "ErrorResponse"
        return _known(f"{_title(message.get('command'))}Response", "Response")
    return "ProtocolMessage"


def _title(name: object) -> str:
    return f"{name[:1].upper()}{name[1:]}" if isinstance(name, str) else ""


def _known(name: str, otherwise: str) -> str:
    return name if name in definitions() else otherwise


def check(message: dict[str, Any]) -> None:
    """Fail if the message is not as the schema says."""
    name = definition_of(message)
    problems = [f"{error.json_path}: {error.message}" for error in _validator(name).iter_errors(message)]
    assert not problems, f"{name}: {problems}: {message}"
