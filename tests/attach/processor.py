"""The processor as a witness: a stopped process of our own whose instructions are stepped one at a time.

The process maps the pages below at fixed addresses and never runs its own code again, so an instruction may do to it
whatever it likes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from pybpftime.attach.displace import LARGEST, displace

PAGE = 0x1000
CODE = 0x20_0000_0000
"""Where originals stand."""
NEAR, BELOW, FAR = CODE + 0x4000_0000, CODE - 0x6000_0000, CODE + 0x20_0000_0000
"""Where copies may lie; the first two are within reach of CODE and of DATA."""
DATA = CODE + 0x1000_0000
STACK = CODE + 0x18_0000_0000
LOW_CODE, LOW_NEAR, LOW_FAR, LOW_DATA = 0x5000_0000, 0x6000_0000, 0xF000_0000, 0x5800_0000
PAGES = (CODE, NEAR, BELOW, FAR, DATA, STACK, LOW_CODE, LOW_NEAR, LOW_FAR, LOW_DATA)
RED_ZONE = 128
TARGET = CODE + 0x800
OPERAND = DATA + 0x200
FLAGS = (0x202, 0x203, 0x206, 0x242, 0x282, 0xA02, 0xA82, 0x243, 0xAC7)  # none, CF, PF, ZF, SF, OF, SF+OF, CF+ZF, most
REGISTERS = {
    "rax": TARGET, "rbx": OPERAND, "rcx": 2, "rdx": 0x8877_6655_4433_2211, "rsi": DATA + 0x300, "rdi": DATA + 0x400,
    "rbp": STACK + 0x900, "rsp": STACK + 0x800, "r8": 8, "r9": (1 << 64) - 9, "r10": 0x10, "r11": TARGET,
    "r12": DATA + 0x500, "r13": DATA + 0x600, "r14": 0x2B, "r15": 0xFFFF_FFFF, "eflags": FLAGS[0],
    "fs_base": DATA + 0x800, "gs_base": DATA + 0xA00,
}  # fmt: skip
POINTERS = {address: struct.pack("<Q", TARGET) for address in (
    OPERAND, OPERAND + 8, DATA + 0x500, DATA + 0x500 + 0x10, DATA + 0x600, DATA + 0x800 + 0x10, LOW_DATA + 0x200,
    STACK + 0x800, STACK + 0x808, STACK + 0x840, STACK + 0x870, STACK + 0x7C0, STACK + 0x900,
)}  # fmt: skip

_NAMES = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
    "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
)  # fmt: skip
_REGISTERS = struct.Struct(f"<{len(_NAMES)}Q")
_SINGLESTEP, _GETREGS, _SETREGS, _GETREGSET, _SETREGSET = 9, 12, 13, 0x4204, 0x4205
_NT_X86_XSTATE = 0x202
_CONTENT = bytes((at * 37 + (at >> 8)) & 0xFF for at in range(PAGE))  # of data and stack, at the start
_TRAP_FLAG = 0x100  # set by stepping behind popfq
_LAST_X87 = slice(8, 24)  # fip and fdp: where the last x87 instruction stood

_PROCESS = f"""
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
for page in {PAGES}:
    if libc.mmap(page, {PAGE}, 7, 0x100022, -1, 0) != page:  # private, anonymous, fixed, never in place of another
        os._exit(3)
if libc.ptrace(0, 0, 0, 0):  # PTRACE_TRACEME
    os._exit(4)
os.kill(os.getpid(), signal.SIGSTOP)
"""


@dataclass(frozen=True, slots=True)
class State:
    """What an instruction can change, and the signal that it raised (0: none)."""

    registers: Mapping[str, int]
    vectors: bytes
    memory: bytes
    signal: int

    def differences(self, other: State, *, ignoring: tuple[str, ...] = ()) -> dict[str, object]:
        """What differs between two states, by name."""
        found: dict[str, object] = {
            name: (hex(value), hex(other.registers[name]))
            for name, value in self.registers.items()
            if value != other.registers[name] and name not in ignoring
        }
        for name in ("vectors", "memory"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                pairs = enumerate(zip(mine, theirs, strict=False))
                found[name] = [(hex(at), *pair) for at, pair in pairs if pair[0] != pair[1]]
        if self.signal != other.signal:
            found["signal"] = (self.signal, other.signal)
        return found


class Processor:
    """A process that executes what it is told, one instruction at a time."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.restype = ctypes.c_long
        self._libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self._memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
        self._first = self.registers
        self._vectors = self._regset(_GETREGSET, bytes(16384))
        self._signal = 0
        self._rsp = STACK

    def close(self) -> None:
        os.close(self._memory)

    def _ptrace(self, request: int, address: int, data: object) -> None:
        if self._libc.ptrace(request, self.pid, address, data) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def _regset(self, request: int, content: bytes) -> bytes:
        buffer = ctypes.create_string_buffer(content, len(content))
        vector = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), len(content))
        self._ptrace(request, _NT_X86_XSTATE, vector)
        return buffer.raw[: vector[1]]

    @property
    def registers(self) -> dict[str, int]:
        buffer = ctypes.create_string_buffer(_REGISTERS.size)
        self._ptrace(_GETREGS, 0, buffer)
        return dict(zip(_NAMES, _REGISTERS.unpack(buffer.raw), strict=True))

    def change(self, **registers: int) -> None:
        """Set registers."""
        values = self.registers | registers
        content = _REGISTERS.pack(*(values[name] for name in _NAMES))
        self._ptrace(_SETREGS, 0, ctypes.create_string_buffer(content, len(content)))

    def read(self, address: int, size: int) -> bytes:
        return os.pread(self._memory, size, address)

    def write(self, address: int, content: bytes) -> None:
        assert os.pwrite(self._memory, content, address) == len(content)

    def start(self, pieces: Mapping[int, bytes], registers: Mapping[str, int]) -> None:
        """The state that every run begins in: known memory with these pieces of code, known registers, and these."""
        for page in PAGES:
            self.write(page, _CONTENT if page in (DATA, LOW_DATA, STACK) else b"\xcc" * PAGE)
        for address, content in pieces.items():
            self.write(address, content)
        vectors = bytearray(self._vectors)
        vectors[160:416] = bytes((at * 11) & 0x7F for at in range(256))  # xmm0 to xmm15
        vectors[512] |= 3  # in use: x87, SSE
        self._regset(_SETREGSET, bytes(vectors))
        self.change(**(self._first | {"orig_rax": (1 << 64) - 1} | dict(registers)))
        self._signal = 0
        self._rsp = registers["rsp"]

    def step(self) -> bool:
        """Execute one instruction; False when it raised a signal."""
        self._ptrace(_SINGLESTEP, 0, None)
        _, status = os.waitpid(self.pid, 0)
        assert os.WIFSTOPPED(status), status
        if os.WSTOPSIG(status) != signal.SIGTRAP:
            self._signal = os.WSTOPSIG(status)
        return not self._signal

    def run(self, condition: Callable[[int], bool], limit: int) -> None:
        """Step while the condition holds for rip, at most so many times."""
        for _ in range(limit):
            if not (condition(self.registers["rip"]) and self.step()):
                break

    def clobber_below_red_zone(self) -> None:
        """Undo what was written where the kernel may write at any time, to deliver a signal."""
        rsp = self.registers["rsp"]
        if STACK <= rsp - RED_ZONE < STACK + PAGE:
            self.write(STACK, _CONTENT[: rsp - RED_ZONE - STACK])

    def state(self) -> State:
        """Now; of the stack, from the red zones of the start and of now upwards."""
        vectors = bytearray(self._regset(_GETREGSET, bytes(16384)))
        vectors[_LAST_X87] = bytes(16)
        registers = {name: value for name, value in self.registers.items() if name != "orig_rax"}
        registers["eflags"] &= ~_TRAP_FLAG
        stack = [rsp for rsp in (self._rsp, registers["rsp"]) if STACK + RED_ZONE <= rsp < STACK + PAGE]
        bottom = max(stack, default=STACK + PAGE) - RED_ZONE
        memory = self.read(bottom, STACK + PAGE - bottom) + self.read(DATA, PAGE) + self.read(LOW_DATA, PAGE)
        return State(registers, bytes(vectors), memory, self._signal)


@contextmanager
def started_processor() -> Iterator[Processor]:
    """A Processor; the test is skipped where there can be none."""
    if not sys.platform.startswith("linux") or os.uname().machine != "x86_64":
        pytest.skip("needs Linux on x86-64")
    process = subprocess.Popen([sys.executable, "-c", _PROCESS])
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            process.returncode = os.waitstatus_to_exitcode(status)
            pytest.skip("needs ptrace and free address space")
        processor = Processor(process.pid)
        try:
            yield processor
        finally:
            processor.close()
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()


def check(
    cpu: Processor,
    code: bytes,
    address: int,
    *,
    original: int = CODE,
    registers: Mapping[str, int] = REGISTERS,
    repetitions: int = 1,
    ignoring: tuple[str, ...] = (),
) -> State:
    """The copy at `address` does what the original does, interrupted or left at any place; what that is."""
    displaced = displace(code, original, address)
    assert displaced.length == len(code)
    assert len(displaced.code) <= LARGEST

    def inside(rip: int) -> bool:
        return address <= rip < address + len(displaced.code)

    def start(rip: int) -> None:
        cpu.start(POINTERS | {original: code, address: displaced.code}, registers)
        cpu.change(rip=rip)

    def leave() -> bool:
        """Back into the original code; whether the original is still to be executed."""
        now = cpu.registers
        if not inside(now["rip"]):
            return False
        resumed = displaced.resume(now["rip"])
        assert resumed is not None
        cpu.change(rip=resumed.rip, rsp=now["rsp"] + resumed.stack_delta)
        return now["rip"] == address or resumed.stack_delta != 0

    start(original)
    cpu.run(lambda rip: rip == original, repetitions)
    expected = cpu.state()
    for place in range(len(displaced.places) + repetitions):
        for leaves in (False, True):
            start(address)
            cpu.run(inside, place)
            cpu.clobber_below_red_zone()
            if leaves and leave():
                cpu.run(lambda rip: rip == original, repetitions)
            cpu.run(inside, len(displaced.places) + repetitions)
            leave()  # where it raised a signal
            where = f"{code.hex()} copied as {displaced.code.hex()}, {'left' if leaves else 'interrupted'} at {place}"
            assert not expected.differences(cpu.state(), ignoring=ignoring), where
    return expected
