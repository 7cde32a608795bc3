"""From what a user wants to debug in a live process to a Session: the same for all faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pybpftime.attach.environment import LiveEnvironment
from pybpftime.attach.probe import Attachment
from pybpftime.debug.answers import AnswerBook, fields_of
from pybpftime.debug.launch import Launch, debug_file, load
from pybpftime.debug.live import LiveProcess
from pybpftime.debug.session import Output, Session
from pybpftime.runtime.probe_targets import find_targets

LIVE_LEVEL = "linux"
"""Of live processes, where Linux's rules hold."""


@dataclass(frozen=True, slots=True)
class LiveTarget:
    """A live process: the one with number `pid`, or else the one that `command` starts.

    `places` say where programs are attached, as `--at` does; else their sections do.
    """

    pid: int | None = None
    command: Sequence[str] = ()
    places: Sequence[str] = ()

    def attach(self) -> Attachment:
        """Stop the process.  HostError when that cannot be done."""
        from pybpftime.attach.session import BreakpointSession  # Linux on x86-64 alone has it

        return BreakpointSession.start(self.command) if self.pid is None else BreakpointSession.attach(self.pid)


def open_live(launch: Launch, target: LiveTarget, output: Output | None = None) -> tuple[Session, LiveProcess]:
    """A session on a live process, which waits until the first hit is asked for; in the end it is to be closed.

    InputError or HostError when its probes cannot be set.
    """
    environment = LiveEnvironment()
    names = [] if launch.program is None else [launch.program]
    programs = find_targets(launch.spec, names, target.places)
    book = AnswerBook(environment)
    loaded = load(launch, book)
    for name, _ in programs:
        loaded[name].prepare()
    process = LiveProcess(target.attach, environment, programs)
    session = Session(loaded, debug=debug_file(launch), budget=launch.budget, output=output, source=process)
    process.start()
    book.enter(fields_of(environment))  # until the first hit: its first thread
    return session, process
