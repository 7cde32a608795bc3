"""Explanations: the steps that matter and no others, what is known, and where."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.verification import LOOK_UP_HASH, MAPS, program

from pybpftime.program.spec import ProgramSpec, SourceLine
from pybpftime.verifier import Report, verify
from pybpftime.verifier.explain import MOST_STEPS, carets_in
from pybpftime.verifier.explanation import Explanation
from pybpftime.verifier.wording import place_of

UNCHECKED = """
    r6 = *(u32 *)(r1 + 0)
    r7 = *(u32 *)(r1 + 4)
    r9 = 7
    r2 = r6
    r2 += 14
    if r2 > r7 goto out
    r3 = *(u8 *)(r6 + 13)
    if r3 > 60 goto out
    r9 += 1
    r6 += r3
    r0 = *(u32 *)(r6 + 14)
out:
    r0 = 2
    exit
"""


def judged(text: str, type: str = "xdp") -> Report:
    return verify(program(text, type), MAPS)


def explained(text: str, type: str = "xdp") -> Explanation:
    explanation = judged(text, type).explanation
    assert explanation is not None
    return explanation


def path(explanation: Explanation) -> list[tuple[int, str]]:
    return [(step.place.pc, step.known) for step in explanation.path]


def known(explanation: Explanation) -> dict[str, str]:
    return {one.name: one.value for one in explanation.known}


def test_a_safe_program_has_no_explanation() -> None:
    assert judged("r0 = 2\nexit").explanation is None


def test_the_path_has_what_the_address_depends_on_and_nothing_else() -> None:
    explanation = explained(UNCHECKED)
    assert path(explanation) == [
        (0, "r6 = packet"),
        (5, "not taken: the packet has at least 14 bytes"),
        (6, "r3 = 0..255 (packet+13)"),
        (7, "not taken: r3 is 0..60 (packet+13)"),
        (9, "r6 = packet plus 0..60 (packet+13)"),
    ]
    assert known(explanation) == {
        "r6": "packet plus 0..60 (packet+13)",
        "length of the packet": "at least 14 bytes",
    }


def test_carets_stand_under_the_address() -> None:
    explanation = explained(UNCHECKED)
    assert explanation.place is not None
    assert explanation.place.pc == 10
    low, high = explanation.carets or (0, 0)
    assert explanation.place.instruction[low:high] == "r6 + 0xe"


@pytest.mark.parametrize(
    ("text", "register", "marked"),
    [
        ("w0 = *(u32 *)(r6 + 0xe)", 6, "r6 + 0xe"),
        ("*(u64 *)(r1 - 0x8) = r1", 1, "r1 - 0x8"),
        ("r6 += r3", 3, "r3"),
        ("w6 += w3", 3, "w3"),
        ("call bpf_map_lookup_elem#1", 2, "call bpf_map_lookup_elem#1"),
        ("r1 = map_by_fd(0x0)  ; map r2", 2, "r1 = map_by_fd(0x0)"),
        ("exit", None, "exit"),
    ],
)
def test_operands_are_found_in_the_text(text: str, register: int | None, marked: str) -> None:
    low, high = carets_in(text, register)
    assert text[low:high] == marked


def test_values_are_followed_through_the_stack_and_functions() -> None:
    explanation = explained("""
        r1 = *(u32 *)(r1 + 12)
        *(u64 *)(r10 - 8) = r1
        r2 = r10
        r2 += -8
        r1 = *(u64 *)(r2 + 0)
        call f
        r1 = r10
        r1 += r0
        *(u8 *)(r1 - 16) = 1
        r0 = 2
        exit
    f:  r0 = r1
        r0 &= 31
        exit
    """)
    assert [pc for pc, _ in path(explanation)] == [0, 1, 4, 5, 11, 12, 13, 6, 7]
    texts = dict(path(explanation))
    assert texts[1] == "fp-8 = 0..0xffffffff (xdp_md.ingress_ifindex)"
    assert texts[5] == "a function is entered with r1 = 0..0xffffffff (xdp_md.ingress_ifindex)"
    assert texts[13] == "the function returns 0..31"
    assert texts[7] == "r1 = fp plus 0..31"


def test_the_look_up_behind_a_pointer_that_may_be_null() -> None:
    explanation = explained(LOOK_UP_HASH + "r6 = r0\nr0 = *(u64 *)(r6 + 0)\nexit")
    assert [text for _, text in path(explanation)] == [
        "r0 = value of map hash (16 bytes) or NULL, not checked",
        "r6 = value of map hash (16 bytes) or NULL, not checked",
    ]


def test_registers_that_a_call_leaves_empty() -> None:
    explanation = explained("call bpf_ktime_get_ns\nr0 = *(u32 *)(r1 + 0)\nexit")
    assert path(explanation) == [(0, "r1 holds nothing after a call")]
    assert known(explanation) == {"r1": "never set"}


def test_an_address_that_a_call_made_a_number_has_advice_of_its_own() -> None:
    explanation = explained("""
        r6 = r1
        r7 = *(u32 *)(r1 + 0)
        r2 = 4
        call bpf_xdp_adjust_head
        r0 = *(u8 *)(r7 + 0)
        exit
    """)
    assert path(explanation)[-1] == (3, "r7 = any number (packet address from before bpf_xdp_adjust_head)")
    assert explanation.fix.startswith("read data and data_end from the context again")


def test_the_branches_that_lead_past_a_release() -> None:
    explanation = explained("""
        r6 = *(u32 *)(r1 + 12)
        r1 = map[ring]
        r2 = 8
        r3 = 0
        call bpf_ringbuf_reserve
        if r0 == 0 goto out
        if r6 == 7 goto out
        r1 = r0
        r2 = 0
        call bpf_ringbuf_discard
    out:
        r0 = 2
        exit
    """)
    assert [pc for pc, _ in path(explanation)] == [5, 6, 7]
    assert path(explanation)[-1][1] == "taken: r6 is 7"
    assert known(explanation) == {"to be released": "result of bpf_ringbuf_reserve"}


def test_a_loop_is_shown_once_with_how_often_it_was_run() -> None:
    explanation = explained("""
        r6 = 0
        r2 = r10
    again:
        *(u8 *)(r2 - 8) = 1
        r2 += 1
        r6 += 1
        if r6 != 10 goto again
        r0 = 2
        exit
    """)
    assert [(step.place.pc, step.times) for step in explanation.path] == [(1, 1), (3, 8)]


def test_long_paths_are_cut_in_the_middle() -> None:
    moves = "\n".join(f"r{2 + step % 2} = r{3 - step % 2}\nr{2 + step % 2} += 1" for step in range(20))
    explanation = explained(f"r3 = *(u32 *)(r1 + 12)\n{moves}\nr0 = *(u8 *)(r3 + 0)\nexit")
    assert len(explanation.path) == MOST_STEPS
    assert explanation.before_gap
    assert explanation.left_out == 41 - MOST_STEPS
    assert explanation.path[0].place.pc == 0
    assert explanation.path[-1].place.pc == 40


def test_a_malformed_program_is_explained_by_its_place() -> None:
    report = judged("r0 = 2\nexit\nr0 = 1\nexit")
    assert report.explanation is not None
    assert report.explanation.place is not None
    assert report.explanation.place.pc == 2
    assert report.explanation.path == ()


def test_running_out_of_budget_is_about_no_place() -> None:
    report = verify(program(UNCHECKED, "xdp"), MAPS, budget=3)
    assert report.explanation == Explanation()


# --- places -----------------------------------------------------------------------------------------------------------


def with_line(text: str, column: int) -> ProgramSpec:
    spec = program("r0 = 2\nexit", "xdp")
    return ProgramSpec(spec.name, spec.instructions, lines=(SourceLine(0, "/src/a\\b.c", 7, column, text),))


def test_a_place_has_the_source_line_without_its_indentation() -> None:
    place = place_of(with_line("\tif (x)\t\treturn 2;", 4), 1)
    assert (place.file, place.line, place.text) == ("b.c", 7, "if (x) return 2;")
    place = place_of(with_line("    return  2;", 13), 0)
    assert place.column is None, "the text is not the line any more"
    place = place_of(with_line("    return 2;", 12), 0)
    assert place.column == 8


@given(st.text(max_size=80), st.integers(0, 1 << 20))
def test_columns_of_any_line_lie_in_its_text(text: str, column: int) -> None:
    place = place_of(with_line(text, column), 0)
    if place.column is not None:
        assert place.text
        assert 1 <= place.column <= len(place.text)


def test_maps_are_named_in_instructions() -> None:
    explanation = explained("r1 = map[hash]\nr1 &= 1\nr0 = 0\nexit")
    step = explanation.path[0]
    assert re.fullmatch(r"r1 = map_by_fd\(.*\)  ; map hash", step.place.instruction)
    assert step.known == "r1 = map hash"
