"""Which cases are meant, and what they count as."""

from __future__ import annotations

import pytest
from support.fake_runtimes import case

from pybpftime.conformance.case import Feature
from pybpftime.conformance.run.selection import AREAS, area, select
from pybpftime.errors import InputError
from pybpftime.isa import Group
from pybpftime.isa.assembler import assemble
from pybpftime.isa.encoding import encode_program
from pybpftime.maps import MapSpec
from pybpftime.uapi import MapType


def code(text: str) -> bytes:
    return encode_program(assemble(text))


PROGRAMS = {
    "base32": "w0 = 0\nexit",
    "base64": "r0 = 0\nexit",
    "divmul32": "w0 = 0\nw0 /= w0\nexit",
    "divmul64": "r0 = 0\nw0 *= w0\nr0 /= r0\nexit",
    "atomic32": "r0 = 0\nr0 *= r0\nlock *(u32 *)(r1 + 0) += w0\nexit",
    "atomic64": "r0 = 0\nlock *(u32 *)(r1 + 0) += w0\nlock *(u64 *)(r1 + 0) += r0\nexit",
    "packet": "r6 = r1\nr0 = *(u8 *)skb[0]\nexit",
    "helpers": "call 1\nexit",
    "unwind": "call 5\nexit",
    "ordered": "r0 = load_acquire((u64 *)(r1 + 0))\nexit",
}


@pytest.mark.parametrize(("expected", "text"), PROGRAMS.items(), ids=PROGRAMS)
def test_a_case_counts_as_the_most_special_of_what_it_needs(expected: str, text: str) -> None:
    assert area(case("x", code(text))) == expected


def test_functions_are_no_area_and_maps_are() -> None:
    call = code("call f\nexit\nf:\nr0 = 0\nexit")
    assert area(case("x", call)) == "base64"
    assert area(case("x", call, maps=(MapSpec("m", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1),))) == "maps"


def test_bytes_that_are_no_program_count_as_base32() -> None:
    assert area(case("x", b"\xff" * 8)) == "base32"


def test_every_group_and_feature_has_its_place() -> None:
    assert set(AREAS) == {*map(str, Group), *map(str, Feature)}
    assert AREAS[:2] == ("base32", "base64")


CASES = [case("a/b", code(PROGRAMS["base32"])), case("a/c.1", code(PROGRAMS["divmul64"])), case("d", code("exit"))]


def test_patterns_choose_in_the_order_of_the_suite() -> None:
    assert [one.name for one in select(CASES, ["d", "a/*"])] == ["a/b", "a/c.1", "d"]
    assert [one.name for one in select(CASES, ["a/c.?"])] == ["a/c.1"]
    assert select(CASES) == CASES


def test_groups_choose_what_needs_no_more() -> None:
    assert [one.name for one in select(CASES, groups=[Group.BASE32])] == ["a/b", "d"]
    assert [one.name for one in select(CASES, groups=[Group.BASE64, Group.DIVMUL64])] == ["a/b", "a/c.1", "d"]


def test_a_pattern_without_a_case_is_an_error() -> None:
    with pytest.raises(InputError, match=r"no case is named a/c\.2; did you mean a/c\.1\?"):
        select(CASES, ["a/*", "a/c.2"])
    with pytest.raises(InputError, match=r"no case is named zzzz$"):
        select(CASES, ["zzzz"])
