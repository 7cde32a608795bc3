"""Helpers of one's own: a hash function by number, and a word list by name.

A helper is declared by an annotated signature and implemented by a second function, which gets the machine and one
value for each argument: bytes for `Mem` with its `Size`, a number for `Anything`.  What the program passes is
checked by the declaration before the function runs: a length that does not fit the memory is a fault that names the
argument.

A BPF program in C declares them as

    static __u64 (*user_fnv1a)(const void *data, __u32 size) = (void *)0x10000;
    extern long user_word_count(const void *text, __u32 size) __ksym;
"""

from pybpftime.helpers import helper, implements
from pybpftime.helpers.declarations.kinds import Integer, Mem, Size
from pybpftime.machine import Machine

OFFSET_BASIS, PRIME = 0xCBF29CE484222325, 0x100000001B3


@helper(0x10000)
def user_fnv1a(data: Mem, size: Size) -> Integer:
    """The 64-bit FNV-1a hash of `data`."""


@implements(user_fnv1a)
def fnv1a(machine: Machine, data: bytes) -> int:
    value = OFFSET_BASIS
    for byte in data:
        value = (value ^ byte) * PRIME % 2**64
    return value


@helper()
def user_word_count(text: Mem, size: Size) -> Integer:
    """How many words `text` has, up to its terminating 0.  EINVAL when it has none."""


@implements(user_word_count)
def word_count(machine: Machine, text: bytes) -> int:
    if b"\0" not in text:
        return -22
    return len(text.partition(b"\0")[0].split())
