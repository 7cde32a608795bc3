"""Debugging the programs at the probes of a live process: each hit is an invocation.

While a program is stopped in the debugger, the thread that came to the probe is frozen in its function; when the
program is done, it goes on.  What came before stays: one can go back to earlier hits, which are executed again on the
registers and the memory that they saw, while the thread waits.
"""

from __future__ import annotations

from collections.abc import Callable

from pybpftime.attach.environment import LiveEnvironment
from pybpftime.attach.probe import Attachment, Ending, Handler, Probe
from pybpftime.attach.target import ProbeTarget
from pybpftime.debug.answers import AnswerBook, fields_of
from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason, Stop
from pybpftime.debug.timeline import Invocation
from pybpftime.errors import InternalError
from pybpftime.runtime import Program

Interact = Callable[[Stop], bool]
"""Called at each stop, in the thread that serves the process.  It moves the session; it returns when the session is at
its end (Reason.END): True to go on, False to let the process run without stopping it again."""


class LiveDebug:
    """The programs of `session` in the process of `attachment`.

    The environment of the session's object is an AnswerBook of a LiveEnvironment.  The first hit stops before its first
    instruction; later ones at breakpoints, watchpoints and faults, or where `stop_at_hits` asks for it.
    """

    def __init__(self, session: Session, attachment: Attachment, interact: Interact) -> None:
        book = session.object.environment
        if not isinstance(book, AnswerBook) or not isinstance(book.source, LiveEnvironment):
            raise InternalError("a live session asks a LiveEnvironment")
        self.session = session
        self.stop_at_hits = True
        """Whether the next hit stops at its beginning, whatever there is."""
        self.is_detached = False
        """Whether nothing stops any more: programs run as they would without a debugger, and no history grows."""
        self._attachment = attachment
        self._interact = interact
        self._source = book.source
        self._source.enter(attachment)

    def attach(self, program: Program, target: ProbeTarget) -> None:
        """Run `program` at `target`.  InputError or HostError when that cannot be done."""
        self._attachment.add(Probe(target, self._handler(program)))

    def serve(self) -> Ending:
        """Run the process until it ends or we are interrupted; every probe is taken out then."""
        return self._attachment.serve()

    def _handler(self, program: Program) -> Handler:
        def handle(tid: int) -> None:
            self._source.tid = tid
            label = f"hit {len(self.session.world.invocations) + 1} (thread {tid})"
            registers = bytes(self._attachment.registers)
            self._hit(Invocation(program.name, ctx=registers, fields=fields_of(self._source), label=label))

        return handle

    def _hit(self, invocation: Invocation) -> None:
        session = self.session
        session.world.invocations.append(invocation)
        session.next_invocation()
        if self.is_detached:
            session.world.advance(pausable=False)
            return
        stop = session.stop if self.stop_at_hits else session.resume()
        self.stop_at_hits = False
        while stop.reason is not Reason.END and not self.is_detached:
            self.is_detached = not self._interact(stop)
            stop = session.stop
        if self.is_detached:
            session.goto(session.world.timeline.end)
            session.world.advance(pausable=False)
