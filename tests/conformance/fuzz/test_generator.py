"""Generated programs: valid, deterministic, and such that a wrong result is seen in r0."""

from __future__ import annotations

from collections import Counter

import pytest

from pybpftime.conformance.case import Feature
from pybpftime.conformance.fuzz.dialect import Dialect, dialect
from pybpftime.conformance.fuzz.generator import Generator
from pybpftime.conformance.fuzz.reference import Exact, Reference
from pybpftime.conformance.runtime import Limit, Profile
from pybpftime.errors import InputError
from pybpftime.isa import Form, Group, decode_program, encode_program, validate

FULL = Profile("full", features=frozenset({Feature.CALLS, Feature.ORDERED}))
PLAIN = Profile("plain")
NARROW = Profile("narrow", groups=frozenset({Group.BASE32}))
DIALECTS = {profile.name: dialect([profile]) for profile in (FULL, PLAIN, NARROW)}


@pytest.mark.parametrize("chosen", DIALECTS.values(), ids=DIALECTS)
def test_programs_are_valid_and_have_one_answer(chosen: Dialect) -> None:
    reference, exact = Reference(), Exact()
    for drawn in Generator(3, 0, chosen).cases(250):
        assert validate(drawn.slots, refuse_constants=True) == drawn.rows
        assert drawn.code == encode_program(drawn.slots)
        assert decode_program(drawn.code) == drawn.slots
        answer = reference.answer(drawn.slots, drawn.memory, drawn.rows)
        assert exact.answer(drawn.slots, drawn.memory) == answer


@pytest.mark.parametrize("chosen", DIALECTS.values(), ids=DIALECTS)
def test_every_row_of_the_dialect_is_drawn_about_as_often(chosen: Dialect) -> None:
    drawn: Counter[str] = Counter()
    for shard in range(2):
        for case in Generator(1, shard, chosen).cases():
            drawn.update({row.name for row in case.rows if row is not None})
    assert set(drawn) == chosen.rows
    rare = [
        drawn[row.name] for row in chosen.among(Form.JUMP_IF, Form.ATOMIC, Form.LOAD_ACQUIRE) if "jne" not in row.name
    ]
    assert min(rare) * 2 > max(rare)


def test_a_shard_depends_on_its_seed_and_number_alone() -> None:
    chosen = DIALECTS["full"]
    assert list(Generator(1, 2, chosen).cases(40)) == list(Generator(1, 2, chosen).cases(40))
    others = [list(Generator(seed, shard, chosen).cases(40)) for seed, shard in ((1, 2), (1, 3), (2, 2))]
    assert len({case.code + case.memory for cases in others for case in cases}) == 120


def test_only_what_every_runtime_claims_is_drawn() -> None:
    rows = dialect([FULL, PLAIN]).rows
    assert "call_local" not in rows and "load_acquire32" not in rows
    assert {"call_local", "load_acquire32"} <= DIALECTS["full"].rows
    limited = Profile("limited", limits=(Limit("lock_*", "no atomics"), Limit("*", "a verifier", refusal="bad")))
    assert dialect([PLAIN]).rows - dialect([limited]).rows == {
        row.name for row in DIALECTS["plain"].among(Form.ATOMIC)
    }  # fmt: skip
    assert all(row.groups <= {Group.BASE32} for row in DIALECTS["narrow"].among(*Form))
    assert dialect([FULL], [Group.BASE32]).rows > DIALECTS["narrow"].rows


def test_a_runtime_with_too_little_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="nothing can be generated that atomic would run: programs need add32_reg"):
        dialect([Profile("atomic", groups=frozenset({Group.ATOMIC32}))])


def test_memory_has_pairs_that_differ_a_little() -> None:
    distances = Counter()
    for drawn in Generator(5, 0, DIALECTS["full"]).cases(200):
        words = [int.from_bytes(drawn.memory[at : at + 8], "little") for at in range(0, 64, 8)]
        for first, second in zip(words[::2], words[1::2], strict=True):
            distances[first ^ second] += 1
    assert {0, 1, 1 << 31, 1 << 32, 1 << 63} <= set(distances)
