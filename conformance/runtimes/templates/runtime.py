#!/usr/bin/env python3
"""An eBPF runtime behind pybpftime's line protocol: a line for each case comes in, a line for each answer goes out.

    pybpftime conformance run --runtime line:./runtime.py

Put your runtime into `run_program`.  What it claims stands in HELLO.
"""

from __future__ import annotations

import sys

# Also known: features=calls,maps,... refuses=malformed,invalid shows=registers,memory,stack budget=yes
HELLO = "pybpftime-runtime 1 name=toy version=1.0 groups=base32 shows=memory"


class NoResult(Exception):
    """There is no r0.  The first word says what there is: trap, exhausted, refused, failed or unsupported."""


# --- your runtime goes here -------------------------------------------------------------------------------------------


def run_program(code: bytes, mem: bytearray, budget: int | None) -> int:
    """r0 of a program of 8 bytes a slot, or NoResult.

    A run begins with r1 = address of `mem` (0 without memory) and r2 = its length; what it leaves in `mem` is shown.
    `budget` is how many instructions it may take.  This toy knows two of them: w0 = imm, and exit.
    """
    r0 = 0
    for at in range(0, len(code) - 7, 8):
        opcode, registers, imm = code[at], code[at + 1], int.from_bytes(code[at + 4 : at + 8], "little")
        if opcode == 0x95:
            return r0
        if opcode != 0xB4 or registers != 0:
            raise NoResult("unsupported the toy knows w0 = imm and exit")
        r0 = imm
    raise NoResult("trap class=instruction ran past the last instruction")


# --- the protocol -----------------------------------------------------------------------------------------------------


def answer(line: str) -> str:
    """The answer to one request."""
    _, case_id, *words = line.split()
    fields = dict(word.split("=", 1) for word in words)
    code = bytes.fromhex(fields["code"].replace("-", ""))
    mem = bytearray.fromhex(fields["mem"].replace("-", ""))
    budget = None if fields["budget"] == "-" else int(fields["budget"])
    try:
        r0 = run_program(code, mem, budget)
    except NoResult as reason:
        return f"{case_id} {reason}"
    return f"{case_id} return r0={r0:#x} mem={mem.hex() or '-'}"


def main() -> None:
    """Greet, then answer line by line until the input ends."""
    print(HELLO, flush=True)
    for line in sys.stdin:
        print(answer(line), flush=True)


if __name__ == "__main__":
    main()
