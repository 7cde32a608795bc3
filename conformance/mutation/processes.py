"""Judging many mutants in several processes, each of which has its share of the rows."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from pybpftime.conformance.mutation.catalogue import mutants
from pybpftime.conformance.mutation.mutant import Mutant
from pybpftime.conformance.mutation.score import Baseline, Finding, Judge
from pybpftime.errors import HostError


def findings(chosen: Sequence[Mutant], cases: Baseline, processes: int) -> Iterator[Finding]:
    """What becomes of each mutant, as it is found out.  HostError when a process dies."""
    if processes == 1:
        judge = Judge(cases)
        yield from map(judge.finding, chosen)
        return
    # A process with threads cannot be forked safely.
    alone = threading.active_count() == 1
    context = multiprocessing.get_context("fork") if alone else multiprocessing.get_context("forkserver")
    running: dict[Connection, BaseProcess] = {}
    try:
        for share in _shares(chosen, cases, processes):
            pipe, theirs = context.Pipe()
            arguments = (theirs, replace(cases, unusable=()), [mutant.id for mutant in share])
            process = context.Process(target=_serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            running[pipe] = process
        yield from _received(running)
    finally:
        for pipe, started in running.items():
            pipe.close()
            started.kill()
            started.join()


def _shares(chosen: Sequence[Mutant], cases: Baseline, processes: int) -> list[list[Mutant]]:
    """Rows of many cases are dealt out first: a mutant of theirs that survives takes longest."""
    of_row: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in chosen:
        of_row[mutant.row.name].append(mutant)
    counts: dict[str, int] = defaultdict(int)
    for case in cases.ran:
        for row in case.rows:
            counts[row.name] += 1
    shares: list[list[Mutant]] = [[] for _ in range(processes)]
    for at, name in enumerate(sorted(of_row, key=lambda name: -counts[name])):
        shares[at % processes] += of_row[name]
    return [share for share in shares if share]


def _received(running: dict[Connection, BaseProcess]) -> Iterator[Finding]:
    """The findings of all processes; a process says None when it has no more."""
    open_pipes = set(running)
    while open_pipes:
        for pipe in wait(list(open_pipes)):
            assert isinstance(pipe, Connection)
            try:
                finding: Finding | None = pipe.recv()
            except (EOFError, OSError):
                running[pipe].join()
                code = running[pipe].exitcode
                raise HostError(
                    f"a process that judges mutants ended with code {code} before its work was done"
                ) from None
            if finding is None:
                open_pipes.remove(pipe)
            else:
                yield finding


def _serve(pipe: Connection, cases: Baseline, ids: Sequence[str]) -> None:
    """The life of such a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    judge, known = Judge(cases), mutants()
    with contextlib.suppress(BrokenPipeError):
        for id in ids:
            pipe.send(judge.finding(known[id]))
        pipe.send(None)
    pipe.close()
    os._exit(0)
