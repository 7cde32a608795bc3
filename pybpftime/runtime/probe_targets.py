"""Which programs of an object are attached to a live process, and where: what sections and users say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pybpftime.attach.target import ProbeTarget, parse_target
from pybpftime.errors import InputError
from pybpftime.program.sections import MANUAL
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.runtime.names import no_such

WHERE = "--at takes PATH:FUNCTION, or PROGRAM=PATH:FUNCTION where several programs are attached"


def find_targets(spec: ObjectSpec, names: Iterable[str], places: Iterable[str]) -> list[tuple[str, ProbeTarget]]:
    """Programs by name, and where each is to be attached; one may be at several places.

    InputError when one of them is no probe of a process, or does not say where it belongs.
    """
    names = list(dict.fromkeys(names))
    chosen = [_named(spec, name) for name in names] or _automatic(spec)
    given = _places(spec, chosen, places)
    found = []
    for one in chosen:
        try:
            found += [(one.name, target) for target in _targets(one, given)]
        except InputError as error:
            others = [] if names else [other.name for other in chosen if _can_be_attached(other, given)]
            hint = f"; -p NAME attaches others alone: {', '.join(others)}" if others else ""
            raise InputError(f"{error.reason}{hint}", file=error.file) from None
    return found


def _named(spec: ObjectSpec, name: str) -> ProgramSpec:
    if name not in spec.programs:
        raise no_such("program", name, spec.programs, spec.file)
    return spec.programs[name]


def _targets(program: ProgramSpec, given: Mapping[str, Sequence[str]]) -> list[ProbeTarget]:
    """Where a program is to be attached: where --at says, else where its section does."""
    return [parse_target(program, place) for place in given.get(program.name, ())] or [parse_target(program)]


def _can_be_attached(program: ProgramSpec, given: Mapping[str, Sequence[str]]) -> bool:
    try:
        return bool(_targets(program, given))
    except InputError:
        return False


def _automatic(spec: ObjectSpec) -> list[ProgramSpec]:
    """The programs that libbpf loads unless it is told otherwise."""
    if not spec.programs:
        raise InputError("there is no program in it", file=spec.file)
    found = [one for one in spec.programs.values() if MANUAL not in one.flags]
    if not found:
        names = ", ".join(spec.programs)
        raise InputError(f'its programs are attached on demand only (SEC("?...")): -p NAME, of {names}', file=spec.file)
    return found


def _places(spec: ObjectSpec, chosen: list[ProgramSpec], texts: Iterable[str]) -> dict[str, list[str]]:
    """What --at says, by program.  Text before a = is the name of a program unless it has a slash or a colon."""
    names = [one.name for one in chosen]
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, place = text.partition("=")
        if not equals or "/" in name or ":" in name:
            if len(names) != 1:
                raise InputError(f"{WHERE} ({', '.join(names)}), not {text!r}")
            name, place = names[0], text
        if name not in spec.programs:
            raise InputError(f"--at: {no_such('program', name, names).reason}", file=spec.file)
        if name not in names:
            raise InputError(f"--at: program {name} is not attached; -p {name} does that", file=spec.file)
        found.setdefault(name, []).append(place)
    return found
