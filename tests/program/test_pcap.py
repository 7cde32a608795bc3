from __future__ import annotations

import io
import itertools
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.errors import HostError, InputError
from pybpftime.program.capture import MAX_PACKET, Packet, Source
from pybpftime.program.pcap import PCAP_MAGICS, read_pcap, write_pcap

FRAME = bytes(range(60))
EVERY_MAGIC = pytest.mark.parametrize("magic", PCAP_MAGICS, ids=bytes.hex)


def header(order: str, magic: int = 0xA1B2C3D4, major: int = 2, link_type: int = 1) -> bytes:
    return struct.pack(f"{order}IHHiIII", magic, major, 4, 0, 0, 65535, link_type)


def record(order: str, seconds: int, fraction: int, data: bytes, original: int | None = None) -> bytes:
    length = len(data) if original is None else original
    return struct.pack(f"{order}IIII", seconds, fraction, len(data), length) + data


def read(data: bytes) -> list[Packet]:
    return list(read_pcap(Source(io.BytesIO(data), "capture")))


@EVERY_MAGIC
def test_both_orders_and_both_units(magic: bytes) -> None:
    order, unit = PCAP_MAGICS[magic]
    rest = (
        header(order)[4:] + record(order, 1_700_000_000, 123_456, FRAME) + record(order, 1, 2, b"\xff", original=1500)
    )
    assert read(magic + rest) == [
        Packet(FRAME, 1_700_000_000_000_000_000 + 123_456 * unit, 0, 60, 1),
        Packet(b"\xff", 1_000_000_000 + 2 * unit, 0, 1500, 2),
    ]


def test_capture_without_packets() -> None:
    assert read(header("<")) == []


def test_truncation_by_the_snapshot_length_is_noted() -> None:
    [cut, whole] = read(header("<") + record("<", 0, 0, FRAME, original=9000) + record("<", 0, 0, FRAME))
    assert (cut.truncated, cut.original_length) == (True, 9000)
    assert (whole.truncated, whole.original_length) == (False, 60)


def test_original_length_is_never_below_what_was_captured() -> None:
    [packet] = read(header("<") + record("<", 0, 0, FRAME, original=3))
    assert packet.original_length == 60


def test_frame_check_bits_beside_the_link_type_are_no_part_of_it() -> None:
    assert read(header("<", link_type=0x5400_0001) + record("<", 0, 0, FRAME))[0].data == FRAME


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        (b"\x00" * 24, "no pcap file", 0),
        (header("<")[:23], "ends within the pcap file header: 24 bytes are needed, 23 are left", 0),
        (header(">", major=3), "pcap version 3.4 is unknown", 4),
        (header("<", link_type=113), "link type 113 (LINUX_SLL, Linux cooked) is not Ethernet", 20),
        (header("<", link_type=4711), "link type 4711 is not Ethernet", 20),
        (header("<") + bytes(15), "ends within the header of packet 1: 16 bytes are needed, 15 are left", 24),
        (header("<") + record("<", 0, 0, FRAME)[:-1], "ends within packet 1: 60 bytes are needed, 59 are left", 40),
        (header("<") + struct.pack("<IIII", 0, 0, MAX_PACKET + 1, 0), "packet 1 claims 262145 bytes", 32),
        (header(">") + record(">", 0, 0, FRAME) + struct.pack(">IIII", 0, 0, 2**32 - 1, 0), "packet 2 claims", 108),
    ],
)
def test_malformed_is_an_input_error_at_its_offset(data: bytes, reason: str, offset: int) -> None:
    with pytest.raises(InputError) as caught:
        read(data)
    assert reason in caught.value.reason
    assert (caught.value.file, caught.value.offset) == ("capture", offset)


def test_packets_before_the_damage_are_handed_out() -> None:
    packets = read_pcap(Source(io.BytesIO(header("<") + record("<", 5, 0, FRAME) + b"cut"), None))
    assert next(packets).data == FRAME
    with pytest.raises(InputError):
        next(packets)


class Endless(io.BytesIO):
    """A capture that never ends, and remembers how much was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.content = itertools.chain(header("<"), itertools.cycle(record("<", 1, 1, FRAME)))
        self.consumed = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 <= size <= MAX_PACKET
        self.consumed += size
        return bytes(itertools.islice(self.content, size))


def test_no_more_is_read_than_was_asked_for() -> None:
    stream = Endless()
    packets = list(itertools.islice(read_pcap(Source(stream, None)), 100))
    assert [packet.number for packet in packets] == list(range(1, 101))
    assert stream.consumed == 24 + 100 * (16 + 60)


def test_hostile_length_costs_no_memory() -> None:
    stream = Endless()
    stream.content = itertools.chain(header("<"), b"\xff" * 16, itertools.repeat(0))
    with pytest.raises(InputError, match="claims 4294967295 bytes"):
        list(read_pcap(Source(stream, None)))
    assert stream.consumed == 24 + 16


packets_with_time = st.lists(
    st.builds(
        Packet,
        data=st.binary(max_size=100),
        timestamp_ns=st.integers(0, (1 << 32) * 10**9 - 1),
        original_length=st.integers(0, 2**32 - 1),
    ),
    max_size=8,
)


@given(packets_with_time)
def test_what_is_written_is_read_back(packets: list[Packet]) -> None:
    stream = io.BytesIO()
    assert write_pcap(stream, packets) == len(packets)
    back = read(stream.getvalue())
    assert [(p.data, p.timestamp_ns, p.original_length) for p in back] == [
        (p.data, p.timestamp_ns, p.original_length) for p in packets
    ]
    assert [p.number for p in back] == list(range(1, len(packets) + 1))


def test_packet_without_time_is_written_with_zero(tmp_path: Path) -> None:
    assert write_pcap(tmp_path / "out.pcap", [Packet(FRAME)]) == 1
    assert read((tmp_path / "out.pcap").read_bytes()) == [Packet(FRAME, 0)]


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (Packet(b"", -1), "packet 1 has a time that pcap cannot express: -1 ns"),
        (Packet(b"", (1 << 32) * 10**9), "packet 1 has a time that pcap cannot express"),
        (Packet(bytes(MAX_PACKET + 1)), "packet 1 has 262145 bytes, but 262144 are allowed"),
    ],
)
def test_what_pcap_cannot_express_is_refused(packet: Packet, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        write_pcap(io.BytesIO(), [packet])


def test_unwritable_path_is_a_host_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot be written \(ENOENT"):
        write_pcap(tmp_path / "absent" / "out.pcap", [])


@given(st.data())
def test_damaged_captures_raise_nothing_but_input_errors(data: st.DataObject) -> None:
    content = bytearray(header("<") + record("<", 1, 2, FRAME) + record("<", 3, 4, b"abc", original=60))
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    kept = bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read(kept)
    except InputError as error:
        assert error.offset is not None
        assert 0 <= error.offset <= len(kept)
