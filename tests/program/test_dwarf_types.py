"""Types of debug information as BTF: against the BTF that clang makes of the same source, and made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from program.btf_support import committed_objects
from program.dwarf_support import Node, loaded, node, read_nodes

from pybpftime.errors import InputError
from pybpftime.program.btf import Btf, Kind, declare, decode, definition, format_bytes, type_name
from pybpftime.program.debug_info import DebugInfo

INT = {"name": "int", "encoding": 5, "byte_size": 4}


def by_variable(info: DebugInfo) -> dict[str, int]:
    """Type ids of the parameters of the function `probe`, by name."""
    (function,) = info.functions
    return {variable.name: variable.type_id for variable in function.variables}


def read_types(*types: Node, **parameters: Node) -> tuple[Btf, dict[str, int]]:
    """Read types that are the types of the parameters given."""
    children = [node("parameter", name=name, type=target) for name, target in parameters.items()]
    info = read_nodes(*types, node("subprogram", *children, name="probe", low_pc=0, high_pc=16))
    return info.types, by_variable(info)


@pytest.mark.parametrize("name", ["xdp_parser", "globals", "callbacks", "ringbuf", "spin_lock", "tc_rewrite"])
def test_structs_are_laid_out_as_in_the_btf_of_the_object(repository: Path, name: str) -> None:
    spec, info = loaded(repository / "tests" / "programs" / f"{name}.bpf.o")
    assert spec.btf is not None
    compared = 0
    for type_id in spec.btf.own_ids:
        record = spec.btf[type_id]
        if record.kind in (Kind.STRUCT, Kind.UNION) and record.name:
            found = info.types.find(record.name, record.kind)
            if found is not None:
                compared += 1
                assert info.types.size_of(found) == spec.btf.size_of(type_id)
                assert definition(info.types, found) == definition(spec.btf, type_id)
    assert compared > 0


def test_every_type_of_every_object_can_be_named_and_has_a_size(repository: Path) -> None:
    without_size = set()
    for path in committed_objects(repository):
        _, info = loaded(path)
        scopes = [scope for function in info.functions for scope in function.walk()]
        assert scopes
        for variable in [variable for scope in scopes for variable in scope.variables] + list(info.variables):
            assert type_name(info.types, variable.type_id)
            try:
                size = info.types.size_of(variable.type_id)
            except InputError:
                without_size.add(variable.name)
            else:
                assert decode(info.types, variable.type_id, bytes(size)) is not None
    assert not without_size


def test_multi_dimensional_array() -> None:
    number = node("base", **INT)
    array = node("array", node("subrange", count=2), node("subrange", upper_bound=2), type=number)
    btf, ids = read_types(number, array, grid=array)
    assert declare(btf, ids["grid"], "grid") == "int grid[2][3]"
    assert decode(btf, ids["grid"], bytes(range(24)))[1] == [0x0F0E0D0C, 0x13121110, 0x17161514]  # type: ignore[index]


def test_array_without_a_length() -> None:
    number = node("base", **INT)
    array = node("array", node("subrange"), type=number)
    btf, ids = read_types(number, array, tail=array)
    assert declare(btf, ids["tail"], "tail") == "int tail[0]"


def test_bit_fields_of_both_notations() -> None:
    """DWARF 4 and later count from the lowest bit, DWARF 2 and 3 from the highest of the storage unit."""
    number = node("base", name="unsigned int", encoding=7, byte_size=4)
    new = [("a", 0, 3), ("b", 3, 5), ("c", 8, 24)]
    struct = node(
        "struct",
        *[node("member", name=n, type=number, data_bit_offset=at, bit_size=size) for n, at, size in new],
        node("member", name="d", type=number, data_member_location=4, byte_size=4, bit_offset=29, bit_size=3),
        name="bits",
        byte_size=8,
    )
    btf, ids = read_types(number, struct, bits=struct)
    assert [(one.name, one.bit_offset, one.bit_size) for one in btf.fields(ids["bits"])] == [
        ("a", 0, 3), ("b", 3, 5), ("c", 8, 24), ("d", 32, 3),
    ]  # fmt: skip
    data = (5 | 17 << 3 | 0xABCDEF << 8 | 6 << 32).to_bytes(8, "little")
    assert decode(btf, ids["bits"], data) == {"a": 5, "b": 17, "c": 0xABCDEF, "d": 6}


def test_enumerations() -> None:
    values = [node("enumerator", name="LOW", const_value=-1), node("enumerator", name="HIGH", const_value=7)]
    small = node("enumeration", *values, name="level", byte_size=4)
    wide = node("enumeration", node("enumerator", name="HUGE", const_value=1 << 40), name="wide", byte_size=8)
    btf, ids = read_types(small, wide, level=small, wide=wide)
    assert format_bytes(btf, ids["level"], b"\xff" * 4) == "LOW"
    assert btf.kind(ids["wide"]) is Kind.ENUM64
    assert format_bytes(btf, ids["wide"], (1 << 40).to_bytes(8, "little")) == "HUGE"


def test_qualifiers_pointers_and_functions() -> None:
    number, nothing = node("base", **INT), node("const")
    text = node("pointer", type=nothing)
    restricted = node("restrict", type=node("pointer"))
    volatile = node("volatile", type=number)
    variadic = node("subroutine", node("parameter", type=text), node("unspecified_parameters"), type=number)
    callback = node("pointer", type=variadic)
    restricted.attributes["type"] = text
    types = (number, nothing, text, restricted, volatile, variadic, callback)
    btf, ids = read_types(*types, text=text, restricted=restricted, volatile=volatile, callback=callback)
    assert declare(btf, ids["text"], "text") == "const void *text"
    assert declare(btf, ids["restricted"], "p") == "const void *restrict p"
    assert declare(btf, ids["volatile"], "v") == "volatile int v"
    assert declare(btf, ids["callback"], "f") == "int (*f)(const void *, ...)"


def test_numbers_of_other_kinds() -> None:
    flag = node("base", name="_Bool", encoding=2, byte_size=1)
    char = node("base", name="char", encoding=6, byte_size=1)
    real = node("base", name="double", encoding=4, byte_size=8)
    text = node("array", node("subrange", count=4), type=char)
    btf, ids = read_types(flag, char, real, text, flag=flag, real=real, text=text)
    assert decode(btf, ids["flag"], b"\1") is True
    assert decode(btf, ids["real"], b"\0\0\0\0\0\0\xf0\x3f") == 1.0
    assert decode(btf, ids["text"], b"hi\0\0") == "hi"


def test_anonymous_members_unions_and_inheritance() -> None:
    number = node("base", **INT)
    inner = node("union", *[node("member", name=n, type=number, data_member_location=0) for n in "ab"], byte_size=4)
    base = node("class", node("member", name="c", type=number, data_member_location=0), name="Base", byte_size=4)
    outer = node(
        "struct",
        node("inheritance", type=base, data_member_location=0),
        node("member", type=inner, data_member_location=4),
        node("member", name="shared", type=number, external=True, declaration=True),
        name="outer",
        byte_size=8,
    )
    btf, ids = read_types(number, inner, base, outer, outer=outer)
    assert decode(btf, ids["outer"], b"\1\0\0\0\2\0\0\0") == {"c": 1, "a": 2, "b": 2}


def test_a_declaration_stands_for_the_definition_if_there_is_one() -> None:
    known = node("struct", name="known", declaration=True)
    unknown = node("struct", name="unknown", declaration=True)
    whole = node("struct", name="known", byte_size=4)
    one, other = node("pointer", type=known), node("pointer", type=unknown)
    btf, ids = read_types(known, unknown, one, other, whole, one=one, other=other)
    assert type_name(btf, ids["one"]) == "struct known *"
    assert btf.size_of(btf[ids["one"]].type) == 4  # type: ignore[union-attr]
    assert btf.kind(btf[ids["other"]].type) is Kind.FWD  # type: ignore[union-attr]


def test_what_c_does_not_have_keeps_its_size() -> None:
    void, unspecified = node("array", node("subrange", count=3)), node("unspecified", name="never")
    atomic = node("atomic", type=node("base", **INT))
    number = node("base", **INT)
    atomic.attributes["type"] = number
    btf, ids = read_types(void, unspecified, number, atomic, void=void, never=unspecified, atomic=atomic)
    assert btf.size_of(ids["void"]) == 0
    assert ids["never"] == 0
    assert type_name(btf, ids["atomic"]) == "int"


def test_types_without_end_are_errors_only_where_they_are_used() -> None:
    one, other = node("const"), node("volatile")
    one.attributes["type"], other.attributes["type"] = other, one
    atomic = node("atomic")
    atomic.attributes["type"] = atomic
    btf, ids = read_types(one, other, atomic, endless=one, atomic=atomic)
    assert ids["atomic"] == 0
    with pytest.raises(InputError):
        btf.size_of(ids["endless"])
