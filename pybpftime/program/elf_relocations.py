"""What an instruction refers to: one relocation and its symbol -> a changed instruction and its meaning.

Clang leaves `imm` 0 (or an addend) in the instruction and a relocation beside it.  What the linked instruction
says is as libbpf leaves it (`bpf_object__relocate_data`), except that descriptors are still 0: a `Reference`
stands for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pybpftime.errors import InputError
from pybpftime.isa.encoding import SLOT_BYTES, WIDE_OPCODE, Instruction, sign_extend
from pybpftime.isa.row import Immediate
from pybpftime.isa.table import BY_NAME
from pybpftime.program.btf import Btf, DataSec, Kind
from pybpftime.program.elf_file import WEAK, ElfFile, Relocation, Section, Symbol
from pybpftime.program.elf_functions import CodeFunction, FunctionTable
from pybpftime.program.elf_maps import BTF_MAPS, LEGACY_MAPS, MapTable
from pybpftime.program.spec import Extern, MapReference, Reference, Trap

# Relocation types of BPF (Documentation/bpf/llvm_reloc.rst).
R_BPF_NONE, R_BPF_64_64, R_BPF_64_ABS64, R_BPF_64_ABS32, R_BPF_64_NODYLD32, R_BPF_64_32 = 0, 1, 2, 3, 4, 10

CALL_OPCODE = BY_NAME["call_local"].opcode  # of every call but callx; src_reg says which
CALL_LOCAL, CALL_BTF = (BY_NAME[name].fixed["src_reg"] for name in ("call_local", "call_btf"))
EXTERN_SECTIONS = (".ksyms", ".kconfig")
ARENA = ".addr_space.1"


@dataclass(frozen=True, slots=True)
class Linked:
    """The instruction as it is in a program, and one of the two things that it may refer to."""

    instruction: Instruction
    reference: Reference | None = None
    callee: CodeFunction | None = None


class Relocator:
    """Resolves relocations of instructions; it knows everything that a symbol of the object can stand for."""

    def __init__(self, elf: ElfFile, btf: Btf | None, maps: MapTable, functions: FunctionTable) -> None:
        self._elf = elf
        self._maps = maps
        self._functions = functions
        self._externs = {} if btf is None else _externs(btf)

    def resolve(self, instruction: Instruction, relocation: Relocation) -> Linked:
        """Apply one relocation.  InputError if it does not fit the instruction or its symbol."""
        is_call, is_wide = instruction.opcode == CALL_OPCODE, instruction.opcode == WIDE_OPCODE
        if relocation.type not in (R_BPF_64_64, R_BPF_64_32):
            raise InputError(f"relocation type {relocation.type} has no place among instructions")
        if not (is_wide if relocation.type == R_BPF_64_64 else is_call):
            needed = "wide instruction" if relocation.type == R_BPF_64_64 else "call"
            reason = f"a relocation needs a {needed} where opcode {instruction.opcode:#04x} is"
            raise InputError(reason)
        if relocation.symbol.is_extern:
            return self._extern(instruction, relocation.symbol)
        section = self._elf.section_of(relocation.symbol)
        if is_call:
            return self._call(instruction, relocation.symbol, section)
        if section.is_code:
            return self._code_address(instruction, relocation.symbol, section)
        return self._data(instruction, relocation.symbol, section)

    def _call(self, instruction: Instruction, symbol: Symbol, section: Section) -> Linked:
        if instruction.src_reg != CALL_LOCAL or not section.is_code or symbol.value % SLOT_BYTES:
            raise InputError(f"a call cannot reach {symbol.name or section.name!r}")
        slot = symbol.value // SLOT_BYTES + instruction.imm + 1
        return Linked(instruction, callee=self._functions.at(section.index, slot))

    def _code_address(self, instruction: Instruction, symbol: Symbol, section: Section) -> Linked:
        offset = symbol.value + instruction.imm
        if offset % SLOT_BYTES:
            raise InputError(f"byte {offset:#x} of section {section.name} begins no instruction")
        linked = _wide(instruction, Immediate.CODE, 0)
        return Linked(linked, callee=self._functions.at(section.index, offset // SLOT_BYTES))

    def _data(self, instruction: Instruction, symbol: Symbol, section: Section) -> Linked:
        if section.name in (BTF_MAPS, LEGACY_MAPS):
            name = self._maps.places.get((section.index, symbol.value))
            if name is None:
                raise InputError(f"no map begins at byte {symbol.value:#x} of section {section.name}")
            return Linked(_wide(instruction, Immediate.MAP_BY_FD, 0), MapReference(name))
        if section.name == ARENA:
            return Linked(
                instruction, Trap(f"variable {symbol.name} lies in an arena, and arenas are not supported yet")
            )
        name = self._maps.data.get(section.index)
        if name is None:
            raise InputError(f"section {section.name} holds neither global data nor maps, but code refers to it")
        offset = symbol.value + instruction.imm
        if not 0 <= offset < section.size:
            raise InputError(f"byte {offset} lies outside section {section.name} of {section.size} bytes")
        signed = sign_extend(offset, 32)
        return Linked(_wide(instruction, Immediate.MAP_VALUE_BY_FD, signed), MapReference(name, offset))

    def _extern(self, instruction: Instruction, symbol: Symbol) -> Linked:
        is_call = instruction.opcode == CALL_OPCODE
        if is_call:
            linked = replace(instruction, src_reg=CALL_BTF, offset=0, imm=0)
        else:
            linked = _wide(instruction, Immediate.VALUE, 0)
        kind, type_id = self._externs.get(symbol.name, ("", 0))
        if not kind:
            reason = (
                f"{symbol.name} is not defined in the object, and its BTF does not say what it is (__ksym, __kconfig)"
            )
            return Linked(linked, Trap(reason))
        if is_call and kind != "kfunc":
            raise InputError(f"{symbol.name} is called, but it is a variable ({kind})")
        if kind == "kfunc" and not is_call:
            kind = "ksym"  # its address, as of any symbol
        return Linked(linked, Extern(symbol.name, kind, symbol.binding == WEAK, type_id))


def _wide(instruction: Instruction, immediate: Immediate, next_imm: int) -> Instruction:
    return replace(instruction, src_reg=immediate.value, offset=0, imm=0, next_imm=next_imm)


def _externs(btf: Btf) -> dict[str, tuple[str, int]]:
    """Kind and BTF id of every declared extern, by name."""
    found = {}
    for name in EXTERN_SECTIONS:
        type_id = btf.find(name, Kind.DATASEC)
        section = None if type_id is None else btf[type_id]
        for place in section.variables if isinstance(section, DataSec) else ():
            is_function = btf.kind(place.type) is Kind.FUNC
            kind = "kconfig" if name == ".kconfig" else "kfunc" if is_function else "ksym"
            found[btf[place.type].name] = kind, place.type
    return found
