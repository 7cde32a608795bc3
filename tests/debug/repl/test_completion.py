"""What is offered where the cursor is."""

from __future__ import annotations

from pathlib import Path

import pytest
from debug.repl.repl_support import Repl, parser
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftime.debug.repl.completion import complete


@pytest.fixture(scope="module")
def repl() -> Repl:
    """In parse_ipv4, where `ip` is known."""
    made = parser(4, 5)
    made("b 164", "c", "set $mine = 1", "define mymacro", "end")
    return made


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("rev", "reverse-continue"),
        ("  nex", "next-packet"),
        ("mym", "mymacro"),
        ("info loc", "locals"),
        ("i reg", "registers"),
        ("break parse_ip", "parse_ipv6"),
        ("b xdp", "xdp_parser.bpf.c:"),
        ("tb par", "parse+"),
        ("break 164 if ip->tt", "ttl"),
        ("p ip->", "daddr"),
        ("print rest->a", "at"),
        ("p ntohs(ip->tot", "tot_len"),
        ("p *fl", "flows"),
        ("p IPV4_", "IPV4_TCP"),
        ("x/4xb pac", "packet"),
        ("p $r1", "$r10"),
        ("p $mi", "$mine"),
        ("map ver", "verdicts"),
        ("break-call bpf_map_l", "bpf_map_lookup_elem"),
        ("delete ", "1"),
        ("help brea", "break-call"),
        ("watch protocols[IPV4_TCP].pa", "packets"),
    ],
)
def test_offers(repl: Repl, text: str, offered: str) -> None:
    start, words = complete(repl, text)
    assert offered in words
    assert all(word.startswith(text[start:]) for word in words)


def test_paths(repl: Repl, tmp_path: Path) -> None:
    (tmp_path / "session.one").touch()
    (tmp_path / "folder").mkdir()
    assert complete(repl, f"source {tmp_path}/")[1] == [f"{tmp_path}/folder/", f"{tmp_path}/session.one"]
    assert complete(repl, f"source {tmp_path}/no/") == (7, [])


@pytest.mark.parametrize("text", ["p nothing->x", "frobnicate x", "p flows.", "x ip->ihl.", "p 1->"])
def test_offers_nothing(repl: Repl, text: str) -> None:
    assert complete(repl, text)[1] == []


@settings(deadline=None)
@given(st.one_of(st.text(max_size=20), st.text("pbx /$i->.[]()&*'\"", max_size=12)))
def test_any_text_can_be_completed(text: str) -> None:
    start, _ = complete(_one(), text)
    assert 0 <= start <= len(text)


def _one(kept: list[Repl] = []) -> Repl:  # noqa: B006  # one for all examples
    if not kept:
        kept.append(parser(4, 4))
    return kept[0]
