"""From what a slice found to what is shown: runs of copies become one node, what says nothing is left out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from pybpftime.debug.provenance.parts import NodeKind, RawNode, RawUse, UseKind
from pybpftime.debug.provenance.slice import Slice

QUIET = (NodeKind.UNWRITTEN, NodeKind.ARGUMENT)
"""Leaves that no input has a part in."""


@dataclass(frozen=True, slots=True)
class Graph:
    """The nodes that are shown, those next to the question first; `dropped` are how many were too far from it."""

    nodes: tuple[RawNode, ...]
    dropped: int


def graph_of(slice: Slice, limit: int) -> Graph:
    """At most `limit` nodes of what was found; uses that lead to others are `cut`."""
    merge_copies(slice)
    merge_leaves(slice)
    drop_quiet_addresses(slice)
    for use in slice.uses:
        if use.ranges:
            use.sources.sort(key=lambda source: min(slice.nodes[source].memory, default=(0, 0)))
    order: list[int] = []
    seen: set[int] = set()
    pending = deque(source for use in slice.uses if use.node < 0 for source in use.sources)
    while pending:
        number = pending.popleft()
        if number not in seen:
            seen.add(number)
            order.append(number)
            pending.extend(source for use in slice.nodes[number].uses for source in slice.uses[use].sources)
    kept = set(order[:limit])
    for use in slice.uses:
        if any(source not in kept for source in use.sources):
            use.sources = [source for source in use.sources if source in kept]
            use.cut = True
    return Graph(tuple(slice.nodes[number] for number in order[:limit]), len(order) - len(kept))


# --- addresses that are the same whatever comes in --------------------------------------------------------------------


def drop_quiet_addresses(slice: Slice) -> None:
    """Leave out where addresses and arguments come from if no input has a part in that.

    What is left out are the frame pointer, the context, maps and constants: the text of an instruction has them.
    """
    loud = {node.number for node in slice.nodes if _is_loud(slice, node)}
    users: dict[int, list[int]] = {}
    for use in slice.uses:
        for source in use.sources:
            users.setdefault(source, []).append(use.node)
    pending = list(loud)
    while pending:
        for user in users.get(pending.pop(), ()):
            if user >= 0 and user not in loud:
                loud.add(user)
                pending.append(user)
    for node in slice.nodes:
        node.uses = [number for number in node.uses if not _is_quiet(slice.uses[number], loud)]


def _is_loud(slice: Slice, node: RawNode) -> bool:
    if any(slice.uses[use].cut for use in node.uses):
        return True
    return not node.is_quiet and node.kind not in (*QUIET, NodeKind.INSTRUCTION, NodeKind.COPY, NodeKind.BRANCH)


def _is_quiet(use: RawUse, loud: set[int]) -> bool:
    return (
        use.kind in (UseKind.ADDRESS, UseKind.ARGUMENT)
        and not use.cut
        and not any(source in loud for source in use.sources)
    )


# --- copies -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Copy:
    """A store of what was just loaded."""

    store: RawNode
    load: RawNode
    target: int
    source: int
    size: int


def merge_copies(slice: Slice) -> None:
    """Make one node of loads and stores that copy bytes in a row, as memcpy does."""
    users: dict[int, int] = {}
    for use in slice.uses:
        for source in use.sources:
            users[source] = users.get(source, 0) + 1
    merged: dict[int, int] = {}
    for use in slice.uses:
        found = [_copy(slice, slice.nodes[source], users) for source in use.sources if source not in merged]
        copies = sorted((one for one in found if one is not None), key=lambda one: one.target)
        for run in _runs(copies):
            node = _merge(slice, run)
            merged |= {one.store.number: node.number for one in run}
    for use in slice.uses:
        use.sources = list(dict.fromkeys(merged.get(source, source) for source in use.sources))


def _copy(slice: Slice, store: RawNode, users: dict[int, int]) -> _Copy | None:
    """The copy that a node is the store of, if it is one."""
    if store.kind is not NodeKind.INSTRUCTION or len(store.memory) != 1:
        return None
    values = [slice.uses[use] for use in store.uses if slice.uses[use].kind is UseKind.VALUE]
    if len(values) != 1 or values[0].cut or len(values[0].sources) != 1:
        return None
    load = slice.nodes[values[0].sources[0]]
    reads = [slice.uses[use] for use in load.uses if slice.uses[use].kind is UseKind.VALUE]
    if load.kind is not NodeKind.INSTRUCTION or users[load.number] != 1 or len(reads) != 1:
        return None
    ((target, size),) = store.memory
    ranges = _joined(reads[0].ranges)
    if len(ranges) != 1 or ranges[0][1] != size:
        return None
    return _Copy(store, load, target, ranges[0][0], size)


def _runs(copies: list[_Copy]) -> list[list[_Copy]]:
    found: list[list[_Copy]] = []
    for one in copies:
        last = found[-1][-1] if found else None
        follows = last is not None and (last.target + last.size, last.source + last.size) == (one.target, one.source)
        if follows and one.store.number not in {each.store.number for each in found[-1]}:
            found[-1].append(one)
        else:
            found.append([one])
    return [run for run in found if len(run) > 1]


def _merge(slice: Slice, run: list[_Copy]) -> RawNode:
    first, last = min(one.load.step for one in run), max(one.store.step for one in run)
    size = sum(one.size for one in run)
    node = RawNode(len(slice.nodes), NodeKind.COPY, first, memory=[(run[0].target, size)], last_step=last)
    slice.nodes.append(node)
    used = [slice.uses[use] for one in run for use in (*one.load.uses, *one.store.uses)]
    loads = {one.load.number for one in run}
    value = RawUse(len(slice.uses), node.number, UseKind.VALUE, ranges=[(run[0].source, size)])
    value.sources = [
        source for use in used if use.kind is UseKind.VALUE for source in use.sources if source not in loads
    ]
    value.cut = any(use.cut for use in used)
    slice.uses.append(value)
    node.uses.append(value.number)
    known: set[tuple[int, ...]] = set()
    for use in used:
        if use.kind is not UseKind.VALUE and tuple(use.sources) not in known:
            known.add(tuple(use.sources))
            other = RawUse(len(slice.uses), node.number, use.kind, use.register, use.lanes, sources=list(use.sources))
            slice.uses.append(other)
            node.uses.append(other.number)
    for use in used:
        use.sources = []  # the loads and stores are no nodes any more
    return node


# --- leaves -----------------------------------------------------------------------------------------------------------

LEAVES = (NodeKind.PACKET, NodeKind.INITIAL, NodeKind.UNWRITTEN)


def merge_leaves(slice: Slice) -> None:
    """Make one node of bytes in a row that were there at the same time, if everybody who used one used all."""
    users: dict[int, set[int]] = {}
    for use in slice.uses:
        for source in use.sources:
            users.setdefault(source, set()).add(use.number)
    leaves = [node for node in slice.nodes if node.kind in LEAVES and len(node.memory) == 1]
    merged: dict[int, int] = {}
    last: RawNode | None = None
    for node in sorted(leaves, key=lambda node: (node.kind, node.step, node.memory)):
        ((address, size),) = node.memory
        same = last is not None and (last.kind, last.step) == (node.kind, node.step)
        if last is not None and same and users.get(last.number) == users.get(node.number):
            ((start, length),) = last.memory
            if start + length == address:
                last.memory = [(start, length + size)]
                merged[node.number] = last.number
                continue
        last = node
    for use in slice.uses:
        use.sources = list(dict.fromkeys(merged.get(source, source) for source in use.sources))


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for address, size in sorted(ranges):
        if found and sum(found[-1]) == address:
            found[-1] = (found[-1][0], found[-1][1] + size)
        else:
            found.append((address, size))
    return found
