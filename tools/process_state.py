"""What a process looks like to somebody who asks whether a tracer has left anything in it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

from pybpftime.attach import proc

SIGTRAP_BIT = 1 << signal.SIGTRAP - 1


@dataclass(frozen=True, slots=True)
class State:
    """The code of a process that differs from its files, memory without a file that may be executed, and SIGTRAP.

    `blocked` are the signals that each thread blocks.
    """

    changed_code: tuple[str, ...]
    areas: tuple[str, ...]
    caught: bool
    ignored: bool
    blocked: tuple[int, ...]
    tracer: int


def state(pid: int) -> State:
    """The state of a process now."""
    mappings = proc.read_mappings(pid)
    status = proc.read_status(pid)
    return State(
        tuple(changed_code(pid, mappings)),
        tuple(hex(one.start) for one in mappings if one.executable and not one.path),
        bool(status.caught & SIGTRAP_BIT),
        bool(status.ignored & SIGTRAP_BIT),
        tuple(proc.read_status(pid, tid).blocked for tid in proc.threads(pid)),
        status.tracer,
    )


def changed_code(pid: int, mappings: list[proc.Mapping]) -> list[str]:
    """Where executable memory of files is not what the program headers of the file say."""
    changed = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for mapping in mappings:
            if not (mapping.executable and mapping.of_file):
                continue
            for start, content in _code(Path(mapping.path)):
                first, last = max(start, mapping.offset), min(start + len(content), mapping.offset + _size(mapping))
                if first < last:
                    memory.seek(mapping.start + first - mapping.offset)
                    found = memory.read(last - first)
                    if found != content[first - start : last - start]:
                        changed.append(mapping.path)
    return changed


def _size(mapping: proc.Mapping) -> int:
    return mapping.end - mapping.start


def _code(path: Path) -> list[tuple[int, bytes]]:
    """The executable segments of a file: where in the file they begin, and their bytes."""
    with path.open("rb") as file:
        segments = [one for one in ELFFile(file).iter_segments("PT_LOAD") if one["p_flags"] & 1]
        return [(one["p_offset"], one.data()) for one in segments]
