"""Coverage as lcov: counts, branches, merging, and files that are something else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.errors import InputError
from pybpftime.isa.assembler import assemble
from pybpftime.runtime import load
from pybpftime.runtime.coverage import Coverage, FileRecord, format_lcov, merge, parse_lcov, read_lcov

OBJECT = Path(__file__).resolve().parents[1] / "programs" / "xdp_parser.bpf.o"
LOOP = "r0 = 0\nloop: r0 += 1\nif r0 < 5 goto loop\nexit"

numbers = st.integers(0, 1 << 40)
names = st.text(st.characters(exclude_categories=("Cc", "Cs", "Z")), min_size=1, max_size=12).filter(
    lambda name: "," not in name and name.strip() == name
)
records = st.builds(
    FileRecord,
    lines=st.dictionaries(numbers, numbers).map(Counter),
    functions=st.dictionaries(st.tuples(numbers, names), numbers).map(Counter),
    branches=st.dictionaries(st.tuples(numbers, numbers, st.integers(0, 1)), numbers).map(Counter),
)


def unique_functions(record: FileRecord) -> bool:
    """lcov knows functions by name: one line for each."""
    return len({name for _, name in record.functions}) == len(record.functions)


@given(st.dictionaries(names, records.filter(unique_functions), max_size=3))
def test_text_reads_back(found: dict[str, FileRecord]) -> None:
    assert parse_lcov(format_lcov(found), "test") == found


@given(records.filter(unique_functions), records.filter(unique_functions))
def test_merging_adds(one: FileRecord, other: FileRecord) -> None:
    merged: dict[str, FileRecord] = {}
    merge(merged, {"file": one})
    merge(merged, {"file": other})
    for key in one.lines | other.lines:
        assert merged["file"].lines[key] == one.lines[key] + other.lines[key]
    assert merged["file"].branches.keys() == one.branches.keys() | other.branches.keys()


def test_instructions_and_directions_are_counted(tmp_path: Path) -> None:
    coverage = Coverage()
    loaded = load(assemble(LOOP), observers=[coverage])
    loaded.program.run()
    loaded.program.run()
    found = coverage.records(tmp_path)
    [(listing, record)] = found.items()
    assert Path(listing).name == "program.s"
    assert record.lines == {1: 2, 2: 10, 3: 10, 4: 2}
    assert [line.split(": ")[0].strip() for line in Path(listing).read_text().splitlines()] == ["0", "1", "2", "3"]


def test_lines_functions_and_branches_of_the_source(tmp_path: Path) -> None:
    coverage = Coverage()
    program = load(OBJECT, observers=[coverage]).program
    for _ in range(3):
        program.run(bytes(60))
    source = coverage.records(tmp_path)["./tests/programs/xdp_parser.bpf.c"]
    assert source.functions == {(321, "parse"): 3}
    assert max(source.lines.values()) == 3
    assert 0 in source.lines.values()
    blocks = {(line, block) for line, block, _ in source.branches}
    assert all({(line, block, 0), (line, block, 1)} <= source.branches.keys() for line, block in blocks)
    text = format_lcov({"x": source})
    assert ",-\n" in text, "branches of what never ran"
    assert "DA:321,3\n" in text


def test_programs_reached_by_tail_call_are_covered(tmp_path: Path) -> None:
    coverage = Coverage()
    loaded = load(OBJECT.with_name("tail_calls.bpf.o"), observers=[coverage])
    loaded["dispatch"].run(bytes(12) + bytes.fromhex("0806") + bytes(46))
    names = {Path(name).name for name in coverage.records(tmp_path)}
    assert {"tail_calls.dispatch.s", "tail_calls.count_arp.s"} <= names


@pytest.mark.parametrize(
    "text", ["no lcov\n", "SF:x\nDA:1\n", "SF:x\nFNDA:1,nobody\n", "SF:x\nBRDA:1,2,3\n", "DA:a,b\n"]
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(InputError, match="lcov"):
        read_lcov(path)
    with pytest.raises(InputError):
        Coverage().write(path)
    assert path.read_text() == text


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    for place in (tmp_path / "no" / "file", tmp_path, "a\0b"):
        coverage = Coverage([load(assemble(LOOP)).program.spec])
        with pytest.raises(InputError, match="cannot be written"):
            coverage.write(place)
    assert not list(tmp_path.iterdir()) or [path.name for path in tmp_path.iterdir()] == [f"{tmp_path.name}.listings"]
