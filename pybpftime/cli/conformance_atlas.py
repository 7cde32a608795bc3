"""`pybpftime conformance atlas`: what each runtime answers where specification and runtimes differ."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pybpftime.cli.output import console, print_json
from pybpftime.conformance.atlas.html import html
from pybpftime.conformance.atlas.markdown import markdown
from pybpftime.conformance.atlas.survey import Answer, Atlas, Standing, survey
from pybpftime.conformance.replacing import replace_file
from pybpftime.conformance.runtime import Runtime
from pybpftime.conformance.runtimes.profiles import BUILT_IN, open_runtime
from pybpftime.errors import BpfError

STYLES = {
    Standing.SPECIFIED: "green",
    Standing.ALLOWED: "yellow",
    Standing.UNCLAIMED: "dim",
    Standing.DIFFERENT: "bold red",
}


@click.command("atlas")
@click.option("--runtime", "-r", "names", metavar="NAME|PROFILE.toml|PLUGIN", multiple=True,
              help="Whom to ask (default: every runtime that is built in and works here).")  # fmt: skip
@click.option("--markdown", "markdown_file", metavar="FILE", help="Write the atlas as Markdown.")
@click.option("--html", "html_file", metavar="FILE", help="Write the atlas as one page.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def atlas_command(names: tuple[str, ...], markdown_file: str | None, html_file: str | None, as_json: bool) -> int:
    """Ask runtimes about the points on which specification and runtimes differ.

    Each question is a program of a few instructions. An answer is what RFC 9669 says, or one that is in use where
    it leaves room, or different; what is different has a reason. docs/atlas.md holds the atlas of the runtimes
    that are built in.

    The exit code is 1 when a difference has no reason.

    \b
    Examples:
      pybpftime conformance atlas
      pybpftime conformance atlas -r reference -r ./my-plugin --html atlas.html
    """
    with ExitStack() as stack:
        atlas = survey([_opened(name, stack) for name in names] if names else _present(stack))
    if markdown_file is not None:
        replace_file(markdown_file, markdown(atlas))
    if html_file is not None:
        replace_file(html_file, html(atlas))
    if as_json:
        print_json(_document(atlas))
    elif markdown_file is None and html_file is None:
        _print(atlas, console())
    return int(any(answer.explanation is None for _, _, answer in atlas.differences()))


def _opened(name: str, stack: ExitStack) -> Runtime:
    runtime = open_runtime(name)
    stack.callback(runtime.close)
    return runtime


def _present(stack: ExitStack) -> list[Runtime]:
    """The runtimes that are built in and can be opened; standard error says why another one cannot."""
    found = []
    for name in BUILT_IN:
        try:
            found.append(_opened(name, stack))
        except BpfError as error:
            click.echo(f"{name} is left out: {error}", err=True)
    return found


def _print(atlas: Atlas, target: Console) -> None:
    reasons = atlas.reasons()
    for chapter, entries in atlas.chapters():
        table = Table("question", "RFC 9669", title=chapter, title_justify="left", box=None, pad_edge=False)
        for profile in atlas.runtimes:
            table.add_column(profile.name)
        for entry in entries:
            cells = [_cell(answer, reasons) for answer in entry.answers]
            table.add_row(entry.name, entry.specified, *cells)
        target.print(table)
        target.print()
    for reason, number in reasons.items():
        text = "not explained" if reason is None else f"{reason.why}: {reason.text}"
        target.print(f"{number}. {text}", markup=False)


def _cell(answer: Answer, reasons: dict[Any, int]) -> Text:
    text = str(answer)
    if answer.standing is Standing.DIFFERENT:
        text += f" [{reasons[answer.explanation]}]"
    elif answer.standing is Standing.UNCLAIMED:
        text = f"({text})"
    return Text(text, STYLES[answer.standing])


def _document(atlas: Atlas) -> dict[str, Any]:
    return {
        "runtimes": [{"name": one.name, "version": one.version} for one in atlas.runtimes],
        "questions": [
            {
                "name": entry.case.name,
                "question": entry.case.about,
                "clause": entry.case.cite,
                "specified": entry.specified,
                "answers": [_answer_document(answer) for answer in entry.answers],
            }
            for entry in atlas.entries
        ],
    }


def _answer_document(answer: Answer) -> dict[str, Any]:
    reason = answer.explanation
    return {
        "answer": str(answer),
        "standing": str(answer.standing),
        "message": answer.outcome.message,
        "reason": None if reason is None else {"kind": str(reason.why), "text": reason.text},
    }
