"""Maps as variables: keys and values by their types."""

from __future__ import annotations

from collections.abc import Sequence

from pybpftime.debug.dap.backend.rows import Container, Indexed, Named, Row, Style, value_row
from pybpftime.debug.expression import compile_expression
from pybpftime.debug.frames import Frame
from pybpftime.debug.scope import MapInScope
from pybpftime.debug.session import Session
from pybpftime.debug.values import Memory, Target, TypedValue, constant_value
from pybpftime.errors import InputError
from pybpftime.maps import Map, MapError
from pybpftime.maps.array import IndexedMap
from pybpftime.runtime import MapView

LONGEST_KEY = 1 << 12
"""Elements of an array in a key that are written out."""


def map_rows(session: Session, frame: Frame | None, style: Style) -> list[Row]:
    """One row for each map that is no section of global variables."""
    views = [view for view in session.object.maps.values() if view.spec.contents is None]
    return [map_row(session, frame, view) for view in views]


def map_row(session: Session, frame: Frame | None, view: MapView) -> Row:
    """A map: its type, how much is in it, its elements."""
    kind = view.type.name.removeprefix("BPF_MAP_TYPE_").lower()
    path = view.name if session.scope(frame).map(view.name) is not None else ""
    try:
        length = len(view.raw.keys()) if not isinstance(view.raw, IndexedMap) else view.raw.max_entries
    except (MapError, InputError):
        return Row(view.name, f"{kind}, {_beside(view)}", "", path, read_only=True)
    text = f"{kind}, {length} element{'s' if length != 1 else ''}"
    return Row(view.name, text, "", path, elements_of(session, frame, view, length), read_only=True)


def _beside(view: MapView) -> str:
    count = getattr(view.raw, "count", None)
    return f"{count} records" if isinstance(count, int) else "no elements that can be listed"


def elements_of(session: Session, frame: Frame | None, view: MapView, length: int | None = None) -> Container:
    """The elements of a map."""
    if length is None:
        length = view.raw.max_entries if isinstance(view.raw, IndexedMap) else len(view.raw.keys())

    def make(style: Style, wanted: range) -> Sequence[Row]:
        return [_element_row(session, frame, view, key, style) for key in _keys(view.raw, wanted)]

    return Indexed(frame, length, make)


def _keys(map: Map, wanted: range) -> list[bytes]:
    if isinstance(map, IndexedMap):
        return [index.to_bytes(4, "little") for index in wanted]
    return map.keys()[wanted.start : wanted.stop]


def _element_row(session: Session, frame: Frame | None, view: MapView, key: bytes, style: Style) -> Row:
    scope = session.scope(frame)
    map = scope.map(view.name)
    if map is None:  # what it holds is no memory: programs, other maps
        shown = view.decode_key(key)
        try:
            return Row(f"[{shown}]", str(view[shown] if not isinstance(shown, dict) else view[key]), read_only=True)
        except (KeyError, MapError, InputError):
            return Row(f"[{shown}]", "(empty)", read_only=True)
    text = constant_value(map.key_type, key, scope.target).text(limit=LONGEST_KEY)
    name = f"[{text}]"
    if view.raw.kind.per_cpu:
        cpus = Named(frame, lambda style: [_cpu_row(map, key, cpu, scope.target, style, frame) for cpu in _cpus(view)])
        rows = cpus.rows(style)
        return Row(name, f"{{{', '.join(row.text for row in rows[:8])}}}", "", "", cpus, read_only=True)
    address = view.raw.element_address(key)
    if not address:
        return Row(name, "(gone)", read_only=True)
    path = _path(session, frame, view.name, map, key, text, address)
    value = TypedValue(map.value_type.types, map.value_type.id, Memory(address), scope.target, path)
    return value_row(name, value, style, frame)


def _cpus(view: MapView) -> range:
    return range(view.raw.cpu_count)


def _cpu_row(map: MapInScope, key: bytes, cpu: int, target: Target, style: Style, frame: Frame | None) -> Row:
    address, kind = map.map.element_address(key, cpu), map.value_type
    path = f"*({kind.text} *){address:#x}"
    return value_row(f"cpu {cpu}", TypedValue(kind.types, kind.id, Memory(address), target, path), style, frame)


def _path(
    session: Session, frame: Frame | None, name: str, map: MapInScope, key: bytes, text: str, address: int
) -> str:
    """What to type for an element: with its key if that can be typed, else by its address."""
    number = map.key_type.scalar() is not None
    typed = f"{name}[{int.from_bytes(key, 'little')}]" if number else f"{name}[{text}]"
    try:
        compile_expression(typed, session.scope(frame)).value()
    except InputError:
        return f"*({map.value_type.text} *){address:#x}"
    return typed
