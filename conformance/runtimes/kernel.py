"""The running Linux kernel as a runtime, through bpf(2): its verifier, then its interpreter or JIT.

Programs are loaded as socket filters, whose helpers can do no harm to this process, and wrapped (see `wrapping`): r1
is the address of a map's value that holds the memory, and r0 goes to another map's value, so that all its 64 bits
are seen.  A program with legacy packet access gets its packet instead, and no memory.
"""

from __future__ import annotations

import platform
import re
import sys
from collections import OrderedDict
from contextlib import ExitStack

from pybpftime.conformance.case import Case, Feature, Signature, Verdict
from pybpftime.conformance.runtime import Limit, Outcome, OutcomeKind, Profile
from pybpftime.conformance.runtimes.wrapping import (
    RESULT_BYTES,
    exit_storing,
    in_slots_of_case,
    load_number,
    outline,
    read_result,
    set_immediate,
    wrap,
)
from pybpftime.errors import BpfError, HostError
from pybpftime.isa import Group, Immediate
from pybpftime.isa.encoding import SLOT_BYTES
from pybpftime.kernel import KernelMap, KernelRejection, ProgramRunner, SharedValue, available
from pybpftime.kernel.log import last_complaint
from pybpftime.maps import MapSpec
from pybpftime.uapi import ProgramType

LINK_HEADER = bytes(14)
"""What a socket filter's packet has in front of its byte 0."""
SOME_PACKET = LINK_HEADER + bytes(2)
"""For programs that do not look at it: the kernel takes no empty one."""
LARGEST_PACKET = 1 << 16
MAPS_KEPT = 64

BY_DESCRIPTOR = {
    Immediate.MAP_BY_INDEX.value: Immediate.MAP_BY_FD,
    Immediate.MAP_VALUE_BY_INDEX.value: Immediate.MAP_VALUE_BY_FD,
}
NO_DESCRIPTOR = -1
STATES = ("cur state:", "old state:")

SINCE = {Feature.ORDERED: (6, 15), Feature.MAY_GOTO: (6, 9), Feature.GOTOX: (6, 19)}
"""The Linux that brought a feature."""

REFUSALS = {
    "invalid shift": "Linux refuses to shift by an immediate of the width or more, which RFC 9669 masks",
    "div by zero": "Linux refuses to divide by an immediate 0, which RFC 9669 defines",
    "misaligned": "Linux refuses stack accesses and atomic operations that are not aligned",
    "unreachable insn": "Linux refuses programs with instructions that no path leads to",
    "infinite loop detected": "Linux refuses loops that it does not see ending",
    "too complex": "Linux gives up on programs with too many jumps on one path",
    "too large": "Linux gives up on programs of which it would have to follow more than a million instructions",
    "combined stack size": "Linux gives all frames of a call chain 512 bytes together",
    "outside of the allowed": "Linux refuses accesses that it does not see lying inside the memory",
    "unbounded memory access": "Linux refuses accesses that it does not see lying inside the memory",
    "min value is negative": "Linux refuses accesses that it does not see lying inside the memory",
    "invalid mem access 'scalar'": "Linux refuses accesses through numbers that it does not know as addresses",
    "pointer arithmetic": "Linux refuses arithmetic on addresses but for additions that it can follow",
    "on pointer prohibited": "Linux refuses arithmetic on addresses but for additions that it can follow",
}
"""What the verifier is known to refuse of what RFC 9669 gives a meaning to: words of its log, and the reason."""
LIMITS = (
    Limit("malformed/*exit.offset*", "Linux does not look at the offset of exit, which RFC 9669 wants to be 0"),
    *(Limit("*", reason, refusal) for refusal, reason in REFUSALS.items()),
)


class KernelRuntime:
    """The kernel that this process runs on.  HostError when it cannot be asked.

    `log` is what the verifier wrote about the last program that it refused, with slots counted as it counted them.
    """

    def __init__(self) -> None:
        if sys.byteorder != "little":
            raise HostError("cases are for little-endian machines, and this one is big-endian")
        reason = available()
        if reason is not None:
            raise HostError(reason)
        self.profile = kernel_profile()
        self.log = ""
        self._runner = ProgramRunner(ProgramType.BPF_PROG_TYPE_SOCKET_FILTER, data_capacity=LARGEST_PACKET)
        self._result = SharedValue(RESULT_BYTES, "result")
        self._leave = exit_storing(self._result.address_instructions(1))
        self._memories: OrderedDict[int, SharedValue] = OrderedDict()  # by length, the one last used at the end
        self._first = 0  # slots in front of the program that was wrapped last

    def run(self, case: Case) -> Outcome:
        """Load, run once and unload."""
        if not case.code or len(case.code) % SLOT_BYTES:
            return Outcome(OutcomeKind.REFUSED, message=f"bpf(2) takes whole instructions, not {len(case.code)} bytes")
        try:
            if not case.maps:
                return self._run(case, [])
            with ExitStack() as stack:
                return self._run(case, [stack.enter_context(_created(spec)) for spec in case.maps])
        except KernelRejection as error:
            self.log = error.log or ""
            message = complaint(self.log) or str(error)
            return Outcome(OutcomeKind.REFUSED, message=in_slots_of_case(message, self._first))
        except BpfError as error:
            return Outcome(OutcomeKind.UNSUPPORTED, message=str(error))

    def close(self) -> None:
        """Give the maps back."""
        self._result.close()
        for memory in self._memories.values():
            memory.close()
        self._memories.clear()

    def _run(self, case: Case, maps: list[KernelMap]) -> Outcome:
        found, content = outline(case.code), case.memory or b""
        memory: SharedValue | None = None
        packet = SOME_PACKET
        if found.reads_packet:
            entry, packet = b"", LINK_HEADER + content
        elif content:
            memory = self._memory(len(content))
            memory.write(content)
            entry = memory.address_instructions(1)
        else:
            entry = load_number(1, 0)
        wrapped, self._first = wrap(case.code, found, entry, len(content), self._leave)
        for slot, kind, number in found.maps:
            if kind not in BY_DESCRIPTOR:  # by a descriptor: there is none that a case could mean
                set_immediate(wrapped, self._first + slot, kind, NO_DESCRIPTOR)
            elif 0 <= number < len(maps):
                set_immediate(wrapped, self._first + slot, BY_DESCRIPTOR[kind].value, maps[number].fileno())
        self._result.write(bytes(RESULT_BYTES))
        run = self._runner.run(bytes(wrapped), packet)
        r0 = read_result(self._result.read())
        # A packet that is too short ends the program with 0, and an exit with an offset counts as one for Linux.
        registers = {0: run.retval if r0 is None else r0}
        return Outcome(OutcomeKind.RETURNED, Signature(registers, case.memory if memory is None else memory.read()))

    def _memory(self, length: int) -> SharedValue:
        """The map for a memory of that length: its bounds are the memory's."""
        memory = self._memories.get(length)
        if memory is None:
            if len(self._memories) == MAPS_KEPT:
                self._memories.popitem(last=False)[1].close()
            memory = self._memories[length] = SharedValue(length, "memory")
        else:
            self._memories.move_to_end(length)
        return memory


def complaint(log: str) -> str:
    """The line of a verifier's log that says why: states may be printed behind it."""
    return last_complaint("\n".join(line for line in log.splitlines() if not line.startswith(STATES)))


def _created(spec: MapSpec) -> KernelMap:
    return KernelMap.create(
        spec.type, spec.key_size, spec.value_size, spec.max_entries,
        flags=spec.flags, name=spec.name, map_extra=spec.extra,
    )  # fmt: skip


def kernel_profile() -> Profile:
    """What the running kernel is known to do, and to refuse."""
    release = platform.release()
    numbers = re.match(r"(\d+)\.(\d+)", release)
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    newer = frozenset(feature for feature, since in SINCE.items() if version >= since)
    return Profile(
        "kernel",
        "Linux through bpf(2)",
        f"Linux {release} {platform.machine()}",
        groups=frozenset(Group),
        features=frozenset({Feature.CALLS, Feature.HELPERS, Feature.MAPS}) | newer,
        refuses=frozenset({Verdict.MALFORMED, Verdict.INVALID}),
        shows=frozenset({"memory"}),
        limits=LIMITS,
    )
