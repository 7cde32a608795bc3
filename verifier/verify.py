"""`verify`: a program in, a report out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pybpftime.errors import FaultKind
from pybpftime.helpers.declarations import HelperDeclaration
from pybpftime.maps.spec import MapSpec
from pybpftime.program.proof import Proof, binding_of
from pybpftime.program.spec import ProgramSpec
from pybpftime.uapi import ProgramType
from pybpftime.verifier import call_graph, map_rules, program_rules
from pybpftime.verifier.explain import explain, explain_place
from pybpftime.verifier.explanation import Explanation
from pybpftime.verifier.explore import Checkpoint, Explorer, Failure, OutOfBudget, Watch
from pybpftime.verifier.obligations import Obligation, Unsupported
from pybpftime.verifier.reasons import REASONS, Category
from pybpftime.verifier.report import Objection, Replay, Replayed, Report, Verdict, Witness
from pybpftime.verifier.state import Contents, Packet, State, new_contents, new_frame, new_packet
from pybpftime.verifier.subject import KernelTypesSource, Malformed, Options, Subject
from pybpftime.verifier.values import Pointer, Region, RegionKind

if TYPE_CHECKING:
    from pybpftime.verifier.judge import Judge

DEFAULT_BUDGET = 1_000_000
MOST_FAILURES = 4
"""Failures of which a witness is tried."""


def verify(
    program: ProgramSpec,
    maps: Mapping[str, MapSpec],
    *,
    budget: int = DEFAULT_BUDGET,
    timeout: float | None = None,
    strict_alignment: bool = False,
    helpers: Mapping[int, HelperDeclaration] | None = None,
    replay: Replay | None = None,
    watch: Watch | None = None,
    kernel_types: KernelTypesSource | None = None,
) -> Report:
    """Judge `program`, whose maps are described by `maps`.

    `budget` is how many abstract instructions may be processed, `timeout` how many seconds it may take.  `helpers` are
    declarations beside Linux's, by id.  `replay` runs a witness; without it nothing is called unsafe.  `watch` is given
    every abstract state (see `published`).  `kernel_types` is the kernel's BTF, without which kernel objects are not
    followed; it is asked when it is needed.  Whatever the program is, the answer is a report.
    """
    began = time.monotonic()
    options = Options(budget, timeout, strict_alignment, helpers or {}, kernel_types)
    try:
        subject = Subject(program, maps, options)
        call_graph.refuse_calls(subject)
        map_rules.refuse_maps(subject)
        program_rules.refuse_flags(subject)
    except Malformed as error:
        objection = Objection(error.reason, error.sentence, error.pc)
        place = explain_place(program, error.pc)
        seconds = time.monotonic() - began
        return Report(program.name, Verdict.NOT_PROVED, objection, seconds=seconds, explanation=place)
    verification = _Verification(subject, replay, watch)
    report = verification.report()
    explanation = verification.explanation(report.objection)
    proof = None
    if report.verdict is Verdict.SAFE:
        proof = Proof(program.name, binding_of(program, maps, helpers=options.helpers))
    return replace(report, seconds=time.monotonic() - began, explanation=explanation, proof=proof)


class _Verification:
    """One exploration, the solver that helps it, and what comes of its failures."""

    def __init__(self, subject: Subject, replay: Replay | None, watch: Watch | None) -> None:
        self.subject = subject
        self.judge: Judge | None = None
        self.explorer = Explorer(subject, self._discharges, watch)
        self.replay = replay
        self.packet: Packet | None = None
        self.failures: list[tuple[Objection, Failure]] = []

    def _discharges(self, state: State, obligation: Obligation, checkpoint: Checkpoint) -> bool:
        """What the solver says.  It is loaded when it is first asked: most programs do without."""
        if self.judge is None and solver_is_there():
            self.judge = _judge(self.subject.options.timeout)
        return self.judge is not None and self.judge.discharges(state, obligation, checkpoint)

    def explanation(self, objection: Objection | None) -> Explanation | None:
        """Takes the objection of a report apart; None for that of a safe program."""
        if objection is None:
            return None
        failure = next((failure for one, failure in self.failures if one is objection), None)
        if failure is None:
            return explain_place(self.subject.spec, objection.pc, objection.register)
        return explain(self.subject, initial_state(self.subject), failure)

    def report(self) -> Report:
        """Explore everything; a failure that a replayed witness confirms comes before one that is only not proved."""
        first: Report | None = None
        try:
            start = initial_state(self.subject)
            self.packet = start.packet
            for count, failure in enumerate(self.explorer.failures(start), 1):
                report = self._failed(failure)
                if report.verdict is Verdict.UNSAFE:
                    return report
                first = first or report
                if not self._can_replay() or count == MOST_FAILURES:
                    return first
        except OutOfBudget as error:
            return first or self._report(_given_up(error.code, self.subject.options))
        except Unsupported as error:
            sentence = f"unsupported: {error.name}"
            return first or self._report(Objection(REASONS["unsupported"], sentence, self.explorer.pc))
        return first or self._report(self._objection_to_stack())

    def _objection_to_stack(self) -> Objection | None:
        """What is known when everything is explored: how much stack the functions use together."""
        try:
            call_graph.refuse_stack(self.subject)
        except Malformed as error:
            return Objection(error.reason, error.sentence, error.pc)
        return None

    def _can_replay(self) -> bool:
        """Whether witnesses can be found and run."""
        return self.replay is not None and solver_is_there()

    def _failed(self, failure: Failure) -> Report:
        obligation = failure.obligation
        objection = Objection(obligation.reason, obligation.sentence, failure.state.pc, obligation.register)
        self.failures.append((objection, failure))
        if self.replay is None or not self._can_replay():
            return self._report(objection)
        from pybpftime.verifier import witness

        found = witness.find(self.subject, failure, self.packet)
        if found is None:
            return self._report(objection)
        replayed = self.replay(found)
        confirmed = replayed.faulted and _is_predicted(objection, failure.state.pc, replayed)
        return self._report(objection, found, replayed, confirmed=confirmed)

    def _report(
        self,
        objection: Objection | None,
        witness: Witness | None = None,
        replayed: Replayed | None = None,
        *,
        confirmed: bool = False,
    ) -> Report:
        verdict = Verdict.SAFE if objection is None else Verdict.UNSAFE if confirmed else Verdict.NOT_PROVED
        return Report(
            self.subject.spec.name,
            verdict,
            objection,
            witness if confirmed else None,
            replayed,
            processed=self.explorer.processed,
            solver=0 if self.judge is None else self.judge.questions,
            proofs=() if self.judge is None else tuple(dict.fromkeys(self.judge.proofs)),
        )


def _is_predicted(objection: Objection, pc: int, replayed: Replayed) -> bool:
    """Whether a run that faulted did so as the objection says.

    Arithmetic on a pointer does no harm by itself: what it breaks is the access through it, later.
    """
    if objection.category is Category.TERMINATION:
        return replayed.limit is not None
    if objection.category is Category.POINTER:
        return replayed.kind is FaultKind.MEMORY
    return replayed.pc == pc and replayed.limit is None


def _judge(timeout: float | None) -> Judge:
    """The solver's part, for half of the time."""
    from pybpftime.verifier.judge import Judge

    return Judge() if timeout is None else Judge(timeout / 2)


def solver_is_there() -> bool:
    """Whether z3 is installed: without it less is proved, and nothing is called unsafe."""
    try:
        from pybpftime.verifier import judge  # noqa: F401  # whether it can be imported is the question
    except ImportError:
        return False
    return True


def _given_up(code: str, options: Options) -> Objection:
    how_much = f"{options.budget:,} instructions" if code == "budget" else f"{options.timeout} seconds"
    return Objection(REASONS[code], f"not decided within {how_much}")


def initial_state(subject: Subject) -> State:
    """Where every run begins: r1 is the context, r10 the frame, nothing else is set."""
    if subject.layout is None:
        raise Unsupported(f"programs of type {subject.info.name}")
    frame = new_frame(0, 0)
    context = Region(RegionKind.CONTEXT, subject.layout.name, layout=subject.layout)
    frame = frame.put(1, Pointer(context))
    packet, lengths = new_packet()
    # A message may lie in pages that a process still writes to: there, two reads may give two things.
    is_shared = subject.program_type is ProgramType.BPF_PROG_TYPE_SK_MSG
    contents = None if is_shared else Contents(new_contents(), new_contents())
    return State(0, frame, packet=packet, lengths=lengths, contents=contents)
