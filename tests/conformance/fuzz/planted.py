"""Runtimes with one known bug: what fuzzing must find."""

from __future__ import annotations

import os
import random
from dataclasses import replace

from pybpftime.conformance.case import Case, Feature, Signature
from pybpftime.conformance.fuzz.dialect import dialect
from pybpftime.conformance.mutation.catalogue import mutants
from pybpftime.conformance.mutation.mutant import Kind as Mistake
from pybpftime.conformance.mutation.mutant import Mutant
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Profile
from pybpftime.conformance.runtimes.bare import PlainMemory
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import Fault, InputError, LimitExceeded
from pybpftime.helpers import HelperTable
from pybpftime.isa import TABLE, Form, decode_program
from pybpftime.machine import LENIENT, Machine
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import ProgramSpec

PROFILE = Profile("planted", features=frozenset({Feature.CALLS, Feature.ORDERED}))


ROWS = dialect([PROFILE]).rows
NEG = 0x87
"""The opcode that the deadly runtimes mind."""


class Planted:
    """The reference engine, or one with a bug, showing r0 alone."""

    def __init__(self, engine: ReferenceEngine | None = None, profile: Profile = PROFILE) -> None:
        self.profile = profile
        self._engine = ReferenceEngine() if engine is None else engine

    def run(self, case: Case) -> Outcome:
        """One run at the lenient level."""
        try:
            return self._run(case)
        except Exception as error:
            return Outcome(OutcomeKind.CRASHED, message=f"{type(error).__name__}: {error}")

    def _run(self, case: Case) -> Outcome:
        program = LoadedProgram(ProgramSpec("program", decode_program(case.code)), {})
        try:
            executable = self._engine.compile(program, Machine(strictness=LENIENT), HelperTable())
            r0 = executable.run(PlainMemory(case.memory or b""), budget=100_000).r0
        except InputError as error:
            return Outcome(OutcomeKind.REFUSED, message=str(error))
        except Fault as error:
            return Outcome(OutcomeKind.TRAPPED, trap=error.kind, pc=error.pc, message=str(error))
        except LimitExceeded as error:
            return Outcome(OutcomeKind.EXHAUSTED, message=str(error))
        return Outcome(OutcomeKind.RETURNED, Signature({0: r0}))

    def close(self) -> None:
        """Nothing is held."""


class Deadly(Planted):
    """Takes the process that asks it with it, at every program that negates."""

    def run(self, case: Case) -> Outcome:
        if any(one is not None and one.opcode == NEG for one in case.program()):
            os._exit(9)
        return super().run(case)


def open_planted(name: str) -> Planted:
    """`right`, `deadly`, or the name of a mutant."""
    if name == "deadly":
        return Deadly(profile=replace(PROFILE, name=name))
    engine = None if name == "right" else mutants()[name].engine()
    return Planted(engine, replace(PROFILE, name=name))


LONG = (Form.CALL_LOCAL, Form.EXIT)


def rows_of(mutant: Mutant) -> set[str]:
    """The rows that a finding may be filed under.  What a call saves is seen only when its exit has returned."""
    return {row.name for row in TABLE if row.form in LONG} if mutant.row.form in LONG else {mutant.row.name}


UNMET = ("8-bits", "unsigned", "imm-for-offset")
"""Wrong jump targets that show in long jumps, in jumps backwards, or whose constants must be as long as the program."""


def findable(mutant: Mutant) -> bool:
    """Whether a valid program can meet the bug: one that a verifier lets in, and no longer than those generated."""
    if mutant.kind in (Mistake.DECODING, Mistake.BOUNDS) or mutant.row.name not in ROWS:
        return False
    by_zero = mutant.id.partition("/")[2].startswith("zero")
    constant = mutant.row.constant_rule is not None and (by_zero or mutant.kind in (Mistake.LIMIT, Mistake.MASK))
    return not constant and not (mutant.kind is Mistake.TARGET and mutant.id.endswith(UNMET))


def chosen_mutants(source: random.Random) -> dict[Mistake, Mutant]:
    """One for each kind of mistake."""
    every = [mutant for mutant in mutants().values() if findable(mutant)]
    return {kind: source.choice(fitting) for kind in Mistake if (fitting := [one for one in every if one.kind is kind])}
