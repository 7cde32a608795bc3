"""One's complement arithmetic of Internet checksums, as Linux does it (include/net/checksum.h, lib/checksum.c).

A *sum* has 32 bits (`__wsum`), a folded *checksum* 16 (`__sum16`).  Bytes are read as little-endian numbers, which
one's complement sums allow: the bytes of the result come out in packet order.
"""

from __future__ import annotations

import struct

from pybpftime.isa.encoding import MASK32

MASK16 = 0xFFFF


def csum_add(a: int, b: int) -> int:
    """The sum of two sums, its carry added in again."""
    total = a + b
    return (total & MASK32) + (total >> 32)


def csum_sub(a: int, b: int) -> int:
    return csum_add(a, b ^ MASK32)


def csum_partial(data: bytes, seed: int) -> int:
    """`seed` plus the sum of `data`; an odd last byte counts as if a 0 followed."""
    padded = data.ljust(-(-len(data) // 4) * 4, b"\0")
    total: int = seed + sum(struct.unpack(f"<{len(padded) // 4}I", padded))
    while total >> 32:
        total = (total & MASK32) + (total >> 32)
    return total


def csum_fold(total: int) -> int:
    """The checksum of a sum: folded to 16 bits and inverted."""
    total = (total & MASK16) + (total >> 16)
    total = (total & MASK16) + (total >> 16)
    return total ^ MASK16


def csum_from32to16(total: int) -> int:
    """A sum folded to 16 bits, not inverted."""
    return csum_fold(total) ^ MASK16


def csum16_add(a: int, b: int) -> int:
    total = a + b
    return (total & MASK16) + (total >> 16)


def csum16_sub(a: int, b: int) -> int:
    return csum16_add(a, b ^ MASK16)


def csum_block_add(total: int, block: int, offset: int) -> int:
    """`total` plus the sum of a block at `offset`: at an odd one its bytes count in swapped places."""
    if offset & 1:
        block = (block >> 8 | block << 24) & MASK32
    return csum_add(total, block)


def csum_block_sub(total: int, block: int, offset: int) -> int:
    return csum_block_add(total, block ^ MASK32, offset)


def replace_by_difference(checksum: int, difference: int) -> int:
    """csum_replace_by_diff: the checksum after a change whose difference is known."""
    return csum_fold(csum_add(difference, checksum ^ MASK32))


def replace2(checksum: int, old: int, new: int) -> int:
    """csum_replace2: the checksum after a field of 2 bytes changed."""
    return csum16_add(csum16_sub(checksum ^ MASK16, old), new) ^ MASK16


def replace4(checksum: int, old: int, new: int) -> int:
    """csum_replace4: the checksum after a field of 4 bytes changed."""
    return csum_fold(csum_add(csum_sub(checksum ^ MASK32, old), new))
