"""A case: a program, what it runs on, and every answer of a runtime that is right.

A case expects one of five verdicts, as WebAssembly's test suite has them:

    return       the run ends; its signature says what must be seen then
    trap         the run is stopped by a fault, perhaps of a class
    exhaustion   the run is stopped by a budget of instructions
    invalid      a verifier must refuse the program, though every instruction means something
    malformed    the bytes are no program: RFC 9669 gives them no meaning

Where the specification leaves a choice there are several expectations, and each of them is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from pybpftime.errors import FaultKind, InputError
from pybpftime.isa import Form, Group, Immediate, Instruction, Program, Row, decode_program, lookup
from pybpftime.maps import MapSpec


class Verdict(StrEnum):
    """How a program may end."""

    RETURN = "return"
    TRAP = "trap"
    EXHAUSTION = "exhaustion"
    INVALID = "invalid"
    MALFORMED = "malformed"


class Feature(StrEnum):
    """What a case needs of a runtime beyond RFC 9669's conformance groups."""

    CALLS = "calls"  # functions of the program's own, with frames
    HELPERS = "helpers"  # helper functions with Linux's numbers
    UNWIND = "unwind"  # helper 5 of bpf_conformance: ends the program when r1 is 0, else returns r1
    MAPS = "maps"  # the case's maps, by index (64-bit immediates with src_reg 5 and 6)
    CALLX = "callx"  # calls of an address in a register, as clang writes them
    ORDERED = "ordered"  # load_acquire and store_release (Linux 6.15)
    MAY_GOTO = "may_goto"  # Linux 6.9
    ADDR_SPACE_CAST = "addr_space_cast"  # Linux 6.9
    GOTOX = "gotox"  # Linux 6.19


_FEATURE_OF_FORM = {
    Form.CALL_LOCAL: Feature.CALLS,
    Form.CALL_HELPER: Feature.HELPERS,
    Form.CALL_BTF: Feature.HELPERS,
    Form.CALL_REGISTER: Feature.CALLX,
    Form.LOAD_ACQUIRE: Feature.ORDERED,
    Form.STORE_RELEASE: Feature.ORDERED,
    Form.MAY_JUMP: Feature.MAY_GOTO,
    Form.CAST: Feature.ADDR_SPACE_CAST,
    Form.JUMP_REGISTER: Feature.GOTOX,
}
UNWIND_HELPER = 5


@dataclass(frozen=True, slots=True)
class Signature:
    """What a run that returned left behind.

    In an expectation, what is absent (None) is not judged; in an outcome, it is not shown.  `registers` maps 0 to 10
    to unsigned 64-bit values; `memory` is the block behind r1; `stack` the highest bytes of the first function's
    frame, in the order of addresses, so that the last byte is at r10 - 1.
    """

    registers: Mapping[int, int] = field(default_factory=dict)
    memory: bytes | None = None
    stack: bytes | None = None

    @property
    def r0(self) -> int | None:
        """The returned value."""
        return self.registers.get(0)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One right answer.  `signature` is for RETURN; `trap` for TRAP, None when any class will do; `why` cites."""

    verdict: Verdict
    signature: Signature = field(default_factory=Signature)
    trap: FaultKind | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One program with its right answers.

    `name` is unique in its suite and has no white space; `code` is 8 bytes a slot, little-endian, and for a malformed
    case anything.  A run begins with r1 the address of a copy of `memory` and r2 its length in bytes (both 0 when it
    is None); legacy packet access reads it as the packet.  `budget` is the number of instructions that an
    exhaustion case must exceed.  `cite` names the rule ("RFC 9669 4.1"); `file` and `line` say where it stands.
    """

    name: str
    code: bytes
    expected: tuple[Expectation, ...]
    memory: bytes | None = None
    maps: tuple[MapSpec, ...] = ()
    budget: int | None = None
    cite: str = ""
    about: str = ""
    file: str = ""
    line: int = 0

    @property
    def rows(self) -> frozenset[Row]:
        """The rows of the instructions that mean something."""
        return _rows(self.code)

    @property
    def groups(self) -> frozenset[Group]:
        """The conformance groups that a runtime must have for this case (RFC 9669 section 2.4)."""
        return frozenset(group for row in self.rows for group in row.groups) or frozenset({Group.BASE32})

    @property
    def features(self) -> frozenset[Feature]:
        """What a runtime must have besides."""
        return _features(self.code) | ({Feature.MAPS} if self.maps else frozenset())

    def program(self) -> Program:
        """The instructions; InputError for bytes that cannot be cut into slots."""
        return decode_program(self.code)

    def verdicts(self) -> frozenset[Verdict]:
        """The verdicts among the expectations."""
        return frozenset(expectation.verdict for expectation in self.expected)


def _instructions(code: bytes) -> list[tuple[Instruction, Row]]:
    """Every instruction that means something, with its row."""
    try:
        program = decode_program(code)
    except InputError:
        return []
    found = []
    for instruction in program:
        if instruction is not None:
            try:
                found.append((instruction, lookup(instruction)))
            except InputError:
                continue
    return found


@lru_cache(maxsize=4096)
def _rows(code: bytes) -> frozenset[Row]:
    return frozenset(row for _, row in _instructions(code))


@lru_cache(maxsize=4096)
def _features(code: bytes) -> frozenset[Feature]:
    found = set()
    for instruction, row in _instructions(code):
        if row.form is Form.CALL_HELPER and instruction.imm == UNWIND_HELPER:
            found.add(Feature.UNWIND)
        elif row.form in _FEATURE_OF_FORM:
            found.add(_FEATURE_OF_FORM[row.form])
        elif row.immediate in (Immediate.CODE, Immediate.VARIABLE):
            found.add(Feature.CALLS if row.immediate is Immediate.CODE else Feature.MAPS)
        elif row.immediate not in (None, Immediate.VALUE):
            found.add(Feature.MAPS)
    return frozenset(found)
