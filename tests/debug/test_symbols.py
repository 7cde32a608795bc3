"""Lines, functions, scopes and variables of programs, as the debugger asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from program.btf_support import committed_objects
from program.dwarf_support import debug_file, loaded

from pybpftime.debug.flow import successors
from pybpftime.debug.symbols import DebugFile, Frame, ProgramSymbols, symbols_of
from pybpftime.program.btf import decode, format_bytes, type_name
from pybpftime.program.dwarf_expression import Constant, InRegister, MemoryAt, Pieces
from pybpftime.program.spec import Function, ProgramSpec

PARSER = "xdp_parser.bpf.c"


@cache
def symbols_in(path: Path) -> dict[str, ProgramSymbols]:
    """The symbols of every program of an object."""
    spec, _ = loaded(path)
    debug = debug_file(path)
    return {name: symbols_of(program, debug) for name, program in spec.programs.items()}


@pytest.fixture
def optimised(repository: Path) -> ProgramSymbols:
    return symbols_in(repository / "tests" / "programs" / "xdp_parser.bpf.o")["parse"]


@pytest.fixture
def plain(repository: Path) -> ProgramSymbols:
    return symbols_in(repository / "tests" / "programs" / "xdp_parser.O0.bpf.o")["parse"]


def every_program(repository: Path) -> Iterator[ProgramSymbols]:
    for path in committed_objects(repository):
        yield from symbols_in(path).values()


def line_of(repository: Path, text: str, name: str = PARSER) -> int:
    """The number of the one line of a source that contains `text`."""
    lines = (repository / "tests" / "programs" / name).read_text().splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if text in line]
    return number


# --- lines ------------------------------------------------------------------------------------------------------------


def test_every_line_with_code_can_be_stopped_at(repository: Path) -> None:
    checked = 0
    for symbols in every_program(repository):
        for file in symbols.files():
            lines = symbols.lines_of_file(file)
            assert list(lines) == sorted(set(lines)) and lines[0] > 0
            for line in lines:
                found = symbols.slots_of_line(file, line)
                assert found is not None and (found.file, found.line) == (file, line)
                assert found.slots and list(found.slots) == sorted(set(found.slots))
                assert all(symbols.spec.instructions[slot] is not None for slot in found.slots)
                checked += len(found.slots)
    assert checked > 3000


def test_lines_at_slots_are_lines_of_files(repository: Path) -> None:
    slots = known = 0
    for symbols in every_program(repository):
        lines = {file: set(symbols.lines_of_file(file)) for file in symbols.files()}
        places = [symbols.line_at(slot) for slot in range(len(symbols.spec.instructions))]
        assert all(place.line in lines[place.file] for place in places if place is not None)
        slots, known = slots + len(places), known + sum(place is not None for place in places)
        assert any(place.is_statement for place in places if place is not None)
        assert symbols.line_at(-1) is None and symbols.line_at(len(places)) is None
    assert known * 10 > slots * 7


def test_code_of_no_line_has_none(optimised: ProgramSymbols) -> None:
    """The compiler gives line 0 to what it cannot attribute; BTF gives it to the line before."""
    assert optimised.spec.line_at(2) is not None
    assert optimised.line_at(2) is None


def test_a_line_without_code_stands_for_the_next(plain: ProgramSymbols, repository: Path) -> None:
    comment = line_of(repository, "__u64 bytes = ") - 2
    found = plain.slots_of_line(PARSER, comment)
    assert found is not None
    assert found.line == min(line for line in plain.lines_of_file(PARSER) if line >= comment)
    assert plain.slots_of_line(PARSER, 10_000) is None
    assert plain.slots_of_line("other.c", 1) is None


@pytest.mark.parametrize(
    "name", ["xdp_parser.bpf.c", "programs/xdp_parser.bpf.c", "/src/tests/programs/xdp_parser.bpf.c"]
)
def test_files_are_found_by_the_end_of_their_names(plain: ProgramSymbols, name: str) -> None:
    assert plain.lines_of_file(name) == plain.lines_of_file("tests/programs/xdp_parser.bpf.c") != ()
    assert plain.lines_of_file("parser.bpf.c") == ()


def test_a_stop_at_a_line_is_the_first_code_of_it_on_any_way(repository: Path) -> None:
    """From the start of the function no code of the line is reached without passing one of the stops."""
    for path in ("xdp_parser.O0.bpf.o", "subprograms.O0.bpf.o", "callbacks.O0.bpf.o"):
        for symbols in symbols_in(repository / "tests" / "programs" / path).values():
            for line in symbols.lines_of_file(symbols.files()[0]):
                stops = symbols.slots_of_line(symbols.files()[0], line)
                assert stops is not None
                for function in symbols.spec.functions:
                    reached = _reached(symbols, function, set(stops.slots))
                    lines = {place.line for slot in reached if (place := symbols.line_at(slot)) and place.is_statement}
                    assert line not in lines or line == _first_line(symbols, function)


def _reached(symbols: ProgramSymbols, function: Function, stops: set[int]) -> set[int]:
    seen: set[int] = set()
    pending = [function.start]
    while pending:
        slot = pending.pop()
        if slot not in seen and slot not in stops and function.start <= slot < function.end:
            seen.add(slot)
            pending += successors(symbols.spec.instructions, slot)
    return seen


def _first_line(symbols: ProgramSymbols, function: Function) -> int:
    place = symbols.line_at(function.start)
    return place.line if place else 0


# --- functions --------------------------------------------------------------------------------------------------------


def test_functions_stop_behind_their_prologue(plain: ProgramSymbols, repository: Path) -> None:
    (slot,) = plain.slots_of_function("is_blocked")
    function = plain.spec.function_at(slot)
    assert function is not None and function.name == "is_blocked" and slot > function.start
    place = plain.line_at(slot)
    assert place is not None and place.line == line_of(repository, "for (int i = 0; i < 4; i++)")
    assert plain.slots_of_line(PARSER, line_of(repository, "int is_blocked(__u16 port)") + 1) is not None
    assert plain.slots_of_function("nobody") == ()


def test_inlined_functions_stop_in_each_copy(optimised: ProgramSymbols) -> None:
    slots = optimised.slots_of_function("take")
    assert len(slots) > 5 and "take" in optimised.functions()
    for slot in slots:
        innermost = optimised.scopes_at(slot)[0]
        assert (innermost.name, innermost.is_inlined, innermost.is_entry) == ("take", True, True)


def test_a_line_that_only_calls_an_inlined_function_has_the_code_of_the_copy(
    optimised: ProgramSymbols, repository: Path
) -> None:
    line = line_of(repository, "struct ethhdr *ethernet = take(")
    found = optimised.slots_of_line(PARSER, line)
    assert found is not None and found.line == line
    names = [(frame.name, frame.line and frame.line.line) for frame in optimised.scopes_at(found.slots[0])]
    assert [name for name, _ in names] == ["take", "parse_ethernet", "parse_frame", "parse"]
    assert names[1][1] == line


# --- scopes and variables ---------------------------------------------------------------------------------------------


def test_every_slot_has_a_real_function_last(repository: Path) -> None:
    for symbols in every_program(repository):
        for slot in range(len(symbols.spec.instructions)):
            *copies, real = symbols.scopes_at(slot)
            function = symbols.spec.function_at(slot)
            assert function is not None and real.name == function.name and not real.is_inlined
            assert all(copy.is_inlined for copy in copies)
            lines = [frame.line and frame.line.line for frame in symbols.scopes_at(slot)[1:]]
            assert lines == [copy.call_line or None for copy in copies]
        assert symbols.scopes_at(len(symbols.spec.instructions)) == ()


def test_without_optimisation_every_variable_has_a_place_everywhere(repository: Path) -> None:
    checked = 0
    frame = Frame([None] * 10 + [0x9000], lambda address, size: None, lambda section, offset: 0x100 + offset)
    for path in committed_objects(repository):
        for symbols in symbols_in(path).values() if ".O0." in path.name else ():
            assert symbols.types is not None
            for slot in range(len(symbols.spec.instructions)):
                (scope,) = symbols.scopes_at(slot)
                for variable in scope.variables:
                    place = variable.evaluate(frame)
                    assert isinstance(place, MemoryAt)
                    if place.address > 0x1000:
                        assert place.address >= 0x9000 - 512
                        assert place.address + symbols.types.size_of(variable.type_id) <= 0x9000
                    checked += 1
    assert checked > 10_000


def test_locations_of_optimised_variables_can_be_evaluated(repository: Path) -> None:
    """Nothing that clang 19 writes is unknown, where registers and memory are known."""
    frame = Frame([0x1000] * 10 + [0x9000], lambda address, size: bytes(size), lambda section, offset: 0x100 + offset)
    kinds = set()
    for symbols in every_program(repository):
        for slot in range(len(symbols.spec.instructions)):
            for scope in symbols.scopes_at(slot):
                for variable in scope.variables:
                    place = variable.evaluate(frame)
                    assert (place is None) == (variable.expression is None)
                    kinds.add(type(place))
    assert kinds >= {MemoryAt, InRegister, Constant, Pieces, type(None)}


def test_variables_of_a_scope_come_in_order(plain: ProgramSymbols, repository: Path) -> None:
    stops = plain.slots_of_line(PARSER, line_of(repository, "struct tcphdr *tcp = take("))
    assert stops is not None
    (frame,) = plain.scopes_at(stops.slots[0])
    assert [(one.name, one.is_parameter, one.depth) for one in frame.variables] == [
        ("rest", True, 0), ("flow", True, 0), ("tcp", False, 1),
    ]  # fmt: skip
    tcp = frame.variable("tcp")
    assert tcp is not None and plain.types is not None
    assert type_name(plain.types, tcp.type_id) == "struct tcphdr *"
    assert (tcp.file, tcp.line) == (
        "tests/programs/xdp_parser.bpf.c",
        line_of(repository, "struct tcphdr *tcp = take("),
    )
    assert frame.variable("udp") is None


def test_values_of_variables_can_be_read(plain: ProgramSymbols, repository: Path) -> None:
    """A frame made by hand: the place of each variable holds what was put there."""
    stops = plain.slots_of_line(PARSER, line_of(repository, "enum xdp_action verdict = "))
    assert stops is not None and plain.types is not None
    (frame,) = plain.scopes_at(stops.slots[0])
    protocol, flow = frame.variable("protocol"), frame.variable("flow")
    assert protocol is not None and flow is not None
    state = Frame([None] * 10 + [0x9000], lambda address, size: None)
    places = [variable.evaluate(state) for variable in (protocol, flow)]
    assert all(isinstance(place, MemoryAt) for place in places)
    assert format_bytes(plain.types, protocol.type_id, (6).to_bytes(4, "little")) == "IPV6_UDP"
    value = decode(plain.types, flow.type_id, bytes(plain.types.size_of(flow.type_id)))
    assert isinstance(value, dict) and "source_port" in value


def test_a_variable_of_an_inner_block_hides_an_outer_one() -> None:
    from program.dwarf_support import DwarfWriter, node

    from pybpftime.program import load_object

    inner = node("block", node("variable", name="v", location=b"\x52"), low_pc=8, high_pc=8)
    data = DwarfWriter(
        node("subprogram", node("variable", name="v", location=b"\x51"), inner, name="prog", low_pc=0, high_pc=16)
    ).build()
    (spec,) = load_object(data).programs.values()
    symbols = symbols_of(spec, DebugFile(data))
    state = Frame([0] * 11, lambda address, size: None)
    places = []
    for slot in (0, 1):
        variable = symbols.scopes_at(slot)[0].variable("v")
        assert variable is not None
        places.append(variable.evaluate(state))
    assert places == [InRegister(1), InRegister(2)]
    assert [one.depth for one in symbols.scopes_at(1)[0].variables] == [0, 1]


def test_static_variables_of_functions_and_globals(repository: Path) -> None:
    symbols = next(iter(symbols_in(repository / "tests" / "programs" / "globals.bpf.o").values()))
    assert {variable.section for variable in symbols.variables()} >= {".rodata", ".data", ".bss"}


# --- without DWARF ----------------------------------------------------------------------------------------------------


def test_without_debug_information_lines_come_from_btf(repository: Path) -> None:
    spec, _ = loaded(repository / "tests" / "programs" / "xdp_parser.bpf.o")
    program = spec.programs["parse"]
    symbols = symbols_of(program)
    assert not symbols.has_dwarf and symbols.types is None and symbols.note
    place = symbols.line_at(1)
    line = program.line_at(1)
    assert place is not None and line is not None
    assert (place.line, place.column, place.is_statement) == (line.line, line.column, True)
    assert symbols.files() == ("tests/programs/xdp_parser.bpf.c",)
    assert symbols.functions() == ("parse",)
    assert symbols.slots_of_function("parse") == (0,)
    assert [frame.name for frame in symbols.scopes_at(5)] == ["parse"]


def test_a_program_of_no_file_has_neither_lines_nor_functions() -> None:
    spec = ProgramSpec("raw", (None,))
    symbols = symbols_of(spec)
    assert (symbols.line_at(0), symbols.files(), symbols.functions()) == (None, (), ())
    assert symbols.scopes_at(0) == () and symbols.slots_of_line("x.c", 1) is None


def test_debug_information_of_another_file_is_not_used(repository: Path) -> None:
    spec, _ = loaded(repository / "tests" / "programs" / "tracepoint.bpf.o")
    program = spec.programs["enter_openat"]
    symbols = symbols_of(program, DebugFile(repository / "tests" / "programs" / "xdp_parser.bpf.o"))
    assert not symbols.has_dwarf and symbols.note is not None and symbols.line_at(0) is not None


def test_a_file_that_cannot_be_read_is_a_note(tmp_path: Path) -> None:
    debug = DebugFile(tmp_path / "absent.o")
    assert debug.info is None
    assert debug.note is not None and "absent.o" in debug.note and "No such file" in debug.note
