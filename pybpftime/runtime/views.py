"""Maps as a person reads them: keys and values through their BTF types.

Without BTF, or for `raw`, keys and values are bytes.  A per-cpu value is a list, one entry per cpu; what a program
array holds is the program's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from pybpftime.errors import InputError
from pybpftime.maps import Map, MapError, ProgramArray
from pybpftime.program.btf import Btf, EnumValue, decode, encode
from pybpftime.program.loaded import LoadedProgram
from pybpftime.uapi import Errno, MapType

NUMBER_SIZES = (1, 2, 4, 8)
MISSING = object()


class MapView:
    """A map with the look of a dict.  `raw` is the map itself, with the operations of bpf(2) on bytes.

    A key that is not there is a KeyError, as in a dict; an index behind the end of an array is such a key.  What
    cannot be written as a key or value of the map (text for a number, a misspelt field, a number too large) is an
    InputError that says where, for `get` and `in` too: it is a mistake rather than missing.  What the kernel refuses,
    such as deleting an element of an array, is a MapError with its errno.

    `keys`, `values`, `items` and iteration are of the moment when they are asked for: programs may change the map
    meanwhile.  `programs` are those that a program array may hold, by name; `lock` is held during every operation.
    """

    def __init__(
        self,
        map: Map,
        btf: Btf | None,
        programs: Mapping[str, LoadedProgram] | None = None,
        lock: AbstractContextManager[Any] | None = None,
    ) -> None:
        self.raw = map
        self.lock = nullcontext() if lock is None else lock
        self._programs = {} if programs is None else programs
        self.spec = map.spec
        self._btf = btf
        self._key_type = map.spec.key_type_id if btf is not None else 0
        self._value_type = map.spec.value_type_id if btf is not None else 0

    @property
    def name(self) -> str:
        """The map's name."""
        return self.spec.name

    @property
    def type(self) -> MapType:
        """The map's type."""
        return self.spec.type

    def __getitem__(self, key: Any) -> Any:
        encoded = self.encode_key(key)
        with self.lock, _missing_is(key):
            value = self.raw.lookup(encoded)
            if isinstance(self.raw, ProgramArray):
                return self._program_name(int.from_bytes(encoded, "little"))
        return self.decode_value(value)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value under `key`, or `default`."""
        try:
            return self[key]
        except KeyError:
            return default

    def __setitem__(self, key: Any, value: Any) -> None:
        encoded_key, encoded_value = self.encode_key(key), self.encode_value(value)
        with self.lock:
            self.raw.update(encoded_key, encoded_value)

    def __delitem__(self, key: Any) -> None:
        encoded = self.encode_key(key)
        with self.lock, _missing_is(key):
            self.raw.delete(encoded)

    def pop(self, key: Any, default: Any = MISSING) -> Any:
        """Take out the value under `key`; `default` if there is none, KeyError without it."""
        with self.lock:
            value = self.get(key, MISSING)
            if value is not MISSING:
                del self[key]
                return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def update(self, other: Mapping[Any, Any] | MapView | Iterable[tuple[Any, Any]]) -> None:
        """Set the elements of another map, of a dict, or pairs of keys and values, one after the other."""
        pairs = other.items() if isinstance(other, Mapping | MapView) else other
        for key, value in pairs:
            self[key] = value

    def clear(self) -> None:
        """Delete every element, one after the other."""
        with self.lock:
            for key in self.keys():
                del self[key]

    def __contains__(self, key: Any) -> bool:
        return self.get(key, MISSING) is not MISSING

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._entries())

    def keys(self) -> list[Any]:
        """All keys."""
        return [self.decode_key(key) for key, _ in self._entries()]

    def values(self) -> list[Any]:
        """All values, in the order of the keys."""
        return [value for _, value in self.items()]

    def items(self) -> list[tuple[Any, Any]]:
        """All keys with their values."""
        return [(self.decode_key(key), self.decode_value(value)) for key, value in self._entries()]

    def _entries(self) -> list[tuple[bytes, Any]]:
        """Keys as bytes, with values as the map gives them or as the names of programs."""
        with self.lock:
            if isinstance(self.raw, ProgramArray):
                return [(index.to_bytes(4, "little"), self._program_name(index)) for index, _ in self.raw.programs()]
            return list(self.raw.items())

    def to_dict(self) -> dict[Any, Any]:
        """The contents as a dict.

        Enumerators become their names, structures tuples of (field, value) pairs, arrays tuples.
        """
        return {_hashable(key): value for key, value in self.items()}

    def drain(self) -> list[Any]:
        """Take the records out of a ring buffer or perf event array, oldest first; typed where the map says how."""
        drain = getattr(self.raw, "drain", None)
        if drain is None:
            raise InputError(f"map {self.name} is a {self.type.name}: there are no records to drain")
        with self.lock:
            records = list(drain())
        return [self.decode_record(record) for record in records]

    def decode_record(self, record: Any) -> Any:
        """A record as its value type reads it, where the map names one, else as it is."""
        if self._value_type and isinstance(record, bytes) and self._btf is not None:
            return decode(self._btf, self._value_type, record)
        return record

    def encode_key(self, key: Any) -> bytes:
        """A key as bytes: through its type, from a number of its size, or bytes as they are."""
        if not self.spec.key_size:
            raise InputError(f"map {self.name} is a {self.type.name}: it has no elements to read or set by key")
        return self._encode(key, self._key_type, self.spec.key_size, "key")

    def encode_value(self, value: Any) -> Any:
        """A value as bytes, as a tuple of bytes for a per-cpu map, as the program for a program array."""
        if self.raw.kind.per_cpu:
            values = value if isinstance(value, list | tuple) else [value] * self.raw.cpu_count
            return tuple(self._encode(one, self._value_type, self.spec.value_size, "value") for one in values)
        if self.type == MapType.BPF_MAP_TYPE_PROG_ARRAY:
            return self._program(value)
        return self._encode(value, self._value_type, self.spec.value_size, "value")

    def decode_key(self, key: bytes) -> Any:
        """Bytes as the key type reads them; a plain number for an untyped key of an integer's size."""
        return self._decode(key, self._key_type)

    def _program(self, value: Any) -> LoadedProgram:
        """A program, or the name of one of the object."""
        program = self._programs.get(value) if isinstance(value, str) else getattr(value, "loaded", value)
        if isinstance(program, LoadedProgram):
            return program
        names = ", ".join(self._programs) or "none"
        raise InputError(f"map {self.name} takes a program or the name of one ({names}), not {value!r}")

    def _program_name(self, index: int) -> str:
        assert isinstance(self.raw, ProgramArray)
        program = self.raw.program_at(index)
        return str(program.spec.name)

    def decode_value(self, value: Any) -> Any:
        """Bytes as the value type reads them; a list for a per-cpu map, of addresses for a stack trace."""
        if self.type == MapType.BPF_MAP_TYPE_STACK_TRACE and isinstance(value, bytes):
            return [int.from_bytes(value[start : start + 8], "little") for start in range(0, len(value), 8)]
        if isinstance(value, tuple):
            return [self._decode(one, self._value_type) for one in value]
        return self._decode(value, self._value_type) if isinstance(value, bytes) else value

    def _encode(self, value: Any, type_id: int, size: int, what: str) -> bytes:
        if isinstance(value, bytes | bytearray):
            if len(value) != size:
                raise InputError(f"map {self.name}: the {what} has {len(value)} bytes, it takes {size}")
            return bytes(value)
        if type_id and self._btf is not None:
            try:
                return encode(self._btf, type_id, value)
            except InputError as error:
                raise InputError(f"map {self.name}: {what}: {error.reason}") from None
        if isinstance(value, int) and size in NUMBER_SIZES:
            if not -(1 << 8 * size - 1) <= value < 1 << 8 * size:
                raise InputError(f"map {self.name}: the {what} {value} does not fit {size} bytes")
            return (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        wanted = f"a number or {size} bytes" if size in NUMBER_SIZES else f"{size} bytes"
        raise InputError(f"map {self.name}: the {what} has no BTF type; give {wanted}")

    def _decode(self, content: bytes, type_id: int) -> Any:
        if type_id and self._btf is not None:
            return decode(self._btf, type_id, content)
        return int.from_bytes(content, "little") if len(content) in NUMBER_SIZES else content

    def __repr__(self) -> str:
        return f"<map {self.name}: {self.type.name}, at most {self.spec.max_entries} entries>"


@contextmanager
def _missing_is(key: Any) -> Iterator[None]:
    """ENOENT is a KeyError."""
    try:
        yield
    except MapError as error:
        if error.errno == Errno.ENOENT:
            raise KeyError(key) from None
        raise


def _hashable(key: Any) -> Any:
    if isinstance(key, EnumValue):
        return key.name or int(key)
    if isinstance(key, dict):
        return tuple((name, _hashable(value)) for name, value in key.items())
    return tuple(_hashable(value) for value in key) if isinstance(key, list) else key
