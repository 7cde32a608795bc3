"""Object files made to do harm: nothing but InputError, and no more memory than the file is worth.

The campaign behind this shard is `make campaign-objects`, which also measures time.
"""

from __future__ import annotations

import contextlib
import random
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from program.btf_support import committed_objects
from program.elf_support import (
    ALLOC,
    CALL,
    COMPRESSED,
    EXECINSTR,
    EXIT,
    LOCAL,
    MOV,
    NOBITS,
    NOTYPE,
    OBJECT,
    STRTAB,
    SYMTAB,
    WIDE,
    WRITE,
    ElfWriter,
    MapTypes,
)

from pybpftime.errors import InputError
from pybpftime.isa import Instruction
from pybpftime.program import load_object
from pybpftime.program.btf import Array, BtfBuilder, DataSec, Int, Member, Placement, Struct, Typedef, Var
from tools.campaign_objects import judge, make

MUTATIONS = 300
MEMORY = 64 << 20


@contextlib.contextmanager
def _bounded_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def test_a_shard_of_the_campaign(repository: Path) -> None:
    """Both outcomes occur, so that the damage is neither harmless nor so great that nothing deep is reached."""
    sources = [path.read_bytes() for path in committed_objects(repository)]
    outcomes = [judge(make(2, index, sources)) for index in range(MUTATIONS)]
    refused = [reason for reason in outcomes if reason is not None]
    assert MUTATIONS // 5 < len(refused) < MUTATIONS * 4 // 5
    assert all(reason.startswith(("object: ", "map ", "instruction ")) for reason in refused)
    assert not [reason for reason in refused if "\n" in reason]
    assert len({reason.partition(" ")[2][:20] for reason in refused}) > 30


def test_truncation_anywhere(repository: Path) -> None:
    data = (repository / "tests" / "programs" / "subprograms.bpf.o").read_bytes()
    for length in range(0, len(data), 67):
        with pytest.raises(InputError):
            load_object(data[:length])


def test_noise_behind_a_header() -> None:
    header = ElfWriter().build()[:64]
    dice = random.Random(3)
    for _ in range(200):
        noise = bytearray(header + dice.randbytes(dice.choice((64, 640, 6400))))
        struct.pack_into("<Q", noise, 40, 64)
        struct.pack_into("<H", noise, 60, dice.randrange(len(noise) // 64))
        with pytest.raises(InputError):
            load_object(bytes(noise))


# --- sections and symbols ---------------------------------------------------------------------------------------------


def _headers(count: int, **fields: int) -> bytes:
    """A file in which `count` sections all have the same header."""
    values = {"name": 0, "type": 1, "flags": 0, "offset": 0, "size": 0, "link": 0, "entry_size": 0} | fields
    header = struct.pack(
        "<IIQQQQIIQQ", values["name"], values["type"], values["flags"], 0, values["offset"], values["size"],
        values["link"], 0, 1, values["entry_size"],
    )  # fmt: skip
    start = ElfWriter().build(table=64, count=count, names=0)[:64]
    return start + header * count


def _overlapping() -> bytes:
    return _headers(4000, offset=0, size=64 + 4000 * 64)


def _outside() -> bytes:
    return _headers(3, offset=1 << 63, size=1 << 63)


def _long_names() -> bytes:
    """Each section's name is the rest of a table of half a megabyte."""
    elf = ElfWriter()
    for _ in range(2000):
        elf.add("", b"")
    data = bytearray(elf.build())
    (table,) = struct.unpack_from("<Q", data, 40)
    count, names = struct.unpack_from("<HH", data, 60)
    text = len(data)
    data += b"x" * (1 << 19) + b"\0"
    struct.pack_into("<QQ", data, table + names * 64 + 24, text, len(data) - text)
    for index in range(count):
        struct.pack_into("<I", data, table + index * 64, 100 * index)
    return bytes(data)


def _unterminated_names() -> bytes:
    data = bytearray(ElfWriter().build())
    (table,) = struct.unpack_from("<Q", data, 40)
    struct.pack_into("<Q", data, table + 2 * 64 + 32, len("..symtab..strtab"))  # .strtab is section 2
    return bytes(data)


def _long_symbol_names() -> bytes:
    """Twenty thousand symbols share the bytes of one long name."""
    elf = ElfWriter()
    section = elf.program("xdp", "prog", MOV, EXIT)
    elf.symbol("y" * (1 << 20), section)
    for _ in range(20_000):
        elf.symbol("", section, type=OBJECT)
    data = bytearray(elf.build())
    table = data.index(struct.pack("<BBHQQ", 0x12, 0, section, 0, 16)) - 4
    (long_name,) = struct.unpack_from("<I", data, table + 24)
    for index in range(20_000):
        struct.pack_into("<I", data, table + 48 + 24 * index, long_name + index)
    return bytes(data)


def _many_symbols() -> bytes:
    elf = ElfWriter()
    elf.program("xdp", "prog", MOV, EXIT)
    elf.symbols *= 100_001
    return elf.build()


def _compressed() -> bytes:
    elf = ElfWriter()
    elf.add(".data", struct.pack("<IIQQ", 1, 0, 1 << 40, 1) + bytes(32), flags=ALLOC | WRITE | COMPRESSED)
    return elf.build()


def _two_symbol_tables() -> bytes:
    elf = ElfWriter()
    elf.add(".symtab", bytes(24), type=SYMTAB, entry_size=24)
    return elf.build()


def _huge_bss() -> bytes:
    elf = ElfWriter()
    elf.add(".bss", b"", type=NOBITS, size=(1 << 64) - 1, flags=ALLOC | WRITE)
    return elf.build()


def _too_much_code() -> bytes:
    elf = ElfWriter()
    elf.add("xdp", bytes(8_000_008), flags=ALLOC | EXECINSTR)
    return elf.build()


@pytest.mark.parametrize(
    ("make_file", "reason"),
    [
        (_overlapping, "sections overlap"),
        (_outside, "section 0 .* does not lie inside the file"),
        (_long_names, "the names of sections: the texts overlap far more than any compiler makes them"),
        (_unterminated_names, "the names of sections: byte .* begins no text"),
        (_long_symbol_names, "the names of symbols: the texts overlap far more"),
        (_many_symbols, "the file has 100002 symbols"),
        (_compressed, "section 1 is compressed"),
        (_two_symbol_tables, "2 symbol tables"),
        (lambda: _headers(2, type=STRTAB), "no symbol table"),
        (lambda: _headers(1, type=SYMTAB, size=25, entry_size=24), "25 bytes are no table of symbols"),
        (lambda: _headers(1, type=SYMTAB, size=24, entry_size=0), "are no table of symbols"),
        (lambda: _headers(1, type=SYMTAB, size=24, entry_size=24, link=7), "no section 7 for the names of symbols"),
        (_huge_bss, "bytes of global data are too many"),
        (_too_much_code, "1000001 instructions, more than 1000000"),
        (lambda: b"\x7fELF" + bytes(65 << 20), "more than 64 MiB"),
    ],
)
def test_bombs(make_file: Callable[[], bytes], reason: str) -> None:
    data = make_file()
    with pytest.raises(InputError, match=reason):
        load_object(data, name="bomb.o")


@pytest.mark.parametrize("make_file", [_overlapping, _long_names, _long_symbol_names, _huge_bss, _compressed])
def test_bombs_take_no_memory(make_file: Callable[[], bytes]) -> None:
    data = make_file()
    with _bounded_memory(), pytest.raises(InputError):
        load_object(data)


def test_executable_sections_without_bytes() -> None:
    elf = ElfWriter()
    section = elf.add("xdp", b"", type=NOBITS, size=1 << 50, flags=ALLOC | EXECINSTR)
    elf.symbol("prog", section, 0, 1 << 50)
    assert load_object(elf.build()).programs == {}


def test_names_that_are_no_text() -> None:
    """Names of symbols are bytes; those that are not UTF-8 stay readable and do no harm."""
    elf = ElfWriter()
    elf.program("xdp", "prog", MOV, EXIT)
    (program,) = load_object(elf.build().replace(b"prog\0", b"pr\xffg\0")).programs.values()
    assert program.name == "pr\\xffg"


def test_a_symbol_table_that_names_itself() -> None:
    elf = ElfWriter()
    elf.program("xdp", "prog", MOV, EXIT)
    data = bytearray(elf.build())
    (table,) = struct.unpack_from("<Q", data, 40)
    struct.pack_into("<I", data, table + 2 * 64 + 40, 2)  # .symtab is section 2
    with pytest.raises(InputError):
        load_object(bytes(data))


def test_relocations_of_relocations_are_nobodys() -> None:
    elf = ElfWriter()
    section = elf.program("xdp", "prog", MOV, EXIT)
    relocations = elf.relocate(section, (0, 0, 1))
    own = elf.relocate(elf.relocate(relocations, (0, 1, 1)), (0, 1, 1))
    elf.sections[own][6] = own
    assert load_object(elf.build()).programs["prog"].instructions == (MOV, EXIT)


def test_two_tables_of_relocations() -> None:
    elf = ElfWriter()
    section = elf.program("xdp", "prog", MOV, EXIT)
    elf.relocate(section, (0, 0, 1))
    elf.relocate(section, (0, 0, 1))
    with pytest.raises(InputError, match="section xdp has several tables of relocations"):
        load_object(elf.build())


# --- types ------------------------------------------------------------------------------------------------------------


def test_a_map_whose_value_contains_itself() -> None:
    types = MapTypes()
    itself = types.builder.next_id
    types.builder.add(Struct("loop", 8, (Member("again", itself, 0),)))
    types.map("m", types.struct(type=types.number(2), value=types.pointer(itself)))
    elf = ElfWriter()
    types.write(elf)
    with pytest.raises(InputError, match=r"map m: .*contains itself"):
        load_object(elf.build())


def test_a_map_whose_definition_is_a_loop_of_typedefs() -> None:
    types = MapTypes()
    itself = types.builder.next_id
    types.builder.add(Typedef("loop", itself))
    types.map("m", itself)
    elf = ElfWriter()
    types.write(elf)
    with pytest.raises(InputError, match="loop of typedefs"):
        load_object(elf.build())


def test_a_map_that_holds_maps_of_its_own_kind() -> None:
    types = MapTypes()
    kind = types.number(12)
    definition = types.builder.next_id + 2
    pointer = types.pointer(definition)
    values = types.builder.add(Array(pointer, types.int, 0))
    assert types.struct(type=kind, values=values) == definition
    types.map("m", definition)
    elf = ElfWriter()
    types.write(elf)
    with pytest.raises(InputError, match="an inner map cannot hold maps itself"):
        load_object(elf.build())


def test_values_nested_by_the_thousand() -> None:
    """Thirty structs, each with a thousand of the next: without memory for types known, a walk would never end."""
    types = MapTypes()
    inner = types.int
    for depth in range(30):
        members = tuple(Member(f"m{index}", inner, 0) for index in range(1000))
        inner = types.builder.add(Struct(f"s{depth}", 4, members))
    types.map("m", types.struct(type=types.number(2), value=types.pointer(inner)))
    elf = ElfWriter()
    types.write(elf)
    with _bounded_memory():
        assert load_object(elf.build()).maps["m"].spin_lock_offset is None


def test_thousands_of_maps_with_one_large_value() -> None:
    types = MapTypes()
    members = tuple(Member(f"m{index}", types.int, 0) for index in range(5000))
    value = types.builder.add(Struct("value", 4, members))
    definition = types.struct(type=types.number(2), value=types.pointer(value))
    for index in range(5000):
        types.places.append(Placement(types.builder.add(Var(f"m{index}", definition)), 16 * index, 16))
    elf = ElfWriter()
    types.write(elf)
    with _bounded_memory():
        assert len(load_object(elf.build()).maps) == 5000


def test_sections_of_variables_that_claim_anything() -> None:
    for offset, size in ((0xFFFF_FFFF, 4), (4, 0xFFFF_FFFF), (0, 17)):
        builder = BtfBuilder()
        variable = builder.add(Var("v", builder.add(Int("int", 4, 32))))
        builder.add(DataSec(".data", 0, (Placement(variable, offset, size),)))
        elf = ElfWriter()
        elf.add(".data", bytes(16), flags=ALLOC | WRITE)
        elf.add(".BTF", builder.to_bytes())
        with pytest.raises(InputError, match=r"variable v at byte \d+ does not lie in its section"):
            load_object(elf.build())


@pytest.mark.parametrize("name", [".BTF", ".BTF.ext"])
@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\x9f\xeb\1\0\xff\xff\xff\xff", b"\xff" * 64])
def test_types_that_are_none(name: str, content: bytes) -> None:
    elf = ElfWriter()
    elf.program("xdp", "prog", MOV, EXIT)
    if name == ".BTF.ext":
        elf.add(".BTF", BtfBuilder().to_bytes())
    elf.add(name, content)
    with pytest.raises(InputError) as raised:
        load_object(elf.build(), name="object.o")
    assert (raised.value.file, raised.value.section) == ("object.o", name)


def test_big_endian_types_in_a_little_endian_object() -> None:
    elf = ElfWriter()
    elf.add(".BTF", BtfBuilder(byteorder="big").to_bytes())
    with pytest.raises(InputError, match="the types are big-endian in a little-endian object"):
        load_object(elf.build())


# --- code -------------------------------------------------------------------------------------------------------------


def test_thousands_of_relocations() -> None:
    """One for each instruction, each to a symbol of its own."""
    count = 20_000
    elf = ElfWriter()
    section = elf.program("xdp", "prog", *[CALL] * count, EXIT)
    symbols = [elf.symbol(f"x{index}", 0, type=NOTYPE) for index in range(count)]
    elf.relocate(section, *((8 * index, 10, symbol) for index, symbol in enumerate(symbols)))
    with _bounded_memory():
        assert len(load_object(elf.build()).programs["prog"].references) == count


def test_more_relocations_than_instructions() -> None:
    elf = ElfWriter()
    data = elf.add(".data", bytes(8), flags=ALLOC | WRITE)
    section = elf.program("xdp", "prog", WIDE, EXIT)
    variable = elf.symbol("v", data, 0, 8, type=OBJECT, binding=LOCAL)
    elf.relocate(section, *[(0, 1, variable)] * 100_000)
    with pytest.raises(InputError, match="has two relocations"):
        load_object(elf.build())


def test_calls_with_extreme_distances() -> None:
    for distance in (-(1 << 31), (1 << 31) - 1, -2, 5):
        elf = ElfWriter()
        elf.program("xdp", "prog", Instruction(0x85, 0, 1, imm=distance), EXIT)
        with pytest.raises(InputError, match="no function begins at byte"):
            load_object(elf.build())
