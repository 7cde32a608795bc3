"""`pybpftime run`: run a program on packets, contexts or plain memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import click

from pybpftime.cli.inputs import (
    HELPER_FILES,
    SOURCE,
    TYPE,
    choose_programs,
    hint,
    is_file,
    read_bytes,
    read_content,
    read_json,
    read_limits,
    read_source,
    set_environment,
)
from pybpftime.cli.maps_output import maps_data, print_maps
from pybpftime.cli.output import console, print_json
from pybpftime.cli.run_output import KernelReport, Printer, Report, Run
from pybpftime.engines import DEFAULT_BUDGET
from pybpftime.errors import BpfError, Fault, HostError, InputError, LimitExceeded
from pybpftime.machine import LEVELS, Environment, Observer
from pybpftime.maps import MapError
from pybpftime.program.packets import Packet, read_packets
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime import Object, Program
from pybpftime.runtime.coverage import Coverage, check_target
from pybpftime.runtime.load import offered_environment, resolve_helpers
from pybpftime.runtime.trace import Tracer, TraceStep


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as click hands it over."""

    source: str
    program: str | None
    type_: str | None
    pcap: str | None
    packet: str | None
    mem: str | None
    ctx: str | None
    map_contents: str | None
    variables: tuple[str, ...]
    dump_maps: bool
    repeat: int
    level: str
    budget: int
    limits: str | None
    cpus: int | None
    environment: str | None
    helper_files: tuple[str, ...]
    kernel: bool
    trace: bool
    coverage: str | None
    as_json: bool


@dataclass(frozen=True, slots=True)
class Inputs:
    """What every run of the program gets besides its packet."""

    context: Mapping[str, Any] | bytes | None
    memory: bytes | None
    budget: int
    repeat: int


@click.command()
@SOURCE
@click.option("--program", "-p", metavar="NAME", help="The program, where the object has several.")
@TYPE
@click.option("--pcap", metavar="FILE", help="Run on every packet of a capture (pcap, pcapng, hex text).")
@click.option("--packet", metavar="HEX|FILE", help="Run on one packet.")
@click.option("--mem", metavar="HEX|FILE", help="Run on plain memory: r1 points to it, r2 is its length.")
@click.option("--ctx", metavar="JSON", help="Fields of the context, e.g. '{\"ingress_ifindex\": 2}'; or @FILE.")
@click.option("--maps", "map_contents", metavar="JSON", help="Contents of maps before the run; or @FILE.")
@click.option("--set", "variables", metavar="NAME=VALUE", multiple=True, help="Set a global variable before loading.")
@click.option("--dump-maps", is_flag=True, help="Show the maps afterwards.")
@click.option("--repeat", default=1, type=click.IntRange(1), metavar="N", help="Run N times on the same input.")
@click.option("--strict", "level", flag_value="strict", help="Fault on everything undefined or unportable.")
@click.option("--linux", "level", flag_value="linux", default=True, help="What a verified program may do (default).")
@click.option("--lenient", "level", flag_value="lenient", help="RFC 9669 results, no checks but memory bounds.")
@click.option("--budget", default=DEFAULT_BUDGET, type=click.IntRange(1), show_default=True, metavar="N",
              help="Instructions that a run may take.")  # fmt: skip
@click.option("--limits", metavar="JSON", help="Other limits: max_depth, frame_size, tail_calls, loops; or @FILE.")
@click.option("--cpus", type=click.IntRange(1, 4096), metavar="N", help="CPUs of per-cpu maps (default: 1).")
@click.option(
    "--environment",
    metavar="JSON",
    help="What helpers answer: time_ns, random_seed, cpu, pid, tid, uid, gid, comm...; or @FILE.",
)
@HELPER_FILES
@click.option("--kernel", is_flag=True, help="Run the packets in the running kernel too, and compare.")
@click.option("--trace", is_flag=True, help="Show every instruction and what it changed.")
@click.option("--coverage", metavar="FILE", help="Write (or merge into) an lcov file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def run(**options: Any) -> int:
    """Run a program of OBJ: an ELF object, or a raw program (binary, hex, assembly; - is standard input).

    The exit code is 0 when every run ended, 1 when one faulted or ran out of its budget, or the kernel disagrees.

    \b
    Examples:
      pybpftime run xdp_parser.bpf.o --pcap mixed.pcap --dump-maps
      pybpftime run filter.bpf.o --packet 'ffffffffffff 001122334455 0800 4500...' --trace
      pybpftime run malloc.bpf.o -p malloc_entry --ctx '{"di": 64}' --dump-maps
      printf 'r0 = r2\\nexit\\n' | pybpftime run - --mem '00 01 02 03' --json
    """
    return execute(Options(**options))


def execute(options: Options) -> int:
    """Do what the command line says; the result is the exit code."""
    _check_sources(options)
    loaded = _load(options)
    chosen = loaded.program if options.program is None else loaded[options.program]
    if options.kernel:
        _check_kernel(options, chosen)
    inputs = Inputs(
        context=None if options.ctx is None else context_argument(options.ctx),
        memory=None if options.mem is None else read_bytes(options.mem),
        budget=options.budget,
        repeat=options.repeat,
    )
    _check_packet(chosen, options.pcap is not None or options.packet is not None)
    if options.coverage:
        check_target(options.coverage)
    covered = Coverage([chosen.spec]) if options.coverage else None
    table_form = options.pcap is not None and not options.trace
    printer = None if options.as_json else Printer(console(), chosen, options.source, table_form=table_form)
    session = _Session(chosen, inputs, printer, covered, trace=options.trace, keep=options.kernel)
    failure: BpfError | None = session.run(_packets(options.pcap, options.packet))
    if options.kernel:
        session.compare()
    if covered is not None and options.coverage:
        covered.write(options.coverage)
    if printer is None:
        print_json(session.document(loaded if options.dump_maps else None, failure))
    else:
        printer.finish(session.report)
        if session.kernel is not None:
            printer.kernel(session.kernel)
        if options.dump_maps:
            print_maps(printer.console, loaded.maps.values(), loaded.spec.btf)
    if failure is None and session.kernel is not None:
        failure = session.kernel.error
    if failure is not None:
        raise failure
    agreed = session.kernel is None or session.kernel.agrees
    return 0 if agreed and not session.report.failures else 1


def _load(options: Options) -> Object:
    """The object with its maps, filled."""
    table, modules = resolve_helpers(options.helper_files)
    spec = read_source(options.source, options.type_, table)
    if options.program is not None:
        choose_programs(spec, options.program)
    loaded = Object(
        spec,
        level=LEVELS[options.level],
        environment=_environment(options, offered_environment(modules)),
        helpers=table,
        limits=read_limits(options.limits),
        variables=dict(parse_variable(text) for text in options.variables),
    )
    if options.map_contents is not None:
        fill_maps(loaded, read_json(options.map_contents))
    return loaded


def _environment(options: Options, offered: Environment | None) -> Environment:
    """The environment of a helper module, else the usual one, with what the options set."""
    environment = Environment() if offered is None else offered
    if options.cpus is not None:
        environment.cpu_count = options.cpus
    if options.environment is not None:
        set_environment(environment, options.environment)
    if environment.cpu >= environment.cpu_count:
        raise InputError(f"there is no cpu {environment.cpu}: --cpus says how many there are, {environment.cpu_count}")
    return environment


class _Session:
    """All runs of one command."""

    def __init__(
        self, program: Program, inputs: Inputs, printer: Printer | None, coverage: Coverage | None,
        *, trace: bool, keep: bool,
    ) -> None:  # fmt: skip
        self.report = Report()
        self.kernel: KernelReport | None = None
        self._packets: list[Packet] = []
        self._program = program
        self._inputs = inputs
        self._printer = printer
        self._coverage = coverage
        self._trace = trace
        self._keep = keep
        self._runs: list[Run] = []
        program.prepare()

    def run(self, packets: Iterator[Packet | None]) -> InputError | None:
        """Run on every packet.  A capture that turns out to be damaged ends it; what came before has run."""
        try:
            for packet in packets:
                for _ in range(self._inputs.repeat):
                    one = self._run_once(packet)
                    self.report.add(one)
                    if self._keep and packet is not None:
                        self._packets.append(packet)
                    if self._printer is None:
                        self._runs.append(one)
                    else:
                        self._printer.show(one)
        except InputError as error:
            if not self.report.runs:
                raise
            return error
        return None

    def _run_once(self, packet: Packet | None) -> Run:
        steps: list[TraceStep] = []
        observers: list[Observer] = [] if self._coverage is None else [self._coverage]
        if self._trace:
            observers.append(Tracer(steps.append if self._printer is None else self._printer.step))
            if self._printer is not None:
                self._printer.begin(packet)
        data, inputs = None if packet is None else packet.data, self._inputs
        result, error = None, None
        start = time.perf_counter()
        try:
            result = self._program.run(
                data, ctx=inputs.context, mem=inputs.memory, budget=inputs.budget, observers=observers
            )
        except (Fault, LimitExceeded) as failure:
            error = failure
        return Run(packet, result, error, time.perf_counter() - start, tuple(steps))

    def compare(self) -> None:
        """Run the packets that were kept on both sides again, in the kernel and on a fresh object here."""
        from pybpftime.conformance.objects import Count, Disagreement, compare_program

        spec, name = self._program.object.spec, self._program.name
        count, error = Count(), None
        found: list[Disagreement] = []
        try:
            found += compare_program(spec, name, [packet.data for packet in self._packets], count)
        except BpfError as failure:
            error = failure
        numbered = tuple(replace(one, packet=self._packets[one.packet].number) for one in found)
        self.kernel = KernelReport(count.packets, count.refused, numbered, error)

    def document(self, loaded: Object | None, failure: BpfError | None) -> dict[str, Any]:
        """Everything as plain data for `--json`."""
        report = self.report
        data: dict[str, Any] = {
            "program": self._program.name,
            "type": PROGRAM_TYPES[self._program.type].name,
            "runs": [one.as_dict() for one in self._runs],
            "verdicts": dict(report.verdicts),
            "instructions": report.instructions,
            "seconds": round(report.seconds, 6),
        }
        if failure is not None:
            data["error"] = failure.as_dict()
        if self.kernel is not None:
            data["kernel"] = self.kernel.as_dict()
        if loaded is not None:
            data["maps"] = maps_data(loaded.maps.values())
        return data


# --- arguments --------------------------------------------------------------------------------------------------------


def _check_sources(options: Options) -> None:
    inputs = {"--pcap": options.pcap, "--packet": options.packet, "--mem": options.mem}
    given = {name: text for name, text in inputs.items() if text is not None}
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other")
    if options.source == "-" and "-" in given.values():
        raise InputError(f"the program and {next(iter(given))} cannot both come from standard input")


def _check_kernel(options: Options, program: Program) -> None:
    """Whether the kernel can serve as peer, and nothing is asked for that it would not know of."""
    from pybpftime.conformance.objects import PACKET_TYPES
    from pybpftime.kernel import available

    ours = {
        "--mem": options.mem, "--ctx": options.ctx, "--maps": options.map_contents, "--set": options.variables,
        "--limits": options.limits, "--environment": options.environment, "--helpers": options.helper_files,
    }  # fmt: skip
    given = [name for name, value in ours.items() if value]
    if given:
        raise InputError(f"--kernel compares on fresh maps and packets alone, without {', '.join(given)}")
    if program.type not in PACKET_TYPES:
        kind = PROGRAM_TYPES[program.type].name
        raise InputError(f"{program.name} is of type {kind}, which --kernel cannot run: it runs on packets")
    reason = available()
    if reason is not None:
        raise HostError(f"the kernel cannot be compared with: {reason}")


def _check_packet(program: Program, given: bool) -> None:
    info = PROGRAM_TYPES[program.type]
    if info.takes_packet and not given:
        raise InputError(f"{program.name} is of type {info.name} and runs on packets: give --pcap or --packet")


def _packets(pcap: str | None, packet: str | None) -> Iterator[Packet | None]:
    if pcap is not None:
        yield from read_packets(sys.stdin.buffer, name="standard input") if pcap == "-" else read_packets(pcap)
    elif packet is not None and (packet == "-" or is_file(packet)):
        content, file = read_content(packet)
        found = list(islice(read_packets(content, name=file or "standard input"), 2))
        if len(found) > 1:
            raise InputError("holds more than one packet: use --pcap", file=file)
        yield from found
    elif packet is not None:
        yield Packet(read_bytes(packet), number=1)
    else:
        yield None


def parse_variable(text: str) -> tuple[str, Any]:
    """NAME=VALUE, with the value as a number or JSON, or as text where it is neither."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"--set takes NAME=VALUE, not {text!r}")
    try:
        return name, int(value, 0)
    except ValueError:
        is_json = value[:1] in ("[", "{", '"') or value in ("true", "false")
        return name, read_json(value) if is_json else value


def context_argument(text: str) -> Mapping[str, Any] | bytes:
    """--ctx: an object of fields, or a string of hex for the bytes of the context."""
    value = read_json(text)
    if isinstance(value, str):
        return read_bytes(value)
    if not isinstance(value, dict):
        raise InputError("--ctx takes a JSON object of fields, or a string of hex")
    return value


def fill_maps(loaded: Object, contents: Any) -> None:
    """--maps: {"name": {"key": value, ...}} or {"name": [[key, value], ...]} for keys that are structures."""
    if not isinstance(contents, dict):
        raise InputError("--maps takes a JSON object: map names to their contents")
    for name, entries in contents.items():
        if name not in loaded.maps:
            raise InputError(f"--maps: there is no map named {name}; {hint(name, loaded.maps)}")
        view = loaded.maps[name]
        for key, value in _pairs(name, entries):
            try:
                view[_key(key)] = value
            except MapError as error:
                raise InputError(f"--maps: map {name}: {error}") from None


def _pairs(name: str, entries: Any) -> Sequence[tuple[Any, Any]]:
    pairs = list(entries.items()) if isinstance(entries, dict) else entries
    if not isinstance(pairs, list) or any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in pairs):
        raise InputError(f"--maps: {name} takes an object of keys and values, or a list of [key, value] pairs")
    return pairs


def _key(text: Any) -> Any:
    try:
        return int(text, 0) if isinstance(text, str) else text
    except ValueError:
        return text
