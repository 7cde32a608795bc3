"""Generated programs and the verifier: what is safe keeps inside its published states, and where the kernel does not
agree it is known why.  The campaign is `make campaign-verifier`; here is a small part of it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pybpftime import assemble
from pybpftime.conformance.verifier_campaign import Tally, examine, smaller, verified
from pybpftime.conformance.verifier_draft import MAPS, GeneratedProgram
from pybpftime.conformance.verifier_generator import generate
from pybpftime.conformance.verifier_peer import VerifierPeer
from pybpftime.conformance.verifier_soundness import Outside, Runs, Violation, random_input
from pybpftime.errors import Fault
from pybpftime.isa import validate
from pybpftime.kernel import available
from pybpftime.program.spec import MapReference
from pybpftime.uapi import ProgramType
from pybpftime.verifier import Verdict, domain
from pybpftime.verifier.domain import Range
from pybpftime.verifier.published import Published
from tools.campaign_verifier import EXAMPLE, keep_one_example, work

SEED = 7
PROGRAMS = 200
INPUTS = 5


def program(text: str, type: ProgramType = ProgramType.BPF_PROG_TYPE_XDP, *maps: str) -> GeneratedProgram:
    """Assembly, in which `map_by_fd(I)` is a reference to the map `maps[I]`."""
    instructions = assemble(text)
    references = {
        slot: MapReference(maps[one.imm])
        for slot, one in enumerate(instructions)
        if one is not None and one.opcode == 0x18 and one.src_reg == 1
    }
    return GeneratedProgram(type, instructions, references)


def violation(program: GeneratedProgram, published: Published | None = None, *, inputs: int = 30) -> Violation | None:
    """The first violation on random inputs; with `published` of another program's verification."""
    if published is None:
        report, published = verified(program)
        assert report.verdict is Verdict.SAFE, report.objection
    runs, source = Runs(program, published), random.Random(1)
    found = (runs.run(random_input(program, source), number) for number in range(inputs))
    return next((one for one in found if one is not None), None)


# --- the generator ---


def test_a_program_depends_on_seed_and_index_alone() -> None:
    assert generate(1, 5) == generate(1, 5)
    assert generate(1, 5) != generate(1, 6)
    assert generate(1, 5) != generate(2, 5)


def test_generated_programs_are_well_formed_and_varied() -> None:
    types, names, maps, slots = set(), set(), set(), 0
    for index in range(PROGRAMS):
        one = generate(SEED, index)
        rows = validate(one.instructions, refuse_constants=True)
        names |= {row.name for row in rows if row is not None}
        types.add(one.type)
        maps |= {reference.name for reference in one.references.values() if isinstance(reference, MapReference)}
        slots += len(one.instructions)
    assert len(types) == 7
    assert maps == set(MAPS)
    assert len(names) > 150
    assert 20 < slots / PROGRAMS < 100


# --- a part of the campaign ---


@pytest.fixture(scope="module")
def peer() -> Iterator[VerifierPeer | None]:
    """The kernel, where it can be asked."""
    if available():
        yield None
    else:
        with VerifierPeer() as made:
            yield made


def test_what_is_safe_keeps_inside_its_states_and_differences_are_explained(peer: VerifierPeer | None) -> None:
    tally = Tally()
    findings = [text for index in range(PROGRAMS) for text in examine(SEED, index, tally, inputs=INPUTS, peer=peer)]
    assert findings == []
    safe = sum(number for verdict, number in tally.verdicts.items() if verdict.startswith("safe"))
    assert 0.4 < safe / PROGRAMS < 0.8
    assert tally.runs == safe * INPUTS


def test_a_shard_is_plain_data_and_one_example_of_each_kind_is_kept(tmp_path: Path) -> None:
    shard = work(SEED, 0, 8)
    assert shard["programs"] == 8
    assert shard["findings"] == []
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"examples": [f"a{EXAMPLE}1", f"b{EXAMPLE}2", f"a{EXAMPLE}3"], **shard["verdicts"]}))
    keep_one_example(record)
    assert json.loads(record.read_text())["examples"] == [f"a{EXAMPLE}1", f"b{EXAMPLE}2"]


def test_the_kernel_is_asked_in_its_own_terms() -> None:
    if reason := available():
        pytest.skip(f"needs bpf(2): {reason}")
    with VerifierPeer() as kernel:
        assert kernel.refusal(program("r0 = 0\nexit")) is None
        assert kernel.refusal(program("r0 = r3\nexit")) == "R3 !read_ok"
        jump = "r2 = map_by_fd(0)\nr3 = 0\ncall 12\nr0 = 0\nexit"
        for type in (ProgramType.BPF_PROG_TYPE_XDP, ProgramType.BPF_PROG_TYPE_KPROBE):
            assert kernel.refusal(program(jump, type, "jumps")) is None


# --- what the check sees ---

CLEAN = """
    r2 = *(u32 *)(r1 + 12)
    r2 &= 7
    r3 = r10
    r3 += -8
    r3 += r2
    *(u64 *)(r10 - 8) = 0
    *(u8 *)(r3 + 0) = 1
    r0 = 0
    exit
"""


def test_a_run_inside_the_states_is_no_violation() -> None:
    assert violation(program(CLEAN)) is None


@pytest.mark.parametrize(
    ("verified_text", "run_text"),
    [
        (CLEAN, CLEAN.replace("r2 &= 7", "r2 &= 63")),
        (CLEAN, CLEAN.replace("r3 += -8", "r3 += -16")),
        (CLEAN, CLEAN.replace("r3 = r10", "r3 = r1")),
        (CLEAN, CLEAN.replace("r2 = *(u32 *)(r1 + 12)", "r2 = r10")),
    ],
    ids=["range", "offset", "region", "address"],
)
def test_a_run_outside_the_states_is_a_violation(verified_text: str, run_text: str) -> None:
    """The states are those of one program, the run is another's: as if the verifier were wrong."""
    _, published = verified(program(verified_text))
    found = violation(program(run_text), published)
    assert found is not None
    assert isinstance(found.error, Outside)
    assert "the run is in none of the 1 states published there" in str(found)


def test_a_wrong_operator_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = domain.transfer

    def wrong(row: object, left: Range, operand: Range | None) -> Range:
        result = right(row, left, operand)  # type: ignore[arg-type]
        return domain.constant(3) if getattr(row, "name", "") == "and_imm" else result

    monkeypatch.setattr(domain, "transfer", wrong)
    found = violation(program(CLEAN))
    assert found is not None
    assert isinstance(found.error, Outside)


def test_stack_slots_are_held_against_the_state() -> None:
    text = "*(u64 *)(r10 - 8) = {}\nr1 = *(u64 *)(r10 - 8)\nr2 = r10\nr2 += r1\nr0 = *(u8 *)(r2 - 8)\nr0 = 0\nexit"
    _, published = verified(program(text.format(4)))
    assert violation(program(text.format(4)), published) is None
    found = violation(program(text.format(5)), published)
    assert found is not None
    assert "fp-8 of frame 0 is 0x5" in str(found.error)


def test_a_fault_is_a_violation() -> None:
    text = "r0 = 0\nr2 = *(u32 *)(r1 + 12)\nif r2 == 0 goto +1\nr0 = *(u8 *)(r10 - {})\nexit"
    _, published = verified(program(text.format(8)))
    found = violation(program(text.format(8).replace("r10 - 8", "r10 + 0")), published)
    assert found is not None
    assert isinstance(found.error, Fault)


def test_a_violation_is_shown_on_a_smaller_program() -> None:
    text = "r2 = 1\nr3 = 2\nr0 = 0\nr0 = *(u8 *)(r10 + 0)\nr4 = 5\nexit"
    whole = program(text)
    _, published = verified(program("r0 = 0\nexit"))

    def attempt(one: GeneratedProgram) -> Violation | None:
        found = Runs(one, published).run(replace(random_input(one, random.Random(1))), 0)
        return found if found is not None and "load of 1 byte" in str(found.error) else None

    monkey = Violation(whole, random_input(whole, random.Random(1)), 0, Outside(0, ()))
    assert smaller(monkey, attempt).program.instructions.count(whole.instructions[3]) <= 1
