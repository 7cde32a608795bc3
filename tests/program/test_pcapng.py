from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.errors import InputError
from pybpftime.program.capture import MAX_PACKET, Packet, Source
from pybpftime.program.pcapng import read_pcapng

FRAME = bytes(range(61))  # padded by three bytes
EVERY_ORDER = pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<", *, major: int = 1, options: bytes = b"") -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, major, 0, -1) + options)


def interface(order: str = "<", *, link_type: int = 1, snap_length: int = 0, options: bytes = b"") -> bytes:
    return block(order, 1, struct.pack(f"{order}HHI", link_type, 0, snap_length) + options)


def enhanced(
    data: bytes, order: str = "<", *, index: int = 0, ticks: int = 0, original: int | None = None, options: bytes = b""
) -> bytes:
    length = len(data) if original is None else original
    fixed = struct.pack(f"{order}IIIII", index, ticks >> 32, ticks & 0xFFFFFFFF, len(data), length)
    return block(order, 6, fixed + data + bytes(-len(data) % 4) + options)


def read(data: bytes) -> list[Packet]:
    return list(read_pcapng(Source(io.BytesIO(data), "capture")))


@EVERY_ORDER
def test_enhanced_packet(order: str) -> None:
    comment = option(order, 1, b"comment") + option(order, 0, b"")
    content = section(order, options=comment) + interface(order, options=comment)
    content += enhanced(FRAME, order, ticks=1_700_000_000_123_456, original=1500, options=comment)
    assert read(content) == [Packet(FRAME, 1_700_000_000_123_456_000, 0, 1500, 1)]


@EVERY_ORDER
def test_obsolete_packet(order: str) -> None:
    fixed = struct.pack(f"{order}HHIIII", 1, 7, 1, 2, len(FRAME), 99)
    content = section(order) + interface(order) * 2 + block(order, 2, fixed + FRAME)
    assert read(content) == [Packet(FRAME, ((1 << 32) + 2) * 1000, 1, 99, 1)]


@EVERY_ORDER
@pytest.mark.parametrize(("snap_length", "captured"), [(0, 61), (61, 61), (65535, 61), (10, 10)])
def test_simple_packet_is_as_long_as_the_snapshot_length_allows(order: str, snap_length: int, captured: int) -> None:
    simple = block(order, 3, struct.pack(f"{order}I", 61) + FRAME[:captured])
    content = section(order) + interface(order, snap_length=snap_length) + simple
    assert read(content) == [Packet(FRAME[:captured], None, 0, 61, 1)]


@pytest.mark.parametrize(
    ("resolution", "ticks", "nanoseconds"),
    [
        (6, 1_500_000, 1_500_000_000),
        (9, 1_500_000_001, 1_500_000_001),
        (0, 3, 3_000_000_000),
        (12, 1_999, 1),  # picoseconds are rounded down
        (0x80 | 10, 1024 + 512, 1_500_000_000),
        (0x80 | 127, 1 << 63, 0),
        (127, (1 << 64) - 1, 0),
    ],
)
def test_time_resolution_of_an_interface(resolution: int, ticks: int, nanoseconds: int) -> None:
    described = interface(options=option("<", 9, bytes([resolution])))
    [packet] = read(section() + described + enhanced(b"", ticks=ticks))
    assert packet.timestamp_ns == nanoseconds


@EVERY_ORDER
def test_time_offset_of_an_interface(order: str) -> None:
    described = interface(order, options=option(order, 14, struct.pack(f"{order}q", -2)))
    [packet] = read(section(order) + described + enhanced(b"", order, ticks=5_000_001))
    assert packet.timestamp_ns == 3_000_001_000


def test_options_after_the_end_mark_do_not_count() -> None:
    options = option("<", 0, b"") + option("<", 9, b"\x00")
    [packet] = read(section() + interface(options=options) + enhanced(b"", ticks=1))
    assert packet.timestamp_ns == 1000


def test_section_starts_byte_order_and_interfaces_anew() -> None:
    nanoseconds = option(">", 9, b"\x09")
    content = section() + interface() * 2 + enhanced(b"a", index=1, ticks=1)
    content += section(">") + interface(">", options=nanoseconds) + enhanced(b"b", ">", ticks=1)
    assert read(content) == [Packet(b"a", 1000, 1, 1, 1), Packet(b"b", 1, 0, 1, 2)]
    with pytest.raises(InputError, match="a packet of interface 1, but the section has described 0"):
        read(content + section() + enhanced(b"", index=1))


@EVERY_ORDER
def test_other_blocks_are_passed_over(order: str) -> None:
    other = block(order, 4, b"name resolution!") + block(order, 0x8000_0001, b"") + block(order, 5, bytes(100_000))
    content = section(order) + other + interface(order) + other + enhanced(FRAME, order) + other
    assert [packet.data for packet in read(content)] == [FRAME]


def test_interface_that_is_not_ethernet_is_refused_at_its_first_packet() -> None:
    content = section() + interface() + interface(link_type=276) + enhanced(FRAME)
    assert len(read(content)) == 1
    with pytest.raises(InputError, match=r"link type 276 \(LINUX_SLL2, Linux cooked\) is not Ethernet") as caught:
        read(content + enhanced(FRAME, index=1))
    assert caught.value.offset == len(section() + interface()) + 8


END_OF_SECTION = len(section())
END_OF_INTERFACE = len(section() + interface())


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        (interface(), "does not begin with a section header", 0),
        (b"\x0a\x0d\x0d\x0a" + b"\x1c\0\0\0" + b"nope" + bytes(16), "without the byte order magic", 8),
        (section(major=2), "pcapng version 2.0 is unknown", 12),
        (section()[:20], "ends within a section header", 12),
        (section()[:-1], "ends within a block: 4 bytes are needed, 3 are left", 24),
        (section() + b"\1\0", "ends within a block's type", END_OF_SECTION),
        (section() + b"\1\0\0\0\1", "ends within a block's length", END_OF_SECTION + 4),
        (section() + struct.pack("<II", 9, 8) + bytes(8), "a block cannot be 8 bytes long", END_OF_SECTION + 4),
        (section() + struct.pack("<II", 9, 13) + bytes(8), "a block cannot be 13 bytes long", END_OF_SECTION + 4),
        (section() + struct.pack("<II", 9, 2**32 - 4) + bytes(99), "ends within a block", END_OF_SECTION + 8),
        (
            section() + struct.pack("<III", 9, 12, 16),
            "a block's length is 12 at its start and 16 at its end",
            END_OF_SECTION + 8,
        ),
        (section() + block("<", 1, b"\1\0"), "an interface description needs 8 bytes", END_OF_SECTION + 8),
        (section() + interface(options=b"\1\0\xff\0"), "an option needs 256 bytes", END_OF_SECTION + 20),
        (section() + interface(options=option("<", 9, b"12")), "option 9 of an interface", END_OF_SECTION + 24),
        (section() + interface(options=option("<", 14, b"1234567")), "option 14 of an interface", END_OF_SECTION + 28),
        (section() + block("<", 1, bytes(2 << 20)), "2097144 bytes of options", END_OF_SECTION + 16),
        (section() + enhanced(FRAME), "a packet of interface 0, but the section has described 0", END_OF_SECTION),
        (
            section() + interface() + block("<", 6, bytes(16)),
            "an enhanced packet block needs 20 bytes",
            END_OF_INTERFACE + 8,
        ),
        (
            section() + interface() + block("<", 6, struct.pack("<IIIII", 0, 0, 0, 9, 9) + b"1234567"),
            "packet 1 needs 9 bytes, the block that starts at byte 0x30 has 8 left",
            END_OF_INTERFACE + 28,
        ),
        (
            section() + interface() + block("<", 6, struct.pack("<IIIII", 0, 0, 0, MAX_PACKET + 1, 0)),
            "packet 1 claims 262145 bytes",
            END_OF_INTERFACE + 20,
        ),
        (
            section() + interface() + block("<", 3, b"\xff" * 4),
            "packet 1 claims 4294967295 bytes",
            END_OF_INTERFACE + 8,
        ),
    ],
)
def test_malformed_is_an_input_error_at_its_offset(data: bytes, reason: str, offset: int) -> None:
    with pytest.raises(InputError) as caught:
        read(data)
    assert reason in caught.value.reason
    assert (caught.value.file, caught.value.offset) == ("capture", offset)


def test_interfaces_are_limited_in_number() -> None:
    assert read(section() + interface() * 4_096) == []
    with pytest.raises(InputError, match="more than 4096 interfaces"):
        read(section() + interface() * 4_097)


def test_blocks_are_passed_over_in_small_steps() -> None:
    class Careful(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 <= size <= 65_536
            return super().read(size)

    content = section() + block("<", 77, bytes(3 << 20)) + interface() + enhanced(FRAME)
    assert [packet.data for packet in read_pcapng(Source(Careful(content), None))] == [FRAME]


@given(
    st.sampled_from("<>"),
    st.lists(st.tuples(st.binary(max_size=70), st.integers(0, 2**64 - 1), st.integers(0, 3)), max_size=6),
)
def test_packets_in_order(order: str, contents: list[tuple[bytes, int, int]]) -> None:
    data = section(order) + interface(order) * 4
    data += b"".join(enhanced(content, order, ticks=ticks, index=index) for content, ticks, index in contents)
    assert read(data) == [
        Packet(content, ticks * 1000, index, len(content), number)
        for number, (content, ticks, index) in enumerate(contents, start=1)
    ]


@given(st.data())
def test_damaged_captures_raise_nothing_but_input_errors(data: st.DataObject) -> None:
    order = data.draw(st.sampled_from("<>"))
    described = interface(
        order, options=option(order, 9, b"\x09") + option(order, 14, bytes(8)) + option(order, 0, b"")
    )
    simple = block(order, 3, struct.pack(f"{order}I", 61) + FRAME)
    obsolete = block(order, 2, struct.pack(f"{order}HHIIII", 0, 0, 0, 0, 4, 4) + b"abcd")
    content = bytearray(
        section(order) + described + enhanced(FRAME, order) + simple + obsolete + block(order, 5, b"1234")
    )
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    kept = bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read(kept)
    except InputError as error:
        assert error.offset is not None
        assert 0 <= error.offset <= len(kept)
