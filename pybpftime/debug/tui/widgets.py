"""The widgets: panes of rows, lines of text, the bar of the time line.  They show what they are given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from pybpftime.debug.tui import palette
from pybpftime.debug.tui.arrangement import Pane
from pybpftime.debug.tui.rows import Role, Row, Rows, Target, clean
from pybpftime.debug.tui.timebar import bar, step_at, title
from pybpftime.debug.tui.view_time import TimeView

EDGE = "│"
MARGIN = 2
"""Rows that are to be seen above and below the line where the program stands."""
SCROLLED = 3
"""Rows that the mouse wheel moves by."""


def strip(pieces: Sequence[tuple[str, Role]], width: int, base: Style, left: int = 0) -> Strip:
    """A line of the screen, of `width` cells from cell `left` of the pieces on."""
    segments = [Segment(clean(text), base + palette.STYLES[role]) for text, role in pieces]
    return Strip(segments).crop(left, left + width).adjust_cell_length(width, base)


class PaneView(Widget, can_focus=True):
    """A pane: a line with the titles of the panes that share the place, and rows with a cursor under it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move_cursor(-1)", show=False),
        Binding("down", "move_cursor(1)", show=False),
        Binding("pageup", "move_page(-1)", show=False),
        Binding("pagedown", "move_page(1)", show=False),
        Binding("home", "move_cursor(-1000000000)", show=False),
        Binding("end", "move_cursor(1000000000)", show=False),
        Binding("left", "move_sideways(-8)", show=False),
        Binding("right", "move_sideways(8)", show=False),
        Binding("enter", "choose", show=False),
    ]

    class Chosen(Message):
        """A row was chosen by a click or by Enter."""

        def __init__(self, pane: Pane, target: Target) -> None:
            super().__init__()
            self.pane = pane
            self.target = target

    class Shown(Message):
        """The pane has come to the front."""

        def __init__(self, pane: Pane) -> None:
            super().__init__()
            self.pane = pane

    class TabChosen(Message):
        """The title of a pane that shares the place was clicked."""

        def __init__(self, pane: Pane) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self, pane: Pane) -> None:
        super().__init__(id=pane.name.lower())
        self.display = False  # until it has its place
        self.pane = pane
        self.tabs: tuple[Pane, ...] = (pane,)
        self.rows: Rows = ()
        self.cursor = 0
        self.top = 0
        self.left = 0
        self.has_edge = False
        """Whether a line is drawn at its right."""
        self._base = Style()
        self._drawn: list[object] = []

    @property
    def page(self) -> int:
        """How many rows are to be seen."""
        return max(self.size.height - 1, 1)

    def show(self, rows: Rows, cursor: int | None = None) -> None:
        """Show rows; with the cursor at another one, and in sight, if that is given."""
        self.rows = rows
        if cursor is not None:
            self.cursor = cursor
            margin = min(MARGIN, (self.page - 1) // 2)
            if not self.top + margin <= cursor < self.top + self.page - margin:
                self.top = cursor - self.page // 2
        self._keep_inside()
        self._redraw()

    def target(self) -> Target | None:
        """What the row under the cursor stands for."""
        return self.rows[self.cursor].target if self.rows else None

    def _keep_inside(self) -> None:
        self.cursor = max(min(self.cursor, len(self.rows) - 1), 0)
        self.top = max(min(self.top, len(self.rows) - self.page), 0)

    # -- drawing -------------------------------------------------------------------------------------------------------

    def _redraw(self) -> None:
        """Have the lines drawn again that are not what they were: a screen has many, and a step changes few."""
        rows, has_focus = self.rows, self.has_focus
        lines: list[object] = [(self.tabs, self.top, len(rows), has_focus, self.has_edge)]
        shown = range(self.top, min(self.top + self.page, len(rows)))
        lines += ((rows[index], self.left, has_focus and index == self.cursor) for index in shown)
        before, self._drawn = self._drawn, lines
        for y, (old, new) in enumerate(zip_longest(before, lines)):
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))

    def render_lines(self, crop: Region) -> list[Strip]:
        self._base = self.rich_style  # takes long, and is the same for all lines
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        base = self._base
        if not self.has_edge or self.size.width < 2:
            return self._line(y, self.size.width, base)
        edge = Strip([Segment(EDGE, base + palette.STYLES[Role.DIM])])
        return Strip.join([self._line(y, self.size.width - 1, base), edge])

    def _line(self, y: int, width: int, base: Style) -> Strip:
        if y == 0:
            return self._titles(width, base)
        index = self.top + y - 1
        if index >= len(self.rows):
            return Strip.blank(width, base)
        one: Row = self.rows[index]
        style = base + palette.BACKGROUNDS.get(one.background, Style())
        if index == self.cursor and self.has_focus:
            style += palette.CURSOR
        return strip(one.pieces, width, style, self.left)

    def _titles(self, width: int, base: Style) -> Strip:
        segments = []
        for pane in self.tabs:
            front = palette.FOCUSED_TAB if self.has_focus else palette.FRONT_TAB
            segments.append(Segment(self._title(pane), base + (front if pane is self.pane else palette.TAB)))
        if len(self.rows) > self.page:
            where = f" {min(self.top + self.page, len(self.rows))}/{len(self.rows)}"
            segments.append(Segment(where, base + palette.STYLES[Role.DIM]))
        return Strip(segments).adjust_cell_length(width, base)

    def _title(self, pane: Pane) -> str:
        """Without room around it where there is little."""
        room = sum(len(one) + 2 for one in self.tabs) <= self.size.width
        return f" {pane} " if room else f"{pane} "

    # -- keys and mouse ------------------------------------------------------------------------------------------------

    def action_move_cursor(self, by: int) -> None:
        self.cursor += by
        self._keep_inside()
        if self.cursor < self.top:
            self.top = self.cursor
        elif self.cursor >= self.top + self.page:
            self.top = self.cursor - self.page + 1
        self._redraw()

    def action_move_page(self, by: int) -> None:
        self.action_move_cursor(by * max(self.page - 1, 1))

    def action_move_sideways(self, by: int) -> None:
        self.left = max(self.left + by, 0)
        self._redraw()

    def action_choose(self) -> None:
        target = self.target()
        if target is not None:
            self.post_message(self.Chosen(self.pane, target))

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            self._click_title(event.x)
            return
        index = self.top + event.y - 1
        if index < len(self.rows):
            self.cursor = index
            self._redraw()
            self.action_choose()

    def _click_title(self, x: int) -> None:
        end = 0
        for pane in self.tabs:
            end += len(self._title(pane))
            if x < end:
                self.post_message(self.TabChosen(pane))
                return

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._scroll(SCROLLED)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._scroll(-SCROLLED)

    def _scroll(self, by: int) -> None:
        self.top = max(min(self.top + by, len(self.rows) - self.page), 0)
        self._redraw()

    def on_show(self) -> None:
        self.post_message(self.Shown(self.pane))

    def on_resize(self, event: events.Resize) -> None:
        self._drawn = []
        self.show(self.rows, self.cursor)

    def on_focus(self) -> None:
        self._redraw()

    def on_blur(self) -> None:
        self._redraw()


class LineView(Widget):
    """A line of text."""

    def __init__(self, id: str, text: str = "", role: Role = Role.DIM) -> None:
        super().__init__(id=id)
        self.pieces: tuple[tuple[str, Role], ...] = ((text, role),)
        self.is_alert = False

    def show(self, *pieces: tuple[str, Role], is_alert: bool = False) -> None:
        """Show other text; `is_alert` gives it a background."""
        if (pieces, is_alert) != (self.pieces, self.is_alert):
            self.pieces, self.is_alert = pieces, is_alert
            self.refresh()

    @property
    def text(self) -> str:
        """What is shown."""
        return "".join(text for text, _ in self.pieces)

    def render_line(self, y: int) -> Strip:
        if self.is_alert:
            base = self.rich_style + palette.RUNNING
            return Strip([Segment(clean(self.text), base)]).adjust_cell_length(self.size.width, base)
        return strip(self.pieces, self.size.width, self.rich_style)


class TimeBar(Widget):
    """The time line: a title, and a bar that can be clicked."""

    class Chosen(Message):
        """A step was clicked."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(self) -> None:
        super().__init__(id="time")
        self.time: TimeView | None = None

    def show(self, time: TimeView) -> None:
        """Show another time line, or another step."""
        self.time = time
        self.refresh()

    def _parts(self, time: TimeView) -> tuple[str, int]:
        """The title, and the width of the bar behind it."""
        text = title(time)[: max(self.size.width - 10, 0)] + " "
        return text, max(self.size.width - len(text), 1)

    def render_line(self, y: int) -> Strip:
        if self.time is None:
            return Strip.blank(self.size.width, self.rich_style)
        text, width = self._parts(self.time)
        return strip([(text, Role.NUMBER), *bar(self.time, width)], self.size.width, self.rich_style)

    def on_click(self, event: events.Click) -> None:
        if self.time is None:
            return
        text, width = self._parts(self.time)
        if event.x >= len(text):
            self.post_message(self.Chosen(step_at(self.time, event.x - len(text), width)))
