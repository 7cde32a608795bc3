"""The packet as variables: its layers field by field, and its bytes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from pybpftime.debug.dap.backend.rows import Indexed, Named, Row, Style
from pybpftime.debug.frames import Frame
from pybpftime.debug.provenance.packet import Header, headers_of
from pybpftime.debug.scope import packet_of
from pybpftime.debug.session import Session
from pybpftime.debug.timeline import Change
from pybpftime.debug.values import TypedValue
from pybpftime.errors import InputError
from pybpftime.program.packet_summary import summarise

MAC, IPV4, IPV6 = 6, 4, 16
"""Sizes of addresses."""
ADDRESSES = ("saddr", "daddr", "sip", "tip")
IN_HEXADECIMAL = ("proto", "check", "checksum", "cksum", "tci", "pro", "id", "frag_off", "ihl", "tos", "flags", "doff")


@dataclass(frozen=True, slots=True)
class Layer:
    """A header at byte `offset` of the packet, with the fields that the UAPI struct of Linux has."""

    name: str
    offset: int
    fields: Header


def field_text(name: str, content: bytes) -> str:
    """The bytes of a field, as people write them."""
    if len(content) == MAC:
        return content.hex(":")
    if name in ADDRESSES and len(content) in (IPV4, IPV6):
        return str(ipaddress.ip_address(content))
    return _hex(content) if name in IN_HEXADECIMAL else str(int.from_bytes(content))


def _hex(content: bytes) -> str:
    return f"{int.from_bytes(content):#0{2 + 2 * len(content)}x}"


def packet_rows(session: Session, frame: Frame | None, style: Style) -> list[Row]:
    """A line about the packet, its layers, its bytes."""
    found = packet_of(session.world)
    content = None if found is None else session.scope(frame).target.read(*found)
    if found is None or content is None:
        return []
    start, length = found
    rows = [Row("summary", summarise(content), read_only=True), Row("length", style.number(length), read_only=True)]
    layers = [Layer(*header) for header in headers_of(content)]
    rows += [_layer_row(session, frame, layer, start, style) for layer in layers]
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
        text = _hex(content) if style.hex else field_text(name, content)

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
    found = packet_of(session.world)

    def make(style: Style, wanted: range) -> list[Row]:
        content = None if found is None else session.scope(frame).target.read(found[0], found[1])
        if content is None or found is None:
            return []
        return [
            Row(f"[{at}]", f"{content[at]:#04x}", "unsigned char", f"packet[{at}]", address=found[0] + at)
            for at in wanted
        ]

    return Indexed(frame, 0 if found is None else found[1], make)
