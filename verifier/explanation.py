"""Why a program is not safe, as values that the command line, editors and documents print."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """An instruction: its slot, its text, and the source line that it comes from, where that is known.

    `file`, `line` and `column` count as compilers do, from 1; `text` is the line without the white space around it, and
    `column` is None where it lies outside of that.  All four are None without line information.
    """

    pc: int
    instruction: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the path that matters: where, and what is known behind it.  `times`: how often the path was there."""

    place: Place
    known: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a register, of the packet's length or the like where the program goes wrong."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A rejection, taken apart.

    `place` is None where the objection is about no instruction.  `carets` are the first column and the one behind the
    last of what in `place.instruction` it is about.  `path` runs forward; `left_out` steps of it are not listed,
    between the first `before_gap` and the rest.  `fix` is advice for this very case, empty where that of the reason has
    to do.
    """

    place: Place | None = None
    carets: tuple[int, int] | None = None
    path: tuple[Step, ...] = ()
    before_gap: int = 0
    left_out: int = 0
    known: tuple[Known, ...] = ()
    fix: str = ""
