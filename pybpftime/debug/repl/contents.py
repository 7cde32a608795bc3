"""Maps and the packet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pybpftime.debug.packet import packet_of
from pybpftime.debug.repl.interpreter import Interpreter
from pybpftime.debug.repl.show import invocation_text
from pybpftime.debug.repl.table import command
from pybpftime.errors import InputError
from pybpftime.runtime import MapView
from pybpftime.runtime.names import no_such

ROW_BYTES = 16
MOST_BYTES = 512


@command("maps", usage="maps", example="maps")
def maps(repl: Interpreter, text: str) -> None:
    """Show all maps with their contents, typed where the object says how."""
    views = list(repl.session.object.maps.values())
    if not views:
        repl.say("the object has no maps")
        return
    print_views(repl, views)


@command("map", usage="map NAME", example="map flows", arguments="map")
def map_(repl: Interpreter, text: str) -> None:
    """Show the contents of a map as a table."""
    if not text:
        raise InputError("map takes the name of a map; info maps lists them")
    print_map(repl, text)


@command("packet", usage="packet [all]", example="packet")
def packet(repl: Interpreter, text: str) -> None:
    """Show the packet as it is now: its layers, a line each, and its bytes with their offsets."""
    world = repl.session.world
    found = packet_of(world)
    if found is None:
        raise InputError("the program has no packet")
    content, length = found.content, len(found.content)
    repl.say(f"{invocation_text(world)}, {length} bytes: {found.summary}")
    for line in found.lines():
        repl.say(f"  {line}")
    shown = len(content) if text == "all" else min(len(content), MOST_BYTES)
    for row in hex_rows(content[:shown]):
        repl.say(row)
    if shown < length:
        repl.say(f"... {length - shown} bytes more; packet all shows them")


def print_map(repl: Interpreter, name: str) -> None:
    """The table of one map."""
    known = repl.session.object.maps
    if name not in known:
        raise no_such("map", name, known)
    print_views(repl, [known[name]])


def print_views(repl: Interpreter, views: list[MapView]) -> None:
    """The tables of maps, which are as before afterwards."""
    with undisturbed(views):
        repl.print_maps(repl.console, views, repl.session.object.spec.btf)


@contextmanager
def undisturbed(views: list[MapView]) -> Iterator[None]:
    """Whatever is done to the maps is undone: who prints a ring buffer takes the records out of it."""
    streams = [view.raw for view in views if hasattr(view.raw, "drain")]
    before = [(map, bytes(map.slab.data), map.beside_slab()) for map in streams]
    try:
        yield
    finally:
        for map, content, beside in before:
            map.slab.data[:] = content
            map.set_beside_slab(beside)


def hex_rows(content: bytes) -> Iterator[str]:
    """`  0  ff ff ...  |..|`, the offset in decimal, as expressions have it."""
    for start in range(0, len(content), ROW_BYTES):
        row = content[start : start + ROW_BYTES]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"  {start:>4}  {row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}  {text}"
