"""Whatever is typed, the answer is a sentence; nothing is thrown, and the next command works."""

from __future__ import annotations

import io
import re
from pathlib import Path
from random import Random

import pytest
from debug.repl.repl_support import Repl, parser, program

from pybpftime.debug.repl.interpreter import LONGEST_LINE
from pybpftime.debug.repl.shell import READ_AT_ONCE, PlainLines, run_shell
from pybpftime.debug.repl.table import COMMANDS, INFO

LONGEST_SENTENCE = 500
SLOW = {"verifier", "quit"}
"""Not tried: the first verifies, the second leaves."""
WORDS = [word for one in COMMANDS if one.name not in SLOW for word in (one.name, *one.aliases)]
EXAMPLES = [one.example for one in (*COMMANDS, *INFO) if one.name not in SLOW]
PIECES = [
    "ip->ttl", "*flow", "flows", "protocols[IPV4_TCP]", "packet[0:4]", "$r1", "$", "$$3", "$mine", "-1", "99999999999",
    "1e400", "0x", "08", "'", '"', "{", "}", "((", "[", "]", ")", "nothing", "struct", "int*", "len(flows)", "per_cpu(",
    "164", "/./", "/(/", "if", "packet 2", "\0", "\x1b[31m", "é", "\ud800", "%s", "{{", "\\", "= 1", "? 1 : 2", "->x",
    "/99999x", "@3", "5-1", "cpu 99", "a" * 300, "(" * 200, "-" * 100, "1+" * 100 + "1", "x" * 10001, "% 3",
]  # fmt: skip


def lines(random: Random, count: int) -> list[str]:
    """Commands that hardly mean anything."""
    found = []
    for _ in range(count):
        kind = random.randrange(4)
        if kind == 0:
            found.append("".join(chr(random.randrange(0x110000)) for _ in range(random.randrange(60))))
        elif kind == 1:
            found.append(" ".join([random.choice(WORDS), *random.choices(PIECES, k=random.randrange(4))]))
        elif kind == 2:
            example, piece = random.choice(EXAMPLES), random.choice(PIECES)
            at = random.randrange(len(example) + 1)
            found.append(example[:at] + piece + example[at + random.randrange(3) :])
        else:
            words = "".join(random.choices(PIECES, k=3))
            found.append(random.choice(["print ", "set ", "watch ", "ptype/o ", "x/4xb ", "b parse if "]) + words)
    return found


@pytest.mark.parametrize("seed", range(2))
def test_every_answer_is_a_sentence(seed: int) -> None:
    random = Random(seed)
    repl = parser(4, 5)
    for line in lines(random, 120):
        if random.random() < 0.5:
            repl.abandon()
        for said in repl(line).splitlines():
            assert "Traceback" not in said, line
            if said.startswith("error: "):
                assert len(said) < LONGEST_SENTENCE, line
                assert re.search(r"\w", said[7:]), line
                assert said.encode("utf-8")
    repl.abandon()
    repl("goto start")
    assert repl.printed("1 + 1") == "2"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("b parse if", "a condition is missing behind if"),
        ("x" * (LONGEST_LINE + 1), f"a line of more than {LONGEST_LINE} characters is no command"),
        ("source " + "x" * 5000, "a file has no name of more than 4096 characters"),
        ("x/4xb 1e400", "1e400 does not lie in memory"),
        ("finish 5", "finish takes no argument, and here is '5'"),
        ("info locals ip", "info locals takes no argument, and here is 'ip'"),
        ("\x1b[31m", r"'\x1b[31m' is no command; help lists them"),
        ("b \x07", r"there is no function named \x07; there is "),
    ],
)
def test_single_answers(typed: str, said: str) -> None:
    assert parser(4, 4)(typed).startswith(f"error: {said}")


def test_what_cannot_be_written_is_escaped() -> None:
    said = parser(4, 4)("b \ud800")
    assert said.startswith(r"error: there is no function named \ud800; there is ")
    assert said.encode("utf-8")


def test_macros_and_scripts_without_end(tmp_path: Path) -> None:
    repl = program("r0 = 0\nexit")
    assert repl("define a", "a", "end", "a") == "error: a: macros and scripts are nested more than 50 deep\n"
    for one, other in (("x", "y"), ("y", "x")):
        (tmp_path / one).write_text(f"source {tmp_path / other}\n")
    said = repl(f"source {tmp_path / 'x'}")
    assert said.endswith("macros and scripts are nested more than 50 deep\n")
    assert said.count("x") < 20
    assert repl.printed("1") == "1"


def test_a_long_line_of_a_pipe_is_one_line() -> None:
    repl = program("r0 = 0\nexit")
    run_shell(repl, PlainLines(io.BytesIO(b"x" * (2 * READ_AT_ONCE + 5) + b"\np 5\n\xff\xfe\0\ndefine a\np 1")))
    said = repl.taken().splitlines()
    assert said[:2] == [f"error: a line of more than {LONGEST_LINE} characters is no command", "$1 = 5"]
    assert said[-1] == "error: 'end' is missing: define a has begun and not ended"
    assert len(said) == 4


@pytest.mark.parametrize("one", [*COMMANDS, *INFO], ids=lambda one: one.name)
def test_every_command_has_help_with_an_example(one: object) -> None:
    repl = help_repl()
    name = one.name if one in [*COMMANDS] else f"info {one.name}"  # type: ignore[attr-defined]
    said = repl(f"help {name}")
    assert "\nexample: " in said
    assert repl.failures == 0


def help_repl() -> Repl:
    return program("r0 = 0\nexit")
