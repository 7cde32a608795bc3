"""Checking and translating values by the TypedDicts of `protocol` and `bodies`.

One walk does both: it compares a value with its declared type, and passes what is marked as a line, a column or a path
through a translation between the client's conventions and ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pybpftime.debug.dap.protocol import Convention, InitializeArguments
from pybpftime.errors import InputError

Translation = Callable[[Convention, Any], Any]
# Value, how a message calls it, translation -> the value to go on with.
_Walk = Callable[[Any, str, Translation], Any]

_WORDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    NoneType: "null",
}


def convert(value: Any, shape: Any, translation: Translation, name: str = "arguments") -> Any:
    """A copy of `value` with the fields that `shape` lists, translated.

    Fields that `shape` does not list are left out, and so are optional ones that are null.  Raises InputError with one
    sentence for a missing field, a wrong type, or text that is no Unicode; `name` is what it calls the value.
    """
    return _walk(shape)(value, name, translation)


@dataclass(frozen=True, slots=True)
class Conventions:
    """How a client counts and names; the defaults are ours, and the protocol's."""

    first_line: int = 1
    first_column: int = 1
    uris: bool = False

    @classmethod
    def of(cls, arguments: InitializeArguments) -> Conventions:
        return cls(
            first_line=int(arguments.get("linesStartAt1", True)),
            first_column=int(arguments.get("columnsStartAt1", True)),
            uris=arguments.get("pathFormat") == "uri",
        )

    def read(self, kind: Convention, value: Any) -> Any:
        """A line, column or path as the client wrote it -> as we do."""
        if kind is Convention.PATH:
            return _path(value) if self.uris else value
        return value + 1 - (self.first_line if kind is Convention.LINE else self.first_column)

    def write(self, kind: Convention, value: Any) -> Any:
        """The other way.  Line 0 says that there is none, and stays."""
        if kind is Convention.PATH:
            return _uri(value) if self.uris else value
        first = self.first_line if kind is Convention.LINE else self.first_column
        return max(value - 1 + first, 0)


def _path(uri: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    return url2pathname(parts.path) if parts.scheme == "file" else uri


def _uri(path: str) -> str:
    return PurePath(path).as_uri() if PurePath(path).is_absolute() else path


# --- one walk for each kind of annotation ---------------------------------------------------------------------------


@cache
def _walk(annotation: Any) -> _Walk:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return lambda value, name, translation: value
    if is_typeddict(annotation):
        return _walk_fields(annotation)
    if origin is Annotated:
        return _walk_translated(_walk(arguments[0]), arguments[1])
    if origin is Literal:
        return _walk_choice(arguments)
    if origin is list:
        return _walk_items(_walk(arguments[0]))
    if origin in (Union, UnionType):
        return _walk_any_of(arguments)
    return _walk_plain(origin or annotation)


def _wrong(name: str, wanted: str, value: Any) -> InputError:
    return InputError(f"{name} must be {wanted}, not {_WORDS[type(value)]}")


def _walk_plain(kind: type) -> _Walk:
    accepted = (int, float) if kind is float else (kind,)

    def walk(value: Any, name: str, translation: Translation) -> Any:
        if type(value) not in accepted:  # not isinstance: True is no integer
            raise _wrong(name, _WORDS[kind], value)
        if kind is str and not value.isascii():
            _check_unicode(value, name)
        return value

    return walk


def _check_unicode(text: str, name: str) -> None:
    """JSON can write half a character (a lone surrogate); no file and no terminal takes one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{name} is no Unicode text") from None


def _walk_translated(walk_value: _Walk, kind: Convention) -> _Walk:
    def walk(value: Any, name: str, translation: Translation) -> Any:
        plain = walk_value(value, name, translation)
        if kind is Convention.PATH and "\0" in plain:
            raise InputError(f"{name} has a zero byte, which no path has")
        return translation(kind, plain)

    return walk


def _walk_choice(choices: tuple[str, ...]) -> _Walk:
    def walk(value: Any, name: str, translation: Translation) -> Any:
        if type(value) is not str:
            raise _wrong(name, "a string", value)
        if value not in choices:
            raise InputError(f"{name} must be one of {', '.join(choices)}")
        return value

    return walk


def _walk_items(walk_item: _Walk) -> _Walk:
    def walk(value: Any, name: str, translation: Translation) -> Any:
        if type(value) is not list:
            raise _wrong(name, "a list", value)
        return [walk_item(item, f"{name}[{index}]", translation) for index, item in enumerate(value)]

    return walk


def _walk_any_of(kinds: tuple[Any, ...]) -> _Walk:
    plain = tuple(get_origin(kind) or kind for kind in kinds)

    def walk(value: Any, name: str, translation: Translation) -> Any:
        if type(value) not in plain:
            raise _wrong(name, " or ".join(_WORDS[kind] for kind in plain), value)
        if type(value) is str:
            _check_unicode(value, name)
        return value

    return walk


def _walk_fields(shape: Any) -> _Walk:
    required: dict[str, _Walk] = {}
    optional: dict[str, _Walk] = {}
    for field, annotation in get_type_hints(shape, include_extras=True).items():
        if get_origin(annotation) is NotRequired:
            optional[field] = _walk(get_args(annotation)[0])
        else:
            required[field] = _walk(annotation)

    def walk(value: Any, name: str, translation: Translation) -> Any:
        if type(value) is not dict:
            raise _wrong(name, "an object", value)
        result = {}
        for field, walk_field in required.items():
            if field not in value:
                raise InputError(f"{name}.{field} is missing")
            result[field] = walk_field(value[field], f"{name}.{field}", translation)
        for field, walk_field in optional.items():
            if value.get(field) is not None:
                result[field] = walk_field(value[field], f"{name}.{field}", translation)
        return result

    return walk
