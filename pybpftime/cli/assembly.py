"""`pybpftime disasm` and `pybpftime asm`: programs to text and back."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from pybpftime.cli.failure import Failure, with_line
from pybpftime.cli.inputs import (
    TYPE,
    choose_programs,
    is_text,
    only_one,
    read_content,
    require_name,
    showing_lines,
)
from pybpftime.cli.output import console, print_json
from pybpftime.errors import HostError, InputError
from pybpftime.helpers.declarations import DECLARATIONS, KNOWN
from pybpftime.isa import validate
from pybpftime.isa.assembler import assemble_bytes
from pybpftime.isa.disassembler import Line, Names, is_label, listing
from pybpftime.isa.encoding import MAX_SLOTS, SLOT_BYTES, decode_program, encode_program
from pybpftime.isa.text_input import parse_program_text
from pybpftime.program.elf_file import MAGIC
from pybpftime.program.spec import Extern, MapReference, ProgramSpec, SourceLine, Trap
from pybpftime.program.types import PROGRAM_TYPES, program_type
from pybpftime.runtime.load import read_object, with_type

SYNTAX = click.Choice(["pseudo-c", "mnemonic"])


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a listing with what the object file adds: bytes, and the source line where a new one begins."""

    line: Line
    code: bytes
    source: SourceLine | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        data: dict[str, Any] = {"slot": self.line.pc, "text": self.line.text, "hex": self.code.hex()}
        if self.line.label:
            data["label"] = self.line.label
        if self.line.comment:
            data["comment"] = self.line.comment
        if self.source is not None:
            source = self.source
            data["source"] = {"file": source.file, "line": source.line, "column": source.column, "text": source.text}
        return data


# --- disasm -----------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("source", metavar="OBJ|RAW")
@click.option("--program", "-p", metavar="NAME", help="Only this program of the object.")
@TYPE
@click.option("--syntax", type=SYNTAX, default="pseudo-c", show_default=True, help="How instructions are written.")
@click.option("--source/--no-source", "with_source", default=True, help="Show source lines, where the object has them.")
@click.option("--hex", "with_hex", is_flag=True, help="Show the bytes of each instruction.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def disasm(
    source: str,
    program: str | None,
    type_: str | None,
    syntax: str,
    with_source: bool,
    with_hex: bool,
    as_json: bool,
) -> None:
    """Disassemble the programs of an ELF object, or a raw program (binary, hex, assembly; - is standard input).

    The text of one program can be assembled again with `pybpftime asm`.

    \b
    Examples:
      pybpftime disasm xdp_parser.bpf.o
      pybpftime disasm prog.bpf.o -p parse --syntax mnemonic --hex --no-source
      echo 'b700000000000000 9500000000000000' | pybpftime disasm -
    """
    content, file = read_content(source)
    programs = _read_programs(content, file, program, type_)
    listed = [(spec, list(_listed(spec, code, syntax, with_source))) for spec, code in programs]
    if as_json:
        print_json(
            [
                {"program": spec.name, "section": spec.section, "type": PROGRAM_TYPES[spec.type].name, "lines": lines}
                for spec, lines in ((spec, [line.as_dict() for line in lines]) for spec, lines in listed)
            ]
        )
        return
    target = console()
    for number, (spec, lines) in enumerate(listed):
        if number:
            target.print()
        _print_listing(target, spec, lines, with_hex=with_hex)


def _read_programs(
    content: bytes, file: str | None, program: str | None, type_: str | None
) -> list[tuple[ProgramSpec, bytes | None]]:
    """Programs to list; with their bytes where these need not be a well-formed program."""
    if content.startswith(MAGIC):
        specs = choose_programs(read_object(content, name=file), program)
        return [(spec if type_ is None else with_type(spec, program_type(type_)), None) for spec in specs]
    given = program_type("raw" if type_ is None else type_)
    name = Path(file).stem if file else "program"
    if program not in (None, name):
        raise InputError(f"there is no program named {program}; there is {name}", file=file)
    if content and not is_text(content):
        if len(content) > MAX_SLOTS * SLOT_BYTES:
            slots = len(content) // SLOT_BYTES
            raise InputError(f"the program has {slots} slots, at most {MAX_SLOTS} are read", file=file)
        return [(ProgramSpec(name, (), type=given), content)]
    with showing_lines(content):
        instructions = parse_program_text(content, helpers=helper_numbers(), file=file)
    return [(ProgramSpec(name, instructions, type=given), None)]


def _listed(spec: ProgramSpec, code: bytes | None, syntax: str, with_source: bool) -> Iterator[Listed]:
    names = Names(helper=_helper_name, function=lambda slot: _function_starting_at(spec, slot))
    lines = listing(spec.instructions if code is None else code, syntax=syntax, names=names)
    encoded = encode_program(spec.instructions) if code is None else code
    taken = {line.label for line in lines}
    before: SourceLine | None = None
    ends = [*(line.pc * SLOT_BYTES for line in lines[1:]), len(encoded)]
    for line, end in zip(lines, ends, strict=True):
        name = _function_starting_at(spec, line.pc)
        label = name if name is not None and is_label(name) and name not in taken else None
        named = replace(line, label=line.label or label, comment=_reference_comment(spec, line.pc) or line.comment)
        source = spec.line_at(line.pc) if with_source else None
        is_new = source is not None and (before is None or (source.file, source.line) != (before.file, before.line))
        yield Listed(named, encoded[line.pc * SLOT_BYTES : end], source if is_new else None)
        before = source


def _helper_name(number: int) -> str | None:
    declaration = DECLARATIONS.get(number)
    return KNOWN.get(number) if declaration is None else declaration.name


def helper_numbers() -> dict[str, int]:
    """Helpers that assembly text may call by name."""
    return {name: number for number, name in KNOWN.items()}


def _function_starting_at(spec: ProgramSpec, slot: int) -> str | None:
    return next((function.name for function in spec.functions if function.start == slot), None)


def _reference_comment(spec: ProgramSpec, slot: int) -> str | None:
    match spec.references.get(slot):
        case MapReference(name, None):
            return f"map {name}"
        case MapReference(name, offset):
            return f"{_variable(spec, name, offset or 0)}"
        case Extern(name, kind, weak):
            return f"{'weak ' if weak else ''}{kind} {name}"
        case Trap(reason):
            return f"cannot be served: {' '.join(reason.split())}"
    return None


def _variable(spec: ProgramSpec, section: str, offset: int) -> str:
    """`.rodata+8`, or the name of the variable there."""
    from pybpftime.program.btf import DataSec, Kind

    place = f"{section}{offset:+d}" if offset else section
    type_id = None if spec.btf is None else spec.btf.find(section, Kind.DATASEC)
    if spec.btf is None or type_id is None:
        return f"value of map {place}"
    record = spec.btf[type_id]
    assert isinstance(record, DataSec)
    for variable in record.variables:
        if variable.offset <= offset < variable.offset + max(variable.size, 1):
            inside = offset - variable.offset
            return f"{spec.btf[variable.type].name}{f'{inside:+d}' if inside else ''} in {section}"
    return f"value of map {place}"


def _print_listing(target: Console, spec: ProgramSpec, lines: Sequence[Listed], *, with_hex: bool) -> None:
    kind = "raw program" if not spec.section else f"program of type {PROGRAM_TYPES[spec.type].name} in {spec.section}"
    target.print(Text.assemble((f"; {spec.name}", "bold"), (f"  {kind}", "dim")))
    for item in lines:
        line, source = item.line, item.source
        if line.label:
            target.print(Text(f"{line.label}:", style="bold yellow"))
        if source is not None:
            target.print(Text(f"    ; {source}", style="green"))
        # The bytes of a wide instruction, or those at the end that fill no slot, do not read back as a column.
        column = f"{item.code.hex(' '):<47}  " if with_hex else ""
        text = Text(f"{line.pc:>5}: ", style="dim").append(column)
        text.append_text(_coloured(line.text))
        if line.comment:
            text.append(f"  ; {line.comment}", style="green")
        target.print(text)


_CALL = re.compile(r"\b(?:call|callx|exit)\b.*")
_JUMP = re.compile(r"\b(?:goto|gotol|may_goto|j[a-z]+(?:32)?)\b")


def _coloured(text: str) -> Text:
    """An instruction; calls and jumps stand out."""
    shown = Text(text, style="not dim")
    shown.highlight_regex(_CALL, "cyan")
    shown.highlight_regex(_JUMP, "yellow")
    return shown


# --- asm --------------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("source", metavar="FILE|-")
@click.option("--output", "-o", metavar="OUT", help="Write to this file instead of standard output.")
@click.option("--hex", "as_hex", is_flag=True, help="Hex text, an instruction a line.")
@click.option("--c", "as_c", is_flag=True, help="A C array of struct bpf_insn.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--syntax", type=SYNTAX, help="Accept this syntax only (default: both, also mixed).")
def asm(source: str, output: str | None, as_hex: bool, as_c: bool, as_json: bool, syntax: str | None) -> None:
    """Assemble a program; - is standard input.  Binary is written unless another form is asked for.

    A program that is not well formed is written all the same, with a warning.

    \b
    Examples:
      pybpftime asm prog.s -o prog.bin
      printf 'r0 = 42\\nexit\\n' | pybpftime asm - --hex
      pybpftime asm prog.s | pybpftime run - --mem '01 02'
    """
    require_name("--output", output)
    form = only_one({"--hex": as_hex, "--c": as_c, "--json": as_json})
    content, file = read_content(source)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("is no text: assembly is expected", file=file) from None
    try:
        code = assemble_bytes(text, helpers=helper_numbers(), syntax=syntax, file=file)
    except InputError as error:
        raise with_line(error, text) from None
    if form is None and output is None and sys.stdout.isatty():
        raise Failure("binary is not written to a terminal: use -o FILE, a pipe, --hex or --c")
    _warn(code, file)
    data = code if form is None else _FORMS[form](code).encode()
    if output is None or output == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        _write(output, data)


def _warn(code: bytes, file: str | None) -> None:
    try:
        validate(decode_program(code))
    except InputError as error:
        place = "" if file is None else f"{file}: "
        click.echo(f"{click.style('warning', fg='yellow', bold=True)}: {place}not well formed: {error}", err=True)


def _write(output: str, data: bytes) -> None:
    try:
        Path(output).write_bytes(data)
    except OSError as error:
        raise HostError("cannot be written", file=output, errno=error.errno) from None
    except ValueError as error:
        raise InputError(f"cannot be written: {error}", file=output) from None


def _as_hex(code: bytes) -> str:
    return "".join(f"{item.code.hex()}\n" for item in _lines_of(code))


def _as_c(code: bytes) -> str:
    rows = []
    for item in _lines_of(code):
        text = item.line.text + (f" ({item.line.comment})" if item.line.comment else "")
        for start in range(0, len(item.code) - SLOT_BYTES + 1, SLOT_BYTES):
            slot = item.code[start : start + SLOT_BYTES]
            offset, imm = (int.from_bytes(part, "little", signed=True) for part in (slot[2:4], slot[4:8]))
            fields = f".code = {slot[0]:#04x}, .dst_reg = {slot[1] & 0xF}, .src_reg = {slot[1] >> 4}"
            comment = f"  /* {text} */" if start == 0 else ""
            rows.append(f"\t{{ {fields}, .off = {offset}, .imm = {_c_number(imm)} }},{comment}\n")
    return "static const struct bpf_insn program[] = {\n" + "".join(rows) + "};\n"


def _c_number(value: int) -> str:
    return str(value) if value > -(1 << 31) else "-2147483647 - 1"


def _as_json(code: bytes) -> str:
    import json

    lines = [item.as_dict() for item in _lines_of(code)]
    return json.dumps({"slots": len(code) // SLOT_BYTES, "hex": code.hex(), "lines": lines}, indent=2) + "\n"


def _lines_of(code: bytes) -> Iterator[Listed]:
    return _listed(ProgramSpec("program", ()), code, "pseudo-c", with_source=False)


_FORMS = {"--hex": _as_hex, "--c": _as_c, "--json": _as_json}
