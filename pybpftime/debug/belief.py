"""What the verifier believes of a program at a step, beside what is true there.

The verifier publishes the states that it went through; if the program is safe, every run lies in one of them at every
instruction (`verifier.published`).  Here the machine of a session is held against them: what the state that it lies in
says of each register, and if it lies in none, where it differs, which is a bug of the verifier or of the machine.

A program is verified in a thread of its own, so that a face can go on meanwhile: `is_known` begins it, `here` waits.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import Event, Thread

from pybpftime.debug.session import Session
from pybpftime.machine import RegionKind
from pybpftime.program.spec import ProgramSpec
from pybpftime.runtime.moments import Moments
from pybpftime.runtime.verification import SECONDS, as_loaded, declared, is_verifiable
from pybpftime.verifier import Report, Verdict, solver_is_there, verify
from pybpftime.verifier.explore import Checkpoint
from pybpftime.verifier.published import Mismatch, Moment, Published
from pybpftime.verifier.state import STACK_SIZE, State
from pybpftime.verifier.values import Pointer, Scalar
from pybpftime.verifier.wording import state_text, value_text

PATIENCE = 5.0
"""Seconds that `close` waits for a verification that was told to end."""
_FRAME = re.compile(r" of frame (\d+)$")


@dataclass(frozen=True, slots=True)
class Believed:
    """A register (`r3`) or a stack slot (`fp-8`) of the function that runs: the verifier's words, and the true value.

    `value` is a number, or a text where it is something else (`the length of the packet`); None where nothing was set.
    """

    name: str
    words: str
    value: int | str | None
    is_outside: bool = False

    @property
    def value_text(self) -> str:
        """The true value."""
        if self.value is None:
            return "not set"
        return f"{self.value:#x}" if isinstance(self.value, int) and self.value > 9 else str(self.value)

    def __str__(self) -> str:
        if self.is_outside:
            return f"OUTSIDE: it is {self.value_text}, and the verifier expects {self.words}"
        return f"{self.words} (here {self.value_text})"


@dataclass(frozen=True, slots=True)
class Belief:
    """What the verifier says of all that it knows where the program stands.

    Without `lines`, `why_not` says why: the program was not verified, or is not proved safe.  A run outside of what was
    published is told by `is_outside`: then the lines are the differences, and `why_not` is all of them in a sentence.
    """

    lines: tuple[Believed, ...] = ()
    why_not: str = ""
    is_outside: bool = False

    @property
    def values(self) -> Mapping[str, str]:
        """The words, by name."""
        return {} if self.is_outside else {one.name: one.words for one in self.lines}


class Beliefs:
    """The verifier's side of a session.  A program is verified when it is first asked about."""

    def __init__(self, session: Session, *, timeout: float = SECONDS) -> None:
        self._session = session
        self._timeout = timeout
        self._verifications: dict[int, _Verification] = {}

    def is_known(self, *, patience: float = 0, on_known: Callable[[], None] | None = None) -> bool:
        """Whether `here` answers at once; waits `patience` seconds for that.

        Where the program has to be verified first, that begins now; `on_known` is called in another thread when it is
        done.
        """
        spec = self._spec()
        return spec is None or self._of(spec, on_known).done.wait(patience)

    def here(self) -> Belief:
        """At the step where the session stands."""
        spec = self._spec()
        if spec is None:
            return Belief(why_not="no program is running")
        report, published = self._of(spec).result()
        if report is None:
            return Belief(why_not=f"{spec.name} cannot be verified: it has no program type")
        if report.verdict is not Verdict.SAFE:
            return Belief(why_not=_not_safe(spec.name))
        code, slot = self._session.world.machine.locate(self._session.world.pc)
        if code.start or self._session.world.machine.tail_calls:
            return Belief(why_not="behind a tail call nothing is claimed")
        if self._session.world.timeline.edits:
            return Belief(why_not="the state was changed by hand, so it may be one that cannot happen")
        moment = Moments(self._session.world.machine, self._context()).at(slot)
        state = published.state_of(moment)
        if state is not None:
            return Belief(tuple(_lines(state, moment)))
        found = tuple(_difference(one, moment) for one in published.mismatches(moment))
        told = (f"{one.name} is {one.value_text}, and the verifier expects {one.words}" for one in found)
        return Belief(found, "; ".join(told) or "the verifier never came here", is_outside=True)

    def close(self) -> None:
        """End verifications that are under way."""
        for one in self._verifications.values():
            one.cancel()

    def _spec(self) -> ProgramSpec | None:
        """The program whose code runs."""
        world = self._session.world
        if not world.has_begun or world.ending is not None:
            return None
        spec: ProgramSpec = world.machine.locate(world.pc)[0].program.spec
        return spec

    def _of(self, spec: ProgramSpec, on_known: Callable[[], None] | None = None) -> _Verification:
        if id(spec) not in self._verifications:
            self._verifications[id(spec)] = _Verification(self._session, spec, self._timeout, on_known)
        return self._verifications[id(spec)]

    def _context(self) -> int:
        """The address of the context."""
        regions = (one.base for one in self._session.world.machine.memory if one.kind is RegionKind.CONTEXT)
        return next(regions, 0)


class _CancelledError(Exception):
    """Nobody waits for the verification any more."""


class _Verification:
    """One program being verified in a thread."""

    def __init__(
        self, session: Session, spec: ProgramSpec, timeout: float, on_known: Callable[[], None] | None
    ) -> None:
        self.spec = spec
        self.done = Event()
        self._loaded = as_loaded(session.object)
        self._published = Published(spec, self._loaded.maps)
        self._helpers = declared(session.object.helpers)
        self._is_verifiable = is_verifiable(spec, session.object.level)
        self._timeout = timeout
        self._on_known = on_known
        self._report: Report | None = None
        self._error: Exception | None = None
        self._is_cancelled = False
        self._thread = Thread(target=self._work, name="verifier", daemon=True)
        self._thread.start()

    def result(self) -> tuple[Report | None, Published]:
        """The report, None for a program that cannot be verified, and the states.  Waits for them."""
        self.done.wait()
        if self._error is not None:
            raise self._error
        return self._report, self._published

    def cancel(self) -> None:
        """End soon; what is known then is nothing."""
        self._is_cancelled = True
        self._thread.join(PATIENCE)

    def _work(self) -> None:
        try:
            if self._is_verifiable:
                self._report = verify(
                    self.spec, self._loaded.maps, timeout=self._timeout, helpers=self._helpers, watch=self._watch
                )
        except Exception as error:  # it is raised where the result is asked for
            self._error = error
        self.done.set()
        if self._on_known is not None and not self._is_cancelled:
            self._on_known()

    def _watch(self, state: State, checkpoint: Checkpoint) -> None:
        if self._is_cancelled:
            raise _CancelledError
        time.sleep(0)  # a face that has something to do goes first
        self._published.watch(state, checkpoint)


def _not_safe(name: str) -> str:
    text = f"{name} is not proved safe, so nothing is claimed of its runs"
    if solver_is_there():
        return text
    return f"{text}; more is proved with the package z3-solver: pip install 'pybpftime[verify]'"


def _lines(state: State, moment: Moment) -> Iterator[Believed]:
    """The registers and stack slots that a state says something of, with what they hold."""
    function, slots = moment.functions[-1], state.frames[-1].stack
    values: dict[str, int | None] = {f"r{number}": value for number, value in enumerate(function.registers)}
    for offset, slot in slots.items():
        start = STACK_SIZE + offset
        values[f"fp{offset}"] = int.from_bytes(function.stack[start : start + slot.size], "little")
    for name, words in state_text(state).items():
        yield Believed(name, words, values.get(name))


def _difference(one: Mismatch, moment: Moment) -> Believed:
    """A value that is not what a state says."""
    frame = _FRAME.search(one.where)
    is_own = frame is not None and int(frame[1]) == len(moment.functions) - 1
    words = value_text(one.abstract) if isinstance(one.abstract, Scalar | Pointer) else str(one.abstract)
    value = one.concrete if isinstance(one.concrete, int) or one.concrete is None else str(one.concrete)
    return Believed(_FRAME.sub("", one.where) if is_own else one.where, words, value, is_outside=True)
