"""What `run --json` prints: one document, written as the runs come, so that a long run needs no memory."""

from __future__ import annotations

from pybpftime.cli.maps_output import maps_data
from pybpftime.cli.output import JsonWriter
from pybpftime.cli.run_output import Report, Run
from pybpftime.program.packets import Packet
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime import Object, Program
from pybpftime.runtime.trace import TraceStep


class JsonOutput:
    """The `Output` for machines."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._json = JsonWriter()
        self._packet: Packet | None = None

    @property
    def has_begun(self) -> bool:
        return self._json.depth > 0

    def note(self, text: str) -> None:
        """Notes are for people."""

    def begin(self, packet: Packet | None) -> None:
        self._packet = packet

    def step(self, step: TraceStep) -> None:
        if self._json.depth < _IN_TRACE:
            self._begin_run(self._packet)
            self._json.begin("[", "trace")
        self._json.add(step.as_dict())

    def show(self, one: Run) -> None:
        if self._json.depth < _IN_TRACE:
            self._begin_run(one.packet)
        self._json.end(to=_IN_RUN)
        for name, value in one.as_dict().items():
            self._json.add(value, name)
        self._json.end(to=_IN_RUNS)

    def finish(self, report: Report, shown: Object | None) -> None:
        try:
            self._begin_runs()
            self._json.end(to=_IN_DOCUMENT)
            data = {
                "verdicts": dict(report.verdicts),
                "instructions": report.instructions,
                "seconds": round(report.seconds, 6),
            }
            if report.interrupted:
                data["interrupted"] = True
            if report.error is not None:
                data["error"] = report.error.as_dict()
            if report.kernel is not None:
                data["kernel"] = report.kernel.as_dict()
            for name, value in data.items():
                self._json.add(value, name)
            if shown is not None:
                self._json.add(maps_data(shown.maps.values()), "maps")
        finally:
            self._json.end(to=0)

    def _begin_runs(self) -> None:
        """The beginning waits for what it heads: unusable input prints an error and nothing else."""
        if self._json.depth:
            return
        self._json.begin("{")
        self._json.add(self._program.name, "program")
        self._json.add(PROGRAM_TYPES[self._program.type].name, "type")
        self._json.begin("[", "runs")

    def _begin_run(self, packet: Packet | None) -> None:
        self._begin_runs()
        self._json.begin("{")
        if packet is not None:
            self._json.add(packet.number, "number")


# How many objects and lists of the document are open.
_IN_DOCUMENT, _IN_RUNS, _IN_RUN, _IN_TRACE = range(1, 5)
