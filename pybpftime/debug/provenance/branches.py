"""The conditional jumps that decided whether an instruction was executed.

Of a jump and an instruction behind it in the same function, the jump decides if one way from it leads past the
instruction (the instruction does not postdominate it).  The last such jump before the instruction counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpftime.debug.flow import control_flow
from pybpftime.debug.provenance.parts import NodeKind, RawNode, Taken, UseKind, register_of
from pybpftime.isa.row import registers

if TYPE_CHECKING:
    from pybpftime.debug.provenance.slice import Code, Slice

Flow = tuple[tuple[int, ...], ...]


class Branches:
    """Nodes that wait for the jump that decided about them, while a slice goes back."""

    def __init__(self, slice: Slice) -> None:
        self._slice = slice
        self._waiting: dict[int, list[tuple[int, int]]] = {}
        """By depth: the node, and the slot in the function at that depth."""
        self._flows: dict[int, Flow] = {}
        self._known: dict[tuple[int, int, int], bool] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether a jump is looked for."""
        return any(self._waiting.values())

    def wait(self, node: RawNode, code: Code, depth: int) -> None:
        """Look for the jump that decided about a node."""
        self._waiting.setdefault(depth, []).append((node.number, code.slot))

    def jump(self, code: Code, step: int, depth: int) -> None:
        """A conditional jump at `step`."""
        waiting = self._waiting.get(depth)
        if not waiting:
            return
        decided = [one for one in waiting if self._decides(code, one[1])]
        if not decided:
            return
        self._waiting[depth] = [one for one in waiting if one not in decided]
        node = self._slice.node(NodeKind.BRANCH, step, Taken())
        for number in registers(code.row.reads, code.instruction):
            self._slice.use(node.number, UseKind.VALUE, register=register_of(number, depth))
        for waiter, _ in decided:
            self._slice.use(waiter, UseKind.BRANCH).sources.append(node.number)

    def call(self, code: Code, depth: int) -> None:
        """The function at depth + 1 begins: what was decided there depends on the call."""
        for node, _ in self._waiting.pop(depth + 1, ()):
            self._waiting.setdefault(depth, []).append((node, code.slot))

    def clear(self) -> None:
        """The program begins: nothing decided."""
        self._waiting.clear()

    def _decides(self, jump: Code, slot: int) -> bool:
        key = (jump.program, jump.slot, slot)
        if key not in self._known:
            self._known[key] = leads_past(self._flow(jump), jump.slot, slot)
        return self._known[key]

    def _flow(self, code: Code) -> Flow:
        if code.program not in self._flows:
            for program in self._slice.world.object:
                self._flows.setdefault(id(program.spec), control_flow(program.spec.instructions))
        return self._flows.get(code.program, ())


def leads_past(flow: Flow, jump: int, slot: int) -> bool:
    """Whether one way from `jump` ends without coming to `slot`."""
    if jump >= len(flow):
        return False
    pending = [one for one in flow[jump] if one != slot]
    seen = set(pending)
    while pending:
        following = flow[pending.pop()]
        if not following:
            return True
        for one in following:
            if one != slot and one not in seen and one < len(flow):
                seen.add(one)
                pending.append(one)
    return False
