"""Small programs for the verifier's tests: written as assembly, judged by the verifier and by the running kernel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pybpftime import kernel
from pybpftime.conformance.verifier_kernel import kernel_answer
from pybpftime.helpers.declarations import DECLARATIONS
from pybpftime.isa import Immediate
from pybpftime.isa.assembler import assemble
from pybpftime.maps.spec import MapSpec
from pybpftime.program.spec import MapReference, ProgramSpec
from pybpftime.program.types import program_type
from pybpftime.uapi import AttachType, MapFlag, MapType
from pybpftime.verifier import Report, verify

SAFE = "safe"
HELPERS = {one.name: one.id for one in DECLARATIONS.values() if one.id is not None}
MAP_NAME = re.compile(r"\b(map|value)\[(\w+)\](?:\s*\+\s*(\d+))?")

T = MapType
ARRAY = MapSpec("array", T.BPF_MAP_TYPE_ARRAY, 4, 48, 2)
SINGLE = MapSpec("single", T.BPF_MAP_TYPE_ARRAY, 4, 48, 1)
HASH = MapSpec("hash", T.BPF_MAP_TYPE_HASH, 8, 16, 4)
READ_ONLY = MapSpec("readonly", T.BPF_MAP_TYPE_ARRAY, 4, 16, 1, MapFlag.BPF_F_RDONLY_PROG)
WRITE_ONLY = MapSpec("writeonly", T.BPF_MAP_TYPE_ARRAY, 4, 16, 1, MapFlag.BPF_F_WRONLY_PROG)
RING = MapSpec("ring", T.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096)
SOCKETS = MapSpec("sockets", T.BPF_MAP_TYPE_SOCKMAP, 4, 4, 4)
PROGRAMS = MapSpec("programs", T.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4)
STORAGE = MapSpec("storage", T.BPF_MAP_TYPE_CGROUP_STORAGE, 16, 64, 0)
ARENA = MapSpec("arena", T.BPF_MAP_TYPE_ARENA, 0, 0, 4, MapFlag.BPF_F_MMAPABLE, extra=1 << 44)
LOCKED = MapSpec("locked", T.BPF_MAP_TYPE_ARRAY, 4, 16, 1, spin_lock_offset=4)
MAPS = {
    one.name: one
    for one in (ARRAY, SINGLE, HASH, READ_ONLY, WRITE_ONLY, RING, SOCKETS, PROGRAMS, STORAGE, ARENA, LOCKED)
}

LOOK_UP = """
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = map[array]
    call bpf_map_lookup_elem
"""
"""r0 is element 0 of `array`, which is certainly there."""
LOOK_UP_HASH = """
    *(u64 *)(r10 - 8) = 0
    r2 = r10
    r2 += -8
    r1 = map[hash]
    call bpf_map_lookup_elem
"""
"""r0 is an element of `hash`, or NULL."""
UNKNOWN = "call bpf_get_prandom_u32\n"
"""r0 is any number."""


@dataclass(frozen=True)
class Case:
    """A program and what the verifier says of it: SAFE, or the code of a reason.

    The kernel says the same, unless `kernel` is what it says instead: None where it cannot be asked.
    """

    name: str
    expected: str
    text: str
    type: str = "socket_filter"
    attach_type: AttachType | None = None
    maps: Mapping[str, MapSpec] = field(default_factory=lambda: MAPS)
    strict_alignment: bool = False
    kernel: str | None = "the same"
    flags: frozenset[str] = frozenset()

    @property
    def program(self) -> ProgramSpec:
        return program(self.text, self.type, attach_type=self.attach_type, flags=self.flags)

    def judged(self, **options: Any) -> Report:
        return verify(self.program, self.maps, strict_alignment=self.strict_alignment, **options)


def program(text: str, type: str = "socket_filter", **fields: Any) -> ProgramSpec:
    """The program that `text` writes; `map[name]` is a map, `value[name] + 8` the address of a byte of its value."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        names.append(match[2])
        handle = f"map_by_fd({len(names) - 1})"
        return handle if match[1] == "map" else f"map_val({handle}) + {match[3] or 0}"

    instructions = list(assemble(MAP_NAME.sub(number, text), helpers=HELPERS))
    references = {}
    for slot, one in enumerate(instructions):
        if one is None or one.opcode != 0x18:
            continue
        if one.src_reg == Immediate.MAP_BY_FD.value:
            references[slot] = MapReference(names[one.imm])
        elif one.src_reg == Immediate.MAP_VALUE_BY_FD.value:
            references[slot] = MapReference(names[one.imm], one.next_imm)
    return ProgramSpec("program", tuple(instructions), program_type(type), references=references, **fields)


def code_of(report: Report) -> str:
    """SAFE, or the code of the objection."""
    return SAFE if report.objection is None else report.objection.code


def kernel_contradicts(case: Case) -> str | None:
    """What the running kernel says if it does not accept exactly what is SAFE, or not do what the case says."""
    reason = kernel.available()
    if reason is not None:
        pytest.skip(f"needs bpf(2): {reason}")
    if case.kernel is None:
        return None
    answer = kernel_answer(case.program, case.maps, strict_alignment=case.strict_alignment)
    if answer.excluded is not None:
        pytest.skip(f"needs a kernel that can be asked: {answer.excluded}")
    accepts = case.expected == SAFE if case.kernel == "the same" else case.kernel == "accepts"
    return None if answer.accepts == accepts else answer.message or "the kernel accepts it"
