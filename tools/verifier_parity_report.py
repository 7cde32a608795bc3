"""The sums of a parity run: tables of verdicts by class of reason, disagreements, times, the line of JSON."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from pybpftime.conformance.verifier_messages import FACTS, MessageClass
from pybpftime.verifier.reasons import REASONS, Category
from tools.verifier_parity_workers import ERROR, NOT_PROVED, RULE, SAFE, UNSAFE, VERDICTS, Judgement


@dataclass(frozen=True, slots=True)
class Run:
    """All judgements, how many entries had no answer of the kernel to compare with, and seconds in all."""

    judgements: Sequence[Judgement]
    excluded: int
    seconds: float

    def of(self, kernel_accepts: bool, *verdicts: str) -> list[Judgement]:
        """Those of programs that the kernel accepts or rejects, of these verdicts (of any without)."""
        return [
            each
            for each in self.judgements
            if each.kernel_accepts is kernel_accepts and (not verdicts or each.verdict in verdicts)
        ]

    @property
    def errors(self) -> int:
        return sum(each.verdict == ERROR for each in self.judgements)

    def summary(self) -> dict[str, int | float]:
        """The last line.

        `kernel_rejects` are `rejects_safe`, `witnessed`, `rule`, `not_proved` and those of the `errors` among them.
        """
        rejected = Counter(each.verdict for each in self.of(False))
        return {
            "programs": len(self.judgements),
            "errors": self.errors,
            "kernel_accepts": len(self.of(True)),
            "accepts_safe": len(self.of(True, SAFE)),
            "kernel_rejects": len(self.of(False)),
            "rejects_safe": rejected[SAFE],
            "witnessed": rejected[UNSAFE],
            "rule": rejected[RULE],
            "not_proved": rejected[NOT_PROVED],
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: how many of each verdict, in the order of VERDICTS."""

    title: str
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.counts)

    def cells(self) -> list[str]:
        """The title, each count with its percentage, the total."""
        total = self.total
        shares = [f"{count} ({100 * count / total:.1f} %)" if count else "-" for count in self.counts]
        return [self.title, *shares, str(total)]


def rows(run: Run) -> Iterator[Row]:
    """The table: accepted programs by kind of entry, rejected ones by class of the kernel's reason."""
    accepted = run.of(True)
    yield _row("kernel accepts", accepted)
    for file in sorted({each.file for each in accepted}):
        of_file = [each for each in accepted if each.file == file]
        yield _row(f"  {file}", [each for each in of_file if not each.kfuncs])
        if any(each.kfuncs for each in of_file):
            yield _row(f"  {file}, with kfuncs", [each for each in of_file if each.kfuncs])
    rejected = run.of(False)
    yield _row("kernel rejects", rejected)
    facts = [each for each in rejected if each.message_class in FACTS]
    yield _row("  facts about values", facts)
    yield from _by_class(facts)
    others = [each for each in rejected if each.message_class not in FACTS]
    yield _row("  rules and states", others)
    yield from _by_class(others)


def _by_class(judgements: Sequence[Judgement]) -> Iterator[Row]:
    for message_class in MessageClass:
        chosen = [each for each in judgements if each.message_class is message_class]
        if chosen:
            yield _row(f"    {message_class}", chosen)


def _row(title: str, judgements: Sequence[Judgement]) -> Row:
    counts = Counter(each.verdict for each in judgements)
    return Row(title, tuple(counts[verdict] for verdict in VERDICTS))


HEADINGS = ("", "safe", "unsafe, with a witness", "rule", "not proved", "errors", "all")


def reasons(judgements: Sequence[Judgement]) -> list[tuple[str, int]]:
    """Our reasons by number of programs, the most frequent first."""
    return Counter(each.code for each in judgements).most_common()


def witnesses(run: Run) -> Iterator[str]:
    """Of rejections that the kernel agrees with and whose obligation is about values: how many were shown by a run."""
    about_values = [each for each in run.of(False, UNSAFE, NOT_PROVED) if _is_about_values(each.code)]
    if about_values:
        shown = sum(each.verdict == UNSAFE for each in about_values)
        part = f"{shown} with a replayed witness ({100 * shown / len(about_values):.1f} %)"
        yield f"rejections for an obligation about values: {len(about_values)}, {part}"


def _is_about_values(code: str) -> bool:
    reason = REASONS.get(code)
    return reason is not None and not reason.rule and reason.category not in (Category.BUDGET, Category.UNSUPPORTED)


def times(run: Run) -> Iterator[str]:
    """One line for us, one for the kernel, of the programs of which both times are known."""
    timed = [each for each in run.judgements if each.verdict != ERROR and each.kernel_microseconds is not None]
    if not timed:
        return
    ours = sorted(each.seconds * 1e3 for each in timed)
    kernels = sorted((each.kernel_microseconds or 0) / 1e3 for each in timed)
    for name, values in (("ours", ours), ("the kernel's", kernels)):
        yield (
            f"time of {name}, ms: median {statistics.median(values):.3g}, 90 % below {_quantile(values, 0.9):.3g}, "
            f"95 % below {_quantile(values, 0.95):.3g}, 99 % below {_quantile(values, 0.99):.3g}, "
            f"longest {values[-1]:.3g}, sum {sum(values):.3g}"
        )


def _quantile(ascending: Sequence[float], share: float) -> float:
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def disagreements(run: Run) -> Iterator[tuple[str, list[Judgement]]]:
    """What is to be explained, each list under its title."""
    yield "accepted by the kernel, not called safe", run.of(True, UNSAFE, RULE, NOT_PROVED)
    yield "rejected by the kernel and called safe", run.of(False, SAFE)
    silent = [each for each in run.of(False, RULE, NOT_PROVED) if each.message_class in FACTS]
    yield "rejected by the kernel for values, and no witness", silent


def print_report(run: Run, out: TextIO) -> None:
    """Everything, for a person; the last line for a machine."""
    table = [list(HEADINGS), *(row.cells() for row in rows(run))]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADINGS))]
    for title, *cells in table:
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        print("  ".join([title.ljust(widths[0]), *aligned]).rstrip(), file=out)
    if run.excluded:
        print(f"left out, because the kernel could not judge them: {run.excluded}", file=out)
    for title, chosen in disagreements(run):
        codes = ", ".join(f"{count} {code}" for code, count in reasons(chosen) if code)
        print(f"\n{title}: {len(chosen)}" + (f" ({codes})" if codes else ""), file=out)
        for each in sorted(chosen, key=lambda one: (one.code, one.file, one.name)):
            print(f"  {each.name}: {_why(each)}", file=out)
    failed = [each for each in run.judgements if each.verdict == ERROR]
    print(f"\nerrors: {len(failed)}", file=out)
    for each in failed:
        print(f"  {each.name}: {each.code}: {each.sentence}", file=out)
    print(file=out)
    for text in (*witnesses(run), *times(run)):
        print(text, file=out)
    print(json.dumps(run.summary()), file=out)


def _why(judgement: Judgement) -> str:
    ours = f"{judgement.verdict} ({judgement.code}): {judgement.sentence}" if judgement.code else "safe"
    return ours if judgement.kernel_accepts else f"{ours}; the kernel: {judgement.message}"
