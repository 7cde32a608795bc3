"""Generated documents are what their generators write today."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from pybpftime.isa import TABLE
from tools.generated import write_or_check

GENERATORS = ("gen_helper_docs", "gen_isa_docs", "gen_parity")


@pytest.mark.parametrize("generator", GENERATORS)
def test_document_is_fresh(generator: str, capsys: pytest.CaptureFixture[str]) -> None:
    main = importlib.import_module(f"tools.{generator}").main
    assert main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_generator_writes_its_own_document(
    generator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"tools.{generator}")
    target = tmp_path / "document.md"
    monkeypatch.setattr(module, "TARGET", target)
    assert module.main(["--check"]) == 1
    assert capsys.readouterr().err == f"document.md is out of date: run python -m tools.{generator}\n"
    assert module.main([]) == 0
    assert target.read_text("utf-8") == module.document()


def test_a_changed_document_is_noticed_and_written_anew(tmp_path: Path) -> None:
    target = tmp_path / "document.md"
    assert write_or_check(target, "one\n", "tools.gen", ["--check"]) == 1
    assert not target.exists()
    assert write_or_check(target, "one\n", "tools.gen", []) == 0
    assert write_or_check(target, "one\n", "tools.gen", ["--check"]) == 0
    target.write_bytes(b"one\r\n")
    assert write_or_check(target, "one\n", "tools.gen", ["--check"]) == 1


def test_every_row_is_in_the_document() -> None:
    text = importlib.import_module("tools.gen_isa_docs").document()
    assert [row.name for row in TABLE if f"| `{row.name}` | " not in text] == []
    assert len([line for line in text.splitlines() if line.startswith("| `")]) == len(TABLE)
