"""`pybpftime conformance list`, `import` and `export`: what is in a suite, and suites in other formats."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from pybpftime.cli.conformance_selection import selected, selection_options
from pybpftime.cli.failure import printable
from pybpftime.cli.inputs import require_name
from pybpftime.cli.output import console, print_json, table
from pybpftime.conformance.case import Case, Verdict
from pybpftime.conformance.formats.data_file import leading_comments
from pybpftime.conformance.formats.files import Files, case_files, case_text, data_files, write_files
from pybpftime.conformance.formats.json_export import write_json
from pybpftime.conformance.suite import load_suite, read_text
from pybpftime.errors import BpfError, InputError

JSON_NAME = "cases.json"


def _complain(errors: Sequence[BpfError]) -> int:
    """Print what did not come along; the exit code."""
    for error in errors:
        click.echo(f"{click.style('error', fg='red', bold=True)}: {printable(str(error))}", err=True)
    return 1 if errors else 0


# --- list -------------------------------------------------------------------------------------------------------------


@click.command("list")
@selection_options
@click.option("--cases", "by_case", is_flag=True, help="A line for each case instead of one for each file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with every case.")
def list_command(patterns: tuple[str, ...], suite: str | None, groups: str | None, by_case: bool, as_json: bool) -> int:
    """Show what is in a suite: how many cases of which verdict, by file and by conformance group.

    PATTERN is a name of a case as in a shell: `arithmetic/*`.  The exit code is 1 when a file cannot be read.

    \b
    Examples:
      pybpftime conformance list
      pybpftime conformance list --cases 'arithmetic/sdiv/*'
      pybpftime conformance list --suite ../bpf_conformance/tests --groups divmul64
    """
    chosen = selected(suite, patterns, groups)
    if as_json:
        problems = [problem.as_dict() for problem in chosen.problems]
        print_json({"cases": [_as_dict(case) for case in chosen.cases], "problems": problems})
        return 1 if problems else 0
    if by_case:
        _print_cases(chosen.cases)
    else:
        _print_counts("file", chosen.cases, lambda case: [case.name.rpartition("/")[0] or "."])
        console().print()
        _print_counts("group", chosen.cases, lambda case: sorted(case.groups))
    return _complain(chosen.problems)


def _as_dict(case: Case) -> dict[str, Any]:
    return {
        "name": case.name,
        "about": case.about,
        "cite": case.cite,
        "verdicts": sorted(case.verdicts()),
        "groups": sorted(case.groups),
        "features": sorted(case.features),
        "file": case.file,
        "line": case.line,
    }


def _print_cases(cases: Sequence[Case]) -> None:
    grid = table("case", "verdict", "groups", "needs", "rule", "about")
    for case in cases:
        verdicts = " | ".join(verdict for verdict in Verdict if verdict in case.verdicts())
        grid.add_row(
            case.name, verdicts, " ".join(sorted(case.groups)), " ".join(sorted(case.features)), case.cite, case.about
        )
    console().print(grid)


def _print_counts(what: str, cases: Sequence[Case], keys: Callable[[Case], Sequence[str]]) -> None:
    """A line for each key, with the number of its cases, and of those that may end in each verdict."""
    counts: dict[str, Counter[str]] = {}
    total: Counter[str] = Counter()
    for case in cases:
        for counter in (total, *(counts.setdefault(key, Counter()) for key in keys(case))):
            counter.update(["cases", *case.verdicts()])
    grid = table(what, ("cases", "right"), *((str(verdict), "right") for verdict in Verdict))
    for key, counter in (*sorted(counts.items()), ("all", total)):
        grid.add_row(key, *(f"{counter[column]:,}" if counter[column] else "" for column in ("cases", *Verdict)))
    console().print(grid)


# --- import -----------------------------------------------------------------------------------------------------------


@click.command("import")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True)
@click.option("--to", "folder", metavar="DIR", required=True, help="Where to write; made if it is not there.")
def import_command(sources: tuple[str, ...], folder: str) -> int:
    """Write the .data files of bpf_conformance as .case files.

    SRC is a .data file, or a folder of them with its subfolders.  The file DIR/add.case comes from add.data,
    DIR/sub.case from all of sub/*.data.  Comments at the top of a file are kept.  Nothing is overwritten.

    \b
    Examples:
      pybpftime conformance import ../bpf_conformance/tests --to cases
      pybpftime conformance import mine.data yours.data --to cases
    """
    require_name("--to", folder)
    cases: dict[str, Case] = {}
    problems: list[BpfError] = []
    for source in sources:
        require_name("SRC", source)
        loaded = load_suite(source, suffixes=(".data",))
        problems += loaded.problems
        for case in loaded.cases:
            if case.name in cases:
                raise InputError(f"{cases[case.name].file} would be written as {case.name}, too", file=case.file)
            cases[case.name] = case
        if not loaded.cases and not loaded.problems:
            raise InputError("there are no .data files", file=source)
    files = case_files(
        cases.values(), {case.name: leading_comments(read_text(Path(case.file))) for case in cases.values()}
    )
    _write(folder, files, len(cases), folder)
    return _complain(problems)


def _write(folder: str, files: Files, cases: int, target: str) -> None:
    """Write the files, and say how many cases went to `target`."""
    write_files(folder, files)
    if files:
        click.echo(f"{_counted(cases, 'case')} in {_counted(len(files), 'file')} written to {printable(target)}")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


# --- export -----------------------------------------------------------------------------------------------------------


@click.command("export")
@selection_options
@click.option("--format", "form", type=click.Choice(["data", "json", "case"]), required=True, help="What to write.")
@click.option("--to", "target", metavar="DIR|-", default="-", help="Where to write (default: standard output).")
def export_command(patterns: tuple[str, ...], suite: str | None, groups: str | None, form: str, target: str) -> int:
    """Write cases in another format.

    data is bpf_conformance's, a file for each case: one program, memory, and r0.  A case that expects more than that,
    or something else, is refused with a reason, the others are written, and the exit code is 1.  json is an array of
    objects with name, hex (the program), mem (its memory) and expected (r0, or null where the verdict is not a value);
    a folder gets it as cases.json, unless DIR ends in .json.  case is our own format, without tables.  Nothing is
    overwritten.

    \b
    Examples:
      pybpftime conformance export --format json > cases.json
      pybpftime conformance export --format data --to data 'arithmetic/*'
      pybpftime conformance export --suite tests.data --format case
    """
    require_name("--to", target)
    chosen = selected(suite, patterns, groups)
    folder, refused = target, list[InputError]()
    if form == "data":
        files, refused = data_files(chosen.cases)
    elif form == "case":
        files = case_files(chosen.cases)
    else:
        folder, name = os.path.split(target) if target.endswith(".json") else (target, JSON_NAME)
        files = {name: write_json(chosen.cases)}
    if target != "-":
        _write(folder, files, len(chosen.cases) - len(refused), target)
    elif form == "case":
        sys.stdout.write(case_text(chosen.cases))
    elif form == "data" and len(chosen.cases) != 1:
        raise InputError(f"a .data file has one case and these are {len(chosen.cases)}: use --to DIR")
    else:
        sys.stdout.write("".join(files.values()))
    return _complain([*chosen.problems, *refused])
