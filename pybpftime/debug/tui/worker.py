"""The one thread that works with the session: it does jobs in their order and hands out views.

Everything else sees the session through `Report`s only, so that nothing waits for a program that runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, Thread

from pybpftime.debug.tui.bench import Bench, Job
from pybpftime.debug.tui.view import View

PATIENCE = 5.0
"""Seconds that `close` waits for a job that was interrupted."""


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to see after a job; `is_finished`: the user wants to leave."""

    view: View
    is_finished: bool = False


class Worker:
    """Does jobs.  `submit`, `interrupt` and the properties may be used by any thread."""

    def __init__(
        self, bench: Bench, on_report: Callable[[Report], None], on_failure: Callable[[BaseException], None]
    ) -> None:
        """Both functions are called in the worker's thread; `on_failure` with what is no BpfError."""
        self._bench = bench
        bench.on_known = self.look_again
        self._on_report = on_report
        self._on_failure = on_failure
        self._changed = Condition()
        self._jobs: deque[Job] = deque()
        self._running: Job | None = None
        self._is_closed = False
        self._thread = Thread(target=self._work, name="debugger", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Do a job when those before it are done."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def look_again(self) -> None:
        """Report what there is to see."""
        self.submit(Job("look", lambda bench: None))

    def interrupt(self) -> None:
        """Stop the job that is under way soon, and forget those that wait."""
        with self._changed:
            self._jobs.clear()
            if self._running is not None:
                self._bench.interrupt()

    def close(self) -> None:
        """Stop working; nothing is reported any more."""
        self._is_closed = True
        self.interrupt()
        with self._changed:
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)

    @property
    def running(self) -> Job | None:
        """The job that is under way."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    @property
    def step(self) -> int:
        """About where the program is."""
        return self._bench.session.world.step

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do; what the last job gave may not have been reported yet."""
        with self._changed:
            return self._running is None and not self._jobs

    def _work(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._bench.do(job)
                # Of many steps at once only the last is worth a view.
                seen = None if self._jobs or self._is_closed else self._bench.view()
                self._done()
                if seen is not None:
                    self._on_report(Report(seen, self._bench.interpreter.finished))
        except BaseException as error:  # a mistake of ours: it is raised where the screen ends
            self._done()
            self._on_failure(error)

    def _next(self) -> Job | None:
        with self._changed:
            while not self._jobs and not self._is_closed:
                self._changed.wait()
            if self._is_closed:
                return None
            self._running = self._jobs.popleft()
            return self._running

    def _done(self) -> None:
        with self._changed:
            self._running = None
            self._bench.session.world.paused = False  # an interrupt that came too late is not for the next job
