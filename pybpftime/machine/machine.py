"""The machine: what an instruction or a helper can read and change, and nothing else.

Registers, frames, memory and environment of one thread of execution.  The machine has no loop: an engine
drives it.  Together with the pc this is all the state of a run; nothing of it is in the host's stack.

Invariants:
* registers hold integers in [0, 2**64), or None for "never written" where the level makes that a fault;
* `frames` is never empty during a run, and r10 points behind the last byte of the top frame's stack;
* transient regions (context, packet) belong to one run and are unmapped by the next `reset`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from pybpftime.errors import Fault, FaultKind, InputError, InternalError, LimitExceeded
from pybpftime.isa.algebra import IntAlgebra
from pybpftime.isa.encoding import MASK64
from pybpftime.machine.environment import Environment
from pybpftime.machine.memory import Memory, Region, RegionKind, count
from pybpftime.machine.observer import Observer
from pybpftime.machine.pointers import NarrowPointerAlgebra, PointerAlgebra, TrackingMemory
from pybpftime.machine.rounds import Rounds
from pybpftime.machine.stack import MAPPED_FRAMES, Frame, Stack
from pybpftime.machine.strictness import LINUX, Strictness

REGISTERS = 11
ARGUMENTS = 5
LARGEST_STACK = 256 << 20  # bytes of all frames together


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a run may go besides its instruction budget; the defaults are those of Linux.

    `max_depth` is how many frames a call chain has (callbacks count), `frame_size` the bytes of each, a multiple
    of 8; `tail_calls` how many a run makes (MAX_TAIL_CALL_CNT), beyond which bpf_tail_call does nothing; `loops`
    how often may_goto falls through in a run, and the most rounds that a bpf_loop may ask for (BPF_MAX_LOOPS).
    InputError for values that make no sense.
    """

    max_depth: int = 8
    frame_size: int = 512
    tail_calls: int = 33
    loops: int = 8 << 20

    def __post_init__(self) -> None:
        ranges = {"max_depth": (1, 1 << 20), "frame_size": (8, 1 << 20)}
        for one in fields(self):
            value = getattr(self, one.name)
            least, most = ranges.get(one.name, (0, (1 << 32) - 1))
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise InputError(f"the limit {one.name} is a number from {least} to {most}")
        if self.frame_size % 8:
            raise InputError(f"the limit frame_size is a multiple of 8, not {self.frame_size}")
        if self.max_depth * self.frame_size > LARGEST_STACK:
            together = f"{self.max_depth} frames of {self.frame_size} bytes"
            raise InputError(f"{together} are more than {LARGEST_STACK >> 20} MiB of stack")


class TailCall(Exception):  # control flow between a helper and the engine, not an error
    """Raised by bpf_tail_call: the engine goes on in `program`."""

    def __init__(self, program: object) -> None:
        super().__init__()
        self.program = program


@dataclass(slots=True)
class Code:
    """A program in the machine's code space: its slots are [start, end).

    `region` is the opaque region whose addresses stand for its instructions, 8 bytes a slot: function pointers.
    """

    program: Any
    start: int
    end: int
    region: Region


@dataclass(slots=True)
class Effects:
    """What a run did to the world besides memory and r0; a fresh one for every run."""

    printk: list[str] = field(default_factory=list)
    redirect: tuple[str, int] | None = None
    records: dict[str, Any] = field(default_factory=dict)


class Machine:
    """State of one thread of execution.  `context` is the object behind r1, made by a program type."""

    def __init__(
        self,
        memory: Memory | None = None,
        strictness: Strictness = LINUX,
        environment: Environment | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        self.memory = new_memory(strictness) if memory is None else memory
        self.strictness = strictness
        self.environment = Environment() if environment is None else environment
        self.limits = Limits() if limits is None else limits
        # What a register holds that was never written: None where reading it is a fault, else 0.
        self.unset = None if strictness.uninitialised_register else 0
        self.registers: list[int | None] = [0] * REGISTERS
        self.frames: list[Frame] = []
        depth = min(self.limits.max_depth, MAPPED_FRAMES)
        self.stack = Stack(self.memory, strictness, self.limits.frame_size, depth)
        self.code: list[Code] = []
        self.context: Any = None
        self.effects = Effects()
        self.tail_calls = 0
        self.held_lock: int | None = None
        self.references: dict[int, str] = {}  # what helpers gave and want back: address to helper
        self.loop_budget = self.limits.loops
        self.observers: tuple[Observer, ...] = ()

    def algebra(self, width: int) -> IntAlgebra:
        """The algebra to compute in: plain integers, or at the strict level integers that know pointers."""
        if not self.strictness.tracked_pointers:
            return IntAlgebra(width)
        return PointerAlgebra(self.memory) if width == 64 else NarrowPointerAlgebra(self.memory)

    def reset(self, entry: int, arguments: Sequence[int]) -> None:
        """Begin a run at `entry`: arguments in r1..., the others unset, one empty frame, fresh effects."""
        for frame in self.frames:
            self.stack.close(frame.stack)
        self.frames.clear()
        self.effects = Effects()
        self.tail_calls = 0
        self.held_lock = None
        self.references.clear()
        self.loop_budget = self.limits.loops
        self.registers[:] = [self.unset] * REGISTERS
        self.set_arguments(arguments)
        self.push_frame(entry, None)

    def set_arguments(self, arguments: Sequence[int]) -> None:
        """Arguments of a function that is called from outside: modulo 2**64 into r1..., the rest of r1 to r5 unset."""
        if len(arguments) > ARGUMENTS:
            raise InternalError(f"{len(arguments)} arguments do not fit into r1 to r{ARGUMENTS}")
        self.registers[1 : ARGUMENTS + 1] = [self.unset] * ARGUMENTS
        for register, argument in enumerate(arguments, 1):
            self.registers[register] = argument & MASK64

    def push_frame(self, entry: int, return_pc: int | None, rounds: Rounds | None = None) -> None:
        """Enter a function: save r6 to r10, give it its own stack.  `rounds` when a helper calls it.

        LimitExceeded beyond `limits.max_depth` frames of one program: Linux counts afresh behind a tail call.
        """
        depth = len(self.frames)
        base = self.frames[-1].base if depth else 0
        if depth - base == self.limits.max_depth:
            reason = f"call depth is limited to {count(self.limits.max_depth, 'frame')}"
            raise LimitExceeded(reason, limit="depth", amount=self.limits.max_depth)
        registers = self.registers
        stack = self.stack.open(depth)
        self.frames.append(Frame(entry, return_pc, tuple(registers[6:]), stack, base, rounds))
        registers[6:10] = [self.unset] * 4
        registers[10] = stack.base + self.stack.frame_size

    def replace_frame(self, entry: int) -> None:
        """A tail call: go on at `entry` in the frame of the caller, its stack cleared; r1 stays, all else is unset."""
        depth = len(self.frames) - 1
        frame = self.frames[depth]
        frame.entry, frame.base = entry, depth
        self.stack.open(depth)
        self.registers[0] = self.unset
        self.registers[2:10] = [self.unset] * 8

    def pop_frame(self) -> int | None:
        """Leave a function: restore r6 to r10, unset r1 to r5, close its stack.  Returns the pc to go on at."""
        frame = self.frames.pop()
        self.stack.close(frame.stack)
        self.registers[6:] = frame.saved
        self.registers[1:6] = [self.unset] * 5
        return frame.return_pc

    def require_released(self, doing: str) -> None:
        """Fault when a lock is held or a reference is open while the program is `doing` something final."""
        if not self.strictness.unreleased:
            return
        if self.held_lock is not None:
            reason = f"{doing} while the spin lock at {self.memory.describe(self.held_lock)} is held"
            raise Fault(FaultKind.HELPER, reason, address=self.held_lock)
        for address, helper in self.references.items():
            reason = f"{doing} without giving back what {helper} gave ({self.memory.describe(address)})"
            raise Fault(FaultKind.HELPER, reason, address=address)

    def add_code(self, program: Any, length: int, name: str) -> Code:
        """Give `program` the next `length` slots of the code space."""
        start = self.code[-1].end if self.code else 0
        region = Region(RegionKind.CODE, f"code of {name}", bytearray(), readable=False, writable=False)
        self.memory.map(region)
        code = Code(program, start, start + length, region)
        region.owner = code
        self.code.append(code)
        return code

    def locate(self, pc: int) -> tuple[Code, int]:
        """The program at `pc` and the slot in it."""
        code = self.code[bisect_right(self.code, pc, key=lambda code: code.start) - 1]
        return code, pc - code.start

    def code_pc(self, address: int) -> int:
        """The pc that a function or jump-table address stands for; Fault when it is none."""
        region = self.memory.find(address)
        code = None if region is None else region.owner
        if region is None or not isinstance(code, Code):
            raise self._no_code(address, "is not the address of a function")
        if code not in self.code:  # programs with machines of their own may share an address space
            raise self._no_code(address, "is code of a program that does not run here")
        offset = address - region.base
        if offset % 8 or offset // 8 >= code.end - code.start:
            raise self._no_code(address, "is not the address of an instruction")
        return code.start + offset // 8

    def _no_code(self, address: int, reason: str) -> Fault:
        return Fault(FaultKind.CALL, f"{self.memory.describe(address)} {reason}", address=address)

    def code_address(self, pc: int) -> int:
        """The address that stands for the instruction at `pc`."""
        code, slot = self.locate(pc)
        return code.region.base + 8 * slot

    def is_pointer(self, value: int) -> bool:
        """Whether `value` is an address in or near a mapped region rather than a number."""
        return self.memory.home(value) is not None


def new_memory(strictness: Strictness) -> Memory:
    """An empty address space with the rules of a level."""
    kind = TrackingMemory if strictness.tracked_pointers else Memory
    return kind(aligned_atomics=strictness.unaligned_atomic)
