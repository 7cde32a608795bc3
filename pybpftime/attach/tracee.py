"""A process under ptrace: its threads and their registers.  The one module that knows python-ptrace.

One thread of the tracer drives a Tracee (the kernel demands it), and there is no loop in here: `session` waits and
decides.

The process is seized, not attached: nothing is sent to it, group stops stay what they are, and when the tracer dies the
kernel lets it run.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from pybpftime.attach import proc
from pybpftime.attach.memory import ProcessMemory
from pybpftime.errors import HostError

try:
    from ptrace.binding import func as binding
    from ptrace.error import PtraceError
except ImportError:
    raise HostError("live processes need the package python-ptrace: pip install 'pybpftime[trace]'") from None

if sys.platform != "linux" or platform.machine() != "x86_64":
    raise HostError(f"live processes are those of Linux on x86-64, not of {sys.platform} on {platform.machine()}")

WALL: Final = 0x4000_0000  # __WALL: threads too

# Requests, options and events; those with numbers python-ptrace does not name (linux/ptrace.h).
GETREGS: Final[int] = binding.PTRACE_GETREGS
SETREGS: Final[int] = binding.PTRACE_SETREGS
POKEUSER: Final[int] = binding.PTRACE_POKEUSER
CONT: Final[int] = binding.PTRACE_CONT
SYSCALL: Final[int] = binding.PTRACE_SYSCALL
SEIZE: Final = 0x4206
INTERRUPT: Final = 0x4207
LISTEN: Final = 0x4208
EVENT_EXEC: Final[int] = binding.PTRACE_EVENT_EXEC
EVENT_STOP: Final = 128
EVENT_VFORK: Final[int] = binding.PTRACE_EVENT_VFORK
BIRTHS: Final = frozenset({binding.PTRACE_EVENT_FORK, EVENT_VFORK, binding.PTRACE_EVENT_CLONE})
SUSPEND_SECCOMP: Final = 1 << 21  # an option: as if there were no seccomp filter; only root may ask for it
SETOPTIONS, GETEVENTMSG, GETSIGINFO, SETSIGINFO, GETSIGMASK, SETSIGMASK = 0x4200, 0x4201, 0x4202, 0x4203, 0x420A, 0x420B
SIGINFO_SIZE: Final = 128
OPTIONS: Final = (
    binding.PTRACE_O_TRACESYSGOOD
    | binding.PTRACE_O_TRACEFORK
    | binding.PTRACE_O_TRACEVFORK
    | binding.PTRACE_O_TRACECLONE
    | binding.PTRACE_O_TRACEEXEC
)
LOOKS: Final = 200  # for a stop, before going to sleep between them
NAP: Final = 0.001
LOOKS_AT_END: Final = 30
SYSCALL_STOP: Final = signal.SIGTRAP | 0x80
TRAP_STATUS: Final = signal.SIGTRAP << 8 | 0x7F  # what waitpid says of a thread that ran into an int3
STOP_SIGNALS: Final = frozenset({signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})

PATIENCE: Final = 5.0  # seconds until a thread that does not stop is given up: it is inside vfork, or waits for a disk

request: Any = ctypes.CDLL(None).ptrace  # the bare call, for the hit path: no checks; arguments are numbers
request.argtypes = (ctypes.c_ulong,) * 4
request.restype = ctypes.c_long
Registers: Any = binding.ptrace_registers_t  # struct user_regs_struct, which begins with struct pt_regs
PT_REGS_SIZE: Final = 168
RIP: Final[int] = Registers.rip.offset  # in struct user, for POKEUSER

_libc = ctypes.CDLL(None, use_errno=True)


def command(number: int, tid: int, address: int = 0, data: int = 0) -> None:
    """A ptrace request.  ProcessLookupError when the thread is gone or runs; else HostError."""
    try:
        binding.ptrace(number, tid, address, data)
    except PtraceError as error:
        if error.errno == errno.ESRCH:
            raise ProcessLookupError(errno.ESRCH, "no such thread, or not stopped") from None
        raise HostError("ptrace was refused", errno=error.errno, pid=tid) from None


@dataclass(slots=True)
class Thread:
    """A thread of the target.  `status` is what waitpid said of its stop, None while it runs.

    `held` are signals that were taken from it and sent to it again: by number what the first sender said (siginfo_t).
    A `guest` is another process that shares the memory, and `waits_for` the one that it waits for inside vfork.
    """

    tid: int
    status: int | None = None
    held: dict[int, bytes] = field(default_factory=dict)
    guest: bool = False
    waits_for: int = 0


class Tracee:
    """A seized process: its `memory`, `threads` by id, and `registers`, the one buffer that register reads fill.

    `buffer` is the memory of `registers`; its first PT_REGS_SIZE bytes are struct pt_regs.
    """

    def __init__(self, pid: int, threads: dict[int, Thread] | None = None) -> None:
        self.pid = pid
        self.threads = {} if threads is None else threads
        self.buffer = bytearray(ctypes.sizeof(Registers))
        self.registers: Any = Registers.from_buffer(self.buffer)
        self.registers_address = ctypes.addressof(self.registers)
        self.children: dict[int, int] = {}  # born while threads were being stopped, for the session: child to parent
        self.has_executed = False  # set when `stop` has seen that the process executes another program
        self.exit_status: int | None = None  # what waitpid said when the process ended while it was waited for here
        self.memory = ProcessMemory(pid)

    # --- beginning and end ------------------------------------------------------------------------------------------

    @classmethod
    def seize(cls, pid: int) -> Tracee:
        """Seize all threads of a running process and stop them.  HostError when that is not permitted."""
        try:
            proc.check_traceable(pid)
        except HostError as error:
            if error.errno == errno.ESRCH or not is_ending(pid, pid) or len(proc.threads(pid)) > 1:
                raise
            raise HostError("it ended before it could be traced", pid=pid) from None
        tracee = cls(pid)
        tried: set[int] = set()
        with tracee.or_let_go():
            while new := [tid for tid in proc.threads(pid) if tid not in tried]:
                for tid in new:
                    tried.add(tid)
                    tracee._seize(tid)
            if not tracee.threads:
                raise ProcessLookupError
            tracee.has_executed = False  # there was nothing yet to be forgotten
        return tracee

    @contextlib.contextmanager
    def or_let_go(self) -> Iterator[None]:
        """What goes wrong in here leaves the process untraced.  HostError when it has ended."""
        try:
            yield
        except ProcessLookupError:
            self.let_go()
            raise HostError("it ended before it could be traced", pid=self.pid) from None
        except BaseException:
            self.let_go()
            raise

    def _seize(self, tid: int) -> None:
        try:
            command(SEIZE, tid, 0, OPTIONS)
        except ProcessLookupError:
            return  # it has ended since
        except HostError as error:
            if error.errno == errno.EPERM and self.threads and self._is_ours(tid):
                pass  # a thread that began since: the kernel seized it for us, and it stops by itself
            elif error.errno == errno.EPERM and is_ending(self.pid, tid):
                return
            elif error.errno == errno.EPERM:
                raise _not_permitted(self.pid) from None
            else:
                raise
        self.threads[tid] = Thread(tid)
        self.stop(tid)

    def _is_ours(self, tid: int) -> bool:
        try:
            status = proc.read_status(self.pid, tid)
            return status.tracer == os.getpid() and not (status.ended and tid == self.pid)
        except HostError:
            return False

    def _has_ended(self, tid: int) -> bool:
        """Whether a thread has ended.  The end of the first thread is told when the last one's comes."""
        try:
            return self.status_of(tid).ended and (tid != self.pid or len(proc.threads(self.pid)) > 1)
        except HostError:
            return True

    def status_of(self, tid: int) -> proc.Status:
        """What /proc says of a thread.  HostError when it is gone."""
        thread = self.threads.get(tid)
        return proc.read_status(tid if thread is not None and thread.guest else self.pid, tid)

    def let_go(self) -> None:
        """Detach from every thread; signals that wait for delivery are delivered.  Never fails.

        Those that have been killed are waited for, as the kernel tells nobody else of their end before.
        """
        done: set[int] = set()
        while left := [tid for tid in {*self.threads, *self._seized()} if tid not in done]:
            for tid in sorted(left, key=lambda tid: tid == self.pid):  # its end is told after all others'
                done.add(tid)
                thread = self.threads.setdefault(tid, Thread(tid))
                with contextlib.suppress(ProcessLookupError, HostError):
                    try:
                        status = self._with_its_signals(tid, self.stop(tid))
                        if status is not None:
                            self.detach(tid, signal_of(status))
                    except ProcessLookupError:
                        self.threads[tid] = thread
                        self.wait_for_stop(tid)
        self.threads.clear()
        self.memory.close()

    def _seized(self) -> list[int]:
        """The threads that the kernel says we trace."""
        with contextlib.suppress(HostError):
            return [tid for tid in proc.threads(self.pid) if proc.read_status(self.pid, tid).tracer == os.getpid()]
        return []

    def _with_its_signals(self, tid: int, status: int | None) -> int | None:
        """Let signals that were taken from a stopped thread come back, for the last to be delivered as it was sent."""
        while status is not None and self.threads[tid].held:
            number = signal_of(status)
            if number:
                if self._give_back_information(tid, number) and not self.threads[tid].held:
                    break
                _send(self.pid, tid, number)
            self.resume(tid)
            status = self.wait_for_stop(tid)
        return status

    def forget(self, tid: int) -> None:
        """A thread has ended."""
        self.threads.pop(tid, None)
        if not self.threads:
            self.memory.close()

    def executed(self) -> None:
        """The process has executed another program: one thread, new memory."""
        for tid in [tid for tid in self.threads if tid != self.pid]:
            del self.threads[tid]
        self.memory.close()

    # --- running and stopping ---------------------------------------------------------------------------------------

    def wait_for_stop(self, tid: int) -> int | None:
        """Wait until the thread stops; its status, None when it ended instead.

        HostError when it does not for long, as one in an uninterruptible system call.
        """
        give_up = time.monotonic() + PATIENCE
        looks, ended, found, status = 0, False, 0, 0
        while not found:
            try:
                found, status = os.waitpid(tid, WALL | os.WNOHANG)
            except ChildProcessError:
                ended = True
            if found:
                break
            if ended:
                self.forget(tid)
                return None
            looks += 1
            if looks > LOOKS:
                ended = self._has_ended(tid)
                if time.monotonic() > give_up:
                    raise HostError(f"thread {tid} does not stop: it waits inside the kernel", pid=self.pid)
                time.sleep(NAP)
        if not os.WIFSTOPPED(status):
            if tid == self.pid:
                self.exit_status = status
            self.forget(tid)
            return None
        self.threads[tid].status = status
        return status

    def stop(self, tid: int) -> int | None:
        """Stop the thread where its registers are its own: not inside a system call that goes on.

        Its status, of a stop that we asked for or of one before a signal is delivered; None when it ended instead.
        Children that it has made meanwhile are noted.  One that was about to wait for a child (vfork) is left there.
        """
        thread = self.threads[tid]
        status = thread.status
        if status is None:
            with contextlib.suppress(ProcessLookupError):
                command(INTERRUPT, tid)
            status = self.wait_for_stop(tid)
        while status is not None and not is_settled(status):
            event = status >> 16
            child = self.event_message(tid) if event in BIRTHS else 0
            if child and child != thread.waits_for:
                self.children[child] = tid
                if event == EVENT_VFORK:
                    thread.waits_for = child
                    break
            if event == EVENT_EXEC:
                if thread.guest:
                    self.detach(tid)
                    return None
                self.executed()
                self.has_executed = True
            status = self.interrupt(tid)
        return status

    def interrupt(self, tid: int) -> int | None:
        """Turn a thread's stop into one that we asked for, before it does anything; the signal that waited is dropped.

        In such a stop it can be left alone: whatever becomes of us, it goes on with the registers that it has.
        """
        with contextlib.suppress(ProcessLookupError):
            command(INTERRUPT, tid)
        self.resume(tid)
        return self.wait_for_stop(tid)

    def stop_all(self) -> list[int]:
        """Stop every thread, those too that begin meanwhile, but for those that wait for a guest; their ids."""
        while running := [tid for tid, thread in self.threads.items() if self._is_to_be_stopped(thread)]:
            for tid in running:
                if tid in self.threads:
                    self.stop(tid)
            for tid in proc.threads(self.pid) if self.threads else []:
                if tid not in self.threads and self._is_ours(tid):
                    self.threads[tid] = Thread(tid)
        return list(self.threads)

    def _is_to_be_stopped(self, thread: Thread) -> bool:
        if thread.waits_for and (thread.waits_for in self.threads or thread.waits_for in self.children):
            return False
        return thread.status is None or not is_settled(thread.status)

    def resume(self, tid: int, signal_number: int = 0, *, how: int = CONT) -> None:
        """Let a stopped thread go on, with a signal delivered."""
        thread = self.threads[tid]
        if signal_number and thread.held:
            self._give_back_information(tid, signal_number)
        thread.status = None
        with contextlib.suppress(ProcessLookupError):
            command(how, tid, 0, signal_number)

    def listen(self, tid: int) -> None:
        """Leave a thread in its group stop; it is heard of again when that ends."""
        self.threads[tid].status = None
        try:
            command(LISTEN, tid)
        except HostError:  # the group stop has just ended
            self.resume(tid)

    def _give_back_information(self, tid: int, number: int) -> bool:
        """Before a signal is delivered that was taken and sent again: who had sent it.  Whether it was such a one."""
        information = self.threads[tid].held.pop(number, None)
        if information is None:
            return False
        content = ctypes.create_string_buffer(information, SIGINFO_SIZE)
        with contextlib.suppress(ProcessLookupError, HostError):
            command(SETSIGINFO, tid, 0, ctypes.addressof(content))
        return True

    def hold_signal(self, tid: int, number: int) -> None:
        """Take the signal that a thread has stopped for, to be sent to it again with `send_held`."""
        content = ctypes.create_string_buffer(SIGINFO_SIZE)
        command(GETSIGINFO, tid, 0, ctypes.addressof(content))
        self.threads[tid].held.setdefault(number, content.raw)

    def send_held(self, tid: int) -> None:
        """Send the signals again that were taken from a thread."""
        for number in self.threads[tid].held if tid in self.threads else ():
            _send(self.pid, tid, number)

    def single_step(self, tid: int) -> int | None:
        """Let a stopped thread execute one instruction; the status of its next stop, None when it ended."""
        self.threads[tid].status = None
        command(binding.PTRACE_SINGLESTEP, tid)
        return self.wait_for_stop(tid)

    def detach(self, tid: int, signal_number: int = 0) -> None:
        """Let a stopped thread go for good."""
        self.threads.pop(tid)
        command(binding.PTRACE_DETACH, tid, 0, signal_number)

    def event_message(self, tid: int) -> int:
        """What an event is about: the id of the new thread or child."""
        message = ctypes.c_ulong()
        command(GETEVENTMSG, tid, 0, ctypes.addressof(message))
        return message.value

    # --- registers, signals, mappings -------------------------------------------------------------------------------

    def fetch_registers(self, tid: int) -> Any:
        """Fill `registers` from a stopped thread, and return it."""
        command(GETREGS, tid, 0, self.registers_address)
        return self.registers

    def store_registers(self, tid: int) -> None:
        """Give `registers` to a stopped thread."""
        command(SETREGS, tid, 0, self.registers_address)

    def signal_mask(self, tid: int) -> int:
        """The signals that a stopped thread blocks: bit N-1 stands for signal N."""
        mask = ctypes.c_uint64()
        command(GETSIGMASK, tid, 8, ctypes.addressof(mask))
        return mask.value

    def set_signal_mask(self, tid: int, mask: int) -> None:
        """Change what a stopped thread blocks."""
        command(SETSIGMASK, tid, 8, ctypes.addressof(ctypes.c_uint64(mask)))

    def set_options(self, tid: int, options: int) -> None:
        """Change the options of a stopped thread.  HostError when one is not permitted."""
        command(SETOPTIONS, tid, 0, options)

    def trap_is_from_cpu(self, tid: int) -> bool:
        """Whether a thread that stopped with SIGTRAP ran into an int3, and was not sent the signal."""
        si_kernel = 0x80
        content = ctypes.create_string_buffer(SIGINFO_SIZE)
        command(GETSIGINFO, tid, 0, ctypes.addressof(content))
        return int.from_bytes(content.raw[8:12], "little") == si_kernel

    def mappings(self) -> list[proc.Mapping]:
        """What the target has mapped; also when its first thread has ended."""
        for tid in (self.pid, *self.threads):
            with contextlib.suppress(HostError):
                if found := proc.read_mappings(tid):
                    return found
        raise HostError("it ended", pid=self.pid)


def signal_of(status: int) -> int:
    """The signal that waits for delivery in a stop, 0 when it stopped for another reason."""
    number = os.WSTOPSIG(status)
    return 0 if status >> 16 or number == SYSCALL_STOP else number


def is_settled(status: int) -> bool:
    """Whether a thread's registers are its own in its stop: not inside a system call that goes on."""
    return status >> 16 in (0, EVENT_STOP) and os.WSTOPSIG(status) != SYSCALL_STOP


def is_ending(pid: int, tid: int) -> bool:
    """Whether a thread has ended, or does within some milliseconds: it may have been killed just now."""
    for _ in range(LOOKS_AT_END):
        try:
            if proc.read_status(pid, tid).ended:
                return True
        except HostError:
            return True
        time.sleep(NAP)
    return False


def _send(pid: int, tid: int, number: int) -> None:
    tgkill = 234
    _libc.syscall(tgkill, pid, tid, number)


def shares_memory(pid: int, other: int) -> bool:
    """Whether two processes, of which we trace both, have one address space."""
    kcmp, kcmp_vm = 312, 1
    return bool(_libc.syscall(kcmp, pid, other, kcmp_vm, 0, 0) == 0)


def _not_permitted(pid: int) -> HostError:
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope") as file:
            scope = file.read().strip()
    except OSError:
        scope = "0"
    hint = "" if scope == "0" else f"; kernel.yama.ptrace_scope is {scope}, which forbids it to all but root or parents"
    return HostError(f"tracing it is not permitted{hint}", errno=errno.EPERM, pid=pid)
