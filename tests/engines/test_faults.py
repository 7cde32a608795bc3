"""Faults: every kind, from programs, with all that a fault says; what cannot be served; bad input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from engines.engine_support import Calls, load, rig

from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import Fault, FaultKind, InputError
from pybpftime.helpers import HelperTable, default_helpers
from pybpftime.isa import BY_NAME, Form, Instruction
from pybpftime.machine import LENIENT, LEVELS, STRICT, Machine, Rounds, Strictness
from pybpftime.program.contexts.memory import MemoryContext, SyscallContext
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import Extern, MapReference, ProgramSpec, Reference, SourceLine, Trap

LINES = (
    SourceLine(0, "/src/prog.bpf.c", 10, 5, "    int sum = 0;"),
    SourceLine(2, "/src/prog.bpf.c", 12, 9, "\treturn *p;"),
)


def fault_of(text: Any, **options: Any) -> Fault:
    """The Fault that ends the run."""
    with pytest.raises(Fault) as caught:
        rig(text, **options).run()
    return caught.value


KINDS = {
    FaultKind.MEMORY: "r0 = *(u32 *)(r1 + 8)\nexit",
    FaultKind.PERMISSION: "r1 = map_by_fd(1)\nr0 = *(u32 *)(r1 + 0)\nexit",
    FaultKind.ALIGNMENT: "*(u32 *)(r10 - 7) = 1\nexit",
    FaultKind.UNINITIALISED: "r0 = r4\nexit",
    FaultKind.POINTER: "r0 = r10\nexit",
    FaultKind.CALL: "r1 = 1\ncallx r1\nexit",
    FaultKind.HELPER: "r1 = r10\nr1 += -8\nr2 = 0\ncall reader\nexit",
    FaultKind.INSTRUCTION: "r0 = 0",
    FaultKind.TRAP: "call kfunc 5\nexit",
}


@pytest.mark.parametrize("kind", list(FaultKind))
def test_every_kind_of_fault_comes_from_a_program(kind: FaultKind) -> None:
    fault = fault_of(KINDS[kind], level=STRICT, data=b"12345678")
    assert fault.kind is kind
    assert fault.program == "main"
    assert fault.pc is not None
    assert str(fault).startswith(f"main: instruction {fault.pc}")


def test_a_fault_says_everything() -> None:
    fault = fault_of("r0 = 1\nr3 = r1\nr0 = *(u64 *)(r3 + 5)\nexit", data=b"12345678", lines=LINES, name="count")
    base = fault.address - 5 if fault.address else 0
    assert fault.as_dict() == {
        "error": "Fault",
        "reason": "load of 8 bytes at memory+5: 5 bytes past the end (memory has 8 bytes)",
        "kind": "memory",
        "program": "count",
        "pc": 2,
        "instruction": "r0 = *(u64 *)(r3 + 0x5)",
        "source": "prog.bpf.c:12: return *p;",
        "address": base + 5,
        "size": 8,
        "region": "memory",
        "distance": 5,
    }
    assert str(fault) == (
        "count: instruction 2 (r0 = *(u64 *)(r3 + 0x5)): prog.bpf.c:12: return *p;: memory fault: "
        "load of 8 bytes at memory+5: 5 bytes past the end (memory has 8 bytes)"
    )


def test_the_line_of_a_fault_is_the_one_that_begins_at_or_before_it() -> None:
    assert fault_of("r0 = r5\nexit", lines=LINES).source == "prog.bpf.c:10: int sum = 0;"
    assert fault_of("r0 = 1\nr0 = 1\nr0 = 1\nr0 = r5\nexit", lines=LINES).source == "prog.bpf.c:12: return *p;"
    assert fault_of("r0 = r5\nexit", lines=LINES[1:]).source is None
    assert fault_of("r0 = r5\nexit").source is None


def test_a_line_in_the_callback_of_another_program_is_not_borrowed() -> None:
    """The helper is called at the same slot where the callback faults, and only the caller has lines."""
    text = "r1 = r2\ncall probe\nr0 = 0\nexit"

    def on_probe(machine: Machine, first: int, second: int) -> Rounds:
        bench.executable._tail_call(callee)  # binds the other program
        return Calls(machine.code_address(machine.code[1].start), [1])

    bench = rig(text, on_probe=on_probe, lines=LINES, context=SyscallContext(bytes(8)))
    bench.context = MemoryContext(bytes(8))
    callee = load("r0 = 1\nr0 = r7\nexit", bench.maps, name="callee")
    with pytest.raises(Fault) as caught:
        bench.run()
    fault = caught.value
    assert (fault.program, fault.pc, fault.instruction, fault.source) == ("callee", 1, "r0 = r7", None)


@pytest.mark.parametrize(
    ("text", "address", "region", "distance", "words"),
    [
        ("r0 = *(u8 *)(r10 + 0)", None, "stack", 1, r"at stack\+0: 1 byte past the end \(stack has 512 bytes\)"),
        ("r0 = *(u64 *)(r10 - 520)", None, "stack", 8, "8 bytes before stack"),
        ("r0 = *(u64 *)(r10 - 513)", None, "stack", 1, "1 byte before stack"),
        ("r1 = 0\nr0 = *(u64 *)(r1 + 24)", 24, None, None, r"a null pointer\+24"),
        ("r1 = 0\nr0 = *(u64 *)(r1 - 8)", (1 << 64) - 8, None, None, "points into no region"),
        ("r1 = 0x123456789abc ll\nr0 = *(u8 *)(r1 + 0)", 0x123456789ABC, None, None, "points into no region"),
    ],
)
def test_a_fault_names_the_nearest_region(
    text: str, address: int | None, region: str | None, distance: int | None, words: str
) -> None:
    fault = fault_of(f"{text}\nexit", level=LENIENT)
    assert (fault.region, fault.distance) == (region, distance)
    assert address is None or fault.address == address
    with pytest.raises(Fault, match=words):
        raise fault


# -- where a program may go -----------------------------------------------------------------------------------------


def test_running_past_the_end() -> None:
    for text, pc in (("r0 = 0", 1), ("r0 = 0 ll", 2), ("exit", 0)):
        fault = fault_of(text)
        assert fault.pc == pc
        assert fault.program == "main"
    fault = fault_of("r0 = 0")
    assert fault.reason == "the program runs past its last instruction"
    assert (fault.kind, fault.instruction) == (FaultKind.INSTRUCTION, None)


@pytest.mark.parametrize(
    "text",
    ["goto +1\nexit", "if r0 == 0 goto -2\nexit", "gotol +7\nexit", "call +5\nexit", "may_goto -9\nexit",
     "goto +1\nr0 = 1 ll\nexit", "r0 = code_addr(+9)\nexit"],
)  # fmt: skip
def test_jumps_that_lead_nowhere_are_refused_before_anything_runs(text: str) -> None:
    with pytest.raises(InputError) as caught:
        rig(text, level=LENIENT)
    assert caught.value.instruction == 0


@pytest.mark.parametrize("level", LEVELS.values(), ids=list(LEVELS))
def test_gotox_goes_to_an_instruction_of_its_program(level: Strictness) -> None:
    table = "r6 = code_addr(there)\ngotox r6\nr0 = 1\nexit\nthere: r0 = 2\nexit"
    assert rig(table, level=level).run().r0 == 2


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("r6 = 3\ngotox r6\nexit", FaultKind.CALL, "0x3 is not the address of a function"),
        ("r6 = code_addr(f)\nr6 += 1\ngotox r6\nf: exit", FaultKind.CALL, "not the address of an instruction"),
        ("r6 = code_addr(f)\nr6 += -64\ngotox r6\nf: exit", FaultKind.CALL, "not the address of a function"),
        ("r6 = code_addr(f)\nr6 += -24\ngotox r6\nf: exit", FaultKind.INSTRUCTION, "middle of a wide instruction"),
        ("r6 = code_addr(f)\nr6 += 8\ngotox r6\nf: exit", FaultKind.INSTRUCTION, "past its last instruction"),
        ("r6 = r10\ngotox r6\nexit", FaultKind.CALL, r"stack\+0 is not the address of a function"),
    ],
)
def test_gotox_to_other_places_faults(text: str, kind: FaultKind, words: str) -> None:
    with pytest.raises(Fault, match=words) as caught:
        rig(text).run()
    assert caught.value.kind is kind


def test_gotox_does_not_leave_its_program() -> None:
    def on_probe(machine: Machine, first: int, second: int) -> Rounds:
        bench.executable._tail_call(other)
        return machine.code[1].region.base

    bench = rig("r1 = 0\nr2 = 0\ncall probe\ngotox r0\nexit", on_probe=on_probe)
    other = load("r0 = 1\nexit", bench.maps)
    with pytest.raises(Fault, match="gotox leads out of the program") as caught:
        bench.run()
    assert caught.value.kind is FaultKind.INSTRUCTION


# -- what cannot be served ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "references", "words"),
    [
        ("call kfunc 5\nexit", {}, "the kernel function with BTF id 5 is not known here"),
        ("r0 = map_by_fd(9)\nexit", {0: Extern("x", "kconfig")}, "kconfig x is defined neither"),
        ("r0 = 0 ll\nexit", {0: Extern("jiffies", "ksym")}, "ksym jiffies is defined neither"),
        ("call kfunc 1\nexit", {0: Extern("bpf_cpumask_create", "kfunc")}, "kfunc bpf_cpumask_create is defined"),
        ("call kfunc 1\nexit", {0: Extern("missing", "kfunc", weak=True)}, "kfunc missing is defined neither"),
        ("r0 = 0 ll\nexit", {0: Trap("the field does not exist")}, "the field does not exist"),
        ("call kfunc 1\nexit", {0: Trap("no BTF")}, "no BTF"),
        ("r0 = 5\nexit", {0: Trap("a relocation failed")}, "a relocation failed"),
        ("call 1\nexit", {0: Trap("poisoned")}, "poisoned"),
        ("exit", {0: Trap("not even this")}, "not even this"),
        ("r0 = var_addr(7, 0)\nexit", {}, "nothing is known by the number 7"),
        ("r0 = map_by_idx(3)\nexit", {}, "nothing is known by the number 3"),
        ("r0 = map_val(map_by_idx(3)) + 0\nexit", {}, "nothing is known by the number 3"),
        ("r1 = 0\nr0 = addr_space_cast(r1, 0, 1)\nexit", {}, "addr_space_cast needs an arena map"),
        ("r0 = addr_space_cast(r1, 0, 1)\nexit", {0: Extern("x", "ksym", weak=True)}, "needs an arena map"),
        ("call 3000\nexit", {}, "there is no helper with the number 3000"),
        ("call 0\nexit", {}, "there is no helper with the number 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_a_fault_when_it_is_executed(
    text: str, references: dict[int, Reference], words: str
) -> None:
    fault = fault_of(text, references=references)
    assert words in fault.reason
    assert fault.kind in (FaultKind.TRAP, FaultKind.CALL)
    assert fault.instruction is not None
    skipped = "r0 = 3\nif r0 == 3 goto end\n" + text.removesuffix("exit") + "end: exit"
    moved = {slot + 2: reference for slot, reference in references.items()}
    if text != "exit":
        assert rig(skipped, references=moved).run().r0 == 3


def test_a_kfunc_is_a_helper_that_was_declared_under_its_name() -> None:
    text = "r1 = 3\nr2 = 4\ncall kfunc 1\nexit"
    assert rig(text, references={2: Extern("probe", "kfunc", weak=True)}).run().r0 == 7


def test_there_is_no_helper_with_a_negative_number() -> None:
    assert "no helper with the number -1" in fault_of((Instruction(0x85, imm=-1), Instruction(0x95))).reason


def test_a_weak_symbol_that_nobody_defines_is_zero() -> None:
    assert rig("r0 = 7 ll\nexit", references={0: Extern("maybe", "ksym", weak=True)}).run().r0 == 0


def test_a_map_that_nobody_knows_by_its_descriptor() -> None:
    """A raw program that was assembled with descriptors of a kernel."""
    for text in ("r0 = map_by_fd(3)\nexit", "r0 = map_val(map_by_fd(3)) + 4\nexit"):
        program = load(text, {}).spec.instructions
        spec = ProgramSpec("raw", program)
        executable = ReferenceEngine().compile(LoadedProgram(spec, {}), Machine(), default_helpers())
        with pytest.raises(Fault, match="nothing is known by the number 3") as caught:
            executable.run(MemoryContext(b""))
        assert caught.value.kind is FaultKind.TRAP


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (MapReference("absent"), "a map absent, which was not given"),
        (MapReference("value", 64), "offset 64 is outside the value"),
        (MapReference("value", -1), "offset -1 is outside the value"),
        (MapReference("programs", 0), "direct access needs an array of one element"),
    ],
)
def test_references_that_cannot_be_resolved_are_refused(reference: MapReference, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        rig("r0 = 0\nr1 = map_by_fd(0)\nexit", references={1: reference})
    assert (caught.value.instruction, caught.value.file) == (1, None)


def test_an_empty_helper_table_serves_nothing() -> None:
    fault = fault_of("r1 = 0\ncall 1\nexit", helpers=HelperTable())
    assert "bpf_map_lookup_elem#1 is not implemented" in fault.reason


# -- legacy packet access -------------------------------------------------------------------------------------------


class Packet(SyscallContext):
    """A context with packet bytes for legacy access."""

    packet_bytes = bytes(range(0x10, 0x40))

    def load_legacy(self, offset: int, size: int) -> int | None:
        content = self.packet_bytes[offset : offset + size]
        return int.from_bytes(content, "big") if len(content) == size else None


@pytest.mark.parametrize("form", ["r0 = *(u8 *)skb[0]", "r0 = *(u32 *)skb[r1 + 0]"])
def test_legacy_packet_access_without_a_packet(form: str) -> None:
    fault = fault_of(f"r6 = r1\nr1 = 0\n{form}\nexit", data=bytes(8))
    assert (fault.kind, fault.pc) == (FaultKind.INSTRUCTION, 2)
    assert "needs a packet" in fault.reason
    fault = fault_of(f"{form}\nexit", context=Packet(bytes(8)))  # r6 was not set
    assert "whose context is in r6" in fault.reason


def test_legacy_packet_access() -> None:
    context = Packet(bytes(8))
    assert rig("r6 = r1\nr0 = *(u16 *)skb[2]\nexit", context=context).run().r0 == 0x1213
    assert (
        rig("r6 = r1\nr3 = 5\nr0 = *(u32 *)skb[r3 - 1]\nexit".replace("- 1", "+ -1"), context=context).run().r0
        == 0x14151617
    )
    fault = fault_of("r6 = r1\nr0 = *(u16 *)skb[2]\nr0 = r1\nexit", context=context)
    assert fault.reason == "r1 is read and was never written"


def test_legacy_packet_access_outside_the_packet_ends_the_function_with_0() -> None:
    """As the code that Linux makes of it (bpf_gen_ld_abs): the program, or the function that it is in."""
    context = Packet(bytes(8))
    assert rig("r6 = r1\nr0 = *(u8 *)skb[200]\nr0 = 5\nexit", context=context).run().r0 == 0
    assert rig("r6 = r1\nr0 = *(u32 *)skb[45]\nr0 = 5\nexit", context=context).run().r0 == 0
    text = "call f\nr0 += 7\nexit\nf: r6 = r1\nr0 = *(u8 *)skb[200]\nr0 = 5\nexit"
    assert rig(text, context=context).run().r0 == 7


# -- the engine itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [(), (Instruction(0xFF),), (Instruction(0x07, 11),), (Instruction(0xB7, 10),)])
def test_malformed_programs_are_refused(program: tuple[Instruction, ...]) -> None:
    spec = ProgramSpec("bad", program, section="xdp", file="bad.o")
    with pytest.raises(InputError) as caught:
        ReferenceEngine().compile(LoadedProgram(spec, {}), Machine(), HelperTable())
    assert (caught.value.file, caught.value.section) == ("bad.o", "xdp")


def test_every_form_of_the_table_runs_or_traps() -> None:
    """A row of every form, executed: nothing but a result or a Fault comes out, at any level."""
    samples: dict[Form, str] = {row.form: name for name, row in BY_NAME.items()}
    assert set(samples) == set(Form)
    for name in samples.values():
        row = BY_NAME[name]
        values = {field: value for field, value in row.fixed.items() if field != "next_imm"}
        values |= {"next_imm": row.fixed.get("next_imm", 0)} if row.wide else {}
        program: Sequence[Instruction | None] = [Instruction(row.opcode, **values)] + [None] * row.wide
        for level in LEVELS.values():
            bench = rig((*program, Instruction(0x95)), level=level, context=Packet(bytes(8)))
            try:
                bench.run(budget=100)
            except Fault as fault:
                assert fault.pc is not None
