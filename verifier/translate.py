"""From values to terms: what the graph of scalars says, exactly.

A computed scalar is its row's own `compute` over `Z3Algebra`, in the frame that every engine has: operands are
narrowed, the result is widened.  A leaf is a variable, in the range that it had when it was made; leaves that were read
from one place, with nothing written in between, are one variable.  A refinement is the number that it refines.
Addresses are a base, one variable for each region, plus an offset; the end of a packet is its base plus its length.
"""

from __future__ import annotations

from pybpftime.isa import Form, Row
from pybpftime.verifier import domain
from pybpftime.verifier.obligations import Aligned, Between, Claim, NotNull, SizedWithin, Within
from pybpftime.verifier.state import MAX_PACKET, Fact, FactKind
from pybpftime.verifier.terms import (
    Formula,
    Term,
    Z3Algebra,
    all_of,
    any_of,
    low,
    negation,
    number,
    resized,
    unsigned_at_most,
    variable,
    zero_extended,
)
from pybpftime.verifier.values import Input, Pointer, Region, RegionKind, Scalar

ALGEBRAS = {32: Z3Algebra(32), 64: Z3Algebra(64)}
LARGEST = 2000
"""Nodes that one question may have; what lies behind them is an unknown number in its range."""
LOWEST_BASE, HIGHEST_BASE = 1 << 16, (1 << 64) - 2 * MAX_PACKET
"""Where regions may lie: 0 is none, and no offset that a pointer may have leads around the end.

Read as signed they may be negative: Linux has its memory in the upper half.
"""
EXACT = 72  # bits in which offsets and sizes are added without wrapping


class Translation:
    """Terms of scalars and facts.

    `conditions` holds what is true of the variables made so far.  `places`: the first leaf that was read from each
    place.  `read_again`: what makes others be the same number: the contents of the memory, and where in it they lie.
    """

    def __init__(self) -> None:
        self._terms: dict[Scalar, Term] = {}
        self._bases: dict[Region, Term] = {}
        self.variables: dict[Scalar, Term] = {}
        self.conditions: dict[Scalar | Region, list[Formula]] = {}
        self.places: dict[object, Scalar] = {}
        self.read_again: set[Scalar] = set()

    # --- scalars ---

    def term(self, scalar: Scalar) -> Term:
        """The scalar as 64 bits."""
        pending = [scalar.root]
        seen = 0
        while pending:
            node = pending[-1]
            if node in self._terms:
                pending.pop()
                continue
            missing = [] if seen > LARGEST else [one.root for one in operands(node) if one.root not in self._terms]
            if missing:
                pending.extend(missing)
                seen += len(missing)
                continue
            pending.pop()
            self._terms[node] = self._made(node)
        return self._terms[scalar.root]

    def _made(self, node: Scalar) -> Term:
        inputs = operands(node)
        if node.is_constant and not inputs:
            return number(node.range.constant, 64)
        if not inputs or any(one.root not in self._terms for one in inputs):
            return self._leaf(node)
        row = node.origin
        assert isinstance(row, Row) and row.compute is not None
        algebra = ALGEBRAS[row.width]
        values = [algebra.narrow(self._terms[one.root]) for one in inputs]
        return algebra.widen(row.compute(algebra, *values))

    def _leaf(self, node: Scalar) -> Term:
        first = self.places.setdefault(place(node), node)
        made = variable(f"v{first.serial}", 64)
        self.variables[node] = made
        self.conditions[node] = in_range(made, node.range)
        if first is not node:
            assert isinstance(node.origin, Input)
            self.read_again |= {one for one in (node.origin.contents, node.origin.variable) if one is not None}
        return made

    def address(self, pointer: Pointer) -> Term:
        """The pointer as 64 bits."""
        region = pointer.region
        base = self.base(region.of if region.of is not None else region)
        if region.kind is RegionKind.PACKET_END:
            assert region.of is not None and region.of.length is not None
            base = base + self.term(region.of.length)
        elif region.kind is RegionKind.PACKET_META:
            assert region.length is not None
            base = base - self.term(region.length)
        offset = number(pointer.offset, 64)
        return base + offset if pointer.variable is None else base + offset + self.term(pointer.variable)

    def base(self, region: Region) -> Term:
        """Where a region begins."""
        if region not in self._bases:
            made = variable(f"base{len(self._bases)}", 64)
            self._bases[region] = made
            self.conditions[region] = [
                unsigned_at_most(number(LOWEST_BASE + MAX_PACKET, 64), made),
                unsigned_at_most(made, number(HIGHEST_BASE, 64)),
            ]
        return self._bases[region]

    # --- formulas ---

    def fact(self, fact: Fact) -> Formula | None:
        """What a fact says, None where that cannot be said in terms."""
        if fact.kind is not FactKind.COMPARISON or fact.left is None or fact.right is None:
            return None
        assert fact.row is not None and fact.row.compute is not None
        sides = []
        for value in (fact.left, fact.right):
            if isinstance(value, Pointer) and value.nullable:
                return None
            sides.append(self.term(value) if isinstance(value, Scalar) else self.address(value))
        algebra = ALGEBRAS[fact.row.width]
        outcome = fact.row.compute(algebra, *(algebra.narrow(side) for side in sides))
        return outcome if fact.holds else negation(outcome)

    def claim(self, claim: Claim) -> Formula:
        """What a claim says; of a pointer that may be NULL nothing is known."""
        match claim:
            case Within(scalar, offset, size, lowest, high):
                start = self._exact(scalar, offset)
                return self._between(start, start + number(size, EXACT), lowest, high)
            case SizedWithin(scalar, offset, size, lowest, high):
                start = self._exact(scalar, offset)
                return self._between(start, start + zero_extended(self.term(size), EXACT), lowest, high)
            case Between(scalar, lowest, highest, signed, bits):
                value = low(self.term(scalar), bits)
                wide = resized(value, EXACT) if signed else zero_extended(value, EXACT)
                return all_of([number(lowest, EXACT) <= wide, wide <= number(highest, EXACT)])
            case Aligned(scalar, offset, alignment):
                return low(self._exact(scalar, offset), alignment.bit_length() - 1) == 0
            case NotNull():
                return any_of([])

    def _exact(self, scalar: Scalar | None, offset: int) -> Term:
        fixed = number(offset, EXACT)
        return fixed if scalar is None else resized(self.term(scalar), EXACT) + fixed

    def end(self, claim: Within) -> Term:
        """The offset behind the bytes that a claim is about, in more bits than it can need."""
        return self._exact(claim.variable, claim.offset) + number(claim.size, EXACT)

    def length(self, region: Region) -> Term:
        """How many bytes a packet, or its metadata, has; in the same bits."""
        assert region.length is not None
        return zero_extended(self.term(region.length), EXACT)

    def _between(self, start: Term, end: Term, lowest: int, high: int | Region) -> Formula:
        if isinstance(high, Region):
            limit = self.length(high)
        else:
            limit = number(high, EXACT)
        return all_of([number(lowest, EXACT) <= start, end <= limit])


def operands(node: Scalar) -> tuple[Scalar, ...]:
    """What a root was computed from by a row; nothing for leaves and constants."""
    if not isinstance(node.origin, Row) or node.origin.form not in (Form.BINARY, Form.UNARY, Form.LOAD):
        return ()
    return node.operands


def place(leaf: Scalar) -> object:
    """What tells a leaf from others: itself, or where it was read, for what reads the same each time."""
    source = leaf.origin
    if not isinstance(source, Input) or source.contents is None:
        return leaf
    variable = None if source.variable is None else source.variable.root
    return source.kind, source.region, source.offset, source.size, variable, source.contents.root


def in_range(term: Term, range: domain.Range) -> list[Formula]:
    """What is known of a number, as formulas; the shortest ones that say it."""
    if range == domain.UNKNOWN:
        return []
    said = []
    if range.mask != (1 << 64) - 1:
        said.append(term & number(~range.mask, 64) == number(range.value, 64))
    if range.umin > 0 or range.umax < (1 << 64) - 1:
        said += [unsigned_at_most(number(range.umin, 64), term), unsigned_at_most(term, number(range.umax, 64))]
    if range.smin > -(1 << 63) or range.smax < (1 << 63) - 1:
        said += [number(range.smin, 64) <= term, term <= number(range.smax, 64)]
    return said


def leaves(scalars: list[Scalar]) -> set[object]:
    """The places of all leaves that these were computed from."""
    found: set[object] = set()
    seen: set[Scalar] = set()
    pending = [scalar.root for scalar in scalars]
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        inputs = operands(node)
        if inputs:
            pending.extend(one.root for one in inputs)
        elif not node.is_constant:
            found.add(place(node))
    return found


def scalars_of_claim(claim: Claim) -> list[Scalar]:
    """The numbers that a claim is about, lengths included."""
    if isinstance(claim, NotNull):
        return []
    if isinstance(claim, Between):
        return [claim.scalar]
    found = [claim.variable]
    if isinstance(claim, SizedWithin):
        found.append(claim.size)
    if not isinstance(claim, Aligned) and isinstance(claim.high, Region):
        found.append(claim.high.length)
    return [one for one in found if one is not None]


def scalars_of_fact(fact: Fact) -> list[Scalar]:
    """The numbers that a fact is about, lengths included."""
    found = []
    for value in (fact.left, fact.right):
        if isinstance(value, Scalar):
            found.append(value)
        elif isinstance(value, Pointer):
            region = value.region
            lengths = (region.length if region.kind is RegionKind.PACKET_META else None,)
            if region.kind is RegionKind.PACKET_END and region.of is not None:
                lengths = (region.of.length,)
            found += [one for one in (value.variable, *lengths) if one is not None]
    return found
