"""A case as a program that verifiers judge, and that runs in the kernel and here on the same input.

Wrapped as for the kernel (`runtimes.wrapping`): its memory and its result are values of maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pybpftime.conformance.case import Case, Feature
from pybpftime.conformance.runtimes.in_process import BY_INDEX, map_references
from pybpftime.conformance.runtimes.wrapping import (
    RESULT_BYTES,
    Outline,
    exit_storing,
    load_address,
    load_number,
    outline,
    wrap,
)
from pybpftime.errors import InputError
from pybpftime.isa import Immediate, decode_program
from pybpftime.isa.encoding import SLOT_BYTES
from pybpftime.maps import MapSpec
from pybpftime.program.spec import MapReference, ProgramSpec
from pybpftime.uapi import MapType, ProgramType

NAME = "program"
KEY = bytes(4)
MEMORY, RESULT = "memory", "result"
_INSIDE = Immediate.MAP_VALUE_BY_INDEX


@dataclass(frozen=True, slots=True)
class Subject:
    """A program, the maps that it refers to, and what is in the values behind KEY before a run.

    `first` is the slot of the case's first instruction.
    """

    name: str
    program: ProgramSpec
    maps: Mapping[str, MapSpec]
    contents: Mapping[str, bytes]
    first: int

    @property
    def seen(self) -> tuple[str, ...]:
        """The maps by which a run shows what it did."""
        return (*self.contents, RESULT)


def subject_of(case: Case) -> Subject:
    """The case, wrapped.  InputError for one that cannot be."""
    if not case.code or len(case.code) % SLOT_BYTES:
        raise InputError("its bytes are no whole instructions")
    found = outline(case.code)
    _require_usable(case, found)
    content = case.memory or b""
    own = [(str(index), spec) for index, spec in enumerate(case.maps)]
    added = [(MEMORY, _value(MEMORY, len(content)))] if content else []
    added.append((RESULT, _value(RESULT, RESULT_BYTES)))
    names = [name for name, _ in (*own, *added)]
    entry = load_address(1, _INSIDE, names.index(MEMORY)) if content else load_number(1, 0)
    leave = exit_storing(load_address(1, _INSIDE, names.index(RESULT)))
    code, first = wrap(case.code, found, entry, len(content), leave)
    program = decode_program(bytes(code))
    references = {
        slot: MapReference(names[int(reference.name)], reference.offset)
        for slot, reference in map_references(program, len(names)).items()
    }
    spec = ProgramSpec(NAME, program, ProgramType.BPF_PROG_TYPE_SOCKET_FILTER, references=references)
    return Subject(case.name, spec, dict((*own, *added)), {MEMORY: content} if content else {}, first)


def _require_usable(case: Case, found: Outline) -> None:
    if Feature.UNWIND in case.features:
        raise InputError("it calls helper 5 of bpf_conformance, which Linux has as a clock")
    if found.reads_packet:
        raise InputError("it reads a packet in place of its memory")
    if any(kind not in BY_INDEX or not 0 <= number < len(case.maps) for _, kind, number in found.maps):
        raise InputError("it names a map that it does not have")


def _value(name: str, size: int) -> MapSpec:
    return MapSpec(name, MapType.BPF_MAP_TYPE_ARRAY, len(KEY), size, 1)
