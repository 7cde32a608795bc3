"""Helpers that call back into the program.  Source: kernel/bpf/bpf_iter.c, kernel/bpf/arraymap.c, hashtab.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    Anything,
    CallbackContext,
    ConstMap,
    ElementCallback,
    IndexCallback,
    Integer,
)
from pybpftime.maps.kinds import Operation


@helper(164, map_operation=Operation.FOR_EACH, since="5.13", programs=programs.BASE)
def bpf_for_each_map_elem(
    map: ConstMap, callback: ElementCallback, callback_context: CallbackContext, flags: Anything
) -> Integer:
    """Call `callback(map, key, value, callback_context)` for each element, until it returns 1.

    How many elements were visited; EINVAL for flags other than 0.  The callback returns 0 or 1.
    """


@helper(181, since="5.17", programs=programs.BASE)
def bpf_loop(count: Anything, callback: IndexCallback, callback_context: CallbackContext, flags: Anything) -> Integer:
    """Call `callback(index, callback_context)` with index 0, 1, ... `count` - 1 (32 bits), until it returns 1.

    How many calls were made; EINVAL for flags other than 0, E2BIG for more than 2**23 of them.
    """
