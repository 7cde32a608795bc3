"""bpf_strtol, bpf_strtoul, bpf_strncmp: by hand, and against the kernel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.helper_calls import Answer, Caller, Memory

from pybpftime.errors import Fault, FaultKind

ERANGE, EINVAL = -34, -22


@pytest.mark.parametrize(
    ("text", "base", "value", "consumed"),
    [
        (b"0", 0, 0, 1),
        (b"42", 0, 42, 2),
        (b"  -42x", 10, -42, 5),
        (b"0x1F ", 0, 31, 4),
        (b"0x1F", 16, 31, 4),
        (b"0x", 0, 0, 1),
        (b"077", 0, 63, 3),
        (b"08", 0, 0, 1),
        (b"12\x003", 10, 12, 2),
        (b"9223372036854775807", 10, (1 << 63) - 1, 19),
        (b"-9223372036854775808", 10, -(1 << 63), 20),
        (b"9223372036854775808", 10, 0, ERANGE),
        (b"-9223372036854775809", 10, 0, ERANGE),
        (b"18446744073709551616", 10, 0, ERANGE),
        (b"", 10, 0, None),
        (b"x", 10, 0, EINVAL),
        (b"-", 10, 0, EINVAL),
        (b"+1", 10, 0, EINVAL),
        (b"0x", 16, 0, EINVAL),
        (b"1", 7, 0, EINVAL),
        (b"1", 0x100, 0, EINVAL),
        (b"0" * 100 + b"1", 10, 0, 63),
    ],
)
def test_strtol(caller: Caller, text: bytes, base: int, value: int, consumed: int | None) -> None:
    arguments = (Memory(text or b"?"), len(text), base, Memory(b"\xaa" * 8))
    if consumed is None:
        with pytest.raises(Fault, match=r"argument 2 \(size, r2\) is 0"):
            caller.call("bpf_strtol", *arguments)
        return
    answer = caller.call("bpf_strtol", *arguments)
    assert answer.signed == consumed
    assert int.from_bytes(answer.memories[1], "little", signed=True) == value


def test_strtoul_refuses_a_minus_sign(caller: Caller) -> None:
    assert caller.call("bpf_strtoul", Memory(b"-1"), 2, 10, Memory(bytes(8))).signed == EINVAL
    answer = caller.call("bpf_strtoul", Memory(b"18446744073709551615"), 20, 10, Memory(bytes(8)))
    assert answer == Answer(20, (b"18446744073709551615", b"\xff" * 8))


def test_the_result_must_be_aligned(caller: Caller) -> None:
    text, result = caller.place(Memory(b"1")), caller.place(Memory(bytes(16)))
    with pytest.raises(Fault, match="not aligned to 8") as fault:
        caller.call_with("bpf_strtol", text, 1, 10, result + 4)
    assert fault.value.kind is FaultKind.ALIGNMENT


numbers = st.one_of(
    st.integers(-(1 << 65), 1 << 65).map(lambda number: b"%d" % number),
    st.integers(0, 1 << 65).map(lambda number: b"0x%x" % number),
    st.integers(0, 1 << 65).map(lambda number: b"0%o" % number),
    st.text("0123456789abxX-+ \t\n\xa0gz\0", min_size=1, max_size=70).map(lambda text: text.encode("latin-1")),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["bpf_strtol", "bpf_strtoul"]),
    text=st.builds(lambda front, number, back: front + number + back, st.sampled_from([b"", b" ", b"\t-"]), numbers,
                   st.sampled_from([b"", b"\0", b" x"])),
    flags=st.sampled_from([0, 8, 10, 16, 16, 0, 7, 32, 1 << 40]),
)  # fmt: skip
def test_numbers_as_the_kernel(
    both_sides: Callable[..., tuple[Answer, Answer]], name: str, text: bytes, flags: int
) -> None:
    here, there = both_sides(name, Memory(text), len(text), flags, Memory(b"\xaa" * 8))
    assert here == there


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [
        (b"abc", b"abc", 0),
        (b"abc", b"abd", -1),
        (b"abd", b"abc", 1),
        (b"abc", b"abcd", 0),  # no more than the size is compared
        (b"abc\0", b"abcd", -1),
        (b"ab\0x", b"ab", 0),
        (b"\xff", b"\x01", 1),
        (b"\0", b"", 0),
    ],
)
def test_strncmp(caller: Caller, first: bytes, second: bytes, order: int) -> None:
    answer = caller.call("bpf_strncmp", Memory(first), len(first), Memory(second + b"\0", constant=True))
    assert answer.signed == order


def test_the_second_string_must_be_constant_and_end(caller: Caller) -> None:
    with pytest.raises(Fault, match=r"argument 3 \(second, r3\) is test memory, not a string in read-only data"):
        caller.call("bpf_strncmp", Memory(b"a"), 1, Memory(b"a\0"))
    with pytest.raises(Fault, match="a string without a terminating 0"):
        caller.call("bpf_strncmp", Memory(b"a"), 1, Memory(b"a", constant=True))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.binary(min_size=1, max_size=6), second=st.binary(max_size=6), same=st.integers(0, 6))
def test_strncmp_as_the_kernel(
    both_sides: Callable[..., tuple[Answer, Answer]], first: bytes, second: bytes, same: int
) -> None:
    second = first[:same] + second
    here, there = both_sides("bpf_strncmp", Memory(first), len(first), Memory(second + b"\0", constant=True))
    assert here == there
