"""An interpreter that prints to a string."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from io import StringIO
from pathlib import Path

from debug.debug_support import MIXED, TESTS, assembled

from pybpftime.cli.maps_output import print_maps
from pybpftime.cli.output import console
from pybpftime.debug.answers import AnswerBook
from pybpftime.debug.repl import Interpreter
from pybpftime.debug.session import Session
from pybpftime.debug.symbols import DebugFile
from pybpftime.debug.timeline import Invocation
from pybpftime.machine import STRICT, Environment
from pybpftime.program.packets import Packet, read_packets
from pybpftime.program.spec import ObjectSpec
from pybpftime.runtime import Object
from pybpftime.runtime.load import read_object

PARSER = TESTS / "programs" / "xdp_parser.O0.bpf.o"
OPTIMISED = TESTS / "programs" / "xdp_parser.bpf.o"


@cache
def _loaded(path: Path) -> tuple[ObjectSpec, DebugFile]:
    """Read once for all tests."""
    return read_object(path), DebugFile(path)


def session_on(path: Path, runs: Sequence[Invocation]) -> Session:
    """A session at the level strict."""
    spec, debug = _loaded(path)
    made = Object(spec, level=STRICT, environment=AnswerBook(Environment()))
    return Session(made, runs, debug=debug)


@cache
def captured() -> tuple[Packet, ...]:
    """The packets of the capture."""
    return tuple(read_packets(str(MIXED)))


class Repl(Interpreter):
    """`repl("next", "print x")` gives what these lines print."""

    def __init__(self, session: Session) -> None:
        self._text = StringIO()
        super().__init__(session, console(self._text), print_maps=print_maps)
        self.begin()
        self.beginning = self.taken()

    def __call__(self, *lines: str) -> str:
        for line in lines:
            self.execute(line)
        return self.taken()

    def printed(self, expression: str) -> str:
        """What `print` says of an expression, without the number of the value."""
        return re.sub(r"^\$\d+ = ", "", self(f"print {expression}")).removesuffix("\n")

    def taken(self) -> str:
        """What was printed since it was asked last."""
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return text


def parser(first: int = 1, last: int = 12, path: Path = PARSER) -> Repl:
    """The parser on packets of the capture."""
    chosen = captured()[first - 1 : last]
    runs = [Invocation("parse", packet=one.data, label=f"packet {one.number}") for one in chosen]
    return Repl(session_on(path, runs))


def program(text: str, runs: int = 1, *, mem: bytes = b"") -> Repl:
    """A program in assembly, at the level strict."""
    return Repl(assembled(text, runs, mem=mem, level=STRICT))
