"""Debug information made to do harm: nothing but InputError in one sentence, and bounded time and memory."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from program.dwarf_support import DwarfWriter, node
from program.elf_support import EXIT, MOV, ElfWriter

from pybpftime.debug.symbols import DebugFile, Frame, symbols_of
from pybpftime.errors import InputError
from pybpftime.program import elf_dwarf_entries, load_object
from pybpftime.program.debug_info import DebugInfo
from pybpftime.program.elf_dwarf import read_debug_info
from pybpftime.program.elf_file import COMPRESSED, read_elf

OBJECTS = ("raw_tracepoint.bpf.o", "callbacks.bpf.o", "xdp_meta.v4.bpf.o")
MUTATIONS = 99


def extents(data: bytes) -> dict[str, tuple[int, int]]:
    """Offset in the file and size of each section that has bytes, by name."""
    (table,) = struct.unpack_from("<Q", data, 40)
    found = {}
    for section in read_elf(data).sections:
        if section.type == "SHT_PROGBITS" and section.size:
            (offset,) = struct.unpack_from("<Q", data, table + 64 * section.index + 24)
            found[section.name] = (offset, section.size)
    return found


def judge(data: bytes) -> str | None:
    """Read it and use all of it; the reason if it is refused."""
    try:
        info = read_debug_info(data)
    except InputError as error:
        assert "\n" not in str(error)
        return error.reason
    assert isinstance(info, DebugInfo)
    use(data)
    return None


def use(data: bytes) -> None:
    """Ask for everything that a debugger asks for."""
    frame = Frame([1] * 10 + [0x1000], lambda address, size: bytes(min(size, 64)), lambda section, offset: offset)
    debug = DebugFile(data)
    for spec in load_object(data).programs.values():
        symbols = symbols_of(spec, debug)
        for name in symbols.functions():
            symbols.slots_of_function(name)
        for file in symbols.files():
            for line in symbols.lines_of_file(file)[:5]:
                symbols.slots_of_line(file, line)
        for slot in range(0, len(spec.instructions), 7):
            for scope in symbols.scopes_at(slot):
                for variable in scope.variables:
                    variable.evaluate(frame)


def test_mutations_of_real_objects(repository: Path) -> None:
    """Both outcomes occur, so that the damage is neither harmless nor so great that nothing deep is reached."""
    dice = random.Random(5)
    outcomes = []
    for index in range(MUTATIONS):
        data = bytearray((repository / "tests" / "programs" / OBJECTS[index % len(OBJECTS)]).read_bytes())
        places = {name: place for name, place in extents(data).items() if name.startswith(".debug_")}
        start, size = places[dice.choice(sorted(places))]
        for _ in range(dice.choice((1, 1, 2, 20))):
            data[start + dice.randrange(size)] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        outcomes.append(judge(bytes(data)))
    refused = [reason for reason in outcomes if reason is not None]
    assert MUTATIONS // 10 < len(refused) < MUTATIONS * 9 // 10
    assert len(set(refused)) > 5


def test_sections_cut_off_anywhere(repository: Path) -> None:
    data = (repository / "tests" / "programs" / "raw_tracepoint.bpf.o").read_bytes()
    (table,) = struct.unpack_from("<Q", data, 40)
    outcomes = []
    for section in read_elf(data).sections:
        if section.name.startswith(".debug_") and section.type == "SHT_PROGBITS":
            for size in range(0, section.size, 1 + section.size // 12):
                cut = bytearray(data)
                struct.pack_into("<Q", cut, table + 64 * section.index + 32, size)
                outcomes.append(judge(bytes(cut)))
    assert None in outcomes and any(outcomes)


def test_any_other_file() -> None:
    for data in (b"", b"no object", b"\x7fELF" + bytes(100)):
        with pytest.raises(InputError):
            read_debug_info(data)


def _sections(**contents: bytes) -> bytes:
    """An object with these debug sections."""
    elf = ElfWriter()
    elf.program("xdp", "prog", MOV, EXIT)
    for name, data in contents.items():
        elf.add(f".debug_{name}", data)
    return elf.build()


def _many_units() -> bytes:
    """Each unit has abbreviations of its own, and each table is the rest of the section."""
    abbreviations = b"\1\x11\0\0\0" * 4_000 + b"\0"
    unit = struct.Struct("<IHIBB")
    return _sections(abbrev=abbreviations, info=b"".join(unit.pack(8, 4, 5 * number, 8, 1) for number in range(3_000)))


def _long_names() -> bytes:
    """Fifty thousand entries have the rest of one long string as their name."""
    abbreviations = b"\1\x11\1\0\0" + b"\2\x24\0\x03\x0e\0\0" + b"\0"
    entries = b"\1" + b"".join(b"\2" + struct.pack("<I", number) for number in range(50_000)) + b"\0"
    body = struct.pack("<HIB", 4, 0, 8) + entries
    return _sections(abbrev=abbreviations, info=struct.pack("<I", len(body)) + body, str=b"n" * 400_000 + b"\0")


def _many_entries() -> bytes:
    abbreviations = b"\1\x11\1\0\0" + b"\2\x24\0\0\0" + b"\0"
    body = struct.pack("<HIB", 4, 0, 8) + b"\1" + b"\2" * 5_000 + b"\0"
    return _sections(abbrev=abbreviations, info=struct.pack("<I", len(body)) + body)


def _overlapping_lists() -> bytes:
    """Each variable's location list is the rest of the section."""
    abbreviations = b"\1\x11\1\0\0" + b"\2\x2e\1\x11\1\x12\x0f\0\0" + b"\3\x34\0\2\x17\0\0" + b"\0"
    variables = b"".join(b"\3" + struct.pack("<I", 18 * number) for number in range(1_000))
    body = struct.pack("<HIB", 4, 0, 8) + b"\1\2" + struct.pack("<Q", 1 << 32) + b"\x10" + variables + b"\0\0"
    entries = struct.pack("<QQH", 0, 8, 0) * 1_000 + bytes(16)
    return _sections(abbrev=abbreviations, info=struct.pack("<I", len(body)) + body, loc=entries)


def _deep() -> bytes:
    deepest = node("block", low_pc=0, high_pc=16)
    for _ in range(900):
        deepest = node("block", deepest, low_pc=0, high_pc=16)
    return DwarfWriter(node("subprogram", deepest, name="f", low_pc=0, high_pc=16)).build()


def _line_number_zero_divides() -> bytes:
    """A line program whose line_range is 0."""
    abbreviations = b"\1\x11\0\x10\x17\0\0" + b"\0"
    body = struct.pack("<HIB", 4, 0, 8) + b"\1" + bytes(4)
    header = struct.pack("<BBBbBB", 8, 1, 1, -5, 0, 13) + bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]) + b"\0a\0\0\0\0\0"
    program = struct.pack("<HI", 4, len(header)) + header + b"\xff"
    return _sections(
        abbrev=abbreviations, info=struct.pack("<I", len(body)) + body, line=struct.pack("<I", len(program)) + program
    )


def _compressed() -> bytes:
    elf = ElfWriter()
    elf.program("xdp", "prog", MOV, EXIT)
    elf.add(".debug_info", struct.pack("<IIQQ", 1, 0, 1 << 40, 1) + bytes(32), flags=COMPRESSED)
    return elf.build()


@pytest.mark.parametrize(
    "make",
    [_many_units, _long_names, _many_entries, _overlapping_lists, _line_number_zero_divides, _compressed],
    ids=lambda make: make.__name__.strip("_"),
)
def test_refused(make: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """These end by a limit, and not when memory or patience does."""
    if make is _many_entries:
        monkeypatch.setattr(elf_dwarf_entries, "MAX_ENTRIES", 4_000)
    with pytest.raises(InputError):
        read_debug_info(make())


def test_deep_nesting_is_read_or_refused() -> None:
    reason = judge(_deep())
    assert reason is None or "RecursionError" in reason


def test_damage_is_a_note_and_lines_come_from_btf(repository: Path) -> None:
    data = bytearray((repository / "tests" / "programs" / "raw_tracepoint.bpf.o").read_bytes())
    start, size = extents(data)[".debug_abbrev"]
    data[start : start + size] = bytes(size)
    (spec,) = load_object(bytes(data)).programs.values()
    symbols = symbols_of(spec, DebugFile(bytes(data)))
    assert not symbols.has_dwarf and symbols.types is None
    assert symbols.note is not None and "damaged" in symbols.note and "\n" not in symbols.note
    assert symbols.lines_of_file("raw_tracepoint.bpf.c")
    (frame,) = symbols.scopes_at(0)
    assert (frame.name, frame.variables) == (spec.name, ())
