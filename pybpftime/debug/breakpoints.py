"""Breakpoints: where to stop, on which condition, how often.

A breakpoint replaces the step function of its instruction by one that looks first.  So it costs nothing anywhere else,
and a program without breakpoints runs at full speed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

from pybpftime.debug.calls import HelperCall, helper_calls
from pybpftime.debug.places import CodePlace, Places
from pybpftime.engines.reference import ReferenceExecutable
from pybpftime.engines.reference.steps import Step
from pybpftime.errors import InputError
from pybpftime.helpers import HelperTable
from pybpftime.helpers.declarations import Role
from pybpftime.machine import Machine

Condition = Callable[[], bool]
HIT_CONDITIONS: dict[str, Callable[[int, int], bool]] = {
    "=": lambda hits, number: hits == number,
    "==": lambda hits, number: hits == number,
    ">": lambda hits, number: hits > number,
    ">=": lambda hits, number: hits >= number,
    "<": lambda hits, number: hits < number,
    "<=": lambda hits, number: hits <= number,
    "%": lambda hits, number: hits % number == 0,
}


class Hit(Exception):  # control flow, not an error
    """A breakpoint wants to stop before the instruction."""

    def __init__(self, numbers: tuple[int, ...], text: str = "") -> None:
        super().__init__()
        self.numbers = numbers
        self.text = text


@dataclass(frozen=True, slots=True)
class CallPattern:
    """Calls of helpers and kfuncs by name, a regular expression that matches all of it; on a map; with a key.

    `after`: stop behind the call, where r0 is its result.
    """

    name: str
    map: str | None = None
    key: bytes | None = None
    after: bool = False

    def matches(self, call: HelperCall) -> bool:
        """Whether it can be such a call."""
        if self.map is not None and call.argument(Role.MAP) is None:
            return False
        return re.fullmatch(self.name, call.declaration.name) is not None

    def applies(self, call: HelperCall, machine: Machine) -> bool:
        """Whether it is one, just before it is made."""
        map = call.map(machine) if self.map is not None else None
        if self.map is not None and (map is None or map.name != self.map):
            return False
        return self.key is None or call.key(machine) == self.key


@dataclass
class Breakpoint:
    """One breakpoint.  `text` says where; `where` are the places, or a pattern of calls.

    `condition` is a C expression; `hit_condition` a number, or a comparison with one: stop when so many hits have met
    the condition; `log` a text to put out in place of stopping, with expressions in braces.
    """

    number: int
    text: str
    where: Places | CallPattern
    condition: str = ""
    hit_condition: str = ""
    log: str = ""
    enabled: bool = True
    temporary: bool = False
    hits: int = 0
    conditions: dict[tuple[int, int], Condition] = field(default_factory=dict)
    """The compiled condition by program and slot."""

    def wants(self) -> bool:
        """Whether this hit, which is counted already, counts by `hit_condition`."""
        if not self.hit_condition:
            return True
        compare, number = parse_hit_condition(self.hit_condition)
        return compare(self.hits, number)


def parse_hit_condition(text: str) -> tuple[Callable[[int, int], bool], int]:
    """`3`, `>= 10`, `% 100`; InputError for anything else."""
    match = re.fullmatch(r"\s*(==?|>=?|<=?|%)?\s*(\d{1,18})\s*", text)
    if match is None or (match[1] == "%" and int(match[2]) == 0):
        raise InputError(f"a hit condition is a number, or >=, >, <, == or % and a number, not {text[:40]!r}")
    return HIT_CONDITIONS[match[1] or "=="], int(match[2])


class BreakpointOptions(TypedDict, total=False):
    """What a new breakpoint may be given; see Breakpoint."""

    condition: str
    hit_condition: str
    log: str
    enabled: bool
    temporary: bool


Compile = Callable[[str, CodePlace], Condition]
"""A condition at a place, as a test of the state when control is there."""
Log = Callable[["Breakpoint", CodePlace], None]


class BreakpointTable:
    """All breakpoints of a session, and the step functions that look for them."""

    def __init__(self, helpers: HelperTable, compile: Compile, log: Log) -> None:
        self.all: dict[int, Breakpoint] = {}
        self._helpers = helpers
        self._compile = compile
        self._log = log
        self._next = 1
        self._steps: dict[int, tuple[Sequence[Step], list[Step]]] = {}
        """By executable: the step functions that were there, and those in their place."""
        self.collect: Callable[[tuple[int, ...]], None] | None = None
        """While going back: told of hits instead of stopping; nothing is counted or put out."""

    def add(self, text: str, where: Places | CallPattern, **options: Unpack[BreakpointOptions]) -> Breakpoint:
        """A new breakpoint; InputError for a condition that has no meaning at some place of it."""
        one = Breakpoint(self._next, text, where, **options)
        self.check(one)
        self.next_number()
        self.all[one.number] = one
        self.changed()
        return one

    def check(self, one: Breakpoint) -> None:
        """Compile its condition anew; InputError as `add`."""
        if one.hit_condition:
            parse_hit_condition(one.hit_condition)
        one.conditions.clear()
        if one.condition and isinstance(one.where, Places):
            for place in one.where.places:
                one.conditions[id(place.spec), place.slot] = self._compile(one.condition, place)

    def next_number(self) -> int:
        """A number that no breakpoint or watchpoint has had."""
        self._next += 1
        return self._next - 1

    def remove(self, number: int) -> None:
        """InputError when there is none of that number."""
        if number not in self.all:
            raise InputError(f"there is no breakpoint {number}")
        del self.all[number]
        self.changed()

    def changed(self) -> None:
        """Something about a breakpoint is not as it was."""
        self._steps.clear()

    @property
    def is_empty(self) -> bool:
        """Whether nothing would ever stop."""
        return not any(one.enabled for one in self.all.values())

    def steps_of(self, executable: ReferenceExecutable, own: Sequence[Step]) -> Sequence[Step]:
        """The step functions `own` of an executable, those of breakpoints replaced."""
        known = self._steps.get(id(executable))
        if known is None or known[0] is not own or len(known[1]) != len(own):
            known = self._steps[id(executable)] = (own, self._replaced(executable, own))
        return known[1]

    def _replaced(self, executable: ReferenceExecutable, own: Sequence[Step]) -> list[Step]:
        steps = list(own)
        for code in executable.machine.code:
            spec = code.program.spec
            here: dict[int, list[Breakpoint]] = {}
            for one in self.all.values():
                if not one.enabled:
                    continue
                if isinstance(one.where, Places):
                    for place in one.where.places:
                        if place.spec is spec:
                            here.setdefault(place.slot, []).append(one)
                else:
                    for call in helper_calls(spec, self._helpers):
                        if one.where.matches(call):
                            self._watch_call(steps, code.start, one, call, CodePlace(spec, call.slot), executable)
            for slot, found in here.items():
                pc = code.start + slot
                steps[pc] = self._looking(steps[pc], [(one, CodePlace(spec, slot)) for one in found])
        return steps

    def _looking(self, step: Step, here: list[tuple[Breakpoint, CodePlace]]) -> Step:
        def look() -> int:
            self._stop_if(here)
            return step()

        return look

    def _watch_call(
        self, steps: list[Step], start: int, one: Breakpoint, call: HelperCall, place: CodePlace,
        executable: ReferenceExecutable,
    ) -> None:  # fmt: skip
        """Look at the calls of a helper, before them or behind them."""
        assert isinstance(one.where, CallPattern)
        pattern, pc, machine = one.where, start + call.slot, executable.machine
        step, behind = steps[pc], steps[pc + 1] if pc + 1 < len(steps) else None
        if not pattern.after or behind is None:

            def look_before() -> int:
                if pattern.applies(call, machine):
                    self._stop_if([(one, place)])
                return step()

            steps[pc] = look_before
            return
        called = False

        def remember() -> int:
            nonlocal called
            called = pattern.applies(call, machine)
            return step()

        def look_behind() -> int:
            nonlocal called
            if called:
                called = False
                self._stop_if([(one, CodePlace(place.spec, place.slot + 1))])
            return behind()

        steps[pc], steps[pc + 1] = remember, look_behind

    def _stop_if(self, here: Iterable[tuple[Breakpoint, CodePlace]]) -> None:
        """Hit those of the breakpoints whose conditions are met now."""
        numbers: list[int] = []
        problem = ""
        for one, place in here:
            try:
                if not self._is_met(one, place):
                    continue
            except InputError as error:
                problem = f"the condition of breakpoint {one.number} has no value: {error.reason}"
            else:
                if self.collect is not None:
                    if not one.log:
                        numbers.append(one.number)
                    continue
                one.hits += 1
                if not one.wants():
                    continue
                if one.log:
                    self._log(one, place)
                    continue
            numbers.append(one.number)
        if not numbers:
            return
        if self.collect is not None:
            self.collect(tuple(numbers))
            return
        raise Hit(tuple(numbers), problem)

    def _is_met(self, one: Breakpoint, place: CodePlace) -> bool:
        if not one.condition:
            return True
        key = (id(place.spec), place.slot)
        if key not in one.conditions:
            one.conditions[key] = self._compile(one.condition, place)
        return one.conditions[key]()


def interpolate(text: str, evaluate: Callable[[str], str]) -> str:
    """A log message: what stands in braces is an expression; `{{` and `}}` are braces."""
    parts: list[str] = []
    position = 0
    while position < len(text):
        char = text[position]
        if text.startswith(("{{", "}}"), position):
            parts.append(char)
            position += 2
        elif char == "{" and (end := text.find("}", position)) > 0:
            parts.append(evaluate(text[position + 1 : end]))
            position = end + 1
        else:
            parts.append(char)
            position += 1
    return "".join(parts)
