"""Generated documents are what their generators write today."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from pybpftime.isa import TABLE


@pytest.mark.parametrize("generator", ["gen_isa_docs"])
def test_document_is_fresh(generator: str, capsys: pytest.CaptureFixture[str]) -> None:
    main = importlib.import_module(f"tools.{generator}").main
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_a_changed_document_is_noticed_and_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = importlib.import_module("tools.gen_isa_docs")
    target = tmp_path / "isa.md"
    monkeypatch.setattr(generator, "TARGET", target)
    assert generator.main(["--check"]) == 1
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    text = target.read_text("utf-8")
    target.write_text(text.replace("add32_imm", "add32_imn"), "utf-8")
    assert generator.main(["--check"]) == 1


def test_every_row_is_in_the_document() -> None:
    text = importlib.import_module("tools.gen_isa_docs").document()
    assert [row.name for row in TABLE if f"| `{row.name}` | " not in text] == []
    assert len([line for line in text.splitlines() if line.startswith("| `")]) == len(TABLE)
