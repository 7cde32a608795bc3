"""Asking in processes of their own, several at a time: what goes wrong with one case harms no other.

A process opens its own runtime and is given cases by their index, a few at a time.  One that dies, or does not answer
when its time is up, costs the case that it was at: another takes its place, and the rest goes on.  Every process leads
a session of its own, so that Ctrl-C in a terminal does not reach the runtimes, and what they left behind ends with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Protocol, TypeVar

from pybpftime.conformance.case import Case

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

OPENING = 30.0
"""Seconds that opening a runtime may take beside the time of its first case."""
GRACE = 5.0
"""Seconds beyond the time of a case after which its process is ended, and that a process has for its own end."""
LOOK = 0.2
"""Seconds between two looks at the clocks, and at whether to stop."""
ORPHAN = 2.0
"""Seconds after which a process without work looks whether it still has a parent."""
MOST_AT_ONCE = 32
"""Cases that a process is given at a time."""


class Asked(Protocol[T_co]):
    """What answers a case: a runtime, or whatever else takes one."""

    def run(self, case: Case) -> T_co:
        """The answer."""

    def close(self) -> None:
        """Give back its resources."""


Opener = Callable[[], Asked[T]]
"""Opens what is asked; called in the process that asks, again after an exception."""


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """What came of asking the case with that index: a `value`, or a sentence in `failure`."""

    index: int
    value: T | None = None
    failure: str = ""
    timed_out: bool = False
    seconds: float = 0.0


class Pool(Generic[T]):
    """Processes that ask.  `timeout` is the time of a case in seconds; `stopped` ends the replies early when true."""

    def __init__(
        self,
        opener: Opener[T],
        cases: Sequence[Case],
        *,
        jobs: int,
        timeout: float,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._opener = opener
        self._cases = cases
        self._jobs = jobs
        self._timeout = timeout
        self._stopped = stopped
        self._waiting: deque[int] = deque()
        self._workers: list[_Worker[T]] = []

    def ask(self, indices: Iterable[int]) -> None:
        """Ask these cases too; while the replies are read as well."""
        self._waiting.extend(indices)

    def replies(self) -> Generator[Reply[T], None, None]:
        """One reply for each case asked, as they come.  The processes end with this iterator."""
        try:
            while (self._waiting or self._workers) and not self._stopped():
                self._give()
                wait([worker.pipe for worker in self._workers], timeout=LOOK)
                for worker in list(self._workers):
                    yield from worker.replies()
                    self._settle(worker)
        finally:
            self._end()

    def _give(self) -> None:
        while len(self._workers) < min(self._jobs, len(self._waiting)):
            self._workers.append(_Worker(self._opener, self._cases, self._timeout))
        for worker in self._workers:
            if not worker.at and self._waiting:
                share = len(self._waiting) // (4 * self._jobs)
                count = min(max(share, 1), MOST_AT_ONCE, len(self._waiting))
                worker.give([self._waiting.popleft() for _ in range(count)])

    def _settle(self, worker: _Worker[T]) -> None:
        """Take back what a process that failed has not done; let one go that has nothing to do."""
        if worker.failed:
            self._waiting.extendleft(reversed(worker.at))
            worker.at.clear()
        if worker.failed or not (worker.at or self._waiting):
            worker.end()
            self._workers.remove(worker)

    def _end(self) -> None:
        for worker in self._workers:
            worker.ask_to_end()
        for worker in self._workers:
            worker.end()
        self._workers.clear()


@dataclass(slots=True, eq=False)
class _Worker(Generic[T]):
    """A process, and the indices of the cases that it is `at`, the present one first."""

    opener: Opener[T]
    cases: Sequence[Case]
    timeout: float
    process: BaseProcess = field(init=False)
    pipe: Connection = field(init=False)
    at: deque[int] = field(default_factory=deque)
    deadline: float = 0.0
    failed: bool = False
    begun: bool = False

    def __post_init__(self) -> None:
        # A process with threads cannot be forked safely.
        alone = threading.active_count() == 1
        context = multiprocessing.get_context("fork") if alone else multiprocessing.get_context("forkserver")
        self.pipe, theirs = context.Pipe()
        # A process that is forked late, when this one is gone already, must not take another one for its parent.
        parent = os.getpid() if alone else None
        self.process = context.Process(target=serve, args=(theirs, self.opener, self.cases, parent))
        self.process.start()
        theirs.close()

    def give(self, indices: list[int]) -> None:
        self.at.extend(indices)
        self._wind(0.0 if self.begun else OPENING)
        self.begun = True
        with contextlib.suppress(OSError):  # when it is dead, that is seen when it is asked
            self.pipe.send(indices)

    def _wind(self, extra: float = 0.0) -> None:
        self.deadline = time.monotonic() + self.timeout + GRACE + extra

    def replies(self) -> Iterator[Reply[T]]:
        """What it has answered; at most one reply that it has failed."""
        try:
            while self.pipe.poll():
                reply: Reply[T] = self.pipe.recv()
                self.at.popleft()
                self._wind()
                yield reply
        except (EOFError, OSError):
            self.failed = True
            self.end()
            if self.at:
                yield Reply(self.at.popleft(), failure=f"the process that asked it ended ({_ending(self.process)})")
            return
        if self.at and time.monotonic() > self.deadline:
            self.failed = True
            yield Reply(self.at.popleft(), failure=f"no answer within {self.timeout:g} seconds", timed_out=True)

    def ask_to_end(self) -> None:
        """Let it close its runtime, in the middle of a case too."""
        self.process.terminate()

    def end(self) -> None:
        """End it, and everything that it or its runtime started; may be called twice."""
        if self.pipe.closed:
            return
        self.pipe.close()
        if not wait([self.process.sentinel], timeout=0):
            self.ask_to_end()
            wait([self.process.sentinel], timeout=GRACE)
        # Not reaped yet, so the number is still that of its session.
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        self.process.kill()
        self.process.join()


def _ending(process: BaseProcess) -> str:
    code = process.exitcode or 0
    if code >= 0:
        return f"exit code {code}"
    return f"signal {-code}, {signal.strsignal(-code) or 'unknown'}"


# --- in the process ---------------------------------------------------------------------------------------------------


def serve(pipe: Connection, opener: Opener[T], cases: Sequence[Case], parent: int | None = None) -> None:
    """The life of a process: indices come in, replies go out, until nobody wants more, or `parent` is gone.

    `parent` is the number of the process that forked this one; None for whatever process did.
    """
    with contextlib.suppress(OSError):  # already a leader
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asking = _Asking(opener, os.getppid() if parent is None else parent)
    try:
        _answer(pipe, asking, cases)
    finally:
        asking.close()


def _answer(pipe: Connection, asking: _Asking[T], cases: Sequence[Case]) -> None:
    """Until nobody wants more; from then on SIGTERM means nothing, so that it does not interrupt what is closed."""
    try:
        while asking.is_wanted:
            if not pipe.poll(ORPHAN):
                continue
            for index in pipe.recv():
                if asking.is_wanted:  # the pipe does not tell: a fork has both its ends
                    _send(pipe, asking.reply(index, cases[index]))
    except (EOFError, OSError):
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _leave(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)


def _send(pipe: Connection, reply: Reply[Any]) -> None:
    try:
        pipe.send(reply)
    except (OSError, SystemExit):
        raise
    except Exception as error:  # an answer that cannot be sent is the adapter's fault
        failed: Reply[Any] = Reply(reply.index, failure=_internal(error), seconds=reply.seconds)
        pipe.send(failed)


@dataclass(slots=True)
class _Asking(Generic[T]):
    """What is asked, once it is open."""

    opener: Opener[T]
    parent: int
    asked: Asked[T] | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the process that started this one still lives."""
        return os.getppid() == self.parent

    def reply(self, index: int, case: Case) -> Reply[T]:
        began = time.perf_counter()
        try:
            if self.asked is None:
                self.asked = self.opener()
                began = time.perf_counter()
            value = self.asked.run(case)
        except Exception as error:  # adapters answer for everything; one that does not is said, and opened anew
            self.close()
            return Reply(index, failure=_internal(error), seconds=time.perf_counter() - began)
        return Reply(index, value, seconds=time.perf_counter() - began)

    def close(self) -> None:
        asked, self.asked = self.asked, None
        if asked is not None:
            with contextlib.suppress(Exception):
                asked.close()


def _internal(error: Exception) -> str:
    return f"InternalError: the adapter of the runtime failed: {type(error).__name__}: {error}"
