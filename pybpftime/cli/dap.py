"""`pybpftime dap`: the debugger for editors."""

from __future__ import annotations

import signal

import click

from pybpftime.cli.debug_live import leaving_in_the_end
from pybpftime.cli.interrupt import INTERRUPTED
from pybpftime.debug.dap.backend import SessionBackend
from pybpftime.debug.dap.server import Server
from pybpftime.debug.dap.transport import LOOPBACK, Channel, serve_tcp, standard_streams


@click.command()
@click.option("--port", type=int, metavar="N", help=f"Listen on {LOOPBACK}:N; 0 takes a free port and prints it.")
@click.option("--once", is_flag=True, help="With --port: end when the first editor is gone.")
def dap(port: int | None, once: bool) -> int:
    """Debug eBPF programs in an editor, by the Debug Adapter Protocol.

    Editors start this command and talk to it over standard input and output; with --port it waits for them.

    \b
    Examples:
      pybpftime dap                    what an editor runs
      pybpftime dap --port 4711        wait for editors, one after the other
      pybpftime dap --port 0 --once    one editor, on a free port
    """
    if port is None and once:
        raise click.UsageError("--once goes with --port")
    with leaving_in_the_end():
        if port is None:
            with standard_streams() as channel:
                return 0 if _serve(channel) else 1
        try:
            serve_tcp(_serve, port, once=once, announce=_announce)
        except KeyboardInterrupt:
            return INTERRUPTED
    return 0


def _serve(channel: Channel) -> bool:
    # A process that is debugged belongs to a thread that begins after the server's: see `LiveProcess.start`.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        return Server(SessionBackend(), channel).serve()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _announce(line: str) -> None:
    click.echo(line)
