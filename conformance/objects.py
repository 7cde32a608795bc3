"""The same object, the same packets: in this runtime and in the running kernel (BPF_PROG_TEST_RUN).

Verdict, packet bytes and map contents must be equal after every packet.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pybpftime.errors import BpfError, HostError, InputError
from pybpftime.kernel import KernelMap, drain_ringbuf, possible_cpu_count
from pybpftime.kernel.objects import KernelObjectFile
from pybpftime.machine import Environment
from pybpftime.maps import Map, RingBuffer
from pybpftime.program.spec import ObjectSpec
from pybpftime.runtime import Object
from pybpftime.uapi import MapType, ProgramType

PACKET_TYPES = frozenset(
    {
        ProgramType.BPF_PROG_TYPE_XDP,
        ProgramType.BPF_PROG_TYPE_SCHED_CLS,
        ProgramType.BPF_PROG_TYPE_SOCKET_FILTER,
        ProgramType.BPF_PROG_TYPE_CGROUP_SKB,
    }
)
UNREADABLE = (MapType.BPF_MAP_TYPE_PROG_ARRAY, MapType.BPF_MAP_TYPE_PERF_EVENT_ARRAY)
SHORTEST, LONGEST = 14, 1500


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What the two sides made of a packet (its number in the sequence), where they differ."""

    program: str
    packet: int
    what: str
    ours: str
    kernels: str

    def __str__(self) -> str:
        return f"{self.program}, packet {self.packet}: {self.what}: ours {self.ours}, the kernel's {self.kernels}"


@dataclass(slots=True)
class Count:
    """How much was compared: packets that both ran, and those that the kernel's test run does not take."""

    packets: int = 0
    refused: int = 0


def mutated_packets(source: random.Random, originals: Sequence[bytes], count: int) -> Iterator[bytes]:
    """`count` packets of 14 to 1,500 bytes: some random, most mutations of the originals."""
    for _ in range(count):
        if source.random() < 0.2:
            yield source.randbytes(source.randint(SHORTEST, LONGEST))
            continue
        packet = bytearray(source.choice(originals))
        for _ in range(source.randint(1, 4)):
            _mutate(source, packet)
        packet = packet[:LONGEST]
        yield bytes(packet.ljust(SHORTEST, b"\0"))


def _mutate(source: random.Random, packet: bytearray) -> None:
    kind = source.randrange(4)
    place = source.randrange(len(packet)) if packet else 0
    if kind == 0 and packet:
        packet[place] ^= 1 << source.randrange(8)
    elif kind == 1 and packet:
        packet[place] = source.choice((0, 1, 0x7F, 0x80, 0xFF))
    elif kind == 2:
        del packet[source.randint(SHORTEST, max(SHORTEST, len(packet))) :]
    else:
        packet[place:place] = source.randbytes(source.randint(1, 40))


def compare_program(spec: ObjectSpec, name: str, packets: Sequence[bytes], count: Count) -> Iterator[Disagreement]:
    """Run program `name` on each packet on both sides and yield what differs.  Stays on one cpu meanwhile.

    HostError when the kernel does not take the object.
    """
    before = os.sched_getaffinity(0)
    cpu = min(before)
    os.sched_setaffinity(0, {cpu})
    try:
        environment = Environment(cpu_count=possible_cpu_count(), cpu=cpu)
        ours = Object(spec, environment=environment)
        with KernelObjectFile(spec) as kernel:
            kernel.program(name)
            for number, packet in enumerate(packets):
                yield from _compare_packet(ours, kernel, name, number, packet, count)
    finally:
        os.sched_setaffinity(0, before)


def _compare_packet(
    ours: Object, kernel: KernelObjectFile, name: str, number: int, packet: bytes, count: Count
) -> Iterator[Disagreement]:
    try:
        theirs = kernel.program(name).test_run(packet)
    except HostError:
        count.refused += 1
        return
    count.packets += 1
    try:
        result = ours[name].run(packet)
    except InputError as error:
        yield Disagreement(name, number, "input", str(error), "runs")
        return
    except BpfError as error:
        yield Disagreement(name, number, "outcome", str(error), f"returns {theirs.retval:#x}")
        return
    if result.r0 & 0xFFFF_FFFF != theirs.retval:
        yield Disagreement(name, number, "r0", f"{result.r0:#x}", f"{theirs.retval:#x}")
    if result.packet != theirs.data_out:
        yield Disagreement(name, number, "packet", (result.packet or b"").hex(), theirs.data_out.hex())
    for map_name, map in kernel.maps.items():
        mine, others = our_contents(ours.maps[map_name].raw), kernel_contents(map)
        if mine != others:
            yield Disagreement(name, number, f"map {map_name}", *_first_difference(mine, others))


def our_contents(map: Map) -> Any:
    """What a map holds, comparable: a dict of bytes, records of a ring buffer, None for what cannot be read."""
    if map.spec.type in UNREADABLE:
        return None
    if isinstance(map, RingBuffer):
        return list(map.drain())
    return dict(map.items())


def kernel_contents(map: KernelMap) -> Any:
    """The same of a map in the kernel."""
    if map.type in UNREADABLE:
        return None
    if map.type == MapType.BPF_MAP_TYPE_RINGBUF:
        return list(drain_ringbuf(map))
    if map.is_per_cpu:
        return {key: tuple(values) for key, values in map.items_per_cpu()}
    return dict(map.items())


def _first_difference(ours: Any, kernels: Any) -> tuple[str, str]:
    if isinstance(ours, dict) and isinstance(kernels, dict):
        for key in sorted(ours.keys() | kernels.keys()):
            if ours.get(key) != kernels.get(key):
                return f"[{key.hex()}] {_hex(ours.get(key))}", f"[{key.hex()}] {_hex(kernels.get(key))}"
    return _hex(ours), _hex(kernels)


def _hex(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return f"[{', '.join(_hex(one) for one in value)}]" if isinstance(value, tuple | list) else str(value)
