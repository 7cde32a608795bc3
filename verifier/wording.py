"""Abstract values, instructions and places in the words of a person."""

from __future__ import annotations

import re

from pybpftime.isa.disassembler import Names, format_instruction
from pybpftime.program.spec import MapReference, ProgramSpec
from pybpftime.verifier.domain.text import number
from pybpftime.verifier.explanation import Place
from pybpftime.verifier.state import State
from pybpftime.verifier.subject import HELPERS_BY_ID
from pybpftime.verifier.values import Input, InputKind, Pointer, Region, RegionKind, Scalar, Value

_K = RegionKind
NAMED_INPUTS = frozenset({InputKind.CONTEXT, InputKind.PACKET, InputKind.MEMORY, InputKind.ARGUMENT})
LOST_ADDRESSES = {
    "packet address from before": "read data and data_end from the context again behind that call, and check again",
    "address of the": "do not use it after it was released",
    "address of a stack": "use no local of a function that has returned",
}
"""Names of inputs that were addresses once (`calls`, `functions`), by their beginning, and what to do about it."""
_WHITE = re.compile(r"\s+")


def _helper_name(helper_id: int) -> str | None:
    helper = HELPERS_BY_ID.get(helper_id)
    return None if helper is None else helper.name


NAMES = Names(helper=_helper_name)


def instruction_text(spec: ProgramSpec, pc: int) -> str:
    """The instruction at `pc`, in pseudo-C, with the name of the map that it refers to."""
    instruction = spec.instructions[pc]
    if instruction is None:
        return "second half of a wide instruction"
    text = format_instruction(instruction, names=NAMES)
    reference = spec.references.get(pc)
    if isinstance(reference, MapReference):
        at = "" if reference.offset is None else f", byte {reference.offset} of its value"
        text += f"  ; map {reference.name}{at}"
    return text


def place_of(spec: ProgramSpec, pc: int) -> Place:
    """The place of the instruction at `pc`."""
    text = instruction_text(spec, pc)
    line = spec.line_at(pc)
    if line is None:
        return Place(pc, text)
    shown = _WHITE.sub(" ", line.text.strip())
    column = line.column - (len(line.text) - len(line.text.lstrip()))
    known_column = 0 < column <= len(shown) and shown == line.text.strip()
    name = line.file.replace("\\", "/").rpartition("/")[2]
    return Place(pc, text, name, line.line, column if known_column else None, shown or None)


def state_text(state: State) -> dict[str, str]:
    """What a state says of the registers and the stack of the function that runs: `r3`, `fp-8` and their values."""
    frame = state.frames[-1]
    texts = {f"r{number}": value_text(value) for number, value in enumerate(frame.registers) if value is not None}
    slots = sorted(frame.stack.items(), reverse=True)
    return texts | {f"fp{offset}": value_text(slot.value) for offset, slot in slots}


def value_text(value: Value | None) -> str:
    """What a register or stack slot holds: `5`, `0..255 (packet+23)`, `packet+14`, `fp-8`, `never set`."""
    if value is None:
        return "never set"
    return scalar_text(value) if isinstance(value, Scalar) else pointer_text(value)


def scalar_text(scalar: Scalar) -> str:
    """A number: its range, and the input that it is."""
    if scalar.is_constant:
        return str(scalar.range)
    name = input_name(scalar)
    return f"{scalar.range} ({name})" if name else str(scalar.range)


def input_name(scalar: Scalar) -> str:
    """What people call the input that the number is: `xdp_md.ingress_ifindex`, `result of bpf_get_prandom_u32`."""
    origin = scalar.root.origin
    if not isinstance(origin, Input):
        return ""
    if origin.kind is InputKind.HELPER:
        return f"result of {origin.name}"
    if origin.kind in NAMED_INPUTS and origin.variable is not None:
        return f"{origin.name} plus something"
    return "" if origin.kind in (InputKind.STACK, InputKind.LENGTH) else origin.name


def pointer_text(pointer: Pointer) -> str:
    """An address: where it leads, by how much it may vary, whether it may be NULL."""
    region = pointer.region
    variable = "" if pointer.variable is None else f" plus {scalar_text(pointer.variable)}"
    null = " or NULL, not checked" if pointer.nullable else ""
    if region.kind is _K.STACK:
        place = f"fp{pointer.offset:+d}" if pointer.offset else "fp"
        frame = f" of frame {region.depth}" if region.depth else ""
        return f"{place}{variable}{frame}{null}"
    at = f", byte {pointer.offset}" if pointer.offset else ""
    return f"{region_text(region)}{at}{variable}{null}"


def region_text(region: Region) -> str:
    """The thing that a pointer leads to."""
    if region.kind is _K.CONTEXT:
        return f"the context ({region.name})"
    size = "" if region.size is None else f" ({region.size} bytes)"
    return f"{region.name}{size}"


def short_name(region: Region) -> str:
    """What stands before an offset: `fp` in `fp-8`, `packet` in `packet+14`."""
    return "fp" if region.kind is _K.STACK else region.name


def amount(count: int) -> str:
    """`1 byte`, `8 bytes`."""
    return f"{count} byte" if count == 1 else f"{count} bytes"


def outside_text(state: State, what: str, region: Region, low: int, high: int, size: int) -> str:
    """That an access of `size` bytes, which begins at `low` to `high` of a region, is not shown to lie inside it.

    `what` is the word for the access.
    """
    stack = region.kind is _K.STACK
    places = [f"fp{place:+d}" if stack else _short(place) for place in dict.fromkeys((low, high))]
    access = f"{what} of {amount(size)} at {' to '.join(places)}"
    if stack:
        return f"{access}, the stack is fp-512 to fp-1"
    if region.size is not None:
        return f"{access} of the {region.name}, which has {amount(region.size)}"
    known = state.lengths[region].range.umin if region in state.lengths else 0
    return f"{access} of the {region.name}, of which {amount(known)} {'is' if known == 1 else 'are'} known to exist"


def _short(offset: int) -> str:
    return f"{offset}" if abs(offset) < 1 << 24 else f"{offset:#x}"


def length_text(state: State, region: Region) -> str | None:
    """How long a packet is known to be; None for what is no packet of the moment."""
    length = state.lengths.get(region)
    if length is None:
        return None
    low, high = length.range.umin, length.range.umax
    if low == high:
        return f"exactly {number(low)} bytes"
    return f"at least {number(low)} bytes" + (f", at most {number(high)}" if high < 0xFFFF_FFFF else "")
