"""Calling helpers, here and in the running kernel, with the same arguments."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pybpftime.helpers import HelperTable, bind, default_helpers
from pybpftime.kernel import KernelMap, KernelProgram
from pybpftime.machine import LINUX, Environment, Machine, Region, RegionKind, Strictness
from pybpftime.program.contexts import make_context
from pybpftime.uapi import MapFlag, MapType, ProgramFlag, ProgramType

SOCKET_FILTER = ProgramType.BPF_PROG_TYPE_SOCKET_FILTER
_NO_PACKET = bytes(64)


@dataclass(frozen=True)
class Memory:
    """An argument that points to memory with this content; `constant`: to memory that nobody may change."""

    content: bytes
    constant: bool = False


@dataclass(frozen=True)
class Pointers:
    """An argument that points to numbers of 64 bits, of which some are addresses of other memory."""

    values: tuple[int | Memory, ...]


@dataclass(frozen=True)
class Answer:
    """r0 (64 bits) and what the memory arguments hold afterwards, in order."""

    r0: int
    memories: tuple[bytes, ...] = ()

    @property
    def signed(self) -> int:
        return (self.r0 ^ 1 << 63) - (1 << 63)


class ContextArgument:
    """The argument is the program's context."""


CONTEXT = ContextArgument()
Argument = int | Memory | Pointers | ContextArgument


# --- here -------------------------------------------------------------------------------------------------------------


@dataclass
class Caller:
    """A machine on which helpers are called one at a time."""

    strictness: Strictness = LINUX
    environment: Environment = field(default_factory=Environment)
    table: HelperTable = field(default_factory=default_helpers)
    program_type: ProgramType = SOCKET_FILTER
    callback: Callable[[int, Sequence[int]], int] | None = None  # stands for the functions that helpers call

    def __post_init__(self) -> None:
        self.machine = Machine(strictness=self.strictness, environment=self.environment)

    def id_of(self, name: str) -> int:
        helper = self.table.find(name)
        assert helper is not None
        return helper.id

    def place(self, memory: Memory) -> int:
        """Map the memory; its address."""
        region = Region(RegionKind.MAP_VALUE, "test memory", bytearray(memory.content), writable=not memory.constant)
        return self.machine.memory.map(region)

    def call(self, name: str, *arguments: Argument | None, table: HelperTable | None = None) -> Answer:
        """Call the helper; None leaves its register unwritten."""
        registers: list[int | None] = []
        placed: list[tuple[int, int]] = []
        for argument in arguments:
            if isinstance(argument, Memory):
                placed.append((self.place(argument), len(argument.content)))
                registers.append(placed[-1][0])
            elif isinstance(argument, Pointers):
                values = [value if isinstance(value, int) else self.place(value) for value in argument.values]
                registers.append(self.place(Memory(struct.pack(f"<{len(values)}Q", *values))))
            elif isinstance(argument, ContextArgument):
                registers.append(self.machine.registers[6])
            else:
                registers.append(argument if argument is None else argument & (1 << 64) - 1)
        self.call_with(name, *registers, table=table)
        r0 = self.machine.registers[0]
        contents = tuple(self.machine.memory.read(address, size) for address, size in placed)
        return Answer(0 if r0 is None else r0, contents)

    def call_with(self, name: str, *registers: int | None, table: HelperTable | None = None) -> None:
        """Call the helper with r1... as given; the result is in the machine's r0."""
        unset: list[int | None] = [None] * (5 - len(registers))
        self.machine.registers[1:6] = [*registers, *unset]
        rounds = bind(self.id_of(name), table or self.table, self.machine, self.program_type)()
        if rounds is None:
            return
        assert self.callback is not None
        while (arguments := rounds.arguments(self.machine)) is not None:
            rounds.returned(self.machine, self.callback(rounds.callback, arguments))
        rounds.conclude(rounds.result)


# --- in the kernel ----------------------------------------------------------------------------------------------------


def _insn(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    return struct.pack("<BBhI", opcode, dst | src << 4, offset, imm & 0xFFFF_FFFF)


def load_number(register: int, value: int) -> bytes:
    """`register = value ll`"""
    return _insn(0x18, register, 0, 0, value) + _insn(0, imm=value >> 32)


def load_value_address(register: int, map: KernelMap) -> bytes:
    """`register = &value of the map's element 0`"""
    return _insn(0x18, register, 2, 0, map.fileno()) + _insn(0)


CONTEXT_TO_R6 = _insn(0xBF, 6, 1)
EXIT = _insn(0xB7, 0, 0, 0, 0) + _insn(0x95)


def call(helper_id: int) -> bytes:
    return _insn(0x85, 0, 0, 0, helper_id)


@dataclass(frozen=True)
class Call:
    """One helper call of a program."""

    name: str
    arguments: tuple[Argument, ...]


def helper_call(name: str, *arguments: Argument) -> Call:
    return Call(name, arguments)


@dataclass(frozen=True)
class Outcome:
    """The answers of a program's calls, and the packet afterwards."""

    answers: tuple[Answer, ...]
    packet: bytes


def run_here(calls: Sequence[Call], program_type: ProgramType, packet: bytes) -> Outcome:
    """Make the calls one after the other in one run on `packet`."""
    caller = Caller(program_type=program_type)
    context = make_context(program_type, packet=packet)
    (address,) = context.enter(caller.machine)
    caller.machine.context = context
    caller.machine.registers[6] = address
    answers = tuple(caller.call(call.name, *call.arguments) for call in calls)
    assert context.packet is not None
    return Outcome(answers, context.packet)


class KernelCaller:
    """The same in the running kernel: memory is the values of maps, the results are stored to one more."""

    def call(self, name: str, *arguments: Argument, program_type: ProgramType = SOCKET_FILTER) -> Answer:
        """KernelRejection when the verifier refuses the arguments."""
        return self.run([Call(name, arguments)], program_type).answers[0]

    def run(self, calls: Sequence[Call], program_type: ProgramType, packet: bytes = _NO_PACKET) -> Outcome:
        """Make the calls in one program, run on `packet`."""
        maps: list[KernelMap] = []
        try:
            return _run(calls, program_type, packet, maps)
        finally:
            for map in maps:
                map.close()


def _run(calls: Sequence[Call], program_type: ProgramType, packet: bytes, maps: list[KernelMap]) -> Outcome:
    def memory(content: bytes, *, constant: bool = False) -> KernelMap:
        flags = MapFlag.BPF_F_RDONLY_PROG if constant else MapFlag(0)
        maps.append(KernelMap.create(MapType.BPF_MAP_TYPE_ARRAY, 4, len(content), 1, flags=flags))
        maps[-1].update(bytes(4), content)
        if constant:
            maps[-1].freeze()
        return maps[-1]

    table = default_helpers()
    result = memory(bytes(8 * len(calls)))
    memories: list[list[KernelMap]] = [[] for _ in calls]
    code = CONTEXT_TO_R6
    for number, made in enumerate(calls):
        for register, argument in enumerate(made.arguments, start=1):
            if isinstance(argument, Memory):
                memories[number].append(memory(argument.content, constant=argument.constant))
                code += load_value_address(register, memories[number][-1])
            elif isinstance(argument, Pointers):
                below = -8 * len(argument.values)
                for index, value in enumerate(argument.values):
                    if isinstance(value, int):
                        code += load_number(0, value)
                    else:
                        code += load_value_address(0, memory(value.content, constant=value.constant))
                    code += _insn(0x7B, 10, 0, below + 8 * index)  # *(u64 *)(r10 + offset) = r0
                code += _insn(0xBF, register, 10) + _insn(0x07, register, 0, 0, below)
            elif isinstance(argument, ContextArgument):
                code += _insn(0xBF, register, 6)
            else:
                code += load_number(register, argument & (1 << 64) - 1)
        helper = table.find(made.name)
        assert helper is not None
        code += call(helper.id) + load_value_address(1, result) + _insn(0x7B, 1, 0, 8 * number)
    sleepable = program_type == ProgramType.BPF_PROG_TYPE_SYSCALL
    with KernelProgram.load(
        program_type, code + EXIT, flags=ProgramFlag.BPF_F_SLEEPABLE if sleepable else 0
    ) as program:
        after = program.test_run(b"" if sleepable else packet).data_out
    results = struct.unpack(f"<{len(calls)}Q", result.lookup(bytes(4)) or b"")
    answers = (
        Answer(r0, tuple(map.lookup(bytes(4)) or b"" for map in each))
        for r0, each in zip(results, memories, strict=True)
    )
    return Outcome(tuple(answers), after)
