"""A backward slice of one path: which of its instructions a value depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pybpftime.isa import Form, Instruction, Row, registers
from pybpftime.isa.table import BY_NAME
from pybpftime.verifier.state import State
from pybpftime.verifier.subject import ARGUMENT_REGISTERS, Subject
from pybpftime.verifier.values import Pointer, Region, RegionKind, Scalar, Value
from pybpftime.verifier.wording import length_text, pointer_text, value_text

MOST_NODES = 400
MOVE = BY_NAME["mov_reg"].compute
STORES = frozenset({Form.STORE, Form.STORE_RELEASE})
LOADS = frozenset({Form.LOAD, Form.LOAD_ACQUIRE})
PACKET_KINDS = frozenset({RegionKind.PACKET, RegionKind.PACKET_META, RegionKind.PACKET_END})


class Slice:
    """Goes back over `path` and finds the steps behind what is wanted: registers (frame, number) and bytes of a stack.

    `roots` and `regions` are the numbers and the regions that are behind it: comparisons of those are steps too.
    """

    def __init__(self, subject: Subject, path: list[State]) -> None:
        self._subject = subject
        self._path = path
        self._registers: set[tuple[int, int]] = set()
        self._slots: set[tuple[Region, int]] = set()
        self._roots: set[Scalar] = set()
        self._regions: set[Region] = set()
        self._jumps_from = len(path)

    def want(self, state: State, *numbers: int) -> None:
        """Follow what these registers hold in `state`, a state of the path."""
        for number in numbers:
            self._registers.add((len(state.callers), number))
            self.follow(state.registers[number])

    def want_jumps(self, since: Callable[[State, State], bool]) -> None:
        """Take in every conditional jump since the last step of which `since` says yes; all if there is none."""
        indices = range(len(self._path) - 2, -1, -1)
        self._jumps_from = next((at for at in indices if since(self._path[at], self._path[at + 1])), 0)

    def follow(self, value: Value | None) -> None:
        """Take in comparisons of this value, and of the numbers that it was computed from."""
        pending: list[Scalar] = []
        if isinstance(value, Pointer):
            self._regions.add(value.region)
            if value.variable is not None:
                pending.append(value.variable)
        elif value is not None:
            pending.append(value)
        while pending and len(self._roots) < MOST_NODES:
            scalar = pending.pop()
            if scalar.root not in self._roots and not scalar.is_constant:
                self._roots.add(scalar.root)
                pending.extend(scalar.root.operands)

    def steps(self) -> Iterator[tuple[int, str]]:
        """(index in the path, what is known behind that instruction) of each step, the last first."""
        for index in range(len(self._path) - 2, -1, -1):
            before, after = self._path[index], self._path[index + 1]
            row = self._subject.row(before.pc)
            known = self._step(row, self._subject.instruction(before.pc), before, after, index)
            if known is not None:
                yield index, known

    def _step(self, row: Row, instruction: Instruction, before: State, after: State, index: int) -> str | None:
        if row.form is Form.JUMP_IF:
            return self._jump(before, after, index)
        if row.form in STORES:
            return self._store(instruction, row, before)
        if row.form is Form.EXIT:
            return self._return(before, after)
        if len(after.callers) > len(before.callers):
            return self._call(before, after)
        if row.form in (Form.CALL_HELPER, Form.PACKET):
            return self._helper(before, after)
        return self._computed(row, instruction, before, after)

    # --- what each form of instruction does to what is wanted ---

    def _jump(self, before: State, after: State, index: int) -> str | None:
        fact = after.facts
        if fact is None or fact is before.facts:
            return None
        values = [value for value in (fact.left, fact.right) if value is not None]
        if index < self._jumps_from and not any(self._concerns(value) for value in values):
            return None
        for value in values:
            if isinstance(value, Scalar):
                self.follow(value)
        jump = self._subject.instruction(before.pc)
        taken = after.pc != before.pc + 1
        numbers = (jump.dst_reg, jump.src_reg) if self._subject.row(before.pc).operand == "src_reg" else (jump.dst_reg,)
        return f"{'taken' if taken else 'not taken'}: {self._learned(after, numbers)}"

    def _concerns(self, value: Value) -> bool:
        if isinstance(value, Scalar):
            return value.root in self._roots
        region = value.region
        return region in self._regions or (region.of is not None and region.of in self._regions)

    def _learned(self, after: State, numbers: tuple[int, ...]) -> str:
        parts = []
        for number in numbers:
            value = after.registers[number]
            if isinstance(value, Scalar):
                parts.append(f"r{number} is {value_text(value)}")
            elif value is not None and value.region.kind in PACKET_KINDS:
                length = length_text(after, value.region)
                if length is not None:
                    parts.append(f"the {value.region.name} has {length}")
            elif value is not None:
                parts.append(f"r{number} is {pointer_text(value)}")
        return ", ".join(dict.fromkeys(parts))

    def _store(self, instruction: Instruction, row: Row, before: State) -> str | None:
        target = before.registers[instruction.dst_reg]
        if not isinstance(target, Pointer) or target.variable is not None:
            return None
        low = target.offset + instruction.offset
        hit = {slot for slot in self._slots if slot[0] is target.region and low <= slot[1] < low + row.size}
        if not hit:
            return None
        self._slots -= hit
        if row.operand == "imm":
            return f"fp{low:+d} = {instruction.imm}"
        self.want(before, instruction.src_reg)
        return f"fp{low:+d} = {value_text(before.registers[instruction.src_reg])}"

    def _return(self, before: State, after: State) -> str | None:
        depth = len(after.callers)
        wanted = [number for number in range(6) if (depth, number) in self._registers]
        if not wanted or depth == len(before.callers) or before.frame.callback is not None:
            return None
        self._registers -= {(depth, number) for number in wanted}
        if 0 not in wanted:
            return f"{_list(wanted)} hold nothing after a call"
        self.want(before, 0)
        return f"the function returns {value_text(before.registers[0])}"

    def _call(self, before: State, after: State) -> str | None:
        """A function is entered; one that a helper calls gets its arguments from there."""
        depth = len(after.callers)
        wanted = [number for number in ARGUMENT_REGISTERS if (depth, number) in self._registers]
        self._registers -= {(depth, number) for number in range(11)}
        if not wanted:
            return None
        if after.frame.callback is None:
            self.want(before, *wanted)
        held = (f"r{number} = {value_text(after.registers[number])}" for number in wanted)
        return f"a function is entered with {', '.join(held)}"

    def _helper(self, before: State, after: State) -> str | None:
        depth = len(after.callers)
        made = any(region.pc == before.pc for region in self._regions)
        wanted = [number for number in range(6) if (depth, number) in self._registers]
        self._registers -= {(depth, number) for number in wanted}
        lost = self._lost(before, after)
        if lost is not None:
            return lost
        if 0 in wanted or made:
            return f"r0 = {value_text(after.registers[0])}"
        if before.lock is None and after.lock is not None and after.lock.region in self._regions:
            return f"the lock is taken: {value_text(after.lock)}"
        return f"{_list(wanted)} {'holds' if len(wanted) == 1 else 'hold'} nothing after a call" if wanted else None

    def _lost(self, before: State, after: State) -> str | None:
        """What is wanted of which the call has made a plain number: an address that it released or moved."""
        for depth, number in self._registers:
            if depth == len(after.callers) and _is_lost(before.registers[number], after.registers[number]):
                return f"r{number} = {value_text(after.registers[number])}"
        for region, offset in self._slots:
            frames = before.frame_of(region), after.frame_of(region)
            old, new = (None if frame is None else frame.stack.get(offset) for frame in frames)
            if old is not None and new is not None and _is_lost(old.value, new.value):
                return f"fp{offset:+d} = {value_text(new.value)}"
        return None

    def _computed(self, row: Row, instruction: Instruction, before: State, after: State) -> str | None:
        depth = len(after.callers)
        wanted = [number for number in registers(row.writes, instruction) if (depth, number) in self._registers]
        if not wanted:
            return None
        self._registers -= {(depth, number) for number in wanted}
        if row.form in LOADS:
            self._loaded(row, instruction, before)
        elif row.form in (Form.BINARY, Form.UNARY):
            sources = registers(row.reads, instruction)
            self.want(before, *(number for number in sources if number != 10))
        return f"{_list(wanted)} = {value_text(after.registers[wanted[0]])}"

    def _loaded(self, row: Row, instruction: Instruction, before: State) -> None:
        """A load from the stack goes on with what was stored there; all others are where a value begins."""
        pointer = before.registers[instruction.src_reg]
        if not isinstance(pointer, Pointer) or pointer.region.kind is not RegionKind.STACK:
            return
        if pointer.variable is None:
            low = pointer.offset + instruction.offset
            self._slots |= {(pointer.region, low + byte) for byte in range(row.size)}


def _is_lost(before: Value | None, after: Value | None) -> bool:
    return isinstance(before, Pointer) and isinstance(after, Scalar)


def _list(numbers: list[int]) -> str:
    return ", ".join(f"r{number}" for number in numbers)
