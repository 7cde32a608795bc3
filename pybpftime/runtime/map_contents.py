"""Contents of maps as plain data, such as JSON gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pybpftime.errors import InputError
from pybpftime.maps import MapError
from pybpftime.program.btf import Btf
from pybpftime.runtime.names import no_such
from pybpftime.runtime.objects import Object
from pybpftime.runtime.views import NUMBER_SIZES, MapView
from pybpftime.uapi import MapType


def fill_maps(loaded: Object, contents: Mapping[str, Any]) -> None:
    """{"name": {"key": value, ...}} or {"name": [[key, value], ...]} for keys that are structures.

    Keys and values are what BTF says; without it numbers, or hex digits where no number has their size.
    """
    btf = loaded.spec.btf
    for name, entries in contents.items():
        if name not in loaded.maps:
            raise no_such("map", name, loaded.maps)
        view = loaded.maps[name]
        if view.spec.contents is not None:
            raise InputError(f"{name} holds global variables: --set NAME=VALUE sets them")
        for key, value in _pairs(name, entries):
            try:
                view[_key(key, view, btf)] = _value(value, view, btf)
            except MapError as error:
                raise InputError(str(error)) from None


def _pairs(name: str, entries: Any) -> Sequence[tuple[Any, Any]]:
    pairs = list(entries.items()) if isinstance(entries, dict) else entries
    if not isinstance(pairs, list) or any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in pairs):
        raise InputError(f"{name} takes an object of keys and values, or a list of [key, value] pairs")
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
