"""Lists of variables, and changing them."""

from __future__ import annotations

from typing import cast

from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.rows import MOST_ROWS, Row, Style, find_row, value_row
from pybpftime.debug.dap.bodies import SetExpressionBody, SetVariableBody, Variable, VariablesBody
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.handling import request
from pybpftime.debug.dap.protocol import SetExpressionArguments, SetVariableArguments, VariablesArguments
from pybpftime.debug.expression import MapValue
from pybpftime.debug.frames import Frame
from pybpftime.debug.values import TypedValue
from pybpftime.errors import InputError


class VariableHandlers:
    """Handlers of requests about variables."""

    def __init__(self, debuggee: Debuggee) -> None:
        self._debuggee = debuggee

    @request("variables")
    def variables(self, client: Client, arguments: VariablesArguments) -> VariablesBody:
        """A level of the tree, all of it or a page: members, elements, keys with values, layers, registers."""
        container = self._debuggee.containers.get(arguments["variablesReference"])
        wanted = arguments.get("filter")
        if wanted is not None and (wanted == "indexed") != (container.indexed > 0):
            return {"variables": []}
        start, count = max(arguments.get("start", 0), 0), arguments.get("count", 0)
        style = Style(hex=arguments.get("format", {}).get("hex", False))
        shown = min(count, MOST_ROWS) if count > 0 else MOST_ROWS
        found = [self.body(client, row) for row in container.rows(style, start, shown)]
        if container.indexed - start > len(found) == MOST_ROWS:
            more = f"{container.indexed - start - len(found)} more: ask for a part"
            found.append({"name": "...", "value": more, "variablesReference": 0})
        return {"variables": found}

    def body(self, client: Client, row: Row) -> Variable:
        """A row as the client takes it."""
        debuggee, container = self._debuggee, row.container
        found: Variable = {
            "name": row.name,
            "value": row.text,
            "variablesReference": 0 if container is None else debuggee.containers.add(container),
        }
        if row.type and client.supports("supportsVariableType"):
            found["type"] = row.type
        if row.path:
            found["evaluateName"] = row.path
        if container is not None and container.indexed:
            found["indexedVariables"] = container.indexed
        if row.address is not None and client.supports("supportsMemoryReferences"):
            found["memoryReference"] = f"{row.address:#x}"
        if row.declared is not None:
            found["declarationLocationReference"] = debuggee.locations.add(row.declared)
        if row.read_only or not (row.path or row.assign):
            found["presentationHint"] = {"attributes": ["readOnly"]}
        return found

    @request("setVariable")
    def set_variable(self, client: Client, arguments: SetVariableArguments) -> SetVariableBody:
        """Change a variable of a list; the value is an expression of C.  In the past that begins a new time line."""
        container = self._debuggee.containers.get(arguments["variablesReference"])
        style = Style(hex=arguments.get("format", {}).get("hex", False))
        row = find_row(container, arguments["name"], style)
        if row.read_only or not (row.path or row.assign):
            raise InputError(f"{row.name} cannot be changed")
        with self._debuggee.editing(client):
            if row.assign is not None:
                row.assign(arguments["value"])
            else:
                assigned(self._debuggee, row.path, arguments["value"], container.frame)
        self._tell_memory(client, row)
        return self._set_body(client, find_row(container, arguments["name"], style))

    @request("setExpression")
    def set_expression(self, client: Client, arguments: SetExpressionArguments) -> SetExpressionBody:
        """Assign to an expression: a variable, a register, an element of a map, a byte of the packet."""
        frame = self._debuggee.frame(arguments.get("frameId"))
        style = Style(hex=arguments.get("format", {}).get("hex", False))
        with self._debuggee.editing(client):
            value = assigned(self._debuggee, arguments["expression"], arguments["value"], frame)
        row = value_row(arguments["expression"], value, style, frame)
        self._tell_memory(client, row)
        return cast("SetExpressionBody", self._set_body(client, row))

    def _set_body(self, client: Client, row: Row) -> SetVariableBody:
        full = self.body(client, row)
        body: SetVariableBody = {"value": full["value"], "variablesReference": full["variablesReference"]}
        if "type" in full:
            body["type"] = full["type"]
        if "indexedVariables" in full:
            body["indexedVariables"] = full["indexedVariables"]
        if "memoryReference" in full:
            body["memoryReference"] = full["memoryReference"]
        return body

    def _tell_memory(self, client: Client, row: Row) -> None:
        address = row.value.address if row.value is not None else row.address
        if address is not None:
            size = row.value.size if row.value is not None else 8
            client.event("memory", {"memoryReference": f"{address:#x}", "offset": 0, "count": size})


def assigned(debuggee: Debuggee, path: str, text: str, frame: Frame | None) -> TypedValue:
    """Assign an expression to another one; the value that it has then.  InputError if that cannot be."""
    value = debuggee.session.value(f"{path} = {text}", frame, may_change=True)
    if isinstance(value, MapValue):
        raise InputError(f"{path} is a map: set an element of it")
    return value
