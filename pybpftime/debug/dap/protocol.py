"""What clients send: the arguments of every supported request, field by field.

Names, types and which fields may be left out are those of the Debug Adapter Protocol 1.68; fields that nothing here
reads are not listed and are ignored when they come.  `Line`, `Column` and `FilePath` mark what `shapes` translates
between the client's conventions and ours: here lines and columns count from 1, and paths are paths, not URIs.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Annotated, Any, Literal, NotRequired, TypedDict


class Convention(Enum):
    """A kind of value that clients write in different ways; they say in `initialize` how."""

    LINE = auto()
    COLUMN = auto()
    PATH = auto()


Line = Annotated[int, Convention.LINE]
Column = Annotated[int, Convention.COLUMN]
FilePath = Annotated[str, Convention.PATH]

Granularity = Literal["statement", "line", "instruction"]
AccessType = Literal["read", "write", "readWrite"]


# --- structures that several requests share -------------------------------------------------------------------------


class Source(TypedDict):
    """A source text: a file by its path, or, with a `sourceReference` above 0, what the request `source` returns."""

    name: NotRequired[str]
    path: NotRequired[FilePath]
    sourceReference: NotRequired[int]
    presentationHint: NotRequired[Literal["normal", "emphasize", "deemphasize"]]
    origin: NotRequired[str]


class ValueFormat(TypedDict):
    hex: NotRequired[bool]


class StackFrameFormat(ValueFormat):
    parameters: NotRequired[bool]
    parameterTypes: NotRequired[bool]
    parameterNames: NotRequired[bool]
    parameterValues: NotRequired[bool]
    line: NotRequired[bool]
    module: NotRequired[bool]
    includeAll: NotRequired[bool]


class SourceBreakpoint(TypedDict):
    line: Line
    column: NotRequired[Column]
    condition: NotRequired[str]
    hitCondition: NotRequired[str]
    logMessage: NotRequired[str]


class FunctionBreakpoint(TypedDict):
    name: str
    condition: NotRequired[str]
    hitCondition: NotRequired[str]


class DataBreakpoint(TypedDict):
    dataId: str
    accessType: NotRequired[AccessType]
    condition: NotRequired[str]
    hitCondition: NotRequired[str]


class InstructionBreakpoint(TypedDict):
    instructionReference: str
    offset: NotRequired[int]
    condition: NotRequired[str]
    hitCondition: NotRequired[str]


class ExceptionFilterOptions(TypedDict):
    filterId: str
    condition: NotRequired[str]


# --- the session ----------------------------------------------------------------------------------------------------


class NoArguments(TypedDict):
    """Of requests whose arguments say nothing."""


class InitializeArguments(TypedDict):
    adapterID: str
    clientID: NotRequired[str]
    clientName: NotRequired[str]
    linesStartAt1: NotRequired[bool]
    columnsStartAt1: NotRequired[bool]
    pathFormat: NotRequired[str]
    supportsVariableType: NotRequired[bool]
    supportsVariablePaging: NotRequired[bool]
    supportsMemoryReferences: NotRequired[bool]
    supportsProgressReporting: NotRequired[bool]
    supportsInvalidatedEvent: NotRequired[bool]
    supportsMemoryEvent: NotRequired[bool]
    supportsANSIStyling: NotRequired[bool]


class LaunchArguments(TypedDict):
    """What to run on what; the names are those of the options of `pybpftime run`, and docs/reference/dap.md says more.

    `ctx` is an object of fields or a string of hex digits.
    """

    object: NotRequired[FilePath]
    program: NotRequired[str]
    pcap: NotRequired[FilePath]
    packet: NotRequired[str]
    ctx: NotRequired[dict[str, Any] | str]
    mem: NotRequired[str]
    maps: NotRequired[dict[str, Any]]
    variables: NotRequired[dict[str, Any]]
    environment: NotRequired[dict[str, Any]]
    cpus: NotRequired[int]
    helpers: NotRequired[list[FilePath]]
    level: NotRequired[Literal["lenient", "linux", "strict"]]
    limits: NotRequired[dict[str, Any]]
    budget: NotRequired[int]
    witness: NotRequired[FilePath]
    recording: NotRequired[FilePath]
    pid: NotRequired[int]
    command: NotRequired[list[str]]
    at: NotRequired[list[str]]
    sourcePaths: NotRequired[list[FilePath]]
    sourceMap: NotRequired[dict[str, Any]]
    cwd: NotRequired[FilePath]
    stopOnEntry: NotRequired[bool]
    noDebug: NotRequired[bool]


class AttachArguments(TypedDict):
    """What there is to join the server knows by itself."""

    stopOnEntry: NotRequired[bool]


class RestartArguments(TypedDict):
    """The launch arguments, where the client changed them since."""

    arguments: NotRequired[LaunchArguments]


class DisconnectArguments(TypedDict):
    restart: NotRequired[bool]
    terminateDebuggee: NotRequired[bool]


class TerminateArguments(TypedDict):
    restart: NotRequired[bool]


class CancelArguments(TypedDict):
    requestId: NotRequired[int]
    progressId: NotRequired[str]


# --- breakpoints ----------------------------------------------------------------------------------------------------


class BreakpointLocationsArguments(TypedDict):
    source: Source
    line: Line
    column: NotRequired[Column]
    endLine: NotRequired[Line]
    endColumn: NotRequired[Column]


class SetBreakpointsArguments(TypedDict):
    source: Source
    breakpoints: NotRequired[list[SourceBreakpoint]]
    lines: NotRequired[list[Line]]
    sourceModified: NotRequired[bool]


class SetFunctionBreakpointsArguments(TypedDict):
    breakpoints: list[FunctionBreakpoint]


class SetExceptionBreakpointsArguments(TypedDict):
    filters: list[str]
    filterOptions: NotRequired[list[ExceptionFilterOptions]]


class SetDataBreakpointsArguments(TypedDict):
    breakpoints: list[DataBreakpoint]


class SetInstructionBreakpointsArguments(TypedDict):
    breakpoints: list[InstructionBreakpoint]


class DataBreakpointInfoArguments(TypedDict):
    name: str
    variablesReference: NotRequired[int]
    frameId: NotRequired[int]
    bytes: NotRequired[int]
    asAddress: NotRequired[bool]


# --- execution ------------------------------------------------------------------------------------------------------


class ThreadArguments(TypedDict):
    """Of `continue`, `reverseContinue`, `pause` and `exceptionInfo`."""

    threadId: int


class StepArguments(TypedDict):
    """Of `next`, `stepOut` and `stepBack`.  Without a granularity the step is one of lines."""

    threadId: int
    granularity: NotRequired[Granularity]


class StepInArguments(StepArguments):
    targetId: NotRequired[int]


class FrameArguments(TypedDict):
    """Of `restartFrame`, `scopes` and `stepInTargets`."""

    frameId: int


class GotoTargetsArguments(TypedDict):
    source: Source
    line: Line
    column: NotRequired[Column]


class GotoArguments(TypedDict):
    threadId: int
    targetId: int


# --- looking and changing -------------------------------------------------------------------------------------------


class StackTraceArguments(TypedDict):
    threadId: int
    startFrame: NotRequired[int]
    levels: NotRequired[int]
    format: NotRequired[StackFrameFormat]


class VariablesArguments(TypedDict):
    variablesReference: int
    filter: NotRequired[Literal["indexed", "named"]]
    start: NotRequired[int]
    count: NotRequired[int]
    format: NotRequired[ValueFormat]


class SetVariableArguments(TypedDict):
    variablesReference: int
    name: str
    value: str
    format: NotRequired[ValueFormat]


class SourceArguments(TypedDict):
    sourceReference: int
    source: NotRequired[Source]


class ModulesArguments(TypedDict):
    startModule: NotRequired[int]
    moduleCount: NotRequired[int]


class EvaluateArguments(TypedDict):
    expression: str
    frameId: NotRequired[int]
    context: NotRequired[str]
    format: NotRequired[ValueFormat]


class SetExpressionArguments(TypedDict):
    expression: str
    value: str
    frameId: NotRequired[int]
    format: NotRequired[ValueFormat]


class CompletionsArguments(TypedDict):
    text: str
    column: Column
    line: NotRequired[Line]
    frameId: NotRequired[int]


class ReadMemoryArguments(TypedDict):
    memoryReference: str
    count: int
    offset: NotRequired[int]


class WriteMemoryArguments(TypedDict):
    memoryReference: str
    data: str
    offset: NotRequired[int]
    allowPartial: NotRequired[bool]


class DisassembleArguments(TypedDict):
    memoryReference: str
    instructionCount: int
    offset: NotRequired[int]
    instructionOffset: NotRequired[int]
    resolveSymbols: NotRequired[bool]


class LocationsArguments(TypedDict):
    locationReference: int
