"""Holds the verifier against the kernel's: every program of verifier test data, judged by both.

    python -m tools.verifier_parity FILE... [--limit N] [--only SUBSTRING] [--jobs N] [--json OUT] [--timeout S]
                                            [--write-docs]
    python -m tools.verifier_parity --write-docs

Prints the table of verdicts by class of reason, every disagreement, the times of both, and as its last line one JSON
object.  `--write-docs` records the run in docs/campaigns/verifier-parity.json and writes docs/verifier-parity.md from
it; without a FILE it writes the document from the last record.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pybpftime.conformance.verifier_vectors import Vector, read_vectors
from pybpftime.errors import BpfError, InputError
from tools.verifier_parity_docs import RECORD, record_of, write_documents
from tools.verifier_parity_report import Run, print_report
from tools.verifier_parity_workers import Job, Limits, Verify, judge_all

DEFAULT_TIMEOUT = 60.0


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Holds the verifier against what a kernel said of the same programs.")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="entries as JSON, compressed or not")
    parser.add_argument("--limit", type=int, help="only the first N entries of each file")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="only entries whose name contains it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every judgement there")
    parser.add_argument(
        "--timeout", type=float, default=DEFAULT_TIMEOUT, help="seconds a program (default %(default)s)"
    )
    parser.add_argument("--budget", type=int, default=1_000_000, help="instructions a program (default %(default)s)")
    parser.add_argument("--write-docs", action="store_true", help="record the run and write docs/verifier-parity.md")
    chosen = parser.parse_args(arguments)
    if not chosen.files and not chosen.write_docs:
        parser.error("no FILE")
    return chosen


def select(files: Sequence[Path], only: str, limit: int | None) -> tuple[list[Job], int]:
    """What is to be judged, and how many entries are left out because the kernel could not judge them."""
    jobs: list[Job] = []
    excluded = 0
    for path in files:
        chosen = [vector for vector in read_vectors(path) if only in vector.name][:limit]
        judged = [vector for vector in chosen if _has_answer(vector)]
        excluded += len(chosen) - len(judged)
        jobs += [Job(path.name, vector) for vector in judged]
    return jobs, excluded


def _has_answer(vector: Vector) -> bool:
    return vector.kernel is not None and vector.kernel.excluded is None


def run(chosen: argparse.Namespace, verify: Verify) -> Run:
    """Judge what the options choose."""
    began = time.perf_counter()
    jobs, excluded = select(chosen.files, chosen.only, chosen.limit)
    judgements = judge_all(jobs, verify, Limits(chosen.timeout, chosen.budget), processes=max(1, chosen.jobs))
    return Run(judgements, excluded, time.perf_counter() - began)


def main(arguments: Sequence[str] | None = None, verify: Verify | None = None) -> int:
    """0 when every program got a verdict, 1 when some ended in an error, 2 for input that cannot be read."""
    chosen = options(arguments)
    try:
        if not chosen.files:
            write_documents(json.loads(RECORD.read_text("utf-8")))
            return 0
        result = run(chosen, verify or _verifier())
    except (BpfError, OSError, ValueError) as error:
        print(f"verifier_parity: {error}", file=sys.stderr)
        return 2
    if chosen.json is not None:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps([each.as_dict() for each in result.judgements], indent=1) + "\n", "utf-8")
    if chosen.write_docs:
        record = record_of(result)
        RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        write_documents(record)
    print_report(result, sys.stdout)
    return 1 if result.errors else 0


def _verifier() -> Verify:
    try:
        from pybpftime.verifier import verify
    except ImportError as error:
        raise InputError(f"the verifier cannot be loaded: {error}") from error
    return verify


if __name__ == "__main__":
    sys.exit(main())
