"""DWARF expressions: each operation against a Python model, locations, and bytes made to do harm."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program.dwarf_support import sleb128, uleb128

from pybpftime.program.dwarf_expression import (
    BaseType,
    Constant,
    Context,
    InRegister,
    Location,
    MemoryAt,
    Piece,
    Pieces,
    UnitTables,
    evaluate,
    frame_offset,
    frame_offsets,
)
from pybpftime.program.dwarf_operations import OPERATIONS

MASK = (1 << 64) - 1
CODES = {name: code for code, (name, _) in reversed(OPERATIONS.items())}
MEMORY = {0x1000: 0x1122_3344_5566_7788, 0x2000: 0xFFFF_FFFF_FFFF_FFFE}
TABLES = UnitTables(
    base_types={10: BaseType(8, signed=True), 11: BaseType(8, signed=False), 12: BaseType(64, signed=True)},
    addresses=(2 << 32 | 24, 9 << 32),
    sections=("", "xdp", ".rodata"),
)
few = settings(max_examples=40)
numbers = st.integers(0, MASK) | st.integers(0, 70) | st.integers(MASK - 70, MASK)


def _read(address: int, size: int) -> bytes | None:
    return None if address not in MEMORY else MEMORY[address].to_bytes(8, "little")[:size]


def context(**changes: object) -> Context:
    settings: dict[str, object] = {
        "registers": [number * 16 for number in range(10)] + [0x5000],
        "read": _read,
        "frame_base": 0x5000 - 64,
        "frame_shift": -64,
        "tables": TABLES,
        "address_of": lambda section, offset: 0x9000 + offset if section == ".rodata" else None,
    }
    return Context(**settings | changes)  # type: ignore[arg-type]


def op(name: str, *operands: bytes) -> bytes:
    return bytes([CODES[name]]) + b"".join(operands)


def const(number: int) -> bytes:
    return op("const8u", number.to_bytes(8, "little"))


def computed(expression: bytes) -> int:
    """The number that an expression leaves, by way of DW_OP_stack_value."""
    location = evaluate(expression + op("stack_value"), context())
    assert isinstance(location, Constant)
    return int.from_bytes(location.data, "little")


def signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _towards_zero(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


MODEL: dict[str, Callable[[int, int], int]] = {
    "plus": lambda left, right: left + right,
    "minus": lambda left, right: left - right,
    "mul": lambda left, right: left * right,
    "and": lambda left, right: left & right,
    "or": lambda left, right: left | right,
    "xor": lambda left, right: left ^ right,
    "shl": lambda left, right: left << right if right < 64 else 0,
    "shr": lambda left, right: left >> right if right < 64 else 0,
    "shra": lambda left, right: signed(left) >> min(right, 63),
    "eq": lambda left, right: int(left == right),
    "ne": lambda left, right: int(left != right),
    "lt": lambda left, right: int(signed(left) < signed(right)),
    "le": lambda left, right: int(signed(left) <= signed(right)),
    "gt": lambda left, right: int(signed(left) > signed(right)),
    "ge": lambda left, right: int(signed(left) >= signed(right)),
}


@pytest.mark.parametrize("name", MODEL)
@few
@given(left=numbers, right=numbers)
def test_two_operands(name: str, left: int, right: int) -> None:
    assert computed(const(left) + const(right) + op(name)) == MODEL[name](left, right) & MASK


@given(left=numbers, right=numbers)
def test_division_is_signed_and_remainder_is_not(left: int, right: int) -> None:
    if right == 0:
        assert evaluate(const(left) + const(right) + op("div"), context()) is None
        assert evaluate(const(left) + const(right) + op("mod"), context()) is None
    else:
        assert computed(const(left) + const(right) + op("div")) == _towards_zero(signed(left), signed(right)) & MASK
        assert computed(const(left) + const(right) + op("mod")) == left % right


@given(number=numbers)
def test_one_operand(number: int) -> None:
    assert computed(const(number) + op("not")) == number ^ MASK
    assert computed(const(number) + op("neg")) == -number & MASK
    assert computed(const(number) + op("abs")) == abs(signed(number)) & MASK


@given(number=st.integers(-(1 << 63), MASK))
def test_numbers_in_every_encoding(number: int) -> None:
    if number >= 0:
        assert computed(op("constu", uleb128(number))) == number
        assert computed(op("lit0") + op("plus_uconst", uleb128(number))) == number
    if number < 1 << 63:
        assert computed(op("consts", sleb128(number))) == number & MASK


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_fixed_numbers_are_extended_by_their_sign(size: int) -> None:
    high = b"\xfe" + b"\xff" * (size - 1)
    assert computed(op(f"const{size}u", high)) == int.from_bytes(high, "little")
    assert computed(op(f"const{size}s", high)) == MASK - 1


def test_stack_operations() -> None:
    three = op("lit1") + op("lit2") + op("lit3")
    digits = op("lit10") + op("mul") + op("plus") + op("lit10") + op("mul") + op("plus")  # top counts most
    assert computed(three + digits) == 321
    assert computed(three + op("swap") + digits) == 231
    assert computed(three + op("drop") + op("dup") + digits) == 221
    assert computed(op("lit1") + op("lit2") + op("over") + digits) == 121
    assert computed(three + op("rot") + digits) == 213
    assert computed(three + op("pick", b"\2")) == 1


# --- locations --------------------------------------------------------------------------------------------------------

LOCATIONS: dict[str, tuple[bytes, Location | None]] = {
    "register": (op("reg6"), InRegister(6)),
    "register by number": (op("regx", b"\3"), InRegister(3)),
    "register that BPF lacks": (op("reg11"), None),
    "memory at a register": (op("breg2", sleb128(-4)), MemoryAt(28)),
    "memory at a register by number": (op("bregx", b"\2", sleb128(4)), MemoryAt(36)),
    "frame": (op("fbreg", sleb128(8)), MemoryAt(0x5000 - 56)),
    "frame by its register": (op("breg10", sleb128(8)), MemoryAt(0x5000 - 56)),
    "address of a variable": (op("fbreg", b"\x08") + op("stack_value"), Constant((0x5000 - 56).to_bytes(8, "little"))),
    "behind a pointer": (const(0x1000) + op("deref") + op("plus_uconst", b"\1"), MemoryAt(0x1122_3344_5566_7789)),
    "two bytes behind a pointer": (const(0x1000) + op("deref_size", b"\2"), MemoryAt(0x7788)),
    "memory that is not there": (const(0x3000) + op("deref"), None),
    "value": (op("implicit_value", b"\2", b"\1\2"), Constant(b"\1\2")),
    "global": (op("addrx", b"\0"), MemoryAt(0x9000 + 24)),
    "global by address": (op("addr", (2 << 32 | 8).to_bytes(8, "little")), MemoryAt(0x9008)),
    "global in a section that is nowhere": (op("addr", (1 << 32).to_bytes(8, "little")), None),
    "address outside the table": (op("addrx", b"\7"), None),
    "of the caller": (op("entry_value", b"\1", op("reg1")) + op("stack_value"), None),
    "nothing": (b"", None),
    "unknown operation": (b"\x01", None),
    "cut off": (op("const8u", b"\1\2"), None),
    "empty stack": (op("plus"), None),
    "something behind a register": (op("reg1") + op("lit1"), None),
}


@pytest.mark.parametrize("name", LOCATIONS)
def test_location(name: str) -> None:
    expression, expected = LOCATIONS[name]
    assert evaluate(expression, context()) == expected


def test_register_that_is_not_known() -> None:
    registers = [None] * 11
    assert evaluate(op("breg3", b"\0"), context(registers=registers)) is None
    assert evaluate(op("reg3"), context(registers=registers)) == InRegister(3)
    assert evaluate(op("fbreg", b"\0"), context(registers=registers, frame_base=None)) is None


def test_pieces() -> None:
    expression = (
        op("reg1") + op("piece", b"\4") + op("piece", b"\2") + op("lit5") + op("stack_value") + op("piece", b"\1")
        + op("breg10", b"\4") + op("plus_uconst", b"\2") + op("piece", b"\1")
    )  # fmt: skip
    assert evaluate(expression, context()) == Pieces(
        (
            Piece(InRegister(1), 4),
            Piece(None, 2),
            Piece(Constant(b"\5"), 1),
            Piece(MemoryAt(0x5000 - 64 + 6), 1),
        )
    )


def test_pieces_of_bits_that_are_bytes() -> None:
    expression = op("lit7") + op("bit_piece", b"\x10\x08")
    assert evaluate(expression, context()) == Pieces((Piece(MemoryAt(8), 2),))
    assert evaluate(op("lit7") + op("bit_piece", b"\x03\0"), context()) is None


def test_conversions_widen_by_the_sign_of_the_narrow_type() -> None:
    """What LLVM writes for (long)(signed char)x and (unsigned long)(unsigned char)x."""
    value = op("constu", uleb128(0x1FE))
    assert computed(value + op("convert", b"\x0a") + op("convert", b"\x0c")) == MASK - 1
    assert computed(value + op("convert", b"\x0b") + op("convert", b"\x0c")) == 0xFE
    assert computed(value + op("convert", b"\x0a") + op("convert", b"\0")) == MASK - 1
    assert evaluate(value + op("convert", b"\x0d") + op("stack_value"), context()) is None


def test_jumps() -> None:
    to_two = op("bra", (4).to_bytes(2, "little"))  # over lit1 and the jump behind it
    chosen = to_two + op("lit1") + op("skip", (1).to_bytes(2, "little")) + op("lit2")
    assert computed(op("lit0") + chosen) == 1
    assert computed(op("lit1") + chosen) == 2
    assert evaluate(op("skip", (-3).to_bytes(2, "little", signed=True)), context()) is None
    assert evaluate(op("skip", (1).to_bytes(2, "little")) + op("lit1"), context()) is None


def test_offsets_from_the_frame() -> None:
    assert frame_offsets(op("fbreg", sleb128(-16))) == (-16,)
    assert frame_offsets(op("breg10", b"\4") + op("piece", b"\1") + op("breg1", b"\5")) == (4,)
    assert frame_offsets(b"\xff") == ()
    assert frame_offset(op("fbreg", sleb128(300))) == 300
    assert frame_offset(op("fbreg", b"\0") + op("stack_value")) is None
    assert frame_offset(b"\xff") is None


# --- hostile bytes ----------------------------------------------------------------------------------------------------

pieces_of_code = st.lists(
    st.sampled_from(sorted(OPERATIONS)).map(lambda code: bytes([code])) | st.binary(max_size=4), max_size=30
)


@given(expression=st.binary(max_size=64) | pieces_of_code.map(b"".join))
def test_any_bytes_have_a_location_or_none(expression: bytes) -> None:
    location = evaluate(expression, context())
    assert location is None or isinstance(location, MemoryAt | InRegister | Constant | Pieces)
    assert all(isinstance(offset, int) for offset in frame_offsets(expression))


@pytest.mark.parametrize(
    "expression",
    [
        op("lit1") + op("skip", (-4).to_bytes(2, "little", signed=True)),
        op("lit1") + op("dup") + op("shl") + op("skip", (-5).to_bytes(2, "little", signed=True)),
        op("lit2") + op("dup") + op("mul") + op("skip", (-5).to_bytes(2, "little", signed=True)),
        op("lit1") * 100_000,
        op("piece", uleb128(1 << 60)),
        op("implicit_value", uleb128(1 << 60)),
    ],
)
def test_expressions_without_end_are_unknown(expression: bytes) -> None:
    assert evaluate(expression, context()) is None
