"""Random programs that any eBPF runtime must agree on: valid by construction, every result visible.

A generated program takes a block of memory through r1 (the context of BPF_PROG_TYPE_SYSCALL, or plain memory):

    bytes 0 to 63     inputs, loaded into r0 to r7, so that a verifier knows nothing about their values
    bytes 64 to 127   inputs, copied to the stack
    bytes 128 to 191  r0 to r7 at the end
    bytes 192 to 255  the stack at the end

Between prologue and epilogue stand blocks of instructions drawn from the ISA table: arithmetic, loads and stores
(stack, and 64 bytes of a map's value through r8), atomic operations, forward jumps, loops with a constant count,
calls of functions of its own.  r9 keeps the context.  All that varies is drawn from one `random.Random`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from pybpftime.isa import BY_NAME, TABLE, Form, Instruction, Program, Row, encode_program, lookup
from pybpftime.isa.row import FIELDS, ConstantRule, jump_field

SCALARS = 8
STACK_BYTES = 64
VALUE_BYTES = 64
DATA_BYTES = 256
VALUE, CONTEXT, FRAME = 8, 9, 10

EDGES = sorted(
    {0, 1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 65, 0xFF}
    | {sign * (1 << bits) + delta for bits in (7, 8, 15, 16, 31, 32, 63) for sign in (1, -1) for delta in (-1, 0, 1)}
)


def edge_value(source: random.Random, bits: int = 64) -> int:
    """An unsigned number of `bits` bits, half of the time one where widths, signs or shifts begin or end."""
    value = source.choice(EDGES) if source.random() < 0.5 else source.getrandbits(source.choice((4, 8, 16, 32, bits)))
    return value & ((1 << bits) - 1)


def signed_edge(source: random.Random, bits: int) -> int:
    """The same as a signed number."""
    value = edge_value(source, bits)
    return value - (1 << bits) if value >> (bits - 1) else value


@dataclass(frozen=True, slots=True)
class Generated:
    """A program and the rows it was drawn from.  `value_slots`: wide instructions that load the map value's address."""

    instructions: Program
    value_slots: tuple[int, ...]
    rows: frozenset[str]

    def encode(self, map_descriptor: int) -> bytes:
        """Bytes for a kernel in which the map is open as `map_descriptor`."""
        program = [
            Instruction(i.opcode, i.dst_reg, 2, 0, map_descriptor, i.next_imm) if slot in self.value_slots and i else i
            for slot, i in enumerate(self.instructions)
        ]
        return encode_program(program)


class _Text:
    """Instructions under construction, with jumps patched when their target is known."""

    def __init__(self) -> None:
        self.slots: list[Instruction | None] = []
        self.rows: set[str] = set()

    def __len__(self) -> int:
        return len(self.slots)

    def add(self, name: str, **fields: int) -> int:
        """Append an instruction of the row `name`; returns its slot."""
        row = BY_NAME[name]
        slot = len(self.slots)
        values = {field: value for field, value in row.fixed.items() if field != "next_imm"} | fields
        if row.wide:
            values.setdefault("next_imm", 0)
        self.slots.append(Instruction(row.opcode, **values))
        if row.wide:
            self.slots.append(None)
        self.rows.add(name)
        return slot

    def land(self, slot: int) -> None:
        """Make the jump at `slot` lead to the end of what is there now."""
        old = self.slots[slot]
        assert old is not None
        distance = len(self.slots) - slot - 1
        values = {name: getattr(old, name) for name in FIELDS} | {jump_field(lookup(old)): distance}
        self.slots[slot] = Instruction(old.opcode, **values)


def _rows(*forms: Form) -> list[Row]:
    return [row for row in TABLE if row.form in forms]


ALU_ROWS = _rows(Form.BINARY, Form.UNARY)
JUMP_ROWS = _rows(Form.JUMP_IF)
MEMORY_ROWS = _rows(Form.LOAD, Form.STORE)
ATOMIC_ROWS = _rows(Form.ATOMIC)
ORDERED_ROWS = _rows(Form.LOAD_ACQUIRE, Form.STORE_RELEASE)


class Generator:
    """Draws programs.  `length` is roughly how many instructions stand between prologue and epilogue."""

    def __init__(self, source: random.Random, *, length: int = 24, functions: int = 2, ordered: bool = True) -> None:
        self._random = source
        self._length = length
        self._functions = functions
        self._ordered = ordered

    def program(self) -> Generated:
        """The next program."""
        text = _Text()
        calls: list[tuple[int, int]] = []
        functions = self._random.randint(0, self._functions)
        value_slot = self._prologue(text)
        body = _Body(self._random, text, registers=range(SCALARS), memory=True, ordered=self._ordered)
        body.fill(self._length, lambda: self._call(text, calls, functions))
        self._epilogue(text)
        for index in range(functions):
            for slot in [slot for slot, function in calls if function == index]:
                text.land(slot)
            if any(function == index for _, function in calls):
                self._function(text)
        return Generated(tuple(text.slots), (value_slot,), frozenset(text.rows))

    def data(self) -> bytes:
        """A block of inputs for a program."""
        words = (edge_value(self._random).to_bytes(8, "little") for _ in range(DATA_BYTES // 16))
        return b"".join(words) + bytes(DATA_BYTES // 2)

    def _prologue(self, text: _Text) -> int:
        text.add("mov_reg", dst_reg=CONTEXT, src_reg=1)
        for offset in range(0, STACK_BYTES, 8):
            text.add("ldxdw", dst_reg=0, src_reg=CONTEXT, offset=64 + offset)
            text.add("stxdw", dst_reg=FRAME, src_reg=0, offset=-STACK_BYTES + offset)
        value_slot = text.add("lddw_map_val_by_fd", dst_reg=VALUE, imm=0)
        for register in range(SCALARS):
            text.add("ldxdw", dst_reg=register, src_reg=CONTEXT, offset=8 * register)
        return value_slot

    def _epilogue(self, text: _Text) -> None:
        for register in range(SCALARS):
            text.add("stxdw", dst_reg=CONTEXT, src_reg=register, offset=128 + 8 * register)
        for offset in range(0, STACK_BYTES, 8):
            text.add("ldxdw", dst_reg=0, src_reg=FRAME, offset=-STACK_BYTES + offset)
            text.add("stxdw", dst_reg=CONTEXT, src_reg=0, offset=192 + offset)
        text.add("mov_imm", dst_reg=0, imm=0)
        text.add("exit")

    def _call(self, text: _Text, calls: list[tuple[int, int]], functions: int) -> None:
        """Call a function with r1 to r5, then give r1 to r5 values again."""
        if not functions:
            text.add("ja", offset=0)
            return
        calls.append((text.add("call_local", imm=0), self._random.randrange(functions)))
        for register in range(1, 6):
            text.add("ldxdw", dst_reg=register, src_reg=CONTEXT, offset=8 * self._random.randrange(8))

    def _function(self, text: _Text) -> None:
        """A function of its five arguments: its own r0, r6 and stack slot, no memory of the caller."""
        text.add("mov_reg", dst_reg=0, src_reg=self._random.randint(1, 5))
        text.add("mov_reg", dst_reg=6, src_reg=self._random.randint(1, 5))
        body = _Body(self._random, text, registers=range(7), memory=False, ordered=False)
        body.fill(self._random.randint(1, 8), None)
        text.add("exit")


class _Body:
    """Blocks of instructions over `registers`, appended to a text."""

    def __init__(self, source: random.Random, text: _Text, *, registers: range, memory: bool, ordered: bool) -> None:
        self._random = source
        self._text = text
        self._registers = registers
        self._memory = memory
        self._memory_rows = MEMORY_ROWS + ATOMIC_ROWS + (ORDERED_ROWS if ordered else [])

    def fill(self, length: int, call: Callable[[], None] | None) -> None:
        """Append about `length` instructions; `call` makes a function call."""
        stop = len(self._text) + length
        while len(self._text) < stop:
            kind = self._random.random()
            if kind < 0.5:
                self._alu()
            elif kind < 0.75 and self._memory:
                self._access()
            elif kind < 0.92:
                self._jump(stop)
            elif kind < 0.95:
                self._loop()
            elif call is not None:
                call()

    def _register(self) -> int:
        return self._random.choice(self._registers)

    def _alu(self) -> None:
        if self._random.random() < 0.03:
            self._text.add("lddw", dst_reg=self._register(), imm=signed_edge(self._random, 32),
                           next_imm=signed_edge(self._random, 32))  # fmt: skip
            return
        row = self._random.choice(ALU_ROWS)
        fields = {field: self._register() for field in ("dst_reg", "src_reg") if field not in row.fixed}
        if "imm" not in row.fixed:
            fields["imm"] = self._immediate(row)
        self._text.add(row.name, **fields)

    def _immediate(self, row: Row) -> int:
        if row.constant_rule is ConstantRule.BELOW_WIDTH:
            return self._random.randrange(row.width)
        imm = signed_edge(self._random, 32)
        return imm or 1 if row.constant_rule is ConstantRule.NOT_ZERO else imm

    def _access(self) -> None:
        """A load, store or atomic operation on the stack (aligned) or the map value (anywhere, if not atomic)."""
        row = self._random.choice(self._memory_rows)
        size = row.size
        on_stack = self._random.random() < 0.5
        place = self._random.randrange(STACK_BYTES // size) * size
        if not on_stack and row.form in (Form.LOAD, Form.STORE):
            place = self._random.randrange(VALUE_BYTES - size + 1)
        base, offset = (FRAME, place - STACK_BYTES) if on_stack else (VALUE, place)
        address = "src_reg" if row.form in (Form.LOAD, Form.LOAD_ACQUIRE) else "dst_reg"
        fields = {address: base, "offset": offset}
        other = "dst_reg" if address == "src_reg" else "src_reg"
        if other not in row.fixed:
            fields[other] = self._register()
        if "imm" not in row.fixed:
            fields["imm"] = signed_edge(self._random, 32)
        self._text.add(row.name, **fields)

    def _compare(self) -> int:
        row = self._random.choice(JUMP_ROWS)
        fields = {field: self._register() for field in ("dst_reg", "src_reg") if field not in row.fixed}
        if "imm" not in row.fixed:
            fields["imm"] = signed_edge(self._random, 32)
        return self._text.add(row.name, offset=0, **fields)

    def _jump(self, stop: int) -> None:
        """if (condition) skip a few instructions; half of the time with an else branch."""
        branch = self._compare()
        for _ in range(self._random.randint(1, 3)):
            self._alu()
        if self._random.random() < 0.5 and len(self._text) < stop:
            over = self._text.add("ja", offset=0) if self._random.random() < 0.5 else self._text.add("ja32", imm=0)
            self._text.land(branch)
            for _ in range(self._random.randint(1, 3)):
                self._alu()
            self._text.land(over)
        else:
            self._text.land(branch)

    def _loop(self) -> None:
        """A few rounds of a few instructions; the count is a constant in a register that the body leaves alone."""
        counter = self._registers[-1]
        body = _Body(self._random, self._text, registers=range(counter), memory=False, ordered=False)
        self._text.add("mov_imm", dst_reg=counter, imm=self._random.randint(1, 4))
        start = len(self._text)
        for _ in range(self._random.randint(1, 3)):
            body._alu()
        self._text.add("sub_imm", dst_reg=counter, imm=1)
        self._text.add("jne_imm", dst_reg=counter, imm=0, offset=start - len(self._text) - 1)
