"""`pybpftime btf`: the types of an object file or of the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import click
from rich.console import Console
from rich.syntax import Syntax

from pybpftime.cli.failure import printable
from pybpftime.cli.inputs import only_one, read_content
from pybpftime.cli.output import console, print_json
from pybpftime.errors import InputError
from pybpftime.program.btf import Btf, Kind, definition, describe, dump_c, raw_text
from pybpftime.program.elf import place_variables
from pybpftime.program.elf_file import MAGIC, read_elf
from pybpftime.runtime.names import hint

BTF_MAGIC = (b"\x9f\xeb", b"\xeb\x9f")
TAGS = {"struct": Kind.STRUCT, "union": Kind.UNION, "enum": Kind.ENUM}


@click.command()
@click.argument("source", metavar="OBJ|BTF")
@click.argument("name", required=False)
@click.option("--id", "type_id", type=click.IntRange(0), metavar="N", help="The type with this number.")
@click.option("--format", "form", type=click.Choice(["c", "raw", "json"]), show_default="c",
              help="C declarations, one line for each record as bpftool prints them, or JSON.")  # fmt: skip
@click.option("--deps", is_flag=True, help="With NAME or --id as C: everything that it needs, too.")
@click.option("--base", metavar="BTF", help="What a split BTF builds on (/sys/kernel/btf/vmlinux for a module's).")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def btf(
    source: str, name: str | None, type_id: int | None, form: str | None, deps: bool, base: str | None, as_json: bool
) -> None:
    """Show the BTF types of an ELF object or of a BTF file: all, those called NAME, or the one numbered --id.

    NAME may have a tag before it (`struct flow`) and may be a pattern (`xdp_*`).

    \b
    Examples:
      pybpftime btf prog.bpf.o
      pybpftime btf prog.bpf.o 'struct flow'
      pybpftime btf /sys/kernel/btf/vmlinux task_struct --format raw
      pybpftime btf /sys/kernel/btf/vmlinux xdp_md --deps
    """
    if as_json:
        only_one({"--json": True, f"--format {form}": form not in (None, "json")})
    types = read_btf(source, None if base is None else read_btf(base))
    chosen = _choose(types, name, type_id)
    if as_json or form == "json":
        print_json({"types": [describe(types, number) for number in (types.own_ids if chosen is None else chosen)]})
    elif form == "raw":
        for number in types.own_ids if chosen is None else chosen:
            click.echo(printable(raw_text(types, number)))
    elif chosen is None or deps:
        _print_c(console(), dump_c(types, chosen))
    else:
        _print_c(console(), "\n".join(f"{definition(types, number)}\n" for number in chosen))


def read_btf(source: str, base: Btf | None = None) -> Btf:
    """The types in a file: an ELF object with a section .BTF, or BTF itself."""
    content, file = read_content(source)
    try:
        if base is not None and not content.startswith(BTF_MAGIC):
            raise InputError("--base is for BTF that builds on another, and this is no BTF file")
        if content.startswith(MAGIC):
            elf = read_elf(content)
            section = elf.find(".BTF")
            if section is None:
                raise InputError("the object has no BTF: compile it with -g")
            return place_variables(elf, Btf.parse(bytes(section.data), pointer_size=8))
        if not content.startswith(BTF_MAGIC):
            raise InputError("is neither an ELF object nor BTF")
        return Btf.parse(content, base=base)
    except InputError as error:
        raise error.at(file=file) from None


def _choose(types: Btf, name: str | None, type_id: int | None) -> list[int] | None:
    """The ids that were asked for; None for all."""
    if type_id is not None:
        if name is not None:
            raise InputError("NAME and --id exclude each other")
        types[type_id]
        return [type_id]
    if name is None:
        return None
    tag, space, rest = name.strip().partition(" ")
    kind = TAGS.get(tag) if space else None
    wanted = rest.strip() if kind is not None else name.strip()
    found = [
        number for number in _named(types, wanted) if kind in (None, types.kind(number), _plain_kind(types, number))
    ]
    if not found:
        what = "type" if kind is None else kind.name.lower()
        raise InputError(f"the BTF has no {what} {wanted!r}; {hint(wanted, _names_like(types, wanted))}")
    return found


def _plain_kind(types: Btf, type_id: int) -> Kind:
    kind = types.kind(type_id)
    return Kind.ENUM if kind is Kind.ENUM64 else kind


def _named(types: Btf, wanted: str) -> Sequence[int]:
    if not any(character in wanted for character in "*?["):
        return types.find_all(wanted)
    return [number for number in range(1, len(types)) if fnmatchcase(types[number].name, wanted)]


def _names_like(types: Btf, wanted: str) -> list[str]:
    """Names of about the same length: a kernel has too many for comparing all of them."""
    names = {types[number].name for number in range(1, len(types)) if types.kind(number) is not Kind.FUNC} - {""}
    near = {name for name in names if name[:1] == wanted[:1] and abs(len(name) - len(wanted)) <= 3}
    return sorted(near or (names if len(names) < 1000 else ()))


def _print_c(target: Console, text: str) -> None:
    """C text, in colour on a terminal."""
    if target.is_terminal:
        target.print(Syntax(printable(text), "c", background_color="default", word_wrap=True))
    else:
        click.echo(printable(text), nl=not text.endswith("\n"))
