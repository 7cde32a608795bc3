"""The ISA table: every row once, and the look-up from an instruction to its row.

No two rows match the same instruction, every instruction matches one row or is a decode error: the first is
checked when this module is imported, the second by `lookup`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from pybpftime.errors import InputError, InternalError
from pybpftime.isa import arithmetic, immediates, jumps, loads_stores
from pybpftime.isa.encoding import Instruction
from pybpftime.isa.row import Row


def _index(table: Sequence[Row]) -> Mapping[int, tuple[Row, ...]]:
    by_opcode: dict[int, list[Row]] = defaultdict(list)
    for row in table:
        for other in by_opcode[row.opcode]:
            if _overlap(row, other):
                raise InternalError(f"rows {row.name} and {other.name} match the same instruction")
        by_opcode[row.opcode].append(row)
    return {opcode: tuple(rows) for opcode, rows in by_opcode.items()}


def _overlap(row: Row, other: Row) -> bool:
    return not any(other.fixed.get(field, value) != value for field, value in row.fixed.items())


TABLE: tuple[Row, ...] = (*arithmetic.rows(), *jumps.rows(), *loads_stores.rows(), *immediates.rows())
BY_OPCODE = _index(TABLE)
BY_NAME: Mapping[str, Row] = {row.name: row for row in TABLE}
if len(BY_NAME) != len(TABLE):
    raise InternalError("two rows of the ISA table have the same name")


def lookup(instruction: Instruction) -> Row:
    """The row of an instruction.

    Raises InputError naming the field and the rule (RFC 9669 section 3: unused fields must be zero) when no row
    matches; where the instruction stands is for the caller to add.
    """
    candidates = BY_OPCODE.get(instruction.opcode, ())
    for row in candidates:
        if row.matches(instruction):
            return row
    raise _no_row(instruction, candidates)


def _no_row(instruction: Instruction, candidates: tuple[Row, ...]) -> InputError:
    if not candidates:
        return InputError(f"unknown opcode {instruction.opcode:#04x}")

    def wrong_fields(row: Row) -> list[str]:
        return [field for field, value in row.fixed.items() if getattr(instruction, field) != value]

    keys = {field for field in candidates[0].fixed if len({row.fixed.get(field) for row in candidates} - {None}) > 1}
    nearest = min(candidates, key=lambda row: (len(keys.intersection(wrong_fields(row))), len(wrong_fields(row))))
    field = wrong_fields(nearest)[0]
    rivals = [row for row in candidates if wrong_fields(row) == wrong_fields(nearest)]
    choices = sorted({row.fixed[field] for row in rivals})
    allowed = " or ".join(f"{value:#x}" if value > 9 else str(value) for value in choices)
    value = getattr(instruction, field)
    kind = nearest.name if len(rivals) < 2 else f"opcode {instruction.opcode:#04x}"
    if value is None:
        return InputError(f"{kind}: there is no {field}: a wide instruction takes two slots")
    return InputError(f"{kind}: {field} is {value:#x} and must be {allowed}")
