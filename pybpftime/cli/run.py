"""`pybpftime run`: run a program on packets, contexts or plain memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import click

from pybpftime.cli.inputs import (
    chosen_level,
    make_environment,
    only_one,
    read_bytes,
    read_helpers,
    read_json,
    read_limits,
    read_source,
    require_name,
)
from pybpftime.cli.interrupt import Interrupts
from pybpftime.cli.output import console
from pybpftime.cli.proof import NO_VERIFY, require_proved
from pybpftime.cli.run_inputs import context_argument, fill_from_option, parse_variable, read_runs
from pybpftime.cli.run_json import JsonOutput
from pybpftime.cli.run_output import KernelReport, Output, Printer, Report, Run
from pybpftime.cli.session_inputs import SessionOptions, session_options
from pybpftime.errors import BpfError, Fault, HostError, InputError, LimitExceeded
from pybpftime.machine import LEVELS, Observer
from pybpftime.program.packets import Packet
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime import Object, Program
from pybpftime.runtime.coverage import Coverage, check_target
from pybpftime.runtime.load import offered_environment
from pybpftime.runtime.trace import Tracer, TraceStep


@dataclass(frozen=True, slots=True)
class Options(SessionOptions):
    """The command line as click hands it over."""

    dump_maps: bool
    repeat: int
    kernel: bool
    trace: bool
    trace_out: str | None
    no_verify: bool
    witness: str | None
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
@session_options(cpus="CPUs of per-cpu maps (default: 1).")
@click.option("--dump-maps", is_flag=True, help="Show the maps afterwards.")
@click.option("--repeat", default=1, type=click.IntRange(1), metavar="N", help="Run N times on the same input.")
@NO_VERIFY
@click.option("--witness", metavar="FILE", help="Run on the input that `verify --witness-out` wrote.")
@click.option("--kernel", is_flag=True, help="Run the packets in the running kernel too, and compare.")
@click.option("--trace", is_flag=True, help="Show every instruction and what it changed.")
@click.option("--trace-out", metavar="FILE", help="Write every instruction to a file, as JSON lines.")
@click.option("--coverage", metavar="FILE", help="Write (or merge into) an lcov file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def run(**options: Any) -> int:
    """Run a program of OBJ: an ELF object, or a raw program (binary, hex, assembly; - is standard input).

    The exit code is 0 when every run ended, 1 when one faulted or ran out of its budget, or the kernel disagrees.
    Ctrl-C ends the runs: what they gave is still printed and written, and the exit code is 130.

    \b
    Examples:
      pybpftime run xdp_parser.bpf.o --pcap mixed.pcap --dump-maps
      pybpftime run xdp_parser.bpf.o --trace --packet ffffffffffff0011223344550806
      pybpftime run malloc.bpf.o -p malloc_entry --ctx '{"di": 64}' --dump-maps
      printf 'r0 = r2\\nexit\\n' | pybpftime run - --mem '00 01 02 03' --json
    """
    return execute(Options(**options))


def execute(options: Options) -> int:
    """Do what the command line says; the result is the exit code."""
    if options.witness is not None:
        return _run_witness(options, options.witness)
    _check_sources(options)
    loaded = _load(options)
    chosen = loaded.program if options.program is None else loaded[options.program]
    if options.kernel:
        _check_kernel(options, chosen)
    inputs = Inputs(
        context=None if options.ctx is None else context_argument(options.ctx),
        memory=None if options.mem is None else read_bytes("--mem", options.mem),
        budget=options.budget,
        repeat=options.repeat,
    )
    _check_packet(chosen, options.pcap is not None or options.packet is not None)
    require_name("--coverage", options.coverage)
    require_name("--trace-out", options.trace_out)
    if not options.no_verify:
        require_proved(loaded, [chosen.name])
    if options.coverage is not None:
        check_target(options.coverage)
    covered = None if options.coverage is None else Coverage([chosen.spec])
    table_form = options.pcap is not None and not options.trace
    output: Output = (
        JsonOutput(chosen) if options.as_json else Printer(console(), chosen, options.source, table_form=table_form)
    )
    with Interrupts() as interrupts, _trace_file(options.trace_out) as writers:
        observers = writers if covered is None else [*writers, covered]
        session = _Session(chosen, inputs, output, interrupts, observers, trace=options.trace, keep=options.kernel)
        try:
            session.run(read_runs(options.pcap, options.packet, output.note))
            if options.kernel:
                session.compare()
        except KeyboardInterrupt:
            session.report.interrupted = True
        with interrupts.held():
            output.finish(session.report, loaded if options.dump_maps else None)
            if covered is not None and options.coverage is not None:
                covered.write(options.coverage)
    return session.report.exit_code()


def _load(options: Options) -> Object:
    """The object with its maps, filled."""
    table, modules = read_helpers(options.helper_files)
    spec = read_source(options.source, options.type_, table, program=options.program)
    loaded = Object(
        spec,
        level=LEVELS[chosen_level(strict=options.strict, linux=options.linux, lenient=options.lenient)],
        environment=make_environment(offered_environment(modules), options.cpus, options.environment),
        helpers=table,
        limits=read_limits(options.limits),
        variables=dict(parse_variable(text) for text in options.variables),
    )
    if options.map_contents is not None:
        fill_from_option(loaded, read_json("--maps", options.map_contents))
    return loaded


@contextmanager
def _trace_file(name: str | None) -> Iterator[list[Observer]]:
    """What writes the trace of all runs to a file, if there shall be one.  HostError when it cannot be written."""
    if name is None:
        yield []
        return
    from pybpftime.cli.trace_report import report_file  # most runs write no trace
    from pybpftime.runtime.trace_file import TraceWriter

    with report_file(name) as stream:
        yield [TraceWriter(stream)]


class _Session:
    """All runs of one command."""

    def __init__(
        self, program: Program, inputs: Inputs, output: Output, interrupts: Interrupts, observers: Sequence[Observer],
        *, trace: bool, keep: bool,
    ) -> None:  # fmt: skip
        self.report = Report()
        self._packets: list[Packet] = []
        self._program = program
        self._inputs = inputs
        self._output = output
        self._interrupts = interrupts
        self._observers = list(observers)
        if trace:
            self._observers.append(Tracer(self._step))
        self._trace = trace
        self._keep = keep
        program.prepare()

    def run(self, packets: Iterator[Packet | None]) -> None:
        """Run on every packet.  A capture that turns out to be damaged ends it; what came before has run."""
        try:
            for packet in packets:
                for _ in range(self._inputs.repeat):
                    one = self._run_once(packet)
                    with self._interrupts.held():
                        self.report.add(one)
                        if self._keep and packet is not None:
                            self._packets.append(packet)
                        self._output.show(one)
        except BpfError as error:
            if not self._output.has_begun:
                raise
            self.report.error = error

    def _run_once(self, packet: Packet | None) -> Run:
        if self._trace:
            self._output.begin(packet)
        data, inputs = None if packet is None else packet.data, self._inputs
        result, error = None, None
        start = time.perf_counter()
        try:
            result = self._program.run(
                data, ctx=inputs.context, mem=inputs.memory, budget=inputs.budget, observers=self._observers
            )
        except (Fault, LimitExceeded) as failure:
            error = failure
        return Run(packet, result, error, time.perf_counter() - start)

    def _step(self, step: TraceStep) -> None:
        with self._interrupts.held():
            self._output.step(step)

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
        self.report.kernel = KernelReport(count.packets, count.refused, numbered, error)


# --- arguments --------------------------------------------------------------------------------------------------------


def _check_sources(options: Options) -> None:
    inputs = {"--pcap": options.pcap, "--packet": options.packet, "--mem": options.mem}
    given = only_one({name: text is not None for name, text in inputs.items()})
    if given is not None and options.source == inputs[given] == "-":
        raise InputError(f"the program and {given} cannot both come from standard input")


def _run_witness(options: Options, file: str) -> int:
    """A run on a witness, which sets all that a run depends on."""
    from pybpftime.cli.run_witness import run_witness

    others = {
        "--pcap": options.pcap, "--packet": options.packet, "--mem": options.mem, "--ctx": options.ctx,
        "--maps": options.map_contents, "--set": options.variables, "--limits": options.limits, "--cpus": options.cpus,
        "--environment": options.environment, "--kernel": options.kernel, "--coverage": options.coverage,
        "--dump-maps": options.dump_maps, "--repeat": options.repeat != 1, "--trace-out": options.trace_out,
    }  # fmt: skip
    given = [name for name, value in others.items() if value]
    if given:
        raise InputError(f"--witness is all that the program runs on, without {', '.join(given)}")
    table, _ = read_helpers(options.helper_files)
    return run_witness(
        read_source(options.source, options.type_, table, program=options.program),
        file,
        options.program,
        level=chosen_level(strict=options.strict, linux=options.linux, lenient=options.lenient),
        budget=options.budget,
        helpers=table,
        trace=options.trace,
        target=None if options.as_json else console(),
    )


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
