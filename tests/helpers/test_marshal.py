"""What happens between the call instruction and the implementation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from support.helper_calls import CONTEXT, Caller, Memory

from pybpftime.errors import Fault, FaultKind
from pybpftime.helpers import HelperTable, bind, default_helpers, helper, implements
from pybpftime.helpers.declarations.kinds import (
    AllocatedMem,
    Anything,
    Callback,
    CallbackContext,
    ChangedMem,
    ConstMap,
    Context,
    ContextOrNull,
    Integer,
    LongPointer,
    MapKey,
    MapValue,
    MapValueOrNullArgument,
    Mem,
    MemOrNull,
    PointersOrNull,
    Size,
    SizeOrZero,
    Unchecked,
    UninitMapValue,
    UninitMem,
    UninitMemOrNull,
    Void,
)
from pybpftime.helpers.marshal import Span, why_not_callable
from pybpftime.isa import encode_program
from pybpftime.isa.assembler import assemble
from pybpftime.kernel import KernelProgram, KernelRejection
from pybpftime.machine import LENIENT, LEVELS, STRICT, Machine, Observer, Region, RegionKind, Strictness
from pybpftime.maps import Errno, Map, MapError, MapSpec, create_map
from pybpftime.program.contexts import make_context
from pybpftime.uapi import MapFlag, MapType, ProgramType

MINUS_1 = (1 << 64) - 1
XDP = ProgramType.BPF_PROG_TYPE_XDP
KPROBE = ProgramType.BPF_PROG_TYPE_KPROBE


class Probe:
    """A caller with one more helper, declared by the test, that remembers what it was given."""

    def __init__(self, function: Any, caller: Caller | None = None, *, result: Any = 0) -> None:
        self.caller = caller or Caller()
        self.given: list[tuple[Any, ...]] = []
        self.result = result
        declaration = helper(0x10000)(function)
        module = ModuleType("example")
        module.declaration = declaration  # type: ignore[attr-defined]
        count = len(declaration.arguments)
        shapes = (self._take0, self._take1, self._take2, self._take3, self._take4, self._take5)
        module.function = implements(declaration)(shapes[count])  # type: ignore[attr-defined]
        self.name = declaration.name
        self.table = self.caller.table.extended(module)

    def __call__(self, *registers: int | None) -> Any:
        """Call it with these registers; what it was given, without the machine, and alone when it is one thing."""
        unset: list[int | None] = [None] * (5 - len(registers))
        self.caller.machine.registers[:6] = [0xDEAD, *registers, *unset]
        bind(0x10000, self.table, self.caller.machine, self.caller.program_type)()
        return self.given[-1][0] if len(self.given[-1]) == 1 else self.given[-1]

    def _take(self, machine: Machine, *arguments: Any) -> Any:
        assert machine is self.caller.machine
        self.given.append(arguments)
        return self.result() if callable(self.result) else self.result

    def _take0(self, machine: Machine) -> Any:
        return self._take(machine)

    def _take1(self, machine: Machine, a: Any) -> Any:
        return self._take(machine, a)

    def _take2(self, machine: Machine, a: Any, b: Any) -> Any:
        return self._take(machine, a, b)

    def _take3(self, machine: Machine, a: Any, b: Any, c: Any) -> Any:
        return self._take(machine, a, b, c)

    def _take4(self, machine: Machine, a: Any, b: Any, c: Any, d: Any) -> Any:
        return self._take(machine, a, b, c, d)

    def _take5(self, machine: Machine, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
        return self._take(machine, a, b, c, d, e)


def attached(caller: Caller, **fields: Any) -> Map:
    sizes = {"key_size": 4, "value_size": 8, "max_entries": 4} | fields
    made = create_map(MapSpec("counts", sizes.pop("type", MapType.BPF_MAP_TYPE_HASH), **sizes))
    made.attach(caller.machine.memory, caller.machine.strictness)
    return made


def refused(probe: Probe, *registers: int | None, kind: FaultKind = FaultKind.HELPER) -> str:
    with pytest.raises(Fault) as fault:
        probe(*registers)
    assert fault.value.kind is kind
    assert not probe.given
    return fault.value.reason


# --- the result -------------------------------------------------------------------------------------------------------


def nothing() -> Integer: ...
def returns_void() -> Void: ...
def any_number(a: Anything) -> Integer: ...


@pytest.mark.parametrize(
    ("result", "r0"),
    [(0, 0), (7, 7), (-2, MINUS_1 - 1), (-1 << 63, 1 << 63), (True, 1), (Errno.EINVAL, 22), (MINUS_1, MINUS_1)],
)
def test_r0_is_64_bits(result: int, r0: int) -> None:
    probe = Probe(nothing, result=result)
    probe()
    assert probe.caller.machine.registers[:7] == [r0, None, None, None, None, None, 0]


def test_a_map_error_is_its_errno() -> None:
    def fail() -> int:
        raise MapError("full", errno=Errno.E2BIG)

    probe = Probe(nothing, result=fail)
    probe()
    assert probe.caller.machine.registers[0] == MINUS_1 - 6


def test_void_leaves_r0_unreadable() -> None:
    probe = Probe(returns_void, result=None)
    probe()
    assert probe.caller.machine.registers[0] is None
    probe = Probe(returns_void, Caller(LENIENT), result=None)
    probe()
    assert probe.caller.machine.registers[:6] == [0] * 6


# --- plain registers --------------------------------------------------------------------------------------------------


def test_numbers_are_unsigned() -> None:
    assert Probe(any_number)(MINUS_1) == MINUS_1


def test_a_register_that_was_never_written() -> None:
    reason = refused(Probe(any_number), None, kind=FaultKind.UNINITIALISED)
    assert reason == "any_number: argument 1 (a, r1) was never written"


def unchecked(a: Unchecked) -> Integer: ...


def test_unchecked_arguments() -> None:
    assert Probe(unchecked)(None) == 0
    assert Probe(unchecked)(5) == 5


# --- memory -----------------------------------------------------------------------------------------------------------


def reads(data: Mem, size: Size) -> Integer: ...
def reads_or_not(data: MemOrNull, size: SizeOrZero) -> Integer: ...
def writes(data: UninitMem, size: SizeOrZero) -> Integer: ...
def writes_or_not(data: UninitMemOrNull, size: SizeOrZero) -> Integer: ...
def changes(data: ChangedMem, size: Size) -> Integer: ...
def writes_long(data: LongPointer) -> Integer: ...
def reads_twice(first: Mem, first_size: Size, number: Anything, second: Mem, second_size: Size) -> Integer: ...


def test_read_memory_is_bytes() -> None:
    probe = Probe(reads)
    place = probe.caller.place(Memory(b"abcdef"))
    assert probe(place + 1, 3) == b"bcd"
    probe = Probe(reads_twice, probe.caller)
    assert probe(place, 2, 9, place + 2, 4) == (b"ab", 9, b"cdef")


@pytest.mark.parametrize(("shift", "size"), [(0, 7), (5, 2), (-1, 2), (6, 1)])
@pytest.mark.parametrize("function", [reads, writes, changes])
def test_memory_is_checked_before_the_helper_runs(function: Any, shift: int, size: int) -> None:
    probe = Probe(function)
    place = probe.caller.place(Memory(b"abcdef"))
    reason = refused(probe, place + shift, size, kind=FaultKind.MEMORY)
    assert reason.startswith(f"{function.__name__}: argument 1 (data, r1): ")


@pytest.mark.parametrize(
    ("function", "size", "kind", "words"),
    [
        (reads, 0, FaultKind.HELPER, r"argument 2 (size, r2) is 0"),
        (reads, None, FaultKind.UNINITIALISED, "argument 2 (size, r2) was never written"),
        (reads, MINUS_1, FaultKind.HELPER, "is 0xffffffffffffffff: negative, or larger than any memory"),
        (writes, 1 << 29, FaultKind.HELPER, "larger than any memory"),
    ],
)
def test_sizes(function: Any, size: int | None, kind: FaultKind, words: str) -> None:
    probe = Probe(function)
    assert words in refused(probe, probe.caller.place(Memory(b"abcdef")), size, kind=kind)


def test_null() -> None:
    assert Probe(reads_or_not)(0, 0) is None
    assert Probe(writes_or_not)(0, 0) is None
    assert "null pointer" in refused(Probe(reads_or_not), 0, 4, kind=FaultKind.MEMORY)
    assert "null pointer" in refused(Probe(writes_or_not), 0, 4, kind=FaultKind.MEMORY)
    assert "null pointer" in refused(Probe(reads), 0, 4, kind=FaultKind.MEMORY)


def test_no_bytes_are_anywhere() -> None:
    probe = Probe(writes)
    span = probe(0x1234, 0)
    assert (span.size, span.read()) == (0, b"")


def test_written_memory_is_a_span() -> None:
    probe = Probe(writes)
    place = probe.caller.place(Memory(b"abcdef"))
    span = probe(place + 1, 4)
    assert isinstance(span, Span)
    assert (span.address, span.size, span.read()) == (place + 1, 4, b"bcde")
    span.write(b"XY")
    assert probe.caller.machine.memory.read(place, 6) == b"aXYdef"
    span.fill(b"1")
    assert probe.caller.machine.memory.read(place, 6) == b"a1\0\0\0f"
    span.fill(b"123456")
    assert probe.caller.machine.memory.read(place, 6) == b"a1234f"
    span.clear()
    assert probe.caller.machine.memory.read(place, 6) == b"a\0\0\0\0f"
    with pytest.raises(Fault, match="5 bytes written to memory of 4"):
        span.write(b"12345")


@pytest.mark.parametrize("function", [writes, changes])
def test_memory_to_write_must_be_writable(function: Any) -> None:
    probe = Probe(function)
    place = probe.caller.place(Memory(b"abcdef", constant=True))
    assert "read-only" in refused(probe, place, 4, kind=FaultKind.PERMISSION)


def test_strict_machines_want_memory_written_that_is_read() -> None:
    caller = Caller(STRICT)
    caller.machine.reset(0, ())
    stack = caller.machine.registers[10]
    assert stack is not None
    assert "never written" in refused(Probe(reads, caller), stack - 8, 8, kind=FaultKind.UNINITIALISED)
    assert "never written" in refused(Probe(changes, caller), stack - 8, 8, kind=FaultKind.UNINITIALISED)
    Probe(writes, caller)(stack - 8, 8).write(bytes(8))
    assert Probe(reads, caller)(stack - 8, 8) == bytes(8)


def prints(arguments: PointersOrNull, size: SizeOrZero) -> Integer: ...


def test_strict_machines_want_no_pointers_in_data() -> None:
    caller = Caller(STRICT)
    caller.machine.reset(0, ())
    stack = caller.machine.registers[10]
    assert stack is not None
    caller.machine.memory.store(stack - 8, 8, stack)
    for function in (reads, changes):
        reason = refused(Probe(function, caller), stack - 8, 8, kind=FaultKind.POINTER)
        where = f"{function.__name__}: argument 1 (data, r1)"
        assert reason == f"{where}: read of 8 bytes of data at stack-8: a pointer or a part of one is there"
    assert Probe(prints, caller)(stack - 8, 8) == stack.to_bytes(8, "little")
    Probe(writes, caller)(stack - 8, 8).write(bytes(8))
    assert Probe(reads, caller)(stack - 8, 8) == bytes(8)


def test_fixed_memory() -> None:
    probe = Probe(writes_long)
    place = probe.caller.place(Memory(bytes(16)))
    assert probe(place + 8).size == 8
    probe.given.clear()
    assert "not aligned to 8" in refused(probe, place + 4, kind=FaultKind.ALIGNMENT)
    assert "past the end" in refused(probe, place + 16, kind=FaultKind.MEMORY)
    lenient = Probe(writes_long, Caller(LENIENT))
    assert lenient(lenient.caller.place(Memory(bytes(16))) + 4).size == 8


# --- maps -------------------------------------------------------------------------------------------------------------


def takes_map(map: ConstMap) -> Integer: ...
def takes_key(map: ConstMap, key: MapKey) -> Integer: ...
def takes_value(map: ConstMap, value: MapValue) -> Integer: ...
def fills_value(map: ConstMap, value: UninitMapValue) -> Integer: ...
def takes_value_or_null(map: ConstMap, value: MapValueOrNullArgument) -> Integer: ...


def test_maps_keys_and_values() -> None:
    caller = Caller()
    made = attached(caller, key_size=3, value_size=5)
    place = caller.place(Memory(b"abcdefgh"))
    assert Probe(takes_map, caller)(made.address) is made
    assert Probe(takes_key, caller)(made.address, place)[1] == b"abc"
    assert Probe(takes_value, caller)(made.address, place)[1] == b"abcde"
    assert Probe(takes_value_or_null, caller)(made.address, place)[1] == b"abcde"
    assert Probe(takes_value_or_null, caller)(made.address, 0)[1] is None
    span = Probe(fills_value, caller)(made.address, place + 1)[1]
    assert (span.address, span.size) == (place + 1, 5)
    assert "past the end" in refused(Probe(takes_key, caller), made.address, place + 6, kind=FaultKind.MEMORY)
    assert "past the end" in refused(Probe(fills_value, caller), made.address, place + 4, kind=FaultKind.MEMORY)


@pytest.mark.parametrize("shift", [0, 1, -8])
def test_what_is_no_map(shift: int) -> None:
    probe = Probe(takes_map)
    made = attached(probe.caller)
    other = probe.caller.place(Memory(bytes(8))) if shift == 0 else made.address + shift
    assert "argument 1 (map, r1) is" in refused(probe, other)
    assert "argument 1 (map, r1) is 0x0, not a map" in refused(probe, 0)


def test_a_map_of_a_type_that_the_helper_does_not_take(caller: Caller) -> None:
    ring = attached(caller, type=MapType.BPF_MAP_TYPE_RINGBUF, key_size=0, value_size=0, max_entries=4096)
    key = caller.place(Memory(bytes(8)))
    with pytest.raises(Fault, match="counts is a BPF_MAP_TYPE_RINGBUF, which has no lookup") as fault:
        caller.call_with("bpf_map_lookup_elem", ring.address, key)
    assert fault.value.kind is FaultKind.HELPER


def test_a_map_that_programs_may_only_read(caller: Caller) -> None:
    made = attached(caller, flags=MapFlag.BPF_F_RDONLY_PROG)
    key = caller.place(Memory(bytes(8)))
    caller.call_with("bpf_map_lookup_elem", made.address, key)
    with pytest.raises(Fault, match="read-only for programs"):
        caller.call_with("bpf_map_delete_elem", made.address, key)


# --- other pointers ---------------------------------------------------------------------------------------------------


def takes_context(context: Context) -> Integer: ...
def takes_context_or_null(context: ContextOrNull) -> Integer: ...
def takes_function(callback: Callback, context: CallbackContext) -> Integer: ...
def takes_record(record: AllocatedMem) -> Integer: ...


def test_the_context() -> None:
    caller = Caller(program_type=XDP)
    context = make_context(XDP, packet=bytes(64))
    (address,) = context.enter(caller.machine)
    caller.machine.context = context
    assert Probe(takes_context, caller)(address) is context
    assert Probe(takes_context_or_null, caller)(0) is None
    assert "not the program's context" in refused(Probe(takes_context, caller), 0)
    assert "not the program's context" in refused(Probe(takes_context, caller), caller.place(Memory(bytes(8))))
    assert "not at its start" in refused(Probe(takes_context, caller), address + 4)


def test_a_context_without_the_packet_that_the_helper_wants() -> None:
    caller = Caller(LENIENT)
    caller.machine.context = object()
    caller.machine.registers[6] = 0
    with pytest.raises(Fault, match="without a packet of kind xdp"):
        caller.call("bpf_xdp_adjust_head", CONTEXT, 0)


def test_functions_and_what_is_handed_to_them() -> None:
    caller = Caller()
    caller.machine.reset(0, ())
    code = caller.machine.add_code(None, 4, "example")
    stack = caller.machine.registers[10]
    assert stack is not None
    probe = Probe(takes_function, caller)
    assert probe(code.region.base + 8, stack - 8) == (code.region.base + 8, stack - 8)
    assert probe(code.region.base, 0) == (code.region.base, 0)
    probe.given.clear()
    assert "argument 1 (callback, r1): " in refused(probe, stack, 0, kind=FaultKind.CALL)
    memory = caller.place(Memory(bytes(8)))
    assert "neither NULL nor a place on the stack" in refused(probe, code.region.base, memory)


# --- who may call -----------------------------------------------------------------------------------------------------


def test_an_unknown_helper_is_a_fault_when_it_is_called() -> None:
    caller = Caller()
    call = bind(9999, caller.table, caller.machine, XDP)
    with pytest.raises(Fault, match="there is no helper with the number 9999") as fault:
        call()
    assert fault.value.kind is FaultKind.CALL


@pytest.mark.parametrize(("number", "name"), [(69, "bpf_fib_lookup"), (51, "bpf_redirect_map")])
def test_a_known_helper_that_is_not_implemented_is_a_trap(number: int, name: str) -> None:
    caller = Caller()
    with pytest.raises(Fault, match=f"{name}#{number} is not implemented") as fault:
        bind(number, caller.table, caller.machine, XDP)()
    assert fault.value.kind is FaultKind.TRAP


def test_program_types() -> None:
    caller = Caller(program_type=KPROBE)
    with pytest.raises(Fault, match="bpf_xdp_adjust_head#44 cannot be called by programs of type kprobe"):
        caller.call("bpf_xdp_adjust_head", 0, 0)
    with pytest.raises(Fault, match="without a packet"):
        Caller(LENIENT, program_type=caller.program_type).call("bpf_xdp_adjust_head", 0, 0)


COMPATIBLE = ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"]


@pytest.mark.parametrize("license", [*COMPATIBLE, "", "MIT", "gpl", "GPL ", "GPL v3", "Proprietary"])
@pytest.mark.parametrize("level", LEVELS.values(), ids=list(LEVELS))
def test_gpl_only_helpers_want_a_compatible_license(license: str, level: Strictness) -> None:
    """bpf_get_current_task is one, bpf_ktime_get_ns is none."""
    caller = Caller(level)
    for number in (35, 125):
        call = bind(number, caller.table, caller.machine, XDP, license=license)
        if number == 35 and license not in COMPATIBLE and level is not LENIENT:
            words = f"not under '{license}'" if license else "and this one has none"
            with pytest.raises(
                Fault, match=f"bpf_get_current_task#35 is for programs under a GPL.*, {words}$"
            ) as fault:
                call()
            assert fault.value.kind is FaultKind.CALL
        else:
            call()
            assert caller.machine.registers[0]


@pytest.mark.usefixtures("in_kernel")
@pytest.mark.parametrize("license", [*COMPATIBLE, "", "MIT", "gpl", "GPL v3"])
def test_the_kernel_wants_the_same_licenses(license: str) -> None:
    code = encode_program(assemble("call 35\nr0 = 0\nexit"))
    if license in COMPATIBLE:
        KernelProgram.load(KPROBE, code, license=license).close()
    else:
        with pytest.raises(KernelRejection) as refusal:
            KernelProgram.load(KPROBE, code, license=license)
        assert "GPL" in (refusal.value.log or "")


def test_who_may_call_is_asked_before_whether_it_is_implemented() -> None:
    table = HelperTable(replace(helper, function=None) for helper in default_helpers())
    for license, words in (("MIT", "GPL-compatible"), ("GPL", "not implemented")):
        fault = why_not_callable(35, table, XDP, license, STRICT)
        assert fault is not None
        assert words in fault.reason


def test_an_empty_table_knows_names() -> None:
    caller = Caller()
    with pytest.raises(Fault, match="bpf_ktime_get_ns"):
        bind(5, HelperTable(), caller.machine, XDP)()


# --- observers --------------------------------------------------------------------------------------------------------


class Recorder(Observer):
    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int], int]] = []

    def helper_called(self, machine: Machine, name: str, arguments: Sequence[int], result: int) -> None:
        self.calls.append((name, list(arguments), result))


def test_observers_see_registers_and_result() -> None:
    recorder = Recorder()
    probe = Probe(reads_twice, result=-1)
    probe.caller.machine.observers = (recorder,)
    place = probe.caller.place(Memory(b"abcdef"))
    probe(place, 2, 9, place, 1)
    assert recorder.calls == [("reads_twice", [place, 2, 9, place, 1], MINUS_1)]


def test_regions_of_programs_contexts_count_as_context() -> None:
    """Plain memory behind r1 belongs to its context object."""
    caller = Caller()
    caller.machine.context = context = object()
    region = Region(RegionKind.MEMORY, "memory", bytearray(8), owner=context)
    assert Probe(takes_context, caller)(caller.machine.memory.map(region)) is context
