"""Going to another time: to when a line is reached, to the first step of a frame, to a step by its number."""

from __future__ import annotations

from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.handles import Handles
from pybpftime.debug.dap.backend.running import Runner
from pybpftime.debug.dap.bodies import GotoTargetsBody
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.handling import Run, request
from pybpftime.debug.dap.protocol import FrameArguments, GotoArguments, GotoTargetsArguments
from pybpftime.debug.places import Places
from pybpftime.debug.stops import Reason, Stop


class TravelHandlers:
    """Handlers of requests that go to another time."""

    def __init__(self, debuggee: Debuggee, runner: Runner) -> None:
        self._debuggee = debuggee
        self._runner = runner
        self._targets: Handles[tuple[Places, bool]] = Handles("target")

    @request("gotoTargets")
    def goto_targets(self, client: Client, arguments: GotoTargetsArguments) -> GotoTargetsBody:
        """Two for a line with code: the next and the previous time that it is reached."""
        debuggee = self._debuggee
        places = debuggee.session.places.line(debuggee.sources.file_of(arguments["source"]), arguments["line"])
        self._targets.clear()
        reference = f"{debuggee.code.reference(places.places[0].spec, places.places[0].slot):#x}"
        return {
            "targets": [
                {
                    "id": self._targets.add((places, back)),
                    "label": f"{'previous' if back else 'next'} time line {places.line} is reached",
                    "line": places.line,
                    "instructionPointerReference": reference,
                }
                for back in (False, True)
            ]
        }

    @request("goto")
    def goto(self, client: Client, arguments: GotoArguments) -> Run:
        """Go in time to when the line is reached; nothing is skipped.  Where it never is, nothing moves."""
        places, back = self._targets.get(arguments["targetId"])
        session, here = self._debuggee.session, self._debuggee.session.world.step

        def go() -> Stop:
            stop = session.go_to_place(places, back=back)
            if stop.reason not in (Reason.BREAKPOINT, Reason.PAUSED):
                when = "before" if back else "after"
                client.output(f"Line {places.line} is not reached {when} step {here}: nothing moved.", "important")
                stop = session.goto(here)
            elif stop.reason is Reason.BREAKPOINT:
                way = "back" if back else "on"
                client.output(
                    f"Went {way} in time from step {here} to step {stop.step}, where {places.text} is reached."
                )
            return stop

        return self._runner.run(client, go, back=back, travelled="goto", body={})

    @request("restartFrame")
    def restart_frame(self, client: Client, arguments: FrameArguments) -> Run:
        """Go back in time to the first step of a function; what it did since is undone."""
        session, frame = self._debuggee.session, self._debuggee.frames.get(arguments["frameId"])
        if frame is None:
            return self._runner.run(
                client, lambda: session.next_invocation(back=True), back=True, travelled="restart", body={}
            )
        outer = len(session.frames()) - 1 - frame.number

        def go() -> Stop:
            while True:
                stop = session.step_out(back=True)
                if stop.reason is Reason.PAUSED:
                    return stop
                if stop.reason is Reason.START:
                    return session.goto(session.world.timeline.first)
                if len(session.frames()) - 1 < outer:
                    return session.goto(stop.step + 1)

        return self._runner.run(client, go, back=True, travelled="restart", body={})
