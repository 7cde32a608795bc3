"""`view`: everything that the screen shows of a session, as a value.

now = view(session, Library(session))
later = view(session, library, Look(opened=frozenset({"parse/ip"})), before=now)    # what changed is marked
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pybpftime.debug.belief import Beliefs
from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason, Stop
from pybpftime.debug.tui.library import Library
from pybpftime.debug.tui.view_code import (
    CodeView,
    FrameView,
    SourceView,
    code_view,
    frame_place,
    frame_views,
    place_of,
    source_view,
)
from pybpftime.debug.tui.view_maps import TableView, map_views
from pybpftime.debug.tui.view_memory import BytesView, PacketView, memory_view, packet_view
from pybpftime.debug.tui.view_proof import ProofView, proof_view
from pybpftime.debug.tui.view_time import TimeView, time_view
from pybpftime.debug.tui.view_values import RegisterView, VariableView, register_views, variable_views


@dataclass(frozen=True, slots=True)
class Look:
    """What the user wants to see: `opened` are keys of variables, `memory` an expression, "" for the stack.

    `proof`: whether what the verifier knows is to be seen, for which the program is verified.
    """

    opened: frozenset[str] = frozenset()
    memory: str = ""
    proof: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """The verifier's side; `on_known` is called, in another thread, when there is more to see."""

    beliefs: Beliefs
    on_known: Callable[[], None]


@dataclass(frozen=True, slots=True)
class View:
    """A session at a stop.  `where` is the function and the line; `headline` says why it stopped."""

    stop: Stop
    headline: str
    where: str
    source: SourceView
    code: CodeView
    frames: tuple[FrameView, ...]
    registers: tuple[RegisterView, ...]
    variables: tuple[VariableView, ...]
    variables_note: str
    memory: BytesView
    packet: PacketView
    maps: tuple[TableView, ...]
    time: TimeView
    proof: ProofView


def view(
    session: Session,
    library: Library,
    look: Look | None = None,
    before: View | None = None,
    asked: Asked | None = None,
) -> View:
    """The session as it is now; what is different from `before` is marked.  The session stays as it is."""
    look = Look() if look is None else look
    proof = ProofView()
    if asked is not None and look.proof:
        proof = proof_view(session, asked.beliefs, asked.on_known, None if before is None else before.proof)
    place = place_of(session)
    symbols = None if place is None else session.symbols_of(place.spec)
    return View(
        stop=session.stop,
        headline=headline(session.stop, session.world.invocation.label if session.world.has_begun else ""),
        where=where(session),
        source=source_view(session, library, place),
        code=code_view(session, library, place),
        frames=frame_views(session),
        registers=register_views(session, None if before is None else before.registers),
        variables=variable_views(session, look.opened, None if before is None else before.variables),
        variables_note="" if symbols is None else symbols.note or "",
        memory=memory_view(session, look.memory, None if before is None else before.memory),
        packet=packet_view(session, None if before is None else before.packet),
        maps=map_views(session, None if before is None else before.maps),
        time=time_view(session),
        proof=proof,
    )


def where(session: Session) -> str:
    """`parse_ipv4 at parser.c:149`; what there is to say where no function runs."""
    frame = session.selected
    if frame is not None:
        return f"{frame.name} at {frame_place(frame)}"
    if not session.world.has_begun:
        return "not begun"
    ending = session.world.ending
    result = None if ending is None else ending.result
    return f"{session.world.program.name} has returned" + (f" {result.verdict}" if result is not None else "")


def headline(stop: Stop, label: str) -> str:
    """Why it stopped, in a few words."""
    numbers = ", ".join(str(number) for number in stop.breakpoints)
    match stop.reason:
        case Reason.ENTRY:
            text = f"{label or 'the program'} begins"
        case Reason.BREAKPOINT:
            text = f"breakpoint {numbers}"
        case Reason.WATCHPOINT:
            text = f"watchpoint {numbers}"
        case Reason.RETURNED:
            text = f"{label or 'the program'} has returned"
        case Reason.START:
            text = "nothing is before this"
        case Reason.END:
            text = "nothing is behind this"
        case Reason.GOTO:
            text = f"step {stop.step}"
        case _:
            text = stop.reason.value
    return f"{text}: {stop.text}" if stop.text else text
