"""The packet as variables: its layers field by field, and its bytes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from pybpftime.debug.dap.backend.rows import Indexed, Named, Row, Style
from pybpftime.debug.frames import Frame
from pybpftime.debug.packet import Layer, packet_of
from pybpftime.debug.session import Session
from pybpftime.debug.timeline import Change
from pybpftime.debug.values import TypedValue
from pybpftime.errors import InputError
from pybpftime.program.packet_headers import MAC, field_text, hexadecimal


def packet_rows(session: Session, frame: Frame | None, style: Style) -> list[Row]:
    """A line about the packet, its layers, its bytes."""
    packet = packet_of(session.world)
    if packet is None:
        return []
    start, length = packet.address, len(packet.content)
    rows = [Row("summary", packet.summary, read_only=True), Row("length", style.number(length), read_only=True)]
    rows += [_layer_row(session, frame, layer, start, style) for layer in packet.layers]
    rows.append(Row("bytes", f"{length} bytes", "unsigned char[]", "packet", _bytes(session, frame), address=start))
    return rows


def _layer_row(session: Session, frame: Frame | None, layer: Layer, start: int, style: Style) -> Row:
    def make(style: Style) -> list[Row]:
        return list(_field_rows(session, frame, layer, start, style))

    fields = ", ".join(f"{row.name} {row.text}" for row in make(style))
    return Row(layer.name, fields, "", "", Named(frame, make), address=start + layer.offset, read_only=True)


def _field_rows(session: Session, frame: Frame | None, layer: Layer, start: int, style: Style) -> Iterator[Row]:
    target = session.scope(frame).target
    for name, (at, size) in layer.fields.items():
        offset = layer.offset + at
        content = target.read(start + offset, size)
        if content is None:
            return
        path = f"packet[{offset}]" if size == 1 else f"packet[{offset}:{offset + size}]"
        text = hexadecimal(content) if style.hex else field_text(name, content)

        def assign(given: str, address: int = start + offset, size: int = size) -> None:
            session.change(Change.MEMORY, address, _field_bytes(session, frame, given, size))

        yield Row(name, text, f"{size} bytes" if size > 1 else "byte", path, address=start + offset, assign=assign)


def _field_bytes(session: Session, frame: Frame | None, text: str, size: int) -> bytes:
    """The bytes of a field, in the order of the network: an address, or an expression whose value is a number."""
    try:
        found = ipaddress.ip_address(text).packed
    except ValueError:
        found = bytes.fromhex(text.replace(":", "")) if text.count(":") == 5 and size == MAC else b""
    if len(found) == size:
        return found
    value = session.value(text, frame)
    number = value.number() if isinstance(value, TypedValue) else None
    if not isinstance(number, int) or not 0 <= number < 1 << 8 * size:
        raise InputError(f"{text[:60]} is no number of {size} bytes")
    return number.to_bytes(size)


def _bytes(session: Session, frame: Frame | None) -> Indexed:
    packet = packet_of(session.world)

    def make(style: Style, wanted: range) -> list[Row]:
        if packet is None:
            return []
        content, start = packet.content, packet.address
        return [
            Row(f"[{at}]", f"{content[at]:#04x}", "unsigned char", f"packet[{at}]", address=start + at) for at in wanted
        ]

    return Indexed(frame, 0 if packet is None else len(packet.content), make)
