"""`pybpftime conformance new-plugin`: a program that speaks the line protocol, to put a runtime into."""

from __future__ import annotations

from pathlib import Path

import click

from pybpftime.conformance.runtimes.templates import TEMPLATES
from pybpftime.errors import HostError, InputError


@click.command(name="new-plugin")
@click.option("--lang", required=True, type=click.Choice(list(TEMPLATES)), help="The language of the template.")
@click.option("--to", "folder", default=".", show_default=True, metavar="DIR",
              help="Where the file goes; made if need be.")  # fmt: skip
def new_plugin_command(lang: str, folder: str) -> None:
    """Write a runtime to start from: one file that speaks the line protocol, with a toy where yours goes.

    It builds and runs as it is.  Plugins of bpf_conformance need none of this: give their path to --runtime.

    \b
    Examples:
      pybpftime conformance new-plugin --lang c
      pybpftime conformance new-plugin --lang python --to my-runtime
    """
    template = TEMPLATES[lang]
    place = Path(folder) / template.file
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("x", encoding="utf-8") as file:
            file.write(template.text())
        if not template.build:
            place.chmod(0o755)
    except FileExistsError:
        raise InputError("is there already, and is not written over", file=str(place)) from None
    except OSError as error:
        raise HostError("cannot be written", errno=error.errno, file=str(place)) from None
    click.echo(f"wrote {place}; your runtime goes where it says so")
    enter = "" if place.parent == Path() else f"cd {place.parent} && "
    build = f"{template.build} && " if template.build else ""
    click.echo(f"  {enter}{build}pybpftime conformance run --runtime line:./{template.program}")
