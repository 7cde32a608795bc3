"""One program: judged by the verifiers, run in the kernel and here, and every step held against what was claimed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pybpftime.conformance.claims.claim import Claims, Stated
from pybpftime.conformance.claims.kernel_log import KernelLog
from pybpftime.conformance.claims.subject import KEY, NAME, Subject
from pybpftime.conformance.runtimes.bare import PlainMemory
from pybpftime.conformance.runtimes.in_process import attached, new_machine
from pybpftime.conformance.runtimes.kernel import SOME_PACKET, complaint
from pybpftime.conformance.verifier_facts import BUDGET
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import BpfError
from pybpftime.helpers import HelperTable
from pybpftime.isa.disassembler import format_instruction
from pybpftime.kernel import KernelRejection
from pybpftime.kernel.objects import KernelObjectFile
from pybpftime.machine import LINUX, Machine, Observer
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import ObjectSpec
from pybpftime.runtime.moments import Moments
from pybpftime.verifier import Report, verify
from pybpftime.verifier.published import Moment, Published

STEPS = 20_000
"""Instructions that a run may take: what takes more is looked at no further."""

TIMEOUT = 20.0
"""Seconds that our verifier may take, and it may process as many instructions as in its campaign."""

Contents = Mapping[str, bytes]
"""What is in the first value of each array, by the map's name."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A run that is not as claimed right before an instruction.  `slot` counts from the case's first instruction.

    `behind` is the instruction that was executed last.  `place` is a register; it is empty, and there is no `value`,
    when `claim` is about all of a state.  `source` is where the verifier says so.
    """

    program: str
    verifier: str
    step: int
    slot: int
    instruction: str
    behind: str
    place: str
    value: int | None
    claim: str
    source: str

    def __str__(self) -> str:
        where = f"{self.program}: step {self.step}, slot {self.slot} ({self.instruction}, behind {self.behind})"
        what = self.claim if self.value is None else f"{self.place} is {self.value:#x}, claimed was {self.claim}"
        return f"{where}: {what}; {self.source}"


@dataclass(slots=True)
class Checked:
    """What a run has shown of one verifier's claims: steps that they were known for, and numbers looked at.

    Behind the first step with a violation they are not looked at: what is claimed there follows from what is wrong.
    """

    followed: int = 0
    numbers: int = 0
    violations: list[Violation] = field(default_factory=list)


# --- what verifiers say -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KernelAnswer:
    """What the kernel says of a program: why it refuses it, or its log and what a run has left in the maps."""

    refusal: str | None = None
    log: KernelLog | None = None
    contents: Contents = field(default_factory=dict)


def ask_kernel(subject: Subject) -> KernelAnswer:
    """Load the program, run it once and unload it.  BpfError when the kernel cannot be asked."""
    spec = ObjectSpec(None, {NAME: subject.program}, subject.maps)
    with KernelObjectFile(spec, log_level=2) as file:
        try:
            program = file.program(NAME)
        except KernelRejection as rejection:
            return KernelAnswer(complaint(rejection.log or "") or str(rejection))
        for name, content in subject.contents.items():
            file.maps[name].update(KEY, content)
        program.test_run(SOME_PACKET)
        values = {name: file.maps[name].lookup(KEY) for name in subject.seen}
        log = KernelLog.read(program.log, subject.program.instructions)
        return KernelAnswer(None, log, {name: value or b"" for name, value in values.items()})


def ask_ours(subject: Subject) -> tuple[Report, Published]:
    """Our verdict on the program, and the states on the way."""
    published = Published(subject.program, subject.maps)
    return verify(subject.program, subject.maps, budget=BUDGET, timeout=TIMEOUT, watch=published.watch), published


# --- runs -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """A run in the reference engine: its steps, why it did not end, and what it has left in the maps."""

    steps: int
    error: BpfError | None
    contents: Contents
    checked: Mapping[str, Checked]


def run(subject: Subject, claims: Mapping[str, Claims], helpers: HelperTable) -> Run:
    """Run the program and look at every step.  `claims` are those of verifiers, by name.  BpfError when it cannot."""
    machine = new_machine(LINUX)
    maps = {name: attached(spec, machine) for name, spec in subject.maps.items()}
    executable = ReferenceEngine().compile(LoadedProgram(subject.program, maps), machine, helpers)
    for name, content in subject.contents.items():
        maps[name].update(KEY, content)
    look = _Look(subject, claims)
    machine.observers = (look,)
    error: BpfError | None = None
    try:
        executable.run(PlainMemory(b""), budget=STEPS)
    except BpfError as raised:
        error = raised
    values = {name: maps[name].lookup(KEY) for name in subject.seen}
    contents = {name: value for name, value in values.items() if isinstance(value, bytes)}
    return Run(look.steps, error, contents, look.checked)


class _Look(Observer):
    """Holds every step against the claims."""

    def __init__(self, subject: Subject, claims: Mapping[str, Claims]) -> None:
        self.steps = 0
        self.checked = {name: Checked() for name in claims}
        self._subject = subject
        self._claims = claims
        self._moments: Moments | None = None
        self._behind: int | None = None

    def started(self, machine: Machine, pc: int) -> None:
        self._moments = Moments(machine, machine.registers[1] or 0)

    def before(self, machine: Machine, pc: int) -> None:
        """A tail call leaves the program, and a verifier's claims with it."""
        if machine.tail_calls:
            return
        self.steps += 1
        assert self._moments is not None
        moment = self._moments.at(pc)
        for name, claims in self._claims.items():
            checked = self.checked[name]
            stated = None if checked.violations else claims.at(moment)
            if stated is not None:
                checked.followed += 1
                checked.numbers += len(stated.registers)
                checked.violations += self._violations(name, moment, stated)
        self._behind = pc

    def _violations(self, name: str, moment: Moment, stated: Stated) -> Iterator[Violation]:
        if stated.outside:
            yield self._violation(name, moment, "", None, stated.outside, stated.source)
        values = moment.functions[-1].registers
        for register, claim in stated.registers.items():
            value = values[register]
            if value is None or not claim.contains(value):
                yield self._violation(name, moment, f"r{register}", value, str(claim), stated.source)

    def _violation(
        self, name: str, moment: Moment, place: str, value: int | None, claim: str, source: str
    ) -> Violation:
        slot = moment.pc - self._subject.first
        instruction, behind = self._text(moment.pc), self._text(self._behind)
        return Violation(
            self._subject.name, name, self.steps, slot, instruction, behind, place, value, claim, source
        )  # fmt: skip

    def _text(self, pc: int | None) -> str:
        instruction = None if pc is None else self._subject.program.instructions[pc]
        return "nothing" if instruction is None else format_instruction(instruction)
