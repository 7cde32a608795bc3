"""struct __sk_buff as plain data: from JSON fields or from bytes as BPF_PROG_TEST_RUN takes them, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pybpftime.errors import InputError
from pybpftime.program.contexts.context import refuse_unknown, whole_number
from pybpftime.program.types import Field, FieldKind
from pybpftime.program.types.layouts import SK_BUFF

FIELDS: Mapping[str, Field] = {field.name: field for field in SK_BUFF.fields}
DEFAULT_IFINDEX = 1  # the loopback device

_GSO_LEGACY_MAX_SIZE = 65536
_GIVEN_BY_PACKET = frozenset({"len", "flow_keys"})
_SETTABLE = frozenset(
    name for name, field in FIELDS.items() if field.kind is FieldKind.SCALAR and name not in _GIVEN_BY_PACKET
)
# convert___skb_to_skb and convert_skb_to___skb of net/bpf/test_run.c.
_TAKEN = frozenset(
    {"mark", "priority", "ingress_ifindex", "ifindex", "cb", "tstamp", "wire_len", "gso_segs", "gso_size", "hwtstamp"}
)
_ADDRESSES = {"remote_ip4": 4, "local_ip4": 4, "remote_ip6": 6, "local_ip6": 6}


def from_mapping(given: Mapping[str, Any], image: bytearray, length: int) -> bytes:
    """Write the fields that are given into `image`; returns the gso_size for `to_structure`.

    InputError names the field that cannot be.
    """
    refuse_unknown(given, _SETTABLE)
    for name, value in given.items():
        field = FIELDS[name]
        if name in _ADDRESSES and isinstance(value, str):
            content = _address(name, value)
        elif name == "cb" or _ADDRESSES.get(name) == 6:
            content = _words(field, value)
        else:
            size = field.width or field.size
            content = whole_number(name, value, size).to_bytes(size, "little")
        image[field.offset : field.offset + len(content)] = content
    _finish(image, length)
    return bytes(image[FIELDS["gso_size"].offset : FIELDS["gso_size"].end])


def from_structure(ctx: bytes, image: bytearray, length: int) -> bytes:
    """Write the bytes of a struct __sk_buff into `image`, by the rules of BPF_PROG_TEST_RUN; as `from_mapping`.

    InputError where the kernel says EINVAL: a field that a test run does not take is not 0.
    """
    if any(ctx[SK_BUFF.size :]):
        raise InputError(f"struct __sk_buff has {SK_BUFF.size} bytes: those behind must be 0")
    ctx = ctx[: SK_BUFF.size].ljust(SK_BUFF.size, b"\0")
    for offset, byte in enumerate(ctx):
        field = SK_BUFF.field_at(offset)
        if byte and (field is None or field.name not in _TAKEN):
            raise InputError(f"{SK_BUFF.place(offset)}: a test run takes no value for it, it must be 0")
    for name in _TAKEN:
        field = FIELDS[name]
        content = ctx[field.offset : field.end]
        if field.width:
            if name == "gso_segs" and any(content[field.width :]):
                raise InputError(f"{name}: {int.from_bytes(content, 'little')} does not fit {8 * field.width} bits")
            content = content[: field.width]  # of gso_size the kernel takes 16 bits without a look at the others
        image[field.offset : field.offset + len(content)] = content
    _finish(image, length)
    return ctx[FIELDS["gso_size"].offset : FIELDS["gso_size"].end]


def to_structure(image: bytearray, gso_size: bytes) -> bytes:
    """The bytes of struct __sk_buff after a run, as BPF_PROG_TEST_RUN gives them: `gso_size` as it was given."""
    result = bytearray(SK_BUFF.size)
    for name in _TAKEN:
        field = FIELDS[name]
        result[field.offset : field.end] = gso_size if name == "gso_size" else image[field.offset : field.end]
    return bytes(result)


def to_mapping(image: bytearray, default: bytes) -> dict[str, Any]:
    """The fields of `image` that differ from `default`, under the names and in the form that `from_mapping` takes."""
    changed: dict[str, Any] = {}
    for name, field in FIELDS.items():
        content = image[field.offset : field.end]
        if content == default[field.offset : field.end] or name not in _SETTABLE:
            continue
        if field.size > 8:
            words = [int.from_bytes(content[start : start + 4], "little") for start in range(0, field.size, 4)]
            changed[name] = words
        else:
            changed[name] = int.from_bytes(content, "little")
    return changed


def _finish(image: bytearray, length: int) -> None:
    """What BPF_PROG_TEST_RUN makes of fields left at 0, and what it refuses."""
    wire_len, ifindex = FIELDS["wire_len"], FIELDS["ifindex"]
    value = int.from_bytes(image[wire_len.offset : wire_len.end], "little")
    if not value:
        image[wire_len.offset : wire_len.end] = length.to_bytes(4, "little")
    elif not length <= value <= max(_GSO_LEGACY_MAX_SIZE, length):
        raise InputError(f"wire_len: {value} is not between the packet's length, {length}, and {_GSO_LEGACY_MAX_SIZE}")
    if not any(image[ifindex.offset : ifindex.end]):
        image[ifindex.offset] = DEFAULT_IFINDEX


def _address(name: str, text: str) -> bytes:
    import ipaddress

    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or address.version != _ADDRESSES[name]:
        raise InputError(f"{name}: {text!r} is no IPv{_ADDRESSES[name]} address")
    return address.packed


def _words(field: Field, value: Any) -> bytes:
    """A list of 32-bit numbers; the rest of the field is 0."""
    count = field.size // 4
    if not isinstance(value, list | tuple) or len(value) > count:
        raise InputError(f"{field.name}: expected a list of up to {count} numbers")
    numbers = [whole_number(f"{field.name}[{index}]", word, 4) for index, word in enumerate(value)]
    return b"".join(number.to_bytes(4, "little") for number in numbers).ljust(field.size, b"\0")
