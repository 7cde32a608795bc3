"""One function of a generated program under construction: what its registers hold, guards, and accesses to memory.

The writer knows what is safe and writes that, unless it slips: with a probability of its own for each program it leaves
out a check, takes the wrong comparison or the wrong number.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import NamedTuple

from pybpftime.conformance.generator import ALU_ROWS, ATOMIC_ROWS, JUMP_ROWS, MEMORY_ROWS, ORDERED_ROWS, signed_edge
from pybpftime.conformance.verifier_draft import Draft, Label
from pybpftime.isa.row import ConstantRule, Form, Row
from pybpftime.program.types import FieldKind, ProgramTypeInfo

CONTEXT, FRAME = 6, 10
VOLATILE = range(6)
GENERAL = (0, 1, 2, 3, 4, 5, 7, 8, 9)
SAVED = (7, 8, 9)
LOADS = (Form.LOAD, Form.LOAD_ACQUIRE)
SCRATCH = 64
"""The lowest bytes of a stack that fragments fill as they like: fp-64 to fp-1 hold spilled values."""
LOWEST = 192


class Kind(StrEnum):
    """What a register holds, as far as the writer cares."""

    NUMBER = "number"
    MEMORY = "memory"  # anything plain: map values, records
    PACKET = "packet"
    STACK = "stack"


class Held(NamedTuple):
    """A value: of a pointer, that `size` bytes behind it may be accessed."""

    kind: Kind
    size: int = 0
    writable: bool = True

    @property
    def aligned(self) -> bool:
        """Whether accesses have to be aligned."""
        return self.kind is Kind.STACK

    @property
    def atomic(self) -> bool:
        """Whether atomic operations are allowed."""
        return self.writable and self.kind is not Kind.PACKET


NUMBER = Held(Kind.NUMBER)


class Writer:
    """Writes one function.  `held` is what registers hold, `out` where a failed guard leads."""

    def __init__(self, draft: Draft, source: random.Random, info: ProgramTypeInfo, slips: float) -> None:
        self.draft = draft
        self.random = source
        self.info = info
        self.slips = slips
        self.held: dict[int, Held] = {}
        self.spilled: dict[int, Held] = {}
        self.frozen: set[int] = {CONTEXT}
        self.out = Label()
        self.has_context = True

    # --- choices ---

    def slip(self) -> bool:
        """Whether to make a mistake here."""
        return self.random.random() < self.slips

    def free(self, *keep: int) -> int:
        """A register to overwrite."""
        return self.random.choice([one for one in GENERAL if one not in self.frozen and one not in keep])

    def number(self, *keep: int) -> int:
        """A register that holds a number; when there is none, one that gets one."""
        if self.slip() and self.random.random() < 0.1:
            return self.random.choice(GENERAL)
        numbers = [one for one, held in self.held.items() if held.kind is Kind.NUMBER]
        if numbers and self.random.random() < 0.85:
            return self.random.choice(numbers)
        register = self.free(*keep)
        self.input(register)
        return register

    def input(self, register: int) -> None:
        """Load a number that the program does not know."""
        fields = [
            place for place, field in self.info.layout.loads.items() if field.kind is FieldKind.SCALAR
        ] if self.info.layout and self.has_context else []  # fmt: skip
        if fields and self.random.random() < 0.8:
            offset, size = self.random.choice(fields[:200])
            row = {1: "ldxb", 2: "ldxh", 4: "ldxw", 8: "ldxdw"}[size]
            self.draft.add(row, dst_reg=register, src_reg=CONTEXT, offset=offset + (1 if self.slip() else 0))
        else:
            self.draft.add("mov_imm", dst_reg=register, imm=signed_edge(self.random, 32))
        self.held[register] = NUMBER

    def pointer(self, *kinds: Kind) -> int | None:
        """A register that points to memory of one of the kinds."""
        found = [one for one, held in self.held.items() if held.kind in (kinds or (Kind.MEMORY, Kind.PACKET))]
        return self.random.choice(found) if found else None

    def forget(self, registers: Iterable[int]) -> None:
        """What these held is gone."""
        for register in registers:
            self.held.pop(register, None)

    @contextmanager
    def keeping(self, *registers: int) -> Iterator[None]:
        """These registers are not overwritten meanwhile."""
        added = set(registers) - self.frozen
        self.frozen |= added
        try:
            yield
        finally:
            self.frozen -= added

    # --- numbers ---

    def copy(self, target: int, register: int) -> None:
        """target = register"""
        self.draft.add("mov_reg", dst_reg=target, src_reg=register)
        if register in self.held:
            self.held[target] = self.held[register]
        else:
            self.held.pop(target, None)

    def constant(self, register: int, value: int) -> None:
        """register = value"""
        self.draft.add("mov_imm", dst_reg=register, imm=value)
        self.held[register] = NUMBER

    def arithmetic(self) -> None:
        """One operation of any row on numbers."""
        row = self.random.choice(ALU_ROWS)
        fields = {}
        if "dst_reg" not in row.fixed:
            writable = [one for one, held in self.held.items() if held.kind is Kind.NUMBER and one not in self.frozen]
            fields["dst_reg"] = self.random.choice(writable) if writable else self.free()
            if not writable:
                self.input(fields["dst_reg"])
        if "src_reg" not in row.fixed:
            fields["src_reg"] = self.number(fields.get("dst_reg", 0))
        if "imm" not in row.fixed:
            fields["imm"] = self._immediate(row)
        self.draft.add(row, **fields)
        self.held[fields["dst_reg"]] = NUMBER

    def _immediate(self, row: Row) -> int:
        if row.constant_rule is ConstantRule.BELOW_WIDTH:
            return self.random.randrange(row.width)
        imm = self.random.randint(0, 64) if self.random.random() < 0.5 else signed_edge(self.random, 32)
        return imm or 1 if row.constant_rule is ConstantRule.NOT_ZERO else imm

    def compare(self, target: Label) -> None:
        """Jump to `target` if a comparison of numbers holds."""
        row = self.random.choice(JUMP_ROWS)
        fields = {"dst_reg": self.number()}
        if "src_reg" not in row.fixed:
            fields["src_reg"] = self.number(fields["dst_reg"])
        if "imm" not in row.fixed:
            fields["imm"] = self._immediate(row)
        self.draft.jump(row, target, **fields)

    def bounded(self, limit: int, step: int = 1) -> int:
        """A register with a number from 0 to `limit` that is a multiple of `step`, a power of two."""
        source = self.number()
        register = self.free(source)
        self.copy(register, source)
        self.held[register] = NUMBER
        most = limit // step + (self.random.choice((1, 1, 7, 1 << 20)) if self.slip() else 0)
        style = self.random.choice(_GUARDS)
        style(self, register, most)
        if step > 1:
            self.draft.add("lsh_imm", dst_reg=register, imm=step.bit_length() - 1)
        return register

    # --- memory ---

    def access(self, base: int, held: Held, offset: int = 0) -> None:
        """Load or store once, `offset` bytes and more behind the register."""
        rows = [row for row in _rows_for(held) if row.size <= held.size]
        if not rows:
            return
        row = self.random.choice(rows)
        step = row.size if held.aligned or row.form not in (Form.LOAD, Form.STORE) else 1
        place = self.random.randrange(0, held.size - row.size + 1, step)
        if self.slip():
            place = self.random.choice((held.size - row.size + 1, held.size, -1, -row.size, place + 1))
        self.at(row, base, offset + place)

    def at(self, row: Row, base: int, offset: int) -> None:
        """The access of a row at `base + offset`."""
        address = "src_reg" if row.form in LOADS else "dst_reg"
        other = "dst_reg" if row.form in LOADS else "src_reg"
        fields = {address: base, "offset": offset}
        if other not in row.fixed:
            fields[other] = self.free(base) if row.form in LOADS else self._operand(row, base)
        if "imm" not in row.fixed:
            fields["imm"] = signed_edge(self.random, 32)
        if "r0" in row.reads and self.held.get(0) != NUMBER:
            if base == 0 or 0 in self.frozen:
                return
            self.constant(0, self.random.randrange(8))
        self.draft.add(row, **fields)
        if row.form in LOADS:
            self.held[fields["dst_reg"]] = NUMBER
        elif row.fetch:
            self.held[0 if "r0" in row.writes else fields["src_reg"]] = NUMBER

    def _operand(self, row: Row, base: int) -> int:
        """A number to store: one that may be overwritten if the row fetches."""
        register = self.number(base)
        if row.form is not Form.ATOMIC or not (register in self.frozen or register == base):
            return register
        register = self.free(base)
        self.input(register)
        return register

    def accesses(self, base: int, held: Held) -> None:
        """A few accesses at constant and variable offsets."""
        with self.keeping(base):
            for _ in range(self.random.randint(1, 3)):
                if held.size > 4 and self.random.random() < 0.4:
                    self.variable(base, held)
                else:
                    self.access(base, held)

    def variable(self, base: int, held: Held) -> None:
        """An access at a variable offset."""
        size = self.random.choice([size for size in (1, 2, 4, 8) if size <= held.size])
        step = size if held.aligned else self.random.choice((1, 1, size))
        index = self.bounded(held.size - size, step)
        pointer = self.free(base, index)
        self.draft.add("mov_reg", dst_reg=pointer, src_reg=base)
        self.held.pop(pointer, None)
        if self.random.random() < 0.1 and (held.kind is not Kind.STACK or self.slip()):
            back = self.random.choice((8, 16))
            self.draft.add("add_imm", dst_reg=pointer, imm=back)
            self.draft.add("add_reg", dst_reg=pointer, src_reg=index)
            self.draft.add("sub_imm", dst_reg=pointer, imm=back)
        else:
            self.draft.add("add_reg", dst_reg=pointer, src_reg=index)
        plain = (Form.LOAD, Form.STORE)
        rows = [row for row in _rows_for(held) if row.size == size and (step == size or row.form in plain)]
        with self.keeping(pointer):
            self.at(self.random.choice(rows), pointer, 0)


# --- guards -----------------------------------------------------------------------------------------------------------

Guard = Callable[[Writer, int, int], None]


def _mask(writer: Writer, register: int, most: int) -> None:
    writer.draft.add("and_imm", dst_reg=register, imm=(1 << (most + 1).bit_length() - 1) - 1)


def _remainder(writer: Writer, register: int, most: int) -> None:
    writer.draft.add("mod_imm", dst_reg=register, imm=most + 1)


def _shift(writer: Writer, register: int, most: int) -> None:
    row = "arsh_imm" if writer.slip() else "rsh_imm"
    writer.draft.add(row, dst_reg=register, imm=min(64 - ((most + 1).bit_length() - 1), 63))
    if most == 0:
        writer.draft.add("and_imm", dst_reg=register, imm=0)


def _above(writer: Writer, register: int, most: int) -> None:
    row = "jsgt_imm" if writer.slip() else writer.random.choice(("jgt_imm", "jge_imm"))
    writer.draft.jump(row, writer.out, dst_reg=register, imm=most + (row == "jge_imm"))


def _above_register(writer: Writer, register: int, most: int) -> None:
    other = writer.free(register)
    writer.constant(other, most)
    if writer.random.random() < 0.5:
        writer.draft.jump("jgt_reg", writer.out, dst_reg=register, src_reg=other)
    else:
        writer.draft.jump("jlt_reg", writer.out, dst_reg=other, src_reg=register)


def _within(writer: Writer, register: int, most: int) -> None:
    inside = Label()
    row = writer.random.choice(("jle_imm", "jlt_imm"))
    writer.draft.jump(row, inside, dst_reg=register, imm=most + (row == "jlt_imm"))
    writer.draft.jump("ja", writer.out)
    writer.draft.place(inside)


def _signed(writer: Writer, register: int, most: int) -> None:
    checks = [("jsgt_imm", most), ("jslt_imm", 0)]
    writer.random.shuffle(checks)
    for row, imm in checks[: 1 if writer.slip() else 2]:
        writer.draft.jump(row, writer.out, dst_reg=register, imm=imm)


def _narrow(writer: Writer, register: int, most: int) -> None:
    """A comparison of the low half, and the low half is what is used."""
    extends_first = writer.random.random() < 0.5
    if extends_first and not writer.slip():
        writer.draft.add("mov32_reg", dst_reg=register, src_reg=register)
    writer.draft.jump(writer.random.choice(("jgt32_imm", "jgt_imm")), writer.out, dst_reg=register, imm=most)
    if not extends_first and not writer.slip():
        writer.draft.add("mov32_reg", dst_reg=register, src_reg=register)


def _relation(writer: Writer, register: int, most: int) -> None:
    """Less than another number, which is bounded afterwards."""
    other = writer.free(register)
    writer.input(other)
    writer.draft.jump("jgt_reg", writer.out, dst_reg=register, src_reg=other)
    writer.draft.jump("jgt_imm", writer.out, dst_reg=other, imm=most)


_GUARDS: tuple[Guard, ...] = (
    *(_mask, _mask, _mask, _remainder, _shift, _above, _above, _above_register, _within),
    *(_signed, _signed, _narrow, _narrow, _relation),
)


def _rows_for(held: Held) -> list[Row]:
    rows = [row for row in MEMORY_ROWS if held.writable or row.form is Form.LOAD]
    if held.atomic and held.kind is not Kind.PACKET:
        rows = rows + rows + ATOMIC_ROWS + ORDERED_ROWS
    return rows
