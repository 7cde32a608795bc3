"""`pybpftime helpers` and `pybpftime maps`: what programs may call, and the map types there are."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from pybpftime.cli.inputs import HELPER_FILES, read_helpers
from pybpftime.cli.output import console, count_of, print_json, table
from pybpftime.errors import InputError
from pybpftime.helpers import Helper, HelperTable
from pybpftime.helpers.declarations import DECLARATIONS, KNOWN
from pybpftime.maps import MAP_KINDS, MapKind
from pybpftime.maps.spec import flag_names
from pybpftime.program.types import PROGRAM_TYPES, program_type
from pybpftime.runtime.names import hint
from pybpftime.uapi import MapType, ProgramType

Plain = dict[str, Any]


# --- helpers ----------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("name", required=False, metavar="[NAME|ID|PATTERN]")
@click.option("--type", "-t", "type_", metavar="TYPE", help="Only those that programs of this type may call.")
@click.option("--all/--implemented", "show_all", default=False,
              help="Also those of Linux that are known by name only; default: what can be called.")  # fmt: skip
@HELPER_FILES
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def helpers(name: str | None, type_: str | None, show_all: bool, helper_files: tuple[str, ...], as_json: bool) -> None:
    """List the helpers that programs can call, or describe one of them.

    NAME may leave out `bpf_`, and may be a pattern (`*map*`).

    \b
    Examples:
      pybpftime helpers
      pybpftime helpers map_update_elem
      pybpftime helpers 'ringbuf_*' --type xdp
      pybpftime helpers --all --json
    """
    table_of_helpers, _ = read_helpers(helper_files)
    chosen = None if type_ is None else program_type(type_)
    rows = [
        row
        for row in _helper_rows(table_of_helpers, chosen)
        if (name is None or _matches(row, name)) and (show_all or name is not None or row["implemented"])
    ]
    if name is not None and not rows:
        raise _no_helper(name, table_of_helpers, type_)
    if as_json:
        print_json(rows)
    elif len(rows) == 1 and name is not None:
        _print_helper(console(), rows[0])
    else:
        _print_helpers(console(), rows)


def _helper_rows(helpers: HelperTable, program: ProgramType | None) -> list[Plain]:
    rows = [_describe(helper) for helper in helpers if program is None or helper.declaration.allows(program)]
    if program is None:  # who may call the others is not known
        rows += [
            {"id": number, "name": name, "declared": False, "implemented": False, "signature": name}
            for number, name in KNOWN.items()
            if helpers.get(number) is None
        ]
    return sorted(rows, key=lambda row: row["id"])


def _describe(helper: Helper) -> Plain:
    declaration = helper.declaration
    programs = (
        None if declaration.programs is None else sorted(PROGRAM_TYPES[type].name for type in declaration.programs)
    )
    return {
        "id": helper.id,
        "name": declaration.name,
        "declared": True,
        "implemented": helper.function is not None,
        "signature": declaration.signature,
        "parameters": [
            {"name": parameter.name, "kind": parameter.kind.name, "linux": parameter.kind.linux}
            for parameter in declaration.parameters
        ],
        "returns": {"kind": declaration.returns.name, "linux": declaration.returns.linux},
        "programs": programs,
        "map_operation": None if declaration.map_operation is None else str(declaration.map_operation),
        "changes_packet": declaration.changes_packet,
        "gpl_only": declaration.gpl_only,
        "may_sleep": declaration.may_sleep,
        "since": declaration.since or None,
        "documentation": declaration.documentation,
    }


def _matches(row: Plain, wanted: str) -> bool:
    number = _number(wanted)
    if number is not None:
        return bool(row["id"] == number)
    name: str = row["name"]
    return any(fnmatchcase(candidate, wanted) for candidate in (name, name.removeprefix("bpf_")))


def _number(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None


def _no_helper(name: str, helpers: HelperTable, type_: str | None) -> InputError:
    names = {helper.declaration.name for helper in helpers} | set(KNOWN.values())
    known = {_number(name): ""} if _number(name) is not None else {}
    if type_ is not None and (f"bpf_{name.removeprefix('bpf_')}" in names or known.keys() & DECLARATIONS.keys()):
        return InputError(f"{name} cannot be called by programs of type {type_}")
    if known:
        return InputError(f"there is no helper with the number {name}")
    short = sorted(known_name.removeprefix("bpf_") for known_name in names)
    return InputError(f"there is no helper named {name}; {hint(name.removeprefix('bpf_'), short)}")


def _print_helpers(target: Console, rows: list[Plain]) -> None:
    grid = table(("id", "right"), "helper", "since", "")
    for row in rows:
        name = Text(row["signature"], style="" if row["implemented"] else "dim")
        grid.add_row(str(row["id"]), name, row.get("since") or "", "" if row["implemented"] else "not implemented")
    target.print(grid, markup=False)
    implemented = sum(row["implemented"] for row in rows)
    target.print(f"\n{count_of(len(rows), 'helper')}, {implemented} implemented", style="dim")


def _print_helper(target: Console, row: Plain) -> None:
    target.print(Text.assemble((row["signature"], "bold"), (f"  #{row['id']}", "dim")))
    if not row["declared"]:
        target.print("\nKnown by name, and not implemented: a program that calls it faults.", style="yellow")
        return
    target.print()
    target.print(row["documentation"], markup=False)
    target.print()
    for name, text in _helper_facts(row):
        target.print(Text.assemble((f"  {name:<16}", "dim"), text))


def _helper_facts(row: Plain) -> list[tuple[str, str]]:
    facts = [(parameter["name"], f"{parameter['kind']:<20}{parameter['linux']}") for parameter in row["parameters"]]
    facts.append(("returns", f"{row['returns']['kind']:<20}{row['returns']['linux']}"))
    facts.append(("program types", "all" if row["programs"] is None else ", ".join(row["programs"])))
    if row["map_operation"]:
        facts.append(("map types", ", ".join(_short(kind.type) for kind in _kinds_with(row["map_operation"]))))
    for key, text in (
        ("changes_packet", "packet pointers are invalid afterwards"),
        ("gpl_only", "for programs under a GPL-compatible licence"),
        ("may_sleep", "for sleepable programs"),
    ):
        if row[key]:
            facts.append(("note", text))
    if row["since"]:
        facts.append(("since", f"Linux {row['since']}"))
    if not row["implemented"]:
        facts.append(("note", "declared, and not implemented: a program that calls it faults"))
    return facts


def _kinds_with(operation: str) -> list[MapKind]:
    return [kind for kind in MAP_KINDS.values() if operation in kind.operations]


# --- maps -------------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("type_", required=False, metavar="[TYPE]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def maps(type_: str | None, as_json: bool) -> None:
    """List the map types with their operations and flags, or describe one of them.

    \b
    Examples:
      pybpftime maps
      pybpftime maps lru_hash
      pybpftime maps --json
    """
    rows = [_describe_kind(kind) for kind in MAP_KINDS.values()]
    if type_ is not None:
        rows = [row for row in rows if row["type"] == _map_name(type_)]
    if as_json:
        print_json(rows)
    elif type_ is not None:
        _print_kind(console(), rows[0])
    else:
        _print_kinds(console(), rows)


def _short(type: MapType) -> str:
    return type.name.removeprefix("BPF_MAP_TYPE_").lower()


def _map_name(text: str) -> str:
    """The short name of a supported map type; InputError with near names for another."""
    name = text.strip().lower().removeprefix("bpf_map_type_")
    number = _number(name)
    supported = {_short(type): type for type in MAP_KINDS}
    known = {_short(type): type for type in MapType}
    if number is not None:
        name = next((short for short, type in known.items() if type == number), name)
    if name in supported:
        return name
    if name in known:
        raise InputError(f"map type {name} is not supported yet; there is {', '.join(supported)}")
    raise InputError(f"there is no map type {text!r}; {hint(name, supported)}")


def _describe_kind(kind: MapKind) -> Plain:
    return {
        "type": _short(kind.type),
        "number": int(kind.type),
        "operations": sorted(str(operation) for operation in kind.operations),
        "flags": flag_names(kind.flags).split(" | "),
        "per_cpu": kind.per_cpu,
        "direct_value": kind.direct_value,
        "helpers": [
            declaration.name
            for declaration in DECLARATIONS.values()
            if declaration.map_operation is not None and declaration.map_operation in kind.operations
        ],
    }


def _print_kinds(target: Console, rows: list[Plain]) -> None:
    grid = table("type", ("number", "right"), "operations", "")
    for row in rows:
        grid.add_row(row["type"], str(row["number"]), ", ".join(row["operations"]), "per cpu" if row["per_cpu"] else "")
    target.print(grid, markup=False)
    others = [_short(type) for type in MapType if type not in MAP_KINDS and type != MapType.BPF_MAP_TYPE_UNSPEC]
    target.print(f"\nNot supported yet: {', '.join(others)}", style="dim", markup=False)


def _print_kind(target: Console, row: Plain) -> None:
    target.print(
        Text.assemble((row["type"], "bold"), (f"  BPF_MAP_TYPE_{row['type'].upper()}, {row['number']}", "dim"))
    )
    facts = [
        ("operations", ", ".join(row["operations"])),
        ("helpers", ", ".join(row["helpers"])),
        ("flags", ", ".join(row["flags"])),
    ]
    if row["per_cpu"]:
        facts.append(("note", "every cpu has a value of its own"))
    if row["direct_value"]:
        facts.append(("note", "programs may take the address of its value (BPF_PSEUDO_MAP_VALUE)"))
    for name, text in facts:
        target.print(Text.assemble((f"  {name:<12}", "dim"), text))
