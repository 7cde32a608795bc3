"""Compares two trace files (docs/reference/trace-format.md), whoever wrote them, and finds the first difference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NoReturn

from pybpftime.errors import InputError
from pybpftime.runtime.trace_file import FORMAT, VERSION

LONGEST_LINE = 8 << 20
LEAST_ADDRESS = 1 << 32
"""Numbers from here on may be addresses, which every runtime chooses for itself."""
COMPARED = ("type", "invocation", "step", "program", "pc", "opcode", "depth", "steps", "result", "packet")
TYPES = ("begin", "step", "end")

Line = tuple[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class TraceDifference:
    """Where two traces part: at which lines, where that is in the program, and in what they differ.

    A line is 0 for a trace that has ended; `field` is then `type`.
    """

    lines: tuple[int, int]
    where: str
    field: str
    values: tuple[Any, Any]

    def __str__(self) -> str:
        first, second = (_shown(value) for value in self.values)
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.field} is {first} (line {self.lines[0]}) and {second} (line {self.lines[1]})"


def first_difference(first: str, second: str, *, exact: bool = False) -> TraceDifference | None:
    """The first difference of two trace files; None when there is none.

    What one of them does not know (a field that is left out, a register that is null) is not compared, and unless
    `exact` neither are two numbers that may both be addresses.  InputError, with file and line, for what is no trace.
    """
    for one, other in zip_longest(_lines(first), _lines(second)):
        if one is None or other is None:
            known = one or other
            assert known is not None
            lines = (0, known[0]) if one is None else (known[0], 0)
            kinds = tuple(None if line is None else line[1]["type"] for line in (one, other))
            return TraceDifference(lines, _where(known[1]), "type", (kinds[0], kinds[1]))
        found = _compared(one[1], other[1], exact=exact)
        if found is not None:
            return TraceDifference((one[0], other[0]), _where(one[1]), found[0], found[1])
    return None


Found = tuple[str, tuple[Any, Any]]


def _compared(one: Mapping[str, Any], other: Mapping[str, Any], *, exact: bool) -> Found | None:
    """The first field in which two lines differ."""
    return next((pair for pair in _pairs(one, other) if not _same(*pair[1], exact=exact)), None)


def _pairs(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Found]:
    """The values that two lines have in common, by name."""
    yield from ((name, (one[name], other[name])) for name in COMPARED if name in one and name in other)
    for number, pair in enumerate(_zipped(one.get("registers"), other.get("registers"))):
        yield f"r{number}", pair
    call, other_call = one.get("call"), other.get("call")
    if isinstance(call, dict) and isinstance(other_call, dict):
        for name in ("helper", "result"):
            yield f"call.{name}", (call.get(name), other_call.get(name))
        for number, pair in enumerate(_zipped(call.get("arguments"), other_call.get("arguments"))):
            yield f"call.arguments[{number}]", pair
    for number, (left, right) in enumerate(_zipped(one.get("writes"), other.get("writes"))):
        if isinstance(left, dict) and isinstance(right, dict):
            for name in ("address", "bytes"):
                yield f"writes[{number}].{name}", (left.get(name), right.get(name))
    errors = one.get("error"), other.get("error")
    if any(isinstance(error, dict) for error in errors):
        kinds = tuple(error.get("kind") if isinstance(error, dict) else "none" for error in errors)
        yield "error.kind", (kinds[0], kinds[1])


def _zipped(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(one, list) and isinstance(other, list):
        yield from zip(one, other, strict=False)


def _same(one: Any, other: Any, *, exact: bool) -> bool:
    if one == other or one is None or other is None:
        return True
    return not exact and _address(one) and _address(other)


def _address(value: Any) -> bool:
    """Whether it is a number, as traces write those of 64 bits, that may be an address."""
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 18:
        return False
    try:
        return int(value, 16) >= LEAST_ADDRESS
    except ValueError:
        return False


def _where(line: Mapping[str, Any]) -> str:
    """The place of a line for people."""
    parts = [f"invocation {line['invocation']}"] if "invocation" in line else []
    if line["type"] == "step":
        parts.append(f"step {line.get('step')}")
        text = f" ({line['instruction']})" if isinstance(line.get("instruction"), str) else ""
        parts.append(f"{line.get('program')}+{line.get('pc')}{text}")
    return ", ".join(parts)


def _shown(value: Any) -> str:
    text = "the end of the trace" if value is None else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


# --- reading ----------------------------------------------------------------------------------------------------------


def _lines(file: str) -> Iterator[Line]:
    """The lines of a trace behind its header, with their numbers.  One line is in memory at a time."""
    try:
        with open(file, "rb") as stream:
            number = 0
            while text := stream.readline(LONGEST_LINE + 1):
                number += 1
                line = _parsed(text, file, number)
                if number == 1:
                    _check_header(line, file)
                elif line.get("type") in TYPES:
                    yield number, line
            if number == 0:
                _refuse("is empty, and no trace", file, 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot be read: {reason}", file=file) from None


def _parsed(text: bytes, file: str, number: int) -> dict[str, Any]:
    if len(text) > LONGEST_LINE:
        _refuse(f"a line of a trace has at most {LONGEST_LINE >> 20} MiB", file, number)
    try:
        line = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict):
        _refuse("is no trace: the line is no JSON object", file, number)
    return line


def _check_header(line: Mapping[str, Any], file: str) -> None:
    if line.get("type") != "header" or line.get("format") != FORMAT:
        _refuse("is no trace: the first line is no header", file, 1)
    version = line.get("version")
    if not isinstance(version, int) or version < 1:
        _refuse("the header has no version", file, 1)
    if version > VERSION:
        _refuse(f"is of version {version} of the format, and this pybpftime reads up to version {VERSION}", file, 1)


def _refuse(reason: str, file: str, line: int) -> NoReturn:
    raise InputError(reason, file=file, line=line)
