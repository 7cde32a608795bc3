"""Takes out of a process what no tracer serves any more: of one that was killed, or in a child that was forked."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pybpftime.attach import proc
from pybpftime.attach.breakpoints import Breakpoints
from pybpftime.attach.tracee import WALL, Thread, Tracee, shares_memory
from pybpftime.errors import HostError

ATTEMPTS, PAUSE = 50, 0.02  # how often, and after how many seconds, a process that is busy in an area is tried again
INTERRUPTIONS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def seeing_children() -> Iterator[None]:
    """Meanwhile SIGCHLD has its default action, so that it can be waited for.

    Only the main thread can set the action of a signal.  Around another one it is to have that action already, and
    SIGCHLD is to be blocked in all other threads: else one of those takes it, and stops are seen late.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Nothing in here ends half-way: what would interrupt it waits."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What `clean` took out; it is not `complete` while areas without probes are still mapped."""

    breakpoints: int
    complete: bool


def take_out(tracee: Tracee, breakpoints: Breakpoints, take_children: Callable[[], None]) -> bool:
    """Stop all threads, take everything out and let guests go; all others are still stopped then.

    `take_children` looks at children that were born meanwhile.  False when areas have to stay, without any int3.
    """
    stopped = False
    for is_last in (False, True):  # the second time, those stop too that have waited for a guest
        try:
            tracee.stop_all()
            stopped = True
        except HostError:
            stopped = False
        if tracee.has_executed:
            tracee.has_executed = False
            breakpoints.forget()
        take_children()
        breakpoints.restore()
        if not is_last:
            for tid in [tid for tid, thread in tracee.threads.items() if thread.guest and thread.status is not None]:
                tracee.detach(tid)
    return stopped and (not tracee.threads or breakpoints.remove())


def release(tracee: Tracee, breakpoints: Breakpoints | None = None) -> Cleaned | None:
    """Take out of a stopped process what a tracer has left in it, and let it run; None when there was nothing.

    `breakpoints` are those of a process that it is a copy of: some may have no record in an area.
    """
    try:
        release_children(tracee)
        if breakpoints is not None:
            breakpoints.restore_code(tracee.memory.write, tracee.memory.read)
        return take_out_left(tracee, breakpoints)
    finally:
        tracee.let_go()


def take_out_left(tracee: Tracee, breakpoints: Breakpoints | None = None) -> Cleaned | None:
    """Take out of a stopped process what a tracer has left in it; None when there was nothing.  See `release`."""
    found = Breakpoints.recover(tracee)
    if not found.is_left:
        return None
    if breakpoints is not None:
        found.take_over(tracee.pid, breakpoints)
    count = len(found.at_trap)
    return Cleaned(count, take_out(tracee, found, lambda: release_children(tracee)))


def release_children(tracee: Tracee) -> None:
    """Let go the children that a process has made while it was being stopped."""
    while tracee.children:
        child, _ = tracee.children.popitem()
        if child in tracee.threads or child in proc.threads(tracee.pid):
            continue
        status = first_stop(child)
        if status is not None:
            release_child(tracee.pid, child, status)


def seize(pid: int) -> Tracee:
    """Stop a running process, ready for probes: with nothing in it of a tracer that was killed.  HostError as there."""
    tracee = Tracee.seize(pid)
    with tracee.or_let_go():
        end_vforks(tracee)
        take_out_left(tracee)
    return tracee


def end_vforks(tracee: Tracee) -> None:
    """Before anything is probed: see the threads through vfork that were stopped in it, where they are of no use.

    Their children need no tracer yet.
    """
    release_children(tracee)
    for tid in [tid for tid, thread in tracee.threads.items() if thread.waits_for]:
        with contextlib.suppress(HostError):  # it takes long: another thread may do
            tracee.stop(tid)


def first_stop(child: int) -> int | None:
    """Wait for the stop that a child begins with; its status, None when it was killed before."""
    with contextlib.suppress(ChildProcessError):
        _, status = os.waitpid(child, WALL)
        return status if os.WIFSTOPPED(status) else None
    return None


def release_child(parent: int, child: int, status: int, breakpoints: Breakpoints | None = None) -> None:
    """Let a stopped child go on without a tracer; one that has a memory of its own gets it clean."""
    tracee = Tracee(child, {child: Thread(child, status)})
    if shares_memory(parent, child):
        tracee.let_go()
        return
    with contextlib.suppress(HostError, ProcessLookupError):  # it was killed meanwhile
        release(tracee, breakpoints)


def clean(pid: int) -> Cleaned | None:
    """Take out of a process what a tracer that was killed has left in it; None when there is nothing.

    HostError when it cannot be traced.  While a thread will come back to an area, it is given time to.
    """
    first = cleaned = _clean_once(pid)
    for _ in range(ATTEMPTS):
        if cleaned is None or cleaned.complete:
            break
        time.sleep(PAUSE)
        cleaned = _clean_once(pid)
    return None if first is None else Cleaned(first.breakpoints, cleaned is None or cleaned.complete)


def _clean_once(pid: int) -> Cleaned | None:
    with uninterrupted():
        try:
            return release(Tracee.seize(pid))
        except ProcessLookupError:
            raise HostError("it ended meanwhile", pid=pid) from None
