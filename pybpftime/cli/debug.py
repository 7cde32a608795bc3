"""`pybpftime debug`: step through a program, forward and back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from pybpftime.cli.inputs import only_one, read_helpers, read_source, require_name
from pybpftime.cli.interrupt import INTERRUPTED
from pybpftime.cli.maps_output import print_maps
from pybpftime.cli.output import console
from pybpftime.cli.session_inputs import SessionOptions, object_bytes, read_launch, session_options
from pybpftime.debug.launch import DEFAULT_LEVEL, open_session
from pybpftime.debug.launch_live import LIVE_LEVEL, LiveTarget
from pybpftime.debug.repl import Interpreter
from pybpftime.debug.repl.completion import complete
from pybpftime.debug.repl.shell import Lines, PlainLines, interrupting, run_shell, terminal_lines
from pybpftime.debug.session import Session
from pybpftime.errors import InputError

OTHER_LEVEL = LIVE_LEVEL
"""That of a witness, too, which shows there what `verify` predicts."""
LEVEL_TEXTS = {
    "lenient": "RFC 9669 results, no checks but memory bounds.",
    "linux": "What a verified program may do (default with --witness and in live processes).",
    "strict": "Fault on everything undefined or unportable (default).",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What `debug` takes beside what a session is made of."""

    witness: str | None
    recording: str | None
    pid: int | None
    places: tuple[str, ...]
    command: tuple[str, ...]
    scripts: tuple[str, ...]
    batch: bool
    tui: bool
    listen: int | None
    source_path: tuple[str, ...]

    @property
    def is_live(self) -> bool:
        """Whether it is a live process whose programs are debugged."""
        return self.pid is not None or bool(self.command)


def _levels(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, text in LEVEL_TEXTS.items():
        command = click.option(f"--{name}", is_flag=True, help=text)(command)
    return command


@click.command()
@session_options(click.argument("source", metavar="[OBJ]", default=""), _levels)
@click.option("--witness", metavar="FILE", help="Debug the input that `verify --witness-out` wrote.")
@click.option("--recording", metavar="FILE", help="Debug a recording, without OBJ.")
@click.option("--pid", type=click.IntRange(1), metavar="PID", help="Debug the probes of OBJ in this process.")
@click.option("--at", "places", metavar="[NAME=]FILE:FUNCTION", multiple=True,
              help="Where a program is attached, with --pid or CMD.")  # fmt: skip
@click.option("-x", "--command", "scripts", metavar="SCRIPT", multiple=True, help="Execute the commands in a file.")
@click.option("--batch", is_flag=True, help="Leave when the scripts have ended.")
@click.option("--tui", is_flag=True, help="Use the whole screen.")
@click.option("--listen", type=click.IntRange(0, 0xFFFF), metavar="PORT",
              help="Let editors attach, by the Debug Adapter Protocol; 0 takes a free port.")  # fmt: skip
@click.option("--source-path", metavar="DIR", multiple=True, help="Look for source files here, too.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD ARGS...]")
def debug(
    witness: str | None, recording: str | None, pid: int | None, places: tuple[str, ...], command: tuple[str, ...],
    scripts: tuple[str, ...], batch: bool, tui: bool, listen: int | None, source_path: tuple[str, ...],
    **options: Any,
) -> int:  # fmt: skip
    """Step through a program of OBJ, forward and back, by source line or instruction.

    Commands are those of gdb and their short forms; `help` lists them.  Commands come from the terminal, or a line
    each from standard input.  With --batch the exit code is 1 if a command failed or the program faulted.
    Ctrl-C stops the program, not the debugger.

    With --pid, or with a command to start, the programs of OBJ run at their probes in that process, which stands still
    while one of them is stopped.

    \b
    Examples:
      pybpftime debug xdp_parser.bpf.o --pcap mixed.pcap
      pybpftime debug xdp_parser.bpf.o --pcap mixed.pcap --tui
      pybpftime debug malloc.bpf.o -p malloc_entry --ctx '{"di": 64}'
      pybpftime debug malloc.bpf.o -p malloc_entry -- python3 -c 'print(1)'
      pybpftime debug malloc.bpf.o -p malloc_entry --pid 1234 --tui
      pybpftime debug xdp_parser.bpf.o --pcap mixed.pcap -x session.bpfdbg --batch
      pybpftime debug broken.bpf.o --witness witness.json
      pybpftime debug --recording crash.bpfrec
      pybpftime debug xdp_parser.bpf.o --pcap mixed.pcap --listen 4711
    """
    chosen = Options(witness, recording, pid, places, command, scripts, batch, tui, listen, source_path)
    return execute(SessionOptions(**options), chosen)


def execute(target: SessionOptions, options: Options) -> int:
    """Do what the command line says; the result is the exit code."""
    _check(target, options)
    if options.is_live:
        return _execute_live(target, options)
    repl = Interpreter(_open(target, options), console(), print_maps=print_maps, directories=options.source_path)
    if options.tui:
        _require_screen()
    else:
        repl.begin()
    return _show(repl, options)


def _show(repl: Interpreter, options: Options) -> int:
    """Let the user have the session, after the scripts; the result is the exit code."""
    _run_scripts(repl, options)
    if options.tui:
        from pybpftime.debug.tui import run_tui

        return run_tui(repl.session, interpreter=repl)
    if options.listen is not None:
        return _listen(repl.session, options.listen)
    if options.batch and repl.interrupted:
        return INTERRUPTED
    if options.batch:
        failed = bool(repl.failures or repl.faulted)
        return int(failed) if repl.exit_code is None else repl.exit_code
    run_shell(repl, _lines(repl))
    return repl.exit_code or 0


def _require_screen() -> None:
    from pybpftime.debug.tui import require_screen

    require_screen()


def _listen(session: Session, port: int) -> int:
    """Editors attach to the session, one after the other, and find it as the one before left it.

    One alone attaches to that of a live process, which it leaves when it goes.
    """
    from pybpftime.debug.dap.backend import SessionBackend
    from pybpftime.debug.dap.server import Server
    from pybpftime.debug.dap.transport import serve_tcp

    try:
        serve_tcp(
            lambda channel: Server(SessionBackend(session), channel).serve(),
            port,
            once=session.world.source is not None,
            announce=click.echo,
        )
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _run_scripts(repl: Interpreter, options: Options) -> None:
    for script in options.scripts:
        with interrupting(repl):
            repl.execute(f"source {script}")
        if repl.finished or repl.interrupted or (repl.failures and options.batch):
            return


def _lines(repl: Interpreter) -> Lines:
    """Where commands come from: the terminal, or standard input."""
    if not sys.stdin.isatty():
        return PlainLines(sys.stdin.buffer)
    return terminal_lines(lambda text: complete(repl, text), lambda text: repl.say(text, "dim"))


def _execute_live(target: SessionOptions, options: Options) -> int:
    from pybpftime.cli.debug_live import debug_live

    _refuse(
        "a live process", {"--ctx": target.ctx, "--cpus": target.cpus, "--environment": target.environment},
        "is what the program runs on",
    )  # fmt: skip
    launch = read_launch(target, _level(target, options))
    live = LiveTarget(options.pid, options.command, options.places)

    def face(session: Session, waits: str) -> int:
        repl = Interpreter(session, console(), print_maps=print_maps, directories=options.source_path)
        if not options.tui:
            repl.say(f"{waits}: set breakpoints, then `continue`")
        return _show(repl, options)

    if options.tui:
        _require_screen()
    return debug_live(launch, live, face, has_screen=options.tui)


def _level(target: SessionOptions, options: Options) -> str:
    """The name of the level that was asked for."""
    given = only_one({"--strict": target.strict, "--linux": target.linux, "--lenient": target.lenient})
    default = OTHER_LEVEL if options.witness is not None or options.is_live else DEFAULT_LEVEL
    return default if given is None else given.removeprefix("--")


def _check(target: SessionOptions, options: Options) -> None:
    inputs = {
        "--pcap": target.pcap, "--packet": target.packet, "--mem": target.mem, "--witness": options.witness,
        "--recording": options.recording, "--pid": options.pid, "a command": options.command or None,
    }  # fmt: skip
    given = only_one({name: value is not None for name, value in inputs.items()})
    if not target.source and options.recording is None:
        raise InputError("name an object, or a recording with --recording")
    if target.source and options.recording is not None:
        raise InputError("a recording holds its object: leave OBJ out")
    if options.places and not options.is_live:
        raise InputError("--at says where programs are attached: it takes --pid, or a command to start")
    for file in options.scripts:
        require_name("-x", file)
    taken = [str(name) for name, text in {"the program": target.source, **inputs}.items() if text == "-"]
    if len(taken) > 1:
        raise InputError(f"the program and {given} cannot both come from standard input")
    if taken and not options.batch:
        raise InputError(f"{taken[0]} comes from standard input, so commands cannot: use -x SCRIPT and --batch")
    if options.tui and options.batch:
        raise InputError("--tui is for a user, and --batch for nobody: leave one out")
    if options.listen is not None and (options.batch or options.tui):
        raise InputError("--listen serves an editor: leave --batch and --tui out")


def _open(target: SessionOptions, options: Options) -> Session:
    """The session, before its first step."""
    if options.recording is not None:
        from pybpftime.debug.recording import open_recording

        _refuse_others(target, "--recording")
        helpers, _ = read_helpers(target.helper_files)
        return open_recording(options.recording, helpers=helpers)
    if options.witness is not None:
        return _open_witness(target, options, options.witness)
    return open_session(read_launch(target, _level(target, options)))


def _refuse_others(target: SessionOptions, option: str) -> None:
    """InputError for options that say what a witness or a recording says."""
    others = {
        "--ctx": target.ctx, "--maps": target.map_contents, "--set": target.variables, "--limits": target.limits,
        "--cpus": target.cpus, "--environment": target.environment,
    }  # fmt: skip
    _refuse(option, others, "is all that the program runs on")


def _refuse(what: str, others: Mapping[str, object], why: str) -> None:
    given = [name for name, value in others.items() if value]
    if given:
        raise InputError(f"{what} {why}, without {', '.join(given)}")


def _open_witness(target: SessionOptions, options: Options, file: str) -> Session:
    """A session on a witness, which sets all that a run depends on."""
    from pybpftime.cli.run_witness import program_and_witness
    from pybpftime.debug.witness import open_witness

    _refuse_others(target, "--witness")
    table, _ = read_helpers(target.helper_files)
    content = object_bytes(target.source)
    spec = read_source(target.source, target.type_, table, program=target.program)
    program, witness = program_and_witness(spec, file, target.program)
    return open_witness(
        program, spec.maps, witness, level=_level(target, options), content=content, helpers=table,
        budget=target.budget,
    )  # fmt: skip
