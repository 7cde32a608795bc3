"""Writes docs/explanation/beyond-the-kernel.md: safe programs that Linux refuses, and what the solver proves them with.

    python -m tools.gen_beyond_docs [--check]

The programs are those of tests/programs/beyond: one C file, and one assembly file for each of the others.  The comment
of a program says what it is about and what Linux 6.18 answers.  Every program has a twin in which one constant is off.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from pybpftime import assemble
from pybpftime.helpers.declarations import DECLARATIONS
from pybpftime.isa.disassembler import format_instruction
from pybpftime.maps.spec import MapSpec
from pybpftime.program import load_object
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.runtime.replay import replayer
from pybpftime.uapi import ProgramType
from pybpftime.verifier import Report, verify
from pybpftime.verifier.report import SolverProof
from tools.generated import write_or_check

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "programs" / "beyond"
TARGET = ROOT / "docs" / "explanation" / "beyond-the-kernel.md"
TYPES = {"tc": ProgramType.BPF_PROG_TYPE_SCHED_CLS, "xdp": ProgramType.BPF_PROG_TYPE_XDP}
HELPERS = {one.name: one.id for one in DECLARATIONS.values() if one.id is not None}

INTRODUCTION = """\
# Beyond the kernel

This file is written by `tools/gen_beyond_docs.py` from the programs in `tests/programs/beyond`.

The verifier of Linux 6.18 keeps a range for each register, and learns from a comparison what it says about the two
numbers compared. A relation between numbers is lost: that one is smaller than another, that a sum of both is bounded,
that one is a copy of which some bits were cleared. So it refuses programs that are safe.

`pybpftime verify` works in the same way at first. Where the ranges do not show that an access is right, it asks z3
whether some input comes here and does wrong. The question has the computations behind the numbers with their exact
meaning, and the branches that the path has taken; the answer names those branches without which it would not hold.

These {count} programs are refused by Linux 6.18 and proved *safe* here. For each of them tests hold that the running
kernel refuses it, that it runs without a fault on {inputs} inputs, and that its twin, in which one constant is off, is
*unsafe*, with an input that was run.
"""
INPUTS = 200


@dataclass(frozen=True)
class Program:
    """A safe program that Linux refuses; `off` is its twin, which is not safe."""

    name: str
    about: str
    linux: str
    source: str
    language: str
    spec: ProgramSpec
    off: ProgramSpec
    change: str

    @property
    def maps(self) -> dict[str, MapSpec]:
        """Those that it uses."""
        return {} if self.language == "asm" else dict(_object().maps)

    @cached_property
    def report(self) -> Report:
        """The verifier's answer."""
        return verify(self.spec, self.maps)

    def report_of_twin(self) -> Report:
        """The verifier's answer about the twin, with a witness that was run."""
        return verify(self.off, self.maps, replay=replayer(self.off, self.maps))

    def place(self, pc: int) -> str:
        """What stands at an instruction, as it was written."""
        if self.language == "asm":
            return f"`{_written(self.source)[pc]}`"
        line, instruction = self.spec.line_at(pc), self.spec.instructions[pc]
        assert line is not None and instruction is not None
        return f"`{line.text.strip()}` (in it `{format_instruction(instruction)}`)"

    def facts(self, proof: SolverProof) -> list[str]:
        """The branches that a proof used, in words."""
        found = (f"{self.place(pc)} {'jumps' if taken else 'does not jump'}" for pc, taken in proof.facts)
        return list(dict.fromkeys(found))


def _written(source: str) -> dict[int, str]:
    """The instructions of assembly by slot, without comments; all of them are one slot."""
    lines = [line.partition(";")[0].strip() for line in source.split("\n")]
    return dict(enumerate(line for line in lines if line and not line.endswith(":")))


# --- reading ----------------------------------------------------------------------------------------------------------


@cache
def _object() -> ObjectSpec:
    return load_object(SOURCES / "beyond.bpf.o")


def programs() -> list[Program]:
    """All of them, those in C first."""
    return [*_in_c(), *(_in_assembly(path) for path in sorted(SOURCES.glob("*.s")))]


def _in_c() -> Iterator[Program]:
    text = (SOURCES / "beyond.bpf.c").read_text("utf-8")
    found = _object().programs
    for match in re.finditer(r"^/\*\n \* (\w+): (.*)\n \*\n \* Linux: (.*)\n \*/\n", text, re.MULTILINE):
        name = match[1]
        if name not in found:
            continue
        twins = re.compile(rf"^TWINS\(.*, {name}, (.*), (.*)\)$", re.MULTILINE).search(text)
        assert twins is not None, f"{name} has no twin"
        source = text[text.index(f"static __always_inline int {name}_with(") : twins.end()]
        change = f"`{twins[2]}` for `{twins[1]}`"
        yield Program(name, match[2], match[3], source, "c", found[name], found[f"{name}_off"], change)


def _in_assembly(path: Path) -> Program:
    head, _, source = path.read_text("utf-8").partition("\n\n")
    lines = [line.removeprefix(";").strip() for line in head.split("\n")]
    name, _, about = lines[0].partition(": ")
    given = dict(line.split(": ", 1) for line in lines[2:])
    right, _, off = given["Twin"].partition(" -> ")
    assert name == path.stem and source.count(right) == 1, f"{path.name}: {right!r}"
    spec = ProgramSpec(name, assemble(source, helpers=HELPERS), TYPES[given["Type"]], license="GPL")
    twin = replace(spec, instructions=assemble(source.replace(right, off), helpers=HELPERS))
    return Program(name, about, given["Linux"], source.strip("\n"), "asm", spec, twin, f"`{off}` for `{right}`")


# --- writing ----------------------------------------------------------------------------------------------------------


def document() -> str:
    """The whole document."""
    found = programs()
    parts = [INTRODUCTION.format(count=len(found), inputs=INPUTS)]
    parts += ["\n".join(_section(program)) for program in found]
    return "\n".join(parts)


def normalised(text: str) -> str:
    """The document without what the solver used: several sets of branches may do, and versions of z3 differ there."""
    return "\n".join(line for line in text.split("\n") if not line.startswith("- "))


def _section(program: Program) -> Iterator[str]:
    yield f"## {program.name.replace('_', ' ').capitalize()}\n"
    yield f"{program.about[0].upper()}{program.about[1:]}.\n"
    yield f"```{program.language}\n{program.source}\n```\n"
    yield f"Linux: `{program.linux}`\n"
    for proof in program.report.proofs:
        facts = program.facts(proof)
        because = " and ".join(facts) if facts else "that is what the numbers are, on any path"
        yield f"- {program.place(proof.pc)}: never *{proof.sentence}*, because {because}."
    yield f"\nThe twin has {program.change}.\n"


if __name__ == "__main__":
    sys.exit(write_or_check(TARGET, document(), "tools.gen_beyond_docs"))
