"""What the verifier's states show, written into a program: it does the same as before, and less is left to find out.

If Linux refuses a program that we call safe, and takes it when a number stands in it that our states show there, then
it is that number that Linux did not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pybpftime.conformance.verifier_draft import MAPS, GeneratedProgram
from pybpftime.conformance.verifier_rewriting import WORD, Changes, Slots, load, make, rewritten
from pybpftime.isa import Form, Instruction, registers
from pybpftime.verifier import steps
from pybpftime.verifier.domain import Range
from pybpftime.verifier.explore import Checkpoint, Explorer, OutOfBudget
from pybpftime.verifier.judge import Judge
from pybpftime.verifier.obligations import Unsupported
from pybpftime.verifier.state import State
from pybpftime.verifier.subject import Malformed, Options, Subject
from pybpftime.verifier.values import Pointer, RegionKind, Scalar, Value
from pybpftime.verifier.verify import initial_state

BUDGET = 20_000
TIMEOUT = 5.0
"""What a verification may take: abstract instructions, seconds.  What takes more is counted as not proved."""
NUMBERED = range(10)
"""The registers that a program may write."""


class Facts:
    """What holds wherever a run of the program may come before anything goes wrong.  ValueError if that is not known.

    The exploration goes on behind what cannot be proved, so that what it shows of an instruction is all that may be.
    """

    def __init__(self, program: GeneratedProgram) -> None:
        self.program = program
        self._states: dict[int, list[State]] = {}
        try:
            self._subject = Subject(program.spec(), MAPS, Options(BUDGET, TIMEOUT))
            explorer = Explorer(self._subject, Judge(TIMEOUT / 2).discharges, self._watch)
            for _ in explorer.failures(initial_state(self._subject)):
                pass
        except (Malformed, Unsupported, OutOfBudget) as error:
            raise ValueError(str(error)) from None

    def _watch(self, state: State, checkpoint: Checkpoint) -> None:
        self._states.setdefault(state.pc, []).append(state)

    # --- numbers and directions ---

    def written_out(self, *, bounds: bool) -> GeneratedProgram:
        """The program with each number in front of where it is read, and without jumps that go one way only.

        `bounds`: with the bounds of what may be several numbers, too.
        """
        changes = Changes()
        for pc in self._states:
            changes.before[pc] = tuple(self._numbers(pc, bounds=bounds))
            if self._subject.row(pc).form is Form.JUMP_IF:
                self._direction(pc, changes)
        return rewritten(self.program, changes)

    def _numbers(self, pc: int, *, bounds: bool) -> Iterator[Instruction | None]:
        for number in self._read(pc):
            ranges = self._ranges(pc, number)
            if ranges and all(one.is_constant and one.constant == ranges[0].constant for one in ranges):
                yield from load(number, ranges[0].constant)
            elif ranges and bounds:
                yield from _kept_between(number, min(one.smin for one in ranges), max(one.smax for one in ranges))

    def _read(self, pc: int) -> list[int]:
        """The registers that the instruction reads, without those that a helper does not."""
        row, live = self._subject.row(pc), self._subject.live[pc]
        return [one for one in sorted({*registers(row.reads, self._subject.instruction(pc))}) if live >> one & 1]

    def _ranges(self, pc: int, number: int) -> Sequence[Range]:
        """The ranges of a register that is a number before the instruction, always; else none.

        A number that no proof relied on may be any.
        """
        values = self._values(pc, number)
        found = [value.range for value in values if isinstance(value, Scalar) and value.precise]
        return found if len(found) == len(values) else ()

    def _values(self, pc: int, number: int) -> list[Value | None]:
        return [state.registers[number] for state in self._states.get(pc, ())]

    def _direction(self, pc: int, changes: Changes) -> None:
        """Take out a conditional jump that never jumps; one that always does becomes one without condition."""
        subject = self._subject
        passed = [one for one in self._states[pc] if not any(True for _ in steps.requires(subject, one))]
        found = {after.pc for state in passed for after in steps.transfer(subject, state)}
        if found == {subject.following(pc)}:
            changes.instead[pc] = None
        elif found == {subject.target(pc)}:
            changes.instead[pc] = make("ja", offset=subject.instruction(pc).offset)

    # --- addresses ---

    def with_addresses_first(self) -> GeneratedProgram | None:
        """The program with `address + number` for `number + address` where that leads to a stack; None if nowhere."""
        changes = Changes()
        for pc in self._states:
            row, instruction = self._subject.row(pc), self._subject.instruction(pc)
            if row.name == "add_reg" and self._adds_to_number(pc, instruction):
                spare = self._spare(pc, instruction)
                if spare is not None:
                    changes.before[pc] = _sum(spare, instruction)
                    changes.instead[pc] = make("mov_reg", dst_reg=instruction.dst_reg, src_reg=spare)
        return rewritten(self.program, changes) if changes.instead else None

    def _adds_to_number(self, pc: int, instruction: Instruction) -> bool:
        lefts, rights = (self._values(pc, number) for number in (instruction.dst_reg, instruction.src_reg))
        return any(
            isinstance(left, Scalar) and isinstance(right, Pointer) and right.region.kind is RegionKind.STACK
            for left, right in zip(lefts, rights, strict=True)
        )

    def _spare(self, pc: int, instruction: Instruction) -> int | None:
        """A register that nobody reads any more."""
        used = self._subject.live[pc] | 1 << instruction.dst_reg | 1 << instruction.src_reg
        return next((one for one in NUMBERED if not used >> one & 1), None)


def _kept_between(register: int, low: int, high: int) -> Slots:
    """What changes a number only if it is not between the bounds, signed; nothing for bounds of more than 32 bits."""
    if low not in WORD or high not in WORD:
        return ()
    return (
        make("jsge_imm", dst_reg=register, imm=low, offset=1),
        make("mov_imm", dst_reg=register, imm=low),
        make("jsle_imm", dst_reg=register, imm=high, offset=1),
        make("mov_imm", dst_reg=register, imm=high),
    )


def _sum(register: int, instruction: Instruction) -> Slots:
    return (
        make("mov_reg", dst_reg=register, src_reg=instruction.src_reg),
        make("add_reg", dst_reg=register, src_reg=instruction.dst_reg),
    )
