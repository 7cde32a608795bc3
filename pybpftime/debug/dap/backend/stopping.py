"""Stops as editors show them."""

from __future__ import annotations

from pybpftime.debug.dap.backend.breakpoints import Breakpoints, Kind
from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.results import ending_text
from pybpftime.debug.dap.bodies import StoppedEvent
from pybpftime.debug.stops import Reason, Stop

REASONS = {
    Reason.ENTRY: "entry",
    Reason.STEP: "step",
    Reason.RETURNED: "step",
    Reason.BREAKPOINT: "breakpoint",
    Reason.WATCHPOINT: "data breakpoint",
    Reason.FAULT: "exception",
    Reason.START: "entry",
    Reason.END: "end",
    Reason.PAUSED: "pause",
    Reason.GOTO: "goto",
}
"""Why the session stopped -> the word that the protocol has for it."""

KINDS = {
    Kind.SOURCE: "breakpoint",
    Kind.FUNCTION: "function breakpoint",
    Kind.INSTRUCTION: "instruction breakpoint",
    Kind.DATA: "data breakpoint",
    Kind.EXCEPTION: "exception",
}


def stopped_event(debuggee: Debuggee, breakpoints: Breakpoints, stop: Stop, *, travelled: str = "") -> StoppedEvent:
    """The event for a stop; `travelled` is the reason where the user chose a place in time."""
    world = debuggee.session.world
    event: StoppedEvent = {"reason": REASONS[stop.reason], "threadId": debuggee.thread, "allThreadsStopped": True}
    hit = [one for one in (breakpoints.by_number(number) for number in stop.breakpoints) if one is not None]
    if hit and not travelled:
        event["reason"] = KINDS[hit[0].kind]
        event["hitBreakpointIds"] = [one.id for one in hit]
        if hit[0].kind is Kind.EXCEPTION:
            event["description"] = hit[0].label
    if travelled:
        event["reason"] = travelled
    match stop.reason:
        case Reason.ENTRY:
            event["description"] = f"{world.invocation.label or 'The run'} begins"
        case Reason.START:
            event["description"] = "The beginning: there is nothing before"
        case Reason.END:
            event["description"] = "The end: the last run is over. Go back, or continue to end the session"
        case Reason.FAULT:
            event["description"] = "The program failed"
        case Reason.RETURNED:
            event["description"] = f"{world.invocation.label or 'The run'} is over"
    if stop.text:
        event["text"] = stop.text
    elif world.ending is not None and stop.reason in (Reason.RETURNED, Reason.END):
        event["text"] = ending_text(world.ending)
    return event
