"""Check how much of each room the tests reach: `python -m tools.check_coverage` after `pytest --cov`.

Where an instruction's meaning is written, both outcomes of every condition are to be seen; elsewhere every line.  The
exit code is 1 when a room falls short.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

LEAST = 95.0  # percent
ROOMS = {
    "isa": "branches",
    "machine": "branches",
    "engines/reference": "branches",
    "program": "lines",
    "maps": "lines",
    "helpers": "lines",
}


def measure() -> dict[str, Counter[str]]:
    """Lines and branches of each room, in all and reached, as coverage.py counted them."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        subprocess.run([sys.executable, "-m", "coverage", "json", "-q", "-o", report], check=True)
        files = json.loads(report.read_text())["files"]
    counts: dict[str, Counter[str]] = {room: Counter() for room in ROOMS}
    for name, file in files.items():
        for room in ROOMS:
            if name.startswith(f"pybpftime/{room}/"):
                summary = file["summary"]
                counts[room].update(
                    {
                        "lines": summary["num_statements"],
                        "lines reached": summary["covered_lines"],
                        "branches": summary["num_branches"],
                        "branches reached": summary["covered_branches"],
                    }
                )
    return counts


def percent(counts: Counter[str], what: str) -> float:
    """How many of the lines or branches are reached."""
    return 100 * counts[f"{what} reached"] / counts[what] if counts[what] else 0.0


def main() -> int:
    """Print the table; the result is the exit code."""
    counts = measure()
    table = Table("room", "lines", "branches", "rule", box=None)
    short = []
    for room, what in ROOMS.items():
        lines, branches = percent(counts[room], "lines"), percent(counts[room], "branches")
        table.add_row(room, f"{lines:.1f} %", f"{branches:.1f} %", f"{what}: at least {LEAST:.0f} %")
        if percent(counts[room], what) < LEAST:
            short.append(room)
    Console().print(table)
    if short:
        print(f"too little is tested of {', '.join(short)}", file=sys.stderr)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
