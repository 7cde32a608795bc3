"""What /proc says of a process: memory, threads, state.

Everything is read anew at each call, as values.  A process may end between two calls, and any function here then
raises a HostError with `pid` and the errno, as it does where the process is another user's.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from dataclasses import dataclass

from pybpftime.errors import HostError, InputError
from pybpftime.program.elf_symbols import read_binary

AT_NULL, AT_ENTRY, AT_SYSINFO_EHDR = 0, 9, 33
PF_KTHREAD = 0x0020_0000
DELETED = " (deleted)"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Addresses [start, end) show the file from byte `offset`.

    `permissions` is like `r-xp`, `device` a number like st_dev; `inode` is 0 for memory of no file.  `path` is the
    file, seen from the process's root and without ` (deleted)`, for which there is `deleted`; or `[heap]`, `[vdso]`;
    or "".
    """

    start: int
    end: int
    permissions: str
    offset: int
    device: int
    inode: int
    path: str
    deleted: bool = False

    @property
    def executable(self) -> bool:
        """Whether code runs there."""
        return "x" in self.permissions

    @property
    def of_file(self) -> bool:
        """Whether a file with a name is mapped there."""
        return self.inode != 0 and self.path.startswith("/")


@dataclass(frozen=True, slots=True)
class Status:
    """What /proc/PID/status says of a thread.

    `tgid` is the process that it belongs to, `tracer` the process that traces it or 0, `state` a letter (`R`, `S`, `D`,
    `T` stopped, `t` traced, `Z` zombie, `X` dead), `uid` and `gid` the real ones.  In the masks bit N-1 stands for
    signal N.  `seccomp` is 0 without a filter.  `kernel_thread` is True for what has no user space.
    """

    name: str
    state: str
    tgid: int
    tracer: int
    uid: int
    gid: int
    pending: int
    blocked: int
    caught: int
    ignored: int
    seccomp: int
    kernel_thread: bool

    @property
    def ended(self) -> bool:
        """Whether it has ended, although its parent was not told yet."""
        return self.state in "ZXx"


def read_mappings(pid: int) -> list[Mapping]:
    """/proc/PID/maps, in ascending order of addresses.  Empty for kernel threads and zombies, which have no memory."""
    return [_mapping(line, pid) for line in _read(pid, "maps").split(b"\n") if line]


_MAPPING = re.compile(
    rb"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+)(?: +(.*))?", re.DOTALL
)


def _mapping(line: bytes, pid: int) -> Mapping:
    match = _MAPPING.fullmatch(line)
    if match is None:
        raise HostError(f"its memory map has a line that is not understood: {line[:100]!r}", pid=pid)
    start, end, permissions, offset, major, minor, inode, path = match.groups()
    # The kernel writes a newline in a path as \012, and nothing else so.
    name = os.fsdecode((path or b"").replace(b"\\012", b"\n"))
    deleted = name.endswith(DELETED)
    device = os.makedev(int(major, 16), int(minor, 16))
    return Mapping(
        int(start, 16), int(end, 16), permissions.decode("ascii"), int(offset, 16), device, int(inode),
        name.removesuffix(DELETED), deleted,
    )  # fmt: skip


def threads(pid: int) -> list[int]:
    """The ids of its threads, in ascending order.  More may start at any time as long as one of them runs."""
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except OSError as error:
        raise _host_error(error, pid, "task") from None


def read_status(pid: int, tid: int | None = None) -> Status:
    """The state of thread `tid` of the process, or of its first thread."""
    place = "" if tid is None else f"task/{tid}/"
    lines = _read(pid, f"{place}status").decode("utf-8", "backslashreplace").split("\n")  # the name may hold any other
    fields = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = int(_stat_fields(pid, f"{place}stat")[9 - 3])
    try:
        return Status(
            name=fields["Name"],
            state=fields["State"][0],
            tgid=int(fields["Tgid"]),
            tracer=int(fields["TracerPid"]),
            uid=int(fields["Uid"].split()[0]),
            gid=int(fields["Gid"].split()[0]),
            pending=int(fields["SigPnd"], 16),
            blocked=int(fields["SigBlk"], 16),
            caught=int(fields["SigCgt"], 16),
            ignored=int(fields["SigIgn"], 16),
            seccomp=int(fields.get("Seccomp", "0")),
            kernel_thread=bool(flags & PF_KTHREAD),
        )
    except KeyError as error:
        raise HostError(f"its status has no field {error}", pid=pid) from None


def comm(pid: int, tid: int) -> bytes:
    """The name of a thread: at most 15 bytes, any but null, as bpf_get_current_comm gives them."""
    return _read(pid, f"task/{tid}/comm").removesuffix(b"\n")


def cpu_of(pid: int, tid: int) -> int:
    """The CPU that the thread ran on last (field 39 of its stat)."""
    return int(_stat_fields(pid, f"task/{tid}/stat")[39 - 3])


def auxiliary_vector(pid: int) -> dict[int, int]:
    """What the kernel told the program at its start, by AT_ number: AT_ENTRY, AT_SYSINFO_EHDR...  Of 64-bit ones."""
    data = _read(pid, "auxv")
    return {tag: value for tag, value in struct.iter_unpack("=QQ", data[: len(data) & ~15]) if tag != AT_NULL}


def executable(pid: int) -> str:
    """The path of its program, seen from the process's root; it may since have been deleted or replaced."""
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(DELETED)
    except FileNotFoundError as error:
        status = read_status(pid)  # which raises if there is no such process
        reason = _without_program(status) or "it has no program"
        raise HostError(reason, pid=pid, errno=error.errno) from None
    except OSError as error:
        raise _host_error(error, pid, "exe") from None


def check_traceable(pid: int) -> None:
    """HostError, in one sentence, unless `pid` is a 64-bit x86 process that nobody traces yet and that is not us.

    Whether the kernel permits it (ptrace_scope, capabilities, a process that is not dumpable) only trying shows.
    """
    if pid <= 0:
        raise HostError(f"{pid} is no number of a process", pid=pid, errno=errno.ESRCH)
    status = read_status(pid)
    if status.tgid != pid:
        raise HostError(f"it is a thread of process {status.tgid}; name that one", pid=pid)
    if pid == os.getpid():
        raise HostError("it is this process, which cannot trace itself", pid=pid)
    if status.ended and len(threads(pid)) > 1:
        raise HostError("its first thread has ended, which hides what it has mapped", pid=pid)
    if reason := _without_program(status):
        raise HostError(reason, pid=pid)
    if status.tracer:
        raise HostError(f"it is traced already, by {_who(status.tracer)}", pid=pid, errno=errno.EPERM)
    check_program(pid)


def check_program(pid: int) -> None:
    """HostError unless the program that the process executes is a 64-bit x86 one."""
    path = executable(pid)
    try:
        binary = read_binary(f"/proc/{pid}/exe", path)
    except InputError as error:
        raise HostError(f"its program {error}", pid=pid) from None
    if binary.machine != "x86-64":
        bits = " (32-bit)" if binary.bits == 32 else ""
        raise HostError(f"its program {path} is for {binary.machine}{bits}; only x86-64 is served", pid=pid)
    if binary.bits != 64:
        raise HostError(f"its program {path} is for x32, with 32-bit addresses; only 64-bit ones are served", pid=pid)


def _without_program(status: Status) -> str | None:
    if status.kernel_thread:
        return f"it is a thread of the kernel ({status.name}), which has no user space"
    if status.ended:
        return f"it ({status.name}) has ended and waits for its parent to notice"
    return None


def _who(pid: int) -> str:
    try:
        return f"process {pid} ({read_status(pid).name})"
    except HostError:
        return f"process {pid}"


def _stat_fields(pid: int, file: str) -> list[bytes]:
    """The fields of a `stat` file from the third on: the second, in parentheses, may hold anything."""
    return _read(pid, file).rpartition(b")")[2].split()


def _read(pid: int, file: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{file}", "rb") as stream:
            return stream.read()
    except OSError as error:
        raise _host_error(error, pid, file) from None


def _host_error(error: OSError, pid: int, file: str) -> HostError:
    if not os.path.isdir("/proc/self"):
        return HostError("nothing is known of it: /proc is not mounted here", pid=pid, errno=error.errno)
    if error.errno in (errno.ENOENT, errno.ESRCH):
        return HostError("it has ended, or never was", pid=pid, errno=errno.ESRCH)
    if error.errno in (errno.EACCES, errno.EPERM):
        reason = f"not permitted: it is another user's, or protects itself (/proc/{pid}/{file} cannot be read)"
        return HostError(reason, pid=pid, errno=error.errno)
    return HostError(f"/proc/{pid}/{file} cannot be read", pid=pid, errno=error.errno)
