"""MapView: a map with the look of a dict, by map type."""

from __future__ import annotations

from typing import Any

import pytest

from pybpftime.errors import InputError
from pybpftime.maps import MapError, MapSpec, create_map
from pybpftime.runtime import MapView
from pybpftime.uapi import MapType

HASHES = ["HASH", "LRU_HASH"]


def view_of(type: str, entries: int = 4, value_size: int = 4, cpu_count: int = 1) -> MapView:
    key_size = 0 if type == "RINGBUF" else 4
    spec = MapSpec(
        "m", MapType[f"BPF_MAP_TYPE_{type}"], key_size=key_size, value_size=key_size and value_size, max_entries=entries
    )
    return MapView(create_map(spec, cpu_count), None)


@pytest.mark.parametrize("type", HASHES)
def test_a_hash_is_a_dict_of_what_was_set(type: str) -> None:
    view, twin = view_of(type), view_of(type)
    view.update({1: 10, 2: 20})
    view.update([(3, 30)])
    assert sorted(view) == sorted(view.keys()) == [1, 2, 3]
    assert sorted(view.values()) == [10, 20, 30]
    assert sorted(view.items()) == [(1, 10), (2, 20), (3, 30)]
    assert dict(view) == view.to_dict() == {1: 10, 2: 20, 3: 30}
    assert view.pop(2) == 20
    assert 2 not in view
    assert view.pop(2, None) is None
    with pytest.raises(KeyError):
        view.pop(2)
    twin.update(view)
    assert twin.to_dict() == {1: 10, 3: 30}
    view.clear()
    assert (len(view), list(view), view.items(), bool(view)) == (0, [], [], False)
    assert view.get(1, 5) == 5


def test_iteration_is_of_the_moment_when_it_began() -> None:
    view = view_of("HASH")
    view.update({1: 1, 2: 2})
    for key in view:
        del view[key]
    assert view.to_dict() == {}


@pytest.mark.parametrize("type", ["ARRAY", "PERCPU_ARRAY"])
def test_an_array_has_all_its_indices_and_no_others(type: str) -> None:
    view = view_of(type)
    assert (view.keys(), len(view)) == ([0, 1, 2, 3], 4)
    assert 3 in view
    assert 4 not in view
    assert view.get(99) is None
    with pytest.raises(KeyError):
        _ = view[99]
    with pytest.raises(MapError, match="cannot be deleted"):
        view.pop(3)
    with pytest.raises(MapError, match="cannot be deleted"):
        view.clear()
    with pytest.raises(MapError, match="not below max_entries"):
        view[4] = 1
    with pytest.raises(KeyError):
        view.pop(99)


@pytest.mark.parametrize("type", ["ARRAY", "HASH", "PERCPU_HASH", "PROG_ARRAY", "STACK_TRACE"])
@pytest.mark.parametrize("key", ["x", None, 1.5, b"abc", 1 << 33, [1]], ids=repr)
def test_what_is_no_key_of_the_map_is_an_error_everywhere(type: str, key: Any) -> None:
    view = view_of(type, value_size=80 if type == "STACK_TRACE" else 4)
    for ask in (view.__getitem__, view.get, view.__contains__, view.pop, view.__delitem__):
        with pytest.raises(InputError, match=r"^map m: the key"):
            ask(key)


def test_a_number_is_said_to_be_one_way_to_write_a_key() -> None:
    with pytest.raises(InputError, match=r"give a number or 4 bytes$"):
        _ = view_of("HASH")["x"]
    with pytest.raises(InputError, match=r"give 12 bytes$"):
        view_of("HASH", value_size=12)[1] = 5


def test_values_of_several_cpus_are_lists() -> None:
    view = view_of("PERCPU_HASH", cpu_count=3)
    view.update({1: 7, 2: [1, 2, 3]})
    assert view.to_dict() == {1: [7, 7, 7], 2: [1, 2, 3]}
    assert view.pop(2) == [1, 2, 3]


@pytest.mark.parametrize("ask", [list, len, bool, MapView.items, MapView.clear], ids=lambda one: one.__name__)
def test_a_ring_buffer_has_no_elements(ask: Any) -> None:
    with pytest.raises(MapError, match="RINGBUF has no iteration"):
        ask(view_of("RINGBUF", 4096))
