"""The hash of keys.  Part of the slab layout: native code computes the same (docs/reference/layout.md).

    state = seed XOR length of the key in bytes
    for each little-endian 64-bit word of the key, its end padded with zero bytes:
        state = (state XOR word) * 0x9E3779B97F4A7C15 mod 2**64
        state = state XOR (state >> 32)
    hash = high 32 bits of (state * 0x9E3779B97F4A7C15 mod 2**64)

Each step is a bijection of `state`, so keys of up to 8 bytes never collide in the whole of it.  Linux uses jhash;
the order of iteration is unspecified there too, and this one costs Python a fraction of the time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from pybpftime.isa.encoding import MASK64

MULTIPLIER = 0x9E37_79B9_7F4A_7C15


def hasher(key_size: int, seed: int) -> Callable[[bytes], int]:
    """The hash function for keys of `key_size` bytes: bytes to a number of 32 bits."""
    start = seed ^ key_size

    if key_size <= 8:

        def hash_word(key: bytes) -> int:
            state = (start ^ int.from_bytes(key, "little")) * MULTIPLIER & MASK64
            return ((state ^ state >> 32) * MULTIPLIER & MASK64) >> 32

        return hash_word

    unpack = struct.Struct(f"<{-(-key_size // 8)}Q").unpack
    padding = bytes(-key_size % 8)

    def hash_words(key: bytes) -> int:
        state = start
        for word in unpack(key + padding):
            state = (state ^ word) * MULTIPLIER & MASK64
            state ^= state >> 32
        return (state * MULTIPLIER & MASK64) >> 32

    return hash_words
