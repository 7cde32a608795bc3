"""Writes docs/parity.md: what Linux and bpftime have and what pybpftime has, from the declarations themselves.

    python -m tools.gen_parity [--check]

Linux's lists are those of the instruction table, of pybpftime.uapi and of the helper declarations; bpftime's are
facts read in its source, at the commit named below.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pybpftime.helpers import KNOWN, default_helpers
from pybpftime.isa import TABLE
from pybpftime.isa.row import RFC, Row
from pybpftime.maps.kinds import MAP_KINDS
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.uapi import MapType, ProgramType
from tools.generated import write_or_check

TARGET = Path(__file__).resolve().parent.parent / "docs" / "parity.md"
LINUX = (6, 18)
BPFTIME_COMMIT = "ec26dae (August 2026)"

BPFTIME_MAPS = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 22, 23, 27, 30})
BPFTIME_HELPERS = frozenset(
    {1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 15, 16, 25, 27, 28, 36, 44, 45, 58, 65, 67, 87, 88, 89, 112, 113, 114, 125}
    | {130, 131, 132, 133, 160, 173, 174, 182, 183, 184, 186, 187}
)
BPFTIME_PROGRAM_TYPES = {
    ProgramType.BPF_PROG_TYPE_KPROBE: "uprobe, uretprobe, USDT (kprobe loads and never fires)",
    ProgramType.BPF_PROG_TYPE_TRACEPOINT: "system calls",
    ProgramType.BPF_PROG_TYPE_XDP: "through an external driver",
}
DEPRECATED_MAPS = ("BPF_MAP_TYPE_CGROUP_STORAGE_DEPRECATED", "BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE_DEPRECATED")

FEATURES = (
    ("Instruction by instruction interpreter", "where CONFIG_BPF_JIT_ALWAYS_ON is off", "no (LLVM JIT, ubpf)", "yes"),
    ("Faults that name region, distance, instruction and source line", "no", "no", "yes"),
    ("Source lines and BTF kept with the program", "yes", "dropped at load", "yes"),
    ("Levels of strictness", "no", "no", "lenient, linux, strict"),
    ("Instruction budget, call depth", "verifier", "no", "verifier, and at run time"),
    ("Test run on packets", "BPF_PROG_TEST_RUN", "no", "yes, captures too"),
    ("Coverage of source lines, instructions, branches", "no", "no", "lcov"),
    ("CO-RE relocations", "libbpf", "libbpf", "not yet"),
    ("Verifier", "yes", "PREVAIL, off by default", "yes, with z3; what it does not model is not proved"),
    ("uprobe and uretprobe in live processes", "yes", "yes, by Frida", "yes, on x86-64, by breakpoints"),
    ("USDT and tracepoints in live processes", "yes", "yes", "not yet"),
    ("JIT", "yes", "yes", "not yet"),
    ("Needs root or a kernel with BPF", "yes", "for loading with the kernel's help only", "no"),
)


def mark(condition: bool) -> str:
    """A cell."""
    return "yes" if condition else "-"


def document() -> str:
    """The whole text."""
    return "\n".join(lines()) + "\n"


def lines() -> Iterator[str]:
    """The document, line by line."""
    yield "# Parity"
    yield ""
    release = ".".join(map(str, LINUX))
    yield f"What Linux {release} has, what bpftime has, what pybpftime has. Written by `tools/gen_parity.py` from the"
    yield f"declarations that the code itself reads; bpftime's columns are facts of its source at {BPFTIME_COMMIT}."
    yield ""
    yield from _counts()
    yield from _features()
    yield from _maps()
    yield from _programs()
    yield from _helpers()


def _counts() -> Iterator[str]:
    table = default_helpers()
    maps = [type for type in MapType if type and type.name not in DEPRECATED_MAPS]
    programs = [type for type in ProgramType if type]
    implemented = sum(1 for id in KNOWN if _implemented(id))
    served = sum(1 for type in programs if PROGRAM_TYPES[type].context is not None)
    beyond = sum(1 for row in TABLE if row.origin != RFC)
    of_linux = sum(1 for row in TABLE if in_linux(row))
    yield "| | Linux | bpftime | pybpftime |"
    yield "|---|---|---|---|"
    yield f"| map types | {len(maps)} | {len(BPFTIME_MAPS)} | {len(MAP_KINDS)} |"
    yield f"| helpers | {len(KNOWN)} | {len(BPFTIME_HELPERS)} | {implemented} ({len(table)} declared in full) |"
    yield f"| program types | {len(programs)} | {len(BPFTIME_PROGRAM_TYPES)} | {served} with a context |"
    yield (
        f"| instructions | {of_linux} | by engine | {len(TABLE)} known ({len(TABLE) - beyond} of RFC 9669, "
        f"{beyond} beyond it) |"
    )
    yield ""


def in_linux(row: Row) -> bool:
    """Whether the release that the document speaks of runs the instruction."""
    if row.origin == RFC:
        return True
    system, _, release = row.origin.partition(" ")
    return system == "Linux" and tuple(int(part) for part in release.split(".")) <= LINUX


def _implemented(helper_id: int) -> bool:
    helper = default_helpers().get(helper_id)
    return helper is not None and helper.function is not None


def _features() -> Iterator[str]:
    yield "## Features"
    yield ""
    yield "| | Linux | bpftime | pybpftime |"
    yield "|---|---|---|---|"
    for row in FEATURES:
        yield f"| {' | '.join(row)} |"
    yield ""


def _maps() -> Iterator[str]:
    yield "## Map types"
    yield ""
    yield "| | bpftime | pybpftime |"
    yield "|---|---|---|"
    for type in MapType:
        if type and type.name not in DEPRECATED_MAPS:
            name = type.name.removeprefix("BPF_MAP_TYPE_").lower()
            yield f"| {name} | {mark(int(type) in BPFTIME_MAPS)} | {mark(type in MAP_KINDS)} |"
    yield ""


def _programs() -> Iterator[str]:
    yield "## Program types"
    yield ""
    yield "| | bpftime | pybpftime: context |"
    yield "|---|---|---|"
    for type in ProgramType:
        if type:
            info = PROGRAM_TYPES[type]
            ours = str(info.context) if info.context is not None else f"- ({info.not_served})"
            yield f"| {info.name} | {BPFTIME_PROGRAM_TYPES.get(type, '-')} | {ours} |"
    yield ""


def _helpers() -> Iterator[str]:
    yield "## Helpers"
    yield ""
    yield "All are known by name; a call of one that is not implemented is a trap that says so."
    yield ""
    yield "| id | | bpftime | pybpftime |"
    yield "|---|---|---|---|"
    for id, name in KNOWN.items():
        yield f"| {id} | {name} | {mark(id in BPFTIME_HELPERS)} | {mark(_implemented(id))} |"


def main(arguments: list[str] | None = None) -> int:
    """0 when the file is (now) right, 1 when `--check` found it to differ."""
    return write_or_check(TARGET, document(), "tools.gen_parity", arguments)


if __name__ == "__main__":
    sys.exit(main())
