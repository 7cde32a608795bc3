"""The debugger on a command line: a command interpreter, and what reads lines for it.

    interpreter = Interpreter(session, console, print_maps=print_maps)
    interpreter.begin()
    interpreter.execute("break parse_ipv4")

The modules with commands register them by being imported: `table.command` is the decorator.
"""

from pybpftime.debug.repl import (
    breaking,
    contents,
    data,
    inform,
    looking,
    moving,
    past,
    scripting,
    types,
    verifier,
    why,
)
from pybpftime.debug.repl.interpreter import Interpreter

# The first line of a module's docstring is the heading of its commands in help.
COMMAND_MODULES = (moving, breaking, data, types, contents, looking, past, inform, scripting, verifier, why)

__all__ = ["COMMAND_MODULES", "Interpreter"]
