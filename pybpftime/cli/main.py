"""`pybpftime`: the command group.  Commands are imported when they are called, so that start-up stays short."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import click

from pybpftime import __version__
from pybpftime.cli.failure import Failure, OutputFailure, output_failures
from pybpftime.cli.streams import discard, prepare_streams
from pybpftime.errors import BpfError

COMMANDS = {
    "run": "run",
    "verify": "verify",
    "debug": "debug",
    "dap": "dap",
    "record": "record",
    "replay": "replay",
    "info": "info",
    "disasm": "assembly",
    "asm": "assembly",
    "btf": "btf",
    "helpers": "reference",
    "maps": "reference",
    "trace": "trace",
    "trace-diff": "trace_diff",
    "detach": "trace",
    "conformance": "conformance",
}


class Commands(click.Group):
    """A group whose commands live in modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"pybpftime.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Parse the arguments; --help and --version print here."""
        with output_failures():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command: expected errors become one message, a number that it returns the exit code."""
        try:
            # Not left to click, which ends the process with exit code 1 when the reader went away.
            with output_failures():
                code = super().invoke(ctx)
        except BpfError as error:
            raise Failure(str(error)) from None
        if code:
            ctx.exit(code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pybpftime")
def cli() -> None:
    """Run, verify, debug, inspect and take apart eBPF programs in user space.

    \b
    Examples:
      pybpftime run xdp_parser.bpf.o --pcap mixed.pcap --dump-maps
      pybpftime verify xdp_parser.bpf.o
      pybpftime debug xdp_parser.bpf.o --pcap mixed.pcap
      pybpftime info prog.bpf.o
      printf 'r0 = 42\\nexit\\n' | pybpftime run -
    """


def main() -> None:
    """The console script: every expected failure is one message and a non-zero exit code."""
    prepare_streams()
    code = _guarded(lambda: cli.main(standalone_mode=False))
    sys.exit(_guarded(_flush) or code)


def _flush() -> None:
    with output_failures():
        sys.stdout.flush()


def _guarded(action: Callable[[], Any]) -> int:
    """The exit code of `action`; its expected failures are reported."""
    try:
        code = action()
    except (click.exceptions.Abort, KeyboardInterrupt):
        return 130
    except click.ClickException as error:
        if isinstance(error, OutputFailure):
            discard(sys.stdout)
        try:
            error.show()
        except OSError:
            discard(sys.stderr)
        return error.exit_code
    return code if isinstance(code, int) else 0
