"""Types: of values and by name, with the layout of structs."""

from __future__ import annotations

from pybpftime.debug.expression import MapValue, named_type
from pybpftime.debug.repl.arguments import split_format
from pybpftime.debug.repl.interpreter import Interpreter
from pybpftime.debug.repl.layout import layout_lines, type_lines
from pybpftime.debug.repl.table import command
from pybpftime.debug.values import CType, TypedValue
from pybpftime.errors import InputError
from pybpftime.program.btf import Typedef


@command("whatis", usage="whatis EXPR | TYPE", example="whatis rest->at", arguments="expression")
def whatis(repl: Interpreter, text: str) -> None:
    """Print the C type of an expression; of a typedef, what it stands for."""
    found = _asked(repl, text, "whatis")
    if isinstance(found, MapValue):
        repl.say(f"a map from {found.map.key_type.text} to {found.map.value_type.text}")
    elif isinstance(found, TypedValue):
        repl.say(f"type = {found.type_text}")
    else:
        record = found.types[found.id]
        repl.say(f"type = {CType(found.types, record.type).text if isinstance(record, Typedef) else found.text}")


@command("ptype", usage="ptype[/o] EXPR | TYPE", example="ptype/o struct iphdr", arguments="expression")
def ptype(repl: Interpreter, text: str) -> None:
    """Print the definition of a type, or of that of an expression: members, enumerators, what a typedef stands for.

    With /o each member has its offset and size in bytes (of a bit field also the first bit), and holes are told.
    """
    how, asked = split_format(text)
    if how not in ("", "o"):
        raise InputError(f"/{how[:20]} is no format of ptype: /o shows offsets and sizes")
    found = _asked(repl, asked, "ptype")
    if isinstance(found, MapValue):
        kinds = [("keys of ", found.map.key_type), ("values of ", found.map.value_type)]
    else:
        kinds = [("", found.type if isinstance(found, TypedValue) else found)]
    for label, kind in kinds:
        for line in layout_lines(kind, f"{label}type = ") if how else type_lines(kind, f"{label}type = "):
            repl.say(line)


def _asked(repl: Interpreter, text: str, name: str) -> CType | TypedValue | MapValue:
    """The type or the expression that a text says."""
    if not text:
        raise InputError(f"{name} takes an expression or a type")
    return named_type(text, repl.session.scope()) or repl.session.value(text)
