"""Runtimes in this process: the reference engine, and the reference engine behind our verifier."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy

from pybpftime import __version__
from pybpftime.conformance.case import Case, Feature, Signature, Verdict
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Profile
from pybpftime.conformance.runtimes.bare import PlainMemory, unwind_helper
from pybpftime.engines.engine import Context
from pybpftime.engines.reference import ReferenceEngine, ReferenceExecutable
from pybpftime.engines.reference.steps import Step
from pybpftime.errors import BpfError, Fault, InputError, LimitExceeded
from pybpftime.helpers import HelperTable, default_helpers
from pybpftime.isa import BY_NAME, Group, Immediate, Program, decode_program
from pybpftime.machine import LENIENT, Environment, Machine, Strictness
from pybpftime.machine.machine import Limits
from pybpftime.maps import Map, MapSpec, create_map
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import MapReference, ProgramSpec

BUDGET = 1_000_000
"""Instructions that a run may take unless its case says how many: what Linux's verifier would follow (one second)."""

ENVIRONMENT = Environment()
LIMITS = Limits(loops=1000)
"""may_goto is left before the budget of instructions is spent; Linux gives it 8 million rounds."""
WIDE = BY_NAME["lddw"].opcode
EXIT = BY_NAME["exit"].opcode
BY_INDEX = {Immediate.MAP_BY_INDEX.value: False, Immediate.MAP_VALUE_BY_INDEX.value: True}  # whether inside a value

REFERENCE = Profile(
    "reference",
    "the reference engine of pybpftime at its lenient level",
    __version__,
    groups=frozenset(Group),
    features=frozenset(Feature) - {Feature.ADDR_SPACE_CAST},
    refuses=frozenset({Verdict.MALFORMED}),
    shows=frozenset({"registers", "memory", "stack"}),
    budget=True,
)


class InProcess(ABC):
    """What these runtimes share: an error that is no verdict of the engine is a crash, as with any other runtime."""

    profile: Profile

    def run(self, case: Case) -> Outcome:
        """Ask it.  Never raises, whatever the case does."""
        try:
            return self.judged(case)
        except Exception as error:
            return Outcome(OutcomeKind.CRASHED, message=f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Nothing is held between cases."""
        return

    @abstractmethod
    def judged(self, case: Case) -> Outcome:
        """The outcome, or any exception."""


class ReferenceRuntime(InProcess):
    """The reference engine at the lenient level: what RFC 9669 says, and nothing refused but what has no meaning."""

    def __init__(self, engine: ReferenceEngine | None = None, helpers: HelperTable | None = None) -> None:
        """`engine` is the reference engine with a seeded bug (`mutation`); `helpers` those of another such runtime."""
        self.profile = REFERENCE
        self._engine = engine or ReferenceEngine()
        self._helpers = helpers or helpers_with_unwind()

    def judged(self, case: Case) -> Outcome:
        machine = new_machine(LENIENT)
        try:
            maps = {str(index): attached(spec, machine) for index, spec in enumerate(case.maps)}
        except InputError as error:
            return Outcome(OutcomeKind.UNSUPPORTED, message=str(error))
        try:
            program = decode_program(case.code)
            spec = ProgramSpec("program", program, references=map_references(program, len(maps)))
            executable = self._engine.compile(LoadedProgram(spec, maps), machine, self._helpers)
        except InputError as error:
            return Outcome(OutcomeKind.REFUSED, message=str(error))
        last = LastExit(executable, program)
        context = PlainMemory(case.memory or b"")
        failure = failure_of(executable, context, budget_of(case))
        if failure is not None:
            return failure
        memory = None if case.memory is None else bytes(context.content)
        return Outcome(OutcomeKind.RETURNED, last.signature(memory))


def new_machine(level: Strictness) -> Machine:
    """A fresh machine.  What its values are checked for is checked once, as cases come by the thousand."""
    return Machine(strictness=level, environment=copy(ENVIRONMENT), limits=LIMITS)


def helpers_with_unwind() -> HelperTable:
    """Linux's helpers, with helper 5 as bpf_conformance has it instead of a clock."""
    unwind = unwind_helper()
    return HelperTable([unwind, *(helper for helper in default_helpers() if helper.id != unwind.id)])


def attached(spec: MapSpec, machine: Machine) -> Map:
    """A new map in the memory of a machine.  InputError for a spec that Linux refuses, or that we do not have."""
    map = create_map(spec)
    map.attach(machine.memory, machine.strictness)
    return map


def map_references(program: Program, count: int) -> dict[int, MapReference]:
    """The map that each wide instruction names by index, by slot.  Maps are called "0", "1"...; there are `count`."""
    references = {}
    for slot, instruction in enumerate(program):
        if instruction is None or instruction.opcode != WIDE or instruction.src_reg not in BY_INDEX:
            continue
        if 0 <= instruction.imm < count:
            offset = instruction.next_imm if BY_INDEX[instruction.src_reg] else None
            references[slot] = MapReference(str(instruction.imm), offset)
    return references


def budget_of(case: Case) -> int:
    """How many instructions a run of the case may take."""
    return BUDGET if case.budget is None else case.budget


def failure_of(executable: ReferenceExecutable, context: Context, budget: int) -> Outcome | None:
    """Run; None when the program returned."""
    try:
        executable.run(context, budget=budget)
    except Fault as error:
        return Outcome(OutcomeKind.TRAPPED, trap=error.kind, pc=error.pc, message=str(error))
    except LimitExceeded as error:
        return Outcome(OutcomeKind.EXHAUSTED, pc=error.pc, message=str(error))
    except BpfError as error:
        return Outcome(OutcomeKind.UNSUPPORTED, message=str(error))
    return None


class LastExit:
    """Sees the registers and the stack that the entry function leaves: returning gives both back.

    The step functions of exits are replaced by ones that look first, so other instructions cost what they did.  A run
    that ends in another way (a packet too short, helper 5) shows r0 alone.
    """

    def __init__(self, executable: ReferenceExecutable, program: Program) -> None:
        self._machine = executable.machine
        self._seen: dict[int, int] = {}
        self._stack: bytes | None = None
        for slot, instruction in enumerate(program):
            if instruction is not None and instruction.opcode == EXIT:
                executable.steps[slot] = self._looking(executable.steps[slot])

    def _looking(self, leave: Step) -> Step:
        machine = self._machine

        def step() -> int:
            if len(machine.frames) == 1:
                self._seen = {number: value for number, value in enumerate(machine.registers) if value is not None}
                self._stack = bytes(machine.frames[0].stack.data)
            return leave()

        return step

    def signature(self, memory: bytes | None) -> Signature:
        """What the run left behind, once it has returned."""
        r0 = self._machine.registers[0]
        assert r0 is not None
        return Signature(self._seen | {0: r0}, memory, self._stack)
