"""Inputs that the solver chooses: each takes a generated program to one of its ends.

A random input rarely meets a comparison with a constant; the facts of a path are what it takes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from pybpftime.conformance.verifier_draft import MAPS, GeneratedProgram
from pybpftime.isa import Form
from pybpftime.verifier import witness
from pybpftime.verifier.explore import Checkpoint
from pybpftime.verifier.published import Published
from pybpftime.verifier.report import Witness
from pybpftime.verifier.state import Packet, State
from pybpftime.verifier.subject import Options, Subject

MOST_KEPT = 200
"""Ends of paths that are kept to choose from."""


class Ends:
    """Where the paths of a program end.  Passes on what it sees to `published`."""

    def __init__(self, program: GeneratedProgram, published: Published) -> None:
        self._subject = Subject(program.spec(), MAPS, Options())
        self._published = published
        self._packet: Packet | None = None
        self._states: list[State] = []

    def watch(self, state: State, checkpoint: Checkpoint) -> None:
        """Take note of a state: the argument `watch` of `verify`."""
        self._published.watch(state, checkpoint)
        if state.facts is None and self._packet is None:
            self._packet = state.packet
        is_end = self._subject.row(state.pc).form is Form.EXIT and not state.callers
        if is_end and len(self._states) < MOST_KEPT:
            self._states.append(state)

    def inputs(self, base: Witness, count: int, source: random.Random) -> Iterator[Witness]:
        """At most `count` inputs: what the solver chose, and for the rest what `base` has."""
        for state in source.sample(self._states, min(count, len(self._states))):
            found = witness.reach(self._subject, state, self._packet)
            if found is not None:
                yield _over(base, found)


def _over(base: Witness, chosen: Witness) -> Witness:
    """The chosen input; context fields and elements that it does not name are those of `base`."""
    names = base.maps.keys()
    maps = {name: (*base.maps[name], *chosen.maps.get(name, ())) for name in names}
    packet = base.packet if chosen.packet is None else chosen.packet
    return replace(base, context={**base.context, **chosen.context}, packet=packet, metadata=chosen.metadata, maps=maps)
