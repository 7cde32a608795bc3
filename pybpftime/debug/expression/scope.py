"""What names in an expression stand for: the side that a debugger session implements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from pybpftime.debug.values import CType, Target, TypedValue
from pybpftime.program.btf import Btf


class MapScope(Protocol):
    """A map."""

    @property
    def key_type(self) -> CType:
        """The type of keys."""

    @property
    def value_type(self) -> CType:
        """The type of values."""

    @property
    def cpu_count(self) -> int | None:
        """How many cpus there are that have a value of their own; None where all share one."""

    def element(self, key: bytes, cpu: int | None = None) -> int | None:
        """Address of the value of that key, None if there is none; where each cpu has its own, that of `cpu`.

        Without a cpu it is that of the cpu that the program runs on.
        """

    def length(self) -> int:
        """How many elements there are now."""


class Scope(Protocol):
    """The names that one place in a program can see, and the target that holds their values.

    Names and types are asked for once, when an expression is compiled; `packet`, `special` and the target again at
    each evaluation.  A variable that moves with the frame has a place `Moving`.
    """

    @property
    def target(self) -> Target:
        """Memory and registers."""

    def variable(self, name: str) -> TypedValue | None:
        """A local variable, parameter or global variable."""

    def find_type(self, keyword: str, name: str) -> tuple[Btf, int] | None:
        """`struct`, `union` or `enum` of that name, or with "" a typedef or basic type."""

    def enumerator(self, name: str) -> int | None:
        """The number of an enumerator."""

    def map(self, name: str) -> MapScope | None:
        """A map."""

    def packet(self) -> tuple[int, int] | None:
        """Address and length of the packet as it is now; None where there is none."""

    def special(self, name: str) -> int | TypedValue | None:
        """What `$name` is: a number such as `$pc`, or a value that the user keeps; None if nothing.

        `$r0` to `$r10` are registers and not asked for.  Of values that were printed the name is a number (`$3`), ""
        (`$`), or begins with `$` (`$$`, `$$2`); InputError says which ones there are.
        """

    def set_special(self, name: str, value: TypedValue) -> None:
        """Keep a constant value as `$name`; InputError if that name cannot be changed."""

    def names(self) -> Iterable[str]:
        """All names of variables, maps and enumerators, for suggestions."""
