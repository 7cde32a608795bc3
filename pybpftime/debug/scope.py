"""What names mean in a frame: variables, maps, registers, the packet, `$step`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pybpftime.debug.memory import peek
from pybpftime.debug.packet import packet_at
from pybpftime.debug.symbols import Frame as SymbolFrame
from pybpftime.debug.symbols import LocalVariable, ProgramSymbols, ScopeFrame
from pybpftime.debug.timeline import Change
from pybpftime.debug.values import (
    ByteOrder,
    Constant,
    CType,
    Memory,
    Moving,
    OptimisedOut,
    Pieces,
    Place,
    Register,
    TypedValue,
    c_type,
)
from pybpftime.debug.world import World
from pybpftime.errors import InputError
from pybpftime.machine.memory import OFFSET_MASK
from pybpftime.maps import Map, MapError
from pybpftime.maps.hash import HashMap
from pybpftime.maps.lru import LruHashMap
from pybpftime.program import dwarf_expression
from pybpftime.program.btf import Btf, DataSec, Enum, Enum64, Kind, Var
from pybpftime.uapi import MapType

KEYWORD_KINDS: Mapping[str, tuple[Kind, ...]] = {
    "struct": (Kind.STRUCT, Kind.FWD),
    "union": (Kind.UNION, Kind.FWD),
    "enum": (Kind.ENUM, Kind.ENUM64),
    "": (Kind.TYPEDEF, Kind.INT, Kind.FLOAT),
}

MOST_DIGITS = 20
"""Of the number of a value that was printed."""
_NUMBERED = re.compile(r"[0-9]+|\$[0-9]*|")
USER_SPACE = 1 << 63
"""Addresses of processes lie below, those of the machine above."""

Registers = Callable[[], tuple[int | None, ...]]
MakeChange = Callable[[Change, Any, Any], object]


class FrameTarget:
    """Memory of the world and the registers of one frame, or of whatever frame is on top when they are asked for."""

    byteorder: ByteOrder = "little"

    def __init__(self, world: World, change: MakeChange, registers: Registers | None = None) -> None:
        """`registers` None: those of the machine, as they are; they may be changed."""
        self._world = world
        self._change = change
        self._registers = registers

    @property
    def is_live(self) -> bool:
        """Whether the registers are those of the machine, as they are when they are asked for."""
        return self._registers is None

    def read(self, address: int, size: int) -> bytes | None:
        content = peek(self._world.machine.memory, address, size)
        if content is None and address < USER_SPACE:
            content = self._world.look_at_user(address, size)
        return content

    def write(self, address: int, data: bytes) -> None:
        self._change(Change.MEMORY, address, data)

    def register(self, number: int) -> int | None:
        return self._world.machine.registers[number] if self._registers is None else self._registers()[number]

    def registers(self) -> tuple[int | None, ...]:
        """r0 to r10."""
        return tuple(self._world.machine.registers) if self._registers is None else self._registers()

    def set_register(self, number: int, value: int) -> None:
        if self._registers is not None:
            raise InputError(f"r{number} of a caller cannot be changed: select frame 0")
        self._change(Change.REGISTER, number, value)

    def describe(self, address: int) -> str | None:
        memory = self._world.machine.memory
        return memory.describe(address) if memory.find(address) is not None else None


@dataclass(frozen=True, slots=True)
class MapInScope:
    """A map as expressions see it."""

    world: World
    map: Map
    key_type: CType
    value_type: CType

    @property
    def cpu_count(self) -> int | None:
        return self.map.cpu_count if self.map.kind.per_cpu else None

    def element(self, key: bytes, cpu: int | None = None) -> int | None:
        try:
            if isinstance(self.map, LruHashMap):  # looking is no use of the element, which would save it from eviction
                address = HashMap.element_address(self.map, key)
            elif self.cpu_count is None:
                address = self.map.element_address(key)
            else:
                address = self.map.element_address(key, self.world.object.environment.cpu if cpu is None else cpu)
        except MapError as error:
            raise InputError(f"map {self.map.name}: {error.reason}") from None
        return address or None

    def length(self) -> int:
        return len(self.world.object.maps[self.map.name])


@dataclass
class FrameScope:
    """The names that the code at one place can see.

    `frame` is None where no program stands: then there are maps and global variables only.  `slot` is the place,
    `$pc`.  `kept` are the user's own `$names`, `printed` the values `$1`, `$2` and so on.
    """

    world: World
    target: FrameTarget
    symbols: ProgramSymbols | None
    frame: ScopeFrame | None
    slot: int | None = None
    kept: dict[str, TypedValue] = field(default_factory=dict)
    printed: Sequence[TypedValue] = ()

    def variable(self, name: str) -> TypedValue | None:
        found = None if self.frame is None else self.frame.variable(name)
        if found is not None:
            return self.local(found)
        return self._global(name)

    def locals(self) -> Iterator[TypedValue]:
        """The parameters and variables of the function, hidden ones left out."""
        names = () if self.frame is None else dict.fromkeys(one.name for one in self.frame.variables)
        for name in names:
            found = None if self.frame is None else self.frame.variable(name)
            if found is not None:
                yield self.local(found)

    def local(self, variable: LocalVariable) -> TypedValue:
        """A variable of the frame."""
        assert self.symbols is not None
        assert self.symbols.types is not None
        if variable.expression is None:
            place: Place = OptimisedOut()
        else:
            place = Moving(lambda: self._locate(variable))
        return TypedValue(self.symbols.types, variable.type_id, place, self.target, variable.name)

    def globals(self) -> Iterator[TypedValue]:
        """The global variables of the object."""
        for _, name, value in self._globals():
            if name:
                yield value

    def find_type(self, keyword: str, name: str) -> tuple[Btf, int] | None:
        for types in self._types():
            for kind in KEYWORD_KINDS[keyword]:
                found = types.find(name, kind)
                if found is not None:
                    return types, found
        return None

    def enumerator(self, name: str) -> int | None:
        return next((value for known, value in self._enumerators() if known == name), None)

    def map(self, name: str) -> MapInScope | None:
        if name not in self.world.object.maps:
            return None
        view = self.world.object.maps[name]
        spec = view.raw.spec
        if view.raw.region is None or spec.contents is not None:
            return None
        return MapInScope(
            self.world, view.raw,
            _type(self.world, spec.key_type_id, spec.key_size), _type(self.world, spec.value_type_id, spec.value_size),
        )  # fmt: skip

    def packet(self) -> tuple[int, int] | None:
        return packet_at(self.world)

    def special(self, name: str) -> int | TypedValue | None:
        world = self.world
        match name:
            case "step":
                return world.now
            case "invocation":
                return world.index
            case "pc":
                return self.slot
        return _numbered(name, self.printed) if _NUMBERED.fullmatch(name) else self.kept.get(name)

    def set_special(self, name: str, value: TypedValue) -> None:
        if name in ("step", "invocation", "pc"):
            raise InputError(f"${name} says where the program stands and cannot be set")
        if _NUMBERED.fullmatch(name):
            raise InputError(f"${name} is a value that was printed and cannot be set")
        self.kept[name] = value

    def names(self) -> Iterable[str]:
        yield from (one.name for one in (self.frame.variables if self.frame else ()))
        yield from (name for _, name, _ in self._globals())
        yield from self.world.object.maps
        yield from (name for name, _ in self._enumerators())

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _locate(self, variable: LocalVariable) -> Place:
        frame = SymbolFrame(self.target.registers(), self.target.read, self._section_address)
        return _place(variable.evaluate(frame))

    def _section_address(self, section: str, offset: int) -> int | None:
        maps = self.world.object.maps
        return maps[section].raw.values_address(offset) if section in maps else None

    def _types(self) -> Iterator[Btf]:
        if self.symbols is not None and self.symbols.types is not None:
            yield self.symbols.types
        if self.world.object.spec.btf is not None:
            yield self.world.object.spec.btf

    def _enumerators(self) -> Iterator[tuple[str, int]]:
        for types in self._types():
            for type_id in types.own_ids:
                if types.kind(type_id) in (Kind.ENUM, Kind.ENUM64):
                    record = types[type_id]
                    assert isinstance(record, Enum | Enum64)
                    yield from ((one.name, one.value) for one in record.values)

    def _global(self, name: str) -> TypedValue | None:
        return next((value for _, known, value in self._globals() if known == name), None)

    def _globals(self) -> Iterator[tuple[str, str, TypedValue]]:
        """Section, name and value of each global variable: of DWARF, which has all, or of BTF."""
        types = None if self.symbols is None else self.symbols.types
        if self.symbols is not None and types is not None:
            for one in self.symbols.variables():
                address = self._section_address(one.section, one.offset)
                if address is not None:
                    value = TypedValue(types, one.type_id, Memory(address), self.target, one.name)
                    yield one.section, one.name, value
            return
        btf = self.world.object.spec.btf
        for view in self.world.object.maps.values() if btf is not None else ():
            record = btf[view.raw.spec.value_type_id] if btf is not None and view.raw.spec.value_type_id else None
            if view.raw.spec.contents is None or not isinstance(record, DataSec) or btf is None:
                continue
            for entry in record.variables:
                variable = btf[entry.type]
                address = self._section_address(view.raw.name, entry.offset)
                if isinstance(variable, Var) and address is not None:
                    place = Memory(address)
                    yield (
                        view.raw.name,
                        variable.name,
                        TypedValue(btf, variable.type, place, self.target, variable.name),
                    )


def _numbered(name: str, printed: Sequence[TypedValue]) -> TypedValue:
    """The value that was printed: by its number, or counted back from the last one, which is `$`."""
    if not printed:
        raise InputError("no value has been printed yet")
    digits = name.removeprefix("$")
    number = int(digits[:MOST_DIGITS] or 1)
    if not name.isdigit():
        number = len(printed) - (number if name else 0)
    if not 1 <= number <= len(printed):
        raise InputError(f"there is no ${name[:MOST_DIGITS]}: the values that were printed are $1 to ${len(printed)}")
    return printed[number - 1]


def _place(location: dwarf_expression.Location | None) -> Place:
    match location:
        case dwarf_expression.MemoryAt(address):
            return Memory(address)
        case dwarf_expression.InRegister(number):
            return Register(number)
        case dwarf_expression.Constant(data):
            return Constant(data)
        case dwarf_expression.Pieces(parts):
            return Pieces(tuple((_place(part.location), part.size) for part in parts))
    return OptimisedOut()


def _type(world: World, type_id: int, size: int) -> CType:
    """The type of keys or values; a number of that size, or bytes, where the object does not say."""
    btf = world.object.spec.btf
    if btf is not None and type_id:
        return CType(btf, type_id)
    names = {1: "__u8", 2: "__u16", 4: "__u32", 8: "__u64"}
    return c_type(names[size], "little") if size in names else c_type("__u8", "little").array(size)


__all__ = ["OFFSET_MASK", "FrameScope", "FrameTarget", "MapInScope", "MapType", "packet_at"]
