"""What the nodes of a graph are, in words and values: the world stands at each of their steps once more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from pybpftime.debug.call_effects import PACKET_SLOT
from pybpftime.debug.memory import peek
from pybpftime.debug.provenance.flow import ALL_LANES
from pybpftime.debug.provenance.parts import HELD, SHARED_REGISTERS, NodeKind, RawNode, RawUse, runs
from pybpftime.debug.provenance.slice import Slice
from pybpftime.debug.sources import Sources
from pybpftime.debug.symbols import ProgramSymbols
from pybpftime.errors import InputError
from pybpftime.helpers import HelperTable
from pybpftime.helpers.declarations import HelperDeclaration, Role
from pybpftime.isa import Form, lookup
from pybpftime.isa.disassembler import Names, format_instruction
from pybpftime.machine.memory import OFFSET_MASK, SLOT_SHIFT
from pybpftime.maps import Map
from pybpftime.maps.slab import key_text
from pybpftime.program.contexts.packet_context import PacketContext
from pybpftime.program.contexts.region import StructureRegion
from pybpftime.program.contexts.skb import SkbContext
from pybpftime.program.packet_headers import packet_names
from pybpftime.program.spec import MapReference, ProgramSpec

SymbolsOf = Callable[[ProgramSpec], ProgramSymbols]


@dataclass(frozen=True, slots=True)
class Content:
    """Something that was written or read: what it is, its size in bytes, and what was in it, None if not known."""

    text: str
    size: int
    value: bytes | None

    def __str__(self) -> str:
        return self.text if self.value is None else f"{self.text} = {value_text(self.value)}"


@dataclass(frozen=True, slots=True)
class CodeText:
    """Where in the code: the program, the slot, the instruction; file, line and text of the source, if known."""

    program: str
    slot: int
    instruction: str
    file: str = ""
    line: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """A node in words: what it wrote, what it read (by the number of the use), where it was, what there is to say."""

    written: tuple[Content, ...]
    read: dict[int, tuple[Content, ...]]
    code: CodeText | None
    text: str


def value_text(value: bytes) -> str:
    """Up to 8 bytes as a number, more in hexadecimal."""
    if len(value) <= 8:
        return f"{int.from_bytes(value, 'little'):#x}"
    return value[:16].hex(" ") + (" ..." if len(value) > 16 else "")


class Describer:
    """Describes nodes of a slice; it moves the world."""

    def __init__(self, slice: Slice, symbols_of: SymbolsOf, helpers: HelperTable, sources: Sources) -> None:
        self._slice = slice
        self._world = slice.world
        self._symbols_of = symbols_of
        self._helpers = helpers
        self._sources = sources

    def node(self, node: RawNode) -> Described:
        """A node; the world goes to its step.  In ascending order of steps that takes one pass."""
        world = self._world
        self._go(node.step)
        read = {use: self.read(self._slice.uses[use]) for use in node.uses}
        if node.kind not in (NodeKind.INSTRUCTION, NodeKind.CALL, NodeKind.COPY, NodeKind.BRANCH):
            return Described(self._contents(node), read, None, self._leaf(node))
        code, text = self._code(), self._call_text(node)
        if node.kind is NodeKind.BRANCH:
            return Described((), read, code, "")
        behind = node.last_step + 1
        self._go(behind)
        edited = bool(world.timeline.edits_at(behind))
        written = tuple(Content(one.text, one.size, None) if edited else one for one in self._contents(node))
        if node.kind is NodeKind.COPY:
            text = f"copied in {(node.last_step - node.step) // 2 + 1} pieces"
        elif node.helper and text:
            text = self._with_result(node, text)
        return Described(written, read, code, text)

    def _go(self, step: int) -> None:
        self._world.goto(step)
        if self._world.step != step:
            raise InputError("it was interrupted")

    # -- places and values, as they are where the world stands ---------------------------------------------------------

    def read(self, use: RawUse) -> tuple[Content, ...]:
        """What a use reads."""
        found = []
        if use.register is not None and use.register < HELD:
            one = self._register(use.register, use.lanes)
            found.append(Content(one.text, one.size, None) if use.is_held else one)
        if use.element is not None:
            found.append(Content(f"{use.element.map}[{key_text(use.element.key)}]", 0, None))
        addresses = {byte for address, size in use.ranges for byte in range(address, address + size)}
        found += [self._bytes(*one) for run in runs(addresses) for one in self._pieces(*run)]
        return tuple(found)

    def _contents(self, node: RawNode) -> tuple[Content, ...]:
        registers = [self._register(register, ALL_LANES) for register in node.registers]
        memory = [self._bytes(*one) for run in node.memory for one in self._pieces(*run)]
        elements = [Content(f"{one.map}[{key_text(one.key)}]", 0, None) for one in node.elements]
        return (*registers, *memory, *elements)

    def _register(self, register: int, lanes: int) -> Content:
        machine, number = self._world.machine, register & 0xF
        level = register >> 4
        value: int | None
        if register < SHARED_REGISTERS or level == len(machine.frames) or not machine.frames:
            value = machine.registers[number]
        else:
            value = machine.frames[level].saved[number - SHARED_REGISTERS] if level < len(machine.frames) else None
        return Content(f"r{number}", 8, None if value is None else value.to_bytes(8, "little"))

    def _pieces(self, address: int, size: int) -> list[tuple[int, int]]:
        """Bytes by the fields of the context, if they lie there."""
        region = self._world.machine.memory.find(address)
        if not isinstance(region, StructureRegion):
            return [(address, size)]
        start = address & OFFSET_MASK
        borders = {start, start + size}
        for one in region.layout.fields:
            borders |= {border for border in (one.offset, one.end) if start < border < start + size}
        return [(region.base + first, last - first) for first, last in pairwise(sorted(borders))]

    def _bytes(self, address: int, size: int) -> Content:
        machine, offset = self._world.machine, address & OFFSET_MASK
        if address >> SLOT_SHIFT == PACKET_SLOT:
            context = machine.context
            if not isinstance(context, PacketContext):
                return Content("packet", size, None)
            start = offset - context.head
            where = f"packet[{start}]" if size == 1 else f"packet[{start}:{start + size}]"
            first = context.field("mac_header") if isinstance(context, SkbContext) else context.head
            names = packet_names(bytes(context.buffer[first : context.end]), offset - first, size)
            return Content(f"{where} {names}".rstrip(), size, bytes(context.buffer[offset : offset + size]))
        known = machine.memory.find(address) is not None
        return Content(machine.memory.describe(address), size, peek(machine.memory, address, size) if known else None)

    # -- words ---------------------------------------------------------------------------------------------------------

    def _leaf(self, node: RawNode) -> str:
        match node.kind:
            case NodeKind.EDIT:
                return "changed by the user"
            case NodeKind.PACKET:
                return "of the packet"
            case NodeKind.CONTEXT:
                return "of the context"
            case NodeKind.ARGUMENT:
                return "given to the program"
            case NodeKind.INITIAL if node.elements:
                return "no program has made or deleted it"
            case NodeKind.INITIAL:
                return "as it was before the first step"
        if any(register & 0xF == 10 for register in node.registers):
            return "the frame pointer"
        return "has no value" if node.registers else "never written"

    def _code(self) -> CodeText | None:
        code, slot = self._world.machine.locate(self._world.pc)
        spec: ProgramSpec = code.program.spec
        instruction = spec.instructions[slot] if slot < len(spec.instructions) else None
        if instruction is None:
            return None
        text = format_instruction(instruction, names=Names(helper=self._helpers.name_of))
        reference = spec.references.get(slot)
        if isinstance(reference, MapReference):
            place = "" if reference.offset is None else f" + {reference.offset}"
            text = f"{text.partition(' = ')[0]} = map {reference.name}{place}"
        place_of_line = self._symbols_of(spec).line_at(slot)
        if place_of_line is None:
            return CodeText(spec.name, slot, text)
        source = self._sources.text(place_of_line.file)
        line = None if source is None else source.line(place_of_line.line)
        return CodeText(spec.name, slot, text, place_of_line.file, place_of_line.line, (line or "").strip())

    def _call_text(self, node: RawNode) -> str:
        """`bpf_map_lookup_elem(map counts, key 0x2a)`, before the call; "" for other nodes."""
        helper = self._helpers.find(node.helper) if node.helper else None
        if helper is None:
            return ""
        if self._is_return():
            return f"{node.helper} goes on"
        return f"{node.helper}({', '.join(self._argument_texts(helper.declaration))})"

    def _is_return(self) -> bool:
        """Whether the world stands at the end of a function that a helper calls back."""
        frames = self._world.machine.frames
        code, slot = self._world.machine.locate(self._world.pc)
        instruction = code.program.spec.instructions[slot]
        is_exit = instruction is not None and lookup(instruction).form is Form.EXIT
        return is_exit and bool(frames) and frames[-1].rounds is not None

    def _argument_texts(self, declaration: HelperDeclaration) -> list[str]:
        machine, found = self._world.machine, []
        map: Map | None = None
        for number, parameter in enumerate(declaration.parameters, start=1):
            value = machine.registers[number]
            region = None if value is None else machine.memory.find(value)
            owner = None if region is None else region.owner
            if value is None or parameter.kind.role is Role.UNCHECKED:
                continue
            if parameter.kind.role is Role.MAP and isinstance(owner, Map):
                map = owner
                found.append(f"map {map.name}")
            elif parameter.kind.role is Role.MAP_KEY and map is not None:
                key = peek(machine.memory, value, map.key_size)
                found.append("key ?" if key is None else f"key {key_text(key)}")
            else:
                found.append(f"{parameter.name} {machine.memory.describe(value)}")
        return found

    def _with_result(self, node: RawNode, text: str) -> str:
        """The text of a call with its result, where the world stands behind it and there is one."""
        value = self._world.machine.registers[0]
        if 0 not in node.registers or value is None:
            return text
        return f"{text} gave {self._world.machine.memory.describe(value)}"
