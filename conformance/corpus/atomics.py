"""Cases of RFC 9669 section 5.3: every operation at both widths, on a block whose other bytes must stay.

r0 folds what is in src and r0 afterwards, and all words of the block.  The upper half of src after a 32-bit fetch is
not looked at: the RFC does not name it (see zero_extension.case for what Linux does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pybpftime.conformance.corpus import folds
from pybpftime.conformance.corpus.bits import add, bitwise_and, bitwise_or, bitwise_xor, low
from pybpftime.conformance.corpus.memory import UNALIGNED, folded_words, loaded, stored
from pybpftime.conformance.corpus.operands import ALL, MAX, MIN, UPPER_HALVES, drawn
from pybpftime.conformance.corpus.text import CaseText, Table, document, shown

Combine = Callable[[int, int, int], int]
COMBINATIONS: dict[str, Combine] = {
    "add": add,
    "or": bitwise_or,
    "and": bitwise_and,
    "xor": bitwise_xor,
    "xchg": lambda old, src, width: src,
}
EDGES = bytes(range(0x91, 0xA9))
"""24 bytes: the operation is on the middle ones."""
R0 = 0x0BAD_F00D_0DD0_CAFE
GARBAGE = 0x5A5A_5A5A_5A5A_5A5A


def files() -> Iterator[tuple[str, str]]:
    """Paths below conformance/cases, and their text."""
    for name in COMBINATIONS:
        about = f"Atomic {name}: memory, what was fetched, and the bytes beside it."
        yield f"atomics/{name}.case", document(about, "RFC 9669 5.3", list(_cases(name)))
    about = "Atomic cmpxchg: hits and misses, r0, memory and the bytes beside it."
    yield "atomics/cmpxchg.case", document(about, "RFC 9669 5.3", list(_exchanges()))
    about = (
        "What a 32-bit fetch leaves in the upper half of src: zeros, as Linux has it (insn_def_regno).\n"
        "RFC 9669 says that src is overwritten with the value that was in memory, and names no halves."
    )
    yield "atomics/zero_extension.case", document(about, "Linux, and RFC 9669 5.3", list(_zero_extensions()))
    yield "atomics/unaligned.case", document("Unaligned atomic operations.", "RFC 9669 5.3", list(_unaligned()))


def operands(name: str, width: int) -> list[tuple[int, int]]:
    """Pairs (what is in memory, src)."""
    first, second, third, fourth = drawn(f"atomic {name}{width}", 4, width)
    return [
        (0, 0), (0, ALL[width]), (ALL[width], 1), (MAX[width], 1), (MIN[width], MIN[width]), (1, ALL[width]),
        (first, second), (third, fourth),
    ]  # fmt: skip


def folding_all(length: int = len(EDGES), masked: bool = False) -> tuple[str, ...]:
    """Instructions that fold r0, r6 and the block into r0; `masked` takes the lower half of r6 only."""
    lines = ["mov %r7, %r0", "mov %r0, 0", *folds.fold(7)]
    lines += ["mov32 %r6, %r6"] if masked else []
    lines += folds.fold(6)
    for at in range(0, length, 8):
        lines += [f"ldxdw %r6, [%r1+{at}]", *folds.fold(6)]
    return (*lines, "exit")


def folded_all(r0: int, src: int, block: bytes) -> int:
    """What `folding_all` leaves in r0."""
    words = [loaded(at, 8, sign=False, block=block) for at in range(0, len(block), 8)]
    return folds.folded([r0, src, *words])


def _cases(name: str) -> Iterator[CaseText]:
    for width in (64, 32):
        for fetch in (True,) if name == "xchg" else (False, True):
            yield _table_of(name, width, fetch)
    yield from _base32(name)


def mnemonic(name: str, width: int, fetch: bool) -> str:
    """How the assembler writes the operation."""
    return f"lock {'fetch ' if fetch and name != 'xchg' else ''}{name}{'32' if width == 32 else ''}"


def _table_of(name: str, width: int, fetch: bool) -> CaseText:
    size, rows = width // 8, []
    for index, (old, src) in enumerate(operands(name, width)):
        offset = 8 if width == 64 or index % 2 else 12  # either half of the middle word
        upper = 0 if width == 64 else UPPER_HALVES[index % len(UPPER_HALVES)] * 2**32
        before = stored(offset, size, old, EDGES)
        after = stored(offset, size, COMBINATIONS[name](old, src, width), before)
        left = old if fetch else upper + src
        rows.append((str(offset), shown(upper + src), before.hex(), shown(folded_all(R0, left, after)), after.hex()))
    about = "the old value is fetched into src" if fetch else "nothing is fetched, src is intact"
    return CaseText(
        f"{'fetch' if fetch else 'plain'}{width}",
        f"{width} bits: {about}; r0 is intact",
        (
            f"lddw %r0, {shown(R0)}",
            "lddw %r6, {src}",
            f"{mnemonic(name, width, fetch)} [%r1+{{offset}}], %r6",
            *folding_all(masked=fetch and width == 32),
        ),
        mem="{before}",
        table=Table(("offset", "src", "before"), ("r0", "mem"), tuple(rows)),
    )


def _base32(name: str) -> Iterator[CaseText]:
    """For runtimes that have 32 bits only."""
    fetch, rows = True, []
    for old, src in operands(name, 32)[3::2]:
        before = stored(4, 4, old, EDGES[:12])
        after = stored(4, 4, COMBINATIONS[name](old, src, 32), before)
        words = [loaded(at, 4, sign=False, block=after) for at in (0, 4, 8)]
        rows.append((shown(src), before.hex(), shown(folds.folded([old, *words], 32)), after.hex()))
    lines = ["mov32 %r6, {src}", f"{mnemonic(name, 32, fetch)} [%r1+4], %r6", "mov32 %r0, 0", *folds.fold(6, "32")]
    for at in (0, 4, 8):
        lines += [f"ldxw %r6, [%r1+{at}]", *folds.fold(6, "32")]
    yield CaseText(
        "base32", "beside 32-bit instructions alone", (*lines, "exit"), mem="{before}",
        table=Table(("src", "before"), ("r0", "mem"), tuple(rows)),
    )  # fmt: skip


def _exchanges() -> Iterator[CaseText]:
    for width in (64, 32):
        size, rows = width // 8, []
        first, second = drawn(f"cmpxchg{width}", 2, width)
        top = 2 ** (width - 1)
        triples = [
            (0, 0, first), (first, first, second), (ALL[width], ALL[width], 0), (first, first ^ 1, second),
            (first, first ^ top, second), (0, ALL[width], 1), (1, 0, ALL[width]), (MIN[width], MIN[width], MAX[width]),
        ]  # fmt: skip
        for index, (old, expected, src) in enumerate(triples):
            offset = 8 if width == 64 or index % 2 else 12
            upper = 0 if width == 64 else UPPER_HALVES[index % len(UPPER_HALVES)] * 2**32
            before = stored(offset, size, old, EDGES)
            after = stored(offset, size, src, before) if old == expected else before
            r0 = folded_all(old, upper + src, after)
            rows.append(
                (str(offset), shown(upper + expected), shown(upper + src), before.hex(), shown(r0), after.hex())
            )
        halves = "" if width == 64 else "; upper halves do not matter, that of the result is zero"
        yield CaseText(
            f"all{width}", f"{width} bits: r0 is the old value, on a hit and on a miss; src is intact{halves}",
            (
                "lddw %r0, {wanted}", "lddw %r6, {src}", f"{mnemonic('cmpxchg', width, False)} [%r1+{{offset}}], %r6",
                *folding_all(),
            ), mem="{before}", table=Table(("offset", "wanted", "src", "before"), ("r0", "mem"), tuple(rows)),
        )  # fmt: skip
    narrow = []
    for old, expected, src in ((0x8000_0001, 0x8000_0001, 7), (0x8000_0001, 1, 7)):
        before = stored(4, 4, old, EDGES[:12])
        after = stored(4, 4, src, before) if old == expected else before
        words = [loaded(at, 4, sign=False, block=after) for at in (0, 4, 8)]
        narrow.append(
            (shown(expected), shown(src), before.hex(), shown(folds.folded([old, src, *words], 32)), after.hex())
        )
    lines = [
        "mov32 %r0, {wanted}", "mov32 %r6, {src}", "lock cmpxchg32 [%r1+4], %r6", "mov32 %r7, %r0", "mov32 %r0, 0",
        *folds.fold(7, "32"), *folds.fold(6, "32"),
    ]  # fmt: skip
    for at in (0, 4, 8):
        lines += [f"ldxw %r6, [%r1+{at}]", *folds.fold(6, "32")]
    yield CaseText(
        "base32", "beside 32-bit instructions alone", (*lines, "exit"), mem="{before}",
        table=Table(("wanted", "src", "before"), ("r0", "mem"), tuple(narrow)),
    )  # fmt: skip


def _zero_extensions() -> Iterator[CaseText]:
    rows = tuple(
        (f"{name}.{old:x}", name, stored(0, 4, old, bytes(8)).hex(), shown(old))
        for name in COMBINATIONS
        for old in (0x7FFF_FFFF, 0x8000_0001)
    )
    yield CaseText(
        "fetch",
        "the upper half of src was set and is zero afterwards",
        ("lddw %r6, 0xdeadbeef00000001", "lock fetch {op}32 [%r1+0], %r6", "mov %r0, %r6", "exit"),
        mem="{before}",
        table=Table(("name", "op", "before"), ("r0",), rows),
    )


def _unaligned() -> Iterator[CaseText]:
    for width in (64, 32):
        before = EDGES[:16]
        old = loaded(1, width // 8, sign=False, block=before)
        after = stored(1, width // 8, add(old, 5, width), before)
        value = shown(folds.folded([low(old, width), folded_words(after)]))
        yield CaseText(
            f"fetch_add{width}", "an operation that is not aligned to its size",
            (
                "mov %r6, 5", f"{mnemonic('add', width, True)} [%r1+1], %r6", "mov %r8, %r6", "mov %r0, 0",
                "ldxdw %r6, [%r1+0]", *folds.fold(6), "ldxdw %r6, [%r1+8]", *folds.fold(6), "mov %r7, %r0",
                "mov %r0, 0", *folds.fold(8), *folds.fold(7), "exit",
            ), mem=before.hex(), expect=(f"return r0={value} mem={after.hex()}", *UNALIGNED),
        )  # fmt: skip
