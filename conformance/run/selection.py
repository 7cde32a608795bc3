"""Which cases of a suite are meant, and by what area of the instruction set they are counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from pybpftime.conformance.case import Case, Feature
from pybpftime.errors import InputError
from pybpftime.isa import Group
from pybpftime.isa.row import INCLUDES

# The most special first: a division in a program of 64-bit instructions is about division.
_GROUPS = (
    Group.PACKET,
    Group.ATOMIC64,
    Group.ATOMIC32,
    Group.DIVMUL64,
    Group.DIVMUL32,
    Group.BASE64,
    Group.BASE32,
)
AREAS: tuple[str, ...] = (*(str(group) for group in reversed(_GROUPS)), *(str(feature) for feature in Feature))
"""Everything that `area` answers, in the order of reports.  Functions with frames are RFC 9669's, so never an area."""


def area(case: Case) -> str:
    """The one line of a table that a case counts in: what it needs beyond RFC 9669, else its most special group."""
    beyond = case.features - {Feature.CALLS}
    if beyond:
        return str(next(feature for feature in reversed(Feature) if feature in beyond))
    return str(next(group for group in _GROUPS if group in case.groups))


def select(cases: Iterable[Case], patterns: Sequence[str] = (), groups: Iterable[Group] | None = None) -> list[Case]:
    """The cases whose name matches one of the patterns (shell style), and that need no more than `groups`.

    InputError for a pattern that matches no case at all.
    """
    known = list(cases)
    for pattern in patterns:
        if not any(fnmatchcase(case.name, pattern) for case in known):
            near = get_close_matches(pattern, [case.name for case in known], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"no case is named {pattern}{hint}")
    chosen = [case for case in known if not patterns or any(fnmatchcase(case.name, one) for one in patterns)]
    if groups is None:
        return chosen
    wanted = frozenset(groups)
    allowed = wanted.union(*(INCLUDES.get(group, frozenset()) for group in wanted))
    return [case for case in chosen if case.groups <= allowed]
