"""Moving: forward and back, by lines, instructions and functions, to breakpoints, to any time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pybpftime.debug.dap.backend.breakpoints import Breakpoints, Kind
from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.results import exit_code, summary
from pybpftime.debug.dap.backend.stepping_in import StepInTargets
from pybpftime.debug.dap.backend.stopping import stopped_event
from pybpftime.debug.dap.bodies import StepInTargetsBody, StoppedEvent
from pybpftime.debug.dap.client import Client, Progress
from pybpftime.debug.dap.handling import Body, Ended, Run, request
from pybpftime.debug.dap.protocol import (
    FrameArguments,
    NoArguments,
    StepArguments,
    StepInArguments,
    ThreadArguments,
)
from pybpftime.debug.plan import Plan
from pybpftime.debug.stops import Reason, Stop

Go = Callable[[], Stop]
CONTINUED: Body = {"allThreadsContinued": True}


class Runner:
    """Lets the program run, and tells the client how it stopped."""

    def __init__(self, debuggee: Debuggee, breakpoints: Breakpoints) -> None:
        self._debuggee = debuggee
        self.breakpoints = breakpoints

    def forward(self, client: Client, plan: Callable[[], Plan | Go], *, resumes: bool = False) -> Run:
        """A move forward; `resumes`: not stopping at faults that the client does not want to see.

        Where the last run is over, and the client was told so, it ends the session.
        """
        if self._debuggee.end_was_told:
            return Run(lambda: Ended(exit_code(self._debuggee.session.world.timeline)), self._pause, CONTINUED)
        made = plan()
        return self.run(client, made.go_on if isinstance(made, Plan) else made, resumes=resumes)

    def backward(self, client: Client, go: Go, *, resumes: bool = False) -> Run:
        """A move back."""
        return self.run(client, go, resumes=resumes, back=True)

    def run(
        self, client: Client, go: Go, *, resumes: bool = False, back: bool = False, travelled: str = "",
        body: Body = CONTINUED, announced: bool = True,
    ) -> Run:  # fmt: skip
        """`go` moves, and is called again when it was held up.

        `travelled`: why the program stops, where it went to another time.  Not `announced`: the client does not know
        that this request lets the program run.
        """
        progress = client.progress("Going back" if back else "Running")

        def advance() -> StoppedEvent | Ended | None:
            nonlocal announced
            if not announced:
                client.event("continued", {"threadId": self._debuggee.thread, "allThreadsContinued": True})
            announced = True
            self._debuggee.leave()
            with self._showing(progress):
                stop = go()
                while not self._wants(stop, resumes=resumes):
                    stop = go()
            if stop.reason is Reason.PAUSED:
                return None
            return self.told(client, stop, back=back, travelled=travelled)

        return Run(advance, self._pause, body)

    def told(self, client: Client, stop: Stop, *, back: bool = False, travelled: str = "") -> StoppedEvent | Ended:
        """The event for a stop, and what is put out beside it."""
        debuggee, world = self._debuggee, self._debuggee.session.world
        if world.is_over and stop.reason in (Reason.STEP, Reason.RETURNED):
            stop = Stop(Reason.END, stop.step, stop.breakpoints, stop.text)
        debuggee.end_was_told = stop.reason is Reason.END and not travelled
        if stop.reason is Reason.FAULT:
            client.output(stop.text, "stderr")
        if debuggee.end_was_told:
            for line in summary(world):
                client.output(line)
            if debuggee.without_debugging:
                return Ended(exit_code(world.timeline))
        if back:
            client.event("invalidated", {"areas": ["all"]})
        return stopped_event(debuggee, self.breakpoints, stop, travelled=travelled)

    def _pause(self) -> StoppedEvent:
        stop = self._debuggee.session.stopped(Reason.PAUSED)
        self._debuggee.leave()
        return stopped_event(self._debuggee, self.breakpoints, stop)

    def _wants(self, stop: Stop, *, resumes: bool) -> bool:
        """Whether the client wants to see a stop."""
        if self._debuggee.without_debugging:
            return stop.reason in (Reason.END, Reason.PAUSED)
        if stop.reason is Reason.FAULT and resumes:
            return self.breakpoints.stop_at_faults
        if stop.reason is Reason.WATCHPOINT:
            hit = [self.breakpoints.by_number(number) for number in stop.breakpoints]
            return any(kept is None or kept.kind is not Kind.DATA or self.breakpoints.counts(kept) for kept in hit)
        return True

    @contextmanager
    def _showing(self, progress: Progress) -> Iterator[None]:
        """Within, the client sees how far the program is."""
        world = self._debuggee.session.world

        def show() -> None:
            total = len(world.invocations)
            done = max(world.index, 0)
            progress.update(f"run {done + 1} of {total}, step {world.step}", 100 * done / total if total > 1 else None)

        world.on_slice = show
        try:
            yield
        finally:
            world.on_slice = None


class RunningHandlers:
    """Handlers of requests that let the program run."""

    def __init__(self, debuggee: Debuggee, runner: Runner) -> None:
        self._debuggee = debuggee
        self._runner = runner
        self._targets = StepInTargets(debuggee)

    @request("continue")
    def continue_(self, client: Client, arguments: ThreadArguments) -> Run:
        """Go on to the next breakpoint, through all packets; at the end stop once more, and then end the session."""
        return self._runner.forward(client, self._debuggee.session.plan_resume, resumes=True)

    @request("reverseContinue")
    def reverse_continue(self, client: Client, arguments: ThreadArguments) -> Run:
        """Go back to the last place where the program would have stopped, or to the beginning."""
        session = self._debuggee.session
        return self._runner.backward(client, lambda: session.resume(back=True), resumes=True)

    @request("next")
    def next(self, client: Client, arguments: StepArguments) -> Run:
        """The next line, or the next instruction, of this function or of its caller."""
        return self._runner.forward(client, lambda: self._step(arguments, over=True))

    @request("stepIn")
    def step_in(self, client: Client, arguments: StepInArguments) -> Run:
        """The next line or instruction wherever it is; with a target, that function."""
        target = arguments.get("targetId")
        if target is not None:
            go = self._targets.plan(target)
            return self._runner.forward(client, lambda: go)
        return self._runner.forward(client, lambda: self._step(arguments, over=False))

    def _step(self, arguments: StepArguments, *, over: bool) -> Plan | Go:
        session = self._debuggee.session
        if arguments.get("granularity") != "instruction":
            return session.plan_line(over=over)
        if session.world.ending is not None:
            return session.step_instruction
        return session.plan_instruction(over=over)

    @request("stepInTargets")
    def step_in_targets(self, client: Client, arguments: FrameArguments) -> StepInTargetsBody:
        """The functions that the current line calls, inlined ones too."""
        return {"targets": self._targets.find(self._debuggee.frames.get(arguments["frameId"]))}

    @request("stepOut")
    def step_out(self, client: Client, arguments: StepArguments) -> Run:
        """Until the function, or the inlined copy of one, is left."""
        return self._runner.forward(client, self._debuggee.session.plan_out)

    @request("stepBack")
    def step_back(self, client: Client, arguments: StepArguments) -> Run:
        """Back to the line before, over what it calls; or one instruction."""
        session = self._debuggee.session
        if arguments.get("granularity") == "instruction":
            return self._runner.backward(client, lambda: session.step_instruction(back=True))
        # From the end of a run "over" would be over all of the run.
        return self._runner.backward(client, lambda: session.step_line(over=session.world.ending is None, back=True))

    @request("configurationDone")
    def configuration_done(self, client: Client, arguments: NoArguments) -> Run:
        """Begin the first run; stop at its first instruction, or go on to a breakpoint."""
        session = self._debuggee.session
        # Of a session that was joined: where it stands.
        return self.begin(client, (lambda: session.stop) if session.world.has_begun else session.start)

    def begin(self, client: Client, first: Go) -> Run:
        """From where `first` goes; in a live process that may wait for a hit, and be called again."""
        if self._debuggee.stop_on_entry:
            return self._runner.run(client, first, body={})
        session = self._debuggee.session
        plan: Plan | None = None

        def go() -> Stop:
            nonlocal plan
            if plan is None:
                stop = first()
                if not session.world.has_begun:
                    return stop
                plan = session.plan_resume()
            return plan.go_on()

        return self._runner.run(client, go, resumes=True, body={})
