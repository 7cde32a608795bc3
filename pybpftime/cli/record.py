"""`pybpftime record`: run a program and keep all that the run depended on."""

from __future__ import annotations

import os
from typing import Any

import click
from rich.text import Text

from pybpftime.cli.inputs import require_name
from pybpftime.cli.output import console, count_of, number
from pybpftime.cli.record_runs import RunJson, output_of, run_session
from pybpftime.cli.session_inputs import SessionOptions, read_launch, session_options
from pybpftime.debug.launch import open_session
from pybpftime.debug.recording import save


@click.command()
@session_options()
@click.option("--output", "-o", required=True, metavar="FILE", help="The recording to write (FILE.bpfrec).")
@click.option("--repeat", default=1, type=click.IntRange(1), metavar="N", help="Run N times on the same input.")
@click.option("--go-on", is_flag=True, help="Run the packets behind one that faulted, too.")
@click.option("--dump-maps", is_flag=True, help="Show the maps afterwards.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def record(output: str, repeat: int, go_on: bool, dump_maps: bool, as_json: bool, **options: Any) -> int:
    """Run a program of OBJ to the end, or to the first fault, and write a recording of it.

    The recording holds the object, its inputs, and every answer of the clock and of random numbers: it runs again
    anywhere, step by step as it did here (`pybpftime replay`, `pybpftime debug --recording`).  Nothing is verified
    before; with several CPUs packets go to one after the other.  The exit code is 0 when every run ended, 1 when one
    faulted or ran out of its budget; the recording is written in both cases.

    \b
    Examples:
      pybpftime record xdp_parser.bpf.o --pcap mixed.pcap -o parser.bpfrec
      pybpftime record percpu.bpf.o --pcap mixed.pcap --cpus 4 -o percpu.bpfrec
      pybpftime record malloc.bpf.o -p malloc_entry --ctx '{"di": 64}' -o malloc.bpfrec
    """
    require_name("--output", output)
    chosen = SessionOptions(**options)
    session = open_session(read_launch(chosen))
    session.world.invocations[:] = [one for one in session.world.invocations for _ in range(repeat)]
    printer = output_of(session, chosen.source, as_json=as_json)
    report = run_session(session, printer, to_fault=not go_on)
    save(session, output)
    written, steps = os.path.getsize(output), session.world.timeline.end + 1
    if isinstance(printer, RunJson):
        printer.add("recording", {"file": output, "steps": steps, "bytes": written})
    printer.finish(report, session.object if dump_maps else None)
    if not as_json:
        console().print(Text(f"recorded {count_of(steps, 'step')} in {output} ({number(written)} bytes)", style="dim"))
    return report.exit_code()
