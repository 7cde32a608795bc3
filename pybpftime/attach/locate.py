"""From a target to an address: the file that a live process has mapped, the function in it, and where that is mapped.

Symbols are read from the very file that is mapped, although another may have taken its name since: the kernel shows it
as /proc/PID/map_files/START-END, to root only; others get it by its path if it was not deleted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from pybpftime.attach.proc import Mapping, executable, read_mappings
from pybpftime.attach.target import ONLY_AT_ENTRY, ProbeKind, ProbeTarget
from pybpftime.errors import HostError, InputError
from pybpftime.program.elf_symbols import ElfBinary, read_binary

THE_PROGRAM = "/proc/self/exe"
"""As the path of a target: the program that the process runs, whatever its name."""
MOST_FILES = 12
"""How many files an error lists."""

Files = dict[tuple[int, int], list[Mapping]]
"""Mappings by device and inode."""


class NotMapped(HostError):
    """The process has not mapped the code that is meant.  It may still do so."""


@dataclass(frozen=True, slots=True)
class Place:
    """`address` in the process shows byte `offset` of the file `path`; `symbol` is `name`, `name+0x4` or None."""

    address: int
    path: str
    offset: int
    symbol: str | None

    def __str__(self) -> str:
        return f"{self.path}:{self.symbol or hex(self.offset)}"


def locate(pid: int, target: ProbeTarget, mappings: Sequence[Mapping] | None = None) -> Place:
    """Where in process `pid` the target is; `mappings` are what `read_mappings` says if that is at hand.

    A path with a slash means that file, seen from the process's root, a relative one from our working directory; a name
    without one (`libc.so.6`, `libc`, `bash`) a file of that name or soname whose code is mapped.  HostError if no such
    file is mapped or it cannot be read, InputError if it has no such function or code there.
    """
    if mappings is None:
        mappings = read_mappings(pid)
    code = [mapping for mapping in mappings if mapping.of_file and mapping.executable]
    mapped = _file(pid, target.binary, code)
    path = mapped[0].path
    binary = _open(pid, mapped[0])
    if (binary.machine, binary.bits) != ("x86-64", 64):
        raise InputError(f"is for {binary.machine}, {binary.bits}-bit; only 64-bit x86-64 is served", file=path)
    offset, symbol = _place_in_file(binary, target)
    addresses = {
        mapping.start + offset - mapping.offset
        for mapping in mapped
        if mapping.offset <= offset < mapping.offset + mapping.end - mapping.start
    }
    if len(addresses) != 1:
        listed = " and ".join(f"{address:#x}" for address in sorted(addresses))
        reason = f"is mapped several times, at {listed}" if addresses else "is not mapped to be executed"
        raise (HostError if addresses else NotMapped)(f"byte {offset:#x} of {path} {reason}", pid=pid)
    return Place(addresses.pop(), path, offset, symbol)


def _place_in_file(binary: ElfBinary, target: ProbeTarget) -> tuple[int, str | None]:
    """The byte of the file that is meant, and what it is called."""
    if target.symbol is None:
        binary.require_code(target.offset)
        symbol = binary.symbol_at(target.offset)
        if target.kind is ProbeKind.URETPROBE and symbol is not None and "+" in symbol:
            where = f"byte {target.offset:#x} of the file is {symbol}"
            raise InputError(f"{where}, and {ONLY_AT_ENTRY}", file=binary.name)
        return target.offset, symbol
    offset = binary.offset_of(target.symbol) + target.offset
    size = binary.function(target.symbol).size
    if 0 < size <= target.offset:
        reason = f"{target.symbol}+{target.offset:#x} lies outside the function, which has {size} bytes"
        raise InputError(reason, file=binary.name)
    binary.require_code(offset)
    return offset, target.symbol + (f"+{target.offset:#x}" if target.offset else "")


def _file(pid: int, wanted: str, code: list[Mapping]) -> list[Mapping]:
    """The mappings of code that belong to the one file that `wanted` names."""
    files: Files = {}
    for mapping in code:
        files.setdefault((mapping.device, mapping.inode), []).append(mapping)
    found = _by_path(pid, wanted, files) if "/" in wanted else _by_name(pid, wanted, files)
    if not found:
        raise NotMapped(_not_mapped(wanted, [mapping.path for mapping in code]), pid=pid)
    if len(found) > 1:
        listed = ", ".join(files[key][0].path for key in found[:MOST_FILES])
        raise HostError(f"{wanted} may be any of {len(found)} files that it has mapped: {listed}", pid=pid)
    return files[found[0]]


def _by_path(pid: int, wanted: str, files: Files) -> list[tuple[int, int]]:
    """By device and inode, or else by name: some file systems (overlay, btrfs) show mappings under another device."""
    if wanted == THE_PROGRAM:
        path = executable(pid)
        places = [f"/proc/{pid}/exe"]
    else:
        path = os.path.abspath(wanted)
        places = [f"/proc/{pid}/root{path}", path]
    for place in places:
        try:
            status = os.stat(place)
        except (OSError, ValueError):
            continue
        if (status.st_dev, status.st_ino) in files:
            return [(status.st_dev, status.st_ino)]
    names = {path, os.path.realpath(path)}
    return [key for key, mappings in files.items() if mappings[0].path in names]


def _by_name(pid: int, wanted: str, files: Files) -> list[tuple[int, int]]:
    """The file of that name; else those whose soname it is; else the libraries that it is the stem of."""
    names = {key: os.path.basename(mappings[0].path) for key, mappings in files.items()}
    if found := [key for key, name in names.items() if name == wanted]:
        return found
    if found := [key for key, mappings in files.items() if _soname(pid, mappings[0]) == wanted]:
        return found
    return [key for key, name in names.items() if name.startswith((f"{wanted}.so", f"{wanted}-")) and ".so" in name]


def _soname(pid: int, mapping: Mapping) -> str | None:
    try:
        return _open(pid, mapping).soname
    except (HostError, InputError):
        return None


def _open(pid: int, mapping: Mapping) -> ElfBinary:
    """The headers of the file that is mapped."""
    exact = f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}"
    if _can_be_read(exact):
        return read_binary(exact, mapping.path)
    if mapping.deleted:
        program = f"/proc/{pid}/exe"
        if _inode(program) == mapping.inode and executable(pid) == mapping.path:
            return read_binary(program, mapping.path)
        reason = f"it has mapped {mapping.path}, which was deleted or replaced since; only root can read what is mapped"
        raise HostError(reason, pid=pid)
    return read_binary(f"/proc/{pid}/root{mapping.path}", mapping.path)


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def _can_be_read(path: str) -> bool:
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False


def _not_mapped(wanted: str, paths: list[str]) -> str:
    from difflib import get_close_matches  # slow to import, and seldom used

    paths = list(dict.fromkeys(paths))
    names = {os.path.basename(path): path for path in paths}
    near = [names[name] for name in get_close_matches(os.path.basename(wanted)[:200], names, n=3)]
    if near:
        return f"it has not mapped {wanted} as code; did you mean {' or '.join(near)}?"
    if not paths:
        return f"it has not mapped {wanted}, nor any other file, as code"
    more = ", ..." if len(paths) > MOST_FILES else ""
    return f"it has not mapped {wanted} as code; there is {', '.join(paths[:MOST_FILES])}{more}"
