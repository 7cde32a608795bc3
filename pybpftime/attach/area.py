"""The area in the target that holds out-of-line copies, the records of all probes, and the SIGTRAP handler.

An area is mapped readable and executable, never writable: it is written through /proc/PID/mem.  It lies within 2 GiB
of the code whose copies it holds, so a target may have several; the first has the handler, and each names the next.

    0x0000  header: magic, version, count of records, address of the next area, size, SIGTRAP's former action
    0x0100  the handler (`trap_handler`)
    0x1000  records, 32 bytes each: address behind the int3, address of the copy, the byte that the int3 replaced
    ......  copies, 64 bytes each, one a record

Everything that taking the probes out again needs is in the area, so that a process that never saw the tracer can do it
(`pybpftime detach`); only which threads blocked SIGTRAP is known to the tracer alone (`Breakpoints.unblock`).

Order of writes: copy, record, count, int3.  A record that counts is never taken back while the target runs, so a trap
taken a moment before its probe was removed still finds its copy.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pybpftime.attach import trap_handler
from pybpftime.attach.displace import LARGEST
from pybpftime.attach.trap_handler import COUNT, HANDLER, NEXT, OLD_ACTION, RECORD_SIZE, RECORDS

MAGIC: Final = b"pybpftime probes"
VERSION: Final = 1
CAPACITY: Final = 1024  # records
COPY_SIZE: Final = LARGEST
COPIES: Final = RECORDS + CAPACITY * RECORD_SIZE
SIZE: Final = COPIES + CAPACITY * COPY_SIZE

SIG_DFL, SIG_IGN = 0, 1
SA_SIGINFO, SA_RESTORER, SA_ONSTACK, SA_RESTART, SA_NODEFER = 0x4, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x4000_0000
SIGTRAP: Final = 5
SIGTRAP_BIT: Final = 1 << SIGTRAP - 1  # in a set of signals

_HEADER = struct.Struct("<16sIIQQ")
_RECORD = struct.Struct("<QQB15x")
_ACTION = struct.Struct("<QQQQ")

Read = Callable[[int, int], bytes]
Write = Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class SignalAction:
    """struct kernel_sigaction: what a signal does."""

    handler: int = 0
    flags: int = 0
    restorer: int = 0
    mask: int = 0

    SIZE = _ACTION.size

    def pack(self) -> bytes:
        """The bytes that rt_sigaction takes."""
        return _ACTION.pack(self.handler, self.flags, self.restorer, self.mask)

    @classmethod
    def unpack(cls, content: bytes) -> SignalAction:
        """The bytes that rt_sigaction gives."""
        return cls(*_ACTION.unpack(content))


@dataclass(frozen=True, slots=True)
class Record:
    """One probed instruction: where it is, where its copy is, and its first byte."""

    address: int
    copy: int
    byte: int


class Area:
    """One area of a target, read and written through `read(address, size)` and `write(address, content)`."""

    def __init__(self, base: int, read: Read, write: Write, *, count: int = 0) -> None:
        self.base = base
        self.count = count
        self._read = read
        self._write = write

    @classmethod
    def create(cls, base: int, read: Read, write: Write, *, old_action: SignalAction) -> Area:
        """Fill freshly mapped memory at `base`: no records, no next area, SIGTRAP's former action."""
        write(base + HANDLER, trap_handler.CODE)
        write(base + OLD_ACTION, old_action.pack())
        write(base, _HEADER.pack(MAGIC, VERSION, 0, 0, SIZE))
        return cls(base, read, write)

    @classmethod
    def recognise(cls, base: int, size: int, read: Read, write: Write) -> Area | None:
        """The area that a tracer left at `base`, where a mapping of `size` bytes begins; None when it is none."""
        if size < SIZE:  # the kernel may show it as one mapping with a neighbour
            return None
        magic, version, count, _, length = _HEADER.unpack(read(base, _HEADER.size))
        if magic != MAGIC or version != VERSION or length != SIZE or count > CAPACITY:
            return None
        return cls(base, read, write, count=count)

    @property
    def end(self) -> int:
        """The address behind the last byte."""
        return self.base + SIZE

    def __contains__(self, address: int) -> bool:
        return self.base <= address < self.end

    @property
    def is_full(self) -> bool:
        """Whether no record fits any more."""
        return self.count == CAPACITY

    @property
    def next_copy(self) -> int:
        """The address where the next copy goes."""
        return self.base + COPIES + self.count * COPY_SIZE

    @property
    def action(self) -> SignalAction:
        """What SIGTRAP shall do: run the handler, on the alternate stack where there is one, traps inside allowed.

        System calls that it interrupts and the signals that it holds back are as with the action before.
        """
        always = SA_SIGINFO | SA_RESTORER | SA_NODEFER | SA_ONSTACK
        old = self.old_action
        has_handler = old.handler not in (SIG_DFL, SIG_IGN)
        restart = old.flags & SA_RESTART if has_handler else SA_RESTART
        mask = old.mask & ~SIGTRAP_BIT if has_handler else 0
        return SignalAction(self.base + HANDLER, always | restart, self.base + trap_handler.RESTORER, mask)

    @property
    def old_action(self) -> SignalAction:
        """What SIGTRAP did before."""
        return SignalAction.unpack(self._read(self.base + OLD_ACTION, SignalAction.SIZE))

    @old_action.setter
    def old_action(self, action: SignalAction) -> None:
        self._write(self.base + OLD_ACTION, action.pack())

    @property
    def next(self) -> int:
        """The address of the next area, 0 for the last."""
        return int.from_bytes(self._read(self.base + NEXT, 8), "little")

    def link(self, other: Area) -> None:
        """Name the next area."""
        self._write(self.base + NEXT, struct.pack("<Q", other.base))

    def add(self, record: Record, code: bytes) -> None:
        """Publish a record with its copy, `code`, at `next_copy`."""
        assert record.copy == self.next_copy
        assert len(code) <= COPY_SIZE
        self._write(record.copy, code)
        entry = _RECORD.pack(record.address + 1, record.copy, record.byte)
        self._write(self.base + RECORDS + self.count * RECORD_SIZE, entry)
        self.count += 1
        self._write(self.base + COUNT, struct.pack("<I", self.count))

    def records(self) -> list[Record]:
        """All records, oldest first."""
        content = self._read(self.base + RECORDS, self.count * RECORD_SIZE)
        return [Record(trap - 1, copy, byte) for trap, copy, byte in _RECORD.iter_unpack(content)]
