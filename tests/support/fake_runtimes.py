"""Runtimes that do what the name of a case says, and cases to ask them: for tests of runners and reports."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from functools import partial

from pybpftime.conformance.case import Case, Expectation, Signature, Verdict
from pybpftime.conformance.runtime import Limit, Outcome, OutcomeKind, Profile
from pybpftime.isa.assembler import assemble
from pybpftime.isa.encoding import encode_program

SEVEN = encode_program(assemble("r0 = 7\nexit"))
RIGHT = Outcome(OutcomeKind.RETURNED, Signature({0: 7}))
HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\x1b[2J\0'
WRONG = Outcome(OutcomeKind.RETURNED, Signature({0: 8}))


def case(name: str, code: bytes = SEVEN, **fields: object) -> Case:
    """A case that expects 7; its name up to the first digit is what a `Fake` does with it."""
    expected = (Expectation(Verdict.RETURN, Signature({0: 7})),)
    return Case(**{"name": name, "code": code, "expected": expected, **fields})


@dataclass
class Fake:
    """A runtime; `log` is a file to which it adds the name of each case that it is asked."""

    profile: Profile
    log: str = ""
    state: list[str] = field(default_factory=list)

    def run(self, case: Case) -> Outcome:
        if self.log:
            with open(self.log, "a", encoding="utf-8") as stream:
                stream.write(f"{case.name}\n")
        what = case.name.rpartition("/")[2].rstrip("0123456789")
        behaviour = getattr(self, f"_{what}", None)
        return RIGHT if behaviour is None else behaviour(case)

    def close(self) -> None:
        if self.log:
            with open(self.log, "a", encoding="utf-8") as stream:
                stream.write("closed\n")

    def _wrong(self, case: Case) -> Outcome:
        return WRONG

    def _raises(self, case: Case) -> Outcome:
        raise ZeroDivisionError("of the adapter")

    def _dies(self, case: Case) -> Outcome:
        os._exit(3)

    def _killed(self, case: Case) -> Outcome:
        os.kill(os.getpid(), signal.SIGKILL)
        return RIGHT

    def _hangs(self, case: Case) -> Outcome:
        time.sleep(600)
        return RIGHT

    def _slow(self, case: Case) -> Outcome:
        time.sleep(0.05)
        return RIGHT

    def _nothing(self, case: Case) -> Outcome:
        return None  # what a careless adapter may do

    def _unsendable(self, case: Case) -> Outcome:
        return Outcome(OutcomeKind.RETURNED, Signature({0: 7}), message=lambda: "")

    def _nonsense(self, case: Case) -> Outcome:
        return Outcome(OutcomeKind.RETURNED, Signature({0: "seven"}))

    def _cannot(self, case: Case) -> Outcome:
        return Outcome(OutcomeKind.UNSUPPORTED, message="not today")

    def _hostile(self, case: Case) -> Outcome:
        return Outcome(
            OutcomeKind.GARBAGE, message='</script><script>alert(1)</script><img src=x onerror="x">\x1b[2J\0'
        )

    def _once(self, case: Case) -> Outcome:
        """Wrong when asked for the first time by this process."""
        first = case.name not in self.state
        self.state.append(case.name)
        return WRONG if first else RIGHT


PROFILE = Profile("fake", "a fake", "1.0", timeout=1.0, limits=(Limit("limited*", "a known limit"),))


def fake(log: str = "", profile: Profile = PROFILE) -> Fake:
    """An opened fake."""
    return Fake(profile, log)


def opener(log: object = "", profile: Profile = PROFILE) -> partial[Fake]:
    """What opens a fake, in other processes too."""
    return partial(fake, str(log), profile)


def refusing_opener() -> Fake:
    """A runtime that cannot be opened."""
    raise OSError("no such runtime")
