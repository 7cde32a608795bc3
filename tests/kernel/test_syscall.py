"""The raw call: where it exists, what it refuses to pass on, and what it repeats."""

from __future__ import annotations

import ctypes
import errno
import pickle
import platform
import sys
from collections.abc import Iterator

import pytest

from pybpftime import kernel
from pybpftime.errors import HostError, InputError
from pybpftime.kernel import attributes, syscall
from pybpftime.uapi import Command


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Forget what is known of this host, before and after."""
    syscall.system_call_number.cache_clear()
    syscall.system_call_function.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    syscall.system_call_number.cache_clear()
    syscall.system_call_function.cache_clear()


@pytest.mark.parametrize(("name", "system"), [("win32", "Windows"), ("darwin", "Darwin")])
def test_other_systems_are_refused_in_one_sentence(elsewhere: pytest.MonkeyPatch, name: str, system: str) -> None:
    elsewhere.setattr(sys, "platform", name)
    elsewhere.setattr(platform, "system", lambda: system)
    with pytest.raises(HostError, match=f"bpf\\(2\\) is a system call of Linux, and this is {system}"):
        syscall.try_bpf(Command.BPF_MAP_CREATE, attributes.MapCreate())
    assert kernel.available() == f"bpf(2) cannot be used: bpf(2) is a system call of Linux, and this is {system}"
    with pytest.raises(HostError, match="system call of Linux"):
        kernel.ProgramRunner().run(bytes(8))


def test_unknown_machine_is_refused(elsewhere: pytest.MonkeyPatch) -> None:
    elsewhere.setattr(sys, "platform", "linux")
    elsewhere.setattr(platform, "machine", lambda: "vax")
    with pytest.raises(HostError, match=r"number of bpf\(2\) is not known for a 64-bit process on vax"):
        syscall.system_call_number()


@pytest.mark.usefixtures("bpf")
def test_result_is_negative_errno() -> None:
    assert syscall.try_bpf(9999, attributes.MapCreate()) == -errno.EINVAL
    assert syscall.try_bpf(Command.BPF_MAP_FREEZE, attributes.MapElement(map_fd=10_000_000)) == -errno.EBADF


@pytest.mark.usefixtures("bpf")
def test_refusal_names_action_and_errno() -> None:
    with pytest.raises(HostError) as caught:
        syscall.bpf(Command.BPF_MAP_CREATE, attributes.MapCreate(map_type=9999), "create the map x")
    assert caught.value.errno == errno.EINVAL
    assert str(caught.value) == "the kernel refused to create the map x (EINVAL: Invalid argument)"


@pytest.mark.parametrize(
    ("answers", "result", "calls"),
    [
        ([-errno.EAGAIN, -errno.EINTR, 7], 7, 3),
        ([-errno.EAGAIN] * 4 + [7], 7, 5),
        ([-errno.EAGAIN] * 9, -errno.EAGAIN, 5),
        ([-errno.EINTR] * 20 + [-errno.EINVAL], -errno.EINVAL, 21),
    ],
)
def test_interrupted_loads_are_repeated(
    monkeypatch: pytest.MonkeyPatch, answers: list[int], result: int, calls: int
) -> None:
    asked: list[int] = []

    def answer(command: int, attribute: ctypes.Structure) -> int:
        asked.append(command)
        return answers[len(asked) - 1]

    monkeypatch.setattr(syscall, "try_bpf", answer)
    assert syscall.try_load(attributes.ProgramLoad()) == result
    assert asked == [Command.BPF_PROG_LOAD] * calls


def test_unsigned_refuses_what_ctypes_would_cut() -> None:
    assert syscall.unsigned(0xFFFF_FFFF, "x") == 0xFFFF_FFFF
    assert syscall.unsigned(1 << 63, "x", 64) == 1 << 63
    for value in (-1, 1 << 32):
        with pytest.raises(InputError, match="x is"):
            syscall.unsigned(value, "x")


def test_names() -> None:
    assert syscall.object_name("a.b_C9") == b"a.b_C9"
    assert syscall.object_name("a_name_that_is_too_long") == b"a_name_that_is_"
    for name in ("with space", "naïve", "nul\0", "dash-ed"):
        with pytest.raises(InputError, match="in names"):
            syscall.object_name(name)


def test_address_of() -> None:
    data = b"twelve bytes"
    assert ctypes.string_at(syscall.address_of(data), len(data)) == data
    assert syscall.address_of(b"") == syscall.address_of(None) == 0


def test_rejection_is_data() -> None:
    error = kernel.KernelRejection("refused", errno=errno.EACCES, log="R0 !read_ok")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.log, copy.errno, str(copy)) == (error.log, error.errno, str(error))
    assert error.as_dict() == {
        "error": "KernelRejection",
        "reason": "refused",
        "errno": errno.EACCES,
        "log": "R0 !read_ok",
    }
