"""`pybpftime conformance`: judge eBPF runtimes.  Its commands are imported when they are called."""

from __future__ import annotations

import importlib

import click

COMMANDS: dict[str, str] = {
    "run": "conformance_run",
    "list": "conformance_files",
    "import": "conformance_files",
    "export": "conformance_files",
    "mutate": "conformance_mutate",
    "atlas": "conformance_atlas",
    "new-plugin": "conformance_plugin",
    "fuzz": "conformance_fuzz",
    "merge": "conformance_fuzz",
    "claims": "conformance_claims",
}
"""Command -> its module in this package, which has a click command of the same name with underscores."""


class ConformanceCommands(click.Group):
    """A group whose commands live in modules beside this one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"pybpftime.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command


@click.group(cls=ConformanceCommands)
def conformance() -> None:
    """Judge eBPF runtimes: run the suite, fuzz, measure the suite itself, write reports."""
