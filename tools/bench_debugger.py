"""What debugging costs: figures beside the bare interpreter's in the same run.

    python -m tools.bench_debugger [--json]

A session keeps all history: any step can be gone back to.  Each figure is the median of several runs, in processor
time, so that they are comparable on a machine that does something else as well.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

from pybpftime.debug.answers import AnswerBook
from pybpftime.debug.session import Session
from pybpftime.debug.timeline import Invocation
from pybpftime.machine import Environment
from pybpftime.runtime import Object
from pybpftime.runtime.load import read_object

ROUNDS = 3
BUDGET = 1 << 40
PROGRAMS = {
    "ALU loop": "r0 = 0\nr1 = {}\nagain: r0 += r1\nr0 ^= 5\nr1 -= 1\nif r1 != 0 goto again\nexit",
    "memory loop": "r1 = {}\nr2 = 0\n*(u64 *)(r10 - 8) = r2\nagain: r2 = *(u64 *)(r10 - 8)\nr2 += 1\n"
    "*(u64 *)(r10 - 8) = r2\nr1 -= 1\nif r1 != 0 goto again\nr0 = 0\nexit",
}
LOOP_START = {"ALU loop": 2, "memory loop": 3}
TEN_MILLION = 2_500_000


def new_session(name: str, rounds: int) -> Session:
    """A session on a loop."""
    spec = read_object(PROGRAMS[name].format(rounds).encode(), name=name)
    (program,) = spec.programs
    session = Session(Object(spec, environment=AnswerBook(Environment())), [Invocation(program)], budget=BUDGET)
    session.start()
    return session


def seconds(action: Callable[[], object]) -> float:
    """Processor time."""
    begin = time.process_time()
    action()
    return time.process_time() - begin


def bare(name: str, rounds: int) -> float:
    """Instructions a second of the interpreter."""
    program = Object(read_object(PROGRAMS[name].format(rounds).encode(), name=name)).program
    program.prepare()
    taken = seconds(lambda: program.run(budget=BUDGET))
    return program.run(budget=BUDGET).instructions / taken


def forward(name: str, rounds: int) -> float:
    """Steps a second of a session that keeps all history."""
    session = new_session(name, rounds)
    taken = seconds(session.resume)
    return session.world.step / taken


def back(name: str) -> float:
    """Seconds to go back over a million steps to a breakpoint that is not there."""
    session = new_session(name, 300_000)
    session.goto(1_000_000)
    session.break_at(f"*{len(session.object.program.spec.instructions) - 1}")
    return seconds(lambda: session.resume(back=True))


def one_step_back(name: str) -> float:
    """Seconds to go back one step in the middle of a million."""
    session = new_session(name, 300_000)
    session.resume()
    session.goto(777_777)
    return seconds(lambda: session.step_instruction(back=True))


def conditions(name: str) -> float:
    """Conditions a second, of which none is met."""
    rounds = 200_000
    session = new_session(name, rounds)
    session.break_at(f"*{LOOP_START[name]}", condition="$r1 == 1000000000")
    return rounds / seconds(session.resume)


def measure() -> dict[str, dict[str, float]]:
    """All figures of all programs."""

    def median(figure: Callable[[], float]) -> float:
        return statistics.median(figure() for _ in range(ROUNDS))

    found: dict[str, dict[str, float]] = {}
    for name in PROGRAMS:
        interpreter = median(partial(bare, name, 200_000))
        stepping = median(partial(forward, name, 200_000))
        found[name] = {
            "bare instructions a second": interpreter,
            "with history, steps a second": stepping,
            "ratio": stepping / interpreter,
            "back over 1,000,000 steps, s": median(partial(back, name)),
            "back one step, s": median(partial(one_step_back, name)),
            "conditions a second": median(partial(conditions, name)),
        }
    new_session("ALU loop", TEN_MILLION).resume()
    found["ALU loop"]["MB after 10,000,000 steps"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def main() -> None:
    figures = measure()
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures, indent=1))
        return
    for name, rows in figures.items():
        print(name)
        for what, number in rows.items():
            print(f"  {what:32} {number:>14,.3f}" if number < 100 else f"  {what:32} {number:>14,.0f}")


if __name__ == "__main__":
    main()
