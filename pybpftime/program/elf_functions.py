"""The functions of an object file: which are programs, which are subprograms, and where each lies."""

from __future__ import annotations

from dataclasses import dataclass, field

from pybpftime.errors import InputError
from pybpftime.isa.encoding import SLOT_BYTES
from pybpftime.program.elf_file import FUNC, GLOBAL, LOCAL, NOTYPE, WEAK, ElfFile, Section, Symbol

TEXT = ".text"


@dataclass(frozen=True, slots=True, eq=False)
class CodeFunction:
    """Slots [start, end) of a section.  `is_entry`: it is a program; `is_global`: it can be called from outside."""

    name: str
    section: Section
    start: int
    end: int
    is_global: bool
    is_entry: bool


@dataclass(slots=True)
class FunctionTable:
    """The functions of an object, those of one section side by side and in order."""

    by_section: dict[int, list[CodeFunction]] = field(default_factory=dict)
    by_place: dict[tuple[int, int], CodeFunction] = field(default_factory=dict)

    @property
    def entries(self) -> list[CodeFunction]:
        """The programs, in file order."""
        return [function for functions in self.by_section.values() for function in functions if function.is_entry]

    def at(self, section: int, slot: int) -> CodeFunction:
        """The function that begins there; InputError if none does."""
        function = self.by_place.get((section, slot))
        if function is None:
            raise InputError(f"no function begins at byte {slot * SLOT_BYTES:#x} of section {section}, which is called")
        return function


def find_functions(elf: ElfFile) -> FunctionTable:
    """Read the functions from the symbol table.

    Functions of `.text` and static functions are subprograms, all others are programs.  An object that has nothing
    but `.text` would have no programs (and with libbpf it has none): then its global functions are.
    InputError for functions that do not lie inside their section, share bytes, or have the name of another program.
    """
    sections = {section.index: section for section in elf.sections if section.is_code}
    symbols: dict[int, list[Symbol]] = {index: [] for index in sections}
    for symbol in elf.symbols:
        if symbol.section in symbols and symbol.type in (FUNC, NOTYPE):
            symbols[symbol.section].append(symbol)
    only_text = not any(symbols[index] for index, section in sections.items() if section.name != TEXT)
    table = FunctionTable()
    for index, section in sections.items():
        may_enter = only_text or section.name != TEXT
        table.by_section[index] = functions = _functions(section, symbols[index], may_enter)
        table.by_place.update({(index, function.start): function for function in functions})
    names = set()
    for function in table.entries:
        if function.name in names:
            raise InputError(f"the object has two programs named {function.name}", section=function.section.name)
        names.add(function.name)
    return table


def _functions(section: Section, symbols: list[Symbol], may_enter: bool) -> list[CodeFunction]:
    by_start: dict[int, Symbol] = {}
    typed = [symbol for symbol in symbols if symbol.type == FUNC]
    for symbol in typed or _untyped(section, symbols):
        first = by_start.setdefault(symbol.value, symbol)
        if first.size != symbol.size:
            raise _overlap(section, first, symbol)
        if first.binding == LOCAL:  # of two names for one function the global one counts
            by_start[symbol.value] = symbol
    functions: list[CodeFunction] = []
    end = 0
    for symbol in sorted(by_start.values(), key=lambda symbol: symbol.value):
        if symbol.value < end:
            raise _overlap(section, functions[-1], symbol)
        end = symbol.value + symbol.size
        _check_extent(section, symbol)
        functions.append(_function(section, symbol, may_enter))
    return functions


def _overlap(section: Section, one: Symbol | CodeFunction, other: Symbol) -> InputError:
    return InputError(f"functions {one.name} and {other.name} share bytes", section=section.name, offset=other.value)


def _untyped(section: Section, symbols: list[Symbol]) -> list[Symbol]:
    """Old compilers and hand-written assembly leave symbols without type and size: each extends to the next one."""
    globals = sorted(
        (symbol for symbol in symbols if symbol.binding in (GLOBAL, WEAK)), key=lambda symbol: symbol.value
    )
    starts = [symbol.value for symbol in globals] + [section.size]
    return [symbol._replace(size=end - symbol.value) for symbol, end in zip(globals, starts[1:], strict=True)]


def _check_extent(section: Section, symbol: Symbol) -> None:
    if symbol.size <= 0 or symbol.value % SLOT_BYTES or symbol.size % SLOT_BYTES:
        reason = f"function {symbol.name} ({symbol.size} bytes) does not consist of whole instructions"
        raise InputError(reason, section=section.name, offset=symbol.value)
    if symbol.value + symbol.size > section.size:
        reason = f"function {symbol.name} ({symbol.size} bytes) does not lie inside the section"
        raise InputError(reason, section=section.name, offset=symbol.value)


def _function(section: Section, symbol: Symbol, may_enter: bool) -> CodeFunction:
    if not symbol.name:
        raise InputError("a function has no name", section=section.name, offset=symbol.value)
    return CodeFunction(
        symbol.name,
        section,
        symbol.value // SLOT_BYTES,
        (symbol.value + symbol.size) // SLOT_BYTES,
        is_global=symbol.binding != LOCAL and not symbol.is_hidden,
        is_entry=may_enter and symbol.binding != LOCAL,
    )
