"""Cases as JSON, for programs that know nothing of ours."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pybpftime.conformance.case import Case, Verdict


def as_record(case: Case) -> dict[str, Any]:
    """`name`; `hex`, the bytes of the program; `mem`, those of its memory, empty if it has none; `expected`.

    `expected` is r0 as `0x2a`, and None where the right answer is another verdict, or one of several.
    """
    answers = {answer.signature.r0 if answer.verdict is Verdict.RETURN else None for answer in case.expected}
    value = answers.pop() if len(answers) == 1 else None
    return {
        "name": case.name,
        "hex": case.code.hex(),
        "mem": (case.memory or b"").hex(),
        "expected": None if value is None else f"{value:#x}",
    }


def write_json(cases: Iterable[Case]) -> str:
    """An array of records, one a line."""
    lines = ",\n".join(json.dumps(as_record(case)) for case in cases)
    return f"[\n{lines}\n]\n" if lines else "[]\n"
