"""Keeps idle processors awake while hits come thick.

A hit hands over between two processors: the target's has nothing to do while the tracer works, and falls asleep.  To
wake it takes longer than all else at a hit where the kernel is a guest, some microseconds elsewhere.  A process that
holds /dev/cpu_dma_latency open may ask that idle processors wake up at once (Documentation/power/pm_qos_interface.rst);
the kernel forgets that when the file is closed, whatever happens to us.  Where it cannot be opened, which takes root,
hits are slower and nothing else is different.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

DEVICE: Final = "/dev/cpu_dma_latency"
AT_ONCE: Final = bytes(4)  # int32: microseconds that a processor may take to wake up
THICK: Final = 5000.0  # hits a second; below, what could be gained is less than the power that it costs
CALM_SECONDS: Final = 0.02  # without a hit


class Wakefulness:
    """Whether idle processors are to stay awake: `hits` says so, `calm` takes it back."""

    def __init__(self, device: str = DEVICE) -> None:
        self._device = device
        self._fd: int | None = None
        self._refused = False
        self._total, self._time = 0, float("-inf")

    @property
    def asked(self) -> bool:
        """Whether we have asked for it."""
        return self._fd is not None

    def hits(self, total: int, now: float) -> None:
        """There have been `total` hits when time.monotonic() is `now`.  Called every few hundred hits."""
        thick = total - self._total > THICK * (now - self._time)
        self._total, self._time = total, now
        if not thick:
            self.calm()
        elif self._fd is None and not self._refused:
            self._ask()

    def _ask(self) -> None:
        try:
            self._fd = os.open(self._device, os.O_WRONLY | os.O_CLOEXEC)
            os.write(self._fd, AT_ONCE)
        except OSError:
            self._refused = True
            self.calm()

    def calm(self) -> None:
        """There have been no hits for a while, or there will be none: processors may sleep.  Never fails."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = None
