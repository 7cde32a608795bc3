"""Breakpoints, watchpoints and log points."""

from __future__ import annotations

import re

from pybpftime.debug.breakpoints import Breakpoint, CallPattern, parse_hit_condition
from pybpftime.debug.places import Places
from pybpftime.debug.repl.arguments import number_argument, numbers_argument, regular_expression, split_condition
from pybpftime.debug.repl.describe import kind_text
from pybpftime.debug.repl.elements import key_bytes
from pybpftime.debug.repl.instructions import place_text
from pybpftime.debug.repl.interpreter import Interpreter
from pybpftime.debug.repl.table import command
from pybpftime.debug.values import TypedValue
from pybpftime.debug.watch import Access, Watchpoint
from pybpftime.errors import InputError
from pybpftime.runtime.names import no_such


@command(
    "break", "b", "br", usage="break [LOCATION] [if COND]", example="break xdp_parser.bpf.c:157 if rest->at == 0",
    arguments="location",
)  # fmt: skip
def break_(repl: Interpreter, text: str) -> None:
    """Stop where a place is reached, if the condition holds there.

    A place is a function, FILE:LINE, a line of this file, /REGEX/ over functions, PROGRAM+SLOT or *SLOT; without one
    it is where the program stands.  The condition is a C expression with the names of that place.
    """
    _add(repl, text, temporary=False)


@command("tbreak", "tb", usage="tbreak [LOCATION] [if COND]", example="tbreak parse_ipv6", arguments="location")
def tbreak(repl: Interpreter, text: str) -> None:
    """Stop once where a place is reached."""
    _add(repl, text, temporary=True)


@command("rbreak", usage="rbreak REGEX", example="rbreak ^parse_")
def rbreak(repl: Interpreter, text: str) -> None:
    """Set a breakpoint on every function whose name the regular expression finds."""
    if not text:
        raise InputError("rbreak takes a regular expression")
    expression = regular_expression(text)
    names = [name for name in repl.session.places.functions() if expression.search(name)]
    if not names:
        raise InputError(f"no function matches {text}; info functions lists them")
    for name in names:
        repl.tell(repl.session.break_at(name))


@command(
    "break-call", "bc", usage="break-call HELPER [MAP [KEY]] [after] [if COND]",
    example="break-call bpf_map_lookup_elem after if $r0 == 0", arguments="helper",
)  # fmt: skip
def break_call(repl: Interpreter, text: str) -> None:
    """Stop where the program calls a helper or kfunc: any, on a map, or with a key.

    HELPER is a name or a regular expression that matches all of it.  `after` stops behind the call, where $r0 is its
    result.
    """
    rest, condition = split_condition(text)
    words = rest.split(maxsplit=1)
    if not words:
        raise InputError("break-call takes the name of a helper")
    name, rest = words[0], words[1] if len(words) > 1 else ""
    rest, after = _without(rest, "after")
    rest, result = _without(rest, "result")
    regular_expression(name)
    map, _, key_text = rest.partition(" ")
    key = None
    if map:
        if map not in repl.session.object.maps:
            raise no_such("map", map, repl.session.object.maps)
        key = key_bytes(map, key_text.strip(), repl.session.scope()) if key_text.strip() else None
    pattern = CallPattern(name, map or None, key, after=after or result)
    one = repl.session.break_on_call(pattern, condition=condition)
    repl.tell(one)


@command("watch", "wa", usage="watch EXPR", example="watch protocols[IPV4_TCP].packets", arguments="expression")
def watch(repl: Interpreter, text: str) -> None:
    """Stop where a value changes: a variable, memory, a register ($r3), packet bytes, an element of a map.

    With reverse-continue it shows who wrote the value.  It watches the place that the expression denotes now.
    """
    _watch(repl, text, Access.CHANGE)


@command("rwatch", "rw", usage="rwatch EXPR", example="rwatch ip->ttl", arguments="expression")
def rwatch(repl: Interpreter, text: str) -> None:
    """Stop where a value is read, by an instruction or by a helper: a variable, memory, a register, packet bytes.

    The program stands behind the read; with reverse-continue before it.  An atomic operation reads, too.
    """
    _watch(repl, text, Access.READ)


@command("awatch", "aw", usage="awatch EXPR", example="awatch flow->protocol", arguments="expression")
def awatch(repl: Interpreter, text: str) -> None:
    """Stop where a value is read or written, by an instruction or by a helper; also if it stays the same.

    The program stands behind the access; with reverse-continue before it.
    """
    _watch(repl, text, Access.ANY)


@command(
    "dprintf", "logpoint", usage='dprintf LOCATION,"TEXT {EXPR}"', arguments="location",
    example='dprintf parse_ipv4,"packet {$invocation}: {rest->at}"',
)  # fmt: skip
def dprintf(repl: Interpreter, text: str) -> None:
    """Print a text whenever a place is reached, without stopping.  Expressions stand in braces; {{ is a brace."""
    rest, condition = split_condition(text) if '"' not in text else (text, "")
    match = re.fullmatch(r'([^,"]+?)\s*,\s*"(.*)"\s*(?:if\s+(.*))?', rest)
    if match is None:
        raise InputError('dprintf takes a place and a text: dprintf parse,"text {expression}"')
    message = match[2].replace('\\"', '"').replace("\\n", "")
    if not message:
        raise InputError("there is no text to print")
    repl.tell(repl.session.break_at(match[1], log=message, condition=match[3] or condition))


@command("delete", "d", usage="delete [N...]", example="delete 2 4-6", arguments="breakpoint")
def delete(repl: Interpreter, text: str) -> None:
    """Delete breakpoints and watchpoints; without numbers all of them."""
    session = repl.session
    numbers = numbers_argument(text) if text else [*session.breakpoints.all, *session.watchpoints]
    for number in numbers:
        _find(repl, number)
    for number in numbers:
        session.remove(number)
        repl.actions.pop(number, None)


@command("clear", usage="clear [LOCATION]", example="clear parse_ipv4", arguments="location")
def clear(repl: Interpreter, text: str) -> None:
    """Delete the breakpoints at a place; without one, those where the program stands."""
    places = _places(repl, text)
    slots = {(id(place.spec), place.slot) for place in places.places}
    found = [
        one.number
        for one in repl.session.breakpoints.all.values()
        if isinstance(one.where, Places) and slots & {(id(place.spec), place.slot) for place in one.where.places}
    ]
    if not found:
        raise InputError(f"there is no breakpoint at {places.text}")
    for number in found:
        repl.session.remove(number)
        repl.actions.pop(number, None)
    repl.say(f"deleted {', '.join(map(str, found))}")


@command("enable", "en", usage="enable [N...]", example="enable 2", arguments="breakpoint")
def enable(repl: Interpreter, text: str) -> None:
    """Enable breakpoints and watchpoints; `enable display N` displays."""
    _switch(repl, text, enabled=True)


@command("disable", "dis", usage="disable [N...]", example="disable 2", arguments="breakpoint")
def disable(repl: Interpreter, text: str) -> None:
    """Disable breakpoints and watchpoints, without deleting them; `disable display N` displays."""
    _switch(repl, text, enabled=False)


@command("condition", "cond", usage="condition N [COND]", example="condition 1 ip->ttl == 1", arguments="breakpoint")
def condition(repl: Interpreter, text: str) -> None:
    """Give a breakpoint another condition; without one it stops always."""
    word, _, rest = text.partition(" ")
    one = _breakpoint(repl, number_argument(word, "the number of a breakpoint"))
    before, one.condition = one.condition, rest.strip()
    try:
        repl.session.breakpoints.check(one)
    except InputError:
        one.condition = before
        repl.session.breakpoints.check(one)
        raise
    repl.say(f"breakpoint {one.number} stops {f'only if {one.condition}' if one.condition else 'always'}")


@command("ignore", usage="ignore N COUNT", example="ignore 1 10", arguments="breakpoint")
def ignore(repl: Interpreter, text: str) -> None:
    """Stop at a breakpoint only from a hit on: pass it COUNT times.

    COUNT may be a rule, too: `== 3`, `>= 10`, `% 100` (every hundredth hit); 0 stops always.
    """
    word, _, rest = text.partition(" ")
    one = _breakpoint(repl, number_argument(word, "the number of a breakpoint"))
    rest = rest.strip()
    if re.fullmatch(r"\d{1,12}", rest):
        rule = f"> {one.hits + int(rest)}" if int(rest) else ""
    else:
        parse_hit_condition(rest)
        rule = rest
    one.hit_condition = rule
    repl.session.breakpoints.changed()
    repl.say(f"breakpoint {one.number} stops at {f'hit {rule}' if rule else 'every hit'}; it has had {one.hits}")


@command("commands", usage="commands [N] ... end", example="commands 1", arguments="breakpoint")
def commands(repl: Interpreter, text: str) -> None:
    """What to do when a breakpoint or watchpoint stops: the lines that follow, up to `end`.

    Without a number it is the last one that was made.  With `silent` as the first line the stop is not shown.
    """
    session = repl.session
    known = [*session.breakpoints.all, *session.watchpoints]
    if not text and not known:
        raise InputError("there is no breakpoint")
    number = number_argument(text, "the number of a breakpoint") if text else max(known)
    _find(repl, number)

    def done(lines: list[str]) -> None:
        if lines:
            repl.actions[number] = lines
        else:
            repl.actions.pop(number, None)

    repl.collect(f"commands {number}", done)


# --- parts ------------------------------------------------------------------------------------------------------------


def _add(repl: Interpreter, text: str, *, temporary: bool) -> None:
    where, rule = split_condition(text)
    if where:
        one = repl.session.break_at(where, condition=rule, temporary=temporary)
    else:
        one = repl.session.break_at_places(_places(repl, ""), condition=rule, temporary=temporary)
    repl.tell(one)


def _watch(repl: Interpreter, text: str, access: Access) -> None:
    if not text:
        raise InputError("the expression is missing: what is to be watched?")
    session = repl.session
    one = session.watch(text, access)
    value = session.value(text)
    now = f", which is {value.text()}" if isinstance(value, TypedValue) else ""
    lies = ", ".join(f"r{number}" for number in sorted(one.extent.registers))
    where = f" (in {lies})" if lies and not re.fullmatch(r"\$?r\d+", text) else ""
    repl.say(f"{kind_text(one)} {one.number} on {one.text}{where}{now}")


def _places(repl: Interpreter, text: str) -> Places:
    """The places that a text stands for; without one, where the selected frame stands."""
    session, frame = repl.session, repl.session.selected
    if text:
        return session.places.find(text, file=repl.session.current_file)
    if frame is None:
        raise InputError("the program stands nowhere: say where")
    return session.places.find(place_text(frame.spec, frame.slot))


def _without(text: str, word: str) -> tuple[str, bool]:
    """The text without a word, and whether it was there."""
    words = text.split(" ")
    if word not in words:
        return text, False
    words.remove(word)
    return " ".join(words).strip(), True


def _find(repl: Interpreter, number: int) -> Breakpoint | Watchpoint:
    session = repl.session
    found = session.breakpoints.all.get(number) or session.watchpoints.get(number)
    if found is None:
        raise InputError(f"there is no breakpoint {number}")
    return found


def _breakpoint(repl: Interpreter, number: int) -> Breakpoint:
    found = _find(repl, number)
    if not isinstance(found, Breakpoint):
        raise InputError(f"{number} is a watchpoint, which has no condition and no hit count")
    return found


def _switch(repl: Interpreter, text: str, *, enabled: bool) -> None:
    session = repl.session
    word, _, rest = text.partition(" ")
    if word == "display":
        numbers = numbers_argument(rest)
        for display in repl.displays:
            if display.number in numbers or not numbers:
                display.enabled = enabled
        return
    found = numbers_argument(rest if word == "breakpoints" else text)
    for number in found or [*session.breakpoints.all, *session.watchpoints]:
        _find(repl, number).enabled = enabled
    session.breakpoints.changed()
