"""What a user's implementation of a helper does wrong, told as an error in the user's code.

The helpers of this package are not guarded: what goes wrong in them is a bug of ours, and is not hidden.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from pybpftime.errors import Fault, InputError, InternalError, LimitExceeded
from pybpftime.helpers.declarations import HelperDeclaration, ResultRole
from pybpftime.isa.encoding import MASK64
from pybpftime.machine import Machine, Rounds, TailCall
from pybpftime.maps import MapError

ALLOWED = (MapError, Fault, LimitExceeded, TailCall, InternalError)
"""What passes: how a helper ends a run or refuses, and bugs of ours."""

LEAST_RESULT = -(1 << 63)
MOST_TEXT = 200


def guarded(declaration: HelperDeclaration, function: Callable[..., Any]) -> Callable[..., int | Rounds | None]:
    """`function`, but an InputError with file and line of its code when it fails or returns what r0 cannot hold.

    A result is a number that fits 64 bits, signed or unsigned; that of a helper of kind Void is not looked at.  The
    same goes for the Rounds of a helper that calls back.
    """
    user = _UserCode(declaration, function)

    @functools.wraps(function)
    def guard(machine: Machine, *arguments: Any) -> int | Rounds | None:
        result = user.call(lambda: function(machine, *arguments))
        return _GuardedRounds(result, user) if isinstance(result, Rounds) else user.checked(result)

    return guard


@dataclass(frozen=True, slots=True)
class _UserCode:
    """The implementation of a helper that is not ours."""

    declaration: HelperDeclaration
    function: Callable[..., Any]

    def call(self, action: Callable[[], Any]) -> Any:
        """What `action` gives; it runs code of the implementation."""
        try:
            return action()
        except ALLOWED:
            raise
        except (Exception, SystemExit) as error:
            file, line = _place(self.function, error)
            raise InputError(f"helper {self.declaration.name} fails: {_told(error)}", file=file, line=line) from error

    def checked(self, result: object) -> int | None:
        """A result that r0 can hold."""
        if self.declaration.returns.role is ResultRole.VOID:
            return None
        if isinstance(result, int) and LEAST_RESULT <= result <= MASK64:
            return result
        file, line = _place(self.function)
        raise InputError(f"helper {self.declaration.name} returned {_shown(result)}", file=file, line=line)


class _GuardedRounds(Rounds):
    """Rounds whose methods are the user's code."""

    def __init__(self, rounds: Rounds, user: _UserCode) -> None:
        super().__init__(rounds.callback)
        self.rounds = rounds
        self.user = user

    def arguments(self, machine: Machine) -> Sequence[int] | None:
        arguments: Sequence[int] | None = self.user.call(lambda: self.rounds.arguments(machine))
        return arguments

    def returned(self, machine: Machine, value: int) -> None:
        self.user.call(lambda: self.rounds.returned(machine, value))

    @property
    def result(self) -> int:
        return self.user.checked(self.user.call(lambda: self.rounds.result)) or 0


def _place(function: Callable[..., Any], error: BaseException | None = None) -> tuple[str | None, int | None]:
    """File and line where `function` stands, or where in that file `error` was raised or passed through."""
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    if not isinstance(code, CodeType):  # not written in Python
        return None, None
    line: int | None = code.co_firstlineno
    traceback = None if error is None else error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == code.co_filename:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return code.co_filename, line


def _told(error: BaseException) -> str:
    """Type and text of an exception, in one line."""
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception:  # its __str__ is the user's code too
        text = ""
    if not text:
        return name
    return f"{name}: {text[:MOST_TEXT]}..." if len(text) > MOST_TEXT else f"{name}: {text}"


def _shown(result: object) -> str:
    """What was returned in place of a number of 64 bits, and what is wrong with it."""
    if not isinstance(result, int):
        what = "nothing" if result is None else f"a value of type {type(result).__name__}"
        return f"{what}: r0 takes a number"
    shown = f"{result}" if result.bit_length() <= 128 else f"a number of {result.bit_length()} bits"
    return f"{shown}, which does not fit the 64 bits of r0"
