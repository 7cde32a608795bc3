"""What /proc says of live processes, compared with what they say of themselves."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attach.build import BuildTarget
from attach.processes import Running, running

from pybpftime.attach import proc
from pybpftime.errors import HostError
from pybpftime.program.elf_symbols import read_binary

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")

NOBODY = 65534


@pytest.fixture
def threads(build_target: BuildTarget) -> Iterator[Running]:
    with running(build_target("threads")) as process:
        yield process


def _threads_of(process: Running) -> list[int]:
    """What the process says: its second and its third thread."""
    return [int(line.split()[1]) for line in process.said]


@pytest.fixture
def ended() -> Iterator[int]:
    """A process that has ended and was not waited for."""
    pid = os.posix_spawn(sys.executable, ["ended", "-c", ""], os.environ)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    yield pid
    os.waitpid(pid, 0)


@pytest.fixture
def gone() -> int:
    """The number of a process that was."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


# --- memory -----------------------------------------------------------------------------------------------------------


def test_mappings_are_those_of_the_kernel(threads: Running) -> None:
    mappings = proc.read_mappings(threads.pid)
    text = Path(f"/proc/{threads.pid}/maps").read_text()
    again = "".join(
        f"{m.start:08x}-{m.end:08x} {m.permissions} {m.offset:08x} "
        f"{os.major(m.device):02x}:{os.minor(m.device):02x} {m.inode} {m.path}\n"
        for m in mappings
    )
    assert again == re.sub(" +", " ", text)
    assert not any(mapping.deleted for mapping in mappings)
    assert {"[stack]", "[vdso]"} <= {mapping.path for mapping in mappings}


def test_mappings_of_the_program_lead_to_its_file(threads: Running) -> None:
    path = os.readlink(f"/proc/{threads.pid}/exe")
    own = [mapping for mapping in proc.read_mappings(threads.pid) if mapping.path == path]
    status = os.stat(path)
    assert {(mapping.device, mapping.inode) for mapping in own} == {(status.st_dev, status.st_ino)}
    assert [mapping.permissions for mapping in own if mapping.executable] == ["r-xp"]
    assert all(mapping.of_file for mapping in own)
    assert not any(mapping.of_file for mapping in proc.read_mappings(threads.pid) if mapping.path.startswith("["))


@pytest.mark.parametrize("name", ["plain", "with blanks  and\ttabs", "new\nline", "behind (deleted)x", "\udcff\udcfe"])
@pytest.mark.parametrize("deleted", [False, True])
def test_mapped_files_of_any_name(tmp_path: Path, name: str, deleted: bool) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(mmap.PAGESIZE))
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ):
        if deleted:
            path.unlink()
        (mapping,) = (mapping for mapping in proc.read_mappings(os.getpid()) if mapping.path == str(path))
        assert (mapping.deleted, mapping.permissions, mapping.offset) == (deleted, "r--s", 0)
        assert mapping.end - mapping.start == mmap.PAGESIZE


def test_auxiliary_vector(build_target: BuildTarget) -> None:
    path = build_target("functions")
    with running(path) as process:
        vector = proc.auxiliary_vector(process.pid)
        mappings = proc.read_mappings(process.pid)
        base = min(mapping.start for mapping in mappings if mapping.path == str(path))
        assert vector[proc.AT_ENTRY] == base + read_binary(str(path)).entry
        assert [mapping.start for mapping in mappings if mapping.path == "[vdso]"] == [vector[proc.AT_SYSINFO_EHDR]]
        assert proc.AT_NULL not in vector


def test_executable(threads: Running, build_target: BuildTarget) -> None:
    assert proc.executable(threads.pid) == str(build_target("threads"))


# --- threads ----------------------------------------------------------------------------------------------------------


def test_threads(threads: Running) -> None:
    assert proc.threads(threads.pid) == sorted([threads.pid, *_threads_of(threads)])


def test_names_of_threads_hold_anything(threads: Running) -> None:
    plain, hard = _threads_of(threads)
    assert proc.comm(threads.pid, threads.pid) == b"threads"
    assert proc.comm(threads.pid, plain) == b"plain"
    assert proc.comm(threads.pid, hard) == b"a) R\n1 (b) 2"
    assert proc.read_status(threads.pid, hard).tgid == threads.pid


def test_status(threads: Running) -> None:
    plain, hard = _threads_of(threads)
    for tid in (plain, hard):
        status = proc.read_status(threads.pid, tid)
        assert status.blocked == 1 << (signal.SIGUSR1 - 1)
        assert status.caught & 1 << (signal.SIGUSR2 - 1)
        assert (status.uid, status.gid, status.tracer) == (os.geteuid(), os.getegid(), 0)
        assert not status.ended
        assert not status.kernel_thread
    first = proc.read_status(threads.pid)
    assert (first.name, first.tgid, first.blocked) == ("threads", threads.pid, 0)


def test_state_of_a_stopped_process(threads: Running) -> None:
    os.kill(threads.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, threads.pid, os.WSTOPPED)
    assert {proc.read_status(threads.pid, tid).state for tid in proc.threads(threads.pid)} == {"T"}


def test_cpu(build_target: BuildTarget) -> None:
    """A process that may run on one CPU only is on that one, whatever its thread is called."""
    before = os.sched_getaffinity(0)
    path, cpu = build_target("threads"), max(before)
    os.sched_setaffinity(0, {cpu})  # which children inherit
    try:
        with running(path) as process:
            assert {proc.cpu_of(process.pid, tid) for tid in proc.threads(process.pid)} == {cpu}
    finally:
        os.sched_setaffinity(0, before)


# --- what is not there ------------------------------------------------------------------------------------------------

QUESTIONS = {
    "mappings": proc.read_mappings,
    "threads": proc.threads,
    "status": proc.read_status,
    "executable": proc.executable,
    "auxiliary vector": proc.auxiliary_vector,
    "comm": lambda pid: proc.comm(pid, pid),
    "cpu": lambda pid: proc.cpu_of(pid, pid),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_process_that_is_gone(gone: int, question: str) -> None:
    with pytest.raises(HostError, match=rf"^process {gone}: it has ended, or never was \(ESRCH") as error:
        QUESTIONS[question](gone)
    assert (error.value.pid, error.value.errno) == (gone, errno.ESRCH)


@pytest.mark.parametrize("question", ["mappings", "auxiliary vector", "executable"])
def test_a_process_of_another(threads: Running, question: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another")
    os.seteuid(NOBODY)
    try:
        with pytest.raises(
            HostError,
            match=rf"^process {threads.pid}: not permitted: it is another user.s, or .*/proc/.* cannot be read",
        ) as error:
            QUESTIONS[question](threads.pid)
        assert error.value.errno in (errno.EACCES, errno.EPERM)
    finally:
        os.seteuid(0)


def test_a_zombie(ended: int) -> None:
    assert proc.read_status(ended).ended
    assert proc.read_mappings(ended) == []
    with pytest.raises(HostError, match=r"it \(.+\) has ended and waits for its parent"):
        proc.executable(ended)


def test_a_process_whose_first_thread_has_ended(build_target: BuildTarget) -> None:
    with running(build_target("headless")) as process:
        while not proc.read_status(process.pid).ended:
            os.sched_yield()
        assert "its first thread has ended, which hides what it has mapped" in _refusal(process.pid)


# --- who can be traced ------------------------------------------------------------------------------------------------


def test_an_ordinary_process_can_be_traced(threads: Running) -> None:
    proc.check_traceable(threads.pid)


def _refusal(pid: int) -> str:
    with pytest.raises(HostError) as error:
        proc.check_traceable(pid)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_cannot_be_traced(threads: Running, ended: int, gone: int) -> None:
    assert "it is this process, which cannot trace itself" in _refusal(os.getpid())
    assert f"it is a thread of process {threads.pid}; name that one" in _refusal(_threads_of(threads)[0])
    assert ") has ended and waits for its parent to notice" in _refusal(ended)
    assert "it has ended, or never was" in _refusal(gone)
    assert "0 is no number of a process" in _refusal(0)
    assert "-1 is no number of a process" in _refusal(-1)
    assert "it has ended, or never was" in _refusal(1 << 40)


def test_threads_of_the_kernel_cannot_be_traced() -> None:
    for pid in (2, 3, 4):
        try:
            if not proc.read_status(pid).kernel_thread:
                continue
        except HostError:
            continue
        assert re.search(r"it is a thread of the kernel \(.+\), which has no user space", _refusal(pid))
        return
    pytest.skip("needs to see threads of the kernel")


def test_a_process_that_is_traced_already() -> None:
    """It makes us its tracer, which holds until it ends."""
    if not hasattr(ctypes.CDLL(None), "ptrace"):
        pytest.skip("needs ptrace in the C library")
    code = "import ctypes; assert ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0; print('ready', flush=True); input()"
    with running(sys.executable, "-c", code) as process:
        name = proc.read_status(os.getpid()).name
        assert f"it is traced already, by process {os.getpid()} ({name})" in _refusal(process.pid)


def test_32_bit_processes_cannot_be_traced(build_target: BuildTarget) -> None:
    path = build_target("pause32", "-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-pie", "-no-pie")
    try:
        with running(path) as process:
            assert f"its program {path} is for i386 (32-bit); only x86-64 is served" in _refusal(process.pid)
    except OSError:
        pytest.skip("needs a kernel that runs 32-bit programs")
