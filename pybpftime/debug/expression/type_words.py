"""The words of which C's own types are made, and which names look like types."""

from __future__ import annotations

from pybpftime.debug.values.types import COMMON_TYPEDEFS
from pybpftime.errors import InputError

TAG_WORDS = frozenset({"struct", "union", "enum"})
QUALIFIERS = frozenset({"const", "volatile", "restrict"})
BASE_WORDS = frozenset({
    "void", "char", "short", "int", "long", "signed", "unsigned", "_Bool", "float", "double", "__int128",
})  # fmt: skip
WELL_KNOWN = frozenset(name for names in COMMON_TYPEDEFS.values() for name in names)

_CORES = {
    "": "int",
    "int": "int",
    "char": "char",
    "short": "short",
    "int short": "short",
    "long": "long",
    "int long": "long",
    "long long": "long long",
    "int long long": "long long",
    "__int128": "__int128",
}


def looks_like_type(name: str) -> bool:
    """Whether a name is a type as far as one can tell without a program."""
    return name in WELL_KNOWN or (name.endswith("_t") and len(name) > 2)


def base_type(words: list[str], column: int) -> str:
    """The usual name of a type of C: `long unsigned int` -> `unsigned long`.  InputError for `char short`."""
    if len(words) == 1 and words[0] in ("void", "_Bool", "float", "double"):
        return words[0]
    signs = [word for word in words if word in ("signed", "unsigned")]
    core = _CORES.get(" ".join(sorted(word for word in words if word not in ("signed", "unsigned"))))
    if core is None or len(signs) > 1:
        raise InputError(f"{' '.join(words)[:60]} is no type of C", column=column)
    if "unsigned" in signs:
        return "unsigned int" if core == "int" else f"unsigned {core}"
    return "signed char" if signs and core == "char" else core
