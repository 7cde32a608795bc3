"""Random programs: a shard of the campaign against the kernel, and what holds of them without one."""

from __future__ import annotations

import platform
import random
import re

import pytest

from pybpftime.conformance.differential import MAP, DataContext, Difference, Tally, compare, run_reference
from pybpftime.conformance.generator import (
    ALU_ROWS,
    ATOMIC_ROWS,
    CONTEXT,
    DATA_BYTES,
    FRAME,
    JUMP_ROWS,
    MEMORY_ROWS,
    ORDERED_ROWS,
    SCALARS,
    STACK_BYTES,
    VALUE,
    VALUE_BYTES,
    Generated,
    Generator,
    edge_value,
    signed_edge,
)
from pybpftime.conformance.kernel_defects import with_read_results
from pybpftime.engines import Outcome
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import Fault, FaultKind
from pybpftime.helpers import HelperTable
from pybpftime.isa import BY_NAME, decode_program, lookup, registers, validate
from pybpftime.kernel import available
from pybpftime.machine import LENIENT, LINUX, STRICT, Machine, Observer, Strictness
from pybpftime.maps import create_map
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import MapReference, ProgramSpec

SEED = 6
PROGRAMS = 1500


def draw(index: int, length: int = 24, **options: bool) -> tuple[Generated, bytes, bytes]:
    """Program number `index` of the seed, with a block of data and a map value."""
    source = random.Random(f"{SEED}/{index}")
    generator = Generator(source, length=length, **options)
    return generator.program(), generator.data(), source.randbytes(VALUE_BYTES)


def run(
    program: Generated, data: bytes, value: bytes, level: Strictness, observers: tuple[Observer, ...] = ()
) -> tuple[bytes, bytes, Outcome]:
    """Data, map value and outcome after a run at a level."""
    machine = Machine(strictness=level)
    machine.observers = observers
    map = create_map(MAP)
    map.attach(machine.memory, level)
    map.update(bytes(4), value)
    references = dict.fromkeys(program.value_slots, MapReference("value", 0))
    spec = ProgramSpec("generated", program.instructions, references=references)
    context = DataContext(data)
    outcome = ReferenceEngine().compile(LoadedProgram(spec, {"value": map}), machine, HelperTable()).run(context)
    content = map.lookup(bytes(4))
    assert isinstance(content, bytes)
    return bytes(context.data), content, outcome


# -- against the kernel -----------------------------------------------------------------------------------------------


def test_a_shard_of_the_campaign_equals_the_kernel() -> None:
    if reason := available():
        pytest.skip(f"needs the kernel as a peer: {reason}")
    if linux_release() < (6, 15):
        pytest.skip("needs Linux 6.15 or newer, which has load-acquire and store-release")
    tally = Tally()
    differences = list(compare(SEED, PROGRAMS, tally))
    assert not differences, f"{len(differences)} differences; the first: {differences[0]}"
    assert tally.programs == tally.runs == PROGRAMS
    assert tally.instructions > 50 * PROGRAMS
    drawn = {row.name for row in (*ALU_ROWS, *JUMP_ROWS, *MEMORY_ROWS, *ATOMIC_ROWS, *ORDERED_ROWS)}
    assert drawn <= set(tally.rows)


def linux_release() -> tuple[int, ...]:
    """Major and minor number of the running kernel."""
    return tuple(int(number) for number in re.findall(r"[0-9]+", platform.release())[:2])


def test_inputs_of_one_program_vary() -> None:
    if reason := available():
        pytest.skip(f"needs the kernel as a peer: {reason}")
    if linux_release() < (6, 15):
        pytest.skip("needs Linux 6.15 or newer, which has load-acquire and store-release")
    tally = Tally()
    assert not list(compare(SEED, 5, tally, inputs=20, first=PROGRAMS))
    assert (tally.programs, tally.runs) == (5, 100)


def test_a_lost_zero_extension_of_the_kernel_is_told_apart() -> None:
    """Decision 18: the program on which the campaign found it.  A kernel that is right gives no difference at all."""
    if reason := available():
        pytest.skip(f"needs the kernel as a peer: {reason}")
    if linux_release() < (6, 15):
        pytest.skip("needs Linux 6.15 or newer, which has load-acquire and store-release")
    tally = Tally()
    assert not list(compare(1, 1, tally, first=193_697))
    assert tally.kernel_defects in (0, 1)
    assert tally.rows["lock_cmpxchg32"] == 1


def test_a_program_that_reads_the_results_of_cmpxchg_computes_the_same() -> None:
    changed = 0
    for index in range(400):
        program, data, value = draw(index)
        other = with_read_results(program)
        changed += other != program
        assert run(other, data, value, LINUX)[:2] == run(program, data, value, LINUX)[:2]
    assert changed > 20


def test_a_difference_can_be_repeated_from_what_it_says() -> None:
    text = str(Difference(7, 12, "00 11", "01 11", "r0 = 0x0"))
    assert "program 12 of seed 7" in text
    assert "00 11" in text
    assert "01 11" in text
    assert "r0 = 0x0" in text


# -- the generator ----------------------------------------------------------------------------------------------------


def test_a_program_depends_on_its_seed_alone() -> None:
    for index in range(20):
        assert draw(index) == draw(index)
    assert len({draw(index)[0].instructions for index in range(50)}) == 50


def test_every_program_is_valid_and_decodes_to_itself() -> None:
    for index in range(300):
        program, data, value = draw(index, length=index % 60)
        rows = validate(program.instructions, refuse_constants=True)
        assert (len(data), len(value)) == (DATA_BYTES, VALUE_BYTES)
        assert program.rows == {row.name for row in rows if row is not None}
        (slot,) = program.value_slots
        assert rows[slot] is BY_NAME["lddw_map_val_by_fd"]
        decoded = decode_program(program.encode(42))
        assert [one for number, one in enumerate(decoded) if number != slot] == [
            one for number, one in enumerate(program.instructions) if number != slot
        ]
        loads = decoded[slot]
        assert loads is not None
        assert (loads.imm, loads.src_reg) == (42, 2)


def test_every_row_is_drawn_before_long() -> None:
    rows: set[str] = set()
    for index in range(400):
        rows |= draw(index, length=40)[0].rows
    every = {row.name for row in (*ALU_ROWS, *JUMP_ROWS, *MEMORY_ROWS, *ATOMIC_ROWS, *ORDERED_ROWS)}
    assert every - rows == set()
    assert rows - every == {"lddw", "lddw_map_val_by_fd", "ja", "ja32", "call_local", "exit"}


def test_ordered_accesses_are_drawn_on_demand_only() -> None:
    ordered = {row.name for row in ORDERED_ROWS}
    assert not any(draw(index, ordered=False)[0].rows & ordered for index in range(200))


def test_pointers_stay_pointers() -> None:
    """Nothing writes the registers that hold context and map value once they are set."""
    for index in range(200):
        program, _, _ = draw(index)
        writers = {VALUE: 0, CONTEXT: 0, FRAME: 0}
        for instruction in program.instructions:
            if instruction is not None:
                for register in registers(lookup(instruction).writes, instruction):
                    if register in writers:
                        writers[register] += 1
        assert writers == {VALUE: 1, CONTEXT: 1, FRAME: 0}


def test_inputs_are_half_of_the_block() -> None:
    _, data, _ = draw(1)
    assert any(data[: DATA_BYTES // 2])
    assert not any(data[DATA_BYTES // 2 :])
    assert DATA_BYTES == 2 * (8 * SCALARS + STACK_BYTES)


@pytest.mark.parametrize("bits", [1, 4, 8, 16, 31, 32, 64])
def test_edge_values_are_in_range(bits: int) -> None:
    source = random.Random(bits)
    values = [edge_value(source, bits) for _ in range(500)]
    signed = [signed_edge(source, bits) for _ in range(500)]
    assert all(0 <= value < 1 << bits for value in values)
    assert all(-(1 << bits - 1) <= value < 1 << bits - 1 for value in signed)
    assert 0 in values
    assert max(values) >> (bits - 1) == 1
    assert min(signed) < 0


# -- the interpreter on generated programs ----------------------------------------------------------------------------


def test_levels_agree() -> None:
    """What Linux lets in has the same results at the other levels; strict also minds unaligned map values."""
    refused = 0
    for index in range(250):
        program, data, value = draw(index)
        expected = run(program, data, value, LINUX)
        assert expected == (*run_reference(program, data, value)[:2], expected[2])
        assert run(program, data, value, LENIENT) == expected
        try:
            assert run(program, data, value, STRICT) == expected
        except Fault as fault:
            assert fault.kind is FaultKind.ALIGNMENT
            assert fault.region == "map value"
            refused += 1
    assert 0 < refused < 250


def test_watching_changes_nothing() -> None:
    class Watch(Observer):
        def __init__(self) -> None:
            self.count = 0

        def before(self, machine: Machine, pc: int) -> None:
            self.count += 1

    for index in range(150):
        program, data, value = draw(index)
        watch = Watch()
        watched = run(program, data, value, LINUX, (watch,))
        assert watched == run(program, data, value, LINUX)
        assert watch.count == watched[2].instructions


def test_results_are_where_the_program_leaves_them() -> None:
    """The inputs are untouched, and the outputs of some program differ from 0 everywhere."""
    seen = bytearray(DATA_BYTES // 2)
    for index in range(50):
        program, data, value = draw(index)
        after = run(program, data, value, LINUX)[0]
        assert after[: DATA_BYTES // 2] == data[: DATA_BYTES // 2]
        for place, byte in enumerate(after[DATA_BYTES // 2 :]):
            seen[place] |= byte
    assert all(seen)
