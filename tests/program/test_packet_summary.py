"""One line about a packet: what is told of whole ones, and that any bytes are told as far as they go."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.program.packet_summary import summarise
from pybpftime.program.packets import read_packets

CAPTURE = Path(__file__).resolve().parents[1] / "captures" / "mixed.pcap"
MAC = "02" * 6 + "04" * 6
IPV4 = "45000028 00000000 40{protocol:02x}0000 c0000201 c0000202"
IPV6 = "60000000 0008{following:02x}40 20010db8000000000000000000000001 20010db8000000000000000000000002"


def frame(text: str) -> bytes:
    return bytes.fromhex(MAC + text)


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (
            "0806 0001080006040001" + "02" * 6 + "c0000201" + "00" * 6 + "c0000202",
            "ARP who has 192.0.2.2? tell 192.0.2.1",
        ),
        (
            "0806 0001080006040002" + "02" * 6 + "c0000201" + "00" * 6 + "c0000202",
            "ARP 192.0.2.1 is at 02:02:02:02:02:02",
        ),
        ("0800" + IPV4.format(protocol=17) + "9c40 0035 0008 0000", "IPv4 192.0.2.1:40000 > 192.0.2.2:53 UDP"),
        (
            "8100 0007 0800" + IPV4.format(protocol=6) + "9c40 0050 00000000 00000000 5012",
            "vlan 7 IPv4 192.0.2.1:40000 > 192.0.2.2:80 TCP [SA]",
        ),
        ("0800" + IPV4.format(protocol=1) + "0800", "IPv4 192.0.2.1 > 192.0.2.2 ICMP echo request"),
        ("0800" + IPV4.format(protocol=1) + "ff00", "IPv4 192.0.2.1 > 192.0.2.2 ICMP type 255"),
        ("0800" + IPV4.format(protocol=200), "IPv4 192.0.2.1 > 192.0.2.2 protocol 200"),
        ("0800 45000028 00002003 40110000 c0000201 c0000202", "IPv4 192.0.2.1 > 192.0.2.2 UDP fragment at 24"),
        (
            "86dd" + IPV6.format(following=58) + "8700",
            "IPv6 [2001:db8::1] > [2001:db8::2] ICMPv6 neighbor solicitation",
        ),
        (
            "86dd" + IPV6.format(following=0) + "3a00000000000000 8000",
            "IPv6 [2001:db8::1] > [2001:db8::2] ICMPv6 echo request",
        ),
        (
            "86dd" + IPV6.format(following=44) + "1100000900000000",
            "IPv6 [2001:db8::1] > [2001:db8::2] UDP fragment at 8",
        ),
        ("86dd" + IPV6.format(following=60), "IPv6 [2001:db8::1] > [2001:db8::2] extension header, cut short"),
        ("88cc", "LLDP"),
        ("1234", "ethertype 0x1234"),
        ("0026", "IEEE 802.3, 38 bytes"),
        ("8100 00", "vlan, cut short"),
        ("0800 4500", "IPv4, cut short"),
    ],
)
def test_summary(text: str, summary: str) -> None:
    assert summarise(frame(text)) == summary


def test_packets_of_a_capture_are_recognised() -> None:
    summaries = [summarise(packet.data) for packet in read_packets(CAPTURE)]
    assert sum("TCP [" in summary for summary in summaries) >= 15
    assert not any("no Ethernet" in summary for summary in summaries)


@given(st.binary(max_size=120), st.sampled_from(["", "0800", "86dd", "0806", "8100", "88a80001 8100 0002 0800"]))
def test_any_bytes_have_a_summary(data: bytes, kind: str) -> None:
    summary = summarise(frame(kind) + data if kind else data)
    assert summary
    assert summary.isprintable()
