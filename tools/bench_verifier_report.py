"""The sums of `tools.bench_verifier`: by group of programs, and of all real ones against the targets."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

SAFE = "safe"
REAL = "all real programs"
MOST_SHOWN = 5

# (what of the milliseconds of all real programs, at most)
TARGETS = (("median", 60.0), ("90 %", 2_000.0), ("largest", 30_000.0))

Summary = dict[str, Any]


class KernelTime(Protocol):
    """See `bench_verifier`."""

    @property
    def accepts(self) -> bool: ...
    @property
    def microseconds(self) -> int | None: ...


class Measurement(Protocol):
    """See `bench_verifier`."""

    @property
    def group(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def program(self) -> str: ...
    @property
    def slots(self) -> int: ...
    @property
    def verdict(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def processed(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def kernel(self) -> KernelTime | None: ...


def summaries(found: Sequence[Measurement], *, not_real: Collection[str] = ()) -> dict[str, Summary]:
    """A summary of each group in the order of the measurements, then of all that are in no group of `not_real`."""
    names = dict.fromkeys(each.group for each in found)
    groups = {name: [each for each in found if each.group == name] for name in names}
    groups[REAL] = [each for each in found if each.group not in not_real]
    return {name: _summary(members) for name, members in groups.items() if members}


def _summary(members: Sequence[Measurement]) -> Summary:
    kernels = [each.kernel for each in members if each.kernel is not None]
    timed = [each.microseconds / 1e3 for each in kernels if each.microseconds is not None]
    return {
        "programs": len(members),
        "safe": sum(each.verdict == SAFE for each in members),
        "not safe": dict(Counter(each.code for each in members if each.verdict != SAFE).most_common()),
        "kernel": {
            "accepts": sum(each.accepts for each in kernels),
            "of them safe": sum(_is_accepted(each) and each.verdict == SAFE for each in members),
            "rejects": sum(not each.accepts for each in kernels),
            "not asked": len(members) - len(kernels),
        },
        "instructions": _percentiles([each.slots for each in members]),
        "processed": _percentiles([each.processed for each in members]),
        "milliseconds": _percentiles([1e3 * each.seconds for each in members]),
        "kernel milliseconds": _percentiles(timed),
        "slowest": [
            f"{each.file} {each.program}: {1e3 * each.seconds:.0f} ms"
            for each in sorted(members, key=lambda one: -one.seconds)[:MOST_SHOWN]
        ],
    }


def _is_accepted(one: Measurement) -> bool:
    return one.kernel is not None and one.kernel.accepts


def _percentiles(values: Iterable[float]) -> dict[str, float]:
    ascending = sorted(values)
    if not ascending:
        return {}
    last = len(ascending) - 1
    found = {
        "median": statistics.median(ascending),
        "90 %": ascending[min(last, int(0.9 * len(ascending)))],
        "95 %": ascending[min(last, int(0.95 * len(ascending)))],
        "largest": ascending[last],
    }
    return {name: float(f"{value:.3g}") for name, value in found.items()}


def summary_lines(groups: Mapping[str, Summary]) -> Iterator[str]:
    """For a person: a block for each group, then how the real programs stand against the targets."""
    for name, summary in groups.items():
        yield ""
        yield f"{name}: {summary['programs']} programs, {summary['safe']} safe"
        for code, count in summary["not safe"].items():
            yield f"  {count} not safe: {code}"
        kernel = summary["kernel"]
        yield (
            f"  the kernel accepts {kernel['accepts']} (of them {kernel['of them safe']} safe here), "
            f"rejects {kernel['rejects']}, was not asked about {kernel['not asked']}"
        )
        for what in ("instructions", "processed", "milliseconds", "kernel milliseconds"):
            numbers = ", ".join(f"{share} {value:g}" for share, value in summary[what].items())
            yield f"  {what}: {numbers or 'unknown'}"
        yield f"  slowest: {'; '.join(summary['slowest'])}"
    if REAL in groups:
        yield ""
        yield from _against_targets(groups[REAL]["milliseconds"])


def _against_targets(milliseconds: Mapping[str, float]) -> Iterator[str]:
    for share, limit in TARGETS:
        verdict = "met" if milliseconds[share] <= limit else "missed"
        yield f"target, {share} of {REAL} at most {limit:g} ms: {milliseconds[share]:g} ms, {verdict}"
