"""What `trace` reports: what is attached, what programs put out as they do it, and how it went in the end."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.text import Text

from pybpftime.attach.probe import Ending
from pybpftime.cli.maps_output import STREAMS, maps_data, print_maps
from pybpftime.cli.output import console, number, plain, table
from pybpftime.cli.trace_records import Records, hex_dump
from pybpftime.errors import HostError
from pybpftime.runtime import MapView
from pybpftime.runtime.live import Attached, LiveRecord, LiveTrace


class Report(Protocol):
    """Whoever tells the user."""

    def begin(self, what: str, *, started: bool) -> None:
        """Every probe is set; `what` is the command that was started, or the process."""

    def record(self, record: LiveRecord) -> None:
        """A program has put out a record."""

    def printk(self, tid: int, line: str) -> None:
        """A program has printed a line."""

    def end(self, ending: Ending) -> None:
        """Every probe is taken out."""


class TextReport:
    """For people.  `notes` are those of the session."""

    def __init__(self, live: LiveTrace, records: Records, notes: list[str], stream: TextIO) -> None:
        self._live = live
        self._records = records
        self._notes = notes
        self._stream = stream
        self._console: Console = console(stream)

    def begin(self, what: str, *, started: bool) -> None:
        detach = "" if started else "; Ctrl-C detaches"
        self._console.print(Text.assemble(("tracing ", "dim"), (what, "bold"), (detach, "dim")))
        for one in self._live.attached:
            address = "" if one.place is None else f" at {_address(one)}"
            self._console.print(Text.assemble(f"  {one.program.name}  {_where(one)}", (address, "dim")))
        self._stream.flush()

    def record(self, record: LiveRecord) -> None:
        cpu = "" if record.cpu is None else f" cpu {record.cpu}"
        head = Text(f"{record.map.name}{cpu}: ", style="cyan")
        typed = self._records.decode(record.map.spec, record.data)
        if typed is not None:
            type, value = typed
            self._console.print(Text.assemble(head, type.text(value)))
        else:
            self._console.print(Text.assemble(head, f"{len(record.data)} bytes"))
            for line in hex_dump(record.data):
                self._console.print(Text(f"  {line}"))
        self._stream.flush()

    def printk(self, tid: int, line: str) -> None:
        self._console.print(Text.assemble((f"printk {tid}: ", "cyan"), line))
        self._stream.flush()

    def end(self, ending: Ending) -> None:
        rows = table("program", ("runs", "right"), ("failed", "right"), ("address", "right"), "probe")
        for one in self._live.attached:
            failed = Text(number(one.failures), style="red" if one.failures else "")
            rows.add_row(one.program.name, number(one.runs), failed, _address(one), _where(one))
        self._console.print()
        self._console.print(Text(f"process {self._live.pid} {how_it_ended(ending)}", style="dim"))
        self._console.print()
        self._console.print(rows)
        for one in self._live.attached:
            if one.first_failure is not None:
                self._console.print(Text(f"{one.first_failure}", style="red"))
        for note in _notes(self._notes, self._records):
            self._console.print(Text(f"note: {note}", style="yellow"))
        print_maps(self._console, _contents(self._live), self._live.object.spec.btf)
        self._stream.flush()


class JsonReport:
    """For machines: one JSON document a line.  `notes` are those of the session."""

    def __init__(self, live: LiveTrace, records: Records, notes: list[str], stream: TextIO) -> None:
        self._live = live
        self._records = records
        self._notes = notes
        self._stream = stream

    def begin(self, what: str, *, started: bool) -> None:
        self._write(
            {"event": "attached", "pid": self._live.pid, "probes": [_probe(one) for one in self._live.attached]}
        )

    def record(self, record: LiveRecord) -> None:
        typed = self._records.decode(record.map.spec, record.data)
        data: dict[str, Any] = {"event": "record", "map": record.map.name}
        if record.cpu is not None:
            data["cpu"] = record.cpu
        data["data"] = record.data
        if typed is not None:
            data["value"] = typed[1]
        self._write(data)

    def printk(self, tid: int, line: str) -> None:
        self._write({"event": "printk", "tid": tid, "line": line})

    def end(self, ending: Ending) -> None:
        self._write(
            {
                "event": "ended",
                "exit_code": ending.exit_code,
                "signal": ending.signal,
                "probes": [_probe(one) | _outcome(one) for one in self._live.attached],
                "notes": _notes(self._notes, self._records),
                "maps": maps_data(_contents(self._live)),
            }
        )

    def _write(self, data: dict[str, Any]) -> None:
        self._stream.write(json.dumps(data, default=plain) + "\n")
        self._stream.flush()


def how_it_ended(ending: Ending) -> str:
    """The rest of a sentence on the process."""
    if ending.exit_code is not None:
        return f"ended with exit code {ending.exit_code}"
    if ending.signal is not None:
        return f"was killed by {signal_name(ending.signal)}"
    return "is traced no more"


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _where(one: Attached) -> str:
    return str(one.target) if one.place is None else f"{one.target.kind} {one.place}"


def _address(one: Attached) -> str:
    return "" if one.place is None else f"{one.place.address:#x}"


def _probe(one: Attached) -> dict[str, Any]:
    data: dict[str, Any] = {"program": one.program.name, "probe": str(one.target)}
    if one.place is not None:
        data |= {"file": one.place.path, "symbol": one.place.symbol, "address": one.place.address}
    return data


def _outcome(one: Attached) -> dict[str, Any]:
    data: dict[str, Any] = {"runs": one.runs, "failures": one.failures}
    return data if one.first_failure is None else data | {"first_failure": one.first_failure.as_dict()}


def _notes(session: list[str], records: Records) -> list[str]:
    return list(dict.fromkeys([*session, *records.notes]))


def _contents(live: LiveTrace) -> list[MapView]:
    """The maps that still hold something: records were reported as they came."""
    return [view for view in live.maps.values() if view.type not in STREAMS]


# --- where it goes ----------------------------------------------------------------------------------------------------


class _ReportFile:
    """A file; not to be able to write it is a HostError that names it."""

    def __init__(self, file: TextIO, name: str) -> None:
        self._file = file
        self._name = name

    def write(self, text: str) -> int:
        with _named(self._name):
            return self._file.write(text)

    def flush(self) -> None:
        with _named(self._name):
            self._file.flush()

    def isatty(self) -> bool:
        return self._file.isatty()


@contextmanager
def report_file(name: str) -> Iterator[Any]:
    """A file to write a report into.  HostError where that cannot be done."""
    with _named(name):
        file = open(name, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115  # closed below
    try:
        yield _ReportFile(file, name)
    finally:
        with _named(name):
            file.close()


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError("cannot be written", file=name, errno=error.errno) from None
