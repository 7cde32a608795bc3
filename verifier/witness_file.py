"""Witnesses as files: a JSON object that a person can read and change, and that `run --witness` runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pybpftime.errors import FaultKind, InputError
from pybpftime.program.types import PROGRAM_TYPES, program_type
from pybpftime.verifier.report import Witness

FORMAT = "pybpftime witness"
VERSION = 1
MOST_BYTES = 1 << 24
"""The longest packet or value that is read."""
MOST_ENTRIES = 1 << 20
_T = TypeVar("_T")


def witness_data(witness: Witness, program: str) -> dict[str, Any]:
    """The witness for the program of that name as plain data: bytes are hex, in the order in which they stand."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "program": program,
        "type": PROGRAM_TYPES[witness.program_type].name,
        "instruction": witness.pc,
        "fault": None if witness.kind is None else str(witness.kind),
        "context": {str(offset): content.hex() for offset, content in sorted(witness.context.items())},
        "packet": None if witness.packet is None else witness.packet.hex(),
        "metadata": witness.metadata.hex(),
        "maps": {name: [[key.hex(), value.hex()] for key, value in held] for name, held in witness.maps.items()},
        "results": [[slot, value] for slot, value in witness.results],
        "written": [[slot, content.hex()] for slot, content in witness.written],
    }


def read_witness(data: Any) -> tuple[str, Witness]:
    """The name of the program and the witness in `data`, as `witness_data` gives it; InputError for anything else."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"is no witness: it has no format {FORMAT!r}")
    if data.get("version") != VERSION:
        raise InputError(f"is a witness of version {data.get('version')!r:.40}, and {VERSION} is known")
    fault = data.get("fault")
    if fault is not None and fault not in list(FaultKind):
        raise InputError(f"fault: there is no kind of fault {fault!r:.40}")
    packet = data.get("packet")
    witness = Witness(
        program_type(_text(data, "type")),
        _number(data.get("instruction"), "instruction", 1 << 32),
        None if fault is None else FaultKind(fault),
        {_offset(offset): _bytes(content, "context") for offset, content in _object(data, "context").items()},
        None if packet is None else _bytes(packet, "packet"),
        _bytes(data.get("metadata", ""), "metadata"),
        {
            name: tuple(_element(name, one) for one in _list(held, "maps"))
            for name, held in _object(data, "maps").items()
        },
        _pairs(data, "results", lambda value: _number(value, "results", 1 << 64)),
        _pairs(data, "written", lambda value: _bytes(value, "written")),
    )
    return _text(data, "program"), witness


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or len(value) > MOST_BYTES:
        raise InputError(f"{name} is a text")
    return value


def _number(value: Any, what: str, limit: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < limit:
        raise InputError(f"{what}: {value!r:.40} is no number from 0 to {limit - 1}")
    return value


def _offset(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise InputError(f"context: {text!r:.40} is no offset in bytes")
    return int(text)


def _bytes(value: Any, what: str) -> bytes:
    if not isinstance(value, str) or len(value) > 2 * MOST_BYTES:
        raise InputError(f"{what}: bytes are written as a text of hex digits")
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise InputError(f"{what}: {value!r:.40} is not in hex digits") from None


def _object(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, dict):
        raise InputError(f"{name} is an object")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > MOST_ENTRIES:
        raise InputError(f"{what}: a list of pairs is wanted")
    return value


def _element(name: str, value: Any) -> tuple[bytes, bytes]:
    key, content = _pair(value, f"map {name}")
    return _bytes(key, f"map {name}"), _bytes(content, f"map {name}")


def _pair(value: Any, what: str) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"{what}: {value!r:.40} is no pair")
    return value[0], value[1]


def _pairs(data: Mapping[str, Any], name: str, read: Callable[[Any], _T]) -> tuple[tuple[int, _T], ...]:
    pairs = (_pair(one, name) for one in _list(data.get(name, []), name))
    return tuple((_number(slot, name, 1 << 32), read(value)) for slot, value in pairs)
