"""Threads, frames and their scopes, modules, exceptions."""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.results import ending_text
from pybpftime.debug.dap.backend.rows import Container, Style
from pybpftime.debug.dap.backend.scopes import scopes_of
from pybpftime.debug.dap.bodies import Module, ModulesBody, Scope, ScopesBody, StackFrame, StackTraceBody, ThreadsBody
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.handling import request
from pybpftime.debug.dap.protocol import (
    FrameArguments,
    ModulesArguments,
    NoArguments,
    StackFrameFormat,
    StackTraceArguments,
)
from pybpftime.debug.frames import Frame
from pybpftime.isa.encoding import SLOT_BYTES


class FrameHandlers:
    """Handlers of requests about where the program stands."""

    def __init__(self, debuggee: Debuggee) -> None:
        self._debuggee = debuggee

    @request("threads")
    def threads(self, client: Client, arguments: NoArguments) -> ThreadsBody:
        """One thread for each cpu that runs are on; all follow one time line, so one of them is under way.

        Of a live process its own threads, as far as they came to a probe.
        """
        world = self._debuggee.session.world
        if self._debuggee.is_live:
            tids = {int(one.fields["tid"]) for one in world.invocations} | {self._debuggee.thread}
            return {"threads": [{"id": tid, "name": f"thread {tid}"} for tid in sorted(tids)]}
        cpus = {int(one.fields.get("cpu", 0)) for one in world.invocations} | {self._debuggee.thread - 1}
        return {"threads": [{"id": cpu + 1, "name": f"cpu {cpu}"} for cpu in sorted(cpus)]}

    @request("stackTrace")
    def stack_trace(self, client: Client, arguments: StackTraceArguments) -> StackTraceBody:
        """The active functions, inlined ones too; where a run is over, the place where it ended."""
        if arguments["threadId"] != self._debuggee.thread:
            return {"stackFrames": [], "totalFrames": 0}
        frames = self._frames()
        start, levels = max(arguments.get("startFrame", 0), 0), arguments.get("levels", 0)
        shown = frames[start : start + levels if levels > 0 else None]
        return {
            "stackFrames": [self._body(frame, number, arguments.get("format", {})) for number, frame in shown],
            "totalFrames": len(frames),
        }

    def _frames(self) -> list[tuple[int, Frame | None]]:
        """Ids and frames; the same ids until the program moves."""
        debuggee = self._debuggee
        frames: tuple[Frame | None, ...] = debuggee.session.frames() or (None,)
        if len(debuggee.frame_ids) != len(frames):
            debuggee.frame_ids = [debuggee.frames.add(frame) for frame in frames]
        return list(zip(debuggee.frame_ids, frames, strict=True))

    def _body(self, frame: Frame | None, number: int, format: StackFrameFormat) -> StackFrame:
        if frame is None:
            return self._ended(number)
        found: StackFrame = {
            "id": number,
            "name": self._name(frame, format),
            "line": 0,
            "column": 0,
            "canRestart": True,
            "moduleId": frame.spec.name,
            "instructionPointerReference": f"{self._debuggee.code.reference(frame.spec, frame.slot):#x}",
            "presentationHint": "subtle",
        }
        if frame.line is not None:
            found["source"] = self._debuggee.sources.source(frame.line.file)
            found["line"], found["column"] = frame.line.line, max(frame.line.column, 1)
            found["presentationHint"] = "normal"
        return found

    def _ended(self, number: int) -> StackFrame:
        """For a run that is over: where it ended, and how."""
        world = self._debuggee.session.world
        name = "no run has begun" if world.ending is None else f"{world.program.name} {ending_text(world.ending)}"
        found: StackFrame = {"id": number, "name": name, "line": 0, "column": 0, "presentationHint": "subtle"}
        if not world.has_begun:
            return found
        code, slot = world.machine.locate(world.pc)
        place = self._debuggee.session.symbols_of(code.program.spec).line_at(slot)
        found["instructionPointerReference"] = f"{self._debuggee.code.reference(code.program.spec, slot):#x}"
        if place is not None:
            found["source"] = self._debuggee.sources.source(place.file)
            found["line"], found["column"] = place.line, max(place.column, 1)
        return found

    def _name(self, frame: Frame, format: StackFrameFormat) -> str:
        """The function; with what the client wants to see behind it."""
        name = frame.name + (" (inlined)" if frame.scope.is_inlined else "")
        if format.get("parameters"):
            name += f"({', '.join(self._parameters(frame, format))})"
        if format.get("module"):
            name = f"{frame.spec.name}!{name}"
        if format.get("line") and frame.line is not None:
            name += f" line {frame.line.line}"
        return name

    def _parameters(self, frame: Frame, format: StackFrameFormat) -> Iterator[str]:
        scope = self._debuggee.session.scope(frame)
        for one in frame.scope.variables:
            if not one.is_parameter:
                continue
            value = scope.local(one)
            words = [value.type_text] if format.get("parameterTypes") else []
            words += [one.name] if format.get("parameterNames") else []
            text = " ".join(words)
            if format.get("parameterValues"):
                text += ("=" if text else "") + Style(hex=format.get("hex", False)).text(value)
            yield text or one.name

    @request("scopes")
    def scopes(self, client: Client, arguments: FrameArguments) -> ScopesBody:
        """Arguments, locals, registers, stack, verifier, context, packet, maps and globals, as far as there are any."""
        frame = self._debuggee.frames.get(arguments["frameId"])
        return {"scopes": [self._scope(*one) for one in scopes_of(self._debuggee, frame)]}

    def _scope(self, name: str, container: Container, hint: str, expensive: bool) -> Scope:
        found: Scope = {
            "name": name,
            "variablesReference": self._debuggee.containers.add(container),
            "expensive": expensive,
        }
        if hint:
            found["presentationHint"] = hint
        if container.indexed:
            found["indexedVariables"] = container.indexed
        return found

    @request("modules")
    def modules(self, client: Client, arguments: ModulesArguments) -> ModulesBody:
        """The programs of the object, with what is known of their source."""
        session = self._debuggee.session
        found: list[Module] = []
        for program in session.object:
            spec, symbols = program.spec, session.symbols_of(program.spec)
            start = self._debuggee.code.start(spec)
            module: Module = {
                "id": spec.name,
                "name": spec.name,
                "isUserCode": True,
                "symbolStatus": "DWARF" if symbols.has_dwarf else "lines from BTF" if spec.lines else "no source",
                "addressRange": f"{start:#x}-{start + len(spec.instructions) * SLOT_BYTES:#x}",
            }
            if spec.file is not None:
                module["path"] = spec.file
            found.append(module)
        start_at, count = max(arguments.get("startModule", 0), 0), arguments.get("moduleCount", 0)
        shown = found[start_at : start_at + count if count > 0 else None]
        return {"modules": shown, "totalModules": len(found)}
