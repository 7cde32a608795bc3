"""Programs at the probes of a process, with a process that is made up."""

from __future__ import annotations

import struct
from pathlib import Path

from pybpftime.attach.environment import LiveEnvironment
from pybpftime.attach.probe import Ending, Handler, Probe
from pybpftime.attach.target import ProbeKind, ProbeTarget
from pybpftime.errors import LimitExceeded
from pybpftime.program.elf import load_object
from pybpftime.runtime import Object
from pybpftime.runtime.live import LiveRecord, LiveTrace

PROGRAMS = Path(__file__).resolve().parents[1] / "programs"
TARGET = ProbeTarget(ProbeKind.URETPROBE, "nowhere", "function", 0)
RAX, RDI = 80, 112  # offsets in struct pt_regs
TEXT = 0x7000


class MadeUp:
    """An Attachment without a process: `hit` does what a thread at a probe does."""

    pid = 0

    def __init__(self) -> None:
        self.memory = bytearray(168)
        self.registers = memoryview(self.memory)
        self.notes: list[str] = []
        self.handlers: list[Handler] = []

    def add(self, probe: Probe) -> None:
        self.handlers.append(probe.handler)

    def read_user(self, address: int, size: int) -> bytes | None:
        content = b"typed\0".ljust(4096, b"\0")
        start = address - TEXT
        return content[start : start + size] if start >= 0 and start + size <= len(content) else None

    def serve(self, *, duration: float | None = None) -> Ending:
        return Ending(exit_code=0)

    def close(self) -> None:
        pass

    def hit(self, tid: int, *, register: int = RAX, value: int = TEXT) -> None:
        struct.pack_into("<Q", self.memory, register, value)
        for handler in self.handlers:
            handler(tid)


def trace(file: str, program: str, *, budget: int = 10_000, **variables: object) -> tuple[LiveTrace, MadeUp]:
    spec = load_object(PROGRAMS / file)
    process = MadeUp()
    live = LiveTrace(Object(spec, environment=LiveEnvironment(), variables=variables), process, budget=budget)
    live.attach(live.object[program], TARGET)
    return live, process


def test_records_are_handed_over_when_the_run_ends() -> None:
    for through_perf, name, cpu in ((False, "lines", None), (True, "events", 0)):
        live, process = trace("readline.bpf.o", "typed", through_perf=through_perf)
        records: list[LiveRecord] = []
        live.watch(records.append, lambda tid, line: None)
        for count in (1, 2, 3):
            process.hit(7)
            assert len(records) == count
        assert [(one.map.name, one.cpu, one.data[20:26]) for one in records] == [(name, cpu, b"typed\0")] * 3
        assert live.maps["lines"].raw.count == 0, "nothing is kept"


def test_lines_of_printk_come_with_the_thread() -> None:
    live, process = trace("live.bpf.o", "speak")
    lines: list[tuple[int, str]] = []
    live.watch(lambda record: None, lambda tid, line: lines.append((tid, line)))
    process.hit(7, register=RDI, value=1)
    process.hit(8, register=RDI, value=2)
    assert lines == [(7, "called with 1"), (8, "called with 2")]


def test_runs_and_failures_are_counted_and_the_first_failure_is_kept() -> None:
    live, process = trace("live.bpf.o", "speak", budget=2)
    process.hit(7)
    process.hit(7)
    [attached] = live.attached
    assert (attached.runs, attached.failures) == (2, 2)
    assert isinstance(attached.first_failure, LimitExceeded)
    assert attached.place is None, "there is no such process"
