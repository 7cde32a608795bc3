"""Writes docs/verifier-parity.md: the record of a parity run, and the causes of what differs.

Causes are written by hand, in docs/verifier-parity-causes.toml, a list of tables:

    [[cause]]
    kernel = "accepts"            # or "rejects": what the kernel did with the programs that this explains
    code = "unsupported"          # our reason, for programs that it accepts
    class = "memory"              # the class of its message, for programs that it rejects and we call safe
    pattern = "min value"         # optional: only where this is found in the kernel's message or our sentence
    programs = ["file.c: name"]   # optional: only these
    argument = "..."              # why they differ, and for a rejected program why it is safe all the same

The first cause that fits a disagreement is its cause.
"""

from __future__ import annotations

import platform
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybpftime.errors import InputError
from tools.verifier_parity_report import HEADINGS, Row, Run, rows, times, witnesses
from tools.verifier_parity_workers import NOT_PROVED, RULE, SAFE, UNSAFE, Judgement

DOCS = Path(__file__).resolve().parent.parent / "docs"
TARGET = DOCS / "verifier-parity.md"
CAUSES = DOCS / "verifier-parity-causes.toml"
RECORD = DOCS / "campaigns" / "verifier-parity.json"
ACCEPTS, REJECTS = "accepts", "rejects"
WIDTH = 118


@dataclass(frozen=True, slots=True)
class Cause:
    """Why we differ from the kernel on some programs; the fields are those of the file."""

    kernel: str
    code: str
    message_class: str
    pattern: re.Pattern[str]
    programs: frozenset[str]
    argument: str

    def explains(self, difference: Mapping[str, Any]) -> bool:
        """Whether it is the cause of a difference, as `record_of` has it."""
        if difference["kernel"] != self.kernel:
            return False
        mine, given = (self.code, "code") if self.kernel == ACCEPTS else (self.message_class, "class")
        if difference[given] != mine or (self.programs and difference["name"] not in self.programs):
            return False
        return bool(self.pattern.search(difference["text"]))


def read_causes(path: Path = CAUSES) -> tuple[Cause, ...]:
    """The causes of the file, in its order.  InputError for what is not of the form."""
    try:
        found = tomllib.loads(path.read_text("utf-8")).get("cause", [])
        return tuple(_cause(each) for each in found)
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, re.error) as error:
        raise InputError(f"causes cannot be read: {type(error).__name__}: {error}", file=str(path)) from error


def _cause(each: Mapping[str, Any]) -> Cause:
    kernel = each["kernel"]
    if kernel not in (ACCEPTS, REJECTS):
        raise InputError(f"a cause has kernel = {kernel!r}; it is {ACCEPTS} or {REJECTS}")
    code, message_class = (each["code"], "") if kernel == ACCEPTS else ("", each["class"])
    pattern = re.compile(each.get("pattern", ""))
    programs = each.get("programs", [])
    if not isinstance(programs, list):
        raise InputError("the programs of a cause are a list of names")
    argument = " ".join(each["argument"].split())
    return Cause(kernel, code, message_class, pattern, frozenset(programs), argument)


def differences(judgements: Sequence[Judgement]) -> Iterator[dict[str, Any]]:
    """Every disagreement as plain data: what the kernel did, our reason or its class, the text that says why."""
    for each in judgements:
        if each.kernel_accepts and each.verdict in (UNSAFE, RULE, NOT_PROVED):
            text = each.sentence
            yield {"kernel": ACCEPTS, "code": each.code, "verdict": each.verdict, "name": each.name, "text": text}
        elif not each.kernel_accepts and each.verdict == SAFE:
            text = each.message or ""
            yield {"kernel": REJECTS, "class": str(each.message_class), "name": each.name, "text": text}


def unexplained(judgements: Sequence[Judgement], causes: Sequence[Cause]) -> list[dict[str, Any]]:
    """The disagreements that no cause explains."""
    return [each for each in differences(judgements) if _cause_of(each, causes) is None]


def _cause_of(difference: Mapping[str, Any], causes: Sequence[Cause]) -> Cause | None:
    return next((cause for cause in causes if cause.explains(difference)), None)


def record_of(run: Run) -> dict[str, Any]:
    """What is kept of a run."""
    return {
        "campaign": "verifier-parity",
        "python": platform.python_version(),
        "files": sorted({each.file for each in run.judgements}),
        "excluded": run.excluded,
        **run.summary(),
        "table": [[row.title, *row.counts] for row in rows(run)],
        "witnesses": list(witnesses(run)),
        "times": list(times(run)),
        "differences": list(differences(run.judgements)),
    }


def write_documents(record: Mapping[str, Any]) -> None:
    """Write the document from a record and the causes."""
    TARGET.write_text(document(record, read_causes()), "utf-8")


def document(record: Mapping[str, Any], causes: Sequence[Cause]) -> str:
    """The whole text."""
    return "\n".join(_lines(record, causes)).rstrip("\n") + "\n"


def _lines(record: Mapping[str, Any], causes: Sequence[Cause]) -> Iterator[str]:
    yield "# Verifier parity"
    yield ""
    yield from _paragraph(
        "What our verifier and that of Linux 6.18 say of the same programs: Linux's own verifier tests, as raw "
        f"instructions and as compiled C ({', '.join(record['files'])} of the public test data). Written by "
        "`tools/verifier_parity.py` from `docs/campaigns/verifier-parity.json` and the causes in "
        "`docs/verifier-parity-causes.toml`; both verdicts on every program are printed by "
        "`python -m tools.verifier_parity FILE...`."
    )
    yield ""
    yield from _paragraph(
        "*Unsafe* is a program of which a concrete input was run up to the fault. *Rule* is one that breaks a rule "
        "which is not about values, so that there is nothing to run. Accepted programs with *kfuncs* call functions "
        f"of the kernel. What we call safe is run on random inputs by `tests/tools/test_verifier_causes.py`. "
        f"{record['excluded']} entries are left out, because the kernel that was asked could not judge "
        "them."
    )
    yield ""
    yield f"| {' | '.join(HEADINGS)} |"
    yield "|---" * len(HEADINGS) + "|"
    for title, *counts in record["table"]:
        cells = Row(title.strip(), tuple(counts)).cells()
        cells[0] = "&nbsp;" * (len(title) - len(title.lstrip())) + cells[0]
        yield f"| {' | '.join(cells)} |"
    yield ""
    for text in (*record["witnesses"], *record["times"]):
        yield f"- {text}"
    yield ""
    yield from _differences(record, ACCEPTS, "Accepted by Linux, not called safe", causes)
    yield from _differences(record, REJECTS, "Rejected by Linux and called safe", causes)


def _differences(record: Mapping[str, Any], kernel: str, title: str, causes: Sequence[Cause]) -> Iterator[str]:
    chosen = [each for each in record["differences"] if each["kernel"] == kernel]
    yield f"## {title}"
    yield ""
    yield f"{len(chosen)} programs." if chosen else "None."
    yield ""
    key = "code" if kernel == ACCEPTS else "class"
    groups: dict[tuple[str, Cause | None], list[Mapping[str, Any]]] = {}
    for each in chosen:
        groups.setdefault((each[key], _cause_of(each, causes)), []).append(each)
    for (reason, cause), members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0][0])):
        yield f"### {reason}: {len(members)}"
        yield ""
        yield from _paragraph(cause.argument if cause is not None else "No cause is written yet.")
        yield ""
        yield "```text"
        yield from sorted(each["name"] for each in members)
        yield "```"
        yield ""


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
