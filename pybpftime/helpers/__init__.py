"""Helpers: the functions that programs call by number.

`declarations` says what each is, `implementations` does it, `HelperTable` is a set of both, and `bind` connects one
call instruction of a program with the helper that it names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pybpftime.helpers import declarations
from pybpftime.helpers.declarations import HelperDeclaration, helper
from pybpftime.helpers.marshal import Span, bind
from pybpftime.helpers.packet_access import PacketBuffer
from pybpftime.helpers.registry import (
    Helper,
    HelperTable,
    Implementation,
    default_helpers,
    implements,
    installed_helper_modules,
    load_helper_module,
)

if TYPE_CHECKING:
    from pybpftime.helpers.declarations import DECLARATIONS, KNOWN

__all__ = [
    "DECLARATIONS",
    "KNOWN",
    "Helper",
    "HelperDeclaration",
    "HelperTable",
    "Implementation",
    "PacketBuffer",
    "Span",
    "bind",
    "default_helpers",
    "helper",
    "implements",
    "installed_helper_modules",
    "load_helper_module",
]


def __getattr__(name: str) -> Any:
    if name not in ("DECLARATIONS", "KNOWN"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(declarations, name)
