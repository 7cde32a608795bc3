"""Sessions for tests of recordings: any object on a few inputs, and a fresh process to replay in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema

from pybpftime.debug.answers import AnswerBook
from pybpftime.debug.session import Session
from pybpftime.debug.symbols import DebugFile
from pybpftime.debug.timeline import Invocation
from pybpftime.isa.text_input import parse_program_text
from pybpftime.machine import LEVELS, Environment, Limits
from pybpftime.program.elf import load_object
from pybpftime.program.packets import read_packets
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime import Object
from pybpftime.runtime.load import helper_ids
from pybpftime.uapi import ProgramType

TESTS = Path(__file__).resolve().parents[1]
PROGRAMS = TESTS / "programs"
OBJECTS = sorted(path for path in PROGRAMS.glob("*.bpf.o") if not path.name.endswith(".v4.bpf.o"))
PACKETS = [packet.data for packet in read_packets(str(TESTS / "captures" / "mixed.pcap"))][:8]

SCHEMA = json.loads((TESTS.parent / "docs" / "reference" / "recording.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

CHECK = """
import sys
from pybpftime.debug.recording import read_recording
for file in sys.argv[1:]:
    check = read_recording(file).check()
    print(check.is_equal, check.digest)
"""


def open_object(
    path: Path, rounds: int, environment: Environment, *, level: str = "linux", maps: Any = None
) -> Session:
    """Every program of an object that runs here, `rounds` times, on one cpu after the other."""
    content = path.read_bytes()
    loaded = Object(load_object(content, name=path.name), level=LEVELS[level], environment=AnswerBook(environment))
    if maps is not None:
        maps(loaded)
    invocations = [
        Invocation(
            program.name,
            PACKETS[number % len(PACKETS)] if PROGRAM_TYPES[program.type].takes_packet else None,
            fields={"cpu": number % environment.cpu_count},
            label=f"round {number + 1}",
        )
        for number in range(rounds)
        for program in loaded
        if PROGRAM_TYPES[program.type].context is not None
    ]
    return Session(loaded, invocations, debug=DebugFile(content))


def open_text(
    text: str,
    rounds: int = 1,
    *,
    environment: Environment | None = None,
    level: str = "linux",
    limits: Limits | None = None,
    mem: bytes | None = None,
    fields: Iterable[Mapping[str, Any]] = (),
) -> Session:
    """A raw program in assembly."""
    instructions = parse_program_text(text.encode(), helpers=helper_ids(None))
    spec = ProgramSpec("program", instructions, type=ProgramType.BPF_PROG_TYPE_UNSPEC)
    loaded = Object(
        ObjectSpec(None, {"program": spec}, {}, license="GPL"),
        level=LEVELS[level],
        environment=AnswerBook(environment or Environment()),
        limits=limits,
    )
    given = list(fields) or [{}] * rounds
    return Session(loaded, [Invocation("program", mem=mem, fields=one) for one in given])


def run_to_end(session: Session) -> Session:
    """Run everything, past faults."""
    if not session.world.has_begun:
        session.start()
    while not session.world.is_over:
        session.resume()
    return session


def checked_elsewhere(files: Iterable[Path]) -> list[tuple[bool, str]]:
    """For each recording whether it replays as it was recorded in a fresh process, and the digest there."""
    environment = {**os.environ, "PYTHONHASHSEED": "1"}  # so that nothing hangs on the order of a set
    command = [sys.executable, "-c", CHECK, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    lines = [line.split() for line in done.stdout.splitlines()]
    return [(equal == "True", digest) for equal, digest in lines]
