"""Fragments of generated programs: arithmetic, branches, loops, memory, stack and packets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pybpftime.conformance.verifier_draft import MAPS, Label
from pybpftime.conformance.verifier_writer import CONTEXT, FRAME, NUMBER, SAVED, SCRATCH, VOLATILE, Held, Kind, Writer
from pybpftime.helpers.declarations import KNOWN
from pybpftime.isa import BY_NAME
from pybpftime.program.types import FieldKind, PacketAccess
from pybpftime.uapi import ProgramType

PROBES = frozenset(
    {ProgramType.BPF_PROG_TYPE_KPROBE, ProgramType.BPF_PROG_TYPE_TRACEPOINT, ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT}
)
NO_LOCKS = PROBES | {ProgramType.BPF_PROG_TYPE_SOCKET_FILTER}
STORES = {1: "stxb", 2: "stxh", 4: "stxw", 8: "stxdw"}
LOADS = {1: "ldxb", 2: "ldxh", 4: "ldxw", 8: "ldxdw"}
HELPERS = {name: number for number, name in KNOWN.items()}
LONGEST = 160
"""Slots after which nothing more is begun."""

Entry = tuple[Callable[[Any], None], int, str]
"""A fragment, how often it is drawn, and what it needs (`Fragments._has`)."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function to be written: its label, and what it is called with.  `callback`: it returns 0 or 1."""

    label: Label
    arguments: tuple[Held | None, ...]
    callback: bool = False


class Fragments:
    """What a function is made of without calls.

    `table` has the fragments to draw from; `functions` takes those that are called and are to be written.
    """

    def __init__(
        self, writer: Writer, table: Sequence[Entry], functions: list[Function], function: Function | None = None
    ) -> None:
        self._writer = writer
        self._draft = writer.draft
        self._random = writer.random
        self._functions = functions
        self._depth = 0
        self._kinds = [(one, weight) for one, weight, needs in table if self._has(needs, function)]

    def _has(self, needs: str, function: Function | None) -> bool:
        """Whether a fragment can be written here: `needs` is what it takes."""
        info, program = self._writer.info, function is None
        match needs:
            case "program":
                return program
            case "packet":
                return program and info.packet_access is not PacketAccess.NONE
            case "xdp":
                return program and info.type is ProgramType.BPF_PROG_TYPE_XDP
            case "skb":
                return program and info.legacy_packet_access
            case "functions":
                return len(self._functions) < 3 or program
            case "probe":
                return info.type in PROBES
            case "plain":
                return program and info.type not in NO_LOCKS
        return True

    def several(self, count: int) -> None:
        """So many fragments."""
        fragments, weights = zip(*self._kinds, strict=True)
        for _ in range(count):
            if len(self._draft) > LONGEST:
                return
            self._random.choices(fragments, weights)[0](self)

    def finish(self, most: int) -> None:
        """The end of the function, which returns 0 to `most` - 1 or so."""
        writer = self._writer
        if writer.slip() and writer.out.used:
            self._draft.add("exit")
        self._draft.place(writer.out)
        writer.constant(0, self._random.randrange(most))
        self._draft.add("exit")

    # --- numbers and branches ---

    def numbers(self) -> None:
        """Some arithmetic."""
        for _ in range(self._random.randint(1, 5)):
            self._writer.arithmetic()

    def input(self) -> None:
        """Something from the context."""
        self._writer.input(self._writer.free())

    def branch(self) -> None:
        """if, with or without else."""
        writer = self._writer
        if self._depth >= 3:
            return
        otherwise, end = Label(), Label()
        writer.compare(otherwise)
        before = dict(writer.held), dict(writer.spilled)
        self._inner(self._random.randint(1, 2))
        then = writer.held, writer.spilled
        writer.held, writer.spilled = dict(before[0]), dict(before[1])
        has_else = self._random.random() < 0.5
        if has_else:
            self._draft.jump(self._random.choice(("ja", "ja32")), end)
        self._draft.place(otherwise)
        if has_else:
            self._inner(1)
            self._draft.place(end)
        for now, other in ((writer.held, then[0]), (writer.spilled, then[1])):
            for place in [place for place, held in now.items() if other.get(place) != held]:
                del now[place]

    def _inner(self, count: int) -> None:
        self._depth += 1
        self.several(count)
        self._depth -= 1

    def loop(self) -> None:
        """A counted loop; half of the time it goes over the elements of some memory."""
        writer = self._writer
        saved = [one for one in SAVED if one not in writer.frozen]
        if self._depth >= 2 or len(saved) < 2:
            return
        counter = self._random.choice(saved)
        pointer = writer.pointer(Kind.MEMORY, Kind.STACK) if self._random.random() < 0.5 else None
        count = self._random.randint(1, 6)
        writer.constant(counter, 0)
        start = Label()
        keep = {counter} if pointer is None or pointer == counter else {counter, pointer}
        with writer.keeping(*keep):
            writer.forget([one for one in writer.held if one not in writer.frozen])
            writer.spilled.clear()
            self._draft.place(start)
            if pointer is not None and pointer != counter and pointer in writer.held:
                self._element(counter, pointer, count)
            self._inner(1)
            writer.forget([one for one in writer.held if one not in writer.frozen])
            writer.spilled.clear()
        if self._random.random() < 0.1:
            self._draft.jump("may_goto", writer.out)
        self._draft.add("add_imm", dst_reg=counter, imm=0 if writer.slip() and writer.slip() else 1)
        row = self._random.choice(("jlt_imm", "jslt_imm", "jne_imm", "jlt32_imm"))
        self._draft.jump(row, start, dst_reg=counter, imm=count)

    def _element(self, counter: int, pointer: int, count: int) -> None:
        writer = self._writer
        held = writer.held[pointer]
        size = self._random.choice((1, 2, 4, 8))
        if size * count > held.size:
            return
        place = writer.free()
        writer.copy(place, counter)
        self._draft.add("lsh_imm", dst_reg=place, imm=size.bit_length() - 1)
        self._draft.add("add_reg", dst_reg=place, src_reg=pointer)
        writer.forget((place,))
        with writer.keeping(place):
            writer.at(BY_NAME[LOADS[size] if self._random.random() < 0.5 or not held.writable else STORES[size]], place,
                      size if writer.slip() else 0)  # fmt: skip

    # --- memory ---

    def memory(self) -> None:
        """Accesses through a pointer that is there."""
        pointer = self._writer.pointer()
        if pointer is not None:
            self._writer.accesses(pointer, self._writer.held[pointer])

    def global_value(self) -> None:
        """The value of a map of one element, at its address."""
        writer, name = self._writer, self._random.choice(("one", "constants"))
        register, size = writer.free(), MAPS[name].value_size
        offset = self._random.choice((0, 0, 8))
        self._draft.map(register, name, offset)
        writer.held[register] = Held(Kind.MEMORY, size - offset, writable=name != "constants" or writer.slip())
        writer.accesses(register, writer.held[register])

    def stack(self) -> None:
        """Accesses to the upper part of the stack, some of them at a variable place."""
        writer = self._writer
        base = writer.free()
        writer.copy(base, FRAME)
        low = self._random.choice((-SCRATCH - 64, -SCRATCH - 32))
        self._draft.add("add_imm", dst_reg=base, imm=low)
        held = Held(Kind.STACK, -low - SCRATCH)
        writer.held[base] = held
        if self._random.random() < 0.7:
            for offset in range(low, -SCRATCH, 8):
                self._draft.add("stdw", dst_reg=FRAME, offset=offset, imm=self._random.randrange(4))
        writer.accesses(base, held)

    def spill(self) -> None:
        """Registers go to the stack and come back, whole or in parts."""
        writer = self._writer
        offset = -8 * self._random.randint(1, SCRATCH // 8)
        if self._random.random() < 0.5 and writer.held:
            register = self._random.choice(list(writer.held))
            self._draft.add("stxdw", dst_reg=FRAME, src_reg=register, offset=offset)
            writer.spilled[offset] = writer.held[register]
        else:
            size = self._random.choice((1, 2, 4, 8))
            place = offset + self._random.randrange(0, 8, size)
            self._draft.add(STORES[size], dst_reg=FRAME, src_reg=writer.number(), offset=place)
            writer.spilled[offset] = NUMBER

    def fill(self) -> None:
        """What was spilled, or a part of it."""
        writer = self._writer
        if not writer.spilled:
            return
        offset = self._random.choice(list(writer.spilled))
        held, register = writer.spilled[offset], writer.free()
        if held is not NUMBER or self._random.random() < 0.5:
            self._draft.add("ldxdw", dst_reg=register, src_reg=FRAME, offset=offset)
            writer.held[register] = held
        else:
            size = self._random.choice((1, 2, 4))
            place = offset + self._random.randrange(0, 8, size)
            row = LOADS[size] if self._random.random() < 0.7 else LOADS[size].replace("ldx", "ldxs")
            self._draft.add(row, dst_reg=register, src_reg=FRAME, offset=place)
            writer.held[register] = NUMBER

    # --- packets ---

    def packet(self) -> None:
        """Load the packet's addresses, compare, access."""
        writer = self._writer
        assert writer.info.layout is not None
        fields = {field.kind: field.offset for field in writer.info.layout.fields}
        data = writer.free()
        with writer.keeping(data):
            self._draft.add("ldxw", dst_reg=data, src_reg=CONTEXT, offset=fields[FieldKind.PACKET])
            writer.forget((data,))
            if self._random.random() < 0.35:
                self._behind_header(data, fields[FieldKind.PACKET_END])
            end, limit = writer.free(), 0
            self._draft.add("ldxw", dst_reg=end, src_reg=CONTEXT, offset=fields[FieldKind.PACKET_END])
            writer.forget((end,))
            length = self._random.choice((1, 2, 8, 14, 20, 34, 54))
            limit = writer.free(end)
            writer.copy(limit, data)
            self._draft.add("add_imm", dst_reg=limit, imm=length - (1 if writer.slip() else 0))
            self._check(limit, end)
            writer.forget((limit, end))
            held = Held(Kind.PACKET, length, writer.info.packet_access is PacketAccess.WRITE or writer.slip())
            writer.held[data] = held
            writer.accesses(data, held)

    def _check(self, limit: int, end: int) -> None:
        writer = self._writer
        if writer.slip():
            if self._random.random() < 0.5:
                self._draft.jump("jlt_reg", writer.out, dst_reg=limit, src_reg=end)
            return
        inside = Label()
        match self._random.randrange(5):
            case 0:
                self._draft.jump("jgt_reg", writer.out, dst_reg=limit, src_reg=end)
            case 1:
                self._draft.jump("jlt_reg", writer.out, dst_reg=end, src_reg=limit)
            case 2:
                self._draft.jump("jge_reg", writer.out, dst_reg=limit, src_reg=end)
            case 3:
                self._draft.jump("jle_reg", inside, dst_reg=limit, src_reg=end)
                self._draft.jump("ja", writer.out)
            case _:
                self._draft.jump("jge_reg", inside, dst_reg=end, src_reg=limit)
                self._draft.jump("ja", writer.out)
        self._draft.place(inside)

    def _behind_header(self, data: int, end_field: int) -> None:
        """Move `data` behind a header whose length stands in its first byte, or that some number gives."""
        writer = self._writer
        with writer.keeping(data):
            if self._random.random() < 0.5:
                end, limit = writer.free(), 0
                self._draft.add("ldxw", dst_reg=end, src_reg=CONTEXT, offset=end_field)
                limit = writer.free(end)
                writer.copy(limit, data)
                self._draft.add("add_imm", dst_reg=limit, imm=1)
                self._check(limit, end)
                writer.forget((limit, end))
                length = writer.free()
                self._draft.add("ldxb", dst_reg=length, src_reg=data, offset=0)
                self._draft.add("and_imm", dst_reg=length, imm=15)
                self._draft.add("lsh_imm", dst_reg=length, imm=2)
                writer.held[length] = NUMBER
            else:
                length = writer.bounded(self._random.choice((60, 255, 4000)))
            self._draft.add("add_reg", dst_reg=data, src_reg=length)

    def legacy(self) -> None:
        """Legacy packet access."""
        writer = self._writer
        size = self._random.choice("bhw")
        if self._random.random() < 0.6:
            self._draft.add(f"ldabs{size}", imm=self._random.choice((0, 12, 60, 4000)))
        else:
            self._draft.add(f"ldind{size}", src_reg=writer.number(), imm=self._random.choice((0, 14)))
        self._called()

    def adjust(self) -> None:
        """Move the head or the tail of the packet: addresses from before are gone."""
        writer = self._writer
        helper = self._random.choice(("bpf_xdp_adjust_head", "bpf_xdp_adjust_tail", "bpf_xdp_adjust_meta"))
        writer.copy(1, CONTEXT)
        writer.constant(2, self._random.choice((-8, -4, 0, 4, 8)))
        self._call(helper)
        if not writer.slip():
            for held in (writer.held, writer.spilled):
                for place in [place for place, one in held.items() if one.kind is Kind.PACKET]:
                    del held[place]

    def _call(self, helper: str) -> None:
        self._draft.add("call_helper", imm=HELPERS[helper])
        self._called()

    def _called(self) -> None:
        self._writer.forget(VOLATILE)
        self._writer.held[0] = NUMBER
