"""A session on what the verifier found: a program on the input that breaks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pybpftime.debug.answers import AnswerBook
from pybpftime.debug.session import Output, Session
from pybpftime.debug.symbols import DebugFile
from pybpftime.debug.timeline import Invocation
from pybpftime.engines import DEFAULT_BUDGET
from pybpftime.helpers import HelperTable
from pybpftime.machine import Environment
from pybpftime.maps.spec import MapSpec
from pybpftime.program.contexts import Context
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.runtime import Object, Program
from pybpftime.runtime.names import no_such
from pybpftime.runtime.replay import WitnessContext, prepare
from pybpftime.verifier.report import Witness
from pybpftime.verifier.witness_file import read_witness


@dataclass(frozen=True, slots=True)
class WitnessInvocation(Invocation):
    """The run of a program on a witness."""

    witness: Witness | None = None

    def context(self, program: Program) -> Context:
        """A context that has what the witness demands."""
        assert self.witness is not None
        return WitnessContext(program.spec, self.witness)


def open_witness(
    program: ProgramSpec,
    maps: Mapping[str, MapSpec],
    witness: Witness,
    *,
    level: str,
    content: bytes | None = None,
    helpers: HelperTable | None = None,
    budget: int = DEFAULT_BUDGET,
    output: Output | None = None,
) -> Session:
    """A session before its first step; the object has no other program.  InputError for what the witness cannot have.

    `content` are the bytes of the object file, for its debug information.
    """
    environment = AnswerBook(Environment())
    live = prepare(program, maps, witness, level=level, helpers=helpers, environment=environment)
    run = WitnessInvocation(program.name, label="the witness", witness=witness)
    run.context(live.programs[program.name])  # says what does not fit, before anything runs
    debug = None if content is None else DebugFile(content)
    return Session(live, [run], debug=debug, budget=budget, output=output)


def object_on(
    spec: ObjectSpec,
    data: Mapping[str, Any],
    *,
    level: str,
    environment: AnswerBook,
    helpers: HelperTable | None = None,
) -> tuple[Object, WitnessInvocation]:
    """The same from the whole object and the plain data of a witness, as a recording has them."""
    name, witness = read_witness(data)
    if name not in spec.programs:
        raise no_such("program", name, spec.programs, spec.file)
    program = spec.programs[name]
    live = prepare(program, spec.maps, witness, level=level, helpers=helpers, environment=environment)
    run = WitnessInvocation(name, label="the witness", witness=witness)
    run.context(live.programs[name])
    return live, run
