"""Proofs of the verifier: what they are bound to, and their form as data."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pybpftime
from pybpftime.errors import InputError, InternalError
from pybpftime.helpers import helper
from pybpftime.helpers.declarations import DECLARATIONS, HelperDeclaration
from pybpftime.helpers.declarations.kinds import Integer, Mem, Size, UninitMem
from pybpftime.isa import decode_program, encode_program
from pybpftime.isa.assembler import assemble
from pybpftime.maps.spec import MapSpec
from pybpftime.program import load_object
from pybpftime.program.btf import Btf
from pybpftime.program.btf.btf import encode_section
from pybpftime.program.proof import Binding, Proof, binding_of
from pybpftime.program.spec import Extern, Function, MapReference, ProgramSpec, SourceLine, Trap
from pybpftime.uapi import AttachType, MapFlag, MapType, ProgramType

PROGRAMS = Path(__file__).resolve().parent.parent / "programs"
READER, WRITER = 0x10001, 0x10002

CONSTANTS = MapSpec(
    ".rodata", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1, flags=MapFlag.BPF_F_RDONLY_PROG, contents=b"\5\0\0\0"
)
COUNTS = MapSpec("counts", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 16, contents=None)
MAPS = {".rodata": CONSTANTS, "counts": COUNTS, "another": replace(COUNTS, name="another")}

CODE = """
    r6 = 0 ll
    r1 = 0 ll
    *(u32 *)(r10 - 4) = 3
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r1 = *(u32 *)(r6 + 0)
    *(u64 *)(r0 + 0) = r1
out:
    r0 = 2
    exit
"""
PROGRAM = ProgramSpec(
    "count",
    assemble(CODE, helpers={"bpf_map_lookup_elem": 1}),
    ProgramType.BPF_PROG_TYPE_XDP,
    section="xdp",
    references={0: MapReference(".rodata", 0), 2: MapReference("counts")},
    functions=(Function("count", 0, 14),),
    file="count.bpf.o",
)
BINDING = binding_of(PROGRAM, MAPS)


@helper(READER)
def sum_of(memory: Mem, size: Size) -> Integer:
    """The sum of the bytes."""


@helper(WRITER)
def fill(memory: UninitMem, size: Size) -> Integer:
    """Fills the memory with 7."""


def with_map(**changes: Any) -> Mapping[str, MapSpec]:
    return {**MAPS, "counts": replace(COUNTS, **changes)}


# --- what a proof is bound to -----------------------------------------------------------------------------------------


def test_equal_things_give_equal_bindings_in_whatever_order_they_come() -> None:
    backwards = dict(reversed(PROGRAM.references.items()))
    flags = frozenset(["manual", "frags", "sleepable"])
    one = replace(PROGRAM, flags=flags)
    other = replace(PROGRAM, references=backwards, flags=frozenset(sorted(flags, reverse=True)))
    assert binding_of(one, MAPS) == binding_of(other, dict(reversed(MAPS.items())))
    assert binding_of(PROGRAM, MAPS, helpers={READER: sum_of, WRITER: fill}) == binding_of(
        PROGRAM, MAPS, helpers={WRITER: fill, READER: sum_of}
    )


@pytest.mark.parametrize(
    "program",
    [
        replace(PROGRAM, name="other"),
        replace(PROGRAM, file="elsewhere.bpf.o"),
        replace(PROGRAM, notes=("a sentence",)),
        replace(PROGRAM, lines=(SourceLine(0, "count.bpf.c", 7, 1, "int count"),)),
    ],
)
def test_what_a_program_is_called_and_where_it_comes_from_does_not_matter(program: ProgramSpec) -> None:
    assert binding_of(program, MAPS) == BINDING


@pytest.mark.parametrize(
    "maps",
    [
        {name: map for name, map in MAPS.items() if name != "another"},
        {**MAPS, "another": replace(COUNTS, value_size=4)},
        with_map(contents=b"\1"),
        {**MAPS, ".rodata": replace(CONSTANTS, contents=b"\5")},
    ],
    ids=["a map less", "another map", "contents that programs may change", "zeros at the end written out or not"],
)
def test_what_the_program_cannot_rely_on_does_not_matter(maps: Mapping[str, MapSpec]) -> None:
    assert binding_of(PROGRAM, maps) == BINDING


@given(st.data())
def test_every_bit_of_every_instruction_matters(data: st.DataObject) -> None:
    code = bytearray(encode_program(PROGRAM.instructions))
    bit = data.draw(st.integers(0, 8 * len(code) - 1))
    code[bit // 8] ^= 1 << bit % 8
    try:
        changed = decode_program(bytes(code))
    except InputError:
        return  # no program any more
    assert _differs(binding_of(replace(PROGRAM, instructions=changed), MAPS), "instructions")


@given(st.binary(min_size=8, max_size=8))
def test_every_byte_of_read_only_data_matters(contents: bytes) -> None:
    binding = binding_of(PROGRAM, {**MAPS, ".rodata": replace(CONSTANTS, contents=contents)})
    same = contents == b"\5".ljust(8, b"\0")
    assert binding == BINDING if same else _differs(binding, "read-only data")


CHANGES: dict[str, tuple[str, ProgramSpec]] = {
    "another map": ("instructions", replace(PROGRAM, references={**PROGRAM.references, 2: MapReference("another")})),
    "an offset into it": (
        "instructions", replace(PROGRAM, references={**PROGRAM.references, 0: MapReference(".rodata", 4)}),
    ),
    "no reference": ("instructions", replace(PROGRAM, references={0: MapReference(".rodata", 0)})),
    "an extern": ("instructions", replace(PROGRAM, references={**PROGRAM.references, 7: Extern("f", "kfunc")})),
    "a trap": ("instructions", replace(PROGRAM, references={**PROGRAM.references, 7: Trap("no")})),
    "type": ("program type", replace(PROGRAM, type=ProgramType.BPF_PROG_TYPE_SCHED_CLS)),
    "attach type": ("program type", replace(PROGRAM, attach_type=AttachType.BPF_XDP_DEVMAP)),
    "attached to": ("program type", replace(PROGRAM, attach_to="eth0")),
    "license": ("program type", replace(PROGRAM, license="Proprietary")),
    "flags": ("program type", replace(PROGRAM, flags=frozenset(["frags"]))),
    "functions": ("program type", replace(PROGRAM, functions=(Function("count", 0, 14, is_global=True),))),
    "BTF": ("BTF", replace(PROGRAM, btf=load_object(PROGRAMS / "xdp_parser.bpf.o").btf)),
}  # fmt: skip


@pytest.mark.parametrize(("part", "program"), CHANGES.values(), ids=CHANGES)
def test_every_change_of_a_program_matters(part: str, program: ProgramSpec) -> None:
    assert _differs(binding_of(program, MAPS), part)


def test_the_btf_of_one_object_is_not_that_of_another() -> None:
    one, other = (load_object(PROGRAMS / name).btf for name in ("xdp_parser.bpf.o", "ringbuf.bpf.o"))
    bindings = [binding_of(replace(PROGRAM, btf=btf), MAPS) for btf in (one, other)]
    assert bindings[0].difference(bindings[1]) == "BTF"


def test_what_a_split_btf_continues_matters() -> None:
    base = load_object(PROGRAMS / "xdp_parser.bpf.o").btf
    assert base is not None
    empty = Btf.parse(encode_section(b"", b"\0", "little"), base=base)
    bindings = [binding_of(replace(PROGRAM, btf=btf), MAPS) for btf in (empty, Btf.parse(empty.to_bytes()))]
    assert bindings[0].difference(bindings[1]) == "BTF"


MAP_CHANGES: dict[str, Any] = {
    "type": MapType.BPF_MAP_TYPE_HASH,
    "key_size": 8,
    "value_size": 4,
    "max_entries": 17,
    "flags": MapFlag.BPF_F_RDONLY_PROG,
    "key_type_id": 1,
    "value_type_id": 2,
    "inner": COUNTS,
    "pinned": True,
    "extra": 1,
    "numa_node": 0,
    "values": ((0, "count"),),
    "spin_lock_offset": 0,
    "timer_offset": 0,
    "kernel_pointers": ("pointer",),
}


@pytest.mark.parametrize("field", MAP_CHANGES)
def test_every_change_of_a_map_definition_matters(field: str) -> None:
    assert _differs(binding_of(PROGRAM, with_map(**{field: MAP_CHANGES[field]})), "maps")


def test_these_are_all_fields_of_a_map_definition() -> None:
    assert {one.name for one in fields(MapSpec)} - {"name", "contents"} == set(MAP_CHANGES)


def test_a_map_that_is_not_there_matters() -> None:
    assert _differs(binding_of(PROGRAM, {".rodata": CONSTANTS}), "maps")


def test_data_that_became_writable_matters() -> None:
    assert binding_of(PROGRAM, {**MAPS, ".rodata": replace(CONSTANTS, flags=0)}) != BINDING


def test_the_helper_set_matters() -> None:
    changes: list[dict[int, HelperDeclaration | None]] = [
        {READER: sum_of},
        {READER: replace(sum_of, changes_packet=True)},
        {READER + 1: sum_of},
        {1: None},
        {1: replace(DECLARATIONS[1], returns=sum_of.returns)},
    ]
    bindings = [BINDING, *(binding_of(PROGRAM, MAPS, helpers=change) for change in changes)]
    assert len(set(bindings)) == len(bindings)
    assert all(_differs(binding, "helpers") for binding in bindings[1:])


def test_level_and_version_of_the_verifier_matter() -> None:
    assert _differs(binding_of(PROGRAM, MAPS, level="strict"), "level")
    assert BINDING.verifier == pybpftime.__version__
    assert _differs(replace(BINDING, verifier="0.0"), "version of the verifier")


def test_what_nobody_can_compare_is_no_part_of_a_binding() -> None:
    with pytest.raises(InternalError, match="bound to a object"):
        binding_of(PROGRAM, with_map(extra=object()))


def _differs(binding: Binding, part: str) -> bool:
    """Whether the binding is not BINDING, and says so: the part that is different is named."""
    proof = Proof("count", BINDING)
    reason = proof.why_not(binding)
    return not proof.covers(binding) and reason is not None and reason.startswith(f"the {part}")


VALUES = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.booleans(),
    lambda inner: (
        st.tuples(inner, inner)
        | st.tuples(inner)
        | st.dictionaries(st.integers() | st.text(), inner, max_size=3)
        | st.frozensets(st.text() | st.integers(), max_size=3)
    ),
    max_leaves=6,
)


@given(VALUES, VALUES)
def test_bindings_are_equal_exactly_for_equal_values(one: Any, other: Any) -> None:
    bindings = [binding_of(PROGRAM, with_map(extra=value)) for value in (one, other)]
    assert (bindings[0] == bindings[1]) is (one == other)


# --- as data ----------------------------------------------------------------------------------------------------------


@given(st.text(), st.lists(st.text(), min_size=8, max_size=8))
def test_a_proof_survives_pickling_and_json(name: str, parts: list[str]) -> None:
    proof = Proof(name, Binding(*parts))
    assert pickle.loads(pickle.dumps(proof)) == proof
    assert Proof.from_dict(json.loads(json.dumps(proof.as_dict()))) == proof


DATA = Proof("count", BINDING).as_dict()


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"program": "count"},
        {**DATA, "more": 1},
        {**DATA, "program": 1},
        {**DATA, "binding": []},
        {**DATA, "binding": {}},
        {**DATA, "binding": {**DATA["binding"], "maps": 1}},
        {**DATA, "binding": {**DATA["binding"], "more": ""}},
    ],
)
def test_what_is_no_proof_is_refused(data: object) -> None:
    with pytest.raises(InputError, match="a proof"):
        Proof.from_dict(data)
