"""Starts a program under ptrace, stopped at its first instruction."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Sequence

from pybpftime.attach.tracee import EVENT_EXEC, OPTIONS, SEIZE, WALL, Thread, Tracee, command, signal_of
from pybpftime.errors import HostError


def spawn(arguments: Sequence[str], signal_mask: set[int | signal.Signals]) -> Tracee:
    """Start a program with these signals blocked and stop it before even the dynamic linker has run.

    HostError when it cannot be executed.
    """
    go_read, go_write = os.pipe()
    failed_read, failed_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go_write)
        _become(arguments, signal_mask, go_read, failed_write)
    os.close(go_read)
    os.close(failed_write)
    tracee = Tracee(pid)
    try:
        command(SEIZE, pid, 0, OPTIONS)
        tracee.threads[pid] = Thread(pid)
        os.write(go_write, b".")
        _wait_for_exec(tracee, failed_read, arguments[0])
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, WALL)
        raise
    finally:
        os.close(go_write)
        os.close(failed_read)
    return tracee


def _wait_for_exec(tracee: Tracee, failed: int, name: str) -> None:
    while True:
        status = tracee.wait_for_stop(tracee.pid)
        if status is None:
            number = os.read(failed, 16)
            raise HostError(f"{name!r} cannot be run", errno=int(number) if number else None)
        if status >> 16 == EVENT_EXEC:
            tracee.executed()
            if tracee.interrupt(tracee.pid) is None:
                raise HostError(f"{name!r} ended at once")
            return
        tracee.resume(tracee.pid, signal_of(status))


def _become(arguments: Sequence[str], signal_mask: set[int | signal.Signals], go: int, failed: int) -> None:
    """In the new process: wait until it is traced, then be the program."""
    try:
        if os.read(go, 1):
            for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, signal_mask)
            os.execvp(arguments[0], list(arguments))
    except OSError as error:
        os.write(failed, str(error.errno).encode())
    except BaseException:  # whatever it is, two processes must not run on
        os.write(failed, str(errno.EINVAL).encode())
    finally:
        os._exit(127)
