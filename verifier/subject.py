"""The program under verification: its instructions, what they refer to, its functions, where which registers live."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from pybpftime.errors import InputError
from pybpftime.helpers.declarations import DECLARATIONS, GPL_COMPATIBLE, HelperDeclaration
from pybpftime.isa import Form, Immediate, Instruction, Program, Row, jump_offset, lookup, registers, validate
from pybpftime.maps.spec import MapSpec
from pybpftime.program.btf import Btf
from pybpftime.program.spec import Extern, MapReference, ProgramSpec, Reference
from pybpftime.program.types import PROGRAM_TYPES, ContextLayout, PacketAccess, ProgramTypeInfo
from pybpftime.uapi import ProgramType
from pybpftime.verifier.kernel_types import KernelTypes
from pybpftime.verifier.reasons import REASONS, Reason
from pybpftime.verifier.state import FRAME_POINTER
from pybpftime.verifier.values import RegionKind

CALLS = frozenset({Form.CALL_HELPER, Form.CALL_LOCAL, Form.CALL_BTF, Form.CALL_REGISTER})
ARGUMENT_REGISTERS = (1, 2, 3, 4, 5)
ARGUMENT_BITS = sum(1 << number for number in ARGUMENT_REGISTERS)
CALL_CLOBBERS = 0b111111  # r0 to r5
HELPERS_BY_ID: Mapping[int, HelperDeclaration] = {
    declaration.id: declaration for declaration in DECLARATIONS.values() if declaration.id is not None
}


class Malformed(Exception):
    """The program is refused before any state is looked at: a code of REASONS, a sentence, and where."""

    def __init__(self, code: str, sentence: str, pc: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.pc = pc

    @property
    def reason(self) -> Reason:
        """The row of the table."""
        return REASONS[self.code]


KernelTypesSource = Callable[[], Btf | None]
"""Gives the BTF of the kernel; reading it takes half a second, and few programs need it."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a program is to be judged.

    `budget`: abstract instructions that may be processed.  `timeout` in seconds, None for none.  `strict_alignment`:
    packets and map values must be accessed aligned too (BPF_F_STRICT_ALIGNMENT).  `helpers`: declarations by id beside
    Linux's.  `kernel_types` gives the BTF of the kernel, None if it is not known; it is asked once, when it is needed.
    """

    budget: int = 1_000_000
    timeout: float | None = None
    strict_alignment: bool = False
    helpers: Mapping[int, HelperDeclaration] = field(default_factory=dict)
    kernel_types: KernelTypesSource | None = None


def _frame_pointer_unset(instructions: Program) -> Program:
    """The program with other registers where it writes r10, which Linux minds only where control comes to it."""
    changed = {}
    for pc, instruction in enumerate(instructions):
        if instruction is None or FRAME_POINTER not in (instruction.dst_reg, instruction.src_reg):
            continue
        try:
            written = registers(lookup(instruction).writes, instruction)
        except InputError:
            continue  # what is wrong with it is said for the instruction as it is
        if FRAME_POINTER in written:
            field = "dst_reg" if instruction.dst_reg == FRAME_POINTER else "src_reg"
            changed[pc] = replace(instruction, **{field: 0})
    if not changed:
        return instructions
    return tuple(changed.get(pc, instruction) for pc, instruction in enumerate(instructions))


class Subject:
    """One program, in the form in which the verifier reads it.  Raises Malformed for what Linux refuses at once."""

    def __init__(self, spec: ProgramSpec, maps: Mapping[str, MapSpec], options: Options) -> None:
        self.spec = spec
        self.maps = maps
        self.options = options
        self.program_type = (
            ProgramType.BPF_PROG_TYPE_SOCKET_FILTER if spec.type is ProgramType.BPF_PROG_TYPE_UNSPEC else spec.type
        )
        self.info: ProgramTypeInfo = PROGRAM_TYPES[spec.type]
        self.layout: ContextLayout | None = self.info.layout_for(spec.attach_type)
        self.gpl = spec.license in GPL_COMPATIBLE
        self.instructions = spec.instructions
        try:
            self.rows: tuple[Row | None, ...] = validate(_frame_pointer_unset(spec.instructions), refuse_constants=True)
        except InputError as error:
            raise Malformed("malformed", error.reason, error.instruction) from None
        self.writes_packets = self.info.packet_access is PacketAccess.WRITE
        called = frozenset(self._called())
        self.has_calls = bool(called)
        self.starts: tuple[int, ...] = tuple(sorted({0, *called}))
        self.accessed_kinds: dict[int, RegionKind] = {}
        """The kind of region that each load and store has been seen to access."""
        self.stack_depths: dict[int, int] = {}
        """The greatest depth at which each function has been seen to use its stack, by its first slot."""
        self.later_callbacks: set[tuple[int, MapSpec]] = set()
        """The functions that timers were seen to call, by their first slots, and the maps of the timers."""
        self._check_structure()

    def uses_stack(self, start: int, depth: int) -> None:
        """Note that the function at `start` uses `depth` bytes of its stack."""
        if depth > self.stack_depths.get(start, 0):
            self.stack_depths[start] = depth

    @cached_property
    def kernel_types(self) -> KernelTypes | None:
        """The types of the kernel, None if they are not known."""
        found = None if self.options.kernel_types is None else self.options.kernel_types()
        return None if found is None else KernelTypes(found)

    # --- what instructions refer to ---

    def instruction(self, pc: int) -> Instruction:
        """The instruction at `pc`, which is one."""
        instruction = self.instructions[pc]
        assert instruction is not None
        return instruction

    def row(self, pc: int) -> Row:
        """The row of the instruction at `pc`."""
        row = self.rows[pc]
        assert row is not None
        return row

    def reference(self, pc: int) -> Reference | None:
        """What the immediate of the instruction stands for, besides a number."""
        return self.spec.references.get(pc)

    def map_at(self, pc: int) -> tuple[MapSpec, int | None] | None:
        """The map that the instruction refers to, and the offset into its value if it is a value's address."""
        reference = self.reference(pc)
        if not isinstance(reference, MapReference) or reference.name not in self.maps:
            return None
        return self.maps[reference.name], reference.offset

    def helper_at(self, pc: int) -> HelperDeclaration | None:
        """The helper that the call at `pc` calls; None for one that does not exist."""
        reference = self.reference(pc)
        if isinstance(reference, Extern):
            named = (one for one in self.options.helpers.values() if one.name == reference.name)
            return next(named, None)
        number = self.instruction(pc).imm
        return self.options.helpers.get(number) or HELPERS_BY_ID.get(number)

    def following(self, pc: int) -> int:
        """The slot behind the instruction at `pc`."""
        return pc + self.instruction(pc).slots

    def target(self, pc: int) -> int:
        """Where the jump, local call or code address at `pc` leads."""
        return pc + 1 + jump_offset(self.row(pc), self.instruction(pc))

    def _called(self) -> Iterator[int]:
        for pc, row in enumerate(self.rows):
            if row is not None and (row.form is Form.CALL_LOCAL or row.immediate is Immediate.CODE):
                yield self.target(pc)

    # --- functions and control flow ---

    def function_of(self, pc: int) -> int:
        """The first slot of the function that `pc` belongs to."""
        return self.starts[bisect_right(self.starts, pc) - 1]

    def is_global(self, start: int) -> bool:
        """Whether the function that begins at `start` is known to be global: Linux verifies those by themselves."""
        return any(function.is_global and function.start == start for function in self.spec.functions)

    def end_of(self, start: int) -> int:
        """The slot behind the function that begins at `start`."""
        index = bisect_right(self.starts, start)
        return self.starts[index] if index < len(self.starts) else len(self.instructions)

    def successors(self, pc: int) -> tuple[int, ...]:
        """Where control may go from `pc` without leaving the function; a call goes behind itself."""
        row = self.row(pc)
        if row.form in (Form.EXIT, Form.JUMP_REGISTER):
            return ()
        if row.form is Form.JUMP:
            return (self.target(pc),)
        if row.form in (Form.JUMP_IF, Form.MAY_JUMP):
            return (self.following(pc), self.target(pc))
        return (self.following(pc),)

    def _check_structure(self) -> None:
        """check_subprogs and check_cfg of the kernel: functions are closed, and all code can be reached."""
        for start in self.starts:
            end = self.end_of(start)
            seen = {start}
            pending = [start]
            while pending:
                pc = pending.pop()
                for successor in self.successors(pc):
                    if not start <= successor < end:
                        self._refuse_leaving(pc, successor, end)
                    if successor not in seen:
                        seen.add(successor)
                        pending.append(successor)
            for pc in range(start, end):
                if self.rows[pc] is not None and pc not in seen:
                    raise Malformed("unreachable", f"instruction {pc} can never be reached", pc)

    def _refuse_leaving(self, pc: int, successor: int, end: int) -> None:
        if self.row(pc).jumps and (self.row(pc).form is Form.JUMP or successor != self.following(pc)):
            sentence = f"the jump at instruction {pc} leads to {successor}, which is in another function"
            raise Malformed("jump-out", sentence, pc)
        raise Malformed("falls-through", f"the function runs past its last instruction {end - 1}", pc)

    @cached_property
    def joins(self) -> frozenset[int]:
        """Instructions that control can reach from more than one place: where states are compared."""
        seen: set[int] = set()
        joins: set[int] = set()
        for pc, row in enumerate(self.rows):
            if row is None:
                continue
            for successor in self.successors(pc):
                if successor in seen or successor <= pc:
                    joins.add(successor)
                seen.add(successor)
        return frozenset(joins)

    # --- liveness ---

    @cached_property
    def live(self) -> tuple[int, ...]:
        """For each slot the registers (as a set of bits) whose values may still be read when control is there.

        A backward analysis over each function; what a local call reads are the arguments that live at its entry.  Sets
        only grow, so each instruction is looked at again a few times at most.
        """
        order = [pc for pc in reversed(range(len(self.instructions))) if self.rows[pc] is not None]
        live = [0] * len(self.instructions)
        uses: dict[int, tuple[int, int]] = {}
        dependents: dict[int, list[int]] = {}
        for pc in order:
            uses[pc] = self._uses(pc)
            for successor in self.successors(pc):
                dependents.setdefault(successor, []).append(pc)
            if self.row(pc).form is Form.CALL_LOCAL:
                dependents.setdefault(self.target(pc), []).append(pc)
        pending = deque(order)
        waiting = set(order)
        while pending:
            pc = pending.popleft()
            waiting.discard(pc)
            reads, writes = uses[pc]
            after = 0
            for successor in self.successors(pc):
                after |= live[successor]
            if self.row(pc).form is Form.CALL_LOCAL:
                reads = live[self.target(pc)] & ARGUMENT_BITS
            before = reads | (after & ~writes)
            if before != live[pc]:
                live[pc] = before
                fresh = [one for one in dependents.get(pc, ()) if one not in waiting]
                waiting.update(fresh)
                pending.extend(fresh)
        return tuple(live)

    def _uses(self, pc: int) -> tuple[int, int]:
        """The registers that the instruction reads and writes, as sets of bits."""
        instruction, row = self.instruction(pc), self.row(pc)
        if row.form in CALLS:
            return self._call_reads(pc), CALL_CLOBBERS
        return (
            sum(1 << number for number in set(registers(row.reads, instruction))),
            sum(1 << number for number in set(registers(row.writes, instruction))),
        )

    def _call_reads(self, pc: int) -> int:
        row = self.row(pc)
        if row.form is Form.CALL_LOCAL:
            return 0
        helper = self.helper_at(pc) if row.form is Form.CALL_HELPER else None
        count = len(helper.parameters) if helper is not None else len(ARGUMENT_REGISTERS)
        return sum(1 << number for number in ARGUMENT_REGISTERS[:count])
