"""The solver's part: an obligation that the domain cannot discharge is asked of the solver, on the path it came up on.

The question is whether some input satisfies the facts of the path and breaks the obligation's claims.  Only facts that
share a variable with the claims, by way of other facts, are told; if the answer is no, the facts that were needed are
looked up in the solver's core.  An obligation without claims holds if the facts cannot all be true: then the path is
impossible.

Why this may be combined with pruning: what a proof used is marked.  The scalars in it become *exact*, back to the
leaves, and so do the contents of memory that was taken to be the same at two loads; the facts become needs of every
checkpoint on the path that they precede.  Such a checkpoint covers only states that hold the same scalars and went
through the same facts (`inclusion`).  One that covered a state while it was open compared it by what was exact by then:
a proof that would make another number of before it exact is refused.  (The facts of before it are on the path of that
state too, because it came through there.)
"""

from __future__ import annotations

import time
from dataclasses import fields
from typing import NamedTuple

from pybpftime.verifier import terms
from pybpftime.verifier.explore import Checkpoint
from pybpftime.verifier.inclusion import has_fact
from pybpftime.verifier.obligations import Obligation
from pybpftime.verifier.report import SolverProof
from pybpftime.verifier.state import Fact, FactKind, State, facts_of
from pybpftime.verifier.translate import Translation, leaves, operands, scalars_of_claim, scalars_of_fact
from pybpftime.verifier.values import Scalar, rely_exactly

MOST_FACTS = 120
MILLISECONDS, PATIENCE = 1500, 3000
"""How long the solver has for a question, and another one for what it gives up."""
MOST_SECONDS = 30.0
"""What all questions about a program may take together."""


class _Proof(NamedTuple):
    """The facts that a claim follows from, and what makes reads of one place the same number in it."""

    core: list[Fact]
    read_again: set[Scalar]


class Judge:
    """Questions about one program, to one solver, for `seconds` in all."""

    def __init__(self, seconds: float = MOST_SECONDS) -> None:
        self.questions = 0
        self.proofs: list[SolverProof] = []
        self._known: dict[object, _Proof] = {}
        self._seconds = seconds
        self._solver = terms.new_solver(MILLISECONDS)

    def discharges(self, state: State, obligation: Obligation, checkpoint: Checkpoint) -> bool:
        """Whether the obligation holds in every input that takes this path; marks what that relies on."""
        scalars = [scalar for claim in obligation.claims for scalar in scalars_of_claim(claim)]
        key = _meaning(obligation)
        proof = self._known.get(key)
        if proof is None or not all(has_fact(state, fact) for fact in proof.core):
            facts = _about(state.facts, scalars) if scalars else _newest(state.facts)
            proof = self._proof(facts, obligation) if facts or scalars else None
        if proof is None:
            return False
        if not self._may_rely(proof.core, [*scalars, *proof.read_again], checkpoint):
            return False
        if obligation.claims:
            self._known[key] = proof
        used = tuple((fact.pc, fact.holds) for fact in reversed(proof.core))
        self.proofs.append(SolverProof(state.pc, obligation.sentence, used, not obligation.claims))
        return True

    def _proof(self, facts: list[Fact], obligation: Obligation) -> _Proof | None:
        """That breaking the obligation is impossible, with which facts; None if it is possible, or not known."""
        if self._seconds <= 0:
            return None
        translation = Translation()
        self.questions += 1
        began = time.monotonic()
        told = [(fact, formula) for fact in facts if (formula := translation.fact(fact)) is not None]
        broken = [terms.negation(translation.claim(claim)) for claim in obligation.claims]
        formulas = [*(one for group in translation.conditions.values() for one in group)]
        if broken:
            formulas.append(terms.any_of(broken))
        core = terms.refuted(self._solver, formulas, [formula for _, formula in told], PATIENCE)
        self._seconds -= time.monotonic() - began
        return None if core is None else _Proof([told[index][0] for index in core], translation.read_again)

    def _may_rely(self, core: list[Fact], scalars: list[Scalar], checkpoint: Checkpoint) -> bool:
        used = _behind([*scalars, *(scalar for fact in core for scalar in scalars_of_fact(fact))])
        path = list(checkpoint.with_ancestors())
        newest = next((ancestor.serial for ancestor in path if ancestor.used_open), 0)
        if any(scalar.serial < newest and not scalar.exact and not _is_plain(scalar) for scalar in used):
            return False
        rely_exactly(used)
        for ancestor in path:
            ancestor.needs.update((fact, None) for fact in core if precedes(fact, ancestor))
        return True


def _meaning(obligation: Obligation) -> object:
    """What tells the claims of an obligation from others: those that mean the same follow from the same facts."""
    parts = (getattr(claim, field.name) for claim in obligation.claims for field in fields(claim))
    kinds = tuple(type(claim) for claim in obligation.claims)
    return kinds, tuple(part.root if isinstance(part, Scalar) else part for part in parts)


def _is_plain(scalar: Scalar) -> bool:
    """Whether it is a constant that was not computed: who holds it holds the same number."""
    return scalar.is_constant and not scalar.operands


def precedes(fact: Fact, checkpoint: Checkpoint) -> bool:
    """Whether a fact of the path was known when the checkpoint, on the same path, was made."""
    newest = checkpoint.state.facts
    return newest is not None and fact.depth <= newest.depth


def _newest(fact: Fact | None) -> list[Fact]:
    found = []
    for one in facts_of(fact):
        if one.kind is FactKind.COMPARISON and not one.decided:
            found.append(one)
            if len(found) == MOST_FACTS:
                break
    return found


def _about(fact: Fact | None, scalars: list[Scalar]) -> list[Fact]:
    """The facts of the path that have to do with these numbers, directly or by way of others."""
    candidates = [(one, leaves(scalars_of_fact(one))) for one in _newest(fact)]
    about = leaves(scalars)
    chosen: set[Fact] = set()
    growing = True
    while growing:
        growing = False
        for one, variables in candidates:
            if one not in chosen and not about.isdisjoint(variables):
                chosen.add(one)
                about |= variables
                growing = True
    return [one for one, _ in candidates if one in chosen]


def _behind(scalars: list[Scalar]) -> set[Scalar]:
    """The scalars and everything they were computed from."""
    found: set[Scalar] = set()
    pending = list(scalars)
    while pending:
        scalar = pending.pop()
        if scalar not in found:
            found.add(scalar)
            pending.append(scalar.root)
            pending.extend(operands(scalar.root))
    return found
