"""Programs by index, for tail calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from support.map_calls import errno_of

from pybpftime.errors import Fault
from pybpftime.machine.memory import Memory
from pybpftime.maps import Errno, ProgramArray
from pybpftime.uapi import MapFlag

MakeMap = Callable[..., Any]


@dataclass(frozen=True)
class Program:
    name: str
    type: str = "xdp"


def key(index: int) -> bytes:
    return index.to_bytes(4, "little")


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
    assert errno_of(table.update, key(0), program, 1) == Errno.EINVAL
    assert errno_of(table.update, key(3), program) == Errno.E2BIG
    for bad in (bytes(4), None, 7):
        assert errno_of(table.update, key(0), bad) == Errno.EBADF
    assert errno_of(table.lookup, key(0)) == Errno.ENOENT
    assert errno_of(table.lookup, key(3)) == Errno.ENOENT
    assert errno_of(table.delete, key(0)) == Errno.ENOENT
    assert errno_of(table.delete, key(3)) == Errno.E2BIG
    assert errno_of(table.element_address, key(0)) == Errno.ENOTSUPP
    assert errno_of(table.update_element, key(0), bytes(4)) == Errno.ENOTSUPP
    assert errno_of(table.for_each) == Errno.ENOTSUPP
    assert errno_of(table.lookup_and_delete, key(0)) == Errno.ENOTSUPP
    table.freeze()
    assert errno_of(table.update, key(0), program) == Errno.EPERM


def test_programs_are_of_one_type(table: ProgramArray) -> None:
    table.update(key(0), Program("one"))
    assert errno_of(table.update, key(1), Program("two", "socket_filter")) == Errno.EINVAL


def test_programs_cannot_reach_the_array(table: ProgramArray, memory: Memory) -> None:
    assert table.region is None
    with pytest.raises(Fault, match="opaque"):
        memory.load(table.address, 4)


def test_a_read_only_array(make_map: MakeMap) -> None:
    assert (
        errno_of(make_map("PROG_ARRAY", 4, 4, 1, flags=MapFlag.BPF_F_RDONLY).update, key(0), Program("one"))
        == Errno.EPERM
    )
