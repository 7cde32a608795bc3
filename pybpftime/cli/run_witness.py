"""`run --witness`: a program on the input that the verifier found to break it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.text import Text

from pybpftime.cli.inputs import read_json, require_name
from pybpftime.cli.output import print_json
from pybpftime.cli.trace_output import print_step
from pybpftime.errors import InputError
from pybpftime.helpers import HelperTable
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime.names import no_such
from pybpftime.runtime.replay import replayer
from pybpftime.runtime.trace import Tracer, TraceStep
from pybpftime.uapi import ProgramType
from pybpftime.verifier import Replayed, Witness
from pybpftime.verifier.witness_file import read_witness, witness_data


def run_witness(
    spec: ObjectSpec,
    file: str,
    chosen: str | None,
    *,
    level: str,
    budget: int,
    helpers: HelperTable,
    trace: bool,
    target: Console | None,
) -> int:
    """Run the program that the witness in `file` is for and say how that ended; the result is the exit code.

    Prints to `target`, or one JSON document if that is None.
    """
    program, witness = program_and_witness(spec, file, chosen)
    name = program.name
    steps: list[TraceStep] = []
    replay = replayer(
        program,
        spec.maps,
        level=level,
        budget=budget,
        helpers=helpers,
        observers=(Tracer(steps.append),) if trace else (),
    )
    replayed = replay(witness)
    if target is None:
        print_json(_data(name, witness, replayed, steps if trace else None))
    else:
        for step in steps:
            print_step(target, step)
        target.print(Text(replayed.sentence, style="red" if replayed.faulted else ""))
    return 1 if replayed.faulted else 0


def program_and_witness(spec: ObjectSpec, file: str, chosen: str | None) -> tuple[ProgramSpec, Witness]:
    """The program and its witness, which gives it a type if it has none; InputError when they do not fit."""
    require_name("--witness", file)
    data = read_json("--witness", f"@{file}")
    try:
        name, witness = read_witness(data)
    except InputError as error:
        raise error.at(file=file) from None
    name = name if chosen is None else chosen
    if name not in spec.programs:
        raise no_such("program", name, spec.programs, spec.file)
    program = spec.programs[name]
    if program.type is ProgramType.BPF_PROG_TYPE_UNSPEC:
        program = replace(program, type=witness.program_type)
    if program.type is not witness.program_type:
        wanted, found = (PROGRAM_TYPES[one].name for one in (program.type, witness.program_type))
        raise InputError(f"is a witness for a program of type {found}, and {name} is of type {wanted}", file=file)
    return program, witness


def _data(name: str, witness: Witness, replayed: Replayed, steps: list[TraceStep] | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "program": name,
        "type": PROGRAM_TYPES[witness.program_type].name,
        "faulted": replayed.faulted,
        "instruction": replayed.pc,
        "kind": None if replayed.kind is None else str(replayed.kind),
        "limit": replayed.limit,
        "sentence": replayed.sentence,
        "witness": witness_data(witness, name),
    }
    return data if steps is None else data | {"trace": [step.as_dict() for step in steps]}
