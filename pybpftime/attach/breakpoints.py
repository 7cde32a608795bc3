"""The breakpoints of one target: an int3 at each probed address, and the area that lets the target live with them.

Invariants, at every moment in which the tracer could be killed:
* an address holds an int3 only while a record of an area says what was there and where the copy is;
* the areas are linked from the first, and SIGTRAP's action is the first area's handler while any int3 stands.

The second one is the target's to break: it may set another action, and a thread that blocks SIGTRAP after its first
probe was set makes the kernel reset the action at its next hit.  While the tracer lives, `heal` sees to the latter
within a fraction of a second, and to the former at a hit after that; without one, such a hit ends the target.

Without an area (`unsafe`), for a target in which none can be mapped, the tracer alone has the record, and the target
dies at its next hit if the tracer is killed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pybpftime.attach import proc
from pybpftime.attach.area import SIG_DFL, SIGTRAP, SIGTRAP_BIT, SIZE, Area, Record, SignalAction
from pybpftime.attach.displace import LONGEST_INSTRUCTION, Displaced, displace
from pybpftime.attach.remote_call import RemoteCalls, is_ready
from pybpftime.attach.tracee import TRAP_STATUS, Tracee
from pybpftime.errors import HostError, InputError

INT3: Final = b"\xcc"
REACH: Final = (1 << 31) - (1 << 20)  # how far a copy may be from its original
GUARD: Final = 0x10000  # bytes between an area and its neighbour
LOWEST: Final = 0x10000  # vm.mmap_min_addr
MMAP, MPROTECT, MUNMAP, SIGACTION = 9, 10, 11, 13  # numbers of system calls
PROT_READ_EXEC: Final = 5
MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE: Final = 0x10_0022
DEEPEST_STACK: Final = 64 << 20  # how much of a stack is searched for addresses of an area
BELOW_RED_ZONE: Final = 256  # bytes below a stack pointer where a signal handler's frame would be


class AreaRefused(HostError):
    """The target has no area and cannot be given one, so it would not outlive the tracer."""


@dataclass(slots=True, eq=False)
class Breakpoint:
    """One probed instruction.  `copy` is 0 where there is no area.

    `entries` are called when a thread comes here; `exits` when the function that begins here returns; `is_return`
    says that some function returns to here.
    """

    address: int
    byte: int
    length: int
    copy: int = 0
    displaced: Displaced | None = None
    entries: list[Callable[[int], None]] = field(default_factory=list)
    exits: list[Callable[[int], None]] = field(default_factory=list)
    is_return: bool = False


class Breakpoints:
    """All breakpoints of a tracee.  Iterable; `at_trap[rip]` is the one whose int3 a thread has just executed."""

    def __init__(self, tracee: Tracee, *, unsafe: bool = False) -> None:
        self.at_trap: dict[int, Breakpoint] = {}
        self.areas: list[Area] = []
        self.is_left = False  # whether `recover` has found anything
        self._unfinished = 0  # where it has found memory that was mapped for an area, and has no header yet
        self._tracee = tracee
        self._unsafe = unsafe
        self._calls = RemoteCalls(tracee)
        self._blocking: dict[int, int] = {}  # threads that blocked SIGTRAP, and which signals they block now

    @classmethod
    def recover(cls, tracee: Tracee) -> Breakpoints:
        """What a tracer that was killed has left in a target, all of whose threads are stopped; may be nothing."""
        found = cls(tracee)
        calls = RemoteCalls.find_left(tracee)
        mapping_at = 0
        if calls is not None:
            found._calls, found.is_left = calls, True
            mapping_at = calls.mapping
            for tid, thread in tracee.threads.items():
                if thread.status is not None:
                    calls.move_out(tid)
        for mapping in tracee.mappings():
            if mapping.permissions.startswith("r-x") and not mapping.path:
                size = mapping.end - mapping.start
                area = Area.recognise(mapping.start, size, tracee.memory.read, tracee.memory.write)
                if area is not None:
                    found.areas.append(area)
                    found.is_left = True
                elif mapping.start == mapping_at and size == SIZE:
                    found._unfinished = mapping_at
        named = {area.next for area in found.areas}
        found.areas.sort(key=lambda area: area.base in named)  # the first, which no other names, has the handler
        for area in found.areas:
            for record in area.records():
                found.at_trap[record.address + 1] = Breakpoint(record.address, record.byte, 1, record.copy)
        for breakpoint in found:
            code = found._original(breakpoint.address)
            with contextlib.suppress(InputError):  # the code was unmapped or replaced since
                breakpoint.displaced = displace(code, breakpoint.address, breakpoint.copy)
                breakpoint.length = breakpoint.displaced.length
        return found

    def __iter__(self) -> Iterator[Breakpoint]:
        return iter(self.at_trap.values())

    # --- setting ----------------------------------------------------------------------------------------------------

    def set(self, tid: int, address: int) -> Breakpoint:
        """The breakpoint at `address`, set now if there is none; `tid` is a stopped thread.

        InputError when the instruction there cannot be moved, AreaRefused when the target takes no area.
        """
        known = self.at_trap.get(address + 1)
        if known is not None:
            if not self.stands(known):
                self._set_again(known)
            return known
        code = self._original(address)
        try:
            breakpoint = self._with_area(tid, address, code)
        except AreaRefused:
            if not self._unsafe:
                raise
            breakpoint = Breakpoint(address, code[0], displace(code, address, address).length)
        for other, thread in self._tracee.threads.items() if not self.at_trap else ():
            if thread.status is not None:
                self.unblock(other)
        self.at_trap[address + 1] = breakpoint
        self._tracee.memory.write(address, INT3)
        return breakpoint

    def stands(self, breakpoint: Breakpoint) -> bool:
        """Whether the int3 is there still: a library that was unloaded, and perhaps loaded again, has it no more."""
        try:
            return self._tracee.memory.read(breakpoint.address, 1) == INT3
        except HostError:
            return False

    def _set_again(self, known: Breakpoint) -> None:
        """Write the int3 where the same code was loaded again; its record and copy are there from the first time."""
        displaced = displace(self._original(known.address), known.address, known.copy or known.address)
        if known.displaced is not None and displaced != known.displaced:
            raise HostError(f"other code was loaded at {known.address:#x} since", pid=self._tracee.pid)
        self._tracee.memory.write(known.address, INT3)

    def _with_area(self, tid: int, address: int, code: bytes) -> Breakpoint:
        displace(code, address, address)  # what cannot be moved at all is refused before anything is mapped
        area = self._area_near(tid, address)
        displaced = displace(code, address, area.next_copy)
        record = Record(address, area.next_copy, code[0])
        area.add(record, displaced.code)
        return Breakpoint(address, code[0], displaced.length, record.copy, displaced)

    def _original(self, address: int) -> bytes:
        """The instruction at `address`, and what is behind, as it was without breakpoints."""
        for size in range(LONGEST_INSTRUCTION, 0, -1):  # it may end at the end of a mapping
            with contextlib.suppress(HostError):
                return self.original(address, size)
        return b""

    def original(self, address: int, size: int) -> bytes:
        """Code of the target as it was without breakpoints.  HostError where there is none."""
        code = bytearray(self._tracee.memory.read(address, size))
        for place in range(len(code)):
            other = self.at_trap.get(address + place + 1)
            if other is not None and code[place] == INT3[0]:  # else it was unmapped or replaced since
                code[place] = other.byte
        return bytes(code)

    # --- areas ------------------------------------------------------------------------------------------------------

    def _area_near(self, tid: int, address: int) -> Area:
        for area in self.areas:
            if not area.is_full and abs(area.base - address) < REACH - SIZE:
                return area
        tracee = self._tracee
        self.step_aside(tid)
        try:
            base = self._map(tid, address)
        except HostError as error:
            reason = f"no area for copies of instructions can be mapped near {address:#x} ({error.reason})"
            reason += "; with --unsafe-attach it is probed all the same, and dies if its tracer is killed"
            raise AreaRefused(reason, errno=error.errno, pid=tracee.pid) from None
        first = not self.areas
        old = self._action(tid, None) if first else SignalAction()
        area = Area.create(base, tracee.memory.read, tracee.memory.write, old_action=old)
        self._calls.mapping = 0
        if first:
            self._action(tid, area.action)
        else:
            self.areas[-1].link(area)
        self.areas.append(area)
        return area

    def _map(self, tid: int, address: int) -> int:
        tracee = self._tracee
        base = _free_place(tracee.mappings(), address)
        if base is None:
            raise HostError(f"there is no free place of {SIZE >> 10} KiB within 2 GiB", pid=tracee.pid)
        self._calls.mapping = base
        try:
            flags = MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE
            mapped = self._calls.call(tid, MMAP, base, SIZE, PROT_READ_EXEC, flags, -1, 0)
        except HostError:
            self._calls.mapping = 0
            raise
        if mapped != base:  # a kernel before 4.17 takes the address as a hint
            self._calls.call(tid, MUNMAP, mapped, SIZE)
            self._calls.mapping = 0
            raise HostError("the kernel gave another place", pid=tracee.pid)
        return base

    # --- SIGTRAP ----------------------------------------------------------------------------------------------------

    def _action(self, tid: int, action: SignalAction | None) -> SignalAction:
        """Set what SIGTRAP does, unless None; returns what it did."""
        tracee = self._tracee
        scratch = (tracee.fetch_registers(tid).rsp - BELOW_RED_ZONE) & ~0xF
        kept = tracee.memory.read(scratch, SignalAction.SIZE)
        try:
            new = 0 if action is None else self._calls.argument(action.pack())
            self._calls.call(tid, SIGACTION, SIGTRAP, new, scratch, 8)
            return SignalAction.unpack(tracee.memory.read(scratch, SignalAction.SIZE))
        finally:
            tracee.memory.write(scratch, kept)

    def is_handled(self, tid: int) -> bool:
        """Whether SIGTRAP goes to some handler, as far as can be seen without stopping anything."""
        return not self.areas or bool(proc.read_status(self._tracee.pid, tid).caught & SIGTRAP_BIT)

    def heal(self, tid: int) -> bool:
        """Make SIGTRAP's action ours again if the target or the kernel changed it; whether it had been changed.

        The kernel resets it when a thread that blocks SIGTRAP runs into an int3 (force_sig_info_to_task).
        """
        if not self.areas:
            return False
        first = self.areas[0]
        self.step_aside(tid)
        current = self._action(tid, None)
        if current.handler == first.action.handler:
            return False
        if current.handler:
            first.old_action = current
        self._action(tid, first.action)
        return True

    def unblock(self, tid: int) -> None:
        """Let a stopped thread take SIGTRAP: it would not survive an int3 without a tracer otherwise."""
        mask = self._tracee.signal_mask(tid)
        if mask & SIGTRAP_BIT:
            self._blocking[tid] = mask & ~SIGTRAP_BIT
            self._tracee.set_signal_mask(tid, mask & ~SIGTRAP_BIT)

    def inherit_mask(self, parent: int, child: int) -> None:
        """A thread was made by another, and has its signal mask."""
        if parent in self._blocking:
            self._blocking[child] = self._blocking[parent]

    def take_over(self, tid: int, other: Breakpoints) -> None:
        """A child of the target of `other` is a target of its own now."""
        if tid in other._blocking:
            self._blocking[tid] = other._blocking.pop(tid)

    def ended(self, tid: int) -> None:
        """A thread has ended."""
        self._blocking.pop(tid, None)

    def _block_again(self, tid: int) -> None:
        """Undo `unblock`, unless the thread has changed its mask since."""
        mask = self._blocking.pop(tid, None)
        if mask is not None and self._tracee.signal_mask(tid) == mask:
            self._tracee.set_signal_mask(tid, mask | SIGTRAP_BIT)

    def forget(self) -> None:
        """The target has executed another program: nothing of it is left."""
        self.at_trap.clear()
        self.areas.clear()
        self._calls.forget()

    # --- taking out -------------------------------------------------------------------------------------------------

    def restore_code(self, write: Callable[[int, bytes], None], read: Callable[[int, int], bytes]) -> None:
        """Put the original bytes back, in the target or in a copy of its memory (a forked child)."""
        for breakpoint in self:
            try:
                if read(breakpoint.address, 1) == INT3:  # else the code was unmapped or replaced since
                    write(breakpoint.address, bytes([breakpoint.byte]))
            except HostError:
                continue

    def restore(self) -> None:
        """Put the original code back; threads that are stopped continue in it."""
        self.restore_code(self._tracee.memory.write, self._tracee.memory.read)
        for tid, thread in list(self._tracee.threads.items()):
            if thread.status is not None:
                self.step_aside(tid)
            if thread.status is not None and tid in self._tracee.threads:
                self.move_out(tid)
                self._block_again(tid)

    def remove(self) -> bool:
        """Take everything out again, after `restore`, with all threads stopped.

        False when the areas have to stay mapped, without any int3: a thread will come back to one, or the target
        permits no system calls of ours.
        """
        tracee = self._tracee
        removed = not self._in_use()
        bases = [area.base for area in self.areas if removed] + [self._unfinished] * (self._unfinished != 0)
        try:
            tid = self._caller()
            former = self._former_action(self._action(tid, None))
            if former is not None:
                self._action(tid, former)
            for base in bases:
                self._calls.call(tid, MUNMAP, base, SIZE)
        except HostError:
            removed = False
        if tracee.threads:
            self._calls.withdraw()
        self.forget()
        return removed

    def _former_action(self, current: SignalAction) -> SignalAction | None:
        """What SIGTRAP did before there were areas; None when the target has set `current` itself.

        Each of two tracers that were killed has put its handler before the other's.
        """
        areas = {area.action.handler: area for area in self.areas}
        area = areas.pop(current.handler, None)
        if area is None:  # SIG_DFL: a hit has reset it, see `heal`
            return self.areas[0].old_action if self.areas and current.handler == SIG_DFL else None
        while area is not None:
            current = area.old_action
            area = areas.pop(current.handler, None)
        return current

    def _caller(self) -> int:
        """A thread on which system calls can be made, by preference one that has no signal to be delivered."""
        found = [
            ((thread.status or 0) >> 16 == 0, tid)  # False, which comes first: it was only stopped
            for tid, thread in self._tracee.threads.items()
            if is_ready(thread.status) and not thread.guest
        ]
        if not found:
            raise HostError("none of its threads can be stopped", pid=self._tracee.pid)
        return min(found)[1]

    def step_aside(self, tid: int) -> None:
        """Send a stopped thread that has run into an int3 to the copy, where it can be left alone.

        It may have been stopped between the int3 and its SIGTRAP, which is then pending: it is let run as far as that.
        """
        tracee = self._tracee
        thread = tracee.threads[tid]
        breakpoint = self.at_trap.get(tracee.fetch_registers(tid).rip)
        if breakpoint is None:
            return
        if thread.status != TRAP_STATUS and self._has_trap_pending(tid):
            tracee.resume(tid)
            tracee.wait_for_stop(tid)
        if thread.status == TRAP_STATUS and (breakpoint.length > 1 or tracee.trap_is_from_cpu(tid)):
            registers = tracee.fetch_registers(tid)
            registers.rip = breakpoint.copy or breakpoint.address
            tracee.store_registers(tid)
            tracee.interrupt(tid)

    def _has_trap_pending(self, tid: int) -> bool:
        status = self._tracee.status_of(tid)
        return bool(status.pending & ~status.blocked & SIGTRAP_BIT)

    def move_out(self, tid: int) -> Breakpoint | None:
        """Send a stopped thread that stands in a copy to the same place of the original code.

        The breakpoint, when its instruction is still to be executed.
        """
        registers = self._tracee.fetch_registers(tid)
        if not any(registers.rip in area for area in self.areas):
            return None
        for breakpoint in self:
            displaced = breakpoint.displaced
            resumed = None if displaced is None else displaced.resume(registers.rip)
            if resumed is not None:
                registers.rip = resumed.rip
                registers.rsp += resumed.stack_delta
                self._tracee.store_registers(tid)
                return breakpoint if resumed.rip == breakpoint.address else None
        return None

    def _in_use(self) -> bool:
        """Whether a thread will come back to an area: it is in there, or its stack holds an address of one.

        That is so where a thread is in the handler, or was interrupted by a signal while no tracer watched.
        """
        tracee = self._tracee
        if not self.areas:
            return False
        mappings = tracee.mappings()
        for tid in tracee.threads:
            registers = tracee.fetch_registers(tid)
            if any(registers.rip in area for area in self.areas):
                return True
            stack = next((one for one in mappings if one.start <= registers.rsp < one.end), None)
            if stack is not None:
                start = registers.rsp & ~7
                words = memoryview(tracee.memory.read(start, min(stack.end - start, DEEPEST_STACK))).cast("Q")
                if any(area.base <= word < area.end for area in self.areas for word in words):
                    return True
        return False


def _free_place(mappings: list[proc.Mapping], address: int) -> int | None:
    """Where an area may be mapped within reach of `address`: below some mapping, out of the way of heap and stack."""
    best, previous_end = None, LOWEST
    for mapping in mappings:
        base = (mapping.start - SIZE - GUARD) & ~0xFFF
        fits = base >= previous_end + GUARD and mapping.path != "[stack]" and abs(base - address) < REACH - SIZE
        if fits and (best is None or abs(base - address) < abs(best - address)):
            best = base
        previous_end = mapping.end
    return best
