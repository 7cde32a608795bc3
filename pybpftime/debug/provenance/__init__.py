"""Who made this value?  The writers of a register, of memory, of a variable, backwards from where the program stands.

    print("\n".join(explain(why(session, "iph_ttl"))))
    last_writer(session, "counts[42]")

`why` gives a graph: each node is a step that wrote something, with what it read, down to where values come from: the
packet, the context, constants, results of helpers, what was in maps before the first step, what the user changed.  It
follows the flow of data, addresses included, over functions, maps and invocations; with `branches` also the last
conditional jump that decided about each node.

Limits.  A byte that an operation combines with others comes from all of them (`x * 0` comes from x).  Whatever else a
store could have written had its address been another one is not seen.  Helpers are boxes: what they give comes from
all that they read, unless they copy.  The session stands where it stood afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pybpftime.debug.accesses import canonical
from pybpftime.debug.call_effects import Element
from pybpftime.debug.expression import MapValue
from pybpftime.debug.frames import Frame
from pybpftime.debug.provenance.answer import Node, Provenance, Use, explain, to_data
from pybpftime.debug.provenance.describe import Content, Describer
from pybpftime.debug.provenance.flow import ALL_LANES, low_lanes
from pybpftime.debug.provenance.graph import graph_of
from pybpftime.debug.provenance.parts import ROOT, SHARED_REGISTERS, NodeKind, RawNode, RawUse, UseKind, register_of
from pybpftime.debug.provenance.slice import Slice
from pybpftime.debug.session import Session
from pybpftime.debug.sources import Sources
from pybpftime.debug.values import Memory, Place, Register, TypedValue, laid_out
from pybpftime.debug.world import World
from pybpftime.errors import InputError

LIMIT = 64
"""Nodes that an answer has at most, unless another number is asked for."""
SEARCHED = 16
"""So many times as many are looked for: runs of copies become one node, quiet addresses none."""


@dataclass(frozen=True, slots=True)
class Span:
    """`size` bytes of memory at `address`."""

    address: int
    size: int


What = str | TypedValue | Span | Register | Element
"""What can be asked about: a C expression, a value, bytes, a register of the selected frame, whether an element is."""


def why(
    session: Session,
    what: What,
    *,
    limit: int = LIMIT,
    addresses: bool = True,
    branches: bool = False,
    sources: Sources | None = None,
) -> Provenance:
    """The origin of what something is now, in at most `limit` nodes.

    `addresses`: also of the addresses that were read and written at.  `branches`: also of the last conditional jump
    that decided about each node.  `sources`: where lines of source files are from.
    InputError for what lies nowhere (the result of a computation, a variable that is optimised out), and when the
    search was interrupted.
    """
    if limit < 1:
        raise InputError("an answer has at least 1 node")
    world = session.world
    if not world.has_begun:
        raise InputError("nothing has run yet")
    slice = Slice(world, most=SEARCHED * limit, branches=branches, addresses=addresses)
    return _answer(session, slice, what, limit, sources)


def last_writer(session: Session, what: What, *, sources: Sources | None = None) -> Node | None:
    """What wrote last to any byte of something; None if nothing did since it is there."""
    if not session.world.has_begun:
        raise InputError("nothing has run yet")
    answer = _answer(session, Slice(session.world, most=1, branches=False, addresses=False), what, 1, sources)
    written = (NodeKind.INSTRUCTION, NodeKind.CALL, NodeKind.COPY, NodeKind.EDIT)
    return next((node for node in answer.nodes if node.kind in written), None)


def last_write(session: Session, address: int, size: int) -> int | None:
    """The step that wrote last to any of `size` bytes at an address; None if none did."""
    node = last_writer(session, Span(address, size))
    return None if node is None else node.step


# --- the question -----------------------------------------------------------------------------------------------------


def _answer(session: Session, slice: Slice, what: What, limit: int, sources: Sources | None) -> Provenance:
    world, step = session.world, session.world.step
    world.paused = False
    question = _ask(session, slice, what)
    with _back_at(world, step):
        specs = (program.spec for program in session.object)
        texts = Sources(specs, session.debug) if sources is None else sources
        describer = Describer(slice, session.symbols_of, session.object.helpers, texts)
        contents = [describer.read(use) for use in slice.uses]
        slice.run()
        asked = [use for use in slice.uses if use.node == ROOT]
        graph = graph_of(slice, limit)
        numbers = {node.number: at for at, node in enumerate(graph.nodes, start=1)}
        found = {node.number: _node(describer, slice, node, numbers) for node in _in_order(graph.nodes)}
    writers = tuple(dict.fromkeys(numbers[source] for use in asked for source in use.sources))
    root = Use(UseKind.VALUE, tuple(one for each in contents for one in each), writers, any(one.cut for one in asked))
    nodes = tuple(found[node.number] for node in graph.nodes)
    return Provenance(question, step, root, nodes, graph.dropped, slice.is_complete)


def _in_order(nodes: tuple[RawNode, ...]) -> list[RawNode]:
    return sorted(nodes, key=lambda node: node.step)


@contextmanager
def _back_at(world: World, step: int) -> Iterator[None]:
    """Whatever happens, the world stands at `step` of its time line afterwards."""
    try:
        yield
    finally:
        world.switch(world.timeline.number, step)
        while world.step != step:  # interrupted again
            world.goto(step)


def _ask(session: Session, slice: Slice, what: What) -> str:
    """Make the uses of the question; the answer is its text."""
    frame = session.selected
    match what:
        case Span(address, size):
            _want_bytes(slice, address, size)
            return f"{size} bytes at {session.world.machine.memory.describe(address)}"
        case Element():
            slice.use(ROOT, UseKind.ELEMENT, element=what)
            return f"element {what.key.hex(' ')} of map {what.map}"
        case Register():
            _want_place(slice, what, 8, frame)
            return f"r{what.number}"
        case TypedValue():
            _want_place(slice, what.place, what.size, frame)
            return what.expression or what.type_text
    value = session.value(what)
    if isinstance(value, MapValue):
        raise InputError(f"{what} is a map: ask for an element, {what}[KEY]")
    try:
        _want_place(slice, value.place, value.size, frame)
    except InputError as error:
        raise InputError(f"{what}: {error.reason}") from None
    return f"{what} = {value.text()}"


def _want_place(slice: Slice, place: Place, size: int, frame: Frame | None) -> None:
    for part, length in laid_out(place, size):
        if isinstance(part, Memory):
            _want_bytes(slice, part.location, length)
        else:
            _want_register(slice, part.number, (low_lanes(length) << part.offset) & ALL_LANES, frame)


def _want_register(slice: Slice, number: int, lanes: int, frame: Frame | None) -> None:
    machine = slice.world.machine
    if frame is not None and not frame.is_live and number < SHARED_REGISTERS:
        raise InputError(f"r{number} of a caller is not known")
    depth = len(machine.frames) if frame is None else frame.level + 1
    slice.use(ROOT, UseKind.VALUE, register=register_of(number, depth), lanes=lanes)


def _want_bytes(slice: Slice, address: int, size: int) -> None:
    machine = slice.world.machine
    if machine.memory.find(address) is None:
        raise InputError(f"there is no memory at {address:#x}")
    slice.use(ROOT, UseKind.VALUE, ranges=[(canonical(machine.memory, address), size)])


# --- the answer -------------------------------------------------------------------------------------------------------


def _node(describer: Describer, slice: Slice, node: RawNode, numbers: dict[int, int]) -> Node:
    described, world = describer.node(node), slice.world
    index = world.timeline.index_at(node.step)
    uses = tuple(_use(slice.uses[use], described.read[use], numbers) for use in node.uses)
    return Node(
        numbers[node.number], node.kind, node.step, node.last_step, index, world.invocations[index].label,
        described.code, described.text, described.written, uses,
    )  # fmt: skip


def _use(use: RawUse, contents: tuple[Content, ...], numbers: dict[int, int]) -> Use:
    return Use(use.kind, contents, tuple(numbers[source] for source in use.sources), use.cut)


__all__ = ["Element", "Node", "Provenance", "Span", "Use", "explain", "last_write", "last_writer", "to_data", "why"]
