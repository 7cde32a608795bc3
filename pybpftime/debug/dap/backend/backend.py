"""The backend of the server: one Session for one client."""

from __future__ import annotations

import os
from typing import Literal

from pybpftime.debug.dap.backend.breakpoint_requests import FILTERS, BreakpointHandlers
from pybpftime.debug.dap.backend.breakpoints import Breakpoints
from pybpftime.debug.dap.backend.data_breakpoints import DataBreakpointHandlers
from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.disassembly import DisassemblyHandlers
from pybpftime.debug.dap.backend.evaluation import EvaluationHandlers
from pybpftime.debug.dap.backend.frames import FrameHandlers
from pybpftime.debug.dap.backend.launching import open_launch
from pybpftime.debug.dap.backend.memory import MemoryHandlers
from pybpftime.debug.dap.backend.running import Runner, RunningHandlers
from pybpftime.debug.dap.backend.sources import SourceFiles, SourceHandlers
from pybpftime.debug.dap.backend.travelling import TravelHandlers
from pybpftime.debug.dap.backend.variables import VariableHandlers
from pybpftime.debug.dap.bodies import ProcessEvent
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.handling import Run, request
from pybpftime.debug.dap.protocol import AttachArguments, LaunchArguments, RestartArguments
from pybpftime.debug.session import Session
from pybpftime.errors import InputError

CATEGORIES = {"printk": "stdout", "log": "console"}
"""Kind of output of a session -> category of the protocol."""


class SessionBackend:
    """What a Server needs of a debugger: `parts` handle the requests."""

    exception_filters = FILTERS
    completion_triggers = (".", ">", "[", "$")

    def __init__(self, prepared: Session | None = None) -> None:
        """`prepared` is a session that is there already: `attach` joins it, and it stays when the client goes.

        A live process, of whatever session, is left when the client goes.
        """
        self._prepared = prepared
        self._debuggee = debuggee = Debuggee()
        self._breakpoints = Breakpoints(debuggee)
        runner = Runner(debuggee, self._breakpoints)
        self._running = RunningHandlers(debuggee, runner)
        self._data = DataBreakpointHandlers(debuggee, self._breakpoints)
        variables = VariableHandlers(debuggee)
        self.parts = (
            BreakpointHandlers(debuggee, self._breakpoints),
            self._data,
            self._running,
            TravelHandlers(debuggee, runner),
            FrameHandlers(debuggee),
            variables,
            EvaluationHandlers(debuggee, variables, runner),
            MemoryHandlers(debuggee),
            DisassemblyHandlers(debuggee),
            SourceHandlers(debuggee),
        )
        self._arguments: LaunchArguments = {}
        self.closed = False

    def interrupt(self) -> None:
        self._debuggee.interrupt()

    def rearm(self) -> None:
        self._debuggee.rearm()

    def close(self) -> None:
        self.closed = True
        if self._prepared is not None and self._debuggee.has_session:
            self._breakpoints.remove_all()
            self._prepared.output = None
        self._debuggee.drop()

    @request("launch")
    def launch(self, client: Client, arguments: LaunchArguments) -> None:
        """Open an object and what it runs on; nothing runs before `configurationDone`."""
        self._open(client, arguments)
        self._introduce(client, "attach" if "pid" in arguments else "launch")

    @request("attach")
    def attach(self, client: Client, arguments: AttachArguments) -> None:
        """Join the session that the server was started with; `pybpftime dap` has none, and says so."""
        session = self._prepared
        if session is None:
            raise InputError("there is no session to join: pybpftime dap debugs what launch says")
        session.output = lambda kind, text: client.output(text, CATEGORIES[kind])
        self._debuggee.take(session, SourceFiles.of(session, [os.curdir], {}))
        self._debuggee.stop_on_entry = arguments.get("stopOnEntry", True)
        self._introduce(client, "attach")

    @request("restart")
    def restart(self, client: Client, arguments: RestartArguments) -> Run:
        """Read the object and its inputs again, and begin anew with the same breakpoints; of a process, go back."""
        if self._prepared is not None or self._debuggee.is_live:
            return self._running.begin(client, self._debuggee.session.restart)
        old = self._debuggee.sources
        self._open(client, arguments.get("arguments", self._arguments))
        self._data.forget()
        self._breakpoints.set_again(client)
        self._tell_sources(client, old, self._debuggee.sources)
        return self._running.begin(client, self._debuggee.session.start)

    def _open(self, client: Client, arguments: LaunchArguments) -> None:
        def output(kind: str, text: str) -> None:
            client.output(text, CATEGORIES[kind])

        with client.progress("Loading"):
            session, sources = open_launch(self._debuggee, arguments, output)
        self._arguments = arguments
        self._debuggee.take(session, sources)
        self._debuggee.without_debugging = arguments.get("noDebug", False)
        self._debuggee.stop_on_entry = arguments.get("stopOnEntry", True) and not self._debuggee.without_debugging

    def _introduce(self, client: Client, how: Literal["launch", "attach"]) -> None:
        """Tell the client what it debugs."""
        session = self._debuggee.session
        name = session.object.spec.file or next(iter(session.object)).name
        process: ProcessEvent = {"name": os.path.basename(name), "startMethod": how, "pointerSize": 64}
        if self._debuggee.is_live:
            process["systemProcessId"] = session.object.environment.pid
        client.event("process", process)
        for file in self._debuggee.sources.files:
            client.event("loadedSource", {"reason": "new", "source": self._debuggee.sources.source(file)})
        for path in self._debuggee.sources.changed():
            client.output(f"{path} is not what was compiled: lines may be off.", "important")
        for program in session.object:
            note = session.symbols_of(program.spec).note
            if note is not None:
                client.output(f"{program.name}: {note}.")

    def _tell_sources(self, client: Client, old: SourceFiles, new: SourceFiles) -> None:
        for file in sorted(set(old.files) | set(new.files)):
            if file not in new.files:
                client.event("loadedSource", {"reason": "removed", "source": old.source(file)})
            elif file not in old.files:
                client.event("loadedSource", {"reason": "new", "source": new.source(file)})
            elif old.source(file) != new.source(file):
                client.event("loadedSource", {"reason": "changed", "source": new.source(file)})
