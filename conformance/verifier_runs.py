"""Programs of verifier data on random inputs, in the interpreter: a program that is safe does not fault, ever.

A run cannot prove a program safe; a fault proves that it is not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from pybpftime.conformance.verifier_vectors import Vector
from pybpftime.errors import BpfError, Fault, FaultKind, InputError, LimitExceeded
from pybpftime.program.spec import MapReference, ObjectSpec
from pybpftime.runtime import Object, Program
from pybpftime.uapi import MapType

BUDGET = 20_000
LONGEST = 300
SHORTEST = 14
_CONTEXT_BYTES = 512
_KEYED = (MapType.BPF_MAP_TYPE_HASH, MapType.BPF_MAP_TYPE_LRU_HASH, MapType.BPF_MAP_TYPE_ARRAY)


@dataclass(frozen=True, slots=True)
class Runs:
    """What came of it: how many runs there were until one did not finish within BUDGET instructions, or faulted."""

    count: int = 0
    unfinished: bool = False
    fault: str | None = None


def run_at_random(vector: Vector, source: random.Random, count: int) -> Runs:
    """Run the program up to `count` times on what `source` gives.  InputError for a program that cannot be run here.

    A helper that is not implemented ends a run; that is no fault of the program.
    """
    spec = vector.program
    if spec is None:
        raise InputError(f"{vector.name} is no program")
    used = {reference.name for reference in spec.references.values() if isinstance(reference, MapReference)}
    maps = {name: vector.maps[name] for name in sorted(used)}
    program = Object(ObjectSpec(None, {spec.name: spec}, maps)).program
    program.prepare()
    for number in range(count):
        _fill(program, source, empty=number % 4 == 0)
        try:
            _run(program, source)
        except Fault as fault:
            if fault.kind is not FaultKind.TRAP:
                return Runs(number + 1, fault=str(fault))
        except LimitExceeded:
            return Runs(number + 1, unfinished=True)
    return Runs(count)


def _run(program: Program, source: random.Random) -> None:
    length = source.choice((SHORTEST, SHORTEST, 20, 64, source.randint(SHORTEST, LONGEST)))
    packet = source.choice((bytes(length), b"\xff" * length, source.randbytes(length)))
    try:
        program.run(packet)
    except InputError:  # a type that takes no packet
        program.run(ctx=source.choice((bytes(_CONTEXT_BYTES), source.randbytes(_CONTEXT_BYTES))))


def _fill(program: Program, source: random.Random, *, empty: bool) -> None:
    """Put something under the keys that programs often ask for, or nothing."""
    for name, view in program.maps.items():
        spec, map = program.object.spec.maps[name], view.raw
        if spec.type not in _KEYED or spec.contents is not None:
            continue
        keys = [bytes(spec.key_size), (1).to_bytes(spec.key_size, "little"), b"\xff" * spec.key_size]
        for key in keys[: spec.max_entries]:
            value = source.choice((bytes(spec.value_size), source.randbytes(spec.value_size)))
            try:
                if empty and spec.type != MapType.BPF_MAP_TYPE_ARRAY:
                    map.delete(key)
                else:
                    map.update(key, value)
            except BpfError:
                continue  # full, or not there
