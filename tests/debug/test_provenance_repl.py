"""The commands why and who, on the parser as clang -O0 and -O2 make it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from debug.repl.repl_support import OPTIMISED, PARSER, parser, program

both = pytest.mark.parametrize("path", [PARSER, OPTIMISED], ids=["O0", "O2"])


@both
def test_why(path: Path) -> None:
    """Packet 4 is IPv4 in a VLAN: its ports are at 38 and 40, in network order."""
    repl = parser(4, 4, path)
    text = repl("break count_flow", "continue", "why flow->source_port")
    text = text[text.index("#1 ") :]
    assert "= 0x9c40" in text.splitlines()[0]
    assert re.search(r"packet\[38:40\] tcp\.source = 0x409c", text), text
    assert path is OPTIMISED or "xdp_parser.bpf.c:223  flow->source_port = bpf_ntohs(tcp->source);" in text
    assert "address" not in text
    assert repl.failures == 0


def test_with_addresses_and_branches() -> None:
    repl = parser(4, 4)
    repl("break count_flow", "continue")
    plain, full = repl("why flow->source_port"), repl("why/f flow->source_port")
    assert len(full.splitlines()) > len(plain.splitlines())
    assert "ipv4.version_ihl" not in plain
    assert "address" in repl("why/a flow->source_port")
    assert "packet[18] ipv4.version_ihl = 0x45" in repl("why/a200 flow->source_port")
    assert re.search(r"branch .*if ", repl("why/b flow->source_port"))


@both
def test_over_packets(path: Path) -> None:
    repl = parser(4, 8, path)
    text = repl("continue", "why verdicts[2]")
    labels = re.findall(r"(?:lock|atomic).*?, (packet \d)", text)
    assert len(labels) > 1
    assert labels == sorted(labels, reverse=True)
    assert re.search(r"\n  #\d+ map verdicts\[2\] = 0x0  as it was before the first step", text)
    assert re.match(r"map verdicts\[2\] = 0x\w+ .*packet \d .*\(goto \d+\)\n", repl("who verdicts[2]"))
    assert repl("who verdicts[0]") == "nobody has written verdicts[0]\n"


def test_a_goto_leads_to_the_writer() -> None:
    repl = program("r6 = 5\nr6 += 2\nr0 = r6\nexit")
    said = repl("continue", "who $r0")
    step = re.search(r"\(goto (\d+)\)", said)
    assert step is not None
    assert "r0 = r6" in repl(f"goto {step[1]}")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("why", "an expression is missing"),
        ("who", "an expression is missing"),
        ("why/x $r0", "/x is no format of why"),
        ("why/0 $r0", "/0 is no format of why"),
        ("why/99999 $r0", "/99999 is no format of why"),
        ("why 1 + 1", "computed and lies nowhere"),
        ("why no_such", "there is no variable"),
    ],
)
def test_errors(line: str, reason: str) -> None:
    repl = program("r0 = 5\nexit")
    said = repl(line)
    assert said.startswith("error: ")
    assert reason in " ".join(said.split())
