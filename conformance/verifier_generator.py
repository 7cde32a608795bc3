"""Random programs that exercise a verifier: most of what programs do, done right or, now and then, not quite.

A program is a list of fragments, each a thing that programs do: a packet is checked and read, a map value looked up,
tested and changed, a number bounded and used as an index, a register spilled, a loop counted, a function called.
Program number i of a seed depends on both alone.  Somewhat more than half of the programs are safe.
"""

from __future__ import annotations

import random

from pybpftime.conformance.generator import signed_edge
from pybpftime.conformance.verifier_draft import LOCK_SIZE, MAPS, Draft, GeneratedProgram, Label
from pybpftime.conformance.verifier_fragments import HELPERS, PROBES, STORES, Entry, Fragments, Function
from pybpftime.conformance.verifier_writer import (
    CONTEXT,
    FRAME,
    LOWEST,
    NUMBER,
    SAVED,
    SCRATCH,
    VOLATILE,
    Held,
    Kind,
    Writer,
)
from pybpftime.program.types import PROGRAM_TYPES, ProgramTypeInfo
from pybpftime.uapi import MapType, ProgramType

TYPES = (
    *(ProgramType.BPF_PROG_TYPE_XDP, ProgramType.BPF_PROG_TYPE_SCHED_CLS, ProgramType.BPF_PROG_TYPE_SOCKET_FILTER),
    *(ProgramType.BPF_PROG_TYPE_XDP, ProgramType.BPF_PROG_TYPE_SCHED_CLS, ProgramType.BPF_PROG_TYPE_CGROUP_SKB),
    *sorted(PROBES),
)


class Calls(Fragments):
    """The fragments that call: helpers, functions of the program, callbacks."""

    def source(self) -> None:
        """A helper that only asks."""
        helpers = ["bpf_ktime_get_ns", "bpf_get_prandom_u32", "bpf_get_smp_processor_id"]
        if self._writer.info.type in PROBES:
            helpers.append("bpf_get_current_pid_tgid")
        self._call(self._random.choice(helpers))

    def look_up(self) -> None:
        """Find an element, test it, use it."""
        writer = self._writer
        name = self._random.choice(("array", "hash", "per_cpu"))
        target = self._found(name)
        if target is not None:
            writer.held[target] = Held(Kind.MEMORY, MAPS[name].value_size)
            writer.accesses(target, writer.held[target])

    def _key(self, name: str) -> int:
        """Write a key of the map to the stack; returns its offset."""
        writer, spec = self._writer, MAPS[name]
        offset = -LOWEST + 8 * self._random.randrange(4)
        limit = spec.max_entries - 1 if spec.type is not MapType.BPF_MAP_TYPE_HASH else 3
        if self._random.random() < 0.4:
            row = "stw" if spec.key_size == 4 else "stdw"
            self._draft.add(row, dst_reg=FRAME, offset=offset, imm=self._random.randint(0, limit + 1))
        else:
            index = writer.bounded(limit) if self._random.random() < 0.5 else writer.number()
            self._draft.add(STORES[spec.key_size], dst_reg=FRAME, src_reg=index, offset=offset)
        return offset

    def _found(self, name: str) -> int | None:
        """Look up and test: the register that points to the value."""
        writer = self._writer
        offset = self._key(name)
        writer.copy(2, FRAME)
        self._draft.add("add_imm", dst_reg=2, imm=offset)
        self._draft.map(1, name)
        self._call("bpf_map_lookup_elem")
        target = self._random.choice([0, *(one for one in SAVED if one not in writer.frozen)])
        if target and self._random.random() < 0.5:
            writer.copy(target, 0)
            self._not_null(0)
        else:
            self._not_null(0)
            if target:
                writer.copy(target, 0)
        writer.forget((0, target))
        return target

    def _not_null(self, register: int) -> None:
        writer = self._writer
        if writer.slip():
            return
        if self._random.random() < 0.7:
            self._draft.jump("jeq_imm", writer.out, dst_reg=register, imm=0)
        else:
            there = Label()
            self._draft.jump("jne_imm", there, dst_reg=register, imm=0)
            self._draft.jump("ja", writer.out)
            self._draft.place(there)

    def update(self) -> None:
        """Store or delete an element."""
        writer = self._writer
        name = self._random.choice(("array", "hash"))
        value = writer.pointer(Kind.MEMORY) if self._random.random() < 0.3 else None
        with writer.keeping(*([] if value is None else [value])):
            offset = self._key(name)
        size = MAPS[name].value_size
        if value is not None and value in writer.held and (writer.held[value].size >= size or writer.slip()):
            writer.copy(3, value)
        else:
            writer.copy(3, FRAME)
            self._draft.add("add_imm", dst_reg=3, imm=-SCRATCH - size + (8 if writer.slip() else 0))
        writer.copy(2, FRAME)
        self._draft.add("add_imm", dst_reg=2, imm=offset)
        self._draft.map(1, name)
        writer.constant(4, self._random.choice((0, 0, 1, 2)))
        self._call("bpf_map_update_elem" if name == "array" or self._random.random() < 0.7 else "bpf_map_delete_elem")

    def sized(self) -> None:
        """A helper with memory of a variable size, on the stack or in a map value."""
        writer = self._writer
        memory = writer.pointer(Kind.MEMORY) if self._random.random() < 0.4 else None
        room = 32 if memory is None else writer.held[memory].size
        written = "probe" if writer.info.type in PROBES else "bytes"
        wanted = self._random.choice((written, "output"))
        if memory is not None and not writer.held[memory].writable:
            wanted = "output"
        with writer.keeping(*([] if memory is None else [memory])):
            if self._random.random() < 0.6 and room > 1:
                size = writer.bounded(room - 1)
                self._draft.add("add_imm", dst_reg=size, imm=2 if writer.slip() else 1)
            else:
                size = writer.free()
                writer.constant(size, self._random.randint(1, room) + (room if writer.slip() else 0))
        at = {"probe": (1, 2), "bytes": (3, 4), "output": (2, 3)}[wanted]
        self._arguments({at[1]: size} | ({at[0]: memory} if memory is not None else {}))
        if memory is None:
            writer.copy(at[0], FRAME)
            self._draft.add("add_imm", dst_reg=at[0], imm=-SCRATCH - room)
        if wanted == "probe":
            writer.constant(3, 0x1000)
            self._call(self._random.choice(("bpf_probe_read_kernel", "bpf_probe_read_user_str")))
        elif wanted == "output":
            self._draft.map(1, "ring")
            writer.constant(4, 0)
            self._call("bpf_ringbuf_output")
        elif writer.has_context:
            writer.copy(1, CONTEXT)
            writer.constant(2, self._random.choice((0, 14, 60)))
            is_xdp = writer.info.type is ProgramType.BPF_PROG_TYPE_XDP
            self._call("bpf_xdp_load_bytes" if is_xdp else "bpf_skb_load_bytes")

    def _arguments(self, sources: dict[int, int]) -> None:
        """Move registers to where a helper wants them, through r0 where they stand in each other's way."""
        pending = {target: source for target, source in sources.items() if target != source}
        while pending:
            target = next((one for one in pending if one not in pending.values()), None)
            if target is None:
                target = next(iter(pending))
                self._draft.add("mov_reg", dst_reg=0, src_reg=target)
                pending = {one: 0 if other == target else other for one, other in pending.items()}
            self._draft.add("mov_reg", dst_reg=target, src_reg=pending.pop(target))

    def record(self) -> None:
        """Reserve a record of the ring buffer, fill it, give it back."""
        writer = self._writer
        saved = [one for one in SAVED if one not in writer.frozen]
        if len(saved) < 2:
            return
        record, size = self._random.choice(saved), self._random.choice((8, 16, 24))
        self._draft.map(1, "ring")
        writer.constant(2, size)
        writer.constant(3, 0)
        self._call("bpf_ringbuf_reserve")
        writer.copy(record, 0)
        writer.forget((0,))
        self._not_null(record)
        writer.held[record] = Held(Kind.MEMORY, size)
        out, writer.out = writer.out, Label()
        with writer.keeping(record):
            writer.accesses(record, writer.held[record])
            self._inner(self._random.randrange(2))
        if not writer.slip():
            self._release(record, "bpf_ringbuf_submit")
        if writer.out.used:
            after = Label()
            self._draft.jump("ja", after)
            self._draft.place(writer.out)
            self._release(record, "bpf_ringbuf_discard")
            self._draft.jump("ja", out)
            self._draft.place(after)
        writer.out = out
        if not writer.slip():
            writer.forget((*VOLATILE, record))
            for place in [place for place, held in writer.spilled.items() if held.kind is Kind.MEMORY]:
                del writer.spilled[place]
            writer.forget([one for one, held in writer.held.items() if held.kind is Kind.MEMORY])

    def _release(self, record: int, helper: str) -> None:
        self._draft.add("mov_reg", dst_reg=1, src_reg=record)
        self._draft.add("mov_imm", dst_reg=2, imm=0)
        self._draft.add("call_helper", imm=HELPERS[helper])

    def lock(self) -> None:
        """Change a value under its spin lock."""
        writer = self._writer
        value = self._found("locked")
        if value is None:
            return
        saved = [one for one in SAVED if one not in writer.frozen]
        if not value:
            if not saved:
                return
            value = saved[0]
            writer.copy(value, 0)
            writer.forget((value,))
        writer.copy(1, value)
        self._call("bpf_spin_lock")
        writer.forget([0])
        self._draft.add("stw", dst_reg=value, offset=LOCK_SIZE if not writer.slip() else 0, imm=1)
        with writer.keeping(value):
            writer.access(value, Held(Kind.MEMORY, MAPS["locked"].value_size - 8), 8)
            if writer.slip():
                self.source()
        if not writer.slip():
            writer.copy(1, value)
            self._call("bpf_spin_unlock")
        writer.forget([*VOLATILE, value])

    def tail_call(self) -> None:
        """Go on in another program, if there is one."""
        writer = self._writer
        index = writer.number()
        self._arguments({3: index})
        writer.copy(1, CONTEXT)
        self._draft.map(2, "jumps")
        self._draft.add("call_helper", imm=HELPERS["bpf_tail_call"])
        writer.forget(VOLATILE)

    def call(self) -> None:
        """Call a function with numbers and pointers."""
        writer = self._writer
        pointer = writer.pointer(Kind.MEMORY, Kind.PACKET)
        number = writer.number(*([] if pointer is None else [pointer]))
        if pointer is not None and self._random.random() < 0.6 and number in writer.held:
            held = writer.held[pointer]
            self._arguments({1: pointer, 2: number})
        else:
            self._arguments({2: number})
            held = Held(Kind.STACK, 16)
            for offset in (-LOWEST - 16, -LOWEST - 8):
                self._draft.add("stdw", dst_reg=FRAME, offset=offset, imm=signed_edge(self._random, 32))
            writer.copy(1, FRAME)
            self._draft.add("add_imm", dst_reg=1, imm=-LOWEST - 16)
        same = [one for one in self._functions if one.arguments == (held, NUMBER) and not one.callback]
        function = self._random.choice(same) if same and writer.has_context else Function(Label(), (held, NUMBER))
        if function not in self._functions:
            self._functions.append(function)
        self._draft.jump("call_local", function.label)
        self._called()

    def repeat(self) -> None:
        """bpf_loop with memory of the stack."""
        writer = self._writer
        count = writer.bounded(8) if self._random.random() < 0.4 else None
        held = self._shared()
        function = Function(Label(), (NUMBER, held), callback=True)
        self._functions.append(function)
        if count is None:
            writer.constant(1, self._random.randint(0, 5))
        else:
            self._arguments({1: count})
            self._draft.add("and_imm", dst_reg=1, imm=15)  # a run shall end soon, whatever went wrong with the bound
        self._draft.jump("lddw_code_addr", function.label, dst_reg=2, imm=0)
        self._point_to_shared(3)
        writer.constant(4, 0)
        self._call("bpf_loop")

    def for_each(self) -> None:
        """bpf_for_each_map_elem."""
        writer = self._writer
        name = self._random.choice(("array", "hash", "per_cpu"))
        spec, held = MAPS[name], self._shared()
        key, value = Held(Kind.MEMORY, spec.key_size, writable=False), Held(Kind.MEMORY, spec.value_size)
        function = Function(Label(), (None, key, value, held), callback=True)
        self._functions.append(function)
        self._draft.map(1, name)
        self._draft.jump("lddw_code_addr", function.label, dst_reg=2, imm=0)
        self._point_to_shared(3)
        writer.constant(4, 0)
        self._call("bpf_for_each_map_elem")

    def _shared(self) -> Held:
        for offset in (-LOWEST - 16, -LOWEST - 8):
            self._draft.add("stdw", dst_reg=FRAME, offset=offset, imm=self._random.randrange(16))
        return Held(Kind.STACK, 16)

    def _point_to_shared(self, register: int) -> None:
        self._writer.copy(register, FRAME)
        self._draft.add("add_imm", dst_reg=register, imm=-LOWEST - 16)


_FRAGMENTS: tuple[Entry, ...] = (
    (Calls.numbers, 10, ""),
    (Calls.input, 6, "program"),
    (Calls.branch, 8, ""),
    (Calls.loop, 4, ""),
    (Calls.memory, 8, ""),
    (Calls.global_value, 4, ""),
    (Calls.stack, 6, ""),
    (Calls.spill, 8, ""),
    (Calls.fill, 8, ""),
    (Calls.packet, 12, "packet"),
    (Calls.legacy, 3, "skb"),
    (Calls.adjust, 2, "xdp"),
    (Calls.source, 4, ""),
    (Calls.look_up, 8, ""),
    (Calls.update, 4, ""),
    (Calls.sized, 5, ""),
    (Calls.record, 3, ""),
    (Calls.lock, 3, "plain"),
    (Calls.tail_call, 1, "program"),
    (Calls.call, 4, "functions"),
    (Calls.repeat, 2, "functions"),
    (Calls.for_each, 1, "functions"),
)


class VerifierGenerator:
    """Draws one program."""

    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._draft = Draft()
        self._functions: list[Function] = []
        self._slips = source.choice((0.0, 0.04, 0.08, 0.15, 0.25))

    def program(self) -> GeneratedProgram:
        """The program."""
        type = self._random.choice(TYPES)
        info = PROGRAM_TYPES[type]
        writer = Writer(self._draft, self._random, info, self._slips)
        writer.copy(CONTEXT, 1)
        if self._random.random() < 0.3:
            for register in self._random.sample(SAVED, 2):
                writer.input(register)
        fragments = Calls(writer, _FRAGMENTS, self._functions)
        fragments.several(self._random.choice((2, 3, 5, 8)))
        fragments.finish(2)
        for function in self._functions:  # grows while functions are written that call others
            self._function(function, info)
        return self._draft.finish(type)

    def _function(self, function: Function, info: ProgramTypeInfo) -> None:
        writer = Writer(self._draft, self._random, info, self._slips)
        writer.has_context = False
        self._draft.place(function.label)
        for register, held in enumerate(function.arguments, start=1):
            if held is not None:
                writer.held[register] = held
        fragments = Calls(writer, _FRAGMENTS, self._functions, function)
        fragments.several(self._random.randint(1, 3))
        fragments.finish(2 if not function.callback or self._random.random() < writer.slips else 1)


def generate(seed: int, index: int) -> GeneratedProgram:
    """Program number `index` of a seed."""
    return VerifierGenerator(random.Random(f"verifier/{seed}/{index}")).program()
