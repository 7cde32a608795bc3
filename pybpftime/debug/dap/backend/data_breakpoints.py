"""Data breakpoints: stop where a value changes, is read, or is accessed in any way."""

from __future__ import annotations

from itertools import count

from pybpftime.debug.dap.backend.breakpoints import Breakpoints, Kind, Made, Make, Wanted
from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.handles import parse_reference
from pybpftime.debug.dap.backend.rows import Style, find_row
from pybpftime.debug.dap.bodies import BreakpointsBody, DataBreakpointInfoBody
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.handling import request
from pybpftime.debug.dap.protocol import (
    AccessType,
    DataBreakpoint,
    DataBreakpointInfoArguments,
    SetDataBreakpointsArguments,
)
from pybpftime.debug.expression import MapValue
from pybpftime.debug.values import Memory, Moving, OptimisedOut, Register, TypedValue, c_type
from pybpftime.debug.watch import Access
from pybpftime.errors import InputError

LONGEST = 1 << 12
"""Bytes that one data breakpoint watches at most: they are compared after every instruction."""


ACCESSES: dict[AccessType, Access] = {"write": Access.CHANGE, "read": Access.READ, "readWrite": Access.ANY}
"""A store of the value that is there already is no change, but an access."""


class DataBreakpointHandlers:
    """Handlers of requests about data breakpoints.  A data id stands for a place, found when the client asks for it."""

    def __init__(self, debuggee: Debuggee, breakpoints: Breakpoints) -> None:
        self._debuggee = debuggee
        self._breakpoints = breakpoints
        self._watchable: dict[str, tuple[str, TypedValue]] = {}
        self._numbers = count(1)

    def forget(self) -> None:
        """The session is another one: places of the old one mean nothing."""
        self._watchable.clear()

    @request("dataBreakpointInfo")
    def data_breakpoint_info(self, client: Client, arguments: DataBreakpointInfoArguments) -> DataBreakpointInfoBody:
        """Whether something can be watched: a variable, a register, an element of a map, bytes of the packet."""
        try:
            text, value = self._find(arguments)
            value = self._pinned(value, text)
        except InputError as error:
            return {"dataId": None, "description": error.reason}
        key = (text, value.place)
        for name, (known, one) in self._watchable.items():
            if (known, one.place) == key and one.type_id == value.type_id:
                return self._info(name, text)
        name = f"{next(self._numbers)} {text}"
        self._watchable[name] = (text, value)
        return self._info(name, text)

    def _info(self, name: str, text: str) -> DataBreakpointInfoBody:
        return {"dataId": name, "description": text, "accessTypes": [*ACCESSES], "canPersist": False}

    def _find(self, arguments: DataBreakpointInfoArguments) -> tuple[str, TypedValue]:
        session, name = self._debuggee.session, arguments["name"]
        frame = self._debuggee.frame(arguments.get("frameId"))
        target = session.scope(frame).target
        size = arguments.get("bytes", 0)
        if not 0 <= size <= LONGEST:
            raise InputError(f"at most {LONGEST} bytes are watched")
        byte = c_type("unsigned char", "little")
        if arguments.get("asAddress"):
            kind, address = byte.array(size or 1), parse_reference(name)
            return f"{size or 1} bytes at {address:#x}", TypedValue(kind.types, kind.id, Memory(address), target)
        reference = arguments.get("variablesReference", 0)
        if reference:
            row = find_row(self._debuggee.containers.get(reference), name, Style())
            found: TypedValue | MapValue | None = row.value
            text = row.path or name
            if found is None and row.path:
                found = session.value(row.path, self._debuggee.containers.get(reference).frame)
        else:
            text, found = name, session.value(name, frame)
        if found is None or isinstance(found, MapValue):
            raise InputError(f"{text} cannot be watched: watch a part of it")
        if size and found.address is not None:
            kind = byte.array(size)
            found = TypedValue(kind.types, kind.id, Memory(found.address), target)
        return text, found

    def _pinned(self, value: TypedValue, text: str) -> TypedValue:
        """The value at the place where it is now."""
        place = value.place.locate() if isinstance(value.place, Moving) else value.place
        address = place.address()
        if isinstance(place, OptimisedOut):
            raise InputError(f"{text} cannot be watched: {place.reason}")
        if address is None and not isinstance(place, Register):
            raise InputError(f"{text} cannot be watched: it lies at no fixed place")
        if value.size > LONGEST:
            raise InputError(f"{text} has {value.size} bytes: at most {LONGEST} are watched")
        value.at(place).read()
        return value.at(place if address is None else Memory(address))

    @request("setDataBreakpoints")
    def set_data_breakpoints(self, client: Client, arguments: SetDataBreakpointsArguments) -> BreakpointsBody:
        """Stop behind each instruction that changes a value, or accesses it as is asked; conditions count."""
        wanted = [self._at_data(one) for one in arguments["breakpoints"]]
        return {"breakpoints": self._breakpoints.replace("data", wanted)}

    def _at_data(self, one: DataBreakpoint) -> tuple[Wanted, Make]:
        def make() -> Made:
            if one["dataId"] not in self._watchable:
                raise InputError("what this was about is gone: the session is another one")
            text, value = self._watchable[one["dataId"]]
            access = ACCESSES[one.get("accessType", "write")]
            return self._debuggee.session.watch_value(value, text, access).number, {"verified": True}

        condition, hits = one.get("condition", ""), one.get("hitCondition", "")
        identity = (one["dataId"], one.get("accessType", "write"), condition, hits)
        return Wanted(Kind.DATA, identity, condition=condition, hit_condition=hits), make
