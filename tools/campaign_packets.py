"""Every committed xdp, tc, socket and cgroup program on our captures and on 500 random and mutated packets.

Verdict, packet bytes and map contents after every packet are those of the kernel's BPF_PROG_TEST_RUN.
"""

from __future__ import annotations

import random

from pybpftime.conformance.objects import PACKET_TYPES, Count, compare_program, mutated_packets
from pybpftime.kernel import available
from pybpftime.program import load_object
from pybpftime.program.packets import read_packets
from tools import campaign

PACKETS = 500
OBJECTS = campaign.ROOT / "tests" / "programs"
CAPTURES = campaign.ROOT / "tests" / "captures"

# Programs that read the clock, random numbers or the cpu: nothing to compare (tests/programs/README.md).
EXCLUDED = {"environment": "reads the clock and random numbers"}
# Programs that get the captures only: the senders of more packets overflow the map, and Linux evicts as it likes.
CAPTURES_ONLY = {"lru": "docs/decisions/0016-lru.md"}
# Programs that the kernel's test run takes no packet for.
NOT_RUN = {("multi", "cpu"): "xdp/cpumap", ("multi", "port"): "xdp/devmap"}


def programs() -> list[tuple[str, str]]:
    """File name and program name of everything that is compared.  -O0 objects are for debugging, not for the kernel."""
    found = []
    for path in sorted(OBJECTS.glob("*.bpf.o")):
        name = path.name.partition(".")[0]
        if ".O0." in path.name or name in EXCLUDED:
            continue
        found += [
            (path.name, program.name)
            for program in load_object(path).programs.values()
            if program.type in PACKET_TYPES and (name, program.name) not in NOT_RUN
        ]
    return found


def captured() -> list[bytes]:
    """Every frame of every capture, each once."""
    frames = [packet.data for path in sorted(CAPTURES.glob("*.pcap*")) for packet in read_packets(path)]
    return list(dict.fromkeys(frames))


def inputs(file: str, source: random.Random, originals: list[bytes], mutated: int) -> list[bytes]:
    """What the programs of an object run on: the captures, and as many mutated packets as make sense."""
    if file.partition(".")[0] in CAPTURES_ONLY:
        return originals
    return originals + list(mutated_packets(source, originals, mutated))


def work(seed: int, first: int, count: int) -> campaign.Shard:
    """Programs number `first` to `first + count`."""
    total, findings = Count(), []
    originals = captured()
    for file, program in programs()[first : first + count]:
        source = random.Random(f"{seed}/{file}/{program}")
        packets = inputs(file, source, originals, PACKETS)
        spec = load_object(OBJECTS / file)
        findings += [f"{file}: {one}" for one in compare_program(spec, program, packets, total)]
    return {"programs": count, "packets": total.packets, "refused_by_kernel": total.refused, "findings": findings}


if __name__ == "__main__":
    if reason := available():
        raise SystemExit(f"the kernel cannot serve as a peer: {reason}")
    campaign.main("packets", __doc__ or "", work, count=len(programs()), shard=1)
