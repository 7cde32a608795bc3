"""System calls made in the target, in such a way that it survives the tracer's death in the middle of one.

A thread that makes a call for us executes a few instructions that were written into a piece of unused code, the padding
behind the vdso: the system call, and then what gives the thread its own registers back and sends it to where it was.
The tracer stops it between the two and restores the registers itself, so the second half runs only without a tracer.

Behind that code stands what `find_left` needs to know of a tracer that was killed: that the code is there, and at which
address it was mapping memory.

One thing is lost with a tracer that dies inside a call: a signal that the thread had stopped for, which is held back
and sent again behind the call.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from typing import Any, Final

from pybpftime.attach import proc
from pybpftime.attach.tracee import EVENT_STOP, OPTIONS, SUSPEND_SECCOMP, SYSCALL, SYSCALL_STOP, Tracee
from pybpftime.errors import HostError

MAGIC: Final = b"pybpftime caller"
MAPPING: Final = 0x10  # u64: the address where memory is being mapped, or 0
ARGUMENT: Final = 0x18  # 32 bytes: what a call's argument may point to
SLOTS: Final = 0x38  # u64 each: the registers that are given back, and the address to go to
CODE: Final = 0x90

_GIVEN_BACK: Final = (  # the registers that a call changes, with the instruction `mov REGISTER, [rip+...]`
    ("rdi", b"\x48\x8b\x3d"),
    ("rsi", b"\x48\x8b\x35"),
    ("rdx", b"\x48\x8b\x15"),
    ("r10", b"\x4c\x8b\x15"),
    ("r8", b"\x4c\x8b\x05"),
    ("r9", b"\x4c\x8b\x0d"),
    ("rax", b"\x48\x8b\x05"),
    ("rcx", b"\x48\x8b\x0d"),
    ("r11", b"\x4c\x8b\x1d"),
)
_SYSCALL_INSTRUCTION: Final = b"\x0f\x05"
_JUMP: Final = b"\xff\x25"  # jmp [rip+...]
_ERESTARTSYS, _ERESTARTNOINTR, _ERESTARTNOHAND, _ERESTART_RESTARTBLOCK = 512, 513, 514, 516
_RESTART_SYSCALL: Final = 219
_U64: Final = (1 << 64) - 1


def _code() -> bytes:
    code = bytearray(_SYSCALL_INSTRUCTION)
    for index, opcode in enumerate([*(opcode for _, opcode in _GIVEN_BACK), _JUMP]):
        behind = CODE + len(code) + len(opcode) + 4
        code += opcode + struct.pack("<i", SLOTS + 8 * index - behind)
    return bytes(code)


_CODE: Final = _code()
SIZE: Final = (CODE + len(_CODE) + 15) & ~15


class RemoteCalls:
    """System calls of one target.  All its threads may run but the one that makes the call."""

    def __init__(self, tracee: Tracee) -> None:
        self._tracee = tracee
        self._place = 0
        self._mapping = 0

    @classmethod
    def find_left(cls, tracee: Tracee) -> RemoteCalls | None:
        """What a tracer that was killed has left of this; None when there is nothing."""
        found = cls(tracee)
        for place, content in found._places():
            if content.startswith(MAGIC):
                found._place = place
                found._mapping = int.from_bytes(content[MAPPING : MAPPING + 8], "little")
                return found
            if not any(content):
                return None
        return None

    @property
    def mapping(self) -> int:
        """The address where memory was being mapped, 0 when none was."""
        return self._mapping

    @mapping.setter
    def mapping(self, address: int) -> None:
        """Note where memory will be mapped; 0 when it has a header that says what it is."""
        self._mapping = address
        if self._place:
            self._tracee.memory.write(self._place + MAPPING, struct.pack("<Q", address))

    def argument(self, content: bytes) -> int:
        """Put up to 32 bytes where the target can read them; their address."""
        place = self._find_place()
        self._tracee.memory.write(place + ARGUMENT, content)
        return place + ARGUMENT

    def call(self, tid: int, number: int, *arguments: int) -> int:
        """Make a system call on a stopped thread and return its result; HostError when it fails.

        The thread is as before then, in a stop that we asked for: its registers are the same, a system call that was
        interrupted is restarted, and signals that came before or meanwhile are sent to it again.
        """
        tracee = self._tracee
        thread = tracee.threads[tid]
        status = thread.status
        assert status is not None
        place = self._find_place()
        is_filtered = self._suspend_filter(tid)
        if status >> 16 == 0 and os.WSTOPSIG(status) != SYSCALL_STOP:
            tracee.hold_signal(tid, os.WSTOPSIG(status))
        before = bytes(tracee.fetch_registers(tid))
        tracee.memory.write(place, self._content(tracee.registers))
        values = [value & _U64 for value in (*arguments, *[0] * (6 - len(arguments)))]
        registers = tracee.registers
        registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9 = values
        registers.rax, registers.orig_rax, registers.rip = number, _U64, place + CODE
        tracee.store_registers(tid)
        try:
            self._pass(tid)
            result = ctypes.c_long(tracee.fetch_registers(tid).rax).value
            tracee.interrupt(tid)  # before it has its registers again: only from such a stop is a system call restarted
        finally:
            tracee.buffer[:] = before
            with contextlib.suppress(ProcessLookupError):
                tracee.store_registers(tid)
                if is_filtered:
                    tracee.set_options(tid, OPTIONS)
            tracee.send_held(tid)
        if -4096 < result < 0:
            raise HostError(f"system call {number} in the target failed", errno=-result, pid=tracee.pid)
        return result

    def move_out(self, tid: int) -> None:
        """Send a stopped thread that a tracer which was killed has left in here to where it was before."""
        tracee = self._tracee
        registers = tracee.fetch_registers(tid)
        if self._place and self._place <= registers.rip < self._place + SIZE:
            content = tracee.memory.read(self._place + SLOTS, 8 * (len(_GIVEN_BACK) + 1))
            *values, rip = struct.unpack(f"<{len(_GIVEN_BACK) + 1}Q", content)
            for (name, _), value in zip(_GIVEN_BACK, values, strict=True):
                setattr(registers, name, value)
            registers.rip, registers.orig_rax = rip, _U64
            tracee.store_registers(tid)

    def withdraw(self) -> None:
        """Leave the padding as it was."""
        if self._place:
            self._tracee.memory.write(self._place, bytes(SIZE))
            self._place = 0

    def forget(self) -> None:
        """The target has executed another program: nothing of it is left."""
        self._place = self._mapping = 0

    # --- one call ---------------------------------------------------------------------------------------------------

    def _pass(self, tid: int) -> None:
        """Let a thread run through a system call, from its instruction to the stop behind it."""
        stops = 0
        while stops < 2:
            self._tracee.resume(tid, how=SYSCALL)
            status = self._tracee.wait_for_stop(tid)
            if status is None:
                raise HostError("it ended", pid=self._tracee.pid)
            if os.WSTOPSIG(status) == SYSCALL_STOP:
                stops += 1
            elif status >> 16 == 0:
                self._tracee.hold_signal(tid, os.WSTOPSIG(status))

    def _suspend_filter(self, tid: int) -> bool:
        """Suspend a seccomp filter, if there is one: it may kill the target for our calls.

        HostError where that is not permitted.
        """
        if not proc.read_status(self._tracee.pid, tid).seccomp:
            return False
        try:
            self._tracee.set_options(tid, OPTIONS | SUSPEND_SECCOMP)
        except HostError as error:
            reason = "it runs under a seccomp filter, which may kill it for system calls of ours"
            raise HostError(reason, errno=error.errno, pid=self._tracee.pid) from None
        return True

    def _content(self, registers: Any) -> bytes:
        """What stands in the padding during a call by a thread with these registers."""
        rax, rip = registers.rax, registers.rip
        if registers.orig_rax < 1 << 63:  # it was inside a system call, which the kernel would restart
            error = _U64 + 1 - rax
            if error in (_ERESTARTSYS, _ERESTARTNOINTR, _ERESTARTNOHAND, _ERESTART_RESTARTBLOCK):
                rax = _RESTART_SYSCALL if error == _ERESTART_RESTARTBLOCK else registers.orig_rax
                rip -= len(_SYSCALL_INSTRUCTION)
        values = [rax if name == "rax" else getattr(registers, name) for name, _ in _GIVEN_BACK]
        argument = self._tracee.memory.read(self._find_place() + ARGUMENT, SLOTS - ARGUMENT)
        content = (
            MAGIC + struct.pack("<Q", self._mapping) + argument + struct.pack(f"<{len(values) + 1}Q", *values, rip)
        )
        return content.ljust(CODE, b"\0") + _CODE

    # --- where it is ------------------------------------------------------------------------------------------------

    def _find_place(self) -> int:
        """The padding that is used: the first whose bytes are all zero."""
        if not self._place:
            for place, content in self._places():
                if not any(content):
                    self._place = place
                    break
            else:
                raise HostError("its code has no padding for the instructions of a system call", pid=self._tracee.pid)
        return self._place

    def _places(self) -> Iterator[tuple[int, bytes]]:
        """The last bytes of each executable mapping and their content; first the vdso's, which belongs to no file."""
        tracee = self._tracee
        mappings = [one for one in tracee.mappings() if one.executable and one.inode | (one.path == "[vdso]")]
        for mapping in sorted(mappings, key=lambda one: one.path != "[vdso]"):
            place = mapping.end - SIZE
            with contextlib.suppress(HostError):
                yield place, tracee.memory.read(place, SIZE)


def is_ready(status: int | None) -> bool:
    """Whether a system call can be made on a thread that has stopped so."""
    return status is not None and status >> 16 in (0, EVENT_STOP)
