"""Every mutant: the seeds of every row of the ISA table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from pybpftime.conformance.mutation import arithmetic, atomics, encoding, immediates, jumps, memory, packets
from pybpftime.conformance.mutation.mutant import Mutant, Seed
from pybpftime.errors import InternalError
from pybpftime.isa import TABLE, Form, Row


@cache
def mutants() -> Mapping[str, Mutant]:
    """All mutants by id, in the order of the table."""
    found: dict[str, Mutant] = {}
    for row in TABLE:
        for seed in _seeds(row):
            mutant = Mutant(row, *seed)
            if mutant.id in found:
                raise InternalError(f"there are two mutants {mutant.id}")
            found[mutant.id] = mutant
    return found


def _seeds(row: Row) -> Iterator[Seed]:
    match row.form:
        case Form.BINARY | Form.UNARY:
            yield from arithmetic.seeds(row)
        case Form.LOAD | Form.STORE | Form.LOAD_ACQUIRE | Form.STORE_RELEASE:
            yield from memory.seeds(row)
        case Form.ATOMIC:
            yield from atomics.seeds(row)
        case Form.PACKET:
            yield from packets.seeds(row)
        case Form.IMMEDIATE:
            yield from immediates.seeds(row)
        case Form.CAST:
            return  # the reference has no arenas, so it is judged by no case that has it
        case Form.CALL_BTF:
            pass  # means something in Linux only
        case _:
            yield from jumps.seeds(row)
    yield from encoding.seeds(row)
