"""What must hold before an instruction may be executed, and what would show that it does.

`requires` (in `arithmetic`, `access`, `calls`, ...) yields an obligation for everything that the abstract state does
not already show; `transfer` may then take all of it for granted.  An obligation that is about values carries claims,
which the solver can decide; one without claims can only be discharged by showing that the path is impossible.
"""

from __future__ import annotations

from dataclasses import dataclass

from pybpftime.verifier.reasons import REASONS, Reason
from pybpftime.verifier.values import Pointer, Region, Scalar


@dataclass(frozen=True, slots=True, eq=False)
class Within:
    """`low <= offset + variable` and `offset + variable + size <= high`, as integers.

    `variable` is read as signed, None is 0.  A `high` that is a region is its length.
    """

    variable: Scalar | None
    offset: int
    size: int
    low: int
    high: int | Region


@dataclass(frozen=True, slots=True, eq=False)
class SizedWithin:
    """As Within, of `size` bytes where the size is a number of 64 bits, unsigned."""

    variable: Scalar | None
    offset: int
    size: Scalar
    low: int
    high: int | Region


@dataclass(frozen=True, slots=True, eq=False)
class Between:
    """`low <= scalar <= high`; the scalar is read as `bits` bits, unsigned unless `signed`."""

    scalar: Scalar
    low: int
    high: int
    signed: bool = False
    bits: int = 64


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """`offset + variable` is a multiple of `alignment`."""

    variable: Scalar | None
    offset: int
    alignment: int


@dataclass(frozen=True, slots=True, eq=False)
class NotNull:
    """A nullable pointer is not NULL."""

    pointer: Pointer


Claim = Within | SizedWithin | Between | Aligned | NotNull


@dataclass(frozen=True, slots=True, eq=False)
class Obligation:
    """`code` is a key of REASONS.  `sentence` says what is wrong if it does not hold, in the words of the program.

    `register` is the one that it is about.  `claims`: it holds if all of these do.
    """

    code: str
    sentence: str
    register: int | None = None
    claims: tuple[Claim, ...] = ()

    @property
    def reason(self) -> Reason:
        """The row of the table."""
        return REASONS[self.code]


class Unsupported(Exception):
    """The verifier does not model `name` yet; ends the verification as *not proved*."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
