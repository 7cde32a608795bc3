"""`pybpftime`: the command group.  Commands are imported when they are called, so that start-up stays short."""

from __future__ import annotations

import importlib
import os
import sys
from difflib import get_close_matches
from typing import Any

import click

from pybpftime import __version__
from pybpftime.cli.failure import Failure
from pybpftime.errors import BpfError

COMMANDS = {
    "run": "run",
    "info": "info",
    "disasm": "assembly",
    "asm": "assembly",
    "btf": "btf",
    "helpers": "reference",
    "maps": "reference",
}


class Commands(click.Group):
    """A group whose commands live in modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"pybpftime.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command: expected errors become one message, a number that it returns the exit code."""
        try:
            code = super().invoke(ctx)
        except BpfError as error:
            raise Failure(str(error)) from None
        if code:
            ctx.exit(code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pybpftime")
def cli() -> None:
    """Run, inspect and take apart eBPF programs in user space.

    \b
    Examples:
      pybpftime run tests/programs/xdp_parser.bpf.o --pcap capture.pcap --dump-maps
      pybpftime info prog.bpf.o
      printf 'r0 = 42\\nexit\\n' | pybpftime run -
    """


def main() -> None:
    """The console script: every expected failure is one message and a non-zero exit code."""
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except BrokenPipeError:
        # The reader went away (`| head`): nothing more to say, and nothing to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except KeyboardInterrupt:
        code = 130
    sys.exit(code if isinstance(code, int) else 0)
