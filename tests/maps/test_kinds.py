"""What programs may do with maps of each type: the declarations, and the running kernel's verifier beside them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from pybpftime.errors import HostError, InputError
from pybpftime.isa import encode_program
from pybpftime.isa.assembler import assemble
from pybpftime.maps import MAP_KINDS, MapSpec, Operation, create_map, illegal
from pybpftime.maps.kinds import LINUX_MAP_KINDS, Found, check
from pybpftime.maps.spec import KernelPointer
from pybpftime.uapi import AttachType, MapFlag, MapType, ProgramType

T = MapType
P = ProgramType
ARRAY = MapSpec("m", T.BPF_MAP_TYPE_ARRAY, 4, 8, 1)


def test_every_map_type_of_linux_is_known() -> None:
    assert set(LINUX_MAP_KINDS) == set(MapType) - {MapType.BPF_MAP_TYPE_UNSPEC}
    assert all(kind.type is number for number, kind in LINUX_MAP_KINDS.items())
    assert MAP_KINDS.items() < LINUX_MAP_KINDS.items()


@pytest.mark.parametrize("number", sorted(set(LINUX_MAP_KINDS) - set(MAP_KINDS)), ids=lambda number: number.name[13:])
def test_what_only_linux_can_create_is_refused_by_name(number: MapType) -> None:
    spec = MapSpec("m", number, 4, 4, 1)
    with pytest.raises(InputError, match=f"map type {number.name} is not supported yet"):
        check(spec)
    with pytest.raises(InputError, match=f"map type {number.name} is not supported yet"):
        create_map(spec)


def test_operations_of_a_type_that_cannot_be_created_are_judged() -> None:
    queue = MapSpec("m", T.BPF_MAP_TYPE_QUEUE, 0, 4, 1)
    assert illegal(queue, Operation.POP) is None
    assert illegal(queue, Operation.LOOKUP) == "map m is a BPF_MAP_TYPE_QUEUE, which has no lookup"
    read_only = replace(queue, flags=MapFlag.BPF_F_RDONLY_PROG)
    assert "read-only for programs" in str(illegal(read_only, Operation.POP))
    assert illegal(read_only, Operation.PEEK) is None
    assert illegal(replace(queue, type=1000), Operation.POP) == "map m is a 1000, which has no pop"


@pytest.mark.parametrize("number", [T.BPF_MAP_TYPE_SOCKMAP, T.BPF_MAP_TYPE_SOCKHASH])
def test_sockets_are_stored_where_none_is_locked(number: MapType) -> None:
    kind = LINUX_MAP_KINDS[number]
    assert kind.found is Found.SOCKET
    assert kind.allows(Operation.LOOKUP, P.BPF_PROG_TYPE_KPROBE)
    assert not kind.allows(Operation.UPDATE, P.BPF_PROG_TYPE_KPROBE)
    assert kind.allows(Operation.UPDATE, P.BPF_PROG_TYPE_XDP)
    assert not kind.allows(Operation.UPDATE, P.BPF_PROG_TYPE_SOCK_OPS)
    assert kind.allows(Operation.DELETE, P.BPF_PROG_TYPE_SOCK_OPS)
    assert not kind.allows(Operation.UPDATE, P.BPF_PROG_TYPE_TRACING)
    assert kind.allows(Operation.UPDATE, P.BPF_PROG_TYPE_TRACING, AttachType.BPF_TRACE_ITER)
    assert not kind.allows(Operation.POP, P.BPF_PROG_TYPE_XDP)


def test_other_maps_are_for_every_program() -> None:
    kind = LINUX_MAP_KINDS[T.BPF_MAP_TYPE_HASH]
    assert all(kind.allows(Operation.UPDATE, program) for program in ProgramType)


@pytest.mark.parametrize("field", [{"timer_offset": 0}, {"kernel_pointers": (KernelPointer(0, "task_struct"),)}])
def test_fields_that_only_linux_keeps_apart_are_refused(field: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="bpf_timer or kernel pointers are not supported yet"):
        create_map(replace(ARRAY, **field))


# --- the kernel's verifier --------------------------------------------------------------------------------------------

# Sizes of key and value, entries, flags: what each type takes.  Left out: maps of maps and struct_ops, which need
# more, and storage of inodes, which only LSM programs can have.
SHAPES: dict[MapType, tuple[int, ...]] = {
    **dict.fromkeys(LINUX_MAP_KINDS, (4, 4, 1)),
    T.BPF_MAP_TYPE_STACK_TRACE: (4, 8, 1),
    T.BPF_MAP_TYPE_LPM_TRIE: (8, 4, 1, MapFlag.BPF_F_NO_PREALLOC),
    T.BPF_MAP_TYPE_CGROUP_STORAGE: (8, 8, 0),
    T.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE: (8, 8, 0),
    **dict.fromkeys((T.BPF_MAP_TYPE_QUEUE, T.BPF_MAP_TYPE_STACK, T.BPF_MAP_TYPE_BLOOM_FILTER), (0, 4, 1)),
    **dict.fromkeys((T.BPF_MAP_TYPE_RINGBUF, T.BPF_MAP_TYPE_USER_RINGBUF), (0, 0, 4096)),
    **dict.fromkeys(
        (T.BPF_MAP_TYPE_SK_STORAGE, T.BPF_MAP_TYPE_TASK_STORAGE, T.BPF_MAP_TYPE_CGRP_STORAGE),
        (4, 4, 0, MapFlag.BPF_F_NO_PREALLOC),
    ),
    T.BPF_MAP_TYPE_ARENA: (0, 0, 1, MapFlag.BPF_F_MMAPABLE),
}
WITH_BTF = (T.BPF_MAP_TYPE_SK_STORAGE, T.BPF_MAP_TYPE_TASK_STORAGE, T.BPF_MAP_TYPE_CGRP_STORAGE)
NOT_MADE = (
    T.BPF_MAP_TYPE_ARRAY_OF_MAPS,
    T.BPF_MAP_TYPE_HASH_OF_MAPS,
    T.BPF_MAP_TYPE_STRUCT_OPS,
    T.BPF_MAP_TYPE_INODE_STORAGE,
)

ZEROS = "\n".join(f"stdw [%r10-{offset}], 0" for offset in range(8, 72, 8))
STACK = "mov %r2, %r10\nadd %r2, -64\n"
VALUE = "mov %r3, %r10\nadd %r3, -32\n"
MAP_FIRST, MAP_SECOND = "lddw %r1, map_by_fd({fd})\n", "mov %r1, %r6\nlddw %r2, map_by_fd({fd})\n"
SOCKET = "ldxdw %r2, [%r6+168]\njeq %r2, 0, end\nmov %r3, 0\nmov %r4, 0\n"  # skb->sk
TASK = "call 158\nmov %r2, %r0\nmov %r3, 0\nmov %r4, 0\n"  # bpf_get_current_task_btf

# Program type, and what stands before the call: the map in r1 or r2, arguments that the helper takes of any map.
CALLS: dict[Operation, tuple[int, ProgramType, str]] = {
    Operation.LOOKUP: (1, P.BPF_PROG_TYPE_SCHED_CLS, MAP_FIRST + STACK),
    Operation.UPDATE: (2, P.BPF_PROG_TYPE_SCHED_CLS, MAP_FIRST + STACK + VALUE + "mov %r4, 0\n"),
    Operation.DELETE: (3, P.BPF_PROG_TYPE_SCHED_CLS, MAP_FIRST + STACK),
    Operation.LOOKUP_PERCPU: (195, P.BPF_PROG_TYPE_SCHED_CLS, MAP_FIRST + STACK + "mov %r3, 0\n"),
    Operation.PUSH: (87, P.BPF_PROG_TYPE_SCHED_CLS, MAP_FIRST + STACK + "mov %r3, 0\n"),
    Operation.POP: (88, P.BPF_PROG_TYPE_SCHED_CLS, MAP_FIRST + STACK),
    Operation.PEEK: (89, P.BPF_PROG_TYPE_SCHED_CLS, MAP_FIRST + STACK),
    Operation.TAIL_CALL: (12, P.BPF_PROG_TYPE_SCHED_CLS, MAP_SECOND + "mov %r3, 0\n"),
    Operation.PERF_EVENT_OUTPUT: (
        25, P.BPF_PROG_TYPE_SCHED_CLS, MAP_SECOND + "mov %r3, 0\nmov %r4, %r10\nadd %r4, -64\nmov %r5, 8\n",
    ),
    Operation.PERF_EVENT_READ: (22, P.BPF_PROG_TYPE_KPROBE, MAP_FIRST + "mov %r2, 0\n"),
    Operation.RINGBUF: (134, P.BPF_PROG_TYPE_SCHED_CLS, MAP_FIRST + "mov %r2, 0\n"),
    Operation.STACK: (27, P.BPF_PROG_TYPE_KPROBE, MAP_SECOND + "mov %r3, 0\n"),
    Operation.REDIRECT: (51, P.BPF_PROG_TYPE_XDP, MAP_FIRST + "mov %r2, 0\nmov %r3, 0\n"),
    Operation.SOCK_MAP: (52, P.BPF_PROG_TYPE_SK_SKB, MAP_SECOND + "mov %r3, 0\nmov %r4, 0\n"),
    Operation.SOCK_HASH: (70, P.BPF_PROG_TYPE_SOCK_OPS, MAP_SECOND + VALUE + "mov %r4, 0\n"),
    Operation.SELECT_REUSEPORT: (82, P.BPF_PROG_TYPE_SK_REUSEPORT, MAP_SECOND + VALUE + "mov %r4, 0\n"),
    Operation.UNDER_CGROUP: (37, P.BPF_PROG_TYPE_KPROBE, MAP_FIRST + "mov %r2, 0\n"),
    Operation.LOCAL_STORAGE: (81, P.BPF_PROG_TYPE_CGROUP_SKB, MAP_FIRST + "mov %r2, 0\n"),
    Operation.SK_STORAGE: (107, P.BPF_PROG_TYPE_SCHED_CLS, SOCKET + MAP_FIRST),
    Operation.TASK_STORAGE: (156, P.BPF_PROG_TYPE_KPROBE, TASK + MAP_FIRST),
}  # fmt: skip

# struct { int cnt; } as the kernel wants it for storage: INT int of 32 bits.
INT = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, 16, 16, 5) + struct.pack("=IIII", 1, 1 << 24, 4, 1 << 24 | 32)
BTF = INT + b"\0int\0"


@pytest.fixture(scope="module")
def kernel_maps(kernel: Any) -> Iterator[dict[MapType, Any]]:
    """A map of each type that is easily made, in the kernel."""
    with ExitStack() as stack:
        btf = stack.enter_context(kernel.KernelBtf.load(BTF))
        made = {}
        for number, shape in SHAPES.items():
            if number not in NOT_MADE:
                flags = shape[3] if len(shape) > 3 else 0
                types = {"btf": btf, "btf_key_type_id": 1, "btf_value_type_id": 1} if number in WITH_BTF else {}
                made[number] = stack.enter_context(kernel.KernelMap.create(number, *shape[:3], flags=flags, **types))
        yield made


def kernel_takes(kernel: Any, operation: Operation, map: Any) -> bool | None:
    """Whether the kernel lets the operation's helper have the map; None when it refuses the call for its arguments."""
    helper, program_type, arguments = CALLS[operation]
    text = f"mov %r6, %r1\n{ZEROS}\n{arguments.format(fd=map.fileno())}call {helper}\nend:\nmov %r0, 0\nexit"
    try:
        kernel.KernelProgram.load(program_type, encode_program(assemble(text))).close()
    except HostError as refusal:
        log = getattr(refusal, "log", "")
        if "Unreleased reference" in log or "cannot update sockmap" in log:
            return True
        return False if re.search(r"cannot pass map_type \d+ into func|expected prog array map", log) else None
    return True


@pytest.mark.parametrize("operation", CALLS)
def test_operations_as_the_kernel(kernel: Any, kernel_maps: dict[MapType, Any], operation: Operation) -> None:
    answers = {number: kernel_takes(kernel, operation, map) for number, map in kernel_maps.items()}
    judged = {number: answer for number, answer in answers.items() if answer is not None}
    unlike = {
        number.name: answer
        for number, answer in judged.items()
        if answer is not (operation in LINUX_MAP_KINDS[number].operations)
    }
    assert not unlike
    assert len(judged) >= len(kernel_maps) * 2 // 3
    assert any(judged.values())
