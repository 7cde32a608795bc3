"""Who made a value, against executing again with another input.

What an answer does not name has no part in the value: with other bytes there, and the same way through the code, the
value is the same.  And a byte that a chain of invertible operations leads to makes a difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from debug.debug_support import PROGRAMS, session_of
from debug.provenance_support import FRAME, LOAD_PACKET, finished, packet_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybpftime.debug.accesses import Recorder
from pybpftime.debug.call_effects import context_region
from pybpftime.debug.memory import peek
from pybpftime.debug.provenance import Span, why
from pybpftime.debug.session import Session
from pybpftime.debug.timeline import Invocation
from pybpftime.debug.values import Register
from pybpftime.errors import InputError
from pybpftime.program.packets import read_packets
from pybpftime.runtime.load import read_object

MANY = 100_000
"""So many nodes that nothing is left out."""
CAPTURE = Path(__file__).resolve().parent.parent / "captures" / "mixed.pcap"
FRAMES = [packet.data for packet in read_packets(str(CAPTURE))]
ON_PACKETS = [
    path for path in PROGRAMS
    if path.name.removesuffix(".bpf.o") in (
        "xdp_parser.O0", "xdp_parser", "tc_rewrite.O0", "tc_rewrite", "tc_vlan", "xdp_vlan", "xdp_meta",
        "tc_classifier", "xdp_load_store", "callbacks",
    )
]  # fmt: skip

registers = st.integers(0, 5)
sizes = st.sampled_from([8, 16, 32, 64])
operations = st.sampled_from(["+=", "-=", "*=", "/=", "|=", "&=", "^=", "%=", "s/=", "s%="])
shifts = st.sampled_from(["<<=", ">>=", "s>>="])
numbers = st.one_of(st.integers(-(1 << 31), (1 << 31) - 1), st.sampled_from([0xFF, 0xFF00, -256, 0x00FF00FF]))
places = st.integers(0, 3).map(lambda at: 8 * at)


@st.composite
def instructions(draw: st.DrawFn) -> str:
    """One instruction on r0 to r5, the packet behind r7 and 32 bytes of stack."""
    a, b, size = draw(registers), draw(registers), draw(sizes)
    letter = draw(st.sampled_from("rw"))
    at = 32 - draw(places) - draw(st.integers(0, 64 // size - 1)) * size // 8
    return draw(
        st.sampled_from(
            [
                f"r{a} = *(u{size} *)(r7 + {draw(st.integers(14, 50))})",
                f"{letter}{a} {draw(operations)} {letter}{b}",
                f"{letter}{a} {draw(st.sampled_from(['+=', '-=', '*=', '|=', '&=', '^=']))} {draw(numbers)}",
                f"{letter}{a} {draw(shifts)} {draw(st.integers(0, 31))}",
                f"{letter}{a} = {letter}{b}",
                f"r{a} = {draw(st.sampled_from(['be16', 'be32', 'be64', 'bswap32', 'le16', '-']))} r{a}",
                f"r{a} = (s{draw(st.sampled_from([8, 16, 32]))})r{b}",
                f"*(u{size} *)(r10 - {at}) = r{a}",
                f"r{a} = *(u{size} *)(r10 - {at})",
                f"lock *(u64 *)(r10 - {8 + draw(places)}) += r{a}",
                f"r{a} = atomic_fetch_xor((u64 *)(r10 - {8 + draw(places)}), r{a})",
            ]
        )
    )


BEGIN = LOAD_PACKET + "".join(f"r{number} = {number}\n" for number in range(6))
BEGIN += "".join(f"*(u64 *)(r10 - {at}) = {at}\n" for at in (8, 16, 24, 32))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    code=st.lists(instructions(), min_size=3, max_size=25), result=registers, noise=st.binary(min_size=64, max_size=64)
)
def test_bytes_that_are_not_named_have_no_part_in_it(code: list[str], result: int, noise: bytes) -> None:
    text = BEGIN + "\n".join(code) + f"\nr0 = r{result}\nexit"
    session = finished(text)
    answer = why(session, "$r0", limit=MANY)
    named = packet_bytes(answer)
    assert answer.is_complete
    other = bytes(FRAME[at] if at in named or at < 14 else noise[at] for at in range(len(FRAME)))
    assert finished(text, [other]).world.machine.registers[0] == session.world.machine.registers[0]


invertible = st.sampled_from(
    ["r0 += 77", "r0 -= 5", "r0 *= 3", "r0 ^= 0x55", "r0 = -r0", "r0 = bswap64 r0", "r2 = r0\nr0 = r2",
     "*(u64 *)(r10 - 8) = r0\nr0 = 0\nr0 = *(u64 *)(r10 - 8)", "r1 = r0\ncall f", "r0 += r6"]
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(code=st.lists(invertible, max_size=12), at=st.integers(14, 50), change=st.integers(1, 255))
def test_the_only_byte_makes_a_difference(code: list[str], at: int, change: int) -> None:
    text = LOAD_PACKET + f"r6 = 99\nr0 = *(u8 *)(r7 + {at})\n" + "\n".join(code) + "\nexit\nf: r0 = r1\nr0 += 1\nexit"
    session = finished(text)
    assert packet_bytes(why(session, "$r0", limit=MANY)) == {at}
    other = FRAME[:at] + bytes([FRAME[at] ^ change]) + FRAME[at + 1 :]
    assert finished(text, [other]).world.machine.registers[0] != session.world.machine.registers[0]


def begun(path: Path, frame: bytes, name: str) -> Session:
    """The program on the frame, at its end."""
    session = session_of(path, [Invocation(name, frame)])
    session.start()
    session.resume()
    return session


@pytest.mark.parametrize("path", ON_PACKETS, ids=lambda path: path.name.removesuffix(".bpf.o"))
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_programs(path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(read_object(path).programs)))
    frame = data.draw(st.sampled_from(FRAMES))
    session = begun(path, frame, name)
    step = data.draw(st.integers(0, session.world.timeline.end))
    session.goto(step)
    stack = session.world.machine.stack.regions[0]
    spans = st.integers(1, 16).map(lambda at: Span(stack.base + 512 - 8 * at, 8))
    what = data.draw(st.one_of(registers.map(Register), spans))
    answer = why(session, what, limit=MANY)
    named = packet_bytes(answer)
    at = data.draw(st.sampled_from([one for one in range(len(frame)) if one not in named] or [len(frame)]))
    other = begun(path, frame[:at] + data.draw(st.binary(min_size=1, max_size=1)) + frame[at + 1 :], name)
    if other.world.timeline.end < step or ways(other, step) != ways(session, step):
        return
    session.goto(step)
    other.goto(step)
    assert value(other, what) == value(session, what)


def ways(session: Session, step: int) -> tuple[object, ...]:
    """The context, the instructions up to a step, and where they read and write: another address is another way."""
    session.goto(0)
    context = context_region(session.world.machine)
    fields = None if context is None else bytes(context.data)
    log = Recorder(session.world).record(0, step + 1)
    return list(log.pcs)[: step + 1], log.accesses, fields


def value(session: Session, what: Register | Span) -> object:
    """What is in a register or in memory."""
    if isinstance(what, Register):
        return session.world.machine.registers[what.number]
    return peek(session.world.machine.memory, what.address, what.size)


def test_recording_is_for_what_was_executed() -> None:
    session = finished("r0 = 0\nexit")
    with pytest.raises(InputError, match="interrupted"):
        Recorder(session.world).last_write(0, 99, lambda address, size: True, set())
