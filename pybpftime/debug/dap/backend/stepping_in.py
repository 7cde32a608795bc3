"""Stepping into one of several functions that a line calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.handles import Handles
from pybpftime.debug.dap.bodies import StepInTarget
from pybpftime.debug.frames import Frame
from pybpftime.debug.places import CodePlace, Places
from pybpftime.debug.repl.instructions import jump_target
from pybpftime.debug.stops import Reason, Stop
from pybpftime.errors import InputError
from pybpftime.isa import Form, lookup
from pybpftime.program.spec import ProgramSpec


class StepInTargets:
    """The functions that the line of a frame calls."""

    def __init__(self, debuggee: Debuggee) -> None:
        self._debuggee = debuggee
        self._targets: Handles[Places] = Handles("target")

    def find(self, frame: Frame | None) -> list[StepInTarget]:
        """Those of the line where the frame is."""
        self._targets.clear()
        found: dict[str, Places] = {}
        for name, places in self._calls(frame) if frame is not None and frame.line is not None else ():
            found.setdefault(name, places)
        line = frame.line.line if frame is not None and frame.line is not None else 0
        return [
            {"id": self._targets.add(places), "label": name, "line": line} for name, places in sorted(found.items())
        ]

    def _calls(self, frame: Frame) -> Iterator[tuple[str, Places]]:
        symbols, spec, line = frame.symbols, frame.spec, frame.line
        assert line is not None
        for slot, instruction in enumerate(spec.instructions):
            place = symbols.line_at(slot)
            if instruction is None or place is None or (place.file, place.line) != (line.file, line.line):
                continue
            target = call_target(spec, slot)
            function = None if target is None else spec.function_at(target)
            if function is not None:
                slots = symbols.slots_of_function(function.name)
                yield function.name, Places(function.name, tuple(CodePlace(spec, one) for one in slots))
        for name in symbols.functions():
            slots = tuple(slot for slot in symbols.slots_of_function(name) if self._is_copy(frame, name, slot))
            if slots:
                yield name, Places(name, tuple(CodePlace(spec, slot) for slot in slots))

    def _is_copy(self, frame: Frame, name: str, slot: int) -> bool:
        """Whether a copy of the function that the line calls begins at a slot."""
        line = frame.line
        return line is not None and any(
            one.name == name and one.is_inlined and (one.call_file, one.call_line) == (line.file, line.line)
            for one in frame.symbols.scopes_at(slot)
        )

    def plan(self, target: int) -> Callable[[], Stop]:
        """The move into a target, or to the next line if it is not called after all."""
        places, session = self._targets.get(target), self._debuggee.session
        one = session.break_at_places(places, temporary=True)
        plan = session.plan_line(over=True)

        def go() -> Stop:
            stop = plan.go_on()
            if stop.reason is Reason.PAUSED:
                return stop
            if one.number in session.breakpoints.all:
                session.remove(one.number)
            return session.stopped(Reason.STEP) if stop.breakpoints == (one.number,) else stop

        return go


def call_target(spec: ProgramSpec, slot: int) -> int | None:
    """The slot of the function that the instruction at `slot` calls."""
    instruction = spec.instructions[slot]
    try:
        row = None if instruction is None else lookup(instruction)
    except InputError:
        return None
    return jump_target(spec, slot) if row is not None and row.form is Form.CALL_LOCAL else None
