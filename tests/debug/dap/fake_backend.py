"""A debugger of a toy, to test the protocol with: a program of ten lines in one file, and time that goes both ways.

`python fake_backend.py` serves it on standard input and output, `python fake_backend.py --port N [--once]` on TCP.
The program that `launch` names chooses what it does: `endless` runs until it is interrupted, `slow` takes until then
to load, `broken` has a bug in its run.
"""

from __future__ import annotations

import argparse
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

from pybpftime.debug.dap import protocol
from pybpftime.debug.dap.bodies import ExceptionBreakpointsFilter, StoppedEvent
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.handling import CancelledError, Ended, Run, request
from pybpftime.debug.dap.server import Server
from pybpftime.debug.dap.transport import Channel, serve_tcp, standard_streams
from pybpftime.errors import InputError

LAST_LINE = 10
LONGEST_WAIT = 20
"""Seconds after which something endless ends, so that a test that is wrong ends too."""
FILE = "/toy/program.bpf.c"
SOURCE = "".join(f"line {number}\n" for number in range(1, LAST_LINE + 1))
THREAD = 1
SOURCE_REFERENCE = 7
LOCALS = 100


class FakeBackend:
    exception_filters: tuple[ExceptionBreakpointsFilter, ...] = (
        {"filter": "fault", "label": "Faults", "default": True},
    )
    completion_triggers = (".",)

    def __init__(self) -> None:
        self.interrupted = threading.Event()
        self.began = threading.Event()
        self.advances = 0
        self.closed = False
        self.program = ""
        self.line = 1
        self.breakpoints: set[int] = set()
        self.memory = bytearray(range(16))
        self.path = FILE
        self.stop_on_entry = True

    def interrupt(self) -> None:
        self.interrupted.set()

    def rearm(self) -> None:
        self.interrupted.clear()

    def close(self) -> None:
        assert not self.closed
        self.closed = True

    # --- the session ------------------------------------------------------------------------------------------------

    @request("launch")
    def launch(self, client: Client, arguments: protocol.LaunchArguments) -> None:
        if "object" not in arguments:
            raise InputError("nothing to debug: give an object or a recording")
        self.program = arguments.get("program", "")
        self.path = arguments["object"]
        self.stop_on_entry = arguments.get("stopOnEntry", True)
        if self.program == "slow":
            self.wait_for_interrupt()

    @request("attach")
    def attach(self, client: Client, arguments: protocol.AttachArguments) -> None:
        raise InputError(f"nobody listens on port {arguments['port']}")

    @request("configurationDone")
    def configuration_done(self, client: Client, arguments: protocol.NoArguments) -> Run:
        client.output("ready")
        return self.run(client, lambda: self.stopped("entry") if self.stop_on_entry else self.go(1))

    @request("restart")
    def restart(self, client: Client, arguments: protocol.RestartArguments) -> Run:
        self.line = 1
        return Run(lambda: self.stopped("entry"), self.pause)

    def wait_for_interrupt(self) -> None:
        self.began.set()
        if self.interrupted.wait(LONGEST_WAIT):
            raise CancelledError

    # --- breakpoints ------------------------------------------------------------------------------------------------

    @request("setBreakpoints")
    def set_breakpoints(self, client: Client, arguments: protocol.SetBreakpointsArguments) -> Any:
        wanted = [breakpoint["line"] for breakpoint in arguments.get("breakpoints", [])]
        self.breakpoints = {line for line in wanted if 1 <= line <= LAST_LINE}
        return {
            "breakpoints": [
                {"id": line, "verified": True, "line": line, "source": arguments["source"]}
                if line in self.breakpoints
                else {"verified": False, "message": "there is no such line", "reason": "failed"}
                for line in wanted
            ]
        }

    @request("setFunctionBreakpoints")
    def set_function_breakpoints(self, client: Client, arguments: protocol.SetFunctionBreakpointsArguments) -> Any:
        return {"breakpoints": [{"verified": False} for _ in arguments["breakpoints"]]}

    @request("setInstructionBreakpoints")
    def set_instruction_breakpoints(
        self, client: Client, arguments: protocol.SetInstructionBreakpointsArguments
    ) -> Any:
        return {"breakpoints": [{"verified": False} for _ in arguments["breakpoints"]]}

    @request("setDataBreakpoints")
    def set_data_breakpoints(self, client: Client, arguments: protocol.SetDataBreakpointsArguments) -> Any:
        return {"breakpoints": [{"verified": True} for _ in arguments["breakpoints"]]}

    @request("setExceptionBreakpoints")
    def set_exception_breakpoints(self, client: Client, arguments: protocol.SetExceptionBreakpointsArguments) -> Any:
        return {"breakpoints": [{"verified": name == "fault"} for name in arguments["filters"]]}

    @request("dataBreakpointInfo")
    def data_breakpoint_info(self, client: Client, arguments: protocol.DataBreakpointInfoArguments) -> Any:
        if arguments["name"] != "line":
            return {"dataId": None, "description": "there is no such variable"}
        return {"dataId": "line", "description": "line", "accessTypes": ["write"]}

    @request("breakpointLocations")
    def breakpoint_locations(self, client: Client, arguments: protocol.BreakpointLocationsArguments) -> Any:
        last = min(arguments.get("endLine", arguments["line"]), LAST_LINE)
        return {"breakpoints": [{"line": line} for line in range(max(arguments["line"], 1), last + 1)]}

    # --- execution --------------------------------------------------------------------------------------------------

    def stopped(self, reason: str) -> StoppedEvent:
        return {"reason": reason, "threadId": THREAD, "allThreadsStopped": True}

    def pause(self) -> StoppedEvent:
        return self.stopped("pause")

    def run(self, client: Client, go: Callable[[], StoppedEvent | Ended]) -> Run:
        progress = client.progress("Running")

        def advance() -> StoppedEvent | Ended | None:
            self.advances += 1
            if self.program == "broken":
                raise ValueError("a bug\nof two lines")
            if self.program == "endless":
                self.began.set()
                for _ in range(LONGEST_WAIT * 100):
                    progress.update("still running")
                    if self.interrupted.wait(0.01):
                        return None
            return go()

        return Run(advance, self.pause, {"allThreadsContinued": True})

    def go(self, direction: int) -> StoppedEvent | Ended:
        while 1 <= self.line + direction <= LAST_LINE:
            self.line += direction
            if self.line in self.breakpoints:
                return {**self.stopped("breakpoint"), "hitBreakpointIds": [self.line]}
        return Ended() if direction > 0 else self.stopped("entry")

    @request("continue")
    def continue_(self, client: Client, arguments: protocol.ThreadArguments) -> Run:
        return self.run(client, lambda: self.go(1))

    @request("reverseContinue")
    def reverse_continue(self, client: Client, arguments: protocol.ThreadArguments) -> Run:
        return self.run(client, lambda: self.go(-1))

    def step(self, client: Client, direction: int) -> Run:
        def go() -> StoppedEvent:
            self.line = min(max(self.line + direction, 1), LAST_LINE)
            return self.stopped("step")

        return self.run(client, go)

    @request("next")
    def next(self, client: Client, arguments: protocol.StepArguments) -> Run:
        return self.step(client, 1)

    @request("stepIn")
    def step_in(self, client: Client, arguments: protocol.StepInArguments) -> Run:
        return self.step(client, 1)

    @request("stepOut")
    def step_out(self, client: Client, arguments: protocol.StepArguments) -> Run:
        return self.step(client, 1)

    @request("stepBack")
    def step_back(self, client: Client, arguments: protocol.StepArguments) -> Run:
        return self.step(client, -1)

    @request("gotoTargets")
    def goto_targets(self, client: Client, arguments: protocol.GotoTargetsArguments) -> Any:
        return {"targets": [{"id": arguments["line"], "label": "here", "line": arguments["line"]}]}

    @request("goto")
    def goto(self, client: Client, arguments: protocol.GotoArguments) -> Run:
        if not 1 <= arguments["targetId"] <= LAST_LINE:
            raise InputError(f"there is no target {arguments['targetId']}")
        self.line = arguments["targetId"]
        return Run(lambda: self.stopped("goto"), self.pause)

    # --- looking ----------------------------------------------------------------------------------------------------

    @request("threads")
    def threads(self, client: Client, arguments: protocol.NoArguments) -> Any:
        return {"threads": [{"id": THREAD, "name": "cpu 0"}]}

    @request("stackTrace")
    def stack_trace(self, client: Client, arguments: protocol.StackTraceArguments) -> Any:
        frame = {
            "id": 1,
            "name": "main",
            "line": self.line,
            "column": 1,
            "source": {"name": "program.bpf.c", "path": self.path},
            "instructionPointerReference": f"{8 * self.line:#x}",
        }
        return {"stackFrames": [frame, {"id": 2, "name": "caller", "line": 0, "column": 0}], "totalFrames": 2}

    @request("scopes")
    def scopes(self, client: Client, arguments: protocol.FrameArguments) -> Any:
        return {"scopes": [{"name": "Locals", "variablesReference": LOCALS, "expensive": False}]}

    @request("variables")
    def variables(self, client: Client, arguments: protocol.VariablesArguments) -> Any:
        if arguments["variablesReference"] != LOCALS:
            raise InputError(f"there are no variables {arguments['variablesReference']} any more")
        return {"variables": [{"name": "line", "value": str(self.line), "variablesReference": 0}]}

    @request("evaluate")
    def evaluate(self, client: Client, arguments: protocol.EvaluateArguments) -> Any:
        expression = arguments["expression"]
        if expression == "slow":
            self.wait_for_interrupt()
        if expression == "bug":
            raise KeyError("a bug")
        if expression == "nonsense":
            return {"result": 5}
        if expression == "edit":
            client.event("invalidated", {"areas": ["variables"]})
            client.event("memory", {"memoryReference": "0x0", "offset": 0, "count": 16})
        if expression not in ("line", "edit"):
            raise InputError(f"{expression!r} is no expression", column=1)
        return {"result": str(self.line), "variablesReference": 0}

    @request("completions")
    def completions(self, client: Client, arguments: protocol.CompletionsArguments) -> Any:
        return {"targets": [{"label": "line", "start": 0, "length": arguments["column"] - 1}]}

    @request("source")
    def source(self, client: Client, arguments: protocol.SourceArguments) -> Any:
        if arguments["sourceReference"] != SOURCE_REFERENCE:
            raise InputError(f"there is no source {arguments['sourceReference']}")
        return {"content": SOURCE, "mimeType": "text/x-c"}

    @request("loadedSources")
    def loaded_sources(self, client: Client, arguments: protocol.NoArguments) -> Any:
        return {"sources": [{"name": "program.bpf.c", "path": FILE}]}

    @request("readMemory")
    def read_memory(self, client: Client, arguments: protocol.ReadMemoryArguments) -> Any:
        data = bytes(self.memory[: max(arguments["count"], 0)])
        return {"address": "0x0", "data": b64encode(data).decode(), "unreadableBytes": arguments["count"] - len(data)}

    @request("writeMemory")
    def write_memory(self, client: Client, arguments: protocol.WriteMemoryArguments) -> Any:
        try:
            data = b64decode(arguments["data"], validate=True)
        except ValueError as error:
            raise InputError(f"the data is not base64: {error}") from None
        self.memory[: len(data)] = data
        return {"bytesWritten": len(data)}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()

    def serve(channel: Channel) -> bool:
        return Server(FakeBackend(), channel).serve()

    if options.port is not None:
        serve_tcp(serve, options.port, once=options.once, announce=lambda line: print(line, flush=True))
        return 0
    with standard_streams() as channel:
        print("a line that must not get between the messages")
        return 0 if serve(channel) else 1


if __name__ == "__main__":
    sys.exit(main())
