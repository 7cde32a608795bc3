"""The world as a program sees it at a probe of a live process: the thread that is there, and the real clock.

What helpers ask for is read from /proc when they ask; only the thread's id is set at every hit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from random import SystemRandom
from typing import Generic, TypeVar

from pybpftime.attach import proc
from pybpftime.attach.probe import Attachment
from pybpftime.errors import HostError
from pybpftime.machine import Environment

POSSIBLE = "/sys/devices/system/cpu/possible"  # "0-3", "0,2-5"

T = TypeVar("T")


class _Asked(Generic[T]):
    """A field whose value is asked for at every use; `otherwise` when there is no process, or it has just died."""

    def __init__(self, ask: Callable[[int, int], T], otherwise: T) -> None:
        self._ask = ask
        self._otherwise = otherwise

    def __get__(self, environment: LiveEnvironment, owner: type | None = None) -> T:
        if environment.attachment is None:
            return self._otherwise
        try:
            return self._ask(environment.pid, environment.tid)
        except HostError:
            return self._otherwise

    def __set__(self, environment: LiveEnvironment, value: T) -> None:
        """Values that are given, as by the parent's constructor, count for nothing."""


class LiveEnvironment(Environment):
    """The thread `tid` of the process of `attachment`, None before there is one."""

    attachment: Attachment | None = None
    cpu = _Asked(proc.cpu_of, 0)
    comm = _Asked(lambda pid, tid: os.fsdecode(proc.comm(pid, tid)), "")
    uid = _Asked(lambda pid, tid: proc.read_status(pid, tid).uid, 0)
    gid = _Asked(lambda pid, tid: proc.read_status(pid, tid).gid, 0)

    def __init__(self) -> None:
        now = time.monotonic_ns()
        super().__init__(
            time_ns=now,
            boot_offset_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME) - now,
            tai_offset_ns=time.clock_gettime_ns(time.CLOCK_TAI) - now,
            wall_offset_ns=time.time_ns() - now,
            random=SystemRandom(),
            cpu_count=possible_cpus(),
        )

    def enter(self, attachment: Attachment) -> None:
        """From now on answer for this process."""
        self.attachment = attachment
        self.pid = self.tid = attachment.pid
        self.user_memory = attachment.read_user

    def now(self) -> int:
        return time.monotonic_ns()


def possible_cpus() -> int:
    """How many cpus the machine can have: a per-cpu value has as many parts."""
    try:
        with open(POSSIBLE) as file:
            last = file.read().replace(",", "-").rpartition("-")[2]
        return int(last) + 1
    except (OSError, ValueError):
        return os.cpu_count() or 1
