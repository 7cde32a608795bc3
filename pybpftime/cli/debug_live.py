"""`pybpftime debug --pid` and `debug OBJ -- COMMAND`: programs at the probes of a live process."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from types import FrameType

import click

from pybpftime.cli.trace import exit_code
from pybpftime.debug.launch import Launch
from pybpftime.debug.launch_live import LiveTarget, open_live
from pybpftime.debug.session import Session

ENDINGS = (signal.SIGTERM, signal.SIGHUP)
"""What ends the debugger, but not before every probe is out of the process."""
LONGEST_LINE = 1 << 16


def debug_live(
    launch: Launch, target: LiveTarget, face: Callable[[Session, str], int], *, has_screen: bool = False
) -> int:
    """Let `face` debug the programs of an object in a process; the result is the exit code.

    The face gets the session and a sentence on what there is.  The process stands still until the first hit is asked
    for, and from each hit until the next one is.  In the end it is left; one that was started is waited for, and the
    exit code is its own unless the face has one.  With `has_screen` what it writes is put out by the session, and it
    reads nothing.
    """
    with leaving_in_the_end(), written_by_the_session(has_screen and target.pid is None) as give_to:
        session, process = open_live(launch, target)
        try:
            give_to(session)
            what = shlex.join(target.command) if target.pid is None else f"process {process.pid}"
            code = face(session, f"{what} waits, with {', '.join(process.programs)} at its probes")
        finally:
            process.close()
            give_to(None)
        for note in process.notes:
            click.echo(note, err=True)
        process.raise_error()
        ended = 0 if target.pid is not None else exit_code(process.pid, process.ending)
        return code or ended


@contextmanager
def leaving_in_the_end() -> Iterator[None]:
    """Meanwhile signals that end the debugger do what an exception does: whatever is open is closed."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in ENDINGS}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


@contextmanager
def written_by_the_session(is_wanted: bool) -> Iterator[Callable[[Session | None], None]]:
    """What a process that is started within writes is put out by the session that the function is given.

    Without a session it is written where it would have been.  The process reads nothing.
    """
    if not is_wanted:
        yield lambda session: None
        return
    kept = [os.dup(number) for number in range(3)]
    nothing, (read_end, write_end) = os.open(os.devnull, os.O_RDONLY), os.pipe()
    for number, file in enumerate((nothing, write_end, write_end)):
        os.dup2(file, number)
    os.close(nothing)
    os.close(write_end)
    pump = _Pump(read_end, kept)
    pump.start()
    try:
        yield pump.give_to
    finally:
        pump.give_to(None)
        pump.join(1.0)  # for what was written last; who has inherited the pipe may have it longer


class _Pump(Thread):
    """Takes lines out of a pipe.  `give_to` puts the terminal back when the process has it no more."""

    def __init__(self, read_end: int, kept: list[int]) -> None:
        super().__init__(name="output", daemon=True)
        self._read_end = read_end
        self._kept = kept
        self._session: Session | None = None

    def give_to(self, session: Session | None) -> None:
        self._session = session
        for number, file in enumerate(self._kept):
            os.dup2(file, number)
            os.close(file)
        self._kept = []

    def run(self) -> None:
        with open(self._read_end, errors="replace") as lines:
            while line := lines.readline(LONGEST_LINE):
                output = None if self._session is None else self._session.output
                if output is None:
                    sys.stdout.write(line)
                    sys.stdout.flush()
                else:
                    output("process", line.rstrip("\n"))
