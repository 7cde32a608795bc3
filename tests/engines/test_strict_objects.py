"""Our own programs, built by clang, at the strict level: it minds alignment where they are careless, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybpftime.errors import Fault, FaultKind
from pybpftime.machine import LINUX, STRICT
from pybpftime.program import load_object
from pybpftime.program.packets import read_packets
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime import Object, Program, Result

TESTS = Path(__file__).resolve().parent.parent
OBJECTS = sorted((TESTS / "programs").glob("*.bpf.o"))
CARELESS = ("atomics", "signed_ops", "xdp_meta")  # take wide numbers from anywhere in a packet


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    return [packet.data for packet in read_packets(TESTS / "captures" / "mixed.pcap")][::6]


def outcome(program: Program, packet: bytes | None) -> Result | Fault:
    """The result, or the fault (a raw tracepoint without arguments has one)."""
    try:
        return program.run(packet)
    except Fault as fault:
        return fault


@pytest.mark.parametrize("file", OBJECTS, ids=lambda file: file.name)
def test_strict_gives_what_linux_gives(file: Path, frames: list[bytes]) -> None:
    spec = load_object(file)
    strict, linux = Object(spec, level=STRICT), Object(spec, level=LINUX)
    for name, program in spec.programs.items():
        for packet in frames if PROGRAM_TYPES[program.type].takes_packet else [None]:
            result, expected = outcome(strict[name], packet), outcome(linux[name], packet)
            if isinstance(expected, Fault):
                assert str(result) == str(expected)
            elif isinstance(result, Fault):
                assert result.kind is FaultKind.ALIGNMENT, result
                assert file.name.partition(".")[0] in CARELESS, result
                break  # its maps differ from now on
            else:
                assert result == expected
