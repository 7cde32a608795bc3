"""Writes docs/errors: a page for each program of tests/programs/rejected, with what the verifier says of it.

    python -m tools.gen_error_docs            write the pages
    python -m tools.gen_error_docs --check    change nothing, say whether the pages are right
    python -m tools.gen_error_docs --build    compile the C programs first (needs clang-19)

A program is one C file with the functions `broken` and `fixed`, or the assembly files NAME.broken.s and NAME.fixed.s.
The comment at its head is the text of its page.  Nothing in docs/errors is written by hand.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pybpftime.cli.verify_output import rejection
from pybpftime.cli.verify_workers import Answer, Limits, Task, verified
from pybpftime.runtime.load import read_object
from pybpftime.verifier import DEFAULT_BUDGET
from pybpftime.verifier.reasons import REASONS
from tools import build_fixtures

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "programs" / "rejected"
TARGET = ROOT / "docs" / "errors"
INDEX = "README.md"
TIMEOUT = 60.0
INPUT = "an input that does it:"

INTRODUCTION = """\
# Why a program is rejected

This folder is written by `tools/gen_error_docs.py`.  Each page has a program that `pybpftime verify` does not call
safe, what it prints, and the program as it is right; tests verify both.  The first line of the output, which has a time
in it, is left out.

The verdict *unsafe* comes with an input, which `--witness-out FILE` writes.  `pybpftime debug OBJ --witness FILE`
opens it in the debugger, `pybpftime run OBJ --witness FILE --trace` shows each step.  *Not proved* means that no input
was found: the reason may be a rule of Linux that is not about any input, and such reasons are marked.
"""


@dataclass(frozen=True)
class Case:
    """A program that is wrong, and as it is right.  `stem` names the files and the page."""

    stem: str

    @property
    def is_c(self) -> bool:
        return (SOURCES / f"{self.stem}.bpf.c").exists()

    @property
    def source(self) -> Path:
        """The file with the text of the page."""
        return SOURCES / (f"{self.stem}.bpf.c" if self.is_c else f"{self.stem}.broken.s")

    @cached_property
    def text(self) -> str:
        return self.source.read_text("utf-8")

    @cached_property
    def comment(self) -> list[str]:
        """The lines of the comment at the head."""
        if self.is_c:
            found = re.search(r"/\*\n(.*?)\n \*/", self.text, re.DOTALL)
            assert found is not None, f"{self.source}: no comment at its head"
            return [line.removeprefix(" *").removeprefix(" ") for line in found[1].split("\n")]
        lines = self.text.split("\n")
        return [line.removeprefix(";").removeprefix(" ") for line in lines[: lines.index("")]]

    @property
    def title(self) -> str:
        title = self.comment[0].partition(": ")[2]
        return title[0].upper() + title[1:]

    @property
    def prose(self) -> str:
        return "\n".join(line for line in self.comment[2:] if not line.startswith("Type: ")).strip()

    @property
    def type(self) -> str | None:
        """The program type of assembly."""
        return next((line.removeprefix("Type: ") for line in self.comment if line.startswith("Type: ")), None)

    def code(self, which: str) -> str:
        """The program `which`, broken or fixed, without what the page says anyway."""
        if not self.is_c:
            lines = (SOURCES / f"{self.stem}.{which}.s").read_text("utf-8").split("\n")
            return "\n".join(lines[lines.index("") :]).strip("\n")
        body = self.text.partition(" */\n")[2]
        fixed = _fixed(body)
        return fixed if which == "fixed" else body.replace(f"{fixed}\n\n", "").strip("\n")

    def command(self, which: str) -> str:
        """The command that verifies it."""
        folder = SOURCES.relative_to(ROOT)
        if self.is_c:
            return f"pybpftime verify {folder}/{self.stem}.bpf.o -p {which}"
        return f"pybpftime verify {folder}/{self.stem}.{which}.s --type {self.type}"

    def verify(self, which: str) -> Answer:
        """The verifier's answer."""
        path = SOURCES / (f"{self.stem}.bpf.o" if self.is_c else f"{self.stem}.{which}.s")
        spec = read_object(path.read_bytes(), type=self.type, name=str(path.relative_to(ROOT)))
        name = which if self.is_c else next(iter(spec.programs))
        return verified(Task(path.name, spec, name), Limits(DEFAULT_BUDGET, TIMEOUT), ())


def _fixed(body: str) -> str:
    """What stands behind the function `broken`, up to the license."""
    end = body.index("\n}\n", body.index("int broken(")) + len("\n}\n")
    return body[end : body.index("char _license")].strip("\n")


def cases() -> list[Case]:
    """All, by name."""
    names = {path.name.removesuffix(".bpf.c").removesuffix(".broken.s") for path in SOURCES.iterdir()}
    return [Case(name) for name in sorted(names) if "." not in name]


def page(case: Case) -> str:
    """The page of a case."""
    return "\n".join(_page(case, case.verify("broken")))


def message(answer: Answer) -> list[str]:
    """What is printed of a rejection, behind its first line."""
    return [line.rstrip() for line, _ in rejection(answer)]


def _page(case: Case, answer: Answer) -> Iterator[str]:
    language = "c" if case.is_c else "asm"
    report = answer.report
    assert report is not None, answer.error
    assert report.objection is not None, f"{case.stem}: is safe"
    reason = report.objection.reason
    rule = ", a rule of Linux" if reason.rule else ""
    yield f"# {case.title}\n"
    yield f"{case.prose}\n"
    yield f"Reason `{reason.code}` ({reason.category}{rule}): {reason.title}. Verdict: {answer.verdict}.\n"
    yield f"## The program\n\n```{language}\n{case.code('broken')}\n```\n"
    yield f"## What is said of it\n\n```console\n$ {case.command('broken')}"
    yield from message(answer)
    yield "```\n"
    yield f"## As it is right\n\n```{language}\n{case.code('fixed')}\n```\n"
    yield f"`{case.command('fixed')}` calls it safe."
    yield ""


def index(all_cases: Sequence[Case]) -> str:
    """The table of the pages, and of the reasons that have none."""
    lines = [INTRODUCTION, "| Page | Reason | Class | Verdict |", "| --- | --- | --- | --- |"]
    shown = set()
    for case in all_cases:
        answer = case.verify("broken")
        report = answer.report
        assert report is not None, f"{case.stem}: {answer.error}"
        assert report.objection is not None, f"{case.stem}: is safe"
        reason = report.objection.reason
        shown.add(reason.code)
        rule = " (rule)" if reason.rule else ""
        lines.append(
            f"| [{case.title}]({case.stem}.md) | `{reason.code}` | {reason.category}{rule} | {answer.verdict} |"
        )
    lines += ["", "Reasons without a page:", "", "| Reason | Class | What | What to do |", "| --- | --- | --- | --- |"]
    for reason in REASONS.values():
        if reason.code not in shown:
            rule = " (rule)" if reason.rule else ""
            lines.append(f"| `{reason.code}` | {reason.category}{rule} | {reason.title} | {reason.fix} |")
    return "\n".join(lines) + "\n"


def documents() -> dict[str, str]:
    """All documents by name."""
    found = cases()
    return {INDEX: index(found)} | {f"{case.stem}.md": page(case) for case in found}


def normalised(text: str) -> str:
    """A page without what is different each time: which of many inputs was found, and where it led."""
    return re.sub(rf"(?ms)^{INPUT}$.*?(?=^fix: )", f"{INPUT}\n", text)


def objects() -> list[build_fixtures.Object]:
    """The C programs, for `build_fixtures`."""
    return [build_fixtures.Object(case.source.relative_to(ROOT), "v3") for case in cases() if case.is_c]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.gen_error_docs", description="Writes docs/errors.")
    parser.add_argument("--check", action="store_true", help="change nothing, say whether the pages are right")
    parser.add_argument("--build", action="store_true", help="compile the C programs first")
    options = parser.parse_args(arguments)
    if options.build:
        build_fixtures.build("clang-19", objects(), SOURCES)
    wanted = documents()
    there = {path.name: path.read_text("utf-8") for path in TARGET.glob("*.md")}
    if options.check:
        names = sorted(wanted.keys() | there.keys())
        differing = [name for name in names if normalised(wanted.get(name, "")) != normalised(there.get(name, ""))]
        for name in differing:
            print(f"docs/errors/{name} is out of date: run python -m tools.gen_error_docs", file=sys.stderr)
        return 1 if differing else 0
    TARGET.mkdir(exist_ok=True)
    for name in there.keys() - wanted.keys():
        (TARGET / name).unlink()
    for name, text in wanted.items():
        if normalised(text) != normalised(there.get(name, "")):
            (TARGET / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
