"""`pybpftime debug --pid` and `debug OBJ -- COMMAND`: programs at the probes of a live process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pybpftime.attach.environment import LiveEnvironment
from pybpftime.attach.probe import Ending
from pybpftime.cli.trace import exit_code, find_targets
from pybpftime.debug.answers import AnswerBook
from pybpftime.debug.live import LiveDebug
from pybpftime.debug.repl import Interpreter
from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason, Stop
from pybpftime.debug.symbols import DebugFile
from pybpftime.helpers import HelperTable
from pybpftime.machine import LEVELS
from pybpftime.program.spec import ObjectSpec
from pybpftime.runtime import Object

Talk = Callable[[Interpreter, Callable[[], bool]], None]
"""Executes commands until the function says that it is time to let the process run, or the user quits."""


class Left(Exception):  # control flow, not an error
    """The user quit: the process is to be left."""


def debug_live(
    spec: ObjectSpec,
    content: bytes,
    *,
    pid: int | None,
    command: Sequence[str],
    programs: Sequence[str],
    places: Sequence[str],
    level: str,
    helpers: HelperTable,
    make_interpreter: Callable[[Session], Interpreter],
    talk: Talk,
) -> int:
    """Debug the programs of `spec` in process `pid`, or in the `command` that is started; the result is the exit code.

    The process stands still while commands are read: before it goes on for the first time, and at every stop.
    """
    from pybpftime.attach.session import BreakpointSession

    targets = find_targets(spec, programs, places)
    loaded = Object(spec, level=LEVELS[level], environment=AnswerBook(LiveEnvironment()), helpers=helpers)
    for name, _ in targets:
        loaded[name].prepare()
    session = Session(loaded, debug=DebugFile(content), is_open=True)
    attached = BreakpointSession.start(command) if pid is None else BreakpointSession.attach(pid)
    with attached:
        repl = make_interpreter(session)

        def interact(stop: Stop) -> bool:
            with _interruptible():
                repl.show(stop)
                talk(repl, lambda: session.stop.reason is Reason.END)
            if repl.finished:
                raise Left
            return True

        live = LiveDebug(session, attached, interact)
        for name, target in targets:
            live.attach(loaded[name], target)
        live.stop_at_hits = False
        what = f"process {attached.pid}" if pid is not None else " ".join(command)
        names = ", ".join(dict.fromkeys(name for name, _ in targets))
        repl.say(f"{what} waits, with {names} at its probes: set breakpoints, then `continue`")
        ending = Ending()
        try:
            with _interruptible():
                talk(repl, lambda: session.stop.reason is Reason.END)
            if not repl.finished:
                ending = live.serve()
        except Left:
            pass
    return exit_code(attached.pid, ending) if pid is None else repl.exit_code or 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C comes through, which is held back while a process is served."""
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
