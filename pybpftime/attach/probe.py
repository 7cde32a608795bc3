"""What every way into a live process offers, whatever its mechanism.

An Attachment serves one process.  Probes are added while the process is stopped, then `serve` runs until the process
ends or somebody stops the session, then `close` leaves the process as if nothing had been.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from pybpftime.attach.target import ProbeTarget

Handler = Callable[[int], None]
"""Called at a hit with the id of the thread; its registers are in `Attachment.registers`."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A place to watch and what to do there."""

    target: ProbeTarget
    handler: Handler


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended: the process exited with `exit_code`, was killed by `signal`, or goes on without us (both
    None); then `interrupted_by` is the signal that the tracer got."""

    exit_code: int | None = None
    signal: int | None = None
    interrupted_by: int | None = None

    @classmethod
    def of(cls, status: int) -> Self:
        """How a process ended, from what waitpid said."""
        if os.WIFSIGNALED(status):
            return cls(signal=os.WTERMSIG(status))
        return cls(exit_code=os.WEXITSTATUS(status))


class Attachment(Protocol):
    """A live process with probes."""

    pid: int
    registers: memoryview
    """struct pt_regs of the thread that is at a probe, 168 bytes; good during a handler."""
    notes: list[str]
    """Sentences on what could not be done as asked, for people."""

    def add(self, probe: Probe) -> None:
        """Watch one more place.  InputError or HostError when it cannot be found or watched."""

    def read_user(self, address: int, size: int) -> bytes | None:
        """Memory as the process itself could read it; None when any byte of it cannot be read."""

    def serve(self, *, duration: float | None = None) -> Ending:
        """Run the process and call handlers until it ends, `duration` seconds passed, or we get SIGINT or SIGTERM."""

    def leave(self) -> None:
        """Have `serve` end soon, between two hits; of a program that was started, not before it came to its entry.

        May be called from another thread, and before `serve` is.
        """

    def close(self) -> None:
        """Take out every probe and let the process run.  May be called at any time, and again."""
