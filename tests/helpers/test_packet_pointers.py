"""Which helpers invalidate packet pointers, beside the running kernel's verifier."""

from __future__ import annotations

import pytest

from pybpftime.helpers.declarations import DECLARATIONS, HelperDeclaration, Role
from pybpftime.isa import encode_program
from pybpftime.isa.assembler import assemble
from pybpftime.kernel import KernelProgram, KernelRejection
from pybpftime.uapi import ProgramType

# Program type -> where its context has data and data_end, and the load that reads them.
PACKETS = {
    ProgramType.BPF_PROG_TYPE_XDP: (0, 4, "u32"),
    ProgramType.BPF_PROG_TYPE_SCHED_CLS: (76, 80, "u32"),
    ProgramType.BPF_PROG_TYPE_LWT_XMIT: (76, 80, "u32"),
    ProgramType.BPF_PROG_TYPE_LWT_SEG6LOCAL: (76, 80, "u32"),
    ProgramType.BPF_PROG_TYPE_SK_SKB: (76, 80, "u32"),
    ProgramType.BPF_PROG_TYPE_SK_MSG: (0, 8, "u64"),
    ProgramType.BPF_PROG_TYPE_SOCK_OPS: (192, 200, "u64"),
}
# What a register is set to for an argument; r6 is the context, and the stack is initialised.
GIVEN = {
    Role.CONTEXT: "r{0} = r6",
    Role.ANYTHING: "r{0} = 0",
    Role.UNCHECKED: "r{0} = 0",
    Role.MEMORY: "r{0} = r10\nr{0} += -64",
    Role.SIZE: "r{0} = 8",
    Role.FIXED_MEMORY: "r{0} = r10\nr{0} += -64",
}


def reads_packet_after(declaration: HelperDeclaration, program_type: ProgramType) -> bytes:
    """A program that calls the helper and reads a packet byte, which it checked before, afterwards."""
    data, data_end, size = PACKETS[program_type]
    lines = ["r6 = r1", f"r7 = *({size} *)(r6 + {data})", f"r8 = *({size} *)(r6 + {data_end})"]
    lines += ["r0 = 0", *(f"*(u64 *)(r10 - {offset}) = r0" for offset in range(8, 72, 8))]
    lines += ["r9 = r7", "r9 += 1", "if r9 > r8 goto out"]
    for number, parameter in enumerate(declaration.parameters_for(program_type), start=1):
        lines.append(GIVEN[parameter.kind.role].format(number))
    lines += [f"call {declaration.id}", "r0 = *(u8 *)(r7 + 0)", "out:", "r0 = 0", "exit"]
    return encode_program(assemble("\n".join(lines)))


def loses_packet_pointers(declaration: HelperDeclaration, program_type: ProgramType) -> bool:
    try:
        KernelProgram.load(program_type, reads_packet_after(declaration, program_type)).close()
    except KernelRejection as refusal:
        assert "R7 invalid mem access" in refusal.log, (declaration.name, refusal.log)
        return True
    return False


@pytest.mark.usefixtures("linux_6_18")
@pytest.mark.parametrize("program_type", PACKETS, ids=lambda each: each.name[14:])
def test_packet_pointers_are_lost_as_in_the_kernel(program_type: ProgramType) -> None:
    """All helpers that take no more than GIVEN: those that change the packet are among them."""
    called = [
        declaration
        for declaration in DECLARATIONS.values()
        if declaration.allows(program_type)
        and {parameter.kind.role for parameter in declaration.parameters_for(program_type)} <= GIVEN.keys()
        and not declaration.may_sleep
        and not declaration.returns.acquires
    ]
    assert len(called) > 30
    different = [each.name for each in called if each.changes_packet is not loses_packet_pointers(each, program_type)]
    assert not different


def test_every_helper_that_changes_packets_is_called() -> None:
    for declaration in DECLARATIONS.values():
        if declaration.changes_packet:
            assert any(map(declaration.allows, PACKETS))
            assert {parameter.kind.role for parameter in declaration.parameters} <= GIVEN.keys()
