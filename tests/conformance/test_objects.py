"""Our own programs against the running kernel: verdict, packet and maps after every packet.

A shard of `make campaign-packets`: all captured frames, and 25 random and mutated ones a program.
"""

import random

import pytest

from pybpftime.conformance.objects import Count, compare_program, mutated_packets
from pybpftime.kernel import available
from pybpftime.program import load_object
from tools.campaign_packets import OBJECTS, captured, inputs, programs

MUTATED = 25


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    if reason := available():
        pytest.skip(f"needs the kernel as a peer: {reason}")
    return captured()


@pytest.mark.parametrize(("file", "program"), programs())
def test_same_verdict_packet_and_maps_as_the_kernel(file: str, program: str, frames: list[bytes]) -> None:
    count = Count()
    source = random.Random(f"{file}/{program}")
    packets = inputs(file, source, frames, MUTATED)
    disagreements = list(compare_program(load_object(OBJECTS / file), program, packets, count))
    assert disagreements == []
    assert count.packets > len(frames) // 2


def test_mutated_packets_have_lengths_that_the_kernel_takes() -> None:
    packets = list(mutated_packets(random.Random(1), [bytes(60), bytes(1514)], 300))
    assert len(packets) == 300
    assert {len(packet) for packet in packets} <= set(range(14, 1501))
    assert packets == list(mutated_packets(random.Random(1), [bytes(60), bytes(1514)], 300))
