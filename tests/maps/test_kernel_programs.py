"""The running kernel as witness for programs' side: the same helper calls in one program, the same results."""

from __future__ import annotations

import mmap
import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftime.machine.memory import Memory
from pybpftime.machine.strictness import LINUX
from pybpftime.maps import Map, MapError, MapSpec, RingBuffer, create_map
from pybpftime.uapi import MapFlag, MapType, ProgramType

T = MapType
NOTHING = 0xDEAD  # what a step leaves when a look-up found nothing

LOOKUP, UPDATE, DELETE, CPU = 1, 2, 3, 8
RINGBUF_OUTPUT, RINGBUF_RESERVE, RINGBUF_SUBMIT, RINGBUF_DISCARD, RINGBUF_QUERY = 130, 131, 132, 133, 134

# 40 examples, and more in a campaign (HYPOTHESIS_PROFILE=campaign).
EXAMPLES = settings().max_examples * 2 // 5


def slot(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("<BBhi", opcode, dst | src << 4, offset, immediate)


def map_by_fd(dst: int, fd: int) -> bytes:
    return slot(0x18, dst, 1, 0, fd) + slot(0)


def call(helper: int) -> bytes:
    return slot(0x85, immediate=helper)


def move(dst: int, immediate: int) -> bytes:
    return slot(0xB7, dst, immediate=immediate)


def copy(dst: int, src: int) -> bytes:
    return slot(0xBF, dst, src)


def set_key(key: int) -> bytes:
    """*(u32 *)(r10 - 4) = key"""
    return slot(0x62, 10, 0, -4, key)


def result(index: int, register: int = 0) -> bytes:
    """Leave a register in the shared results, whose address is in r9."""
    return slot(0x7B, 9, register, 8 * index)


def unless_zero(register: int, then: bytes) -> bytes:
    return slot(0x15, register, 0, len(then) // 8) + then


EXIT = move(0, 0) + slot(0x95)


class Steps:
    """Sequences of helper calls on a map: as a program for the kernel, and on our map."""

    KEYS = st.integers(0, 6)
    VALUES = st.integers(0, 1 << 30)
    FLAGS = st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5])
    STEPS = st.one_of(
        st.tuples(st.just("lookup"), KEYS),
        st.tuples(st.just("update"), KEYS, VALUES, FLAGS),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("old pointer"), KEYS, VALUES),
        st.tuples(st.just("write"), KEYS, VALUES),
    )
    # With BPF_F_NO_PREALLOC and in LRU maps it is up to Linux' allocators whose memory is used again when.
    KEPT = st.tuples(st.just("kept pointer"), KEYS, VALUES, KEYS)

    @staticmethod
    def program(steps: list[Any], fd: int, shared: Any) -> bytes:
        code = shared.address_instructions(9) + call(CPU) + result(0)
        for index, (name, key, *rest) in enumerate(steps, 1):
            code += move(0, NOTHING) + result(index)
            code += set_key(key)
            if rest:
                code += slot(0x7A, 10, 0, -16, rest[0])  # *(u64 *)(r10 - 16) = value
            arguments = map_by_fd(1, fd) + copy(2, 10) + slot(0x07, 2, immediate=-4)
            values = copy(3, 10) + slot(0x07, 3, immediate=-16)
            if name == "lookup":
                code += arguments + call(LOOKUP) + unless_zero(0, slot(0x79, 1, 0) + result(index, 1))
            elif name == "update":
                code += arguments + values + move(4, rest[1]) + call(UPDATE) + result(index)
            elif name == "delete":
                code += arguments + call(DELETE) + result(index)
            elif name == "old pointer":
                update = copy(7, 0) + arguments + values + move(4, 0) + call(UPDATE)
                code += arguments + call(LOOKUP) + unless_zero(0, update + slot(0x79, 1, 7) + result(index, 1))
            elif name == "kept pointer":  # of a value that is replaced, and then another key is written
                update = arguments + values + move(4, 0) + call(UPDATE)
                both = copy(7, 0) + update + set_key(rest[1]) + update
                code += arguments + call(LOOKUP) + unless_zero(0, both + slot(0x79, 1, 7) + result(index, 1))
            else:
                write = slot(0x79, 1, 10, -16) + slot(0x7B, 0, 1) + result(index, 1)
                code += arguments + call(LOOKUP) + unless_zero(0, write)
        return code + EXIT

    @staticmethod
    def ours(steps: list[Any], table: Map, memory: Memory, cpu: int) -> list[int]:
        results = []
        for name, number, *rest in steps:
            key = number.to_bytes(4, "little")
            value = rest[0].to_bytes(8, "little") if rest else b""
            left = NOTHING
            try:
                if name == "update":
                    table.update_element(key, value, rest[1], cpu)
                    left = 0
                elif name == "delete":
                    table.delete_element(key)
                    left = 0
                else:
                    address = table.element_address(key, cpu)
                    if address and name == "old pointer":
                        table.update_element(key, value, 0, cpu)
                    elif address and name == "kept pointer":
                        table.update_element(key, value, 0, cpu)
                        with suppress(MapError):
                            table.update_element(rest[1].to_bytes(4, "little"), value, 0, cpu)
                    elif address and name == "write":
                        memory.store(address, 8, rest[0])
                    if address:
                        left = memory.load(address, 8)
            except MapError as error:
                left = -error.errno & 0xFFFF_FFFF_FFFF_FFFF
            results.append(left)
        return results


@pytest.mark.parametrize(
    "spec",
    [
        MapSpec("array", T.BPF_MAP_TYPE_ARRAY, 4, 8, 5),
        MapSpec("percpu_array", T.BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 5),
        MapSpec("hash", T.BPF_MAP_TYPE_HASH, 4, 8, 5),
        MapSpec("hash_on_demand", T.BPF_MAP_TYPE_HASH, 4, 8, 5, MapFlag.BPF_F_NO_PREALLOC),
        MapSpec("percpu_hash", T.BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 5),
        MapSpec("lru", T.BPF_MAP_TYPE_LRU_HASH, 4, 8, 2048),
    ],
    ids=lambda spec: str(spec.name),
)
def test_helper_calls_on_maps(kernel: Any, spec: MapSpec) -> None:
    cpus = kernel.possible_cpu_count()
    per_cpu = spec.type in kernel.PER_CPU_MAP_TYPES
    allocates = spec.flags & MapFlag.BPF_F_NO_PREALLOC or spec.type == T.BPF_MAP_TYPE_LRU_HASH
    steps = Steps.STEPS if allocates else Steps.STEPS | Steps.KEPT

    @settings(max_examples=EXAMPLES)
    @given(st.lists(st.lists(steps, min_size=1, max_size=12), min_size=1, max_size=2))
    def check(runs: list[list[Any]]) -> None:
        memory, table = Memory(), create_map(spec, cpus)
        table.attach(memory, LINUX)
        with (
            kernel.KernelMap.create(spec.type, 4, 8, spec.max_entries, flags=spec.flags) as peer,
            kernel.SharedValue(8 * 16) as shared,
        ):
            for steps in runs:
                code = Steps.program(steps, peer.fileno(), shared)
                with kernel.KernelProgram.load(ProgramType.BPF_PROG_TYPE_XDP, code) as program:
                    program.test_run(bytes(64))
                cpu, *results = struct.unpack(f"<{1 + len(steps)}Q", shared.read()[: 8 * (1 + len(steps))])
                assert Steps.ours(steps, table, memory, cpu) == results
                items = peer.items_per_cpu() if per_cpu else peer.items()
                expected = sorted((key, tuple(value) if per_cpu else value) for key, value in items)
                assert sorted(table.items()) == expected

    check()


def test_a_replaced_value_is_not_a_new_keys(kernel: Any) -> None:
    """The pointer of the first look-up is used after the update of its key, and of a key that is new."""
    spec = MapSpec("hash", T.BPF_MAP_TYPE_HASH, 4, 8, 3)
    steps = [("update", 1, 10, 0), ("kept pointer", 1, 20, 2), ("lookup", 1), ("kept pointer", 1, 30, 2)]
    memory, table = Memory(), create_map(spec)
    table.attach(memory, LINUX)
    with (
        kernel.KernelMap.create(spec.type, 4, 8, spec.max_entries) as peer,
        kernel.SharedValue(8 * 16) as shared,
        kernel.KernelProgram.load(
            ProgramType.BPF_PROG_TYPE_XDP, Steps.program(steps, peer.fileno(), shared)
        ) as program,
    ):
        program.test_run(bytes(64))
        results = list(struct.unpack("<5Q", shared.read()[: 8 * 5]))[1:]
    assert Steps.ours(steps, table, memory, 0) == results == [0, 10, 20, 30]


SIZES = st.one_of(st.integers(0, 40), st.integers(0, 1500))
RING_STEPS = st.one_of(
    st.tuples(st.just("output"), SIZES, st.sampled_from([0, 0, 1, 2, 3, 4, 8])),
    st.tuples(st.just("submit"), SIZES, st.sampled_from([0, 1, 2])),
    st.tuples(st.just("discard"), SIZES, st.just(0)),
    st.tuples(st.just("reserve with a flag"), SIZES, st.just(1)),
    st.tuples(st.just("query"), st.integers(0, 5), st.just(0)),
)
CONTENT = bytes(range(251)) * 6
MARK = 0x5A5A5A5A


def ring_program(steps: list[Any], fd: int, shared: Any) -> bytes:
    code = shared.address_instructions(9)
    for index, (name, size, flags) in enumerate(steps):
        code += map_by_fd(1, fd)
        if name == "output":
            code += shared.address_instructions(2, 8 * 16) + move(3, size) + move(4, flags)
            code += call(RINGBUF_OUTPUT) + result(index)
        elif name == "query":
            code += move(2, size) + call(RINGBUF_QUERY) + result(index)
        else:
            finish = RINGBUF_DISCARD if name == "discard" else RINGBUF_SUBMIT
            fill = slot(0x7A, 0, 0, 0, MARK) if size >= 8 else b""  # *(u64 *)(r0 + 0) = MARK
            done = fill + copy(1, 0) + move(2, flags) + call(finish) + move(1, 1) + result(index, 1)
            reserve = move(2, size) + move(3, 1 if name == "reserve with a flag" else 0) + call(RINGBUF_RESERVE)
            code += reserve + result(index) + unless_zero(0, done)
    return code + EXIT


def ring_ours(steps: list[Any], ring: RingBuffer, memory: Memory) -> list[int]:
    results = []
    for name, size, flags in steps:
        if name == "output":
            try:
                ring.output(CONTENT[:size], flags)
                results.append(0)
            except MapError as error:
                results.append(-error.errno & 0xFFFF_FFFF_FFFF_FFFF)
        elif name == "query":
            results.append(ring.query(size))
        else:
            address = ring.reserve(size, 1 if name == "reserve with a flag" else 0)
            results.append(1 if address else 0)
            if address:
                if size >= 8:
                    memory.store(address, 8, MARK)
                (ring.discard if name == "discard" else ring.submit)(address, flags)
    return results


def test_ring_buffers_are_the_same_byte_for_byte(kernel: Any) -> None:
    if mmap.PAGESIZE != 4096:
        pytest.skip("needs a kernel with pages of 4096 bytes")

    @settings(max_examples=EXAMPLES)
    @given(
        st.lists(st.tuples(st.lists(RING_STEPS, min_size=1, max_size=12), st.booleans()), min_size=1, max_size=4),
    )
    def check(runs: list[tuple[list[Any], bool]]) -> None:
        memory, ring = Memory(), create_map(MapSpec("ring", T.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096))
        assert isinstance(ring, RingBuffer)
        ring.attach(memory, LINUX)
        with (
            kernel.KernelMap.create(T.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096) as peer,
            kernel.KernelRingBuffer(peer) as reader,
            peer.map_pages(0, 4096, mmap.PROT_READ | mmap.PROT_WRITE) as consumer,
            peer.map_pages(4096, 4096 + 2 * 4096, mmap.PROT_READ) as producer,
            kernel.SharedValue(8 * 16 + len(CONTENT)) as shared,
        ):
            shared.write(bytes(8 * 16) + CONTENT)
            for steps, drain in runs:
                code = ring_program(steps, peer.fileno(), shared)
                with kernel.KernelProgram.load(ProgramType.BPF_PROG_TYPE_XDP, code) as program:
                    program.test_run(bytes(64))
                results = list(struct.unpack(f"<{len(steps)}Q", shared.read()[: 8 * len(steps)]))
                assert ring_ours(steps, ring, memory) == results
                if drain:
                    assert ring.drain() == reader.drain()
                assert bytes(ring.slab.data[4096:12288]) == consumer[:] + producer[:4096]
                assert bytes(ring.slab.data[12288:]) == producer[4096:8192]

    check()
