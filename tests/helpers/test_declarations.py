"""Declarations: the decorator, and the declared facts against the kernel's."""

from __future__ import annotations

import platform
import re
import struct
from pathlib import Path
from types import ModuleType

import pytest
from support.helper_calls import KernelCaller

from pybpftime.errors import InputError
from pybpftime.helpers.declarations import (
    DECLARATIONS,
    FAMILIES,
    KNOWN,
    ArgumentKind,
    HelperDeclaration,
    ResultKind,
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
from pybpftime.uapi import AttachType, ProgramFlag, ProgramType

HEADER = Path("/usr/include/linux/bpf.h")


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


def test_declared_helpers_have_their_linux_numbers() -> None:
    assert {number: declaration.name for number, declaration in DECLARATIONS.items()}.items() <= KNOWN.items()
    assert list(DECLARATIONS) == sorted(DECLARATIONS)
    assert sum(len(declarations_of(family)) for family in FAMILIES) == len(DECLARATIONS)


@pytest.mark.parametrize("declaration", DECLARATIONS.values(), ids=lambda declaration: declaration.name)
def test_declarations_are_complete(declaration: HelperDeclaration) -> None:
    assert re.fullmatch(r"\d\.\d+", declaration.since)
    assert declaration.documentation.rstrip().endswith((".", ")"))
    roles = [parameter.kind.role for parameter in declaration.parameters]
    if declaration.map_operation is not None:
        assert Role.MAP in roles
    if declaration.changes_packet:
        assert any(parameter.kind.packet for parameter in declaration.parameters)


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


# What the kernel's configuration, and not its code, takes away.
CONFIGURED = frozenset({"bpf_probe_write_user", "bpf_override_return"})
ATTACHED = {
    ProgramType.BPF_PROG_TYPE_CGROUP_SOCK: AttachType.BPF_CGROUP_INET_SOCK_CREATE,
    ProgramType.BPF_PROG_TYPE_CGROUP_SOCK_ADDR: AttachType.BPF_CGROUP_INET4_CONNECT,
    ProgramType.BPF_PROG_TYPE_CGROUP_SOCKOPT: AttachType.BPF_CGROUP_SETSOCKOPT,
    ProgramType.BPF_PROG_TYPE_SK_LOOKUP: AttachType.BPF_SK_LOOKUP,
    ProgramType.BPF_PROG_TYPE_NETFILTER: AttachType.BPF_NETFILTER,
    ProgramType.BPF_PROG_TYPE_SK_REUSEPORT: AttachType.BPF_SK_REUSEPORT_SELECT,
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


def kernel_allows(helper_id: int, program_type: ProgramType) -> bool:
    code = struct.pack("<BBhi", 0x85, 0, 0, helper_id) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    sleepable = program_type == ProgramType.BPF_PROG_TYPE_SYSCALL
    try:
        KernelProgram.load(
            program_type,
            code,
            expected_attach_type=ATTACHED.get(program_type, 0),
            flags=ProgramFlag.BPF_F_SLEEPABLE if sleepable else 0,
        ).close()
    except KernelRejection as refusal:
        assert f"{helper_id}" in refusal.log
        return "cannot use" not in refusal.log and "invalid func" not in refusal.log
    return True


@pytest.mark.parametrize("program_type", sorted(set(ProgramType) - NOT_LOADED), ids=lambda each: each.name[14:])
def test_program_types_as_the_kernel(in_kernel: KernelCaller, program_type: ProgramType) -> None:
    """Of each declared helper: the kernel's verifier lets programs of this type call it, or not, as declared."""
    if not platform.release().startswith("6.18."):
        pytest.skip(f"needs Linux 6.18, this is {platform.release()}: releases differ in what they allow")
    different = [
        declaration.name
        for number, declaration in DECLARATIONS.items()
        if declaration.name not in CONFIGURED
        and declaration.allows(program_type) is not kernel_allows(number, program_type)
    ]
    assert not different
