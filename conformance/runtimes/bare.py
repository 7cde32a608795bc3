"""A bare runtime on the reference engine: plain memory, one helper, the lenient level.

Runtimes without a verifier are judged by RFC 9669, not by what Linux refuses.  The plugin that other projects' runners
call starts a process for each case, so this module imports little: no ELF, no BTF, no Linux helpers.
"""

from __future__ import annotations

from pybpftime.engines.engine import DEFAULT_BUDGET, Context
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.engines.reference.steps import Exited
from pybpftime.errors import InputError
from pybpftime.helpers import Helper, HelperDeclaration, HelperTable
from pybpftime.helpers.declarations import Parameter
from pybpftime.helpers.declarations.kinds import ArgumentKind, ResultKind, ResultRole, Role
from pybpftime.isa import decode_program
from pybpftime.isa.encoding import MAX_SLOTS, SLOT_BYTES
from pybpftime.machine import LENIENT, Machine, Region, RegionKind
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import ProgramSpec

UNWIND = 5
"""The one helper that a bare runtime has (bpf_conformance: "unwind")."""


def run_code(code: bytes, memory: bytes = b"", budget: int = DEFAULT_BUDGET) -> int:
    """r0 of the instructions in `code` run on `memory`.  InputError, Fault or LimitExceeded when there is none."""
    if len(code) > MAX_SLOTS * SLOT_BYTES:
        raise InputError(f"the program has {len(code) // SLOT_BYTES} slots, at most {MAX_SLOTS} are read")
    program = LoadedProgram(ProgramSpec("program", decode_program(code)), {})
    executable = ReferenceEngine().compile(program, Machine(strictness=LENIENT), HelperTable([unwind_helper()]))
    return executable.run(PlainMemory(memory), budget=budget).r0


class PlainMemory(Context):
    """A context of plain memory: r1 points to it, r2 is its length; legacy packet access reads it as the packet.

    As `program.contexts.memory.MemoryContext`, whose package knows every kind of context: importing it makes start-up
    half as long again.
    """

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)

    def enter(self, machine: Machine) -> tuple[int, ...]:
        if not self.content:
            return 0, 0
        region = Region(RegionKind.MEMORY, "memory", self.content)
        return machine.memory.map(region, transient=True), len(self.content)

    def load_legacy(self, offset: int, size: int) -> int | None:
        """What LD_ABS and LD_IND load: `size` bytes in network byte order, None when they are not in the packet."""
        content = self.content[offset : offset + size]
        return int.from_bytes(content, "big") if len(content) == size else None


def unwind_helper() -> Helper:
    """Helper 5: returns r1, and if that is 0 the program ends, however deep in calls it is, and returns 0."""
    argument = ArgumentKind("Anything", "ARG_ANYTHING", Role.ANYTHING)
    result = ResultKind("Integer", "RET_INTEGER", ResultRole.INTEGER)
    declaration = HelperDeclaration(UNWIND, "unwind", (Parameter("value", argument),), result)
    return Helper(UNWIND, declaration, _unwind)


def _unwind(machine: Machine, value: int) -> int:
    if value == 0:
        machine.registers[0] = 0
        raise Exited
    return value
