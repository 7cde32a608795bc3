"""The kernel's printf: by hand, and against bpf_snprintf in the kernel."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from support.helper_calls import Answer, Argument, Caller, KernelCaller, Memory, Pointers

from pybpftime.helpers.format import FormatError, format_text
from pybpftime.kernel import KernelRejection

EINVAL, ENOSPC = 22, 28
MAX = (1 << 64) - 1


def text_of(caller: Caller, format: bytes, *values: int | bytes) -> bytes:
    """Bytes are placed in memory and their address is the value."""
    numbers = [caller.place(Memory(value)) if isinstance(value, bytes) else value & MAX for value in values]
    return format_text(caller.machine, format, numbers)


@pytest.mark.parametrize(
    ("format", "values", "text"),
    [
        (b"plain \n\t text", (), b"plain \n\t text"),
        (b"100%%", (), b"100%"),
        (b"%d %i %u", (-1, 1 << 31, -1), b"-1 -2147483648 4294967295"),
        (b"%ld %lld %lu", (-1, 1 << 63, -1), b"-1 -9223372036854775808 18446744073709551615"),
        (b"%x %X %lx %llX", (0xABCDEF, 0xABCDEF, MAX, MAX), b"abcdef ABCDEF ffffffffffffffff FFFFFFFFFFFFFFFF"),
        (b"[%5d][%-5d][%05d][%+d][% d][%+5d]", (42, 42, -42, 42, 42, -42), b"[   42][42   ][-0042][+42][ 42][  -42]"),
        (b"[%+u][% x][%-05x]", (1, 1, 1), b"[1][1][1    ]"),
        (b"[%c%c][%3c][%-3c]", (65, 0x142, 66, 66), b"[AB][  B][B  ]"),
        (b"%px", (0xFFFF_8880_0000_1234,), b"ffff888000001234"),
        (b"[%4px][%020px]", (0x12, 0x12), b"[  12][00000000000000000012]"),
        (b"%p", (0,), b"0000000000000000"),
        (b"%p", (MAX,), b"ffffffffffffffff"),
        (b"%pB %ps", (0x1234, 0x1234), b"0x1234 0x1234"),
        (b"%pI4 %pi4", (bytes([10, 0, 0, 255]),) * 2, b"10.0.0.255 010.000.000.255"),
        (b"%pI6", (bytes(range(16)),), b"0001:0203:0405:0607:0809:0a0b:0c0d:0e0f"),
        (b"%pi6", (bytes(range(16)),), b"000102030405060708090a0b0c0d0e0f"),
        (b"%pI4", (8,), b"0.0.0.0"),
        (b"%s|%pks|%s", (b"one\0", b"two\0", 16), b"one|two|"),
        (b"[%5s][%-5s][%5pks]", (b"abc\0",) * 3, b"[  abc][abc  ][abc]"),
        (b"%pxyz%d", (1, 2), b"00000000000000012"),  # letters behind %p belong to it
    ],
)  # fmt: skip
def test_text(caller: Caller, format: bytes, values: Sequence[int | bytes], text: bytes) -> None:
    assert text_of(caller, format, *values) == text


@pytest.mark.parametrize(
    "format",
    [
        *(b"%", b"%d %d", b"%q", b"%h", b"%hd", b"%.3d", b"%*d", b"%#x", b"%pa", b"%pI5", b"%pksa", b"%sa", b"% "),
        *(b"%lc", b"%ls", b"%lp", b"%l", b"%5", b"%o", b"%n", b"%f", b"%e", b"%pi", b"%pku", b"%\x80", b"%llld"),
        *(b"\x01", b"\x7f"),
    ],
)
def test_bad_formats(caller: Caller, format: bytes) -> None:
    with pytest.raises(FormatError) as error:
        text_of(caller, format, 0)
    assert error.value.errno == EINVAL


def test_addresses_are_hashed_to_32_bits(caller: Caller) -> None:
    text = text_of(caller, b"%p", 0xFFFF_8880_0000_1234)
    assert len(text) == 16
    assert text.startswith(b"00000000")
    assert text == text_of(caller, b"%pK", 0xFFFF_8880_0000_1234)
    assert text != text_of(caller, b"%p", 0xFFFF_8880_0000_1235)


def test_strings_share_a_limited_space(caller: Caller) -> None:
    long = b"x" * 600 + b"\0"
    assert text_of(caller, b"%s", long) == b"x" * 511
    assert text_of(caller, b"%d%s", 1, long) == b"1" + b"x" * 507
    for format in (b"%s%s", b"%s%d", b"%s%c", b"%s%pI4", b"%s%px"):
        with pytest.raises(FormatError) as error:
            text_of(caller, format, long, long)
        assert error.value.errno == ENOSPC


def test_strings_of_user_space(caller: Caller) -> None:
    caller.environment.user_memory = lambda address, length: (b"abc\0" * 2048)[address - 4096 :][:length]
    assert text_of(caller, b"%s %pus %pks", 4096, 4097, 4096) == b"abc bc "


def test_huge_widths_are_what_the_kernel_makes_of_them(caller: Caller) -> None:
    assert text_of(caller, b"%16777219d", 1) == b"  1"  # a field of 24 bits
    assert text_of(caller, b"%" + b"9" * 9_999 + b"d", 1).strip() == b"1"


# --- bpf_snprintf -----------------------------------------------------------------------------------------------------


def snprintf_here(format: bytes, values: tuple[int | Memory, ...], size: int) -> Answer:
    return Caller().call("bpf_snprintf", *snprintf_arguments(format, values, size))


def snprintf_arguments(format: bytes, values: tuple[int | Memory, ...], size: int) -> tuple[Argument, ...]:
    numbers: Argument = Pointers(values) if values else 0
    return Memory(b"\xaa" * 80), size, Memory(format + b"\0", constant=True), numbers, 8 * len(values)


def test_snprintf_cuts_and_tells_the_whole_length(caller: Caller) -> None:
    target, size, format, values, values_size = snprintf_arguments(b"hello %d", (12345,), 8)
    answer = caller.call("bpf_snprintf", target, size, format, values, values_size)
    assert answer.r0 == 12
    assert answer.memories[0] == b"hello 1\0" + b"\xaa" * 72
    assert caller.call("bpf_snprintf", 0, 0, format, values, values_size).r0 == 12


@pytest.mark.parametrize("size", [7, 8 * 13])
def test_snprintf_takes_up_to_twelve_numbers(caller: Caller, size: int) -> None:
    format = Memory(b"x\0", constant=True)
    assert caller.call("bpf_snprintf", 0, 0, format, Memory(bytes(200)), size).signed == -EINVAL


numbers = st.sampled_from(["d", "i", "u", "x", "X", "ld", "lu", "lx", "lld", "llu", "llX", "c"])
pointers = st.sampled_from(["s", "pks", "px", "pI4", "pi4", "pI6", "pi6", "ps", "pS", "pB"])
conversions = st.builds(
    lambda flags, width, letter, end: f"%{flags}{width}{letter}{end}",
    st.text("0+- ", max_size=3),
    st.sampled_from(["", "", "1", "5", "17", "20", "123"]),
    st.one_of(numbers, pointers),
    st.sampled_from([" ", " ", ",", "|", "\n", "%%", ""]),
)
broken = st.text("%dsulxpcKIi46ktB0+- 5.#*hq\x01\x7f", max_size=8)
literals = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=4)
formats = st.one_of(
    st.lists(conversions, max_size=6).map("".join),
    st.lists(st.one_of(conversions, broken), max_size=4).map("".join),
    st.lists(st.one_of(conversions, literals), max_size=4).map("".join),
).map(lambda text: text.encode("latin-1"))
words = st.one_of(
    st.integers(0, MAX),
    st.sampled_from([0, 1, 9, 10, MAX, 1 << 31, (1 << 31) - 1, 1 << 63, 1 << 32]),
    st.binary(max_size=20).map(lambda content: Memory(content + bytes(17))),
    st.just(Memory(b"y" * 505 + b"\0")),
)


def is_printed_by_hash(format: bytes) -> bool:
    """%p and %pK show what only this kernel knows: a format where letters follow is compared nevertheless."""
    rest = format.replace(b"%%", b"").split(b"%")[1:]
    return any(
        piece.lstrip(b"0123456789+- ").startswith(b"p")
        and piece.lstrip(b"0123456789+- ")[1:2] not in (b"k", b"u", b"x", b"I", b"i", b"s", b"S", b"B")
        for piece in rest
    )


def has_address(format: bytes) -> bool:
    """Where memory lies is not the same here and in the kernel: numbers made of an address are not compared."""
    return any(letter in format for letter in (b"d", b"i", b"u", b"x", b"X", b"c", b"S", b"B", b"ps"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(format=formats, values=st.lists(words, max_size=6).map(tuple), size=st.sampled_from([80, 80, 80, 1, 2, 9, 30]))
@example(format=b"%s%d", values=(Memory(b"y" * 511 + b"\0"), 1), size=80)
@example(format=b"%s", values=(Memory(b"y" * 600 + b"\0"),), size=80)
@example(format=b"%pI4 %d", values=(Memory(bytes(4)), 5), size=80)
@example(format=b"caf\xc3\xa9 %d", values=(5,), size=80)
def test_snprintf_as_the_kernel(
    in_kernel: KernelCaller, format: bytes, values: tuple[int | Memory, ...], size: int
) -> None:
    if is_printed_by_hash(format) or (has_address(format) and any(isinstance(value, Memory) for value in values)):
        values = tuple(value if isinstance(value, int) else 0 for value in values)
    if is_printed_by_hash(format):
        values = (0,) * len(values)
    here = snprintf_here(format, values, size)
    try:
        there = in_kernel.call("bpf_snprintf", *snprintf_arguments(format, values, size))
    except KernelRejection as refusal:
        # A bad format is refused when the program is loaded.
        event("refused")
        assert "Invalid format string" in refusal.log, refusal.log
        assert here.signed in (-EINVAL, -ENOSPC)  # whichever our one pass meets first
        return
    event("formatted")
    assert here.memories == there.memories
    if not (here.r0 > size and any(made in format for made in (b"pI", b"pi", b"pk", b"pB"))):
        assert here.r0 == there.r0


# --- bpf_trace_printk -------------------------------------------------------------------------------------------------


def test_trace_printk(caller: Caller) -> None:
    lines: list[str] = []
    caller.environment.printk = lines.append
    format = Memory(b"%d %s\n\0ignored")
    place = caller.place(Memory(b"name\0"))
    assert caller.call("bpf_trace_printk", format, 14, 7, place).r0 == 7
    assert lines == caller.machine.effects.printk == ["7 name"]


@pytest.mark.parametrize(("format", "size"), [(b"no end", 6), (b"%d %d %d %d\0", 12), (b"%y\0", 3), (b"\1\0", 2)])
def test_trace_printk_refuses(caller: Caller, format: bytes, size: int) -> None:
    assert caller.call("bpf_trace_printk", Memory(format), size, 0, 0, 0).signed == -EINVAL
    assert caller.machine.effects.printk == []


def test_trace_printk_takes_arguments_that_were_never_written(caller: Caller) -> None:
    assert caller.call("bpf_trace_printk", Memory(b"%d\0"), 3, None, None, None).r0 == 1
    assert caller.machine.effects.printk == ["0"]


def test_messages_are_cut_and_their_length_is_told(caller: Caller) -> None:
    assert caller.call("bpf_trace_printk", Memory(b"%2000d\0"), 7, 1).r0 == 2000
    assert caller.machine.effects.printk == [" " * 1023]


def test_trace_vprintk(caller: Caller) -> None:
    values = struct.pack("<4Q", 1, 2, 3, 4)
    assert caller.call("bpf_trace_vprintk", Memory(b"%d%d%d%d\0"), 9, Memory(values), 32).r0 == 4
    assert caller.call("bpf_trace_vprintk", Memory(b"none\0"), 5, 0, 0).r0 == 4
    assert caller.machine.effects.printk == ["1234", "none"]
    assert caller.call("bpf_trace_vprintk", Memory(b"x\0"), 2, Memory(values), 12).signed == -EINVAL
