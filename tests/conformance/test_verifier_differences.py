"""Where the kernel and we do not say the same of a program: what our states show written into it, and the kernel asked
again.
"""

from __future__ import annotations

import pytest

from pybpftime import assemble
from pybpftime.conformance.verifier_campaign import verified
from pybpftime.conformance.verifier_draft import GeneratedProgram
from pybpftime.conformance.verifier_facts import Facts
from pybpftime.conformance.verifier_generator import generate
from pybpftime.conformance.verifier_peer import Difference, VerifierPeer, explanation
from pybpftime.conformance.verifier_rewriting import Changes, load, make, rewritten, without_callbacks
from pybpftime.isa import Form, Immediate, lookup
from pybpftime.isa.disassembler import disassemble
from pybpftime.kernel import available
from pybpftime.program.spec import MapReference, Reference
from pybpftime.uapi import ProgramType
from pybpftime.verifier import Verdict

SEED = 11
PROGRAMS = 40


def program(text: str, *maps: str, type: ProgramType = ProgramType.BPF_PROG_TYPE_XDP) -> GeneratedProgram:
    """Assembly, in which `map_by_fd(I)` is a reference to the map `maps[I]`."""
    instructions = assemble(text)
    references: dict[int, Reference] = {}
    functions = {0}
    for slot, one in enumerate(instructions):
        if one is None:
            continue
        row = lookup(one)
        if row.immediate is Immediate.MAP_BY_FD:
            references[slot] = MapReference(maps[one.imm])
        elif row.immediate is Immediate.CODE or row.form is Form.CALL_LOCAL:
            functions.add(slot + 1 + one.imm)
    return GeneratedProgram(type, instructions, references, tuple(sorted(functions)))


def lines(one: GeneratedProgram) -> list[str]:
    """The disassembly, without indentation."""
    return [line.strip() for line in disassemble(one.instructions).splitlines()]


# --- programs written in another way ---


def test_nothing_changes_a_program_that_has_no_dead_code() -> None:
    assert all(rewritten(one, Changes()) == one for one in (generate(SEED, index) for index in range(PROGRAMS)))


def test_what_was_put_in_can_be_taken_out() -> None:
    nothing = make("ja")
    for index in range(PROGRAMS):
        one = generate(SEED, index)
        slots = [slot for slot, had in enumerate(one.instructions) if had is not None]
        own = one.instructions.count(nothing)
        longer = rewritten(one, Changes(before=dict.fromkeys(slots, (nothing,))))
        assert longer.instructions.count(nothing) == len(slots) + own
        assert verified(longer)[0].verdict is verified(one)[0].verdict
        if not own:
            added = Changes(instead={slot: None for slot, had in enumerate(longer.instructions) if had == nothing})
            assert rewritten(longer, added) == one


def test_dead_code_goes_with_its_functions_and_references() -> None:
    text = "if r1 == 0 goto a\nr0 = 0\nexit\na:\nr1 = map_by_fd(0)\ncall f\nr0 = 1\nexit\nf:\nr0 = 2\nexit"
    whole = program(text, "array")
    assert whole.functions == (0, 8)
    left = rewritten(whole, Changes(instead={0: None}))
    assert lines(left) == ["r0 = 0x0", "exit"]
    assert left.functions == (0,)
    assert left.references == {}
    other = rewritten(whole, Changes(instead={0: make("ja", offset=2)}))
    assert lines(other)[0] == "goto L1"
    assert other.functions == (0, 6)
    assert other.references == {1: MapReference("array")}


@pytest.mark.parametrize("number", [0, 1, (1 << 31) - 1, 1 << 31, 0xDEAD_BEEF_CAFE_F00D, (1 << 64) - 1, -5])
def test_a_number_is_loaded_whole(number: int) -> None:
    one, *second = load(3, number)
    assert one is not None
    assert (one.imm64 if second else one.imm % (1 << 64)) == number % (1 << 64)


def test_a_program_without_callbacks_calls_what_calls_nothing_back() -> None:
    text = "r1 = 4\nr2 = code_addr(f)\nr3 = 0\nr4 = 0\ncall 181\ncall 5\nr0 = 0\nexit\nf:\nr0 = 0\nexit"
    assert [line for line in lines(without_callbacks(program(text))) if "call" in line] == ["call 0x7", "call 0x5"]


# --- what the states show ---


def test_numbers_and_directions_are_written_out() -> None:
    text = """
        r2 = 4
        r2 <<= r2
        if r2 > 64 goto never
        r0 = r2
        exit
        never:
        r0 = *(u64 *)(r1 + 4096)
        exit
    """
    found = lines(Facts(program(text)).written_out(bounds=False))
    assert found == ["r2 = 0x4", "r2 = 0x4", "r2 <<= r2", "r2 = 0x40", "r2 = 0x40", "r0 = r2", "r0 = 0x40", "exit"]


def test_what_may_go_both_ways_stays() -> None:
    text = "r2 = *(u32 *)(r1 + 12)\nr0 = 1\nif r2 > 9 goto out\nr0 = 2\nout:\nexit"
    assert lines(Facts(program(text)).written_out(bounds=True)) == lines(program(text))


def test_bounds_are_written_out_where_a_proof_relied_on_them() -> None:
    text = """
        r2 = *(u32 *)(r1 + 12)
        r4 = r2
        r4 += 1
        r2 %= 5
        r3 = r10
        r3 += -8
        *(u64 *)(r10 - 8) = 0
        r3 += r2
        *(u8 *)(r3 + 0) = 1
        r0 = 0
        exit
    """
    facts = Facts(program(text))
    found = lines(facts.written_out(bounds=True))
    sum = found.index("r3 += r2")
    assert found[sum - 5 : sum] == ["r2 = 0x0", *found[sum - 4 : sum - 2], "r2 = 0x4", found[sum - 1]]
    assert "if r4" not in " ".join(found)
    assert "if" not in " ".join(lines(facts.written_out(bounds=False)))


def test_a_program_with_its_facts_is_as_safe_as_before() -> None:
    for index in range(PROGRAMS):
        one = generate(SEED, index)
        report, _ = verified(one)
        if report.verdict is Verdict.SAFE:
            for bounds in (False, True):
                assert verified(Facts(one).written_out(bounds=bounds))[0].verdict is Verdict.SAFE


# --- the kernel is asked again ---

LOCKED = """
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = map_by_fd(0)
    call 1
    if r0 == 0 goto out
    r6 = r0
    r7 = 64
    r7 <<= r7
    r1 = r6
    call 93
    if r7 == 64 goto unlock
    call 5
    unlock:
    r1 = r6
    call 94
    out:
    r0 = 0
    exit
"""
SPILLED = """
    *(u64 *)(r10 - 8) = 1
    *(u16 *)(r10 - 4) = 0x100
    r3 = *(u8 *)(r10 - 2)
    if r3 > 3 goto out
    r2 = r10
    r2 += -8
    r2 += r3
    *(u8 *)(r2 + 0) = r2
    out:
    r0 = 0
    exit
"""
ENDLESS = """
    r6 = 0
    again:
    r1 = 4
    r2 = code_addr(nothing)
    r3 = 0
    r4 = 0
    call 181
    r6 += 0
    if r6 < 2 goto again
    r0 = 0
    exit
    nothing:
    r0 = 0
    exit
"""
FRAMES = """
    *(u64 *)(r10 - 8) = 1
    call inner
    r0 = 0
    exit
    inner:
    *(u64 *)(r10 - 8) = 0
    r2 = r10
    r3 = -8
    r3 += r2
    r4 = *(u64 *)(r3 + 0)
    r0 = 0
    if r4 == 1 goto out
    r0 = r5
    out:
    exit
"""
DIFFERENCES = [
    pytest.param(program(LOCKED, "locked"), "a number or the direction of a jump", id="lock"),
    pytest.param(program(SPILLED), "A rule of Linux depends on a number", id="spill"),
    pytest.param(program(ENDLESS), "looks for no endless loop", id="endless"),
    pytest.param(program(FRAMES), "after number + address", id="frames"),
]


@pytest.mark.parametrize(("different", "words"), DIFFERENCES)
def test_a_difference_is_explained_by_what_the_kernel_says_next(different: GeneratedProgram, words: str) -> None:
    if reason := available():
        pytest.skip(f"needs bpf(2): {reason}")
    report, _ = verified(different)
    with VerifierPeer() as kernel:
        refusal = kernel.refusal(different)
        if report.verdict is not Verdict.SAFE and refusal is not None:
            pytest.skip(f"needs a kernel that takes the program: {refusal}")
        found = explanation(Difference(different, report, refusal, kernel))
    assert found is not None
    assert words in found.argument


class Always(VerifierPeer):
    """A kernel that always says the same."""

    def __init__(self, refusal: str | None) -> None:
        self._refusal = refusal

    def refusal(self, program: GeneratedProgram) -> str | None:
        return self._refusal


@pytest.mark.parametrize(("different", "words"), DIFFERENCES)
def test_a_difference_is_not_explained_if_the_kernel_says_the_same_again(
    different: GeneratedProgram, words: str
) -> None:
    report, _ = verified(different)
    refusal = "function calls are not allowed" if report.verdict is Verdict.SAFE else None
    assert explanation(Difference(different, report, refusal, Always(refusal))) is None


def test_a_loop_that_ends_is_not_called_endless() -> None:
    """Linux is right to take it, so that we are wrong must not be explained away."""
    report, _ = verified(program(ENDLESS))
    ends = program(ENDLESS.replace("r6 += 0", "r6 += 1"))
    assert explanation(Difference(ends, report, None, Always("infinite loop detected at insn 1"))) is None
