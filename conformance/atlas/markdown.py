"""The atlas as Markdown: docs/atlas.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pybpftime.conformance.atlas.explanations import Explanation
from pybpftime.conformance.atlas.survey import Answer, Atlas, Entry, Standing

INTRODUCTION = """\
# Atlas of eBPF runtimes

The points on which specification and runtimes differ, and what each runtime answers there. Each question is a program
of a few instructions (`conformance/atlas/probes`), run by each runtime. A plain answer is what RFC 9669 says; one in
*italics* is in use where RFC 9669 leaves it open or a verifier may refuse; one in **bold** is neither, and its number
leads to the reason below; one in (brackets) is about something that the runtime does not claim to have.

Written by `pybpftime conformance atlas --markdown docs/atlas.md`.
"""
MARKS = {Standing.SPECIFIED: ("", ""), Standing.ALLOWED: ("*", "*"), Standing.UNCLAIMED: ("(", ")")}
UNEXPLAINED = "**Not explained.**"


def markdown(atlas: Atlas) -> str:
    """The whole page."""
    return "\n".join(_lines(atlas)) + "\n"


def _lines(atlas: Atlas) -> Iterator[str]:
    reasons = atlas.reasons()
    yield INTRODUCTION
    runtimes = [(one.name, one.version, one.description) for one in atlas.runtimes]
    yield from _table(("runtime", "version", "what it is"), runtimes)
    heads = ("question", "clause", "RFC 9669", *(profile.name for profile in atlas.runtimes))
    for chapter, entries in atlas.chapters():
        yield f"\n## {chapter}\n"
        yield from _table(heads, [_row(entry, reasons) for entry in entries])
    yield "\n## Why answers differ\n"
    for reason, number in reasons.items():
        yield f"{number}. {UNEXPLAINED if reason is None else f'**{reason.why.capitalize()}.** {reason.text}'}"


def _row(entry: Entry, reasons: dict[Explanation | None, int]) -> tuple[str, ...]:
    cells = [_cell(answer, reasons) for answer in entry.answers]
    return (f"{entry.case.about} `{entry.name}`", entry.case.cite, entry.specified, *cells)


def _cell(answer: Answer, reasons: dict[Explanation | None, int]) -> str:
    if answer.standing is Standing.DIFFERENT:
        return f"**{answer}** [{reasons[answer.explanation]}](#why-answers-differ)"
    before, behind = MARKS[answer.standing]
    return f"{before}{answer}{behind}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|" + " --- |" * len(heads)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
