"""Programs by index, for tail calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from pybpftime.errors import Fault
from pybpftime.machine.memory import Memory
from pybpftime.maps import Errno, MapError, ProgramArray
from pybpftime.uapi import MapFlag

MakeMap = Callable[..., Any]


@dataclass(frozen=True)
class Program:
    name: str
    type: str = "xdp"


def key(index: int) -> bytes:
    return index.to_bytes(4, "little")


def refused(errno: Errno, call: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(MapError) as caught:
        call(*arguments)
    assert caught.value.errno == errno


@pytest.fixture
def table(make_map: MakeMap) -> ProgramArray:
    table = make_map("PROG_ARRAY", 4, 4, 3)
    assert isinstance(table, ProgramArray)
    return table


def test_programs_by_index(table: ProgramArray) -> None:
    one, two = Program("one"), Program("two")
    assert table.program_at(0) is None
    table.update(key(0), one)
    table.update(key(2), two)
    assert table.program_at(0) is one
    assert table.program_at(1) is None
    assert table.program_at(3) is None
    assert table.program_at(0xFFFFFFFF) is None
    assert table.programs() == [(0, one), (2, two)]
    assert table.count == 2
    table.update(key(0), two)
    assert table.program_at(0) is two
    table.delete(key(0))
    assert table.programs() == [(2, two)]
    assert table.keys() == [key(0), key(1), key(2)]


def test_a_handle_stands_for_a_program(table: ProgramArray) -> None:
    one, two = Program("one"), Program("one")  # equal, and not the same
    for index, program in enumerate((one, two, one)):
        table.update(key(index), program)
    assert table.lookup(key(0)) == table.lookup(key(2)) != table.lookup(key(1))
    assert [handle for _, handle in table.items()] == [table.lookup(key(i)) for i in range(3)]


def test_errno(table: ProgramArray) -> None:
    program = Program("one")
    refused(Errno.EINVAL, table.update, key(0), program, 1)
    refused(Errno.E2BIG, table.update, key(3), program)
    for bad in (bytes(4), None, 7):
        refused(Errno.EBADF, table.update, key(0), bad)
    refused(Errno.ENOENT, table.lookup, key(0))
    refused(Errno.ENOENT, table.lookup, key(3))
    refused(Errno.ENOENT, table.delete, key(0))
    refused(Errno.E2BIG, table.delete, key(3))
    refused(Errno.ENOTSUPP, table.element_address, key(0))
    refused(Errno.ENOTSUPP, table.update_element, key(0), bytes(4))
    refused(Errno.ENOTSUPP, table.for_each)
    refused(Errno.ENOTSUPP, table.lookup_and_delete, key(0))
    table.freeze()
    refused(Errno.EPERM, table.update, key(0), program)


def test_programs_are_of_one_type(table: ProgramArray) -> None:
    table.update(key(0), Program("one"))
    refused(Errno.EINVAL, table.update, key(1), Program("two", "socket_filter"))


def test_programs_cannot_reach_the_array(table: ProgramArray, memory: Memory) -> None:
    assert table.region is None
    with pytest.raises(Fault, match="opaque"):
        memory.load(table.address, 4)


def test_a_read_only_array(make_map: MakeMap) -> None:
    refused(Errno.EPERM, make_map("PROG_ARRAY", 4, 4, 1, flags=MapFlag.BPF_F_RDONLY).update, key(0), Program("one"))
