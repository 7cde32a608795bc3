"""Editing programs: jumps follow the instructions that they lead to."""

from __future__ import annotations

import random

import pytest

from pybpftime.conformance.fuzz.divergence import pruned
from pybpftime.conformance.fuzz.generator import Generator
from pybpftime.conformance.fuzz.listing import assembled, line, listing, rebuilt, replaced, without
from pybpftime.errors import InputError
from pybpftime.isa.assembler import assemble
from tests.conformance.fuzz.test_generator import DIALECTS

PROGRAM = assemble(
    """
        r0 = 1
        if r0 == 1 goto wide
        call function
    wide:
        r1 = 0x1122334455667788 ll
        goto end
    end:
        exit
    function:
        exit
    """
)


def test_a_listing_is_the_program() -> None:
    assert assembled(listing(PROGRAM)) == PROGRAM
    for drawn in Generator(1, 0, DIALECTS["full"]).cases(200):
        assert assembled(listing(drawn.slots)) == drawn.slots


def test_jumps_over_what_is_left_out_become_shorter() -> None:
    shorter = assembled(without(listing(PROGRAM), [3]))
    assert shorter == assemble("r0 = 1\nif r0 == 1 goto +1\ncall function\ngoto +0\nexit\nfunction: exit")


def test_a_jump_to_what_is_left_out_leads_to_what_follows() -> None:
    lines = listing(assemble("if r1 == 0 goto +1\nr0 = 1\nr0 = 2\nexit"))
    assert assembled(without(lines, [2])) == assemble("if r1 == 0 goto +1\nr0 = 1\nexit")


def test_a_jump_leads_to_the_first_of_what_stands_for_a_line() -> None:
    lines = listing(assemble("goto +0\nr0 = 1\nexit"))
    changed = replaced(lines, {1: (line("mov_imm", dst_reg=0, imm=3), line("neg", dst_reg=0))})
    assert assembled(changed) == assemble("goto +0\nr0 = 3\nr0 = -r0\nexit")
    assert rebuilt(lines, [(), *((one,) for one in lines[1:])]) == listing(assemble("r0 = 1\nexit"))


def test_a_jump_behind_the_end_is_no_program() -> None:
    lines = listing(assemble("if r1 == 0 goto +1\nexit\nexit"))
    with pytest.raises(InputError, match="behind the last instruction"):
        assembled(without(lines, [2]))


def test_leaving_out_random_lines_never_breaks_a_jump() -> None:
    source = random.Random(4)
    for drawn in Generator(1, 1, DIALECTS["full"]).cases(100):
        lines = listing(drawn.slots)
        kept = without(lines, source.sample(range(len(lines) - 1), len(lines) // 3))
        assert len(kept) == len(lines) - len(lines) // 3
        assert all(one.target is None or 0 <= one.target <= len(kept) for one in kept)


def test_what_no_path_leads_to_is_pruned() -> None:
    assert assembled(pruned(listing(assemble("goto +1\nr0 = 1\nexit\nr0 = 2\nexit")))) == assemble("goto +0\nexit")
    assert assembled(pruned(listing(PROGRAM))) == PROGRAM
