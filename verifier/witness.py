"""A failed obligation as a concrete input: what the solver says is possible, put into packets, maps and contexts.

The facts of the path and the negation of the claims are solved together; in the model every leaf of the value graph has
a number, and a leaf says which input it is.  Bytes that are read twice are one byte here, so that the input exists: the
proof of safety must not assume that (others may write to a map), a single run may.

Nothing that is found here is believed before it was replayed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations

from pybpftime.errors import FaultKind
from pybpftime.maps.spec import MapSpec
from pybpftime.uapi import MapType
from pybpftime.verifier import terms
from pybpftime.verifier.explore import Failure
from pybpftime.verifier.obligations import Claim, NotNull, Within
from pybpftime.verifier.reasons import Category
from pybpftime.verifier.report import Witness
from pybpftime.verifier.state import Fact, FactKind, Packet, State, facts_of
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.terms import Formula, Term
from pybpftime.verifier.translate import Translation
from pybpftime.verifier.values import Input, InputKind, Pointer, Region, RegionKind, Scalar

MILLISECONDS = 3000
LARGEST_METADATA = 252
PACKET_SIZES = ((14, 128), (14, 65535), (0, 128), (0, 65535))
"""Bounds of the packet's length, tried in this order: the usual ones have an Ethernet header."""
COMMON_RESULT = (1 << 31) - 1
"""What helpers return is at most this, if that can be: many return 32 bits."""
MOST_PAIRS = 2000
LENGTH_FIELD = "len"
ARRAYS = frozenset({MapType.BPF_MAP_TYPE_ARRAY, MapType.BPF_MAP_TYPE_PERCPU_ARRAY})
KINDS: Mapping[Category, FaultKind] = {
    Category.UNINITIALISED: FaultKind.UNINITIALISED,
    Category.ALIGNMENT: FaultKind.ALIGNMENT,
}


def find(subject: Subject, failure: Failure, packet: Packet | None) -> Witness | None:
    """An input that should break the obligation of `failure`; None when there is none, or none is found.

    `packet` is the one that the program was given: helpers may have changed it since.
    """
    search = _Search(subject, failure.state, failure.obligation.claims, packet)
    return search.witness(KINDS.get(failure.obligation.reason.category)) if search.solve() else None


def reach(subject: Subject, state: State, packet: Packet | None) -> Witness | None:
    """An input that should take the path to `state`; None when there is none, or none is found."""
    search = _Search(subject, state, (), packet)
    return search.witness(None) if search.solve() else None


class _Search:
    def __init__(self, subject: Subject, state: State, claims: tuple[Claim, ...], packet: Packet | None) -> None:
        self.first = packet
        self.subject = subject
        self.state = state
        self.claims = claims
        self.translation = Translation()
        self.calls = [fact for fact in facts_of(self.state.facts) if fact.kind is FactKind.CALL]
        self.nulls = self._nulls()
        self.model: terms.Model | None = None

    def _nulls(self) -> dict[Region, bool]:
        """Which regions were looked for and not found, or found, on this path."""
        nulls = {
            fact.left.region: fact.holds
            for fact in facts_of(self.state.facts)
            if fact.kind is FactKind.NULL and isinstance(fact.left, Pointer)
        }
        for claim in self.claims:
            if isinstance(claim, NotNull):
                nulls[claim.pointer.region] = True
        return nulls

    # --- the question ---

    def solve(self) -> bool:
        """Ask the solver for a model of the path on which one of the claims is broken."""
        translation = self.translation
        wanted = [
            formula
            for fact in facts_of(self.state.facts)
            if not fact.decided and (formula := translation.fact(fact)) is not None
        ]
        broken = [terms.negation(translation.claim(claim)) for claim in self.claims]
        if broken:
            wanted.append(terms.any_of(broken))
        wanted += self._keys()
        wanted += self._widths()
        wanted += self._length_fields()
        wanted += self._beyond_metadata()
        wanted += self._one_byte_is_one()
        for group in translation.conditions.values():
            wanted += group
        results = [
            terms.unsigned_at_most(term, terms.number(COMMON_RESULT, 64)) for _, term in self._inputs(InputKind.HELPER)
        ]
        for least, most in PACKET_SIZES:
            lengths = self._lengths(least, most)
            for extra in ([*lengths, *results], lengths):
                self.model = terms.model_of([*wanted, *extra], MILLISECONDS)
                if self.model is not None:
                    return True
        return False

    def _lengths(self, least: int, most: int) -> list[Formula]:
        """A packet and metadata that can be made: those of a test run."""
        if self.first is None:
            return []
        found: list[Formula] = []
        for node, term in self._inputs(InputKind.LENGTH):
            if node is self.first.meta.length:
                found.append(terms.unsigned_at_most(term, terms.number(LARGEST_METADATA, 64)))
                found.append(terms.low(term, 2) == 0)
            else:
                found.append(terms.unsigned_at_most(term, terms.number(most, 64)))
                found.append(terms.unsigned_at_most(terms.number(least, 64), term))
        return found

    def _widths(self) -> Iterator[Formula]:
        """Fields of a context of which the kernel's own has fewer bytes hold no more than fits those."""
        for node, term in self._inputs(InputKind.CONTEXT):
            source = node.origin
            assert isinstance(source, Input) and source.region is not None
            layout = source.region.layout
            field = None if layout is None else layout.field_at(source.offset)
            if field is not None and 0 < field.width < source.size:
                yield terms.unsigned_at_most(term, terms.number((1 << 8 * field.width) - 1, 64))

    def _length_fields(self) -> Iterator[Formula]:
        """The length that a context says is that of the packet."""
        length = None if self.first is None else self.first.data.length
        layout = self.subject.layout
        if length is None or layout is None or LENGTH_FIELD not in layout:
            return
        for node, term in self._inputs(InputKind.CONTEXT):
            source = node.origin
            assert isinstance(source, Input)
            if (source.offset, source.size) == (layout.field(LENGTH_FIELD).offset, 4):
                yield term == self.translation.term(length)

    def _inputs(self, *kinds: InputKind) -> Iterator[tuple[Scalar, Term]]:
        for node, term in list(self.translation.variables.items()):  # values are translated on the way
            if isinstance(node.origin, Input) and node.origin.kind in kinds:
                yield node, term

    def _keys(self) -> Iterator[Formula]:
        """An array has a value exactly at the indices below its size."""
        for region, is_null in self.nulls.items():
            map = region.map
            if map is None or map.type not in ARRAYS or region.key is None:
                continue
            inside = terms.unsigned_less(terms.low(self.translation.term(region.key), 32), map.max_entries)
            yield terms.negation(inside) if is_null else inside

    def _one_byte_is_one(self) -> Iterator[Formula]:
        """Reads of the same bytes give the same; stack bytes that were never written read as 0."""
        places: dict[object, list[tuple[int, int, Term]]] = defaultdict(list)
        for node, term in self._inputs(InputKind.CONTEXT, InputKind.PACKET, InputKind.MEMORY):
            source = node.origin
            assert isinstance(source, Input)
            variable = None if source.variable is None else source.variable.root
            places[(_object_of(source.region), variable)].append((source.offset, source.size, term))
        pairs = 0
        for reads in places.values():
            for one, other in combinations(reads, 2):
                pairs += 1
                if pairs > MOST_PAIRS:
                    return
                start, end = max(one[0], other[0]), min(one[0] + one[1], other[0] + other[1])
                if start < end:
                    yield terms.part(one[2], start - one[0], end - one[0]) == terms.part(
                        other[2], start - other[0], end - other[0]
                    )
        for node, term in self._inputs(InputKind.STACK):
            if self._writer(node) is None:
                yield term == 0

    def _beyond_metadata(self) -> Iterator[Formula]:
        """What lies behind metadata is the packet: only beyond that an access is wrong in a run."""
        for claim in self.claims:
            if isinstance(claim, Within) and isinstance(claim.high, Region) and claim.high.of is not None:
                room = self.translation.length(claim.high) + self.translation.length(claim.high.of)
                yield self.translation.end(claim) > room

    def _writer(self, node: Scalar) -> Fact | None:
        """The call of a helper that wrote the stack bytes of a leaf, the last before it was loaded."""
        source = node.origin
        assert isinstance(source, Input)
        for fact in self.calls:
            if fact.serial < node.serial and isinstance(fact.right, Pointer) and fact.right.region is source.region:
                return fact if source.variable is None and source.offset >= fact.right.offset else None
        return None

    # --- the answer ---

    def _number(self, scalar: Scalar) -> int:
        assert self.model is not None
        return self.model.number(self.translation.term(scalar))

    def witness(self, kind: FaultKind | None) -> Witness:
        """The model as an input; `kind` is the fault that it should lead to."""
        packet, metadata = self._packet()
        return Witness(
            program_type=self.subject.spec.type,
            pc=self.state.pc,
            kind=kind,
            context=self._context(),
            packet=packet,
            metadata=metadata,
            maps=self._maps(),
            results=tuple(self._results()),
            written=tuple(self._written()),
        )

    def _context(self) -> dict[int, bytes]:
        found = {}
        for node, _ in self._inputs(InputKind.CONTEXT):
            source = node.origin
            assert isinstance(source, Input)
            if source.region is not None and source.region.kind is RegionKind.CONTEXT:
                found[source.offset] = self._bytes(node, source.size)
        for region, is_null in self.nulls.items():
            if is_null and region.field is not None:
                found[region.field.offset] = bytes(8)
        return dict(sorted(found.items()))

    def _bytes(self, node: Scalar, size: int) -> bytes:
        return (self._number(node) & ((1 << 8 * size) - 1)).to_bytes(size, "little")

    def _packet(self) -> tuple[bytes | None, bytes]:
        if not self.subject.info.takes_packet or self.first is None:
            return None, b""
        lengths = {}
        for node, term in self._inputs(InputKind.LENGTH):
            assert self.model is not None
            lengths[node] = self.model.number(term)
        assert self.first is not None
        data, meta = self.first.data, self.first.meta
        packet = bytearray(lengths.get(data.length, 64) if data.length is not None else 64)
        metadata = bytearray(lengths.get(meta.length, 0) if meta.length is not None else 0)
        for node, _ in self._inputs(InputKind.PACKET):
            source = node.origin
            assert isinstance(source, Input)
            target = packet if source.region is data else metadata if source.region is meta else None
            at = source.offset + (0 if source.variable is None else self._number(source.variable))
            if target is not None and 0 <= at <= len(target) - source.size:
                target[at : at + source.size] = self._bytes(node, source.size)
        return bytes(packet), bytes(metadata)

    def _maps(self) -> dict[str, tuple[tuple[bytes, bytes], ...]]:
        values: dict[tuple[str, bytes], bytearray] = {}
        for looked_up, is_null in self.nulls.items():
            if looked_up.kind is RegionKind.MAP_VALUE and looked_up.map is not None and not is_null:
                self._element(values, looked_up, looked_up.map)
        for node, _ in self._inputs(InputKind.MEMORY):
            source = node.origin
            assert isinstance(source, Input)
            region = source.region
            if region is None or region.kind is not RegionKind.MAP_VALUE or region.map is None:
                continue
            element = self._element(values, region, region.map)
            at = source.offset + (0 if source.variable is None else self._number(source.variable))
            if 0 <= at <= len(element) - source.size:
                element[at : at + source.size] = self._bytes(node, source.size)
        found: dict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
        for (name, key), value in values.items():
            found[name].append((key, bytes(value)))
        return {name: tuple(elements) for name, elements in found.items()}

    def _element(self, values: dict[tuple[str, bytes], bytearray], region: Region, map: MapSpec) -> bytearray:
        number = 0 if region.key is None else self._number(region.key)
        key = (number & ((1 << 8 * map.key_size) - 1)).to_bytes(map.key_size, "little")
        return values.setdefault((map.name, key), bytearray((map.contents or b"").ljust(map.value_size, b"\0")))

    def _results(self) -> Iterator[tuple[int, int]]:
        """What each call on the path returned: numbers, and 0 where a pointer was not found."""
        for fact in reversed(self.calls):
            if isinstance(fact.left, Scalar):
                yield fact.pc, self._number(fact.left) if fact.left.root in self.translation.variables else 0
            elif isinstance(fact.left, Pointer) and self._is_forced_null(fact.left.region):
                yield fact.pc, 0

    def _is_forced_null(self, region: Region) -> bool:
        """Whether the helper that returned the region's address has to find nothing; a map has it or not by itself."""
        return region.kind is not RegionKind.MAP_VALUE and self.nulls.get(region, False)

    def _written(self) -> Iterator[tuple[int, bytes]]:
        """What each call that writes to the stack found elsewhere."""
        contents: dict[Fact, bytearray] = {fact: bytearray() for fact in self.calls if fact.right is not None}
        for node, _ in self._inputs(InputKind.STACK):
            fact = self._writer(node)
            if fact is None:
                continue
            source = node.origin
            assert isinstance(source, Input) and isinstance(fact.right, Pointer)
            at = source.offset - fact.right.offset
            content = contents[fact]
            content.extend(bytes(max(0, at + source.size - len(content))))
            content[at : at + source.size] = self._bytes(node, source.size)
        for fact in reversed(self.calls):
            if fact in contents:
                yield fact.pc, bytes(contents[fact])


def _object_of(region: Region | None) -> object:
    """What a region is a view of: look-ups of one constant key find one value."""
    if region is None or region.map is None or region.kind is not RegionKind.MAP_VALUE:
        return region
    if region.key is None:
        return region.map.name, 0
    return (
        (region.map.name, region.key.range.constant) if region.key.is_constant else (region.map.name, region.key.root)
    )
