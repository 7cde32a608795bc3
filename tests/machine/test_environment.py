"""The world as programs see it: fixed by default, the host's on demand."""

from __future__ import annotations

import os
import random
import threading
import time
from typing import Any

import pytest

from pybpftime.errors import InputError
from pybpftime.machine import Environment, HostEnvironment


def test_two_environments_tell_the_same() -> None:
    first, second = Environment(), Environment()
    assert [first.now() for _ in range(3)] == [second.now() for _ in range(3)]
    assert [first.random_u32() for _ in range(50)] == [second.random_u32() for _ in range(50)]


def test_they_share_no_state() -> None:
    first, second = Environment(), Environment()
    first.random_u32()
    assert first.random is not second.random
    assert first.random_u32() != Environment(random=random.Random(1)).random_u32()


def test_time_advances_by_a_tick_at_every_reading() -> None:
    environment = Environment(time_ns=100, tick_ns=7)
    assert [environment.now() for _ in range(3)] == [107, 114, 121]
    assert environment.time_ns == 121


def test_random_numbers_have_32_bits() -> None:
    environment = Environment()
    numbers = [environment.random_u32() for _ in range(200)]
    assert all(0 <= number < 1 << 32 for number in numbers)
    assert max(numbers) >> 31 == 1


def test_user_memory_is_read_through_a_function() -> None:
    assert Environment().read_user(0x1000, 4) is None
    content = {0x1000: b"abcd"}
    environment = Environment(user_memory=lambda address, length: content.get(address, b"")[:length] or None)
    assert environment.read_user(0x1000, 3) == b"abc"
    assert environment.read_user(0x2000, 3) is None


def test_the_host_tells_who_we_are() -> None:
    environment = HostEnvironment()
    assert environment.pid == os.getpid()
    assert environment.tid == threading.get_native_id()
    assert environment.uid == getattr(os, "getuid", lambda: 0)()
    assert environment.gid == getattr(os, "getgid", lambda: 0)()
    assert environment.comm


def test_the_clock_of_the_host_goes_on() -> None:
    environment = HostEnvironment()
    before = time.monotonic_ns()
    readings = [environment.now() for _ in range(1000)]
    assert readings == sorted(set(readings))
    assert before <= readings[-1]
    wall = readings[-1] + environment.wall_offset_ns
    assert abs(wall - time.time_ns()) < 3600 * 10**9  # the same day on any clock that was not set meanwhile


def test_the_host_has_other_random_numbers_every_time() -> None:
    assert len({HostEnvironment().random_u32() for _ in range(8)}) > 1
    assert isinstance(HostEnvironment().random, random.SystemRandom)


def test_given_fields_replace_the_hosts() -> None:
    environment = HostEnvironment(pid=7, comm="mine", random=random.Random(3), cpu=2, cpu_count=4)
    assert (environment.pid, environment.comm, environment.cpu) == (7, "mine", 2)
    assert environment.random_u32() == random.Random(3).getrandbits(32)
    with pytest.raises(TypeError):
        HostEnvironment(no_such_field=1)


def test_a_host_without_users_is_user_0(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("getuid", "getgid"):
        monkeypatch.delattr(os, name, raising=False)
    assert (HostEnvironment().uid, HostEnvironment().gid) == (0, 0)


WRONG: list[tuple[str, Any, str]] = [
    ("cpu", "x", "cpu is a number from 0 to 8191"),
    ("cpu", -1, "cpu is a number"),
    ("cpu", 1, "there is no cpu 1, cpu_count is 1"),
    ("cpu_count", 0, "cpu_count is a number from 1 to 8192"),
    ("cpu_count", 8193, "cpu_count is a number"),
    ("tid", -1, "tid is a number from 0 to 4294967295"),
    ("pid", True, "pid is a number"),
    ("uid", 1 << 32, "uid is a number"),
    ("time_ns", 1.5, "time_ns is a number"),
    ("tick_ns", -1, "tick_ns is a number"),
    ("comm", 5, "comm is text"),
    ("comm", "\ud800", "comm is text"),
    ("random", 5, r"random is a random\.Random"),
    ("user_stack", 5, "user_stack is a list of at most 127 addresses"),
    ("user_stack", range(1 << 40), "user_stack is a list"),
    ("kernel_stack", ["a"], "an address of kernel_stack is a number"),
    ("user_memory", b"", "user_memory is a function"),
    ("printk", 5, "printk is a function"),
]


@pytest.mark.parametrize("kind", [Environment, HostEnvironment])
@pytest.mark.parametrize(("field", "value", "message"), WRONG)
def test_a_field_that_makes_no_sense_is_named(kind: type[Environment], field: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^Environment: {message}"):
        kind(**{field: value})


def test_what_was_set_later_is_checked_on_demand() -> None:
    environment = Environment(comm="\udc80", kernel_stack=range(127))  # a name of a file that is no UTF-8
    environment.check()
    environment.cpu_count = 0
    with pytest.raises(InputError, match="cpu_count"):
        environment.check()
