"""bpf_ringbuf_*."""

from __future__ import annotations

from pybpftime.errors import Fault, FaultKind
from pybpftime.helpers.registry import implements
from pybpftime.machine import Machine
from pybpftime.maps import RingBuffer


@implements("bpf_ringbuf_output")
def ringbuf_output(machine: Machine, map: RingBuffer, data: bytes, flags: int) -> int:
    map.output(data, flags)
    return 0


@implements("bpf_ringbuf_reserve")
def ringbuf_reserve(machine: Machine, map: RingBuffer, size: int, flags: int) -> int:
    return map.reserve(size, flags)


@implements("bpf_ringbuf_submit")
def ringbuf_submit(machine: Machine, record: int, flags: int) -> None:
    _ring_of(machine, record).submit(record, flags)


@implements("bpf_ringbuf_discard")
def ringbuf_discard(machine: Machine, record: int, flags: int) -> None:
    _ring_of(machine, record).discard(record, flags)


@implements("bpf_ringbuf_query")
def ringbuf_query(machine: Machine, map: RingBuffer, flags: int) -> int:
    return map.query(flags)


def _ring_of(machine: Machine, record: int) -> RingBuffer:
    region = machine.memory.find(record)
    if region is None or not isinstance(region.owner, RingBuffer):
        raise Fault(
            FaultKind.HELPER,
            f"{machine.memory.describe(record)} is no record that bpf_ringbuf_reserve returned",
            address=record,
        )
    return region.owner
