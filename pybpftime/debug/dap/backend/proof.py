"""What the verifier knows of registers and stack slots, as variables."""

from __future__ import annotations

from pybpftime.debug.belief import Beliefs
from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.rows import Row

PATIENCE = 10.0
"""Seconds that a client waits for the verification of a program; after that it may ask again."""
LOOK_EVERY = 0.05
"""Seconds between two looks at whether the client has lost patience before."""


def proof_rows(debuggee: Debuggee) -> list[Row]:
    """The verifier's words for each register and stack slot that it knows, with the value; else why there are none.

    CancelledError if interrupted while the program is being verified.
    """
    beliefs = debuggee.beliefs
    if not _is_known(debuggee, beliefs):
        return [_remark("the verifier is still at work: look again later")]
    belief = beliefs.here()
    rows = [Row(one.name, str(one), read_only=True) for one in belief.lines]
    if belief.is_outside:
        return [_remark(f"this run is outside of what the verifier expects, which is a bug: {belief.why_not}"), *rows]
    return rows or [_remark(belief.why_not)]


def _is_known(debuggee: Debuggee, beliefs: Beliefs) -> bool:
    for _ in range(round(PATIENCE / LOOK_EVERY)):
        if beliefs.is_known(patience=LOOK_EVERY):
            return True
        debuggee.check_interrupted()
    return False


def _remark(text: str) -> Row:
    return Row("verifier", text, read_only=True)
