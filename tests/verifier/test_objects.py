"""Kernel objects: what the kernel's BTF lets a program load from them, and what may be handed to helpers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.verification import MAPS, SAFE, Case, code_of, program

from pybpftime.program.btf import (
    Array,
    Btf,
    BtfBuilder,
    Func,
    FuncProto,
    Int,
    Member,
    Param,
    Ptr,
    Struct,
    Typedef,
    TypeTag,
    Union,
    Void,
)
from pybpftime.program.sections import SLEEPABLE
from pybpftime.uapi import AttachType
from pybpftime.verifier import verify
from pybpftime.verifier.kernel_types import KernelTypes, Tag, Target, Wrong

VMLINUX = Path("/sys/kernel/btf/vmlinux")


def small_kernel() -> Btf:
    """A kernel with a tracepoint `ping`, an iterator over nodes, and these structures:

    struct node {                             struct seq_file { long position; };
        long id;                   /* 0 */    struct bpf_iter_meta { struct seq_file *seq; };
        struct node __rcu *next;   /* 8 */
        struct { int a, b; } pair; /* 16 */
        char name[16];             /* 24 */
        int flag : 3;              /* 40 */
        union { long number; struct node *other; };   /* 48 */
        struct node __user *user;  /* 56 */
        struct node *plain;        /* 64 */
        int tail[];                /* 72 */
    };
    """
    types = BtfBuilder()
    add = types.add
    long, int_, char = add(Int("long", 8, 64)), add(Int("int", 4, 32)), add(Int("char", 1, 8))
    node = types.next_id + 11
    rcu, user = add(TypeTag("rcu", node)), add(TypeTag("user", node))
    to_rcu, to_user, to_node = add(Ptr(rcu)), add(Ptr(user)), add(Ptr(node))
    pair = add(Struct("", 8, (Member("a", int_, 0), Member("b", int_, 32))))
    name, tail = add(Array(char, int_, 16)), add(Array(int_, int_, 0))
    either = add(Union("", 8, (Member("number", long, 0), Member("other", to_node, 0))))
    void_pointer, to_int = add(Ptr(0)), add(Ptr(int_))
    members = (
        Member("id", long, 0), Member("next", to_rcu, 64), Member("pair", pair, 128), Member("name", name, 192),
        Member("flag", int_, 320, 3), Member("", either, 384), Member("user", to_user, 448),
        Member("plain", to_node, 512), Member("tail", tail, 576),
    )  # fmt: skip
    assert add(Struct("node", 72, members)) == node
    file = add(Struct("seq_file", 8, (Member("position", long, 0),)))
    meta = add(Struct("bpf_iter_meta", 8, (Member("seq", add(Ptr(file)), 0),)))
    to_meta = add(Ptr(meta))
    arguments = (
        Param("", void_pointer), Param("node", to_node), Param("count", int_), Param("cookie", void_pointer),
        Param("numbers", to_int), Param("node__nullable", to_node),
    )  # fmt: skip
    add(Typedef("btf_trace_ping", add(Ptr(add(FuncProto(0, arguments))))))
    add(Typedef("btf_trace_signal_deliver", add(Ptr(add(FuncProto(0, arguments))))))
    add(Func("bpf_iter_node", add(FuncProto(int_, (Param("meta", to_meta), Param("node", to_node))))))
    values = (Param("meta", to_meta), Param("map", to_node), Param("key", void_pointer), Param("value", void_pointer))
    add(Func("bpf_iter_bpf_map_elem", add(FuncProto(int_, values))))
    return types.build()


KERNEL = small_kernel()
assert isinstance(KERNEL[0], Void)


@pytest.mark.parametrize(
    ("offset", "size", "found"),
    [
        (0, 8, None),
        (4, 4, None),
        (8, 8, Target("node", "next", "node", Tag.RCU)),
        (8, 4, Wrong("member next of struct node is an address, which is loaded whole")),
        (12, 8, Wrong("member next of struct node is an address, which is loaded whole")),
        (20, 4, None),
        (20, 8, Wrong("struct node ends before")),
        (31, 8, None),
        (39, 1, None),
        (36, 8, Wrong("it reaches beyond member name of struct node")),
        (40, 4, None),
        (44, 4, Wrong("struct node has no member there")),
        (48, 8, None),
        (56, 8, Target("node", "user", "node", Tag.USER)),
        (64, 8, Target("node", "plain", "node")),
        (72, 4, None),
        (4000, 4, None),
    ],
)
def test_loads_of_a_structure(offset: int, size: int, found: object) -> None:
    assert KernelTypes(KERNEL).load("node", offset, size) == found


def test_structures_inside_structures() -> None:
    types = KernelTypes(KERNEL)
    assert types.is_at("node", 0, "node")
    assert types.is_at("bpf_iter_meta", 0, "bpf_iter_meta")
    assert not types.is_at("node", 8, "node")
    assert not types.is_at("nothing", 0, "node")
    assert types.load("nothing", 0, 8) == Wrong("struct nothing is not known")


def test_malformed_types_are_not_followed() -> None:
    types = BtfBuilder()
    types.add(Struct("loop", 8, (Member("inner", 1, 0),)))
    known = KernelTypes(types.build())
    assert isinstance(known.load("loop", 0, 4), Wrong)
    assert not known.is_at("loop", 0, "other")
    assert known.parameters("bpf_iter_loop") is None


def code(
    text: str, target: str = "ping", attach_type: AttachType = AttachType.BPF_TRACE_RAW_TP, **fields: object
) -> str:
    spec = program(text, "tracing", attach_type=attach_type, attach_to=target, **fields)
    return code_of(verify(spec, MAPS, kernel_types=lambda: KERNEL))


END = "\n r0 = 0\n exit"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("r1 = *(u64 *)(r1 + 0)\n r2 = *(u64 *)(r1 + 0)", SAFE),
        ("r1 = *(u64 *)(r1 + 0)\n r1 = *(u64 *)(r1 + 64)\n r2 = *(u64 *)(r1 + 64)", SAFE),
        ("r1 = *(u64 *)(r1 + 0)\n r1 += 16\n r2 = *(u32 *)(r1 + 4)", SAFE),
        ("r1 = *(u64 *)(r1 + 0)\n r2 = *(u64 *)(r1 + 44)", "object-access"),
        ("r1 = *(u64 *)(r1 + 0)\n r2 = *(u64 *)(r1 - 8)", "object-access"),
        ("r1 = *(u64 *)(r1 + 0)\n *(u64 *)(r1 + 0) = 1", "read-only"),
        ("r2 = *(u64 *)(r1 + 8)\n r1 = *(u64 *)(r1 + 0)\n r2 &= 8\n r1 += r2\n r1 = *(u64 *)(r1 + 0)", "object-access"),
        ("r1 = *(u64 *)(r1 + 0)\n r1 = *(u64 *)(r1 + 8)\n r2 = *(u64 *)(r1 + 0)", "null"),
        ("r1 = *(u64 *)(r1 + 0)\n r1 = *(u64 *)(r1 + 8)\n if r1 == 0 goto +1\n r2 = *(u64 *)(r1 + 0)", SAFE),
        ("r1 = *(u64 *)(r1 + 0)\n r1 = *(u64 *)(r1 + 56)\n r2 = *(u64 *)(r1 + 0)", "object-access"),
        ("r1 = *(u64 *)(r1 + 8)\n r2 = *(u64 *)(r1 + 0)", "not-a-pointer"),
        ("r1 = *(u64 *)(r1 + 16)\n r2 = *(u64 *)(r1 + 0)", "not-a-pointer"),
        ("r1 = *(u64 *)(r1 + 32)\n r2 = *(u64 *)(r1 + 0)", "null"),
        ("r1 = *(u64 *)(r1 + 40)", "context-access"),
    ],
)
def test_arguments_of_a_tracepoint(text: str, expected: str) -> None:
    assert code(text + END) == expected


def test_arguments_that_the_kernel_lists_as_perhaps_null() -> None:
    text = "r1 = *(u64 *)(r1 + 0)\n r2 = *(u64 *)(r1 + 0)" + END
    assert code(text, "signal_deliver") == "null"


def test_what_is_not_known_is_not_followed() -> None:
    text = "r1 = *(u64 *)(r1 + 0)" + END
    assert code(text, "nowhere") == "unsupported"
    assert code(text, attach_type=AttachType.BPF_MODIFY_RETURN) == "unsupported"
    spec = program(text, "tracing", attach_type=AttachType.BPF_TRACE_RAW_TP, attach_to="ping")
    assert code_of(verify(spec, MAPS)) == "unsupported"


def test_a_program_that_is_not_gpl_follows_nothing() -> None:
    text = "r1 = *(u64 *)(r1 + 0)\n r2 = *(u64 *)(r1 + 0)" + END
    assert code(text, license="Proprietary") == "license"


WRITE = "r2 = r10\n r2 += -8\n r3 = 8\n call bpf_seq_write"


@pytest.mark.parametrize(
    ("target", "text", "expected"),
    [
        ("node", f"r1 = *(u64 *)(r1 + 0)\n r1 = *(u64 *)(r1 + 0)\n {WRITE}", SAFE),
        ("node", f"r1 = *(u64 *)(r1 + 0)\n {WRITE}", "helper-argument"),
        ("node", "r1 = *(u64 *)(r1 + 8)\n r2 = *(u64 *)(r1 + 0)", "null"),
        ("bpf_map_elem", "r2 = *(u64 *)(r1 + 8)\n r2 = *(u64 *)(r2 + 0)", SAFE),
        ("bpf_map_elem", "r2 = *(u64 *)(r1 + 16)\n r2 = *(u64 *)(r2 + 0)", "null"),
        ("bpf_map_elem", "r2 = *(u64 *)(r1 + 16)\n if r2 == 0 goto +1\n r2 = *(u64 *)(r2 + 100)", SAFE),
        ("bpf_map_elem", "r2 = *(u64 *)(r1 + 16)\n if r2 == 0 goto +1\n *(u64 *)(r2 + 0) = 1", "read-only"),
        ("bpf_map_elem", "r2 = *(u64 *)(r1 + 24)\n if r2 == 0 goto +1\n *(u64 *)(r2 + 0) = 1", SAFE),
        ("bpf_map_elem", "r2 = *(u64 *)(r1 + 24)\n if r2 == 0 goto +1\n *(u64 *)(r2 - 8) = 1", "memory-bounds"),
    ],
)
def test_iterators(target: str, text: str, expected: str) -> None:
    assert code(text + END, target, AttachType.BPF_TRACE_ITER) == expected


def test_objects_that_may_be_gone_are_no_arguments() -> None:
    text = "r1 = *(u64 *)(r1 + 0)\n r1 = *(u64 *)(r1 + 48)\n r1 = *(u64 *)(r1 + 0)" + END
    assert code(text) == "not-a-pointer"  # the union's first member is a number
    sleeping = f"r6 = *(u64 *)(r1 + 0)\n r1 = *(u64 *)(r6 + 0)\n {WRITE}" + END
    assert code(sleeping, "node", AttachType.BPF_TRACE_ITER, flags=frozenset({SLEEPABLE})) == SAFE


def test_casts_share_the_reference_of_the_socket() -> None:
    find = "r2 = r10\n r2 += -4\n *(u32 *)(r10 - 4) = 0\n r1 = map[sockets]\n call bpf_map_lookup_elem\n"
    cast = "if r0 == 0 goto out\n r6 = r0\n r1 = r0\n call bpf_skc_to_tcp_sock\n r7 = r0\n"
    for release, expected in (("r1 = r6\n call bpf_sk_release\n", SAFE), ("", "unreleased")):
        case = Case("cast", expected, f"{find} {cast} {release} out: r0 = 0\n exit", "sched_cls")
        assert code_of(case.judged(kernel_types=lambda: KERNEL)) == expected
    used = "if r7 == 0 goto out\n r0 = *(u64 *)(r7 + 0)\n"
    case = Case(
        "used", "not-a-pointer", f"{find} {cast} r1 = r6\n call bpf_sk_release\n {used} out: r0 = 0\n exit", "sched_cls"
    )
    assert code_of(case.judged(kernel_types=lambda: KERNEL)) == "not-a-pointer"


@pytest.mark.skipif(not VMLINUX.exists(), reason=f"needs {VMLINUX}")
def test_the_running_kernel_s_types() -> None:
    types = KernelTypes(Btf.parse(VMLINUX.read_bytes()))
    task = types.tracepoint_parameters("task_newtask")
    assert task is not None
    assert types.of_parameter(task[0]) == Target("task_struct", task[0].name)
    assert types.of_parameter(task[1]) is None
    found = types.load("bpf_iter_meta", 0, 8)
    assert isinstance(found, Target)
    assert (found.type_name, found.field) == ("seq_file", "seq")
    assert types.is_at("tcp_sock", 0, "sock_common")
    assert not types.is_at("task_struct", 0, "sock_common")


TIMERS = {**MAPS, "array": replace(MAPS["array"], timer_offset=8)}
TIMER = "*(u32 *)(r10 - 4) = 0\n r2 = r10\n r2 += -4\n r1 = map[array]\n call bpf_map_lookup_elem\n r6 = r0\n"
SET = "r1 = r6\n r1 += 8\n r2 = code_addr(f)\n call bpf_timer_set_callback\n r0 = 0\n exit\n f: "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{TIMER} {SET} r0 = 0\n exit", SAFE),
        (f"{TIMER} {SET} r0 = 1\n exit", "callback-return"),
        (f"{TIMER} {SET} r0 = *(u8 *)(r3 + 47)\n r0 = *(u32 *)(r2 + 0)\n r0 = 0\n exit", SAFE),
        (f"{TIMER} {SET} r0 = *(u8 *)(r3 + 48)\n r0 = 0\n exit", "map-value-bounds"),
        (f"{TIMER} {SET} *(u32 *)(r2 + 0) = 1\n r0 = 0\n exit", "read-only"),
        (f"{TIMER} {SET} r0 = *(u64 *)(r3 + 8)\n r0 = 0\n exit", "special-field"),
        (
            (
                f"{TIMER} {SET} r6 = r3\n r1 = r3\n r1 += 8\n r2 = code_addr(f)\n call bpf_timer_set_callback\n"
                "r0 = 0\n exit"
            ),
            SAFE,
        ),
        (f"{TIMER} {SET.replace('r1 += 8', 'r1 += 16')} r0 = 0\n exit", "helper-argument"),
        (
            f"{TIMER} r1 = r6\n r1 += 8\n r2 = map[hash]\n r3 = 0\n call bpf_timer_init\n r0 = 0\n exit",
            "helper-argument",
        ),
        (f"{TIMER} r1 = r6\n r1 += 8\n r2 = map[array]\n r3 = 0\n call bpf_timer_init\n r0 = 0\n exit", SAFE),
        (f"*(u8 *)(r10 - 500) = 0\n {TIMER} {SET} *(u8 *)(r10 - 500) = 0\n r0 = 0\n exit", SAFE),
    ],
)
def test_timers(text: str, expected: str) -> None:
    assert code_of(verify(program(text, "sched_cls"), TIMERS)) == expected


def test_mappings_are_objects() -> None:
    text = (
        "call bpf_get_current_task_btf\n r1 = r0\n r2 = 0\n r3 = code_addr(f)\n r4 = 0\n r5 = 0\n"
        "call bpf_find_vma\n r0 = 0\n"
        "exit\n f: r0 = *(u64 *)(r2 + 0)\n r0 = 0\n exit"
    )
    assert code_of(verify(program(text, "kprobe"), MAPS)) == "unsupported"
    assert code_of(verify(program(text, "kprobe"), MAPS, kernel_types=lambda: KERNEL)) == "object-access"
