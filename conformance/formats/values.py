"""The values of a `.case` file, each read and written: numbers, bytes, expectations, maps.

Readers raise InputError without a place, which the caller knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pybpftime.conformance.case import Expectation, Signature, Verdict
from pybpftime.errors import FaultKind, InputError
from pybpftime.isa.encoding import MASK64, MAX_REGISTER
from pybpftime.maps import MapSpec
from pybpftime.uapi import MapType

REGISTERS = {f"r{number}": number for number in range(MAX_REGISTER + 1)}
BLOCKS = ("mem", "stack")
BECAUSE = " because "

_NUMBER = re.compile(r"(-?)(?:0[xX]([0-9a-fA-F]+)|([0-9]+))", re.ASCII)
_LONGEST = 40


# --- numbers and bytes ---


def read_number(text: str) -> int:
    """A decimal or `0x` number of at most 64 bits as an unsigned one; negative ones in two's complement."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InputError(f"{shown(text)} is no number: decimal or 0x hexadecimal")
    sign, digits, decimal = match.groups()
    value = 1 << 64 if len(text) > _LONGEST else int(digits, 16) if digits else int(decimal)
    if value > (1 << 63 if sign else MASK64):
        raise InputError(f"{shown(text)} does not fit 64 bits")
    return (-value if sign else value) & MASK64


def read_count(text: str, what: str, highest: int) -> int:
    """A number from 0 to `highest`."""
    value = read_number(text)
    if text.startswith("-") or value > highest:
        raise InputError(f"{what} is {shown(text)}, from 0 to {highest} are possible")
    return value


def read_bytes(text: str) -> bytes:
    """Hexadecimal digits in pairs, with or without space between the pairs."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InputError(f"{shown(text)} is no hex: bytes are two digits each") from None


def hex_lines(content: bytes, width: int = 16) -> list[str]:
    """Lines of `width` bytes that `read_bytes` reads."""
    return [content[start : start + width].hex(" ") for start in range(0, len(content), width)]


def shown(text: str) -> str:
    """Quoted, and not too long for a message."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


# --- expectations ---


def read_expectation(text: str) -> Expectation:
    """One alternative: `return r0=0x2a`, `trap memory`, `invalid because RFC 9669 3`."""
    said, because, why = text.strip().partition(BECAUSE)
    why = why.strip()
    if because and not why:
        raise InputError("a reason is missing behind `because`")
    words = said.split()
    try:
        verdict = Verdict(words[0])
    except (IndexError, ValueError):
        raise InputError(f"{shown(said)} is no expectation: it begins with {_choice(Verdict)}") from None
    if verdict is Verdict.RETURN:
        return Expectation(verdict, read_signature(_parts(words[1:])), why=why)
    if verdict is Verdict.TRAP and len(words) == 2:
        return Expectation(verdict, trap=_fault(words[1]), why=why)
    if len(words) > 1:
        raise InputError(f"nothing but a reason can follow `{' '.join(words[:-1])}`, found {shown(words[-1])}")
    return Expectation(verdict, why=why)


def write_expectation(expectation: Expectation) -> str:
    """What `read_expectation` reads."""
    words = [str(expectation.verdict)]
    if expectation.verdict is Verdict.RETURN:
        words += _written_signature(expectation.signature)
    elif expectation.trap is not None:
        words.append(str(expectation.trap))
    return " ".join(words) + (BECAUSE + expectation.why if expectation.why else "")


def read_signature(parts: Iterator[tuple[str, str]]) -> Signature:
    """The signature of names (r0 to r10, mem, stack) and values."""
    registers: dict[int, int] = {}
    blocks: dict[str, bytes] = {}
    for name, value in parts:
        if name in REGISTERS and REGISTERS[name] not in registers:
            registers[REGISTERS[name]] = read_number(value)
        elif name in BLOCKS and name not in blocks:
            blocks[name] = read_bytes(value)
        elif name in REGISTERS or name in BLOCKS:
            raise InputError(f"{name} is given twice")
        else:
            raise InputError(f"{shown(name)} is no part of a signature: {', '.join((*REGISTERS, *BLOCKS))}")
    return Signature(registers, blocks.get("mem"), blocks.get("stack"))


def _parts(words: list[str]) -> Iterator[tuple[str, str]]:
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if equals:
            yield name, value
        elif position == 0:
            yield "r0", word
        else:
            raise InputError(f"expected NAME=VALUE, found {shown(word)}")


def _written_signature(signature: Signature) -> Iterator[str]:
    registers = sorted(signature.registers.items())
    if [number for number, _ in registers] == [0] and signature.memory is None and signature.stack is None:
        yield f"{registers[0][1]:#x}"
        return
    for number, value in registers:
        yield f"r{number}={value:#x}"
    for name, block in zip(BLOCKS, (signature.memory, signature.stack), strict=True):
        if block is not None:
            yield f"{name}={block.hex()}"


def _fault(word: str) -> FaultKind:
    try:
        return FaultKind(word)
    except ValueError:
        raise InputError(f"{shown(word)} is no class of trap: {', '.join(FaultKind)}") from None


def _choice(words: type[Verdict]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}"


# --- maps ---

_PREFIX = "BPF_MAP_TYPE_"
_TYPES: Mapping[str, MapType] = {kind.name.removeprefix(_PREFIX).lower(): kind for kind in MapType}
_NUMBERS = ("key", "value", "entries", "flags")
_MAP_NAME = re.compile(r"[\w.]+", re.ASCII)


def read_map(text: str) -> MapSpec:
    """`NAME TYPE key=N value=N entries=N [flags=N]`: sizes in bytes, the type as in `hash` for BPF_MAP_TYPE_HASH."""
    words = text.split()
    if len(words) < 2:
        raise InputError(f"expected `NAME TYPE key=N value=N entries=N`, found {shown(text.strip())}")
    name, kind = words[:2]
    if not _MAP_NAME.fullmatch(name):
        raise InputError(f"{shown(name)} is no name of a map")
    if kind not in _TYPES:
        raise InputError(f"there is no type of map {shown(kind)}")
    given: dict[str, int] = {}
    for word in words[2:]:
        number, _, value = word.partition("=")
        if number not in _NUMBERS or number in given:
            raise InputError(f"expected each of {', '.join(_NUMBERS)} once, found {shown(word)}")
        given[number] = read_count(value, number, (1 << 32) - 1)
    missing = [number for number in _NUMBERS[:3] if number not in given]
    if missing:
        raise InputError(f"map {name} has no {' and no '.join(missing)}")
    return MapSpec(name, _TYPES[kind], given["key"], given["value"], given["entries"], given.get("flags", 0))


def write_map(spec: MapSpec) -> str:
    """What `read_map` reads; InputError for what it has no word for."""
    kind = spec.type.name.removeprefix(_PREFIX).lower()
    text = f"{spec.name} {kind} key={spec.key_size} value={spec.value_size} entries={spec.max_entries}"
    text += f" flags={spec.flags:#x}" if spec.flags else ""
    if read_map(text) != spec:
        raise InputError(f"map {spec.name} has more to it than name, type, sizes and flags")
    return text
