"""Replaying witnesses: the interpreter on exactly the input that a fault is predicted for."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pybpftime import assemble
from pybpftime.errors import FaultKind
from pybpftime.helpers import default_helpers
from pybpftime.helpers.declarations import KNOWN, ResultRole
from pybpftime.maps import MapSpec
from pybpftime.program.spec import MapReference, ProgramSpec
from pybpftime.runtime.replay import replayer
from pybpftime.runtime.replay_results import FALLIBLE, READERS, SOURCES
from pybpftime.uapi import MapFlag, MapType, ProgramType
from pybpftime.verifier.report import Replayed, Witness

P = ProgramType
HASH = MapSpec("elements", MapType.BPF_MAP_TYPE_HASH, 4, 16, 8)
ARRAY = MapSpec("numbers", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 4)
PER_CPU = MapSpec("counters", MapType.BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 4)
RING = MapSpec("ring", MapType.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096)


def program(text: str, type: ProgramType, *maps: str) -> ProgramSpec:
    """Assembly, in which `lddw rN, map_by_fd(I)` is a reference to the map `maps[I]`."""
    instructions = assemble(text, helpers={name: number for number, name in KNOWN.items()})
    references = {
        slot: MapReference(maps[one.imm])
        for slot, one in enumerate(instructions)
        if one is not None and one.opcode == 0x18 and one.src_reg == 1
    }
    return ProgramSpec("program", instructions, type, references=references)


def witness(
    type: ProgramType,
    *,
    context: Mapping[int, bytes] | None = None,
    packet: bytes | None = None,
    metadata: bytes = b"",
    maps: Mapping[str, tuple[tuple[bytes, bytes], ...]] | None = None,
    results: tuple[tuple[int, int], ...] = (),
    written: tuple[tuple[int, bytes], ...] = (),
) -> Witness:
    return Witness(type, 0, FaultKind.MEMORY, context or {}, packet, metadata, maps or {}, results, written)


def replay(text: str, given: Witness, *maps: MapSpec, budget: int = 10_000) -> Replayed:
    spec = program(text, given.program_type, *(map.name for map in maps))
    return replayer(spec, {map.name: map for map in maps}, budget=budget)(given)


def how(answer: Replayed) -> tuple[bool, int | None, FaultKind | None]:
    return answer.faulted, answer.pc, answer.kind


def dword(number: int) -> bytes:
    return number.to_bytes(8, "little")


def word(number: int) -> bytes:
    return number.to_bytes(4, "little")


SAFE = (False, None, None)

# --- packets ---

PACKET_READ = """
    r2 = *(u32 *)(r1 + {data})
    r3 = *(u32 *)(r1 + {end})
    r4 = r2
    r4 += 4
    r0 = 0
    if r4 > r3 goto +1
    r0 = *(u8 *)(r2 + 4)
    exit
"""
PACKETS = {
    P.BPF_PROG_TYPE_XDP: PACKET_READ.format(data=0, end=4),
    P.BPF_PROG_TYPE_SCHED_CLS: PACKET_READ.format(data=76, end=80),
    P.BPF_PROG_TYPE_CGROUP_SKB: PACKET_READ.format(data=76, end=80),
}


@pytest.mark.parametrize("type", PACKETS)
@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 13, 14, 15, 100])
def test_a_packet_has_exactly_the_length_that_is_demanded(type: ProgramType, length: int) -> None:
    answer = replay(PACKETS[type], witness(type, packet=bytes(length)))
    assert how(answer) == ((True, 6, FaultKind.MEMORY) if length == 4 else SAFE), answer.sentence


@pytest.mark.parametrize("type", PACKETS)
def test_a_packet_has_the_bytes_that_are_demanded(type: ProgramType) -> None:
    text = PACKETS[type].replace("exit", "if r0 != 0x5a goto +1\n r0 = *(u64 *)(r10 + 0)\n r0 = 0\n exit")
    assert how(replay(text, witness(type, packet=b"abcd\x5a"))) == (True, 8, FaultKind.MEMORY)
    assert how(replay(text, witness(type, packet=b"abcd\x5b"))) == SAFE


@pytest.mark.parametrize(("type", "data", "meta"), [(P.BPF_PROG_TYPE_XDP, 0, 8), (P.BPF_PROG_TYPE_SCHED_CLS, 76, 140)])
def test_metadata_lies_in_front_of_the_packet(type: ProgramType, data: int, meta: int) -> None:
    text = f"""
        r2 = *(u32 *)(r1 + {data})
        r3 = *(u32 *)(r1 + {meta})
        r0 = r3
        r0 += 4
        if r0 > r2 goto out
        r0 = *(u32 *)(r3 + 0)
        if r0 != 7 goto out
        r0 = *(u64 *)(r10 + 0)
    out:
        r0 = 0
        exit
    """
    assert how(replay(text, witness(type, packet=bytes(60)))) == SAFE
    assert how(replay(text, witness(type, packet=bytes(60), metadata=word(7)))) == (True, 7, FaultKind.MEMORY)
    refused = replay(text, witness(type, packet=bytes(60), metadata=b"abc"))
    assert how(refused) == SAFE
    assert "metadata of 3 bytes" in refused.sentence


# --- contexts ---

FIELDS = [
    (P.BPF_PROG_TYPE_XDP, 12, 4, True),  # ingress_ifindex
    (P.BPF_PROG_TYPE_SCHED_CLS, 8, 4, True),  # mark
    (P.BPF_PROG_TYPE_SOCKET_FILTER, 0, 4, True),  # len
    (P.BPF_PROG_TYPE_SCHED_CLS, 152, 8, True),  # tstamp
    (P.BPF_PROG_TYPE_SCHED_CLS, 48, 4, True),  # cb[0]
    (P.BPF_PROG_TYPE_KPROBE, 112, 8, False),  # di
    (P.BPF_PROG_TYPE_TRACEPOINT, 4096, 8, False),
    (P.BPF_PROG_TYPE_RAW_TRACEPOINT, 88, 8, False),
    (P.BPF_PROG_TYPE_PERF_EVENT, 168, 8, False),  # sample_period
    (P.BPF_PROG_TYPE_SYSCALL, 32760, 8, False),
]


@pytest.mark.parametrize(("type", "offset", "size", "has_packet"), FIELDS)
def test_fields_of_a_context_hold_what_is_demanded(type: ProgramType, offset: int, size: int, has_packet: bool) -> None:
    text = f"""
        r2 = *(u{8 * size} *)(r1 + {offset})
        r0 = 0
        if r2 != 0x12345 goto +1
        r0 = *(u8 *)(r10 + 0)
        exit
    """
    packet = bytes(64) if has_packet else None
    met = {offset: (0x12345).to_bytes(size, "little")}
    assert how(replay(text, witness(type, packet=packet, context=met))) == (True, 3, FaultKind.MEMORY)
    assert how(replay(text, witness(type, packet=packet))) == SAFE


@pytest.mark.parametrize(
    ("offset", "content", "why"),
    [(0, word(1), "no less than the length"), (4, word(0x100), "pkt_type has 8 bits"), (190, bytes(4), "no byte 193")],
)
def test_a_context_that_cannot_be_is_not_made_up(offset: int, content: bytes, why: str) -> None:
    given = witness(P.BPF_PROG_TYPE_SCHED_CLS, packet=bytes(64), context={offset: content})
    answer = replay("r0 = *(u8 *)(r10 + 0)\nexit", given)
    assert how(answer) == SAFE
    assert why in answer.sentence


# --- maps ---

LOOK_UP = """
    *(u32 *)(r10 - 4) = 3
    r1 = map_by_fd(0)
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    {check}
    r1 = *(u64 *)(r0 + 0)
    if r1 != 5 goto +1
    r1 = *(u64 *)(r0 + 4096)
    r0 = 0
    exit
"""
UNCHECKED = LOOK_UP.format(check="r6 = 0")
CHECKED = LOOK_UP.format(check="if r0 == 0 goto +3")


def test_a_map_is_empty_unless_elements_are_demanded() -> None:
    assert how(replay(UNCHECKED, witness(P.BPF_PROG_TYPE_KPROBE), HASH)) == (True, 7, FaultKind.MEMORY)
    assert how(replay(CHECKED, witness(P.BPF_PROG_TYPE_KPROBE), HASH)) == SAFE


@pytest.mark.parametrize("map", [HASH, ARRAY, PER_CPU], ids=lambda map: map.type.name)
def test_elements_have_the_values_that_are_demanded(map: MapSpec) -> None:
    elements = {map.name: ((word(3), dword(5)),)}
    assert how(replay(CHECKED, witness(P.BPF_PROG_TYPE_KPROBE, maps=elements), map)) == (True, 9, FaultKind.MEMORY)
    other = {map.name: ((word(3), dword(6)),)}
    assert how(replay(CHECKED, witness(P.BPF_PROG_TYPE_KPROBE, maps=other), map)) == SAFE


def test_runs_share_no_map() -> None:
    spec = program(CHECKED, P.BPF_PROG_TYPE_KPROBE, HASH.name)
    run = replayer(spec, {HASH.name: HASH})
    elements = {HASH.name: ((word(3), dword(5)),)}
    assert run(witness(P.BPF_PROG_TYPE_KPROBE, maps=elements)).faulted
    assert not run(witness(P.BPF_PROG_TYPE_KPROBE)).faulted


@pytest.mark.parametrize(
    ("map", "element", "why"),
    [
        (HASH, (bytes(3), bytes(16)), "a key has 4 bytes"),
        (HASH, (bytes(4), bytes(17)), "a value has 16 bytes"),
        (ARRAY, (word(4), bytes(8)), "index 4"),
        (MapSpec("rodata", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1, MapFlag.BPF_F_RDONLY_PROG, contents=dword(1)),
         (word(0), dword(2)), "read-only data"),
        (MapSpec("big", MapType.BPF_MAP_TYPE_ARRAY, 4, 4096, 1 << 20), (word(0), bytes(8)), "bytes"),
        (MapSpec("trie", MapType.BPF_MAP_TYPE_LPM_TRIE, 8, 8, 8, MapFlag.BPF_F_NO_PREALLOC), (bytes(8), b""), "trie"),
    ],
    ids=["key", "value", "index", "rodata", "big", "kind"],
)  # fmt: skip
def test_elements_that_cannot_be_are_refused(map: MapSpec, element: tuple[bytes, bytes], why: str) -> None:
    answer = replay(CHECKED, witness(P.BPF_PROG_TYPE_KPROBE, maps={map.name: (element,)}), map)
    assert how(answer) == SAFE
    assert why in answer.sentence


# --- what helpers return ---


def test_results_are_forced_call_by_call() -> None:
    """Only the third time, and of the second call only."""
    text = """
        r6 = 3
    again:
        call bpf_ktime_get_ns
        r7 = r0
        call bpf_ktime_get_ns
        if r0 == 77 goto found
        r6 += -1
        if r6 != 0 goto again
        r0 = 0
        exit
    found:
        r0 = *(u64 *)(r10 + 0)
        exit
    """
    second = ((3, 1), (3, 2), (3, 77))
    assert how(replay(text, witness(P.BPF_PROG_TYPE_KPROBE, results=second))) == (True, 9, FaultKind.MEMORY)
    assert how(replay(text, witness(P.BPF_PROG_TYPE_KPROBE, results=(*second[:2], (1, 77))))) == SAFE


def test_a_result_that_a_helper_never_gives_is_not_forced() -> None:
    text = "call bpf_get_prandom_u32\n r0 = *(u64 *)(r10 + 0)\n exit"
    answer = replay(text, witness(P.BPF_PROG_TYPE_KPROBE, results=((0, 1 << 32),)))
    assert how(answer) == SAFE
    assert "bpf_get_prandom_u32 returns 32 bits" in answer.sentence


READ = """
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = 0x1000
    call bpf_probe_read_kernel
    r1 = *(u64 *)(r10 - 8)
    if r1 != 9 goto +2
    if r0 != 0 goto +1
    r0 = *(u64 *)(r10 + 0)
    r0 = 0
    exit
"""


def test_memory_elsewhere_holds_what_is_demanded() -> None:
    given = witness(P.BPF_PROG_TYPE_KPROBE, results=((4, 0),), written=((4, dword(9)),))
    assert how(replay(READ, given)) == (True, 8, FaultKind.MEMORY)
    assert how(replay(READ, witness(P.BPF_PROG_TYPE_KPROBE, results=((4, 0),)))) == SAFE
    failed = witness(P.BPF_PROG_TYPE_KPROBE, results=((4, (1 << 64) - 14),), written=((4, dword(9)),))
    assert how(replay(READ, failed)) == SAFE
    assert "never 9" in replay(READ, witness(P.BPF_PROG_TYPE_KPROBE, results=((4, 9),))).sentence


RESERVE = """
    r1 = map_by_fd(0)
    r2 = 8
    r3 = 0
    call bpf_ringbuf_reserve
    *(u64 *)(r0 + 0) = 1
    r1 = r0
    r2 = 0
    call bpf_ringbuf_submit
    r0 = 0
    exit
"""


def test_a_ring_buffer_has_no_room_when_that_is_demanded() -> None:
    assert how(replay(RESERVE, witness(P.BPF_PROG_TYPE_KPROBE), RING)) == SAFE
    assert how(replay(RESERVE, witness(P.BPF_PROG_TYPE_KPROBE, results=((4, 1),)), RING)) == SAFE
    assert how(replay(RESERVE, witness(P.BPF_PROG_TYPE_KPROBE, results=((4, 0),)), RING)) == (True, 5, FaultKind.MEMORY)


ADJUST = """
    r6 = r1
    r2 = 8
    call bpf_xdp_adjust_head
    r1 = *(u32 *)(r6 + 0)
    r2 = *(u32 *)(r6 + 4)
    r2 -= r1
    if r0 != 0 goto +2
    if r2 != 52 goto bad
    goto out
    if r2 != 60 goto bad
out:
    r0 = 0
    exit
bad:
    r0 = *(u64 *)(r10 + 0)
    exit
"""


def test_a_helper_that_fails_has_done_nothing() -> None:
    """A result is either one that the helper gives, or a failure."""
    for result in (0, (1 << 64) - 22, 1, 1 << 63):
        given = witness(P.BPF_PROG_TYPE_XDP, packet=bytes(60), results=((2, result),))
        assert how(replay(ADJUST, given)) == SAFE, result
    failing = ADJUST.replace("if r0 != 0 goto +2", "if r0 == -22 goto bad")
    given = witness(P.BPF_PROG_TYPE_XDP, packet=bytes(60), results=((2, (1 << 64) - 22),))
    assert how(replay(failing, given)) == (True, 12, FaultKind.MEMORY)


def test_what_follows_from_the_arguments_is_not_forced() -> None:
    text = """
        *(u64 *)(r10 - 8) = 0
        r1 = 0
        r2 = 0
        r3 = r10
        r3 += -8
        r4 = 8
        r5 = 0
        call bpf_csum_diff
        if r0 == 0 goto +1
        r0 = *(u64 *)(r10 + 0)
        r0 = 0
        exit
    """
    assert how(replay(text, witness(P.BPF_PROG_TYPE_SCHED_CLS, packet=bytes(60), results=((7, 5),)))) == SAFE


def test_every_helper_with_a_result_is_of_one_kind() -> None:
    """A new helper is to be put where it belongs: the others are those whose results follow from what is there."""
    sets = (set(SOURCES), set(READERS), set(FALLIBLE))
    assert sum(map(len, sets)) == len(set().union(*sets))
    implemented = {helper.declaration.name: helper.declaration for helper in default_helpers() if helper.function}
    assert set().union(*sets) <= set(implemented)
    determined = {
        *("bpf_map_lookup_elem", "bpf_map_lookup_percpu_elem", "bpf_for_each_map_elem", "bpf_loop", "bpf_redirect"),
        *("bpf_csum_diff", "bpf_csum_update", "bpf_csum_level", "bpf_l3_csum_replace", "bpf_l4_csum_replace"),
        *("bpf_strtol", "bpf_strtoul", "bpf_strncmp", "bpf_snprintf", "bpf_ringbuf_query"),
        *("bpf_skb_load_bytes", "bpf_skb_load_bytes_relative", "bpf_skb_store_bytes", "bpf_skb_change_type"),
        *("bpf_xdp_load_bytes", "bpf_xdp_store_bytes", "bpf_xdp_get_buff_len", "bpf_set_hash"),
        *(
            "bpf_set_hash_invalid",
            "bpf_override_return",
            "bpf_get_retval",
            "bpf_set_retval",
            "bpf_get_current_task_btf",
        ),
    }
    without = {name for name, one in implemented.items() if one.returns.role is ResultRole.VOID}
    assert set(implemented) - without == determined | set().union(*sets) - without


# --- other faults ---

FAULTS = [
    ("r0 = r3\nexit", 0, FaultKind.UNINITIALISED),
    ("exit", 0, FaultKind.UNINITIALISED),
    ("r0 = 0\n*(u64 *)(r10 - 9) = 1\nexit", 1, FaultKind.ALIGNMENT),
    ("r0 = 0\n*(u64 *)(r10 - 520) = 1\nexit", 1, FaultKind.MEMORY),
    ("r0 = 0\n*(u64 *)(r1 + 0) = 1\nexit", 1, FaultKind.PERMISSION),
    ("r0 = 5\nr0 = *(u8 *)(r0 + 0)\nexit", 1, FaultKind.MEMORY),
    ("r0 = 0\ncall 9999\nexit", 1, FaultKind.CALL),
    ("r1 = 1\nr0 = 6\ncall fail\nexit\nfail:\nr0 = *(u8 *)(r1 + 0)\nexit", 4, FaultKind.MEMORY),
]


@pytest.mark.parametrize(("text", "pc", "kind"), FAULTS)
def test_a_fault_is_told_with_its_place_and_kind(text: str, pc: int, kind: FaultKind) -> None:
    answer = replay(text, witness(P.BPF_PROG_TYPE_KPROBE))
    assert how(answer) == (True, pc, kind)
    assert answer.sentence.startswith(f"program: instruction {pc} ")


def test_division_by_a_register_that_is_zero_is_no_fault() -> None:
    """RFC 9669 section 4.1."""
    text = "r2 = *(u64 *)(r1 + 112)\nr0 = 7\nr0 /= r2\nif r0 == 0 goto +1\nr0 = *(u8 *)(r10 + 0)\nexit"
    assert how(replay(text, witness(P.BPF_PROG_TYPE_KPROBE))) == SAFE
    assert how(replay(text, witness(P.BPF_PROG_TYPE_KPROBE, context={112: dword(7)}))) == (True, 4, FaultKind.MEMORY)


def test_a_program_that_does_not_end_is_stopped_where_it_stands() -> None:
    text = "r0 = 0\nagain:\nr0 += 1\ngoto again\nexit"
    for results in ((), ((5, 1),)):
        answer = replay(text, witness(P.BPF_PROG_TYPE_KPROBE, results=results), budget=1000)
        assert (answer.faulted, answer.kind, answer.limit) == (True, None, "instructions")
        assert answer.pc in (1, 2)
    deep = replay("call deeper\nexit\ndeeper:\ncall deeper\nexit", witness(P.BPF_PROG_TYPE_KPROBE))
    assert (deep.faulted, deep.kind, deep.limit, deep.pc) == (True, None, "depth", 2)


# --- what cannot be replayed ---


@pytest.mark.parametrize(
    ("type", "text", "why"),
    [
        (P.BPF_PROG_TYPE_SOCK_OPS, "r0 = *(u8 *)(r10 + 0)\nexit", "sock_ops cannot be run here"),
        (P.BPF_PROG_TYPE_XDP, "r0 = r10\nr1 = map_by_fd(0)\nexit", "map"),
        (P.BPF_PROG_TYPE_XDP, "r0 /= 0\nexit", "division by"),
    ],
)
def test_what_cannot_run_is_no_fault(type: ProgramType, text: str, why: str) -> None:
    spec = program(text, type, "absent")
    answer = replayer(spec, {})(witness(type))
    assert how(answer) == SAFE
    assert why in answer.sentence


def test_tail_calls_find_no_program() -> None:
    jumps = MapSpec("jumps", MapType.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1, values=((0, "other"),))
    text = "r6 = r1\nr2 = map_by_fd(0)\nr3 = 0\ncall bpf_tail_call\nr0 = *(u8 *)(r10 + 0)\nexit"
    assert how(replay(text, witness(P.BPF_PROG_TYPE_KPROBE), jumps)) == (True, 5, FaultKind.MEMORY)
