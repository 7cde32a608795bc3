"""Shows the debugger's screen on an object and a capture: for tests in a real terminal.

python run_screen.py OBJECT PROGRAM CAPTURE
"""

from __future__ import annotations

import sys
from pathlib import Path

from pybpftime.debug.launch import Launch, open_session
from pybpftime.debug.tui import run_tui
from pybpftime.program.packets import read_packets
from pybpftime.runtime.load import read_object


def main(path: str, program: str, capture: str) -> int:
    content = Path(path).read_bytes()
    launch = Launch(read_object(Path(path)), content, program, tuple(read_packets(capture)))
    return run_tui(open_session(launch))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
