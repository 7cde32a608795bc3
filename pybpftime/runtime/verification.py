"""The verifier before a program runs: what it is asked, and what is refused.

A program is verified as it stands in its object: with the helpers that it may call, and with the constants that were
set before it was loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pybpftime.engines.proof import as_it_is
from pybpftime.errors import VerificationError
from pybpftime.helpers import HelperTable
from pybpftime.helpers.declarations import HelperDeclaration
from pybpftime.kernel.btf import running_kernel_types
from pybpftime.machine.strictness import LENIENT, Strictness
from pybpftime.program.spec import MapReference, ObjectSpec, ProgramSpec
from pybpftime.runtime.objects import Object
from pybpftime.uapi import MapType, ProgramType
from pybpftime.verifier import DEFAULT_BUDGET, Report, Verdict, verify

SECONDS = 60.0
"""How long the verifier takes at most before a program runs."""


def is_verifiable(program: ProgramSpec, level: Strictness) -> bool:
    """Whether verification says something about a run: Linux's rules are to hold, and the program has a type.

    A program without one runs on plain memory, which Linux has not.
    """
    return level is not LENIENT and program.type is not ProgramType.BPF_PROG_TYPE_UNSPEC


def verify_program(
    spec: ObjectSpec,
    program: ProgramSpec,
    helpers: HelperTable | None = None,
    *,
    budget: int = DEFAULT_BUDGET,
    timeout: float | None = SECONDS,
) -> Report:
    """Judge a program of `spec`; what it is said to do wrong is tried in the interpreter."""
    from pybpftime.runtime.replay import replayer

    return verify(
        program,
        spec.maps,
        budget=budget,
        timeout=timeout,
        helpers=declared(helpers),
        kernel_types=running_kernel_types,
        replay=replayer(program, spec.maps, helpers=helpers),
    )


def declared(helpers: HelperTable | None) -> Mapping[int, HelperDeclaration]:
    """The declarations of a table that are not Linux's, by id."""
    differing = {} if helpers is None else helpers.beside_linux()
    return {helper_id: declaration for helper_id, declaration in differing.items() if declaration is not None}


def first_unproved(loaded: Object, names: Iterable[str], *, timeout: float | None = SECONDS) -> Report | None:
    """The report on the first of these programs, and of those that they may tail-call, that is not proved safe.

    What `is_verifiable` says no to is let through.  A program that is proved safe gets the proof.
    """
    spec = as_loaded(loaded)
    for name in with_tail_calls(spec, names):
        program = spec.programs[name]
        if not is_verifiable(program, loaded.level):
            continue
        report = verify_program(spec, program, loaded.helpers, timeout=timeout)
        if report.proof is None:
            return report
        loaded.programs[name].rely_on(report.proof)
    return None


def require_proved(loaded: Object, names: Iterable[str], *, timeout: float | None = SECONDS) -> None:
    """VerificationError for the program that `first_unproved` finds."""
    report = first_unproved(loaded, names, timeout=timeout)
    if report is not None:
        raise refusal(report)


def refusal(report: Report) -> VerificationError:
    """The error that says why a program that is not proved safe does not run."""
    objection, explanation = report.objection, report.explanation
    assert objection is not None
    place = None if explanation is None else explanation.place
    return VerificationError(
        f"{PHRASES[report.verdict]}: {objection.sentence}",
        program=report.program,
        instruction=objection.pc,
        source=None if place is None or place.line is None else f"{place.file}:{place.line}: {place.text or ''}",
    )


PHRASES = {Verdict.SAFE: "safe", Verdict.UNSAFE: "unsafe", Verdict.NOT_PROVED: "not proved safe"}


def as_loaded(loaded: Object) -> ObjectSpec:
    """The object with its maps as they were created, and with constants that may have been set since it was read."""
    return replace(loaded.spec, maps={name: as_it_is(map.raw) for name, map in loaded.maps.items()})


def with_tail_calls(spec: ObjectSpec, names: Iterable[str]) -> list[str]:
    """These programs, and, where one may tail-call, those of its type that stand in the same object."""
    found = list(names)
    types = {spec.programs[name].type for name in found if _may_tail_call(spec, spec.programs[name])}
    others = (name for name, program in spec.programs.items() if program.type in types)
    return list(dict.fromkeys([*found, *others]))


def _may_tail_call(spec: ObjectSpec, program: ProgramSpec) -> bool:
    maps = (one.name for one in program.references.values() if isinstance(one, MapReference))
    return any(name in spec.maps and spec.maps[name].type is MapType.BPF_MAP_TYPE_PROG_ARRAY for name in maps)
