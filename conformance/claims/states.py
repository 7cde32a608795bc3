"""Our verifier's claims about a run: the states that it published (`verifier.published`)."""

from __future__ import annotations

from collections.abc import Mapping

from pybpftime.conformance.claims.claim import Stated
from pybpftime.maps import MapSpec
from pybpftime.program.spec import ProgramSpec
from pybpftime.verifier.published import Moment, Published
from pybpftime.verifier.subject import Options, Subject
from pybpftime.verifier.values import Scalar

SHOWN_STATES = 3


class PublishedClaims:
    """The claims about any run of a program that was found safe: it is always in one of the states.

    A state claims more than registers (pointers, stack, packet).  Nothing is claimed of a number on which no proof
    relied, or which is not read any more.
    """

    def __init__(self, published: Published, program: ProgramSpec, maps: Mapping[str, MapSpec]) -> None:
        self._published = published
        self._live = Subject(program, maps, Options()).live

    def at(self, moment: Moment) -> Stated:
        """See `Claims`."""
        state = self._published.state_of(moment)
        if state is None:
            wrong = [str(one) for one in self._published.mismatches(moment)]
            shown = "; ".join(wrong[:SHOWN_STATES]) or "no run was to come here"
            return Stated(source=f"{len(wrong)} states published at {moment.pc}", outside=shown)
        numbers = {
            register: value.range
            for register, value in enumerate(state.registers)
            if isinstance(value, Scalar) and value.precise and self._live[moment.pc] >> register & 1
        }
        return Stated(numbers, f"a state published at {moment.pc}")
