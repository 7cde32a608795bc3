"""The functions that expressions may call: byte order, and what maps hold."""

from __future__ import annotations

from collections.abc import Callable

from pybpftime.debug.expression.arithmetic import convert, folded
from pybpftime.debug.expression.nodes import Call, Node
from pybpftime.debug.expression.operands import Computed, MapOperand, Operand, failure, rvalue
from pybpftime.debug.expression.unparse import unparse
from pybpftime.debug.values import Target, c_type
from pybpftime.errors import InputError
from pybpftime.runtime.names import hint

TYPES = {16: "unsigned short", 32: "unsigned int", 64: "unsigned long long"}

_NETWORK = {
    16: ("ntohs", "htons", "bpf_ntohs", "bpf_htons", "__bpf_ntohs", "__bpf_htons", "be16_to_cpu", "cpu_to_be16"),
    32: ("ntohl", "htonl", "bpf_ntohl", "bpf_htonl", "__bpf_ntohl", "__bpf_htonl", "be32_to_cpu", "cpu_to_be32"),
    64: ("be64_to_cpu", "cpu_to_be64", "bpf_be64_to_cpu", "bpf_cpu_to_be64"),
}
NETWORK_ORDER = {name: bits for bits, names in _NETWORK.items() for name in names}
"""Between the target's byte order and the network's."""
SWAPS = {f"__builtin_bswap{bits}": bits for bits in TYPES}
"""Always the other byte order."""

MAP_FUNCTIONS = ("len", "exists", "per_cpu")
ELEMENT_FUNCTIONS = {"exists": "exists(map[key])", "per_cpu": "per_cpu(map[key], cpu)"}
"""Functions of elements, which are named and not computed."""


def function_names() -> list[str]:
    """All functions, for suggestions and completion."""
    return sorted([*NETWORK_ORDER, *SWAPS, *MAP_FUNCTIONS])


def call(node: Call, compile_node: Callable[[Node], Operand], target: Target) -> Computed:
    """A call as a number; InputError for unknown functions and arguments that do not suit."""
    bits = NETWORK_ORDER.get(node.name) or SWAPS.get(node.name)
    if bits is None and node.name not in MAP_FUNCTIONS:
        raise InputError(f"there is no function {node.name}; {hint(node.name, function_names())}", column=node.column)
    if node.name in ELEMENT_FUNCTIONS:
        raise failure(node, f"{node.name} takes an element of a map: {ELEMENT_FUNCTIONS[node.name]}")
    if len(node.arguments) != 1:
        raise failure(node, f"{node.name} takes one argument, here are {len(node.arguments)}")
    argument = node.arguments[0]
    if node.name == "len":
        return _length(node, compile_node(argument), target)
    assert bits is not None
    swap = node.name in SWAPS or target.byteorder == "little"
    return _swapped(node, rvalue(target, compile_node(argument)), bits, swap=swap)


def _swapped(node: Call, number: Computed, bits: int, *, swap: bool) -> Computed:
    narrow = convert(number, c_type(TYPES[bits], number.type.types.byteorder))
    get, size = narrow.get, bits // 8
    if not swap:
        return Computed(node, narrow.type, get, narrow.constant)
    return folded(
        Computed(node, narrow.type, lambda: int.from_bytes(int(get()).to_bytes(size, "little"), "big")), narrow
    )


def _length(node: Call, operand: Operand, target: Target) -> Computed:
    if not isinstance(operand, MapOperand):
        raise failure(node, f"len is for maps, and {unparse(operand.node)} is none")
    return Computed(node, c_type("unsigned long", target.byteorder), operand.map.length)
