"""Where the program stands: in its source, in its instructions, in its functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pybpftime.debug.breakpoints import Breakpoint
from pybpftime.debug.frames import Frame
from pybpftime.debug.lines import LinePlace
from pybpftime.debug.places import Places
from pybpftime.debug.session import Session
from pybpftime.debug.tui.library import Library, ListingRow, short
from pybpftime.program.spec import ProgramSpec


class Mark(StrEnum):
    """What stands at a place: a breakpoint that stops, stops on a condition, puts out a text, or is off."""

    BREAK = "break"
    CONDITION = "condition"
    LOG = "log"
    OFF = "off"


class Here(StrEnum):
    """Why a line is marked: it is next, control comes back to it, the program ended there, or it will begin there."""

    NEXT = "next"
    CALLER = "caller"
    ENDED = "ended"
    WAITS = "waits"


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source file.  `code` are the lines with code, `marks` the breakpoints by line; `note` says what is odd.

    Without a source `file` and `lines` are empty and `note` says why.
    """

    file: str = ""
    lines: tuple[str, ...] = ()
    current: int | None = None
    here: Here = Here.NEXT
    code: frozenset[int] = frozenset()
    marks: Mapping[int, Mark] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class CodeView:
    """The instructions of a program; `current`, which stands in `current_row`, and the keys of `marks` are slots."""

    program: str
    rows: tuple[ListingRow, ...]
    current: int | None
    current_row: int | None
    here: Here
    marks: Mapping[int, Mark]


@dataclass(frozen=True, slots=True)
class FrameView:
    """An active function."""

    number: int
    name: str
    place: str
    is_inlined: bool
    is_selected: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look: an instruction, its line, and why."""

    spec: ProgramSpec
    slot: int
    line: LinePlace | None
    here: Here


def place_of(session: Session) -> Place | None:
    """The place of the selected frame; where the program ended, if it did.

    Before a live process comes to a probe it is where the first of its programs will begin.  None if nothing will.
    """
    world, frame = session.world, session.selected
    if frame is not None:
        ended = world.ending is not None and frame.number == 0
        here = Here.ENDED if ended else Here.NEXT if frame.number == 0 else Here.CALLER
        return Place(frame.spec, frame.slot, frame.line, here)
    if not world.has_begun and world.source is not None:
        waiting = session.object[world.source.programs[0]].spec
        return Place(waiting, 0, session.symbols_of(waiting).line_at(0), Here.WAITS)
    if not world.has_begun:
        return None
    code, slot = world.machine.locate(world.pc)
    spec: ProgramSpec = code.program.spec
    return Place(spec, slot, session.symbols_of(spec).line_at(slot), Here.ENDED)


def source_view(session: Session, library: Library, place: Place | None) -> SourceView:
    """The file that the place is in."""
    if place is None:
        return SourceView(note="Nothing runs.")
    if place.line is None:
        return SourceView(note="This code comes from no line that is known: the object has no line information.")
    file = place.line.file
    text = library.source(file)
    if text is None:
        return SourceView(note=f"{file} was not found.")
    note = ""
    if text.is_reconstructed:
        note = "not found on disk; its lines with code come from the object"
    elif text.is_changed:
        note = "the file on disk is not the one that was compiled"
    marks = _marks(session)
    return SourceView(
        file, text.lines, place.line.line, place.here, library.code_lines(file),
        {line: mark for (name, line), mark in marks.lines.items() if name == file}, note,
    )  # fmt: skip


def code_view(session: Session, library: Library, place: Place | None) -> CodeView:
    """The program that the place is in."""
    if place is None:
        return CodeView("", (), None, None, Here.NEXT, {})
    marks = {slot: mark for (spec, slot), mark in _marks(session).slots.items() if spec == id(place.spec)}
    row = library.row_of(place.spec, place.slot)
    return CodeView(place.spec.name, library.listing(place.spec), place.slot, row, place.here, marks)


def frame_views(session: Session) -> tuple[FrameView, ...]:
    """The active functions, the innermost first."""
    selected = session.selected
    return tuple(
        FrameView(
            one.number, one.name, frame_place(one), one.scope.is_inlined,
            selected is not None and one.number == selected.number,
        )
        for one in session.frames()
    )  # fmt: skip


def frame_place(frame: Frame) -> str:
    """`parser.c:120`, or program and slot where the line is not known."""
    if frame.line is None:
        return f"{frame.spec.name}+{frame.slot}"
    return f"{short(frame.line.file)}:{frame.line.line}"


@dataclass(frozen=True, slots=True)
class _Marks:
    lines: Mapping[tuple[str, int], Mark]
    slots: Mapping[tuple[int, int], Mark]


def _marks(session: Session) -> _Marks:
    """All breakpoints, by file and line and by program and slot."""
    lines: dict[tuple[str, int], Mark] = {}
    slots: dict[tuple[int, int], Mark] = {}
    for one in session.breakpoints.all.values():
        for place in one.where.places if isinstance(one.where, Places) else ():
            slots[id(place.spec), place.slot] = _mark(one)
            line = session.symbols_of(place.spec).line_at(place.slot)
            if line is not None:
                lines[line.file, line.line] = _mark(one)
    return _Marks(lines, slots)


def _mark(one: Breakpoint) -> Mark:
    if not one.enabled:
        return Mark.OFF
    if one.log:
        return Mark.LOG
    return Mark.CONDITION if one.condition or one.hit_condition else Mark.BREAK
