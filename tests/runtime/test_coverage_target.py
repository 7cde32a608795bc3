"""Where coverage may be written: regular files, links followed, and nothing else is touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pybpftime.errors import InputError
from pybpftime.isa.assembler import assemble
from pybpftime.runtime import coverage as module
from pybpftime.runtime import load
from pybpftime.runtime.coverage import Coverage, check_target, read_lcov


def covered() -> Coverage:
    coverage = Coverage()
    load(assemble("r0 = 0\nexit"), observers=[coverage]).program.run()
    return coverage


def _device(folder: Path) -> Path:
    """A link: were it not refused, it would be followed or replaced, and the device stays."""
    link = folder / "device"
    link.symlink_to("/dev/zero")
    return link


def _pipe(folder: Path) -> Path:
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs named pipes")
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def _folder(folder: Path) -> Path:
    (folder / "folder").mkdir()
    return folder / "folder"


@pytest.mark.parametrize("make", [_device, _pipe, _folder], ids=["device", "pipe", "folder"])
def test_what_is_no_regular_file_is_refused_and_left_alone(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    place = make(tmp_path)
    before = (place.lstat().st_ino, place.lstat().st_mode)
    for refuse in (check_target, covered().write):
        with pytest.raises(InputError, match="cannot be written: it is no regular file"):
            refuse(place)
    with pytest.raises(InputError, match="cannot be read"):
        read_lcov(place)
    assert (place.lstat().st_ino, place.lstat().st_mode) == before
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("exists", [True, False])
def test_links_are_followed(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "real").mkdir()
    file, link = tmp_path / "real" / "file.info", tmp_path / "link.info"
    link.symlink_to(file)
    if exists:
        file.touch()
    check_target(link)
    covered().write(link)
    assert link.is_symlink()
    assert read_lcov(file)
    assert list(file.parent.iterdir()) == [file]


def test_mode_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "file.info"
    file.touch()
    file.chmod(0o640)
    covered().write(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.info", "file.info.listings"]


def test_large_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file.info"
    with file.open("wb") as stream:
        stream.truncate(module.MAX_FILE + 1)
    for refuse in (check_target, read_lcov):
        with pytest.raises(InputError, match="has more than 64 MiB"):
            refuse(file)
    monkeypatch.setattr(module, "MAX_FILE", 20)
    file.write_text("TN:\n" * 5)
    assert read_lcov(file) == {}


def test_check_finds_what_write_would(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "text").write_text("something else\n")
    (tmp_path / "taken.listings").touch()
    before = sorted(tmp_path.iterdir())
    for place in ("no/file", "loop", "text", "taken", "a\0b"):
        for refuse in (check_target, covered().write):
            with pytest.raises(InputError, match=r"cannot be written|no lcov file"):
                refuse(tmp_path / place)
    assert sorted(tmp_path.iterdir()) == before


def test_check_accepts_what_can_be_written_and_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file.info"
    check_target(file)
    assert not list(tmp_path.iterdir())
    covered().write(file)
    content = file.read_bytes()
    check_target(file)
    assert file.read_bytes() == content


def test_files_that_are_read_only(tmp_path: Path) -> None:
    file = tmp_path / "file.info"
    file.touch()
    file.chmod(0o444)
    if os.access(file, os.W_OK):
        pytest.skip("needs a user for whom modes count")
    with pytest.raises(InputError, match="cannot be written: Permission denied"):
        check_target(file)
