"""Our verifier as a runtime: what it does not prove safe is refused, and the rest runs in the reference engine.

Programs are wrapped as for the kernel (see `wrapping`): the verifier wants a program type, and sees the memory of a
case as the value of a map.
"""

from __future__ import annotations

from dataclasses import replace

from pybpftime.conformance.case import Case, Feature, Signature, Verdict
from pybpftime.conformance.runtime import Limit, Outcome, OutcomeKind
from pybpftime.conformance.runtimes.bare import PlainMemory
from pybpftime.conformance.runtimes.in_process import (
    REFERENCE,
    InProcess,
    attached,
    budget_of,
    failure_of,
    map_references,
    new_machine,
)
from pybpftime.conformance.runtimes.wrapping import (
    RESULT_BYTES,
    exit_storing,
    in_slots_of_case,
    load_address,
    load_number,
    outline,
    read_result,
    wrap,
)
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import InputError
from pybpftime.helpers import default_helpers
from pybpftime.isa import Group, Immediate, decode_program, validate
from pybpftime.machine import LINUX
from pybpftime.maps import MapSpec
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import ProgramSpec
from pybpftime.uapi import MapType, ProgramType
from pybpftime.verifier import Verdict as Answer
from pybpftime.verifier import verify

KEY = bytes(4)
VERIFIED = replace(
    REFERENCE,
    name="verified",
    description="our verifier, and behind it the reference engine as Linux would run the program",
    groups=frozenset(Group) - {Group.PACKET},
    features=REFERENCE.features - {Feature.UNWIND, Feature.CALLX},
    refuses=frozenset({Verdict.MALFORMED, Verdict.INVALID}),
    shows=frozenset({"memory"}),
    limits=(
        Limit("*", "refused as Linux does: an immediate shift of the width or more, which RFC 9669 masks", "shift by"),
        Limit("*", "refused as Linux does: division by an immediate 0, which RFC 9669 defines", "division by an imm"),
        Limit("*", "refused as Linux does: instructions that no path leads to", "[unreachable]"),
        Limit("*", "the verifier had no time to decide it", "[timeout]"),
    ),
)


class VerifiedRuntime(InProcess):
    """`timeout` is how many seconds the verifier may take for a case."""

    def __init__(self, timeout: float | None = None) -> None:
        self.profile = VERIFIED if timeout is None else replace(VERIFIED, timeout=timeout)
        self._helpers = default_helpers()

    def judged(self, case: Case) -> Outcome:
        content = case.memory or b""
        specs = (*case.maps, *([_value("memory", len(content))] if content else ()), _value("result", RESULT_BYTES))
        result, memory = str(len(specs) - 1), str(len(case.maps)) if content else None
        machine = new_machine(LINUX)
        try:
            maps = {str(index): attached(spec, machine) for index, spec in enumerate(specs)}
        except InputError as error:
            return Outcome(OutcomeKind.UNSUPPORTED, message=str(error))
        try:
            validate(decode_program(case.code), refuse_constants=LINUX.refused_constants)  # says it in the case's slots
            code, first = _wrapped(case, content, len(specs) - 1)
            program = decode_program(code)
            named = map_references(program, len(maps)).items()
            references = {slot: map for slot, map in named if slot < first or int(map.name) < len(case.maps)}
            spec = ProgramSpec("program", program, ProgramType.BPF_PROG_TYPE_SOCKET_FILTER, references=references)
            report = verify(spec, {name: map.spec for name, map in maps.items()}, timeout=self.profile.timeout)
            if report.verdict is not Answer.SAFE:
                assert report.objection is not None
                message = f"{in_slots_of_case(report.objection.sentence, first)} [{report.objection.code}]"
                return Outcome(OutcomeKind.REFUSED, pc=_of_case(report.objection.pc, first), message=message)
            executable = ReferenceEngine().compile(LoadedProgram(spec, maps), machine, self._helpers)
        except InputError as error:
            return Outcome(OutcomeKind.REFUSED, message=str(error))
        if memory is not None:
            maps[memory].update(KEY, content)
        failure = failure_of(executable, PlainMemory(b""), budget_of(case) + first)
        if failure is not None:
            message = in_slots_of_case(failure.message, first)
            return replace(failure, pc=_of_case(failure.pc, first), message=message)
        r0 = read_result(_bytes(maps[result].lookup(KEY)))
        assert r0 is not None
        content_after = case.memory if memory is None else _bytes(maps[memory].lookup(KEY))
        return Outcome(OutcomeKind.RETURNED, Signature({0: r0}, content_after))


def _wrapped(case: Case, content: bytes, result: int) -> tuple[bytes, int]:
    """The program with its memory and its result in maps by index: the last two, or the last one without memory."""
    inside = Immediate.MAP_VALUE_BY_INDEX
    entry = load_address(1, inside, result - 1) if content else load_number(1, 0)
    code, first = wrap(
        case.code, outline(case.code), entry, len(content), exit_storing(load_address(1, inside, result))
    )
    return bytes(code), first


def _of_case(pc: int | None, first: int) -> int | None:
    """A slot of the wrapped program in the case's own; None for one in front of them."""
    return None if pc is None or pc < first else pc - first


def _value(name: str, size: int) -> MapSpec:
    return MapSpec(name, MapType.BPF_MAP_TYPE_ARRAY, len(KEY), size, 1)


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
