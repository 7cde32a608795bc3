"""Programs put together: an entry function, behind it each subprogram that it reaches, and what is known of them.

The order is that of libbpf (`bpf_object__reloc_code`): a subprogram is appended when the first call of it is met,
and its own calls are followed before those of its caller go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pybpftime.errors import InputError
from pybpftime.isa.encoding import MAX_SLOTS, SLOT_BYTES, WIDE_OPCODE, Instruction, Program, decode_program
from pybpftime.isa.row import Immediate
from pybpftime.program.btf import Btf, BtfExt, CoreKind, CoreRelocation, LineInfo
from pybpftime.program.elf_file import ElfFile, Relocation, Section
from pybpftime.program.elf_functions import TEXT, CodeFunction, FunctionTable
from pybpftime.program.elf_maps import MapTable, is_global_data
from pybpftime.program.elf_relocations import CALL_LOCAL, CALL_OPCODE, R_BPF_NONE, Linked, Relocator
from pybpftime.program.sections import section_meaning
from pybpftime.program.spec import Function, MapReference, ProgramSpec, Reference, SourceLine


@dataclass(frozen=True, slots=True)
class Body:
    """One function with its relocations applied.  Slots count from its start; `calls` is in order of slots."""

    function: CodeFunction
    instructions: Program
    calls: tuple[tuple[int, CodeFunction], ...]
    references: dict[int, Reference]
    lines: tuple[LineInfo, ...]
    type_id: int
    core: tuple[CoreRelocation, ...]
    notes: tuple[str, ...]

    @property
    def size(self) -> int:
        """Slots."""
        return len(self.instructions)


@dataclass(slots=True)
class _Code:
    """A section of instructions and its tables by slot."""

    instructions: Program
    relocations: dict[int, Relocation]
    lines: dict[int, list[LineInfo]] = field(default_factory=dict)
    types: dict[int, int] = field(default_factory=dict)
    core: dict[int, list[CoreRelocation]] = field(default_factory=dict)


class Linker:
    """Makes the programs of one object."""

    def __init__(
        self, elf: ElfFile, btf: Btf | None, ext: BtfExt | None, maps: MapTable, functions: FunctionTable
    ) -> None:
        self._elf = elf
        self._btf = btf
        self._ext = ext
        self._functions = functions
        self._relocator = Relocator(elf, btf, maps, functions)
        self._codes: dict[int, _Code] = {}
        self._bodies: dict[CodeFunction, Body] = {}
        self._slots_left = MAX_SLOTS  # for all programs together, subprograms counted wherever they are used
        self._with_pointers = frozenset(
            section.name for section in elf.sections if is_global_data(section) and elf.has_relocations(section)
        )
        size = sum(section.size for section in elf.sections if section.is_code)
        if size > MAX_SLOTS * SLOT_BYTES:
            raise InputError(f"the object has {size // SLOT_BYTES} instructions, more than {MAX_SLOTS}")

    def link(self, entry: CodeFunction, *, license: str, file: str | None) -> ProgramSpec:
        """The program that begins with `entry`.  InputError, with section and instruction in it, if it is malformed."""
        starts = self._place(entry)
        bodies = [(start, self._body(function)) for function, start in starts.items()]
        _refuse_core(entry.name, [record for _, body in bodies for record in body.core], self._btf)
        meaning = section_meaning(entry.section.name)
        notes = [meaning.note] if meaning.note else []
        notes += [note for _, body in bodies for note in body.notes]
        return ProgramSpec(
            entry.name,
            _instructions(bodies, starts),
            type=meaning.type,
            section=entry.section.name.removeprefix("?"),
            attach_type=meaning.attach_type,
            attach_to=meaning.attach_to,
            license=license,
            flags=meaning.flags,
            references={start + slot: what for start, body in bodies for slot, what in body.references.items()},
            functions=tuple(_function(start, body) for start, body in bodies),
            lines=tuple(_lines(bodies)),
            btf=self._btf,
            file=file,
            notes=tuple(dict.fromkeys(notes)),
        )

    def _place(self, entry: CodeFunction) -> dict[CodeFunction, int]:
        """Where each function of the program begins, in order."""
        starts = {entry: 0}
        size = self._body(entry).size
        pending = [iter(self._body(entry).calls)]
        while pending:
            _, callee = next(pending[-1], (0, None))
            if callee is None:
                pending.pop()
            elif callee not in starts:
                starts[callee] = size
                size += self._body(callee).size
                pending.append(iter(self._body(callee).calls))
        self._slots_left -= size
        if self._slots_left < 0:
            raise InputError(
                f"the programs have more than {MAX_SLOTS} instructions together", section=entry.section.name
            )
        return starts

    # Functions

    def _body(self, function: CodeFunction) -> Body:
        body = self._bodies.get(function)
        if body is None:
            body = self._bodies[function] = self._make_body(function)
        return body

    def _make_body(self, function: CodeFunction) -> Body:
        code = self._code(function.section)
        instructions = list(code.instructions[function.start : function.end])
        _check_cut(function, instructions)
        calls: list[tuple[int, CodeFunction]] = []
        references: dict[int, Reference] = {}
        for slot, instruction in enumerate(instructions):
            place = function.start + slot
            try:
                linked = self._link_slot(function, place, instruction, code.relocations.get(place))
            except InputError as error:
                raise error.at(section=function.section.name, instruction=place) from None
            if linked is None:
                continue
            instructions[slot] = linked.instruction
            if linked.reference is not None:
                references[slot] = linked.reference
            if linked.callee is not None:
                calls.append((slot, linked.callee))
        slots = range(function.start, function.end)
        return Body(
            function, tuple(instructions), tuple(calls), references,
            lines=tuple(record for slot in slots if slot in code.lines for record in code.lines[slot][:1]),
            type_id=code.types.get(function.start, 0),
            core=tuple(record for slot in slots if slot in code.core for record in code.core[slot]),
            notes=tuple(self._notes(function, references)),
        )  # fmt: skip

    def _link_slot(
        self, function: CodeFunction, slot: int, instruction: Instruction | None, relocation: Relocation | None
    ) -> Linked | None:
        """What slot `slot` of the function's section refers to; None if nothing."""
        if instruction is None:
            if relocation is not None:
                raise InputError("a relocation changes the second half of a wide instruction")
            return None
        if relocation is not None:
            return self._relocator.resolve(instruction, relocation)
        if instruction.opcode == CALL_OPCODE and instruction.src_reg == CALL_LOCAL:
            return Linked(instruction, callee=self._functions.at(function.section.index, slot + 1 + instruction.imm))
        if instruction.opcode == WIDE_OPCODE and instruction.src_reg == Immediate.CODE.value:
            raise InputError("the address of a function has no relocation")
        return None

    def _notes(self, function: CodeFunction, references: dict[int, Reference]) -> Iterator[str]:
        if function.section.name != TEXT and not function.is_entry:
            yield f"libbpf refuses the static function {function.name} in section {function.section.name}"
        elif function.section.name == TEXT and function.is_entry:
            yield f"libbpf takes {function.name} as a subprogram, because it is in section {TEXT}"
        used = {reference.name for reference in references.values() if isinstance(reference, MapReference)}
        for name in sorted(used & self._with_pointers):
            yield f"pointers in the initial values of {name} are numbers: neither libbpf nor this loader relocates them"

    # Sections

    def _code(self, section: Section) -> _Code:
        code = self._codes.get(section.index)
        if code is None:
            try:
                code = self._codes[section.index] = self._read_code(section)
            except InputError as error:
                raise error.at(section=section.name) from None
        return code

    def _read_code(self, section: Section) -> _Code:
        code = _Code(decode_program(bytes(section.data)), self._relocations(section))
        if self._ext is not None:
            for line in self._ext.lines.get(section.name, ()):
                code.lines.setdefault(line.instruction, []).append(line)
            for record in self._ext.relocations.get(section.name, ()):
                code.core.setdefault(record.instruction, []).append(record)
            code.types = {info.instruction: info.type for info in self._ext.functions.get(section.name, ())}
        return code

    def _relocations(self, section: Section) -> dict[int, Relocation]:
        found: dict[int, Relocation] = {}
        for relocation in self._elf.relocations(section):
            slot, rest = divmod(relocation.offset, SLOT_BYTES)
            if relocation.type == R_BPF_NONE:
                continue
            if rest or slot in found:
                what = "begins no instruction" if rest else "has two relocations"
                raise InputError(f"byte {relocation.offset:#x} {what}")
            found[slot] = relocation
        return found


def _check_cut(function: CodeFunction, instructions: list[Instruction | None]) -> None:
    last = instructions[-1]
    if instructions[0] is None or (last is not None and last.opcode == WIDE_OPCODE):
        reason = f"function {function.name} begins or ends within a wide instruction"
        raise InputError(reason, section=function.section.name, offset=function.start * SLOT_BYTES)


def _function(start: int, body: Body) -> Function:
    code = body.function
    section, offset = code.section.name, code.start * SLOT_BYTES
    return Function(code.name, start, start + body.size, body.type_id, code.is_global, section, offset)


def _instructions(bodies: list[tuple[int, Body]], starts: dict[CodeFunction, int]) -> Program:
    linked: list[Instruction | None] = []
    for start, body in bodies:
        linked += body.instructions
        for slot, callee in body.calls:
            instruction = body.instructions[slot]
            assert instruction is not None
            linked[start + slot] = replace(instruction, imm=starts[callee] - (start + slot) - 1)
    return tuple(linked)


def _lines(bodies: list[tuple[int, Body]]) -> Iterator[SourceLine]:
    for start, body in bodies:
        shift = start - body.function.start
        for record in body.lines:
            yield SourceLine(record.instruction + shift, record.file, record.line, record.column, record.text)


def _refuse_core(program: str, records: list[CoreRelocation], btf: Btf | None) -> None:
    if not records or btf is None:
        return
    first = records[0]
    kind = CoreKind(first.kind).name.lower() if first.kind in CoreKind.__members__.values() else f"kind {first.kind}"
    name = btf[first.type].name or f"type {first.type}"
    raise InputError(
        f"program {program} needs CO-RE relocation, which is not supported yet: {len(records)} of its instructions "
        f"depend on types of the running kernel, the first on {kind} of {name} ({first.access})"
    )
