"""Programs of an object at the probes of a live process.

The programs run while the thread that came to the probe is stopped, on its true registers.  A program that faults does
no harm to the process: the fault is counted, and the process goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from pybpftime.attach.environment import LiveEnvironment
from pybpftime.attach.locate import Place, locate
from pybpftime.attach.probe import Attachment, Ending, Handler, Probe
from pybpftime.attach.target import ProbeTarget
from pybpftime.engines import DEFAULT_BUDGET
from pybpftime.errors import BpfError, Fault, LimitExceeded
from pybpftime.maps import PerfEventArray, PerfRecord, RingBuffer
from pybpftime.maps.ringbuf import BPF_RB_AVAIL_DATA
from pybpftime.program.contexts.probes import StructureContext
from pybpftime.program.types.layouts import PT_REGS_X86_64
from pybpftime.runtime.objects import Object, Program
from pybpftime.runtime.views import MapView


@dataclass(frozen=True, slots=True)
class LiveRecord:
    """What a program has put into a ring buffer, or into a perf event array: then `cpu` is where."""

    map: MapView
    data: bytes
    cpu: int | None = None


OnRecord = Callable[[LiveRecord], None]
OnPrintk = Callable[[int, str], None]
"""Called with the id of a thread and a line that a program printed there (bpf_trace_printk)."""


@dataclass(slots=True)
class Attached:
    """A program at a probe: how often it ran, how often it failed, and how it failed first.

    `place` is where the probe is in the process; None until that is known.
    """

    program: Program
    target: ProbeTarget
    place: Place | None = None
    runs: int = 0
    failures: int = 0
    first_failure: Fault | LimitExceeded | None = None


class LiveTrace:
    """The programs of `object`, whose environment is a LiveEnvironment, in the process of `attachment`."""

    def __init__(self, object: Object, attachment: Attachment, *, budget: int = DEFAULT_BUDGET) -> None:
        assert isinstance(object.environment, LiveEnvironment)
        self.object = object
        self.attached: list[Attached] = []
        self._attachment = attachment
        self._environment = object.environment
        self._budget = budget
        self._rings: list[tuple[RingBuffer, MapView]] = []
        self._on_record: OnRecord | None = None
        self._environment.enter(attachment)

    def attach(self, program: Program, target: ProbeTarget) -> None:
        """Run `program` at `target`.  InputError or HostError when that cannot be done."""
        program.prepare()
        attached = Attached(program, target)
        self._attachment.add(Probe(target, self._handler(attached)))
        attached.place = self._locate(target)
        self.attached.append(attached)

    def _handler(self, attached: Attached) -> Handler:
        executable, environment, budget = attached.program.executable, self._environment, self._budget
        context = StructureContext(PT_REGS_X86_64, self._attachment.registers)
        rings = self._rings

        def handle(tid: int) -> None:
            environment.tid = tid
            attached.runs += 1
            if attached.runs == 1 and attached.place is None:
                attached.place = self._locate(attached.target)
            try:
                executable.run(context, budget=budget)
            except (Fault, LimitExceeded) as failure:
                attached.failures += 1
                if attached.first_failure is None:
                    attached.first_failure = failure
            for ring, view in rings:
                if ring.query(BPF_RB_AVAIL_DATA):
                    self._drain(ring, view)

        return handle

    def _locate(self, target: ProbeTarget) -> Place | None:
        """For people only: in a program that is starting, a library may not be mapped yet."""
        try:
            return locate(self._attachment.pid, target)
        except BpfError:
            return None

    def watch(self, on_record: OnRecord, on_printk: OnPrintk) -> None:
        """Hand over what the programs put out, as they do it.

        The records of a ring buffer come when the run ends that submitted them, whether or not it wakes the reader
        (BPF_RB_NO_WAKEUP): nobody has to be woken here.
        """
        self._on_record = on_record
        for view in self.object.maps.values():
            if isinstance(view.raw, RingBuffer):
                self._rings.append((view.raw, view))
            elif isinstance(view.raw, PerfEventArray):
                view.raw.deliver(partial(_hand_over, view, on_record))
        self._environment.printk = lambda line: on_printk(self._environment.tid, line)

    def _drain(self, ring: RingBuffer, view: MapView) -> None:
        assert self._on_record is not None  # `watch` has set it together with the rings
        for data in ring.drain():
            self._on_record(LiveRecord(view, data))

    def serve(self, *, duration: float | None = None) -> Ending:
        """Run the process until it ends, `duration` seconds have passed or the tracer is interrupted.

        Every probe is taken out then.
        """
        return self._attachment.serve(duration=duration)

    @property
    def pid(self) -> int:
        """The process."""
        return self._attachment.pid

    @property
    def maps(self) -> Mapping[str, MapView]:
        """The maps of the object."""
        return self.object.maps


def _hand_over(view: MapView, on_record: OnRecord, record: PerfRecord) -> None:
    on_record(LiveRecord(view, record.data, record.cpu))
