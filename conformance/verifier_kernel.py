"""What the running kernel's verifier says of a program: the same question that recorded answers answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from pybpftime.conformance.verifier_vectors import KernelAnswer
from pybpftime.errors import HostError, InputError
from pybpftime.isa import Immediate, Program, encode_program
from pybpftime.kernel import KernelMap, KernelProgram, KernelRejection
from pybpftime.maps.spec import MapSpec
from pybpftime.program.sections import FRAGS, SLEEPABLE
from pybpftime.program.spec import MapReference, ProgramSpec
from pybpftime.uapi import MapFlag, ProgramFlag, ProgramType

ATTACHED_BY_BTF = frozenset(
    {
        ProgramType.BPF_PROG_TYPE_TRACING,
        ProgramType.BPF_PROG_TYPE_STRUCT_OPS,
        ProgramType.BPF_PROG_TYPE_EXT,
        ProgramType.BPF_PROG_TYPE_LSM,
    }
)
"""Types whose programs the kernel takes with the BTF id of what they are attached to, and not without."""
_MISSING = re.compile(r"\bBTF\b|\bbtf\b|set via map_extra or mmap")
_FLAGS = {SLEEPABLE: ProgramFlag.BPF_F_SLEEPABLE, FRAGS: ProgramFlag.BPF_F_XDP_HAS_FRAGS}


def kernel_answer(spec: ProgramSpec, maps: Mapping[str, MapSpec], *, strict_alignment: bool = False) -> KernelAnswer:
    """Load the program with the maps that it refers to, and close everything.  Needs bpf(2).

    `excluded` is why the kernel could not be asked: a map that takes more than its sizes to create (BTF, an inner
    map), contents that are not known, an unresolved symbol, missing BTF, a privilege.  The message is the last line of
    the verifier's log.
    """
    if spec.type in ATTACHED_BY_BTF:
        return KernelAnswer(accepts=False, excluded=f"{spec.type.name} takes the BTF of what it is attached to")
    used = {reference.name for reference in spec.references.values() if isinstance(reference, MapReference)}
    beyond = [type(each).__name__ for each in spec.references.values() if not isinstance(each, MapReference)]
    if beyond:
        return KernelAnswer(accepts=False, excluded=f"it refers to {beyond[0]} values")
    flags = ProgramFlag.BPF_F_STRICT_ALIGNMENT if strict_alignment else ProgramFlag(0)
    for word in spec.flags & _FLAGS.keys():
        flags |= _FLAGS[word]
    try:
        with ExitStack() as stack:
            made = {name: stack.enter_context(_create(maps[name])) for name in sorted(used)}
            code = encode_program(_with_descriptors(spec, made))
            KernelProgram.load(
                spec.type, code, license=spec.license, expected_attach_type=spec.attach_type or 0, flags=flags
            ).close()
    except KernelRejection as rejection:
        message = rejection.reason.partition(": ")[2]
        missing = message if _MISSING.search(message) else None
        return KernelAnswer(accepts=False, message=message, excluded=missing)
    except (HostError, InputError) as error:
        return KernelAnswer(accepts=False, excluded=str(error))
    return KernelAnswer(accepts=True)


def _create(spec: MapSpec) -> KernelMap:
    if spec.inner or spec.spin_lock_offset is not None or spec.timer_offset is not None or spec.kernel_pointers:
        raise InputError(f"map {spec.name} takes BTF or another map to create")
    if spec.flags & MapFlag.BPF_F_RDONLY_PROG and spec.contents is None:
        raise InputError(f"the contents of {spec.name} are not known")
    return KernelMap.create(
        spec.type, spec.key_size, spec.value_size, spec.max_entries, flags=spec.flags, map_extra=spec.extra
    )


def _with_descriptors(spec: ProgramSpec, maps: Mapping[str, KernelMap]) -> Program:
    program = list(spec.instructions)
    for slot, reference in spec.references.items():
        instruction = program[slot]
        if instruction is not None and isinstance(reference, MapReference):
            is_value = reference.offset is not None
            kind = Immediate.MAP_VALUE_BY_FD if is_value else Immediate.MAP_BY_FD
            program[slot] = replace(instruction, src_reg=kind.value, imm=maps[reference.name].fileno())
    return tuple(program)
