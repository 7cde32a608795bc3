"""What the server sends: the bodies of responses and events, field by field (Debug Adapter Protocol 1.68).

Lines and columns count from 1 and paths are paths; `shapes` translates to the client's conventions.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from pybpftime.debug.dap.protocol import AccessType, Column, Line, Source

# --- parts ----------------------------------------------------------------------------------------------------------


class LinesAndColumns(TypedDict):
    """A range of a source text; without an end it is the one line."""

    line: Line
    column: NotRequired[Column]
    endLine: NotRequired[Line]
    endColumn: NotRequired[Column]


class Breakpoint(TypedDict):
    """Where a breakpoint came to lie; not `verified` is one that cannot be hit, and `message` says why."""

    verified: bool
    id: NotRequired[int]
    message: NotRequired[str]
    source: NotRequired[Source]
    line: NotRequired[Line]
    column: NotRequired[Column]
    endLine: NotRequired[Line]
    endColumn: NotRequired[Column]
    instructionReference: NotRequired[str]
    offset: NotRequired[int]
    reason: NotRequired[Literal["pending", "failed"]]


class Thread(TypedDict):
    id: int
    name: str


class StackFrame(TypedDict):
    """A frame.  One without a source has line and column 0."""

    id: int
    name: str
    line: Line
    column: Column
    source: NotRequired[Source]
    endLine: NotRequired[Line]
    endColumn: NotRequired[Column]
    canRestart: NotRequired[bool]
    instructionPointerReference: NotRequired[str]
    moduleId: NotRequired[int | str]
    presentationHint: NotRequired[Literal["normal", "label", "subtle"]]


class Scope(TypedDict):
    name: str
    variablesReference: int
    expensive: bool
    presentationHint: NotRequired[str]
    namedVariables: NotRequired[int]
    indexedVariables: NotRequired[int]
    source: NotRequired[Source]
    line: NotRequired[Line]
    column: NotRequired[Column]
    endLine: NotRequired[Line]
    endColumn: NotRequired[Column]


class VariablePresentationHint(TypedDict):
    kind: NotRequired[str]
    attributes: NotRequired[list[str]]
    visibility: NotRequired[str]
    lazy: NotRequired[bool]


class Variable(TypedDict):
    name: str
    value: str
    variablesReference: int
    type: NotRequired[str]
    presentationHint: NotRequired[VariablePresentationHint]
    evaluateName: NotRequired[str]
    namedVariables: NotRequired[int]
    indexedVariables: NotRequired[int]
    memoryReference: NotRequired[str]
    declarationLocationReference: NotRequired[int]
    valueLocationReference: NotRequired[int]


class Module(TypedDict):
    id: int | str
    name: str
    path: NotRequired[str]
    isOptimized: NotRequired[bool]
    isUserCode: NotRequired[bool]
    symbolStatus: NotRequired[str]
    addressRange: NotRequired[str]


class DisassembledInstruction(TypedDict):
    address: str
    instruction: str
    instructionBytes: NotRequired[str]
    symbol: NotRequired[str]
    location: NotRequired[Source]
    line: NotRequired[Line]
    column: NotRequired[Column]
    endLine: NotRequired[Line]
    endColumn: NotRequired[Column]
    presentationHint: NotRequired[Literal["normal", "invalid"]]


class CompletionItem(TypedDict):
    label: str
    text: NotRequired[str]
    sortText: NotRequired[str]
    detail: NotRequired[str]
    type: NotRequired[str]
    start: NotRequired[Column]
    length: NotRequired[int]


class StepInTarget(TypedDict):
    id: int
    label: str
    line: NotRequired[Line]
    column: NotRequired[Column]
    endLine: NotRequired[Line]
    endColumn: NotRequired[Column]


class GotoTarget(LinesAndColumns):
    id: int
    label: str
    instructionPointerReference: NotRequired[str]


class ExceptionDetails(TypedDict):
    message: NotRequired[str]
    typeName: NotRequired[str]
    fullTypeName: NotRequired[str]
    evaluateName: NotRequired[str]
    stackTrace: NotRequired[str]


class ExceptionBreakpointsFilter(TypedDict):
    filter: str
    label: str
    description: NotRequired[str]
    default: NotRequired[bool]
    supportsCondition: NotRequired[bool]
    conditionDescription: NotRequired[str]


# --- bodies of responses --------------------------------------------------------------------------------------------


class NoBody(TypedDict):
    """Of requests that are answered by success alone."""


class CapabilitiesBody(TypedDict):
    """What `requests.capabilities` says; the names are those of the table there."""


class BreakpointLocationsBody(TypedDict):
    breakpoints: list[LinesAndColumns]


class BreakpointsBody(TypedDict):
    """One for each breakpoint of the request, in its order."""

    breakpoints: list[Breakpoint]


class DataBreakpointInfoBody(TypedDict):
    """A `dataId` of None means that `description` says why there is none."""

    dataId: str | None
    description: str
    accessTypes: NotRequired[list[AccessType]]
    canPersist: NotRequired[bool]


class ContinueBody(TypedDict):
    allThreadsContinued: NotRequired[bool]


class ThreadsBody(TypedDict):
    threads: list[Thread]


class StackTraceBody(TypedDict):
    stackFrames: list[StackFrame]
    totalFrames: NotRequired[int]


class ScopesBody(TypedDict):
    scopes: list[Scope]


class VariablesBody(TypedDict):
    variables: list[Variable]


class SetVariableBody(TypedDict):
    value: str
    type: NotRequired[str]
    variablesReference: NotRequired[int]
    namedVariables: NotRequired[int]
    indexedVariables: NotRequired[int]
    memoryReference: NotRequired[str]


class SetExpressionBody(SetVariableBody):
    presentationHint: NotRequired[VariablePresentationHint]


class EvaluateBody(TypedDict):
    result: str
    variablesReference: int
    type: NotRequired[str]
    presentationHint: NotRequired[VariablePresentationHint]
    namedVariables: NotRequired[int]
    indexedVariables: NotRequired[int]
    memoryReference: NotRequired[str]
    valueLocationReference: NotRequired[int]


class SourceBody(TypedDict):
    content: str
    mimeType: NotRequired[str]


class ModulesBody(TypedDict):
    modules: list[Module]
    totalModules: NotRequired[int]


class LoadedSourcesBody(TypedDict):
    sources: list[Source]


class StepInTargetsBody(TypedDict):
    targets: list[StepInTarget]


class GotoTargetsBody(TypedDict):
    targets: list[GotoTarget]


class CompletionsBody(TypedDict):
    targets: list[CompletionItem]


class ExceptionInfoBody(TypedDict):
    exceptionId: str
    breakMode: Literal["never", "always", "unhandled", "userUnhandled"]
    description: NotRequired[str]
    details: NotRequired[ExceptionDetails]


class ReadMemoryBody(TypedDict):
    """`data` is base64; `unreadableBytes` counts those behind it that are in no region."""

    address: str
    unreadableBytes: NotRequired[int]
    data: NotRequired[str]


class WriteMemoryBody(TypedDict):
    offset: NotRequired[int]
    bytesWritten: NotRequired[int]


class DisassembleBody(TypedDict):
    """Exactly as many rows as were asked for; those outside of the program are marked `invalid`."""

    instructions: list[DisassembledInstruction]


class LocationsBody(LinesAndColumns):
    source: Source


# --- bodies of events -----------------------------------------------------------------------------------------------


class StoppedEvent(TypedDict):
    """`reason`: entry, step, breakpoint, function breakpoint, data breakpoint, instruction breakpoint, exception,
    goto, pause."""

    reason: str
    description: NotRequired[str]
    threadId: NotRequired[int]
    preserveFocusHint: NotRequired[bool]
    text: NotRequired[str]
    allThreadsStopped: NotRequired[bool]
    hitBreakpointIds: NotRequired[list[int]]


class ContinuedEvent(TypedDict):
    threadId: int
    allThreadsContinued: NotRequired[bool]


class ExitedEvent(TypedDict):
    exitCode: int


class TerminatedEvent(TypedDict):
    restart: NotRequired[Any]


class ThreadEvent(TypedDict):
    reason: str
    threadId: int


class OutputEvent(TypedDict):
    output: str
    category: NotRequired[str]
    group: NotRequired[Literal["start", "startCollapsed", "end"]]
    variablesReference: NotRequired[int]
    source: NotRequired[Source]
    line: NotRequired[Line]
    column: NotRequired[Column]


class BreakpointEvent(TypedDict):
    reason: str
    breakpoint: Breakpoint


class LoadedSourceEvent(TypedDict):
    reason: Literal["new", "changed", "removed"]
    source: Source


class ProcessEvent(TypedDict):
    name: str
    systemProcessId: NotRequired[int]
    isLocalProcess: NotRequired[bool]
    startMethod: NotRequired[Literal["launch", "attach", "attachForSuspendedLaunch"]]
    pointerSize: NotRequired[int]


class ProgressStartEvent(TypedDict):
    progressId: str
    title: str
    requestId: NotRequired[int]
    cancellable: NotRequired[bool]
    message: NotRequired[str]
    percentage: NotRequired[float]


class ProgressUpdateEvent(TypedDict):
    progressId: str
    message: NotRequired[str]
    percentage: NotRequired[float]


class ProgressEndEvent(TypedDict):
    progressId: str
    message: NotRequired[str]


class InvalidatedEvent(TypedDict):
    areas: NotRequired[list[str]]
    threadId: NotRequired[int]
    stackFrameId: NotRequired[int]


class MemoryEvent(TypedDict):
    memoryReference: str
    offset: int
    count: int


EVENTS: dict[str, type] = {
    "initialized": NoBody,
    "stopped": StoppedEvent,
    "continued": ContinuedEvent,
    "exited": ExitedEvent,
    "terminated": TerminatedEvent,
    "thread": ThreadEvent,
    "output": OutputEvent,
    "breakpoint": BreakpointEvent,
    "loadedSource": LoadedSourceEvent,
    "process": ProcessEvent,
    "progressStart": ProgressStartEvent,
    "progressUpdate": ProgressUpdateEvent,
    "progressEnd": ProgressEndEvent,
    "invalidated": InvalidatedEvent,
    "memory": MemoryEvent,
}
"""Event -> its body.  Events that the server never sends (module, capabilities) are not here."""
