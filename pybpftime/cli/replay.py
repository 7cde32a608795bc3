"""`pybpftime replay`: run a recording again, and see whether it goes as it went."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from pybpftime.cli.inputs import HELPER_FILES, read_helpers, require_name
from pybpftime.cli.output import console, count_of, print_json
from pybpftime.cli.record_runs import RunJson, output_of, run_session
from pybpftime.debug.recording import Check, Recording, read_recording
from pybpftime.errors import InputError


@click.command()
@click.argument("file", metavar="FILE")
@HELPER_FILES
@click.option("--check", "only_check", is_flag=True, help="Say only whether every step is as it was recorded.")
@click.option("--dump-maps", is_flag=True, help="Show the maps afterwards.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def replay(file: str, helper_files: tuple[str, ...], only_check: bool, dump_maps: bool, as_json: bool) -> int:
    """Run a recording again, as far as it went, and compare every step with what was recorded.

    Prints what `pybpftime run` prints, and whether registers and memory were the same.  The exit code is 1 when they
    were not, or when a run faulted; with --check a fault that was recorded does not count.

    \b
    Examples:
      pybpftime replay parser.bpfrec
      pybpftime replay parser.bpfrec --check
      pybpftime replay parser.bpfrec --json --dump-maps
    """
    require_name("FILE", file)
    table, _ = read_helpers(helper_files)
    recording = read_recording(file, helpers=table)
    if not recording.session.world.invocations:
        raise InputError("the recording has nothing to run on: no packet, no context", file=file)
    return _check(recording, as_json=as_json) if only_check else _run(recording, file, dump_maps, as_json=as_json)


def _check(recording: Recording, *, as_json: bool) -> int:
    """--check: every time line against its checksums."""
    check = recording.check()
    if as_json:
        print_json(_data(check))
    else:
        console().print(_told(recording, check))
    return 0 if check.is_equal else 1


def _run(recording: Recording, file: str, dump_maps: bool, *, as_json: bool) -> int:
    session = recording.session
    world = session.world
    limit = world.timeline.end or None
    output = output_of(session, file, as_json=as_json)
    report = run_session(session, output, limit=limit)
    check = None if report.interrupted or not recording.checksums else recording.check()
    if isinstance(output, RunJson):
        output.add("check", None if check is None else _data(check))
    output.finish(report, session.object if dump_maps else None)
    if not as_json:
        if world.ending is None and not report.interrupted:
            where = world.invocation.label or f"invocation {world.index + 1}"
            console().print(Text(f"the recording ends at step {world.step}, in {where}", style="dim"))
        if check is not None:
            console().print(_told(recording, check))
        elif not report.interrupted:
            console().print(Text("the recording has no checksums: nothing was compared", style="dim"))
    code = report.exit_code()
    return code if check is None or check.is_equal else 1


def _data(check: Check) -> dict[str, Any]:
    difference = None if check.difference is None else asdict(check.difference)
    return {"equal": check.is_equal, "checksums": check.count, "digest": check.digest, "difference": difference}


def _told(recording: Recording, check: Check) -> Text:
    """The outcome of a comparison in a sentence."""
    world, difference = recording.session.world, check.difference
    if check.is_equal:
        steps = 1 + sum(timeline.end - timeline.forked_at for timeline in world.timelines)
        lines = f" on {len(world.timelines)} time lines" if len(world.timelines) > 1 else ""
        return Text(f"{count_of(steps, 'step')}{lines} as recorded, digest {check.digest}", style="green")
    if difference is None:
        return Text("the recording has no checksums: nothing was compared", style="red")
    known = difference.invocation < len(world.invocations)
    label = world.invocations[difference.invocation].label if known else ""
    where = label or f"invocation {difference.invocation + 1}"
    line = f" of time line {difference.timeline}" if len(world.timelines) > 1 else ""
    reason = f"differs from the recording in {where}{line}, at or before step {difference.step}"
    return Text(f"{reason} (recorded by {recording.made_by})", style="red")
