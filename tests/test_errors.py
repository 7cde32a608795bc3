"""Errors carry data, say where, format themselves, and survive pickling."""

from __future__ import annotations

import copy
import errno
import os
import pickle
from typing import Any

import pytest

from pybpftime.errors import (
    BpfError,
    Fault,
    FaultKind,
    HostError,
    InputError,
    InternalError,
    LimitExceeded,
    VerificationError,
    errno_name,
)

ERRORS: list[tuple[BpfError, str]] = [
    (BpfError("it failed"), "it failed"),
    (InputError("bad"), "bad"),
    (InputError("bad", file="a.o"), "a.o: bad"),
    (InputError("bad", file="a.s", line=3), "a.s:3: bad"),
    (InputError("bad", file="a.s", line=3, column=9), "a.s:3:9: bad"),
    (InputError("bad", line=3), "line 3: bad"),
    (InputError("bad", line=3, column=9), "line 3, column 9: bad"),
    (InputError("bad", file="a.o", section="xdp", offset=0), "a.o: section xdp: byte 0x0: bad"),
    (InputError("bad", section="xdp", instruction=0), "section xdp: instruction 0: bad"),
    (VerificationError("not proved"), "not proved"),
    (VerificationError("not proved", program="f", instruction=7, source="x.c:1"), "f: instruction 7: not proved"),
    (VerificationError("not proved", instruction=0), "instruction 0: not proved"),
    (Fault(FaultKind.TRAP, "no"), "trap fault: no"),
    (Fault(FaultKind.MEMORY, "no", program="f", pc=0), "f: instruction 0: memory fault: no"),
    (Fault(FaultKind.CALL, "no", pc=2, instruction="exit"), "instruction 2 (exit): call fault: no"),
    (Fault(FaultKind.CALL, "no", instruction="exit"), "call fault: no"),
    (Fault(FaultKind.CALL, "no", pc=2, source="x.c:7: y();"), "instruction 2: x.c:7: y();: call fault: no"),
    (LimitExceeded("enough"), "enough"),
    (LimitExceeded("enough", limit="depth", amount=8, program="f", pc=4), "f: instruction 4: enough"),
    (LimitExceeded("enough", pc=0), "instruction 0: enough"),
    (HostError("refused"), "refused"),
    (HostError("refused", file="/dev/x", pid=7), "/dev/x: process 7: refused"),
    (HostError("refused", errno=errno.EPERM), f"refused (EPERM: {os.strerror(errno.EPERM)})"),
]


@pytest.mark.parametrize(("error", "text"), ERRORS, ids=[text for _, text in ERRORS])
def test_an_error_is_one_message(error: BpfError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize("error", [error for error, _ in ERRORS], ids=[text for _, text in ERRORS])
def test_an_error_survives_pickling_and_copying(error: BpfError) -> None:
    for clone in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(clone) is type(error)
        assert str(clone) == str(error)
        assert clone.as_dict() == error.as_dict()
        assert clone.args == error.args


def test_an_error_is_plain_data_without_what_is_not_known() -> None:
    fault = Fault(FaultKind.MEMORY, "no", pc=0, address=0, size=8)
    assert fault.as_dict() == {
        "error": "Fault", "reason": "no", "kind": "memory", "pc": 0, "address": 0, "size": 8,
    }  # fmt: skip
    assert type(fault.as_dict()["kind"]) is str
    assert InputError("bad", offset=0).as_dict() == {"error": "InputError", "reason": "bad", "offset": 0}
    assert BpfError("it").as_dict() == {"error": "BpfError", "reason": "it"}


def test_whoever_knows_more_adds_it() -> None:
    error = InputError("bad", line=3)
    assert error.at(file="a.s", line=7) is error
    assert (error.file, error.line, error.column) == ("a.s", 3, None)
    assert str(error) == "a.s:3: bad"
    fault = Fault(FaultKind.TRAP, "no").at(pc=0).at(pc=5)
    assert fault.pc == 0  # 0 is known


@pytest.mark.parametrize("kind", [BpfError, InputError, VerificationError, LimitExceeded, HostError])
def test_fields_are_those_of_the_class(kind: type[BpfError]) -> None:
    with pytest.raises(TypeError, match=f"{kind.__name__} has no field bogus, more"):
        kind("x", more=1, bogus=2)
    with pytest.raises(AttributeError):
        kind("x").at(bogus=1)
    error = kind("x")
    assert all(getattr(error, name) is None for name in error.fields)


def test_a_fault_has_a_kind() -> None:
    fault = Fault(FaultKind.POINTER, "no")
    assert fault.kind is FaultKind.POINTER
    assert {name: getattr(fault, name) for name in fault.fields if name != "kind"} == dict.fromkeys(fault.fields[1:])


def test_what_users_cause_is_apart_from_our_bugs() -> None:
    for kind in (InputError, VerificationError, Fault, LimitExceeded, HostError):
        assert issubclass(kind, BpfError)
    assert not issubclass(InternalError, BpfError)


@pytest.mark.parametrize(
    ("number", "name"), [(errno.ENOENT, "ENOENT"), (errno.EINVAL, "EINVAL"), (524, "524"), (-3, "-3"), (0, "0")]
)
def test_error_numbers_have_names(number: int, name: str) -> None:
    assert errno_name(number) == name


def test_an_error_number_without_name_is_printed() -> None:
    assert str(HostError("refused", errno=524)).startswith("refused (524: ")


def test_reasons_may_be_changed_before_the_error_is_seen() -> None:
    """Helpers say in a memory fault which argument it was."""
    fault: Any = Fault(FaultKind.MEMORY, "load failed")
    fault.reason = "argument 2: " + fault.reason
    fault.args = (fault.reason,)
    assert str(fault) == "memory fault: argument 2: load failed"
    assert str(pickle.loads(pickle.dumps(fault))) == str(fault)
