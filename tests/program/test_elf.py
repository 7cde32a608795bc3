"""`load_object` as a whole: the committed objects, C compiled here, license and version, files that are none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from program.btf_support import committed_objects, compile_c
from program.elf_support import ALLOC, EXIT, MOV, WRITE, ElfWriter

from pybpftime.errors import InputError
from pybpftime.isa import Instruction, validate
from pybpftime.maps.kinds import check
from pybpftime.maps.spec import like_libbpf
from pybpftime.program import Extern, MapReference, ObjectSpec, SourceLine, Trap, load_object
from pybpftime.program.btf import DataSec, Func, Var
from pybpftime.uapi import AttachType, MapFlag, MapType, ProgramType


@pytest.fixture(scope="module")
def globals_object(repository: Path) -> ObjectSpec:
    return load_object(repository / "tests" / "programs" / "globals.bpf.o")


# --- the committed objects --------------------------------------------------------------------------------------------


def test_every_committed_object_is_whole(repository: Path) -> None:
    """Programs are valid, maps can be made, and functions, lines and references lie where they can."""
    paths = committed_objects(repository)
    assert len(paths) > 50
    for path in paths:
        spec = load_object(path)
        assert spec.file == str(path)
        assert spec.programs, path
        assert spec.license == "Dual MIT/GPL"
        for map in spec.maps.values():
            check(like_libbpf(map, 4))
        for name, program in spec.programs.items():
            assert (program.name, program.license, program.notes) == (name, spec.license, ())
            rows = validate(program.instructions)
            assert program.type is not ProgramType.BPF_PROG_TYPE_UNSPEC
            assert [program.functions[0].name, program.functions[0].start] == [name, 0]
            starts = [function.start for function in program.functions]
            assert [function.end for function in program.functions] == [*starts[1:], len(rows)]
            assert all(spec.btf is not None and isinstance(spec.btf[f.type_id], Func) for f in program.functions)
            assert [spec.btf[f.type_id].name for f in program.functions] == [f.name for f in program.functions]
            lines = [line.start for line in program.lines]
            assert lines == sorted(set(lines))
            assert all(rows[line] is not None for line in lines)
            assert all(program.lines[0].file.endswith(f"{path.name.partition('.')[0]}.bpf.c") for _ in lines)
            for slot, reference in program.references.items():
                assert rows[slot] is not None
                assert isinstance(reference, MapReference)
                assert reference.name in spec.maps


def test_every_wide_instruction_with_a_map_has_its_reference(repository: Path) -> None:
    for path in committed_objects(repository):
        for program in load_object(path).programs.values():
            maps = {
                slot
                for slot, instruction in enumerate(program.instructions)
                if instruction is not None and instruction.opcode == 0x18 and instruction.src_reg in (1, 2)
            }
            assert maps == set(program.references)
            for slot, reference in program.references.items():
                instruction = program.instructions[slot]
                assert isinstance(reference, MapReference)
                assert isinstance(instruction, Instruction)
                expected = (1, 0) if reference.offset is None else (2, reference.offset)
                assert (instruction.src_reg, instruction.next_imm) == expected
                assert instruction.imm == 0


def test_global_data(globals_object: ObjectSpec) -> None:
    maps = globals_object.maps
    assert list(maps) == [".rodata", ".rodata.names", ".data.custom", ".data", ".bss", ".rodata.str1.1"]
    for map in maps.values():
        assert (map.type, map.key_size, map.max_entries) == (MapType.BPF_MAP_TYPE_ARRAY, 4, 1)
        assert map.key_type_id == 0
    readonly = MapFlag.BPF_F_RDONLY_PROG
    assert maps[".rodata"].flags == readonly | MapFlag.BPF_F_MMAPABLE
    assert maps[".rodata.str1.1"].flags == readonly, "string literals have no variables"
    assert maps[".data"].flags == MapFlag.BPF_F_MMAPABLE
    assert maps[".bss"].contents == b""
    assert maps[".bss"].value_size == 104
    assert len(maps[".data"].contents or b"") == maps[".data"].value_size


def test_variables_have_their_places(globals_object: ObjectSpec) -> None:
    """Offsets of global variables come from symbols, those of static ones are in the BTF already."""
    btf = globals_object.btf
    assert btf is not None
    section = btf[globals_object.maps[".bss"].value_type_id]
    assert isinstance(section, DataSec)
    assert section.size == globals_object.maps[".bss"].value_size
    places = {btf[place.type].name: place.offset for place in section.variables}
    assert places["packets"] == 0
    assert places["histogram"] == 8
    assert places["unnamed"] == 80
    assert list(places.values()) == sorted(set(places.values()))
    assert all(isinstance(btf[place.type], Var) for place in section.variables)


PROGRAMS_OF_MULTI = ["first", "second", "third", "optional", "drop", "cpu", "port", "large"]  # in file order


def test_programs_and_sections(repository: Path) -> None:
    spec = load_object(repository / "tests" / "programs" / "multi.bpf.o")
    assert list(spec.programs) == PROGRAMS_OF_MULTI
    assert spec.programs["optional"].flags == {"manual"}
    assert spec.programs["optional"].section == "tc"
    assert spec.programs["large"].flags == {"frags"}
    assert spec.programs["cpu"].attach_type is AttachType.BPF_XDP_CPUMAP
    assert spec.programs["second"].type is ProgramType.BPF_PROG_TYPE_SCHED_CLS
    malloc = load_object(repository / "tests" / "programs" / "malloc.bpf.o")
    assert {program.attach_to for program in malloc.programs.values()} == {"libc.so.6:malloc"}


def test_lines_follow_functions_into_the_program(repository: Path) -> None:
    """A subprogram is behind each of its callers, and its lines are with it."""
    spec = load_object(repository / "tests" / "programs" / "subprograms.bpf.o")
    texts = []
    for name in ("checksum", "weak"):
        program = spec.programs[name]
        (store,) = [function for function in program.functions if function.name == "store"]
        assert program.function_at(store.start) == store
        lines = [line for line in program.lines if store.start <= line.start < store.end]
        assert lines[0].start == store.start
        texts.append([(line.start - store.start, line.line, line.text) for line in lines])
    assert texts[0] == texts[1]
    assert program.line_at(store.end - 1) == lines[-1]


def test_source_lines_as_text() -> None:
    assert str(SourceLine(0, "C:\\src\\a.c", 7, 1, "  return 0;")) == "a.c:7: return 0;"
    assert str(SourceLine(0, "./tests/a.c", 7, 0, "")) == "a.c:7"


def test_positions_outside_a_program(globals_object: ObjectSpec) -> None:
    program = globals_object.programs["measure"]
    assert program.function_at(len(program.instructions)) is None
    assert program.line_at(-1) is None


def test_initial_values_of_program_arrays(repository: Path) -> None:
    maps = load_object(repository / "tests" / "programs" / "tail_calls.bpf.o").maps
    assert maps["stages"].values == ((0, "count_ipv4"), (1, "count_ipv6"), (2, "count_arp"))


def test_legacy_maps(repository: Path) -> None:
    maps = load_object(repository / "tests" / "programs" / "legacy_maps.bpf.o").maps
    assert maps["protocols"].type is MapType.BPF_MAP_TYPE_HASH
    assert (maps["protocols"].key_size, maps["protocols"].value_size, maps["protocols"].max_entries) == (2, 8, 4096)
    assert maps["protocols"].flags == MapFlag.BPF_F_NO_PREALLOC


def test_spin_locks_are_found(repository: Path) -> None:
    maps = load_object(repository / "tests" / "programs" / "spin_lock.bpf.o").maps
    assert {name: maps[name].spin_lock_offset for name in ("buckets", "shared")} == {"buckets": 0, "shared": 12}


# --- C that the committed objects do not have -------------------------------------------------------------------------

EXTERNS = r"""
#define SEC(name) __attribute__((section(name), used))
#define weak __attribute__((weak))
#define uint(name, value) int (*name)[value]
extern int LINUX_KERNEL_VERSION SEC(".kconfig");
extern _Bool CONFIG_FOO SEC(".kconfig") weak;
extern const void init_task SEC(".ksyms");
extern void bpf_rcu_read_lock(void) SEC(".ksyms");
extern int absent(int) SEC(".ksyms") weak;
struct inner { uint(type, 2); int *key; int *value; uint(max_entries, 1); };
struct inner inner_one SEC(".maps");
struct {
    uint(type, 12); int *key; uint(max_entries, 4); uint(pinning, 1); struct inner *values[];
} outer SEC(".maps") = {.values = {[1] = &inner_one, [3] = &inner_one}};
struct { uint(type, 33); uint(max_entries, 2); enum { extra = 1ULL << 44 } map_extra; } arena SEC(".maps");
struct bpf_spin_lock { unsigned val; };
struct bpf_spin_lock lock SEC(".data.locks") __attribute__((visibility("hidden")));
static const char *const names[] = {"one", "two"};
static int (*bpf_loop)(int, void *, void *, long) = (void *)181;
static int (*bpf_spin)(void *) = (void *)93;
static int callback(int index, void *context) { return index > 3; }
SEC("?tc/ingress") int prog(int *context)
{
    bpf_rcu_read_lock();
    bpf_spin(&lock);
    bpf_loop(10, callback, 0, 0);
    if (absent) absent(1);
    return LINUX_KERNEL_VERSION + CONFIG_FOO + (long)&init_task + (long)names[*context & 1] + (long)&outer;
}
SEC("license") char _license[] = "GPL";
SEC("version") unsigned int kernel_version = 0x60c00;
"""


def test_externs_inner_maps_and_pointers_in_data(tmp_path: Path) -> None:
    spec = load_object(compile_c(tmp_path, EXTERNS, "-O1"))
    assert (spec.license, spec.version) == ("GPL", 0x60C00)
    program = spec.programs["prog"]
    externs = {(r.name, r.kind, r.weak) for r in program.references.values() if isinstance(r, Extern)}
    assert externs == {
        ("bpf_rcu_read_lock", "kfunc", False),
        ("absent", "kfunc", True),
        ("absent", "ksym", True),
        ("init_task", "ksym", False),
        ("LINUX_KERNEL_VERSION", "kconfig", False),
        ("CONFIG_FOO", "kconfig", True),
    }
    for slot, reference in program.references.items():
        instruction = program.instructions[slot]
        assert instruction is not None
        if isinstance(reference, Extern):
            assert spec.btf is not None
            assert spec.btf[reference.type_id].name == reference.name
            assert instruction.src_reg == (2 if reference.kind == "kfunc" else 0)
    assert [function.name for function in program.functions] == ["prog", "callback"]
    (address,) = [i for i in program.instructions if i is not None and i.opcode == 0x18 and i.src_reg == 4]
    assert program.instructions.index(address) + 1 + address.imm == program.functions[1].start
    assert len(program.notes) == 1
    assert "pointers in the initial values of .rodata" in program.notes[0]
    outer = spec.maps["outer"]
    assert (outer.value_size, outer.pinned, outer.values) == (4, True, ((1, "inner_one"), (3, "inner_one")))
    assert outer.inner is not None
    assert (outer.inner.name, outer.inner.type, outer.inner.value_size) == (
        "outer.inner",
        MapType.BPF_MAP_TYPE_ARRAY,
        4,
    )
    assert spec.maps["arena"].extra == 1 << 44
    locks = spec.maps[".data.locks"]
    assert locks.spin_lock_offset == 0
    assert MapFlag.BPF_F_MMAPABLE not in locks.flags, "hidden variables are not for user space"


CORE = r"""
struct task_struct { int pid; int tgid; } __attribute__((preserve_access_index));
__attribute__((section("kprobe/f"))) int prog(struct task_struct *task) { return task->tgid; }
__attribute__((noinline)) int unused(struct task_struct *task) { return task->pid; }
"""


def test_core_relocations_are_refused_in_one_sentence(tmp_path: Path) -> None:
    path = compile_c(tmp_path, CORE)
    with pytest.raises(
        InputError, match="program prog needs CO-RE relocation, which is not supported yet: 1 of"
    ) as raised:
        load_object(path)
    assert "field_byte_offset of task_struct (0:1)" in str(raised.value)
    assert raised.value.file == str(path)
    assert "\n" not in str(raised.value)


def test_core_relocations_of_functions_that_nobody_calls_do_no_harm(tmp_path: Path) -> None:
    path = compile_c(tmp_path, CORE.replace("return task->tgid", "return 0"))
    assert list(load_object(path).programs) == ["prog"]


def test_objects_without_types(tmp_path: Path) -> None:
    path = compile_c(
        tmp_path,
        """
        __attribute__((noinline)) static int twice(int x) { return x * 2 + 1; }
        __attribute__((section("xdp"))) int prog(int *context) { return twice(*context); }
        int missing(void);
        __attribute__((section("tc"))) int calls(void *context) { return missing(); }
        """,
        "-g0",
    )
    spec = load_object(path)
    assert (spec.btf, spec.license, spec.maps, spec.version) == (None, "", {}, None)
    program = spec.programs["prog"]
    assert [(function.name, function.type_id) for function in program.functions] == [("prog", 0), ("twice", 0)]
    assert program.lines == ()
    assert program.line_at(0) is None
    (reference,) = spec.programs["calls"].references.values()
    assert isinstance(reference, Trap)
    assert "missing is not defined in the object" in reference.reason


# --- sources, names and files that are none ---------------------------------------------------------------------------


def _object() -> ElfWriter:
    elf = ElfWriter()
    elf.program("xdp", "prog", MOV, EXIT)
    return elf


def test_bytes_and_paths_give_the_same(tmp_path: Path) -> None:
    data = _object().build()
    (tmp_path / "object.o").write_bytes(data)
    specs = [load_object(data), load_object(tmp_path / "object.o"), load_object(os.fspath(tmp_path / "object.o"))]
    assert len({spec.programs["prog"].instructions for spec in specs}) == 1
    assert [spec.file for spec in specs] == [None, str(tmp_path / "object.o"), str(tmp_path / "object.o")]
    assert load_object(data, name="x").programs["prog"].file == "x"
    assert load_object(tmp_path / "object.o", name="x").file == "x"


def test_license_and_version() -> None:
    elf = _object()
    elf.add("license", b"GPL v2\0garbage", flags=ALLOC | WRITE)
    elf.add("version", (0x60000).to_bytes(4, "little"), flags=ALLOC | WRITE)
    spec = load_object(elf.build())
    assert (spec.license, spec.version) == ("GPL v2", 0x60000)
    elf.add("unrelated", b"bytes")
    assert load_object(elf.build()).maps == {}


def test_version_of_a_wrong_size() -> None:
    elf = _object()
    elf.add("version", bytes(8))
    with pytest.raises(InputError, match="the version has 8 bytes and must have 4"):
        load_object(elf.build())


@pytest.mark.parametrize("name", ["missing.o", "", "nul\0byte.o"])
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read") as raised:
        load_object(tmp_path / name)
    assert raised.value.file


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no ELF object"),
        (b"\x7fEL", "no ELF object"),
        (b"#!/bin/sh\n", "no ELF object"),
        (b"\x7fELF\x02\x01\x01", "ends after 7 bytes"),
        (_object().build().replace(b"ELF\x02", b"ELF\x01", 1), "64-bit"),
        (
            _object().build().replace(b"ELF\x02\x01", b"ELF\x02\x02", 1),
            "big-endian BPF objects .* are not supported yet",
        ),
        (_object().build().replace(b"ELF\x02\x01", b"ELF\x02\x07", 1), "neither little-endian nor big-endian"),
        (_object().build(machine=62), "for another machine .EM_X86_64., not for BPF"),
        (_object().build(machine=0xFFEE), "for another machine .65518."),
        (_object().build(type=3), "no relocatable object .its type is ET_DYN"),
        (_object().build(count=0), "has no sections"),
        (_object().build(count=0xFFFF), "has 65535 sections, more than 4096"),
        (_object().build(count=100), "section headers do not lie inside the file"),
        (_object().build(entry_size=56), "section headers do not lie inside the file"),
        (_object().build(table=1 << 63), "section headers do not lie inside the file"),
        (_object().build(names=77), "no section 77 for the names"),
    ],
)
def test_files_that_are_no_bpf_objects(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as raised:
        load_object(data, name="file.o")
    assert raised.value.file == "file.o"
    assert "\n" not in str(raised.value)


def test_objects_of_old_compilers_have_no_machine() -> None:
    assert list(load_object(_object().build(machine=0)).programs) == ["prog"]


def test_importing_the_room_does_not_import_pyelftools() -> None:
    source = "import sys, pybpftime.program, pybpftime.program.elf; print([m for m in sys.modules if 'elftools' in m])"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_absence_of_pyelftools_is_one_sentence() -> None:
    source = """
import sys
sys.modules["elftools"] = None
from pybpftime.errors import HostError
from pybpftime.program import load_object
try:
    load_object(bytes.fromhex(sys.argv[1]))
except HostError as error:
    print(error)
"""
    command = [sys.executable, "-c", source, _object().build().hex()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "reading object files needs the package pyelftools\n"
