"""Loading something that the kernel checks and explains in a log: programs and BTF."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable

from pybpftime.errors import HostError
from pybpftime.kernel.syscall import KernelRejection, refusal

LOG_LIMIT = 16 << 20
"""Largest log that is asked for, in bytes; of a longer one the end is kept (the beginning before Linux 6.4)."""

_FIRST_SIZE = 64 << 10

# Refusals without a log that say something about the host and nothing about the program.
_HOST_ERRORS = frozenset({errno.EPERM, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSYS, errno.EAGAIN})

# What the verifier prints last, after the reason.
_STATISTICS = ("processed ", "verification time ", "stack depth ", "insns processed ")

Attempt = Callable[["ctypes.Array[ctypes.c_char] | None"], int]
"""One load: with a buffer for the log, or without a log; a descriptor or the negative errno."""


def load_explained(attempt: Attempt, action: str, *, want_log: bool = False, limit: int = LOG_LIMIT) -> tuple[int, str]:
    """Load; return the descriptor and the log, which is empty for an accepted object unless `want_log`.

    The log costs the kernel much time, so it is asked for after a refusal only, in a buffer that grows up to
    `limit` bytes.  KernelRejection with the log when what was loaded is at fault, else HostError.
    """
    result = -errno.ENOSPC if want_log else attempt(None)
    if result >= 0:
        return result, ""
    logged_result, log = _read_log(attempt, limit)
    # Too long a log turns every verdict into ENOSPC: the verdict is the one had without a log then.
    if logged_result != -errno.ENOSPC:
        result = logged_result
    elif want_log:
        result = attempt(None)
    if result >= 0:
        return result, log
    raise rejection(action, -result, log)


def rejection(action: str, number: int, log: str) -> HostError:
    """The error for a refused load of which the kernel wrote `log`."""
    if not log and number in _HOST_ERRORS:
        return refusal(action, number)
    reason = last_complaint(log)
    return KernelRejection(f"the kernel refused to {action}" + (f": {reason}" if reason else ""), errno=number, log=log)


def last_complaint(log: str) -> str:
    """The line of a verifier log that says why: the last one that is no statistic; "" for an empty log."""
    for line in reversed(log.splitlines()):
        if line.strip() and not line.startswith(_STATISTICS):
            return line.strip()
    return ""


def _read_log(attempt: Attempt, limit: int) -> tuple[int, str]:
    size = min(_FIRST_SIZE, limit)
    while True:
        buffer = ctypes.create_string_buffer(size)
        result = attempt(buffer)
        if result != -errno.ENOSPC or size >= limit:
            return result, buffer.value.decode("utf-8", "replace")
        size = min(size * 4, limit)
