"""A badge: how many cases passed, as an image for a README."""

from __future__ import annotations

from xml.sax.saxutils import escape

from pybpftime.conformance.report.data import Report, Tally, tally

LABEL = "eBPF conformance"
GREEN, RED, GREY = "#2e7d32", "#b3261e", "#6b6b6b"
CHARACTER = 6.6
"""Pixels that a character takes; `textLength` fits what a font does otherwise."""

_TEMPLATE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{title}">
  <title>{title}</title>
  <clipPath id="corners"><rect width="{width}" height="20" rx="3"/></clipPath>
  <g clip-path="url(#corners)">
    <rect width="{left}" height="20" fill="#3c3c3c"/>
    <rect x="{left}" width="{right}" height="20" fill="{colour}"/>
  </g>
  <g fill="#fff" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11">
    <text x="6" y="14" textLength="{left_text}">{label}</text>
    <text x="{right_start}" y="14" textLength="{right_text}">{value}</text>
  </g>
</svg>
"""


def badge(report: Report) -> str:
    """The SVG of a report with one runtime."""
    [run] = report.runs
    value, colour = _verdict(tally(report.cases, run), complete=report.complete)
    left_text, right_text = round(len(LABEL) * CHARACTER), round(len(value) * CHARACTER)
    left, right = left_text + 12, right_text + 12
    return _TEMPLATE.format(
        width=left + right,
        left=left,
        right=right,
        left_text=left_text,
        right_text=right_text,
        right_start=left + 6,
        colour=colour,
        label=escape(LABEL),
        value=escape(value),
        title=escape(f"{LABEL}: {value}"),
    )


def _verdict(counts: Tally, *, complete: bool) -> tuple[str, str]:
    if counts.failed:
        return f"{counts.passed:,} passed, {counts.failed:,} failed", RED
    if not complete or not counts.run:
        return f"{counts.passed:,} passed, not complete" if counts.run else "not run", GREY
    return f"{counts.passed:,} passed", GREEN
