"""Checksum helpers: against RFC 1071's definition, and against the kernel."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.helper_calls import CONTEXT, Answer, Argument, Caller, KernelCaller, Memory, Outcome, helper_call, run_here

from pybpftime.helpers.internet_checksum import csum_fold, csum_partial
from pybpftime.program.contexts import make_context
from pybpftime.uapi import ProgramType

EINVAL, EFAULT, EACCES, ENOTSUPP = -22, -14, -13, -524
TC = ProgramType.BPF_PROG_TYPE_SCHED_CLS
XDP = ProgramType.BPF_PROG_TYPE_XDP
COMPARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
words = st.integers(0, 40).flatmap(lambda count: st.binary(min_size=4 * count, max_size=4 * count))
IPV4 = bytes.fromhex("45000073000040004011b861c0a80001c0a800c7")  # its checksum is b861


def rfc1071(data: bytes) -> int:
    """The checksum as RFC 1071 defines it: 16-bit numbers in network byte order, one by one."""
    total = 0
    for (number,) in struct.iter_unpack(">H", data):
        total += number
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@given(data=words)
def test_folded_sums_are_those_of_rfc_1071(data: bytes) -> None:
    checksum = csum_fold(csum_partial(data, 0))
    assert checksum.to_bytes(2, "little") == rfc1071(data).to_bytes(2, "big")


def difference(caller: Caller, old: bytes, new: bytes, seed: int) -> Answer:
    return caller.call("bpf_csum_diff", *difference_arguments(old, new, seed))


def difference_arguments(old: bytes, new: bytes, seed: int) -> tuple[Argument, ...]:
    return (
        Memory(old) if old else 0,
        len(old),
        Memory(new) if new else 0,
        len(new),
        seed,
    )


def test_csum_diff_of_a_header_is_its_checksum(caller: Caller) -> None:
    caller.program_type = XDP
    without = IPV4[:10] + bytes(2) + IPV4[12:]
    answer = difference(caller, b"", without, 0)
    assert csum_fold(answer.r0).to_bytes(2, "little") == IPV4[10:12]


@pytest.mark.parametrize(("old", "new"), [(3, 4), (4, 6), (1, 0)])
def test_csum_diff_wants_multiples_of_4(caller: Caller, old: int, new: int) -> None:
    caller.program_type = XDP
    assert difference(caller, bytes(old), bytes(new), 0).signed == EINVAL


@COMPARED
@given(old=words, new=words, seed=st.one_of(st.sampled_from([0, 1, 0xFFFF, 0xFFFFFFFF]), st.integers(0, (1 << 33) - 1)))
def test_csum_diff_as_the_kernel(in_kernel: KernelCaller, old: bytes, new: bytes, seed: int) -> None:
    here = difference(Caller(program_type=XDP), old, new, seed)
    assert here == in_kernel.call("bpf_csum_diff", *difference_arguments(old, new, seed), program_type=XDP)


# --- in packets -------------------------------------------------------------------------------------------------------


def on_packet(
    caller: KernelCaller, packet: bytes, *calls: tuple[str, *tuple[Argument, ...]]
) -> tuple[Outcome, Outcome]:
    """What the calls lead to here and in the kernel."""
    made = [helper_call(name, CONTEXT, *arguments) for name, *arguments in calls]
    return run_here(made, TC, packet), caller.run(made, TC, packet)


numbers = st.one_of(st.integers(0, (1 << 64) - 1), st.sampled_from([0, 1, 0xFFFF, 0xFFFFFFFF, 1 << 32]))
packets = st.binary(min_size=20, max_size=64).map(lambda tail: bytes(12) + b"\x12\x34" + tail)


@COMPARED
@given(
    packet=packets,
    calls=st.lists(
        st.tuples(
            st.just("bpf_l3_csum_replace"),
            st.one_of(st.integers(0, 80), st.integers(0, 40).map(lambda number: 2 * number), st.just(1 << 20)),
            numbers,
            numbers,
            st.sampled_from([2, 4, 2, 4, 2, 4, 0, 3, 16, 1 << 40]),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_l3_csum_replace_as_the_kernel(
    in_kernel: KernelCaller, packet: bytes, calls: list[tuple[str, int, int, int, int]]
) -> None:
    here, there = on_packet(in_kernel, packet, *calls)
    assert here == there


@COMPARED
@given(
    packet=packets,
    calls=st.lists(
        st.tuples(
            st.just("bpf_l4_csum_replace"),
            st.one_of(st.integers(0, 80), st.integers(0, 40).map(lambda number: 2 * number)),
            st.one_of(numbers, st.just(0)),
            numbers,
            st.builds(lambda size, bits: size | bits << 4, st.sampled_from([2, 4, 2, 4, 0, 5]), st.integers(0, 15)),
        ),
        min_size=1,
        max_size=4,
    ),
)  # fmt: skip
def test_l4_csum_replace_as_the_kernel(
    in_kernel: KernelCaller, packet: bytes, calls: list[tuple[str, int, int, int, int]]
) -> None:
    here, there = on_packet(in_kernel, packet, *calls)
    assert here == there


def test_replacing_an_address_keeps_the_header_right() -> None:
    packet = bytes(12) + b"\x08\x00" + IPV4
    old, new = IPV4[12:16], bytes([10, 1, 2, 3])
    numbers = (int.from_bytes(old, "little"), int.from_bytes(new, "little"))
    outcome = run_here(
        [
            helper_call("bpf_l3_csum_replace", CONTEXT, 24, *numbers, 4),
            helper_call("bpf_skb_store_bytes", CONTEXT, 26, Memory(new), 4, 0),
        ],
        TC,
        packet,
    )
    assert [answer.r0 for answer in outcome.answers] == [0, 0]
    assert rfc1071(outcome.packet[14:]) == 0


def test_udp_checksums_of_zero() -> None:
    """RFC 768: 0 says that there is no checksum, and a checksum that comes out as 0 is sent as 0xffff."""
    packet = bytes(14) + bytes(16)
    untouched = run_here([helper_call("bpf_l4_csum_replace", CONTEXT, 14, 1, 2, 2 | 32)], TC, packet)
    assert untouched.packet == packet
    enforced = run_here([helper_call("bpf_l4_csum_replace", CONTEXT, 14, 0, 0xFFFF, 2 | 32 | 64)], TC, packet)
    assert enforced.packet[14:16] == b"\xff\xff"


@COMPARED
@given(levels=st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_csum_level_as_the_kernel(in_kernel: KernelCaller, levels: list[int]) -> None:
    here, there = on_packet(in_kernel, bytes(64), *(("bpf_csum_level", level) for level in levels))
    assert here == there


def test_csum_update_needs_a_checksum_by_the_device(in_kernel: KernelCaller) -> None:
    here, there = on_packet(in_kernel, bytes(64), ("bpf_csum_update", 5))
    assert here == there
    assert here.answers[0].signed == ENOTSUPP


class TestDeviceChecksum:
    """A packet whose device computed a checksum over all of it (CHECKSUM_COMPLETE)."""

    PACKET = bytes(range(64))

    @pytest.fixture
    def call(self) -> Callable[..., int]:
        caller = Caller(program_type=TC)
        context = make_context(TC, packet=self.PACKET)
        (caller.machine.registers[6],) = context.enter(caller.machine)
        caller.machine.context = self.skb = context
        self.skb.set_field("ip_summed", 2)
        self.skb.set_field("csum", csum_partial(self.PACKET, 0))

        def call(name: str, *arguments: Argument, packet: bool = True) -> int:
            return caller.call(name, *([CONTEXT] if packet else []), *arguments).signed

        return call

    def is_right(self) -> bool:
        known = csum_fold(self.skb.field("csum"))
        return known == csum_fold(csum_partial(bytes(self.skb.buffer[self.skb.head : self.skb.end]), 0))

    @pytest.mark.parametrize("offset", [14, 15, 20])
    def test_is_kept_right_by_store_bytes(self, call: Callable[..., int], offset: int) -> None:
        assert call("bpf_skb_store_bytes", offset, Memory(b"\xff\xfe\xfd"), 3, 1) == 0
        assert self.is_right()

    def test_is_not_without_the_flag(self, call: Callable[..., int]) -> None:
        call("bpf_skb_store_bytes", 14, Memory(b"\xff\xfe"), 2, 0)
        assert not self.is_right()

    @pytest.mark.parametrize("length", [63, 40, 15])
    def test_is_kept_right_when_the_packet_is_cut(self, call: Callable[..., int], length: int) -> None:
        assert call("bpf_skb_change_tail", length, 0) == 0
        assert self.is_right()

    def test_is_given_up_when_the_packet_grows(self, call: Callable[..., int]) -> None:
        assert call("bpf_skb_change_tail", 80, 0) == 0
        assert self.skb.field("ip_summed") == 0

    def test_takes_an_update(self, call: Callable[..., int]) -> None:
        before = self.skb.field("csum")
        assert call("bpf_csum_update", 5) == before + 5 == self.skb.field("csum")

    def test_has_no_level(self, call: Callable[..., int]) -> None:
        assert call("bpf_csum_level", 0) == EACCES

    @pytest.mark.parametrize("by_difference", [False, True])
    def test_is_kept_right_by_a_translation_of_addresses(self, call: Callable[..., int], by_difference: bool) -> None:
        """The new address and the IP checksum cancel each other; the checksum of UDP is what changes the sum."""
        old, new = self.PACKET[26:30], b"\x0a\x00\x00\x01"
        numbers = [int.from_bytes(old, "little"), int.from_bytes(new, "little")]
        size = 4
        if by_difference:
            numbers = [0, call("bpf_csum_diff", Memory(old), 4, Memory(new), 4, 0, packet=False)]
            size = 0
        assert call("bpf_l4_csum_replace", 40, *numbers, size | 16) == 0
        assert call("bpf_l3_csum_replace", 24, *numbers, size) == 0
        assert call("bpf_skb_store_bytes", 26, Memory(new), 4, 0) == 0
        assert self.is_right()
