"""Maps, loops, ring buffers, perf events, stacks, locks, clocks and tasks: what each helper does here."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from support.helper_calls import CONTEXT, Caller, Memory

from pybpftime.errors import Fault, FaultKind
from pybpftime.helpers import bind
from pybpftime.machine import LENIENT, STRICT, Limits, RegionKind, TailCall
from pybpftime.maps import Map, MapSpec, PerfEventArray, ProgramArray, RingBuffer, create_map
from pybpftime.program.contexts import make_context
from pybpftime.uapi import MapType, ProgramType

E2BIG, ENOENT, EFAULT, EINVAL, EAGAIN, EOPNOTSUPP = -7, -2, -14, -22, -11, -95
KPROBE = ProgramType.BPF_PROG_TYPE_KPROBE
TC = ProgramType.BPF_PROG_TYPE_SCHED_CLS


def attached(caller: Caller, type: MapType, *, cpus: int = 1, **fields: Any) -> Any:
    sizes = {"key_size": 4, "value_size": 8, "max_entries": 4} | fields
    made = create_map(MapSpec("counts", type, **sizes), cpus)
    made.attach(caller.machine.memory, caller.machine.strictness)
    return made


def call(caller: Caller, name: str, *registers: int) -> int:
    """Call with plain registers; r0 as a signed number."""
    caller.call_with(name, *registers)
    r0 = caller.machine.registers[0]
    assert r0 is not None
    return (r0 ^ 1 << 63) - (1 << 63)


def address(caller: Caller) -> int:
    r0 = caller.machine.registers[0]
    assert r0 is not None
    return r0


def with_context(caller: Caller, program_type: ProgramType = KPROBE, packet: bytes | None = None) -> None:
    caller.program_type = program_type
    context = make_context(program_type, packet=packet)
    (caller.machine.registers[6], *_) = context.enter(caller.machine)
    caller.machine.context = context


# --- maps -------------------------------------------------------------------------------------------------------------


def test_map_elements(caller: Caller) -> None:
    made = attached(caller, MapType.BPF_MAP_TYPE_HASH)
    key, value = caller.place(Memory(b"key!")), caller.place(Memory(bytes(range(8))))
    assert call(caller, "bpf_map_lookup_elem", made.address, key) == 0
    assert call(caller, "bpf_map_update_elem", made.address, key, value, 2) == ENOENT
    assert call(caller, "bpf_map_update_elem", made.address, key, value, 0) == 0
    call(caller, "bpf_map_lookup_elem", made.address, key)
    assert caller.machine.memory.read(address(caller), 8) == bytes(range(8))
    assert call(caller, "bpf_map_delete_elem", made.address, key) == 0
    assert call(caller, "bpf_map_delete_elem", made.address, key) == ENOENT


def test_values_per_cpu(caller: Caller) -> None:
    made = attached(caller, MapType.BPF_MAP_TYPE_PERCPU_ARRAY, cpus=3)
    key, value = caller.place(Memory(bytes(4))), caller.place(Memory(b"onecpu!!"))
    caller.environment.cpu = 1
    assert call(caller, "bpf_map_update_elem", made.address, key, value, 0) == 0
    assert made.lookup(bytes(4)) == (bytes(8), b"onecpu!!", bytes(8))
    call(caller, "bpf_map_lookup_elem", made.address, key)
    own = address(caller)
    assert caller.machine.memory.read(own, 8) == b"onecpu!!"
    call(caller, "bpf_map_lookup_percpu_elem", made.address, key, 1 << 32 | 1)
    assert address(caller) == own
    call(caller, "bpf_map_lookup_percpu_elem", made.address, key, 2)
    assert caller.machine.memory.read(address(caller), 8) == bytes(8)
    assert call(caller, "bpf_map_lookup_percpu_elem", made.address, key, 3) == 0


class Program:
    type = KPROBE


def test_tail_calls() -> None:
    caller = Caller(program_type=KPROBE)
    with_context(caller)
    programs: ProgramArray = attached(caller, MapType.BPF_MAP_TYPE_PROG_ARRAY, value_size=4)
    program = Program()
    programs.update(struct.pack("<I", 2), program)
    context = caller.machine.registers[6]
    assert context is not None
    with pytest.raises(TailCall) as tail_call:
        caller.call_with("bpf_tail_call", context, programs.address, 1 << 32 | 2)
    assert tail_call.value.program is program
    assert caller.machine.tail_calls == 1
    for index in (1, 4, 5, 1 << 31):
        caller.call_with("bpf_tail_call", context, programs.address, index)
        assert caller.machine.registers[:2] == [None, None]
    assert caller.machine.tail_calls == 1  # calls that find no program do not count
    caller.machine.tail_calls = 32
    with pytest.raises(TailCall):
        caller.call_with("bpf_tail_call", context, programs.address, 2)
    caller.call_with("bpf_tail_call", context, programs.address, 2)
    assert caller.machine.tail_calls == 33


# --- callbacks --------------------------------------------------------------------------------------------------------


class Callbacks:
    """Stands for the engine: remembers with what it was to call which function."""

    def __init__(self, caller: Caller, results: Sequence[int] = ()) -> None:
        caller.machine.reset(0, ())
        self.function = caller.machine.add_code(None, 4, "example").region.base
        self.calls: list[tuple[int, ...]] = []
        self.memory = caller.machine.memory
        self.keys: list[bytes] = []
        self.results = list(results)
        caller.callback = self.call

    def call(self, address: int, arguments: Sequence[int]) -> int:
        assert address == self.function
        self.calls.append(tuple(arguments))
        if len(arguments) == 4:
            self.keys.append(self.memory.read(arguments[1], 4))
        return self.results.pop(0) if self.results else 0


def test_loops(caller: Caller) -> None:
    callbacks = Callbacks(caller)
    stack = caller.machine.registers[10]
    assert stack is not None
    assert call(caller, "bpf_loop", 1 << 32 | 3, callbacks.function, stack - 8, 0) == 3
    assert callbacks.calls == [(0, stack - 8), (1, stack - 8), (2, stack - 8)]
    assert call(caller, "bpf_loop", 0, callbacks.function, 0, 0) == 0
    assert call(caller, "bpf_loop", 3, callbacks.function, 0, 1) == EINVAL
    assert call(caller, "bpf_loop", (8 << 20) + 1, callbacks.function, 0, 0) == E2BIG
    caller.machine.limits = Limits(loops=2)
    assert call(caller, "bpf_loop", 2, callbacks.function, 0, 0) == 2
    assert call(caller, "bpf_loop", 3, callbacks.function, 0, 0) == E2BIG


def test_a_callback_ends_its_loop(caller: Caller) -> None:
    callbacks = Callbacks(caller, [0, 0, 1])
    assert call(caller, "bpf_loop", 9, callbacks.function, 0, 0) == 3
    assert len(callbacks.calls) == 3


def test_a_callback_returns_0_or_1(caller: Caller) -> None:
    callbacks = Callbacks(caller, [2])
    with pytest.raises(Fault, match="the callback returned 0x2"):
        call(caller, "bpf_loop", 9, callbacks.function, 0, 0)
    lenient = Caller(LENIENT)
    assert call(lenient, "bpf_loop", 9, Callbacks(lenient, [2]).function, 0, 0) == 1


@pytest.mark.parametrize("type", [MapType.BPF_MAP_TYPE_HASH, MapType.BPF_MAP_TYPE_ARRAY])
def test_each_element(caller: Caller, type: MapType) -> None:
    made: Map = attached(caller, type)
    for number in range(4):
        made.update(struct.pack("<I", number), struct.pack("<Q", number * 10))
    callbacks = Callbacks(caller)
    assert call(caller, "bpf_for_each_map_elem", made.address, callbacks.function, 0, 0) == 4
    assert sorted(callbacks.keys) == [struct.pack("<I", number) for number in range(4)]
    for (map, _, value, context), key in zip(callbacks.calls, callbacks.keys, strict=True):
        assert (map, context) == (made.address, 0)
        assert caller.machine.memory.load(value, 8) == 10 * int.from_bytes(key, "little")
    assert call(caller, "bpf_for_each_map_elem", made.address, callbacks.function, 0, 1) == EINVAL


def test_keys_are_gone_after_the_iteration_and_cannot_be_written(caller: Caller) -> None:
    made: Map = attached(caller, MapType.BPF_MAP_TYPE_ARRAY, max_entries=2)
    callbacks = Callbacks(caller, [1])
    memory = caller.machine.memory

    def overwrite(address: int, arguments: Sequence[int]) -> int:
        memory.write(arguments[1], b"x")
        return 0

    assert call(caller, "bpf_for_each_map_elem", made.address, callbacks.function, 0, 0) == 1
    assert memory.find(callbacks.calls[0][1]) is None
    caller.callback = overwrite
    with pytest.raises(Fault, match="key of map counts: it is read-only"):
        call(caller, "bpf_for_each_map_elem", made.address, callbacks.function, 0, 0)


def test_elements_of_this_cpu(caller: Caller) -> None:
    made: Map = attached(caller, MapType.BPF_MAP_TYPE_PERCPU_ARRAY, cpus=2, max_entries=1)
    made.update(bytes(4), (b"firstcpu", b"othercpu"))
    caller.environment.cpu = 1
    callbacks = Callbacks(caller)
    assert call(caller, "bpf_for_each_map_elem", made.address, callbacks.function, 0, 0) == 1
    assert caller.machine.memory.read(callbacks.calls[0][2], 8) == b"othercpu"


# --- ring buffers -----------------------------------------------------------------------------------------------------


def test_ring_buffers(caller: Caller) -> None:
    ring: RingBuffer = attached(caller, MapType.BPF_MAP_TYPE_RINGBUF, key_size=0, value_size=0, max_entries=4096)
    data = caller.place(Memory(b"record"))
    assert call(caller, "bpf_ringbuf_output", ring.address, data, 6, 0) == 0
    assert call(caller, "bpf_ringbuf_output", ring.address, data, 6, 8) == EINVAL
    assert call(caller, "bpf_ringbuf_query", ring.address, 0) == 16
    assert call(caller, "bpf_ringbuf_query", ring.address, 1) == 4096
    for helper in ("bpf_ringbuf_submit", "bpf_ringbuf_discard"):
        call(caller, "bpf_ringbuf_reserve", ring.address, 8, 0)
        record = address(caller)
        caller.machine.memory.write(record, b"reserved")
        caller.call_with(helper, record, 0)
        assert caller.machine.registers[0] is None
        with pytest.raises(Fault, match="no such reserved record"):
            caller.call_with(helper, record, 0)
    assert ring.drain() == [b"record", b"reserved"]
    assert call(caller, "bpf_ringbuf_reserve", ring.address, 5000, 0) == 0
    assert call(caller, "bpf_ringbuf_output", ring.address, caller.place(Memory(bytes(5000))), 5000, 0) == EAGAIN
    with pytest.raises(Fault, match="is no record that bpf_ringbuf_reserve returned"):
        caller.call_with("bpf_ringbuf_submit", data, 0)


# --- perf events ------------------------------------------------------------------------------------------------------


def perf_output(caller: Caller, events: PerfEventArray, flags: int) -> int:
    context = caller.machine.registers[6]
    assert context is not None
    data = caller.place(Memory(b"sample"))
    return call(caller, "bpf_perf_event_output", context, events.address, flags, data, 6)


def test_perf_output(caller: Caller) -> None:
    with_context(caller)
    events: PerfEventArray = attached(caller, MapType.BPF_MAP_TYPE_PERF_EVENT_ARRAY, value_size=4, cpus=2)
    caller.environment.cpu = 1
    assert perf_output(caller, events, 0xFFFF_FFFF) == 0
    assert perf_output(caller, events, 1) == 0
    assert perf_output(caller, events, 0) == EOPNOTSUPP
    assert perf_output(caller, events, 3) == ENOENT
    assert perf_output(caller, events, 4) == E2BIG
    assert perf_output(caller, events, 1 << 32 | 1) == EINVAL
    assert [(record.cpu, record.data) for record in events.drain()] == [(1, b"sample")] * 2


@pytest.mark.parametrize("program_type", [TC, ProgramType.BPF_PROG_TYPE_XDP])
def test_perf_output_with_packet_bytes(caller: Caller, program_type: ProgramType) -> None:
    with_context(caller, program_type, bytes(range(64)))
    events: PerfEventArray = attached(caller, MapType.BPF_MAP_TYPE_PERF_EVENT_ARRAY, value_size=4)
    assert perf_output(caller, events, 5 << 32 | 0) == 0
    assert perf_output(caller, events, 64 << 32 | 0xFFFF_FFFF) == 0
    assert perf_output(caller, events, 65 << 32 | 0) == EFAULT
    assert perf_output(caller, events, 1 << 52) == EINVAL
    assert [record.data for record in events.drain()] == [b"sample\0\1\2\3\4", b"sample" + bytes(range(64))]


def test_perf_counters(caller: Caller) -> None:
    """The events that programs write to count nothing."""
    events: PerfEventArray = attached(caller, MapType.BPF_MAP_TYPE_PERF_EVENT_ARRAY, value_size=4)
    assert call(caller, "bpf_perf_event_read", events.address, 0) == EINVAL
    assert call(caller, "bpf_perf_event_read", events.address, 1) == ENOENT
    assert call(caller, "bpf_perf_event_read", events.address, 4) == E2BIG
    assert call(caller, "bpf_perf_event_read", events.address, 1 << 32) == EINVAL
    value = caller.place(Memory(b"\xaa" * 24))
    assert call(caller, "bpf_perf_event_read_value", events.address, 0xFFFF_FFFF, value, 24) == EINVAL
    assert call(caller, "bpf_perf_event_read_value", events.address, 4, value, 24) == E2BIG
    assert call(caller, "bpf_perf_event_read_value", events.address, 0, value, 16) == EINVAL
    assert caller.machine.memory.read(value, 24) == bytes(24)


# --- stacks -----------------------------------------------------------------------------------------------------------


def test_stack_ids(caller: Caller) -> None:
    with_context(caller)
    stacks = attached(caller, MapType.BPF_MAP_TYPE_STACK_TRACE, value_size=64)
    context = caller.machine.registers[6]
    assert context is not None
    assert call(caller, "bpf_get_stackid", context, stacks.address, 0) == EFAULT
    caller.environment.kernel_stack, caller.environment.user_stack = (1, 2, 3), (0x1000, 0x2000)
    identifier = call(caller, "bpf_get_stackid", context, stacks.address, 0x100)
    assert stacks.lookup(struct.pack("<I", identifier)) == struct.pack("<8Q", 0x1000, 0x2000, *[0] * 6)
    assert call(caller, "bpf_get_stackid", context, stacks.address, 0x100) == identifier
    assert call(caller, "bpf_get_stackid", context, stacks.address, 3) == EFAULT
    assert call(caller, "bpf_get_stackid", context, stacks.address, 1 << 20) == EINVAL


def test_stacks(caller: Caller) -> None:
    with_context(caller)
    caller.environment.kernel_stack, caller.environment.user_stack = (1, 2, 3), (0x1000, 0x2000)

    def stack(size: int, flags: int) -> tuple[int, bytes]:
        answer = caller.call("bpf_get_stack", CONTEXT, Memory(b"\xaa" * 32), size, flags)
        return answer.signed, answer.memories[0]

    assert stack(32, 0) == (24, struct.pack("<4Q", 1, 2, 3, 0))
    assert stack(16, 1) == (16, struct.pack("<2Q", 2, 3) + b"\xaa" * 16)
    assert stack(8, 0x100) == (8, struct.pack("<Q", 0x1000) + b"\xaa" * 24)
    assert stack(32, 3) == (0, bytes(32))
    assert stack(32, 4) == (EFAULT, bytes(32))
    assert stack(12, 0) == (EINVAL, bytes(12) + b"\xaa" * 20)
    assert stack(32, 1 << 12) == (EINVAL, bytes(32))
    assert stack(32, 1 << 11) == (EINVAL, bytes(32))
    assert stack(32, 1 << 11 | 1 << 8) == (-524, bytes(32))
    task = caller.call("bpf_get_current_task_btf").r0
    answer = caller.call("bpf_get_task_stack", task, Memory(bytes(8)), 8, 1)
    assert (answer.r0, answer.memories) == (8, (struct.pack("<Q", 2),))


# --- locks ------------------------------------------------------------------------------------------------------------


def locked_value(caller: Caller) -> int:
    """The address of a lock in a map value."""
    made: Map = attached(caller, MapType.BPF_MAP_TYPE_ARRAY, value_size=16, max_entries=2, spin_lock_offset=4)
    return made.element_address(struct.pack("<I", 1)) + 4


def test_locks(caller: Caller) -> None:
    lock = locked_value(caller)
    caller.call_with("bpf_spin_lock", lock)
    assert caller.machine.held_lock == lock
    assert caller.machine.registers[0] is None
    with pytest.raises(Fault, match="bpf_ktime_get_ns is called while a spin lock is held"):
        caller.call_with("bpf_ktime_get_ns")
    with pytest.raises(Fault, match="bpf_spin_lock is called while a spin lock is held"):
        caller.call_with("bpf_spin_lock", lock)
    caller.call_with("bpf_spin_unlock", lock)
    assert caller.machine.held_lock is None
    assert caller.machine.memory.load(lock, 4) == 0
    with pytest.raises(Fault, match="this lock is not held") as fault:
        caller.call_with("bpf_spin_unlock", lock)
    assert fault.value.kind is FaultKind.HELPER


def test_where_a_lock_is(caller: Caller) -> None:
    lock = locked_value(caller)
    for place, reason in (
        (lock + 4, "where there is no bpf_spin_lock"),
        (lock - 4, "where there is no bpf_spin_lock"),
        (caller.place(Memory(bytes(8))), "not a spin lock in a map value"),
        (0, "not a spin lock in a map value"),
    ):
        with pytest.raises(Fault, match=reason):
            caller.call_with("bpf_spin_lock", place)


def test_lenient_machines_still_have_one_lock() -> None:
    caller = Caller(LENIENT)
    lock = locked_value(caller)
    caller.call_with("bpf_spin_lock", lock)
    caller.call_with("bpf_ktime_get_ns")
    with pytest.raises(Fault, match="another lock is held already"):
        caller.call_with("bpf_spin_lock", lock)


# --- clocks, task, cpu ------------------------------------------------------------------------------------------------


def test_clocks(caller: Caller) -> None:
    environment = caller.environment
    environment.time_ns, environment.tick_ns = 10_000_000_000, 0
    environment.boot_offset_ns, environment.wall_offset_ns, environment.tai_offset_ns = 5, 1_000, 37
    assert call(caller, "bpf_ktime_get_ns") == 10_000_000_000
    assert call(caller, "bpf_ktime_get_boot_ns") == 10_000_000_005
    assert call(caller, "bpf_ktime_get_tai_ns") == 10_000_001_037
    environment.time_ns += 3_999_999
    assert call(caller, "bpf_ktime_get_coarse_ns") == 10_000_000_000
    first = call(caller, "bpf_jiffies64")
    environment.time_ns += 1
    assert call(caller, "bpf_jiffies64") == first + 1 == 2**32 - 300 * 250 + 2501


def test_every_reading_of_the_clock_is_later(caller: Caller) -> None:
    assert call(caller, "bpf_ktime_get_ns") < call(caller, "bpf_ktime_get_ns")


def test_task(caller: Caller) -> None:
    environment = caller.environment
    environment.pid, environment.tid, environment.uid, environment.gid = 7, 8, 1000, 1001
    environment.cpu, environment.numa_node, environment.cgroup_id = 3, 1, 99
    assert call(caller, "bpf_get_current_pid_tgid") == 7 << 32 | 8
    assert call(caller, "bpf_get_current_uid_gid") == 1001 << 32 | 1000
    assert call(caller, "bpf_get_smp_processor_id") == 3
    assert call(caller, "bpf_get_numa_node_id") == 1
    assert call(caller, "bpf_get_current_cgroup_id") == 99
    assert [call(caller, "bpf_get_current_ancestor_cgroup_id", level) for level in (0, 1, 2, -1 % 2**32)] == [
        1,
        99,
        0,
        0,
    ]
    answer = caller.call("bpf_get_ns_current_pid_tgid", 4, 5, Memory(bytes(8)), 8)
    assert (answer.r0, answer.memories) == (0, (struct.pack("<II", 8, 7),))
    assert caller.call("bpf_get_ns_current_pid_tgid", 4, 5, Memory(b"\1" * 4), 4).memories == (bytes(4),)
    assert caller.call("bpf_get_ns_current_pid_tgid", 1 << 32, 5, Memory(bytes(8)), 8).signed == EINVAL


def test_random_numbers_are_32_bits_and_repeat() -> None:
    first, second = Caller(), Caller()
    numbers = [call(first, "bpf_get_prandom_u32") for _ in range(20)]
    assert numbers == [call(second, "bpf_get_prandom_u32") for _ in range(20)]
    assert all(0 <= number < 2**32 for number in numbers)
    assert len(set(numbers)) > 10


@pytest.mark.parametrize(
    ("comm", "size", "content"),
    [
        ("bash", 16, b"bash".ljust(16, b"\0")),
        ("a name that is too long", 16, b"a name that is \0"),
        ("bash", 3, b"ba\0"),
        ("bash", 20, b"bash".ljust(20, b"\0")),
        ("", 1, b"\0"),
    ],
)
def test_comm(caller: Caller, comm: str, size: int, content: bytes) -> None:
    caller.environment.comm = comm
    assert caller.call("bpf_get_current_comm", Memory(b"\xaa" * size), size).memories == (content,)


def test_the_task_is_an_address_with_nothing_behind(caller: Caller) -> None:
    task = caller.call("bpf_get_current_task").r0
    assert task == caller.call("bpf_get_current_task_btf").r0
    region = caller.machine.memory.find(task)
    assert region is not None
    assert region.kind is RegionKind.HANDLE
    buffer = Memory(b"\xaa" * 4)
    assert caller.call("bpf_probe_read_kernel", buffer, 4, task).memories == (bytes(4),)
    assert caller.machine.registers[0] == EFAULT & (1 << 64) - 1
    with pytest.raises(Fault, match="read of 4 bytes at current task: it is opaque"):
        caller.machine.memory.read(task, 4)


def test_loads_of_the_task_read_zero_where_faulting_loads_do() -> None:
    memory = (caller := Caller()).machine.memory
    task = caller.call("bpf_get_current_task_btf").r0
    assert [memory.load(task + offset, 8) for offset in (0, 9, 0x7FF8)] == [0, 0, 0]
    for place in (task + 0x7FF9, task - 8, task + 0x10_0000):
        with pytest.raises(Fault) as caught:
            memory.load(place, 8)
        assert caught.value.kind is FaultKind.MEMORY
    with pytest.raises(Fault, match="store of 4 bytes at current task: it is opaque"):
        memory.store(task, 4, 1)
    for level in (LENIENT, STRICT):
        caller = Caller(level)
        with pytest.raises(Fault, match=r"load of 2 bytes at current task\+6: it is opaque") as caught:
            caller.machine.memory.load(caller.call("bpf_get_current_task_btf").r0 + 6, 2)
        assert caught.value.kind is FaultKind.PERMISSION


def test_signals_are_recorded(caller: Caller) -> None:
    assert call(caller, "bpf_send_signal", 9) == 0
    assert call(caller, "bpf_send_signal_thread", 10) == 0
    assert call(caller, "bpf_send_signal", 65) == EINVAL
    assert caller.machine.effects.records["signals"] == [("process", 9), ("thread", 10)]


# --- probes -----------------------------------------------------------------------------------------------------------


def test_probes() -> None:
    caller = Caller(program_type=KPROBE)
    with_context(caller)
    assert caller.call("bpf_get_func_ip", CONTEXT).r0 == 0
    assert caller.call("bpf_get_attach_cookie", CONTEXT).r0 == 0
    assert caller.call("bpf_override_return", CONTEXT, 5).r0 == 0
    assert caller.machine.effects.records["override_return"] == 5


def test_what_a_context_may_know_of_its_probe() -> None:
    class Known:
        function_address = 0x1234
        attach_cookie = 77

    caller = Caller(LENIENT)
    caller.machine.context = Known()
    caller.machine.registers[6] = 0
    assert caller.call("bpf_get_func_ip", CONTEXT).r0 == 0x1234
    assert caller.call("bpf_get_attach_cookie", CONTEXT).r0 == 77


def test_the_return_value_of_a_system_call() -> None:
    caller = Caller(program_type=ProgramType.BPF_PROG_TYPE_CGROUP_SOCKOPT)
    assert caller.call("bpf_get_retval").r0 == 0
    assert caller.call("bpf_set_retval", -13).r0 == 0
    assert caller.call("bpf_get_retval").signed == -13


def test_tables_are_plain_values(caller: Caller) -> None:
    """The plugin of conformance runners gives its own meaning to a number."""
    table = caller.table.replaced("bpf_ktime_get_ns", lambda machine: 5)
    bind(5, table, caller.machine, KPROBE)()
    assert caller.machine.registers[0] == 5
