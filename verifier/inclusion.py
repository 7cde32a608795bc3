"""Is everything that may happen from one state already covered by the exploration of another?

`covers(old, new)` holds if every concrete state in `new` behaves, as far as safety goes, like one that was followed
from `old`.  The argument: from `old` every path was explored.  A scalar whose range no proof on those paths relied on
could have been any number, so it may be any number in `new`; one that is *precise* must lie in the range that the
proofs knew; one whose root is *exact* must be the same number, of the very same root, because the solver used how it
was computed, and the facts that the solver used must be on the path to `new` too.  Numbers and regions that were one in
`old` must be one in `new`: a check of the one was taken for a check of the other.  Registers that nobody reads, and
slots that nobody read, do not matter.

The marks of `old` are final when its exploration is complete.  Without a lifetime, all of the state counts as precise:
so an exploration that is still going on may be used (`explore`, on calls that repeat).
"""

from __future__ import annotations

from collections.abc import Iterable

from pybpftime.verifier import domain, stack
from pybpftime.verifier.state import Fact, Frame, State
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.values import Input, InputKind, Pointer, Region, Scalar, Value, constant, rely

EVER = (0, 1 << 62)
"""A lifetime that takes in every serial."""


class Matching:
    """What in the new state stands for what in the old one, as far as it was compared."""

    def __init__(self, lifetime: tuple[int, int] | None) -> None:
        """`lifetime`: between which serials the old state was explored; None when everything in it counts."""
        self.lifetime = lifetime
        self.everything = lifetime is None
        self.scalars: dict[Scalar, Scalar] = {}
        self.regions: dict[Region, Region] = {}
        self.slots: list[tuple[stack.Slot, stack.Slot]] = []

    def was_read(self, slot: stack.Slot) -> bool:
        """Whether something was loaded from the slot of the old state behind it.

        The walk is depth first: all that happens between the making of a checkpoint and the end of its exploration
        happens behind it.
        """
        return self.lifetime is None or slot.mark.read_between(*self.lifetime)

    def value(self, old: Value, new: Value | None) -> bool:
        """Whether `new` may stand for `old`."""
        if old is new:
            return self._same(old)
        if isinstance(old, Scalar):
            return isinstance(new, Scalar) and self.scalar(old, new)
        return isinstance(new, Pointer) and self.pointer(old, new)

    def _same(self, value: Value) -> bool:
        if isinstance(value, Scalar):
            return not (value.precise or self.everything) or self._stands_for(value, value)
        same = self.region(value.region, value.region)
        return same and (value.variable is None or self.scalar(value.variable, value.variable))

    def scalar(self, old: Scalar, new: Scalar) -> bool:
        """Whether the number may stand for the other."""
        if not (old.precise or self.everything):
            return True
        if old.root.exact and old.root is not new.root:
            return False
        if old is not new and not old.range.includes(new.range):
            return False
        return self._stands_for(old, new)

    def _stands_for(self, old: Scalar, new: Scalar) -> bool:
        if self.scalars.setdefault(old, new) is not new and not old.is_constant:
            return False
        return old.root is old or self.scalars.setdefault(old.root, new.root) is new.root or old.is_constant

    def pointer(self, old: Pointer, new: Pointer) -> bool:
        """Whether the pointer may stand for the other."""
        if old.offset != new.offset or (new.nullable and not old.nullable) or not self.region(old.region, new.region):
            return False
        if old.variable is None:
            return new.variable is None
        return self.scalar(old.variable, constant(0) if new.variable is None else new.variable)

    def region(self, old: Region, new: Region) -> bool:
        """Whether the region may stand for the other."""
        if old is not new and not old.resembles(new):
            return False
        return self.regions.setdefault(old, new) is new


def covers(
    subject: Subject, old: State, needs: Iterable[Fact], new: State, lifetime: tuple[int, int] | None = EVER
) -> Matching | None:
    """The matching by which `old` covers `new`, None if it does not; both are at the same pc and in the same calls.

    `lifetime`: the serials between which `old` was explored, because only then was a slot read behind it; None if it
    still is, and then everything in it counts as precise and read.
    """
    matching = Matching(lifetime)
    for old_frame, new_frame in zip(old.frames, new.frames, strict=True):
        if old_frame.callback != new_frame.callback:
            return None
        matching.regions[old_frame.region] = new_frame.region
    for old_frame, new_frame, live in zip(old.frames, new.frames, _live(subject, old), strict=True):
        if not _frames(matching, old_frame, new_frame, live):
            return None
    same = (
        _resources(matching, old, new)
        and _packets(matching, old, new)
        and _contents(matching, old, new)
        and all(has_fact(new, fact) for fact in needs)
    )
    return matching if same else None


def _live(subject: Subject, state: State) -> list[int]:
    """For each frame the registers that are still read, as bits; a caller goes on behind its call, without r0."""
    if not state.callers:
        return [subject.live[state.pc]]
    frames = state.frames
    live = []
    for callee in frames[1:]:
        later = subject.live[callee.return_pc]
        live.append(later if callee.callback is not None else later & ~1)
    return [*live, subject.live[state.pc]]


def _frames(matching: Matching, old: Frame, new: Frame, live: int) -> bool:
    for number, value in enumerate(old.registers):
        if value is not None and live >> number & 1 and not matching.value(value, new.registers[number]):
            return False
    for offset, slot in old.stack.items():
        if not matching.was_read(slot):
            continue
        if not _slot(matching, offset, slot, new):
            return False
    return True


def _slot(matching: Matching, offset: int, old: stack.Slot, new: Frame) -> bool:
    slot = new.stack.get(offset)
    if slot is not None and slot.size == old.size:
        matching.slots.append((old, slot))
        return matching.value(old.value, slot.value)
    if isinstance(old.value, Pointer):
        return False
    if not (old.value.precise or matching.everything):
        return True
    value = stack.load(new.stack, offset, old.size, -1)
    if value is None:
        value = stack.anything(old.size)
    return matching.value(old.value, value)


def _resources(matching: Matching, old: State, new: State) -> bool:
    if len(old.held) != len(new.held) or (old.lock is None) is not (new.lock is None):
        return False
    if old.lock is not None and new.lock is not None and not matching.pointer(old.lock, new.lock):
        return False
    return all(matching.region(one, other) for one, other in zip(old.held, new.held, strict=True))


def _packets(matching: Matching, old: State, new: State) -> bool:
    if old.packet is not None and new.packet is not None:
        pairs = zip(old.packet, new.packet, strict=True)
        if not all(matching.region(one, other) for one, other in pairs):
            return False
    for region, length in old.lengths.items():
        other = new.lengths.get(matching.regions.get(region, region))
        if other is None or not matching.scalar(length, other):
            return False
    for (region, variable), reach in old.reaches.items():
        if not (reach.precise or matching.everything) or variable not in matching.scalars:
            continue
        key = (matching.regions.get(region, region), matching.scalars[variable])
        known = new.reaches.get(key)
        if known is None or known.reach < reach.reach:
            return False
    return True


def _contents(matching: Matching, old: State, new: State) -> bool:
    """That memory which was read before and is read again still holds the same, where the solver relied on that."""
    if old.contents is None or new.contents is None:
        return old.contents is new.contents
    return all(matching.scalar(one, other) for one, other in zip(old.contents, new.contents, strict=True))


def has_fact(state: State, fact: Fact) -> bool:
    """Whether the path to the state has shown `fact`: that very one."""
    one = state.facts
    while one is not None and one.depth > fact.depth:
        one = one.previous
    return one is fact


def pass_on(matching: Matching, old: State, new: State) -> None:
    """Mark in `new` what the proofs that began in `old` relied on: they hold for `new` because of it."""
    for one, other in matching.scalars.items():
        if one.precise or matching.everything:
            rely(other)
        if one.exact:
            other.exact = True
    for slot, other_slot in matching.slots:
        if matching.was_read(slot):
            other_slot.mark.set()
    for (region, variable), reach in old.reaches.items():
        if (reach.precise or matching.everything) and variable in matching.scalars:
            key = (matching.regions.get(region, region), matching.scalars[variable])
            if key in new.reaches:
                new.reaches[key].use()


def same(subject: Subject, old: State, new: State) -> bool:
    """Whether the two states cannot be told apart: a loop that has come back to where it was."""
    return covers(subject, old, (), new, None) is not None and covers(subject, new, (), old, None) is not None


def widened(old: State, new: State) -> State:
    """A state that includes `new`, in which what changed since `old` is followed no further than its bounds."""
    frames = [_widened_frame(one, other) for one, other in zip(old.frames, new.frames, strict=True)]
    return new._replace(frame=frames[-1], callers=tuple(frames[:-1]))


def _widened_frame(old: Frame, new: Frame) -> Frame:
    registers = tuple(
        [
            value if one is None or value is None else _widened_value(one, value)
            for one, value in zip(old.registers, new.registers, strict=True)
        ]
    )
    slots = {}
    for offset, slot in new.stack.items():
        before = old.stack.get(offset)
        if before is not None and before.size == slot.size:
            value = _widened_value(before.value, slot.value)
            slots[offset] = slot if value is slot.value else slot.holding(value)
    return new._replace(registers=registers, stack=slots)


def _widened_value(old: Value, new: Value) -> Value:
    if old is new:
        return new
    if isinstance(old, Scalar) and isinstance(new, Scalar):
        return new if old.range == new.range and new.is_constant else _widened_scalar(old, new)
    if not isinstance(old, Pointer) or not isinstance(new, Pointer) or not old.region.resembles(new.region):
        return new
    if old.offset != new.offset or old.variable is None or new.variable is None:
        return new
    return Pointer(new.region, new.offset, _widened_scalar(old.variable, new.variable), new.nullable)


def _widened_scalar(old: Scalar, new: Scalar) -> Scalar:
    if old is new:
        return new
    return Scalar(domain.widen(old.range, domain.join(old.range, new.range)), Input(InputKind.LOST, "a loop"), (new,))
