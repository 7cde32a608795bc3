"""Values as C text on one line: `{.saddr = 167772161, .port = 80, .comm = "curl"}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pybpftime.errors import InputError
from pybpftime.program.btf.btf import Btf
from pybpftime.program.btf.declarator import quote
from pybpftime.program.btf.layout import check_depth
from pybpftime.program.btf.types import Array, DataSec, Enum, Enum64, Float, Int, Ptr, Struct, Union, Var
from pybpftime.program.btf.values import EnumValue, Value, decode, section_variables

DEFAULT_LIMIT = 64


def format_bytes(btf: Btf, type_id: int, data: bytes, *, limit: int = DEFAULT_LIMIT) -> str:
    """Decode `data` as the type and format it: see `format_value`."""
    return format_value(btf, type_id, decode(btf, type_id, data), limit=limit)


def format_value(btf: Btf, type_id: int, value: Value, *, limit: int = DEFAULT_LIMIT) -> str:
    """A value that `decode` made, as a C initialiser: pointers hexadecimal, enumerations by name, text quoted.

    Of an array, `limit` elements are printed and the rest counted: `{1, 2, ... 62 more}`.  Fields that the value
    lacks are left out.  InputError if the value does not have the shape that its type decodes to.
    """
    return _Formatter(btf, limit).text(type_id, value, 0)


class _Formatter:
    def __init__(self, btf: Btf, limit: int) -> None:
        self.btf = btf
        self.limit = limit

    def text(self, type_id: int, value: Any, depth: int) -> str:
        check_depth(depth, type_id)
        target = self.btf.resolve(type_id)
        match self.btf[target]:
            case Ptr() if isinstance(value, int):
                return f"{value:#x}" if value else "NULL"
            case Int() if isinstance(value, int):
                return str(value).lower() if isinstance(value, bool) else str(value)
            case Enum() | Enum64() if isinstance(value, int):
                return str(value) if isinstance(value, EnumValue) else str(int(value))
            case Float() if isinstance(value, int | float):
                return repr(float(value))
            case Float() if isinstance(value, Sequence):
                return self._list([str(item) for item in value[: self.limit]], len(value))
            case Struct() | Union() if isinstance(value, Mapping):
                types = [(field.name, field.type) for field in self.btf.fields(target)]
                return self._dict(types, value, depth)
            case Array() if isinstance(value, str):
                return quote(value)
            case Array(element=element) if isinstance(value, Sequence):
                return self._list([self.text(element, item, depth + 1) for item in value[: self.limit]], len(value))
            case Var() as record:
                return self.text(record.type, value, depth + 1)
            case DataSec() as record if isinstance(value, Mapping):
                types = [(name, target) for name, target, _ in section_variables(self.btf, record)]
                return self._dict(types, value, depth)
        kind = self.btf.kind(target).name
        raise InputError(f"a {type(value).__name__} is not a value of BTF type {target} ({kind})")

    def _dict(self, types: list[tuple[str, int]], value: Mapping[str, Any], depth: int) -> str:
        items = [f".{name} = {self.text(target, value[name], depth + 1)}" for name, target in types if name in value]
        return f"{{{', '.join(items)}}}"

    def _list(self, items: list[str], count: int) -> str:
        more = [f"... {count - len(items)} more"] if count > len(items) else []
        return f"{{{', '.join([*items, *more])}}}"
