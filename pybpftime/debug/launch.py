"""From what a user wants to debug to a Session: the same for all faces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pybpftime.debug.answers import AnswerBook, fields_of
from pybpftime.debug.session import Output, Session
from pybpftime.debug.symbols import DebugFile
from pybpftime.debug.timeline import Invocation
from pybpftime.engines import DEFAULT_BUDGET
from pybpftime.errors import InputError
from pybpftime.helpers import HelperTable
from pybpftime.machine import LEVELS, Environment, Limits
from pybpftime.program.packets import Packet
from pybpftime.program.spec import ObjectSpec
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime import Object
from pybpftime.runtime.map_contents import fill_maps

DEFAULT_LEVEL = "strict"


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run on what.  `program` may be None where the object has one program only.

    A program that takes packets runs on each of `packets`; others once, on `ctx` or `mem`.  With several cpus the
    packets go to one after the other.  `content` are the bytes of the file that `spec` was read from, for its debug
    information; None if it has none.  `maps` and `variables` are contents before the first run.
    """

    spec: ObjectSpec
    content: bytes | None = None
    program: str | None = None
    packets: tuple[Packet, ...] = ()
    ctx: Mapping[str, Any] | bytes | None = None
    mem: bytes | None = None
    maps: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    environment: Environment | None = None
    level: str = DEFAULT_LEVEL
    limits: Limits | None = None
    helpers: HelperTable | None = None
    budget: int = DEFAULT_BUDGET


def open_session(launch: Launch, output: Output | None = None) -> Session:
    """A session before its first step.  InputError for what does not fit together."""
    environment = Environment() if launch.environment is None else launch.environment
    loaded = load(launch, AnswerBook(environment))
    chosen = loaded.program if launch.program is None else loaded[launch.program]
    info = PROGRAM_TYPES[chosen.type]
    if info.takes_packet and not launch.packets:
        raise InputError(f"{chosen.name} is of type {info.name} and runs on packets: none was given")
    invocations = list(_invocations(launch, chosen.name, environment))
    for one in invocations[:1]:
        one.context(chosen)  # says what does not fit, before anything runs
    return Session(loaded, invocations, debug=debug_file(launch), budget=launch.budget, output=output)


def load(launch: Launch, book: AnswerBook) -> Object:
    """The object, ready to run; InputError for what does not fit it."""
    if launch.level not in LEVELS:
        raise InputError(f"there is no level {launch.level!r}; there is {', '.join(LEVELS)}")
    loaded = Object(
        launch.spec,
        level=LEVELS[launch.level],
        environment=book,
        helpers=launch.helpers,
        limits=launch.limits,
        variables=launch.variables,
    )
    if launch.maps:
        fill_maps(loaded, launch.maps)
    return loaded


def debug_file(launch: Launch) -> DebugFile | None:
    """The debug information of the object, if it has a file."""
    return None if launch.content is None else DebugFile(launch.content)


def _invocations(launch: Launch, program: str, environment: Environment) -> Iterator[Invocation]:
    fields = fields_of(environment)
    if not launch.packets:
        yield Invocation(program, ctx=launch.ctx, mem=launch.mem, fields=fields, label="run 1")
        return
    for index, packet in enumerate(launch.packets):
        cpu = (environment.cpu + index) % environment.cpu_count
        yield Invocation(
            program, packet.data, launch.ctx, fields=fields | {"cpu": cpu}, label=f"packet {packet.number}"
        )
