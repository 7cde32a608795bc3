"""Runs a program on a witness: the reference interpreter on exactly the input that the verifier predicts a fault for.

    report = verify(program, maps, replay=replayer(program, maps))

A run is one that can happen: fields, packets, elements and results that the program could not meet are not made up for
the sake of the witness; the answer then says what is impossible about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pybpftime.engines.reference import ReferenceExecutable
from pybpftime.engines.reference.steps import Step
from pybpftime.errors import BpfError, Fault, FaultKind, InputError, LimitExceeded
from pybpftime.helpers import HelperTable, default_helpers
from pybpftime.machine import LEVELS, Environment, Machine, Observer, Region
from pybpftime.maps.kinds import check
from pybpftime.maps.layout import layout_of
from pybpftime.maps.spec import MapSpec, like_libbpf
from pybpftime.program.contexts import Context, make_context
from pybpftime.program.contexts.packet_context import ETH_HLEN, PacketContext
from pybpftime.program.contexts.region import StructureRegion, TranslatedRegion
from pybpftime.program.contexts.skb import SkbContext
from pybpftime.program.contexts.xdp import LONGEST_METADATA
from pybpftime.program.spec import MapReference, ObjectSpec, ProgramSpec
from pybpftime.program.types import PROGRAM_TYPES, ContextKind, Field, FieldKind
from pybpftime.runtime.objects import Object
from pybpftime.runtime.replay_results import Demands
from pybpftime.uapi import MapFlag
from pybpftime.verifier.report import Replay, Replayed, Witness

DEFAULT_BUDGET = 2_000_000
"""Instructions that a replay may execute: a program that is still running then counts as one that does not end."""
LARGEST_MAPS = 256 << 20
"""Bytes of all maps together that are created for a replay."""
LENGTH_FIELD = "len"
PROGRAM_LIMITS = frozenset({"instructions", "depth"})
"""Limits that a program exceeds by what it does, as opposed to those of this runtime."""


def replayer(
    program: ProgramSpec,
    maps: Mapping[str, MapSpec],
    *,
    level: str = "linux",
    budget: int = DEFAULT_BUDGET,
    helpers: HelperTable | None = None,
    observers: Sequence[Observer] = (),
) -> Replay:
    """The function that runs `program` on a witness and says how that ended; `observers` watch each run.

    Each witness gets maps of its own.  Tail calls find no program: what is to be seen happens in this one.  An
    instruction that this runtime cannot serve is no fault of the program.  The function returns an answer whatever the
    witness is; it raises nothing.
    """

    def replay(witness: Witness) -> Replayed:
        try:
            live = prepare(program, maps, witness, level=level, helpers=helpers)
            return _replayed(live, program.name, witness, budget, observers)
        except BpfError as error:
            return Replayed(False, sentence=f"the witness cannot be replayed: {error}")
        except (MemoryError, RecursionError) as error:
            return Replayed(False, sentence=f"the witness cannot be replayed: {type(error).__name__} on this host")

    return replay


def _replayed(live: Object, name: str, witness: Witness, budget: int, observers: Sequence[Observer]) -> Replayed:
    executable = live.programs[name].executable
    executable.machine.observers = tuple(observers)
    context = WitnessContext(live.spec.programs[name], witness)
    try:
        outcome = executable.run(context, budget=budget)
    except Fault as fault:
        return Replayed(fault.kind is not FaultKind.TRAP, fault.pc, fault.kind, str(fault))
    except LimitExceeded as error:
        return Replayed(error.limit in PROGRAM_LIMITS, error.pc, sentence=str(error), limit=error.limit)
    return Replayed(False, sentence=f"the program returned {outcome.r0:#x} after {outcome.instructions} instructions")


def prepare(
    program: ProgramSpec,
    maps: Mapping[str, MapSpec],
    witness: Witness,
    *,
    level: str = "linux",
    helpers: HelperTable | None = None,
    environment: Environment | None = None,
) -> Object:
    """An object of the program alone, with its maps filled and its helpers answering as the witness demands.

    It runs on a `WitnessContext`.  InputError for a witness that demands what cannot be.
    """
    spec = _object(program, maps)
    slots = {slot for slot, _ in (*witness.results, *witness.written)}
    table = default_helpers() if helpers is None else helpers
    position = _Position()
    if slots:
        table = Demands(lambda: position.slot, witness.results, witness.written).imposed_on(table)
    _check_maps(spec)
    live = Object(spec, level=LEVELS[level], helpers=table, environment=environment)
    _fill_maps(live, witness)
    executable = live.programs[program.name].executable
    assert isinstance(executable, ReferenceExecutable)
    for slot in slots & set(range(len(executable.steps))):
        executable.steps[slot] = position.noted(slot, executable.steps[slot])
    return live


class _Position:
    """Where the run stands, as far as helpers want to know: the slot of the last call that something is demanded of."""

    def __init__(self) -> None:
        self.slot = 0

    def noted(self, slot: int, step: Step) -> Step:
        """The step function, which notes that it is executed.  The only program of the machine begins at 0."""

        def note() -> int:
            self.slot = slot
            return step()

        return note


# --- programs and maps ------------------------------------------------------------------------------------------------


def _object(program: ProgramSpec, maps: Mapping[str, MapSpec]) -> ObjectSpec:
    """An object of the program and the maps that it refers to, with nothing in its program arrays."""
    names = {one.name for one in program.references.values() if isinstance(one, MapReference)} & maps.keys()
    needed = {name: replace(maps[name], values=()) for name in sorted(names)}
    return ObjectSpec(program.file, {program.name: program}, needed, program.btf, program.license)


def _check_maps(spec: ObjectSpec) -> None:
    """InputError for maps that cannot be created here, before memory is taken for any."""
    size = 0
    for map in spec.maps.values():
        check(map)
        size += layout_of(like_libbpf(map, 1), 1).slab_size
    if size > LARGEST_MAPS:
        raise InputError(f"the maps need {size} bytes, and a replay has at most {LARGEST_MAPS}")


def _fill_maps(live: Object, witness: Witness) -> None:
    """The elements of the witness, put in as a program would."""
    for name, elements in witness.maps.items():
        if name not in live.maps:
            continue
        map = live.maps[name].raw
        spec = map.spec
        for key, start in elements:
            value = start.ljust(map.value_size, b"\0")
            if len(value) > map.value_size:
                raise InputError(f"map {name}: a value has {map.value_size} bytes, not {len(value)}")
            if spec.contents is not None and spec.flags & MapFlag.BPF_F_RDONLY_PROG:
                if value != spec.contents.ljust(map.value_size, b"\0"):
                    raise InputError(f"map {name} is read-only data: it has the contents of the object")
                continue
            map.update_element(map.checked_key(key), value, 0, live.environment.cpu if map.kind.per_cpu else 0)


# --- the context ------------------------------------------------------------------------------------------------------


class WitnessContext(Context):
    """A context of the program's type that has what the witness demands."""

    def __init__(self, program: ProgramSpec, witness: Witness) -> None:
        self._context = _new_context(program, witness)
        self._witness = witness

    def enter(self, machine: Machine) -> tuple[int, ...]:
        """Helpers see the context itself; fields are set where a load finds them."""
        machine.context = self._context
        arguments = self._context.enter(machine)
        region = machine.memory.find(arguments[0])
        for offset, content in sorted(self._witness.context.items()):
            if region is None:
                raise InputError("the context has no fields")
            _demand(region, offset, content)
        return arguments

    @property
    def packet(self) -> bytes | None:
        return self._context.packet

    def fields(self) -> dict[str, Any]:
        return self._context.fields()


def _new_context(program: ProgramSpec, witness: Witness) -> Context:
    """A context of zeros, as large as Linux lets programs access it, with the packet of the witness."""
    info = PROGRAM_TYPES[program.type]
    layout = info.layout_for(program.attach_type)
    if not info.takes_packet:
        content = None if info.context in (None, ContextKind.MEMORY) or layout is None else bytes(layout.size)
        return make_context(program.type, ctx=content, attach_type=program.attach_type)
    packet = witness.packet or b""
    made = _packet_context(program, packet.ljust(ETH_HLEN, b"\0"))
    if made.length < ETH_HLEN:  # the packet begins behind the Ethernet header
        made = _packet_context(program, bytes(ETH_HLEN) + packet)
    surplus = made.length - len(packet)
    if isinstance(made, SkbContext):
        made.adjust_tail(-surplus)
    made.end = made.head + len(packet)
    length = len(witness.metadata)
    if length % 4 or length > min(LONGEST_METADATA, made.head):
        raise InputError(f"a packet here has no metadata of {length} bytes in front of it")
    made.meta = made.head - length
    made.buffer[made.meta : made.head] = witness.metadata
    return made


def _packet_context(program: ProgramSpec, frame: bytes) -> PacketContext:
    made = make_context(program.type, packet=frame, attach_type=program.attach_type)
    assert isinstance(made, PacketContext)
    return made


def _demand(region: Region, offset: int, content: bytes) -> None:
    """Give bytes of the context the values that are demanded; InputError for what they can never be."""
    if not isinstance(region, StructureRegion) or offset + len(content) > len(region.data):
        raise InputError(f"the context has no byte {offset + len(content) - 1}")
    if not isinstance(region, TranslatedRegion):
        region.data[offset : offset + len(content)] = content
        return
    end = offset + len(content)
    while offset < end:
        field = region.layout.field_at(offset)
        stop = min(end, offset + 1 if field is None else field.end)
        if field is not None and field.kind is FieldKind.SCALAR:
            _demand_of_field(region, field, offset, content[: stop - offset])
        content, offset = content[stop - offset :], stop


def _demand_of_field(region: TranslatedRegion, field: Field, offset: int, content: bytes) -> None:
    """The same of bytes of one field.  Those beyond the bits that the kernel has for it are 0.

    The length of a socket buffer may be more than what lies between data and data_end, never less.
    """
    before = bytes(region.data[field.offset : field.end])
    start = offset - field.offset
    wanted = before[:start] + content + before[start + len(content) :]
    if field.width and any(wanted[field.width :]):
        raise InputError(f"{region.layout.name}.{field.name} has {8 * field.width} bits")
    if field.name == LENGTH_FIELD and wanted[::-1] < before[::-1]:
        raise InputError(f"{region.layout.name}.{field.name} is no less than the length of the packet's data")
    region.data[field.offset : field.end] = wanted
