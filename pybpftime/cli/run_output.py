"""What `run` prints: a row for each packet of a capture, a few lines for a single run, then what all of them gave."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import count, groupby
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.text import Text

from pybpftime.cli.interrupt import INTERRUPTED
from pybpftime.cli.maps_output import print_maps
from pybpftime.cli.output import bytes_text, count_of, number, table, verdict_style, verdict_text
from pybpftime.cli.trace_output import print_step
from pybpftime.errors import BpfError, Fault, LimitExceeded
from pybpftime.program.packet_summary import summarise
from pybpftime.program.packets import Packet
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime import Object, Program, Result
from pybpftime.runtime.trace import TraceStep

if TYPE_CHECKING:
    from pybpftime.conformance.objects import Disagreement

VERDICT_WIDTH = 15
MOST_RANGES = 6
MOST_VERDICTS = 20
"""How many the summary lists: a raw program may return a number of its own in every run."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the program: on which packet, and what came of it."""

    packet: Packet | None
    result: Result | None
    error: BpfError | None
    seconds: float

    @property
    def verdict(self) -> str:
        """The word for the table."""
        if self.result is not None:
            return str(self.result.verdict)
        return "fault" if isinstance(self.error, Fault) else "limit"

    def as_dict(self) -> dict[str, Any]:
        """What came of it as plain data for `--json`."""
        data: dict[str, Any] = {}
        if self.result is not None:
            data |= self.result.as_dict()
        if self.error is not None:
            data |= self.error.as_dict()
        return data


@dataclass(frozen=True, slots=True)
class KernelReport:
    """What the running kernel made of the same packets: how many both ran, how many its test run does not take."""

    packets: int
    refused: int
    disagreements: tuple[Disagreement, ...] = ()
    error: BpfError | None = None

    @property
    def agrees(self) -> bool:
        """Whether something was compared and all of it was equal."""
        return self.packets > 0 and not self.disagreements and self.error is None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        data: dict[str, Any] = {"agrees": self.agrees, "packets": self.packets, "refused": self.refused}
        data["disagreements"] = [asdict(one) for one in self.disagreements]
        return data if self.error is None else data | self.error.as_dict()


@dataclass(slots=True)
class Report:
    """What all runs together gave.  `seconds` is the time that programs ran, without reading and printing.

    `error` is what ended them early (a damaged capture, say), `interrupted` that somebody did; `kernel` what the
    kernel made of the packets, if it was asked.
    """

    runs: int = 0
    failures: int = 0
    instructions: int = 0
    seconds: float = 0.0
    verdicts: Counter[str] = field(default_factory=Counter)
    error: BpfError | None = None
    interrupted: bool = False
    kernel: KernelReport | None = None

    def add(self, one: Run) -> None:
        """Count one run."""
        self.runs += 1
        self.seconds += one.seconds
        self.verdicts[one.verdict] += 1
        if one.result is None:
            self.failures += 1
        else:
            self.instructions += one.result.instructions

    def exit_code(self) -> int:
        """The exit code of `run`; raises what ended the runs early."""
        if self.interrupted:
            return INTERRUPTED
        failure = self.error or (None if self.kernel is None else self.kernel.error)
        if failure is not None:
            raise failure
        agreed = self.kernel is None or self.kernel.agrees
        return 0 if agreed and not self.failures else 1


class Output(Protocol):
    """Where runs go as they come; nothing of them is kept."""

    @property
    def has_begun(self) -> bool:
        """Whether something is printed."""

    def note(self, text: str) -> None:
        """Something about the input that a person should know."""

    def begin(self, packet: Packet | None) -> None:
        """A traced run on `packet` is next."""

    def step(self, step: TraceStep) -> None:
        """One instruction of a trace."""

    def show(self, one: Run) -> None:
        """The outcome of a run."""

    def finish(self, report: Report, shown: Object | None) -> None:
        """What all of them gave, and the maps of `shown`."""


def told(error: BpfError) -> str:
    """The sentence of an error, with what gives a run more where it had too little."""
    if not isinstance(error, LimitExceeded) or error.amount is None:
        return str(error)
    match error.limit:
        case "instructions":
            return f"{error}: {count_of(error.amount, 'instruction')}, and --budget allows more"
        case "depth":
            return f"{error}; --limits '{{\"max_depth\": N}}' allows more"
    return str(error)


def rewriting(before: bytes, after: bytes) -> str:
    """How a program changed a packet: its new length or the bytes that differ, and what it is now if that changed."""
    if len(before) != len(after):
        what = f"now {count_of(len(after), 'byte')}"
    else:
        differing = [index for index, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        place = count()  # grows with the index exactly within a range
        ranges = [list(group) for _, group in groupby(differing, key=lambda index: index - next(place))]
        shown = [str(one[0]) if len(one) == 1 else f"{one[0]}-{one[-1]}" for one in ranges]
        what = f"rewritten at {', '.join(shown[:MOST_RANGES])}{', ...' if len(shown) > MOST_RANGES else ''}"
    return what if summarise(before) == summarise(after) else f"{what}: {summarise(after)}"


class Printer:
    """The `Output` for people: rows of a table for captures, a few lines a run otherwise."""

    def __init__(self, target: Console, program: Program, source: str, *, table_form: bool) -> None:
        self.console = target
        self._table_form = table_form
        self._rows = 0
        self._has_begun = False
        name = "standard input" if source == "-" else source
        facts = [PROGRAM_TYPES[program.type].name, count_of(len(program.spec.instructions), "slot"), name]
        self._headings = [Text.assemble((program.name, "bold"), ("  " + ", ".join(facts), "dim"))]

    @property
    def has_begun(self) -> bool:
        return self._has_begun

    def note(self, text: str) -> None:
        self._headings.append(Text(text, style="dim"))

    def begin(self, packet: Packet | None) -> None:
        if packet is not None:
            text = f"packet {packet.number}: {count_of(len(packet.data), 'byte')}, {summarise(packet.data)}"
            self._headings.append(Text(text, style="bold"))

    def step(self, step: TraceStep) -> None:
        self._print_headings()
        print_step(self.console, step)

    def show(self, one: Run) -> None:
        self._print_headings()
        if self._table_form:
            self._row(one)
        else:
            self._lines(one)

    def _print_headings(self) -> None:
        """Headings wait for what they head: unusable input prints an error and nothing else."""
        self._has_begun = True
        for heading in self._headings:
            self.console.print(heading)
        self._headings.clear()

    def _row(self, one: Run) -> None:
        assert one.packet is not None
        if not self._rows:
            self.console.print()
            head = f"{'packet':>6}  {'bytes':>5}  {'verdict':<{VERDICT_WIDTH}} {'instr':>7}  contents"
            self.console.print(Text(head, style="dim"))
        self._rows += 1
        frame = one.packet.data
        instructions = "" if one.result is None else number(one.result.instructions)
        row = Text(f"{one.packet.number:>6}  {len(frame):>5}  ")
        row.append(f"{one.verdict:<{VERDICT_WIDTH}}", style=verdict_style(one.verdict))
        row.append(f" {instructions:>7}  {summarise(frame)}")
        self.console.print(row)
        indent = " " * 15
        after = None if one.result is None else one.result.packet
        if after is not None and after != frame:
            self.console.print(Text(f"{indent}{rewriting(frame, after)}", style="blue"))
        self._notes(one, indent)

    def _lines(self, one: Run) -> None:
        if one.result is not None:
            result = one.result
            head = verdict_text(one.verdict) if result.verdict.name else Text()
            head.append(f"{'  ' if head else ''}r0 = {result.r0:#x} ({result.r0}), ", style="default")
            head.append(count_of(result.instructions, "instruction"), style="default")
            self.console.print(head)
            if result.packet is not None:
                same = one.packet is not None and one.packet.data == result.packet
                shown = "unchanged" if same else bytes_text(result.packet)
                self.console.print(Text(f"packet: {count_of(len(result.packet), 'byte')}, {shown}"))
            for name, value in result.context.items():
                self.console.print(Text(f"{name} = {value}"))
        self._notes(one, "")

    def _notes(self, one: Run, indent: str) -> None:
        if one.error is not None:
            self.console.print(Text(f"{indent}{told(one.error)}", style="red"))
        if one.result is not None:
            for line in one.result.printk:
                self.console.print(Text(f"{indent}printk: {line}", style="cyan"))
            if one.result.redirect is not None:
                to, value = one.result.redirect
                self.console.print(Text(f"{indent}redirect to {to} {value}", style="yellow"))

    def finish(self, report: Report, shown: Object | None) -> None:
        self._print_headings()
        if report.interrupted:
            self.console.print(Text(f"interrupted after {count_of(report.runs, 'run')}", style="yellow"))
        elif report.runs == 0:
            self.console.print("no packet was read")
        if report.runs > 1 or (report.runs and self._table_form):
            self._counts(report)
        if report.kernel is not None:
            self._kernel(report.kernel)
        if shown is not None:
            print_maps(self.console, shown.maps.values(), shown.spec.btf)

    def _counts(self, report: Report) -> None:
        """Verdicts and time of all runs."""
        noun = "packet" if self._table_form else "run"
        counts = table("verdict", (f"{noun}s", "right"), ("share", "right"))
        for name, runs in report.verdicts.most_common(MOST_VERDICTS):
            counts.add_row(verdict_text(name), Text(number(runs)), Text(f"{runs / report.runs:.1%}"))
        self.console.print()
        self.console.print(counts)
        if len(report.verdicts) > MOST_VERDICTS:
            self.console.print(f"... and {number(len(report.verdicts) - MOST_VERDICTS)} more", style="dim")
        rate = f" ({number(round(report.runs / report.seconds))} a second)" if report.seconds else ""
        done = f"{count_of(report.runs, 'run')}, {count_of(report.instructions, 'instruction')}"
        self.console.print()
        self.console.print(Text(f"{done} in {report.seconds:.3f} s{rate}", style="dim"))

    def _kernel(self, report: KernelReport) -> None:
        """Whether the kernel agrees; an error is left to whoever raises it."""
        if report.error is None or report.disagreements:
            self.console.print()
        for one in report.disagreements:
            self.console.print(Text(str(one), style="red"))
        if report.error is not None:
            return
        others = f"; its test run does not take {number(report.refused)} more" if report.refused else ""
        packets = count_of(report.packets, "packet")
        if report.agrees:
            self.console.print(Text(f"the kernel agrees on {packets}{others}", style="green"))
        elif report.disagreements:
            differing = len({one.packet for one in report.disagreements})
            self.console.print(Text(f"the kernel disagrees on {differing} of {packets}{others}", style="red"))
        else:
            self.console.print(Text(f"nothing was compared: {packets}{others}", style="red"))
