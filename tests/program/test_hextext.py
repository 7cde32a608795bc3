from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.errors import InputError
from pybpftime.program.capture import MAX_PACKET
from pybpftime.program.hextext import parse_hex, parse_hex_packets

# 40 bytes with characters that look like hex, like offsets and like column marks.
SAMPLE = b"\x00\x1babcdef 0x0000:  ab cd |ef|\xff\x7f12: 4500  "


def read(text: str) -> list[bytes]:
    return list(parse_hex_packets(text, "text"))


@pytest.mark.parametrize(
    "text",
    [
        "00deadBEEF",
        "00 de ad be ef",
        "00:de:ad:be:ef",
        "00-de-ad-be-ef\n",
        "00, de, ad, be, ef",
        "0x00 0xde 0xAD 0XBE 0xef",
        "0x00deadbeef",
        "{0x00,0xde,0xad,0xbe,0xef}".strip("{}"),
        "  00de\r\n\tadbe # the rest follows\n# a comment is no empty line\nef  ",
        "\n\n00deadbeef\n\n\n",
    ],
)
def test_plain_digits(text: str) -> None:
    assert parse_hex(text) == bytes.fromhex("00deadbeef")


def test_empty_line_ends_a_packet() -> None:
    assert read("aa\nbb\n\n \n# comment\n\ncc") == [b"\xaa\xbb", b"\xcc"]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing", "aa\n\nbb"])
def test_one_packet_is_wanted(text: str) -> None:
    with pytest.raises(InputError, match="one packet in hex is wanted, here are"):
        parse_hex(text)


@pytest.mark.parametrize(
    ("text", "shown", "line", "column"),
    [
        ("0", "'0'", 1, 1),
        ("aa bb\n cc ddd", "'ddd'", 2, 5),
        ("aa\n\nGG", "'GG'", 3, 1),
        ("aa 0x", "'0x'", 1, 4),
        ("0x0x12", "'0x0x12'", 1, 1),
        ("hello", "'hello'", 1, 1),
        ("zz" * 50, "'" + "z" * 20 + "...'", 1, 1),
        ("٣٣", "'٣٣'", 1, 1),
        ("0000: aa b", "'b'", 1, 10),
        ("0000: aa\n0001: x", "'x'", 2, 7),
    ],
)
def test_what_is_not_hexadecimal_is_shown(text: str, shown: str, line: int, column: int) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert caught.value.reason == f"{shown} is not hexadecimal in whole bytes"
    assert (caught.value.file, caught.value.line, caught.value.column) == ("text", line, column)


def test_unusual_space_is_refused() -> None:
    with pytest.raises(InputError, match="line 1"):
        parse_hex("aa\u00a0bb")


DUMPS = {
    "tcpdump -xx": """
        12:00:00.000001 IP 10.0.0.1.80 > 10.0.0.2.4242: tcp 0
        \t0x0000:  4500 0054 0000 4000 4001 a6ec 7f00 0001
        \t0x0010:  7f00
        12:00:00.000002 IP 10.0.0.1.80 > 10.0.0.2.4242: tcp 0
        \t0x0000:  ab
    """,
    "tcpdump -XX": """
        12:00:00.000001 IP 10.0.0.1.80 > 10.0.0.2.4242: tcp 0
        \t0x0000:  4500 0054 0000 4000 4001 a6ec 7f00 0001  E..T..@.@.......
        \t0x0010:  7f00                                     ab
        \t0x0000:  ab                                       |ab|
    """,
    "xxd": """
        00000000: 4500 0054 0000 4000 4001 a6ec 7f00 0001  E..T..@.@.......
        00000010: 7f00                                     ..

        00000000: ab                                       .
    """,
    "hexdump -C": """
        00000000  45 00 00 54 00 00 40 00  40 01 a6 ec 7f 00 00 01  |E..T..@.@.......|
        00000010  7f 00                                             |..|
        00000012
        00000000  ab                                                |.|
        00000001
    """,
    "tshark -x of old": """
        0000  45 00 00 54 00 00 40 00  40 01 a6 ec 7f 00 00 01   E..T..@.@.......
        0010  7f 00                                              ..

        0000  ab                                                 .
    """,
    "tshark -x": """
        0000  45 00 00 54 00 00 40 00 40 01 a6 ec 7f 00 00 01   E..T..@.@.......
        0010  7f 00                                             ..

        0000  ab                                                .
    """,
}


@pytest.mark.parametrize("tool", DUMPS)
def test_dumps_of_tools(tool: str) -> None:
    assert read(DUMPS[tool]) == [bytes.fromhex("4500005400004000 4001a6ec7f000001 7f00"), b"\xab"]


@pytest.mark.parametrize(
    ("command", "arguments"), [("xxd", []), ("xxd", ["-g1"]), ("xxd", ["-u"]), ("hexdump", ["-C"]), ("xxd", ["-p"])]
)
def test_tools_of_this_host(command: str, arguments: list[str]) -> None:
    if shutil.which(command) is None:
        pytest.skip(f"needs {command}")
    dump = subprocess.run([command, *arguments], input=SAMPLE, capture_output=True, check=True).stdout
    assert read(dump.decode("ascii")) == [SAMPLE]


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("0000: aa bb\n0003: cc", "the dump goes on at byte 0x3, 0x2 was expected", 2),
        ("0000: aa bb\n0001: cc", "the dump goes on at byte 0x1, 0x2 was expected", 2),
        ("0000: aa bb\nnonsense\n0002: cc", "within a dump stands a line that is none", 2),
        ("00000000  aa  |.|\n*\n00000010  bb  |.|", "within a dump stands a line that is none", 2),
        ("0000: aa bb\nnonsense", "after a dump stands a line that is none", 2),
        ("\n00000000  aa  |.|\n00000002", "the dump goes on at byte 0x2, 0x1 was expected", 3),
    ],
)
def test_gap_in_a_dump_is_refused(text: str, reason: str, line: int) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert (caught.value.reason, caught.value.line) == (reason, line)


@pytest.mark.parametrize("layout", ["{:02x}", "0000: {:02x} "], ids=["plain", "dump"])
def test_length_is_limited(layout: str) -> None:
    assert len(parse_hex(layout.format(0) + "00" * (MAX_PACKET - 1))) == MAX_PACKET
    with pytest.raises(InputError, match=r"text:\d: a packet has more than the 262144 bytes that are allowed"):
        read(layout.format(0) + "00" * MAX_PACKET)


def dump(packet: bytes, *, width: int, group: int, offset: str, gap: str) -> str:
    lines = []
    for start in range(0, len(packet), width):
        row = packet[start : start + width]
        words = " ".join(row[i : i + group].hex() for i in range(0, len(row), group))
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"{offset.format(start)}{words}{gap}{shown}\n")
    return "".join(lines)


@given(
    st.lists(st.binary(min_size=1, max_size=70), min_size=1, max_size=4),
    st.sampled_from([4, 8, 16, 32]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from(["{:04x}: ", "{:08x}: ", "\t0x{:04x}:  ", "{:04x}  "]),
    st.sampled_from(["   ", "     "]),
)
def test_every_dump_is_read_back(packets: list[bytes], width: int, group: int, offset: str, gap: str) -> None:
    text = "\n".join(dump(packet, width=width, group=group, offset=offset, gap=gap) for packet in packets)
    assert read(text) == packets


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=4), st.sampled_from(["", " ", ":", "-", ", ", "\n"]))
def test_every_plain_text_is_read_back(packets: list[bytes], separator: str) -> None:
    text = "\n\n".join(separator.join(f"{byte:02x}" for byte in packet) for packet in packets)
    assert read(text) == packets


@given(st.text(alphabet="0aF1x:|# \t\n-,g\u00e9", max_size=60) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        packets = read(text)
    except InputError as error:
        assert error.line is not None
    else:
        assert all(packets)
