"""Control flow within a function."""

from __future__ import annotations

from pybpftime.debug.flow import control_flow, first_reached, successors
from pybpftime.isa import Instruction
from pybpftime.isa.assembler import assemble
from pybpftime.program.spec import Function

LOOP = assemble(
    """
    r1 = 0
    head:
    if r1 > 9 goto done
    r1 += 1
    goto head
    done:
    r2 = 7 ll
    call 7
    exit
    """
)


def test_successors() -> None:
    assert [successors(LOOP, slot) for slot in range(len(LOOP))] == [
        (1,), (2, 4), (3,), (1,), (6,), (), (7,), (),
    ]  # fmt: skip
    assert successors(LOOP, 99) == ()
    assert successors((Instruction(0xFF),), 0) == ()


def reached(*targets: int) -> list[int]:
    return first_reached(control_flow(LOOP), Function("f", 0, len(LOOP)), targets)


def test_first_reached() -> None:
    assert reached(2, 3) == [2]
    assert reached(2, 4) == [2, 4]  # each can come without the other
    assert reached(1, 2, 4) == [1]
    assert reached(0, 1) == [0]
    assert reached(5) == [5]  # nothing reaches the second half of an instruction
