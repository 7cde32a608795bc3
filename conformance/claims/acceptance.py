"""Programs that the kernel takes and we do not, or the other way round, with both reasons and why they differ."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Self

from pybpftime.conformance.claims.subject import MEMORY, RESULT, Subject
from pybpftime.conformance.runtimes.wrapping import in_slots_of_case
from pybpftime.conformance.verifier_campaign import verified
from pybpftime.conformance.verifier_draft import MAPS, GeneratedProgram
from pybpftime.conformance.verifier_peer import (
    EXPLANATIONS,
    Difference,
    Explanation,
    VerifierPeer,
    differs,
    endless_without_callbacks,
    explanation,
    refused_with_addresses_first,
    refused_with_facts,
    taken_with_facts,
)
from pybpftime.errors import InputError
from pybpftime.isa import Form, Immediate, Program, lookup
from pybpftime.isa.row import jump_offset
from pybpftime.program.spec import MapReference
from pybpftime.verifier import Report

ASKING = (taken_with_facts, refused_with_facts, refused_with_addresses_first, endless_without_callbacks)
"""The conditions of explanations that ask about the program rewritten."""
WORLD = {MEMORY: "array", RESULT: "one"}
"""The maps of generated programs (`verifier_draft`) that can take the place of a case's memory and result."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A program that one of the two takes and the other refuses.  Slots are the case's own.

    `kernel` and `ours` are the reasons, None of the one that takes it; `explanation` is None when none is known.
    """

    program: str
    kernel: str | None
    ours: str | None
    explanation: str | None


class Acceptance:
    """Says why answers differ; a context manager, with maps in the kernel."""

    def __init__(self) -> None:
        self._resources = ExitStack()
        self._peer: VerifierPeer | None = None

    def disagreement(self, subject: Subject, report: Report, refusal: str | None) -> Disagreement | None:
        """Whether the answers differ, and why."""
        if not differs(report, refusal):
            return None
        argument = self._argument(subject, report, refusal)
        ours = None if report.objection is None else f"{report.objection.sentence} [{report.objection.code}]"
        kernels, ours = (None if one is None else in_slots_of_case(one, subject.first) for one in (refusal, ours))
        return Disagreement(subject.name, kernels, ours, argument)

    def _argument(self, subject: Subject, report: Report, refusal: str | None) -> str | None:
        """Why they differ.

        Explanations that ask about the program rewritten know the maps of generated programs only: for those the
        program must have these, and with them get the answers that it got before.
        """
        if self._peer is None:
            self._peer = self._resources.enter_context(VerifierPeer())
        program = _as_generated(subject)
        found = _without_asking(Difference(program, report, refusal, self._peer))
        moved = None if found is not None else _moved(subject, program)
        if moved is not None:
            difference = Difference(moved, verified(moved)[0], self._peer.refusal(moved), self._peer)
            if differs(difference.report, difference.refusal) and (difference.refusal is None) is (refusal is None):
                found = explanation(difference)
        return None if found is None else found.argument

    def close(self) -> None:
        """Give the maps back."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _without_asking(difference: Difference) -> Explanation | None:
    """The explanation that the program and the two answers are enough for."""
    return next((one for one in EXPLANATIONS if one.when not in ASKING and one.explains(difference)), None)


def _as_generated(subject: Subject) -> GeneratedProgram:
    spec = subject.program
    assert spec.type is not None
    return GeneratedProgram(spec.type, spec.instructions, spec.references, _functions(spec.instructions))


def _functions(program: Program) -> tuple[int, ...]:
    """The first slots of functions, in order."""
    found = {0}
    for slot, instruction in enumerate(program):
        if instruction is None:
            continue
        try:
            row = lookup(instruction)
        except InputError:
            continue
        if row.form is Form.CALL_LOCAL or row.immediate is Immediate.CODE:
            found.add(slot + 1 + jump_offset(row, instruction))
    return tuple(sorted(slot for slot in found if 0 <= slot < len(program)))


def _moved(subject: Subject, program: GeneratedProgram) -> GeneratedProgram | None:
    """The program with the maps of generated ones in place of its own; None if they are not like these."""
    references = {}
    for slot, reference in program.references.items():
        if not isinstance(reference, MapReference) or reference.name not in WORLD:
            return None
        name = WORLD[reference.name]
        if subject.maps[reference.name].value_size > MAPS[name].value_size:
            return None
        references[slot] = replace(reference, name=name)
    return replace(program, references=references)
