"""What a register or a stack slot holds, abstractly: a `Scalar` or a `Pointer` into a `Region`.

A scalar is a node of a graph.  It has the `Range` of numbers that it may be, and says how it came about: from which
operands by which row of the ISA table, or from which input of the program.  That one graph serves

* sameness: copies share the node, so what a comparison teaches about one holds for all;
* precision: what a proof relies on is marked, back to the inputs, and only that decides whether a state covers
  another (`inclusion`);
* exactness: the solver reads the node as a term (`judge`), with the semantics of the row itself;
* explanation: the causal path of a rejection is the nodes behind it.

Everything here is immutable but for the marks, which only ever go from False to True.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

from pybpftime.isa import Row
from pybpftime.maps.spec import MapSpec
from pybpftime.program.types import ContextLayout, Field
from pybpftime.verifier import domain
from pybpftime.verifier.domain import Range


class InputKind(StrEnum):
    """Where a number comes from that the program did not compute."""

    CONTEXT = "context"  # `offset` in the context structure
    PACKET = "packet"  # bytes at `variable + offset` of the packet
    MEMORY = "memory"  # bytes at `variable + offset` of `region`: a map value, a record, an object
    STACK = "stack"  # bytes that nothing is known of
    HELPER = "helper"  # what a helper returned
    LENGTH = "length"  # how many bytes `region`, a packet or its metadata, has
    ARGUMENT = "argument"  # what a callback or a global function is called with
    ADDRESS = "address"  # an address used as a number
    LOST = "lost"  # a number that the program computed and nobody followed


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """One input; `name` is for people: `xdp_md.ingress_ifindex`, `bpf_ktime_get_ns`.

    Two reads of one place with the same `contents` give the same number; without, each may give another.
    """

    kind: InputKind
    name: str
    region: Region | None = None
    offset: int = 0
    size: int = 8
    variable: Scalar | None = None
    contents: Scalar | None = None


serials = count()
"""Numbers what is made, in the order of its making: on one path, what came before a checkpoint has a lower one."""


class Scalar:
    """A number of 64 bits.

    `origin` is a Row for a computed number (`operands` are what `row.compute` gets, before narrowing), an Input for a
    leaf, None for a constant or a refinement: the same number as `operands[0]`, of which a comparison has shown more.
    `root` is the node that the first of a chain of refinements was made of.  `pc` is where it was made.

    Marks: `copied`, more than one place may hold it.  `precise`, a proof relied on its range.  `exact`, a proof of the
    solver relied on how it was computed.
    """

    __slots__ = ("copied", "exact", "operands", "origin", "pc", "precise", "range", "root", "serial")

    def __init__(
        self, range: Range, origin: Row | Input | None = None, operands: tuple[Scalar, ...] = (), pc: int = -1
    ) -> None:
        self.range = range
        self.origin = origin
        self.operands = operands
        self.pc = pc
        self.root: Scalar = operands[0].root if operands and origin is None else self
        self.copied = False
        self.precise = False
        self.exact = False
        self.serial = next(serials)

    @property
    def is_constant(self) -> bool:
        """Whether it can be one number only."""
        return self.range.is_constant

    def refined(self, range: Range, reason: Scalar | None, pc: int) -> Scalar:
        """The same number, known to lie in `range` because of a comparison with `reason`."""
        scalar = Scalar(range, None, (self,) if reason is None else (self, reason), pc)
        scalar.copied = self.copied
        return scalar

    def __repr__(self) -> str:
        return f"Scalar({self.range})"


def constant(number: int, pc: int = -1) -> Scalar:
    """A scalar of one value, taken modulo 2**64."""
    return Scalar(domain.constant(number), pc=pc)


def unknown(name: str, pc: int, kind: InputKind = InputKind.LOST, range: Range = domain.UNKNOWN) -> Scalar:
    """A number of which only the range is known."""
    return Scalar(range, Input(kind, name), pc=pc)


def rely(*scalars: Scalar | None) -> None:
    """Mark that a proof relies on the ranges of these, and so on all that they were computed from."""
    pending = [scalar for scalar in scalars if scalar is not None and not scalar.precise]
    while pending:
        scalar = pending.pop()
        if not scalar.precise:
            scalar.precise = True
            pending.extend(scalar.operands)


def rely_exactly(scalars: Iterable[Scalar]) -> None:
    """Mark that a proof of the solver used how these were computed."""
    for scalar in scalars:
        scalar.exact = True
        rely(scalar)


class RegionKind(StrEnum):
    """The kinds of things that a pointer may point to.  The value is the word for people."""

    CONTEXT = "context"
    STACK = "stack"
    MAP = "map"  # the map itself, as helpers take it
    MAP_VALUE = "map value"
    MAP_KEY = "map key"
    PACKET = "packet"
    PACKET_META = "packet metadata"
    PACKET_END = "packet end"  # a position, not memory
    MEMORY = "memory"  # of a fixed size: a helper's buffer, an optional argument
    RECORD = "ring buffer record"
    BUFFER = "buffer"  # its size is checked when the program is attached
    FLOW_KEYS = "flow keys"
    SOCKET = "socket"
    SOCK_COMMON = "common part of a socket"
    TCP_SOCK = "TCP socket"
    XDP_SOCK = "XDP socket"
    OBJECT = "kernel object"
    FUNCTION = "function"
    ARENA = "arena"


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One thing that pointers lead to.  Its identity is the object's: each look-up in a map makes a new one.

    `size` in bytes, None where `length` says it (packets) or where there is no memory.  `layout` holds the fields of
    what is no plain memory.  `reference` is the region whose release ends this one's life.  `held` is whether it must
    be released.  `target` is the slot of a FUNCTION, `depth` the frame of a STACK, `of` the packet that an end or
    metadata belongs to, `key` what a map value was looked up by, where that is one number, `field` the field of the
    context that the address was loaded from.
    """

    kind: RegionKind
    name: str
    size: int | None = None
    pc: int = -1
    map: MapSpec | None = None
    layout: ContextLayout | None = None
    readable: bool = True
    writable: bool = True
    length: Scalar | None = None
    held: bool = False
    reference: Region | None = None
    type_name: str | None = None
    target: int | None = None
    depth: int | None = None
    of: Region | None = None
    key: Scalar | None = None
    field: Field | None = None
    trusted: bool = False

    def resembles(self, other: Region) -> bool:
        """Whether the two differ in nothing but which one it is."""
        return (
            self.kind is other.kind
            and self.size == other.size
            and self.map is other.map
            and self.layout is other.layout
            and self.readable == other.readable
            and self.writable == other.writable
            and self.type_name == other.type_name
            and self.target == other.target
            and self.depth == other.depth
            and self.held == other.held
            and self.trusted == other.trusted
        )


class Pointer:
    """The address of byte `offset + variable` of a region (`variable` None: 0), or, if `nullable`, perhaps 0.

    `offset` is a Python integer, `variable` a number of 64 bits read as signed; their sum does not wrap.
    """

    __slots__ = ("nullable", "offset", "region", "variable")

    def __init__(self, region: Region, offset: int = 0, variable: Scalar | None = None, nullable: bool = False) -> None:
        self.region = region
        self.offset = offset
        self.variable = variable
        self.nullable = nullable

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest offset that it may have."""
        if self.variable is None:
            return self.offset, self.offset
        return self.offset + self.variable.range.smin, self.offset + self.variable.range.smax

    def __repr__(self) -> str:
        variable = "" if self.variable is None else f"+{self.variable.range}"
        return f"Pointer({self.region.name}{self.offset:+d}{variable}{' or NULL' if self.nullable else ''})"


Value = Scalar | Pointer
