"""bpf_perf_event_output and bpf_perf_event_read*."""

from __future__ import annotations

from pybpftime.helpers.errors import E2BIG, EFAULT, EINVAL, ENOENT
from pybpftime.helpers.marshal import Span
from pybpftime.helpers.packet_access import PacketBuffer
from pybpftime.helpers.registry import implements
from pybpftime.machine import Machine
from pybpftime.maps import PerfEventArray

INDEX_MASK = 0xFFFF_FFFF  # BPF_F_INDEX_MASK
CURRENT_CPU = 0xFFFF_FFFF  # BPF_F_CURRENT_CPU
PACKET_LENGTH_SHIFT = 32
PACKET_LENGTH_MASK = 0xFFFFF << PACKET_LENGTH_SHIFT  # BPF_F_CTXLEN_MASK
VALUE_SIZE = 24  # struct bpf_perf_event_value


@implements("bpf_perf_event_output")
def perf_event_output(machine: Machine, context: object, map: PerfEventArray, flags: int, data: bytes) -> int:
    """bpf_skb_event_output and bpf_xdp_event_output where the context has a packet, which may follow the data."""
    packet = context if isinstance(context, PacketBuffer) else None
    if flags & ~(INDEX_MASK | (PACKET_LENGTH_MASK if packet is not None else 0)):
        return -EINVAL
    length = flags >> PACKET_LENGTH_SHIFT
    if packet is not None and length:
        if length > packet.length:
            return -EFAULT
        data += packet.read(0, length)
    map.output(flags & INDEX_MASK, data, machine.environment.cpu)
    return 0


@implements("bpf_perf_event_read")
def perf_event_read(machine: Machine, map: PerfEventArray, flags: int) -> int:
    return _read(machine, map, flags)


@implements("bpf_perf_event_read_value")
def perf_event_read_value(machine: Machine, map: PerfEventArray, flags: int, value: Span) -> int:
    value.clear()
    return -EINVAL if value.size != VALUE_SIZE else _read(machine, map, flags)


def _read(machine: Machine, map: PerfEventArray, flags: int) -> int:
    """What get_map_perf_counter answers: the buffers that programs write to count nothing (EINVAL)."""
    if flags & ~INDEX_MASK:
        return -EINVAL
    index = machine.environment.cpu if flags == CURRENT_CPU else flags
    if index >= map.max_entries:
        return -E2BIG
    return -ENOENT if map.buffer(index) is None else -EINVAL
