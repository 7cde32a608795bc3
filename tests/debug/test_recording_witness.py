"""Sessions on what the verifier found can be recorded, too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from debug.recording_support import VALIDATOR, checked_elsewhere, run_to_end

from pybpftime.debug.recording import digest, open_recording, read_recording, save
from pybpftime.debug.session import Session
from pybpftime.debug.witness import open_witness
from pybpftime.errors import FaultKind, InputError
from pybpftime.isa.text_input import parse_program_text
from pybpftime.program.spec import ProgramSpec
from pybpftime.runtime.load import helper_ids
from pybpftime.uapi import ProgramType
from pybpftime.verifier.report import Witness

TEXT = """
    call bpf_get_prandom_u32
    if r0 != 42 goto end
    call bpf_get_prandom_u32
    if r0 != 43 goto end
    r1 = 0
    r0 = *(u64 *)(r1 + 0)
end: r0 = 0
    exit
"""


def session() -> Session:
    """A program that faults when two random numbers are what the witness says."""
    instructions = parse_program_text(TEXT.encode(), helpers=helper_ids(None))
    program = ProgramSpec("unlucky", instructions, type=ProgramType.BPF_PROG_TYPE_SOCKET_FILTER)
    results = ((0, 42), (2, 43))
    witness = Witness(program.type, 5, FaultKind.MEMORY, {}, bytes(20), b"", {}, results, ())
    return open_witness(program, {}, witness, level="linux")


def test_a_session_on_a_witness_faults_again(tmp_path: Path) -> None:
    one = run_to_end(session())
    assert one.world.has_failed
    file = tmp_path / "one.bpfrec"
    save(one, file)
    assert checked_elsewhere([file]) == [(True, digest(one))]
    other = run_to_end(open_recording(file))
    assert str(other.world.timeline.endings[0].error) == str(one.world.timeline.endings[0].error)
    for line in file.read_text().splitlines():
        VALIDATOR.validate(json.loads(line))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"program": "unlucky", "type"', '"program": "other", "type"', "there is no program"),
        ('"results"', '"results": 7, "x"', "a list of pairs is wanted"),
        ('{"record": "invocation"', '{"record": "x"}\n{"record": "invocation"', None),
    ],
)
def test_a_damaged_witness_is_refused(old: str, new: str, reason: str | None, tmp_path: Path) -> None:
    file = tmp_path / "one.bpfrec"
    save(run_to_end(session()), file)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=reason or "lines are missing") as caught:
        read_recording(file)
    assert caught.value.line is not None
