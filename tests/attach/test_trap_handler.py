"""The machine code of the SIGTRAP handler is what its listing says."""

from __future__ import annotations

import pytest

from pybpftime.attach import trap_handler
from pybpftime.attach.trap_handler import CODE, HANDLER, LABELS

capstone = pytest.importorskip("capstone", reason="needs capstone")


def listed() -> list[tuple[int, str]]:
    """Each instruction of the listing: its offset in an area, and its text."""
    lines, offset = [], HANDLER
    for line in trap_handler._LISTING.strip().splitlines():
        if not line.endswith(":"):
            lines.append((offset, line[23:].partition(";")[0].strip()))
            offset += len(bytes.fromhex(line[:23]))
    return lines


def test_a_disassembler_reads_the_code_as_the_listing_does() -> None:
    machine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    found = [(one.address, f"{one.mnemonic} {one.op_str}".strip()) for one in machine.disasm(CODE, HANDLER)]
    assert len(found) == len(listed())
    for (offset, text), (expected_offset, expected) in zip(found, listed(), strict=True):
        assert offset == expected_offset
        assert text == expected


def test_every_jump_leads_to_the_label_that_its_comment_names() -> None:
    jumps = [line.split() for line in trap_handler._LISTING.splitlines() if " j" in line and "0x" in line]
    assert len(jumps) == 9
    for words in jumps:
        assert LABELS[words[-1]] == int(words[-3], 16)


def test_the_handler_fits_in_front_of_the_records() -> None:
    assert HANDLER + len(CODE) <= trap_handler.RECORDS
