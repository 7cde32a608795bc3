"""Assertions on verdicts, packets and maps.  Each fails with an AssertionError that says what is different."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from pybpftime.errors import BpfError
from pybpftime.program.btf import EnumValue
from pybpftime.program.packet_summary import summarise
from pybpftime.runtime import MapView, Result
from pybpftime.uapi import MapType

BYTES_PER_LINE = 16
MOST_LINES = 24
MISSING = object()
ARRAYS = (MapType.BPF_MAP_TYPE_ARRAY, MapType.BPF_MAP_TYPE_PERCPU_ARRAY)
"""Types in which every key is always there."""


def assert_verdict(result: Result, expected: str | int | Enum) -> None:
    """The program's verdict is `expected`: its name (`XDP_PASS`), its value, or a member of an enumeration."""
    __tracebackhide__ = True
    verdict = result.verdict
    name, value = verdict.name, verdict.value
    wanted = expected.name if isinstance(expected, Enum) else expected
    if wanted in (name, value) and not isinstance(wanted, bool):
        return
    found = f"{value}" if name is None else f"{name} ({value})"
    lines = [f"the verdict is {found}, expected {wanted}"]
    if result.packet is not None:
        lines.append(f"  packet: {len(result.packet)} bytes, {summarise(result.packet)}")
    if result.redirect is not None:
        lines.append(f"  redirect: to {result.redirect[0]} {result.redirect[1]}")
    lines += [f"  printk: {line}" for line in result.printk]
    raise AssertionError("\n".join(lines))


def assert_packet(actual: Result | bytes | None, expected: bytes) -> None:
    """The packet, of a result or as bytes, is `expected`.  The message shows the lines of a hex dump that differ."""
    __tracebackhide__ = True
    found = actual.packet if isinstance(actual, Result) else actual
    if found is None:
        raise AssertionError("there is no packet: the program type takes none")
    if found == bytes(expected):
        return
    differing = [index for index, (one, other) in enumerate(zip(found, expected, strict=False)) if one != other]
    lengths = f"it has {len(found)} bytes, expected {len(expected)}; " if len(found) != len(expected) else ""
    first = differing[0] if differing else min(len(found), len(expected))
    lines = [f"the packet is different: {lengths}the first difference is at byte {first}"]
    lines += [f"  is        {summarise(found)}", f"  expected  {summarise(expected)}"]
    dump = []
    for start in range(0, max(len(found), len(expected)), BYTES_PER_LINE):
        one, other = found[start : start + BYTES_PER_LINE], expected[start : start + BYTES_PER_LINE]
        if one != other:
            marks = "".join("   " if one[i : i + 1] == other[i : i + 1] else "^^ " for i in range(BYTES_PER_LINE))
            dump += [f"  {start:04x}  is        {one.hex(' ')}", f"        expected  {other.hex(' ')}"]
            dump.append(f"{' ' * 18}{marks.rstrip()}".rstrip())
    lines += dump[:MOST_LINES]
    if len(dump) > MOST_LINES:
        lines.append("  ... and more")
    raise AssertionError("\n".join(lines))


def assert_map(map: MapView, expected: Mapping[Any, Any] | Iterable[tuple[Any, Any]], *, exact: bool = False) -> None:
    """The map holds what `expected` says: keys and values, or pairs of them for keys that are structures.

    Keys and values are written as the map itself takes them: numbers, names of enumerators, dicts, lists, bytes.  Of
    a structure only the fields that are given count; a function is called with the value and decides.  Of a per-cpu
    map a list has the value of each cpu, and a single number is their sum.  With `exact` there must be nothing else:
    no other key, in an array no other element but zeros.
    """
    __tracebackhide__ = True
    pairs = list(expected.items() if isinstance(expected, Mapping) else expected)
    problems = [problem for key, value in pairs if (problem := _entry_problem(map, key, value))]
    if exact:
        known = {map.encode_key(key) for key, _ in pairs}
        for key, value in map.items():
            if map.encode_key(key) not in known and (map.type not in ARRAYS or _any(value)):
                problems.append(f"[{_shown(key)}]: {_shown(value)}, expected nothing")
    if problems:
        lines = [f"map {map.name} ({len(map)} entries) is different:"]
        lines += [f"  {problem}" for problem in problems[:MOST_LINES]]
        if len(problems) > MOST_LINES:
            lines.append(f"  ... and {len(problems) - MOST_LINES} more")
        raise AssertionError("\n".join(lines))


def _entry_problem(map: MapView, key: Any, expected: Any) -> str | None:
    try:
        actual = map.get(key, MISSING)
    except BpfError as error:
        return f"[{_shown(key)}]: {error}"
    if actual is MISSING:
        return f"[{_shown(key)}]: missing, expected {_shown(expected)}"
    if isinstance(actual, list) and map.raw.kind.per_cpu and not isinstance(expected, list | tuple):
        actual = actual[0] if len(actual) == 1 else _total(actual)
    differences = list(_differences(actual, expected, f"[{_shown(key)}]"))
    return "; ".join(differences) if differences else None


def _total(values: list[Any]) -> Any:
    """The sum over all cpus, field by field; of what cannot be added, the list."""
    if all(isinstance(value, int) for value in values):
        return sum(values)
    if all(isinstance(value, Mapping) for value in values):
        return {name: _total([value[name] for value in values]) for name in values[0]}
    return values


def _differences(actual: Any, expected: Any, where: str) -> Iterable[str]:
    """What differs, one text for each value that does."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for name, value in expected.items():
            if name in actual:
                yield from _differences(actual[name], value, f"{where}.{name}")
            else:
                yield f"{where}: no field {name}, there is {', '.join(map(str, actual))}"
    elif not _equal(actual, expected):
        wanted = getattr(expected, "__name__", "a function") if _is_test(expected) else _shown(expected)
        yield f"{where}: {_shown(actual)}, expected {wanted}"


def _equal(actual: Any, expected: Any) -> bool:
    if _is_test(expected):
        return bool(expected(actual))
    if isinstance(actual, EnumValue) and isinstance(expected, str):
        return actual.name == expected
    if isinstance(expected, bytes | bytearray) and isinstance(actual, list):
        return all(isinstance(item, int) for item in actual) and bytes(item & 0xFF for item in actual) == expected
    if isinstance(expected, Sequence) and isinstance(actual, list) and not isinstance(expected, str | bytes):
        return len(actual) == len(expected) and all(map(_equal, actual, expected))
    return bool(actual == expected)


def _is_test(expected: Any) -> bool:
    return callable(expected) and not isinstance(expected, Enum)


def _any(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_any, value.values()))
    return any(map(_any, value)) if isinstance(value, bytes | list | tuple) else bool(value)


def _shown(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return value.hex(" ")
    if isinstance(value, EnumValue):
        return str(value)
    return repr(value)
