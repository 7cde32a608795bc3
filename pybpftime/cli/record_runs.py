"""Running a session from its first step on, as `run` runs a program: every outcome is printed as it comes."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pybpftime.cli.output import console
from pybpftime.cli.run_json import JsonOutput
from pybpftime.cli.run_output import Output, Printer, Report, Run
from pybpftime.debug.session import Session
from pybpftime.program.packets import Packet

STEPS = 1 << 16
"""Steps between two looks at what has ended."""


class RunJson(JsonOutput):
    """The document of `run --json` with members of other commands."""

    def add(self, name: str, value: object) -> None:
        """Add a member behind the runs."""
        self._begin_runs()
        self._json.end(to=1)
        self._json.add(value, name)


def output_of(session: Session, source: str, *, as_json: bool) -> Output:
    """Where the runs of a session are printed."""
    invocations = session.world.invocations
    program = session.object.programs[invocations[0].program]
    if as_json:
        return RunJson(program)
    table_form = len(invocations) > 1 and all(one.packet is not None for one in invocations)
    return Printer(console(), program, source, table_form=table_form)


def run_session(session: Session, output: Output, *, limit: int | None = None, to_fault: bool = False) -> Report:
    """Run from the first step to step `limit`, to the end, or to the first fault.  Ctrl-C ends it early."""
    report, world = Report(), session.world
    with _interrupts(session) as interrupted:
        session.start()
        while not world.is_over and not interrupted and (limit is None or world.step < limit):
            goal = world.step + STEPS if limit is None else min(world.step + STEPS, limit)
            started = time.perf_counter()
            failed = world.advance(goal, to_fault=to_fault)
            _show_ended(session, report, output, time.perf_counter() - started)
            if failed:
                break
    report.interrupted = bool(interrupted)
    return report


def _show_ended(session: Session, report: Report, output: Output, seconds: float) -> None:
    world = session.world
    while (ending := world.timeline.endings.get(report.runs)) is not None:
        invocation = world.invocations[report.runs]
        packet = None if invocation.packet is None else Packet(invocation.packet, number=_number(session, report.runs))
        one = Run(packet, ending.result, ending.error, seconds)
        output.show(one)
        report.add(one)
        seconds = 0.0


def _number(session: Session, index: int) -> int:
    """The number of the packet in its file, if the label tells it."""
    found = re.fullmatch(r"packet (\d{1,18})", session.world.invocations[index].label)
    return index + 1 if found is None else int(found[1])


@contextmanager
def _interrupts(session: Session) -> Iterator[list[int]]:
    """While this is entered, the first SIGINT stops the session, and the list is no longer empty."""
    seen: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        session.interrupt()

    before = None
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        try:
            before = signal.signal(signal.SIGINT, interrupt)
        except ValueError:  # not the main thread
            before = None
    try:
        yield seen
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
