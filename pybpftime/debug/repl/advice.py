"""What to do about a fault that only the strict level knows."""

from __future__ import annotations

from pybpftime.debug.session import Session
from pybpftime.errors import Fault, FaultKind
from pybpftime.isa import lookup
from pybpftime.isa.row import Form
from pybpftime.machine import LEVELS, RegionKind

STRICT = LEVELS["strict"]


def level_advice(session: Session) -> str:
    """A sentence on how to choose another level; "" for a fault that `linux` has, too."""
    world = session.world
    error = None if world.ending is None else world.ending.error
    if not isinstance(error, Fault) or session.object.level is not STRICT or not _is_strict_only(session, error):
        return ""
    return (
        "this is a fault at the level strict, the default of debug; "
        "--linux lets pass what a verified program may do, --lenient more"
    )


def _is_strict_only(session: Session, fault: Fault) -> bool:
    """Whether `machine.strictness` has the check for strict only."""
    region = None if fault.address is None else session.world.machine.memory.find(fault.address)
    match fault.kind:
        case FaultKind.POINTER:
            return True
        case FaultKind.UNINITIALISED:
            return fault.address is not None  # bytes of the stack, not registers
        case FaultKind.ALIGNMENT:
            if region is not None and region.kind in (RegionKind.STACK, RegionKind.CONTEXT):
                return False
            return not _is_atomic(session)
    return False


def _is_atomic(session: Session) -> bool:
    frame = session.selected
    instruction = None if frame is None else frame.spec.instructions[frame.slot]
    row = None if instruction is None else lookup(instruction)
    return row is not None and row.form is Form.ATOMIC
