"""Rows of registers, variables, bytes, maps and output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from pybpftime.debug.tui.output import OutputLine
from pybpftime.debug.tui.rows import CHANGED, Kind, Role, Row, Rows, Target, columns, note, row
from pybpftime.debug.tui.view_maps import TableView
from pybpftime.debug.tui.view_memory import BytesView, PacketView
from pybpftime.debug.tui.view_proof import ProofView
from pybpftime.debug.tui.view_values import RegisterView, VariableView

LONGEST_CELL = 34
LEAST_WIDTH = 20
INDENT = " " * 6
"""Of the further lines of a packet's layer."""
WIDE_HEX = 78
"""The width from which on 16 bytes stand in a row, in place of 8."""
OUTPUT_ROLES = {"error": Role.ERROR, "stop": Role.DIM, "input": Role.NAME, "printk": Role.SOURCE, "log": Role.SOURCE}


def register_rows(registers: Sequence[RegisterView]) -> Rows:
    """`*r1   0x00000000000003e8  1000`."""
    if not registers:
        return [note("Nothing runs.")]
    return [
        row(
            (_mark(one.changed), Role.CHANGED),
            (f"{one.name:<4}", Role.NAME),
            ("not set", Role.DIM) if one.value is None else (f"{one.value:#018x}", _role(one.changed)),
            (f"  {one.note}" if one.note else "", Role.PLAIN),
        )
        for one in registers
    ]


def proof_rows(proof: ProofView, width: int) -> Rows:
    """`*r7   0x3c  0..65535`: the value, and the verifier's words for all that it may be."""
    values = max((len(one.value) for one in proof.lines), default=0)
    notes = [note(line) for line in wrap(proof.note, max(width, LEAST_WIDTH))]
    return notes + [
        row(
            (_mark(one.changed), Role.CHANGED),
            (f"{one.name:<6} ", Role.NAME),
            (f"{one.value:<{values}}  ", Role.ERROR if one.is_outside else Role.PLAIN),
            ("is outside of ", Role.ERROR) if one.is_outside else "",
            (one.words, _role(one.changed)),
        )
        for one in proof.lines
    ]


def variable_rows(variables: Sequence[VariableView], remark: str) -> Rows:
    """`*▸ ip = (struct iphdr *) 0x...   struct iphdr *`."""
    rows = [
        row(
            (_mark(one.changed), Role.CHANGED),
            "  " * one.depth,
            ("▾ " if one.is_open else "▸ " if one.can_open else "  ", Role.NUMBER),
            (one.name, Role.NAME),
            (f" = {one.text}" if one.text else "", _role(one.changed)),
            (f"  {one.type}" if one.type else "", Role.DIM),
            target=Target(Kind.OPEN, one.key) if one.can_open else None,
        )
        for one in variables
    ]
    if remark:
        rows.append(note(remark))
    return rows or [note("There are no variables here.")]


def byte_rows(content: BytesView, width: int) -> Rows:
    """`-16 e8 01 00 00 90 00 00 ff ........`, with `??` for bytes that were never written."""
    return [row((content.title, Role.TITLE)), *_bytes(content, width)]


def packet_rows(packet: PacketView, width: int) -> Rows:
    """The layers, and the bytes under them."""
    lines = (line for layer in packet.layers for line in wrap(layer, max(width, LEAST_WIDTH), subsequent_indent=INDENT))
    return [*(row((line, Role.NAME)) for line in lines), *_bytes(packet.content, width)]


def _bytes(content: BytesView, width: int) -> Iterator[Row]:
    count = 16 if width >= WIDE_HEX else 8
    ends = (content.first, content.first + len(content.data))
    digits = max(len(str(end)) for end in ends)
    for start in range(0, len(content.data), count):
        yield _byte_row(content, start, count, digits)
    if content.note:
        yield note(content.note)


def _byte_row(content: BytesView, start: int, count: int, digits: int) -> Row:
    line = content.data[start : start + count]
    here = range(start, start + len(line))
    names = [name for at, name in content.pointers if start <= at < start + count]
    pieces: list[tuple[str, Role]] = [
        (_mark(any(at in content.changed for at in here)), Role.CHANGED),
        (f"{content.first + start:>{digits}}", Role.NUMBER),
    ]
    for at in here:
        if content.is_written is not None and not content.is_written[at]:
            pieces.append((" ??", Role.DIM))
        else:
            pieces.append((f" {content.data[at]:02x}", _role(at in content.changed)))
    pieces.append(("   " * (count - len(line)) + " ", Role.PLAIN))
    pieces.append(("".join(chr(byte) if 32 <= byte < 127 else "." for byte in line).ljust(count), Role.DIM))
    if names:
        pieces.append((" ← " + " ".join(names), Role.NAME))
    return row(*pieces)


def map_rows(tables: Sequence[TableView]) -> Rows:
    """Every map: a title, the names of the columns, the entries."""
    if not tables:
        return [note("The object has no maps.")]
    return [line for table in tables for line in _table(table)]


def _table(table: TableView) -> Iterator[Row]:
    yield row((table.name, Role.TITLE), (f"  {table.type}, {table.note}", Role.DIM))
    if not table.entries:
        return
    lines = columns([table.columns, *(entry.cells for entry in table.entries)], LONGEST_CELL)
    yield row(("  " + "  ".join(lines[0]), Role.NUMBER))
    for entry, cells in zip(table.entries, lines[1:], strict=True):
        yield row((_mark(entry.changed), Role.CHANGED), (" " + "  ".join(cells), _role(entry.changed)))


def output_rows(lines: Sequence[OutputLine]) -> Rows:
    """What the program and the debugger said, the latest last."""
    return [
        row(
            (f"{line.step:>7} ", Role.NUMBER),
            (line.text, OUTPUT_ROLES.get(line.kind, Role.PLAIN)),
            target=Target(Kind.STEP, line.step),
        )
        for line in lines
    ]


def _mark(changed: bool) -> str:
    return CHANGED if changed else " "


def _role(changed: bool) -> Role:
    return Role.CHANGED if changed else Role.PLAIN
