"""What generated programs may be made of, so that every runtime of a campaign can run all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pybpftime.conformance.case import Feature
from pybpftime.conformance.runtime import Profile
from pybpftime.errors import InputError
from pybpftime.isa import TABLE, Form, Group, Row
from pybpftime.isa.row import INCLUDES

FORMS = frozenset(
    {Form.BINARY, Form.UNARY, Form.JUMP_IF, Form.JUMP, Form.LOAD, Form.STORE, Form.ATOMIC, Form.EXIT}
)  # fmt: skip
FEATURES = {Form.CALL_LOCAL: Feature.CALLS, Form.LOAD_ACQUIRE: Feature.ORDERED, Form.STORE_RELEASE: Feature.ORDERED}
NARROW = ("ldxw", "stxw", "add32_reg", "xor32_reg", "mov32_imm", "mov32_reg", "sub32_imm", "jne32_imm", "exit")
WIDE = ("ldxdw", "stxdw", "add_reg", "xor_reg", "mov_imm", "sub_imm", "jne_imm", "exit", "mov_reg")
"""What a program needs for loading its inputs, for loops, and for making all that it computed visible."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The names of the rows that are drawn from; `wide` when there is 64-bit arithmetic."""

    rows: frozenset[str]
    wide: bool

    def among(self, *forms: Form) -> list[Row]:
        """The rows of these forms, in the order of the table."""
        return [row for row in TABLE if row.name in self.rows and row.form in forms]


def dialect(profiles: Sequence[Profile], groups: Iterable[Group] = (), *, ordered: bool = True) -> Dialect:
    """The rows that every one of `profiles` claims and has no known limit on; only those of `groups` when given.

    InputError when they leave too little to make programs of.
    """
    wanted = frozenset(groups) or frozenset(Group)
    rows = frozenset(
        row.name
        for row in TABLE
        if _is_generated(row) and row.groups <= _closed(wanted) and all(_claims(profile, row) for profile in profiles)
    )
    if not ordered:
        rows -= {row.name for row in TABLE if row.form in (Form.LOAD_ACQUIRE, Form.STORE_RELEASE)}
    wide = rows.issuperset(WIDE)
    missing = sorted(set(NARROW) - rows)
    if missing and not wide:
        names = ", ".join(profile.name for profile in profiles) or "no runtime"
        raise InputError(f"nothing can be generated that {names} would run: programs need {', '.join(missing)}")
    return Dialect(rows, wide)


def _is_generated(row: Row) -> bool:
    return row.form in FORMS or row.form in FEATURES or row.name == "lddw"


def _closed(groups: frozenset[Group]) -> frozenset[Group]:
    return groups.union(*(INCLUDES.get(group, frozenset()) for group in groups))


def _claims(profile: Profile, row: Row) -> bool:
    feature = FEATURES.get(row.form)
    if feature is not None and feature not in profile.features:
        return False
    limited = any(not limit.refusal and fnmatchcase(row.name, limit.pattern) for limit in profile.limits)
    return row.groups <= _closed(profile.groups) and not limited
