"""What `run` runs on, from its options: packets, contexts, variables, contents of maps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from pybpftime.cli.inputs import names_file, parse_hex_argument, read_content, read_json, require_name
from pybpftime.cli.output import count_of
from pybpftime.errors import InputError
from pybpftime.program.packets import Packet, read_packets
from pybpftime.runtime import Object
from pybpftime.runtime.map_contents import fill_maps


def read_runs(pcap: str | None, packet: str | None, note: Callable[[str], None]) -> Iterator[Packet | None]:
    """What each run gets: the packets of --pcap or --packet, else None once.

    `note` is told what may not be what the user meant.
    """
    if pcap is not None:
        yield from _capture(pcap)
    elif packet is None:
        yield None
    elif packet == "-" or names_file(packet):
        yield _packet_in_file(packet, note)
    else:
        yield Packet(parse_hex_argument("--packet", packet), number=1)


def _capture(pcap: str) -> Iterator[Packet]:
    require_name("--pcap", pcap)
    try:
        yield from read_packets(sys.stdin.buffer, name="standard input") if pcap == "-" else read_packets(pcap)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file="standard input" if pcap == "-" else pcap) from None


def _packet_in_file(name: str, note: Callable[[str], None]) -> Packet:
    content, file = read_content(name)
    source = file or "standard input"
    found = list(islice(read_packets(content, name=source), 2))
    if len(found) != 1:
        reason = "holds more than one packet: use --pcap" if found else "holds no packet"
        raise InputError(reason, file=source)
    if found[0].data == content:
        note(f"{source}: taken as one raw packet of {count_of(len(content), 'byte')}")
    return found[0]


def parse_variable(text: str) -> tuple[str, Any]:
    """NAME=VALUE, with the value as a number or JSON, or as text where it is neither."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"--set takes NAME=VALUE, not {text!r}")
    try:
        return name, int(value, 0)
    except ValueError:
        is_json = value[:1] in ("[", "{", '"') or value in ("true", "false")
        return name, read_json(f"--set {name}", value) if is_json else value


def context_argument(text: str) -> Mapping[str, Any] | bytes:
    """--ctx: an object of fields, or a string of hex for the bytes of the context."""
    value = read_json("--ctx", text)
    if isinstance(value, str):
        return parse_hex_argument("--ctx", value) if value else b""
    if not isinstance(value, dict):
        raise InputError("--ctx takes a JSON object of fields, or a string of hex")
    return value


def fill_from_option(loaded: Object, contents: Any) -> None:
    """--maps: see `runtime.map_contents.fill_maps`."""
    if not isinstance(contents, dict):
        raise InputError("--maps takes a JSON object: map names to their contents")
    try:
        fill_maps(loaded, contents)
    except InputError as error:
        raise InputError(f"--maps: {error}") from None
