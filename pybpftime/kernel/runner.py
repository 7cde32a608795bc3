"""Running many small programs in the kernel, each once: the fast path of differential campaigns.

`ProgramRunner` loads, runs and closes with structures that are built once.  `SharedValue` is memory that a program
reaches without a lookup and we read without a system call: for results wider than the 32 bits of a return value.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import sys
from dataclasses import dataclass
from os import close as close_descriptor
from typing import Self

from pybpftime.errors import InputError
from pybpftime.kernel import attributes
from pybpftime.kernel.maps import KernelMap
from pybpftime.kernel.programs import INSTRUCTION_SIZE, KernelProgram, encode_license
from pybpftime.kernel.syscall import address_of, refusal, system_call_function, system_call_number, try_load, unsigned
from pybpftime.uapi import Command, MapFlag, MapType, ProgramFlag, ProgramType

_LOAD_IMMEDIATE_64 = 0x18
_PSEUDO_MAP_VALUE = 2  # BPF_PSEUDO_MAP_VALUE: imm is a map's descriptor, next_imm an offset in its first value


@dataclass(frozen=True, slots=True)
class RunResult:
    """`retval`: the low 32 bits of r0, unsigned.  `data`: packet or context afterwards."""

    retval: int
    data: bytes


class ProgramRunner:
    """Runs encoded programs of one type, one after the other; nothing stays in the kernel.

    The type says what r1 points to, and what `data` is:

    - BPF_PROG_TYPE_SYSCALL: r1 points to `data`, of 0 to 65,535 bytes, which the program reads and writes at
      constant, aligned offsets without a check.  It is the type to see 64-bit results with.
    - BPF_PROG_TYPE_XDP, _SCHED_CLS, _SOCKET_FILTER and other packet types: `data` is a packet of 14 bytes or more.
      A program reads and writes it through the context, after comparing with data_end.

    `data_capacity` (below 16 MiB) is the room for `data` before and after.  A runner belongs to one thread.
    """

    def __init__(
        self,
        program_type: ProgramType = ProgramType.BPF_PROG_TYPE_SYSCALL,
        *,
        flags: ProgramFlag | int = 0,
        data_capacity: int = 4096,
        license: str = "GPL",
    ) -> None:
        self.program_type = program_type
        self.flags = unsigned(flags, "flags")
        self.license = license
        self._in_place = program_type == ProgramType.BPF_PROG_TYPE_SYSCALL
        if self._in_place:
            self.flags |= ProgramFlag.BPF_F_SLEEPABLE  # the verifier insists
        self._license_text = encode_license(license)
        self._data_in = ctypes.create_string_buffer(unsigned(data_capacity, "data_capacity", 24))
        self._data_out = self._data_in if self._in_place else ctypes.create_string_buffer(data_capacity)
        self._load = attributes.ProgramLoad(
            prog_type=program_type, license=address_of(self._license_text), prog_flags=self.flags
        )
        self._run = attributes.TestRunAttribute()
        self._function = system_call_function()
        self._number = system_call_number()
        self._run_address = ctypes.addressof(self._run)
        self._run_size = ctypes.sizeof(self._run)

    def run(self, instructions: bytes, data: bytes = b"") -> RunResult:
        """Load, run once and close.

        KernelRejection with the verifier's log when the program is not accepted, HostError with errno when it
        cannot be run (ENOSPC: the packet outgrew `data_capacity`), InputError for more data than that.
        """
        fd = self._open(instructions)
        try:
            return self._run_once(fd, data)
        finally:
            close_descriptor(fd)

    def run_many(self, instructions: bytes, inputs: list[bytes]) -> list[RunResult]:
        """Load once, run on each input in turn, close.  Errors as `run`."""
        fd = self._open(instructions)
        try:
            return [self._run_once(fd, data) for data in inputs]
        finally:
            close_descriptor(fd)

    def _open(self, instructions: bytes) -> int:
        count, rest = divmod(len(instructions), INSTRUCTION_SIZE)
        if rest or not count:
            raise InputError(f"{len(instructions)} bytes are no program")
        attribute = self._load
        attribute.insns = address_of(instructions)
        attribute.insn_cnt = count
        fd = try_load(attribute)
        if fd >= 0:
            return fd
        # Refusals are rare and slow anyway: load again for the log.
        with KernelProgram.load(self.program_type, instructions, license=self.license, flags=self.flags):
            raise refusal("load a program that it accepted on the second attempt", -fd)

    def _run_once(self, fd: int, data: bytes) -> RunResult:
        size = len(data)
        if size > len(self._data_in):
            raise InputError(f"{size} bytes of data exceed the runner's capacity of {len(self._data_in)}")
        ctypes.memmove(self._data_in, data, size)
        attribute = self._run
        attribute.prog_fd = fd
        if self._in_place:
            attribute.ctx_size_in = size
            attribute.ctx_in = ctypes.addressof(self._data_in) if size else 0
        else:
            attribute.data_size_in = size
            attribute.data_in = ctypes.addressof(self._data_in)
            attribute.data_size_out = len(self._data_out)
            attribute.data_out = ctypes.addressof(self._data_out)
            attribute.repeat = 1
            attribute.duration = 0
        if self._function(self._number, Command.BPF_PROG_TEST_RUN, self._run_address, self._run_size) < 0:
            raise refusal("run a program", ctypes.get_errno())
        if not self._in_place:
            size = attribute.data_size_out
        return RunResult(attribute.retval, ctypes.string_at(self._data_out, size))


class SharedValue:
    """`size` bytes that programs and this process share: an array map with one mapped element.

    A program gets the address by `address_instructions`, and may use it with variable offsets, at any alignment
    that the kernel accepts and with atomics, inside `size` bytes.  A context manager; HostError when the kernel
    has no BPF_F_MMAPABLE (before Linux 5.5).
    """

    def __init__(self, size: int, name: str = "shared_value") -> None:
        self.size = size
        self.map = KernelMap.create(MapType.BPF_MAP_TYPE_ARRAY, 4, size, 1, flags=MapFlag.BPF_F_MMAPABLE, name=name)
        try:
            self._memory: mmap.mmap = self.map.memory()
        except BaseException:
            self.map.close()
            raise

    def address_instructions(self, register: int, offset: int = 0) -> bytes:
        """The two slots (16 bytes) of `register = address of byte offset`, valid while the map is open."""
        if not 0 <= register <= 9 or not 0 <= offset < self.size:
            raise InputError(f"r{register} cannot point to byte {offset} of {self.size}")
        first = struct.pack(
            "=BBhi", _LOAD_IMMEDIATE_64, _register_byte(register, _PSEUDO_MAP_VALUE), 0, self.map.fileno()
        )
        return first + struct.pack("=BBhi", 0, 0, 0, offset)

    def read(self) -> bytes:
        return self._memory[: self.size]

    def write(self, data: bytes) -> None:
        """Set the first bytes; InputError for more than `size`."""
        if len(data) > self.size:
            raise InputError(f"{len(data)} bytes do not fit {self.size}")
        self._memory[: len(data)] = data

    def close(self) -> None:
        self._memory.close()
        self.map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _register_byte(dst_reg: int, src_reg: int) -> int:
    """The second byte of an instruction: two 4-bit fields, in the order of the host's byte order (RFC 9669 3.1)."""
    return dst_reg | src_reg << 4 if sys.byteorder == "little" else dst_reg << 4 | src_reg
