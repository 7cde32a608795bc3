"""Global variables of an object by name, read and written through their BTF types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from difflib import get_close_matches
from typing import Any

from pybpftime.errors import InputError
from pybpftime.program.btf import Btf, DataSec, Var, decode, encode
from pybpftime.runtime.views import MapView


class Globals(MutableMapping[str, Any]):
    """Variables in .data, .bss and .rodata.  Setting one of .rodata works before the object is loaded only
    (`load(..., variables={...})`): then the section is frozen, as libbpf does."""

    def __init__(self, maps: Mapping[str, MapView], btf: Btf | None) -> None:
        self._btf = btf
        self._places: dict[str, tuple[MapView, int, int, int]] = {}
        if btf is None:
            return
        for view in maps.values():
            section = btf[view.spec.value_type_id] if view.spec.value_type_id else None
            if view.spec.contents is None or not isinstance(section, DataSec):
                continue
            for entry in section.variables:
                variable = btf[entry.type]
                if isinstance(variable, Var):
                    self._places[variable.name] = (view, entry.offset, entry.size, variable.type)

    def _place(self, name: str) -> tuple[MapView, int, int, int]:
        try:
            return self._places[name]
        except KeyError:
            names = get_close_matches(name, self._places, n=3) or sorted(self._places)
            raise InputError(
                f"there is no global variable named {name}; there is {', '.join(names) or 'none'}"
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __getitem__(self, name: str) -> Any:
        view, offset, size, type_id = self._place(name)
        content = view.raw.lookup(bytes(4))
        assert self._btf is not None and isinstance(content, bytes)
        return decode(self._btf, type_id, content[offset : offset + size])

    def __setitem__(self, name: str, value: Any) -> None:
        view, offset, size, type_id = self._place(name)
        content = view.raw.lookup(bytes(4))
        assert self._btf is not None and isinstance(content, bytes)
        try:
            encoded = encode(self._btf, type_id, value)
        except InputError as error:
            raise InputError(f"global variable {name}: {error}") from None
        view.raw.update(bytes(4), content[:offset] + encoded + content[offset + size :])

    def __delitem__(self, name: str) -> None:
        raise InputError(f"the global variable {name} cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
