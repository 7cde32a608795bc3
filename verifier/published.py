"""The states that the verifier went through, as a claim that a run of the program can refute.

While it explores, the verifier shows every abstract state before the instruction in it is executed.  If the program
turns out to be safe, every run keeps inside: each time that it comes to an instruction, what it is then (`Moment`) lies
in at least one of the states that were shown there with the same calls behind it.

    published = Published(program, maps)
    report = verify(program, maps, watch=published.watch)
    if report.verdict is Verdict.SAFE:
        ... run the program, and before each instruction: published.contains(moment)

What lies in a state follows from what the verifier takes for covered when it leaves out a path (`inclusion`):

* a number that no proof relied on (not `precise`) may be any number, and stands for nothing else; where it is precise,
  the number is in its range, and the same scalar is the same number in all its places;
* a register that is not read any more, a stack slot from which nothing was loaded since the last checkpoint before the
  state until all behind that was explored, and a caller's r0 to r5 may hold anything;
* a pointer is an address in a region of its kind (a map value: of the map of that name; a stack: that of the frame), at
  an offset within its bounds, and the same region is the same place in all pointers; a nullable one may be 0;
* a number may be an address: privileged programs compute with them;
* what is known of the length of the packet holds, and a spin lock is held exactly if the state says so.

Marks are final when the verification is over, so `contains` is asked only then.  The module knows no machine: where
regions lie is asked of the moment (`Moment.places`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pybpftime.isa.encoding import MASK64
from pybpftime.maps.spec import MapSpec
from pybpftime.program.spec import ProgramSpec
from pybpftime.verifier.explore import Checkpoint
from pybpftime.verifier.inclusion import EVER
from pybpftime.verifier.state import STACK_SIZE, State
from pybpftime.verifier.subject import Options, Subject
from pybpftime.verifier.values import Pointer, Region, Scalar, Value

SAVED = range(6, 11)
"""The registers of a caller that are still there when the function that it called returns."""
MOST_STARTS = 64
"""Beyond so many places where a region might begin a pointer is in one of them somehow."""

Places = Callable[[Region], Sequence[range] | None]
"""Where a region that resembles the given one may begin: addresses.  For a stack: that of byte 0, behind its last byte;
for the end of a packet: the end.  None for what the machine does not tell."""


class Running(NamedTuple):
    """A function that is running: its first slot, and where its caller goes on (None: a callback, or the program).

    `registers` are r0 to r10, None for those that were never written; `stack` its 512 bytes.
    """

    start: int
    return_pc: int | None
    registers: Sequence[int | None]
    stack: bytes | bytearray | memoryview


class Moment(NamedTuple):
    """A run right before the instruction at `pc`.

    `functions`: those that are running, the outermost first.  `packet_length`, `metadata_length` in bytes, None without
    a packet.  `locked`: whether a spin lock is held.  `references`: how many things it has to give back.
    """

    pc: int
    functions: Sequence[Running]
    places: Places
    packet_length: int | None = None
    metadata_length: int | None = None
    locked: bool = False
    references: int = 0


class Mismatch(NamedTuple):
    """Why a moment does not lie in a state: what is where it should not be."""

    where: str
    abstract: object
    concrete: object

    def __str__(self) -> str:
        concrete = f"{self.concrete:#x}" if isinstance(self.concrete, int) else f"{self.concrete}"
        return f"{self.where} is {concrete}, and here {self.abstract}"


class Published:
    """The states of one verification, by instruction and calls."""

    def __init__(self, program: ProgramSpec, maps: Mapping[str, MapSpec]) -> None:
        self._program = program
        self._maps = maps
        self._seen: dict[tuple[object, ...], list[tuple[State, Checkpoint]]] = {}
        self._claims: dict[tuple[object, ...], list[_Claim]] = {}
        self._subject: Subject | None = None

    def watch(self, state: State, checkpoint: Checkpoint) -> None:
        """Take note of a state: the argument `watch` of `verify`."""
        functions = [
            (frame.start, None if frame.callback is not None or frame.return_pc < 0 else frame.return_pc)
            for frame in state.frames
        ]
        self._seen.setdefault((state.pc, *functions), []).append((state, checkpoint))

    def contains(self, moment: Moment) -> bool:
        """Whether the moment lies in a state that was seen."""
        claims = self._claims_at(moment)
        for index, claim in enumerate(claims):
            if claim.mismatch(moment) is None:
                if index:  # the next moment here is likely to lie in the same one
                    claims.insert(0, claims.pop(index))
                return True
        return False

    def state_of(self, moment: Moment) -> State | None:
        """The state that the moment lies in; None if it lies in none."""
        return next((claim.state for claim in self._claims_at(moment) if claim.mismatch(moment) is None), None)

    def mismatches(self, moment: Moment) -> Iterator[Mismatch]:
        """For each state that was seen there, why the moment does not lie in it; nothing if none was seen."""
        for claim in self._claims_at(moment):
            found = claim.mismatch(moment)
            if found is not None:
                yield found

    def _claims_at(self, moment: Moment) -> list[_Claim]:
        key = (moment.pc, *[(function.start, function.return_pc) for function in moment.functions])
        claims = self._claims.get(key)
        if claims is None:
            if self._subject is None:
                self._subject = Subject(self._program, self._maps, Options())
            live = self._subject.live
            claims = self._claims[key] = [_Claim(*seen, live) for seen in self._seen.get(key, ())]
        return claims


class _Claim:
    """What one state says of a moment: the values that matter, each with its place."""

    def __init__(self, state: State, checkpoint: Checkpoint, live: Sequence[int]) -> None:
        lifetime = checkpoint.lifetime or EVER
        self.state = state
        self._registers: list[tuple[int, int, Value]] = []
        self._slots: list[tuple[int, int, int, Value]] = []
        frames = state.frames
        for depth in reversed(range(len(frames))):
            frame = frames[depth]
            running = depth == len(frames) - 1
            bits = live[state.pc if running else frames[depth + 1].return_pc]
            for number in range(11) if running else SAVED:
                value = frame.registers[number]
                if value is not None and bits >> number & 1 and _matters(value):
                    self._registers.append((depth, number, value))
            self._slots += [
                (depth, offset, slot.size, slot.value)
                for offset, slot in frame.stack.items()
                if slot.mark.read_between(*lifetime) and _matters(slot.value)
            ]

    def mismatch(self, moment: Moment) -> Mismatch | None:
        """The first value that is not what the state says; None if the moment lies in the state."""
        matching = _Matching(moment)
        functions = moment.functions
        for depth, number, value in self._registers:
            concrete = functions[depth].registers[number]
            if concrete is None or not matching.value(value, concrete):
                return Mismatch(f"r{number} of frame {depth}", value, concrete)
        for depth, offset, size, value in self._slots:
            start = STACK_SIZE + offset
            concrete = int.from_bytes(functions[depth].stack[start : start + size], "little")
            if not matching.value(value, concrete):
                return Mismatch(f"fp{offset} of frame {depth}", value, concrete)
        return self._packet(moment, matching) or self._resources(moment)

    def _packet(self, moment: Moment, matching: _Matching) -> Mismatch | None:
        state = self.state
        if state.packet is None or moment.packet_length is None:
            return None
        lengths = {state.packet.data: moment.packet_length, state.packet.meta: moment.metadata_length}
        for region, length in lengths.items():
            known = state.lengths.get(region)
            if known is not None and length is not None and not matching.scalar(known, length):
                return Mismatch(f"the length of the {region.kind}", known, length)
        for (region, variable), reach in state.reaches.items():
            number, length = matching.numbers.get(variable), lengths.get(region)
            if reach.precise and number is not None and length is not None and _signed(number) + reach.reach > length:
                return Mismatch(f"the length of the {region.kind}", f"{_signed(number)} + {reach.reach}", length)
        return None

    def _resources(self, moment: Moment) -> Mismatch | None:
        state = self.state
        if (state.lock is not None) is not moment.locked:
            return Mismatch("the spin lock", "held" if state.lock else "free", "held" if moment.locked else "free")
        if moment.references > len(state.held):
            return Mismatch("the number of references", len(state.held), moment.references)
        return None


def _matters(value: Value) -> bool:
    return isinstance(value, Pointer) or value.precise


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


class _Matching:
    """What the scalars and regions of one state are in one moment."""

    def __init__(self, moment: Moment) -> None:
        self._places = moment.places
        self.numbers: dict[Scalar, int] = {}
        self.starts: dict[Region, int] = {}

    def value(self, value: Value, concrete: int) -> bool:
        """Whether a register or slot that holds `concrete` may stand for `value`."""
        return self.scalar(value, concrete) if isinstance(value, Scalar) else self.pointer(value, concrete)

    def scalar(self, scalar: Scalar, concrete: int) -> bool:
        """Whether the number may be this one: it is in the range, and what it is elsewhere."""
        if not scalar.precise:
            return True
        if not scalar.range.contains(concrete):
            return False
        return scalar.is_constant or self.numbers.setdefault(scalar.root, concrete) == concrete

    def pointer(self, pointer: Pointer, address: int) -> bool:
        """Whether the address may be this pointer."""
        if address == 0 and pointer.nullable:
            return True
        region, variable = pointer.region, pointer.variable
        places = self._places(region)
        if places is None:
            return True
        if variable is not None and not variable.precise:
            return any(place for place in places)  # any offset from any place of the kind
        low, high = pointer.bounds
        starts = [start for place in places for start in _between(place, address - high, address - low)]
        if not starts:
            return False
        if len(starts) > 1:
            offsets = [address - start - pointer.offset for start in starts]
            return variable is None or len(starts) > MOST_STARTS or any(map(variable.range.contains, offsets))
        start = starts[0]
        if self.starts.setdefault(region, start) != start:
            return False
        return variable is None or self.scalar(variable, address - start - pointer.offset & MASK64)


def _between(place: range, low: int, high: int) -> range:
    """The members of `place` from `low` to `high`, no more than are worth looking at."""
    first = max(0, -(-(low - place.start) // place.step))
    last = min(len(place) - 1, (high - place.start) // place.step)
    return place[first : min(last + 1, first + MOST_STARTS + 1)] if first <= last else range(0)
