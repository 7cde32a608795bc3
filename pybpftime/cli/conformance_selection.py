"""Which cases a command of `pybpftime conformance` is about: PATTERN..., --suite and --groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from pybpftime.cli.inputs import require_name
from pybpftime.conformance.suite import Suite, default_suite, load_suite
from pybpftime.errors import InputError
from pybpftime.isa import Group

suite_option = click.option("--suite", metavar="DIR|FILE", help="Cases in .case and .data files (default: our corpus).")


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """PATTERN..., `--suite` and `--groups`, for `selected`."""
    groups = "Only cases that need no more than these groups of RFC 9669."
    command = click.option("--groups", metavar="GROUP,...", help=groups)(command)
    return click.argument("patterns", metavar="[PATTERN]...", nargs=-1)(suite_option(command))


def read_groups(text: str | None) -> list[Group] | None:
    """The groups of --groups; InputError for one that there is not."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    unknown = next((name for name in names if name not in list(Group)), None)
    if unknown is not None:
        raise InputError(f"--groups: there is no group {unknown!r}; there is {', '.join(Group)}")
    return [Group(name) for name in names]


def whole_suite(suite: str | None) -> Suite:
    """All cases of --suite; InputError when there is none."""
    require_name("--suite", suite)
    loaded = default_suite() if suite is None else load_suite(suite)
    if not loaded.cases:
        more = "" if len(loaded.problems) < 2 else f" (and {len(loaded.problems) - 1} more)"
        raise InputError(f"{loaded.problems[0]}{more}" if loaded.problems else f"{suite}: there are no cases")
    return loaded


def selected(suite: str | None, patterns: Sequence[str], groups: str | None) -> Suite:
    """The cases that are meant.  InputError when there are none, or a pattern matches none."""
    wanted = read_groups(groups)
    chosen = whole_suite(suite).select(patterns, wanted)
    if not chosen.cases:
        raise InputError(f"no case needs only {groups}", file=suite)
    return chosen
