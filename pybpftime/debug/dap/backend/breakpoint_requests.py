"""The requests that set breakpoints in code, and those at exceptions."""

from __future__ import annotations

import re

from pybpftime.debug.breakpoints import CallPattern
from pybpftime.debug.dap.backend.breakpoints import Breakpoints, Kind, Made, Make, Wanted, where
from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.handles import parse_reference
from pybpftime.debug.dap.bodies import (
    Breakpoint,
    BreakpointsBody,
    ExceptionBreakpointsFilter,
    ExceptionInfoBody,
)
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.handling import request
from pybpftime.debug.dap.protocol import (
    FunctionBreakpoint,
    InstructionBreakpoint,
    SetBreakpointsArguments,
    SetExceptionBreakpointsArguments,
    SetFunctionBreakpointsArguments,
    SetInstructionBreakpointsArguments,
    Source,
    SourceBreakpoint,
    ThreadArguments,
)
from pybpftime.debug.places import Places
from pybpftime.debug.stops import Reason
from pybpftime.errors import Fault, InputError
from pybpftime.uapi import MAX_ERRNO

FAULT = "fault"
HELPER_EVENTS: dict[str, tuple[str, CallPattern, str]] = {
    "helper-error": (
        "A helper fails",
        CallPattern(".*", after=True),
        f"(long)$r0 < 0 && (long)$r0 >= -{MAX_ERRNO}",
    ),
    "null-lookup": (
        "A map has no such element",
        CallPattern("bpf_map_lookup_elem|bpf_map_lookup_percpu_elem", after=True),
        "$r0 == 0",
    ),
    "printk": ("The program prints", CallPattern("bpf_trace_printk|bpf_trace_vprintk", after=True), ""),
    "tail-call": ("A tail call", CallPattern("bpf_tail_call"), ""),
}
"""Filter -> what the client calls it, which calls of helpers it is about, and the condition."""

FILTERS: tuple[ExceptionBreakpointsFilter, ...] = (
    {
        "filter": FAULT,
        "label": "Faults",
        "description": "Stop where a run does something undefined, or meets a limit.",
        "default": True,
    },
    *(
        ExceptionBreakpointsFilter(
            filter=name,
            label=label,
            default=False,
            supportsCondition=True,
            conditionDescription="a C expression, such as $r0 == -2",
        )
        for name, (label, _, _) in HELPER_EVENTS.items()
    ),
)


class BreakpointHandlers:
    """Handlers of requests about breakpoints in code."""

    def __init__(self, debuggee: Debuggee, breakpoints: Breakpoints) -> None:
        self._debuggee = debuggee
        self._breakpoints = breakpoints

    @request("setBreakpoints")
    def set_breakpoints(self, client: Client, arguments: SetBreakpointsArguments) -> BreakpointsBody:
        """Breakpoints at lines, with conditions, hit counts and log messages; a line without code means the next."""
        source = arguments["source"]
        lines = [SourceBreakpoint(line=line) for line in arguments.get("lines", [])]
        asked = arguments.get("breakpoints", lines)
        key = source.get("sourceReference") or source.get("path") or source.get("name", "")
        wanted = [self._at_line(source, one) for one in asked]
        return {"breakpoints": self._breakpoints.replace(("source", key), wanted)}

    def _at_line(self, source: Source, one: SourceBreakpoint) -> tuple[Wanted, Make]:
        def make() -> Made:
            session = self._debuggee.session
            places = session.places.line(self._debuggee.sources.file_of(source), one["line"])
            number = self._add(places, one.get("condition", ""), one.get("hitCondition", ""), one.get("logMessage", ""))
            body = where(self._debuggee, places)
            body["source"], body["line"] = source, places.line
            if places.line != one["line"]:
                body["message"] = f"line {one['line']} has no code: this is the next one that has"
            return number, body

        return Wanted(Kind.SOURCE, tuple(sorted(one.items()))), make

    @request("setFunctionBreakpoints")
    def set_function_breakpoints(self, client: Client, arguments: SetFunctionBreakpointsArguments) -> BreakpointsBody:
        """Breakpoints at functions by name or `/regex/`, inlined copies too; the name of a helper means calls of it."""
        wanted = [self._at_function(one) for one in arguments["breakpoints"]]
        return {"breakpoints": self._breakpoints.replace("function", wanted)}

    def _at_function(self, one: FunctionBreakpoint) -> tuple[Wanted, Make]:
        condition, hits = one.get("condition", ""), one.get("hitCondition", "")

        def make() -> Made:
            session, name = self._debuggee.session, one["name"].strip()
            is_helper = any(helper.declaration.name == name for helper in session.object.helpers)
            if is_helper and name not in session.places.functions():
                pattern = CallPattern(re.escape(name))
                number = session.break_on_call(pattern, condition=condition, hit_condition=hits).number
                return number, {"verified": True}
            places = session.places.find(name) if name.startswith("/") else session.places.function(name)
            return self._add(places, condition, hits), where(self._debuggee, places)

        return Wanted(Kind.FUNCTION, (one["name"], condition, hits)), make

    @request("setInstructionBreakpoints")
    def set_instruction_breakpoints(
        self, client: Client, arguments: SetInstructionBreakpointsArguments
    ) -> BreakpointsBody:
        """Breakpoints at instructions, as the disassembly names them."""
        wanted = [self._at_instruction(one) for one in arguments["breakpoints"]]
        return {"breakpoints": self._breakpoints.replace("instruction", wanted)}

    def _at_instruction(self, one: InstructionBreakpoint) -> tuple[Wanted, Make]:
        def make() -> Made:
            reference = parse_reference(one["instructionReference"]) + one.get("offset", 0)
            spec, slot = self._debuggee.code.slot(reference)
            places = self._debuggee.session.places.instruction(spec.name, slot)
            number = self._add(places, one.get("condition", ""), one.get("hitCondition", ""))
            return number, where(self._debuggee, places)

        return Wanted(Kind.INSTRUCTION, tuple(sorted(one.items()))), make

    def _add(self, places: Places, condition: str, hits: str, log: str = "") -> int:
        session = self._debuggee.session
        return session.break_at_places(places, condition=condition, hit_condition=hits, log=log).number

    # -- exceptions ----------------------------------------------------------------------------------------------------

    @request("setExceptionBreakpoints")
    def set_exception_breakpoints(self, client: Client, arguments: SetExceptionBreakpointsArguments) -> BreakpointsBody:
        """Stop at faults, failing helpers, lookups that find nothing, lines of bpf_printk, tail calls."""
        asked = [(name, "") for name in arguments["filters"]]
        asked += [(one["filterId"], one.get("condition", "")) for one in arguments.get("filterOptions", [])]
        self._breakpoints.stop_at_faults = any(name == FAULT for name, _ in asked)
        wanted = [self._at_exception(name, condition) for name, condition in asked]
        return {"breakpoints": self._breakpoints.replace("exception", wanted)}

    def _at_exception(self, name: str, condition: str) -> tuple[Wanted, Make]:
        label, pattern, own = HELPER_EVENTS.get(name, ("Faults", None, ""))

        def make() -> Made:
            if pattern is None and name != FAULT:
                raise InputError(f"there is no filter {name[:40]!r}; there is {FAULT}, {', '.join(HELPER_EVENTS)}")
            body: Breakpoint = {"verified": True}
            if pattern is None:
                return None, body
            both = f"({own}) && ({condition})" if own and condition else own or condition
            return self._debuggee.session.break_on_call(pattern, condition=both).number, body

        return Wanted(Kind.EXCEPTION, (name, condition), label), make

    @request("exceptionInfo")
    def exception_info(self, client: Client, arguments: ThreadArguments) -> ExceptionInfoBody:
        """The fault where the program stopped, in a sentence, with the functions that it was in."""
        session = self._debuggee.session
        stop = session.stop
        if stop.reason is Reason.BREAKPOINT:
            hit = [self._breakpoints.by_number(number) for number in stop.breakpoints]
            for kept in hit:
                if kept is not None and kept.kind is Kind.EXCEPTION:
                    return {"exceptionId": kept.label, "breakMode": "always", "description": kept.label}
        ending = session.world.ending
        if ending is None or ending.error is None:
            raise InputError("the program did not stop at an exception")
        error = ending.error
        frames = [
            f"{one.name} at {one.line.file}:{one.line.line}" if one.line else one.name for one in session.frames()
        ]
        return {
            "exceptionId": f"{error.kind} fault" if isinstance(error, Fault) else type(error).__name__,
            "breakMode": "always" if self._breakpoints.stop_at_faults else "unhandled",
            "description": str(error),
            "details": {
                "message": error.reason,
                "typeName": type(error).__name__,
                "stackTrace": "\n".join(frames),
            },
        }
