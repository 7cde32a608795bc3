"""What commands that run programs say of verification: the option --no-verify, and a refusal for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from pybpftime.cli.failure import Failure
from pybpftime.runtime import Object

NO_VERIFY = click.option(
    "--no-verify",
    is_flag=True,
    help="Run what is not proved safe: it may fault or never end, and Linux may refuse it.",
)


def require_proved(loaded: Object, names: Iterable[str]) -> None:
    """Failure for the first of these programs that is not proved safe, with what to do about it."""
    from pybpftime.cli.verify_output import advice
    from pybpftime.runtime.verification import first_unproved, refusal
    from pybpftime.verifier import Report

    def told(report: Report) -> Iterator[str]:
        error = refusal(report)
        yield str(error)
        if error.source is not None:
            yield f"  {error.source}"
        yield f"  fix: {advice(report)}"
        yield "  pybpftime verify shows how it comes there; --no-verify runs it all the same"

    report = first_unproved(loaded, names)
    if report is not None:
        raise Failure("\n".join(told(report)))
