"""What `verify` prints: a table or a line of verdicts, then each rejection, taken apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from pybpftime.cli.output import count_of, number, table
from pybpftime.cli.verify_witness import witness_lines
from pybpftime.cli.verify_workers import Answer
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.verifier import Report, Verdict
from pybpftime.verifier.explanation import Explanation, Place, Step
from pybpftime.verifier.reasons import Category
from pybpftime.verifier.witness_file import witness_data
from pybpftime.verifier.wording import place_of

STYLES = {"safe": "green", "unsafe": "red", "not proved": "yellow", "error": "red"}
UNDECIDED = (Category.BUDGET, Category.UNSUPPORTED)
Styled = tuple[str, str]
"""A line and its style."""


def print_answers(
    target: Console,
    answers: Sequence[Answer],
    errors: Sequence[str],
    seconds: float,
    *,
    in_full: bool,
    proofs: bool = False,
    witness_file: str | None = None,
) -> None:
    """Verdicts first, then what is wrong: everything `in_full`, or the reason and its place.

    `proofs`: of safe programs, what the solver had to prove.
    """
    if len(answers) > 1:
        target.print(_table(answers))
    elif answers:
        target.print(Text.assemble(*_heading(answers[0]), "  ", (_work(answers[0]), "dim")))
    for answer in answers:
        if answer.verdict == Verdict.SAFE and not (proofs and answer.report is not None and answer.report.proofs):
            continue
        target.print()
        if len(answers) > 1:
            target.print(Text.assemble(*_heading(answer), (f"  {answer.task.file}", "dim")))
        if answer.verdict == Verdict.SAFE:
            lines = _proved(answer)
        else:
            lines = rejection(answer, in_full=in_full, witness_file=witness_file)
        for line, style in lines:
            target.print(Text(line, style=style))
    for error in errors:
        target.print(Text(f"\nerror: {error}", style="red"))
    if len(answers) > 1 or errors:
        target.print()
        rejected = any(answer.report is not None and answer.report.objection is not None for answer in answers)
        hint = "" if in_full or not rejected else "; --explain says more"
        target.print(Text(_summary(answers, errors, seconds) + hint, style="dim"))


# --- verdicts ---------------------------------------------------------------------------------------------------------


def _heading(answer: Answer) -> list[tuple[str, str]]:
    kind = PROGRAM_TYPES[answer.type].name
    return [(answer.task.program, "bold"), (f"  {kind}", "dim"), ("  ", ""), (answer.verdict, STYLES[answer.verdict])]


def _work(answer: Answer) -> str:
    report = answer.report
    return "" if report is None else f"{count_of(report.processed, 'instruction')} processed in {report.seconds:.3f} s"


def _table(answers: Sequence[Answer]) -> Any:
    grid = table("program", "type", "verdict", ("processed", "right"), ("seconds", "right"), "reason", "object")
    for answer in answers:
        report = answer.report
        grid.add_row(
            answer.task.program,
            PROGRAM_TYPES[answer.type].name,
            Text(answer.verdict, style=STYLES[answer.verdict]),
            "" if report is None else number(report.processed),
            "" if report is None else f"{report.seconds:.3f}",
            "" if report is None or report.objection is None else report.objection.code,
            answer.task.file,
        )
    return grid


def _summary(answers: Sequence[Answer], errors: Sequence[str], seconds: float) -> str:
    counts = Counter(answer.verdict for answer in answers)
    parts = [f"{number(counts[name])} {name}" for name in STYLES if counts[name]]
    unread = f", {count_of(len(errors), 'object')} that cannot be read" if errors else ""
    return f"{count_of(len(answers), 'program')}: {', '.join(parts) or 'none'}{unread}, in {seconds:.1f} s"


# --- proofs -----------------------------------------------------------------------------------------------------------


def _proved(answer: Answer) -> Iterator[Styled]:
    """What the solver proved of a safe program, and with which branches."""
    report = answer.report
    assert report is not None
    spec = answer.task.spec.programs[answer.task.program]
    yield "proved by the solver:", "dim"
    for proof in report.proofs:
        place = place_of(spec, proof.pc)
        yield from _source(place, "  ")
        yield f"  instruction {place.pc}: {place.instruction}", ""
        yield f"    never {proof.sentence}", ""
        for pc, taken in dict.fromkeys(proof.facts):
            yield f"    because {pc}: {place_of(spec, pc).instruction}  -> {'taken' if taken else 'not taken'}", ""
        if not proof.facts:
            yield "    because of what the numbers are, on any path", ""


# --- rejections -------------------------------------------------------------------------------------------------------


def rejection(answer: Answer, *, in_full: bool = True, witness_file: str | None = None) -> Iterator[Styled]:
    """The lines that say why a program is not safe."""
    report = answer.report
    if report is None or report.objection is None:
        yield answer.error, "red"
        return
    objection = report.objection
    yield f"{objection.sentence} [{objection.code}]", "bold"
    explanation = report.explanation or Explanation()
    yield from _place(explanation)
    if in_full:
        yield from _path(explanation)
        if explanation.known:
            yield "known there:", "dim"
            yield from ((f"  {one.name} = {one.value}", "") for one in explanation.known)
        yield from _input(report, answer)
    yield from _advice(report, answer, witness_file)


def _place(explanation: Explanation) -> Iterator[Styled]:
    place = explanation.place
    if place is None:
        return
    yield from _source(place, "  ")
    start = f"  instruction {place.pc}: "
    yield f"{start}{place.instruction}", ""
    if explanation.carets is not None:
        low, high = explanation.carets
        yield f"{' ' * (len(start) + low)}{'^' * (high - low)}", "red"


def _source(place: Place, indent: str) -> Iterator[Styled]:
    """The source line, with a caret under its column."""
    if place.line is None:
        return
    start = f"{indent}{place.file}:{place.line}: "
    yield f"{start}{place.text or ''}".rstrip(), "cyan"
    if place.column is not None and place.text:
        yield f"{' ' * (len(start) + place.column - 1)}^", "red"


def _path(explanation: Explanation) -> Iterator[Styled]:
    if not explanation.path:
        return
    yield "how it comes there:", "dim"
    before: tuple[str | None, int | None] = (None, None)
    for index, step in enumerate(explanation.path):
        if explanation.left_out and index == explanation.before_gap:
            yield f"  ... {count_of(explanation.left_out, 'step')} more ...", "dim"
        line = (step.place.file, step.place.line)
        if step.place.line is not None and line != before:
            yield f"  {step.place.file}:{step.place.line}: {step.place.text or ''}".rstrip(), "cyan"
        before = line
        yield _step(step), ""


def _step(step: Step) -> str:
    times = f"  (time {step.times})" if step.times > 1 else ""
    return f"    {step.place.pc}: {step.place.instruction}{times}  -> {step.known}"


def _input(report: Report, answer: Answer) -> Iterator[Styled]:
    """The input that breaks the program, and how the run on it ended; or why there is none."""
    assert report.objection is not None
    if report.witness is not None:
        yield "an input that does it:", "dim"
        yield from ((f"  {line}", "") for line in witness_lines(report.witness, answer.task))
        if report.replayed is not None:
            yield f"  and it did: {report.replayed.sentence}", "red"
    elif report.objection.rule:
        yield "a rule of Linux, whatever the input", "dim"
    elif report.objection.category not in UNDECIDED:
        yield "no input is known that does it", "dim"


def advice(report: Report) -> str:
    """What to do about the objection of a report."""
    own = "" if report.explanation is None else report.explanation.fix
    return own or ("" if report.objection is None else report.objection.reason.fix)


def _advice(report: Report, answer: Answer, witness_file: str | None) -> Iterator[Styled]:
    objection = report.objection
    assert objection is not None
    yield f"fix: {advice(report)}", "green"
    if report.witness is not None and witness_file is not None:
        yield f"see it: pybpftime debug {answer.task.file} -p {answer.task.program} --witness {witness_file}", ""
    if answer.without_solver:
        yield "note: z3 is not installed, and more is proved with it: pip install 'pybpftime[verify]'", "yellow"


# --- JSON -------------------------------------------------------------------------------------------------------------


def json_data(answers: Iterable[Answer], errors: Sequence[str], seconds: float) -> dict[str, Any]:
    """Everything, as plain data."""
    programs = [_program_data(answer) for answer in answers]
    counts = Counter(one["verdict"] for one in programs)
    return {
        "programs": programs,
        "verdicts": {name: counts[name] for name in STYLES},
        "errors": list(errors),
        "seconds": round(seconds, 6),
    }


def _program_data(answer: Answer) -> dict[str, Any]:
    data: dict[str, Any] = {
        "object": answer.task.file,
        "program": answer.task.program,
        "type": PROGRAM_TYPES[answer.type].name,
        "verdict": answer.verdict,
    }
    report = answer.report
    if report is None:
        return data | {"error": answer.error}
    data |= {"processed": report.processed, "solver": report.solver, "seconds": round(report.seconds, 6)}
    objection = report.objection
    if objection is not None:
        data["reason"] = {
            "code": objection.code,
            "category": str(objection.category),
            "rule": objection.rule,
            "sentence": objection.sentence,
            "instruction": objection.pc,
            "register": objection.register,
            "fix": advice(report),
        }
    if report.proofs:
        data["proofs"] = [asdict(proof) for proof in report.proofs]
    if report.explanation is not None:
        data["explanation"] = asdict(report.explanation)
    if report.witness is not None:
        data["witness"] = witness_data(report.witness, answer.task.program)
    if report.replayed is not None:
        data["replayed"] = asdict(report.replayed)
    return data
