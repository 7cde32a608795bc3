"""How long the screen takes from a key to what is drawn for it, in a terminal.

    python -m tools.bench_screen [--json]

The screen runs in a pseudo terminal of its own.  A key is sent, and all is read that it makes the screen draw.  Given
are the processor time that the process took for that, which is what the user waits on a machine that does nothing else,
and the time by the clock, beside the load that there was.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "tests" / "programs" / "xdp_parser.O0.bpf.o"
CAPTURE = ROOT / "tests" / "captures" / "mixed.pcap"
SCREEN = ROOT / "tests" / "debug" / "tui" / "run_screen.py"
SIZES = ((80, 24), (200, 60))
KEYS = {"next line": "n", "into": "s", "instruction": "i", "line back": "N", "packet": "]"}
PRESSES = 20
TARGET = 0.050
QUIET = 0.4
"""Seconds without output after which all is drawn."""
BEGINNING = 5.0
"""The same at first, when the program may be verified meanwhile."""
PATIENCE = 60.0


@contextmanager
def screen(width: int, height: int) -> Iterator[tuple[int, int]]:
    """The screen in a terminal; gives the number of its process, and the other end of the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", PYTHONPATH=str(ROOT))
        os.execv(sys.executable, [sys.executable, str(SCREEN), str(PROGRAM), "parse", str(CAPTURE)])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    try:
        drawn(terminal, quiet=BEGINNING)
        yield pid, terminal
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def drawn(terminal: int, *, quiet: float = QUIET) -> float:
    """Read until nothing more is drawn; when the last of it came."""
    last, wait = time.monotonic(), PATIENCE
    while select.select([terminal], [], [], wait)[0]:
        os.read(terminal, 1 << 16)
        last, wait = time.monotonic(), quiet
    return last


def processor_time(pid: int) -> float:
    """The seconds that all threads of a process have had."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[0]) for one in tasks) / 1e9


def press(pid: int, terminal: int, key: str) -> tuple[float, float]:
    """The processor time that a key takes, and the time by the clock."""
    begin, used = time.monotonic(), processor_time(pid)
    os.write(terminal, key.encode())
    end = drawn(terminal)
    return processor_time(pid) - used, end - begin


def figures() -> dict[str, dict[str, float]]:
    """Of each size and key the median, and what 19 of 20 stay below, in seconds."""
    found = {}
    for width, height in SIZES:
        with screen(width, height) as (pid, terminal):
            for name, key in KEYS.items():
                taken = [press(pid, terminal, key) for _ in range(PRESSES)]
                processor, clock = (sorted(one[kind] for one in taken) for kind in range(2))
                found[f"{width}x{height} {name}"] = {
                    "median": statistics.median(processor), "p95": processor[len(processor) * 19 // 20],
                    "clock": statistics.median(clock),
                }  # fmt: skip
    return found


def main() -> int:
    found = figures()
    if "--json" in sys.argv[1:]:
        print(json.dumps(found))
        return 0
    print(f"load {os.getloadavg()[0]:.1f}; milliseconds of processor time from a key to what is drawn")
    for name, one in found.items():
        late = "  too late" if one["p95"] > TARGET else ""
        text = f"median {1000 * one['median']:6.1f}  p95 {1000 * one['p95']:6.1f}  clock {1000 * one['clock']:6.1f}"
        print(f"{name:<22} {text}{late}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
