"""Debug information of the committed objects: lines, functions, variables, places; and what clang 19 seldom writes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from program.btf_support import committed_objects
from program.dwarf_support import Node, loaded, node, read_nodes

from pybpftime.program import load_object
from pybpftime.program.btf import Func, FuncProto, Kind, type_name
from pybpftime.program.debug_info import DebugInfo, Scope, ScopeKind, Variable
from pybpftime.program.dwarf_expression import Constant, Context, UnitTables, evaluate
from pybpftime.program.elf_dwarf import read_debug_info
from pybpftime.program.spec import Function, ObjectSpec, ProgramSpec

CLANG = shutil.which("clang-19")


def functions_of(spec: ObjectSpec) -> dict[tuple[str, int], tuple[ProgramSpec, Function]]:
    """Each function of an object once, by its place."""
    found = {}
    for program in spec.programs.values():
        for function in program.functions:
            assert function.section is not None
            found[function.section, function.offset] = (program, function)
    return found


def no_memory(address: int, size: int) -> None:
    return None


def constant(variable: Variable) -> bytes | None:
    """The value of a variable whose only location is a constant."""
    (one,) = variable.locations
    location = evaluate(one.expression, Context((), no_memory))
    return location.data if isinstance(location, Constant) else None


# --- origin of code ---------------------------------------------------------------------------------------------------


def test_slots_have_origins_and_origins_have_slots(repository: Path) -> None:
    for path in committed_objects(repository):
        spec, _ = loaded(path)
        for program in spec.programs.values():
            origins = [program.origin_of(slot) for slot in range(len(program.instructions))]
            assert len(set(origins)) == len(origins)
            assert [program.slot_from(*origin) for origin in origins if origin] == list(range(len(origins)))
            assert program.origin_of(len(origins)) is None
            assert program.functions[0].section is not None
            assert program.functions[0].section.removeprefix("?") == program.section


def test_subprograms_come_from_another_section(repository: Path) -> None:
    spec, _ = loaded(repository / "tests" / "programs" / "subprograms.O0.bpf.o")
    program = spec.programs["checksum"]
    sections = {function.name: function.section for function in program.functions}
    assert sections["checksum"] == "xdp"
    assert {section for name, section in sections.items() if name != "checksum"} == {".text"}
    assert program.slot_from(".rodata", 0) is None


def test_raw_programs_have_no_origin() -> None:
    spec = ProgramSpec("raw", (), functions=(Function("raw", 0, 4),))
    assert spec.origin_of(0) is None
    assert spec.slot_from("xdp", 0) is None


# --- functions and lines ----------------------------------------------------------------------------------------------


def test_every_function_is_known_with_its_extent_and_type(repository: Path) -> None:
    for path in committed_objects(repository):
        spec, info = loaded(path)
        for (section, offset), (program, function) in functions_of(spec).items():
            scope = info.function_at(section, offset)
            assert scope is not None
            assert (scope.name, scope.kind, scope.entry) == (function.name, ScopeKind.FUNCTION, offset)
            assert scope.ranges == ((section, offset, offset + 8 * (function.end - function.start)),)
            prototype = info.types[scope.type_id]
            assert isinstance(prototype, FuncProto)
            assert program.btf is not None
            declared = program.btf[function.type_id]
            if isinstance(declared, Func):
                other = program.btf[declared.type]
                assert isinstance(other, FuncProto)
                assert [type_name(info.types, one.type) for one in prototype.params] == [
                    type_name(program.btf, one.type) for one in other.params
                ]
                assert type_name(info.types, prototype.returns) == type_name(program.btf, other.returns)


def test_every_instruction_has_a_row_and_rows_agree_with_btf(repository: Path) -> None:
    """BTF has a record where a line begins; DWARF has the same line there.

    A function's first instruction may have a line of its own in BTF only.
    """
    compared = 0
    for path in committed_objects(repository):
        spec, info = loaded(path)
        for (section, offset), (program, function) in functions_of(spec).items():
            for slot in range(function.start, function.end):
                place = program.origin_of(slot)
                assert place is not None and info.row_at(*place) is not None
            for line in program.lines:
                row = info.row_at(section, offset + 8 * (line.start - function.start))
                if function.start < line.start < function.end:
                    compared += 1
                    assert row is not None and (row.line, row.column) == (line.line, line.column)
                    assert line.file.endswith(row.file)
    assert compared > 2000


def test_rows_are_in_order_and_end(repository: Path) -> None:
    for path in committed_objects(repository):
        _, info = loaded(path)
        for rows in info.rows.values():
            assert [row.offset for row in rows] == sorted(row.offset for row in rows)
            assert rows[-1].end and not rows[0].end
            assert info.row_at(rows[0].section, rows[-1].offset) is None


def test_files_have_the_checksum_of_what_was_compiled(repository: Path) -> None:
    import hashlib

    _, info = loaded(repository / "tests" / "programs" / "xdp_parser.bpf.o")
    name = "tests/programs/xdp_parser.bpf.c"
    assert info.files[name].md5 == hashlib.md5((repository / name).read_bytes()).hexdigest()
    assert "/usr/include/linux/ip.h" in info.files
    assert info.producers and info.producers[0].startswith("Debian clang version 19")


# --- scopes and variables ---------------------------------------------------------------------------------------------


def test_scopes_lie_inside_their_parents(repository: Path) -> None:
    inlined = 0
    for path in committed_objects(repository):
        _, info = loaded(path)
        for function in info.functions:
            for scope in function.walk():
                inlined += scope.kind is ScopeKind.INLINED
                assert any(range.start <= scope.entry < range.end for range in scope.ranges)
                for child in scope.children:
                    assert all(_is_inside(range, scope) for range in child.ranges)
                    assert child.call_line == 0 or child.kind is ScopeKind.INLINED
    assert inlined > 100


def _is_inside(range: tuple[str, int, int], scope: Scope) -> bool:
    section, start, end = range
    return all(scope.covers(section, offset) for offset in (start, end - 1))


def test_locations_lie_inside_their_functions(repository: Path) -> None:
    lists = 0
    for path in committed_objects(repository):
        _, info = loaded(path)
        for function in info.functions:
            for scope in function.walk():
                for variable in scope.variables:
                    ranges = [one.range for one in variable.locations if one.range is not None]
                    lists += bool(ranges)
                    assert all(_is_inside(range, function) for range in ranges)
    assert lists > 500


def test_without_optimisation_every_variable_has_one_place(repository: Path) -> None:
    for path in committed_objects(repository):
        if ".O0." in path.name:
            _, info = loaded(path)
            for function in info.functions:
                for scope in function.walk():
                    for variable in scope.variables:
                        (one,) = variable.locations
                        assert one.range is None and one.expression


def test_variables_of_copies_keep_the_order_of_the_source(repository: Path) -> None:
    """Also those that the compiler left out of the copy, which have no location."""
    _, info = loaded(repository / "tests" / "programs" / "xdp_parser.bpf.o")
    copies = [scope for function in info.functions for scope in function.walk() if scope.name == "take"]
    assert len(copies) > 5
    for copy in copies:
        assert [variable.name for variable in copy.variables] == ["rest", "length", "start"]
        assert [variable.is_parameter for variable in copy.variables] == [True, True, False]
        assert copy.variables[0].locations == ()


def test_global_variables_have_places(repository: Path) -> None:
    spec, info = loaded(repository / "tests" / "programs" / "globals.bpf.o")
    assert spec.btf is not None
    expected = set()
    for record in spec.btf:
        if record.kind is Kind.DATASEC:
            expected |= {(spec.btf[one.type].name, record.name, one.offset) for one in record.variables}  # type: ignore[union-attr]
    found = {(one.name, one.section, one.offset) for one in info.variables}
    assert found and found <= expected


# --- by hand ----------------------------------------------------------------------------------------------------------


def _function(*children: Node, **attributes: str | int | bytes | Node) -> Scope:
    number = node("base", name="int", encoding=5, byte_size=4)
    info = read_nodes(number, node("subprogram", *children, **({"name": "f", "low_pc": 0, "high_pc": 16} | attributes)))
    return info.functions[0]


def test_constants_become_expressions() -> None:
    function = _function(
        node("variable", name="negative", const_value=-2),
        node("variable", name="positive", const_value=200),
        node("variable", name="text", const_value="ab"),
        node("variable", name="bytes", const_value=b"\1\2\3"),
    )
    values = {variable.name: constant(variable) for variable in function.variables}
    assert values == {
        "negative": b"\xfe" + b"\xff" * 7, "positive": (200).to_bytes(8, "little"), "text": b"ab\0", "bytes": b"\1\2\3",
    }  # fmt: skip


def test_names_come_from_the_abstract_function() -> None:
    parameter = node("parameter", name="p", decl_line=3)
    left_out = node("variable", name="q", decl_line=4)
    abstract = node("subprogram", parameter, left_out, name="inner", decl_line=2)
    copy = node(
        "inlined", node("parameter", abstract_origin=parameter, location=b"\x51"), abstract_origin=abstract,
        low_pc=8, high_pc=8, call_line=9,
    )  # fmt: skip
    info = read_nodes(abstract, node("subprogram", copy, name="outer", low_pc=0, high_pc=16))
    (outer,) = info.functions
    (inner,) = outer.children
    assert (inner.name, inner.line, inner.call_line, inner.kind) == ("inner", 2, 9, ScopeKind.INLINED)
    assert [(one.name, one.line, one.is_parameter) for one in inner.variables] == [("p", 3, True), ("q", 4, False)]
    assert [len(one.locations) for one in inner.variables] == [1, 0]
    assert inner.variables[0].expression_at("xdp", 8) == b"\x51"
    assert inner.variables[1].expression_at("xdp", 8) is None


def test_a_declaration_is_completed_by_its_definition() -> None:
    declared = node("subprogram", name="method", decl_line=7, external=True, declaration=True)
    info = read_nodes(declared, node("subprogram", specification=declared, low_pc=0, high_pc=16))
    assert [(one.name, one.line, one.is_external) for one in info.functions] == [("method", 7, True)]


def test_blocks_without_code_are_left_out_and_their_children_kept() -> None:
    inner = node("block", node("variable", name="v", location=b"\x91\0"), low_pc=8, high_pc=8)
    function = _function(node("block", inner))
    assert [child.kind for child in function.children] == [ScopeKind.BLOCK]
    assert function.children[0].variables[0].name == "v"


def test_entries_that_refer_in_circles_have_no_name() -> None:
    one, other = node("subprogram", low_pc=0, high_pc=16), node("subprogram")
    one.attributes["abstract_origin"], other.attributes["abstract_origin"] = other, one
    assert [function.name for function in read_nodes(one, other).functions] == [""]


def test_objects_without_debug_information(repository: Path) -> None:
    from program.elf_support import EXIT, MOV, ElfWriter

    elf = ElfWriter()
    elf.program("xdp", "prog", MOV, EXIT)
    assert read_debug_info(elf.build()) is None
    assert UnitTables(sections=("", "xdp")).place_of(5 << 32) is None


# --- DWARF 4, compiled ------------------------------------------------------------------------------------------------


def _compiled(repository: Path, folder: Path, *flags: str) -> tuple[ObjectSpec, DebugInfo]:
    assert CLANG is not None
    output = folder / "".join(["made", *flags, ".o"])
    source = repository / "tests" / "programs" / "xdp_parser.bpf.c"
    command = [CLANG, *flags, "-target", "bpf", "-mcpu=v3", "-idirafter", "/usr/include/x86_64-linux-gnu"]
    done = subprocess.run([*command, "-c", str(source), "-o", str(output)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the headers of libbpf and Linux: {done.stderr[:200]}")
    info = read_debug_info(output.read_bytes())
    assert info is not None
    return load_object(output), info


@pytest.mark.skipif(CLANG is None, reason="needs clang-19")
@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_both_versions_of_dwarf_say_the_same(repository: Path, tmp_path: Path, level: str) -> None:
    _, four = _compiled(repository, tmp_path, level, "-gdwarf-4")
    _, five = _compiled(repository, tmp_path, level, "-gdwarf-5")
    assert four.rows == five.rows
    for old, new in zip(four.functions, five.functions, strict=True):
        for one, other in zip(old.walk(), new.walk(), strict=True):
            assert (one.name, one.kind, one.ranges, one.call_line) == (
                other.name, other.kind, other.ranges, other.call_line,
            )  # fmt: skip
            ranges = [[place.range for place in variable.locations] for variable in one.variables]
            assert ranges == [[place.range for place in variable.locations] for variable in other.variables]
