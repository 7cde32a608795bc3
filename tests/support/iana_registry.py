"""The facts of IANA's "BPF Instruction Set" registry (RFC 9669, appendix A), typed by hand as a second witness.

Columns: opcode, src_reg, offset, imm ("any" where every value is allowed), conformance group, section of RFC 9669.
Opcode 0x00 (the second slot of a wide instruction) is left out: it is no instruction of its own.

Two groups follow the RFC's text, to which the registry refers as authoritative: 0x87 is base64 (section 4.1: ALU64
operations are; tables before publication said base32), legacy packet access is packet (section 5.5; they said
legacy).
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One line of the registry; None stands for "any"."""

    opcode: int
    src_reg: int | None
    offset: int | None
    imm: int | None
    group: str
    section: str


_FACTS = """
0x04  0x0  0    any   base32    4.1
0x05  0x0  any  0x00  base32    4.3
0x06  0x0  0    any   base32    4.3
0x07  0x0  0    any   base64    4.1
0x0c  any  0    0x00  base32    4.1
0x0f  any  0    0x00  base64    4.1
0x14  0x0  0    any   base32    4.1
0x15  0x0  any  any   base64    4.3
0x16  0x0  any  any   base32    4.3
0x17  0x0  0    any   base64    4.1
0x18  0x0  0    any   base64    5.4
0x18  0x1  0    any   base64    5.4
0x18  0x2  0    any   base64    5.4
0x18  0x3  0    any   base64    5.4
0x18  0x4  0    any   base64    5.4
0x18  0x5  0    any   base64    5.4
0x18  0x6  0    any   base64    5.4
0x1c  any  0    0x00  base32    4.1
0x1d  any  any  0x00  base64    4.3
0x1e  any  any  0x00  base32    4.3
0x1f  any  0    0x00  base64    4.1
0x20  0x0  0    any   packet    5.5
0x24  0x0  0    any   divmul32  4.1
0x25  0x0  any  any   base64    4.3
0x26  0x0  any  any   base32    4.3
0x27  0x0  0    any   divmul64  4.1
0x28  0x0  0    any   packet    5.5
0x2c  any  0    0x00  divmul32  4.1
0x2d  any  any  0x00  base64    4.3
0x2e  any  any  0x00  base32    4.3
0x2f  any  0    0x00  divmul64  4.1
0x30  0x0  0    any   packet    5.5
0x34  0x0  0    any   divmul32  4.1
0x34  0x0  1    any   divmul32  4.1
0x35  0x0  any  any   base64    4.3
0x36  0x0  any  any   base32    4.3
0x37  0x0  0    any   divmul64  4.1
0x37  0x0  1    any   divmul64  4.1
0x3c  any  0    0x00  divmul32  4.1
0x3c  any  1    0x00  divmul32  4.1
0x3d  any  any  0x00  base64    4.3
0x3e  any  any  0x00  base32    4.3
0x3f  any  0    0x00  divmul64  4.1
0x3f  any  1    0x00  divmul64  4.1
0x40  any  0    any   packet    5.5
0x44  0x0  0    any   base32    4.1
0x45  0x0  any  any   base64    4.3
0x46  0x0  any  any   base32    4.3
0x47  0x0  0    any   base64    4.1
0x48  any  0    any   packet    5.5
0x4c  any  0    0x00  base32    4.1
0x4d  any  any  0x00  base64    4.3
0x4e  any  any  0x00  base32    4.3
0x4f  any  0    0x00  base64    4.1
0x50  any  0    any   packet    5.5
0x54  0x0  0    any   base32    4.1
0x55  0x0  any  any   base64    4.3
0x56  0x0  any  any   base32    4.3
0x57  0x0  0    any   base64    4.1
0x5c  any  0    0x00  base32    4.1
0x5d  any  any  0x00  base64    4.3
0x5e  any  any  0x00  base32    4.3
0x5f  any  0    0x00  base64    4.1
0x61  any  any  0x00  base32    5.1
0x62  0x0  any  any   base32    5.1
0x63  any  any  0x00  base32    5.1
0x64  0x0  0    any   base32    4.1
0x65  0x0  any  any   base64    4.3
0x66  0x0  any  any   base32    4.3
0x67  0x0  0    any   base64    4.1
0x69  any  any  0x00  base32    5.1
0x6a  0x0  any  any   base32    5.1
0x6b  any  any  0x00  base32    5.1
0x6c  any  0    0x00  base32    4.1
0x6d  any  any  0x00  base64    4.3
0x6e  any  any  0x00  base32    4.3
0x6f  any  0    0x00  base64    4.1
0x71  any  any  0x00  base32    5.1
0x72  0x0  any  any   base32    5.1
0x73  any  any  0x00  base32    5.1
0x74  0x0  0    any   base32    4.1
0x75  0x0  any  any   base64    4.3
0x76  0x0  any  any   base32    4.3
0x77  0x0  0    any   base64    4.1
0x79  any  any  0x00  base64    5.1
0x7a  0x0  any  any   base64    5.1
0x7b  any  any  0x00  base64    5.1
0x7c  any  0    0x00  base32    4.1
0x7d  any  any  0x00  base64    4.3
0x7e  any  any  0x00  base32    4.3
0x7f  any  0    0x00  base64    4.1
0x81  any  any  0x00  base64    5.2
0x84  0x0  0    0x00  base32    4.1
0x85  0x0  0    any   base32    4.3
0x85  0x1  0    any   base32    4.3
0x85  0x2  0    any   base32    4.3
0x87  0x0  0    0x00  base64    4.1
0x89  any  any  0x00  base64    5.2
0x91  any  any  0x00  base64    5.2
0x94  0x0  0    any   divmul32  4.1
0x94  0x0  1    any   divmul32  4.1
0x95  0x0  0    0x00  base32    4.3
0x97  0x0  0    any   divmul64  4.1
0x97  0x0  1    any   divmul64  4.1
0x9c  any  0    0x00  divmul32  4.1
0x9c  any  1    0x00  divmul32  4.1
0x9f  any  0    0x00  divmul64  4.1
0x9f  any  1    0x00  divmul64  4.1
0xa4  0x0  0    any   base32    4.1
0xa5  0x0  any  any   base64    4.3
0xa6  0x0  any  any   base32    4.3
0xa7  0x0  0    any   base64    4.1
0xac  any  0    0x00  base32    4.1
0xad  any  any  0x00  base64    4.3
0xae  any  any  0x00  base32    4.3
0xaf  any  0    0x00  base64    4.1
0xb4  0x0  0    any   base32    4.1
0xb5  0x0  any  any   base64    4.3
0xb6  0x0  any  any   base32    4.3
0xb7  0x0  0    any   base64    4.1
0xbc  any  0    0x00  base32    4.1
0xbc  any  8    0x00  base32    4.1
0xbc  any  16   0x00  base32    4.1
0xbd  any  any  0x00  base64    4.3
0xbe  any  any  0x00  base32    4.3
0xbf  any  0    0x00  base64    4.1
0xbf  any  8    0x00  base64    4.1
0xbf  any  16   0x00  base64    4.1
0xbf  any  32   0x00  base64    4.1
0xc3  any  any  0x00  atomic32  5.3
0xc3  any  any  0x01  atomic32  5.3
0xc3  any  any  0x40  atomic32  5.3
0xc3  any  any  0x41  atomic32  5.3
0xc3  any  any  0x50  atomic32  5.3
0xc3  any  any  0x51  atomic32  5.3
0xc3  any  any  0xa0  atomic32  5.3
0xc3  any  any  0xa1  atomic32  5.3
0xc3  any  any  0xe1  atomic32  5.3
0xc3  any  any  0xf1  atomic32  5.3
0xc4  0x0  0    any   base32    4.1
0xc5  0x0  any  any   base64    4.3
0xc6  0x0  any  any   base32    4.3
0xc7  0x0  0    any   base64    4.1
0xcc  any  0    0x00  base32    4.1
0xcd  any  any  0x00  base64    4.3
0xce  any  any  0x00  base32    4.3
0xcf  any  0    0x00  base64    4.1
0xd4  0x0  0    0x10  base32    4.2
0xd4  0x0  0    0x20  base32    4.2
0xd4  0x0  0    0x40  base64    4.2
0xd5  0x0  any  any   base64    4.3
0xd6  0x0  any  any   base32    4.3
0xd7  0x0  0    0x10  base32    4.2
0xd7  0x0  0    0x20  base32    4.2
0xd7  0x0  0    0x40  base64    4.2
0xdb  any  any  0x00  atomic64  5.3
0xdb  any  any  0x01  atomic64  5.3
0xdb  any  any  0x40  atomic64  5.3
0xdb  any  any  0x41  atomic64  5.3
0xdb  any  any  0x50  atomic64  5.3
0xdb  any  any  0x51  atomic64  5.3
0xdb  any  any  0xa0  atomic64  5.3
0xdb  any  any  0xa1  atomic64  5.3
0xdb  any  any  0xe1  atomic64  5.3
0xdb  any  any  0xf1  atomic64  5.3
0xdc  0x0  0    0x10  base32    4.2
0xdc  0x0  0    0x20  base32    4.2
0xdc  0x0  0    0x40  base64    4.2
0xdd  any  any  0x00  base64    4.3
0xde  any  any  0x00  base32    4.3
"""


def _value(word: str) -> int | None:
    return None if word == "any" else int(word, 0)


def _entry(line: str) -> Entry:
    opcode, src_reg, offset, imm, group, section = line.split()
    return Entry(int(opcode, 0), _value(src_reg), _value(offset), _value(imm), group, section)


REGISTRY: tuple[Entry, ...] = tuple(_entry(line) for line in _FACTS.strip().splitlines())

EXTENSIONS: dict[str, str] = {
    "gotox": "Linux 6.19, bpf_check_indirect_jump of kernel/bpf/verifier.c: JMP | JA | X jumps through an insn_array",
    "may_goto": "Linux 6.9, include/uapi/linux/bpf.h: BPF_JCOND 0xe0 with src_reg BPF_MAY_GOTO 0",
    "callx": "clang and GCC emit JMP | CALL | X for calls through a register; Linux refuses it",
    "addr_space_cast": "Linux 6.9, include/linux/filter.h: BPF_ADDR_SPACE_CAST 1 in offset of ALU64 | MOV | X",
    "load_acquire8": "Linux 6.15, include/uapi/linux/bpf.h: BPF_LOAD_ACQ 0x100 in imm of STX | ATOMIC",
    "load_acquire16": "as load_acquire8",
    "load_acquire32": "as load_acquire8",
    "load_acquire64": "as load_acquire8",
    "store_release8": "Linux 6.15, include/uapi/linux/bpf.h: BPF_STORE_REL 0x110 in imm of STX | ATOMIC",
    "store_release16": "as store_release8",
    "store_release32": "as store_release8",
    "store_release64": "as store_release8",
}
"""Rows of the table that the registry does not have, and where they come from."""

STRICTER: dict[str, str] = {
    "lddw_map_by_fd": "next_imm must be 0: Linux refuses anything else (resolve_pseudo_ldimm64)",
    "lddw_map_by_idx": "as lddw_map_by_fd",
    "lddw_code_addr": "next_imm has no meaning, and RFC 9669 section 3 wants unused fields zero",
}
"""Rows that fix a field of which the registry says nothing."""

WIDER: dict[str, str] = {
    "call_btf": "any offset: it selects the BTF of a module (Linux 5.17, struct bpf_kfunc_desc)",
}
"""Rows that allow more than the registry."""
