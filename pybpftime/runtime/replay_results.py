"""Helpers whose results a witness demands: which of them can be made to return what.

A result is forced only where the world outside the program decides it.  What follows from arguments, memory, packet or
maps comes out as it does, so that a run on a witness is a run that can happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pybpftime.errors import Fault, FaultKind, InputError
from pybpftime.helpers import Helper, HelperTable
from pybpftime.helpers.declarations import HelperDeclaration
from pybpftime.helpers.marshal import Span
from pybpftime.helpers.registry import Function
from pybpftime.isa.encoding import MASK64, sign_extend
from pybpftime.machine import Machine, Rounds
from pybpftime.uapi import MAX_ERRNO

SOURCES: Mapping[str, int] = {
    **dict.fromkeys(
        (
            *("bpf_ktime_get_ns", "bpf_ktime_get_boot_ns", "bpf_ktime_get_tai_ns", "bpf_ktime_get_coarse_ns"),
            *("bpf_jiffies64", "bpf_get_current_pid_tgid", "bpf_get_current_uid_gid", "bpf_get_current_cgroup_id"),
            *("bpf_get_current_ancestor_cgroup_id", "bpf_get_current_task", "bpf_get_func_ip"),
            *("bpf_get_attach_cookie", "bpf_get_socket_cookie", "bpf_perf_event_read"),
        ),
        64,
    ),
    **dict.fromkeys(
        (
            *("bpf_get_prandom_u32", "bpf_get_smp_processor_id", "bpf_get_numa_node_id", "bpf_get_hash_recalc"),
            *("bpf_get_cgroup_classid", "bpf_get_socket_uid"),
        ),
        32,
    ),
}
"""Helpers that only ask: any number of so many bits may be the answer."""

READERS = frozenset(
    {
        *("bpf_probe_read", "bpf_probe_read_user", "bpf_probe_read_kernel", "bpf_copy_from_user"),
        *("bpf_copy_from_user_task", "bpf_probe_read_str", "bpf_probe_read_user_str", "bpf_probe_read_kernel_str"),
        *("bpf_get_stack", "bpf_get_task_stack", "bpf_get_current_comm", "bpf_get_ns_current_pid_tgid"),
        "bpf_perf_event_read_value",
    }
)
"""Helpers that fill memory of the program with what is found elsewhere: they return 0 or a length up to its size, and
any bytes may be there; or a negative errno, and leave zeros."""

FALLIBLE = frozenset(
    {
        *("bpf_map_update_elem", "bpf_map_delete_elem", "bpf_ringbuf_reserve", "bpf_ringbuf_output"),
        *("bpf_perf_event_output", "bpf_get_stackid", "bpf_trace_printk", "bpf_trace_vprintk"),
        *("bpf_xdp_adjust_head", "bpf_xdp_adjust_meta", "bpf_xdp_adjust_tail", "bpf_skb_pull_data"),
        *("bpf_skb_change_tail", "bpf_skb_change_head", "bpf_skb_change_proto", "bpf_skb_adjust_room"),
        *("bpf_skb_vlan_push", "bpf_skb_vlan_pop", "bpf_clone_redirect", "bpf_redirect_neigh", "bpf_redirect_peer"),
        *("bpf_probe_write_user", "bpf_send_signal", "bpf_send_signal_thread"),
    }
)
"""Helpers that may fail for want of memory, room or a partner: then they return a negative errno (NULL, where they
return a pointer) and have done nothing.  Whether a success is possible, they show themselves."""

T = TypeVar("T")
Results = Iterable[tuple[int, int]]
Contents = Iterable[tuple[int, bytes]]


ANSWERED = "answered as demanded"
"""In the effects of a run: the slots of the calls that were, so that a run can be gone on with from any step."""


class Demands:
    """What the calls of a run are to return, by slot of the call and in order, and what they are to write.

    `slot` says which instruction runs.
    """

    def __init__(self, slot: Callable[[], int], results: Results, written: Contents) -> None:
        self._slot = slot
        self._results: dict[int, list[int]] = {}
        self._written: dict[int, list[bytes]] = {}
        for at, value in results:
            self._results.setdefault(at, []).append(value & MASK64)
        for at, content in written:
            self._written.setdefault(at, []).append(content)

    def imposed_on(self, table: HelperTable) -> HelperTable:
        """The table with helpers that answer as demanded, where they can."""
        return HelperTable(Helper(helper.id, helper.declaration, self._demanded(helper)) for helper in table)

    def _demanded(self, helper: Helper) -> Function | None:
        if helper.function is not None:
            return self._wrapped(helper.declaration, helper.function)
        return self._absent(helper) if helper.declaration.returns.nullable else None

    def _absent(self, helper: Helper) -> Function:
        """A helper that is not implemented may still find nothing: its NULL needs no implementation."""

        def answer(machine: Machine, *arguments: Any) -> int:
            if self._next(machine)[0] == 0:
                return 0
            raise Fault(FaultKind.TRAP, f"{helper.declaration.name}#{helper.id} is not implemented")

        return answer

    def _wrapped(self, declaration: HelperDeclaration, function: Function) -> Function:
        name = declaration.name
        if name not in SOURCES and name not in READERS and name not in FALLIBLE:
            return function

        def answer(machine: Machine, *arguments: Any) -> int | Rounds | None:
            result, content = self._next(machine)
            if result is None and content is None:
                return function(machine, *arguments)
            if name in SOURCES:
                return _asked(declaration, result or 0)
            if name in READERS:
                return _filled(declaration, arguments, result or 0, content or b"")
            if result is not None and _is_failure(declaration, result):
                return result
            return function(machine, *arguments)

        return answer

    def _next(self, machine: Machine) -> tuple[int | None, bytes | None]:
        """What the call that is made now is to return and to write; None where nothing is demanded any more."""
        slot = self._slot()
        results, written = self._results.get(slot, ()), self._written.get(slot, ())
        answered: list[int] = machine.effects.records.setdefault(ANSWERED, [])
        index = answered.count(slot)
        if index < max(len(results), len(written)):
            answered.append(slot)
        return _at(results, index), _at(written, index)


def _at(demands: Sequence[T], index: int) -> T | None:
    return demands[index] if index < len(demands) else None


def _asked(declaration: HelperDeclaration, result: int) -> int:
    bits = SOURCES[declaration.name]
    if result >> bits:
        raise InputError(f"{declaration.name} returns {bits} bits, never {result:#x}")
    return result


def _filled(declaration: HelperDeclaration, arguments: Iterable[object], result: int, content: bytes) -> int:
    """Fill the helper's memory as if it had found `content` there."""
    signed = sign_extend(result, 64)
    spans = [argument for argument in arguments if isinstance(argument, Span)]
    room = max((span.size for span in spans), default=0)
    if not -MAX_ERRNO <= signed <= room:
        raise InputError(f"{declaration.name} returns a negative errno or a length up to {room}, never {signed}")
    for span in spans:
        span.fill(content if signed >= 0 else b"")
    return result


def _is_failure(declaration: HelperDeclaration, result: int) -> bool:
    if declaration.returns.nullable:
        return result == 0
    return -MAX_ERRNO <= sign_extend(result, 64) < 0
