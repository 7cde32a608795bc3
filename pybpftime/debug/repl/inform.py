"""Facts about the program and the session."""

from __future__ import annotations

import re

from pybpftime.debug.breakpoints import Breakpoint
from pybpftime.debug.places import Places
from pybpftime.debug.repl.arguments import number_argument, regular_expression
from pybpftime.debug.repl.contents import packet
from pybpftime.debug.repl.data import display_line
from pybpftime.debug.repl.describe import kind_text, places_text, rules_text
from pybpftime.debug.repl.describe import where_text as breakpoint_place
from pybpftime.debug.repl.elements import map_text, show_elements
from pybpftime.debug.repl.instructions import place_text
from pybpftime.debug.repl.interpreter import Interpreter
from pybpftime.debug.repl.past import show_timelines
from pybpftime.debug.repl.show import frame_place, register_text, result_text, short_file
from pybpftime.debug.repl.table import INFO, command, info
from pybpftime.debug.watch import Watchpoint
from pybpftime.errors import InputError
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime.names import no_such

SIGNED_BITS = 64
MOST_INVOCATIONS = 200


@command("info", "i", usage="info SUBJECT", example="info locals", arguments="info")
def info_(repl: Interpreter, text: str) -> None:
    """Tell about a subject; help info lists them."""
    word, _, rest = text.partition(" ")
    if not word:
        raise InputError(f"info takes a subject: {', '.join(INFO.names())}")
    repl.run_command(INFO.find(word), rest.strip())


@info("breakpoints", "b", "watchpoints", usage="info breakpoints", example="info breakpoints")
def breakpoints(repl: Interpreter, text: str) -> None:
    """List breakpoints, log points and watchpoints, with their hits."""
    session = repl.session
    found: list[Breakpoint | Watchpoint] = [*session.breakpoints.all.values(), *session.watchpoints.values()]
    if not found:
        repl.say("there are no breakpoints and no watchpoints")
    for one in sorted(found, key=lambda one: one.number):
        state = "" if one.enabled else ", disabled"
        where = one.text if isinstance(one, Watchpoint) else breakpoint_place(one)
        repl.say(f"{one.number}  {kind_text(one)} {where}, {_hits(one.hits)}{state}")
        if isinstance(one, Breakpoint):
            rows = rules_text(one)
            if isinstance(one.where, Places):
                symbols = {id(place.spec): session.symbols_of(place.spec) for place in one.where.places}
                rows += places_text(one.where, symbols)
            for row in rows:
                repl.say(f"     {row}")
        for line in repl.actions.get(one.number, ()):
            repl.say(f"     > {line}")


@info("frame", "f", usage="info frame", example="info frame")
def frame(repl: Interpreter, text: str) -> None:
    """Tell about the selected frame: the function, the instruction, the frame pointer, who called it."""
    one, frames = repl.session.selected, repl.session.frames()
    if one is None:
        raise InputError("no function is active")
    kind = "an inlined function" if one.scope.is_inlined else "a function"
    repl.say(f"frame {one.number} is {kind}: {frame_place(one)}")
    repl.say(f"  instruction {place_text(one.spec, one.slot)}; calls deep: {one.level}")
    repl.say(f"  r10 = {register_text(repl.session.world, one.registers[10])}")
    if one.number + 1 < len(frames):
        repl.say(f"  called from {frame_place(frames[one.number + 1])}")
    note = one.symbols.note
    if note:
        repl.say(f"  {note}")


@info("registers", "r", usage="info registers [rN]", example="info registers r1")
def registers(repl: Interpreter, text: str) -> None:
    """Show the registers of the selected frame, in hex and decimal, and what they point to."""
    one, world = repl.session.selected, repl.session.world
    if not world.has_begun:
        raise InputError("the program has not begun")
    values = tuple(world.machine.registers) if one is None else one.registers
    wanted = [number_argument(word.lstrip("$r"), "a register") for word in text.split()] or list(range(len(values)))
    for number in wanted:
        if number >= len(values):
            raise InputError(f"there is no register r{number}; there are r0 to r{len(values) - 1}")
        value = values[number]
        shown = register_text(world, value)
        signed = 0 if value is None else value - (1 << SIGNED_BITS) if value >> (SIGNED_BITS - 1) else value
        decimal = "" if value is None or value < 10 or world.machine.is_pointer(value) else f"  {signed}"
        repl.say(f"r{number:<3}{shown}{decimal}")
    if not text and one is not None:
        repl.say(f"pc  {place_text(one.spec, one.slot)}")


@info("locals", usage="info locals", example="info locals")
def locals_(repl: Interpreter, text: str) -> None:
    """Show the variables of the selected frame, with their types and values."""
    _variables(repl, parameters=False)


@info("args", usage="info args", example="info args")
def args(repl: Interpreter, text: str) -> None:
    """Show the parameters of the selected frame."""
    _variables(repl, parameters=True)


@info("globals", "variables", usage="info globals", example="info globals")
def globals_(repl: Interpreter, text: str) -> None:
    """Show the global variables of the object."""
    found = list(repl.session.scope().globals())
    for value in found:
        repl.say(f"{value.type_text} {value.expression} = {value.text()}")
    if not found:
        repl.say("there are no global variables")


@info("maps", usage="info maps", example="info maps")
def maps(repl: Interpreter, text: str) -> None:
    """List the maps: type, sizes of keys and values, entries."""
    views = repl.session.object.maps
    for view in views.values():
        repl.say(map_text(view))
    if not views:
        repl.say("the object has no maps")


@info("map", usage="info map NAME [cpu N]", example="info map protocols")
def map_(repl: Interpreter, text: str) -> None:
    """Tell about a map, and list its elements as expressions; where each cpu has its own value, all or those of one.

    Elements of arrays are left out where they are zero.  The command map shows them as a table.
    """
    match = re.fullmatch(r"(\S+?)(?:\s+cpu\s+(\S+))?", text)
    if match is None:
        raise InputError("info map takes the name of a map: info map NAME, or info map NAME cpu N")
    known = repl.session.object.maps
    if match[1] not in known:
        raise no_such("map", match[1], known)
    cpu = number_argument(match[2], "the number of a cpu") if match[2] else None
    show_elements(repl, known[match[1]], cpu)


@info("packet", usage="info packet [all]", example="info packet")
def packet_(repl: Interpreter, text: str) -> None:
    """Show the packet, as the command packet does."""
    packet(repl, text)


@info("timelines", usage="info timelines", example="info timelines")
def timelines(repl: Interpreter, text: str) -> None:
    """List the time lines."""
    show_timelines(repl)


@info("sources", usage="info sources", example="info sources")
def sources(repl: Interpreter, text: str) -> None:
    """List the source files, and where their text comes from."""
    files = repl.session.places.files()
    for file in files:
        found = repl.sources.text(file)
        if found is None:
            state = "not found; --source-path DIR says where to look"
        elif found.is_reconstructed:
            state = "not found; its lines with code come from BTF"
        else:
            state = f"{found.path}{', changed since it was compiled' if found.is_changed else ''}"
        repl.say(f"{file}: {state}")
    if not files:
        repl.say("the object says nothing about its source")


@info("functions", usage="info functions [REGEX]", example="info functions ^parse")
def functions(repl: Interpreter, text: str) -> None:
    """List the functions, inlined ones too."""
    expression = regular_expression(text)
    names = [name for name in repl.session.places.functions() if expression.search(name)]
    for name in names:
        places = repl.session.places.function(name).places
        symbols = {id(place.spec): repl.session.symbols_of(place.spec) for place in places}
        first = places_text(Places(name, places[:1]), symbols)[0]
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        repl.say(f"{name}: {first}{more}")
    if not names:
        repl.say("there is no such function")


@info("programs", usage="info programs", example="info programs")
def programs(repl: Interpreter, text: str) -> None:
    """List the programs of the object."""
    world = repl.session.world
    for one in repl.session.object:
        mark = ">" if world.has_begun and world.program.name == one.name else " "
        size = len(one.spec.instructions)
        repl.say(f"{mark}{one.name}: {PROGRAM_TYPES[one.type].name}, {size} slots")


@info("invocations", "packets", usage="info invocations", example="info invocations")
def invocations(repl: Interpreter, text: str) -> None:
    """List the packets or hits: where each began on this time line, and how it ended."""
    world = repl.session.world
    line = world.timeline
    first = max(world.index - MOST_INVOCATIONS // 2, 0)
    shown = list(enumerate(world.invocations))[first : first + MOST_INVOCATIONS]
    for index, one in shown:
        mark = ">" if index == world.index else " "
        label = one.label or f"run {index + 1}"
        began = f"began at step {line.starts[index]}" if index < len(line.starts) else "not begun"
        ending = line.endings.get(index)
        end = ""
        if ending is not None:
            end = f", {ending.result.verdict}" if ending.result is not None else f", fault: {ending.error}"
        repl.say(f"{mark}{label}: {began}{end}")
    if len(shown) < len(world.invocations):
        repl.say(f"... these are {len(shown)} of {len(world.invocations)}")


@info("display", usage="info display", example="info display")
def display(repl: Interpreter, text: str) -> None:
    """List the displays."""
    for one in repl.displays:
        repl.say(display_line(repl, one) + ("" if one.enabled else " (disabled)"))
    if not repl.displays:
        repl.say("there are no displays")


@info("line", usage="info line [LOCATION]", example="info line 157", arguments="location")
def line(repl: Interpreter, text: str) -> None:
    """Show which instructions a source line or another place begins at."""
    session, one = repl.session, repl.session.selected
    if not text:
        if one is None:
            repl.say(result_text(session.world) if session.world.has_begun else "the program has not begun")
        else:
            column = f", column {one.line.column}" if one.line is not None and one.line.column else ""
            repl.say(f"{frame_place(one)}{column}, {place_text(one.spec, one.slot)}")
        return
    found = session.places.find(text, file=repl.session.current_file)
    symbols = {id(place.spec): session.symbols_of(place.spec) for place in found.places}
    repl.say(f"{short_file(found.text)} begins at")
    for row in places_text(found, symbols):
        repl.say(f"  {row}")


def _hits(count: int) -> str:
    return "1 hit" if count == 1 else f"{count} hits"


def _variables(repl: Interpreter, *, parameters: bool) -> None:
    frame = repl.session.selected
    if frame is None:
        raise InputError("no function is active, so there are no variables")
    if frame.symbols.note:
        raise InputError(frame.symbols.note)
    scope = repl.session.scope()
    seen: set[str] = set()
    for one in sorted(frame.scope.variables, key=lambda one: -one.depth):
        if one.name in seen:
            continue
        seen.add(one.name)
        if one.is_parameter == parameters:
            value = scope.local(one)
            repl.say(f"{value.type_text} {one.name} = {value.text()}")
    if not any(one.is_parameter == parameters for one in frame.scope.variables):
        repl.say(f"{frame.name} has no {'parameters' if parameters else 'variables'} here")
