"""Instructions per second of an engine on four programs: ALU loop, trial-division primes, memory copy, straight line.

    python tools/bench.py [--repeat 5] [--json]

The median of the repetitions is printed.  Budget, region and initialisation checks are on (the linux level), and
nobody is listening.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from rich.console import Console
from rich.table import Table

from pybpftime.engines.reference import ReferenceEngine
from pybpftime.helpers import default_helpers
from pybpftime.isa.assembler import assemble
from pybpftime.machine import LINUX, Machine
from pybpftime.program.contexts import make_context
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import ProgramSpec
from pybpftime.uapi import ProgramType

ALU_LOOP = """
    r0 = 0
    r1 = 100000
    r2 = 7
loop:
    r0 += r1
    r0 ^= r2
    r2 *= 31
    r0 += r2
    r0 >>= 1
    r2 += 5
    r1 -= 1
    if r1 != 0 goto loop
    exit
"""

PRIMES = """
    r0 = 0              ; primes found
    r1 = 2              ; candidate
next:
    r2 = 2              ; divisor
divide:
    r3 = r2
    r3 *= r2
    if r3 > r1 goto prime
    r4 = r1
    r4 %= r2
    if r4 == 0 goto composite
    r2 += 1
    goto divide
prime:
    r0 += 1
composite:
    r1 += 1
    if r1 < 6000 goto next
    exit
"""

MEMORY_COPY = """
    r6 = r1             ; source, 2048 bytes
    r7 = r1
    r7 += 2048          ; destination
    r8 = 200            ; rounds
round:
    r1 = r6
    r2 = r7
    r3 = 256
copy:
    r4 = *(u64 *)(r1 + 0)
    *(u64 *)(r2 + 0) = r4
    r1 += 8
    r2 += 8
    r3 -= 1
    if r3 != 0 goto copy
    r8 -= 1
    if r8 != 0 goto round
    r0 = *(u64 *)(r7 + 0)
    exit
"""

STRAIGHT_LINE = "r0 = 1\nr1 = 3\nr2 = 5\n" + "r0 += r1\nw1 ^= w2\nr2 <<= 1\nr0 *= r2\n" * 1000 + "exit\n"

PROGRAMS = {
    "ALU loop": ALU_LOOP,
    "primes": PRIMES,
    "memory copy": MEMORY_COPY,
    "straight line": STRAIGHT_LINE,
}
RUNS = {"straight line": 100}
MEMORY = 4096


def measure(text: str, runs: int, repeat: int) -> float:
    """Median instructions per second over `repeat` rounds of `runs` runs."""
    spec = ProgramSpec("bench", assemble(text), ProgramType.BPF_PROG_TYPE_UNSPEC)
    executable = ReferenceEngine().compile(LoadedProgram(spec, {}), Machine(strictness=LINUX), default_helpers())
    rates = []
    for _ in range(repeat):
        instructions = 0
        start = time.perf_counter()
        for _ in range(runs):
            context = make_context(spec.type, packet=None, ctx=None, mem=bytes(MEMORY))
            instructions += executable.run(context, budget=1 << 40).instructions
        rates.append(instructions / (time.perf_counter() - start))
    return statistics.median(rates)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rates = {name: measure(text, RUNS.get(name, 1), options.repeat) for name, text in PROGRAMS.items()}
    if options.json:
        print(json.dumps({"programs": {name: {"reference": rate} for name, rate in rates.items()}}, indent=1))
        return
    table = Table("program", "reference, million instructions a second", box=None)
    for name, rate in rates.items():
        table.add_row(name, f"{rate / 1e6:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
