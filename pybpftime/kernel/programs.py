"""Programs in the running kernel: load with the verifier's log, run on given input, inspect."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from pybpftime.errors import InputError
from pybpftime.kernel import attributes
from pybpftime.kernel.btf import KernelBtf
from pybpftime.kernel.descriptor import KernelObject, iterate_ids, open_by_id
from pybpftime.kernel.info import ProgramInfo, program_info
from pybpftime.kernel.log import LOG_LIMIT, load_explained
from pybpftime.kernel.syscall import address_of, bpf, object_name, try_load, unsigned
from pybpftime.uapi import AttachType, Command, ProgramFlag, ProgramType, RunFlag

INSTRUCTION_SIZE = 8

# Test runs of these types take a context and no packet; all but BPF_PROG_TYPE_SK_LOOKUP take no count either.
_TYPES_RUN_WITHOUT_DATA = frozenset(
    {
        ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT,
        ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
        ProgramType.BPF_PROG_TYPE_TRACING,
        ProgramType.BPF_PROG_TYPE_STRUCT_OPS,
        ProgramType.BPF_PROG_TYPE_SK_LOOKUP,
        ProgramType.BPF_PROG_TYPE_SYSCALL,
    }
)

# Packets grow by helpers (adjust_head, adjust_room, change_tail) up to what one buffer of the kernel holds.
_ROOM_TO_GROW = 64 << 10

# More than any test run gives back, in bits of a size.
_OUTPUT_SIZE_BITS = 24


@dataclass(frozen=True, slots=True)
class DebugInfo:
    """BTF and .BTF.ext records of a program, as the kernel takes them.

    The records are those of `struct bpf_func_info` and `struct bpf_line_info`, instruction offsets counted in
    instructions from the start of the program; record sizes are in bytes.
    """

    btf: KernelBtf
    func_info: bytes = b""
    func_info_rec_size: int = 8
    line_info: bytes = b""
    line_info_rec_size: int = 16


@dataclass(frozen=True, slots=True)
class TestRun:
    """What BPF_PROG_TEST_RUN gave back.

    `retval`: the low 32 bits of r0, unsigned.  `data_out`: the packet afterwards (XDP: with its metadata in
    front).  `ctx_out`: the context afterwards, empty when none was given.  `duration_ns`: average of one run.
    """

    retval: int
    data_out: bytes
    ctx_out: bytes
    duration_ns: int


class KernelProgram(KernelObject):
    """A program that the kernel's verifier accepted.  `log` is what it wrote, when a log was asked for."""

    kind = "program"

    def __init__(self, fd: int, program_type: ProgramType | int, name: str = "", log: str = "") -> None:
        super().__init__(fd)
        self.type = program_type
        self.name = name
        self.log = log

    @classmethod
    def load(
        cls,
        program_type: ProgramType,
        instructions: bytes,
        *,
        license: str = "GPL",
        name: str = "",
        expected_attach_type: AttachType | int = 0,
        flags: ProgramFlag | int = 0,
        log_level: int = 0,
        log_limit: int = LOG_LIMIT,
        debug_info: DebugInfo | None = None,
        attach_btf_id: int = 0,
        attach_to: KernelObject | None = None,
        fd_array: Sequence[KernelObject | int] = (),
    ) -> Self:
        """BPF_PROG_LOAD of encoded instructions in the host's byte order.

        `log_level` 1, 2 (more) and 4 (statistics, may be added) keep the log of an accepted program too.
        `attach_to` is the program or module BTF that `attach_btf_id` belongs to, none for vmlinux.  `fd_array`
        serves instructions that name maps and BTF by index.

        KernelRejection with errno and the verifier's log when the kernel does not accept the program; HostError
        when it would accept none now (EPERM, ENOMEM...); InputError for arguments that cannot be handed over.
        """
        descriptors = [unsigned(item if isinstance(item, int) else item.fileno(), "fd_array", 31) for item in fd_array]
        fds = (ctypes.c_int32 * len(descriptors))(*descriptors)
        license_text = encode_license(license)
        attribute = attributes.ProgramLoad(
            prog_type=unsigned(program_type, "program_type"),
            insn_cnt=_instruction_count(instructions),
            insns=address_of(instructions),
            license=address_of(license_text),
            prog_flags=unsigned(flags, "flags"),
            prog_name=object_name(name),
            expected_attach_type=unsigned(expected_attach_type, "expected_attach_type"),
            attach_btf_id=unsigned(attach_btf_id, "attach_btf_id"),
            attach_prog_fd=attach_to.fileno() if attach_to is not None else 0,
            fd_array=ctypes.addressof(fds) if descriptors else 0,
        )
        if debug_info is not None:
            _add_debug_info(attribute, debug_info)

        def attempt(log: ctypes.Array[ctypes.c_char] | None) -> int:
            attribute.log_level = 0 if log is None else log_level or 1
            attribute.log_size = 0 if log is None else len(log)
            attribute.log_buf = 0 if log is None else ctypes.addressof(log)
            return try_load(attribute)

        unsigned(log_level, "log_level")
        action = f"load the program {name}".rstrip()
        fd, log = load_explained(attempt, action, want_log=log_level > 0, limit=max(log_limit, 1024))
        return cls(fd, program_type, name, log)

    @classmethod
    def from_id(cls, identifier: int) -> Self:
        """The program with this id, whoever loaded it.  HostError (ENOENT) when there is none."""
        fd = open_by_id(Command.BPF_PROG_GET_FD_BY_ID, identifier, f"open the program with id {identifier}")
        try:
            info = program_info(fd)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, info.type, info.name)

    def info(self) -> ProgramInfo:
        return program_info(self.fileno())

    def test_run(
        self,
        data: bytes = b"",
        ctx: bytes | None = None,
        *,
        repeat: int = 1,
        data_size_out: int | None = None,
        ctx_size_out: int | None = None,
        flags: RunFlag | int = 0,
        cpu: int = 0,
    ) -> TestRun:
        """BPF_PROG_TEST_RUN: run on the packet `data` (14 bytes at least) with the context structure `ctx`.

        `data_size_out` and `ctx_size_out` limit what comes back (below 16 MiB); 0 asks for nothing, None for all.
        `repeat` runs the program that often on the same, changing packet.  HostError with errno when the kernel
        refuses: EINVAL for input that the type does not take, ENOSPC when the output was larger, ENOTSUPP (524)
        for types without test runs.
        """
        without_data = self.type in _TYPES_RUN_WITHOUT_DATA
        if data_size_out is None:
            data_size_out = 0 if without_data else len(data) + _ROOM_TO_GROW
        context = ctypes.create_string_buffer(ctx, len(ctx)) if ctx is not None else None
        if ctx_size_out is None:
            ctx_size_out = 0 if without_data or context is None else max(len(context), 256)
        data_out = ctypes.create_string_buffer(unsigned(data_size_out, "data_size_out", _OUTPUT_SIZE_BITS))
        ctx_out = ctypes.create_string_buffer(unsigned(ctx_size_out, "ctx_size_out", _OUTPUT_SIZE_BITS))
        attribute = attributes.TestRunAttribute(
            prog_fd=self.fileno(),
            data_size_in=unsigned(len(data), "the length of data"),
            data_in=address_of(data),
            # A size of 0 means "no limit" to the kernel: without room there must be no pointer either.
            data_size_out=data_size_out,
            data_out=ctypes.addressof(data_out) if data_size_out else 0,
            repeat=0 if without_data and repeat == 1 else unsigned(repeat, "repeat"),
            ctx_size_in=len(context) if context is not None else 0,
            ctx_in=ctypes.addressof(context) if context is not None else 0,
            ctx_size_out=ctx_size_out,
            ctx_out=ctypes.addressof(ctx_out) if ctx_size_out else 0,
            flags=unsigned(flags, "flags"),
            cpu=unsigned(cpu, "cpu"),
        )
        bpf(Command.BPF_PROG_TEST_RUN, attribute, f"run the program {self.name}".rstrip())
        if context is not None and self.type == ProgramType.BPF_PROG_TYPE_SYSCALL:
            ctx_result = context.raw  # this type has its context changed in place
        else:
            ctx_result = ctx_out.raw[: attribute.ctx_size_out]
        return TestRun(attribute.retval, data_out.raw[: attribute.data_size_out], ctx_result, attribute.duration)


def program_ids() -> Iterator[int]:
    """The ids of all programs in the kernel, ascending."""
    return iterate_ids(Command.BPF_PROG_GET_NEXT_ID, "list programs")


def _instruction_count(instructions: bytes) -> int:
    if not instructions or len(instructions) % INSTRUCTION_SIZE:
        raise InputError(f"{len(instructions)} bytes are no program: instructions have {INSTRUCTION_SIZE} bytes each")
    return unsigned(len(instructions) // INSTRUCTION_SIZE, "the number of instructions")


def encode_license(license: str) -> bytes:
    """The license as the kernel takes it: ASCII with a terminating zero.  InputError for anything else."""
    if not license.isascii() or "\0" in license:
        raise InputError(f"{license!r} is no license: the kernel takes ASCII text")
    return license.encode() + b"\0"


def _add_debug_info(attribute: attributes.ProgramLoad, debug_info: DebugInfo) -> None:
    attribute.prog_btf_fd = debug_info.btf.fileno()
    for kind in ("func_info", "line_info"):
        records: bytes = getattr(debug_info, kind)
        size: int = getattr(debug_info, f"{kind}_rec_size")
        if not records:
            continue
        if size <= 0 or len(records) % size:
            raise InputError(f"{len(records)} bytes of {kind} are no records of {size} bytes")
        setattr(attribute, f"{kind}_rec_size", unsigned(size, f"{kind}_rec_size"))
        setattr(attribute, kind, address_of(records))
        setattr(attribute, f"{kind}_cnt", len(records) // size)
