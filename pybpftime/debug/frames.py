"""The functions that a stopped program is in: BPF functions, and in each of them those that were inlined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pybpftime.debug.lines import LinePlace
from pybpftime.debug.symbols import ProgramSymbols, ScopeFrame
from pybpftime.debug.world import World
from pybpftime.program.spec import ProgramSpec

SymbolsOf = Callable[[ProgramSpec], ProgramSymbols]
SAVED = range(6, 11)


@dataclass(frozen=True, slots=True)
class Frame:
    """A function that is active: frame 0 is the innermost one.

    `slot` is the instruction that it is at: the next one, or the call that has not returned.  `registers` are r0 to
    r10 as the function has them, None for those that it does not know (r1 to r5 of a caller).  `level` counts BPF
    functions from the entry function, 0; inlined functions have that of the function that they are inlined into.
    """

    number: int
    level: int
    symbols: ProgramSymbols
    slot: int
    scope: ScopeFrame
    registers: tuple[int | None, ...]
    is_live: bool
    """Whether the registers are those of the machine, and may be changed."""

    @property
    def spec(self) -> ProgramSpec:
        """The program whose code it is."""
        return self.symbols.spec

    @property
    def name(self) -> str:
        """Of the function."""
        return self.scope.name

    @property
    def line(self) -> LinePlace | None:
        """Where it is in the source."""
        return self.scope.line


def frames_of(world: World, symbols_of: SymbolsOf) -> tuple[Frame, ...]:
    """The frames, the innermost first; none where no invocation has begun, or it is over without a fault."""
    if not world.has_begun or (world.ending is not None and world.ending.error is None):
        return ()
    found: list[Frame] = []
    machine, pc = world.machine, world.pc
    registers: Sequence[int | None] = machine.registers
    for level in reversed(range(len(machine.frames))):
        frame = machine.frames[level]
        code, slot = machine.locate(pc)
        symbols = symbols_of(code.program.spec)
        is_live = level == len(machine.frames) - 1
        for scope in symbols.scopes_at(slot) or (_nowhere(code.program.spec, slot),):
            found.append(Frame(len(found), level, symbols, slot, scope, tuple(registers), is_live))
        registers = (*[None] * SAVED.start, *frame.saved)
        pc = (frame.return_pc or 1) - 1
    return tuple(found)


def _nowhere(spec: ProgramSpec, slot: int) -> ScopeFrame:
    """For code of which nothing is known."""
    return ScopeFrame(spec.name, is_inlined=False, line=None, call_file="", call_line=0, variables=())
