"""Helpers on XDP buffers and redirection, here and in the kernel."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.helper_calls import CONTEXT, Argument, Call, Caller, KernelCaller, Memory, helper_call, run_here

from pybpftime.program.contexts import make_context
from pybpftime.uapi import ProgramType, TcAction, XdpAction

XDP = ProgramType.BPF_PROG_TYPE_XDP
TC = ProgramType.BPF_PROG_TYPE_SCHED_CLS
EINVAL = -22
COMPARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

packets = st.binary(min_size=14, max_size=100)
deltas = st.one_of(
    st.integers(-300, 300),
    st.sampled_from([-216, -217, -4, 4, -252, -256, 3400, 3496, 1 << 31, (1 << 31) - 1, 1 << 32]),
)
offsets = st.one_of(st.integers(0, 120), st.sampled_from([0xFFFF, 0x10000, (1 << 32) - 1, 1 << 32]))
moves = st.tuples(st.sampled_from(["bpf_xdp_adjust_head", "bpf_xdp_adjust_meta", "bpf_xdp_adjust_tail"]), deltas)
lengths = st.just(("bpf_xdp_get_buff_len",))
loads = st.builds(
    lambda offset, size: ("bpf_xdp_load_bytes", offset, Memory(b"\xaa" * size), size), offsets, st.integers(1, 24)
)
stores = st.builds(
    lambda offset, content: ("bpf_xdp_store_bytes", offset, Memory(content), len(content)),
    offsets,
    st.binary(min_size=1, max_size=24),
)


def calls_of(calls: list[tuple[str, *tuple[Argument, ...]]]) -> list[Call]:
    return [helper_call(name, CONTEXT, *arguments) for name, *arguments in calls]


@COMPARED
@given(packet=packets, calls=st.lists(st.one_of(moves, moves, lengths, loads, stores), min_size=1, max_size=7))
def test_xdp_as_the_kernel(
    in_kernel: KernelCaller, packet: bytes, calls: list[tuple[str, *tuple[Argument, ...]]]
) -> None:
    here, there = (run(calls_of(calls), XDP, packet) for run in (run_here, in_kernel.run))
    assert [answer.signed for answer in here.answers] == [answer.signed for answer in there.answers]
    assert here.answers == there.answers
    # What the kernel exposes by moving the start to the front is whatever the page held.
    exposed = sum(
        call[0] != "bpf_xdp_get_buff_len" and isinstance(call[1], int) and _is_negative(call) for call in calls
    )
    if not exposed:
        assert here.packet == there.packet
    assert len(here.packet) == len(there.packet)


def _is_negative(call: tuple[str, *tuple[Argument, ...]]) -> bool:
    return call[0] in ("bpf_xdp_adjust_head", "bpf_xdp_adjust_meta") and isinstance(call[1], int) and call[1] < 0


def test_loads_outside_leave_the_target_as_it_was() -> None:
    answer = run_here([helper_call("bpf_xdp_load_bytes", CONTEXT, 60, Memory(b"\xaa" * 8), 8)], XDP, bytes(64)).answers[
        0
    ]
    assert answer.signed == EINVAL
    assert answer.memories == (b"\xaa" * 8,)


def test_addresses_of_the_packet_fault_after_a_move_even_one_that_failed() -> None:
    caller = Caller(program_type=XDP)
    context = make_context(XDP, packet=bytes(64))
    (caller.machine.registers[6],) = context.enter(caller.machine)
    caller.machine.context = context

    def packet_addresses() -> set[int]:
        return {region.base for region in caller.machine.memory if region.name == "packet"}

    before = packet_addresses()
    assert caller.call("bpf_xdp_get_buff_len", CONTEXT).r0 == 64
    assert packet_addresses() == before
    assert caller.call("bpf_xdp_adjust_tail", CONTEXT, 1 << 20).signed == EINVAL
    assert not packet_addresses() & before


# --- redirection ------------------------------------------------------------------------------------------------------


@COMPARED
@given(
    flags=st.sampled_from([0, 0, 1, 2, 3, 1 << 16, 1 << 40]),
    name=st.sampled_from(["bpf_redirect", "bpf_redirect_peer"]),
)
def test_redirect_of_tc_as_the_kernel(in_kernel: KernelCaller, name: str, flags: int) -> None:
    calls = [helper_call(name, 1, flags)]
    assert run_here(calls, TC, bytes(64)) == in_kernel.run(calls, TC, bytes(64))


@pytest.mark.parametrize("flags", [0, 1])
@pytest.mark.parametrize("size", [0, 8, 20, 24])
def test_redirect_neigh_as_the_kernel(in_kernel: KernelCaller, size: int, flags: int) -> None:
    calls = [helper_call("bpf_redirect_neigh", 1, Memory(bytes(size)) if size else 0, size, flags)]
    assert run_here(calls, TC, bytes(64)).answers == in_kernel.run(calls, TC, bytes(64)).answers


def redirected(program_type: ProgramType, name: str, *arguments: Argument) -> tuple[int, object]:
    caller = Caller(program_type=program_type)
    context = make_context(program_type, packet=bytes(range(64)))
    (caller.machine.registers[6],) = context.enter(caller.machine)
    caller.machine.context = context
    answer = caller.call(name, *arguments)
    effects = caller.machine.effects
    return answer.signed, effects.redirect or effects.records.get("clone_redirect")


def test_what_is_recorded() -> None:
    assert redirected(XDP, "bpf_redirect", 3, 0) == (XdpAction.XDP_REDIRECT, ("device", 3))
    assert redirected(XDP, "bpf_redirect", 3, 1) == (XdpAction.XDP_ABORTED, None)
    assert redirected(TC, "bpf_redirect", 3, 0) == (TcAction.TC_ACT_REDIRECT, ("device", 3))
    assert redirected(TC, "bpf_redirect", 1 << 32 | 3, 1) == (TcAction.TC_ACT_REDIRECT, ("ingress", 3))
    assert redirected(TC, "bpf_redirect_peer", 3, 0) == (TcAction.TC_ACT_REDIRECT, ("peer", 3))
    assert redirected(TC, "bpf_redirect_neigh", 3, 0, 0, 0) == (TcAction.TC_ACT_REDIRECT, ("neighbour", 3))
    assert redirected(TC, "bpf_clone_redirect", CONTEXT, 3, 1) == (0, [(3, bytes(range(64)), True)])
    assert redirected(TC, "bpf_clone_redirect", CONTEXT, 3, 2) == (EINVAL, None)
    assert redirected(TC, "bpf_clone_redirect", CONTEXT, 0, 0) == (EINVAL, None)
