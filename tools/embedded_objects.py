"""BPF object files wherever they are: files of their own, or embedded in programs that load them.

Tools that are built on libbpf skeletons carry their object as bytes in their read-only data.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from pybpftime.program.elf_file import HEADER_LENGTH, MAGIC, MAX_FILE, SECTION_HEADER_LENGTH

_IDENTITY = MAGIC + bytes((2, 1, 1))  # ELFCLASS64, ELFDATA2LSB, EV_CURRENT
_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")  # Elf64_Ehdr behind e_ident, which is skipped
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
_RELOCATABLE, _BPF = 1, 247  # ET_REL, EM_BPF
_WITHOUT_BYTES = frozenset({0, 8})  # SHT_NULL, SHT_NOBITS


def embedded_objects(data: bytes) -> Iterator[bytes]:
    """The relocatable BPF objects in `data`, in their order: all of it when it is one, else those inside it.

    An object ends where its last section or its section headers do.  What only looks like one, or would run past the
    end of `data`, is left out.
    """
    start = data.find(_IDENTITY)
    while start >= 0:
        size = _object_size(memoryview(data)[start:])
        if size is not None:
            yield data[start : start + size]
        start = data.find(_IDENTITY, start + (size or 1))


def _object_size(view: memoryview) -> int | None:
    """How many bytes the BPF object has that `view` begins with; None when it is none, or not whole."""
    if len(view) < HEADER_LENGTH:
        return None
    type, machine, _, _, _, start, _, _, _, _, entry_size, count, _ = _HEADER.unpack_from(view)
    end = start + count * SECTION_HEADER_LENGTH
    if (type, machine, entry_size) != (_RELOCATABLE, _BPF, SECTION_HEADER_LENGTH) or not count or end > len(view):
        return None
    for section in range(start, end, SECTION_HEADER_LENGTH):
        _, section_type, _, _, offset, size, *_ = _SECTION_HEADER.unpack_from(view, section)
        if section_type not in _WITHOUT_BYTES:
            end = max(end, offset + size)
    return end if end <= min(len(view), MAX_FILE) else None


def elf_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The ELF files among `paths` and in the folders among them, each once, whatever links lead to it."""
    seen: set[Path] = set()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            real = file.resolve()
            if real not in seen and _is_elf(real):
                seen.add(real)
                yield real


def _is_elf(path: Path) -> bool:
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE:
            return False
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def files_of_package(package: str) -> list[Path]:
    """The files of an installed Debian package; none where it is not installed, or dpkg is not there."""
    try:
        listing = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False)
    except OSError:
        return []
    paths = (Path(line) for line in listing.stdout.splitlines() if listing.returncode == 0)
    return [path for path in paths if path.is_file()]
