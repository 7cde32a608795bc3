"""The colours of the screen."""

from __future__ import annotations

from collections.abc import Mapping

from rich.style import Style

from pybpftime.debug.tui.rows import Role

STYLES: Mapping[Role, Style] = {
    Role.PLAIN: Style(),
    Role.DIM: Style(color="grey58"),
    Role.TITLE: Style(color="bright_white", bold=True),
    Role.NUMBER: Style(color="cyan"),
    Role.HERE: Style(color="bright_yellow", bold=True),
    Role.CALLER: Style(color="green"),
    Role.BREAKPOINT: Style(color="bright_red", bold=True),
    Role.CHANGED: Style(color="bright_yellow"),
    Role.SOURCE: Style(color="light_sky_blue1"),
    Role.NAME: Style(color="bright_green"),
    Role.ERROR: Style(color="bright_red"),
}
BACKGROUNDS: Mapping[Role, Style] = {Role.HERE: Style(bgcolor="dark_blue"), Role.CALLER: Style(bgcolor="grey19")}
CURSOR = Style(bgcolor="grey30")
TAB = Style(color="grey70", bgcolor="grey19")
FRONT_TAB = Style(color="bright_white", bgcolor="grey35", bold=True)
FOCUSED_TAB = Style(color="black", bgcolor="bright_cyan", bold=True)
RUNNING = Style(color="black", bgcolor="bright_yellow")
