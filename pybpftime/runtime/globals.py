"""Global variables of an object by name, read and written through their BTF types."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, MutableMapping
from itertools import islice
from typing import Any

from pybpftime.errors import InputError
from pybpftime.program.btf import Btf, DataSec, Var, decode, encode
from pybpftime.runtime.names import MOST_NAMES, no_such
from pybpftime.runtime.views import MapView


class Globals(MutableMapping[str, Any]):
    """Variables in .data, .bss and .rodata by name; a name that is not there is an InputError.

    Setting one of .rodata works before the object is loaded only (`load(..., variables={...})`): then the section is
    frozen, as libbpf does.
    """

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
        if name not in self:
            raise no_such("global variable", name, sorted(self._places))
        return self._places[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._places

    def get(self, name: str, default: Any = None) -> Any:
        """The value of that variable, or `default` if there is none."""
        if name in self:
            return self[name]
        return default

    def __getitem__(self, name: str) -> Any:
        view, offset, size, type_id = self._place(name)
        with view.lock:
            content = view.raw.lookup(bytes(4))
        assert self._btf is not None and isinstance(content, bytes)
        return decode(self._btf, type_id, content[offset : offset + size])

    def __setitem__(self, name: str, value: Any) -> None:
        view, offset, size, type_id = self._place(name)
        assert self._btf is not None
        try:
            encoded = encode(self._btf, type_id, value)
        except InputError as error:
            raise InputError(f"global variable {name}: {error}") from None
        with view.lock:  # no program writes to the section meanwhile
            content = view.raw.lookup(bytes(4))
            assert isinstance(content, bytes)
            view.raw.update(bytes(4), content[:offset] + encoded + content[offset + size :])

    def __delitem__(self, name: str) -> None:
        raise InputError(f"the global variable {name} cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        shown = [f"{name}={reprlib.repr(self[name])}" for name in islice(self, MOST_NAMES)]
        return f"<globals: {', '.join([*shown, '...'] if len(self) > MOST_NAMES else shown) or 'none'}>"
