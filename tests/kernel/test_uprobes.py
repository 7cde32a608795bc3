"""Uprobes and uretprobes of the running kernel on a process of the test: they count exactly what it does."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from attach.build import BuildTarget
from attach.processes import running

from pybpftime import kernel
from pybpftime.errors import HostError, InputError
from pybpftime.isa import encode_program
from pybpftime.isa.assembler import assemble
from pybpftime.kernel import KernelLink, KernelProgram, SharedValue, attach_uprobe, uprobes
from pybpftime.program.elf_symbols import read_binary
from pybpftime.uapi import ProgramType

pytestmark = pytest.mark.usefixtures("bpf")

CALLS = 100
# Adds 1 to the first number and a register of the thread to the second.
COUNT = """
    r3 = *(u64 *)(r1 + {register})
    r1 = r2
    r2 = 1
    lock *(u64 *)(r1 + 0) += r2
    lock *(u64 *)(r1 + 8) += r3
    r0 = 0
    exit
"""
DI, AX = 112, 80  # in struct pt_regs: the first argument, the result


class Counter:
    """A program in the kernel, what it has counted, and how to attach it to `work` of a process."""

    def __init__(self, shared: SharedValue, program: KernelProgram, path: Path) -> None:
        self._shared = shared
        self.program = program
        self.path = path
        self.offset = read_binary(str(path)).offset_of("work")

    def counted(self) -> tuple[int, int]:
        """How often it ran, and the sum of what the register held."""
        calls, total = struct.unpack("=QQ", self._shared.read())
        return calls, total

    def attach(self, pid: int, *, at_return: bool = False) -> KernelLink:
        return attach_uprobe(self.program, self.path, self.offset, pid=pid, at_return=at_return)


def _counter(register: int, build_target: BuildTarget) -> Iterator[Counter]:
    reason = kernel.uprobes_available()
    if reason is not None:
        pytest.skip(f"needs uprobes: {reason}")
    path = build_target("counted")
    with SharedValue(16) as shared:
        code = shared.address_instructions(2) + encode_program(assemble(COUNT.format(register=register)))
        with KernelProgram.load(ProgramType.BPF_PROG_TYPE_KPROBE, code) as program:
            yield Counter(shared, program, path)


@pytest.fixture
def entries(build_target: BuildTarget, bpf: None) -> Iterator[Counter]:
    yield from _counter(DI, build_target)


@pytest.fixture
def returns(build_target: BuildTarget, bpf: None) -> Iterator[Counter]:
    yield from _counter(AX, build_target)


def test_a_uprobe_sees_every_call_and_its_argument(entries: Counter) -> None:
    with running(entries.path, str(CALLS)) as target, entries.attach(target.pid):
        target.work()
    assert entries.counted() == (CALLS, sum(range(CALLS)))


def test_a_uretprobe_sees_every_return_and_its_result(returns: Counter) -> None:
    with running(returns.path, str(CALLS)) as target, returns.attach(target.pid, at_return=True):
        target.work()
    assert returns.counted() == (CALLS, sum(2 * number + 1 for number in range(CALLS)))


def test_all_threads_of_the_process_are_watched(entries: Counter) -> None:
    with running(entries.path, str(CALLS), "3") as target, entries.attach(target.pid):
        target.work()
    assert entries.counted() == (3 * CALLS, 3 * sum(range(CALLS)))


def test_another_process_of_the_same_program_is_not(entries: Counter) -> None:
    with running(entries.path) as watched, running(entries.path) as other, entries.attach(watched.pid):
        other.work()
    assert entries.counted() == (0, 0)


def test_closing_detaches(entries: Counter) -> None:
    with running(entries.path) as target:
        with entries.attach(target.pid) as link:
            assert not link.closed
        target.work()
    assert entries.counted() == (0, 0)


def test_refusals(entries: Counter, tmp_path: Path) -> None:
    me = os.getpid()
    with pytest.raises(HostError, match=r"refused to make a uprobe at .*:0x0 in process .*ENOENT") as caught:
        attach_uprobe(entries.program, tmp_path / "missing", 0, pid=me)
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(HostError) as caught:
        attach_uprobe(entries.program, entries.path, 1 << 40, pid=me)
    assert caught.value.errno == errno.EINVAL
    with running(entries.path) as target:
        pass
    with pytest.raises(HostError) as caught:
        entries.attach(target.pid)
    assert caught.value.errno == errno.ESRCH
    with pytest.raises(InputError, match="0 is no number of a process"):
        entries.attach(0)
    with pytest.raises(InputError, match="is no path of a file"):
        attach_uprobe(entries.program, "", 0, pid=me)
    with pytest.raises(InputError, match="offset is -1"):
        attach_uprobe(entries.program, entries.path, -1, pid=me)


def test_a_program_of_another_type_is_refused(entries: Counter) -> None:
    code = encode_program(assemble("r0 = 0\nexit"))
    with (
        KernelProgram.load(ProgramType.BPF_PROG_TYPE_XDP, code) as program,
        pytest.raises(HostError, match="refused to attach the program") as caught,
    ):
        attach_uprobe(program, entries.path, entries.offset, pid=os.getpid())
    assert caught.value.errno == errno.EINVAL


def test_a_kernel_without_uprobes_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(uprobes, "_EVENT_SOURCE", str(tmp_path))
    sentence = "this kernel has no uprobes, or a sandbox hides them (ENOENT: No such file or directory)"
    assert kernel.uprobes_available() == sentence
    (tmp_path / "type").write_text("none\n")
    assert kernel.uprobes_available() == f"{tmp_path}/type says 'none', which is not understood"
