"""Objects and programs that live: maps with contents, programs that run on packets, contexts or plain memory.

All programs of an object share its maps and one address space, so that an address that one program stores in a
map is valid for the others.  Each program has a machine of its own.  One program of an object runs at a time: other
threads wait for their turn, as they do to read or change a map or a variable.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

from pybpftime.engines import DEFAULT_BUDGET, Engine, Executable, Outcome
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import InputError
from pybpftime.helpers import HelperTable, default_helpers
from pybpftime.machine import LINUX, Environment, Limits, Machine, Observer, Strictness
from pybpftime.machine.machine import new_memory
from pybpftime.maps import Map, create_map, like_libbpf
from pybpftime.program.contexts import Context, make_context
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import ObjectSpec
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime.globals import Globals
from pybpftime.runtime.names import ByName, no_such
from pybpftime.runtime.result import Result
from pybpftime.runtime.views import MapView
from pybpftime.uapi import MapFlag, MapType, ProgramType

if TYPE_CHECKING:
    from pybpftime.program.proof import Proof

ENGINES: Mapping[str, type[Engine]] = {"reference": ReferenceEngine}


class Object:
    """A loaded object: `programs` and `maps` by name, `globals` for its variables.

    `object["name"]` is a program; `object.program` is the only one.  `observers` watch every run of its programs.
    """

    def __init__(
        self,
        spec: ObjectSpec,
        *,
        level: Strictness = LINUX,
        environment: Environment | None = None,
        helpers: HelperTable | None = None,
        limits: Limits | None = None,
        engine: str = "reference",
        variables: Mapping[str, Any] | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        _require("level", level, Strictness)
        _require("environment", environment, Environment)
        _require("helpers", helpers, HelperTable)
        _require("limits", limits, Limits)
        _require("variables", variables, Mapping)
        if engine not in list(ENGINES):  # a list, for what cannot be a key of a dict
            raise no_such("engine", engine, ENGINES)
        self.spec = spec
        self.level = level
        self.environment = Environment() if environment is None else environment
        self.environment.check()
        self.helpers = default_helpers() if helpers is None else helpers
        self.limits = Limits() if limits is None else limits
        self.engine = ENGINES[engine]()
        self.observers = tuple(observers)
        self.memory = new_memory(level)
        self.lock = RLock()
        self._running: Program | None = None
        self._maps = {name: self._create(name) for name in spec.maps}
        loaded = {name: LoadedProgram(program, self._maps) for name, program in spec.programs.items()}
        views = {name: MapView(map, spec.btf, loaded, self.lock) for name, map in self._maps.items()}
        self.maps: Mapping[str, MapView] = ByName("map", views, spec.file)
        self.globals = Globals(self.maps, spec.btf)
        programs = {name: Program(program, self) for name, program in loaded.items()}
        self.programs: Mapping[str, Program] = ByName("program", programs, spec.file)
        for name, value in (variables or {}).items():
            self.globals[name] = value
        self._fill_static_values()
        for map in self._maps.values():
            if map.spec.contents is not None and map.spec.flags & MapFlag.BPF_F_RDONLY_PROG:
                map.freeze()

    def _create(self, name: str) -> Map:
        cpu_count = self.environment.cpu_count
        map = create_map(like_libbpf(self.spec.maps[name], cpu_count), cpu_count=cpu_count)
        map.attach(self.memory, self.level)
        return map

    def _fill_static_values(self) -> None:
        for name, map in self._maps.items():
            for index, target in map.spec.values:
                if map.spec.type != MapType.BPF_MAP_TYPE_PROG_ARRAY or target not in self.programs:
                    raise InputError(f"map {name}: entry {index} names {target}, which is no program of the object")
                self.maps[name][index] = self.programs[target]

    @property
    def program(self) -> Program:
        """The only program; InputError when there are several or none."""
        if len(self.programs) != 1:
            names = ", ".join(self.programs) or "none"
            raise InputError(f"name one of the object's programs: {names}", file=self.spec.file)
        return next(iter(self.programs.values()))

    @contextmanager
    def exclusively(self, program: Program) -> Iterator[None]:
        """For one run of `program`: other threads wait; InputError when this thread is in a run of the object."""
        with self.lock:
            if self._running is not None:
                raise InputError(
                    f"program {program.name} cannot run while {self._running.name} does: what a helper or an observer "
                    "runs is loaded as an object of its own",
                    file=self.spec.file,
                )
            self._running = program
            try:
                yield
            finally:
                self._running = None

    def __getitem__(self, name: str) -> Program:
        return self.programs[name]

    def __contains__(self, name: object) -> bool:
        return name in self.programs

    def __iter__(self) -> Iterator[Program]:
        return iter(self.programs.values())

    def __repr__(self) -> str:
        file = f" {self.spec.file}" if self.spec.file else ""
        return f"<object{file}: {', '.join(self.programs) or 'no programs'}>"


class Program:
    """A program that can run.  Compiled when it first runs; one run of its object at a time."""

    def __init__(self, loaded: LoadedProgram, owner: Object) -> None:
        self.loaded = loaded
        self.spec = loaded.spec
        self.object = owner
        self.proof: Proof | None = None
        """What the verifier proved of it, for the engine; see `rely_on`."""
        self._executable: Executable | None = None

    @property
    def name(self) -> str:
        """The name of its entry function."""
        return self.spec.name

    @property
    def type(self) -> ProgramType:
        """Its program type."""
        return self.spec.type

    @property
    def maps(self) -> Mapping[str, MapView]:
        """The maps of its object."""
        return self.object.maps

    @property
    def globals(self) -> Globals:
        """The variables of its object."""
        return self.object.globals

    @property
    def machine(self) -> Machine:
        """The machine that it runs on: registers, memory, frames after a run."""
        return self.executable.machine

    @property
    def executable(self) -> Executable:
        """What the engine made of it, bound to its machine: for those who run it on contexts of their own."""
        return self._compiled()

    def run(
        self,
        packet: bytes | None = None,
        *,
        ctx: Mapping[str, Any] | bytes | None = None,
        mem: bytes | None = None,
        budget: int = DEFAULT_BUDGET,
        observers: Sequence[Observer] = (),
    ) -> Result:
        """Run once and return the Result.

        `packet` are the bytes of a frame, for program types that take one; `ctx` the context's fields, or its
        bytes for types whose context is a plain structure; `mem` plain memory for a program without a type.
        Raises Fault when the program does something undefined, LimitExceeded when `budget` instructions did not
        suffice, InputError when an argument does not fit the program type or is of the wrong kind, or when a helper
        or an observer calls this during a run of the same object.
        """
        packet, mem = _bytes("packet", packet), _bytes("mem", mem)
        _require_budget(budget)
        with self.object.exclusively(self):
            return self._run(packet, ctx, mem, budget, observers)

    def _run(
        self,
        packet: bytes | None,
        ctx: Mapping[str, Any] | bytes | None,
        mem: bytes | None,
        budget: int,
        observers: Sequence[Observer],
    ) -> Result:
        executable = self._compiled()
        machine = executable.machine
        context = make_context(self.type, packet=packet, ctx=ctx, mem=mem, attach_type=self.spec.attach_type)
        machine.observers = (*self.object.observers, *observers)
        return self.result(context, executable.run(context, budget=budget))

    def result(self, context: Context, outcome: Outcome) -> Result:
        """What a run on `context` gave that just ended on the program's machine."""
        effects = self.machine.effects
        return Result(
            verdict=PROGRAM_TYPES[self.type].verdict(outcome.r0),
            r0=outcome.r0,
            instructions=outcome.instructions,
            packet=context.packet,
            context=context.fields(),
            printk=tuple(effects.printk),
            redirect=effects.redirect,
        )

    def rely_on(self, proof: Proof) -> str | None:
        """Have the program compiled with `proof`, if it covers it as it is here; else the answer says why not.

        A program that has been compiled already stays as it is.
        """
        from pybpftime.engines.proof import why_not_covered  # most programs run without a proof

        owner = self.object
        reason = why_not_covered(proof, self.loaded, owner.level, owner.limits, owner.helpers)
        self.proof = proof if reason is None else None
        return reason

    def prepare(self) -> None:
        """Compile now, so that the first run does not take the time.  InputError as `run`."""
        self._compiled()

    def _compiled(self) -> Executable:
        owner = self.object
        with owner.lock:
            if self._executable is None:
                machine = Machine(owner.memory, owner.level, owner.environment, limits=owner.limits)
                self._executable = owner.engine.compile(self.loaded, machine, owner.helpers, self.proof)
            return self._executable

    def __repr__(self) -> str:
        return f"<program {self.name}: {PROGRAM_TYPES[self.type].name}, {len(self.spec.instructions)} slots>"


def _require(name: str, value: object, kind: type) -> None:
    """InputError when an argument is neither left out nor of its kind."""
    if value is not None and not isinstance(value, kind):
        raise InputError(f"{name} takes an object of the class {kind.__name__}, not {type(value).__name__}")


def _require_budget(value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= sys.maxsize:
        raise InputError(f"a budget is a number of instructions from 0 to {sys.maxsize}")


def _bytes(name: str, value: object) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, bytes | bytearray | memoryview):
        hint = "; bytes.fromhex makes them from hex" if isinstance(value, str) else ""
        raise InputError(f"{name} takes bytes, not {type(value).__name__}{hint}")
    return bytes(value)
