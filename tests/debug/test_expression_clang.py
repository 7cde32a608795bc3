"""The same random expressions, compiled by clang for the host: values and types must agree."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from debug.values_support import STACK, sample_scope

from pybpftime.debug.expression import compile_expression

COUNT = 500
DECLARATIONS = """
#include <stdio.h>
#include <string.h>
typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32;
typedef unsigned long long __u64; typedef __u32 __be32;
enum verdict { ABORTED, DROP, PASS };
struct point { int x, y; };
struct node { struct node *next; int value; };
struct bits { int a : 3; unsigned b : 5; __u64 c : 40; enum verdict d : 2; unsigned e : 32; long f : 20; };
static unsigned char stack[256] = {%s};
#define AT(type, offset) (*(type *)(stack + offset))
#define negative AT(int, 0)
#define seven AT(__u32, 4)
#define points (*(struct point (*)[4])(stack + 8))
static struct bits bits;
#define byte AT(__u8, 108)
#define TYPE(e) _Generic((e), int: "int", unsigned: "unsigned int", long: "long", unsigned long: "unsigned long", \\
    long long: "long long", unsigned long long: "unsigned long long", char: "char", signed char: "signed char", \\
    unsigned char: "unsigned char", short: "short", unsigned short: "unsigned short", _Bool: "_Bool")
#define SHOW(e) printf("%%llx|%%zu|%%s\\n", (unsigned long long)(e), sizeof(e), TYPE(e))
"""
CASTS = (
    *("char", "signed char", "unsigned char", "short", "unsigned short", "int", "unsigned int", "long"),
    *("unsigned long", "long long", "unsigned long long", "_Bool"),
)
LEAVES = (
    *("negative", "seven", "byte", "bits.a", "bits.b", "bits.c", "bits.e", "bits.f", "points[1].x"),
    *("points[seven - 5].y", "'a'", "'\\xfe'", "PASS", "sizeof(struct bits)", "sizeof(bits.a + 1)"),
    *("(&points[3] - points)", "*&negative"),
)  # fmt: skip
INTERESTING = (
    0,
    1,
    2,
    7,
    127,
    128,
    255,
    256,
    32767,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**63 - 1,
    2**63,
)


def literal(rng: random.Random) -> str:
    number = rng.choice(INTERESTING) if rng.random() < 0.6 else rng.getrandbits(rng.choice((4, 8, 16, 32, 40, 63)))
    digits = rng.choice((f"{number}", f"{number:#x}", f"0{number:o}" if number else "0", f"{number:#b}"))
    suffixes = ["u", "UL", "uLL", "llu"] + ["", "", "L", "ll"] * (digits[0] == "0" or number < 2**63)
    return digits + rng.choice(suffixes)


def expression(rng: random.Random, depth: int) -> str:
    """An expression without division by zero, MIN / -1 and shifts beyond the width; overflow is for -fwrapv."""
    if depth == 0:
        return rng.choice(LEAVES) if rng.random() < 0.4 else literal(rng)
    deeper = [expression(rng, depth - rng.choice((1, 1, 2)) if depth > 1 else 0) for _ in range(3)]
    match rng.randrange(10):
        case 0:
            return f"{rng.choice('+-~!')}({deeper[0]})"
        case 1 | 2:
            return f"({rng.choice(CASTS)})({deeper[0]})"
        case 3:
            return f"(({deeper[0]}) ? ({deeper[1]}) : ({deeper[2]}))"
        case 4:
            return f"({deeper[0]}) {rng.choice('/%')} {rng.randint(1, 9)}{rng.choice(('', 'u', 'L', 'ull'))}"
        case 5:
            return f"({deeper[0]}) {rng.choice(('<<', '>>'))} {rng.randint(0, 31)}{rng.choice(('', 'u', 'LL'))}"
        case 6:
            return f"(({deeper[0]}) {rng.choice(('<', '<=', '>', '>=', '==', '!='))} ({deeper[1]}))"
        case 7:
            return f"(({deeper[0]}) {rng.choice(('&&', '||'))} ({deeper[1]}))"
    return f"({deeper[0]}) {rng.choice('+-*&|^')} ({deeper[1]})"


def clang_says(expressions: list[str], stack: bytes, folder: Path) -> list[str]:
    source, program = folder / "expressions.c", folder / "expressions"
    shows = "\n".join(f"    SHOW({text});" for text in expressions)
    text = (
        DECLARATIONS % ", ".join(str(byte) for byte in stack)
        + f"int main(void)\n{{\n    memcpy(&bits, stack + 80, sizeof(bits));\n{shows}\n    return 0;\n}}\n"
    )
    source.write_text(text, "utf-8")
    flags = ["-w", "-O0", "-fwrapv", "-fsigned-char", "-x", "c", "-std=gnu11"]
    subprocess.run(["clang-19", *flags, str(source), "-o", str(program)], check=True, capture_output=True)
    return subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.skipif(shutil.which("clang-19") is None, reason="needs clang-19")
@pytest.mark.skipif(struct.calcsize("P") != 8, reason="needs a 64-bit host")
def test_values_and_types_as_clang_has_them(tmp_path: Path) -> None:
    rng = random.Random(20260707)
    scope = sample_scope()
    stack = scope.target.read(STACK, 256)
    assert stack is not None
    texts = [f"({expression(rng, rng.randint(1, 4))}) + 0" if index % 2 else expression(rng, rng.randint(1, 4))
             for index in range(COUNT)]  # fmt: skip
    wrong = []
    for text, wanted in zip(texts, clang_says(texts, stack, tmp_path), strict=True):
        compiled = compile_expression(text, scope)
        number = int(compiled.number()) & (1 << 64) - 1
        size = compile_expression(f"sizeof({text})", scope).number()
        ours = f"{number:x}|{size}|{compiled.type_text}"
        if ours != wanted:
            wrong.append(f"{text}: {ours}, clang says {wanted}")
    assert not wrong, "\n".join(wrong[:20])
