"""What Linux's verifier prints of a state: `R1=scalar(smin=0,smax=umax=255,var_off=(0x0; 0xff)) R6=5 R10=fp0`.

Formats differ between versions: Linux 5 prints `R6_w=invP5` and `R1=inv(id=0,umax_value=255)`.  Fields that are not
known say nothing, and a register that is printed in another way is no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pybpftime.isa.encoding import MASK64
from pybpftime.verifier.domain import UNKNOWN, Range, constant

_FRAME = re.compile(r" ?frame(\d{1,3}): ?")
_PLACE = re.compile(r"(?:R(\d{1,2})|fp-?\d{1,4})(?:_[a-zA-Z]+)?=")
_NUMBER = r"-?(?:0x[0-9a-fA-F]{1,16}|0|[1-9][0-9]{0,19})"
_CONSTANT = re.compile(rf"(?:inv)?P?({_NUMBER})")
_SCALAR = re.compile(r"P?(?:scalar|invP?)\((.*)\)|invP?()")
_BITS = re.compile(rf"\(({_NUMBER}); ?({_NUMBER})\)")

FIELDS: Mapping[str, tuple[str, ...]] = {
    "umin": ("umin", "umin_value"),
    "umax": ("umax", "umax_value"),
    "smin": ("smin", "smin_value"),
    "smax": ("smax", "smax_value"),
    "low_umin": ("umin32", "u32_min", "u32_min_value"),
    "low_umax": ("umax32", "u32_max", "u32_max_value"),
    "low_smin": ("smin32", "s32_min", "s32_min_value"),
    "low_smax": ("smax32", "s32_max", "s32_max_value"),
}
"""The bounds of a range, and what Linux calls them."""
_BOUNDS = {name: bound for bound, names in FIELDS.items() for name in names}


@dataclass(frozen=True, slots=True)
class Printed:
    """A state, or the part of one that has changed, of the function at depth `frame`.

    `registers`: those that are printed; None for one that is no number.
    """

    frame: int
    registers: Mapping[int, Range | None]


def printed(text: str) -> Printed | None:
    """The state that a text is; None if it is none."""
    frame = _FRAME.match(text)
    start = frame.end() if frame else 0
    if not frame and not _PLACE.match(text.lstrip(" ")):
        return None
    registers: dict[int, Range | None] = {}
    for number, value in _places(text, start):
        if number is not None:
            registers[number] = number_of(value)
    return Printed(int(frame[1]) if frame else 0, registers)


def _places(text: str, start: int) -> Iterator[tuple[int | None, str]]:
    """Registers, and stack slots (None), with what is said of them: all up to a space outside brackets."""
    while place := _PLACE.search(text, start):
        depth, end = 0, place.end()
        while end < len(text) and (depth > 0 or text[end] != " "):
            depth += (text[end] == "(") - (text[end] == ")")
            end += 1
        yield int(place[1]) if place[1] else None, text[place.end() : end]
        start = end


def number_of(text: str) -> Range | None:
    """The numbers that the text of a register stands for; None for what is no number."""
    if found := _CONSTANT.fullmatch(text):
        return constant(int(found[1], 0))
    if found := _SCALAR.fullmatch(text):
        return _with_fields(found[1] or "")
    return None


def _with_fields(text: str) -> Range:
    """`smin=smin32=0,umax=5,var_off=(0x0; 0x7)`: a value has one name or several."""
    bounds: dict[str, int] = {}
    for part in text.split(","):
        *names, value = part.split("=")
        if "var_off" in names:
            if bits := _BITS.fullmatch(value):
                bounds["value"], bounds["mask"] = (int(one, 0) & MASK64 for one in bits.groups())
        elif re.fullmatch(_NUMBER, value):
            for name in names:
                if name in _BOUNDS:
                    bounds[_BOUNDS[name]] = _read_as(_BOUNDS[name], int(value, 0))
    return UNKNOWN._replace(**bounds)


def _read_as(bound: str, value: int) -> int:
    """The value of a bound: hexadecimal digits are those of 64 bits, whatever the bound's sign and width are."""
    width = 32 if bound.startswith("low_") else 64
    value &= (1 << width) - 1
    is_signed = bound.removeprefix("low_").startswith("s")
    return value - (1 << width) if is_signed and value >> (width - 1) else value
