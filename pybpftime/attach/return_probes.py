"""Breakpoints where probed functions return to, and the calls of each thread that are still to come there."""

from __future__ import annotations

from pybpftime.attach.breakpoints import Breakpoint, Breakpoints
from pybpftime.attach.returns import Call, PendingReturns
from pybpftime.attach.tracee import Tracee
from pybpftime.errors import HostError, InputError


class ReturnProbes:
    """The returns of one target.  Where one cannot be watched, `notes` gets a sentence."""

    def __init__(self, tracee: Tracee, breakpoints: Breakpoints, notes: list[str]) -> None:
        self._tracee = tracee
        self._breakpoints = breakpoints
        self._notes = notes
        self._pending: dict[int, PendingReturns] = {}
        self._unwatched: set[int] = set()  # return addresses where no breakpoint can be
        self._stack = range(0)  # the mapping of the stack that was asked for last

    def expect(self, tid: int, breakpoint: Breakpoint) -> None:
        """A function with uretprobes was entered: its return address is on top of the stack."""
        registers = self._tracee.registers
        stack_pointer = registers.rsp
        try:
            address = int.from_bytes(self._tracee.memory.read(stack_pointer, 8), "little")
        except HostError:
            return
        site = self._breakpoints.at_trap.get(address + 1)
        is_watched = site is not None and site.is_return and self._breakpoints.stands(site)
        if not is_watched and not self._watch(tid, address):
            return
        pending = self._pending.get(tid)
        if pending is None:
            pending = self._pending[tid] = PendingReturns(self._are_on_one_stack)
        pending.called(Call(stack_pointer + 8, address, breakpoint.address, tuple(breakpoint.exits)))

    def returned(self, tid: int, breakpoint: Breakpoint) -> None:
        """A thread came to a return address: call the handlers of the calls that have returned."""
        pending = self._pending.get(tid)
        if pending is not None:
            for call in pending.returned(self._tracee.registers.rsp, breakpoint.address):
                for handler in call.exits:
                    handler(tid)

    def ended(self, tid: int) -> None:
        """A thread has ended."""
        self._pending.pop(tid, None)

    def clear(self) -> None:
        """The target has executed another program: nothing of it is left."""
        self._pending.clear()
        self._unwatched.clear()
        self._stack = range(0)

    def _watch(self, tid: int, address: int) -> bool:
        """Set a breakpoint at a return address; False, with a note, where that cannot be done."""
        if address in self._unwatched:
            return False
        tracee = self._tracee
        kept = bytes(tracee.buffer)
        try:
            mapping = next((one for one in tracee.mappings() if one.start <= address < one.end), None)
            if mapping is None or not mapping.inode or not mapping.executable:
                raise HostError(f"{address:#x} is code that the process has generated")
            self._breakpoints.set(tid, address).is_return = True
        except (InputError, HostError) as error:
            self._unwatched.add(address)
            self._notes.append(f"returns to {address:#x} are not seen: {error}")
            return False
        finally:
            tracee.buffer[:] = kept
        return True

    def _are_on_one_stack(self, address: int, other: int) -> bool:
        """Whether two stack pointers lie in one mapping; an alternate stack is another, or far away."""
        if address not in self._stack or other not in self._stack:
            found = next((one for one in self._tracee.mappings() if one.start <= address < one.end), None)
            self._stack = range(0) if found is None else range(found.start, found.end + 1)
        return address in self._stack and other in self._stack
