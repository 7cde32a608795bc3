"""A debugging session: what all faces of the debugger (command line, screen, editors) do, without input or output.

    session = Session(object, [Invocation("xdp_main", packet=frame)])
    session.start()
    session.break_at("parser.c:120", condition="iph->ttl == 1")
    session.resume()                      # Stop(reason=breakpoint, ...)
    session.value("iph->daddr").text()
    session.step_line(back=True)

One thread calls it; `interrupt` alone may come from another.  Every move returns a Stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any, Unpack

from pybpftime.debug.breakpoints import Breakpoint, BreakpointOptions, BreakpointTable, CallPattern, interpolate
from pybpftime.debug.expression import MapValue, compile_condition, compile_expression
from pybpftime.debug.frames import Frame, frames_of
from pybpftime.debug.marks import MarkTable
from pybpftime.debug.moves import Moves
from pybpftime.debug.places import CodePlace, PlaceFinder, Places
from pybpftime.debug.plan import Plan, last_stop
from pybpftime.debug.scope import FrameScope, FrameTarget
from pybpftime.debug.stops import Reason, Stop
from pybpftime.debug.symbols import DebugFile, ProgramSymbols, symbols_of
from pybpftime.debug.timeline import Change, Invocation
from pybpftime.debug.values import Constant, TypedValue
from pybpftime.debug.watch import Access, Seen, Watchpoint, extent_of, shown
from pybpftime.debug.world import Source, StepsOf, Until, World
from pybpftime.engines import DEFAULT_BUDGET
from pybpftime.errors import InputError
from pybpftime.program.spec import ProgramSpec
from pybpftime.runtime import Object

LARGEST_KEPT = 1 << 16
"""Bytes of a value that is printed and kept."""
Output = Callable[[str, str], None]
"""Takes a kind ("printk", "log") and a text without newline."""


class Session:
    """One debugged object.  `world` is the machine and its time lines; `stop` the last stop."""

    def __init__(
        self,
        object: Object,
        invocations: Iterable[Invocation] = (),
        *,
        debug: DebugFile | None = None,
        budget: int = DEFAULT_BUDGET,
        output: Output | None = None,
        source: Source | None = None,
    ) -> None:
        """The environment of `object` is an AnswerBook.  `debug`: where the debug information of its file is.

        `source`: where invocations come from while the session goes on, which is a live process.
        """
        self.object = object
        self.world = World(object, invocations, budget=budget, source=source)
        self.output = output
        self.stop = Stop(Reason.START, 0)
        self.seen: list[Seen] = []
        """What watchpoints saw at the last stop."""
        self.kept: dict[str, TypedValue] = {}
        """The user's own `$names`."""
        self.printed: list[TypedValue] = []
        """The values `$1`, `$2` and so on."""
        self.watchpoints: dict[int, Watchpoint] = {}
        self.breakpoints = BreakpointTable(object.helpers, self._condition, self._log)
        self.debug = debug
        self._symbols: dict[int, tuple[ProgramSpec, ProgramSymbols]] = {}
        self._marks = MarkTable(self.symbols_of)
        self._moves = Moves(self.world, self._marks)
        self._selected = 0
        self.world.on_printk = lambda line: self._put("printk", line.text)

    # -- what there is -------------------------------------------------------------------------------------------------

    def symbols_of(self, spec: ProgramSpec) -> ProgramSymbols:
        """The debug information of a program."""
        if id(spec) not in self._symbols:
            self._symbols[id(spec)] = (spec, symbols_of(spec, self.debug))
        return self._symbols[id(spec)][1]

    @cached_property
    def places(self) -> PlaceFinder:
        """Finds places in all programs of the object."""
        return PlaceFinder((program.spec for program in self.object), self.symbols_of)

    def frames(self) -> tuple[Frame, ...]:
        """The active functions, the innermost first; none where a program has returned."""
        return frames_of(self.world, self.symbols_of)

    @property
    def is_open(self) -> bool:
        """Whether invocations may come that nobody knows yet."""
        source = self.world.source
        return source is not None and not source.is_done

    @property
    def selected(self) -> Frame | None:
        """The frame that names are looked up in: the innermost one unless `select` chose another."""
        frames = self.frames()
        return frames[min(self._selected, len(frames) - 1)] if frames else None

    @property
    def current_file(self) -> str | None:
        """The file that line numbers are of: where the program stands, or the only one there is."""
        frame = self.selected
        if frame is not None and frame.line is not None:
            return frame.line.file
        files = self.places.files()
        return files[0] if len(files) == 1 else None

    def select(self, number: int) -> Frame:
        """Look names up in frame `number` until the next move."""
        frames = self.frames()
        if not 0 <= number < len(frames):
            raise InputError(f"there is no frame {number}" + (f"; there are 0 to {len(frames) - 1}" if frames else ""))
        self._selected = number
        return frames[number]

    # -- moving --------------------------------------------------------------------------------------------------------

    def start(self) -> Stop:
        """Begin the first invocation."""
        if not self.world.has_begun and not self.world.begin_next():
            if self.world.source is not None:
                return self._without_another()
            raise InputError("there is nothing to run on: no packet, no context")
        return self.stopped(Reason.ENTRY)

    def restart(self) -> Stop:
        """To the beginning of the first invocation of this time line; breakpoints count their hits anew."""
        if not self.world.has_begun:
            return self.start()
        self.world.goto(self.world.timeline.first)
        for breakpoint in self.breakpoints.all.values():
            breakpoint.hits = 0
        for watchpoint in self.watchpoints.values():
            watchpoint.hits = 0
        return self.stopped(Reason.ENTRY)

    def switch(self, number: int) -> Stop:
        """To another time line: to this step, as far as both have it in common, or that far."""
        world = self.world
        if not 1 <= number <= len(world.timelines):
            raise InputError(f"there is no time line {number}; there are 1 to {len(world.timelines)}")
        world.switch(number, min(world.step, world.timeline.in_common(world.timelines[number - 1])))
        return self.stopped(Reason.GOTO)

    def step_instruction(self, count: int = 1, *, back: bool = False) -> Stop:
        """`count` instructions on or back; the end of an invocation counts as one."""
        target = self.world.step - count if back else self.world.step + count
        if target < self.world.timeline.first:
            return self._at_first()
        if back:
            self.world.goto(target)
        else:
            self.world.advance(target)
        return self._arrived(target, Reason.STEP)

    def step_line(self, *, over: bool = False, back: bool = False) -> Stop:
        """To the next line, into functions or `over` them; or back to the line before."""
        if back:
            here = self.world.step
            return self._back(self._moves.line_before(over=over), here)
        return self.plan_line(over=over).go_on()

    def step_out(self, *, back: bool = False) -> Stop:
        """Until the function returns; or back to where it was called."""
        if back:
            here = self.world.step
            return self._back(self._moves.out_before(), here)
        return self.plan_out().go_on()

    def resume(self, *, back: bool = False) -> Stop:
        """Go on to the next breakpoint, watchpoint or fault; or back to the one before."""
        return self._resume_back() if back else self.plan_resume().go_on()

    def plan_line(self, *, over: bool = False) -> Plan:
        """`step_line` forward, as a Plan."""
        return self._plan(lambda: self._moves.at_next_line(over=over))

    def plan_instruction(self, *, over: bool = False) -> Plan:
        """One instruction forward, as a Plan; `over`: with what it calls."""
        return self._plan(lambda: self._moves.at_next_instruction(over=over))

    def plan_out(self) -> Plan:
        """`step_out` forward, as a Plan."""
        return self._plan(self._moves.outside)

    def plan_resume(self) -> Plan:
        """`resume` forward, as a Plan."""
        return Plan(self, None)

    def run_to(self, text: str, *, file: str | None = None) -> Stop:
        """Go on until a place is reached, or a breakpoint before."""
        one = self.breakpoints.add(text, self.places.find(text, file=file), temporary=True)
        try:
            stop = self.resume()
        finally:
            self.breakpoints.all.pop(one.number, None)
            self.breakpoints.changed()
        if stop.breakpoints == (one.number,):  # it is there; no breakpoint of the user's stopped it
            stop = self.stopped(Reason.STEP)
        return stop

    def go_to_place(self, places: Places, *, back: bool = False) -> Stop:
        """To the next, or the last, time that one of the places is reached, past whatever else would stop."""
        table, watchpoints = self.breakpoints, self.watchpoints
        self.breakpoints, self.watchpoints = BreakpointTable(self.object.helpers, self._condition, self._log), {}
        self.breakpoints.add(places.text, places)
        try:
            while self.resume(back=back).reason is Reason.FAULT:
                pass
        finally:
            self.breakpoints, self.watchpoints = table, watchpoints
        self.stop = replace(self.stop, breakpoints=())
        return self.stop

    def next_invocation(self, *, back: bool = False) -> Stop:
        """To the beginning of the next packet or hit; or of this one, and from there of the one before."""
        world = self.world
        if back:
            starts = [start for start in world.timeline.starts[world.first :] if start < world.step]
            return self._back(starts[-1] if starts else None, world.step)
        if world.ending is None and not world.advance(until=lambda pc: world.ending is not None):
            return self.stopped(Reason.PAUSED)
        return self.stopped(Reason.ENTRY) if world.begin_next() else self._without_another()

    def goto(self, step: int) -> Stop:
        """To any step of the time line, as far as there is something to do."""
        if step < 0:
            raise InputError(f"there is no step {step}: the first is 0")
        self.world.goto(min(step, self.world.timeline.end))
        self.world.advance(step, waits=False)  # what was not executed before can be interrupted
        if (
            self.is_open and self.world.ending is not None and self.world.step < step
        ):  # further than what has happened yet
            return self.stopped(Reason.END)
        return self._arrived(step, Reason.GOTO)

    def interrupt(self) -> None:
        """Make the move that is under way stop soon.  May be called from any thread and from signal handlers."""
        self.world.paused = True

    # -- breakpoints ---------------------------------------------------------------------------------------------------

    def break_at(self, text: str, *, file: str | None = None, **options: Unpack[BreakpointOptions]) -> Breakpoint:
        """A breakpoint at a place; the options are those of Breakpoint.  InputError for a place that is none."""
        places = self.places.find(text, file=file or self.current_file)
        return self.breakpoints.add(places.text, places, **options)

    def break_at_places(self, places: Places, **options: Unpack[BreakpointOptions]) -> Breakpoint:
        """The same for places that were found already."""
        return self.breakpoints.add(places.text, places, **options)

    def break_on_call(self, pattern: CallPattern, **options: Unpack[BreakpointOptions]) -> Breakpoint:
        """A breakpoint on calls of helpers."""
        text = f"call {pattern.name}" + (f" on {pattern.map}" if pattern.map else "")
        return self.breakpoints.add(text, pattern, **options)

    def watch(self, text: str, access: Access = Access.CHANGE) -> Watchpoint:
        """A watchpoint on what an expression denotes now: memory, a register, an element of a map."""
        value = self.value(text)
        if isinstance(value, MapValue):
            raise InputError(f"{text} is a map: watch an element, {text}[KEY]")
        try:
            return self.watch_value(value, text, access)
        except InputError as error:
            raise InputError(f"{text}: {error.reason}") from None

    def watch_value(self, value: TypedValue, text: str, access: Access = Access.CHANGE) -> Watchpoint:
        """The same for a value that is known already; `text` is what it is called.  InputError if it lies nowhere."""
        address, size = value.address, value.size
        target = value.target
        extent = extent_of(value.place, size, self.object.memory)
        if extent.registers and isinstance(target, FrameTarget) and not target.is_live:
            raise InputError("it lies in a register of a caller, which is not watched: select frame 0")

        def read() -> bytes | None:
            return value.snapshot() if address is None else target.read(address, size)

        number = self.breakpoints.next_number()
        one = Watchpoint(number, text, read, lambda content: shown(value, content), extent, access)
        self.watchpoints[number] = one
        return one

    def watched(self) -> list[Watchpoint]:
        """The watchpoints that are enabled."""
        return [one for one in self.watchpoints.values() if one.enabled]

    def remove(self, number: int) -> None:
        """Remove a breakpoint or watchpoint; InputError when there is none of that number."""
        if self.watchpoints.pop(number, None) is None:
            self.breakpoints.remove(number)

    # -- values --------------------------------------------------------------------------------------------------------

    def scope(self, frame: Frame | None = None) -> FrameScope:
        """The names that a frame (the selected one) can see."""
        one = frame or self.selected
        if one is None:
            target = FrameTarget(self.world, self._change)
            return FrameScope(self.world, target, None, None, None, self.kept, self.printed)
        registers = None if one.is_live else (lambda: one.registers)
        target = FrameTarget(self.world, self._change, registers)
        return FrameScope(self.world, target, one.symbols, one.scope, one.slot, self.kept, self.printed)

    def value(self, text: str, frame: Frame | None = None, *, may_change: bool = False) -> TypedValue | MapValue:
        """The value of a C expression; with `may_change` it may assign.  InputError when it has none."""
        return compile_expression(text, self.scope(frame), allow_assignment=may_change).value()

    def keep(self, value: TypedValue) -> int:
        """Keep what a value is now as the next numbered one; its number.  Of a very large one the place is kept."""
        content = value.snapshot() if value.size <= LARGEST_KEPT else None
        self.printed.append(value if content is None else value.at(Constant(content)))
        return len(self.printed)

    def condition(self, text: str) -> bool:
        """Whether a condition is met in the selected frame.  InputError when it has no value."""
        return compile_condition(text, self.scope())()

    def change(self, change: Change, target: Any, value: Any) -> bool:
        """Change the state here; whether that forks the time line.  See `World.change`."""
        return bool(self._change(change, target, value))

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _change(self, change: Change, target: Any, value: Any) -> object:
        return self.world.change(change, target, value)

    def _scope_at(self, place: CodePlace) -> FrameScope:
        """The names that code at a place can see, in whatever call control comes there."""
        symbols = self.symbols_of(place.spec)
        scopes = symbols.scopes_at(place.slot)
        meant = (one for one in scopes if place.function == one.name or (one.line and place.line == one.line.line))
        scope = next(meant, scopes[0] if scopes else None)
        target = FrameTarget(self.world, self._change)
        return FrameScope(self.world, target, symbols, scope, place.slot, self.kept, self.printed)

    def _condition(self, text: str, place: CodePlace) -> Callable[[], bool]:
        return compile_condition(text, self._scope_at(place))

    def _log(self, one: Breakpoint, place: CodePlace) -> None:
        scope = self._scope_at(place)

        def evaluate(text: str) -> str:
            try:
                value = compile_expression(text, scope).value()
            except InputError as error:
                return f"({error.reason})"
            return value.text() if isinstance(value, TypedValue) else f"(map {value.name})"

        self._put("log", interpolate(one.log, evaluate))

    def _put(self, kind: str, text: str) -> None:
        if self.output is not None:
            self.output(kind, text)

    def _arrived(self, step: int, reason: Reason) -> Stop:
        """The stop here, which was to be at `step`."""
        if self.world.step != step:
            return self._without_another()
        return self.stopped(reason)

    def _without_another(self) -> Stop:
        """The stop where nothing more comes, or where somebody interrupted before it came."""
        text = "" if self.world.has_begun else "no probe has been hit"
        return self.stopped(Reason.END if self.world.is_over else Reason.PAUSED, text=text)

    # -- going forward -------------------------------------------------------------------------------------------------

    def _plan(self, until: Callable[[], Until]) -> Plan:
        if self.world.has_begun and self.world.ending is None:
            return Plan(self, until())
        return Plan(self, None, to_next=True)

    def first_line(self) -> Stop:
        """To the first line of the next invocation."""
        if not self.world.has_begun:
            return self.start()
        return self.stopped(Reason.ENTRY) if self._moves.begin_next() else self._without_another()

    def steps_of(self, own: StepsOf | None = None) -> StepsOf | None:
        """What looks for breakpoints, in front of the step functions `own`, the machine's if None; these if none is."""
        table = self.breakpoints
        if table.is_empty:
            return own
        return lambda executable: table.steps_of(executable, executable.steps if own is None else own(executable))

    # -- going back ----------------------------------------------------------------------------------------------------

    def _back(self, step: int | None, here: int) -> Stop:
        """Go to `step`, the first one if None; stay `here` if the search for it was interrupted."""
        if self.world.paused:
            self.world.paused = False
            self.world.goto(here)
            return self.stopped(Reason.PAUSED)
        if step is None:
            return self._at_first()
        self.world.goto(step)
        return self.stopped(Reason.STEP)

    def _at_first(self) -> Stop:
        """The stop at the first step that is kept."""
        world = self.world
        world.goto(world.timeline.first)
        if world.first:
            self._put("log", f"history begins with {world.invocation.label}: what was before is not kept any more")
        return self.stopped(Reason.START)

    def _resume_back(self) -> Stop:
        """To the last step before this one at which something would have stopped."""
        world, here = self.world, self.world.step
        first = here
        while first > world.timeline.first and not world.paused:
            behind = first
            kept = world.timeline.checkpoint_before(first - 1)
            assert kept is not None
            first = kept.step
            found = last_stop(self, first, behind)
            if found is not None:
                world.goto(found.step)
                self.seen = []
                self.stop = found
                self._selected = 0
                return found
        return self._back(None, here)

    # -- stops ---------------------------------------------------------------------------------------------------------

    def stopped_by(self, seen: list[Seen]) -> Stop:
        """The stop here, for what was seen of watched values."""
        for one in seen:
            one.watchpoint.hits += 1
        text = "; ".join(map(str, seen))
        stop = self.stopped(Reason.WATCHPOINT, tuple(one.watchpoint.number for one in seen), text)
        self.seen = seen
        return stop

    def stopped(self, reason: Reason, numbers: tuple[int, ...] = (), text: str = "") -> Stop:
        """The stop here, for this reason; it is `stop` from now on."""
        self._selected = 0
        self.seen = []
        for number in numbers:
            one = self.breakpoints.all.get(number)
            if one is not None and one.temporary:
                self.breakpoints.remove(number)
        ending = self.world.ending
        if ending is not None and reason is Reason.STEP:
            reason = Reason.RETURNED if ending.error is None else Reason.FAULT
        if ending is not None and ending.error is not None:
            text = text or str(ending.error)
        self.stop = Stop(reason, self.world.step, numbers, text)
        return self.stop
