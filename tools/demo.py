"""The main job as a short guided tour: `make demo`.

Every command that is shown is run; the text between says what to look at.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax

from pybpftime.cli.main import cli
from pybpftime.errors import BpfError

ROOT = Path(__file__).resolve().parent.parent
PARSER = "tests/programs/xdp_parser.bpf.o"
CAPTURE = "tests/captures/mixed.pcap"
TINY = "tests/captures/tiny.pcap"

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
        shown = " ".join(f"'{word}'" if " " in word or "{" in word else word for word in arguments)
        self.console.print(f"[bold]$ pybpftime {shown}[/bold]")
        try:
            cli.main(list(arguments), standalone_mode=False)
        except BpfError as error:
            self.console.print(f"[bold red]error[/bold red]: {error}")

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
    tour.say("The same from Python", "The library behind the command line.")
    tour.source(LIBRARY, "python")
    exec(compile(LIBRARY, "demo", "exec"), {})
    tour.console.print("\n[bold]That was the tour.[/bold]  README.md has more; `make test` runs the whole suite.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
