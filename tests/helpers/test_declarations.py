"""Declarations: the decorator, and the declared facts against the kernel's."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pybpftime.errors import InputError
from pybpftime.helpers.declarations import (
    DECLARATIONS,
    FAMILIES,
    KNOWN,
    ArgumentKind,
    CallbackArgument,
    HelperDeclaration,
    ResultKind,
    ResultRole,
    Role,
    declarations_of,
    helper,
    kinds,
)
from pybpftime.helpers.declarations.kinds import (
    Anything,
    ConstMap,
    Integer,
    MapKey,
    MapValueOrNull,
    Mem,
    Size,
    SizeOrZero,
    UninitMem,
)
from pybpftime.kernel import KernelProgram, KernelRejection
from pybpftime.maps.kinds import MAP_KINDS, Operation
from pybpftime.program.btf import Btf, Kind
from pybpftime.uapi import AttachType, ProgramFlag, ProgramType

HEADER = Path("/usr/include/linux/bpf.h")
VMLINUX = Path("/sys/kernel/btf/vmlinux")


def test_a_signature_becomes_a_declaration() -> None:
    @helper(0x12345, map_operation=Operation.LOOKUP, gpl_only=True, since="9.9")
    def bpf_example(map: ConstMap, key: MapKey, buffer: UninitMem, size: SizeOrZero) -> MapValueOrNull:
        """What it does.

        More of it.
        """

    assert isinstance(bpf_example, HelperDeclaration)
    assert (bpf_example.id, bpf_example.name, bpf_example.since) == (0x12345, "bpf_example", "9.9")
    assert bpf_example.gpl_only
    assert not bpf_example.changes_packet
    assert bpf_example.map_operation is Operation.LOOKUP
    assert [parameter.kind.role for parameter in bpf_example.parameters] == [
        Role.MAP,
        Role.MAP_KEY,
        Role.MEMORY,
        Role.SIZE,
    ]
    assert [parameter.name for parameter in bpf_example.arguments] == ["map", "key", "buffer"]
    assert bpf_example.returns.nullable
    assert bpf_example.documentation == "What it does.\n\nMore of it."
    assert bpf_example.signature == (
        "bpf_example(map: ConstMap, key: MapKey, buffer: UninitMem, size: SizeOrZero) -> MapValueOrNull"
    )
    assert all(bpf_example.allows(program_type) for program_type in ProgramType)


def six(a: Anything, b: Anything, c: Anything, d: Anything, e: Anything, f: Anything) -> Integer: ...
def no_annotation(a) -> Integer: ...  # type: ignore[no-untyped-def]  # what is refused
def wrong_annotation(a: int) -> Integer: ...
def result_as_argument(a: Integer) -> Integer: ...
def no_result(a: Anything): ...  # type: ignore[no-untyped-def]  # what is refused
def argument_as_result(a: Anything) -> Anything: ...
def variable(*a: Anything) -> Integer: ...
def keyword(*, a: Anything) -> Integer: ...
def no_size(a: Mem) -> Integer: ...
def no_size_behind(a: Mem, b: Anything) -> Integer: ...
def no_memory(a: Size) -> Integer: ...
def no_map(a: MapKey) -> Integer: ...
def unknown_name(a: NoSuchKind) -> Integer: ...  # type: ignore[name-defined]  # noqa: F821  # what is refused


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (six, "6 parameters do not fit into r1 to r5"),
        (no_annotation, "parameter a is not annotated"),
        (wrong_annotation, "parameter a is not annotated"),
        (result_as_argument, "parameter a is not annotated"),
        (no_result, "the result is not annotated"),
        (argument_as_result, "the result is not annotated"),
        (variable, r"\*a.* is no plain parameter"),
        (keyword, "a.* is no plain parameter"),
        (no_size, "a has no size"),
        (no_size_behind, "come as a pair"),
        (no_memory, "come as a pair"),
        (no_map, "no map before it"),
        (unknown_name, "annotations cannot be read.*NoSuchKind"),
    ],
)
def test_signatures_that_are_none_of_a_helper(function: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        helper()(function)  # type: ignore[arg-type]  # no helper's signature, on purpose


def test_a_variant_replaces_parameters_for_some_types() -> None:
    xdp, tc = ProgramType.BPF_PROG_TYPE_XDP, ProgramType.BPF_PROG_TYPE_SCHED_CLS

    @helper(0x12345, variants={frozenset({xdp}): {"key": Anything}})
    def bpf_example(map: ConstMap, key: MapKey) -> Integer: ...

    roles = [[one.kind.role for one in bpf_example.parameters_for(program_type)] for program_type in (tc, xdp)]
    assert roles == [[Role.MAP, Role.MAP_KEY], [Role.MAP, Role.ANYTHING]]
    assert [parameter.name for parameter in bpf_example.parameters_for(xdp)] == ["map", "key"]


@pytest.mark.parametrize(
    "others", [{"value": Anything}, {"key": Integer}, {"key": int}, {"map": Anything}, {"key": Mem}]
)
def test_variants_that_are_none_of_a_helper(others: dict[str, Any]) -> None:
    def bpf_example(map: ConstMap, key: MapKey) -> Integer: ...

    with pytest.raises(InputError, match="helper bpf_example: "):
        helper(variants={frozenset({ProgramType.BPF_PROG_TYPE_XDP}): others})(bpf_example)


def module_of(**values: object) -> ModuleType:
    module = ModuleType("example")
    vars(module).update(values)
    return module


def test_ids_and_names_are_declared_once() -> None:
    def one() -> Integer: ...
    def two() -> Integer: ...

    one_declared, two_declared = helper(0x10000)(one), helper(0x10000)(two)
    with pytest.raises(InputError, match="id 65536 is declared for both one and two"):
        declarations_of(module_of(one=one_declared, two=two_declared))
    with pytest.raises(InputError, match="one is declared twice"):
        declarations_of(module_of(one=one_declared), module_of(one=helper(0x10001)(one)))
    again = module_of(one=one_declared, imported=one_declared, other=3)
    assert declarations_of(again, again) == {"one": one_declared}


# --- the declarations -------------------------------------------------------------------------------------------------


def test_known_helpers_are_those_of_linux() -> None:
    assert list(KNOWN) == list(range(1, 212))
    assert len(set(KNOWN.values())) == 211
    assert (KNOWN[1], KNOWN[211]) == ("bpf_map_lookup_elem", "bpf_cgrp_storage_delete")


def test_known_helpers_have_the_numbers_of_the_header() -> None:
    text = HEADER.read_text() if HEADER.is_file() else ""
    listed = re.findall(r"^\s*FN\((\w+)(?:, (\d+))?,?.*\)", text, re.MULTILINE)
    if not listed:
        pytest.skip("needs linux/bpf.h (linux-libc-dev)")
    for number, (name, given) in enumerate(listed):
        assert not given or int(given) == number
        if name != "unspec":
            assert KNOWN[number] == f"bpf_{name}"


def test_every_helper_of_linux_is_declared() -> None:
    assert {number: declaration.name for number, declaration in DECLARATIONS.items()} == KNOWN
    assert list(DECLARATIONS) == sorted(DECLARATIONS)
    assert sum(len(declarations_of(family)) for family in FAMILIES) == len(DECLARATIONS)


@pytest.mark.parametrize("declaration", DECLARATIONS.values(), ids=lambda declaration: declaration.name)
def test_declarations_are_complete(declaration: HelperDeclaration) -> None:
    assert re.fullmatch(r"\d\.\d+", declaration.since)
    assert declaration.documentation.rstrip().endswith((".", ")"))
    roles = [parameter.kind.role for parameter in declaration.parameters]
    assert (declaration.map_operation is not None) is (Role.MAP in roles and declaration.name != "bpf_timer_init")
    if declaration.changes_packet:
        assert roles[0] is Role.CONTEXT
    if declaration.packet_access:
        assert {Role.MEMORY, Role.FIXED_MEMORY, Role.MAP_KEY, Role.MAP_VALUE}.intersection(roles)
    if ResultRole.MEMORY is declaration.returns.role:
        assert Role.ALLOCATION_SIZE in roles
    for variant in declaration.variants:
        assert variant.parameters != declaration.parameters
        assert all(map(declaration.allows, variant.programs))


def test_every_map_operation_has_its_helper() -> None:
    """Whatever a map type offers to programs, some helper asks for."""
    asked = {declaration.map_operation for declaration in DECLARATIONS.values()}
    assert (
        asked - {None}
        == set(Operation)
        == asked - {None} | {operation for kind in MAP_KINDS.values() for operation in kind.operations}
    )


def test_kinds_are_named_as_they_are_printed() -> None:
    for name, annotation in vars(kinds).items():
        for item in getattr(annotation, "__metadata__", ()):
            assert isinstance(item, ArgumentKind | ResultKind)
            if "[" not in item.name:
                assert name.removesuffix("Argument") == item.name
            assert item.linux.startswith(("ARG_", "RET_"))


def test_types_that_follow_another_are_not_restricted() -> None:
    adjust_head = DECLARATIONS[44]
    assert adjust_head.allows(ProgramType.BPF_PROG_TYPE_XDP)
    assert adjust_head.allows(ProgramType.BPF_PROG_TYPE_EXT)
    assert not adjust_head.allows(ProgramType.BPF_PROG_TYPE_KPROBE)


def test_references_are_acquired_and_released() -> None:
    """The functions that is_acquire_function, is_release_function and is_ptr_cast_function of verifier.c name."""
    acquired = {each.name for each in DECLARATIONS.values() if each.returns.acquires}
    assert acquired == {
        *("bpf_sk_lookup_tcp", "bpf_sk_lookup_udp", "bpf_skc_lookup_tcp", "bpf_ringbuf_reserve", "bpf_kptr_xchg"),
    }
    assert {each.name for each in DECLARATIONS.values() if any(one.kind.acquires for one in each.parameters)} == {
        "bpf_ringbuf_reserve_dynptr"
    }
    assert {each.name for each in DECLARATIONS.values() if any(one.kind.releases for one in each.parameters)} == {
        *("bpf_sk_release", "bpf_ringbuf_submit", "bpf_ringbuf_discard", "bpf_kptr_xchg"),
        *("bpf_ringbuf_submit_dynptr", "bpf_ringbuf_discard_dynptr"),
    }
    assert {each.name for each in DECLARATIONS.values() if each.returns.casts} == {
        *("bpf_tcp_sock", "bpf_sk_fullsock", "bpf_skc_to_tcp_sock", "bpf_skc_to_tcp6_sock", "bpf_skc_to_udp6_sock"),
        *("bpf_skc_to_mptcp_sock", "bpf_skc_to_tcp_timewait_sock", "bpf_skc_to_tcp_request_sock"),
    }


def test_functions_are_called_back_as_declared() -> None:
    """set_callee_state of verifier.c: r1 and those behind it, and what may be returned."""
    callbacks = {
        each.name: parameter.kind.callback
        for each in DECLARATIONS.values()
        for parameter in each.parameters
        if parameter.kind.role is Role.FUNCTION
    }
    later = [name for name, callback in callbacks.items() if callback is not None and callback.later]
    assert later == ["bpf_timer_set_callback"]
    assert {name: None if callback is None else len(callback.arguments) for name, callback in callbacks.items()} == {
        "bpf_for_each_map_elem": 4,
        "bpf_timer_set_callback": 3,
        "bpf_find_vma": 3,
        "bpf_loop": 2,
        "bpf_user_ringbuf_drain": 2,
    }
    for each in DECLARATIONS.values():
        for parameter in each.parameters:
            if parameter.kind.callback is not None:
                handed_on = CallbackArgument.CONTEXT in parameter.kind.callback.arguments
                assert handed_on is any(one.kind.role is Role.STACK for one in each.parameters)


# --- who may call them, in the kernel ---------------------------------------------------------------------------------

# What the kernel's configuration, and not its code, takes away.
CONFIGURED = frozenset({"bpf_probe_write_user", "bpf_override_return"})
# Loaded with each of these; others with none.
ATTACHED: Mapping[ProgramType, Iterable[AttachType]] = {
    ProgramType.BPF_PROG_TYPE_CGROUP_SKB: (AttachType.BPF_CGROUP_INET_INGRESS, AttachType.BPF_CGROUP_INET_EGRESS),
    ProgramType.BPF_PROG_TYPE_CGROUP_SOCK: (
        AttachType.BPF_CGROUP_INET_SOCK_CREATE,
        AttachType.BPF_CGROUP_INET_SOCK_RELEASE,
        AttachType.BPF_CGROUP_INET4_POST_BIND,
        AttachType.BPF_CGROUP_INET6_POST_BIND,
    ),
    ProgramType.BPF_PROG_TYPE_CGROUP_SOCK_ADDR: [
        each
        for each in AttachType
        if re.search("_(INET[46]|UDP[46]|UNIX)_(BIND|CONNECT|SENDMSG|RECVMSG|GET.*NAME)$", each.name)
    ],
    ProgramType.BPF_PROG_TYPE_CGROUP_SOCKOPT: (AttachType.BPF_CGROUP_SETSOCKOPT, AttachType.BPF_CGROUP_GETSOCKOPT),
    ProgramType.BPF_PROG_TYPE_CGROUP_DEVICE: (AttachType.BPF_CGROUP_DEVICE,),
    ProgramType.BPF_PROG_TYPE_CGROUP_SYSCTL: (AttachType.BPF_CGROUP_SYSCTL,),
    ProgramType.BPF_PROG_TYPE_SOCK_OPS: (AttachType.BPF_CGROUP_SOCK_OPS,),
    ProgramType.BPF_PROG_TYPE_SK_LOOKUP: (AttachType.BPF_SK_LOOKUP,),
    ProgramType.BPF_PROG_TYPE_NETFILTER: (AttachType.BPF_NETFILTER,),
    ProgramType.BPF_PROG_TYPE_SK_REUSEPORT: (
        AttachType.BPF_SK_REUSEPORT_SELECT,
        AttachType.BPF_SK_REUSEPORT_SELECT_OR_MIGRATE,
    ),
}
# These cannot be loaded without something to attach to, or not everywhere.
NOT_LOADED = frozenset({
    ProgramType.BPF_PROG_TYPE_UNSPEC,
    ProgramType.BPF_PROG_TYPE_EXT,
    ProgramType.BPF_PROG_TYPE_STRUCT_OPS,
    ProgramType.BPF_PROG_TYPE_TRACING,
    ProgramType.BPF_PROG_TYPE_LSM,
    ProgramType.BPF_PROG_TYPE_LIRC_MODE2,
})  # fmt: skip


def kernel_allows(
    helper_id: int, program_type: ProgramType, attach_type: AttachType | None = None, attach_btf_id: int = 0
) -> bool:
    code = struct.pack("<BBhi", 0x85, 0, 0, helper_id) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    sleepable = program_type == ProgramType.BPF_PROG_TYPE_SYSCALL
    try:
        KernelProgram.load(
            program_type,
            code,
            expected_attach_type=attach_type or 0,
            flags=ProgramFlag.BPF_F_SLEEPABLE if sleepable else 0,
            attach_btf_id=attach_btf_id,
        ).close()
    except KernelRejection as refusal:
        assert f"{helper_id}" in refusal.log
        return "cannot use" not in refusal.log and "invalid func" not in refusal.log
    return True


def judged_differently(program_type: ProgramType, attach_type: AttachType | None, attach_btf_id: int = 0) -> list[str]:
    """The helpers that the kernel's verifier lets such a program call and the declaration does not, or vice versa."""
    return [
        f"{declaration.name} {attach_type!r}"
        for number, declaration in DECLARATIONS.items()
        if declaration.name not in CONFIGURED
        and declaration.allows(program_type, attach_type)
        is not kernel_allows(number, program_type, attach_type, attach_btf_id)
    ]


@pytest.mark.usefixtures("linux_6_18")
@pytest.mark.parametrize("program_type", sorted(set(ProgramType) - NOT_LOADED), ids=lambda each: each.name[14:])
def test_program_types_as_the_kernel(program_type: ProgramType) -> None:
    attach_types = ATTACHED.get(program_type, (None,))
    assert not [name for attach_type in attach_types for name in judged_differently(program_type, attach_type)]


# Iterators over TCP sockets may do more than the others, and are those that the declarations mean.
TRACED = [
    (AttachType.BPF_TRACE_ITER, "bpf_iter_tcp", Kind.FUNC),
    (AttachType.BPF_TRACE_RAW_TP, "btf_trace_sched_switch", Kind.TYPEDEF),
]


@pytest.fixture(scope="module")
def vmlinux() -> Btf:
    if not VMLINUX.is_file():
        pytest.skip("needs the kernel's BTF")
    return Btf.parse(VMLINUX.read_bytes())


@pytest.mark.usefixtures("linux_6_18")
@pytest.mark.parametrize(("attach_type", "target", "kind"), TRACED, ids=lambda each: getattr(each, "name", None))
def test_tracing_programs_as_the_kernel(vmlinux: Btf, attach_type: AttachType, target: str, kind: Kind) -> None:
    type_id = vmlinux.require(target, kind)
    assert not judged_differently(ProgramType.BPF_PROG_TYPE_TRACING, attach_type, type_id)


def test_attach_types_take_helpers_away() -> None:
    bind, cookie = DECLARATIONS[64], DECLARATIONS[174]
    address = ProgramType.BPF_PROG_TYPE_CGROUP_SOCK_ADDR
    assert bind.allows(address)
    assert bind.allows(address, AttachType.BPF_CGROUP_INET4_CONNECT)
    assert not bind.allows(address, AttachType.BPF_CGROUP_UDP4_SENDMSG)
    assert not bind.allows(ProgramType.BPF_PROG_TYPE_XDP, AttachType.BPF_CGROUP_INET4_CONNECT)
    assert cookie.allows(ProgramType.BPF_PROG_TYPE_LSM, AttachType.BPF_LSM_MAC)
    assert not cookie.allows(ProgramType.BPF_PROG_TYPE_LSM, AttachType.BPF_LSM_CGROUP)
