"""Random instruction streams through decoder, validator, assembler and interpreter: nothing but a clear error.

Three kinds: random bytes; random fields under the opcodes of the table; mutations of valid programs.  Each is run
at every level, with every helper callable.  A finding is an exception that is no BpfError, a stream that takes
over a second, or a process that grew over 500 MB.
"""

from __future__ import annotations

import random
import resource
import time
import traceback

from pybpftime.conformance.generator import DATA_BYTES, Generator
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import BpfError
from pybpftime.helpers import default_helpers
from pybpftime.isa import TABLE, decode_program, encode_program
from pybpftime.isa.assembler import assemble
from pybpftime.isa.disassembler import disassemble
from pybpftime.machine import LEVELS, Machine
from pybpftime.maps import MapSpec, create_map
from pybpftime.program.contexts import make_context
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import MapReference, ProgramSpec
from pybpftime.uapi import MapType, ProgramType
from tools import campaign

BUDGET = 2000
MOST_SECONDS = 1.0
MOST_BYTES = 500 << 20
TYPES = (
    ProgramType.BPF_PROG_TYPE_UNSPEC,
    ProgramType.BPF_PROG_TYPE_XDP,
    ProgramType.BPF_PROG_TYPE_SCHED_CLS,
    ProgramType.BPF_PROG_TYPE_SOCKET_FILTER,
    ProgramType.BPF_PROG_TYPE_KPROBE,
)
MAPS = (
    MapSpec("array", MapType.BPF_MAP_TYPE_ARRAY, 4, 64, 4),
    MapSpec("hash", MapType.BPF_MAP_TYPE_HASH, 8, 16, 4),
    MapSpec("ring", MapType.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096),
)


def random_code(source: random.Random) -> bytes:
    """Bytes of a program, more or less well formed."""
    kind = source.random()
    length = source.randint(1, 32)
    if kind < 0.2:
        return source.randbytes(source.randint(0, 8 * length))
    if kind < 0.6:
        return b"".join(_random_instruction(source) for _ in range(length)) + bytes.fromhex("9500000000000000")
    program = bytearray(encode_program(Generator(source, length=length).program().instructions))
    for _ in range(source.randint(1, 6)):
        program[source.randrange(len(program))] = source.choice((source.randrange(256), 0, 1, 0xFF, 0x85, 0x18))
    return bytes(program)


def _random_instruction(source: random.Random) -> bytes:
    row = source.choice(TABLE)
    values = {
        "dst_reg": source.randrange(11),
        "src_reg": source.randrange(11),
        "offset": source.choice((0, 1, -1, 2, -8, 8, source.randint(-0x8000, 0x7FFF))),
        "imm": source.choice((0, 1, -1, 2, 4, 8, source.randrange(220), source.randint(-(1 << 31), (1 << 31) - 1))),
    } | {field: value for field, value in row.fixed.items() if field != "next_imm"}
    slot = bytes((row.opcode, values["src_reg"] << 4 | values["dst_reg"]))
    slot += values["offset"].to_bytes(2, "little", signed=True) + values["imm"].to_bytes(4, "little", signed=True)
    return slot + (bytes(4) + source.randbytes(4) if row.wide else b"")


def exercise(source: random.Random, code: bytes) -> str:
    """Take the bytes as far as they go; the word says how far they got at any level.  Raises what is no BpfError."""
    try:
        program = decode_program(code)
    except BpfError:
        return "not decoded"
    text = disassemble(program)
    try:
        if assemble(text) != program:
            raise AssertionError(f"the disassembly assembles to something else:\n{text}")
    except BpfError as error:
        raise AssertionError(f"the disassembly does not assemble: {error}\n{text}") from None
    maps = {spec.name: create_map(spec) for spec in MAPS}
    outcomes = set()
    for level in LEVELS.values():
        type = source.choice(TYPES)
        wide = [slot for slot, one in enumerate(program) if one is not None and one.next_imm is not None]
        references = {slot: MapReference(source.choice(MAPS).name) for slot in wide if source.random() < 0.7}
        machine = Machine(strictness=level)
        for map in maps.values():
            map.attach(machine.memory, level)
        spec = ProgramSpec("stream", program, type, references=references)
        needs_packet = type not in (ProgramType.BPF_PROG_TYPE_UNSPEC, ProgramType.BPF_PROG_TYPE_KPROBE)
        try:
            executable = ReferenceEngine().compile(LoadedProgram(spec, maps), machine, default_helpers())
            packet = source.randbytes(64) if needs_packet else None
            memory = bytes(DATA_BYTES) if type == ProgramType.BPF_PROG_TYPE_UNSPEC else None
            executable.run(make_context(type, packet=packet, ctx=None, mem=memory), budget=BUDGET)
            outcomes.add("ran")
        except BpfError as error:
            outcomes.add(error.__class__.__name__)
            str(error)
            error.as_dict()
        maps = {one.name: create_map(one) for one in MAPS}
    return "ran" if "ran" in outcomes else min(outcomes)


def work(seed: int, first: int, count: int) -> campaign.Shard:
    """Streams `first` to `first + count` of the seed."""
    outcomes: dict[str, int] = {}
    findings = []
    longest = 0.0
    for index in range(first, first + count):
        source = random.Random(f"{seed}/{index}")
        code = random_code(source)
        start = time.perf_counter()
        try:
            outcome = exercise(source, code)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        except Exception:
            findings.append(f"stream {index} ({code.hex()}): {traceback.format_exc()}")
        seconds = time.perf_counter() - start
        longest = max(longest, seconds)
        if seconds > MOST_SECONDS:
            findings.append(f"stream {index} ({code.hex()}) took {seconds:.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    if peak > MOST_BYTES:
        findings.append(f"streams {first} to {first + count}: the process grew to {peak >> 20} MB")
    return {"streams": count, "outcomes": outcomes, "findings": findings, "over_100_ms": int(longest > 0.1)}


if __name__ == "__main__":
    campaign.main("streams", __doc__ or "", work, count=100_000, shard=1000)
