"""docs/reference/runtime-protocol.md says what the code does: its words, its examples, its interface in C."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pybpftime.conformance.case import Case
from pybpftime.conformance.runtime import Profile
from pybpftime.conformance.runtimes.line_protocol import (
    ANSWERS,
    CHOICES,
    TRAPS,
    read_answer,
    read_hello,
    read_request,
    request_line,
)
from pybpftime.conformance.runtimes.profile_file import KEYS, read_profile
from pybpftime.conformance.runtimes.profiles import BUILT_IN


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / "docs/reference/runtime-protocol.md").read_text("utf-8")


def block(text: str, language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return found[0]


def test_every_word_is_there(text: str) -> None:
    words = [word for choices in CHOICES.values() for word in choices]
    missing = [word for word in (*words, *TRAPS, *CHOICES, *BUILT_IN) if f"`{word}" not in text]
    assert missing == []
    assert [answer for answer in ANSWERS if f"`ID {answer}" not in text] == []
    assert f"({Profile('').timeout:g} seconds".replace("(", "") in text.replace("\n", " ")


def test_the_conversation_is_one(text: str) -> None:
    lines = [line.split(None, 1) for line in block(text, "text").splitlines()]
    assert [who for who, _ in lines] == ["runtime", "we", "runtime", "we", "runtime"]
    assert read_hello(lines[0][1]).name == "toy"
    for (_, asked), (_, answered) in ((lines[1], lines[2]), (lines[3], lines[4])):
        request = read_request(asked)
        case = Case("case", request.code, (), request.memory, budget=request.budget)
        assert request_line(request.id, case) == asked
        assert read_answer(answered, request.id).kind in ANSWERS.values()


def test_the_profile_has_every_key(text: str, tmp_path: Path) -> None:
    path = tmp_path / "vm.toml"
    path.write_text(block(text, "toml"), "utf-8")
    assert read_profile(path).command == ("./runtime", "--jit")
    assert [key for key in KEYS if f"{key} =" not in text and f"[[{key}]]" not in text] == []


def test_the_header_compiles(text: str, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    (tmp_path / "header.c").write_text(block(text, "c"), "utf-8")
    command = ["gcc", "-std=c11", "-Wall", "-Werror", "-fsyntax-only", "header.c"]
    assert subprocess.run(command, cwd=tmp_path, timeout=60, check=False).returncode == 0
