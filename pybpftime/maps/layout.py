"""Where everything lies in a slab.  The words for people are in docs/reference/layout.md.

A slab is the memory of one map: a header page, then hash buckets and slots, or the pages of a ring buffer.  All
numbers are little-endian, all offsets are in bytes; a *link* is a slot number plus 1, so that 0 means none and
zeroed memory is an empty map.  Native code reads the same slab: an offset that changes here is a new VERSION.
"""

from __future__ import annotations

from dataclasses import dataclass

from pybpftime.errors import InputError
from pybpftime.maps.kinds import MAP_KINDS
from pybpftime.maps.spec import MapSpec, power_of_two
from pybpftime.uapi import PAGE_SIZE, MapType

MAGIC = b"BPFTSLAB"
VERSION = 1
HEADER_SIZE = PAGE_SIZE
MAX_SLAB_SIZE = (1 << 32) - PAGE_SIZE  # a memory region has 4 GiB of addresses

# Header: name of the field, offset, size.
HEADER_FIELDS = (
    ("magic", 0, 8),
    ("version", 8, 4),
    ("map_type", 12, 4),
    ("key_size", 16, 4),
    ("value_size", 20, 4),
    ("max_entries", 24, 4),
    ("map_flags", 28, 4),
    ("cpu_count", 32, 4),
    ("bucket_count", 36, 4),
    ("slot_count", 40, 4),
    ("slot_stride", 44, 4),
    ("key_offset", 48, 4),
    ("value_offset", 52, 4),
    ("value_stride", 56, 4),
    ("buckets_offset", 64, 8),
    ("slots_offset", 72, 8),
    ("slab_size", 80, 8),
    ("hash_seed", 88, 8),
    ("lock_owner", 96, 8),
    ("lock_start_time", 104, 8),
    ("live_count", 112, 4),
    ("used_slots", 116, 4),
    ("free_head", 120, 4),
    ("newest", 124, 4),
    ("oldest", 128, 4),
    ("frozen", 132, 4),
    ("spare", 136, 4),
)

# Slot header of maps whose elements come and go: name of the field, offset in the slot, size.
SLOT_FIELDS = (
    ("state", 0, 4),
    ("hash", 4, 4),
    ("chain", 8, 4),
    ("newer", 12, 4),
    ("older", 16, 4),
    ("sequence", 20, 4),
    ("length", 24, 4),
)
SLOT_HEADER_SIZE = 32

# Slot states.
NEVER_USED, FREE, LIVE = 0, 1, 2

# Ring buffer: pages as Linux maps them for user space, behind the header page.
CONSUMER_POSITION = PAGE_SIZE
PRODUCER_POSITION = 2 * PAGE_SIZE
PENDING_POSITION = PRODUCER_POSITION + 8
RING_DATA = 3 * PAGE_SIZE

_DESCRIPTOR_ARRAYS = (MapType.BPF_MAP_TYPE_PROG_ARRAY, MapType.BPF_MAP_TYPE_PERF_EVENT_ARRAY)
_ARRAYS = (MapType.BPF_MAP_TYPE_ARRAY, MapType.BPF_MAP_TYPE_PERCPU_ARRAY, *_DESCRIPTOR_ARRAYS)
_REPLACING = (MapType.BPF_MAP_TYPE_HASH, MapType.BPF_MAP_TYPE_LRU_HASH)


@dataclass(frozen=True, slots=True)
class Layout:
    """The geometry of one slab; the fields are those of the header."""

    cpu_count: int
    bucket_count: int
    slot_count: int
    slot_stride: int
    key_offset: int
    value_offset: int
    value_stride: int
    buckets_offset: int
    slots_offset: int
    slab_size: int

    @property
    def first_value(self) -> int:
        """Offset of the value in slot 0 (for its first cpu)."""
        return self.slots_offset + self.value_offset


def layout_of(spec: MapSpec, cpu_count: int) -> Layout:
    """The layout of a map on a machine of `cpu_count` cpus.  InputError when the slab would exceed MAX_SLAB_SIZE."""
    values = cpu_count if MAP_KINDS[spec.type].per_cpu else 1
    value_stride = round_up(spec.value_size, 8)
    if spec.type == MapType.BPF_MAP_TYPE_RINGBUF:
        layout = Layout(values, 0, 0, 0, 0, 0, 0, 0, RING_DATA, RING_DATA + spec.max_entries)
    elif spec.type in _ARRAYS:
        stride = values * value_stride
        size = HEADER_SIZE + spec.max_entries * stride
        layout = Layout(values, 0, spec.max_entries, stride, 0, 0, value_stride, 0, HEADER_SIZE, size)
    else:
        # The id of a stack is its bucket, no key is stored.
        key_size = 0 if spec.type == MapType.BPF_MAP_TYPE_STACK_TRACE else round_up(spec.key_size, 8)
        # An update puts the new value into another slot, so that a value is never seen half written and old
        # pointers go on reading the old one; hence one slot more for each cpu (htab's extra_elems).
        slot_count = spec.max_entries + (cpu_count if spec.type in _REPLACING else 0)
        value_offset = SLOT_HEADER_SIZE + key_size
        stride = value_offset + values * value_stride
        buckets = power_of_two(spec.max_entries)
        slots_offset = round_up(HEADER_SIZE + 4 * buckets, 64)
        size = slots_offset + slot_count * stride
        layout = Layout(
            values,
            buckets,
            slot_count,
            stride,
            SLOT_HEADER_SIZE,
            value_offset,
            value_stride,
            HEADER_SIZE,
            slots_offset,
            size,
        )
    if layout.slab_size > MAX_SLAB_SIZE:
        raise InputError(
            f"map {spec.name}: its elements need {layout.slab_size} bytes, and a map of more than {MAX_SLAB_SIZE} "
            f"bytes is not supported"
        )
    return layout


def round_up(number: int, step: int) -> int:
    return -(-number // step) * step
