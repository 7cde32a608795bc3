"""States as Linux prints them: what is read is what was printed, and no text is too strange."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.conformance.claims.log_text import FIELDS, number_of, printed
from pybpftime.isa.encoding import MASK64
from pybpftime.verifier.domain import UNKNOWN, Range, constant

MODERN, OLD = 0, -1
"""Which of the names of a field a version prints."""


def shown(value: int, *, hexadecimal: bool) -> str:
    """A bound: hexadecimal ones are of 64 bits, as `%#llx` prints them."""
    return f"{value & MASK64:#x}" if hexadecimal else str(value)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[Range, str]:
    """Some bounds, and the text that Linux makes of them: equal values after one another share one."""
    era = draw(st.sampled_from([MODERN, OLD]))
    fields, parts = {}, []
    for bound, names in FIELDS.items():
        width = 32 if bound.startswith("low_") else 64
        is_signed = bound.removeprefix("low_").startswith("s")
        low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if is_signed else (0, (1 << width) - 1)
        if draw(st.booleans()):
            fields[bound] = draw(st.integers(low, high) | st.sampled_from([low, high]))
            parts.append((names[era], shown(fields[bound], hexadecimal=draw(st.booleans()))))
    text, last = "", None
    for name, value in parts:
        text = f"{text[: -len(value)]}{name}={value}" if value == last else f"{text},{name}={value}"
        last = value
    if draw(st.booleans()):
        fields["value"], fields["mask"] = (draw(st.integers(0, MASK64)) for _ in range(2))
        text += f",var_off=({fields['value']:#x}; {fields['mask']:#x})"
    return UNKNOWN._replace(**fields), text


@given(ranges(), st.sampled_from(["scalar", "Pscalar", "inv", "invP"]), st.sampled_from(["", "id=3", "id=1+8,later=x"]))
def test_bounds_are_read_as_they_were_printed(drawn: tuple[Range, str], kind: str, more: str) -> None:
    range_, text = drawn
    assert number_of(f"{kind}({(more + text).removeprefix(',')})") == range_


@given(st.integers(-(1 << 63), (1 << 64) - 1), st.booleans(), st.sampled_from(["", "P", "inv", "invP"]))
def test_constants_are_read_as_they_were_printed(value: int, hexadecimal: bool, kind: str) -> None:
    assert number_of(kind + shown(value, hexadecimal=hexadecimal)) == constant(value)


@pytest.mark.parametrize(
    ("text", "members", "others"),
    [
        ("scalar()", [0, -1], []),
        ("scalar(smin=smin32=0,smax=umax=smax32=umax32=100,var_off=(0x0; 0x7f))", [0, 100], [101, -1]),
        ("scalar(smin=0xffffffff80000000,smax=0x7fffffff)", [-(1 << 31), 0x7FFFFFFF], [1 << 31, -(1 << 31) - 1]),
        ("scalar(smin32=0xffffffff80000000,smax32=-1)", [1 << 31, 0xFFFFFFFF], [0, 0x7FFFFFFF]),
        ("scalar(id=1,umin=10)", [10, -1], [9]),
        ("inv(id=0,umax_value=255,var_off=(0x0; 0xff))", [255], [256]),
        ("Pscalar(var_off=(0x1; 0xfffffffffffffffe))", [1, 3, -1], [2]),
        ("-8", [-8, (1 << 64) - 8], [8]),
        ("invP0", [0], [1]),
    ],
)
def test_members(text: str, members: list[int], others: list[int]) -> None:
    range_ = number_of(text)
    assert range_ is not None
    assert [one for one in members if not range_.contains(one)] == []
    assert [one for one in others if range_.contains(one)] == []


@pytest.mark.parametrize(
    "text", ["ctx()", "fp0", "fp[0]-8", "map_value(map=result,ks=4,vs=16)", "", "scalar(", "0x", "?"]
)
def test_what_is_no_number_has_no_range(text: str) -> None:
    assert number_of(text) is None


def test_a_state() -> None:
    state = printed(
        " frame1: R0_w=P5 R1=map_value(map=a,ks=4,vs=8,smin=0,umax=4) R6=scalar(id=2,umax=3) fp-8=mmmm???? refs=2"
    )
    assert state is not None
    assert state.frame == 1
    assert state.registers == {0: constant(5), 1: None, 6: UNKNOWN._replace(umax=3)}


def test_a_stack_slot_is_no_register() -> None:
    state = printed("R10=fp0 fp-8=scalar(umax=7) fp-16=????3")
    assert state is not None
    assert state.registers == {10: None}


@pytest.mark.parametrize("text", ["", "safe", "(b7) r1 = 5", "caller:", "processed 8 insns (limit 1000000)", "r1 = 5"])
def test_what_is_no_state(text: str) -> None:
    assert printed(text) is None


@given(st.text(alphabet="frameRfp0123456789=()-;, xscalrPinvu_minxvof:") | st.text())
def test_any_text_is_read(text: str) -> None:
    for start in ("", "R1=", "frame1: R2=scalar(", " R3="):
        state = printed(start + text)
        assert state is None or all(0 <= register < 100 for register in state.registers)
