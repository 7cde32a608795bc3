"""The line protocol: one process, a line for each case, a line for each answer.

    runtime  pybpftime-runtime 1 name=toy version=1.0 groups=base64,divmul64 features=calls shows=memory budget=yes
    we       run 1 code=b700000007000000 mem=- budget=-
    runtime  1 return r0=0x7
    we       run 2 code=... mem=00ff budget=1000
    runtime  2 trap class=memory pc=3 load of 4 bytes behind the end

Numbers of r0 to r10 are hex with 0x, pc and budget decimal, bytes hex digits, `-` is none.  docs/reference/
runtime-protocol.md has every word; here is the only place that reads and writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pybpftime.conformance.case import Case, Feature, Signature, Verdict
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Profile
from pybpftime.errors import FaultKind, InputError
from pybpftime.isa import Group
from pybpftime.isa.encoding import MASK64, MAX_REGISTER
from pybpftime.maps import MapSpec
from pybpftime.uapi import MapType

GREETING = "pybpftime-runtime"
VERSION = "1"
NONE = "-"
ANSWERS = {
    "return": OutcomeKind.RETURNED,
    "trap": OutcomeKind.TRAPPED,
    "exhausted": OutcomeKind.EXHAUSTED,
    "refused": OutcomeKind.REFUSED,
    "failed": OutcomeKind.FAILED,
    "unsupported": OutcomeKind.UNSUPPORTED,
}
REGISTERS = {f"r{number}": number for number in range(MAX_REGISTER + 1)}
TRAPS = tuple(str(kind) for kind in FaultKind)
CHOICES: Mapping[str, Mapping[str, Any]] = {
    "groups": {str(group): group for group in Group},
    "features": {str(feature): feature for feature in Feature},
    "refuses": {str(verdict): verdict for verdict in (Verdict.MALFORMED, Verdict.INVALID)},
    "shows": {word: word for word in ("registers", "memory", "stack")},
}
"""The words that a profile's fields are made of."""
UNDECLARED = Profile("runtime")


@dataclass(frozen=True, slots=True)
class Request:
    """What a runtime is asked.  `maps` has a spec for each map, by index."""

    id: str
    code: bytes
    memory: bytes | None = None
    budget: int | None = None
    maps: tuple[MapSpec, ...] = ()


# --- the first line ---------------------------------------------------------------------------------------------------


def hello_line(profile: Profile) -> str:
    """What a runtime says first."""
    words = {
        "name": profile.name,
        "version": profile.version,
        "groups": ",".join(sorted(profile.groups)),
        "features": ",".join(sorted(profile.features)),
        "refuses": ",".join(sorted(profile.refuses)),
        "shows": ",".join(sorted(profile.shows)),
        "budget": "yes" if profile.budget else "no",
    }
    given = (f"{key}={'_'.join(value.split())}" for key, value in words.items() if value.strip())
    return " ".join((GREETING, VERSION, *given))


def read_hello(line: str) -> Profile:
    """The profile that a runtime declares.  InputError with the word that is wrong."""
    greeting, _, rest = line.partition(" ")
    version, _, rest = rest.partition(" ")
    if greeting != GREETING or version != VERSION:
        raise InputError(f"its first line should begin with `{GREETING} {VERSION}`, and is {line[:80]!r}")
    return claims(rest.split())


def claims(words: Iterable[str], profile: Profile = UNDECLARED) -> Profile:
    """`profile` with what `words` of the first line say instead.  InputError with the word that is wrong."""
    fields: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key in fields:
            raise InputError(f"{key} comes twice" if equals else f"{word[:40]!r} has no `=`")
        if key in CHOICES:
            fields[key] = chosen(key, value.split(",") if value else ())
        elif key == "budget" and value in ("yes", "no"):
            fields[key] = value == "yes"
        elif key in ("name", "version") and value:
            fields[key] = value
        else:
            raise InputError(f"{word[:40]!r} means nothing")
    return replace(profile, **fields)


def chosen(key: str, words: Iterable[str]) -> frozenset[Any]:
    """The values that `words` of a profile's field name.  InputError for one that is none."""
    choices = CHOICES[key]
    for word in words:
        if word not in choices:
            raise InputError(f"{key}: {word[:40]!r} is none of {', '.join(choices)}")
    return frozenset(choices[word] for word in words)


# --- requests ---------------------------------------------------------------------------------------------------------


def request_line(id: str, case: Case) -> str:
    """What is asked about a case."""
    line = f"run {id} code={_hex(case.code)} mem={_hex(case.memory)} budget={_or_none(case.budget)}"
    if case.maps:
        numbers = ((spec.type, spec.key_size, spec.value_size, spec.max_entries, spec.flags) for spec in case.maps)
        line += " maps=" + ",".join("/".join(str(int(number)) for number in one) for one in numbers)
    return line


def read_request(line: str) -> Request:
    """What a line asks.  InputError when it is none of ours."""
    verb, _, rest = line.partition(" ")
    id, *words = rest.split()
    fields = dict(word.split("=", 1) for word in words if "=" in word)
    if verb != "run" or "code" not in fields:
        raise InputError(f"no request: {line[:80]!r}")
    try:
        budget = fields.get("budget", NONE)
        maps = tuple(_read_map(index, one) for index, one in enumerate(fields.get("maps", "").split(",")) if one)
        memory = fields.get("mem", NONE)
        return Request(
            id,
            b"" if fields["code"] == NONE else bytes.fromhex(fields["code"]),
            None if memory == NONE else bytes.fromhex(memory),
            None if budget == NONE else int(budget),
            maps,
        )
    except ValueError as error:
        raise InputError(f"no request: {error}") from None


def _read_map(index: int, text: str) -> MapSpec:
    type, key, value, entries, flags = (int(number) for number in text.split("/"))
    return MapSpec(f"map{index}", MapType(type), key, value, entries, flags)


def _hex(content: bytes | None) -> str:
    return NONE if not content else content.hex()


def _or_none(number: int | None) -> str:
    return NONE if number is None else str(number)


# --- answers ----------------------------------------------------------------------------------------------------------


def answer_line(id: str, outcome: Outcome) -> str:
    """What a runtime answers: one of the six kinds that a runtime itself can tell."""
    words = [id, next(word for word, kind in ANSWERS.items() if kind is outcome.kind)]
    signature = outcome.signature
    if outcome.kind is OutcomeKind.RETURNED:
        words += (f"r{number}={value:#x}" for number, value in sorted(signature.registers.items()))
        blocks = (("mem", signature.memory), ("stack", signature.stack))
        words += (f"{name}={_hex(block)}" for name, block in blocks if block is not None)
    if outcome.trap is not None:
        words.append(f"class={outcome.trap}")
    if outcome.pc is not None:
        words.append(f"pc={outcome.pc}")
    return " ".join((*words, *outcome.message.split()))


def read_answer(line: str, id: str) -> Outcome:
    """The outcome that a line tells of the case `id`.  InputError when it tells of none."""
    words = line.split()
    if len(words) < 2 or words[0] != id:
        raise InputError(f"no answer to request {id}")
    kind = ANSWERS.get(words[1])
    if kind is None:
        raise InputError(f"{words[1][:40]!r} is none of {', '.join(ANSWERS)}")
    if kind is OutcomeKind.RETURNED:
        return Outcome(kind, _read_signature(words[2:]))
    fields, message = _read_place(words[2:]) if kind is not OutcomeKind.UNSUPPORTED else ({}, words[2:])
    trap = fields.get("class")
    if trap is not None and trap not in TRAPS:
        raise InputError(f"class: {trap[:40]!r} is none of {', '.join(TRAPS)}")
    pc = fields.get("pc")
    if pc is not None and not (pc.isascii() and pc.isdecimal()):
        raise InputError(f"pc: {pc[:40]!r} is no number")
    return Outcome(
        kind, trap=None if trap is None else FaultKind(trap), pc=None if pc is None else int(pc[:20]),
        message=" ".join(message),
    )  # fmt: skip


def _read_place(words: Sequence[str]) -> tuple[dict[str, str], Sequence[str]]:
    """`class=` and `pc=` at the beginning, and the message behind them."""
    fields: dict[str, str] = {}
    for position, word in enumerate(words):
        key, equals, value = word.partition("=")
        if not equals or key not in ("class", "pc") or key in fields:
            return fields, words[position:]
        fields[key] = value
    return fields, ()


def _read_signature(words: Sequence[str]) -> Signature:
    registers: dict[int, int] = {}
    blocks: dict[str, bytes] = {}
    for word in words:
        key, _, value = word.partition("=")
        try:
            if key in blocks:
                raise InputError(f"{key} comes twice")
            if key in ("mem", "stack"):
                blocks[key] = b"" if value == NONE else bytes.fromhex(value)
            elif key in REGISTERS and REGISTERS[key] not in registers:
                registers[REGISTERS[key]] = _read_register(value)
            else:
                raise InputError(f"{word[:40]!r} is no part of a signature, or comes twice")
        except ValueError:
            raise InputError(f"{key}: {value[:40]!r} is no hex") from None
    if 0 not in registers:
        raise InputError("`return` needs r0")
    return Signature(registers, blocks.get("mem"), blocks.get("stack"))


def _read_register(text: str) -> int:
    number = int(text.removeprefix("0x"), 16) if text.startswith("0x") else -1
    if not 0 <= number <= MASK64:
        raise ValueError
    return number
