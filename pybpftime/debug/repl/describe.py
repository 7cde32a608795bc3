"""Breakpoints and watchpoints in words."""

from __future__ import annotations

from pybpftime.debug.breakpoints import Breakpoint, CallPattern
from pybpftime.debug.places import Places
from pybpftime.debug.repl.instructions import place_text
from pybpftime.debug.repl.show import short_file
from pybpftime.debug.symbols import ProgramSymbols
from pybpftime.debug.watch import Access, Watchpoint

WATCHPOINTS = {Access.CHANGE: "watchpoint", Access.READ: "read watchpoint", Access.ANY: "access watchpoint"}


def kind_text(one: Breakpoint | Watchpoint) -> str:
    """`breakpoint`, `log point`, `watchpoint`, `read watchpoint`"""
    if isinstance(one, Watchpoint):
        return WATCHPOINTS[one.access]
    return "log point" if one.log else "temporary breakpoint" if one.temporary else "breakpoint"


def where_text(one: Breakpoint) -> str:
    """`parse_ipv4: parse+147, parse+300`"""
    if isinstance(one.where, CallPattern):
        return one.text + (" (after it)" if one.where.after else "")
    return one.text


def breakpoint_text(one: Breakpoint) -> str:
    """What is said when one is made."""
    text = f"{kind_text(one)} {one.number} at {where_text(one)}"
    if isinstance(one.where, CallPattern):
        return text
    places = one.where.places
    if len(places) == 1:
        place = place_text(places[0].spec, places[0].slot)
        return text if place == one.text else f"{text} ({place})"
    return f"{text} ({len(places)} places)"


def places_text(where: Places, symbols_of: dict[int, ProgramSymbols]) -> list[str]:
    """Each place: `parse+147 at xdp_parser.bpf.c:157`."""
    found = []
    for place in where.places:
        line = symbols_of[id(place.spec)].line_at(place.slot)
        at = "" if line is None else f" at {short_file(line.file)}:{line.line}"
        found.append(f"{place_text(place.spec, place.slot)}{at}")
    return found


def rules_text(one: Breakpoint) -> list[str]:
    """Its condition, hit condition and log, a line each."""
    found = []
    if one.condition:
        found.append(f"only if {one.condition}")
    if one.hit_condition:
        found.append(f"at hit {one.hit_condition}")
    if one.log:
        found.append(f'prints "{one.log}"')
    return found
