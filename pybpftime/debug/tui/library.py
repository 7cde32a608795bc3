"""What does not change while a program is debugged: the text of its sources, the listing of its code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pybpftime.debug.session import Session
from pybpftime.debug.sources import Sources, SourceText
from pybpftime.isa.disassembler import Names, listing
from pybpftime.program.spec import Extern, MapReference, ProgramSpec, Trap


@dataclass(frozen=True, slots=True)
class ListingRow:
    """A row of a listing: an instruction at `slot`, or a line of the source (`slot` None) whose code follows.

    `text` is the instruction, or `parser.c:120  the line`; `comment` what is to be known about the instruction.
    """

    slot: int | None
    text: str
    comment: str = ""
    label: str = ""


class Library:
    """Sources and listings of the programs of a session, made once."""

    def __init__(self, session: Session, sources: Sources | None = None) -> None:
        """`sources`: where to look for the text; beside the object, if left out."""
        self._session = session
        specs = [program.spec for program in session.object]
        self._sources = Sources(specs, session.debug) if sources is None else sources
        self._code_lines: dict[str, frozenset[int]] = {}
        self._listings: dict[int, tuple[ListingRow, ...]] = {}
        self._rows_of: dict[int, dict[int, int]] = {}

    def source(self, file: str) -> SourceText | None:
        """The text of a source file; None where there is none."""
        return self._sources.text(file)

    def code_lines(self, file: str) -> frozenset[int]:
        """The lines of a file that code of any program comes from."""
        if file not in self._code_lines:
            session = self._session
            self._code_lines[file] = frozenset(
                line
                for program in session.object
                if file in session.symbols_of(program.spec).files()
                for line in session.symbols_of(program.spec).lines_of_file(file)
            )
        return self._code_lines[file]

    def listing(self, spec: ProgramSpec) -> tuple[ListingRow, ...]:
        """The instructions of a program, with the lines of the source between them."""
        if id(spec) not in self._listings:
            self._listings[id(spec)] = tuple(self._rows(spec))
        return self._listings[id(spec)]

    def row_of(self, spec: ProgramSpec, slot: int) -> int | None:
        """Where an instruction stands in the listing of its program."""
        if id(spec) not in self._rows_of:
            rows = enumerate(self.listing(spec))
            self._rows_of[id(spec)] = {row.slot: index for index, row in rows if row.slot is not None}
        return self._rows_of[id(spec)].get(slot)

    def _rows(self, spec: ProgramSpec) -> Iterator[ListingRow]:
        symbols = self._session.symbols_of(spec)
        starts = {function.start: function.name for function in spec.functions}
        names = Names(helper=self._session.object.helpers.name_of, function=starts.get)
        before: tuple[str, int] | None = None
        for line in listing(spec.instructions, names=names):
            place = symbols.line_at(line.pc)
            if place is not None and (place.file, place.line) != before:
                before = place.file, place.line
                yield ListingRow(None, f"{short(place.file)}:{place.line}  {self._line(*before)}".rstrip())
            comment = _reference(spec, line.pc) or line.comment or ""
            yield ListingRow(line.pc, line.text, comment, line.label or starts.get(line.pc, ""))

    def _line(self, file: str, number: int) -> str:
        source = self.source(file)
        text = None if source is None else source.line(number)
        return "" if text is None else text.strip()


def short(file: str) -> str:
    """The name of a file without its directories."""
    return file.rpartition("/")[2]


def _reference(spec: ProgramSpec, slot: int) -> str:
    """What the immediate of an instruction stands for."""
    match spec.references.get(slot):
        case MapReference(name, None):
            return f"map {name}"
        case MapReference(name, offset):
            return f"{name}+{offset}" if offset else name
        case Extern(name, kind):
            return f"{kind} {name}"
        case Trap(reason):
            return f"cannot be served: {' '.join(reason.split())}"
    return ""
