"""Every request of the Debug Adapter Protocol 1.68: what it takes and gives, when it may come, or why it is not served.

The capabilities that `initialize` announces, the checks of arguments and states, and the page that lists each request
with its test are derived from this table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from pybpftime.debug.dap import bodies, protocol
from pybpftime.debug.dap.bodies import ExceptionBreakpointsFilter

DAP_VERSION = "1.68"


class State(Enum):
    """How far a client came.  The value is what an error says of it."""

    NEW = "initialize has not come"
    INITIALIZED = "nothing was launched or attached"
    CONFIGURING = "configurationDone has not come"
    ACTIVE = "a program is being debugged"
    ENDED = "the program has ended"


class DuringRun(Enum):
    """What becomes of a request that arrives while the program runs."""

    WAITS = auto()  # until the program stops
    SERVED = auto()  # the run is held up for it, and goes on
    ENDS_RUN = auto()


ANY_STATE = frozenset(State)
BEGUN = ANY_STATE - {State.NEW}
LOADED = frozenset({State.CONFIGURING, State.ACTIVE})
ACTIVE = frozenset({State.ACTIVE})


@dataclass(frozen=True, slots=True)
class Request:
    """One row.  `capabilities` are what the server announces when it handles the request.

    A row with `why_not` is answered by an error with that sentence.
    """

    command: str
    arguments: Any = protocol.NoArguments
    body: Any = bodies.NoBody
    states: frozenset[State] = ACTIVE
    during_run: DuringRun = DuringRun.WAITS
    capabilities: tuple[str, ...] = ()
    why_not: str | None = None


def _row(command: str, arguments: Any = protocol.NoArguments, body: Any = bodies.NoBody, **more: Any) -> Request:
    return Request(command, arguments, body, **more)


_ROWS = (
    # The session
    _row("initialize", protocol.InitializeArguments, bodies.CapabilitiesBody, states=frozenset({State.NEW})),
    _row("launch", protocol.LaunchArguments, states=frozenset({State.INITIALIZED})),
    _row("attach", protocol.AttachArguments, states=frozenset({State.INITIALIZED})),
    _row(
        "configurationDone",
        states=frozenset({State.CONFIGURING}),
        capabilities=("supportsConfigurationDoneRequest",),
    ),
    _row(
        "restart",
        protocol.RestartArguments,
        states=LOADED,
        during_run=DuringRun.ENDS_RUN,
        capabilities=("supportsRestartRequest",),
    ),
    _row(
        "terminate",
        protocol.TerminateArguments,
        states=BEGUN,
        during_run=DuringRun.ENDS_RUN,
        capabilities=("supportsTerminateRequest",),
    ),
    _row("disconnect", protocol.DisconnectArguments, states=ANY_STATE, during_run=DuringRun.ENDS_RUN),
    _row(
        "cancel",
        protocol.CancelArguments,
        states=ANY_STATE,
        during_run=DuringRun.SERVED,
        capabilities=("supportsCancelRequest",),
    ),
    # Breakpoints
    _row(
        "breakpointLocations",
        protocol.BreakpointLocationsArguments,
        bodies.BreakpointLocationsBody,
        states=LOADED,
        during_run=DuringRun.SERVED,
        capabilities=("supportsBreakpointLocationsRequest",),
    ),
    _row(
        "setBreakpoints",
        protocol.SetBreakpointsArguments,
        bodies.BreakpointsBody,
        states=LOADED,
        during_run=DuringRun.SERVED,
        capabilities=(
            "supportsConditionalBreakpoints",
            "supportsHitConditionalBreakpoints",
            "supportsLogPoints",
        ),
    ),
    _row(
        "setFunctionBreakpoints",
        protocol.SetFunctionBreakpointsArguments,
        bodies.BreakpointsBody,
        states=LOADED,
        during_run=DuringRun.SERVED,
        capabilities=("supportsFunctionBreakpoints",),
    ),
    _row(
        "setExceptionBreakpoints",
        protocol.SetExceptionBreakpointsArguments,
        bodies.BreakpointsBody,
        states=LOADED,
        during_run=DuringRun.SERVED,
        capabilities=("supportsExceptionFilterOptions",),
    ),
    _row(
        "dataBreakpointInfo",
        protocol.DataBreakpointInfoArguments,
        bodies.DataBreakpointInfoBody,
        states=LOADED,
        capabilities=("supportsDataBreakpointBytes",),
    ),
    _row(
        "setDataBreakpoints",
        protocol.SetDataBreakpointsArguments,
        bodies.BreakpointsBody,
        states=LOADED,
        during_run=DuringRun.SERVED,
        capabilities=("supportsDataBreakpoints",),
    ),
    _row(
        "setInstructionBreakpoints",
        protocol.SetInstructionBreakpointsArguments,
        bodies.BreakpointsBody,
        states=LOADED,
        during_run=DuringRun.SERVED,
        capabilities=("supportsInstructionBreakpoints",),
    ),
    # Execution
    _row("continue", protocol.ThreadArguments, bodies.ContinueBody),
    _row("next", protocol.StepArguments, capabilities=("supportsSteppingGranularity",)),
    _row("stepIn", protocol.StepInArguments),
    _row("stepOut", protocol.StepArguments),
    # One capability stands for both directions: clients show reverseContinue when stepBack is there.
    _row("stepBack", protocol.StepArguments, capabilities=("supportsStepBack",)),
    _row("reverseContinue", protocol.ThreadArguments),
    _row("restartFrame", protocol.FrameArguments, capabilities=("supportsRestartFrame",)),
    _row("goto", protocol.GotoArguments),
    _row("pause", protocol.ThreadArguments, states=LOADED, during_run=DuringRun.SERVED),
    _row(
        "stepInTargets",
        protocol.FrameArguments,
        bodies.StepInTargetsBody,
        capabilities=("supportsStepInTargetsRequest",),
    ),
    _row(
        "gotoTargets",
        protocol.GotoTargetsArguments,
        bodies.GotoTargetsBody,
        capabilities=("supportsGotoTargetsRequest",),
    ),
    # Looking and changing
    _row("threads", protocol.NoArguments, bodies.ThreadsBody, states=LOADED, during_run=DuringRun.SERVED),
    _row(
        "stackTrace",
        protocol.StackTraceArguments,
        bodies.StackTraceBody,
        capabilities=("supportsDelayedStackTraceLoading", "supportsValueFormattingOptions"),
    ),
    _row("scopes", protocol.FrameArguments, bodies.ScopesBody),
    _row("variables", protocol.VariablesArguments, bodies.VariablesBody),
    _row("setVariable", protocol.SetVariableArguments, bodies.SetVariableBody, capabilities=("supportsSetVariable",)),
    _row(
        "setExpression",
        protocol.SetExpressionArguments,
        bodies.SetExpressionBody,
        capabilities=("supportsSetExpression",),
    ),
    _row(
        "evaluate",
        protocol.EvaluateArguments,
        bodies.EvaluateBody,
        states=LOADED,
        capabilities=("supportsEvaluateForHovers", "supportsClipboardContext"),
    ),
    _row(
        "completions",
        protocol.CompletionsArguments,
        bodies.CompletionsBody,
        states=LOADED,
        during_run=DuringRun.SERVED,
        capabilities=("supportsCompletionsRequest",),
    ),
    _row(
        "exceptionInfo",
        protocol.ThreadArguments,
        bodies.ExceptionInfoBody,
        capabilities=("supportsExceptionInfoRequest",),
    ),
    _row(
        "readMemory", protocol.ReadMemoryArguments, bodies.ReadMemoryBody, capabilities=("supportsReadMemoryRequest",)
    ),
    _row(
        "writeMemory",
        protocol.WriteMemoryArguments,
        bodies.WriteMemoryBody,
        capabilities=("supportsWriteMemoryRequest",),
    ),
    _row(
        "disassemble",
        protocol.DisassembleArguments,
        bodies.DisassembleBody,
        states=LOADED,
        during_run=DuringRun.SERVED,
        capabilities=("supportsDisassembleRequest",),
    ),
    _row("locations", protocol.LocationsArguments, bodies.LocationsBody),
    # The program
    _row("source", protocol.SourceArguments, bodies.SourceBody, states=LOADED, during_run=DuringRun.SERVED),
    _row(
        "loadedSources",
        protocol.NoArguments,
        bodies.LoadedSourcesBody,
        states=LOADED,
        during_run=DuringRun.SERVED,
        capabilities=("supportsLoadedSourcesRequest",),
    ),
    _row(
        "modules",
        protocol.ModulesArguments,
        bodies.ModulesBody,
        states=LOADED,
        during_run=DuringRun.SERVED,
        capabilities=("supportsModulesRequest",),
    ),
    # Not served
    _row("terminateThreads", why_not="a virtual CPU cannot end alone; terminate ends the program on all of them"),
    _row("runInTerminal", why_not="this request goes from debug adapters to clients"),
    _row("startDebugging", why_not="this request goes from debug adapters to clients"),
)

REQUESTS = {row.command: row for row in _ROWS}
"""Command -> its row; all requests of the protocol, in the order of the documentation page."""

NOT_ANNOUNCED = {
    "supportsExceptionOptions": "there are no classes of exceptions; filters with conditions do it",
    "supportTerminateDebuggee": "a simulated program always ends with the session, a live process never does",
    "supportSuspendDebuggee": "a live process is never left stopped",
    "supportsTerminateThreadsRequest": "see terminateThreads",
    "supportsSingleThreadExecutionRequests": "all virtual CPUs follow one time line",
    "supportsANSIStyling": "output is plain text",
    "additionalModuleColumns": "the columns of every client suffice",
    "supportedChecksumAlgorithms": "compilers leave no checksums of BPF sources",
    "breakpointModes": "the requests for breakpoints name every kind there is",
}
"""Capability of the protocol -> why the server does not announce it."""


def capabilities(
    handled: Collection[str],
    exception_filters: Iterable[ExceptionBreakpointsFilter] = (),
    completion_triggers: Iterable[str] = (),
) -> dict[str, Any]:
    """The body of the response to `initialize` of a server that handles the commands in `handled`."""
    announced: dict[str, Any] = {name: True for row in _ROWS if row.command in handled for name in row.capabilities}
    if filters := list(exception_filters):
        announced["exceptionBreakpointFilters"] = filters
    if triggers := list(completion_triggers):
        announced["completionTriggerCharacters"] = triggers
    return announced
