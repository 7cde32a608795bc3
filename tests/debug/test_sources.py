"""The text of source files, from disk or from BTF."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from program.dwarf_support import debug_file, loaded

from pybpftime.debug.sources import Sources, SourceText

FILE = "tests/programs/xdp_parser.bpf.c"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory without sources."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def sources(repository: Path, *, debug: bool = True, **settings: object) -> Sources:
    path = repository / "tests" / "programs" / "xdp_parser.bpf.o"
    spec, _ = loaded(path)
    programs = [_without_file(program) for program in spec.programs.values()]
    return Sources(programs, debug_file(path) if debug else None, **settings)  # type: ignore[arg-type]


def _without_file(program: object) -> object:
    from dataclasses import replace

    return replace(program, file=None)  # type: ignore[type-var]


def text(found: SourceText | None) -> SourceText:
    assert found is not None
    return found


def test_from_the_current_directory(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    found = text(sources(repository).text(f"./{FILE}"))
    assert (found.file, found.path, found.is_changed, found.is_reconstructed) == (FILE, FILE, False, False)
    assert list(found.lines) == (repository / FILE).read_text().splitlines()
    assert found.line(1) == found.lines[0]
    assert found.line(0) is None and found.line(len(found.lines) + 1) is None


def test_from_a_directory_by_the_end_of_the_name(repository: Path, elsewhere: Path) -> None:
    found = text(sources(repository, directories=[repository / "tests" / "programs"]).text(FILE))
    assert found.path == str(repository / FILE) and not found.is_changed


def test_by_a_substitution(repository: Path, elsewhere: Path) -> None:
    found = text(sources(repository, substitutions=[("tests", str(repository / "tests"))]).text(FILE))
    assert found.path == str(repository / FILE)
    other = text(sources(repository, substitutions=[("test", str(repository))]).text(FILE))
    assert other.is_reconstructed


def test_beside_the_object(repository: Path, elsewhere: Path) -> None:
    path = repository / "tests" / "programs" / "xdp_parser.bpf.o"
    spec, _ = loaded(path)
    found = text(Sources(spec.programs.values(), debug_file(path)).text(FILE))
    assert found.path == str(repository / "tests" / "programs" / "xdp_parser.bpf.c")


def test_from_btf_lines_with_code_only(repository: Path, elsewhere: Path) -> None:
    found = text(sources(repository).text(FILE))
    original = (repository / FILE).read_text().splitlines()
    assert found.is_reconstructed and found.path is None
    filled = {number: line for number, line in enumerate(found.lines, 1) if line}
    assert len(filled) > 50
    assert all(line == original[number - 1] for number, line in filled.items())
    assert found.lines[-1] and "" in found.lines


@pytest.mark.parametrize("debug", [True, False])
def test_a_file_that_was_changed_says_so(repository: Path, elsewhere: Path, debug: bool) -> None:
    """By its checksum in DWARF, without it by the lines that BTF has."""
    changed = elsewhere / "xdp_parser.bpf.c"
    changed.write_text("/* new */\n" + (repository / FILE).read_text())
    found = text(sources(repository, debug=debug, directories=[elsewhere]).text(FILE))
    assert found.path == str(changed) and found.is_changed
    shutil.copy(repository / FILE, changed)
    assert not text(sources(repository, debug=debug, directories=[elsewhere]).text(FILE)).is_changed


def test_the_file_that_was_compiled_comes_before_one_that_was_changed(repository: Path, elsewhere: Path) -> None:
    (elsewhere / "xdp_parser.bpf.c").write_text("int x;\n")
    found = text(sources(repository, directories=[elsewhere, repository / "tests" / "programs"]).text(FILE))
    assert found.path == str(repository / FILE)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_only_ordinary_files_are_read(repository: Path, elsewhere: Path) -> None:
    os.mkfifo(elsewhere / "xdp_parser.bpf.c")
    assert text(sources(repository, directories=[elsewhere]).text(FILE)).is_reconstructed


def test_unknown_files(repository: Path, elsewhere: Path) -> None:
    assert sources(repository).text("nowhere.c") is None
    assert sources(repository).text("bad\0name.c") is None
