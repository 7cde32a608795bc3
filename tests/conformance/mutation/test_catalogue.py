"""The mutants: enough of them, of every row and kind, and each a function that any algebra can run."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from pybpftime.conformance.mutation.catalogue import mutants
from pybpftime.conformance.mutation.meaning import meaning
from pybpftime.conformance.mutation.mutant import REGISTER_FORMS, Computed, Decoded, Kind
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.helpers import HelperTable
from pybpftime.isa import TABLE, Form, Instruction, IntAlgebra, Row
from pybpftime.machine import LENIENT, Machine
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import ProgramSpec

ALL = tuple(mutants().values())
OPERANDS = (0, 1, 3, 64, 0x80, 0x8000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, 1 << 63, (1 << 64) - 1)
EXIT = Instruction(0x95)
MOV = 0xBF
NOT_SERVED = {"lddw_map_by_fd", "lddw_map_val_by_fd", "lddw_var_addr", "call_btf"}
"""Rows that mean something in Linux only: what they do is not seeded with bugs, how they are read is."""


def test_there_are_enough() -> None:
    assert len(ALL) >= 600
    assert {mutant.kind for mutant in ALL} == set(Kind)


@pytest.mark.parametrize("row", [row for row in TABLE if row.form is not Form.CAST], ids=lambda row: row.name)
def test_every_row_has_bugs(row: Row) -> None:
    of_row = [mutant for mutant in ALL if mutant.row is row]
    decoding = {mutant.name for mutant in of_row if isinstance(mutant.change, Decoded)}
    assert {f"unchecked-{field}" for field in row.fixed} <= decoding
    executed = [mutant for mutant in of_row if mutant.name not in decoding]
    assert bool(executed) is (row.name not in NOT_SERVED)


def test_sentences_are_sentences() -> None:
    for mutant in ALL:
        assert not mutant.sentence[0].isupper() or mutant.sentence.startswith("MIN"), mutant.id
        assert not mutant.sentence.endswith("."), mutant.id
        assert "/" not in mutant.name and " " not in mutant.name, mutant.id
    names = Counter(mutant.id for mutant in ALL)
    assert not [name for name, count in names.items() if count > 1]


def executed(row: Row, dst: int, src: int, imm: int) -> int:
    """What the engine makes of r3: for a jump, whether it is taken."""
    fields = {"dst_reg": 3, "src_reg": 4, "offset": 1 if row.form is Form.JUMP_IF else 0, "imm": imm} | dict(row.fixed)
    one = Instruction(row.opcode, **fields)
    result = Instruction(MOV, 0, 3)
    program = (one, Instruction(0xB7, 3), result, EXIT) if row.form is Form.JUMP_IF else (one, result, EXIT)
    machine = Machine(strictness=LENIENT)
    executable = ReferenceEngine().compile(LoadedProgram(ProgramSpec("p", program), {}), machine, HelperTable([]))

    class Registers:
        def enter(self, machine: Machine) -> tuple[int, ...]:
            return 0, 0, dst, src

    return executable.run(Registers()).r0


@pytest.mark.parametrize("row", [row for row in TABLE if row.form in REGISTER_FORMS], ids=lambda row: row.name)
def test_the_meaning_of_a_row_is_what_the_engine_does(row: Row) -> None:
    source, m = random.Random(row.name), IntAlgebra(64)
    for dst in OPERANDS:
        operand = source.choice(OPERANDS)
        imm = m.sign_extend(operand, 32) - (1 << 64) * (m.sign_extend(operand, 32) >> 63)
        wanted = meaning(row)(m, dst, m.const(imm) if row.operand == "imm" else operand)
        if row.form is Form.JUMP_IF:
            wanted = dst if wanted else 0
        assert executed(row, dst, operand, imm) == wanted, (dst, operand)


PURE = [mutant for mutant in ALL if isinstance(mutant.change, Computed)]


@pytest.mark.parametrize("mutant", random.Random(6).sample(PURE, 150), ids=lambda mutant: mutant.id)
def test_integers_and_z3_agree_on_a_mutant(mutant) -> None:
    terms = pytest.importorskip("pybpftime.verifier.terms", reason="needs z3-solver")
    row, change = mutant.row, mutant.change
    width = row.width if row.form is Form.ATOMIC else 64
    inputs = {Form.LOAD: 1, Form.ATOMIC: 3}.get(row.form, 2)
    most = 8 * row.size if row.form is Form.LOAD else width
    source, integers, vectors = random.Random(mutant.id), IntAlgebra(width), terms.Z3Algebra(width)
    for _ in range(6):
        values = [
            source.choice((source.getrandbits(most), source.choice(OPERANDS) % (1 << most))) for _ in range(inputs)
        ]
        result = change.compute(vectors, *(vectors.const(value) for value in values))
        assert terms.value_of(result) == change.compute(integers, *values), values
