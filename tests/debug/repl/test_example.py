"""The session of docs/how-to/debug.md: the script gives what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pybpftime.cli.main import cli

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "docs" / "examples" / "debug" / "xdp_parser.bpfdbg"
EXPECTED = SCRIPT.with_suffix(".txt")
PAGE = ROOT / "docs" / "how-to" / "debug.md"


def test_the_script_prints_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    arguments = ["tests/programs/xdp_parser.bpf.o", "--pcap", "tests/captures/mixed.pcap", "-x", str(SCRIPT), "--batch"]
    result = CliRunner().invoke(cli, ["debug", *arguments])
    assert result.exit_code == 0, result.output
    assert result.stdout == EXPECTED.read_text()


def test_the_page_shows_it() -> None:
    expected = EXPECTED.read_text()
    blocks = [block.partition("```")[0] for block in PAGE.read_text().split("```text\n")[1:]]
    sessions = [block for block in blocks if block.startswith("(bpf) ")]
    assert len(sessions) == 3
    for block in sessions:
        assert block in expected
