"""Values and memory: what they are, and changing them."""

from __future__ import annotations

import re

from rich.text import Text

from pybpftime.debug.expression import MapValue
from pybpftime.debug.repl.arguments import (
    MemoryFormat,
    count_argument,
    memory_format,
    number_argument,
    numbers_argument,
    split_format,
)
from pybpftime.debug.repl.contents import print_map
from pybpftime.debug.repl.elements import new_element
from pybpftime.debug.repl.instructions import place_text, shown_instruction, slots_from
from pybpftime.debug.repl.interpreter import Display, Interpreter
from pybpftime.debug.repl.past import tell_fork
from pybpftime.debug.repl.results import set_result
from pybpftime.debug.repl.table import command
from pybpftime.debug.timeline import Change
from pybpftime.debug.values import ScalarKind, TypedValue, ViewFormat, text_as
from pybpftime.debug.values.text import character, read_string
from pybpftime.errors import InputError
from pybpftime.isa.encoding import MASK64

LONG_LINE = 100
"""Structs that need more characters are printed a member a line."""
MOST_LINES = 200
ROW_BYTES = 16
BITS = {"o": "o", "t": "b"}
IGNORED = ("pagination", "confirm", "height", "width", "print", "logging", "style", "verbose")
"""Settings of gdb that scripts use and that say nothing here."""


@command("print", "p", "inspect", usage="print[/FMT] EXPR", example="print/x iph->daddr", arguments="expression")
def print_(repl: Interpreter, text: str) -> None:
    """Print the value of a C expression over variables, registers ($r1), maps, and the packet.

    FMT is a count and a letter: x d u o t c s a.  `counts[42]` is an element of a map, `packet[12:14]` are bytes,
    `ntohs(x)` turns byte order.  An assignment changes the program: see set.  Values are numbered: `$3` is what was
    printed as $3, `$` the last one, `$$` the one before it, `$$2` two before it.
    """
    how, expression = split_format(text)
    if not expression:
        raise InputError("print takes an expression")
    before = len(repl.session.world.timelines)
    found = repl.session.value(expression, may_change=True)
    if isinstance(found, MapValue):
        print_map(repl, found.name)
        return
    form = ViewFormat.parse(how) if how else ViewFormat()
    for line in value_lines(found, form, f"${repl.session.keep(found)}"):
        repl.say(line)
    tell_fork(repl, before)


@command("x", usage="x[/NFU] ADDRESS", example="x/16xb packet", moves=True, arguments="expression")
def examine(repl: Interpreter, text: str) -> None:
    """Show memory at an address: N units of size U (b h w g) in format F (x d u o t c s a).

    `x/5i $pc` shows instructions, by slot or by place.  Without an address it goes on behind what was shown.
    """
    how, expression = split_format(text)
    form = memory_format(how, repl.memory_format)
    if form.letter == "i":
        _examine_code(repl, form.count, expression)
        return
    address = _address(repl, expression) if expression else repl.memory_at
    if address is None:
        raise InputError("x takes an address")
    repl.memory_format = form
    if form.letter == "s":
        _examine_strings(repl, address, form.count)
    else:
        _examine_memory(repl, address, form)


@command("display", usage="display[/FMT] [EXPR]", example="display/x $r1", arguments="expression")
def display(repl: Interpreter, text: str) -> None:
    """Print an expression at every stop from now on; without one print all displays now."""
    how, expression = split_format(text)
    if expression:
        if how:
            ViewFormat.parse(how)
        number = 1 + max((one.number for one in repl.displays), default=0)
        repl.displays.append(Display(number, how, expression))
        repl.say(display_line(repl, repl.displays[-1]))
        return
    for one in repl.displays:
        repl.say(display_line(repl, one))


@command("undisplay", "undisp", usage="undisplay [N...]", example="undisplay 1")
def undisplay(repl: Interpreter, text: str) -> None:
    """Remove displays; without numbers all of them."""
    numbers = numbers_argument(text) if text else [one.number for one in repl.displays]
    for number in numbers:
        if number not in [one.number for one in repl.displays]:
            raise InputError(f"there is no display {number}")
    repl.displays = [one for one in repl.displays if one.number not in numbers]


@command("set", usage="set PLACE = EXPR | set SETTING VALUE", example="set packet[22] = 64", arguments="expression")
def set_(repl: Interpreter, text: str) -> None:
    """Change a variable, memory, a register, a byte of the packet, an element of a map, the result of a helper.

    Where the program went on from here already, that begins a new time line; the old one stays (see timeline).
    `set result = EXPR`, behind the call of a helper or before it, is what the helper returns; where the program has a
    variable of that name, `set helper result = EXPR`.  `set $name = EXPR` keeps a value.
    Settings: listsize N, context N (lines at a stop), trace-commands on|off.
    """
    setting = re.fullmatch(r"([a-z-]+)(?:\s+([^=].*))?", text)
    if setting is not None and _set_setting(repl, setting[1], (setting[2] or "").strip()):
        return
    expression = re.sub(r"^var(iable)?\s+", "", text)
    if not expression:
        raise InputError("set takes an assignment: set iph->ttl = 64")
    session, before = repl.session, len(repl.session.world.timelines)
    scope = session.scope()
    result = re.fullmatch(r"(helper\s+)?result\s*=(?!=)\s*(.*)", text)
    if result is not None and (result[1] or "result" not in scope.names()):
        set_result(repl, result[2])
    elif (added := new_element(expression, scope)) is not None:
        name, key, value = added
        session.change(Change.ELEMENT, (name, key), value)
    else:
        session.value(expression, may_change=True)
    tell_fork(repl, before)


# --- values -----------------------------------------------------------------------------------------------------------


def value_lines(value: TypedValue, how: ViewFormat, label: str) -> list[str]:
    """A value, on one line if it is short."""
    is_plain = how == ViewFormat()
    text = value.text() if is_plain else text_as(value, how)
    if len(text) <= LONG_LINE or not is_plain or not value.type.is_aggregate:
        return [f"{label} = {text}"]
    lines = [f"{label} = {{"]
    _members(value, 1, lines)
    return [*lines, "}"]


def _members(value: TypedValue, depth: int, lines: list[str]) -> None:
    for child in value.children(0, MOST_LINES):
        if len(lines) > MOST_LINES:
            lines.append("  " * depth + "...")
            return
        name = child.name if child.anonymous else f".{child.name}"
        text = child.value.text()
        if child.value.type.is_aggregate and len(text) > LONG_LINE and depth < 8:
            lines.append(f"{'  ' * depth}{name} = {{")
            _members(child.value, depth + 1, lines)
            lines.append("  " * depth + "}")
        else:
            lines.append(f"{'  ' * depth}{name} = {text}")


def display_line(repl: Interpreter, one: Display) -> str:
    """`1: x = 5`; if it has no value here, why."""
    try:
        found = repl.session.value(one.text)
    except InputError as error:
        return f"{one.number}: {one.text} = <{error.reason.partition(';')[0]}>"
    if isinstance(found, MapValue):
        return f"{one.number}: {one.text} has {found.map.length()} elements"
    text = text_as(found, ViewFormat.parse(one.format)) if one.format else found.text()
    return f"{one.number}: {one.text} = {text}"


def _set_setting(repl: Interpreter, name: str, value: str) -> bool:
    """Change a setting of the interpreter; False if it is none."""
    if name == "listsize":
        repl.settings.listsize = count_argument(value)
    elif name == "context":
        repl.settings.context = number_argument(value, "a number of lines")
    elif name == "trace-commands":
        if value not in ("on", "off"):
            raise InputError("set trace-commands on, or off")
        repl.settings.trace_commands = value == "on"
    else:
        return name in IGNORED
    return True


# --- memory -----------------------------------------------------------------------------------------------------------


def _address(repl: Interpreter, text: str) -> int:
    """The address that an expression means: a number or pointer itself, of anything else where it lies."""
    found = repl.session.value(text)
    if isinstance(found, MapValue):
        raise InputError(f"{text} is a map: an element of it has an address")
    scalar = found.type.scalar()
    if scalar is not None and scalar.kind is not ScalarKind.FLOAT:
        return int(found.number()) & MASK64
    address = found.address
    if address is None:
        raise InputError(f"{text} does not lie in memory")
    return address


def _examine_memory(repl: Interpreter, address: int, form: MemoryFormat) -> None:
    target = repl.session.scope().target
    per_row = max(ROW_BYTES // form.size, 1) if form.letter not in ("a", "t") else 8 // min(form.size, 8)
    for first in range(0, form.count, per_row):
        start = address + first * form.size
        row = Text(f"{start:#x} <{target.describe(start) or 'nowhere'}>:", style="cyan")
        for index in range(min(per_row, form.count - first)):
            at = start + index * form.size
            data = target.read(at, form.size)
            if data is None:
                if index:
                    repl.console.print(row)
                raise InputError(f"{form.size} bytes at {at:#x} cannot be read")
            row.append(f"  {_unit(repl, data, form)}", style="default")
        repl.console.print(row)
    repl.memory_at = address + form.count * form.size


def _unit(repl: Interpreter, data: bytes, form: MemoryFormat) -> str:
    number = int.from_bytes(data, "little")
    match form.letter:
        case "x":
            return f"{number:0{2 * form.size}x}"
        case "d":
            return str(int.from_bytes(data, "little", signed=True))
        case "c":
            return f"{int.from_bytes(data, 'little', signed=True)} {character(number)}"
        case "a":
            about = repl.session.scope().target.describe(number)
            return f"{number:#x} <{about}>" if about else f"{number:#x}"
    return f"{number:{BITS.get(form.letter, 'd')}}"


def _examine_strings(repl: Interpreter, address: int, count: int) -> None:
    scope = repl.session.scope()
    value = repl.session.value(f"(unsigned char *){address:#x}")
    assert isinstance(value, TypedValue)
    for _ in range(count):
        text = read_string(value, address)
        if text is None:
            raise InputError(f"there is no text at {address:#x}")
        repl.say(f"{address:#x} <{scope.target.describe(address) or 'nowhere'}>:  {text!r}")
        address += len(text.encode("utf-8", "surrogateescape")) + 1
    repl.memory_at = address


def _examine_code(repl: Interpreter, count: int, text: str) -> None:
    frame = repl.session.selected
    if frame is None and not text:
        raise InputError("the program stands nowhere: say PROGRAM+SLOT")
    if frame is None or (text and not re.fullmatch(r"\$pc(\s*[+-]\s*\d+)?|\d+", text)):
        place = repl.session.places.find(text).places[0]
        spec, start = place.spec, place.slot
    else:
        spec, start = frame.spec, frame.slot
        if text.isdigit():
            start = int(text)
        elif text:
            start += int(re.sub(r"\s", "", text.removeprefix("$pc")) or 0)
    for slot in slots_from(spec, start, count):
        mark = ">" if frame is not None and (frame.spec, frame.slot) == (spec, slot) else " "
        repl.say(f"{mark} {place_text(spec, slot)}: {shown_instruction(spec, slot, repl.session.object.helpers)}")
