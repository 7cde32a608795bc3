"""What the generators of documents (`gen_*.py`) share: write a document, or say whether it is what would be written."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def write_or_check(target: Path, text: str, generator: str, arguments: Sequence[str] | None = None) -> int:
    """The whole command line of a generator; its exit code.

    Writes `text` to `target`.  With `--check` among the arguments (those of the process if left out) nothing is
    written, and the code is 1 when the file does not hold `text` byte by byte.  `generator` is the name of its module.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {generator}", description=f"Writes {target.name}.")
    parser.add_argument("--check", action="store_true", help="change nothing, say whether the file is right")
    content = text.encode()
    if not parser.parse_args(arguments).check:
        target.write_bytes(content)
        return 0
    if target.is_file() and target.read_bytes() == content:
        return 0
    print(f"{target.name} is out of date: run python -m {generator}", file=sys.stderr)
    return 1
