"""From the records of a recording to a session.  Nothing in a file is believed: what does not fit is an InputError."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

from pybpftime.debug.answers import FIELDS, AnswerBook
from pybpftime.debug.recording.digest import Checksum
from pybpftime.debug.recording.file import Record, read_records
from pybpftime.debug.recording.maps import MapReader
from pybpftime.debug.session import Output, Session
from pybpftime.debug.symbols import DebugFile
from pybpftime.debug.timeline import Change, Edit, Invocation, Timeline
from pybpftime.errors import InputError
from pybpftime.helpers import HelperTable
from pybpftime.isa.encoding import MAX_SLOTS, SLOT_BYTES, decode_program
from pybpftime.machine import LEVELS, Limits
from pybpftime.machine.environment import MAX_CPUS, check_field
from pybpftime.machine.machine import REGISTERS
from pybpftime.machine.stack import MAPPED_FRAMES
from pybpftime.maps.kinds import check
from pybpftime.maps.layout import layout_of
from pybpftime.maps.spec import like_libbpf
from pybpftime.program.elf import load_object
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.program.types import program_type
from pybpftime.runtime import Object
from pybpftime.runtime.load import with_type

MOST_STEPS = 1 << 62
MOST_TIMELINES = 1 << 16
LONGEST_READ = 1 << 29
LARGEST_MAPS = 8 << 30
LARGEST_STACKS = 256 << 20
"""Bytes of all maps, and of all stacks of all programs."""


class SessionReader:
    """Takes the records of a file in their order.  `session` is made of them, `checksums` are those that it had."""

    def __init__(self, file: str, output: Output | None, helpers: HelperTable) -> None:
        self.file = file
        self.checksums: list[Checksum] = []
        self.made_by = ""
        self._output = output
        self._helpers = helpers
        self._object: Object | None = None
        self._debug: DebugFile | None = None
        self._budget = 0
        self._maps: MapReader | None = None
        self._invocations: list[Invocation] = []
        self._on: Invocation | None = None
        self._timelines: list[Timeline] = []
        self._current = 1
        self._take: Mapping[str, Callable[[Record], None]] = {
            "map": self._read_map,
            "invocation": self._read_invocation,
            "times": self._read_values,
            "numbers": self._read_values,
            "read": self._read_answer,
            "timeline": self._read_timeline,
            "starts": self._read_starts,
            "edit": self._read_edit,
            "position": self._read_position,
            "checksum": self._read_checksum,
        }

    def read(self) -> Session:
        """The session, before its first step, on the time line that was the current one."""
        for record in read_records(self.file):
            if record.kind == "header":
                self.made_by = record.text("made_by", "an unknown program")
            elif record.kind == "session":
                self._read_session(record)
            elif record.kind in self._take:
                if self._object is None:
                    record.refuse("the session record comes before all that belongs to it")
                self._take[record.kind](record)
        if self._object is None or self._maps is None:
            raise InputError("the recording has no session record", file=self.file)
        self._maps.finish()
        session = Session(self._object, self._invocations, debug=self._debug, budget=self._budget, output=self._output)
        if self._timelines:
            session.world.timelines[:] = self._timelines
            session.world.timeline = self._timelines[self._current - 1]
        return session

    @property
    def _loaded(self) -> Object:
        assert self._object is not None
        return self._object

    @property
    def _book(self) -> AnswerBook:
        book = self._loaded.environment
        assert isinstance(book, AnswerBook)
        return book

    # -- what runs -----------------------------------------------------------------------------------------------------

    def _read_session(self, record: Record) -> None:
        if self._object is not None:
            record.refuse("there are two session records")
        level = record.text("level")
        if level not in LEVELS:
            record.refuse(f"there is no level {level[:40]!r}")
        self._budget = record.number("budget", 1, MOST_STEPS)
        with _placed(record):
            spec = self._read_spec(record)
            self._require_helpers(record)
            environment = AnswerBook(None, **_environment(record))
            limits = _limits(record)
            _check_size(spec, limits, environment.cpu_count)
            if "witness" in record.data:
                from pybpftime.debug.witness import object_on  # most sessions are on no witness

                self._object, self._on = object_on(
                    spec, record.fields("witness"), level=level, environment=environment, helpers=self._helpers
                )
            else:
                self._object = Object(
                    spec, level=LEVELS[level], environment=environment, helpers=self._helpers, limits=limits
                )
        self._maps = MapReader(self._object)

    def _read_spec(self, record: Record) -> ObjectSpec:
        described = record.fields("object")
        inner = Record(described, record.file, record.line, {})
        name = inner.text("name", "object")
        content = record.decoded("the content of the object", {"content": described.get("content")})
        if inner.text("kind") == "raw":
            if len(content) > MAX_SLOTS * SLOT_BYTES:
                record.refuse(f"a program has at most {MAX_SLOTS} slots")
            program = inner.text("program")
            raw = ProgramSpec(program, decode_program(content), license=inner.text("license", "GPL"), file=name)
            spec = ObjectSpec(name, {program: raw}, {}, license="GPL")
        else:
            spec = load_object(content, name=name)
            self._debug = DebugFile(content)
        types = record.fields("types")
        programs = dict(spec.programs)
        for one, wanted in types.items():
            if one not in programs or not isinstance(wanted, str):
                record.refuse("types says the type of each program of the object")
            programs[one] = with_type(programs[one], program_type(wanted))
        return replace(spec, programs=programs)

    def _require_helpers(self, record: Record) -> None:
        for entry in record.items("helpers", optional=True):
            inner = Record(entry if isinstance(entry, dict) else {}, record.file, record.line, {})
            name = inner.text("name")
            found = self._helpers.find(name)
            if found is None or found.id != entry.get("id", found.id):
                record.refuse(f"the recording needs the helper {name[:100]}: give the module that has it")

    def _read_map(self, record: Record) -> None:
        assert self._maps is not None
        self._maps.read(record)

    # -- what it runs on -----------------------------------------------------------------------------------------------

    def _read_invocation(self, record: Record) -> None:
        program = record.text("program")
        if program not in self._loaded:
            record.refuse(f"the object has no program {program[:100]!r}")
        ctx: Any = record.octets("ctx_bytes")
        if record.data.get("ctx") is not None:
            ctx = record.fields("ctx")
        fields = _environment(record, self._book.cpu_count, self._book.base["cpu"])
        packet, mem, label = record.octets("packet"), record.octets("mem"), record.text("label", "")
        if self._on is not None:
            if self._invocations or program != self._on.program:
                record.refuse("a session on a witness runs the program of the witness, once")
            self._invocations.append(replace(self._on, fields=fields, label=label))
            return
        self._invocations.append(Invocation(program, packet, ctx, mem, fields, label))

    def _read_values(self, record: Record) -> None:
        """Times, or random numbers."""
        values = self._book.answers.times if record.kind == "times" else self._book.answers.numbers
        try:
            values.extend(array(values.typecode, record.items("values")))
        except (TypeError, OverflowError):
            record.refuse(f"values are numbers of {8 * values.itemsize} bits")

    def _read_answer(self, record: Record) -> None:
        length = record.number("length", most=LONGEST_READ)
        content = record.octets("bytes")
        if content is not None and len(content) != length:
            record.refuse(f"bytes has {length} bytes, as length says")
        self._book.answers.reads[record.number("number"), record.number("address"), length] = content

    # -- time lines ----------------------------------------------------------------------------------------------------

    def _read_timeline(self, record: Record) -> None:
        number = record.number("number", len(self._timelines) + 1, len(self._timelines) + 1)
        if number > MOST_TIMELINES:
            record.refuse(f"a recording has at most {MOST_TIMELINES} time lines")
        parent, forked_at = None, 0
        if record.data.get("parent") is not None:
            parent = self._timelines[record.number("parent", 1, number - 1) - 1]
            forked_at = record.number("forked_at", most=min(parent.end, MOST_STEPS))
        timeline = Timeline(number, parent, forked_at)
        timeline.end = record.number("end", forked_at, MOST_STEPS)
        self._timelines.append(timeline)

    def _timeline_of(self, record: Record) -> Timeline:
        number = record.number("timeline", 1, MOST_TIMELINES)
        if number > len(self._timelines):
            record.refuse(f"there is no time line {number} before this line")
        return self._timelines[number - 1]

    def _read_starts(self, record: Record) -> None:
        timeline = self._timeline_of(record)
        for step in record.items("steps"):
            least = timeline.starts[-1] + 1 if timeline.starts else 0
            timeline.starts.append(record.checked_number("the start of an invocation", step, least, timeline.end))
        if len(timeline.starts) > len(self._invocations) or timeline.starts[:1] not in ([], [0]):
            record.refuse("the first invocation starts at step 0, and each starts once")

    def _read_edit(self, record: Record) -> None:
        timeline = self._timeline_of(record)
        step = record.number("step", most=timeline.end)
        if "register" in record.data:
            value = None if record.data.get("value") is None else record.number("value")
            if value is None and not self._loaded.level.uninitialised_register:
                record.refuse("at this level a register always has a value")
            timeline.add_edit(Edit(step, Change.REGISTER, record.number("register", 0, REGISTERS - 1), value))
        elif "map" in record.data:
            timeline.add_edit(Edit(step, Change.ELEMENT, *self._element_edit(record)))
        else:
            content = record.octets("bytes")
            if content is None:
                record.refuse("an edit is of a register, of memory or of an element of a map")
            timeline.add_edit(Edit(step, Change.MEMORY, record.number("address"), content))

    def _element_edit(self, record: Record) -> tuple[tuple[str, bytes], Any]:
        """Map and key, and the new value, a tuple of values or None."""
        name, key = record.text("map"), record.octets("key") or b""
        if name not in self._loaded.maps:
            record.refuse(f"the object has no map {name[:100]!r}")
        value: Any = record.octets("bytes")
        if "values" in record.data:
            value = tuple(record.decoded("a value", one) for one in record.items("values"))
        raw = self._loaded.maps[name].raw
        with _placed(record):
            raw.checked_key(key)
            if value is not None:
                raw.checked_value(value)
        return (name, key), value

    def _read_position(self, record: Record) -> None:
        self._current = self._timeline_of(record).number

    def _read_checksum(self, record: Record) -> None:
        self.checksums.append(
            Checksum(
                self._timeline_of(record).number, record.number("invocation"), record.number("step"),
                record.text("value"),
            )
        )  # fmt: skip


# --- parts ------------------------------------------------------------------------------------------------------------


@contextmanager
def _placed(record: Record) -> Iterator[None]:
    """What goes wrong with what the line describes is said about the line."""
    try:
        yield
    except InputError as error:
        if error.line is not None and error.file == record.file:
            raise
        record.refuse(str(error))


def _environment(record: Record, cpu_count: int = MAX_CPUS, cpu: int = 0) -> dict[str, Any]:
    """Fields of an Environment; the cpu is one of `cpu_count`."""
    given = record.fields("environment")
    for name, value in given.items():
        if name not in FIELDS:
            continue  # of a later version
        try:
            check_field(name, value)
        except InputError as error:
            record.refuse(error.reason)
    cpus, on = int(given.get("cpu_count", cpu_count)), int(given.get("cpu", cpu))
    if on >= min(cpu_count, cpus):
        record.refuse(f"there is no cpu {on}")
    if cpu_count not in (MAX_CPUS, cpus):
        record.refuse("all invocations have the same number of cpus")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if name in FIELDS}


def _check_size(spec: ObjectSpec, limits: Limits, cpu_count: int) -> None:
    """InputError for an object that takes more memory than this runtime gives to a file of unknown origin."""
    maps = 0
    for one in spec.maps.values():
        filled = like_libbpf(one, cpu_count)
        check(filled)
        maps += layout_of(filled, cpu_count).slab_size
    stacks = len(spec.programs) * min(limits.max_depth, MAPPED_FRAMES) * limits.frame_size
    for what, size, most in (("maps", maps, LARGEST_MAPS), ("stacks", stacks, LARGEST_STACKS)):
        if size > most:
            raise InputError(f"its {what} have {size} bytes, and those of a recording have at most {most}")


def _limits(record: Record) -> Limits:
    known = [field.name for field in fields(Limits)]
    return Limits(**{name: value for name, value in record.fields("limits").items() if name in known})
