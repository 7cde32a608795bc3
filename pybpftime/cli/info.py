"""`pybpftime info`: what an object holds, what it needs, and what of it cannot be served."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from pybpftime.cli.inputs import (
    HELPER_FILES,
    SOURCE,
    TYPE,
    chosen_level,
    level_options,
    read_helpers,
    read_source,
)
from pybpftime.cli.output import bytes_text, console, count_of, number, print_json, table
from pybpftime.errors import InputError
from pybpftime.helpers import HelperTable
from pybpftime.machine import LEVELS, LINUX, Strictness
from pybpftime.maps import MapSpec
from pybpftime.maps.spec import flag_names
from pybpftime.program.btf import Btf, DataSec, Kind, Var, decode, format_bytes, type_name
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime.inspection import Problem, problems, program_facts

Plain = dict[str, Any]


@click.command()
@SOURCE
@TYPE
@HELPER_FILES
@level_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def info(source: str, type_: str | None, helper_files: tuple[str, ...], as_json: bool, **levels: bool) -> None:
    """Show programs, maps, types and global variables of OBJ, the helpers it calls, and what cannot be served.

    OBJ is an ELF object or a raw program (binary, hex, assembly; - is standard input).  The level is that of `run`:
    what cannot be served may depend on it.

    \b
    Examples:
      pybpftime info xdp_parser.bpf.o
      pybpftime info prog.bpf.o --json | jq '.problems'
      echo 'call 1; exit' | pybpftime info - --type xdp
    """
    level = LEVELS[chosen_level(**levels)]
    helpers, _ = read_helpers(helper_files)
    data = describe_object(read_source(source, type_, helpers), helpers, level)
    if as_json:
        print_json(data)
    else:
        _print(console(), data, "standard input" if source == "-" else source)


# --- data -------------------------------------------------------------------------------------------------------------


def describe_object(spec: ObjectSpec, helpers: HelperTable, level: Strictness = LINUX) -> Plain:
    """Everything that `info` tells, as plain data."""
    return {
        "file": spec.file,
        "license": spec.license,
        "version": spec.version,
        "programs": [_program(program, helpers) for program in spec.programs.values()],
        "maps": [describe_map(map_spec, spec.btf) for map_spec in spec.maps.values()],
        "variables": _variables(spec),
        "btf": None if spec.btf is None else _btf(spec.btf),
        "problems": [_problem(problem) for problem in problems(spec, helpers, level)],
        "notes": [f"{program.name}: {note}" for program in spec.programs.values() for note in program.notes],
    }


def _program(spec: ProgramSpec, helpers: HelperTable) -> Plain:
    facts = program_facts(spec, helpers)
    return {
        "name": spec.name,
        "section": spec.section,
        "type": PROGRAM_TYPES[spec.type].name,
        "attach_type": None if spec.attach_type is None else spec.attach_type.name,
        "attach_to": spec.attach_to,
        "flags": sorted(spec.flags),
        "license": spec.license,
        "slots": len(spec.instructions),
        "instructions": facts.instructions,
        "functions": [
            {"name": function.name, "start": function.start, "end": function.end, "global": function.is_global}
            for function in spec.functions
        ],
        "source_lines": len({(line.file, line.line) for line in spec.lines}),
        "source_files": sorted({line.file for line in spec.lines}),
        "helpers": [{"id": use.id, "name": use.name, "calls": use.calls} for use in facts.helpers],
        "maps": facts.maps,
        "symbols": facts.symbols,
        "relocations": [
            {"slot": one.slot, "kind": one.kind, "name": one.name, "offset": one.offset} for one in facts.relocations
        ],
    }


def describe_map(spec: MapSpec, btf: Btf | None) -> Plain:
    """One map as plain data."""
    name = getattr(spec.type, "name", str(spec.type))
    return {
        "name": spec.name,
        "type": name.removeprefix("BPF_MAP_TYPE_").lower(),
        "key_size": spec.key_size,
        "value_size": spec.value_size,
        "key_type": _type_name(btf, spec.key_type_id),
        "value_type": _type_name(btf, spec.value_type_id),
        "max_entries": spec.max_entries,
        "flags": flag_names(spec.flags).split(" | ") if spec.flags else [],
        "contents": None if spec.contents is None else len(spec.contents),
        "values": dict(spec.values),
        "pinned": spec.pinned,
        "inner": None if spec.inner is None else describe_map(spec.inner, btf),
    }


def _type_name(btf: Btf | None, type_id: int) -> str | None:
    if btf is None or not type_id or btf.kind(type_id) is Kind.DATASEC:
        return None
    return type_name(btf, type_id)


def _variables(spec: ObjectSpec) -> list[Plain]:
    """The global variables that BTF names, with their initial values."""
    found: list[Plain] = []
    for map_spec in spec.maps.values():
        section = None if spec.btf is None or not map_spec.value_type_id else spec.btf[map_spec.value_type_id]
        if spec.btf is None or map_spec.contents is None or not isinstance(section, DataSec):
            continue
        contents = map_spec.contents.ljust(map_spec.value_size, b"\0")
        for place in section.variables:
            variable = spec.btf[place.type]
            if isinstance(variable, Var):
                content = contents[place.offset : place.offset + place.size]
                found.append(
                    {
                        "name": variable.name,
                        "type": type_name(spec.btf, variable.type),
                        "section": map_spec.name,
                        "offset": place.offset,
                        "size": place.size,
                    }
                    | _value(spec.btf, variable.type, content)
                )
    return found


def _value(btf: Btf, type_id: int, content: bytes) -> Plain:
    """A variable's value as data and as text; its bytes where the type does not say how to read them."""
    try:
        return {"value": decode(btf, type_id, content), "text": format_bytes(btf, type_id, content, limit=8)}
    except InputError:
        return {"value": content, "text": bytes_text(content, 8)}


def _btf(btf: Btf) -> Plain:
    kinds = Counter(btf.kind(type_id).name.lower() for type_id in btf.own_ids)
    return {"types": len(btf.own_ids), "kinds": dict(kinds.most_common())}


def _problem(problem: Problem) -> Plain:
    return {
        "reason": problem.reason,
        "program": problem.program,
        "slots": list(problem.slots),
        "source": problem.source,
    }


# --- text -------------------------------------------------------------------------------------------------------------


def _print(target: Console, data: Plain, source: str) -> None:
    counts = [f"license {data['license'] or 'none'}"]
    counts += [count_of(len(data["programs"]), "program"), count_of(len(data["maps"]), "map")]
    if data["btf"] is not None:
        counts.append(count_of(data["btf"]["types"], "type"))
    target.print(Text.assemble((source, "bold"), ("  " + ", ".join(counts), "dim")))
    _print_programs(target, data["programs"])
    if data["maps"]:
        _print_maps(target, data["maps"])
    if data["variables"]:
        _print_variables(target, data["variables"])
    if data["btf"] is not None:
        _title(target, "Types")
        kinds = ", ".join(f"{number(count)} {kind}" for kind, count in data["btf"]["kinds"].items())
        target.print("  " + kinds, markup=False)
    if data["notes"]:
        _title(target, "Notes")
        for note in data["notes"]:
            target.print("  " + note, markup=False)
    _print_problems(target, data["problems"])


def _title(target: Console, text: str) -> None:
    target.print()
    target.print(text, style="bold")


def _print_programs(target: Console, programs: list[Plain]) -> None:
    _title(target, "Programs")
    if not programs:
        target.print("  none")
        return
    rows = table("  name", "section", "type", ("slots", "right"))
    for program in programs:
        rows.add_row("  " + program["name"], program["section"], program["type"], number(program["slots"]))
    target.print(rows, markup=False)
    for program in programs:
        facts = list(_program_lines(program))
        if facts:
            target.print()
            target.print(f"  {program['name']}", style="cyan", markup=False)
            for name, text in facts:
                target.print(Text.assemble((f"    {name:<12}", "dim"), text))


def _program_lines(program: Plain) -> list[tuple[str, str]]:
    lines = []
    if program["attach_to"]:
        lines.append(("attaches to", program["attach_to"]))
    if program["attach_type"]:
        lines.append(("attach type", program["attach_type"]))
    if program["flags"]:
        lines.append(("flags", ", ".join(program["flags"])))
    functions = [function["name"] for function in program["functions"] if function["name"] != program["name"]]
    if functions:
        lines.append(("functions", ", ".join(functions)))
    if program["helpers"]:
        names = (f"{use['name'] or 'unknown'}#{use['id']}{_times(use['calls'])}" for use in program["helpers"])
        lines.append(("helpers", ", ".join(names)))
    if program["maps"]:
        lines.append(("maps", ", ".join(f"{name}{_times(count)}" for name, count in program["maps"].items())))
    if program["symbols"]:
        lines.append(("symbols", ", ".join(f"{name}{_times(count)}" for name, count in program["symbols"].items())))
    if program["relocations"]:
        kinds = Counter(relocation["kind"] for relocation in program["relocations"])
        lines.append(("relocations", ", ".join(f"{number(count)} {kind}" for kind, count in kinds.most_common())))
    if program["source_files"]:
        files = ", ".join(program["source_files"])
        lines.append(("source", f"{count_of(program['source_lines'], 'line')} of {files}"))
    return lines


def _times(count: int) -> str:
    return "" if count == 1 else f" x{count}"


def _print_maps(target: Console, maps: list[Plain]) -> None:
    _title(target, "Maps")
    rows = table("  name", "type", "key", "value", ("entries", "right"), "")
    for item in maps:
        rows.add_row(
            "  " + item["name"],
            item["type"],
            _sized(item["key_type"], item["key_size"]),
            _sized(item["value_type"], item["value_size"]),
            number(item["max_entries"]),
            ", ".join(_map_extras(item)),
        )
    target.print(rows, markup=False)


def _sized(name: str | None, size: int) -> str:
    if not size:
        return ""
    return count_of(size, "byte") if name is None else f"{name} ({count_of(size, 'byte')})"


def _map_extras(item: Plain) -> list[str]:
    extras = list(item["flags"])
    if item["contents"] is not None:
        extras.append(f"{count_of(item['contents'], 'byte')} of contents")
    if item["values"]:
        extras.append("holds " + ", ".join(f"{index}: {name}" for index, name in item["values"].items()))
    if item["pinned"]:
        extras.append("pinned by name")
    if item["inner"] is not None:
        inner = item["inner"]
        extras.append(f"of {inner['type']} maps with {inner['key_size']}, {inner['value_size']} bytes")
    return extras


def _print_variables(target: Console, variables: list[Plain]) -> None:
    _title(target, "Global variables")
    rows = table("  name", "type", "section", "initial value")
    for variable in variables:
        rows.add_row("  " + variable["name"], variable["type"], variable["section"], variable["text"])
    target.print(rows, markup=False)


def _print_problems(target: Console, found: list[Plain]) -> None:
    _title(target, "Cannot be served")
    if not found:
        target.print("  nothing: every helper, map and symbol is known here", style="green")
        return
    for problem in found:
        where = [] if problem["program"] is None else [problem["program"]]
        if problem["slots"]:
            slots = problem["slots"]
            more = f" and {len(slots) - 4} more" if len(slots) > 4 else ""
            where.append(f"instruction {', '.join(map(str, slots[:4]))}{more}")
        if problem["source"]:
            where.append(problem["source"])
        prefix = ": ".join(where)
        target.print(Text.assemble("  ", (f"{prefix}: " if prefix else "", "dim"), (problem["reason"], "red")))
