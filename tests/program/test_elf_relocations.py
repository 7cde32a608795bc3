"""What relocations make of instructions: addresses of data and maps, externs, and everything that does not fit."""

from __future__ import annotations

import pytest
from program.elf_support import (
    ALLOC,
    CALL,
    EXIT,
    GLOBAL,
    LOCAL,
    MOV,
    NOTYPE,
    OBJECT,
    SECTION,
    WEAK,
    WIDE,
    WRITE,
    ElfWriter,
    MapTypes,
    call,
)

from pybpftime.errors import InputError
from pybpftime.isa import Instruction, validate
from pybpftime.program import Extern, MapReference, ProgramSpec, Trap, load_object
from pybpftime.program.btf import BtfBuilder, DataSec, Func, FuncProto, Int, Placement, Var
from pybpftime.program.btf.types import Linkage

UNDEFINED, ABSOLUTE, COMMON = 0, 0xFFF1, 0xFFF2
R_BPF_64_64, R_BPF_64_32 = 1, 10


def _load(elf: ElfWriter, name: str = "prog") -> ProgramSpec:
    return load_object(elf.build(), name="object.o").programs[name]


def _with_data(*instructions: Instruction) -> tuple[ElfWriter, int, int]:
    elf = ElfWriter()
    data = elf.add(".data", bytes(64), flags=ALLOC | WRITE)
    section = elf.program("xdp", "prog", *instructions, EXIT)
    return elf, data, section


def test_addresses_of_variables() -> None:
    elf, data, section = _with_data(
        WIDE, Instruction(0x18, 2, imm=60, next_imm=0), Instruction(0x18, 3, imm=-8, next_imm=0)
    )
    variable = elf.symbol("v", data, 16, 8, type=OBJECT)
    base = elf.symbol("", data, type=SECTION, binding=LOCAL)
    elf.relocate(section, (0, R_BPF_64_64, variable), (16, R_BPF_64_64, base), (32, R_BPF_64_64, variable))
    program = _load(elf)
    assert program.references == {
        0: MapReference(".data", 16),
        2: MapReference(".data", 60),
        4: MapReference(".data", 8),
    }
    assert program.instructions[2] == Instruction(0x18, 2, 2, imm=0, next_imm=60)


@pytest.mark.parametrize(("value", "imm"), [(64, 0), (0, 64), (0, -1), (1 << 62, 0)])
def test_addresses_outside_the_data(value: int, imm: int) -> None:
    elf, data, section = _with_data(Instruction(0x18, 1, imm=imm, next_imm=0))
    elf.relocate(section, (0, R_BPF_64_64, elf.symbol("v", data, value, 8, type=OBJECT)))
    with pytest.raises(InputError, match=r"lies outside section .data") as raised:
        _load(elf)
    assert (raised.value.section, raised.value.instruction) == ("xdp", 0)


def test_pointers_in_data_are_noted() -> None:
    elf, data, section = _with_data(WIDE)
    variable = elf.symbol("v", data, 0, 8, type=OBJECT)
    elf.relocate(data, (0, 2, variable))
    assert _load(elf).notes == ()
    elf.relocate(section, (0, R_BPF_64_64, variable))
    (note,) = _load(elf).notes
    assert "pointers in the initial values of .data are numbers" in note


def test_maps_are_found_by_place() -> None:
    types = MapTypes()
    definition = types.struct(type=types.number(2), key_size=types.number(4), value_size=types.number(4))
    types.map("one", definition)
    types.map("two", definition)
    elf = ElfWriter()
    maps = types.write(elf)
    section = elf.program("xdp", "prog", WIDE, EXIT)
    elf.relocate(section, (0, R_BPF_64_64, elf.symbol("two", maps, 64, 64, type=OBJECT)))
    program = _load(elf)
    assert program.references == {0: MapReference("two")}
    assert program.instructions[0] == Instruction(0x18, 1, 1, next_imm=0)
    elf.symbols[-1] = (*elf.symbols[-1][:4], 65, 64)
    with pytest.raises(InputError, match=r"no map begins at byte 0x41 of section .maps"):
        _load(elf)


def _externs(*, section: str = ".ksyms") -> ElfWriter:
    builder = BtfBuilder()
    number = builder.add(Int("int", 4, 32))
    proto = builder.add(FuncProto(number))
    function = builder.add(Func("function", proto, Linkage.EXTERN))
    variable = builder.add(Var("variable", number, Linkage.EXTERN))
    builder.add(DataSec(section, 0, (Placement(function, 0, 0), Placement(variable, 0, 4))))
    elf = ElfWriter()
    elf.add(".BTF", builder.to_bytes())
    return elf


@pytest.mark.parametrize("binding", [GLOBAL, WEAK])
def test_externs(binding: int) -> None:
    elf = _externs()
    section = elf.program("xdp", "prog", CALL, WIDE, WIDE, EXIT)
    function = elf.symbol("function", UNDEFINED, type=NOTYPE, binding=binding)
    variable = elf.symbol("variable", UNDEFINED, type=NOTYPE, binding=binding)
    elf.relocate(section, (0, R_BPF_64_32, function), (8, R_BPF_64_64, variable), (24, R_BPF_64_64, function))
    program = _load(elf)
    weak = binding == WEAK
    assert program.references == {
        0: Extern("function", "kfunc", weak, 3),
        1: Extern("variable", "ksym", weak, 4),
        3: Extern("function", "ksym", weak, 3),
    }
    assert program.instructions[0] == Instruction(0x85, 0, 2, imm=0)
    assert program.instructions[1] == WIDE
    validate(program.instructions)


def test_kernel_configuration() -> None:
    elf = _externs(section=".kconfig")
    section = elf.program("xdp", "prog", WIDE, EXIT)
    elf.relocate(section, (0, R_BPF_64_64, elf.symbol("variable", UNDEFINED, type=NOTYPE)))
    assert _load(elf).references == {0: Extern("variable", "kconfig", False, 4)}


def test_calls_of_variables_are_refused() -> None:
    elf = _externs()
    section = elf.program("xdp", "prog", CALL, EXIT)
    elf.relocate(section, (0, R_BPF_64_32, elf.symbol("variable", UNDEFINED, type=NOTYPE)))
    with pytest.raises(InputError, match=r"variable is called, but it is a variable .ksym."):
        _load(elf)


@pytest.mark.parametrize("instruction", [CALL, WIDE])
def test_undeclared_externs_are_traps(instruction: Instruction) -> None:
    elf = ElfWriter()
    section = elf.program("xdp", "prog", instruction, EXIT)
    kind = R_BPF_64_32 if instruction is CALL else R_BPF_64_64
    elf.relocate(section, (0, kind, elf.symbol("mystery", UNDEFINED, type=NOTYPE)))
    program = _load(elf)
    (reference,) = program.references.values()
    assert isinstance(reference, Trap)
    assert "mystery is not defined in the object" in reference.reason
    validate(program.instructions)


def test_arena_variables_are_traps() -> None:
    elf = ElfWriter()
    arena = elf.add(".addr_space.1", bytes(8), flags=ALLOC | WRITE)
    section = elf.program("xdp", "prog", WIDE, EXIT)
    elf.relocate(section, (0, R_BPF_64_64, elf.symbol("v", arena, 0, 8, type=OBJECT)))
    (reference,) = _load(elf).references.values()
    assert isinstance(reference, Trap)
    assert "arenas are not supported yet" in reference.reason


def test_relocations_of_nothing_are_skipped() -> None:
    elf = ElfWriter()
    section = elf.program("xdp", "prog", MOV, EXIT)
    elf.relocate(section, (0, 0, 1), (0, 0, 1))
    assert _load(elf).instructions == (MOV, EXIT)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([(0, R_BPF_64_64, "f")], "needs a wide instruction where opcode 0x85 is"),
        ([(8, R_BPF_64_32, "f")], "needs a call where opcode 0x18 is"),
        ([(24, R_BPF_64_32, "f")], "needs a call where opcode 0xb7 is"),
        ([(0, 2, "f")], "relocation type 2 has no place among instructions"),
        ([(0, 3, "f")], "relocation type 3 has no place"),
        ([(0, 99, "f")], "relocation type 99 has no place"),
        ([(16, R_BPF_64_64, "f")], "changes the second half of a wide instruction"),
        ([(4, R_BPF_64_32, "f")], "byte 0x4 begins no instruction"),
        ([(0, R_BPF_64_32, "f"), (0, R_BPF_64_32, "f")], "byte 0x0 has two relocations"),
        ([(1 << 40, R_BPF_64_32, "f")], "a relocation of byte 0x10000000000 lies outside section xdp"),
        ([(0, R_BPF_64_32, "nothing")], "there is no symbol 1000, the last is"),
        ([(0, R_BPF_64_32, "local")], "symbol '' is not defined"),
        ([(0, R_BPF_64_32, "absolute")], "symbol 'absolute' lies in no section"),
        ([(8, R_BPF_64_64, "common")], "symbol 'common' lies in no section; a global variable without a value"),
        ([(0, R_BPF_64_32, "beyond")], "symbol 'beyond' lies in section 500 of"),
        ([(0, R_BPF_64_32, "data")], "a call cannot reach 'data'"),
        ([(0, R_BPF_64_32, "inside")], "no function begins at byte 0x8 of section"),
        ([(0, R_BPF_64_32, "odd")], "a call cannot reach 'odd'"),
        ([(8, R_BPF_64_64, "inside")], "no function begins at byte 0x8 of section"),
        ([(8, R_BPF_64_64, "odd")], "byte 0x4 of section .text begins no instruction"),
        ([(8, R_BPF_64_64, "data")], "section other holds neither global data nor maps"),
    ],
)
def test_relocations_that_are_refused(entries: list[tuple[int, int, str]], reason: str) -> None:
    elf = ElfWriter()
    text = elf.code(".text", MOV, EXIT)
    other = elf.add("other", bytes(16), flags=ALLOC | WRITE)
    section = elf.program("xdp", "prog", CALL, WIDE, MOV, EXIT)
    symbols = {
        "f": elf.symbol("f", text, 0, 16),
        "nothing": 1000,
        "local": 0,
        "absolute": elf.symbol("absolute", ABSOLUTE, type=OBJECT),
        "common": elf.symbol("common", COMMON, type=OBJECT),
        "beyond": elf.symbol("beyond", 500, type=OBJECT),
        "data": elf.symbol("data", other, type=OBJECT),
        "inside": elf.symbol("inside", text, 8, type=SECTION, binding=LOCAL),
        "odd": elf.symbol("odd", text, 4, type=SECTION, binding=LOCAL),
    }
    elf.relocate(section, *((offset, kind, symbols[name]) for offset, kind, name in entries))
    with pytest.raises(InputError, match=reason) as raised:
        _load(elf)
    assert raised.value.file == "object.o"
    assert raised.value.section in ("xdp", ".relxdp")


def test_calls_within_a_section_must_reach_functions() -> None:
    elf = ElfWriter()
    elf.program("xdp", "prog", call(0), EXIT)
    with pytest.raises(InputError, match="no function begins at byte 0x8"):
        _load(elf)


def test_address_of_a_function_without_relocation() -> None:
    elf = ElfWriter()
    elf.program("xdp", "prog", Instruction(0x18, 1, 4, imm=1, next_imm=0), EXIT)
    with pytest.raises(InputError, match="the address of a function has no relocation"):
        _load(elf)
