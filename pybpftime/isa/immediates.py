"""64-bit immediates (RFC 9669 section 5.4), address space casts, and legacy packet access (section 5.5)."""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.isa.encoding import WIDE_OPCODE, Class, Mode, Size
from pybpftime.isa.jumps import CLOBBERED
from pybpftime.isa.row import Form, Group, Immediate, Row

BASE64 = frozenset({Group.BASE64})

# src_reg, name, text in both syntaxes, meaning, whether next_imm is an operand.
# Linux stores a module's BTF file descriptor in the second slot of a variable's address (check_pseudo_btf_id).
IMMEDIATES = (
    (Immediate.VALUE, "lddw", "{imm64}", "(next_imm << 32) | imm", True),
    (Immediate.MAP_BY_FD, "lddw_map_by_fd", "map_by_fd({imm})", "map_by_fd(imm)", False),
    (Immediate.MAP_VALUE_BY_FD, "lddw_map_val_by_fd", "map_val(map_by_fd({imm})) + {next_imm}",
     "map_val(map_by_fd(imm)) + next_imm", True),
    (Immediate.VARIABLE, "lddw_var_addr", "var_addr({imm}, {next_imm})", "var_addr(imm)", True),
    (Immediate.CODE, "lddw_code_addr", "code_addr({call})", "code_addr(imm), a function of this program", False),
    (Immediate.MAP_BY_INDEX, "lddw_map_by_idx", "map_by_idx({imm})", "map_by_idx(imm)", False),
    (Immediate.MAP_VALUE_BY_INDEX, "lddw_map_val_by_idx", "map_val(map_by_idx({imm})) + {next_imm}",
     "map_val(map_by_idx(imm)) + next_imm", True),
)  # fmt: skip


def rows() -> tuple[Row, ...]:
    """The rows of these chapters."""
    return (*_immediate_rows(), *_packet_rows(), _cast_row())


def _immediate_rows() -> Iterator[Row]:
    for immediate, name, text, meaning, two_parts in IMMEDIATES:
        fixed = {"src_reg": immediate.value, "offset": 0} | ({} if two_parts else {"next_imm": 0})
        pseudo_c = f"{{dst}} = {text} ll" if immediate is Immediate.VALUE else f"{{dst}} = {text}"
        yield Row(
            name=name, opcode=WIDE_OPCODE, form=Form.IMMEDIATE, fixed=fixed, pseudo_c=pseudo_c,
            mnemonic=f"lddw {{dst}}, {text}", section="5.4", groups=BASE64, meaning=f"dst = {meaning}", operand="imm",
            immediate=immediate, writes=("dst",),
        )  # fmt: skip


def _packet_rows() -> Iterator[Row]:
    for size in (Size.W, Size.H, Size.B):
        bits, letter = size.size * 8, size.name.lower()
        yield Row(
            name=f"ldabs{letter}", opcode=Class.LD | Mode.ABS | size, form=Form.PACKET,
            fixed={"dst_reg": 0, "src_reg": 0, "offset": 0}, pseudo_c=f"r0 = *(u{bits} *)skb[{{imm}}]",
            mnemonic=f"ldabs{letter} {{imm}}", section="5.5", groups=frozenset({Group.PACKET}),
            meaning=f"r0 = ntoh(*(u{bits} *)(packet + imm)); ends the program with 0 outside the packet", operand="imm",
            size=size.size, reads=("r6",), writes=CLOBBERED,
        )  # fmt: skip
        yield Row(
            name=f"ldind{letter}", opcode=Class.LD | Mode.IND | size, form=Form.PACKET,
            fixed={"dst_reg": 0, "offset": 0}, pseudo_c=f"r0 = *(u{bits} *)skb[{{src}} + {{imm}}]",
            mnemonic=f"ldind{letter} {{src}}, {{imm}}", section="5.5", groups=frozenset({Group.PACKET}),
            meaning=f"r0 = ntoh(*(u{bits} *)(packet + src + imm)); ends the program with 0 outside the packet",
            operand="src_reg", size=size.size, reads=("r6", "src"), writes=CLOBBERED,
        )  # fmt: skip


def _cast_row() -> Row:
    return Row(
        name="addr_space_cast", opcode=0xBF, form=Form.CAST, fixed={"offset": 1},
        pseudo_c="{dst} = addr_space_cast({src}, {to_space}, {from_space})",
        mnemonic="addr_space_cast {dst}, {src}, {imm}", section="4.1", groups=frozenset(),
        meaning="dst = src moved from address space imm & 0xffff to imm >> 16", reads=("src",), writes=("dst",),
        origin="Linux 6.9",
    )  # fmt: skip
