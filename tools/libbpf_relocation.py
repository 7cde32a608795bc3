"""Objects that need CO-RE relocation, relocated for the running kernel by the libbpf of this host.

Our loader makes the specs, from a copy of the object without these relocations; libbpf supplies the instructions.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import functools
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace

from pybpftime.errors import HostError, InputError
from pybpftime.isa import Instruction, decode_program
from pybpftime.isa.encoding import SLOT_BYTES
from pybpftime.maps.spec import MapSpec
from pybpftime.program.elf import load_object
from pybpftime.program.elf_file import read_elf
from pybpftime.program.spec import Extern, MapReference, ObjectSpec, ProgramSpec, Reference, Trap
from pybpftime.uapi import MapFlag, MapType

_EXT_HEADER = struct.Struct("<HBBI6I")  # struct btf_ext_header, with core_relo_off and core_relo_len at its end
_POISON = 195896080  # 0xbad2310: libbpf turns what it cannot relocate into a call of this helper
_CALL = 0x85
_KCONFIG = ".kconfig"
_RETURN_POINTERS = (
    "bpf_object__open_mem", "bpf_object__next_program", "bpf_program__insns", "bpf_object__next_map",
    "bpf_map__initial_value",
)  # fmt: skip
_NONE = ctypes.c_void_p(None)


def load_relocated(data: bytes, name: str) -> ObjectSpec:
    """The object with its CO-RE relocations made.  Needs bpf(2), BTF of the kernel, and libbpf 1.0 or newer.

    HostError without libbpf, or when it does not open the object; InputError when our loader refuses it, or the two
    disagree about the number of a program's instructions.  An instruction that libbpf could not relocate is a Trap.
    """
    spec = load_object(_without_relocations(data), name=name)
    relocated, configuration = _relocated_programs(data)
    maps = dict(spec.maps)
    if configuration:
        size = len(configuration)
        flags = MapFlag.BPF_F_RDONLY_PROG
        maps[_KCONFIG] = MapSpec(_KCONFIG, MapType.BPF_MAP_TYPE_ARRAY, 4, size, 1, flags, contents=configuration)
    programs = {each.name: _with_instructions(each, relocated.get(each.name)) for each in spec.programs.values()}
    return replace(spec, programs=programs, maps=maps)


def as_libbpf_loads(spec: ProgramSpec) -> ProgramSpec:
    """For the kernel: an instruction that libbpf could not relocate is the invalid call that libbpf made of it."""
    left = {slot: reference for slot, reference in spec.references.items() if not _is_poisoned(spec.instructions[slot])}
    return spec if len(left) == len(spec.references) else replace(spec, references=left)


def _is_poisoned(instruction: Instruction | None) -> bool:
    return instruction is not None and (instruction.opcode, instruction.imm) == (_CALL, _POISON)


def _without_relocations(data: bytes) -> bytes:
    """A copy of the object whose `.BTF.ext` says that it has no CO-RE relocations."""
    section = read_elf(data).find(".BTF.ext")
    if section is None or section.size < _EXT_HEADER.size:
        return data
    header = bytes(section.data[: _EXT_HEADER.size])
    *fields, _length = _EXT_HEADER.unpack(header)
    at = data.index(bytes(section.data))
    return data[:at] + _EXT_HEADER.pack(*fields, 0) + data[at + _EXT_HEADER.size :]


def _with_instructions(spec: ProgramSpec, code: bytes | None) -> ProgramSpec:
    if code is None:
        raise InputError(f"libbpf has no program {spec.name}")
    found = decode_program(code)
    if len(found) != len(spec.instructions):
        raise InputError(f"{spec.name} has {len(found)} slots for libbpf and {len(spec.instructions)} here")
    references: dict[int, Reference] = dict(spec.references)
    for slot, instruction in enumerate(found):
        if instruction is None:
            continue
        if _is_poisoned(instruction):
            references[slot] = Trap("a CO-RE relocation could not be made")
        match references.get(slot):
            case Extern(kind="kconfig"):
                references[slot] = MapReference(_KCONFIG, instruction.next_imm)
    instructions = tuple(
        ours if slot in spec.references else theirs
        for slot, (ours, theirs) in enumerate(zip(spec.instructions, found, strict=True))
    )
    return replace(spec, instructions=instructions, references=references)


@functools.cache
def _libbpf() -> ctypes.CDLL:
    name = ctypes.util.find_library("bpf")
    if name is None:
        raise HostError("CO-RE relocation needs libbpf, which is not installed", errno=errno.ENOENT)
    library = ctypes.CDLL(name, use_errno=True)
    for function in _RETURN_POINTERS:
        getattr(library, function).restype = ctypes.c_void_p
    library.bpf_program__name.restype = library.bpf_map__name.restype = ctypes.c_char_p
    library.bpf_program__insn_cnt.restype = ctypes.c_size_t
    library.libbpf_set_print(_NONE)
    return library


def _relocated_programs(data: bytes) -> tuple[dict[str, bytes], bytes]:
    """The instructions of each program, and the values of `.kconfig`, after libbpf has loaded the object or tried to.

    It has relocated all programs before it loads the first, so what the kernel refuses is there too.
    """
    library = _libbpf()
    opened = library.bpf_object__open_mem(data, ctypes.c_size_t(len(data)), _NONE)
    if not opened:
        raise HostError("libbpf does not open the object", errno=ctypes.get_errno())
    handle = ctypes.c_void_p(opened)
    try:
        for program in _each(library.bpf_object__next_program, handle):
            library.bpf_program__set_autoload(program, True)
        library.bpf_object__load(handle)
        programs = {}
        for program in _each(library.bpf_object__next_program, handle):
            size = library.bpf_program__insn_cnt(program) * SLOT_BYTES
            name = library.bpf_program__name(program).decode()
            programs[name] = ctypes.string_at(library.bpf_program__insns(program), size)
        return programs, _configuration(library, handle)
    finally:
        library.bpf_object__close(handle)


def _configuration(library: ctypes.CDLL, handle: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    for map in _each(library.bpf_object__next_map, handle):
        if library.bpf_map__name(map).endswith(_KCONFIG.encode()):
            value = library.bpf_map__initial_value(map, ctypes.byref(size))
            return ctypes.string_at(value, size.value) if value else b""
    return b""


def _each(following: Callable[..., int | None], handle: ctypes.c_void_p) -> Iterator[ctypes.c_void_p]:
    """What a pair of libbpf's functions iterates over: programs or maps."""
    found = following(handle, _NONE)
    while found:
        yield ctypes.c_void_p(found)
        found = following(handle, ctypes.c_void_p(found))
