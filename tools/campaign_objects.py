"""Campaign: damaged object files.  Whatever is done to one, `load_object` returns or raises InputError, soon.

    python -m tools.campaign_objects                       10,000 objects on all cores
    python -m tools.campaign_objects --count 500 --seed 7

Each object is one of `tests/programs/*.bpf.o`, damaged by `mutate` from a seed of its own, and is loaded in a process
of its own with at most 500 MB of address space and 5 s of processor time.  What then still holds is checked as a run
would check it: every program by `validate`, every map by `check`.  Findings are anything but success or InputError,
and objects that take more than a second of processor time.  Written to docs/campaigns/objects.json.
"""

from __future__ import annotations

import os
import random
import struct
import traceback
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pybpftime.errors import InputError
from pybpftime.isa import validate
from pybpftime.maps.kinds import check
from pybpftime.program.elf import load_object
from tools import campaign

if TYPE_CHECKING:
    import resource

MAX_SECONDS = 1.0
MAX_BYTES = 500 << 20
LOADED, REFUSED, ESCAPED = 0, 1, 2  # exit codes of a child
MILLISECONDS = (20, 50, 100, 200, 500, 1000)
MEGABYTES = (50, 100, 200, 300, 500)

HEADER_LENGTH, SECTION_LENGTH, SYMBOL_LENGTH, RELOCATION_LENGTH = 64, 64, 24, 16
SHT_SYMTAB, SHT_NOBITS, SHT_REL = 2, 8, 9
# Where the fields of a structure begin, and their lengths.
HEADER_FIELDS = ((4, 1), (5, 1), (16, 2), (18, 2), (32, 8), (40, 8), (52, 2), (58, 2), (60, 2), (62, 2))
SECTION_FIELDS = ((0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 8), (56, 8))
SYMBOL_FIELDS = ((0, 4), (4, 1), (5, 1), (6, 2), (8, 8), (16, 8))
RELOCATION_FIELDS = ((0, 8), (8, 4), (12, 4))


class Layout:
    """Where things are in a sound object, so that small structures are hit as often as large ones."""

    def __init__(self, data: bytes) -> None:
        (self.table,) = struct.unpack_from("<Q", data, 40)
        (count,) = struct.unpack_from("<H", data, 60)
        self.headers = [self.table + index * SECTION_LENGTH for index in range(count)]
        names = self._section(data, self.headers[struct.unpack_from("<H", data, 62)[0]])
        self.sections: list[range] = []
        self.symbols: list[int] = []
        self.relocations: list[int] = []
        for header in self.headers:
            name_at, kind = struct.unpack_from("<II", data, header)
            section = self._section(data, header)
            name = data[names.start + name_at :].partition(b"\0")[0]
            if kind == SHT_NOBITS or not section or b"debug" in name:
                continue
            self.sections.append(section)
            if kind == SHT_SYMTAB:
                self.symbols += section[::SYMBOL_LENGTH]
            elif kind == SHT_REL:
                self.relocations += section[::RELOCATION_LENGTH]

    @staticmethod
    def _section(data: bytes, header: int) -> range:
        offset, size = struct.unpack_from("<QQ", data, header + 24)
        return range(offset, offset + size)


def mutate(data: bytes, dice: random.Random) -> bytes:
    """One to five damages at places that `dice` chooses; mostly sound otherwise, so that many layers are reached."""
    layout = Layout(data)
    damaged = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 5))):
        dice.choices(DAMAGES, weights=WEIGHTS)[0](damaged, layout, dice)
    if dice.random() < 0.06:
        del damaged[dice.randrange(len(damaged)) :]
    return bytes(damaged)


def _put(damaged: bytearray, at: int, value: bytes) -> None:
    if at < len(damaged):
        end = min(at + len(value), len(damaged))
        damaged[at:end] = value[: end - at]


def _number(damaged: bytearray, dice: random.Random, length: int, at: int) -> bytes:
    """A number for a field of `length` bytes: a limit, a neighbour of the old one, or anything."""
    bits = 8 * length
    old = int.from_bytes(damaged[at : at + length], "little")
    value = dice.choice(
        (
            *(0, 1, 2, 7, 8, 9, 0x10, 0xFF, 0xFFF1, 0xFFFF, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, (1 << 64) - 1),
            *(old + 1, old - 1, old + 8, old - 8, old * 2, old ^ 1 << dice.randrange(bits), -old),
            *(len(damaged), len(damaged) - 1, len(damaged) // 2, dice.getrandbits(bits), dice.randrange(64)),
        )
    )
    return (value & (1 << bits) - 1).to_bytes(length, "little")


def _field(starts: Callable[[Layout], list[int]], fields: tuple[tuple[int, int], ...]) -> Callable[..., None]:
    def damage(damaged: bytearray, layout: Layout, dice: random.Random) -> None:
        places = starts(layout)
        if places:
            offset, length = dice.choice(fields)
            at = dice.choice(places) + offset
            _put(damaged, at, _number(damaged, dice, length, at))

    return damage


def _word(damaged: bytearray, layout: Layout, dice: random.Random) -> None:
    """A number anywhere in a section, aligned to its length."""
    section = dice.choice(layout.sections)
    length = dice.choice((1, 2, 4, 4, 4, 8))
    at = section.start + dice.randrange(len(section)) // length * length
    _put(damaged, at, _number(damaged, dice, length, at))


def _bits(damaged: bytearray, layout: Layout, dice: random.Random) -> None:
    section = dice.choice(layout.sections)
    for _ in range(dice.randint(1, 8)):
        at = dice.choice(section)
        if at < len(damaged):
            damaged[at] ^= 1 << dice.randrange(8)


def _copy(damaged: bytearray, layout: Layout, dice: random.Random) -> None:
    """A part of one section over another."""
    source, target = dice.choice(layout.sections), dice.choice(layout.sections)
    start, length = dice.choice(source), dice.choice((4, 8, 12, 16, 24, 64, 1024))
    _put(damaged, dice.choice(target), bytes(damaged[start : start + length]))


def _fill(damaged: bytearray, layout: Layout, dice: random.Random) -> None:
    start, length = dice.choice(dice.choice(layout.sections)), dice.choice((4, 16, 64, 512, 4096))
    _put(damaged, start, bytes([dice.choice((0, 0, 0xFF, 0x41, dice.randrange(256)))]) * length)


def _shift(damaged: bytearray, layout: Layout, dice: random.Random) -> None:
    """Bytes inserted or taken away, so that everything behind them moves."""
    start, length = dice.choice(dice.choice(layout.sections)), dice.choice((1, 4, 8, 24))
    if dice.random() < 0.5:
        del damaged[start : start + length]
    else:
        damaged[start:start] = dice.randbytes(length)


def _swap(damaged: bytearray, layout: Layout, dice: random.Random) -> None:
    """Two section headers exchanged: everything is in place under another number."""
    one, other = dice.choice(layout.headers), dice.choice(layout.headers)
    first, second = bytes(damaged[one : one + SECTION_LENGTH]), bytes(damaged[other : other + SECTION_LENGTH])
    _put(damaged, one, second)
    _put(damaged, other, first)


_DAMAGES: tuple[tuple[Callable[..., None], int], ...] = (
    (_field(lambda layout: [0], HEADER_FIELDS), 1),
    (_field(lambda layout: layout.headers, SECTION_FIELDS), 5),
    (_field(lambda layout: layout.symbols, SYMBOL_FIELDS), 4),
    (_field(lambda layout: layout.relocations, RELOCATION_FIELDS), 4),
    (_word, 12),
    (_bits, 5),
    (_copy, 2),
    (_fill, 2),
    (_shift, 1),
    (_swap, 1),
)
DAMAGES = [damage for damage, _ in _DAMAGES]
WEIGHTS = [weight for _, weight in _DAMAGES]


def judge(data: bytes) -> str | None:
    """Load an object and check what a run would check: why it was refused, or None.  Only InputError is caught."""
    try:
        spec = load_object(data, name="object")
        for map in spec.maps.values():
            check(map)
        for program in spec.programs.values():
            validate(program.instructions)
            program.line_at(len(program.instructions) - 1)
    except InputError as error:
        return str(error)
    return None


def objects() -> list[Path]:
    """The sound objects."""
    return sorted((campaign.ROOT / "tests" / "programs").glob("*.bpf.o"))


def make(seed: int, index: int, sources: list[bytes]) -> bytes:
    """Object `index` of the campaign with this seed."""
    dice = random.Random(f"{seed}/{index}")
    return mutate(dice.choice(sources), dice)


def work(seed: int, first: int, count: int) -> campaign.Shard:
    """Objects `first` to `first + count`, each in a process of its own."""
    sources = [path.read_bytes() for path in objects()]
    outcomes: Counter[str] = Counter()
    times: Counter[str] = Counter()
    peaks: Counter[str] = Counter()
    findings = []
    for index in range(first, first + count):
        code, text, usage = _in_child(partial(_judge_one, seed, index, sources))
        seconds = usage.ru_utime + usage.ru_stime
        outcomes["loaded" if code == LOADED else "refused" if code == REFUSED else "escaped"] += 1
        times[_bucket(1000 * seconds, MILLISECONDS)] += 1
        peaks[_bucket(usage.ru_maxrss / 1024, MEGABYTES)] += 1
        if code not in (LOADED, REFUSED) or seconds > MAX_SECONDS:
            findings.append(f"object {index}: exit code {code} after {seconds:.2f} s: {text[-2000:]}")
    return {
        "objects": count,
        **outcomes,
        "milliseconds": dict(times),
        "megabytes": dict(peaks),
        "findings": findings,
    }


def _judge_one(seed: int, index: int, sources: list[bytes]) -> str | None:
    return judge(make(seed, index, sources))


def _bucket(value: float, limits: tuple[int, ...]) -> str:
    place = bisect_right(limits, value)
    return f"above {limits[-1]}" if place == len(limits) else f"to {limits[place]}"


def _in_child(work: Callable[[], str | None]) -> tuple[int, str, resource.struct_rusage]:
    """Exit code (minus the signal, if one ended it), what it wrote, and what it used."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _be_child(work, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode(errors="replace")
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), text, usage


def _be_child(work: Callable[[], str | None], writer: int) -> None:
    """Do it within limits and leave without cleaning up: this is a copy of a process that goes on."""
    import resource

    code = ESCAPED
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (5, 6))
        reason = work()
        os.write(writer, (reason or "").encode(errors="replace")[:4096])
        code = LOADED if reason is None else REFUSED
    except BaseException:
        os.write(writer, traceback.format_exc().encode(errors="replace")[-4096:])
    finally:
        os._exit(code)


if __name__ == "__main__":
    campaign.main("objects", (__doc__ or "").partition("\n")[0], work, count=10_000, shard=250)
