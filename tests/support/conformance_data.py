"""Reader for the `.data` files of bpf_conformance: a program, perhaps memory, and the result it must give."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from pybpftime.isa import Program, decode_program
from pybpftime.isa.assembler import assemble

SECTIONS = ("asm", "result", "mem", "raw", "no register offset", " c", "error")
"""In this order, the first that a directive contains names its section."""


@dataclass(frozen=True)
class Case:
    """One file.  `program` is from `raw` if the file has it, else from `asm`; `assembled` from `asm` alone.

    `memory` is what r1 points to at the start (None: no memory); `result` is r0, `error` the message of a failure.
    """

    name: str
    program: Program
    assembled: Program | None
    raw: bytes | None
    memory: bytes | None
    result: int | None
    error: str | None


def read_sections(text: str) -> dict[str, list[str]]:
    """The lines of each section, without comments and blank lines."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        content = line.split("#")[0].rstrip()
        if "--" in content:
            name = next((name for name in SECTIONS if name in content), None)
            if name is None:
                raise ValueError(f"unknown directive {content!r}")
            lines = sections.setdefault(name, [])
        elif content.strip():
            lines.append(content)
    return sections


def read_case(path: Path) -> Case:
    """The case in a file; ValueError or InputError when it is malformed."""
    sections = read_sections(path.read_text("utf-8"))
    raw = None
    if "raw" in sections:
        words = " ".join(sections["raw"]).split()
        raw = b"".join(struct.pack("<Q", int(word, 0)) for word in words)
    assembled = assemble("\n".join(sections["asm"]), file=path.name) if "asm" in sections else None
    program = assembled if raw is None else decode_program(raw)
    if program is None:
        raise ValueError(f"{path.name} has no program")
    memory = bytes.fromhex("".join("".join(sections["mem"]).split())) if "mem" in sections else None
    result = int(sections["result"][-1], 0) & (1 << 64) - 1 if sections.get("result") else None
    error = sections["error"][-1].strip() if sections.get("error") else None
    return Case(path.stem, program, assembled, raw, memory, result, error)
