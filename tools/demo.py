"""The main job as a short guided tour: `make demo`.

Every command that is shown is run; the text between says what to look at.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from pybpftime.cli.main import cli

ROOT = Path(__file__).resolve().parent.parent
PARSER = "tests/programs/xdp_parser.bpf.o"
CAPTURE = "tests/captures/mixed.pcap"
OFF_BY_ONE = "tests/programs/rejected/packet-off-by-one.bpf.o"
MALLOC = "tests/programs/malloc.bpf.o"

LIBRARY = """\
import pybpftime

parser = pybpftime.load("tests/programs/xdp_parser.bpf.o").program
for packet in pybpftime.read_packets("tests/captures/tiny.pcap"):
    print(parser.run(packet.data).verdict)
print(parser.maps["protocols"].items()[:3])
"""

WRONG = """\
; reads one byte past the end of the 4 bytes behind r1
r6 = r1
r6 += r2
r0 = *(u8 *)(r6 + 0)
exit
"""


class Tour:
    """Prints and runs, one stop after the other."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.stop = 0

    def say(self, title: str, text: str) -> None:
        """A heading and what to look at."""
        self.stop += 1
        self.console.print()
        self.console.print(Panel(text, title=f"{self.stop}. {title}", title_align="left", border_style="blue"))

    def run(self, *arguments: str) -> None:
        """Show a command and run it; a failure is part of the tour."""
        self.console.print(Text(f"$ pybpftime {shlex.join(arguments)}", style="bold"))
        try:
            cli.main(list(arguments), standalone_mode=False)
        except click.ClickException as error:
            self.console.print(Text.assemble(("error", "bold red"), f": {error.format_message()}"))

    def source(self, code: str, language: str) -> None:
        """Show a piece of code."""
        self.console.print(Syntax(code, language, background_color="default"))


def main() -> None:
    """The tour."""
    os.chdir(ROOT)
    tour = Tour()
    tour.say(
        "A real object, made by clang",
        "tests/programs/xdp_parser.bpf.c is a packet parser for XDP.  This is what its object file holds: the "
        "program, its maps with their types, the helpers that it calls.",
    )
    tour.run("info", PARSER)
    tour.say(
        "Run it on a capture",
        "No kernel, no root: the interpreter executes the object instruction by instruction.  A verdict for every "
        "packet, then the maps, read through their BTF types.",
    )
    tour.run("run", PARSER, "--pcap", CAPTURE, "--dump-maps")
    tour.say("Watch every instruction", "The first packet of another capture, with source lines and register changes.")
    tour.run("run", PARSER, "--packet", "ffffffffffff 020000000001 0806", "--trace")
    tour.say(
        "A fault explains itself",
        "This little program reads past its memory.  The kernel would refuse it; here it says what went wrong and "
        "by how much.",
    )
    tour.source(WRONG, "text")
    with tempfile.TemporaryDirectory() as folder:
        wrong = Path(folder) / "wrong.s"
        wrong.write_text(WRONG)
        tour.run("run", str(wrong), "--mem", "00 01 02 03")
    tour.say(
        "Is it safe?",
        "The verifier proves that no input makes the parser fault.  The second program reads one byte too far: it is "
        "shown the packet that breaks it, which was run.",
    )
    tour.run("verify", PARSER)
    tour.run("verify", OFF_BY_ONE, "--program", "broken")
    tour.say("The same from Python", "The library behind the command line.")
    tour.source(LIBRARY, "python")
    exec(compile(LIBRARY, "demo", "exec"), {})
    live(tour)
    tour.console.print("\n[bold]That was the tour.[/bold]  README.md has more; `make test` runs the whole suite.")


def live(tour: Tour) -> None:
    """The last stop: a program at the probes of a process; where that cannot be, a sentence says why."""
    tour.say(
        "A live process",
        "tests/programs/malloc.bpf.c counts what a process asks malloc for.  Its two programs are attached to the C "
        "library of a Python that is started here; they run at every call and return, on the true registers.  The "
        "report is on standard error, so that the output of the program stays its own.",
    )
    if sys.platform != "linux" or platform.machine() != "x86_64":
        tour.console.print(f"Not here: it takes Linux on x86-64, this is {sys.platform} on {platform.machine()}.")
        return
    tour.run("trace", MALLOC, "--", sys.executable, "-c", 'print("hello from the process")')


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
