"""docs/reference/helpers.md is what its generator writes today, and complete."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from pybpftime.helpers import KNOWN, default_helpers
from pybpftime.helpers.declarations import DECLARATIONS

generator = importlib.import_module("tools.gen_helper_docs")


def test_the_document_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert generator.main(["--check"]) == 0, capsys.readouterr().err


def test_a_changed_document_is_noticed_and_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "helpers.md"
    monkeypatch.setattr(generator, "TARGET", target)
    assert generator.main(["--check"]) == 1
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    target.write_text(target.read_text("utf-8").replace("bpf_loop", "bpf_lopp"), "utf-8")
    assert generator.main(["--check"]) == 1


def test_every_helper_is_in_the_document() -> None:
    lines = generator.document().splitlines()
    for declaration in DECLARATIONS.values():
        assert lines.count(f"### {declaration.name}") == 1
    assert [line for line in lines if line.endswith(("| implemented |", "| declared |", "| known |"))] == [
        f"| {number} | {f'[{name}](#{name})' if number in DECLARATIONS else name} | {state(number)} |"
        for number, name in KNOWN.items()
    ]


def state(number: int) -> str:
    found = default_helpers().get(number)
    return "known" if found is None else "declared" if found.function is None else "implemented"
