"""`info verifier`: what the verifier believes, beside what is true."""

from __future__ import annotations

from pybpftime.debug.repl.interpreter import Interpreter
from pybpftime.debug.repl.show import register_text
from pybpftime.debug.repl.table import info
from pybpftime.errors import InputError


@info("verifier", "belief", usage="info verifier", example="info verifier")
def verifier(repl: Interpreter, text: str) -> None:
    """Show what the verifier knows of each register and stack slot here, beside what it holds in this run.

    The program is verified when this is first asked.  If it is safe, every run lies in one of the states that the
    verifier went through; that this one does is checked.
    """
    from pybpftime.debug.belief import Beliefs  # most sessions never ask the verifier

    if repl.beliefs is None:
        repl.beliefs = Beliefs(repl.session)
    belief = repl.beliefs.here()
    if belief.is_outside:
        raise InputError(f"this run is outside of what the verifier expects, which is a bug: {belief.why_not}")
    if belief.why_not:
        repl.say(belief.why_not)
        return
    world = repl.session.world
    true = {f"r{number}": register_text(world, value) for number, value in enumerate(world.machine.registers)}
    width = max((len(text) for name, text in true.items() if name in belief.values), default=0)
    for name, words in belief.values.items():
        repl.say(f"{name:<6} {true.get(name, ''):<{width}}  {words}")
