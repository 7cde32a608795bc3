"""Rows of source, of instructions and of the stack.  They are made when they are looked at: files are long."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import overload

from pybpftime.debug.tui.rows import Kind, Role, Row, Rows, Target, note, row
from pybpftime.debug.tui.view_code import CodeView, FrameView, Here, Mark, SourceView

MARKS = {Mark.BREAK: "●", Mark.CONDITION: "◆", Mark.LOG: "◇", Mark.OFF: "○"}
ARROWS = {
    Here.NEXT: ("▶", Role.HERE), Here.CALLER: ("▷", Role.CALLER), Here.ENDED: ("■", Role.HERE),
    Here.WAITS: ("▷", Role.HERE),
}  # fmt: skip
HAS_CODE = "·"


class _Lazy(Sequence[Row]):
    """Rows that are made one by one."""

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return [self.make(one) for one in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.make(index % len(self))

    @abstractmethod
    def make(self, index: int) -> Row:
        """Row `index`, counted from 0."""


class SourceRows(_Lazy):
    """The lines of a file: `●▶ 149·code`, row 0 being line 1."""

    def __init__(self, source: SourceView) -> None:
        self._source = source
        self._width = len(str(len(source.lines)))

    def __len__(self) -> int:
        return len(self._source.lines)

    def make(self, index: int) -> Row:
        source, line = self._source, index + 1
        has_code = line in source.code
        here = source.here if line == source.current else None
        return row(
            *_gutter(source.marks.get(line), here),
            (f"{line:>{self._width}}", Role.NUMBER if has_code else Role.DIM),
            (HAS_CODE if has_code else " ", Role.NUMBER),
            source.lines[index],
            target=Target(Kind.LINE, line),
            background=Role.PLAIN if here is None else ARROWS[here][1],
        )


class CodeRows(_Lazy):
    """The listing of a program: `●▶ 222  r1 = *(u64 *)(r10 - 0x8)  ; comment`."""

    def __init__(self, code: CodeView) -> None:
        self._code = code
        self._width = len(str(len(code.rows)))

    def __len__(self) -> int:
        return len(self._code.rows)

    def make(self, index: int) -> Row:
        code, one = self._code, self._code.rows[index]
        if one.slot is None:
            return row((f"   {one.text}", Role.SOURCE))
        here = code.here if one.slot == code.current else None
        return row(
            *_gutter(code.marks.get(one.slot), here),
            (f"{one.slot:>{self._width}}  ", Role.NUMBER),
            (f"{one.label}: " if one.label else "", Role.NAME),
            one.text,
            (f"  ; {one.comment}" if one.comment else "", Role.DIM),
            target=Target(Kind.SLOT, one.slot),
            background=Role.PLAIN if here is None else ARROWS[here][1],
        )


def source_rows(source: SourceView) -> Rows:
    """The file, or why there is none."""
    return SourceRows(source) if source.lines else [note(source.note)]


def frame_rows(frames: Sequence[FrameView]) -> Rows:
    """The active functions, the innermost first."""
    if not frames:
        return [note("No function runs.")]
    return [
        row(
            ("▶" if one.is_selected else " ", Role.HERE),
            (f"{one.number} ", Role.NUMBER),
            (one.name, Role.NAME),
            (" (inlined)" if one.is_inlined else "", Role.DIM),
            f" at {one.place}",
            target=Target(Kind.FRAME, one.number),
            background=Role.HERE if one.is_selected else Role.PLAIN,
        )
        for one in frames
    ]


def _gutter(mark: Mark | None, here: Here | None) -> tuple[tuple[str, Role], tuple[str, Role]]:
    arrow = (" ", Role.PLAIN) if here is None else ARROWS[here]
    return (" " if mark is None else MARKS[mark], Role.BREAKPOINT), (arrow[0] + " ", arrow[1])
