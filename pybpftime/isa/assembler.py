"""Assembly text to programs, in pseudo-C, mnemonics, or both mixed.

    start:  r0 = 5                  ; comments begin with ;, // or #
            if r1 == 0x7 goto end   # pseudo-C
            jeq %r1, 8, end         // the same in mnemonics
            goto +1
            call bpf_ktime_get_ns   ; a label, or a name from `helpers`
    end:    exit

A line is one instruction, a directive (`.byte`, `.8byte`) or nothing, after any number of labels.  Jump targets
are `+N` or `-N` slots from the next instruction, or labels; a jump to `exit` where no such label is leads to the
first exit instruction, as in bpf_conformance.  Numbers are decimal or `0x` hexadecimal; a 32-bit constant may be
written with or without sign.

What tools print can be pasted: a slot's number before an instruction (`12:`) is passed over, llvm-objdump's
symbols become labels, and `<...>` after a target is ignored.  An opcode (`(b7)`, the kernel's verifier) or the
bytes (`b7 00 ...`, llvm-objdump) before an instruction choose between its readings and must agree with the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

from pybpftime.errors import InputError
from pybpftime.isa.directives import directive_bytes
from pybpftime.isa.encoding import MAX_SLOTS, SLOT_BYTES, Instruction, Program, decode_program, sign_extend
from pybpftime.isa.grammar import Match, parse
from pybpftime.isa.row import Form, Row
from pybpftime.isa.syntax import NAMED, SLOTS, Operand, Syntax, syntax_named
from pybpftime.isa.tokens import NAME, REGISTER, tokenize, without_comment

MAX_TEXT = 2 << 20
MAX_LINE = 1 << 16
"""The longest text and line that are read, in characters."""
CACHED_LINES = 4096
"""How many different lines are remembered: programs repeat themselves and each other."""
CACHED_LINE = 200
"""The longest line, in characters, that is remembered for longer than its text is read."""


def assemble(
    text: str, *, helpers: Mapping[str, int] | None = None, syntax: str | None = None, file: str | None = None
) -> Program:
    """The program that `text` writes.

    `helpers` gives the ids of helper functions that are called by name.  `syntax` (`pseudo-c` or `mnemonic`) allows
    only one; by default each line may be either.  Raises InputError with `file`, line and column.  The program is
    not validated: see `validate`.
    """
    assembly = _assemble(text, helpers, syntax, file)
    try:
        return decode_program(bytes(assembly.code))
    except InputError as error:
        raise error.at(file=file, line=assembly.line_of(error.instruction)) from None


def assemble_bytes(
    text: str, *, helpers: Mapping[str, int] | None = None, syntax: str | None = None, file: str | None = None
) -> bytes:
    """As `assemble`, but the bytes (little-endian), which directives may make anything at all."""
    return bytes(_assemble(text, helpers, syntax, file).code)


@dataclass(frozen=True, slots=True)
class _Line:
    """What the text of a line says, wherever it stands.

    `labels` have their columns.  `code` is what the line adds.  For an instruction with names, which other lines
    explain, it is zeros, and `readings`, `witness` and `column` say what is to take their place.
    """

    labels: tuple[tuple[str, int], ...] = ()
    code: bytes = b""
    readings: tuple[Match, ...] = ()
    witness: bytes = b""
    column: int = 1
    is_instruction: bool = False
    is_exit: bool = False
    is_blank: bool = False


@dataclass(frozen=True, slots=True)
class _Statement:
    """A line with an instruction whose names are not resolved."""

    line: int
    slot: int
    text: _Line


@dataclass(slots=True)
class _Assembly:
    helpers: Mapping[str, int]
    code: bytearray = field(default_factory=bytearray)
    labels: dict[str, int] = field(default_factory=dict)
    label_lines: dict[str, int] = field(default_factory=dict)
    statements: list[_Statement] = field(default_factory=list)
    lines: list[tuple[int, int]] = field(default_factory=list)  # slot, line
    first_exit: int | None = None

    def line_of(self, slot: int | None) -> int | None:
        """The line that wrote a slot."""
        return max(((first, line) for first, line in self.lines if first <= (slot or 0)), default=(0, None))[1]

    def slot(self) -> int:
        slot, rest = divmod(len(self.code), SLOT_BYTES)
        if rest:
            raise InputError(f"the bytes before this line end in the middle of a slot ({rest} of {SLOT_BYTES} bytes)")
        return slot


def _assemble(text: str, helpers: Mapping[str, int] | None, syntax: str | None, file: str | None) -> _Assembly:
    syntaxes = tuple(Syntax) if syntax is None else (syntax_named(syntax),)
    if len(text) > MAX_TEXT:
        raise InputError(f"the text has {len(text)} characters, at most {MAX_TEXT} are read", file=file)
    assembly = _Assembly(helpers or {})
    read_long = lru_cache(CACHED_LINES)(_read_line)
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            read = _read_short if len(line) <= CACHED_LINE else read_long
            _place(assembly, number, read(syntaxes, line))
        except InputError as error:
            raise error.at(file=file, line=number) from None
    for statement in assembly.statements:
        try:
            code = _encode(statement.text.readings, statement.text.witness, partial(_value, assembly, statement.slot))
        except InputError as error:
            raise error.at(file=file, line=statement.line, column=statement.text.column) from None
        position = statement.slot * SLOT_BYTES
        assembly.code[position : position + len(code)] = code
    return assembly


def _place(assembly: _Assembly, number: int, line: _Line) -> None:
    """Add what a line says to what the lines before it said."""
    if line.is_blank:
        return
    for name, column in line.labels:
        _define(assembly, name, column, number)
    start = len(assembly.code)
    assembly.lines.append((start // SLOT_BYTES, number))
    if line.is_instruction:
        slot = assembly.slot()
        if line.readings:
            assembly.statements.append(_Statement(number, slot, line))
        if line.is_exit and assembly.first_exit is None:
            assembly.first_exit = slot
    if start + len(line.code) > MAX_SLOTS * SLOT_BYTES:
        raise InputError(f"the program has more than {MAX_SLOTS} slots")
    assembly.code += line.code


def _define(assembly: _Assembly, name: str, column: int, line: int) -> None:
    if name in assembly.labels:
        raise InputError(f"label {name!r} is already defined in line {assembly.label_lines[name]}", column=column)
    assembly.labels[name] = assembly.slot()
    assembly.label_lines[name] = line


# --- first pass: lines to statements ---

# Matched where white space has been passed over, so that no pattern begins with it and none takes quadratic time.
_HEADING = re.compile(r".*:\s+file format \S+\s*$|Disassembly of section .*:\s*$", re.ASCII)
_SYMBOL = re.compile(rf"[0-9a-fA-F]{{8,16}} <({NAME})>:$", re.ASCII)
_RELOCATION = re.compile(r"[0-9a-fA-F]+:\s+R_BPF_\w+", re.ASCII)
_SLOT_NUMBER = re.compile(r"[0-9]+:(?:\s+|$)", re.ASCII)
_BYTES = re.compile(
    r"(?:[0-9a-fA-F]+:\s*)?((?:[0-9a-fA-F]{2} ){7}[0-9a-fA-F]{2}(?: (?:[0-9a-fA-F]{2} ){7}[0-9a-fA-F]{2})?)\s+"
)
_OPCODE = re.compile(r"\(([0-9a-fA-F]{2})\)\s+")
_LABEL = re.compile(rf"({NAME})\s*:\s*", re.ASCII)
_ANNOTATION = re.compile(r"\s<[^<>\s]+>$")


def _read_line(syntaxes: tuple[Syntax, ...], line: str) -> _Line:
    """A line by itself.  InputError with a column."""
    if len(line) > MAX_LINE:
        raise InputError(f"the line has {len(line)} characters, at most {MAX_LINE} are read")
    start, witness = len(line) - len(line.lstrip()), b""
    heading = _HEADING.match(line, start)  # names of files and sections may hold what begins a comment elsewhere
    line = without_comment(line)
    if heading or start >= len(line):
        return _Line(is_blank=True)
    if symbol := _SYMBOL.match(line, start):
        return _Line((_label(symbol),))
    if _RELOCATION.match(line, start):
        sentence = "relocations are not applied: leave them out, or load the object file itself"
        raise InputError(sentence, column=start + 1)
    if match := _BYTES.match(line, start):
        start, witness = match.end(), bytes.fromhex(match[1])
    elif match := _SLOT_NUMBER.match(line, start):
        start = match.end()
    if match := _OPCODE.match(line, start):
        start, witness = match.end(), witness or bytes.fromhex(match[1])
    labels = []
    while match := _LABEL.match(line, start):
        labels.append(_label(match))
        start = match.end()
    if line[start:] == "<unknown>" and len(witness) >= SLOT_BYTES:  # llvm-objdump with too low a -mcpu
        return _Line(tuple(labels), witness)
    annotation = _ANNOTATION.search(line, start)
    tokens = tokenize(line[: annotation.start()] if annotation else line, start)
    if len(tokens) == 1:
        return _Line(tuple(labels))
    if tokens[0].text.startswith("."):
        return _Line(tuple(labels), directive_bytes(tokens))
    column = tokens[0].column
    readings = _choose(parse(tokens, syntaxes, ambiguous=bool(witness)), witness, column)
    row = readings[0].row
    if any(operand.name is not None for reading in readings for operand in reading.operands.values()):
        code = bytes(SLOT_BYTES * (2 if row.wide else 1))
        return _Line(tuple(labels), code, readings, witness, column, is_instruction=True)
    try:
        code = _encode(readings, witness, lambda row, placeholder, operand: operand.value)
    except InputError as error:
        raise error.at(column=column) from None
    return _Line(tuple(labels), code, is_instruction=True, is_exit=row.form is Form.EXIT)


_read_short = lru_cache(CACHED_LINES)(_read_line)


def _label(match: re.Match[str]) -> tuple[str, int]:
    name, column = match[1], match.start(1) + 1
    if REGISTER.fullmatch(name) or name == "pc":
        raise InputError(f"{name!r} cannot be a label", column=column)
    return name, column


def _choose(readings: Sequence[Match], witness: bytes, column: int) -> tuple[Match, ...]:
    """The readings that agree with the opcode before the instruction, if there is one."""
    chosen = tuple(reading for reading in readings if not witness or reading.row.opcode == witness[0])
    if not chosen:
        raise InputError(f"the opcode says {witness[0]:#04x} and the text {readings[0].row.opcode:#04x}", column=column)
    return chosen


# --- second pass: names to numbers ---


def _encode(readings: Sequence[Match], witness: bytes, value_of: Callable[[Row, str, Operand], int]) -> bytes:
    """The bytes of the first reading whose names are known, and that agrees with the bytes before the instruction."""
    problems: list[InputError] = []
    encodings: list[bytes] = []
    for reading in readings:
        try:
            encodings.append(_instruction(reading, value_of).encode())
        except InputError as error:
            problems.append(error)
    if not encodings:
        raise problems[0]
    agreeing = [code for code in encodings if len(witness) < SLOT_BYTES or code == witness]
    if not agreeing:
        raise InputError(f"the bytes say {witness.hex(' ')} and the text {encodings[0].hex(' ')}")
    return agreeing[0]


def _instruction(reading: Match, value_of: Callable[[Row, str, Operand], int]) -> Instruction:
    row = reading.row
    fields = {"dst_reg": 0, "src_reg": 0, "offset": 0, "imm": 0, "next_imm": 0, **row.fixed}
    for name, operand in reading.operands.items():
        try:
            for changed, bits in SLOTS[name].put(row, value_of(row, name, operand)).items():
                fields[changed] |= bits
        except InputError as error:
            raise error.at(column=operand.column) from None
    imm, next_imm = sign_extend(fields["imm"], 32), sign_extend(fields["next_imm"], 32) if row.wide else None
    return Instruction(row.opcode, fields["dst_reg"], fields["src_reg"], fields["offset"], imm, next_imm)


def _value(assembly: _Assembly, slot: int, row: Row, placeholder: str, operand: Operand) -> int:
    if operand.name is None:
        return operand.value
    if placeholder in ("jump", "call"):
        return _label_slot(assembly, operand.name, row) - (slot + 1)
    if row.form is not Form.CALL_HELPER:
        if operand.value == NAMED:
            raise InputError(f"the BTF id of {operand.name!r} is not known, write {operand.name}#ID")
        return operand.value
    if operand.value == NAMED and operand.name in assembly.labels:
        raise InputError(f"{operand.name!r} is a label")  # so that the reading as a local call is taken
    known = assembly.helpers.get(operand.name)
    if operand.value == NAMED and known is None:
        raise InputError(f"there is no label or helper function {operand.name!r}")
    if known is not None and operand.value not in (NAMED, known):
        raise InputError(f"helper function {operand.name} has id {known}, not {operand.value}")
    return operand.value if known is None else known


def _label_slot(assembly: _Assembly, name: str, row: Row) -> int:
    if name in assembly.labels:
        return assembly.labels[name]
    if name == "exit" and row.jumps and assembly.first_exit is not None:
        return assembly.first_exit
    raise InputError(f"there is no label {name!r}")
