"""What the kernel says about its objects (BPF_OBJ_GET_INFO_BY_FD), as values."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

from pybpftime.kernel import attributes
from pybpftime.kernel.descriptor import read_info
from pybpftime.uapi import MapFlag, MapType, ProgramType

_Enum = TypeVar("_Enum", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class MapInfo:
    """`struct bpf_map_info`: `type` is a plain number when this kernel is newer than `MapType`."""

    id: int
    type: MapType | int
    name: str
    key_size: int
    value_size: int
    max_entries: int
    flags: MapFlag
    map_extra: int
    btf_id: int
    btf_key_type_id: int
    btf_value_type_id: int


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """`struct bpf_prog_info`.

    `tag` is the kernel's hash of the instructions (16 hex digits), `load_time_ns` counts from boot.
    `translated` holds the instructions after the verifier's rewriting, `jited` the machine code: both are empty
    where the kernel keeps them from us, `jited` also where its JIT is off.
    """

    id: int
    type: ProgramType | int
    name: str
    tag: str
    gpl_compatible: bool
    map_ids: tuple[int, ...]
    btf_id: int
    load_time_ns: int
    created_by_uid: int
    verified_instructions: int
    run_time_ns: int
    run_count: int
    translated: bytes = field(repr=False)
    jited: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BtfInfo:
    """`struct bpf_btf_info`: `name` is "vmlinux" or a module's for BTF of the kernel itself, else empty."""

    id: int
    name: str
    is_kernel: bool
    data: bytes = field(repr=False)


def map_info(fd: int) -> MapInfo:
    """Describe the map behind a descriptor.  HostError when the kernel refuses."""
    info = attributes.MapInfoStructure()
    read_info(fd, info, "describe a map")
    return MapInfo(
        id=info.id,
        type=_known(MapType, info.type),
        name=info.name.decode("ascii", "replace"),
        key_size=info.key_size,
        value_size=info.value_size,
        max_entries=info.max_entries,
        flags=MapFlag(info.map_flags),
        map_extra=info.map_extra,
        btf_id=info.btf_id,
        btf_key_type_id=info.btf_key_type_id,
        btf_value_type_id=info.btf_value_type_id,
    )


def program_info(fd: int) -> ProgramInfo:
    """Describe the program behind a descriptor, with its code.  HostError when the kernel refuses."""
    info = attributes.ProgramInfoStructure()
    read_info(fd, info, "describe a program")
    # The first call said how much there is.  The second one asks for it, with all other counts at zero: a count
    # without a pointer is refused.
    translated = ctypes.create_string_buffer(info.xlated_prog_len)
    jited = ctypes.create_string_buffer(info.jited_prog_len)
    map_ids = (ctypes.c_uint32 * info.nr_map_ids)()
    info = attributes.ProgramInfoStructure(
        xlated_prog_len=len(translated),
        xlated_prog_insns=ctypes.addressof(translated),
        jited_prog_len=len(jited),
        jited_prog_insns=ctypes.addressof(jited),
        nr_map_ids=len(map_ids),
        map_ids=ctypes.addressof(map_ids),
    )
    read_info(fd, info, "describe a program")
    return ProgramInfo(
        id=info.id,
        type=_known(ProgramType, info.type),
        name=info.name.decode("ascii", "replace"),
        tag=bytes(info.tag).hex(),
        gpl_compatible=bool(info.gpl_compatible),
        map_ids=tuple(map_ids[: info.nr_map_ids]),
        btf_id=info.btf_id,
        load_time_ns=info.load_time,
        created_by_uid=info.created_by_uid,
        verified_instructions=info.verified_insns,
        run_time_ns=info.run_time_ns,
        run_count=info.run_cnt,
        # The kernel clears the pointer of what it does not show (kernel.kptr_restrict and bpf_jit_harden).
        translated=translated.raw[: info.xlated_prog_len] if info.xlated_prog_insns else b"",
        jited=jited.raw[: info.jited_prog_len] if info.jited_prog_insns else b"",
    )


def btf_info(fd: int) -> BtfInfo:
    """Describe the BTF behind a descriptor, with its bytes.  HostError when the kernel refuses."""
    info = attributes.BtfInfoStructure()
    read_info(fd, info, "describe BTF")
    data = ctypes.create_string_buffer(info.btf_size)
    name = ctypes.create_string_buffer(info.name_len + 1)
    info = attributes.BtfInfoStructure(
        btf=ctypes.addressof(data),
        btf_size=len(data),
        name=ctypes.addressof(name),
        name_len=len(name),
    )
    read_info(fd, info, "describe BTF")
    return BtfInfo(
        id=info.id,
        name=name.value.decode("utf-8", "replace"),
        is_kernel=bool(info.kernel_btf),
        data=data.raw[: info.btf_size],
    )


def _known(kind: type[_Enum], number: int) -> _Enum | int:
    try:
        return kind(number)
    except ValueError:
        return number
