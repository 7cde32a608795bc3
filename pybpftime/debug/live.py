"""Debugging the programs at the probes of a live process: each hit is an invocation.

While a program is stopped in the debugger, the thread that came to the probe is frozen in its function; when the
debugger asks for the next hit, it goes on.  What came before stays: one can go back to earlier hits, which are executed
again on the registers and the memory that they saw, while the thread waits.

A tracer is a thread, and whoever debugs has a thread of its own; so the process is served in a third one, which hands
hits over.  Between two hits, and before the first is asked for, nobody is waited for but the process.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from threading import Condition, Thread

from pybpftime.attach.environment import LiveEnvironment
from pybpftime.attach.probe import Attachment, Ending, Handler, Probe
from pybpftime.attach.target import ProbeTarget
from pybpftime.debug.answers import fields_of
from pybpftime.debug.timeline import Invocation

LOOK_EVERY = 0.05
"""Seconds between two looks at whether somebody interrupts the wait for a hit."""
PATIENCE = 10.0
"""Seconds that `close` waits until every probe is out of the process."""


class LiveProcess:
    """The hits of `programs`, by name and place, in a process: a Source of invocations.

    `attach` stops the process, or starts one; it is called in the thread that serves it.  The process waits until the
    first hit is asked for, and from each hit until the next one is.  What was started is to be closed.
    """

    def __init__(
        self,
        attach: Callable[[], Attachment],
        environment: LiveEnvironment,
        programs: Iterable[tuple[str, ProbeTarget]],
    ) -> None:
        self.ending = Ending()
        """How it ended, once it is done."""
        self.notes: list[str] = []
        """Sentences on what could not be done as asked, for people."""
        self._attach = attach
        self._environment = environment
        self._programs = list(programs)
        self._attachment: Attachment | None = None
        self._changed = Condition()
        self._hit: Invocation | None = None
        self._hits = 0
        self._is_asked = False
        self._is_left = False
        self._is_done = False
        self._error: BaseException | None = None
        self._blocked_before: set[int | signal.Signals] = set()
        self._thread = Thread(target=self._work, name="tracer", daemon=True)

    def start(self) -> None:
        """Stop the process with its probes set, or start it so.  InputError or HostError when that cannot be done.

        Until `close` SIGCHLD is blocked in the thread that calls this, and in those that it starts; threads that it has
        started before must have it blocked, too.
        """
        self._thread.start()
        # It is the other thread's: see `BreakpointSession.serve`.
        self._blocked_before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        with self._changed:
            self._changed.wait_for(lambda: self._attachment is not None or self._is_done)
        if self._is_done:
            self.close()
            self.raise_error()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._environment.pid

    @property
    def programs(self) -> list[str]:
        """The names of those that are at probes."""
        return list(dict.fromkeys(name for name, _ in self._programs))

    @property
    def is_done(self) -> bool:
        """Whether the process has ended, or is not ours any more."""
        return self._is_done

    def next(self, is_interrupted: Callable[[], bool]) -> Invocation | None:
        """Let the process go on to its next hit.  HostError when it cannot be traced any more."""
        with self._changed:
            self._is_asked = True
            self._changed.notify_all()
            while self._hit is None and not self._is_done and not is_interrupted():
                self._changed.wait(LOOK_EVERY)
            hit, self._hit = self._hit, None
            if hit is not None:
                self._is_asked = False
        if hit is None and self._is_done:
            self.raise_error()
        return hit

    def close(self) -> None:
        """Take every probe out and let the process go on.  May be called again."""
        with self._changed:
            self._is_left = True
            self._changed.notify_all()
            if self._attachment is not None and not self._is_done:
                self._attachment.leave()
        if self._thread.ident is not None:
            self._thread.join(PATIENCE)
            if signal.SIGCHLD not in self._blocked_before:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})

    def raise_error(self) -> None:
        """Raise what ended it, if that was an error that was not raised yet."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    # -- in the thread of the tracer -----------------------------------------------------------------------------------

    def _work(self) -> None:
        # What blocks SIGCHLD in all threads is not for a process that is started here.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        try:
            attachment = self._attach()
            try:
                self._serve(attachment)
            finally:
                attachment.close()
        except BaseException as error:  # it is raised where hits are asked for
            self._error = error
        with self._changed:
            self._is_done = True
            self._changed.notify_all()

    def _serve(self, attachment: Attachment) -> None:
        self._environment.enter(attachment)
        for name, target in self._programs:
            attachment.add(Probe(target, self._handler(name, attachment)))
        with self._changed:
            self._attachment, self.notes = attachment, attachment.notes
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_asked or self._is_left)
        self.ending = attachment.serve()

    def _handler(self, program: str, attachment: Attachment) -> Handler:
        def handle(tid: int) -> None:
            if self._is_left:
                return
            self._environment.tid = tid
            self._hits += 1
            label = f"hit {self._hits} (thread {tid})"
            fields = fields_of(self._environment)
            self._hand_over(Invocation(program, ctx=bytes(attachment.registers), fields=fields, label=label))

        return handle

    def _hand_over(self, hit: Invocation) -> None:
        """Wait until the hit was taken and the next one is asked for."""
        with self._changed:
            self._hit = hit
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_left or (self._hit is None and self._is_asked))
