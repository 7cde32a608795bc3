"""From a session to the records of its recording."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from pybpftime.debug.answers import AnswerBook, Answers
from pybpftime.debug.recording.digest import Checksum
from pybpftime.debug.recording.file import Contents, Line, text_of
from pybpftime.debug.recording.maps import map_lines
from pybpftime.debug.session import Session
from pybpftime.debug.timeline import Change, Edit, Invocation, Timeline
from pybpftime.errors import InputError
from pybpftime.helpers import HelperTable
from pybpftime.isa.encoding import Instruction, encode_program
from pybpftime.machine import LEVELS
from pybpftime.program.elf import load_object
from pybpftime.program.elf_file import MAGIC
from pybpftime.program.spec import Extern, ObjectSpec, ProgramSpec
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime import Object
from pybpftime.runtime.load import read_file, with_type

CALL = 0x85
VALUES_IN_A_LINE = 4096


def session_lines(session: Session, checksums: list[Checksum]) -> Iterator[Line]:
    """All records of a session.  InputError when something about it cannot be recorded."""
    world, contents = session.world, Contents()
    if world.first:
        raise InputError(f"a recording begins with the first run, and {world.first} of them are not kept any more")
    book = session.object.environment
    assert isinstance(book, AnswerBook)
    head, fresh = _session_line(session, book, contents)
    yield from contents.take()
    yield head
    yield from map_lines(world, fresh)
    for invocation in world.invocations:
        line = _invocation_line(invocation, book.base, contents)
        yield from contents.take()
        yield line
    yield from _answer_lines(book.answers, contents)
    for timeline in world.timelines:
        yield from _timeline_lines(timeline, contents)
    yield {"record": "position", "timeline": world.timeline.number, "step": world.step}
    for one in checksums:
        yield {"record": "checksum", **asdict(one)}


# --- the object -------------------------------------------------------------------------------------------------------


def _session_line(session: Session, book: AnswerBook, contents: Contents) -> tuple[Line, Object]:
    """The record that says what runs, and how; and the object that a reader will make of it."""
    owner = session.object
    if LEVELS.get(owner.level.name) != owner.level:
        raise InputError(f"a level of strictness of one's own ({owner.level.name}) cannot be recorded")
    content, described, spec = _program_bytes(session)
    witness = _witness_data(session)
    fresh = _fresh_object(owner, spec, AnswerBook(None, **dict(book.base)), witness)
    if _layout(fresh) != _layout(owner):
        raise InputError("programs of the object ran before the session, which shows in addresses: load it afresh")
    line = {
        "record": "session",
        "object": described | {"content": contents.encoded(content, apart=True)["content"], "size": len(content)},
        "types": {name: PROGRAM_TYPES[program.type].name for name, program in owner.spec.programs.items()},
        "level": owner.level.name,
        "limits": asdict(owner.limits),
        "budget": session.world.budget,
        "helpers": list(_helpers(owner.spec, owner.helpers)),
        "environment": _plain_fields(book.base),
    }
    return line if witness is None else line | {"witness": witness}, fresh


def _fresh_object(owner: Object, spec: ObjectSpec, book: AnswerBook, witness: Line | None) -> Object:
    """The object that a reader will make, with what is in its maps then."""
    if witness is None:
        return Object(spec, level=owner.level, environment=book, helpers=owner.helpers, limits=owner.limits)
    from pybpftime.debug.witness import object_on  # most sessions are on no witness

    return object_on(spec, witness, level=owner.level.name, environment=book)[0]


def _witness_data(session: Session) -> Line | None:
    """The witness that the session is on, if it is on one."""
    invocations = session.world.invocations
    if all(type(one) is Invocation for one in invocations):
        return None
    from pybpftime.debug.witness import WitnessInvocation
    from pybpftime.verifier.witness_file import witness_data

    [one, *others] = invocations
    if not isinstance(one, WitnessInvocation) or one.witness is None or others:
        raise InputError("invocations with contexts of their own cannot be recorded")
    return witness_data(one.witness, one.program)


def _program_bytes(session: Session) -> tuple[bytes, dict[str, Any], ObjectSpec]:
    """The bytes that the object was made of, what they are, and what reading them gives.

    InputError when they are not known any more.
    """
    spec = session.object.spec
    name = os.path.basename(spec.file) if spec.file else "object"
    content = _known_content(session)
    if content is None:
        if len(spec.programs) != 1 or spec.maps or any(one.references for one in spec.programs.values()):
            raise InputError("the file that the object came from is not known, so it cannot be recorded")
        [program] = spec.programs.values()
        raw = ProgramSpec(program.name, program.instructions, type=program.type, license=program.license)
        described = {"kind": "raw", "name": name, "program": program.name, "license": program.license}
        return encode_program(program.instructions), described, ObjectSpec(name, {program.name: raw}, {}, license="GPL")
    read = load_object(content, name=name)
    for one, program in spec.programs.items():
        if one not in read.programs or read.programs[one].instructions != program.instructions:
            raise InputError("has changed since the object was read from it", file=spec.file)
    types = {one: spec.programs[one].type for one in read.programs if one in spec.programs}
    programs = {one: with_type(read.programs[one], types[one]) for one in types}
    typed = ObjectSpec(read.file, programs, read.maps, read.btf, read.license, read.version)
    return content, {"kind": "elf", "name": name}, typed


def _known_content(session: Session) -> bytes | None:
    """The bytes of the object file, None where there was none."""
    if session.debug is not None and session.debug.content.startswith(MAGIC):
        return session.debug.content
    file = session.object.spec.file
    if file is None or not os.path.isfile(file):
        return None
    content = read_file(file)
    return content if content.startswith(MAGIC) else None


def _layout(owner: Object) -> list[tuple[str, int]]:
    """Where the stacks of programs and the maps lie."""
    stacks = [(program.name, program.machine.stack.regions[0].base) for program in owner]
    return stacks + [(view.raw.name, view.raw.address) for view in owner.maps.values()]


def _helpers(spec: ObjectSpec, table: HelperTable) -> Iterator[Line]:
    """The helpers beside Linux's that the programs call, by number or as externs."""
    beside = table.beside_linux()
    numbers, names = set(), set()
    for program in spec.programs.values():
        numbers |= {one.imm for one in program.instructions if one is not None and _calls_helper(one)}
        names |= {one.name for one in program.references.values() if isinstance(one, Extern)}
    for number in sorted(numbers & set(beside)):
        helper = table.get(number)
        if helper is not None:
            yield {"id": number, "name": helper.declaration.name}
    for name in sorted(names):
        if table.find(name) is not None:
            yield {"name": name}


def _calls_helper(instruction: Instruction) -> bool:
    return instruction.opcode == CALL and instruction.src_reg == 0


# --- what happens -----------------------------------------------------------------------------------------------------


def _plain_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple | list) else value for name, value in fields.items()}


def _invocation_line(invocation: Invocation, base: Mapping[str, Any], contents: Contents) -> Line:
    line: dict[str, Any] = {"record": "invocation", "program": invocation.program}
    if invocation.label:
        line["label"] = invocation.label
    for name, content in (("packet", invocation.packet), ("mem", invocation.mem)):
        if content is not None:
            line[name] = contents.encoded(content)
    if isinstance(invocation.ctx, Mapping):
        line["ctx"] = {name: _plain_value(value) for name, value in invocation.ctx.items()}
    elif invocation.ctx is not None:
        line["ctx_bytes"] = contents.encoded(invocation.ctx)
    fields = {name: value for name, value in invocation.fields.items() if base.get(name) != value}
    if fields:
        line["environment"] = _plain_fields(fields)
    return line


def _plain_value(value: Any) -> Any:
    """A field of a context as JSON: contexts take bytes as hex digits too."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InputError(f"a field of the context is a {type(value).__name__}, which cannot be recorded") from None
    return value


def _answer_lines(answers: Answers, contents: Contents) -> Iterator[Line]:
    for name, values in (("times", answers.times), ("numbers", answers.numbers)):
        for start in range(0, len(values), VALUES_IN_A_LINE):
            yield {"record": name, "values": values[start : start + VALUES_IN_A_LINE].tolist()}
    for (number, address, length), content in sorted(answers.reads.items(), key=lambda item: item[0]):
        data = None if content is None else contents.encoded(content)
        yield from contents.take()
        yield {"record": "read", "number": number, "address": address, "length": length, "bytes": data}


def _timeline_lines(timeline: Timeline, contents: Contents) -> Iterator[Line]:
    line: dict[str, Any] = {"record": "timeline", "number": timeline.number, "end": timeline.end}
    if timeline.parent is not None:
        line |= {"parent": timeline.parent.number, "forked_at": timeline.forked_at}
    yield line
    for start in range(0, len(timeline.starts), VALUES_IN_A_LINE):
        starts = timeline.starts[start : start + VALUES_IN_A_LINE]
        yield {"record": "starts", "timeline": timeline.number, "steps": starts}
    for edit in timeline.edits:
        data = _edit_data(edit, contents)
        yield from contents.take()
        yield {"record": "edit", "timeline": timeline.number, "step": edit.step, **data}


def _edit_data(edit: Edit, contents: Contents) -> dict[str, Any]:
    match edit.change:
        case Change.REGISTER:
            return {"register": edit.target, "value": edit.value}
        case Change.MEMORY:
            return {"address": edit.target, "bytes": contents.encoded(bytes(edit.value))}
        case Change.ELEMENT:
            name, key = edit.target
            value = edit.value
            if isinstance(value, list | tuple):
                return {"map": name, "key": text_of(key), "values": [contents.encoded(bytes(one)) for one in value]}
            return {
                "map": name,
                "key": text_of(key),
                "bytes": None if value is None else contents.encoded(bytes(value)),
            }
