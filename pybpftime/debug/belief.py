"""What the verifier believes of a program at a step, beside what is true there.

The verifier publishes the states that it went through; if the program is safe, every run lies in one of them at every
instruction (`verifier.published`).  Here the machine of a session is held against them: what the state that it lies in
says of each register, and if it lies in none, where it differs, which is a bug of the verifier or of the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pybpftime.debug.session import Session
from pybpftime.machine import RegionKind
from pybpftime.program.spec import ProgramSpec
from pybpftime.runtime.moments import Moments
from pybpftime.runtime.verification import SECONDS, as_loaded, declared, is_verifiable
from pybpftime.verifier import Report, Verdict, verify
from pybpftime.verifier.published import Published
from pybpftime.verifier.wording import state_text


@dataclass(frozen=True, slots=True)
class Belief:
    """`values` are the verifier's words for registers (`r3`) and stack slots (`fp-8`) of the function that runs.

    Without them `why_not` says why: the program was not verified, or is not proved safe, or the run is outside of
    what was published; then `is_outside` is true.
    """

    values: Mapping[str, str]
    why_not: str = ""
    is_outside: bool = False


class Beliefs:
    """The verifier's side of a session.  A program is verified when it is first asked about."""

    def __init__(self, session: Session, *, timeout: float = SECONDS) -> None:
        self._session = session
        self._timeout = timeout
        self._judged: dict[int, tuple[ProgramSpec, Report | None, Published]] = {}

    def here(self) -> Belief:
        """At the step where the session stands."""
        session, world = self._session, self._session.world
        if not world.has_begun or world.ending is not None:
            return Belief({}, "no program is running")
        code, slot = world.machine.locate(world.pc)
        report, published = self._of(code.program.spec)
        if report is None:
            return Belief({}, f"{code.program.spec.name} cannot be verified: it has no program type")
        if report.verdict is not Verdict.SAFE:
            return Belief({}, f"{code.program.spec.name} is not proved safe, so nothing is claimed of its runs")
        if code.start or world.machine.tail_calls:
            return Belief({}, "behind a tail call nothing is claimed")
        if session.world.timeline.edits:
            return Belief({}, "the state was changed by hand, so it may be one that cannot happen")
        moment = Moments(world.machine, self._context()).at(slot)
        state = published.state_of(moment)
        if state is not None:
            return Belief(state_text(state))
        differences = "; ".join(str(one) for one in published.mismatches(moment))
        return Belief({}, differences or "the verifier never came here", is_outside=True)

    def _of(self, spec: ProgramSpec) -> tuple[Report | None, Published]:
        if id(spec) not in self._judged:
            session = self._session
            loaded = as_loaded(session.object)
            published = Published(spec, loaded.maps)
            report = None
            if is_verifiable(spec, session.object.level):
                helpers = declared(session.object.helpers)
                report = verify(spec, loaded.maps, timeout=self._timeout, helpers=helpers, watch=published.watch)
            self._judged[id(spec)] = (spec, report, published)
        _, report, published = self._judged[id(spec)]
        return report, published

    def _context(self) -> int:
        """The address of the context."""
        regions = (one.base for one in self._session.world.machine.memory if one.kind is RegionKind.CONTEXT)
        return next(regions, 0)
