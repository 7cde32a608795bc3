"""The scalar domain: what is known about a 64-bit number, and what each instruction makes of it.

`ranges` has the values and their lattice, `deduction` what their views tell each other, `arithmetic`, `bitwise` and
`relations` the operators on words of one width, `operators` the frame around them.  Every function that a verdict rests
on is proved sound by z3 (`verifier.proofs`, docs/reference/verifier-operators.md).
"""

from pybpftime.verifier.domain.operators import (
    base_name,
    binary,
    decide,
    decided,
    refine,
    refined,
    transfer,
    unary,
)
from pybpftime.verifier.domain.ranges import (
    UNKNOWN,
    Range,
    constant,
    join,
    meet,
    of_size,
    signed,
    signed_of_size,
    unsigned,
)
from pybpftime.verifier.domain.widening import widen

__all__ = [
    "UNKNOWN",
    "Range",
    "base_name",
    "binary",
    "constant",
    "decide",
    "decided",
    "join",
    "meet",
    "of_size",
    "refine",
    "refined",
    "signed",
    "signed_of_size",
    "transfer",
    "unary",
    "unsigned",
    "widen",
]
