"""The reference interpreter: a loop over step functions.

All programs of a machine share one code space: the step functions of a program stand behind those of the
program before, so a tail call is a jump, and a pc names one instruction whatever program is running.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pybpftime.engines.engine import DEFAULT_BUDGET, Context, Outcome
from pybpftime.engines.reference.execution import Execution, located
from pybpftime.engines.reference.link import Linker, map_addresses
from pybpftime.engines.reference.steps import Bind, Binder, Step, trap
from pybpftime.errors import BpfError, Fault, FaultKind, InputError, InternalError, LimitExceeded
from pybpftime.helpers import HelperTable, bind
from pybpftime.isa import Row, validate
from pybpftime.machine import Code, Machine
from pybpftime.program.loaded import LoadedProgram

if TYPE_CHECKING:
    from pybpftime.program.proof import Proof


class ReferenceEngine:
    """Executes instruction by instruction; the definition of what every other engine must do.

    It makes every check with and without a proof: other engines, and the verifier, are held against it.
    """

    name = "reference"

    def __init__(self, bind: Bind = Binder.bind) -> None:
        """With another `bind` it is an engine of other semantics."""
        self._bind = bind

    def compile(
        self, program: LoadedProgram, machine: Machine, helpers: HelperTable, proof: Proof | None = None
    ) -> ReferenceExecutable:
        """Bind `program` to `machine`.  InputError when it is not well formed, or is not what `proof` covers."""
        if proof is not None:
            from pybpftime.engines.proof import require_cover  # most programs run without a proof

            require_cover(proof, program, machine, helpers)
        return ReferenceExecutable(program, machine, helpers, self._bind)


class ReferenceExecutable:
    """A program bound to a machine, with the programs that it tail-calls bound as they are met."""

    def __init__(
        self, program: LoadedProgram, machine: Machine, helpers: HelperTable, bind: Bind = Binder.bind
    ) -> None:
        self.machine = machine
        self.helpers = helpers
        self._bind = bind
        self.steps: list[Step] = []
        """The step function of every instruction of the code space, by pc."""
        self._codes: dict[int, Code] = {}
        if machine.code:
            raise InternalError("a machine runs one executable")
        self._entry = self._add(program).start

    def run(self, context: Context, *, budget: int = DEFAULT_BUDGET) -> Outcome:
        """Run the program on `context`; see `engines.engine.Executable`."""
        if not 0 <= budget <= sys.maxsize:
            raise InputError(f"a budget is a number of instructions from 0 to {sys.maxsize}, not {budget}")
        machine, execution = self.machine, self.begin(context)
        error: BpfError | None = None
        for observer in machine.observers:
            observer.started(machine, execution.pc)
        try:
            ended = execution.watched(budget) if machine.observers else execution.advance(budget)
            if not ended:
                raise out_of_budget(machine, execution.pc, budget)
        except BpfError as failure:
            error = failure
            raise
        finally:
            for observer in machine.observers:
                observer.finished(machine, error)
        r0 = machine.registers[0]
        assert r0 is not None
        return Outcome(r0, execution.executed)

    def begin(self, context: Context) -> Execution:
        """A run on `context` that stands before its first instruction.  One run of a machine at a time."""
        machine = self.machine
        machine.memory.reset_transient()
        machine.context = context
        machine.reset(self._entry, context.enter(machine))
        return Execution(machine, self.steps, self._tail_call, self._entry)

    def resume(self, pc: int, executed: int) -> Execution:
        """The run that the machine is in the middle of, its state having been put back."""
        return Execution(self.machine, self.steps, self._tail_call, pc, executed)

    def bind(self, program: LoadedProgram) -> Code:
        """Where `program` is in the code space; bound now if it was not before.  InputError when it cannot be."""
        return self._codes.get(id(program)) or self._add(program)

    def _tail_call(self, program: object) -> int:
        """Go on in `program`, in the frame of the caller: r1 is the context, all else is unset."""
        if not isinstance(program, LoadedProgram):
            raise InternalError(f"a prog array holds {program!r}")
        code = self.bind(program)
        self.machine.replace_frame(code.start)
        return code.start

    def _add(self, program: LoadedProgram) -> Code:
        """Bind the instructions of `program` behind those already there, and a trap behind its last."""
        spec, machine = program.spec, self.machine
        try:
            rows = validate(spec.instructions, refuse_constants=machine.strictness.refused_constants)
            addresses = map_addresses(program)
        except InputError as error:
            raise error.at(file=spec.file, section=spec.section or None) from None
        code = machine.add_code(program, len(rows) + 1, spec.name)
        self.steps += self._bound(program, code, rows, addresses)
        self._codes[id(program)] = code
        return code

    def bound_again(self) -> list[Step]:
        """`steps` made anew, on the memory that the machine has now: for whoever looks at accesses."""
        steps: list[Step] = []
        for code in self._codes.values():
            program = code.program
            steps += self._bound(program, code, validate(program.spec.instructions), map_addresses(program))
        return steps

    def _bound(
        self, program: LoadedProgram, code: Code, rows: Sequence[Row | None], addresses: Mapping[int, int]
    ) -> Iterator[Step]:
        """The step functions of the slots of `code`."""
        spec, machine = program.spec, self.machine
        linker = Linker(spec, machine, self.helpers, code, addresses)
        binder = Binder(
            machine,
            code.start,
            lambda helper: bind(helper, self.helpers, machine, spec.type, license=spec.license),
            linker.immediate,
        )
        for slot, (instruction, row) in enumerate(zip(spec.instructions, rows, strict=True)):
            if instruction is None or row is None:
                yield trap(Fault(FaultKind.INSTRUCTION, "jump into the middle of a wide instruction"))
            elif (fault := linker.why_not(slot, instruction, row)) is not None:
                yield trap(fault)
            else:
                yield self._bind(binder, slot, instruction, row)
        yield trap(Fault(FaultKind.INSTRUCTION, "the program runs past its last instruction"))


def out_of_budget(machine: Machine, pc: int, budget: int) -> BpfError:
    """The end of a run that stands at `pc` and may not go on."""
    reason = f"the instruction budget is used up (budget={budget})"
    return located(LimitExceeded(reason, limit="instructions", amount=budget), machine, pc)
