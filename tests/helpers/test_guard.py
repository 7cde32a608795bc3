"""Helpers of users that fail: one error that names the helper, the line of its code and the cause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.helper_calls import Caller

from pybpftime import assemble, load
from pybpftime.errors import Fault, FaultKind, InputError, InternalError, LimitExceeded
from pybpftime.helpers import Helper, HelperTable, default_helpers, helper, implements
from pybpftime.helpers.declarations.kinds import Anything, Integer, Void
from pybpftime.machine import Machine, TailCall
from pybpftime.maps import Errno, MapError

MODULE = """\
from pybpftime.helpers import helper, implements
from pybpftime.helpers.declarations.kinds import Anything, Integer

@helper(0x10000)
def user_share(whole: Anything) -> Integer: ...

def share(whole):
    return 100 // whole

@implements(user_share)
def implementation(machine, whole):
    if whole > 9:
        raise {raised}
    result = share(whole)
    return result if whole > 1 else {returned}
"""
CALL = "call 0x10000\nexit"


def user_share(whole: Anything) -> Integer: ...
def user_void(whole: Anything) -> Void: ...


def failure(function: Callable[..., Any]) -> str:
    """What is said when this implementation of `user_share` is called; it has no place when it is no Python code."""
    table = HelperTable().extended(Helper(5, helper(5)(user_share), function))
    with pytest.raises(InputError) as error:
        Caller(table=table).call("user_share", 1)
    return error.value.reason


@pytest.mark.parametrize(
    ("argument", "line", "reason"),
    [
        (0, 8, "helper user_share fails: ZeroDivisionError: integer division or modulo by zero"),
        (10, 13, "helper user_share fails: KeyError: 'inventory'"),
        (1, 10, "helper user_share returned a value of type str: r0 takes a number"),
    ],
)
def test_the_error_names_helper_line_and_cause(tmp_path: Path, argument: int, line: int, reason: str) -> None:
    module = tmp_path / "inventory.py"
    module.write_text(MODULE.format(raised="KeyError('inventory')", returned="'all'"))
    program = load(assemble(f"r1 = {argument}\n{CALL}"), helpers=module).program
    with pytest.raises(InputError) as error:
        program.run()
    assert str(error.value) == f"{module}:{line}: {reason}"
    assert load(assemble(f"r1 = 2\n{CALL}"), helpers=module).program.run().r0 == 50


def test_a_program_runs_again_after_its_helper_failed(tmp_path: Path) -> None:
    module = tmp_path / "inventory.py"
    module.write_text(MODULE.format(raised="ValueError", returned=0))
    program = load(assemble(f"r1 = *(u64 *)(r1 + 0)\n{CALL}"), helpers=module).program
    with pytest.raises(InputError, match=r"user_share fails: ValueError$"):
        program.run(mem=b"\x0a" + bytes(7))
    assert program.run(mem=b"\x04" + bytes(7)).r0 == 25


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "returned nothing: r0 takes a number"),
        (1.5, "returned a value of type float: r0 takes a number"),
        (b"1", "returned a value of type bytes: r0 takes a number"),
        (1 << 64, "returned 18446744073709551616, which does not fit the 64 bits of r0"),
        ((-1 << 63) - 1, "returned -9223372036854775809, which does not fit the 64 bits of r0"),
        (1 << 100_000, "returned a number of 100001 bits, which does not fit the 64 bits of r0"),
    ],
    ids=["nothing", "float", "bytes", "too large", "too small", "huge"],
)
def test_results_that_are_no_number_of_64_bits(result: object, words: str) -> None:
    assert failure(lambda machine, whole: result) == f"helper user_share {words}"


def test_what_a_void_helper_returns_is_not_looked_at() -> None:
    caller = Caller(table=HelperTable().extended(Helper(5, helper(5)(user_void), lambda machine, whole: "x")))
    caller.call("user_void", 1)
    assert caller.machine.registers[0] is None


class Untold(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def raising(error: BaseException) -> Callable[..., int]:
    def fail(machine: Machine, whole: int) -> int:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError(), "ValueError"),
        (SystemExit(3), "SystemExit: 3"),
        (Untold(), "Untold"),
        (FileNotFoundError(2, "not there"), "FileNotFoundError: [Errno 2] not there"),
        (InputError("no such key", file="a.json"), "InputError: a.json: no such key"),
        (RuntimeError("two\nlines  of text"), "RuntimeError: two lines of text"),
        (RuntimeError("x" * 1000), f"RuntimeError: {'x' * 200}..."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exceptions_become_one_line(error: BaseException, words: str) -> None:
    assert failure(raising(error)) == f"helper user_share fails: {words}"


def test_endless_recursion_is_an_error_of_the_helper() -> None:
    def again(machine: Machine, whole: int) -> int:
        return again(machine, whole + 1)

    assert failure(again).startswith("helper user_share fails: RecursionError: maximum recursion depth exceeded")


def test_the_place_is_in_the_users_code_wherever_the_implementation_comes_from() -> None:
    @implements("bpf_ktime_get_ns")
    def time(machine: Machine) -> int:
        return 1 // 0

    with pytest.raises(InputError) as error:
        Caller(table=default_helpers().replaced("bpf_ktime_get_ns", time)).call("bpf_ktime_get_ns")
    assert (error.value.file, error.value.line) == (__file__, time.function.__code__.co_firstlineno + 2)


class Shares:
    """An implementation that is no function."""

    def __call__(self, machine: Machine, whole: int) -> int:
        return 100 // (whole - 1)


@pytest.mark.parametrize("function", [Shares(), divmod])
def test_implementations_that_are_no_functions(function: Callable[..., Any]) -> None:
    assert "helper user_share fails: " in failure(function)


@pytest.mark.parametrize(
    "error",
    [Fault(FaultKind.HELPER, "no"), LimitExceeded("no"), TailCall(None), InternalError("no"), KeyboardInterrupt()],
)
def test_what_is_no_failure_of_the_helper_passes(error: BaseException) -> None:
    table = HelperTable().extended(Helper(5, helper(5)(user_share), raising(error)))
    with pytest.raises(type(error)) as raised:
        Caller(table=table).call("user_share", 1)
    assert raised.value is error


def test_a_map_error_is_its_errno() -> None:
    table = HelperTable().extended(Helper(5, helper(5)(user_share), raising(MapError("full", errno=Errno.E2BIG))))
    assert Caller(table=table).call("user_share", 1).signed == -Errno.E2BIG


def test_replaced_helpers_are_guarded_and_helpers_of_this_package_are_not() -> None:
    """A bug of ours must not look like one of the user."""
    caller = Caller(table=default_helpers().replaced("bpf_ktime_get_ns", lambda machine: 1 // 0))
    with pytest.raises(InputError, match="helper bpf_ktime_get_ns fails: ZeroDivisionError") as error:
        caller.call("bpf_ktime_get_ns")
    assert error.value.file == __file__
    assert isinstance(error.value.__cause__, ZeroDivisionError)
    caller.machine.environment = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        caller.call("bpf_ktime_get_ns", table=default_helpers())
