"""Coverage: which source lines, instructions and branch directions ran, as an lcov file.

For every source file of the program there is a record with line, function and branch counts.  Instructions are
covered through a listing, one instruction a line, written beside the lcov file and covered like a source: tools
such as genhtml show both.  A file that exists is merged: counts are added.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pybpftime.errors import InputError
from pybpftime.isa import Form, jump_offset, lookup
from pybpftime.isa.disassembler import format_instruction
from pybpftime.machine import Machine, Observer
from pybpftime.program.spec import ProgramSpec

MAX_FILE = 64 << 20
"""The largest lcov file that is merged into, in bytes."""

Place = TypeVar("Place")


@dataclass(slots=True)
class FileRecord:
    """One SF record: counts by line, by function and by (line, block, branch)."""

    lines: Counter[int] = field(default_factory=Counter)
    functions: Counter[tuple[int, str]] = field(default_factory=Counter)
    branches: Counter[tuple[int, int, int]] = field(default_factory=Counter)

    def add(self, other: FileRecord) -> None:
        """Add the counts of `other`, keeping entries that are 0."""
        _add(self.lines, other.lines)
        _add(self.functions, other.functions)
        _add(self.branches, other.branches)


def _add(mine: Counter[Place], theirs: Counter[Place]) -> None:
    for place, count in theirs.items():
        mine[place] += count


class Coverage(Observer):
    """Counts executed instructions and branch directions of every program that runs while it watches."""

    def __init__(self, programs: Iterable[ProgramSpec] = ()) -> None:
        self._hits: dict[int, Counter[int]] = {}
        self._taken: dict[int, Counter[int]] = {}
        self._specs: dict[int, ProgramSpec] = {}
        for spec in programs:
            self.expect(spec)

    def expect(self, spec: ProgramSpec) -> None:
        """Report on this program even if it never runs."""
        self._know(spec)

    def _know(self, spec: ProgramSpec) -> int:
        key = id(spec)
        if key not in self._specs:
            self._specs[key] = spec
            self._hits[key] = Counter()
            self._taken[key] = Counter()
        return key

    def before(self, machine: Machine, pc: int) -> None:
        code, slot = machine.locate(pc)
        self._hits[self._know(code.program.spec)][slot] += 1

    def after(self, machine: Machine, pc: int, next_pc: int) -> None:
        if next_pc != pc + 1:
            code, slot = machine.locate(pc)
            self._taken[self._know(code.program.spec)][slot] += 1

    def records(self, listings: Path) -> dict[str, FileRecord]:
        """Counts by file; the listings are written into the folder `listings`.  InputError when they cannot be."""
        records: dict[str, FileRecord] = defaultdict(FileRecord)
        for key, spec in self._specs.items():
            self._source_records(spec, self._hits[key], self._taken[key], records)
            listing = listings / f"{_listing_name(spec)}.s"
            try:
                listings.mkdir(exist_ok=True)
            except OSError as error:
                raise _not_written(listings, error) from None
            _replace(listing, "".join(_listing(spec)))
            record = records[str(listing)]
            for slot, instruction in enumerate(spec.instructions):
                if instruction is not None:
                    record.lines[slot + 1] += self._hits[key][slot]
        return records

    def _source_records(
        self, spec: ProgramSpec, hits: Counter[int], taken: Counter[int], records: dict[str, FileRecord]
    ) -> None:
        per_line: dict[tuple[str, int], int] = {}
        for slot, instruction in enumerate(spec.instructions):
            line = spec.line_at(slot)
            if instruction is None or line is None:
                continue
            # A line has several instructions; it ran as often as the one that ran most.
            place = (line.file, line.line)
            per_line[place] = max(per_line.get(place, 0), hits[slot])
            row = lookup(instruction)
            if row.form is Form.JUMP_IF and jump_offset(row, instruction) != 0:
                record = records[line.file]
                record.branches[line.line, slot, 0] += taken[slot]
                record.branches[line.line, slot, 1] += hits[slot] - taken[slot]
        for (file, number), count in per_line.items():
            records[file].lines[number] += count
        for function in spec.functions:
            line = spec.line_at(function.start)
            if line is not None:
                records[line.file].functions[line.line, function.name] += hits[function.start]

    def write(self, file: str | os.PathLike[str]) -> dict[str, FileRecord]:
        """Write or merge into the lcov file; returns what it holds now.  InputError when it cannot be.

        Links are followed; a file that exists keeps its mode and is replaced in one step.
        """
        check_target(file)
        path = Path(file)
        merged = read_lcov(path) if path.exists() else {}
        merge(merged, self.records(listings_beside(path)))
        write_lcov(path, merged)
        return merged


def listings_beside(path: Path) -> Path:
    """The folder for the listings of an lcov file."""
    return path.with_name(path.name + ".listings")


def merge(records: dict[str, FileRecord], others: Mapping[str, FileRecord]) -> None:
    """Add the counts of `others` to `records`."""
    for name, record in others.items():
        records.setdefault(name, FileRecord()).add(record)


def write_lcov(path: Path, records: Mapping[str, FileRecord]) -> None:
    """Write a tracefile in one step; InputError when it cannot be."""
    _replace(path, format_lcov(records))


def check_target(file: str | os.PathLike[str]) -> None:
    """InputError when `Coverage.write` could not write to `file`: for asking before a long run.

    Only regular files are replaced or merged into, links to them followed.  Nothing is written, and of a file that
    exists one line is read.
    """
    path = Path(file)
    _, status = _target(path)
    listings = listings_beside(path)
    if listings.exists() and not listings.is_dir():
        raise InputError("cannot be written: it is no folder", file=str(listings))
    if status is not None:
        if status.st_size > MAX_FILE:
            raise _too_large(path)
        parse_lcov(_read(path, 4096).partition("\n")[0], str(path))


def _target(path: Path) -> tuple[Path, os.stat_result | None]:
    """The file that `path` leads to, and its status if it exists; InputError when it cannot be replaced."""
    try:
        target = Path(os.path.realpath(path))
        try:
            status = os.stat(path)
        except FileNotFoundError:
            status = None
            os.stat(target.parent)
        if status is not None and not stat.S_ISREG(status.st_mode):
            raise InputError("cannot be written: it is no regular file", file=str(path))
        if not os.access(target.parent, os.W_OK) or (status is not None and not os.access(target, os.W_OK)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise _not_written(path, error) from None
    return target, status


def _replace(path: Path, text: str) -> None:
    """Write a regular file in one step, with the mode and the owner that it had."""
    target, status = _target(path)
    temporary = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        stream = temporary.open("x", encoding="utf-8")
        try:
            with stream:
                stream.write(text)
            if status is not None:
                _copy_rights(temporary, status)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise _not_written(path, error) from None


def _copy_rights(path: Path, status: os.stat_result) -> None:
    if hasattr(os, "chown"):
        with suppress(PermissionError):
            os.chown(path, status.st_uid, status.st_gid)
    path.chmod(stat.S_IMODE(status.st_mode))


def _not_written(path: Path, error: Exception) -> InputError:
    return InputError(f"cannot be written: {getattr(error, 'strerror', None) or error}", file=str(path))


def _listing(spec: ProgramSpec) -> Iterable[str]:
    for slot, instruction in enumerate(spec.instructions):
        text = "" if instruction is None else format_instruction(instruction)
        yield f"{slot:5}: {text}\n"


def _listing_name(spec: ProgramSpec) -> str:
    """`xdp_parser.parse` for program parse of xdp_parser.bpf.o."""
    stem = Path(spec.file).name.removesuffix(".o").removesuffix(".bpf") if spec.file else ""
    name = spec.name if stem in ("", spec.name) else f"{stem}.{spec.name}"
    return re.sub(r"[^\w.-]", "_", name) or "program"


def format_lcov(records: Mapping[str, FileRecord]) -> str:
    """The text of an lcov tracefile.  `-` is what lcov writes for the branches of an instruction that never ran."""
    lines = []
    for name, record in sorted(records.items()):
        lines += ["TN:", f"SF:{name}"]
        for (line, function), _ in sorted(record.functions.items()):
            lines.append(f"FN:{line},{function}")
        for (_, function), count in sorted(record.functions.items()):
            lines.append(f"FNDA:{count},{function}")
        lines += [f"FNF:{len(record.functions)}", f"FNH:{_hit(record.functions)}"]
        ran = {(line, block) for (line, block, _), count in record.branches.items() if count}
        for (line, block, branch), count in sorted(record.branches.items()):
            lines.append(f"BRDA:{line},{block},{branch},{count if (line, block) in ran else '-'}")
        lines += [f"BRF:{len(record.branches)}", f"BRH:{_hit(record.branches)}"]
        for line, count in sorted(record.lines.items()):
            lines.append(f"DA:{line},{count}")
        lines += [f"LF:{len(record.lines)}", f"LH:{_hit(record.lines)}", "end_of_record"]
    return "".join(f"{line}\n" for line in lines)


def _hit(counts: Counter[int] | Counter[tuple[int, str]] | Counter[tuple[int, int, int]]) -> int:
    return sum(1 for count in counts.values() if count)


def read_lcov(path: Path) -> dict[str, FileRecord]:
    """The records of a tracefile that `format_lcov` wrote; InputError, with the line if it has one, for anything else.

    At most `MAX_FILE` bytes of a regular file are read.
    """
    return parse_lcov(_read(path), str(path))


def _read(path: Path, only: int | None = None) -> str:
    """The text of a regular file, or the first bytes of it."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError("cannot be read: it is no regular file", file=str(path))
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE + 1 if only is None else only)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=str(path)) from None
    if len(content) > MAX_FILE:
        raise _too_large(path)
    return content.decode("utf-8", errors="replace")


def _too_large(path: Path) -> InputError:
    return InputError(f"has more than {MAX_FILE >> 20} MiB", file=str(path))


def parse_lcov(text: str, file: str) -> dict[str, FileRecord]:
    """As `read_lcov`, of a text; `file` is what errors call it."""
    records: dict[str, FileRecord] = {}
    record = FileRecord()
    places: dict[str, int] = {}
    for number, line_text in enumerate(io.StringIO(text), 1):  # not splitlines: a list of all lines would be large
        tag, _, rest = line_text.rstrip("\r\n").partition(":")
        try:
            if tag == "SF":
                record = records.setdefault(rest, FileRecord())
                places = {}
            elif tag == "FN":
                line, name = rest.split(",", 1)
                places[name] = int(line)
            elif tag == "FNDA":
                count, name = rest.split(",", 1)
                record.functions[places[name], name] += int(count)
            elif tag == "BRDA":
                where, block, branch, count = rest.split(",")
                record.branches[int(where), int(block), int(branch)] += 0 if count == "-" else int(count)
            elif tag == "DA":
                line, count = rest.split(",")[:2]
                record.lines[int(line)] += int(count)
            elif tag not in ("TN", "FNF", "FNH", "BRF", "BRH", "LF", "LH", "end_of_record"):
                raise ValueError(tag)
        except (ValueError, KeyError):
            raise InputError("is no lcov file that coverage can be merged into", file=file, line=number) from None
    return records
