"""Random cases: valid by construction, deterministic, everything that they compute folded into r0.

    prologue    a few registers and stack words are loaded from the case's memory, so that no verifier knows them
    body        instructions dealt from a deck of all rows, so that a rare row is drawn as often as a common one
    epilogue    registers, the stack words and the memory that was written are folded into r0

Words of memory come in pairs that differ in a way that matters: in the sign, in one half, by one.  A shard depends on
its seed, its number and the dialect alone.  Accesses are aligned: RFC 9669 does not say what others do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pybpftime.conformance.case import Case, Expectation, Signature, Verdict
from pybpftime.conformance.fuzz.dialect import Dialect
from pybpftime.conformance.generator import edge_value, signed_edge
from pybpftime.isa import BY_NAME, Form, Instruction, Row
from pybpftime.isa.encoding import MASK64
from pybpftime.isa.row import ConstantRule

WORDS = 8
MEMORY_BYTES = 8 * WORDS
FRAME = 10
VALUES = 512
"""How many different constants and pairs of words a shard draws from."""
LENGTHS = (2, 3, 4, 6, 8, 12)
DEPTHS = (0, 0, 0, 128, 384)
"""How far below the top of the frame the stack words are."""
BRANCHES = (Form.BINARY, Form.UNARY)
SHARD = 500
"""How many cases a shard has."""

Draw = Callable[["_Text"], None]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A case under construction: its slots with their rows, and its memory.

    `code` is what `slots` encode; a `Case` is made of it only when somebody asks.
    """

    name: str
    slots: tuple[Instruction | None, ...]
    rows: tuple[Row | None, ...]
    code: bytes
    memory: bytes

    def case(self, r0: int | None = None) -> Case:
        """The case; with `r0`, what it must return."""
        expected = () if r0 is None else (Expectation(Verdict.RETURN, Signature({0: r0})),)
        return Case(self.name, self.code, expected, self.memory)


def related(source: random.Random, value: int) -> int:
    """A word that instructions must tell from `value`, or must not."""
    change = source.randrange(9)
    if change < 5:
        return value ^ (0, 1, 1 << 31, 1 << 32, 1 << 63)[change]
    return (value + 1, value - 1, -value, value << 32 | value >> 32)[change - 5] & MASK64


class Generator:
    """The cases of one shard."""

    def __init__(self, seed: int, shard: int, dialect: Dialect) -> None:
        self._name = f"fuzz/{seed}/{shard}"
        self._random = source = random.Random(f"{seed}/{shard}")
        self.dialect = dialect
        self._pairs = []
        for _ in range(VALUES):
            value = edge_value(source)
            self._pairs.append(value.to_bytes(8, "little") + related(source, value).to_bytes(8, "little"))
        self.immediates = [signed_edge(source, 32) for _ in range(VALUES)]
        self._cached: dict[Instruction, bytes] = {}
        self._decks = {"body": _Deck(source, self._all_draws()), "branch": _Deck(source, self._draws(BRANCHES))}

    def cases(self, count: int = SHARD) -> Iterator[Drawn]:
        """The first `count` cases, in order."""
        for index in range(count):
            yield self._drawn(index)

    def _drawn(self, index: int) -> Drawn:
        text = _Text(self._random, self.dialect, self.immediates)
        text.prologue()
        deck, branch = self._decks["body"], self._decks["branch"]
        stop = len(text.slots) + self._random.choice(LENGTHS)
        while len(text.slots) < stop:
            deck.deal()(text)
            while text.pending:
                text.land(branch)
        text.epilogue()
        for call in text.calls:
            text.function(call, branch)
        memory = b"".join(self._random.choices(self._pairs, k=WORDS // 2))
        return Drawn(f"{self._name}/{index}", tuple(text.slots), tuple(text.rows), self._encode(text), memory)

    def _encode(self, text: _Text) -> bytes:
        cached, parts = self._cached, []
        for instruction in text.slots:
            if instruction is not None:
                part = cached.get(instruction)
                if part is None:
                    part = cached[instruction] = instruction.encode()
                parts.append(part)
        return b"".join(parts)

    def _all_draws(self) -> list[Draw]:
        forms = (Form.BINARY, Form.UNARY, Form.JUMP_IF, Form.LOAD, Form.STORE, Form.ATOMIC)
        draws = self._draws((*forms, Form.LOAD_ACQUIRE, Form.STORE_RELEASE))
        rows = self.dialect.rows
        extra = [
            ("lddw", _Text.wide_constant),
            ("jne_imm" if self.dialect.wide else "jne32_imm", _Text.loop),
            ("call_local", _Text.call),
        ]
        return draws + [draw for name, draw in extra if name in rows for _ in range(4)]

    def _draws(self, forms: tuple[Form, ...]) -> list[Draw]:
        return [MAKERS[row.form](row) for row in self.dialect.among(*forms)]


class _Deck:
    """Every draw as often as every other, in an order that nobody knows."""

    def __init__(self, source: random.Random, draws: list[Draw]) -> None:
        self._random = source
        self._draws = draws
        self._rest: list[Draw] = []

    def deal(self) -> Draw:
        """The next one."""
        if not self._rest:
            self._rest = self._draws.copy()
            self._random.shuffle(self._rest)
        return self._rest.pop()


class _Text:
    """One program under construction.

    `live` are the registers that hold numbers; `base` the one that holds the address of the memory, which nothing
    writes; `keeper` the one that collects results, 0 in functions.  `pending` are jumps that wait for the instructions
    that they skip.
    """

    def __init__(self, source: random.Random, dialect: Dialect, immediates: list[int]) -> None:
        self.random = source.random
        self.wide = dialect.wide
        self.rows_allowed = dialect.rows
        self.immediates = immediates
        self.slots: list[Instruction | None] = []
        self.rows: list[Row | None] = []
        self.pending: list[int] = []
        self.calls: list[tuple[int, int]] = []
        self.written: set[int] = set()
        self.base = 6 + self.below(4) if self.wide and self.random() < 0.4 else 1
        self.keeper = 6 + self.below(4)
        if self.keeper == self.base:
            self.keeper = 6 + (self.keeper - 5) % 4
        self.free = self.unused([0])
        self.live = [0]
        self.stack = self.below(3)
        self.deep = DEPTHS[self.below(len(DEPTHS))]

    def unused(self, live: list[int]) -> list[int]:
        """Registers that hold nothing yet."""
        return [number for number in range(2, FRAME) if number not in (self.base, self.keeper) and number not in live]

    def keep(self, register: int) -> None:
        """Sometimes add a result to the keeper, before later instructions lose it."""
        if self.keeper and self.random() < 0.4:
            self.add("add_reg" if self.wide else "add32_reg", self.keeper, register)

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1."""
        return int(self.random() * limit)

    def register(self) -> int:
        """One that holds a number."""
        return self.live[int(self.random() * len(self.live))]

    def immediate(self, row: Row) -> int:
        """A constant that a verifier takes too."""
        value = self.immediates[int(self.random() * VALUES)]
        if row.constant_rule is ConstantRule.BELOW_WIDTH:
            return value % row.width if self.random() < 0.7 else (0, row.width - 1)[self.below(2)]
        return value or 1 if row.constant_rule is ConstantRule.NOT_ZERO else value

    def put(self, row: Row, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> int:
        """Append an instruction; returns its slot."""
        self.slots.append(Instruction(row.opcode, dst, src, offset, imm))
        self.rows.append(row)
        return len(self.slots) - 1

    def add(self, name: str, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> int:
        """The same by name."""
        return self.put(BY_NAME[name], dst, src, offset, imm)

    def word(self, number: int) -> int:
        """The offset of a stack word, counted downwards."""
        return -self.deep - 8 * (number + 1)

    def load_word(self, register: int) -> None:
        """Give `register` some word of the memory."""
        self.add("ldxdw" if self.wide else "ldxw", register, self.base, 8 * self.below(WORDS))

    def prologue(self) -> None:
        """Load inputs."""
        if self.base != 1:
            self.add("mov_reg", self.base, 1)
        first = 2 * self.below(WORDS // 2)
        for _ in range(1 + self.below(4)):
            self.live.append(self.free.pop(self.below(len(self.free))))
        for number, register in enumerate(self.live):
            self.add("ldxdw" if self.wide else "ldxw", register, self.base, 8 * ((first + number) % WORDS))
        self.load_word(self.keeper)
        for word in range(self.stack):
            self.add("stxdw" if self.wide else "stxw", FRAME, self.register(), self.word(word))
            if not self.wide:
                self.add("stxw", FRAME, self.register(), self.word(word) + 4)

    def place(self, size: int) -> tuple[int, int]:
        """Register and offset of an aligned place of `size` bytes in the memory or the stack."""
        if self.stack and self.random() < 0.5:
            return FRAME, self.word(self.stack - 1) + size * self.below(8 * self.stack // size)
        return self.base, size * self.below(MEMORY_BYTES // size)

    def epilogue(self) -> None:
        """Fold all that is visible into r0; byte swaps let no high bit get lost in sums."""
        add, xor, load = (BY_NAME[name] for name in (WIDE_FOLD if self.wide else NARROW_FOLD))
        swap = BY_NAME["be64" if self.wide else "be32"]
        words = [(FRAME, self.word(word)) for word in range(self.stack)]
        words += [(self.base, 8 * word) for word in sorted(self.written)]
        if not self.wide:
            words += [(register, offset + 4) for register, offset in words]
        others = [register for register in (*self.live, self.keeper) if register]
        for number, register in enumerate(others):
            self.put(xor if number & 1 else add, 0, register)
        scratch = others[0] if others else self.free[0]
        for number, (register, offset) in enumerate(words):
            if number % 4 == 0 and swap.name in self.rows_allowed:
                self.put(swap, 0, 0, 0, swap.fixed["imm"])
            self.put(load, scratch, register, offset)
            self.put(xor if number & 1 else add, 0, scratch)
        self.add("exit")

    # -- longer pieces ------------------------------------------------------------------------------------------------

    def wide_constant(self) -> None:
        """A 64-bit immediate."""
        numbers = self.immediates
        self.put_wide(self.register(), numbers[self.below(VALUES)], numbers[self.below(VALUES)])

    def put_wide(self, dst: int, low: int, high: int) -> None:
        """Append a load of a 64-bit immediate."""
        row = BY_NAME["lddw"]
        self.slots += [Instruction(row.opcode, dst, 0, 0, low, high), None]
        self.rows += [row, None]

    def approach(self, dst: int, src: int | None, imm: int) -> None:
        """Make a register what it is compared with, or that but for its upper half, or but for one."""
        rows, suffix = self.rows_allowed, "" if self.wide else "32"
        if src is not None:
            copies = [BY_NAME[name] for name in ("mov_reg", "mov32_reg", "movsx3264_reg") if name in rows]
            copy = copies[self.below(len(copies))]
            self.put(copy, dst, src, copy.fixed["offset"])
        elif "lddw" in rows:
            self.put_wide(dst, imm, UPPER_HALVES[self.below(len(UPPER_HALVES))])
        else:
            self.add("mov32_imm", dst, imm=imm)
        if self.random() < 0.3 and f"add{suffix}_imm" in rows:
            self.add(f"add{suffix}_imm", dst, imm=1 if self.random() < 0.5 else -1)

    def overflow(self, row: Row, dst: int, src: int | None) -> None:
        """Make a dividend the least number, and a divisor -1: the one quotient that does not fit."""
        if self.wide and "lddw" in self.rows_allowed:
            least = -(1 << 31)
            self.put_wide(dst, *((0, least) if row.width == 64 else (least, 0)))
        else:
            self.add("mov32_imm", dst, imm=-(1 << 31))
        if src is not None:
            self.add("mov_imm" if self.wide else "mov32_imm", src, imm=-1)

    def land(self, branch: _Deck) -> None:
        """Fill in what the last pending jump skips, sometimes with another branch for when it is taken."""
        jump = self.pending.pop()
        for _ in range(1 + self.below(2)):
            branch.deal()(self)
        jumps = [name for name in ("ja", "ja32") if name in self.rows_allowed]
        if jumps and self.random() < 0.3:
            over = self.add(jumps[self.below(len(jumps))])
            self.aim(jump)
            branch.deal()(self)
            self.aim(over)
        else:
            self.aim(jump)

    def aim(self, slot: int, field: str = "offset") -> None:
        """Make the jump at `slot` lead to the end of what is there now."""
        old, row = self.slots[slot], self.rows[slot]
        assert old is not None and row is not None
        distance = len(self.slots) - slot - 1
        if row.operand == "imm" and row.form is Form.JUMP:
            field = "imm"
        offset, imm = (distance, old.imm) if field == "offset" else (old.offset, distance)
        self.slots[slot] = Instruction(old.opcode, old.dst_reg, old.src_reg, offset, imm)

    def loop(self) -> None:
        """A few rounds of an addition; the count is in a register that the round leaves alone."""
        if len(self.live) < 3:
            return
        suffix = "" if self.wide else "32"
        counter = self.live.pop()
        self.add(f"mov{suffix}_imm", counter, imm=1 + self.below(3))
        start = len(self.slots)
        self.add(f"{'add' if self.random() < 0.5 else 'xor'}{suffix}_reg", self.register(), self.register())
        self.add(f"sub{suffix}_imm", counter, imm=1)
        self.add(f"jne{suffix}_imm", counter, offset=start - len(self.slots) - 1)
        self.live.append(counter)

    def call(self) -> None:
        """Call a function of this program with numbers in r1, r2, ...; r1 to r5 are gone afterwards."""
        if self.base == 1 or len(self.calls) == 2:
            return
        arguments = 1 + self.below(5)
        for register in range(1, arguments + 1):
            if register not in self.live:
                self.load_word(register)
        self.calls.append((self.add("call_local", 0, 1), arguments))
        self.live = [register for register in self.live if not 1 <= register <= 5]
        self.free = self.unused(self.live)

    def function(self, call: tuple[int, int], branch: _Deck) -> None:
        """The function behind a call: a result of its arguments, with its own r6 and stack."""
        slot, arguments = call
        self.aim(slot, "imm")
        self.keeper = 0
        self.live = list(range(1, arguments + 1))
        self.add("mov_reg", 6, self.register())
        self.add("stxdw", FRAME, self.register(), -8)
        self.add("ldxdw", 0, FRAME, -8)
        self.live += [0, 6]
        for _ in range(1 + self.below(3)):
            branch.deal()(self)
        self.add("xor_reg", 0, 6)
        self.add("exit")


WIDE_FOLD = ("add_reg", "xor_reg", "ldxdw")
UPPER_HALVES = (0, -1, 1, -(1 << 31))
NARROW_FOLD = ("add32_reg", "xor32_reg", "ldxw")


# -- how each form is drawn -------------------------------------------------------------------------------------------


def _arithmetic(row: Row) -> Draw:
    source, offset, fixed_imm = row.operand == "src_reg", row.fixed.get("offset", 0), row.fixed.get("imm")
    overflows = row.name.startswith(("sdiv", "smod"))

    def draw(text: _Text) -> None:
        imm = text.immediate(row) if fixed_imm is None else fixed_imm
        dst, src = text.register(), text.register() if source else 0
        if overflows and text.random() < 0.3:
            imm = -1 if fixed_imm is None else imm
            text.overflow(row, dst, src if source and src != dst else None)
        text.put(row, dst, src, offset, imm)
        text.keep(dst)

    return draw


def _jump_if(row: Row) -> Draw:
    source = row.operand == "src_reg"

    def draw(text: _Text) -> None:
        dst, src, imm = text.register(), text.register() if source else 0, 0 if source else text.immediate(row)
        if text.random() < 0.4:
            text.approach(dst, src if source else None, imm)
        text.pending.append(text.put(row, dst, src, 0, imm))

    return draw


def _load(row: Row) -> Draw:
    imm = row.fixed["imm"]

    def draw(text: _Text) -> None:
        base, offset = text.place(row.size)
        dst = text.register()
        text.put(row, dst, base, offset, imm)
        text.keep(dst)

    return draw


def _store(row: Row) -> Draw:
    constant, fixed_imm = row.operand == "imm", row.fixed.get("imm", 0)

    def draw(text: _Text) -> None:
        base, offset = text.place(row.size)
        if base != FRAME:
            text.written.add(offset // 8)
        if constant:
            text.put(row, base, 0, offset, text.immediate(row))
        else:
            text.put(row, base, text.register(), offset, fixed_imm)

    return draw


def _atomic(row: Row) -> Draw:
    store, compares = _store(row), "r0" in row.reads
    loads = {8: (BY_NAME["ldxdw"],), 4: (BY_NAME["ldxw"], BY_NAME["ldxdw"])}[row.size]

    def draw(text: _Text) -> None:
        store(text)
        if not compares or text.random() < 0.5:
            return
        atomic = text.slots.pop()
        text.rows.pop()
        assert atomic is not None
        # What it compares with is what is there: it succeeds, also with something else in the upper half of r0.
        load = loads[text.below(len(loads)) if text.wide and not atomic.offset % 8 else 0]
        if load.name in text.rows_allowed:
            text.put(load, 0, atomic.dst_reg, atomic.offset)
        text.put(row, atomic.dst_reg, atomic.src_reg, atomic.offset, atomic.imm)

    return draw


MAKERS: dict[Form, Callable[[Row], Draw]] = {
    Form.BINARY: _arithmetic,
    Form.UNARY: _arithmetic,
    Form.JUMP_IF: _jump_if,
    Form.LOAD: _load,
    Form.STORE: _store,
    Form.ATOMIC: _atomic,
    Form.LOAD_ACQUIRE: _load,
    Form.STORE_RELEASE: _store,
}
