"""Breakpoint probes on one live process: the loop that waits for its threads and serves their hits.

A hit is one stop: the handlers run, and the thread goes on in the out-of-line copy.  Nothing is stepped, so that other
threads never miss a probe.  Whatever ends the session, `close` takes everything out again and lets the process run.

While a session serves, SIGINT, SIGTERM and SIGCHLD are blocked and waited for, so that nothing is interrupted half-way:
a signal to the tracer ends the session between two hits.  The session waits for any child, so a process that serves one
has no other children that it cares for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Sequence
from typing import Final, Self

from pybpftime.attach import proc
from pybpftime.attach.breakpoints import INT3, MMAP, MPROTECT, Breakpoint, Breakpoints
from pybpftime.attach.cleanup import INTERRUPTIONS, first_stop, release_child, seeing_children, seize, take_out
from pybpftime.attach.displace import is_whole
from pybpftime.attach.locate import NotMapped, locate
from pybpftime.attach.probe import Ending, Probe
from pybpftime.attach.remote_call import is_ready
from pybpftime.attach.return_probes import ReturnProbes
from pybpftime.attach.spawn import spawn
from pybpftime.attach.target import ProbeKind
from pybpftime.attach.tracee import (
    BIRTHS,
    CONT,
    EVENT_EXEC,
    EVENT_STOP,
    EVENT_VFORK,
    GETREGS,
    INTERRUPT,
    POKEUSER,
    PT_REGS_SIZE,
    RIP,
    STOP_SIGNALS,
    SYSCALL,
    SYSCALL_STOP,
    TRAP_STATUS,
    WALL,
    Thread,
    Tracee,
    command,
    is_ending,
    request,
    shares_memory,
)
from pybpftime.attach.wakefulness import CALM_SECONDS, Wakefulness
from pybpftime.errors import HostError, InputError

SPINS: Final = 200  # looks for the next stop before going to sleep: waking up takes longer than most hits are apart
WATCHED: Final = (signal.SIGCHLD, *INTERRUPTIONS)
CHECK_SECONDS: Final = 0.25
LOOK_SECONDS: Final = 0.005  # between looks at what else there is, as long as there are hits
NOT_RETURNED: Final = -errno.ENOSYS & (1 << 64) - 1  # in rax where a system call begins
MAPPING_CALLS: Final = (MMAP, MPROTECT)  # a library is being loaded


class BreakpointSession:
    """An Attachment by int3 and ptrace."""

    def __init__(self, tracee: Tracee, signal_mask: set[int | signal.Signals], *, unsafe: bool = False) -> None:
        self.pid = tracee.pid
        self.registers = memoryview(tracee.buffer)[:PT_REGS_SIZE]
        self.notes: list[str] = []
        self._hits = self._hits_at_check = 0
        self._tracee = tracee
        self._signal_mask = signal_mask  # as it was: what would interrupt us waits until `close`
        self._breakpoints = Breakpoints(tracee, unsafe=unsafe)
        self._probes: list[Probe] = []
        self._waiting: list[Probe] = []  # for the library that they are in to be loaded
        self._starting = False
        self._returns = ReturnProbes(tracee, self._breakpoints, self.notes)
        self._repeats: set[tuple[int, int, int]] = set()  # (thread, address, stack pointer): was counted, comes again
        self._strangers: dict[int, int] = {}  # children that have stopped before their parent's event: status
        self._ending: Ending | None = None
        self._entered = True  # False until a program that was started here comes to its entry
        self._deadline = float("inf")
        self._next_check = 0.0
        self._next_look = self._next_heal = 0.0  # at a hit
        self._wakefulness = Wakefulness()
        self._heals = False  # at the next stop that we asked for
        self._closed = False
        self._is_left = False  # set by another thread

    @classmethod
    def attach(cls, pid: int, *, unsafe: bool = False) -> Self:
        """Stop a running process.  HostError when it cannot be traced.

        From here to `close`, SIGINT, SIGTERM and SIGHUP wait for `serve`.
        """
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
        try:
            return cls(seize(pid), mask, unsafe=unsafe)
        except BaseException:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            raise

    @classmethod
    def start(cls, arguments: Sequence[str], *, unsafe: bool = False) -> Self:
        """Start a program and stop it before its first instruction.  HostError when it cannot be run."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
        try:
            session = cls(spawn(arguments, mask), mask, unsafe=unsafe)
        except BaseException:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            raise
        session._entered = False
        try:
            session._begin_program()
        except BaseException:
            session.close()
            raise
        return session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- probes -----------------------------------------------------------------------------------------------------

    def add(self, probe: Probe) -> None:
        """See Attachment.  In a program that has just been started, a library may be loaded later."""
        self._probes.append(probe)
        try:
            if not self._place(probe):
                self._waiting.append(probe)
        except (InputError, HostError, ProcessLookupError) as error:
            if isinstance(error, ProcessLookupError) or is_ending(self.pid, self.pid):
                raise HostError("it ended before its probes were set", pid=self.pid) from None
            raise

    def _place(self, probe: Probe) -> bool:
        """Set the probe's breakpoint; False when its file is not mapped yet in a program that is starting."""
        try:
            place = locate(self.pid, probe.target, self._tracee.mappings())
        except NotMapped:
            if not self._starting:
                raise
            return False
        target = probe.target
        if target.symbol is not None and target.offset:
            start = place.address - target.offset
            if not is_whole(self._breakpoints.original(start, target.offset), start):
                raise InputError(f"{place} lies inside an instruction, where no breakpoint can be")
        breakpoint = self._breakpoints.set(self._stopped_thread(), place.address)
        handlers = breakpoint.exits if probe.target.kind is ProbeKind.URETPROBE else breakpoint.entries
        handlers.append(probe.handler)
        return True

    def _stopped_thread(self) -> int:
        """The thread that makes system calls for us."""
        for tid, thread in self._tracee.threads.items():
            if is_ready(thread.status) and not thread.guest:
                return tid
        raise HostError("none of its threads can be stopped", pid=self.pid)

    def read_user(self, address: int, size: int) -> bytes | None:
        """See Attachment."""
        return self._tracee.memory.read_user(address, size)

    # --- serving ----------------------------------------------------------------------------------------------------

    def serve(self, *, duration: float | None = None) -> Ending:
        """See Attachment.  The thread that calls it is the one that made the session."""
        self._deadline = float("inf") if duration is None else time.monotonic() + duration
        with seeing_children():
            signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
            try:
                self._take_children()
                for tid, thread in list(self._tracee.threads.items()):
                    if thread.status is not None:
                        self._stopped(tid, thread.status)
                while self._ending is None:
                    self._serve_stops()
            finally:
                self.close()
        return self._ending

    def leave(self) -> None:
        """See Attachment."""
        self._is_left = True
        os.kill(os.getpid(), signal.SIGCHLD)  # wakes it up

    def _serve_stops(self) -> None:
        """The hit path: wait, look up, call, go on.  Everything else is for `_stopped`."""
        wait, flags = os.waitpid, WALL | os.WNOHANG
        threads = self._tracee.threads
        spins = 0
        while self._ending is None:
            try:
                tid, status = wait(-1, flags)
            except ChildProcessError:
                self._ended_unseen()
                continue
            if not tid:
                spins += 1
                if spins == SPINS:
                    spins = 0
                    self._sleep()
                continue
            spins = 0
            if status != TRAP_STATUS or tid not in threads or not self._trapped(tid):
                self._stopped(tid, status)

    def _trapped(self, tid: int) -> bool:
        """A thread has stopped with SIGTRAP: serve the hit and let it go on in the copy; False when it is none."""
        tracee = self._tracee
        registers, thread = tracee.registers, tracee.threads[tid]
        thread.status = TRAP_STATUS
        if request(GETREGS, tid, 0, tracee.registers_address):
            return True  # it was killed: its end comes next
        breakpoint = self._breakpoints.at_trap.get(registers.rip)
        try:
            if breakpoint is None or (breakpoint.length == 1 and not tracee.trap_is_from_cpu(tid)):
                return False
            registers.rip = breakpoint.address
            if self._repeats and (tid, breakpoint.address, registers.rsp) in self._repeats:
                self._repeats.discard((tid, breakpoint.address, registers.rsp))
            else:
                self._hit(tid, breakpoint)
            if not breakpoint.copy:
                self._step_over(tid, breakpoint)
                return True
            request(POKEUSER, tid, RIP, breakpoint.copy)
            if thread.status == TRAP_STATUS:
                thread.status = None
                request(SYSCALL if self._starting else CONT, tid, 0, 0)
            elif tid in tracee.threads and thread.status is not None:  # system calls were made on it
                self._stopped(tid, thread.status)
        except ProcessLookupError:
            pass
        return True

    def _hit(self, tid: int, breakpoint: Breakpoint) -> None:
        self._hits += 1
        if self._tracee.threads[tid].guest:
            return
        for handler in breakpoint.entries:
            handler(tid)
        if breakpoint.exits:
            self._returns.expect(tid, breakpoint)
        if breakpoint.is_return:
            self._returns.returned(tid, breakpoint)
        now = time.monotonic()
        if now > self._next_look:
            self._look_around(tid, now)

    def _look_around(self, tid: int, now: float) -> None:
        """What has to be done now and then, also when the hits never cease."""
        self._next_look = now + LOOK_SECONDS
        if info := signal.sigtimedwait(INTERRUPTIONS, 0):
            self._ending = Ending(interrupted_by=info.si_signo)
        self._wakefulness.hits(self._hits, now)
        if now > self._deadline or (self._is_left and self._entered):
            self._ending = Ending()
        if now > self._next_heal and self._ending is None:
            self._next_heal = now + CHECK_SECONDS
            self._heal(tid)

    def _heal(self, tid: int) -> None:
        kept = bytes(self._tracee.buffer)
        with contextlib.suppress(HostError):  # it has ended, or permits no system calls of ours any more
            self._breakpoints.heal(tid)
        self._tracee.buffer[:] = kept

    def _sleep(self) -> None:
        """Wait for a stop, or for a signal to the tracer."""
        now = time.monotonic()
        left = 0.0 if self._is_left and self._entered else self._deadline - now
        if self._tracee.exit_status is not None:
            self._ended_unseen()
        elif self._hits != self._hits_at_check and now > self._next_check:
            self._hits_at_check, self._next_check = self._hits, now + CHECK_SECONDS
            self._look_at_action()
        idle = CHECK_SECONDS if self._hits != self._hits_at_check else 1.0
        info = signal.sigtimedwait(WATCHED, max(0.0, min(left, CALM_SECONDS if self._wakefulness.asked else idle)))
        if info is None:
            self._wakefulness.calm()
        if info is not None and info.si_signo != signal.SIGCHLD:
            self._ending = Ending(interrupted_by=info.si_signo)
        elif left <= 0:
            self._ending = Ending()

    def _look_at_action(self) -> None:
        """There were hits, and none is there now: if one has reset SIGTRAP's action, stop a thread for `heal`."""
        for tid, thread in self._tracee.threads.items():
            if thread.status is None and not thread.guest and not thread.waits_for:
                with contextlib.suppress(HostError, ProcessLookupError):
                    if not self._breakpoints.is_handled(tid):
                        command(INTERRUPT, tid)
                        self._heals = True
                return

    def _ended_unseen(self) -> None:
        """The process has ended while one of its threads was waited for, or is not ours any more."""
        if self._tracee.exit_status is None:
            raise HostError("it is not traced any more", pid=self.pid)
        self._ended(self.pid, self._tracee.exit_status)

    def _step_over(self, tid: int, breakpoint: Breakpoint) -> None:
        """Without an area: execute the original instruction in its place, where other threads may miss the probe."""
        tracee = self._tracee
        tracee.registers.rip = breakpoint.address
        tracee.store_registers(tid)
        tracee.memory.write(breakpoint.address, bytes([breakpoint.byte]))
        status = tracee.single_step(tid)
        if tracee.threads:
            tracee.memory.write(breakpoint.address, INT3)
        if status == TRAP_STATUS:
            tracee.resume(tid)
        elif status is not None:
            if tracee.fetch_registers(tid).rip == breakpoint.address:  # a signal came first
                self._repeats.add((tid, breakpoint.address, tracee.registers.rsp))
            self._stopped(tid, status)
        else:
            self._ended(tid, 0)

    # --- everything else that stops a thread ------------------------------------------------------------------------

    def _stopped(self, tid: int, status: int) -> None:
        """Deal with any stop but a hit, and let the thread go on."""
        if not os.WIFSTOPPED(status):
            self._ended(tid, status)
        elif tid in self._tracee.threads or self._adopt(tid, status):
            self._tracee.threads[tid].status = status
            with contextlib.suppress(ProcessLookupError):  # it was killed: its end comes next
                self._go_on(tid, status)

    def _go_on(self, tid: int, status: int) -> None:
        tracee = self._tracee
        event, number = status >> 16, os.WSTOPSIG(status)
        deliver = 0
        if event == EVENT_STOP:
            if self._heals and not tracee.threads[tid].guest:
                self._heals = False
                self._heal(tid)
                number = os.WSTOPSIG(tracee.threads[tid].status or 0) if tid in tracee.threads else 0
            if number in STOP_SIGNALS:  # a group stop (SIGSTOP, Ctrl-Z): it stays stopped until SIGCONT
                tracee.listen(tid)
                return
        elif event == EVENT_EXEC:
            self._executed(tid)
        elif event in BIRTHS:
            child = tracee.event_message(tid)
            if event == EVENT_VFORK:
                tracee.threads[tid].waits_for = child
            self._born(child, tid)
        elif number == SYSCALL_STOP:
            self._at_system_call(tid)
        else:
            deliver = number
            moved = self._breakpoints.move_out(tid)
            if moved is not None:
                self._repeats.add((tid, moved.address, tracee.registers.rsp))
        if tid in tracee.threads:
            tracee.resume(tid, deliver, how=SYSCALL if self._starting else CONT)

    def _ended(self, tid: int, status: int) -> None:
        self._returns.ended(tid)
        self._breakpoints.ended(tid)
        self._strangers.pop(tid, None)
        self._repeats = {one for one in self._repeats if one[0] != tid}
        self._tracee.forget(tid)
        if tid == self.pid:
            self._ending = Ending.of(status)

    # --- children ---------------------------------------------------------------------------------------------------

    def _adopt(self, tid: int, status: int) -> bool:
        """Something stops that is not known yet: a new thread is taken, a child waits for its parent's event."""
        if tid in proc.threads(self.pid):
            self._tracee.threads[tid] = Thread(tid)
            return True
        self._strangers[tid] = status
        return False

    def _born(self, tid: int, parent: int) -> None:
        """A thread has made another one, or a child: the kernel has seized it, and it stops before it does anything."""
        tracee = self._tracee
        self._breakpoints.inherit_mask(parent, tid)
        if tid in tracee.threads or tid in proc.threads(self.pid):
            tracee.threads.setdefault(tid, Thread(tid))
            return
        status = self._strangers.pop(tid, None) or first_stop(tid)
        if status is None:
            return
        if not self._closed and shares_memory(self.pid, tid):  # it must pass the probes until it executes a program
            tracee.threads[tid] = Thread(tid, guest=True)
            tracee.resume(tid)
        else:
            release_child(self.pid, tid, status, self._breakpoints)

    def _take_children(self) -> None:
        """Look at the children that were born while threads were being stopped."""
        while self._tracee.children:
            self._born(*self._tracee.children.popitem())

    # --- programs that begin ----------------------------------------------------------------------------------------

    def _executed(self, tid: int) -> None:
        """A program was executed: in the process itself, with all probes to set again, or in a guest, which leaves."""
        tracee = self._tracee
        if tracee.threads[tid].guest:
            tracee.detach(tid)
            return
        tracee.executed()
        self._returns.clear()
        self._repeats.clear()
        self._breakpoints.forget()
        if tracee.interrupt(tid) is not None:
            self._begin_program()

    def _begin_program(self) -> None:
        """Set the probes of a program that is at its first instruction: now, as its libraries are mapped, at its entry.

        From here to its entry every system call is looked at, so that a library is probed before its code runs.
        """
        try:
            proc.check_program(self.pid)
        except HostError as error:
            if not self._entered:
                raise
            self.notes.append(f"{error}: the probes are not set there")
            return
        self._starting = True
        self._waiting = [probe for probe in self._probes if not self._place_again(probe)]
        entry = proc.auxiliary_vector(self.pid)[proc.AT_ENTRY]
        self._breakpoints.set(self.pid, entry).entries.append(self._at_entry)

    def _place_again(self, probe: Probe) -> bool:
        """See `_place`; in a program that another has executed, what cannot be probed is only noted."""
        try:
            return self._place(probe)
        except (InputError, HostError) as error:
            if not self._entered:
                raise
            self.notes.append(str(error))
            return True

    def _at_system_call(self, tid: int) -> None:
        registers = self._tracee.fetch_registers(tid)
        has_returned = registers.rax != NOT_RETURNED
        if self._waiting and registers.orig_rax in MAPPING_CALLS and has_returned:
            self._waiting = [probe for probe in self._waiting if not self._place_again(probe)]

    def _at_entry(self, tid: int) -> None:
        """The dynamic linker is done: what is not mapped now was not asked for by the program."""
        if not self._starting:
            return
        self._starting = False
        kept = bytes(self._tracee.buffer)
        for probe in self._waiting:
            self._place_again(probe)
        self._tracee.buffer[:] = kept
        self._waiting.clear()
        self._entered = True

    # --- the end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """See Attachment.  A program that was started here and has not come to its entry is ended."""
        if self._closed:
            return
        self._closed = True
        self._wakefulness.calm()
        tracee = self._tracee
        if not self._entered:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        try:
            if not take_out(tracee, self._breakpoints, self._take_children):
                self.notes.append("its areas stay mapped, without any probe: a thread may come back to one")
        except (HostError, ProcessLookupError):
            pass  # it has ended meanwhile
        finally:
            for child, status in self._strangers.items():
                release_child(self.pid, child, status, self._breakpoints)
            tracee.let_go()
            if self._ending is not None:
                self._has_ended()
            signal.pthread_sigmask(signal.SIG_SETMASK, self._signal_mask)

    def _has_ended(self) -> None:
        """The process may have ended while it was let go; that we are to end need not be said again."""
        status = self._tracee.exit_status
        if status is not None:
            self._ending = Ending.of(status)
        while signal.sigtimedwait(INTERRUPTIONS, 0) is not None:
            pass
