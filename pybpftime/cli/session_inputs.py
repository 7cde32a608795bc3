"""From the options of a command to a debugging session: what `run` takes, as a `Launch`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from pybpftime.cli.inputs import (
    HELPER_FILES,
    SOURCE,
    TYPE,
    chosen_level,
    level_options,
    make_environment,
    only_one,
    read_bytes,
    read_content,
    read_helpers,
    read_json,
    read_limits,
    read_source,
)
from pybpftime.cli.run_inputs import context_argument, parse_variable, read_runs
from pybpftime.debug.launch import Launch
from pybpftime.engines import DEFAULT_BUDGET
from pybpftime.errors import InputError
from pybpftime.machine.environment import MAX_CPUS
from pybpftime.program.elf_file import MAGIC as ELF_MAGIC
from pybpftime.runtime.load import offered_environment


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What a session is made of, as click hands it over."""

    source: str
    program: str | None
    type_: str | None
    pcap: str | None
    packet: str | None
    mem: str | None
    ctx: str | None
    map_contents: str | None
    variables: tuple[str, ...]
    strict: bool
    linux: bool
    lenient: bool
    budget: int
    limits: str | None
    cpus: int | None
    environment: str | None
    helper_files: tuple[str, ...]


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


PACKETS_IN_TURN = "CPUs: packets go to one after the other (default: 1)."


def session_options(
    source: Decorator = SOURCE, levels: Decorator = level_options, cpus: str = PACKETS_IN_TURN
) -> Decorator:
    """The argument and the options that `SessionOptions` holds."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed((source, *_options(levels, cpus))):
            command = option(command)
        return command

    return decorate


def _options(levels: Decorator, cpus: str) -> tuple[Decorator, ...]:
    return (
        click.option("--program", "-p", metavar="NAME", help="The program, where the object has several."),
        TYPE,
        click.option("--pcap", metavar="FILE", help="Run on every packet of a capture (pcap, pcapng, hex text)."),
        click.option("--packet", metavar="HEX|FILE", help="Run on one packet."),
        click.option("--mem", metavar="HEX|FILE", help="Run on plain memory: r1 points to it, r2 is its length."),
        click.option("--ctx", metavar="JSON", help="Fields of the context, e.g. '{\"ingress_ifindex\": 2}'; or @FILE."),
        click.option("--maps", "map_contents", metavar="JSON", help="Contents of maps before the run; or @FILE."),
        click.option("--set", "variables", metavar="NAME=VALUE", multiple=True,
                     help="Set a global variable before loading."),
        levels,
        click.option("--budget", default=DEFAULT_BUDGET, type=click.IntRange(1), show_default=True, metavar="N",
                     help="Instructions that a run may take."),
        click.option("--limits", metavar="JSON",
                     help="Other limits: max_depth, frame_size, tail_calls, loops; or @FILE."),
        click.option("--cpus", type=click.IntRange(1, MAX_CPUS), metavar="N",
                     help=cpus),
        click.option("--environment", metavar="JSON",
                     help="What helpers answer: time_ns, random_seed, cpu, pid, tid, uid, gid, comm...; or @FILE."),
        HELPER_FILES,
    )  # fmt: skip


def read_launch(options: SessionOptions, level: str | None = None) -> Launch:
    """What the options say, at a level other than theirs if one is given.

    InputError for what cannot be read, or does not go together.
    """
    inputs = {"--pcap": options.pcap, "--packet": options.packet, "--mem": options.mem}
    given = only_one({name: text is not None for name, text in inputs.items()})
    if given is not None and options.source == inputs[given] == "-":
        raise InputError(f"the program and {given} cannot both come from standard input")
    table, modules = read_helpers(options.helper_files)
    spec = read_source(options.source, options.type_, table, program=options.program)
    contents = {} if options.map_contents is None else read_json("--maps", options.map_contents)
    if not isinstance(contents, dict):
        raise InputError("--maps takes a JSON object: map names to their contents")
    notes: list[str] = []
    packets = tuple(packet for packet in read_runs(options.pcap, options.packet, notes.append) if packet is not None)
    for note in notes:
        click.echo(note, err=True)
    if options.pcap is not None and not packets:
        raise InputError("holds no packet", file=options.pcap)
    return Launch(
        spec,
        object_bytes(options.source),
        options.program,
        packets,
        ctx=None if options.ctx is None else context_argument(options.ctx),
        mem=None if options.mem is None else read_bytes("--mem", options.mem),
        maps=contents,
        variables=dict(parse_variable(text) for text in options.variables),
        environment=make_environment(offered_environment(modules), options.cpus, options.environment),
        level=level or chosen_level(strict=options.strict, linux=options.linux, lenient=options.lenient),
        limits=read_limits(options.limits),
        helpers=table,
        budget=options.budget,
    )


def object_bytes(source: str) -> bytes | None:
    """The bytes of an object file, for its debug information; None for a raw program."""
    if source == "-":
        return None
    content, _ = read_content(source)
    return content if content.startswith(ELF_MAGIC) else None
