"""The text format of cases, `.case`: many cases in a file, written by people.

    # A comment, anywhere in a line.
    cite: RFC 9669 4.1                        # of the cases below that have none of their own

    case add: 64-bit addition wraps           # case NAME: one sentence about it
        asm:
            lddw %r1, {a}
            add %r1, {b}
            mov %r0, %r1
            exit
        table:
            a                   b | r0
            0                   1 | 1
            0xffffffffffffffff  1 | 0

    case past-the-end
        cite: RFC 9669 5.1
        mem: 00 01 02 03
        asm: ldxw %r0, [%r1+1]
        expect:
            trap memory
            invalid because a verifier may refuse it

A file is a list of entries; `case` and an optional `cite:` for the whole file stand at column 0.  The fields of an
entry are indented alike, by spaces.  A field has its value behind the colon, on one line, or below it, indented
deeper.  A comment begins with `#`; blank lines mean nothing.

    asm      instructions, as `isa.assembler` reads them in either syntax; helpers may be called by name
    hex      in place of asm: the bytes in the order of memory, for what cannot be assembled; may be empty
    mem      bytes in hex, what r1 points to (r2: their number); may be empty
    map      one `NAME TYPE key=N value=N entries=N [flags=N]` a line, by index in 64-bit immediates
    budget   the number of instructions that an exhaustion case must exceed
    cite     the rule
    expect   one right answer a line (`read_expectation` in `values`): return [VALUE] [rN=VALUE...] [mem=HEX]
             [stack=HEX], trap [CLASS], exhaustion, invalid, malformed; each may end in `because REASON`
    table    a line of column names, then a case a line.  `{input}` in every other field is replaced by the cell.
             Columns behind `|` (r0 to r10, mem, stack) are the answer and take the place of `expect`.  Cases are
             called NAME.1, NAME.2 and so on, or NAME.CELL by a column `name`.

One of asm and hex, and expect or a table with answers, must be there.  Numbers are decimal, also negative, or 0x
hexadecimal, up to 64 bits.  The name of a case is the path of its file, below the folder of the suite and without
suffix, then / and NAME, which may have slashes as well; one case of a file may have no NAME and is called as the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pybpftime.conformance.case import Case, Expectation, Verdict
from pybpftime.conformance.formats.assembly import read_assembly, write_assembly
from pybpftime.conformance.formats.layout import NAME, NAME_RULE, Entry, Field, Line, each, read_entries
from pybpftime.conformance.formats.values import (
    hex_lines,
    read_bytes,
    read_count,
    read_expectation,
    read_map,
    read_signature,
    shown,
    write_expectation,
    write_map,
)
from pybpftime.errors import InputError
from pybpftime.helpers.declarations import KNOWN
from pybpftime.isa.encoding import SLOT_BYTES
from pybpftime.maps import MapSpec

KEYS = ("cite", "asm", "hex", "mem", "map", "budget", "expect", "table")
MAX_TEXT = 4 << 20
"""The longest file that is read, in characters, and the longest that its tables may make of it."""
MAX_BUDGET = (1 << 63) - 1

_HELPERS = {name: number for number, name in KNOWN.items()}
_INPUT = re.compile(r"\{([^{}]*)\}")
_COLUMN = re.compile(r"[a-z_]\w*", re.ASCII)


def read_cases(text: str, *, file: str = "", prefix: str = "") -> list[Case]:
    """The cases of a file; `prefix` is the name of the file as names of cases begin.  InputError with file and line."""
    try:
        if len(text) > MAX_TEXT:
            raise InputError(f"the file has {len(text)} characters, at most {MAX_TEXT} are read")
        cite, entries = read_entries(text, KEYS)
        return list(_Reader(file, prefix, cite).cases(entries))
    except InputError as error:
        raise error.at(file=file or None) from None


# --- tables ---


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of a table: what makes it a case of its own.  An entry without a table has one row with nothing in it."""

    line: int
    name: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


def _read_table(table: Field) -> list[_Row]:
    if len(table.lines) < 2 or not table.is_block:
        raise InputError("a table has a line of column names and one for each case, below `table:`", line=table.line)
    header, *lines = table.lines
    inputs, outputs = _cells(header)
    for names in (inputs, outputs):
        if len(set(names)) < len(names):
            raise InputError("two columns have the same name", line=header.number)
    wrong = next((name for name in inputs if not _COLUMN.fullmatch(name)), None)
    if wrong is not None:
        raise InputError(f"{shown(wrong)} is no name of a column", line=header.number)
    rows = []
    for number, line in enumerate(lines, start=1):
        left, right = _cells(line)
        if (len(left), len(right)) != (len(inputs), len(outputs)):
            sentence = f"the table has {_counted(inputs, outputs)}, this line {_counted(left, right)}"
            raise InputError(sentence, line=line.number)
        cells = dict(zip(inputs, left, strict=True))
        name = cells.get("name", str(number))
        if not NAME.fullmatch(name):
            raise InputError(f"{shown(name)} is no name of a case: {NAME_RULE}", line=line.number)
        rows.append(_Row(line.number, name, cells, dict(zip(outputs, right, strict=True))))
    return rows


def _cells(line: Line) -> tuple[list[str], list[str]]:
    """The inputs and the outputs of a line of a table."""
    left, _, right = line.text.partition("|")
    return left.split(), right.split()


def _counted(inputs: Sequence[str], outputs: Sequence[str]) -> str:
    return f"{len(inputs)} | {len(outputs)} columns"


def _check_inputs(row: _Row, fields: Iterable[Field]) -> None:
    """What fields use is an input.  An input need not be used: it may say what a case is about."""
    for line in (line for one in fields for line in one.lines):
        unknown = next((name for name in _INPUT.findall(line.text) if name not in row.inputs), None)
        if unknown is not None:
            raise InputError(f"the table has no column {shown(unknown)}", line=line.number)


# --- cases ---


@dataclass(slots=True)
class _Reader:
    """Entries of one file to cases.  `seen` has the line of each name, `made` how much text tables have made."""

    file: str
    prefix: str
    cite: str
    seen: dict[str, int] = field(default_factory=dict)
    made: int = 0

    def cases(self, entries: Sequence[Entry]) -> Iterator[Case]:
        for entry in entries:
            try:
                table = entry.fields.pop("table", None)
                if table is None:
                    yield self._case(entry, _Row(entry.line), entry.fields)
                else:
                    yield from self._table_cases(entry, table)
            except InputError as error:
                raise error.at(line=entry.line) from None

    def _table_cases(self, entry: Entry, table: Field) -> Iterator[Case]:
        rows = _read_table(table)
        _check_inputs(rows[0], entry.fields.values())
        for row in rows:
            fields = {key: self._filled(value, row) for key, value in entry.fields.items()}
            try:
                yield self._case(entry, row, fields)
            except InputError as error:
                if error.line in (None, row.line):
                    raise error.at(line=row.line) from None
                # The column is that of the filled line, which nobody sees.
                reason = f"{error.reason} (with the cells of line {row.line})"
                raise InputError(reason, line=error.line) from None

    def _filled(self, template: Field, row: _Row) -> Field:
        lines = []
        for line in template.lines:
            names = _INPUT.findall(line.text) if "{" in line.text else ()
            self.made += len(line.text) + sum(len(row.inputs[name]) for name in names)
            if self.made > MAX_TEXT:
                raise InputError(f"the tables make more than {MAX_TEXT} characters of the file", line=row.line)
            text = _INPUT.sub(lambda match: row.inputs[match[1]], line.text) if names else line.text
            lines.append(Line(line.number, text))
        return Field(template.line, lines, template.is_block)

    def _case(self, entry: Entry, row: _Row, fields: Mapping[str, Field]) -> Case:
        name = "/".join(filter(None, (self.prefix, entry.name)))
        name = ".".join(filter(None, (name, row.name)))
        if not name or name in self.seen:
            what = f"there is a case {name} already, in line {self.seen[name]}" if name else "the case has no name"
            raise InputError(what, line=row.line)
        self.seen[name] = row.line
        return Case(
            name=name,
            code=_code(fields),
            expected=_expected(row, fields),
            memory=b"".join(each(fields["mem"].lines, read_bytes)) if "mem" in fields else None,
            maps=tuple(each(_filled_in("map", fields), read_map)) if "map" in fields else (),
            budget=_budget(fields),
            cite=" ".join(each(_filled_in("cite", fields), str)) if "cite" in fields else self.cite,
            about=entry.about,
            file=self.file,
            line=row.line,
        )


def _filled_in(key: str, fields: Mapping[str, Field]) -> Sequence[Line]:
    """The lines of a field that may not be empty."""
    if not fields[key].lines:
        raise InputError(f"`{key}:` is empty", line=fields[key].line)
    return fields[key].lines


def _code(fields: Mapping[str, Field]) -> bytes:
    if ("asm" in fields) == ("hex" in fields):
        raise InputError("a case has either `asm:` or `hex:`")
    if "hex" in fields:
        return b"".join(each(fields["hex"].lines, read_bytes))
    return read_assembly(_filled_in("asm", fields), helpers=_HELPERS)


def _expected(row: _Row, fields: Mapping[str, Field]) -> tuple[Expectation, ...]:
    if bool(row.outputs) == ("expect" in fields):
        raise InputError("a case has either `expect:` or a table with columns behind `|`")
    if row.outputs:
        return (Expectation(Verdict.RETURN, read_signature(iter(row.outputs.items()))),)
    return tuple(each(_filled_in("expect", fields), read_expectation))


def _budget(fields: Mapping[str, Field]) -> int | None:
    if "budget" not in fields:
        return None
    text = " ".join(each(_filled_in("budget", fields), str))
    try:
        return read_count(text, "the budget", MAX_BUDGET)
    except InputError as error:
        raise error.at(line=fields["budget"].line) from None


# --- writing ---


def write_case(case: Case, name: str) -> str:
    """The entry that reads back as `case`, with `name` behind the name of the file; empty for that alone.

    Code that is all instructions is written as assembly, other code in hex.  InputError, with the name of the case, for
    texts that would not read back (with `#`, line feeds, or blanks at an end) and maps that are more than a line says.
    """
    if name and not NAME.fullmatch(name):
        raise InputError(f"{shown(name)} is no name of a case: {NAME_RULE}")
    texts = (case.about, case.cite, *(expectation.why for expectation in case.expected))
    wrong = next((text for text in texts if not _LINE.fullmatch(text)), None)
    if wrong is not None:
        raise InputError(f"{case.name}: {shown(wrong)} is no line of text without `#`")
    heading = f"case {name}" if name else "case"
    lines = [f"{heading}: {case.about}" if case.about else heading]
    if case.cite:
        lines += _written("cite", [case.cite])
    lines += _written_code(case.code)
    if case.memory is not None:
        lines += _written("mem", hex_lines(case.memory))
    if case.maps:
        lines += _written("map", [_written_map(case, spec) for spec in case.maps])
    if case.budget is not None:
        lines += _written("budget", [str(case.budget)])
    return "".join(f"{line}\n" for line in lines + _written("expect", list(map(write_expectation, case.expected))))


_LINE = re.compile(r"(?:[^\s#]|[^\s#][^#\n]*[^\s#])?")


def _written(key: str, values: Sequence[str], *, block: bool = False) -> list[str]:
    if len(values) == 1 and not block:
        return [f"    {key}: {values[0]}"]
    return [f"    {key}:", *(f"        {value}" for value in values)]


def _written_map(case: Case, spec: MapSpec) -> str:
    try:
        return write_map(spec)
    except InputError as error:
        raise InputError(f"{case.name}: {error.reason}") from None


def _written_code(code: bytes) -> list[str]:
    lines = write_assembly(code)
    if lines is not None:
        return _written("asm", lines, block=True)
    return _written("hex", hex_lines(code, SLOT_BYTES))
