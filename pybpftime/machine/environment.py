"""The world as a program sees it: time, random numbers, cpu, process.

Helpers ask the Environment and nothing else, so a run is reproducible from its inputs: a test sets the fields,
a recording replays them, a live process supplies its own subclass.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

NANOSECONDS = 1_000_000_000


@dataclass(slots=True)
class Environment:
    """Fixed answers, set by whoever runs the program.

    The clock starts at `time_ns` (bpf_ktime_get_ns) and advances by `tick_ns` at every reading, so that a
    latency is never 0 by accident; `boot_offset_ns`, `tai_offset_ns` and `wall_offset_ns` are added for the
    other clocks.  `random` supplies bpf_get_prandom_u32.  `stack` is what bpf_get_stackid sees, innermost
    address first.  `user_memory(address, length)` reads the traced process: bytes, or None for a bad address.
    `printk` takes the lines of bpf_trace_printk, without their newline.
    """

    time_ns: int = NANOSECONDS
    tick_ns: int = 1000
    boot_offset_ns: int = 0
    tai_offset_ns: int = 37 * NANOSECONDS
    wall_offset_ns: int = 1_700_000_000 * NANOSECONDS
    random: random.Random | None = None  # None: numbers from seed 0
    cpu: int = 0
    cpu_count: int = 1
    numa_node: int = 0
    pid: int = 1  # the kernel's tgid: what user space calls the process id
    tid: int = 1  # the kernel's pid: what user space calls the thread id
    uid: int = 0
    gid: int = 0
    comm: str = "pybpftime"
    cgroup_id: int = 1
    kernel_stack: Sequence[int] = ()
    user_stack: Sequence[int] = ()
    user_memory: Callable[[int, int], bytes | None] | None = None
    printk: Callable[[str], None] | None = None

    def now(self) -> int:
        """Nanoseconds of the monotonic clock; every reading is later than the one before."""
        self.time_ns += self.tick_ns
        return self.time_ns

    def random_u32(self) -> int:
        """A pseudo-random number of 32 bits."""
        if self.random is None:
            self.random = _new_random(0)
        return self.random.getrandbits(32)

    def read_user(self, address: int, length: int) -> bytes | None:
        """`length` bytes of the traced process at `address`, or None where they cannot be read."""
        return None if self.user_memory is None else self.user_memory(address, length)


def _new_random(seed: int | None) -> random.Random:
    """Numbers from a seed, or with None from the host.  The module is slow to import, and few programs ask."""
    import random

    return random.SystemRandom() if seed is None else random.Random(seed)


class HostEnvironment(Environment):
    """The clock and random numbers of this machine, the identity of this process: results differ by run.

    Fields that are given replace what the host says, except that time goes on.
    """

    def __init__(self, **fields: object) -> None:
        import threading

        now = time.monotonic_ns()
        host: dict[str, object] = {
            "time_ns": now,
            "wall_offset_ns": time.time_ns() - now,
            "random": _new_random(None),
            "pid": os.getpid(),
            "tid": threading.get_native_id(),
            "uid": getattr(os, "getuid", int)(),  # Windows has none: 0
            "gid": getattr(os, "getgid", int)(),
            "comm": os.path.basename(sys.executable or "python"),
        }
        super().__init__(**(host | fields))  # type: ignore[arg-type]  # dataclass fields, checked by the parent

    def now(self) -> int:
        self.time_ns = max(self.time_ns + 1, time.monotonic_ns())
        return self.time_ns
