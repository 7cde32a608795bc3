"""The scopes of a frame: which lists of variables there are, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.maps import map_rows
from pybpftime.debug.dap.backend.packets import packet_rows
from pybpftime.debug.dap.backend.proof import proof_rows
from pybpftime.debug.dap.backend.rows import Container, Indexed, Named, Parts, Row, Style, value_row
from pybpftime.debug.frames import Frame
from pybpftime.debug.packet import packet_at
from pybpftime.debug.scope import FrameScope
from pybpftime.debug.session import Session
from pybpftime.debug.values import Memory, Register, TypedValue, c_type
from pybpftime.isa.encoding import SLOT_BYTES
from pybpftime.machine import Region
from pybpftime.machine.memory import OFFSET_MASK, RegionKind
from pybpftime.machine.stack import UNWRITTEN, TrackedStack
from pybpftime.program.contexts.region import StructureRegion
from pybpftime.program.types.layout import Field

REGISTERS = 11
FRAME_POINTER = 10

ScopeOf = tuple[str, Container, str, bool]
"""Name, variables, the protocol's hint of what it is, whether it is expensive."""


def scopes_of(debuggee: Debuggee, frame: Frame | None) -> Iterator[ScopeOf]:
    """The scopes that a frame has; None stands for a run that is over."""
    session = debuggee.session
    if frame is not None:
        scope = session.scope(frame)
        if any(one.is_parameter for one in frame.scope.variables):
            yield (
                "Arguments",
                Named(frame, lambda style: _locals(scope, frame, style, parameters=True)),
                "arguments",
                False,
            )
        if any(not one.is_parameter for one in frame.scope.variables):
            yield "Locals", Named(frame, lambda style: _locals(scope, frame, style, parameters=False)), "locals", False
        yield "Registers", Named(frame, lambda style: _registers(session, frame, style)), "registers", False
        stack = _stack(session, frame)
        if stack is not None:
            yield "Stack", stack, "", True
        if frame.is_live:
            yield "Verifier", Named(frame, lambda style: proof_rows(debuggee)), "", True
    context = _context(session, frame)
    if context is not None:
        yield "Context", context, "", False
    if packet_at(session.world) is not None:
        yield "Packet", Named(frame, lambda style: packet_rows(session, frame, style)), "", False
    if any(view.spec.contents is None for view in session.object.maps.values()):
        yield "Maps", Named(frame, lambda style: map_rows(session, frame, style)), "", True
    globals = list(session.scope(frame).globals())
    if globals:
        yield (
            "Globals",
            Named(frame, lambda style: [_global(session, one, style, frame) for one in globals]),
            "globals",
            False,
        )


def _global(session: Session, value: TypedValue, style: Style, frame: Frame | None) -> Row:
    """A global variable; one that its name does not mean here cannot be typed."""
    name = value.expression
    meant = session.scope(frame).variable(name)
    path = name if name.isidentifier() and meant is not None and meant.address == value.address else ""
    return value_row(name, value, style, frame, path=path)


def _locals(scope: FrameScope, frame: Frame, style: Style, *, parameters: bool) -> list[Row]:
    found = []
    for variable in sorted(frame.scope.variables, key=lambda one: -one.depth):  # those of inner blocks first
        if variable.is_parameter == parameters and frame.scope.variable(variable.name) is variable:
            value = scope.local(variable)
            declared = (variable.file, variable.line) if variable.file else None
            found.append(value_row(variable.name, value, style, frame, declared=declared))
    return found


# --- registers and stack ----------------------------------------------------------------------------------------------


def _registers(session: Session, frame: Frame, style: Style) -> list[Row]:
    """r0 to r10, and where the program stands; pointers say what they point to."""
    target, kind = session.scope(frame).target, c_type("unsigned long", "little")
    rows = []
    for number in range(REGISTERS):
        content = frame.registers[number] if not frame.is_live else session.world.machine.registers[number]
        about = None if content is None else target.describe(content)
        text = "(no value)" if content is None else f"{content:#x}" if style.hex or about else str(content)
        value = TypedValue(kind.types, kind.id, Register(number), target, f"$r{number}")
        address = content if about else None
        rows.append(
            Row(
                f"r{number}",
                f"{text} <{about}>" if about else text,
                kind.text,
                f"$r{number}",
                value=value,
                address=address,
                read_only=not frame.is_live,
            )
        )
    world = session.world
    for name, text in (
        ("pc", f"{frame.spec.name}+{frame.slot}"),
        ("step", style.number(world.step)),
        ("invocation", style.number(world.index)),
    ):
        rows.append(Row(name, text, path=f"${name}", read_only=True))
    return rows


def _stack(session: Session, frame: Frame) -> Container | None:
    """The stack of the function as numbers of 8 bytes, from the frame pointer down."""
    top = frame.registers[FRAME_POINTER]
    region = None if top is None else session.world.machine.memory.find(top - SLOT_BYTES)
    if top is None or region is None:
        return None

    def make(style: Style, wanted: range) -> Sequence[Row]:
        return [_stack_row(session, frame, region, top, index, style) for index in wanted]

    return Indexed(frame, ((top & OFFSET_MASK) - region.start) // SLOT_BYTES, make)


def _stack_row(session: Session, frame: Frame, region: Region, top: int, index: int, style: Style) -> Row:
    below = SLOT_BYTES * (index + 1)
    kind, target = c_type("unsigned long", "little"), session.scope(frame).target
    path = f"*(unsigned long *)($r10 - {below})"
    value = TypedValue(kind.types, kind.id, Memory(top - below), target, path)
    offset = (top & OFFSET_MASK) - below
    text = value.text()
    if isinstance(region, TrackedStack) and not any(
        mark != UNWRITTEN for mark in region.content[offset : offset + SLOT_BYTES]
    ):
        text = "(not written)"
    else:
        number = int(value.number())
        about = target.describe(number)
        text = f"{number:#x} <{about}>" if about else f"{number:#x}" if style.hex else str(number)
    return Row(f"r10-{below}", text, kind.text, path, value=value, address=top - below)


# --- the context ------------------------------------------------------------------------------------------------------


def _context(session: Session, frame: Frame | None) -> Container | None:
    """What r1 pointed to when the run began: by its type if the debug information has it, else by its fields."""
    world = session.world
    if not world.has_begun:
        return None
    region = next((one for one in world.machine.memory if one.kind is RegionKind.CONTEXT), None)
    if region is None or not isinstance(region, StructureRegion):
        return None
    scope = session.scope(frame)
    found = scope.find_type("struct", region.layout.name)
    if found is not None:
        pointer = f"(struct {region.layout.name} *){region.base:#x}"
        return Parts(frame, TypedValue(*found, Memory(region.base), scope.target, f"*({pointer})"))
    fields = region.layout.fields
    return Named(frame, lambda style: [_field_row(scope, frame, region, one, style) for one in fields])


def _field_row(scope: FrameScope, frame: Frame | None, region: StructureRegion, field: Field, style: Style) -> Row:
    size, address = field.end - field.offset, region.base + field.offset
    names = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long"}
    kind = c_type(names[size], "little") if size in names else c_type("unsigned char", "little").array(size)
    path = f"*({kind.text} *){address:#x}" if size in names else ""
    return value_row(field.name, TypedValue(kind.types, kind.id, Memory(address), scope.target, path), style, frame)
