"""Sessions on the programs of tests/programs and on assembly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pybpftime.debug.answers import AnswerBook
from pybpftime.debug.session import Session
from pybpftime.debug.state import capture
from pybpftime.debug.symbols import DebugFile
from pybpftime.debug.timeline import Invocation
from pybpftime.debug.world import World
from pybpftime.errors import InputError
from pybpftime.machine import LINUX, Environment, Strictness
from pybpftime.maps.perf_event_array import PerfBuffer
from pybpftime.program.packets import read_packets
from pybpftime.program.spec import ObjectSpec
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime import Object
from pybpftime.runtime.load import read_object

TESTS = Path(__file__).resolve().parent.parent
PROGRAMS = sorted((TESTS / "programs").glob("*.bpf.o"))
MIXED = TESTS / "captures" / "mixed.pcap"

every_object = pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name.removesuffix(".bpf.o"))


def packets(count: int, seed: int = 1) -> list[bytes]:
    """Random frames, and some that are parsed."""
    random = Random(seed)
    real = [packet.data for packet in read_packets(str(MIXED))]
    return [random.choice(real) if number % 2 else random.randbytes(80) for number in range(count)]


def invocations(spec: ObjectSpec, count: int = 2, programs: Sequence[str] = ()) -> Iterator[Invocation]:
    """Each program `count` times, in turn."""
    frames = packets(count)
    for number in range(count):
        for name in programs or spec.programs:
            takes_packet = PROGRAM_TYPES[spec.programs[name].type].takes_packet
            yield Invocation(name, frames[number] if takes_packet else None, label=f"run {number + 1} of {name}")


def session_of(
    path: Path,
    runs: Sequence[Invocation] | None = None,
    *,
    level: Strictness = LINUX,
    environment: Environment | None = None,
    **options: Any,
) -> Session:
    """A session on an object; on random packets unless `runs` says on what."""
    spec = read_object(path)
    book = AnswerBook(Environment() if environment is None else environment)
    try:
        made = Object(spec, level=level, environment=book)
    except InputError as error:
        pytest.skip(f"needs what this version does not have: {error}")
    return Session(made, list(invocations(spec)) if runs is None else runs, debug=DebugFile(path), **options)


def assembled(text: str, runs: int = 1, *, mem: bytes = b"", level: Strictness = LINUX, **options: Any) -> Session:
    """A session on a program in assembly, which runs on plain memory."""
    spec = read_object(text.encode(), name="test")
    (name,) = spec.programs
    made = Object(spec, level=level, environment=AnswerBook(Environment()))
    return Session(made, [Invocation(name, mem=mem or None) for _ in range(runs)], **options)


def everything(world: World) -> tuple[object, ...]:
    """All that there is at the step of the world, to compare."""
    state = capture(world.machine, [view.raw for view in world.object.maps.values()])
    return (
        world.step, world.index, world.pc, str(world.ending), state.registers, state.counters, state.references,
        [(held.slab, _without_owners(held.beside)) for held in state.maps], state.effects,
        [(frame.entry, frame.return_pc, frame.saved) for frame, _ in state.frames],
        [(kept.start, kept.end, kept.data, kept.content) for kept in state.regions],
    )  # fmt: skip


def _without_owners(beside: object) -> object:
    """What a map holds beside its slab, without the objects that hold it: those differ from session to session."""
    if isinstance(beside, tuple):
        return tuple(_without_owners(one) for one in beside if not isinstance(one, PerfBuffer))
    return beside
