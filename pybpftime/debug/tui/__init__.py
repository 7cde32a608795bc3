"""The debugger on the whole screen of a terminal: a face of `Session` made with textual.

    run_tui(session)

`view` and `rows*` make what is shown, without a terminal; `worker` does what the session is asked for, in a thread of
its own; `app` and `widgets` are the only modules that know textual.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from pybpftime.errors import InputError

if TYPE_CHECKING:
    from pybpftime.debug.repl import Interpreter
    from pybpftime.debug.session import Session
    from pybpftime.debug.sources import Sources


def run_tui(session: Session, *, interpreter: Interpreter | None = None, sources: Sources | None = None) -> int:
    """Show the session on the screen until the user leaves; the answer is the exit code.

    Begins the session if that was not done.  `interpreter`: what executes the commands of the prompt `:`, with the
    macros, settings and sources that it has.  `sources`: where to look for the text of source files.  InputError
    without textual, and where there is no terminal.
    """
    require_screen()
    from pybpftime.debug.tui.app import DebuggerApp

    if sources is None and interpreter is not None:
        sources = interpreter.sources
    app = DebuggerApp(session, sources, interpreter)
    try:
        app.run()
    finally:
        app.worker.close()
        app.bench.leave()
    if app.failure is not None:
        raise app.failure
    return app.bench.interpreter.exit_code or 0


def require_screen() -> None:
    """InputError, with what to do about it, where the screen cannot be used."""
    if importlib.util.find_spec("textual") is None:
        raise InputError("the full screen needs the package textual: pip install 'pybpftime[debug]'")
    if not (sys.__stdin__ and sys.__stdin__.isatty() and sys.__stdout__ and sys.__stdout__.isatty()):
        raise InputError("the full screen needs a terminal: standard input or output is none")


__all__ = ["require_screen", "run_tui"]
