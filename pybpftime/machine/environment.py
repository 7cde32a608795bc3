"""The world as a program sees it: time, random numbers, cpu, process.

Helpers ask the Environment and nothing else, so a run is reproducible from its inputs: a test sets the fields,
a recording replays them, a live process supplies its own subclass.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from pybpftime.errors import InputError

if TYPE_CHECKING:
    import random

NANOSECONDS = 1_000_000_000
MAX_CPUS = 1 << 13  # CONFIG_NR_CPUS of distributions
MAX_STACK = 127  # PERF_MAX_STACK_DEPTH
_U32, _U64 = (1 << 32) - 1, (1 << 64) - 1

RANGES: Mapping[str, tuple[int, int]] = {
    "time_ns": (0, _U64), "tick_ns": (0, _U64),
    "boot_offset_ns": (-_U64, _U64), "tai_offset_ns": (-_U64, _U64), "wall_offset_ns": (-_U64, _U64),
    "cpu": (0, MAX_CPUS - 1), "cpu_count": (1, MAX_CPUS), "numa_node": (0, _U32), "cgroup_id": (0, _U64),
    "pid": (0, _U32), "tid": (0, _U32), "uid": (0, _U32), "gid": (0, _U32),
}  # fmt: skip
"""The fields of an Environment that are numbers, with the least and the largest that each takes."""
STACKS = ("kernel_stack", "user_stack")


@dataclass(slots=True)
class Environment:
    """Fixed answers, set by whoever runs the program.

    The clock starts at `time_ns` (bpf_ktime_get_ns) and advances by `tick_ns` at every reading, so that a
    latency is never 0 by accident; `boot_offset_ns`, `tai_offset_ns` and `wall_offset_ns` are added for the
    other clocks.  `random` supplies bpf_get_prandom_u32.  `stack` is what bpf_get_stackid sees, innermost
    address first.  `user_memory(address, length)` reads the traced process: bytes, or None for a bad address.
    `printk` takes the lines of bpf_trace_printk, without their newline.

    InputError names a field whose value makes no sense.  Fields may be set later; `check` asks again, as an Object
    does that is given the Environment.
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

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """InputError when a field has a value that it does not take."""
        for one in fields(Environment):
            try:
                check_field(one.name, getattr(self, one.name, None))
            except InputError as error:
                raise InputError(f"Environment: {error.reason}") from None
        if self.cpu >= self.cpu_count:
            raise InputError(f"Environment: there is no cpu {self.cpu}, cpu_count is {self.cpu_count}")

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


def check_field(name: str, value: object) -> None:
    """InputError, which names the field and says what it takes, when it does not take `value`."""
    if name in RANGES:
        _check_number(name, value, *RANGES[name])
    elif name in STACKS:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) > MAX_STACK:
            raise InputError(f"{name} is a list of at most {MAX_STACK} addresses")
        for address in value:
            _check_number(f"an address of {name}", address, 0, _U64)
    elif name == "comm":
        if not isinstance(value, str) or not _is_unicode(value):
            raise InputError("comm is text")
    elif name == "random":
        if value is not None and not callable(getattr(value, "getrandbits", None)):
            raise InputError("random is a random.Random, or None")
    elif value is not None and not callable(value):
        raise InputError(f"{name} is a function, or None")


def _check_number(what: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{what} is a number from {least} to {most}")


def _is_unicode(text: str) -> bool:
    """Whether it can be encoded: surrogates may only stand for bytes that are no UTF-8, as in names of files."""
    try:
        text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


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
