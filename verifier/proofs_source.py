"""The domain's source as the proofs need it: run on symbols, and summed up to see when it changed."""

from __future__ import annotations

import builtins
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from pybpftime.verifier.proofs_symbols import maximum, minimum

DOMAIN = "pybpftime.verifier.domain"


class SymbolicSource:
    """A second copy of the domain's modules, the same source, in which `min` and `max` take symbols without a branch.

    `replaced` puts others in the place of functions that have a proof of their own: "ranges.tighten" -> a function that
    promises what is proved of it.  A replaced function is so for whoever imports it.
    """

    def __init__(self, replaced: Mapping[str, Any] | None = None) -> None:
        self._replaced = dict(replaced or {})
        self._modules: dict[str, ModuleType] = {}

    def module(self, name: str) -> Any:
        """A module of the domain by its last name."""
        if name not in self._modules:
            spec = importlib.util.find_spec(f"{DOMAIN}.{name}")
            assert spec is not None and spec.origin is not None
            module = self._modules[name] = ModuleType(f"{DOMAIN}.{name}")
            module.__dict__["__builtins__"] = vars(builtins) | {
                "min": minimum,
                "max": maximum,
                "__import__": self._import,
            }
            exec(compile(Path(spec.origin).read_text("utf-8"), spec.origin, "exec"), module.__dict__)
            for path, function in self._replaced.items():
                if path.rpartition(".")[0] == name:
                    assert hasattr(module, path.rpartition(".")[2]), path
                    setattr(module, path.rpartition(".")[2], function)
        return self._modules[name]

    def _import(self, name: str, *others: Any) -> Any:
        if name == DOMAIN:
            return SimpleNamespace(**{member: self.module(member) for member in others[2]})
        if name.startswith(f"{DOMAIN}."):
            return self.module(name.removeprefix(f"{DOMAIN}."))
        return __import__(name, *others)
