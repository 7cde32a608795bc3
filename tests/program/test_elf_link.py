"""Programs out of functions: who is a program, in which order subprograms follow, what relocations make of code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program.elf_support import (
    ALLOC,
    CALL,
    EXIT,
    FUNC,
    GLOBAL,
    LOCAL,
    MOV,
    NOTYPE,
    SECTION,
    WEAK,
    WIDE,
    ElfWriter,
    call,
)

from pybpftime.errors import InputError
from pybpftime.isa import Instruction, validate
from pybpftime.isa.encoding import MAX_SLOTS
from pybpftime.program import ProgramSpec, load_object
from pybpftime.uapi import ProgramType

UNDEFINED, ABSOLUTE, COMMON = 0, 0xFFF1, 0xFFF2
R_BPF_64_64, R_BPF_64_32 = 1, 10


def _load(elf: ElfWriter, name: str = "prog") -> ProgramSpec:
    return load_object(elf.build(), name="object.o").programs[name]


def _names(program: ProgramSpec) -> list[str]:
    return [function.name for function in program.functions]


def _targets(program: ProgramSpec) -> list[str]:
    """The function that each local call reaches, in order of slots."""
    starts = {function.start: function.name for function in program.functions}
    return [
        starts[slot + 1 + instruction.imm]
        for slot, instruction in enumerate(program.instructions)
        if instruction is not None and instruction.opcode == 0x85 and instruction.src_reg == 1
    ]


# --- which functions are programs -------------------------------------------------------------------------------------


def test_several_programs_of_a_section() -> None:
    elf = ElfWriter()
    section = elf.code("tc", MOV, EXIT, MOV, MOV, EXIT)
    elf.symbol("second", section, 16, 24, binding=WEAK)
    elf.symbol("first", section, 0, 16)
    programs = load_object(elf.build()).programs
    assert list(programs) == ["first", "second"]
    assert programs["second"].instructions == (MOV, MOV, EXIT)
    assert programs["second"].section == "tc"
    assert programs["second"].type is ProgramType.BPF_PROG_TYPE_SCHED_CLS


def test_code_that_no_symbol_names_is_left_out() -> None:
    """The static linker leaves the code of a weak function that another one replaces, with its relocations."""
    elf = ElfWriter()
    section = elf.code("xdp", CALL, EXIT, MOV, EXIT)
    elf.symbol("prog", section, 16, 16)
    elf.relocate(section, (0, R_BPF_64_32, elf.symbol("gone", UNDEFINED, type=NOTYPE)))
    assert _load(elf).instructions == (MOV, EXIT)


def test_one_function_with_two_names() -> None:
    elf = ElfWriter()
    section = elf.code("xdp", MOV, EXIT)
    elf.symbol("local", section, 0, 16, binding=LOCAL)
    elf.symbol("prog", section, 0, 16)
    elf.symbol("alias", section, 0, 16)
    assert list(load_object(elf.build()).programs) == ["prog"]


def test_symbols_without_type_and_size() -> None:
    """As clang wrote them before version 4."""
    elf = ElfWriter()
    section = elf.code("socket1", MOV, EXIT, MOV, MOV, EXIT)
    elf.symbol("second", section, 16, type=NOTYPE)
    elf.symbol("first", section, 0, type=NOTYPE)
    elf.symbol("label", section, 24, type=NOTYPE, binding=LOCAL)
    programs = load_object(elf.build()).programs
    assert [len(program.instructions) for program in programs.values()] == [2, 3]
    assert "earlier ones did" in programs["first"].notes[0]


def test_an_object_with_text_alone() -> None:
    elf = ElfWriter()
    section = elf.code(".text", CALL, EXIT, MOV, EXIT)
    elf.symbol("prog", section, 0, 16)
    elf.symbol("helper", section, 16, 16, binding=LOCAL)
    elf.relocate(section, (0, R_BPF_64_32, 2))
    program = _load(elf)
    assert program.type is ProgramType.BPF_PROG_TYPE_UNSPEC
    assert _names(program) == ["prog", "helper"]
    assert any("libbpf takes prog as a subprogram" in note for note in program.notes)


def test_static_function_beside_a_program() -> None:
    elf = ElfWriter()
    section = elf.code("xdp", call(1), EXIT, MOV, EXIT)
    elf.symbol("prog", section, 0, 16)
    elf.symbol("helper", section, 16, 16, binding=LOCAL)
    program = _load(elf)
    assert list(load_object(elf.build()).programs) == ["prog"]
    assert _names(program) == ["prog", "helper"]
    assert program.notes == ("libbpf refuses the static function helper in section xdp",)


def test_global_and_hidden_functions() -> None:
    elf = ElfWriter()
    text = elf.code(".text", MOV, EXIT, MOV, EXIT, MOV, EXIT)
    for index, (name, binding, visibility) in enumerate((("a", GLOBAL, 0), ("b", LOCAL, 0), ("c", GLOBAL, 2))):
        elf.symbol(name, text, 16 * index, 16, binding=binding, visibility=visibility)
    section = elf.program("xdp", "prog", CALL, CALL, CALL, EXIT)
    elf.relocate(section, *((8 * index, R_BPF_64_32, 1 + index) for index in range(3)))
    assert [function.is_global for function in _load(elf).functions] == [True, True, False, False]


@pytest.mark.parametrize(
    ("symbols", "reason"),
    [
        ([("a", 0, 16), ("b", 8, 24)], "functions a and b share bytes"),
        ([("a", 0, 16), ("b", 0, 24)], "functions a and b share bytes"),
        ([("a", 0, 0)], "function a .0 bytes. does not consist of whole instructions"),
        ([("a", 0, 12)], "function a .12 bytes. does not consist of whole instructions"),
        ([("a", 4, 8)], "does not consist of whole instructions"),
        ([("a", 0, 64)], "function a .64 bytes. does not lie inside the section"),
        ([("a", 1 << 63, 1 << 63)], "does not lie inside the section"),
        ([("", 0, 16)], "a function has no name"),
        ([("a", 0, 16), ("a", 16, 16)], "two programs named a"),
        ([("a", 0, 24)], "function a begins or ends within a wide instruction"),
        ([("a", 24, 8)], "function a begins or ends within a wide instruction"),
    ],
)
def test_functions_that_are_refused(symbols: list[tuple[str, int, int]], reason: str) -> None:
    elf = ElfWriter()
    section = elf.code("xdp", MOV, EXIT, WIDE)
    for name, value, size in symbols:
        elf.symbol(name, section, value, size)
    with pytest.raises(InputError, match=reason) as raised:
        load_object(elf.build(), name="object.o")
    assert (raised.value.file, raised.value.section) == ("object.o", "xdp")


# --- the order of subprograms -----------------------------------------------------------------------------------------


def test_order_is_that_of_first_calls() -> None:
    """The example in libbpf: a subprogram's own calls are followed before its caller goes on."""
    elf = ElfWriter()
    text = elf.code(".text", MOV, EXIT, CALL, EXIT, CALL, EXIT)
    for index, name in enumerate("BAC"):
        elf.symbol(name, text, 16 * index, 16)
    elf.relocate(text, (16, R_BPF_64_32, 1), (32, R_BPF_64_32, 1))
    section = elf.program("xdp", "prog", CALL, CALL, CALL, EXIT)
    elf.relocate(section, (0, R_BPF_64_32, 2), (8, R_BPF_64_32, 3), (16, R_BPF_64_32, 2))
    other = elf.program("tc", "other", CALL, EXIT)
    elf.relocate(other, (0, R_BPF_64_32, 3))
    program = _load(elf)
    assert _names(program) == ["prog", "A", "B", "C"]
    assert _targets(program) == ["A", "C", "A", "B", "B"]
    assert _names(_load(elf, "other")) == ["other", "C", "B"]


def test_recursion() -> None:
    elf = ElfWriter()
    text = elf.code(".text", CALL, EXIT, CALL, EXIT)
    elf.symbol("even", text, 0, 16)
    elf.symbol("odd", text, 16, 16)
    elf.relocate(text, (0, R_BPF_64_32, 2), (16, R_BPF_64_32, 1))
    section = elf.program("xdp", "prog", CALL, call(-2), EXIT)
    elf.relocate(section, (0, R_BPF_64_32, 1))
    program = _load(elf)
    assert _names(program) == ["prog", "even", "odd"]
    assert _targets(program) == ["even", "prog", "odd", "even"]


def test_a_chain_of_ten_thousand_functions() -> None:
    count = 10_000
    elf = ElfWriter()
    text = elf.code(".text", *[call(1), EXIT] * (count - 1), MOV, EXIT)
    for index in range(count):
        elf.symbol(f"f{index}", text, 16 * index, 16, binding=LOCAL)
    section = elf.program("xdp", "prog", CALL, EXIT)
    elf.relocate(section, (0, R_BPF_64_32, 1))
    program = _load(elf)
    assert len(program.functions) == count + 1
    assert program.functions[-1].name == f"f{count - 1}"


FUNCTIONS = 6


@given(
    st.lists(st.lists(st.integers(1, FUNCTIONS - 1), max_size=3), min_size=FUNCTIONS, max_size=FUNCTIONS), st.booleans()
)
def test_calls_lead_where_they_led(calls: list[list[int]], static: bool) -> None:
    """Function i begins with r0 = i and calls `calls[i]`; f0 is the program.  Every call still finds its mark."""
    sizes = [2 + len(callees) for callees in calls]
    starts = [0, *(sum(sizes[1:index]) for index in range(1, FUNCTIONS))]
    code: dict[int, list[Instruction]] = {0: [], 1: []}
    entries: dict[int, list[tuple[int, int, int]]] = {0: [], 1: []}
    for index, callees in enumerate(calls):
        body, relocations = code[index > 0], entries[index > 0]
        body.append(Instruction(0xB7, imm=index))
        for callee in callees:
            if static and index:  # within a section clang leaves no relocation
                body.append(call(starts[callee] - len(body) - 1))
            else:
                relocations.append((8 * len(body), R_BPF_64_32, FUNCTIONS + 1 if static else callee + 1))
                body.append(call(starts[callee] - 1) if static else CALL)
        body.append(EXIT)
    elf = ElfWriter()
    xdp, text = elf.code("xdp", *code[0]), elf.code(".text", *code[1])
    for index, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        binding = LOCAL if static and index else GLOBAL
        elf.symbol(f"f{index}", text if index else xdp, 8 * start, 8 * size, binding=binding)
    elf.symbol("", text, type=SECTION, binding=LOCAL)
    elf.relocate(xdp, *entries[0])
    elf.relocate(text, *entries[1])
    program = _load(elf, "f0")
    validate(program.instructions)
    found = {function.name: function for function in program.functions}
    assert set(found) == {f"f{index}" for index in _reachable(calls)}
    for name, function in found.items():
        body = [each for each in program.instructions[function.start : function.end] if each is not None]
        assert body[0] == Instruction(0xB7, imm=int(name[1:]))
        targets = [function.start + slot + 1 + body[slot].imm for slot in range(1, len(body) - 1)]
        marks = [program.instructions[target] for target in targets]
        assert marks == [Instruction(0xB7, imm=callee) for callee in calls[int(name[1:])]]


def _reachable(calls: list[list[int]]) -> set[int]:
    found, pending = {0}, [0]
    while pending:
        new = set(calls[pending.pop()]) - found
        found |= new
        pending += new
    return found


def test_static_functions_are_called_through_their_section() -> None:
    elf = ElfWriter()
    text = elf.code(".text", MOV, EXIT, MOV, MOV, EXIT)
    elf.symbol("one", text, 0, 16, binding=LOCAL)
    elf.symbol("two", text, 16, 24, binding=LOCAL)
    symbol = elf.symbol("", text, type=SECTION, binding=LOCAL)
    section = elf.program("xdp", "prog", call(1), call(-1), EXIT)
    elf.relocate(section, (0, R_BPF_64_32, symbol), (8, R_BPF_64_32, symbol))
    assert _targets(_load(elf)) == ["two", "one"]


def test_addresses_of_functions() -> None:
    elf = ElfWriter()
    text = elf.code(".text", MOV, EXIT, MOV, MOV, EXIT)
    one = elf.symbol("one", text, 0, 16)
    elf.symbol("two", text, 16, 24, binding=LOCAL)
    symbol = elf.symbol("", text, type=SECTION, binding=LOCAL)
    section = elf.program("xdp", "prog", Instruction(0x18, 2, imm=16, next_imm=0), WIDE, EXIT)
    elf.relocate(section, (0, R_BPF_64_64, symbol), (16, R_BPF_64_64, one))
    program = _load(elf)
    assert _names(program) == ["prog", "two", "one"]
    assert program.instructions[0] == Instruction(0x18, 2, 4, imm=program.functions[1].start - 1, next_imm=0)
    assert program.instructions[2] == Instruction(0x18, 1, 4, imm=program.functions[2].start - 3, next_imm=0)
    assert program.references == {}


def test_programs_together_are_limited() -> None:
    """Many small programs that share a large subprogram would fill memory."""
    elf = ElfWriter()
    size, count = 20_000, MAX_SLOTS // 20_000
    text = elf.code(".text", *[MOV] * (size - 1), EXIT)
    elf.symbol("large", text, 0, 8 * size)
    section = elf.code("xdp", *[CALL, EXIT] * count)
    for index in range(count):
        elf.symbol(f"p{index}", section, 16 * index, 16)
    elf.relocate(section, *((16 * index, R_BPF_64_32, 1) for index in range(count)))
    with pytest.raises(InputError, match=f"more than {MAX_SLOTS} instructions together"):
        load_object(elf.build())


def test_code_that_is_cut_off() -> None:
    elf = ElfWriter()
    section = elf.add("xdp", MOV.encode() + b"\x95\0\0", flags=ALLOC | 4)
    elf.symbol("prog", section, 0, 8, type=FUNC)
    with pytest.raises(InputError, match=r"section xdp: .*11 bytes of code are no multiple of 8"):
        _load(elf)
