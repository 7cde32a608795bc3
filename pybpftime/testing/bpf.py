"""What the fixture `bpf` gives to a test: loading with replaced helpers, running, the assertions."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pybpftime.helpers import HelperTable
from pybpftime.isa.encoding import Program as Instructions
from pybpftime.machine import Environment, Limits, Strictness
from pybpftime.runtime import Object, Program, Result, load
from pybpftime.runtime.coverage import Coverage
from pybpftime.runtime.load import Helpers, installed_helpers
from pybpftime.testing import assertions
from pybpftime.uapi import ProgramType

Replacement = Callable[..., int | None] | int
"""A function of the helper's arguments, with or without the machine before them; or what the helper returns."""


class Bpf:
    """Made for each test.  Paths are looked up from `folder`, then from the current directory."""

    assert_verdict = staticmethod(assertions.assert_verdict)
    assert_packet = staticmethod(assertions.assert_packet)
    assert_map = staticmethod(assertions.assert_map)

    def __init__(self, folder: Path, coverage: Coverage | None = None) -> None:
        self._folder = folder
        self._coverage = coverage

    def load(
        self,
        source: str | os.PathLike[str] | bytes | Instructions,
        *,
        type: str | ProgramType | None = None,
        level: str | Strictness = "linux",
        environment: Environment | None = None,
        helpers: Mapping[str, Replacement] | Helpers | None = None,
        limits: Limits | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> Object:
        """`pybpftime.load`, with helpers replaced by name, and coverage if the session collects it.

        `helpers` maps names to functions of the helper's arguments (`lambda flags: 1`, or with the machine before
        them) or to the number that the helper returns; or it is what `pybpftime.load` takes.
        """
        loaded = load(
            self._path(source),
            type=type,
            level=level,
            environment=environment,
            helpers=replaced_helpers(helpers) if isinstance(helpers, Mapping) else helpers,
            limits=limits,
            variables=variables,
            observers=() if self._coverage is None else (self._coverage,),
        )
        if self._coverage is not None:
            for program in loaded:
                self._coverage.expect(program.spec)
        return loaded

    def run(
        self,
        program: Program | Object | str | os.PathLike[str] | bytes | Instructions,
        packet: bytes | None = None,
        *,
        ctx: Mapping[str, Any] | bytes | None = None,
        mem: bytes | None = None,
        **options: Any,
    ) -> Result:
        """Run a program, the only one of an object, or the only one of what `load` would load, once.

        `options` are those of `load` where it is loaded, and those of `Program.run` else.
        """
        if isinstance(program, Program | Object):
            chosen = program.program if isinstance(program, Object) else program
            return chosen.run(packet, ctx=ctx, mem=mem, **options)
        return self.load(program, **options).program.run(packet, ctx=ctx, mem=mem)

    def _path(self, source: Any) -> Any:
        if not isinstance(source, str | os.PathLike):
            return source
        beside = self._folder / source
        return beside if beside.exists() else source


def replaced_helpers(helpers: Mapping[str, Replacement]) -> HelperTable:
    """The usual helpers with some replaced; InputError for unknown names and arguments that do not fit."""
    table = installed_helpers()
    for name, replacement in helpers.items():
        declared = table.find(name)
        count = 0 if declared is None else len(declared.declaration.arguments)
        table = table.replaced(name, _implementation(replacement, count))
    return table


def _implementation(replacement: Replacement, arguments: int) -> Callable[..., int | None]:
    """The replacement as a function of machine and arguments."""
    if not callable(replacement):
        value = replacement
        return lambda machine, *values: value
    function = replacement
    if _takes(function, arguments) and not _takes(function, arguments + 1):
        return lambda machine, *values: function(*values)
    return function


def _takes(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True
