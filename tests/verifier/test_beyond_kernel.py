"""Safe programs that Linux refuses for lack of precision are proved safe; their twins, a constant off, are not."""

from __future__ import annotations

import importlib.util
import platform
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpftime import kernel
from pybpftime.conformance.verifier_kernel import kernel_answer
from pybpftime.runtime.replay import replayer
from pybpftime.uapi import ProgramType
from pybpftime.verifier import Verdict
from pybpftime.verifier.report import Witness
from tools import build_fixtures
from tools.gen_beyond_docs import INPUTS, SOURCES, TARGET, Program, document, normalised, programs

PROGRAMS = programs()
NAMES = {program.name for program in PROGRAMS}
RECORDED_ON = "6.18"
ABOUT_VALUES = ("unbounded", "outside of", "invalid", "value is negative", "variable-offset")
AT_LEAST = 24
AT_LEAST_IN_C = 8
MARK, PRIORITY, CB = 8, 32, 48
FIELDS = (MARK, PRIORITY, CB)
EDGES = (0, 1, 2, 7, 8, 15, 16, 31, 32, 39, 40, 59, 60, 61, 62, 63, 64, 65, 66, 72, 100, 101, 127, 128, 255, 256)
EXTREMES = (0xFFFF, 0x10000, 0x1FFF_FFFF, 0x2000_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFC0, 0xFFFF_FFFF)

# What the proofs of a program rest on, beginning with the branch as it is written; () for what needs none.
FACTS: dict[str, tuple[str, ...]] = {
    "headers": ("if (data_end - data < (long)needed)",),
    "option": ("if (length < 2 || length > end - at + beyond)",),
    "fill": ("if (!buffer || offset >= size)", "if (length > size - offset)"),
    "percent": ("if (!found || !whole || part > whole)",),
    "bucket": ("if (!buffer || buckets == 0 || buckets > most)",),
    "padded": ("if (!buffer || length == 0 || ((length + 3) & ~3ULL) > size)",),
    "mark": ("if (!buffer || data + 1 > data_end || ctx->mark >= size)",),
    "header": ("if ((void *)(ip + 1) > data_end || header_length(ip) < sizeof(*ip) || header_length(ip) > room)",),
    "distance": ("if (!buffer || from >= size || to >= size)", "buffer->bytes[from < to ? to - from : from - to] = 1;"),
    "slice": ("if (!buffer || start >= end || end > size)",),
    "record": ("if (!found || offset >= length || length > size)",),
    "walk": ("if (left < 2 || at[1] < 2 || at[1] > left + beyond)",),
    "run": ("if (!buffer || count > 3 || offset > size - count)", "for (__u64 i = 0; i < count; i++)"),
    "absolute_difference": (),
    "both_by_one_or": ("if r8 > 63 goto out",),
    "branchless_minimum": (),
    "chain_of_orders": ("if r6 > r7 goto out", "if r7 > r8 goto out", "if r8 > 63 goto out"),
    "checked_product": ("if r7 == 0 goto out", "if r8 > 64 goto out"),
    "condition_as_number": ("if r7 == 0 goto out",),
    "high_bits_clear": ("if r7 != 0 goto out",),
    "order_then_bound": ("if r6 >= r7 goto out", "if r7 > 64 goto out"),
    "packet_read_again": ("if r5 > 63 goto out",),
    "packet_rest": ("if r5 s< 4 goto out",),
    "remainder_is_itself": ("if r7 != 0 goto out",),
    "row_and_column": ("if r8 > 63 goto out",),
    "shifted_copy": ("if r7 != 0 goto out",),
    "sum_is_bounded": ("if r8 > 64 goto out", "if r7 == 0 goto out"),
    "swapped_again": ("if r6 > 63 goto out",),
}

each = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
with_solver = pytest.mark.skipif(importlib.util.find_spec("z3") is None, reason="needs z3, which proves them")


def inputs(program: Program) -> Iterator[Witness]:
    """Inputs at the edges of what is compared, and random ones, small and large."""
    source = random.Random(program.name)
    for number in range(INPUTS):
        packet = bytearray(source.choice((0, source.randrange(256))) for _ in range(source.randrange(14, 100)))
        for at in range(4):
            packet[at] = source.choice((0, 0, source.choice(EDGES) & 0xFF))
        packet[14:15] = bytes([0x40 | source.randrange(16)])  # the length of an IPv4 header
        context = {}
        for field in FIELDS if program.spec.type is ProgramType.BPF_PROG_TYPE_SCHED_CLS else ():
            value = source.choice((*EDGES, *EXTREMES)) if number % 4 else source.getrandbits(32)
            context[field] = value.to_bytes(4, "little")
        yield Witness(program.spec.type, 0, None, context, bytes(packet), b"", {}, ())


def test_there_are_enough_and_all_are_expected() -> None:
    assert FACTS.keys() == NAMES
    assert len(PROGRAMS) >= AT_LEAST
    assert sum(program.language == "c" for program in PROGRAMS) >= AT_LEAST_IN_C


@each
def test_linux_refuses_it_for_a_value(program: Program) -> None:
    reason = kernel.available()
    if reason is not None:
        pytest.skip(f"needs bpf(2): {reason}")
    answer = kernel_answer(program.spec, program.maps)
    if answer.excluded is not None:
        pytest.skip(f"needs a kernel that can be asked: {answer.excluded}")
    if platform.release().startswith(f"{RECORDED_ON}."):
        assert answer.message == program.linux
    elif answer.accepts:
        pytest.skip(f"needs Linux {RECORDED_ON}: this kernel is more precise")
    assert any(word in (answer.message or "") for word in ABOUT_VALUES), answer.message


@with_solver
@each
def test_it_is_proved_safe_with_these_facts(program: Program) -> None:
    report = program.report
    assert report.verdict is Verdict.SAFE, report.objection
    assert report.proofs, "the ranges alone show it: the program belongs elsewhere"
    used = {fact for proof in report.proofs for fact in program.facts(proof)}
    missing = [wanted for wanted in FACTS[program.name] if not any(fact.startswith(f"`{wanted}`") for fact in used)]
    assert missing == [], used
    assert bool(used) is bool(FACTS[program.name])


@each
def test_it_runs_without_a_fault(program: Program) -> None:
    run = replayer(program.spec, program.maps)
    for given in inputs(program):
        answer = run(given)
        assert not answer.faulted, (given, answer.sentence)
        assert answer.sentence.startswith("the program returned"), answer.sentence


@with_solver
@each
def test_its_twin_is_unsafe_and_an_input_shows_it(program: Program) -> None:
    report = program.report_of_twin()
    assert report.verdict is Verdict.UNSAFE, report.objection
    assert report.replayed is not None
    assert report.replayed.pc == report.pc


@with_solver
def test_the_document_is_fresh() -> None:
    assert normalised(TARGET.read_text("utf-8")) == normalised(document()), "run python -m tools.gen_beyond_docs"


def test_the_object_is_what_a_build_gives() -> None:
    if not shutil.which("clang-19"):
        pytest.skip("needs clang-19")
    if not Path("/usr/include/bpf/bpf_helpers.h").exists():
        pytest.skip("needs the headers of libbpf")
    assert build_fixtures.stale("clang-19", build_fixtures.objects(None, SOURCES), SOURCES) == []
