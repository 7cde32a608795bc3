"""Elements of maps by what a user types: keys as bytes, and elements that are not there yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpftime.debug.expression import parse
from pybpftime.debug.expression.compiler import Compiler
from pybpftime.debug.expression.contents import initialiser
from pybpftime.debug.expression.lookup import Names
from pybpftime.debug.expression.nodes import Assign, Index, Name, Node
from pybpftime.debug.scope import FrameScope, MapInScope
from pybpftime.debug.values import CType, Memory, TypedValue, constant_value
from pybpftime.errors import InputError
from pybpftime.maps import MapError
from pybpftime.maps.array import IndexedMap
from pybpftime.runtime import MapView

if TYPE_CHECKING:
    from pybpftime.debug.repl.interpreter import Interpreter

MOST_ELEMENTS = 200
"""Lines that `info map` shows."""


def bytes_of(node: Node, kind: CType, what: str, scope: FrameScope) -> bytes:
    """The bytes of a type that an expression gives; InputError if it does not fit."""
    return initialiser(node, kind, what, Compiler(scope, allow_assignment=False).compile, scope.target)()


def key_bytes(name: str, text: str, scope: FrameScope) -> bytes:
    """A key of a map, as in `flows[{1, 2}]`."""
    found = scope.map(name)
    if found is None:
        raise InputError(f"{name} is no map with keys")
    return bytes_of(parse(text, Names(scope).is_type), found.key_type, f"the key of {name}", scope)


def new_element(text: str, scope: FrameScope) -> tuple[str, bytes, bytes] | None:
    """What `counts[42] = 3` is to add: map, key and value; None unless it sets an element that is not there."""
    node = parse(text, Names(scope).is_type)
    if not isinstance(node, Assign) or node.operator != "=" or not isinstance(node.target, Index):
        return None
    owner = node.target.owner
    if not isinstance(owner, Name) or scope.variable(owner.name) is not None:
        return None
    found = scope.map(owner.name)
    if found is None:
        return None
    key = bytes_of(node.target.index, found.key_type, f"the key of {owner.name}", scope)
    if found.element(key) is not None:
        return None
    return owner.name, key, bytes_of(node.value, found.value_type, f"the value of {owner.name}", scope)


def map_text(view: MapView) -> str:
    """A map in a line: type, sizes of keys and values, entries."""
    spec = view.spec
    kind = view.type.name.removeprefix("BPF_MAP_TYPE_").lower()
    cpus = f" for each cpu ({view.raw.cpu_count})" if view.raw.kind.per_cpu else ""
    return (
        f"{view.name}: {kind}, key {spec.key_size} bytes, value {spec.value_size} bytes{cpus}, "
        f"at most {spec.max_entries} entries"
    )


def show_elements(repl: Interpreter, view: MapView, cpu: int | None) -> None:
    """A line about a map, and one for each value: of a cpu, or all."""
    scope = repl.session.scope()
    map = scope.map(view.name)
    if cpu is not None and not view.raw.kind.per_cpu:
        raise InputError(f"{view.name} has one value for all cpus")
    if cpu is not None and cpu >= view.raw.cpu_count:
        raise InputError(f"there is no cpu {cpu}: {view.name} has values of the cpus 0 to {view.raw.cpu_count - 1}")
    repl.say(map_text(view))
    keys = _keys(view)
    if map is None or keys is None:
        repl.say(f"it has no elements that expressions can name; map {view.name} shows what is in it")
        return
    shown = zeros = 0
    for key in keys:
        for text, value in _values(view.name, map, key, scope, cpu):
            if isinstance(view.raw, IndexedMap) and not any(value.read()):
                zeros += 1
                continue
            if shown == MOST_ELEMENTS:
                repl.say(f"... more; print {view.name}[KEY] shows any of them")
                return
            shown += 1
            repl.say(f"{text} = {value.text()}")
    if zeros:
        repl.say(f"{zeros} values of zero are not shown" if zeros != 1 else "1 value of zero is not shown")
    elif not shown:
        repl.say("it has no elements")


def _keys(view: MapView) -> list[bytes] | None:
    """The keys of a map; None where there are none, of records."""
    try:
        return view.raw.keys()
    except MapError:
        return None


def _values(name: str, map: MapInScope, key: bytes, scope: FrameScope, cpu: int | None) -> list[tuple[str, TypedValue]]:
    """The values of an element, each with the expression for it."""
    element = f"{name}[{constant_value(map.key_type, key, scope.target).text()}]"
    kind, found = map.value_type, []
    for one in [None] if map.cpu_count is None else range(map.cpu_count) if cpu is None else [cpu]:
        address = map.element(key, one)
        if address is not None:
            text = element if one is None else f"per_cpu({element}, {one})"
            found.append((text, TypedValue(kind.types, kind.id, Memory(address), scope.target)))
    return found
