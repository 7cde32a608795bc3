"""Where the stack variables really are, checked against what the code does with its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from program.btf_support import committed_objects
from program.dwarf_support import debug_file, loaded

from pybpftime.debug.frame_base import frame_shift, stack_use
from pybpftime.debug.symbols import Frame, symbols_of
from pybpftime.isa.assembler import assemble
from pybpftime.program.btf import BtfBuilder
from pybpftime.program.debug_info import CodeRange, LocatedExpression, Scope, ScopeKind, Variable
from pybpftime.program.dwarf_expression import MemoryAt, UnitTables
from pybpftime.program.spec import Function, ProgramSpec

STORES = (0x73, 0x6B, 0x63, 0x7B)  # *(u8, u16, u32, u64 *)(dst + offset) = src
R10 = 0x9000


def spills(repository: Path) -> Iterator[tuple[str, int | None, int]]:
    """Of each function at -O0: its name, where its first parameter is said to be, and where r1 is stored."""
    for path in committed_objects(repository):
        if ".O0." not in path.name:
            continue
        spec, _ = loaded(path)
        debug = debug_file(path)
        for program in spec.programs.values():
            symbols = symbols_of(program, debug)
            for function in program.functions:
                stored = _store_of_r1(program, function)
                frame = symbols.scopes_at(function.start)[-1]
                parameters = [one for one in frame.variables if one.is_parameter]
                if parameters and stored is not None:
                    place = parameters[0].evaluate(Frame([None] * 10 + [R10], lambda address, size: None))
                    yield (
                        f"{path.name}: {function.name}",
                        place.address if isinstance(place, MemoryAt) else None,
                        stored,
                    )


def _store_of_r1(program: ProgramSpec, function: Function) -> int | None:
    for instruction in program.instructions[function.start : function.end]:
        if instruction is not None and instruction.opcode in STORES and instruction.src_reg == 1:
            return R10 + instruction.offset if instruction.dst_reg == 10 else None
    return None


def test_parameters_are_where_the_prologue_stores_them(repository: Path) -> None:
    found = list(spills(repository))
    assert len(found) > 80
    assert not [(name, said, stored) for name, said, stored in found if said != stored]


def variable(offset: int) -> Variable:
    expression = bytes([0x91, offset & 0x7F])  # DW_OP_fbreg
    return Variable("v", 0, False, "", 0, (LocatedExpression(None, expression),), UnitTables())


def shift_of(text: str, *offsets: int) -> int:
    instructions = assemble(text)
    spec = ProgramSpec("made", instructions)
    variables = tuple(variable(offset) for offset in offsets)
    code = CodeRange("xdp", 0, 8 * len(instructions))
    scope = Scope(ScopeKind.FUNCTION, "made", (code,), 0, "", 0, variables, ())
    return frame_shift(spec, Function("made", 0, len(instructions)), scope, BtfBuilder().build())


SPILL = "*(u64 *)(r10 - 16) = r1\n"
ADDRESS = "r2 = r10\nr2 += -20\n"


@pytest.mark.parametrize(
    ("text", "offsets", "shift"),
    [
        (SPILL + "exit", (8,), -16),
        (SPILL + "exit", (-8,), 0),  # a compiler that counts from r10
        (SPILL + "exit", (8, -8), 0),
        (SPILL + "exit", (30,), -32),  # the frame has at least what lies in it
        ("*(u32 *)(r10 - 20) = r1\nexit", (4,), -20),  # a function that calls nothing is not rounded up to 8
        ("*(u32 *)(r10 - 20) = r1\ncall 7\nexit", (4,), -24),
        (ADDRESS + "call 1\nexit", (0,), -24),
        (ADDRESS + "*(u8 *)(r2 - 4) = r1\nexit", (0,), -24),
        ("r2 = r10\nr2 += 8\nexit", (), 0),
        ("exit", (), 0),
    ],
)
def test_size_of_the_frame(text: str, offsets: tuple[int, ...], shift: int) -> None:
    assert shift_of(text, *offsets) == shift


def test_registers_that_no_longer_hold_the_frame_are_forgotten() -> None:
    text = "r2 = r10\nr2 = 5\n*(u8 *)(r2 - 400) = r1\nr3 = r10\ngoto +0\nr3 += -400\nr4 = r10\ncall 7\nr6 = r10\nexit"
    instructions = assemble(text)
    use = stack_use(ProgramSpec("made", instructions), Function("made", 0, len(instructions)))
    assert (use.depth, use.calls) == (0, True)
