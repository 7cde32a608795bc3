"""The atlas as one HTML page that needs nothing else: no script, nothing loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from pybpftime.conformance.atlas.explanations import Explanation
from pybpftime.conformance.atlas.survey import Answer, Atlas, Entry, Standing
from pybpftime.conformance.report.document import disassembly

STYLE = """\
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 90rem; padding: 0 1.25rem 4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid light-dark(#d4d4d4, #3d3d3d); padding: 0.25rem 0.6rem; text-align: left;
  vertical-align: top; }
thead th { position: sticky; top: 0; background: light-dark(#ffffff, #161616); }
td.answer, pre { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 0.87em; }
.allowed { color: light-dark(#8a5a00, #e0b050); }
.different { color: light-dark(#a8201a, #f28b82); font-weight: bold; }
.unclaimed { color: light-dark(#5c5c5c, #a3a3a3); }
summary { cursor: pointer; }
"""
CLASSES = {
    Standing.SPECIFIED: "specified",
    Standing.ALLOWED: "allowed",
    Standing.UNCLAIMED: "unclaimed",
    Standing.DIFFERENT: "different",
}
LEGEND = {
    Standing.SPECIFIED: "what RFC 9669 says",
    Standing.ALLOWED: "in use where RFC 9669 leaves it open, or a verifier may refuse",
    Standing.UNCLAIMED: "about something that the runtime does not claim to have",
    Standing.DIFFERENT: "neither; the number leads to the reason",
}


def html(atlas: Atlas) -> str:
    """The whole page."""
    return "\n".join(_lines(atlas)) + "\n"


def _lines(atlas: Atlas) -> Iterator[str]:
    reasons = atlas.reasons()
    yield '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Atlas of eBPF runtimes</title>\n<style>\n{STYLE}</style>"
    yield "<h1>Atlas of eBPF runtimes</h1>"
    yield "<p>The points on which specification and runtimes differ, and what each runtime answers there.</p>"
    yield "<ul>" + "".join(f'<li class="{CLASSES[one]}">{text}</li>' for one, text in LEGEND.items()) + "</ul>"
    yield from _table(
        ("runtime", "version", "what it is"),
        [[_plain(one.name), _plain(one.version), _plain(one.description)] for one in atlas.runtimes],
    )
    heads = ("question", "clause", "RFC 9669", *(profile.name for profile in atlas.runtimes))
    for chapter, entries in atlas.chapters():
        yield f"<h2>{escape(chapter)}</h2>"
        yield from _table(heads, [_row(entry, reasons) for entry in entries])
    yield "<h2>Why answers differ</h2>\n<ol>"
    for reason, number in reasons.items():
        text = "<b>Not explained.</b>" if reason is None else f"<b>{reason.why.capitalize()}.</b> {escape(reason.text)}"
        yield f'<li id="reason-{number}">{text}</li>'
    yield "</ol>"


def _row(entry: Entry, reasons: dict[Explanation | None, int]) -> list[str]:
    program = escape("\n".join(disassembly(entry.case.code)))
    question = f"<td><details><summary>{escape(entry.case.about)}</summary><pre>{program}</pre></details></td>"
    answers = [_cell(answer, reasons) for answer in entry.answers]
    return [question, _plain(entry.case.cite), f'<td class="answer">{escape(entry.specified)}</td>', *answers]


def _cell(answer: Answer, reasons: dict[Explanation | None, int]) -> str:
    text = escape(str(answer))
    if answer.standing is Standing.DIFFERENT:
        number = reasons[answer.explanation]
        text += f' <a href="#reason-{number}">{number}</a>'
    title = escape(answer.outcome.message, quote=True)
    return f'<td class="answer {CLASSES[answer.standing]}" title="{title}">{text}</td>'


def _plain(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "<table>\n<thead><tr>" + "".join(f"<th>{escape(head)}</th>" for head in heads) + "</tr></thead>"
    for row in rows:
        yield f"<tr>{''.join(row)}</tr>"
    yield "</table>"
