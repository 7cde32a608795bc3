"""From launch arguments to a session."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.sources import SourceFiles
from pybpftime.debug.dap.protocol import LaunchArguments
from pybpftime.debug.launch import DEFAULT_LEVEL, Launch, open_session
from pybpftime.debug.launch_live import LIVE_LEVEL, LiveTarget, open_live
from pybpftime.debug.recording import open_recording
from pybpftime.debug.session import Output, Session
from pybpftime.debug.witness import open_witness
from pybpftime.engines import DEFAULT_BUDGET
from pybpftime.errors import InputError
from pybpftime.machine import Environment, Limits
from pybpftime.program.elf_file import MAGIC
from pybpftime.program.hextext import parse_hex
from pybpftime.program.packets import Packet, read_packets
from pybpftime.runtime.load import read_file, read_object, resolve_helpers
from pybpftime.runtime.names import hint, no_such
from pybpftime.uapi import ProgramType
from pybpftime.verifier.witness_file import read_witness

_Fields = TypeVar("_Fields")
LOOK_EVERY = 4096
"""Packets between two looks at whether the client has lost patience."""
OF_PROCESSES = ("pid", "command", "at")
OF_SIMULATED = ("pcap", "packet", "ctx", "mem", "environment", "cpus")
OF_RUNS = (*OF_SIMULATED, "maps", "variables", "limits", "helpers", *OF_PROCESSES)
OF_OBJECTS = ("object", "program", "witness", *OF_RUNS)
WITNESS_LEVEL = "linux"
"""What counts as a fault on a witness, unless something else is asked for: what the verifier predicts."""
NOT_GIVEN = ("random", "user_memory", "printk", "cpu_count")
"""Fields of an Environment that are no plain data, or have an argument of their own."""


def open_launch(debuggee: Debuggee, arguments: LaunchArguments, output: Output) -> tuple[Session, SourceFiles]:
    """The session that the arguments ask for, before its first step, and its sources.

    InputError for what does not fit together; CancelledError if interrupted.
    """
    folder = os.path.abspath(arguments.get("cwd") or os.curdir)
    session = _session(debuggee, arguments, folder, output)
    directories = [_path(folder, one) for one in arguments.get("sourcePaths", [])]
    sources = SourceFiles.of(session, [*directories, folder], _substitutions(arguments))
    return session, sources


def _session(debuggee: Debuggee, arguments: LaunchArguments, folder: str, output: Output) -> Session:
    if "recording" in arguments:
        if both := [name for name in arguments if name in OF_OBJECTS]:
            raise InputError(
                f"a recording has all that its runs depend on: {', '.join(both)} cannot be given beside it"
            )
        return open_recording(_path(folder, arguments["recording"]), output)
    if "object" not in arguments:
        raise InputError("nothing to debug: the launch arguments have neither object nor recording")
    if "witness" in arguments:
        return _on_witness(arguments, folder, output)
    if any(name in arguments for name in OF_PROCESSES):
        return _on_process(debuggee, arguments, folder, output)
    return open_session(_launch(debuggee, arguments, folder), output)


def _on_process(debuggee: Debuggee, arguments: LaunchArguments, folder: str, output: Output) -> Session:
    """Programs at the probes of a live process."""
    if both := [name for name in arguments if name in OF_SIMULATED]:
        raise InputError(f"a live process is what the programs run on: {', '.join(both)} cannot be given beside it")
    command, pid = arguments.get("command", []), arguments.get("pid")
    if bool(command) == (pid is not None):
        raise InputError("a live process is given by its pid, or by the command that starts it")
    if not all(command[:1]) or any("\0" in word for word in command):
        raise InputError("command is a program and its arguments, without zero bytes")
    if pid is not None and not 0 < pid < 1 << 31:
        raise InputError(f"{pid} is no number of a process")
    launch = _launch(debuggee, arguments, folder)
    if "level" not in arguments:
        launch = replace(launch, level=LIVE_LEVEL)
    session, _ = open_live(launch, LiveTarget(pid, command, arguments.get("at", [])), output)
    return session


def _on_witness(arguments: LaunchArguments, folder: str, output: Output) -> Session:
    """A program on what the verifier found to break it."""
    if both := [name for name in arguments if name in OF_RUNS]:
        raise InputError(f"a witness is all that the program runs on: {', '.join(both)} cannot be given beside it")
    file, path = _path(folder, arguments["witness"]), _path(folder, arguments["object"])
    try:
        name, witness = read_witness(json.loads(read_file(file)))
    except (ValueError, RecursionError):
        raise InputError("is no JSON", file=file) from None
    except InputError as error:
        raise error.at(file=file) from None
    content = read_file(path)
    spec = read_object(content, name=path)
    name = arguments.get("program", name)
    if name not in spec.programs:
        raise no_such("program", name, spec.programs, path)
    program = spec.programs[name]
    if program.type is ProgramType.BPF_PROG_TYPE_UNSPEC:
        program = replace(program, type=witness.program_type)
    return open_witness(
        program,
        spec.maps,
        witness,
        level=arguments.get("level", WITNESS_LEVEL),
        content=content if content.startswith(MAGIC) else None,
        budget=_budget(arguments.get("budget", DEFAULT_BUDGET)),
        output=output,
    )


def _launch(debuggee: Debuggee, arguments: LaunchArguments, folder: str) -> Launch:
    path = _path(folder, arguments["object"])
    content = read_file(path)
    files = tuple(_path(folder, one) for one in arguments.get("helpers", []))
    helpers, _ = resolve_helpers(files)
    spec = read_object(content, name=path, helpers=helpers)
    mem = arguments.get("mem")
    return Launch(
        spec=spec,
        content=content if content.startswith(MAGIC) else None,
        program=arguments.get("program"),
        packets=tuple(_packets(debuggee, arguments, folder)),
        ctx=_context(arguments.get("ctx")),
        mem=None if mem is None else _bytes("mem", mem, folder),
        maps=arguments.get("maps", {}),
        variables=arguments.get("variables", {}),
        environment=_environment(arguments),
        level=arguments.get("level", DEFAULT_LEVEL),
        limits=_of_fields("limits", Limits, arguments.get("limits", {}), [one.name for one in fields(Limits)]),
        helpers=helpers,
        budget=_budget(arguments.get("budget", DEFAULT_BUDGET)),
    )


def _path(folder: str, file: str) -> str:
    if not file or "\0" in file:
        raise InputError("an empty file name")
    return os.path.normpath(os.path.join(folder, file))


def _budget(budget: int) -> int:
    if not 0 < budget < 1 << 62:
        raise InputError("budget is a number of instructions, at least 1")
    return budget


def _packets(debuggee: Debuggee, arguments: LaunchArguments, folder: str) -> list[Packet]:
    if "packet" in arguments:
        if "pcap" in arguments:
            raise InputError("pcap and packet exclude each other")
        return [Packet(_bytes("packet", arguments["packet"], folder), number=1)]
    if "pcap" not in arguments:
        return []
    path, found = _path(folder, arguments["pcap"]), []
    try:
        for packet in read_packets(path):
            found.append(packet)
            if len(found) % LOOK_EVERY == 0:  # a short capture is read whatever comes
                debuggee.check_interrupted()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from None
    return found


def _bytes(what: str, text: str, folder: str) -> bytes:
    """Bytes that are given as hex digits, or as the name of a file that has them."""
    try:
        path = os.path.join(folder, text)
        if os.path.isfile(path):
            return read_file(path)
    except ValueError:
        pass  # no name of a file
    try:
        return parse_hex(text)
    except InputError as error:
        raise InputError(f"{what}: neither a file nor hex digits: {error.reason}") from None


def _context(given: Mapping[str, Any] | str | None) -> Mapping[str, Any] | bytes | None:
    if not isinstance(given, str):
        return given
    try:
        return parse_hex(given) if given else b""
    except InputError as error:
        raise InputError(f"ctx: {error.reason}") from None


def _environment(arguments: LaunchArguments) -> Environment:
    given = dict(arguments.get("environment", {}))
    if "cpus" in arguments:
        given["cpu_count"] = arguments["cpus"]
    if "random_seed" in given:
        seed = given.pop("random_seed")
        if not isinstance(seed, int):
            raise InputError("environment: random_seed is a number")
        given["random"] = random.Random(seed)
    known = [one.name for one in fields(Environment)]
    for name in arguments.get("environment", {}):
        if name in NOT_GIVEN or (name not in known and name != "random_seed"):
            names = [one for one in (*known, "random_seed") if one not in NOT_GIVEN]
            raise InputError(f"environment: there is no field {name[:40]!r}; {hint(name, names)}")
    return Environment(**given)


def _of_fields(what: str, kind: type[_Fields], given: Mapping[str, Any], names: list[str]) -> _Fields:
    for name in given:
        if name not in names:
            raise InputError(f"{what}: there is no field {name[:40]!r}; {hint(name, names)}")
    try:
        return kind(**given)
    except InputError as error:
        raise InputError(f"{what}: {error}") from None


def _substitutions(arguments: LaunchArguments) -> dict[str, str]:
    given = arguments.get("sourceMap", {})
    if not all(isinstance(one, str) for one in given.values()):
        raise InputError("sourceMap is an object: the beginning of a path, and what stands there instead")
    return dict(given)
