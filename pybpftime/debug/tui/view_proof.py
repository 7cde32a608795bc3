"""What the verifier knows of registers and stack slots, beside what they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pybpftime.debug.belief import Beliefs
from pybpftime.debug.session import Session


@dataclass(frozen=True, slots=True)
class ProofLine:
    """A register or stack slot of the innermost function: its value, and the verifier's words for all that it may be.

    `is_outside`: the value is none of these.
    """

    name: str
    value: str
    words: str
    is_outside: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class ProofView:
    """`note` says why there are no lines, or what is odd."""

    lines: tuple[ProofLine, ...] = ()
    note: str = ""


def proof_view(session: Session, beliefs: Beliefs, on_known: Callable[[], None], before: ProofView | None) -> ProofView:
    """The belief here.  Where the program has to be verified first, `on_known` is called when that is done."""
    if not beliefs.is_known(on_known=on_known):
        return ProofView(note=f"the verifier is at work on {session.world.program.name}")
    belief = beliefs.here()
    known = {} if before is None else {one.name: one.words for one in before.lines}
    lines = tuple(
        ProofLine(one.name, one.value_text, one.words, one.is_outside, bool(known) and known.get(one.name) != one.words)
        for one in belief.lines
    )
    frame = session.selected
    if belief.is_outside:
        return ProofView(lines, "this run is outside of what the verifier expects, which is a bug")
    if lines and frame is not None and not frame.is_live:
        return ProofView(lines, f"of the innermost function, {session.frames()[0].name}")
    return ProofView(lines, belief.why_not)
