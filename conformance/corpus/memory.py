"""Cases of RFC 9669 sections 5.1 and 5.2, and of what Linux has beyond: loads and stores at constant offsets.

A store is judged by the whole block: its words are folded into r0 as well, so that bytes beside the stored ones count
where a runtime shows r0 alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.conformance.corpus import folds
from pybpftime.conformance.corpus.bits import extended, unsigned
from pybpftime.conformance.corpus.text import CaseText, Table, document, shown

SIZES = {"b": 1, "h": 2, "w": 4, "dw": 8}
BLOCK = bytes.fromhex("007f80ff 8000ff7f 0102030405060708 fffefdfc 7fffffff 80000000 000000ff").ljust(32, b"\xa5")
NEIGHBOURS = bytes(range(0x11, 0x29))
"""24 bytes: what stands about a store at 8."""
GARBAGE = "0xdeadbeef5a5a5a5a"
WORDS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0x8000_0000, 0x0123_4567_89AB_CDEF, 0xFFFF_FFFF_FFFF_FFFF)
IMMEDIATES = (0, 1, -1, 0x7F, 0x80, 0x8000, 0x1234_5678, 0x7FFF_FFFF, -0x8000_0000, -2)
UNALIGNED = (
    "trap alignment because RFC 9669 does not say what an unaligned access does",
    "invalid because RFC 9669 does not say what an unaligned access does",
)
FURTHEST = {1: (32767, -32768), 2: (32766, -32768), 4: (32764, -32768), 8: (32760, -32768)}
"""Offsets at both ends of their 16 bits that keep an aligned base aligned."""


def files() -> Iterator[tuple[str, str]]:
    """Paths below conformance/cases, and their text."""
    loads = [case for letter, size in SIZES.items() for case in _loads(letter, size)]
    yield "loads_stores/loads.case", document("Loads of every size, with and without sign.", "RFC 9669 5.1", loads)
    stores = [case for letter, size in SIZES.items() for case in _stores(letter, size)]
    yield "loads_stores/stores.case", document("Stores of every size; r0 folds the block.", "RFC 9669 5.1", stores)
    yield "loads_stores/offsets.case", document("Offsets of both signs.", "RFC 9669 5.1", list(_offsets()))
    yield "loads_stores/base32.case", document("Accesses by base32 alone.", "RFC 9669 5.1", list(_base32()))
    yield "loads_stores/unaligned.case", document("Unaligned accesses.", "RFC 9669 5.1", list(_unaligned()))
    about = "load_acquire and store_release: as loads and stores, but ordered."
    yield "extensions/ordered.case", document(about, "Linux 6.15, BPF_LOAD_ACQ and BPF_STORE_REL", list(_ordered()))


def loaded(offset: int, size: int, *, sign: bool, block: bytes = BLOCK) -> int:
    """What a load at `offset` of the block leaves in a register (bytes as they lie in memory, least first)."""
    value = sum(byte * 256**place for place, byte in enumerate(block[offset : offset + size]))
    return extended(value, size * 8, 64) if sign else value


def stored(offset: int, size: int, value: int, block: bytes = NEIGHBOURS) -> bytes:
    """The block after a store of the low bytes of `value`."""
    content = bytearray(block)
    for place in range(size):
        content[offset + place] = value // 256**place % 256
    return bytes(content)


def folded_words(block: bytes, size: int = 8) -> int:
    """What `folding_words` leaves in r0."""
    words = [loaded(at, size, sign=False, block=block) for at in range(0, len(block), size)]
    return folds.folded(words, size * 8)


def folding_words(length: int, size: int = 8, base: str = "%r1") -> tuple[str, ...]:
    """Instructions that fold a block of memory into r0."""
    load, suffix = ("ldxdw", "") if size == 8 else ("ldxw", "32")
    lines = [f"mov{suffix} %r0, 0"]
    for at in range(0, length, size):
        lines += [f"{load} %r6, [{base}+{at}]", *folds.fold(6, suffix)]
    return tuple(lines)


def _loads(letter: str, size: int) -> Iterator[CaseText]:
    offsets = range(0, 32, size)
    for sign in (False, True)[: 1 if size == 8 else 2]:
        load = f"ldx{'s' if sign else ''}{letter}"
        extension = "the sign fills the upper bits" if sign else "the upper bits are zero"
        cite = "RFC 9669 5.2" if sign else ""
        rows = tuple((str(at), shown(loaded(at, size, sign=sign))) for at in offsets)
        yield CaseText(
            load, f"every aligned place of a block; {extension}",
            (f"lddw %r0, {GARBAGE}", f"{load} %r0, [%r1+{{offset}}]", "exit"), mem=BLOCK.hex(), cite=cite,
            table=Table(("offset",), ("r0",), rows),
        )  # fmt: skip
        yield CaseText(
            f"{load}.same", "dst and src are one register", (f"{load} %r1, [%r1+{{offset}}]", "mov %r0, %r1", "exit"),
            mem=BLOCK.hex(), cite=cite, table=Table(("offset",), ("r0",), rows[-2:]),
        )  # fmt: skip


def _stores(letter: str, size: int) -> Iterator[CaseText]:
    after = folding_words(len(NEIGHBOURS))
    for kind, column, numbers in (("st", "imm", IMMEDIATES), ("stx", "src", WORDS)):
        operation = f"{kind}{letter}"
        rows = []
        for value in numbers:
            block = stored(8, size, extended(value, 32, 64) if kind == "st" else value)
            rows.append((shown(value), shown(folded_words(block)), block.hex()))
        store: tuple[str, ...] = (f"{operation} [%r1+8], {{imm}}",)
        if kind == "stx":
            store = ("lddw %r7, {src}", f"{operation} [%r1+8], %r7", "lddw %r8, {src}", "sub %r7, %r8")
            after = (*folding_words(len(NEIGHBOURS)), "add %r0, %r7")
        yield CaseText(
            operation, "the low bytes are stored, those beside them are intact, and src is" if kind == "stx" else
            "the immediate is extended with its sign and its low bytes are stored; those beside them are intact",
            (*store, *after, "exit"), mem=NEIGHBOURS.hex(), table=Table((column,), ("r0", "mem"), tuple(rows)),
        )  # fmt: skip


def _offsets() -> Iterator[CaseText]:
    memory = bytes(range(0x81, 0x91))
    for letter, size in SIZES.items():
        rows = [(str(8 - offset), f"{offset:+d}") for offset in (-8, -16 + size, *FURTHEST[size])]
        loads = tuple((*row, shown(loaded(8, size, sign=False, block=memory))) for row in rows)
        yield CaseText(
            f"ldx{letter}", "the offset is added to the base with its sign; the place is the same each time",
            ("mov %r6, %r1", "add %r6, {base}", f"ldx{letter} %r0, [%r6{{offset}}]", "exit"), mem=memory.hex(),
            table=Table(("base", "offset"), ("r0",), loads),
        )  # fmt: skip
        for kind, operand in (("st", "0x5a"), ("stx", "%r7")):
            block = stored(8, size, 0x5A, memory)
            stores = tuple((*row, shown(folded_words(block)), block.hex()) for row in rows)
            yield CaseText(
                f"{kind}{letter}", "the offset is added to the base with its sign; the place is the same each time",
                (
                    "mov %r7, 0x5a", "mov %r6, %r1", "add %r6, {base}", f"{kind}{letter} [%r6{{offset}}], {operand}",
                    *folding_words(16), "exit",
                ), mem=memory.hex(), table=Table(("base", "offset"), ("r0", "mem"), stores),
            )  # fmt: skip
    for letter, size in list(SIZES.items())[:3]:
        rows = [(str(8 - offset), f"{offset:+d}") for offset in (-8, *FURTHEST[size])]
        loads = tuple((*row, shown(loaded(8, size, sign=True, block=memory))) for row in rows)
        yield CaseText(
            f"ldxs{letter}", "the offset is added to the base with its sign", cite="RFC 9669 5.2",
            asm=("mov %r6, %r1", "add %r6, {base}", f"ldxs{letter} %r0, [%r6{{offset}}]", "exit"), mem=memory.hex(),
            table=Table(("base", "offset"), ("r0",), loads),
        )  # fmt: skip


def _base32() -> Iterator[CaseText]:
    for letter, size in list(SIZES.items())[:3]:
        rows = tuple((str(at), shown(loaded(at, size, sign=False))) for at in range(0, 12, size))
        yield CaseText(
            f"ldx{letter}", "loads", (f"ldx{letter} %r0, [%r1+{{offset}}]", "exit"), mem=BLOCK.hex(),
            table=Table(("offset",), ("r0",), rows),
        )  # fmt: skip
        for kind, operand in (("st", "{value}"), ("stx", "%r7")):
            lines = []
            for value in (0, 1, -1, 0x1234_5678, -0x8000_0000):
                block = stored(4, size, unsigned(value, 32), NEIGHBOURS[:12])
                lines.append((shown(value), shown(folded_words(block, 4)), block.hex()))
            move = ("mov32 %r7, {value}",) if kind == "stx" else ()
            yield CaseText(
                f"{kind}{letter}", "stores; the bytes beside them are intact",
                (*move, f"{kind}{letter} [%r1+4], {operand}", *folding_words(12, 4), "exit"),
                mem=NEIGHBOURS[:12].hex(), table=Table(("value",), ("r0", "mem"), tuple(lines)),
            )  # fmt: skip


def _unaligned() -> Iterator[CaseText]:
    for letter, size in list(SIZES.items())[1:]:
        for sign in (False, True)[: 1 if size == 8 else 2]:
            load = f"ldx{'s' if sign else ''}{letter}"
            rows = tuple((str(at), shown(loaded(at, size, sign=sign))) for at in (1, 9, 3)[: size // 2 + 1])
            yield CaseText(
                load, "a load that is not aligned to its size", (f"{load} %r0, [%r1+{{offset}}]", "exit"),
                mem=BLOCK.hex(), expect=("return {value}", *UNALIGNED), table=Table(("offset", "value"), (), rows),
            )  # fmt: skip
        for kind, operand in (("st", "0x5b"), ("stx", "%r7")):
            places = []
            for at in (1, 9):
                block = stored(at, size, 0x5B)
                places.append((str(at), shown(folded_words(block)), block.hex()))
            yield CaseText(
                f"{kind}{letter}", "a store that is not aligned to its size",
                ("mov %r7, 0x5b", f"{kind}{letter} [%r1+{{offset}}], {operand}", *folding_words(24), "exit"),
                mem=NEIGHBOURS.hex(), expect=("return r0={value} mem={block}", *UNALIGNED),
                table=Table(("offset", "value", "block"), (), tuple(places)),
            )  # fmt: skip


def _ordered() -> Iterator[CaseText]:
    for size in SIZES.values():
        bits = size * 8
        rows = tuple((str(at), shown(loaded(at, size, sign=False))) for at in range(0, 32, size)[:10])
        yield CaseText(
            f"load_acquire{bits}", "the upper bits are zero",
            (f"lddw %r0, {GARBAGE}", f"load_acquire{bits} %r0, [%r1+{{offset}}]", "exit"), mem=BLOCK.hex(),
            table=Table(("offset",), ("r0",), rows),
        )  # fmt: skip
        lines = []
        for value in WORDS:
            block = stored(8, size, value)
            lines.append((shown(value), shown(folded_words(block)), block.hex()))
        yield CaseText(
            f"store_release{bits}", "the low bytes are stored, those beside them are intact, and src is",
            (
                "lddw %r7, {src}", f"store_release{bits} [%r1+8], %r7", "lddw %r8, {src}", "sub %r7, %r8",
                *folding_words(24), "add %r0, %r7", "exit",
            ), mem=NEIGHBOURS.hex(), table=Table(("src",), ("r0", "mem"), tuple(lines)),
        )  # fmt: skip
        memory = bytes(range(0x81, 0x91))
        far = tuple((str(8 - offset), f"{offset:+d}") for offset in (-8, *FURTHEST[size]))
        expected = shown(loaded(8, size, sign=False, block=memory))
        yield CaseText(
            f"load_acquire{bits}.offset", "the offset has a sign; dst and src are one register",
            ("mov %r6, %r1", "add %r6, {base}", f"load_acquire{bits} %r6, [%r6{{offset}}]", "mov %r0, %r6", "exit"),
            mem=memory.hex(), table=Table(("base", "offset"), ("r0",), tuple((*row, expected) for row in far)),
        )  # fmt: skip
        block = stored(8, size, 0x5A, memory)
        yield CaseText(
            f"store_release{bits}.offset", "the offset has a sign",
            (
                "mov %r7, 0x5a", "mov %r6, %r1", "add %r6, {base}", f"store_release{bits} [%r6{{offset}}], %r7",
                *folding_words(16), "exit",
            ), mem=memory.hex(),
            table=Table(
                ("base", "offset"), ("r0", "mem"),
                tuple((*row, shown(folded_words(block)), block.hex()) for row in far),
            ),
        )  # fmt: skip
