"""What `run` runs on, from its options: packets, contexts, variables, contents of maps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pybpftime.cli.inputs import names_file, parse_hex_argument, read_content, read_json, require_name
from pybpftime.cli.output import count_of
from pybpftime.errors import InputError
from pybpftime.maps import MapError
from pybpftime.program.btf import Btf
from pybpftime.program.packets import Packet, read_packets
from pybpftime.runtime import MapView, Object
from pybpftime.runtime.names import no_such
from pybpftime.runtime.views import NUMBER_SIZES
from pybpftime.uapi import MapType


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


def fill_maps(loaded: Object, contents: Any) -> None:
    """--maps: {"name": {"key": value, ...}} or {"name": [[key, value], ...]} for keys that are structures.

    Keys and values are what BTF says; without it numbers, or hex digits where no number has their size.
    """
    if not isinstance(contents, dict):
        raise InputError("--maps takes a JSON object: map names to their contents")
    btf = loaded.spec.btf
    for name, entries in contents.items():
        if name not in loaded.maps:
            raise InputError(f"--maps: {no_such('map', name, loaded.maps).reason}")
        view = loaded.maps[name]
        if view.spec.contents is not None:
            raise InputError(f"--maps: {name} holds global variables: --set NAME=VALUE sets them")
        for key, value in _pairs(name, entries):
            try:
                view[_key(key, view, btf)] = _value(value, view, btf)
            except (InputError, MapError) as error:
                raise InputError(f"--maps: {error}") from None


def _pairs(name: str, entries: Any) -> Sequence[tuple[Any, Any]]:
    pairs = list(entries.items()) if isinstance(entries, dict) else entries
    if not isinstance(pairs, list) or any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in pairs):
        raise InputError(f"--maps: {name} takes an object of keys and values, or a list of [key, value] pairs")
    return pairs


def _key(given: Any, view: MapView, btf: Btf | None) -> Any:
    """A key as `view` takes it; JSON has only text for the keys of an object."""
    if not isinstance(given, str):
        return given
    if view.spec.key_size not in NUMBER_SIZES and (btf is None or not view.spec.key_type_id):
        return _hex_digits(given, f"map {view.name}: the key")
    try:
        return int(given, 0)
    except ValueError:
        return given


def _value(given: Any, view: MapView, btf: Btf | None) -> Any:
    """A value as `view` takes it, or a list of them."""
    if isinstance(given, list) and view.raw.kind.per_cpu:
        return [_value(one, view, btf) for one in given]
    is_bytes = view.spec.value_size not in NUMBER_SIZES and (btf is None or not view.spec.value_type_id)
    if isinstance(given, str) and is_bytes and view.type != MapType.BPF_MAP_TYPE_PROG_ARRAY:
        return _hex_digits(given, f"map {view.name}: the value")
    return given


def _hex_digits(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise InputError(f"{what} {text!r:.60} is not in hex digits") from None
