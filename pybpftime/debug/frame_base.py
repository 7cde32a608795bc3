"""Where variables on the stack really are: a repair of LLVM's debug information for BPF.

The frame base (`DW_AT_frame_base`) of every BPF function is r10, the upper end of its stack frame.  Until the middle
of 2026 LLVM counted variables from the lower end all the same (llvm pull request 204722).  The size of the frame stands
nowhere in the debug information; the code shows it, because a compiler does not make a frame larger than what it uses,
rounded up: to eight bytes in a function that calls, else to the strictest alignment of what lies in the frame
(`calculateFrameObjectOffsets` in LLVM's PrologEpilogInserter.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pybpftime.errors import InputError
from pybpftime.isa import Form, Instruction, Row, lookup
from pybpftime.program.btf import Btf
from pybpftime.program.debug_info import Scope, Variable
from pybpftime.program.dwarf_expression import FRAME_POINTER, frame_offset, frame_offsets
from pybpftime.program.spec import Function, ProgramSpec

STACK_ALIGNMENT = 8
LOADS = (Form.LOAD, Form.LOAD_ACQUIRE)
STORES = (Form.STORE, Form.ATOMIC, Form.STORE_RELEASE)
CALLS = (Form.CALL_HELPER, Form.CALL_LOCAL, Form.CALL_BTF, Form.CALL_REGISTER)
JUMPS = (Form.JUMP, Form.JUMP_IF, Form.MAY_JUMP, Form.JUMP_REGISTER, Form.EXIT)


@dataclass(frozen=True, slots=True)
class StackUse:
    """What a function's own instructions show of its frame.

    `depth`: how far below r10 they reach, in bytes, by loads, stores and addresses taken.  `widest`: the bytes of the
    widest load or store there.  `calls`: whether there is a call.
    """

    depth: int
    widest: int
    calls: bool


def frame_shift(spec: ProgramSpec, function: Function, scope: Scope, types: Btf) -> int:
    """What to add to offsets from r10 in the expressions of a function's variables: 0, or minus its frame's size.

    It is 0 if any offset is negative: then the compiler is one that counts from r10.
    """
    extents = [extent for one in scope.walk() for extent in _extents(one, types)]
    if any(extent.start < 0 for extent in extents):
        return 0
    use = stack_use(spec, function)
    depth = max([use.depth, *(extent.end for extent in extents)])
    alignment = STACK_ALIGNMENT if use.calls else max([use.widest, *(extent.alignment for extent in extents)])
    return -(-depth // alignment) * -alignment


def stack_use(spec: ProgramSpec, function: Function) -> StackUse:
    """Read a function's instructions in order, following the addresses that it makes of r10."""
    depth, widest, calls = 0, 1, False
    known = {FRAME_POINTER: 0}  # registers that hold r10 plus a number
    for instruction in spec.instructions[function.start : function.end]:
        if instruction is not None:
            try:
                row = lookup(instruction)
            except InputError:
                continue
            offset = _offset(row, instruction, known)
            if offset is not None:
                depth, widest = max(depth, -offset), max(widest, row.size)
            calls = calls or row.form in CALLS
            known = _after(row, instruction, known)
    return StackUse(depth, widest, calls)


def _offset(row: Row, instruction: Instruction, known: dict[int, int]) -> int | None:
    """The offset from r10 that the instruction computes or goes to."""
    if row.form in LOADS and instruction.src_reg in known:
        return known[instruction.src_reg] + instruction.offset
    if row.form in STORES and instruction.dst_reg in known:
        return known[instruction.dst_reg] + instruction.offset
    if row.name == "add_imm" and instruction.dst_reg in known:
        return known[instruction.dst_reg] + instruction.imm
    return None


def _after(row: Row, instruction: Instruction, known: dict[int, int]) -> dict[int, int]:
    if row.form in JUMPS:
        return {FRAME_POINTER: 0}  # where it comes from and goes to, registers may differ
    if row.form in CALLS:
        return {register: offset for register, offset in known.items() if register > 5}
    target = instruction.dst_reg
    if row.name == "mov_reg" and instruction.src_reg in known:
        return known | {target: known[instruction.src_reg]}
    if row.name == "add_imm" and target in known:
        return known | {target: known[target] + instruction.imm}
    return {register: offset for register, offset in known.items() if register != target} if row.writes else known


class _Extent(NamedTuple):
    """Bytes from the frame that a variable takes."""

    start: int
    end: int
    alignment: int


def _extents(scope: Scope, types: Btf) -> Iterator[_Extent]:
    """Of each variable in the frame what is known of it; a part of a variable, or a pointer to one, is one byte."""
    for variable in scope.variables:
        for expression in {one.expression for one in variable.locations}:
            start = frame_offset(expression)
            if start is not None:
                yield _Extent(start, start + _size(types, variable), _alignment(types, variable))
            else:
                yield from (_Extent(offset, offset + 1, 1) for offset in frame_offsets(expression))


def _size(types: Btf, variable: Variable) -> int:
    try:
        return types.size_of(variable.type_id)
    except InputError:
        return 1


def _alignment(types: Btf, variable: Variable) -> int:
    try:
        return min(types.alignment_of(variable.type_id), STACK_ALIGNMENT)
    except InputError:
        return 1
