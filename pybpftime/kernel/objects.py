"""A whole object in the kernel: its maps created, its programs loaded, as libbpf would.

The peer of `runtime.Object`: the same ObjectSpec, run by Linux.  Nothing is attached or pinned; closing removes
everything.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Self

from pybpftime.errors import HostError, InputError
from pybpftime.isa import Immediate, Instruction, encode_program, sign_extend
from pybpftime.kernel.btf import KernelBtf
from pybpftime.kernel.maps import KernelMap, possible_cpu_count
from pybpftime.kernel.programs import DebugInfo, KernelProgram
from pybpftime.kernel.syscall import KernelRejection
from pybpftime.maps import MapSpec, like_libbpf
from pybpftime.program.spec import Extern, MapReference, ObjectSpec, ProgramSpec, Trap
from pybpftime.uapi import MapFlag, ProgramFlag


class KernelObjectFile:
    """Maps and programs of an ObjectSpec in the kernel; a context manager.

    Programs are loaded when they are asked for, with this `log_level` (`KernelProgram.load`).  HostError when the
    kernel refuses a map, KernelRejection with the verifier's log when it refuses a program, InputError for what cannot
    be handed over at all.
    """

    def __init__(self, spec: ObjectSpec, *, log_level: int = 0) -> None:
        self.spec = spec
        self.log_level = log_level
        self._resources = ExitStack()
        self._programs: dict[str, KernelProgram] = {}
        try:
            self.btf = self._load_btf()
            self.maps: Mapping[str, KernelMap] = {name: self._create(map) for name, map in spec.maps.items()}
            for name, map in spec.maps.items():
                self._fill(name, map)
        except BaseException:
            self._resources.close()
            raise

    def _load_btf(self) -> KernelBtf | None:
        if self.spec.btf is None:
            return None
        try:
            return self._resources.enter_context(KernelBtf.load(self.spec.btf.to_bytes()))
        except KernelRejection:
            return None  # a newer compiler's kinds: libbpf goes on without, too

    def _create(self, spec: MapSpec) -> KernelMap:
        """Create a map with its BTF types, or without them where the kernel takes none: libbpf does the same."""
        if self.btf is not None and (spec.key_type_id or spec.value_type_id):
            try:
                return self._create_map(spec, self.btf)
            except HostError:
                if spec.spin_lock_offset is not None:
                    raise
        return self._create_map(spec, None)

    def _create_map(self, spec: MapSpec, btf: KernelBtf | None) -> KernelMap:
        spec = like_libbpf(spec, possible_cpu_count())
        map = KernelMap.create(
            spec.type,
            spec.key_size,
            spec.value_size,
            spec.max_entries,
            flags=spec.flags,
            name=_kernel_name(spec.name),
            map_extra=spec.extra,
            btf=btf,
            btf_key_type_id=spec.key_type_id if btf is not None else 0,
            btf_value_type_id=spec.value_type_id if btf is not None else 0,
        )
        return self._resources.enter_context(map)

    def _fill(self, name: str, spec: MapSpec) -> None:
        map = self.maps[name]
        if spec.contents is not None:
            map.update(bytes(4), spec.contents.ljust(spec.value_size, b"\0"))
            if spec.flags & MapFlag.BPF_F_RDONLY_PROG:
                map.freeze()
        for index, target in spec.values:
            map.update_object(struct.pack("=I", index), self.program(target))

    def program(self, name: str) -> KernelProgram:
        """The program `name`, loaded."""
        if name not in self._programs:
            self._programs[name] = self._resources.enter_context(self._load(self.spec.programs[name]))
        return self._programs[name]

    def _load(self, spec: ProgramSpec) -> KernelProgram:
        flags = ProgramFlag(0)
        if "sleepable" in spec.flags:
            flags |= ProgramFlag.BPF_F_SLEEPABLE
        if "frags" in spec.flags:
            flags |= ProgramFlag.BPF_F_XDP_HAS_FRAGS
        return KernelProgram.load(
            spec.type,
            self._linked(spec),
            license=spec.license,
            name=_kernel_name(spec.name),
            expected_attach_type=spec.attach_type or 0,
            flags=flags,
            log_level=self.log_level,
            debug_info=self._debug_info(spec),
        )

    def _linked(self, spec: ProgramSpec) -> bytes:
        """The instructions with descriptors of the maps in place of references."""
        program: list[Instruction | None] = list(spec.instructions)
        for slot, reference in spec.references.items():
            instruction = program[slot]
            assert instruction is not None
            match reference:
                case MapReference(name, offset):
                    kind = Immediate.MAP_BY_FD if offset is None else Immediate.MAP_VALUE_BY_FD
                    program[slot] = replace(
                        instruction,
                        src_reg=kind.value,
                        imm=self.maps[name].fileno(),
                        next_imm=sign_extend(offset or 0, 32),
                    )
                case Extern(name):
                    raise InputError(f"{spec.name} refers to {name}, which cannot be resolved here", instruction=slot)
                case Trap(reason):
                    raise InputError(f"{spec.name}: {reason}", instruction=slot)
        return encode_program(program)

    def _debug_info(self, spec: ProgramSpec) -> DebugInfo | None:
        if self.btf is None or not spec.functions or not all(function.type_id for function in spec.functions):
            return None
        functions = b"".join(struct.pack("=II", function.start, function.type_id) for function in spec.functions)
        return DebugInfo(self.btf, functions)

    def close(self) -> None:
        """Close every program and map."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _kernel_name(name: str) -> str:
    """`name` as far as the kernel takes it for an object (bpf_obj_name_cpy): 15 letters, digits, underscores, dots."""
    return "".join(letter if (letter.isascii() and letter.isalnum()) or letter in "_." else "_" for letter in name)[:15]
