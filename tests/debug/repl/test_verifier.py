"""`info verifier`: what is believed of each register, beside what is true."""

from __future__ import annotations

import pytest
from debug.repl.repl_support import OPTIMISED, parser, program

pytest.importorskip("z3", reason="needs z3-solver")


def test_registers_beside_what_the_verifier_knows() -> None:
    repl = parser(path=OPTIMISED)
    lines = repl("stepi 3", "info verifier").splitlines()
    told = {line.split()[0]: line for line in lines if line.split()[0] in ("r1", "r7", "r10")}
    assert told["r1"].endswith("  packet") and "<packet>" in told["r1"]
    assert told["r7"].endswith("  packet end")
    assert told["r10"].endswith("  fp")


def test_where_nothing_is_claimed_it_is_said_why() -> None:
    assert "has no program type" in program("r0 = 0\nexit")("info verifier")
    repl = parser(path=OPTIMISED)
    assert "changed by hand" in repl("set $r1 = 5", "info verifier")
