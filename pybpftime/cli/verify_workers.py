"""Verifying programs in processes of their own, several at a time: what goes wrong with one harms no other.

A verification that needs more than its memory, crashes or does not end when its time is up becomes an answer too.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.uapi import ProgramType
from pybpftime.verifier import Objection, Report, Verdict, solver_is_there
from pybpftime.verifier.reasons import REASONS

MEMORY = 2 << 30
"""Bytes of address space that one verification may have."""
GRACE = 10.0
"""Seconds beyond its time limit after which a process is ended."""
PROGRAMS_PER_PROCESS = 50
LOOK = 0.5
"""Seconds between two looks at the clocks."""
ORPHAN = 5.0
"""Seconds after which a process without work looks whether it still has a parent."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What each verification may take: abstract instructions, and seconds (None: any)."""

    budget: int
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Task:
    """A program of `spec` to verify, and what the object is called for people."""

    file: str
    spec: ObjectSpec
    program: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a task: a Report, or a sentence in `error` when there is none."""

    task: Task
    report: Report | None = None
    error: str = ""

    @property
    def verdict(self) -> str:
        """The word for it."""
        return "error" if self.report is None else str(self.report.verdict)

    @property
    def type(self) -> ProgramType:
        """The type of its program."""
        return _program(self.task).type

    @property
    def without_solver(self) -> bool:
        """Whether the solver might have decided it, but is not installed."""
        undecided = self.report is not None and self.report.verdict is Verdict.NOT_PROVED
        return undecided and not solver_is_there()


def verify_all(
    tasks: Sequence[Task], limits: Limits, helper_files: tuple[str, ...], processes: int, done: Callable[[Answer], None]
) -> list[Answer]:
    """Verify all, the longest first; the answers in the order of the tasks.  `done` is told of each as it comes."""
    waiting = sorted(range(len(tasks)), key=lambda index: len(_program(tasks[index]).instructions))
    answers: dict[int, Answer] = {}
    workers: list[_Worker] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < processes:
                workers.append(_Worker(limits, helper_files))
            for worker in workers:
                if worker.index is None and waiting:
                    index = waiting.pop()
                    worker.give(index, tasks[index])
            wait([worker.pipe for worker in workers], timeout=LOOK)
            for worker in list(workers):
                answer = worker.answer(tasks)
                if answer is not None and worker.index is not None:
                    answers[worker.index] = answer
                    done(answer)
                    worker.index = None
                if worker.index is None and (worker.is_spent or not waiting):
                    worker.end()
                    workers.remove(worker)
    finally:
        for worker in workers:
            worker.end()
    return [answers[index] for index in range(len(tasks))]


@dataclass(slots=True)
class _Worker:
    """A process, and what it is at: `index` of the task, None when it is idle."""

    limits: Limits
    helper_files: tuple[str, ...]
    process: BaseProcess = field(init=False)
    pipe: Connection = field(init=False)
    left: int = PROGRAMS_PER_PROCESS
    index: int | None = None
    deadline: float | None = None
    failed: bool = False

    def __post_init__(self) -> None:
        # A process with threads cannot be forked safely.
        alone = threading.active_count() == 1
        context = multiprocessing.get_context("fork") if alone else multiprocessing.get_context("forkserver")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.limits, self.helper_files), daemon=True)
        self.process.start()
        theirs.close()

    @property
    def is_spent(self) -> bool:
        """Whether another process is to take its place."""
        return self.failed or self.left <= 0

    def give(self, index: int, task: Task) -> None:
        self.index = index
        self.left -= 1
        timeout = self.limits.timeout
        self.deadline = None if timeout is None else time.monotonic() + timeout + GRACE
        with contextlib.suppress(OSError):  # when it is dead, that is seen when it is asked
            self.pipe.send(task)

    def answer(self, tasks: Sequence[Task]) -> Answer | None:
        """What became of its task; None while it is at it."""
        if self.index is None:
            return None
        task = tasks[self.index]
        try:
            if self.pipe.poll():
                answer: Answer = self.pipe.recv()
                return Answer(task, answer.report, answer.error)
        except (EOFError, OSError):
            self.failed = True
            self.process.join()
            return Answer(task, error=f"internal error: the process that verified it ended ({_ending(self.process)})")
        if self.deadline is not None and time.monotonic() > self.deadline:
            self.failed = True
            return Answer(task, _given_up(task, "timeout", f"not decided within {self.limits.timeout:g} seconds"))
        return None

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


def _ending(process: BaseProcess) -> str:
    code = process.exitcode or 0
    if code >= 0:
        return f"exit code {code}"
    return f"signal {-code}, {signal.strsignal(-code) or 'unknown'}"


# --- in the process ---------------------------------------------------------------------------------------------------


def serve(pipe: Connection, limits: Limits, helper_files: tuple[str, ...]) -> None:
    """The life of a worker: tasks come in, answers go out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_memory(MEMORY)
    parent = os.getppid()
    try:
        while True:
            while not pipe.poll(ORPHAN):
                if os.getppid() != parent:  # it was killed; the pipe does not tell, a fork has both its ends
                    os._exit(0)
            task: Task = pipe.recv()
            answer = verified(task, limits, helper_files)
            pipe.send(Answer(Task(task.file, ObjectSpec(None, {}, {}), task.program), answer.report, answer.error))
    except (EOFError, OSError):
        os._exit(0)


def _limit_memory(size: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))


def verified(task: Task, limits: Limits, helper_files: tuple[str, ...]) -> Answer:
    """Verify one program, here and now."""
    from pybpftime.runtime.load import resolve_helpers
    from pybpftime.runtime.verification import verify_program

    try:
        helpers, _ = resolve_helpers(helper_files)
        report = verify_program(task.spec, _program(task), helpers, budget=limits.budget, timeout=limits.timeout)
        return Answer(task, report)
    except MemoryError:
        pass  # left first, so that what took the memory is free when the answer is made
    except Exception as error:  # whatever a verifier does wrong is said, and the others go on
        return Answer(task, error=f"internal error: {type(error).__name__}: {error}")
    return Answer(task, _given_up(task, "budget", f"not decided within {MEMORY >> 30} GB of memory"))


def _program(task: Task) -> ProgramSpec:
    return task.spec.programs[task.program]


def _given_up(task: Task, code: str, sentence: str) -> Report:
    return Report(task.program, Verdict.NOT_PROVED, Objection(REASONS[code], sentence))
