"""A campaign in processes of its own: shards go to whoever is free, and into the journal when they are done.

A runtime that lives in the process that asks it may end that process, or never come back.  Then the case that it was
at is noted, and the shard done again by another process without asking that case: a finding like any other.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from pybpftime.conformance.fuzz.comparison import Kind
from pybpftime.conformance.fuzz.findings import Finding
from pybpftime.conformance.fuzz.journal import Journal
from pybpftime.conformance.fuzz.plan import Plan
from pybpftime.conformance.fuzz.shard import ShardResult
from pybpftime.errors import BpfError, HostError

STALL = 120.0
"""Seconds without a new question after which a process is ended: adapters have clocks of their own."""
OPENING = 60.0
"""Seconds more for a process that has not begun."""
LAST = 15.0
"""Seconds that shards may still take when the time is up."""
DEATHS = 20
"""Cases of one shard that may end a process."""
LOOK = 0.5
NOT_BEGUN = -1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is: shards and cases done, here and before; of this run, the cases and the seconds."""

    shards: int
    cases: int
    findings: int
    cases_here: int
    seconds: float

    @property
    def rate(self) -> float:
        """Cases a second in this run."""
        return self.cases_here / self.seconds if self.seconds else 0.0


Watch = Callable[[Progress], None]


def shard_numbers(journal: Journal, cases: int | None, part: tuple[int, int] = (1, 1)) -> Iterator[int]:
    """The shards to be done, endless when `cases` is None.

    Part (K, N) has every N-th shard, from the K-th on.
    """
    first, step = part[0] - 1, part[1]
    number = first
    while cases is None or number * journal.plan.shard < cases:
        if number not in journal.shards:
            yield number
        number += step


@dataclass(slots=True)
class _Task:
    number: int
    crashed: dict[int, Kind] = field(default_factory=dict)


class Campaign:
    """Does shards in `jobs` processes and writes them into `journal`."""

    def __init__(self, journal: Journal, *, jobs: int, watch: Watch = lambda progress: None) -> None:
        self._journal = journal
        self._jobs = jobs
        self._watch = watch
        self._workers: list[_Worker] = []
        self._again: deque[_Task] = deque()
        self._began = time.monotonic()
        self._cases = 0

    def run(
        self, numbers: Iterable[int], seconds: float | None = None, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Until all `numbers` are done, or `stopped` says so; no new shard is begun after `seconds`.

        HostError when the runtimes cannot be asked.  However this ends, the journal has every shard that was done.
        """
        waiting = iter(numbers)
        self._began = time.monotonic()
        end = None if seconds is None else self._began + seconds
        try:
            while self._give(waiting, end):
                if stopped() or (end is not None and time.monotonic() > end + LAST):
                    return
                wait([worker.pipe for worker in self._workers if worker.task], timeout=LOOK)
                for worker in list(self._workers):
                    self._settle(worker)
                self._watch(self.progress())
        finally:
            for worker in self._workers:
                worker.end()
            self._workers.clear()

    def progress(self) -> Progress:
        """How far it is."""
        shards = self._journal.shards.values()
        under_way = sum(worker.place[0] + 1 for worker in self._workers if worker.task)
        return Progress(
            len(self._journal.shards),
            sum(shard.cases for shard in shards) + under_way,
            len(self._journal.findings),
            self._cases + under_way,
            time.monotonic() - self._began,
        )

    def _give(self, waiting: Iterator[int], end: float | None) -> bool:
        """Give every free worker a shard; whether anybody has one."""
        over = end is not None and time.monotonic() > end
        while not over and sum(worker.task is not None for worker in self._workers) < self._jobs:
            task = self._again.popleft() if self._again else None
            if task is None:
                number = next(waiting, None)
                if number is None:
                    break
                task = _Task(number)
            free = next((worker for worker in self._workers if worker.task is None), None)
            if free is None:
                free = _Worker(self._journal.plan)
                self._workers.append(free)
            free.give(task, self._journal.findings)
        return any(worker.task is not None for worker in self._workers)

    def _settle(self, worker: _Worker) -> None:
        """Take what a worker has done, or what is left of one that is no more."""
        task = worker.task
        if task is None:
            return
        answer = worker.answer()
        if isinstance(answer, ShardResult):
            worker.task = None
            if self._journal.add(answer):
                self._cases += answer.cases
        elif isinstance(answer, BpfError):
            raise answer
        elif answer is not None:
            self._workers.remove(worker)
            if worker.place[0] == NOT_BEGUN:
                raise HostError("a process that was to ask the runtimes ended before it had begun")
            task.crashed[worker.place[0]] = answer
            if len(task.crashed) > DEATHS:
                raise HostError(f"shard {task.number} ended {DEATHS} processes: the runtime takes its process with it")
            self._again.append(task)


class _Worker:
    """A process with its runtimes; `place` is the case of the shard that it is at, and how many questions it asked."""

    def __init__(self, plan: Plan) -> None:
        context = multiprocessing.get_context("spawn")  # no thread or descriptor of ours is in it
        self.pipe, theirs = context.Pipe()
        self.place: Any = context.Array("q", (NOT_BEGUN, 0), lock=False)
        self.process: BaseProcess = context.Process(target=work, args=(theirs, plan, self.place), daemon=False)
        self.process.start()
        theirs.close()
        self.task: _Task | None = None
        self._seen = (0, time.monotonic() + OPENING)

    def give(self, task: _Task, known: list[Finding]) -> None:
        """Begin a shard."""
        self.task = task
        self.place[0] = min(self.place[0], 0)
        self._seen = (self.place[1], max(self._seen[1], time.monotonic()))
        with contextlib.suppress(OSError):  # when it is dead, that is seen when it is asked
            self.pipe.send((task.number, known, task.crashed))

    def answer(self) -> ShardResult | BpfError | Kind | None:
        """The shard, why it cannot be done, or how the process ended; None while it is at work."""
        try:
            if self.pipe.poll():
                received: ShardResult | BpfError = self.pipe.recv()
                return received
        except (EOFError, OSError):
            self.end()
            return Kind.CRASH
        asked, since = self._seen
        if self.place[1] != asked:
            self._seen = (self.place[1], time.monotonic())
        elif time.monotonic() - since > STALL:
            self.end()
            return Kind.HANG
        return None

    def end(self) -> None:
        """End the process, which closes its runtimes if it still can."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def work(pipe: Connection, plan: Plan, place: Any) -> None:
    """What a worker does until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the campaign, which then ends this process
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))

    def at(index: int) -> None:
        place[0] = index
        place[1] += 1

    with contextlib.suppress(EOFError, OSError):
        try:
            with plan.open() as bench:
                while True:
                    number, known, crashed = pipe.recv()
                    pipe.send(bench.judge(number, known, crashed=crashed, at=at))
        except BpfError as error:
            pipe.send(error)
