"""An input that breaks a program, as a person can read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pybpftime.cli.output import count_of
from pybpftime.cli.verify_workers import Task
from pybpftime.isa.encoding import sign_extend
from pybpftime.program.packet_summary import summarise
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.uapi import ProgramType
from pybpftime.verifier import Witness
from pybpftime.verifier.wording import instruction_text

ROW = 16
MOST_ROWS = 16
MOST_ENTRIES = 16
ETHERNET = 14
WITH_ETHERNET = (
    ProgramType.BPF_PROG_TYPE_XDP,
    ProgramType.BPF_PROG_TYPE_SCHED_CLS,
    ProgramType.BPF_PROG_TYPE_SCHED_ACT,
)
"""Types whose packets begin with that header."""


def witness_lines(witness: Witness, task: Task) -> Iterator[str]:
    """Its parts: the packet, the context's fields, what helpers return, what maps hold."""
    if witness.packet is not None:
        is_frame = witness.program_type in WITH_ETHERNET and len(witness.packet) >= ETHERNET
        told = is_frame and any(witness.packet)
        yield from _memory("packet", witness.packet, f": {summarise(witness.packet)}" if told else "")
    if witness.metadata:
        yield from _memory("metadata", witness.metadata)
    yield from _fields(witness, task)
    program = task.spec.programs[task.program]
    for slot, value in witness.results[:MOST_ENTRIES]:
        signed = sign_extend(value, 64)
        yield f"{_call(instruction_text(program, slot))} at instruction {slot} returns {_number(signed)}"
    for slot, content in witness.written[:MOST_ENTRIES]:
        yield f"{_call(instruction_text(program, slot))} at instruction {slot} finds {content.hex(' ') or 'nothing'}"
    yield from _maps(witness.maps)
    if witness.packet is None and not (witness.context or witness.results or witness.written or witness.maps):
        yield "any: it goes wrong in every run"


def _memory(name: str, content: bytes, summary: str = "") -> Iterator[str]:
    size = count_of(len(content), "byte")
    if not any(content):
        yield f"{name} of {size}, all of them 0" if content else f"empty {name}"
        return
    yield f"{name} of {size}{summary}"
    yield from (f"  {row}" for row in hex_rows(content))


def hex_rows(content: bytes) -> Iterator[str]:
    """`0000  ff ff ...`; rows of zeros at the end are counted, and so is what is too long to show."""
    shown = content[: ROW * MOST_ROWS]
    end = max(len(shown.rstrip(b"\0")), 1)
    rows = range(0, end, ROW)
    for start in rows:
        yield f"{start:04x}  {shown[start : start + ROW].hex(' ')}"
    rest = len(content) - min(rows.stop + -rows.stop % ROW, len(content)) if content else 0
    if rest:
        what = "more" if content[-rest:].strip(b"\0") else "of zeros"
        yield f"... {count_of(rest, 'byte')} {what}"


def _fields(witness: Witness, task: Task) -> Iterator[str]:
    """The bytes of the context, field by field: adjacent bytes of one field are one number."""
    program = task.spec.programs[task.program]
    layout = PROGRAM_TYPES[program.type].layout_for(program.attach_type)
    if layout is None:
        return
    loose = {offset + index: byte for offset, data in witness.context.items() for index, byte in enumerate(data)}
    while loose:
        first = min(loose)
        field = layout.field_at(first)
        end = first + 1
        while end in loose and layout.field_at(end) is field and end - first < 8:
            end += 1
        value = int.from_bytes(bytes(loose.pop(at) for at in range(first, end)), "little")
        yield f"{layout.place(first)} = {_number(value)}"


def _maps(maps: Mapping[str, tuple[tuple[bytes, bytes], ...]]) -> Iterator[str]:
    for name, elements in maps.items():
        for key, value in elements[:MOST_ENTRIES]:
            yield f"map {name}: {key.hex(' ')} -> {value.hex(' ')}"
        if len(elements) > MOST_ENTRIES:
            yield f"map {name}: ... {count_of(len(elements) - MOST_ENTRIES, 'element')} more"


def _call(text: str) -> str:
    return text.removeprefix("call ").partition("#")[0]


def _number(value: int) -> str:
    return str(value) if abs(value) < 10 else f"{value} ({value:#x})"
