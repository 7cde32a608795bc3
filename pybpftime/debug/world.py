"""The live machine of a debugger: it stands at a step of a time line, and any other step can be gone to.

Forward is executing; backward is putting a checkpoint back and executing again, which gives the same states since
every answer from outside is kept (`answers`).  Nothing is recorded instruction by instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from pybpftime.debug.answers import AnswerBook
from pybpftime.debug.memory import poke
from pybpftime.debug.state import capture, capture_maps, restore, restore_maps
from pybpftime.debug.timeline import Change, Checkpoint, Edit, Ending, Invocation, Printed, Timeline
from pybpftime.engines import DEFAULT_BUDGET, Outcome
from pybpftime.engines.reference import ReferenceExecutable
from pybpftime.engines.reference.engine import out_of_budget
from pybpftime.engines.reference.execution import Execution
from pybpftime.engines.reference.steps import Step
from pybpftime.errors import BpfError, InputError, InternalError
from pybpftime.machine import Machine, Region
from pybpftime.maps import MapError, ProgramArray
from pybpftime.program.contexts import Context
from pybpftime.runtime import MapView, Object, Program, Result

StepsOf = Callable[[ReferenceExecutable], Sequence[Step]]
Until = Callable[[int], bool]

ENDED = -1
"""The pc of an invocation that is over, for who looks at every step."""
INVOCATIONS_KEPT = 10_000
"""How many hits of a live process can be gone back to: about a kilobyte each."""
DROPPED_AT_ONCE = 2_500
"""How many more there may be until the oldest of them are dropped."""
DROPPED = "not kept"
"""The label of those."""
SLICE = 1 << 15
"""Steps between two looks at whether somebody wants to stop."""


class Source(Protocol):
    """Where invocations come from that nobody knows yet: a live process."""

    @property
    def programs(self) -> Sequence[str]:
        """The names of the programs that may run."""

    @property
    def is_done(self) -> bool:
        """Whether no more will come."""

    def next(self, is_interrupted: Callable[[], bool]) -> Invocation | None:
        """The next one, when it comes.  None if none will, or if somebody interrupts before."""

    def close(self) -> None:
        """No more are wanted."""


class World:
    """An object whose programs run one invocation after the other.

    `step` is where it stands; there, invocation `index` is before the instruction at `pc` of `machine`, or over when
    there is an `ending`.  Behind the last invocation the `source`, if there is one, is asked for another.  The
    environment of the object is an AnswerBook.
    """

    def __init__(
        self,
        object: Object,
        invocations: Iterable[Invocation],
        *,
        budget: int = DEFAULT_BUDGET,
        source: Source | None = None,
    ) -> None:
        if not isinstance(object.environment, AnswerBook):
            raise InternalError("the environment of a debugged object is an AnswerBook")
        self.object = object
        self.invocations = list(invocations)
        self.budget = budget
        self.source = source
        self.first = 0
        """The first invocation that is kept."""
        self.timeline = Timeline()
        self.timelines = [self.timeline]
        self.on_printk: Callable[[Printed], None] | None = None
        self.paused = False
        """Set from anywhere to stop `advance` soon."""
        self.on_slice: Callable[[], None] | None = None
        """Called now and then while `advance` works, to show how far it is."""
        self.step = 0
        self.index = -1
        self.ending: Ending | None = None
        self._began = 0
        self._printed = 0
        self._is_moving = False
        self._book = object.environment
        self._book.printk = self._print
        self._maps = [view.raw for view in object.maps.values()]
        self.initial_maps = capture_maps(self._maps)
        """What the maps held before the first step, in the order of the object."""
        self._initial_regions: tuple[dict[int, Region], tuple[int, int]] = ({}, (0, 0))
        self._executables = {program.name: _executable(program) for program in object}
        self._execution: Execution | None = None
        self._context: Context | None = None
        self._bind_tail_calls()
        self._initial_regions = (dict(object.memory.slots), object.memory.next_slots)

    # -- where it stands ----------------------------------------------------------------------------------------------

    @property
    def invocation(self) -> Invocation:
        """The invocation that is under way, or over."""
        return self.invocations[self.index]

    @property
    def program(self) -> Program:
        """The program that the invocation began with; behind a tail call another one runs."""
        return self.object.programs[self.invocation.program]

    @property
    def executable(self) -> ReferenceExecutable:
        """What runs, with the code space that `pc` counts in."""
        return self._executables[self.invocation.program]

    @property
    def machine(self) -> Machine:
        """The machine of the invocation."""
        return self.executable.machine

    def machine_of(self, index: int) -> Machine:
        """The machine that invocation `index` runs on."""
        return self._executables[self.invocations[index].program].machine

    @property
    def machines(self) -> tuple[Machine, ...]:
        """The machines of all programs; they share one memory."""
        return tuple(executable.machine for executable in self._executables.values())

    @property
    def pc(self) -> int:
        """The instruction that is next, in the machine's code space; where the invocation ended when it is over."""
        return self.execution.pc

    @property
    def execution(self) -> Execution:
        """The run of the invocation."""
        if self._execution is None:
            raise InternalError("no invocation has begun")
        return self._execution

    @property
    def _begun_on(self) -> Context:
        assert self._context is not None
        return self._context

    @property
    def has_begun(self) -> bool:
        """Whether there is an invocation to look at."""
        return self._execution is not None

    @property
    def has_failed(self) -> bool:
        """Whether the invocation is over by a fault or a limit."""
        return self.ending is not None and self.ending.error is not None

    @property
    def now(self) -> int:
        """The step of the instruction that is next, for whom the world stands and for who looks on."""
        return self.current_step if self._is_moving else self.step

    @property
    def current_step(self) -> int:
        """The step of the instruction that is being executed, for who looks on during `advance`."""
        return self._began + self.execution.current

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens: the last invocation has ended, and no other will come."""
        is_last = (self.ending is not None or self._execution is None) and self.index + 1 >= len(self.invocations)
        return is_last and (self.source is None or self.source.is_done)

    def look_at_user(self, address: int, size: int) -> bytes | None:
        """Memory of the process that is traced; None where it cannot be read, or there is no process."""
        return self._book.look_at_user(address, size)

    # -- going forward ------------------------------------------------------------------------------------------------

    def advance(
        self,
        limit: int | None = None,
        *,
        steps_of: StepsOf | None = None,
        until: Until | None = None,
        to_fault: bool = False,
        leaving: bool = False,
        past: StepsOf | None = None,
        pausable: bool = True,
        waits: bool = True,
    ) -> bool:
        """Go on to step `limit`, or as far as there is something to do; the answer is whether `until` stopped it.

        `until` is asked at every step with its pc, which is ENDED where an invocation is over.  `steps_of` gives the
        step functions to execute in place of the machine's own; what they raise passes, and the world stands before
        the instruction.  With `to_fault` an invocation that fails stops it, too.  `leaving`: the instruction here is
        executed by its step function of `past`, the machine's own if None, so that a breakpoint here does not stop
        again.  Stops when `paused` is set, and resets it, unless it is not `pausable`.  `waits`: see `begin_next`.
        """
        while limit is None or self.step < limit:
            if self.paused and pausable:
                self.paused = False
                return False
            if self.on_slice is not None:
                self.on_slice()
            if self.ending is not None or self._execution is None:
                if not self.begin_next(waits=waits):
                    return False
                leaving = False
                if until is not None and until(self.pc):
                    return True
            elif leaving:
                leaving = False
                if self._slice(self.step + 1, past, until) or (to_fault and self.has_failed):
                    return True
            elif self._slice(self._goal(limit), steps_of, until) or (to_fault and self.has_failed):
                return True
        return False

    def _goal(self, limit: int | None) -> int:
        """The next step at which something is to be done."""
        last = (
            self._began + self.budget - 1
        )  # the instruction that uses the budget up ends the invocation: see `_slice`
        spent = last + 1 if self.step >= last else last
        goal = min(self.step + SLICE, spent, self.timeline.checkpoint_due(self.step))
        edit = self.timeline.next_edit(self.step)
        return min(goal, *(one for one in (limit, edit) if one is not None), goal)

    def _slice(self, goal: int, steps_of: StepsOf | None, until: Until | None) -> bool:
        """Execute up to step `goal`; whether `until` stopped it."""
        execution, due = self.execution, self.timeline.checkpoint_due(self.step)
        error: BpfError | None = None
        asked = until if goal < self._began + self.budget else None  # where the budget ends, ENDED is what is told
        self._is_moving = True
        try:
            execution.advance(goal - self.step, None if steps_of is None else steps_of(self.executable), asked)
        except BpfError as failure:
            error = failure
        finally:
            self._is_moving = False
            self._arrive(self._began + execution.executed + (error is not None))
        if error is not None:
            self._end(Ending(None, error))
        elif execution.ended:
            self._end(Ending(self._result()))
        elif execution.executed == self.budget:
            self._end(Ending(None, out_of_budget(self.machine, execution.pc, self.budget)))
        if self.step == due:
            self.checkpoint()
        if until is not None and self.ending is not None:
            return until(ENDED)
        return execution.stopped

    def _arrive(self, step: int) -> None:
        """The world has come to `step`: what the user changed there is done now."""
        moved, self.step = step != self.step, step
        self.timeline.end = max(self.timeline.end, step)
        if moved:
            for edit in self.timeline.edits_at(step):
                self._apply(edit)

    def _end(self, ending: Ending) -> None:
        self.ending = ending
        self.timeline.endings[self.index] = ending
        if self.index + 1 == len(self.timeline.starts):
            self.timeline.end = self.step

    def _result(self) -> Result:
        r0 = self.machine.registers[0]
        assert r0 is not None
        return self.program.result(self._begun_on, Outcome(r0, self.execution.executed))

    def begin_next(self, *, waits: bool = True) -> bool:
        """Begin the next invocation, at the step behind the end of the last; False when there is none.

        `waits`: for one that the source may give; that ends when `paused` is set, which is reset then.
        """
        if self.index + 1 >= len(self.invocations) and not (waits and self._take_from_source()):
            return False
        invocation = self.invocations[self.index + 1]
        context = invocation.context(self.object.programs[invocation.program])
        if self._execution is not None:
            _leave(self.machine)
            self.step += 1
        self.index += 1
        self.ending, self._began, self._context = None, self.step, context
        self._book.enter(invocation.fields)
        self._execution = self.executable.begin(context)
        starts = self.timeline.starts
        if starts[self.index : self.index + 1] != [self._began]:
            starts[self.index :] = [self._began]
        self.timeline.end = max(self.timeline.end, self.step)
        for edit in self.timeline.edits_at(self.step):
            self._apply(edit)
        kept = self.timeline.checkpoint_before(self.step)
        is_base = self.source is not None and self.index % DROPPED_AT_ONCE == 0
        if kept is None or (is_base and kept.step != self.step):
            self.checkpoint()
        if is_base:
            self._drop_oldest()
        return True

    def _take_from_source(self) -> bool:
        """Wait for an invocation that nobody knows yet; whether one came."""
        if self.source is None:
            return False
        invocation = self.source.next(lambda: self.paused)
        if invocation is None:
            self.paused = False
            return False
        self.invocations.append(invocation)
        return True

    def _drop_oldest(self) -> None:
        """Of the invocations that a source gave, keep the last ones."""
        checkpoints = self.timeline.checkpoints
        bases = [one for one in checkpoints if one.step == one.began and one.index <= self.index - INVOCATIONS_KEPT]
        if not bases or bases[-1].index <= self.first:
            return
        base = bases[-1]
        self.timeline.drop_before(base)
        self._book.answers.drop_before(base.answers)
        for other in self.timelines:
            if other is not self.timeline:
                other.forget()
        names = {name: Invocation(name, label=DROPPED) for name in self._executables}
        dropped = range(self.first, base.index)
        self.invocations[self.first : base.index] = [names[self.invocations[index].program] for index in dropped]
        self.first = base.index

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Keep the state of this step."""
        before = self.timeline.checkpoint_before(self.step)
        shared = None if before is None else before.state
        state = capture(self.machine, self._maps, shared)
        self.timeline.add_checkpoint(
            Checkpoint(
                self.step, self.index, self._began, self.pc, self.ending, state, self._begun_on, self._book.position,
                self._printed, state.size(shared),
            )
        )  # fmt: skip

    def goto(self, step: int) -> None:
        """Stand at `step`, or as far on the way there as there is something to do."""
        kept = self.timeline.checkpoint_before(step)
        if step < self.timeline.first:
            label, first = self.invocations[self.first].label, self.timeline.first
            raise InputError(f"step {step} is not kept any more: the history begins with {label}, at step {first}")
        if kept is None:
            raise InternalError(f"there is no checkpoint before step {step}")
        if not kept.step <= self.step <= step:
            self._restore(kept)
        self.advance(step, pausable=False, waits=False)

    def _restore(self, kept: Checkpoint) -> None:
        _leave(self.machine)
        self.step, self.index, self._began, self.ending = kept.step, kept.index, kept.began, kept.ending
        self._book.position, self._printed, self._context = kept.answers, kept.printed, kept.context
        self._book.enter(self.invocation.fields)
        restore(kept.state, self.machine, self._maps)
        self._forget_unmapped_frames()
        self._execution = self.executable.resume(kept.pc, self.step - self._began)

    def _forget_unmapped_frames(self) -> None:
        """Frames of other machines that were mapped later than where it stands now are mapped again when needed."""
        memory = self.object.memory
        for executable in self._executables.values():
            stack = executable.machine.stack
            stack.regions = tuple(region for region in stack.regions if memory.find(region.base) is region)

    # -- changing the past ---------------------------------------------------------------------------------------------

    def change(self, change: Change, target: Any, value: Any) -> bool:
        """Change the state at this step; the answer is whether that forks the time line, which went on from here.

        InputError when it cannot be changed so; then nothing is.
        """
        if not self.has_begun:
            raise InputError("nothing can be changed before the first run begins")
        edit = Edit(self.step, change, target, value)
        self._apply(edit)
        forks = self.timeline.end > self.step
        if forks:
            self.timeline = self.timeline.fork(len(self.timelines) + 1, self.step)
            self.timelines.append(self.timeline)
        self.timeline.add_edit(edit)
        self.timeline.drop_checkpoints(self.step)
        self.checkpoint()
        return forks

    def switch(self, number: int, step: int) -> None:
        """Go to `step` of another time line, or to its end.  One that a recording gave is executed now."""
        if self.timelines[number - 1].is_forgotten:
            raise InputError(f"time line {number} is not kept any more")
        self.timeline = self.timelines[number - 1]
        step = min(step, self.timeline.end)
        kept = self.timeline.checkpoint_before(step)
        if kept is not None:
            self._restore(kept)
        else:
            self._rewind()
            if not self.begin_next():
                return
        self.goto(step)

    def _rewind(self) -> None:
        """Stand before the first step of all."""
        if self._execution is not None:
            _leave(self.machine)
        restore_maps(self.initial_maps, self._maps)
        memory, (slots, memory.next_slots) = self.object.memory, self._initial_regions
        memory.slots.clear()
        memory.slots.update(slots)
        self._forget_unmapped_frames()
        self.step, self.index, self.ending, self._execution = 0, -1, None, None
        self._book.position, self._printed = (0, 0, 0), 0

    def _apply(self, edit: Edit) -> None:
        match edit.change:
            case Change.REGISTER:
                self.machine.registers[edit.target] = edit.value
            case Change.MEMORY:
                poke(self.machine.memory, edit.target, edit.value)
            case Change.ELEMENT:
                name, key = edit.target
                _set_element(self.object.maps[name], key, edit.value)

    # -- output --------------------------------------------------------------------------------------------------------

    def _print(self, text: str) -> None:
        """A line of bpf_printk, which counts once however often the instruction is executed again."""
        output = self.timeline.output
        if self._printed == self.timeline.printed_before + len(output):
            output.append(Printed(self._began + self.execution.current, text))
            if self.on_printk is not None:
                self.on_printk(output[-1])
        self._printed += 1

    # -- at first ------------------------------------------------------------------------------------------------------

    def _bind_tail_calls(self) -> None:
        """Put the programs of program arrays into every code space now, so that there can be breakpoints in them."""
        for map in self._maps:
            if isinstance(map, ProgramArray):
                for _, target in map.programs():
                    for executable in self._executables.values():
                        with suppress(InputError):  # said when it is called
                            executable.bind(target)


def _executable(program: Program) -> ReferenceExecutable:
    executable = program.executable
    assert isinstance(executable, ReferenceExecutable)
    return executable


def _leave(machine: Machine) -> None:
    """Close the frames of a run that is left in the middle, or that faulted."""
    for frame in machine.frames:
        machine.stack.close(frame.stack)
    machine.frames.clear()


def _set_element(view: MapView, key: bytes, value: bytes | None) -> None:
    try:
        if value is None:
            view.raw.delete(key)
        else:
            view.raw.update(key, value)
    except MapError as error:
        raise InputError(f"map {view.raw.name}: {error.reason}") from None
