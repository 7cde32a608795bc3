"""Judging many programs, each where it can do no harm: its time, its memory and its crash end a process of ours."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from pybpftime.conformance.verifier_messages import MessageClass, class_of
from pybpftime.conformance.verifier_vectors import Vector
from pybpftime.kernel.btf import running_kernel_types
from pybpftime.maps.spec import MapSpec
from pybpftime.program.spec import ProgramSpec
from pybpftime.runtime.replay import replayer
from pybpftime.verifier import Replay

MEMORY = int(2.5 * (1 << 30))
"""RLIMIT_AS of a process that judges, in bytes."""
PROGRAMS_PER_PROCESS = 100
"""After so many a process is replaced, so that what one leaves behind does not count for the next."""
GRACE = 5.0
"""Seconds beyond the time limit after which a verifier that does not end is ended."""

SAFE, UNSAFE, RULE, NOT_PROVED, ERROR = VERDICTS = ("safe", "unsafe", "rule", "not proved", "error")
"""Our verdicts: `rule` is a rejection that is not about values, `error` is a crash, a hang or too much memory."""


class Verify(Protocol):
    """`pybpftime.verifier.verify`, as far as it is asked here."""

    def __call__(
        self,
        program: ProgramSpec,
        maps: Mapping[str, MapSpec],
        *,
        budget: int = ...,
        timeout: float | None = ...,
        replay: Any = ...,
        kernel_types: Any = ...,
        strict_alignment: bool = ...,
    ) -> Any: ...


@dataclass(frozen=True, slots=True)
class Job:
    """One program, and the name of the file that it is from."""

    file: str
    vector: Vector


@dataclass(frozen=True, slots=True)
class Limits:
    """What the verifier may take for one program: seconds, and instructions processed."""

    timeout: float
    budget: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """Both verdicts on one program.

    `verdict` is one of VERDICTS.  `code`, `category` and `sentence` are our reason, empty for safe programs;
    `message` and `message_class` the kernel's, for those that it rejects.  Times: ours in seconds, the kernel's in
    microseconds, None where it is not known.
    """

    file: str
    name: str
    slots: int
    kfuncs: bool
    kernel_accepts: bool
    verdict: str
    code: str = ""
    category: str = ""
    sentence: str = ""
    pc: int | None = None
    processed: int = 0
    seconds: float = 0.0
    message: str | None = None
    message_class: MessageClass | None = None
    kernel_processed: int | None = None
    kernel_microseconds: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def judge(job: Job, verify: Verify, limits: Limits) -> Judgement:
    """Ask the verifier about one program, here and now."""
    vector = job.vector
    if vector.program is None:
        return _judgement(job, RULE, code="malformed", category="structure", sentence=vector.malformed or "")
    began = time.perf_counter()
    report = verify(
        vector.program,
        vector.maps,
        budget=limits.budget,
        timeout=limits.timeout,
        replay=_replay(vector),
        kernel_types=running_kernel_types,
        strict_alignment=vector.strict_alignment,
    )
    facts: dict[str, Any] = {"processed": report.processed, "seconds": time.perf_counter() - began, "pc": report.pc}
    verdict = str(report.verdict)
    if verdict not in (SAFE, UNSAFE, NOT_PROVED):
        return _judgement(job, ERROR, sentence=f"the verdict is {verdict!r}", **facts)
    if report.objection is None:
        problem = "" if verdict == SAFE else "a verdict without a reason"
        return _judgement(job, ERROR if problem else SAFE, sentence=problem, **facts)
    reason = report.objection
    facts |= {"code": str(reason.code), "category": str(reason.category), "sentence": str(reason.sentence)}
    return _judgement(job, RULE if verdict == NOT_PROVED and reason.rule else verdict, **facts)


def _judgement(job: Job, verdict: str, **facts: Any) -> Judgement:
    vector, kernel = job.vector, job.vector.kernel
    assert kernel is not None
    return Judgement(
        job.file,
        vector.name,
        len(vector.program.instructions) if vector.program else 0,
        vector.kfuncs,
        kernel.accepts,
        verdict,
        message=kernel.message,
        message_class=None if kernel.accepts else class_of(kernel.message),
        kernel_processed=kernel.processed,
        kernel_microseconds=kernel.microseconds,
        **facts,
    )


def _replay(vector: Vector) -> Replay | None:
    """What runs a witness of the program."""
    return None if vector.program is None else replayer(vector.program, vector.maps)


def judge_all(jobs: Sequence[Job], verify: Verify, limits: Limits, *, processes: int) -> list[Judgement]:
    """Judge all in processes of their own, the long ones first; the judgements in the order of the jobs."""
    order = sorted(range(len(jobs)), key=lambda index: -_size(jobs[index]))
    done: dict[int, Judgement] = {}
    for index, judgement in _results(jobs, order, verify, limits, processes):
        done[index] = judgement
        _show_progress(len(done), len(jobs))
    return [done[index] for index in range(len(jobs))]


def _size(job: Job) -> int:
    return len(job.vector.program.instructions) if job.vector.program else 0


@dataclass(slots=True)
class _Worker:
    """A process that judges one program at a time: `index` is the job, None when it is idle."""

    process: BaseProcess
    pipe: Connection
    left: int = PROGRAMS_PER_PROCESS
    index: int | None = None
    deadline: float = 0.0

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


def _results(
    jobs: Sequence[Job], order: Sequence[int], verify: Verify, limits: Limits, processes: int
) -> Iterator[tuple[int, Judgement]]:
    waiting = list(reversed(order))
    workers: list[_Worker] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < processes:
                workers.append(_start(jobs, verify, limits))
            for worker in workers:
                if worker.index is None and waiting:
                    _give(worker, waiting.pop(), limits)
            wait([worker.pipe for worker in workers], timeout=0.2)
            for worker in list(workers):
                judgement = _look(worker, jobs)
                if judgement is not None:
                    assert worker.index is not None
                    yield worker.index, judgement
                    worker.index = None
                if worker.index is None and (worker.left <= 0 or not waiting or not worker.process.is_alive()):
                    worker.end()
                    workers.remove(worker)
    finally:
        for worker in workers:
            worker.end()


def _start(jobs: Sequence[Job], verify: Verify, limits: Limits) -> _Worker:
    context = multiprocessing.get_context("fork")  # the jobs are not copied
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, jobs, verify, limits), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _give(worker: _Worker, index: int, limits: Limits) -> None:
    worker.index = index
    worker.left -= 1
    worker.deadline = time.monotonic() + limits.timeout + GRACE
    with contextlib.suppress(OSError):  # when it is dead, that is seen when it is looked at
        worker.pipe.send(index)


def _look(worker: _Worker, jobs: Sequence[Job]) -> Judgement | None:
    """What became of the worker's job: its judgement, an error when the process failed, None when it is at work."""
    if worker.index is None:
        return None
    job = jobs[worker.index]
    try:
        if worker.pipe.poll():
            judgement = worker.pipe.recv()
            assert isinstance(judgement, Judgement)
            return judgement
    except (EOFError, OSError):
        worker.process.join()
        return _judgement(job, ERROR, code="crash", sentence=f"the process ended with {worker.process.exitcode}")
    if time.monotonic() > worker.deadline:
        worker.process.kill()
        worker.process.join()
        return _judgement(job, ERROR, code="hang", sentence="the verifier did not end in time")
    return None


def _serve(pipe: Connection, jobs: Sequence[Job], verify: Verify, limits: Limits) -> None:
    """The life of a worker: indices of jobs come in, judgements go out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            job = jobs[pipe.recv()]
        except (EOFError, OSError):
            os._exit(0)
        try:
            judgement = judge(job, verify, limits)
        except MemoryError:
            judgement = _judgement(job, ERROR, code="memory", sentence=f"more than {MEMORY} bytes of memory")
        except Exception as error:  # whatever a verifier does wrong is a finding
            where = "".join(traceback.format_tb(error.__traceback__)[-1:]).strip().replace("\n", " ")
            judgement = _judgement(job, ERROR, code=type(error).__name__, sentence=f"{error} ({where})")
        pipe.send(judgement)


def _show_progress(done: int, of: int) -> None:
    """One line that changes on a terminal, a line now and then elsewhere."""
    if sys.stderr.isatty():
        print(f"\r{done} of {of} programs", end="\n" if done == of else "", file=sys.stderr, flush=True)
    elif done % 200 == 0 or done == of:
        print(f"{done} of {of} programs", file=sys.stderr, flush=True)
