"""How commands print: nothing that a file contains can change the terminal."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from pybpftime.cli.failure import Failure, printable, with_line
from pybpftime.cli.maps_output import print_maps
from pybpftime.cli.output import bytes_text, console, count_of, plain, print_json, table, verdict_style
from pybpftime.errors import InputError
from pybpftime.runtime import load


def test_control_characters_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("a\x1b[31m\x07\x9b\n\tb") == "a\\x1b[31m\\x07\\x9b\n\tb"
    console().print("name\x1b[2J", markup=False)
    assert capsys.readouterr().out == "name\\x1b[2J\n"


def test_cells_are_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    rows = table("first", ("second", "right"))
    rows.add_row("[bold]x[/bold] :smile:\x1b", "7")
    rows.add_row("", "1,000")
    console().print(rows)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["first", "second"], ["[bold]x[/bold]", ":smile:\\x1b", "7"], ["1,000"]]
    assert {len(line) for line in lines} == {len(lines[0])}, "numbers stand at the right"


def test_json_of_what_json_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass
    class Point:
        x: int

    print_json({"bytes": b"\x01\x02", "point": Point(3), "tuple": (1, 2)})
    assert '"0102"' in capsys.readouterr().out
    assert plain(Point(3)) == {"x": 3}
    assert plain({1}) == [1]
    assert plain(1j) == "1j"


@pytest.mark.parametrize(
    ("count", "noun", "text"), [(1, "packet", "1 packet"), (2000, "run", "2,000 runs"), (0, "entry", "0 entries")]
)
def test_counts(count: int, noun: str, text: str) -> None:
    assert count_of(count, noun) == text


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("XDP_PASS", "green"),
        ("TC_ACT_OK", "green"),
        ("accept", "green"),
        ("XDP_DROP", "red"),
        ("TC_ACT_SHOT", "red"),
        ("fault", "red"),
        ("XDP_TX", "yellow"),
        ("TC_ACT_REDIRECT", "yellow"),
        ("42", ""),
    ],
)
def test_verdicts_have_colours(name: str, style: str) -> None:
    assert verdict_style(name) == style


def test_long_bytes_are_cut() -> None:
    assert bytes_text(b"\x01\x02") == "01 02"
    assert bytes_text(bytes(100), limit=2) == "00 00 ... (100 bytes)"


@pytest.mark.parametrize("line", [None, 0, 9])
def test_error_without_a_place_has_no_caret(line: int | None) -> None:
    failure = with_line(InputError("wrong", line=line), "one line")
    assert isinstance(failure, Failure)
    assert "^" not in failure.message
    assert "one line" not in failure.message


@pytest.mark.parametrize(("width", "folded"), [(200, False), (60, True)])
def test_maps_wider_than_the_terminal_become_lines(programs: Path, width: int, folded: bool) -> None:
    flows = load(programs / "xdp_parser.bpf.o").maps["flows"]
    flows[{"source_port": 7, "destination_port": 9}] = {"packets": 5}
    output = io.StringIO()
    print_maps(Console(file=output, width=width), [flows], load(programs / "xdp_parser.bpf.o").spec.btf)
    text = " ".join(output.getvalue().split())
    assert ("source_port=7 destination_port=9" in text) is folded
    assert ("source_port destination_port" in text) is not folded
