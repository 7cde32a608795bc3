"""What an object has by name: programs, maps, global variables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pybpftime.errors import InputError

T = TypeVar("T")

MOST_NAMES = 12
"""How many names an error lists."""


class ByName(Mapping[str, T]):
    """A mapping from names.  `[]` with a name that is not there raises the InputError of `no_such`; `get` and `in`
    ask."""

    def __init__(self, what: str, things: Mapping[str, T], file: str | None = None) -> None:
        self._what = what
        self._things = things
        self._file = file

    def __getitem__(self, name: str) -> T:
        if name not in self:
            raise no_such(self._what, name, self._things, self._file)
        return self._things[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The thing of that name, or `default`."""
        return self._things.get(name, default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)

    def __repr__(self) -> str:
        return repr(dict(self._things))


def no_such(what: str, name: object, known: Iterable[str], file: str | None = None) -> InputError:
    """The error of a name that is not known, with what the user may have meant."""
    text = name if isinstance(name, str) else repr(name)
    return InputError(f"there is no {what} named {text[:60]}; {hint(text, known)}", file=file)


def hint(name: str, known: Iterable[str]) -> str:
    """What the user may have meant: near names, else all of them if they are few."""
    from difflib import get_close_matches  # slow to import, and seldom used

    names = list(known)
    near = get_close_matches(name[:60], names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    if not names:
        return "there is none"
    return f"there is {', '.join(names[:MOST_NAMES])}{', ...' if len(names) > MOST_NAMES else ''}"
