"""Reader of verifier test data: programs as Linux's selftests have them, with what a running kernel said of each.

Two shapes of entry, both JSON objects in a list (gzip or plain): raw vectors, whose maps are named by a kind of
fixture (`fixups`), and compiled programs, which list their maps.  An entry becomes a Vector; missing keys mean what
is usual, and an entry that cannot be understood is an InputError that names it.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pybpftime.conformance.verifier_fixtures import fixture
from pybpftime.errors import InputError
from pybpftime.isa import Immediate, Instruction, Program, decode_program
from pybpftime.isa.encoding import MASK32
from pybpftime.maps.spec import MapSpec
from pybpftime.program.sections import FRAGS, SLEEPABLE, section_meaning
from pybpftime.program.spec import Extern, MapReference, ProgramSpec, Reference
from pybpftime.uapi import AttachType, MapType, ProgramFlag, ProgramType

LARGEST_FILE = 1 << 30
"""Bytes of JSON that are read, and of instructions that are unpacked: an archive may claim anything."""

_GZIP = b"\x1f\x8b"
_STRICT_IN_RAW = 2  # F_LOAD_WITH_STRICT_ALIGNMENT of test_verifier.c
_FLAGS_OF_RAW = 3  # what lies above these bits is prog_flags as they are
_CALL_BTF, _CALL_OPCODE = 2, 0x85


@dataclass(frozen=True, slots=True)
class KernelAnswer:
    """What a kernel said of a program.  `excluded` is why it could not judge it there, None if it could.

    `message` is the reason of a rejection, None if unknown; `processed` counts instructions, `microseconds` is how
    long its verifier took, None where it was not recorded.
    """

    accepts: bool
    message: str | None = None
    processed: int | None = None
    microseconds: int | None = None
    excluded: str | None = None


@dataclass(frozen=True, slots=True)
class Vector:
    """One program to judge.

    `program` is None for instructions that are no program even in form; `malformed` says why.  `kernel` is None
    without an answer.  `kfuncs`: it calls functions of the kernel.  `unknown` are sentences about what the data does
    not tell and the program may depend on.
    """

    name: str
    program: ProgramSpec | None
    maps: Mapping[str, MapSpec] = field(default_factory=dict)
    kernel: KernelAnswer | None = None
    malformed: str | None = None
    strict_alignment: bool = False
    kfuncs: bool = False
    unknown: tuple[str, ...] = ()


def read_vectors(path: Path) -> tuple[Vector, ...]:
    """The entries of a file, in its order, with names that differ.  InputError for a file of another form."""
    try:
        text = path.read_bytes()
        if text.startswith(_GZIP):
            with gzip.GzipFile(fileobj=io.BytesIO(text)) as file:
                text = file.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            raise InputError(f"it has more than {LARGEST_FILE} bytes", file=str(path))
        entries = json.loads(text)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise InputError(f"it cannot be read as JSON: {error}", file=str(path)) from error
    if not isinstance(entries, list):
        raise InputError("it holds no list of entries", file=str(path))
    return tuple(_with_different_names(read_vector(entry) for entry in entries))


def _with_different_names(vectors: Iterator[Vector]) -> Iterator[Vector]:
    seen: dict[str, int] = {}
    for vector in vectors:
        count = seen[vector.name] = seen.get(vector.name, 0) + 1
        yield vector if count == 1 else replace(vector, name=f"{vector.name} #{count}")


def read_vector(entry: object) -> Vector:
    """One entry; InputError with its name for what is not of the form."""
    if not isinstance(entry, dict):
        raise InputError("an entry is no JSON object")
    name = ": ".join(str(entry[key]) for key in ("file", "name", "function") if entry.get(key)) or "without a name"
    try:
        return _read(name, entry)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"entry {name!r} is not of the form: {type(error).__name__} {error}") from error
    except InputError as error:
        raise InputError(f"entry {name!r}: {error}") from error


def _read(name: str, entry: Mapping[str, Any]) -> Vector:
    kernel = _kernel_answer(entry.get("linux_6_18"))
    try:
        instructions = decode_program(_code(entry))
    except InputError as error:
        return Vector(name, None, kernel=kernel, malformed=str(error))
    raw = "maps" not in entry and "function" not in entry
    maps, references = _fixtures(entry, instructions) if raw else _maps(entry, instructions)
    references |= _externs(entry, instructions)
    flags = int(entry.get("flags") or 0)
    strict = bool(flags & (_STRICT_IN_RAW if raw else ProgramFlag.BPF_F_STRICT_ALIGNMENT))
    section = str(entry.get("section") or "")
    number = int(entry.get("prog_type") or 0) or ProgramType.BPF_PROG_TYPE_SOCKET_FILTER
    program = ProgramSpec(
        name=str(entry.get("function") or entry.get("name") or "program"),
        instructions=_linked(instructions, references),
        type=_member(ProgramType, number, "program type"),
        section=section,
        attach_type=_attach_type(entry),
        attach_to=entry.get("attach_func") or (section_meaning(section).attach_to if section else None),
        flags=_words(flags & ~_FLAGS_OF_RAW if raw else flags, section),
        references=references,
    )
    kfuncs = any(isinstance(reference, Extern) and reference.kind == "kfunc" for reference in references.values())
    return Vector(name, program, maps, kernel, None, strict, kfuncs, tuple(_unknown(entry, maps)))


def _kernel_answer(answer: Mapping[str, Any] | None) -> KernelAnswer | None:
    if not answer or answer.get("verdict") not in ("accept", "reject"):
        return None
    return KernelAnswer(
        accepts=answer["verdict"] == "accept",
        message=answer.get("msg"),
        processed=answer.get("insns_processed"),
        microseconds=answer.get("verif_us"),
        excluded=answer.get("excluded") or None,
    )


def _code(entry: Mapping[str, Any]) -> bytes:
    packed = entry.get("insns_zlib_b64")
    if packed is None:
        return bytes.fromhex(entry["insns"])
    try:
        stream = zlib.decompressobj()
        code = stream.decompress(base64.b64decode(packed), LARGEST_FILE)
    except (zlib.error, binascii.Error) as error:
        raise ValueError(f"insns_zlib_b64: {error}") from error
    if not stream.eof:
        raise ValueError("insns_zlib_b64 is cut off or too large")
    return code


def _fixtures(entry: Mapping[str, Any], instructions: Program) -> tuple[dict[str, MapSpec], dict[int, Reference]]:
    """Maps of a raw vector: each kind of fixture that it names is one map."""
    maps: dict[str, MapSpec] = {}
    references: dict[int, Reference] = {}
    for fixup in entry.get("fixups") or ():
        slot, kind = int(fixup["insn"]), str(fixup["kind"])
        maps[kind] = fixture(kind)
        references[slot] = _reference(_instruction(instructions, slot), kind)
    return maps, references


def _maps(entry: Mapping[str, Any], instructions: Program) -> tuple[dict[str, MapSpec], dict[int, Reference]]:
    """Maps of a compiled program; the imm of the instructions in `map_insns` is an index into them."""
    names: list[str] = []
    maps: dict[str, MapSpec] = {}
    for each in entry.get("maps") or ():
        name = str(each["name"])
        name = name if name not in maps else f"{name}#{len(names)}"  # the kernel's 15 letters need not differ
        names.append(name)
        maps[name] = MapSpec(
            name,
            _member(MapType, int(each["type"]), "map type"),
            int(each.get("key_size") or 0),
            int(each.get("value_size") or 0),
            int(each.get("max_entries") or 0),
            int(each.get("flags") or 0),
            extra=int(each.get("map_extra") or 0),
        )
    references: dict[int, Reference] = {}
    for slot in entry.get("map_insns") or ():
        instruction = _instruction(instructions, int(slot))
        if not 0 <= instruction.imm < len(names):
            raise ValueError(f"instruction {slot} refers to map {instruction.imm} of {len(names)}")
        references[int(slot)] = _reference(instruction, names[instruction.imm])
    return maps, references


def _instruction(instructions: Program, slot: int) -> Instruction:
    instruction = instructions[slot] if 0 <= slot < len(instructions) else None
    if instruction is None:
        raise ValueError(f"there is no instruction {slot}")
    return instruction


def _reference(instruction: Instruction, name: str) -> MapReference:
    is_value = instruction.src_reg in (Immediate.MAP_VALUE_BY_FD.value, Immediate.MAP_VALUE_BY_INDEX.value)
    return MapReference(name, (instruction.next_imm or 0) & MASK32 if is_value else None)


def _externs(entry: Mapping[str, Any], instructions: Program) -> dict[int, Reference]:
    found: dict[int, Reference] = {}
    for key, kind in (("kfunc_calls", "kfunc"), ("kfuncs", "kfunc"), ("ksyms", "ksym")):
        for each in entry.get(key) or ():
            slot = int(each["insn"])
            _instruction(instructions, slot)
            found[slot] = Extern(str(each.get("name") or each["kfunc"]), kind)
    return found


def _linked(instructions: Program, references: Mapping[int, Reference]) -> Program:
    """The instructions as the loader of object files leaves them: what a reference stands for is not in the imm."""
    linked = list(instructions)
    for slot, reference in references.items():
        instruction = _instruction(instructions, slot)
        if isinstance(reference, MapReference):
            linked[slot] = replace(instruction, imm=0)
        elif instruction.opcode == _CALL_OPCODE:
            linked[slot] = replace(instruction, src_reg=_CALL_BTF, imm=0)
        else:
            linked[slot] = replace(instruction, imm=0, next_imm=None if instruction.next_imm is None else 0)
    return tuple(linked)


_Number = TypeVar("_Number", ProgramType, AttachType, MapType)


def _member(kind: type[_Number], number: int, what: str) -> _Number:
    try:
        return kind(number)
    except ValueError:
        raise InputError(f"{what} {number} is unknown") from None


def _attach_type(entry: Mapping[str, Any]) -> AttachType | None:
    """None for 0, which is BPF_CGROUP_INET_INGRESS and what a program has that expects no attach type."""
    number = int(entry.get("expected_attach_type") or 0)
    return _member(AttachType, number, "attach type") if number else None


def _words(flags: int, section: str) -> frozenset[str]:
    """The words of ProgramSpec.flags for prog_flags, and for what libbpf adds for a section."""
    words = set(section_meaning(section).flags) & {SLEEPABLE, FRAGS}
    if flags & ProgramFlag.BPF_F_SLEEPABLE:
        words.add(SLEEPABLE)
    if flags & ProgramFlag.BPF_F_XDP_HAS_FRAGS:
        words.add(FRAGS)
    return frozenset(words)


def _unknown(entry: Mapping[str, Any], maps: Mapping[str, MapSpec]) -> Iterator[str]:
    for name, each in zip(maps, entry.get("maps") or (), strict=False):
        if each.get("internal"):
            yield f"the contents of {name}"
        elif maps[name].value_size:
            yield f"locks, timers and kernel pointers in values of {name}"
    if "function" in entry:
        yield "which functions are global, and the types of their arguments"
