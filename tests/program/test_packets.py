from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.errors import InputError
from pybpftime.program.packets import MAX_PACKET, Packet, PacketFormat, read_packets, write_pcap

FRAME = bytes.fromhex("ffffffffffff 020000000001 0800") + bytes(46)
CAPTURES = sorted((Path(__file__).resolve().parent.parent / "captures").glob("*.pcap*"))


def capture(*packets: Packet) -> bytes:
    stream = io.BytesIO()
    write_pcap(stream, packets)
    return stream.getvalue()


def pcapng_without_packets() -> bytes:
    return bytes.fromhex("0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000")


def test_format_is_recognised() -> None:
    assert list(read_packets(capture(Packet(FRAME, 7)))) == [Packet(FRAME, 7)]
    assert list(read_packets(pcapng_without_packets())) == []
    assert list(read_packets(FRAME)) == [Packet(FRAME)]
    assert list(read_packets(FRAME.hex(":").encode())) == [Packet(FRAME)]
    assert list(read_packets(b"\xef\xbb\xbfaa bb\r\n\r\ncc")) == [Packet(b"\xaa\xbb"), Packet(b"\xcc", number=2)]


def test_format_can_be_forced() -> None:
    assert list(read_packets(b"aabb", "raw")) == [Packet(b"aabb")]
    assert list(read_packets(b"aabb", "hex")) == [Packet(b"\xaa\xbb")]
    content = capture(Packet(FRAME, 7))
    assert list(read_packets(content, "raw")) == [Packet(content)]
    assert list(read_packets(content, "pcap")) == [Packet(FRAME, 7)]


@pytest.mark.parametrize(
    ("format", "reason"),
    [("pcap", "no pcap file"), ("pcapng", "no pcapng file"), ("hex", "is not hexadecimal")],
)
def test_forced_format_that_it_is_not(format: PacketFormat, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        list(read_packets(FRAME, format))


def test_sources(tmp_path: Path) -> None:
    content = capture(Packet(FRAME, 7), Packet(b"", 8))
    path = tmp_path / "a.pcap"
    path.write_bytes(content)
    expected = [Packet(FRAME, 7), Packet(b"", 8, number=2)]
    assert list(read_packets(path)) == expected
    assert list(read_packets(str(path))) == expected
    assert list(read_packets(content)) == expected
    with path.open("rb") as stream:
        assert list(read_packets(stream)) == expected
        assert not stream.closed


def test_stream_that_gives_a_byte_at_a_time() -> None:
    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(1, size or 0))

    assert list(read_packets(Dripping(capture(Packet(FRAME, 7))))) == [Packet(FRAME, 7)]


def test_stream_that_fails_is_an_input_error() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= 24:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with pytest.raises(InputError, match="byte 0x18: cannot be read: Input/output error"):
        list(read_packets(Failing(capture(Packet(FRAME))), "pcap"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no packet: it is empty"),
        (b"\x1f\x8b\x08\x00", "is compressed with gzip: decompress it first"),
        (b"\x28\xb5\x2f\xfd", "is compressed with zstd"),
        (b"\xfd7zXZ\x00", "is compressed with xz"),
        (bytes.fromhex("a1b2cd34") + bytes(20), "is a pcap file of the modified kind"),
        (b"snoop\0\0\0\0\0\0\2", "is a snoop capture"),
        (bytes(MAX_PACKET + 1), "is no capture file, and too long for one packet: 262144 bytes are allowed"),
        (b"a" * ((4 << 20) + 1), "is longer than the 4194304 bytes that are allowed for hex text: use pcap"),
        (b"Dear reader,", "line 1, column 1|file:1:1: 'Dear' is not hexadecimal"),
    ],
)
def test_refused_in_one_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        list(read_packets(path))
    assert caught.value.file == str(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "reason"), [("absent", "No such file"), (".", "directory"), ("a\0b", "null")])
def test_what_cannot_be_opened(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"cannot be opened: .*{reason}"):
        next(read_packets(f"{tmp_path}/{name}"))


def test_name_stands_for_a_source_without_one() -> None:
    with pytest.raises(InputError, match=r"^packet argument:1:1: 'zz'"):
        list(read_packets(b"zz", name="packet argument"))


def test_file_is_closed_when_the_reader_stops_early(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    write_pcap(path, [Packet(FRAME, 0)] * 3)
    packets = read_packets(path)
    next(packets)
    assert isinstance(packets, Generator)
    packets.close()
    # An open file would warn when it is collected, and warnings are errors here.


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        for packet in read_packets(content):
            assert len(packet.data) <= packet.original_length
    except InputError:
        pass


def dissected(path: Path) -> list[dict[str, Any]]:
    """What tshark reads: data, time, lengths and interface of each frame."""
    if shutil.which("tshark") is None:
        pytest.skip("needs tshark")
    fields = ["frame_raw", "frame.time_epoch", "frame.len", "frame.cap_len", "frame.interface_id", "frame.number"]
    command = ["tshark", "-n", "-r", str(path), "-T", "json", "-x", "-j", "frame"]
    run = subprocess.run(command, capture_output=True, check=True, text=True)
    frames = []
    for entry in json.loads(run.stdout):
        layers = entry["_source"]["layers"]
        flat = layers["frame"] | {"frame_raw": layers["frame_raw"][0]}
        frames.append({field: flat.get(field) for field in fields})
    return frames


def assert_tshark_agrees(path: Path) -> None:
    ours, theirs = list(read_packets(path)), dissected(path)
    assert len(ours) == len(theirs)
    for packet, frame in zip(ours, theirs, strict=True):
        assert packet.data.hex() == frame["frame_raw"]
        assert packet.original_length == int(frame["frame.len"])
        assert packet.number == int(frame["frame.number"])
        assert packet.interface == int(frame["frame.interface_id"] or 0)
        if packet.timestamp_ns is not None:
            assert f"{packet.timestamp_ns // 10**9}.{packet.timestamp_ns % 10**9:09d}" == frame["frame.time_epoch"]


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_tshark_reads_the_same_from_our_captures(path: Path) -> None:
    assert_tshark_agrees(path)


def test_tshark_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "written.pcap"
    write_pcap(path, [Packet(FRAME, 1_700_000_000_123_456_789), Packet(FRAME[:20], 1, 0, 1500)])
    assert_tshark_agrees(path)
