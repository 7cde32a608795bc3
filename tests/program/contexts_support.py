"""What the context tests share: packets, and the kernel's answers to what a program sees of its context."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import pytest

from pybpftime import kernel
from pybpftime.errors import HostError
from pybpftime.isa.assembler import assemble_bytes
from pybpftime.kernel import KernelProgram, KernelRejection, SharedValue, TestRun
from pybpftime.machine import LINUX, Machine, Strictness
from pybpftime.program.contexts import Context
from pybpftime.program.types import PROGRAM_TYPES, ContextLayout, Field, FieldKind, ProgramTypeInfo
from pybpftime.uapi import AttachType, ProgramFlag, ProgramType

GO = ["r0 = 1", "exit"]  # a verdict that every type allows
NO_FLAGS = ProgramFlag(0)
HOST = bytes(6)
SOURCE = bytes.fromhex("aabbccddeeff")
IPV4 = bytes.fromhex("4500002800010000401100000a0000010a000002") + bytes.fromhex("0035d431000800000102030405060708")
IPV6 = bytes.fromhex("6000000000083a40") + bytes(range(1, 17)) + bytes(range(17, 33)) + b"payload!"

PACKETS = {
    "ipv4": HOST + SOURCE + b"\x08\x00" + IPV4,
    "ipv4 to another host": b"\x02\0\0\0\0\1" + SOURCE + b"\x08\x00" + IPV4,
    "ipv6 multicast": bytes.fromhex("333300000001") + SOURCE + b"\x86\xdd" + IPV6,
    "vlan": HOST + SOURCE + bytes.fromhex("8100 2064 0800") + IPV4,
    "arp broadcast": b"\xff" * 6 + SOURCE + bytes.fromhex("0806 0001080006040001") + bytes(20),
    "14 bytes": HOST + SOURCE + b"\x88\xb5",
    "15 bytes, 802.2": HOST + SOURCE + b"\x00\x01\xff",
    "802.3": HOST + SOURCE + b"\x00\x10\xff\xff" + bytes(40),
    "60 bytes, 802.2": HOST + SOURCE + b"\x05\xff\xaa\xaa" + bytes(range(44)),
    "1514 bytes": HOST + SOURCE + b"\x08\x00" + IPV4[:20] + bytes(index & 0xFF for index in range(1480)),
}


def need_kernel() -> None:
    """Skip the test where the running kernel cannot be asked."""
    reason = "a little-endian host" if sys.byteorder != "little" else kernel.available()
    if reason is not None:
        pytest.skip(f"needs bpf(2): {reason}")


def load(
    program_type: ProgramType,
    code: bytes,
    attach_type: AttachType | None = None,
    *,
    flags: ProgramFlag = NO_FLAGS,
    attach_btf_id: int = 0,
    log_level: int = 0,
) -> KernelProgram:
    """Load with the flags and attach type that the type demands."""
    if program_type is ProgramType.BPF_PROG_TYPE_SYSCALL:
        flags |= ProgramFlag.BPF_F_SLEEPABLE
    return KernelProgram.load(
        program_type,
        code,
        expected_attach_type=attach_type or 0,
        flags=flags,
        attach_btf_id=attach_btf_id,
        log_level=log_level,
    )


def accepts(
    program_type: ProgramType,
    code: bytes,
    attach_type: AttachType | None = None,
    *,
    flags: ProgramFlag = NO_FLAGS,
    attach_btf_id: int = 0,
) -> bool:
    """Whether the kernel's verifier accepts the program."""
    try:
        load(program_type, code, attach_type, flags=flags, attach_btf_id=attach_btf_id).close()
    except KernelRejection:
        return False
    return True


def attach_types(info: ProgramTypeInfo) -> list[AttachType | None]:
    """None and the expected attach types, as far as Linux loads a program of the type with them and they differ."""
    named = info.layout_at if info.attach_types is None else info.attach_types
    return [attach_type for attach_type in (None, *named) if info.loads_with(attach_type)]


def need_type(program_type: ProgramType, attach_type: AttachType | None = None) -> None:
    """Skip the test where the running kernel loads no program of the type."""
    try:
        load(program_type, assembled(GO), attach_type).close()
    except HostError as error:
        pytest.skip(f"needs a kernel that loads {program_type.name}: {error.reason}")


def enter(context: Context, level: Strictness = LINUX) -> tuple[Machine, int]:
    """A machine that is about to run a program on `context`, and r1."""
    machine = Machine(strictness=level)
    return machine, context.enter(machine)[0]


def assembled(lines: Sequence[str]) -> bytes:
    return assemble_bytes("\n".join(lines))


def named(*values: object) -> str:
    """A parameter of tests by its UAPI name."""
    return "-".join(value.name for value in values if isinstance(value, ProgramType | AttachType))


UNSIGNED = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}


@dataclass(frozen=True)
class Observation:
    """What a program saw: the value of each load (addresses as distances from `data`), and the run."""

    values: dict[tuple[int, int], int]
    run: TestRun


class Observer:
    """A program in the kernel that performs every load that a layout allows, after `prologue`.

    The prologue has the context in r6, the address of the shared value in r7, and in r2 a number that `observe` gives.
    """

    def __init__(self, program_type: ProgramType, layout: ContextLayout, prologue: Sequence[str] = ()) -> None:
        self._accesses = sorted(layout.loads)
        self._shared = SharedValue(8 * len(self._accesses) + 8)
        number = f"r2 = *(u64 *)(r7 + {8 * len(self._accesses)})"
        head = assembled(["r6 = r1"]) + self._shared.address_instructions(7) + assembled([number, *prologue])
        self._program = load(program_type, head + _all_loads(layout))

    def observe(self, packet: bytes, ctx: bytes | None, number: int = 0) -> Observation:
        self._shared.write(struct.pack(f"<{len(self._accesses) + 1}Q", *[0] * len(self._accesses), number))
        run = self._program.test_run(packet, ctx)
        values = struct.unpack_from(f"<{len(self._accesses)}Q", self._shared.read())
        return Observation(dict(zip(self._accesses, values, strict=True)), run)

    def close(self) -> None:
        self._program.close()
        self._shared.close()


@cache
def _all_loads(layout: ContextLayout) -> bytes:
    lines = []
    data = _packet_field(layout)
    if data is not None:
        lines.append(f"r8 = *(u32 *)(r6 + {data.offset})")
    for index, ((offset, size), field) in enumerate(sorted(layout.loads.items())):
        lines.append(f"r0 = *({UNSIGNED[size]} *)(r6 + {offset})")
        if field.kind is FieldKind.SOCK_COMMON_OR_NULL:
            lines += ["if r0 == 0 goto +1", "r0 = 1"]
        elif field.kind is not FieldKind.SCALAR:
            lines.append("r0 -= r8")
        lines.append(f"*(u64 *)(r7 + {8 * index}) = r0")
    return assembled([*lines, "r0 = 1", "exit"])


def _packet_field(layout: ContextLayout) -> Field | None:
    return next((field for field in layout.fields if field.kind is FieldKind.PACKET and field.readable), None)


@contextmanager
def observer(program_type: ProgramType, prologue: Sequence[str] = ()) -> Iterator[Observer]:
    layout = PROGRAM_TYPES[program_type].layout
    assert layout is not None
    watching = Observer(program_type, layout, prologue)
    try:
        yield watching
    finally:
        watching.close()


def loads(machine: Machine, r1: int, layout: ContextLayout) -> dict[tuple[int, int], int]:
    """The same values as the kernel's observer gives, from our context."""
    data = _packet_field(layout)
    base = machine.memory.load(r1 + data.offset, 4) if data else 0
    return {
        (offset, size): _relative(field, machine.memory.load(r1 + offset, size), base)
        for (offset, size), field in sorted(layout.loads.items())
    }


def _relative(field: Field, value: int, base: int) -> int:
    if field.kind is FieldKind.SCALAR:
        return value
    return int(value != 0) if field.kind is FieldKind.SOCK_COMMON_OR_NULL else (value - base) % (1 << 64)
