"""`load_object`: an ELF object file, as clang makes it for BPF, as an `ObjectSpec`."""

from __future__ import annotations

import os

from pybpftime.errors import InputError
from pybpftime.isa.encoding import SLOT_BYTES
from pybpftime.program.btf import Btf, BtfExt, DataSec, Kind
from pybpftime.program.elf_file import LOCAL, MAX_FILE, OBJECT, ElfFile, read_elf
from pybpftime.program.elf_functions import find_functions
from pybpftime.program.elf_link import Linker
from pybpftime.program.elf_maps import read_maps
from pybpftime.program.spec import ObjectSpec

MAX_LICENSE = 127  # the kernel's copy has 128 bytes with the terminating zero


def load_object(source: str | os.PathLike[str] | bytes, *, name: str | None = None) -> ObjectSpec:
    """Read a BPF object file: its programs, maps and types, with every relocation resolved.

    `source` is a path or the bytes of a file; `name` is what errors and the result call it, the path if left out.
    Nothing is created and no program is judged: an instruction that cannot be served is a `Trap` in the program's
    references.  What libbpf refuses is refused, except where a program's `notes` say otherwise.

    InputError, naming file and section, for a file that cannot be read, is no little-endian BPF object, is damaged
    in any way, or has a program that needs CO-RE relocation.
    """
    if isinstance(source, bytes):
        data, file = source, name
    else:
        file = name or os.fspath(source)
        data = _read_file(os.fspath(source), file)
    try:
        return _load(data, file)
    except InputError as error:
        raise error.at(file=file) from None


def _read_file(path: str, file: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot be read: {reason}", file=file) from None


def _load(data: bytes, file: str | None) -> ObjectSpec:
    elf = read_elf(data)
    btf = _read_btf(elf)
    ext_section = elf.find(".BTF.ext")
    ext = None if ext_section is None or btf is None else BtfExt.parse(bytes(ext_section.data), btf)
    functions = find_functions(elf)
    entries = functions.entries
    places = {(entry.section.index, entry.start * SLOT_BYTES): entry.name for entry in entries}
    maps = read_maps(elf, btf, places)
    linker = Linker(elf, btf, ext, maps, functions)
    license = _license(elf)
    programs = {entry.name: linker.link(entry, license=license, file=file) for entry in entries}
    return ObjectSpec(file, programs, maps.specs, btf, license, _version(elf))


def _read_btf(elf: ElfFile) -> Btf | None:
    section = elf.find(".BTF")
    if section is None:
        return None
    btf = Btf.parse(bytes(section.data), pointer_size=8)
    if btf.byteorder != "little":
        raise InputError("the types are big-endian in a little-endian object", section=section.name)
    return place_variables(elf, btf)


def place_variables(elf: ElfFile, btf: Btf) -> Btf:
    """`btf` with the size of each data section and the offsets of its variables, which clang leaves 0.

    Static variables have theirs already, and bpftool has filled in everything when it linked the object (as
    `btf_fixup_datasec` in libbpf knows).
    """
    sizes: dict[int, tuple[str, int]] = {}
    for section in elf.sections:
        type_id = btf.find(section.name, Kind.DATASEC) if section.name else None
        record = None if type_id is None else btf[type_id]
        if isinstance(record, DataSec) and record.size == 0 and section.size:
            sizes[section.index] = section.name, section.size
    offsets: dict[str, dict[str, int]] = {name: {} for name, _ in sizes.values()}
    for symbol in elf.symbols:
        if symbol.section in sizes and symbol.type == OBJECT and symbol.binding != LOCAL:
            offsets[sizes[symbol.section][0]][symbol.name] = symbol.value
    return btf.with_section_layout({name: (size, offsets[name]) for name, size in sizes.values()})


def _license(elf: ElfFile) -> str:
    section = elf.find("license")
    text = b"" if section is None else bytes(section.data[:MAX_LICENSE]).partition(b"\0")[0]
    return text.decode("utf-8", "backslashreplace")


def _version(elf: ElfFile) -> int | None:
    section = elf.find("version")
    if section is None:
        return None
    if section.size != 4:
        raise InputError(f"the version has {section.size} bytes and must have 4", section=section.name)
    return int.from_bytes(section.data, "little")
