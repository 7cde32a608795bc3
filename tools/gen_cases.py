"""Writes the generated files of conformance/cases from the formulas of conformance/corpus.

    python -m tools.gen_cases            write them, and delete those that are no longer generated
    python -m tools.gen_cases --check    change nothing, say whether they are what would be written

A generated file says so in its first line; all others are written by hand and are left alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pybpftime.conformance.corpus import arithmetic, atomics, byte_swaps, crossed, encodings, jumps, memory, registers
from pybpftime.conformance.corpus.text import GENERATED

TARGET = Path(__file__).resolve().parent.parent / "conformance" / "cases"
CHAPTERS = (arithmetic, byte_swaps, jumps, crossed, memory, atomics, registers, encodings)


def documents() -> dict[Path, str]:
    """The text of every generated file."""
    return {TARGET / path: text for chapter in CHAPTERS for path, text in chapter.files()}


def generated_files(folder: Path) -> Iterator[Path]:
    """The files in a folder that say that they are generated."""
    for path in sorted(folder.rglob("*.case")):
        with path.open(encoding="utf-8") as file:
            if file.readline().rstrip("\n") == GENERATED:
                yield path


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code is 1 when --check finds a file that is not current."""
    parser = argparse.ArgumentParser(prog="python -m tools.gen_cases", description="Writes generated cases.")
    parser.add_argument("--check", action="store_true", help="change nothing, say whether the files are right")
    check = parser.parse_args(arguments).check
    wanted, present = documents(), set(generated_files(TARGET))
    wrong = [path for path, text in wanted.items() if not path.is_file() or path.read_bytes() != text.encode()]
    superfluous = sorted(present - wanted.keys())
    if not check:
        for path in wrong:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[path].encode())
        for path in superfluous:
            path.unlink()
        return 0
    for path in wrong:
        print(f"{path.relative_to(TARGET)} is out of date: run python -m tools.gen_cases", file=sys.stderr)
    for path in superfluous:
        print(f"{path.relative_to(TARGET)} is no longer generated: run python -m tools.gen_cases", file=sys.stderr)
    return 1 if wrong or superfluous else 0


if __name__ == "__main__":
    sys.exit(main())
