"""Whether a proof of the verifier covers what an engine is asked to compile, as it stands there alive.

Every engine asks this before it relies on a proof; those that rely on none ask it too, so that a proof of something
else is refused wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pybpftime.errors import InputError
from pybpftime.helpers import Helper, HelperTable, default_helpers
from pybpftime.helpers.declarations import ResultRole
from pybpftime.isa import Form, lookup
from pybpftime.machine import LEVELS, Limits, Machine, Strictness
from pybpftime.maps import Map, MapError, MapSpec
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.proof import Proof, binding_of
from pybpftime.program.spec import Extern, MapReference


def require_cover(proof: Proof, program: LoadedProgram, machine: Machine, helpers: HelperTable) -> None:
    """InputError when `proof` does not cover `program` on this machine, with these helpers."""
    reason = why_not_covered(proof, program, machine.strictness, machine.limits, helpers)
    if reason is not None:
        raise InputError(f"the proof given for program {program.spec.name} does not cover it: {reason}")


def why_not_covered(
    proof: Proof, program: LoadedProgram, strictness: Strictness, limits: Limits, helpers: HelperTable
) -> str | None:
    """Why `proof` does not hold for `program` where it is to run; None when it does.

    The verifier knows declarations; what it cannot know is asked here: that read-only data can no longer be written,
    that helpers which write memory or return addresses are ours, and that frames are as large as Linux's.
    """
    if LEVELS.get(strictness.name) != strictness:
        return f"its level of strictness is not the level {strictness.name}"
    if limits.frame_size < Limits().frame_size:
        return f"its frames have {limits.frame_size} bytes, and Linux's have {Limits().frame_size}"
    used = {one.name for one in program.spec.references.values() if isinstance(one, MapReference)}
    maps = {name: program.maps[name] for name in sorted(used & program.maps.keys())}
    writable = next((name for name, map in maps.items() if map.spec.is_constant and not map.frozen), None)
    if writable is not None:
        return f"the read-only data in map {writable} can still be changed"
    helper = next(_not_vouched_for(program, helpers), None)
    if helper is not None:
        return f"it calls {helper}, which writes memory or returns an address and is not implemented by this package"
    specs = {name: as_it_is(map) for name, map in maps.items()}
    return proof.why_not(binding_of(program.spec, specs, helpers=helpers.beside_linux(), level=strictness.name))


def as_it_is(map: Map) -> MapSpec:
    """The definition of the map as it was created, with its constants as they are now, None if they cannot be read."""
    if not map.spec.is_constant:
        return map.spec
    try:
        value = map.lookup(bytes(map.key_size))
    except MapError:  # user space may not read it
        value = None
    return replace(map.spec, contents=value if isinstance(value, bytes) else None)


def _not_vouched_for(program: LoadedProgram, helpers: HelperTable) -> Iterator[str]:
    """Helpers that the program calls, on whose use of memory the proof relies, and that a user implemented."""
    for helper in _called(program, helpers):
        ours, declared = default_helpers().get(helper.id), helper.declaration
        is_ours = ours is not None and ours.function is helper.function
        if not is_ours and (declared.writes or declared.returns.role not in (ResultRole.INTEGER, ResultRole.VOID)):
            yield declared.name


def _called(program: LoadedProgram, helpers: HelperTable) -> Iterator[Helper]:
    for slot, instruction in enumerate(program.spec.instructions):
        if instruction is None or lookup(instruction).form not in (Form.CALL_HELPER, Form.CALL_BTF):
            continue
        reference = program.spec.references.get(slot)
        found = helpers.find(reference.name) if isinstance(reference, Extern) else helpers.get(instruction.imm)
        if found is not None:
            yield found
