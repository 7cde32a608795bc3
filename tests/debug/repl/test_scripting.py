"""Scripts, macros, help, names of commands, and lines that make no sense."""

from __future__ import annotations

from pathlib import Path

import pytest
from debug.repl.repl_support import Repl, parser, program
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybpftime.debug.repl.table import COMMANDS, INFO, Command, CommandTable, command
from pybpftime.errors import InputError

SHORT = {
    "b": "break", "tb": "tbreak", "r": "run", "c": "continue", "n": "next", "s": "step", "ni": "nexti", "si": "stepi",
    "fin": "finish", "u": "until", "p": "print", "x": "x", "i": "info", "bt": "backtrace", "f": "frame", "up": "up",
    "down": "down", "l": "list", "disas": "disassemble", "wa": "watch", "disp": "display", "undisp": "undisplay",
    "d": "delete", "en": "enable", "dis": "disable", "cond": "condition", "ignore": "ignore", "commands": "commands",
    "rc": "reverse-continue", "rs": "reverse-step", "rn": "reverse-next", "rsi": "reverse-stepi",
    "rni": "reverse-nexti", "rfin": "reverse-finish", "q": "quit", "h": "help", "np": "next-packet",
    "pp": "previous-packet", "restart": "run", "where": "history", "adv": "advance", "reverse-f": "reverse-finish",
}  # fmt: skip


@pytest.mark.parametrize(("short", "name"), SHORT.items())
def test_short_names(short: str, name: str) -> None:
    assert COMMANDS.find(short).name == name


def test_names_that_are_not_clear() -> None:
    repl = program("r0 = 0\nexit")
    assert repl("re") == (
        "error: re may be reverse-continue or reverse-finish or reverse-next or reverse-nexti or reverse-step or "
        "reverse-stepi\n"
    )
    assert "there is no command named brake; did you mean break or " in repl("brake 1")
    assert "is no command; help lists them" in repl("!ls")
    assert "there is no command named shell" in repl("shell ls")
    assert repl("# a comment", "   ", "") == ""


@pytest.mark.parametrize("one", [*COMMANDS], ids=lambda one: one.name)
def test_help_of_every_command(one: Command) -> None:
    text = program("r0 = 0\nexit")(f"help {one.name}")
    assert text.startswith(f"{one.usage}\n")
    assert one.summary.endswith((".", "lists them."))
    assert f"example: {one.example}\n" in text
    assert COMMANDS.find(one.example.split()[0].partition("/")[0]).name == one.name


NEEDS = {
    "define": ("end",), "commands": ("end",),
}  # fmt: skip
"""What must follow an example."""
BEFORE = {
    "reverse-continue": ("c",), "delete": ("watch $r9", "watch $r8", "b take", "b add", "b classify"),
    "enable": ("b take",), "disable": ("b take",), "clear": ("b parse_ipv4",), "undisplay": ("display $step",),
    "down": ("up",), "advance": ("d",),
}  # fmt: skip
SKIPPED = {"source": "needs a file"}


@pytest.mark.parametrize("one", [*COMMANDS, *INFO], ids=lambda one: one.usage)
def test_every_example_works(one: Command) -> None:
    """In parse_ipv4, at the line where `ip` and `rest` have values, stopped by breakpoint 1."""
    if one.name in SKIPPED:
        return
    repl = parser(4, 12)
    repl("break 164", "c", *BEFORE.get(one.name, ()))
    example = one.example.replace("iph->", "ip->").replace("goto packet 3", "goto packet 5")
    text = repl(example, *NEEDS.get(one.name, ()))
    assert "error" not in text
    assert repl.failures == 0, text


def test_help_lists_all_commands() -> None:
    repl = program("r0 = 0\nexit")
    text = repl("help")
    headings = [line for line in text.splitlines() if not line.startswith("  ")]
    assert headings[0].startswith("Moving: ")
    assert headings[1].startswith("Breakpoints")
    for one in COMMANDS:
        assert f"  {one.usage.partition(' ... ')[0]} " in text
    assert "info locals" in repl("help info")
    assert repl("help info locals").startswith("info locals\nShow the variables")
    assert repl("help nothing").startswith("error: ")
    assert "your own: twice" in repl("define twice", "step 2", "end", "help")
    assert repl("help twice") == "define twice\nstep 2\nend\n"


def test_a_command_is_a_decorator() -> None:
    table = CommandTable()

    @table.command("why", "w", usage="why EXPR", example="why $r3", moves=True)
    def why(repl: object, text: str) -> None:
        """Tell where a value comes from.

        More about it.
        """

    assert table.find("w") is table.find("why") is table.find("wh")
    assert table.find("why").summary == "Tell where a value comes from."
    assert command is not None
    with pytest.raises(InputError, match="there is no command named x"):
        table.find("x")


def test_macros() -> None:
    repl = parser()
    assert repl("define twice", "step $arg0", "step $arg0", "print $argc", "end") == ""
    assert repl("twice 2").endswith("1 = 1\n")
    assert repl("twice") == "error: twice uses $arg0, and has 0 arguments\n"
    assert repl("define step", "end").startswith("error: step is a command already")
    assert repl("define 1", "end").startswith("error: ")
    assert "nested more than" in repl("define forever", "forever", "end", "forever")
    repl("define outer", "define inner", "echo in", "end", "inner", "end")
    assert repl("outer") == "in\n"


def test_the_prompt_of_a_block() -> None:
    repl = parser()
    assert repl.prompt == "(bpf) "
    repl("define one")
    assert repl.prompt == "> "
    repl("define two", "end")
    assert repl.prompt == "> "
    repl("end")
    assert repl.prompt == "(bpf) "
    repl("define three")
    repl.end_of_input()
    assert repl.taken() == "error: 'end' is missing: define three has begun and not ended\n"


def test_echo() -> None:
    repl = parser()
    assert repl("echo step {$step}, {{x}} {protocols}") == "step 0, {x} (map protocols)\n"
    assert repl("echo {nothing}").startswith("error: ")
    assert repl("echo") == "\n"


def test_scripts(tmp_path: Path) -> None:
    repl = parser()
    file = tmp_path / "one"
    file.write_text("# a script\n\nbreak parse_ipv4\ncontinue\ncommands 1\nend\nstep\n\n")
    text = repl(f"source {file}")
    assert "breakpoint 1 at" in text
    assert text.count("parse_ipv4 at") == 2, "an empty line does nothing in a script"
    file.write_text("step\nnothing\nstep\n")
    text = repl(f"source {file}")
    assert text.count(" at xdp_parser") == 1
    assert f"error: {file}:2: there is no command named nothing" in text
    file.write_text("define mine\nstep\n")
    assert f"error: {file}: 'end' is missing" in repl(f"source {file}")
    assert repl.prompt == "(bpf) "
    file.write_bytes(b"\xff\xfe\x00")
    assert "is no text in UTF-8" in repl(f"source {file}")
    file.write_text(f"source {file}\n")
    assert "nested more than" in repl(f"source {file}")
    assert "No such file" in repl(f"source {tmp_path / 'none'}")
    assert "error: " in repl(f"source {tmp_path}")
    assert "error: " in repl("source")
    assert "error: " in repl("source a\0b")


def test_commands_can_be_echoed(tmp_path: Path) -> None:
    repl = parser()
    file = tmp_path / "one"
    file.write_text("set trace-commands on\np 1\ndefine mine\np 2\nend\nset trace-commands off\np 3\n")
    assert repl(f"source {file}").splitlines() == [
        "(bpf) p 1", "$1 = 1", "(bpf) define mine", "> p 2", "> end", "(bpf) set trace-commands off", "$2 = 3",
    ]  # fmt: skip


def test_quit() -> None:
    repl = parser()
    repl("quit 3")
    assert repl.finished
    assert repl.exit_code == 3
    assert parser()("quit x").startswith("error: ")


WORDS = st.one_of(
    st.sampled_from([word for one in COMMANDS for word in (one.name, *one.aliases) if one.name != "source"]),
    st.sampled_from([f"info {one.name}" for one in INFO]),
    st.text(max_size=8),
)
PIECES = st.one_of(
    st.sampled_from(
        [
            "parse", "parse_ipv4", "164", "xdp_parser.bpf.c:1", "*3", "parse+9", "/p/", "if", "1", "0", "-1", "2-3",
            "$r1", "$pc", "ip", "ip->ttl", "rest", "*rest", "packet[3]", "packet[1:9]", "flows", "protocols[1]", "= 5",
            "/x", "/4xb", "/s", "/i", "{", "}", '"', "(", ")", "end", "start", "packet", "display", "after", "%", "> 2",
            "9999999999999999999999", "&ip", "!", "~", "[", ",", '"{$step}"', "sizeof", "struct", "listsize", "context",
        ]
    ),
    st.text(max_size=6),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(WORDS, st.lists(PIECES, max_size=4)), min_size=1, max_size=6))
def test_whatever_is_typed_is_answered(lines: list[tuple[str, list[str]]]) -> None:
    repl: Repl = parser(4, 5)
    repl("b 164", "c", "end")
    repl.session.world.budget = 3000
    for word, pieces in lines:
        line = f"{word} {' '.join(pieces)}"
        text = repl(line)
        assert "Traceback" not in text
    repl.end_of_input()
    repl("info registers", "history", "bt")
