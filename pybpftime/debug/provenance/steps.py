"""What one step wrote of what is wanted, and what it read to write that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpftime.debug.call_effects import Call
from pybpftime.debug.provenance.flow import ALL_LANES, extended_lanes, low_lanes, operand_lanes
from pybpftime.debug.provenance.parts import NodeKind, RawNode, Taken, UseKind, held_argument, register_of
from pybpftime.helpers.declarations import ResultRole, Role
from pybpftime.helpers.declarations.kinds import CallbackArgument
from pybpftime.isa import Form
from pybpftime.isa.loads_stores import compare_exchange, exchange, zero_extended
from pybpftime.machine.memory import OFFSET_MASK, SLOT_SHIFT

if TYPE_CHECKING:
    from pybpftime.debug.provenance.slice import Code, Slice

ARGUMENTS = range(1, 6)
OWN = range(6, 10)
FRAME_POINTER = 10
POINTER_ROLES = (Role.MAP_KEY, Role.MAP_VALUE, Role.MEMORY, Role.FIXED_MEMORY, Role.CONTEXT, Role.MAP, Role.FUNCTION)
OF_AN_ELEMENT = (CallbackArgument.KEY, CallbackArgument.VALUE)
HELD_BY_CALLBACK = dict.fromkeys((CallbackArgument.MAP, *OF_AN_ELEMENT), Role.MAP) | {
    CallbackArgument.CONTEXT: Role.STACK
}
"""Which argument of the helper it is that the function gets, or is found with."""
Range = tuple[int, int]


class Undo:
    """Goes back over single steps of a slice."""

    def __init__(self, slice: Slice) -> None:
        self._slice = slice

    def undo(self, code: Code, step: int, depth: int) -> None:
        """Go back over the instruction of `step`, in the function at `depth`."""
        match code.row.form:
            case Form.CALL_HELPER | Form.CALL_BTF:
                self._call(code, step, depth)
            case Form.CALL_LOCAL | Form.CALL_REGISTER:
                if self._slice.depth_behind(step) > depth:
                    self._enter(code, step, depth)
                else:
                    self._call(code, step, depth)
            case Form.EXIT:
                self._exit(code, step, depth)
            case Form.PACKET:
                self._packet(code, step, depth)
            case _:
                self._instruction(code, step, depth)

    # -- instructions whose table row says it all ----------------------------------------------------------------------

    def _instruction(self, code: Code, step: int, depth: int) -> None:
        taken, wanted = Taken(), self._slice.wanted
        for number in code.writes:
            wanted.take_register(register_of(number, depth), taken)
        for address, size in self._accesses(step, writes=True):
            wanted.take_memory(address, size, taken)
        if not taken:
            return
        node = self._node(code, step, depth, taken)
        match code.row.form:
            case Form.BINARY | Form.UNARY:
                self._compute(node, code, depth)
            case Form.LOAD | Form.LOAD_ACQUIRE:
                self._load(node, code, step, depth)
            case Form.STORE | Form.STORE_RELEASE:
                self._store(node, code, step, depth)
            case Form.ATOMIC:
                self._atomic(node, code, step, depth)

    def _node(self, code: Code, step: int, depth: int, taken: Taken, kind: NodeKind = NodeKind.INSTRUCTION) -> RawNode:
        node = self._slice.node(kind, step, taken)
        if self._slice.branches is not None:
            self._slice.branches.wait(node, code, depth)
        return node

    def _register(self, node: RawNode, kind: UseKind, number: int, depth: int, lanes: int = ALL_LANES) -> None:
        if lanes and (kind is not UseKind.ADDRESS or self._slice.addresses):
            self._slice.use(node.number, kind, register=register_of(number, depth), lanes=lanes)

    def _memory(self, node: RawNode, ranges: list[Range], kind: UseKind = UseKind.VALUE) -> None:
        if ranges:
            self._slice.use(node.number, kind, ranges=ranges)

    def _compute(self, node: RawNode, code: Code, depth: int) -> None:
        (lanes,) = node.registers.values()
        of_dst, of_src = operand_lanes(code.row, code.instruction, lanes)
        if of_dst and of_src and code.instruction.dst_reg == code.instruction.src_reg:
            of_dst, of_src = of_dst | of_src, 0
        self._register(node, UseKind.VALUE, code.instruction.dst_reg, depth, of_dst)
        self._register(node, UseKind.VALUE, code.instruction.src_reg, depth, of_src)

    def _load(self, node: RawNode, code: Code, step: int, depth: int) -> None:
        (lanes,) = node.registers.values()
        ((address, size),) = self._accesses(step, writes=False)
        extended = code.row.compute is not zero_extended
        of_memory = extended_lanes(size, lanes) if extended else lanes & low_lanes(size)
        self._memory(node, self._loaded(address, size, of_memory))
        self._register(node, UseKind.ADDRESS, code.instruction.src_reg, depth)

    def _loaded(self, address: int, size: int, lanes: int) -> list[Range]:
        """The bytes behind lanes of what was loaded; of a context that is no memory, the whole field."""
        context = self._slice.context()
        if context is None or context.base >> SLOT_SHIFT != address >> SLOT_SHIFT:
            return [(address + lane, 1) for lane in range(size) if lanes >> lane & 1]
        field = context.layout.field_at(address & OFFSET_MASK)
        return [(address, size) if field is None else (context.base + field.offset, field.size)]

    def _store(self, node: RawNode, code: Code, step: int, depth: int) -> None:
        ((address, size),) = self._accesses(step, writes=True)
        if code.row.operand == "src_reg":
            self._register(node, UseKind.VALUE, code.instruction.src_reg, depth, _lanes(node, address, size))
        self._register(node, UseKind.ADDRESS, code.instruction.dst_reg, depth)

    def _atomic(self, node: RawNode, code: Code, step: int, depth: int) -> None:
        ((address, size),) = self._accesses(step, writes=True)
        compute, instruction = code.row.compute, code.instruction
        writes_memory = bool(node.memory)
        if node.registers or compute is not exchange:
            self._memory(node, [(address, size)])
        if writes_memory:
            self._register(node, UseKind.VALUE, instruction.src_reg, depth, low_lanes(size))
            if compute is compare_exchange:
                self._register(node, UseKind.VALUE, 0, depth, low_lanes(size))
        self._register(node, UseKind.ADDRESS, instruction.dst_reg, depth)

    def _packet(self, code: Code, step: int, depth: int) -> None:
        """A legacy packet access: r0, and r1 to r5 are lost."""
        self._unset(code, step, ARGUMENTS, depth)
        taken = Taken()
        self._slice.wanted.take_register(register_of(0, depth), taken)
        if taken:
            node = self._node(code, step, depth, taken)
            self._memory(node, self._accesses(step, writes=False))
            if code.row.operand == "src_reg":
                self._register(node, UseKind.ADDRESS, code.instruction.src_reg, depth, low_lanes(4))

    # -- functions -----------------------------------------------------------------------------------------------------

    def _enter(self, code: Code, step: int, depth: int) -> None:
        """A call of a function: it has a frame of its own, its arguments stay where they are."""
        self._fresh_frame(step, depth + 1)
        if self._slice.branches is not None:
            self._slice.branches.call(code, depth)

    def _fresh_frame(self, step: int, depth: int, *, keeps: int = 0) -> None:
        """A function begins at `depth`: nothing is in its registers and on its stack."""
        numbers = [0, *OWN, FRAME_POINTER]
        for number in numbers:
            self._unwritten(step, register_of(number, depth))
        region = self._slice.world.machine_of(self._slice.index).stack.regions[depth - 1]
        taken = Taken()
        self._slice.wanted.take_memory(region.base, len(region.data), taken)
        if taken:
            self._slice.node(NodeKind.UNWRITTEN, step + 1, taken)

    def _unwritten(self, step: int, register: int) -> None:
        taken = Taken()
        self._slice.wanted.take_register(register, taken)
        if taken:
            self._slice.node(NodeKind.UNWRITTEN, step + 1, taken)

    def _unset(self, code: Code, step: int, numbers: range, depth: int) -> None:
        for number in numbers:
            self._unwritten(step, register_of(number, depth))

    def _exit(self, code: Code, step: int, depth: int) -> None:
        call = self._slice.log.calls.get(step)
        if call is None:
            self._unset(code, step, ARGUMENTS, depth)
        elif self._slice.depth_behind(step) < depth:
            self._conclude(code, step, depth, call)
        else:
            self._fresh_frame(step, depth)
            self._call_back(code, step, depth, call)

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _call(self, code: Code, step: int, depth: int) -> None:
        call = self._slice.log.calls.get(step)
        if call is not None and call.tail_called:
            self._fresh_frame(step, depth)
            self._unset(code, step, range(2, 6), depth)
            return
        if call is not None and self._slice.depth_behind(step) > depth:
            self._fresh_frame(step, depth + 1)
            self._call_back(code, step, depth + 1, call)
            self._hold(code, step, depth, call)
            if self._slice.branches is not None:
                self._slice.branches.call(code, depth)
            return
        self._unset(code, step, ARGUMENTS, depth)
        taken, wanted = Taken(), self._slice.wanted
        wanted.take_register(register_of(0, depth), taken)
        writes = self._accesses(step, writes=True)
        for address, size in writes:
            wanted.take_memory(address, size, taken)
        for element in () if call is None else call.changed:
            wanted.take_element(element, taken)
        if taken:
            self._helper(self._node(code, step, depth, taken, NodeKind.CALL), step, depth, call)

    def _helper(self, node: RawNode, step: int, depth: int, call: Call | None) -> None:
        """What a helper read: its arguments, and the memory behind them."""
        node.helper = "" if call is None else call.call.declaration.name
        reads, key = self._accesses(step, writes=False), None
        if call is not None and call.key is not None:
            key = self._slice.canonical(call.key)
        data = [one for one in dict.fromkeys(reads) if one[0] != key]
        only_copies = not node.registers and not node.elements
        copied = _copied(node, self._accesses(step, writes=True), data) if only_copies else None
        self._memory(node, data if copied is None else copied)
        self._memory(node, [one for one in dict.fromkeys(reads) if one[0] == key], UseKind.KEY)
        if call is None:
            for number in ARGUMENTS:
                self._register(node, UseKind.ARGUMENT, number, depth)
            return
        node.is_quiet = call.element is None and call.call.declaration.returns.role is ResultRole.MAP_VALUE
        if call.element is not None and node.registers and not call.changed:
            self._slice.use(node.number, UseKind.ELEMENT, element=call.element)
        for number, parameter in enumerate(call.call.declaration.parameters, start=1):
            kind = UseKind.ADDRESS if parameter.kind.role in POINTER_ROLES else UseKind.ARGUMENT
            if parameter.kind.role is not Role.UNCHECKED:
                self._register(node, kind, number, depth)

    # -- helpers that call back ----------------------------------------------------------------------------------------

    def _call_back(self, code: Code, step: int, depth: int, call: Call) -> None:
        """The function at `depth` is called by the helper: r1 to r5, and the key that it is shown."""
        taken = Taken()
        for address, size in self._accesses(step, writes=True):
            self._slice.wanted.take_memory(address, size, taken)
        name = call.call.declaration.name
        if taken:
            self._slice.node(NodeKind.CALL, step, taken).helper = name
        arguments = _callback_arguments(call)
        for number in ARGUMENTS:
            taken = Taken()
            self._slice.wanted.take_register(register_of(number, depth), taken)
            if not taken:
                continue
            if not arguments:  # nothing is known of how it calls back
                self._slice.node(NodeKind.CALL, step, taken).helper = name
                continue
            if number > len(arguments):
                self._slice.node(NodeKind.UNWRITTEN, step + 1, taken)
                continue
            node = self._slice.node(NodeKind.CALL, step, taken)
            node.helper = name
            argument, held = arguments[number - 1]
            node.is_quiet = argument not in OF_AN_ELEMENT
            if held:
                self._slice.use(node.number, UseKind.ARGUMENT, register=held_argument(held, depth))

    def _hold(self, code: Code, step: int, depth: int, call: Call) -> None:
        """The helper keeps its arguments for later rounds: these are the registers of its call."""
        for number in ARGUMENTS:
            held = self._slice.wanted.registers.pop(held_argument(number, depth + 1), None)
            if held is not None:
                here = self._slice.wanted.registers.setdefault(register_of(number, depth), {})
                for use, lanes in held.items():
                    here[use] = here.get(use, 0) | lanes
                    self._slice.uses[use].register = register_of(number, depth)
                    self._slice.uses[use].is_held = self._slice.nodes[self._slice.uses[use].node].step != step

    def _conclude(self, code: Code, step: int, depth: int, call: Call) -> None:
        """The last round is over: r0 is the helper's result."""
        self._unset(code, step, ARGUMENTS, depth)
        taken = Taken()
        self._slice.wanted.take_register(register_of(0, depth), taken)
        if taken:
            node = self._slice.node(NodeKind.CALL, step, taken)
            node.helper = call.call.declaration.name
            self._slice.use(node.number, UseKind.VALUE, register=register_of(0, depth))
            for number in range(1, len(call.call.declaration.parameters) + 1):
                self._slice.use(node.number, UseKind.ARGUMENT, register=held_argument(number, depth))

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _accesses(self, step: int, *, writes: bool) -> list[Range]:
        canonical = self._slice.canonical
        noted = self._slice.log.accesses.get(step, ())
        return [(canonical(address), size) for is_write, address, size in noted if is_write is writes]


def _lanes(node: RawNode, address: int, size: int) -> int:
    """The lanes of a stored number that are wanted."""
    lanes = 0
    for start, length in node.memory:
        for at in range(max(start, address), min(start + length, address + size)):
            lanes |= 1 << at - address
    return lanes


def _copied(node: RawNode, writes: list[Range], reads: list[Range]) -> list[Range] | None:
    """Where the bytes come from that a helper copied; None if it did something else with what it read."""
    found = []
    for start, length in node.memory:
        whole = next((one for one in writes if one[0] <= start and start + length <= sum(one)), None)
        sources = [one for one in reads if whole is not None and one[1] == whole[1]]
        if whole is None or len(sources) != 1:
            return None
        found.append((sources[0][0] + start - whole[0], length))
    return found


def _callback_arguments(call: Call) -> list[tuple[CallbackArgument, int]]:
    """What the function that is called back gets, and which argument of the helper it comes from, 0 for none."""
    found = []
    for parameter in call.call.declaration.parameters:
        if parameter.kind.callback is not None:
            for one in parameter.kind.callback.arguments:
                role = HELD_BY_CALLBACK.get(one)
                found.append((one, 0 if role is None else call.call.argument(role) or 0))
    return found
