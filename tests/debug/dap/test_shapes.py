"""Arguments and bodies against their TypedDicts, and the TypedDicts against the published schema."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Literal, NotRequired, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from debug.dap.schema import definitions

from pybpftime.debug.dap import bodies, protocol
from pybpftime.debug.dap.requests import REQUESTS
from pybpftime.debug.dap.shapes import Conventions, convert
from pybpftime.errors import InputError

OURS = Conventions()
THEIRS = Conventions(first_line=0, first_column=0, uris=True)


def read(arguments: Any, shape: Any, conventions: Conventions = OURS) -> Any:
    return convert(arguments, shape, conventions.read)


@pytest.mark.parametrize(
    ("arguments", "shape", "sentence"),
    [
        ([], protocol.ThreadArguments, "arguments must be an object, not a list"),
        ({}, protocol.ThreadArguments, "arguments.threadId is missing"),
        ({"threadId": None}, protocol.ThreadArguments, "arguments.threadId must be an integer, not null"),
        ({"threadId": "1"}, protocol.ThreadArguments, "arguments.threadId must be an integer, not a string"),
        ({"threadId": True}, protocol.ThreadArguments, "arguments.threadId must be an integer, not true or false"),
        ({"threadId": 1.0}, protocol.ThreadArguments, "arguments.threadId must be an integer, not a number"),
        (
            {"threadId": 1, "granularity": "word"},
            protocol.StepArguments,
            "arguments.granularity must be one of statement, line, instruction",
        ),
        (
            {"source": {}, "breakpoints": [{"line": 1}, {"line": {}}]},
            protocol.SetBreakpointsArguments,
            "arguments.breakpoints[1].line must be an integer, not an object",
        ),
        ({"filters": ["a", 5]}, protocol.SetExceptionBreakpointsArguments, "arguments.filters[1] must be a string"),
        ({"source": {"path": "a\0b"}}, protocol.SetBreakpointsArguments, "arguments.source.path has a zero byte"),
        ({"expression": "\ud800"}, protocol.EvaluateArguments, "arguments.expression is no Unicode text"),
        ({"arguments": []}, protocol.RestartArguments, "arguments.arguments must be an object, not a list"),
    ],
)
def test_wrong_arguments_are_named_in_one_sentence(arguments: Any, shape: Any, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        read(arguments, shape)
    assert str(caught.value).startswith(sentence)


def test_other_fields_and_null_are_left_out() -> None:
    given = {"expression": "é", "frameId": None, "context": "hover", "later": {"x": []}}
    assert read(given, protocol.EvaluateArguments) == {"expression": "é", "context": "hover"}


def test_conventions_of_the_client_are_translated_both_ways() -> None:
    theirs = {
        "source": {"path": "file:///a%20b/c.c"},
        "breakpoints": [{"line": 0, "column": 4}, {"line": 9}],
        "lines": [0, 9],
    }
    ours = {"source": {"path": "/a b/c.c"}, "breakpoints": [{"line": 1, "column": 5}, {"line": 10}], "lines": [1, 10]}
    shape = protocol.SetBreakpointsArguments
    assert read(theirs, shape, THEIRS) == ours
    assert convert(ours, shape, THEIRS.write) == theirs
    assert read(ours, shape) == ours
    assert convert(ours, shape, OURS.write) == ours


def test_a_frame_without_source_keeps_line_0() -> None:
    frame = {"id": 1, "name": "f", "line": 0, "column": 0}
    assert convert({"stackFrames": [frame]}, bodies.StackTraceBody, THEIRS.write) == {"stackFrames": [frame]}


@pytest.mark.parametrize("uri", ["untitled:1", "http://[", "file:relative"])
def test_odd_uris_are_no_error(uri: str) -> None:
    assert isinstance(read({"path": uri}, protocol.Source, THEIRS)["path"], str)


@pytest.mark.parametrize(
    ("said", "conventions"),
    [
        ({}, OURS),
        ({"linesStartAt1": True, "columnsStartAt1": True, "pathFormat": "path"}, OURS),
        ({"linesStartAt1": False, "columnsStartAt1": False, "pathFormat": "uri"}, THEIRS),
    ],
)
def test_clients_say_their_conventions(said: Any, conventions: Conventions) -> None:
    assert Conventions.of({"adapterID": "", **said}) == conventions


# --- against the schema -----------------------------------------------------------------------------------------------

# Fields of DAP 1.68 that are younger than the schema in debugpy; test_requests.py looks at the newer TypeScript.
YOUNGER = {
    ("DataBreakpointInfoArguments", "bytes"),
    ("DataBreakpointInfoArguments", "asAddress"),
    ("InitializeRequestArguments", "supportsANSIStyling"),
    ("VariablesResponse.variables[]", "declarationLocationReference"),
    ("VariablesResponse.variables[]", "valueLocationReference"),
    ("EvaluateResponse", "valueLocationReference"),
}
TYPES = {"string": str, "integer": int, "boolean": bool, "number": float}


def flat(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition with what it inherits, and behind references."""
    if "$ref" in definition:
        return flat(definitions()[definition["$ref"].rpartition("/")[2]])
    parts = [flat(part) for part in definition.get("allOf", [])] + [definition]
    properties = {name: value for part in parts for name, value in part.get("properties", {}).items()}
    required = [name for part in parts for name in part.get("required", [])]
    return {**definition, "properties": properties, "required": required}


def problems_of(shape: Any, definition: dict[str, Any], name: str) -> list[str]:
    """Where a TypedDict is not what the schema says of the same thing."""
    found = []
    target = flat(definition)
    hints = get_type_hints(shape, include_extras=True)
    required = {field for field, hint in hints.items() if get_origin(hint) is not NotRequired}
    if missing := set(target["required"]) - required:
        found.append(f"{name}: the schema requires {missing}")
    for field, hint in hints.items():
        annotation = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
        if field in target["properties"]:
            found += mismatch(annotation, target["properties"][field], f"{name}.{field}")
        elif (name, field) not in YOUNGER:
            found.append(f"{name}: the schema has no {field}")
    return found


def mismatch(annotation: Any, definition: dict[str, Any], name: str) -> list[str]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return mismatch(arguments[0], definition, name)
    if annotation is protocol.LaunchArguments:
        return []  # the protocol leaves them to us
    if is_typeddict(annotation):
        return problems_of(annotation, definition, name)
    target = flat(definition)
    if origin is Literal:
        return [] if set(arguments) == set(target["enum"]) else [f"{name}: {arguments}, {target['enum']}"]
    if origin is list:
        return mismatch(arguments[0], target["items"], f"{name}[]") if "items" in target else [f"{name}: a list"]
    kinds = target["type"] if isinstance(target["type"], list) else [target["type"]]
    if origin is UnionType:
        names = {str: "string", int: "integer", type(None): "null"}
        return [] if {names[kind] for kind in arguments} == set(kinds) else [f"{name}: {arguments}, {kinds}"]
    if annotation is Any or origin is dict:
        return []
    return [] if annotation in {TYPES.get(kind) for kind in kinds} else [f"{name}: {annotation}, {kinds}"]


SERVED = [row for row in REQUESTS.values() if row.why_not is None]


@pytest.mark.parametrize("command", [row.command for row in SERVED])
def test_requests_are_as_the_schema_says(command: str) -> None:
    title = command[0].upper() + command[1:]
    row, known = REQUESTS[command], definitions()
    if f"{title}Request" not in known:
        assert command == "locations"
        return
    request = flat(known[f"{title}Request"])["properties"]
    found = []
    if command not in ("launch", "attach") and row.arguments is not protocol.NoArguments:
        found += problems_of(row.arguments, request["arguments"], request["arguments"]["$ref"].rpartition("/")[2])
    body = flat(known[f"{title}Response"])["properties"]["body"]
    if row.body is not bodies.NoBody and command != "initialize":
        found += problems_of(row.body, body, f"{title}Response")
    assert not found, "\n".join(found)
    assert row.body is not bodies.NoBody or not flat(body).get("required")


@pytest.mark.parametrize("event", bodies.EVENTS)
def test_events_are_as_the_schema_says(event: str) -> None:
    title = f"{event[0].upper()}{event[1:]}Event"
    definition = flat(definitions()[title])
    assert not problems_of(bodies.EVENTS[event], definition["properties"]["body"], title)
