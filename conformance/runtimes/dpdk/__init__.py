"""DPDK's BPF library as a runtime: its interpreter, and its native code.

`worker.c` is compiled when the runtime is opened (a C compiler, pkg-config and Debian's libdpdk-dev), and speaks the
line protocol in a process of its own.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pybpftime.conformance.case import Case
from pybpftime.conformance.runtime import Limit, Outcome
from pybpftime.conformance.runtimes.process import Command, find_program
from pybpftime.conformance.runtimes.worker_process import WorkerRuntime
from pybpftime.errors import HostError
from pybpftime.isa import TABLE, Form, Row

SOURCE = Path(__file__).with_name("worker.c")
LIBRARIES = ("-lrte_bpf", "-lrte_eal")
COMPILE_SECONDS = 120


class DpdkRuntime:
    """`interpreter` or `jit`.  HostError in one sentence when it cannot be built here."""

    def __init__(self, kind: Literal["interpreter", "jit"], timeout: float) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pybpftime-dpdk-")
        try:
            worker = compiled(Path(self._folder.name))
            self._runtime = WorkerRuntime(f"dpdk-{kind}", Command((str(worker), kind)), timeout)
        except BaseException:
            self._folder.cleanup()
            raise
        about = "DPDK's interpreter behind its verifier" if kind == "interpreter" else "DPDK's x86-64 or arm64 code"
        self.profile = replace(self._runtime.profile, description=about, limits=LIMITS)

    def run(self, case: Case) -> Outcome:
        """Ask the worker."""
        return self._runtime.run(case)

    def close(self) -> None:
        """End the worker."""
        self._runtime.close()
        self._folder.cleanup()


def compiled(folder: Path) -> Path:
    """The worker, compiled into `folder`."""
    target = folder / "worker"
    flags = shlex.split(_output([find_program("pkg-config"), "--cflags", "libdpdk"], "find DPDK (libdpdk-dev)"))
    command = [find_program("cc"), "-O1", *flags, str(SOURCE), "-o", str(target), *LIBRARIES]
    _output(command, "compile the worker for DPDK")
    return target


def _output(command: list[str], purpose: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=COMPILE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"cannot {purpose}: {error}", file=command[0]) from None
    if done.returncode:
        first = next(iter(done.stderr.splitlines()), f"exit code {done.returncode}")
        raise HostError(f"cannot {purpose}: {first}", file=command[0])
    return done.stdout


def _limits() -> Iterator[Limit]:
    """What the library has no instruction for, row by row."""
    for row in TABLE:
        reason = _lacks(row)
        if reason:
            yield Limit(row.name, f"DPDK has no {reason}")


def _lacks(row: Row) -> str:
    if (row.form is Form.JUMP_IF and row.width == 32) or row.name == "ja32":
        return "32-bit jumps"
    if row.form is Form.ATOMIC and not row.name.startswith("lock_add"):
        return "atomic operations but addition"
    if row.name.startswith(("sdiv", "smod")):
        return "signed division"
    if row.name.startswith(("movsx", "ldxs")):
        return "sign extension"
    if row.name.startswith("bswap"):
        return "unconditional byte swap"
    if row.name.startswith("arsh32"):
        return "signed shift of 32 bits"
    return ""


VERIFIER = (
    Limit("*", "DPDK's verifier refuses every loop", refusal="loops detected"),
    Limit("*", "DPDK's verifier refuses a division by what it knows to be 0", refusal="division by 0"),
    Limit(
        "*",
        "DPDK's verifier knows each word of the stack in the width of its last store, and refuses wider loads",
        refusal="undefined value on the stack",
    ),
)
"""What is not let in, by the words that the verifier says then."""
LIMITS = (*_limits(), *VERIFIER)
