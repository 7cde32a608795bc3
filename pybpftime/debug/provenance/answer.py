"""The answer to "who made this value?": as a graph, as text, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pybpftime.debug.provenance.describe import CodeText, Content
from pybpftime.debug.provenance.parts import NodeKind, UseKind

CUT = 0
"""In place of the number of a node: there are more, which are not shown."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a node read: `sources` are the numbers of the nodes that wrote it.

    `is_cut`: not everything that wrote it is there, because that would have been too much.
    """

    kind: UseKind
    contents: tuple[Content, ...]
    sources: tuple[int, ...]
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """Something that wrote a value.

    `step` is that of the instruction; of a COPY the first one, and `last_step` the last; of others (the packet, what
    the user changed) the step at which it was there.  `invocation` counts from 0, `label` says which one that is.
    """

    number: int
    kind: NodeKind
    step: int
    last_step: int
    invocation: int
    label: str
    code: CodeText | None
    text: str
    written: tuple[Content, ...]
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class Provenance:
    """The answer: `root` is what was asked about, `nodes` by number, from 1; those nearest to the question first.

    `dropped` nodes were left out; `is_complete`: the search went as far as it could.
    """

    question: str
    step: int
    root: Use
    nodes: tuple[Node, ...]
    dropped: int
    is_complete: bool

    def node(self, number: int) -> Node:
        """The node of a number."""
        return self.nodes[number - 1]


# --- as data ---------------------------------------------------------------------------------------------------------


def to_data(answer: Provenance) -> dict[str, Any]:
    """The answer as what JSON can hold; bytes in hexadecimal."""
    data: dict[str, Any] = _plain(asdict(answer))
    return data


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case bytes():
            return value.hex()
    return value


# --- as text ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Item:
    """A line to come: the node, how deep, what it is for; `after`: the only thing that this node read."""

    number: int
    indent: int
    label: str
    after: Node | None = None


def explain(answer: Provenance, *, fold: bool = True) -> list[str]:
    """The answer as lines: a tree, in which a node that was told already is only named.

    What a node read stands below it, indented where there is more than one thing; but what was in the same place
    before is not, so that the steps that change a counter are a column.  With `fold`, what only passes a
    value on in the same line of source is left out.
    """
    lines = [f"{answer.question}  (step {answer.step})"]
    told: set[int] = set()
    users = _users(answer)
    pending = [_Item(number, 1, "") for number in reversed(answer.root.sources)]
    if answer.root.is_cut:
        pending.insert(0, _Item(CUT, 1, ""))
    while pending:
        item = pending.pop()
        pad = "  " * item.indent + item.label
        if item.number == CUT:
            lines.append(f"{pad}...")
            continue
        node = answer.node(item.number)
        if node.number in told:
            lines.append(f"{pad}#{node.number}, above: {_summary(node)}")
            continue
        told.add(node.number)
        if fold and users[node.number] == 1 and item.after is not None and _is_passed_on(node, item.after):
            pending += [_Item(below.number, item.indent, "", item.after) for below in _below(answer, node, item.indent)]
            continue
        lines.append(f"{pad}#{node.number} {node_line(node)}")
        pending += reversed(_below(answer, node, item.indent))
    if answer.dropped or not answer.is_complete:
        more = f"{answer.dropped} more are left out" if answer.dropped else "there is more"
        lines.append(f"{len(answer.nodes)} nodes are shown, {more}: ask for more with a higher limit.")
    return lines


def _users(answer: Provenance) -> dict[int, int]:
    """By how many others each node is used."""
    users = dict.fromkeys(range(1, len(answer.nodes) + 1), 0)
    for use in (answer.root, *(use for node in answer.nodes for use in node.uses)):
        for source in use.sources:
            users[source] += 1
    return users


def _is_passed_on(node: Node, after: Node) -> bool:
    """Whether a node only moves a value, in the source line of the node that uses it."""
    if node.kind is not NodeKind.INSTRUCTION or node.code is None or after.code is None or not node.code.line:
        return False
    if (node.code.file, node.code.line) != (after.code.file, after.code.line):
        return False
    contents = [content for use in node.uses for content in use.contents]
    if len(node.uses) != 1 or len(contents) != 1 or len(node.written) != 1 or len(node.uses[0].sources) != 1:
        return False
    read, written = contents[0].value, node.written[0].value
    if read is None or written is None or node.uses[0].kind is not UseKind.VALUE:
        return False
    return int.from_bytes(read, "little") == int.from_bytes(written, "little")


def _below(answer: Provenance, node: Node, indent: int) -> list[_Item]:
    """What stands below a node, from the top."""
    entries = [(use, source) for use in node.uses for source in use.sources]
    entries += [(use, CUT) for use in node.uses if use.is_cut]
    if len(entries) == 1 and entries[0][0].kind is UseKind.VALUE:
        return [_Item(entries[0][1], indent, "", node)]
    items = [_Item(source, indent + 1, "" if use.kind is UseKind.VALUE else f"{use.kind} ") for use, source in entries]
    before = next((item for item in items if not item.label and _is_same_place(answer, item.number, node)), None)
    if before is None:
        return items
    return [*(item for item in items if item is not before), _Item(before.number, indent, "", node)]


def _is_same_place(answer: Provenance, number: int, node: Node) -> bool:
    """Whether a node wrote before what this one changed: a counter, a sum."""
    places = {one.text for one in node.written}
    return number != CUT and any(one.text in places for one in answer.node(number).written)


def _summary(node: Node) -> str:
    written = ", ".join(str(one) for one in node.written)
    return written or node.text or (node.code.instruction if node.code else "")


def node_line(node: Node) -> str:
    """A node in a line: what was written, by which instruction, when and where."""
    code = node.code
    parts = [", ".join(str(one) for one in node.written)]
    parts.append(node.text or (code.instruction if code is not None else ""))
    when = f"step {node.step}" if node.step == node.last_step else f"steps {node.step}-{node.last_step}"
    parts.append(f"{when}, {node.label}" if node.label else when)
    if code is not None and code.file:
        parts += [f"{code.file.rpartition('/')[2]}:{code.line}", code.source]
    elif code is not None:
        parts.append(f"{code.program}+{code.slot}")
    return "  ".join(part for part in parts if part)
