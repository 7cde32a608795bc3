"""The screen: panes over a session, keys and mouse.  It asks the worker to do things and shows its reports."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.message import Message
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Static

from pybpftime.debug.repl import Interpreter
from pybpftime.debug.session import Session
from pybpftime.debug.sources import Sources
from pybpftime.debug.tui import jobs
from pybpftime.debug.tui.arrangement import Pane, Placed, arrange, in_front
from pybpftime.debug.tui.bench import Bench, Job
from pybpftime.debug.tui.keys import BY_KEY, HINT, PANE_KEYS, Ask, help_lines
from pybpftime.debug.tui.library import Library, short
from pybpftime.debug.tui.rows import Kind, Role, Rows, Target
from pybpftime.debug.tui.rows_code import CodeRows, frame_rows, source_rows
from pybpftime.debug.tui.rows_data import (
    byte_rows,
    map_rows,
    output_rows,
    packet_rows,
    proof_rows,
    register_rows,
    variable_rows,
)
from pybpftime.debug.tui.view import View
from pybpftime.debug.tui.widgets import LineView, PaneView, TimeBar
from pybpftime.debug.tui.worker import Report, Worker

TICK = 0.1
"""Seconds between two looks at a program that runs."""


class Help(ModalScreen[None]):
    """The keys.  Any key closes it."""

    CSS = "Help { align: center middle; } Help Static { width: auto; max-width: 100%; border: round $accent; }"

    def compose(self) -> ComposeResult:
        yield Static("\n".join(help_lines()), markup=False)

    def on_key(self, event: events.Key) -> None:
        event.stop()
        self.dismiss()

    def on_click(self) -> None:
        self.dismiss()


class Desk(Container):
    """Where the panes stand."""

    def __init__(self) -> None:
        super().__init__(*(PaneView(pane) for pane in Pane), id="desk")
        self.chosen: dict[tuple[Pane, ...], Pane] = {}
        self.areas: tuple[Placed, ...] = ()

    def on_resize(self, event: events.Resize) -> None:
        self.areas = arrange(event.size.width, event.size.height)
        self.place()

    def place(self) -> None:
        """Put every pane where it belongs, and hide those that are behind others."""
        front = in_front(self.areas, self.chosen)
        for one in self.query(PaneView):
            area = front.get(one.pane)
            one.display = area is not None
            if area is not None:
                one.tabs, one.has_edge = area.panes, area.x + area.width < self.size.width
                one.styles.offset = (area.x, area.y)
                one.styles.width, one.styles.height = area.width, area.height

    def width_of(self, pane: Pane) -> int:
        """The cells that a pane has in a line, or would have in front."""
        return next((area.width for area in self.areas if pane in area.panes), 0)

    def bring_to_front(self, pane: Pane) -> None:
        """Show a pane in place of the one that stands there."""
        for area in self.areas:
            if pane in area.panes:
                self.chosen[area.panes] = pane
        self.place()


class DebuggerApp(App[None]):
    """The debugger on the whole screen."""

    CSS = """
    Screen { layers: base; overflow: hidden; }
    #status, #time, #hint { height: 1; }
    #desk { height: 1fr; overflow: hidden; }
    PaneView { position: absolute; }
    #prompt { display: none; height: 1; }
    #ask { height: 1; }
    #text { width: 1fr; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        Binding("ctrl+q", "leave", show=False, priority=True),
        Binding("escape", "escape", show=False, priority=True),
        *(Binding(key, f"press({key!r})", show=False, priority=True) for key in (*BY_KEY, *PANE_KEYS)),
    ]

    class Reported(Message):
        """The worker has something to show."""

        def __init__(self, report: Report) -> None:
            super().__init__()
            self.report = report

    class Failed(Message):
        """The worker met a mistake of ours."""

        def __init__(self, error: BaseException) -> None:
            super().__init__()
            self.error = error

    def __init__(
        self, session: Session, sources: Sources | None = None, interpreter: Interpreter | None = None
    ) -> None:
        super().__init__()
        self.failure: BaseException | None = None
        self.view: View | None = None
        self.bench = Bench(session, Library(session, sources), interpreter)
        self.worker = Worker(
            self.bench,
            lambda report: self._post(self.Reported(report)),
            lambda error: self._post(self.Failed(error)),
        )
        self._last_job: Job | None = None
        self._asking: Ask | None = None
        self._history: dict[Ask, list[str]] = {ask: [] for ask in Ask}
        self._back = 0
        self._focused_before: Widget | None = None
        self._output_shown = -1
        self._shows_proof = False

    def _post(self, message: Message) -> None:
        """Called by the worker's thread."""
        self.post_message(message)

    def compose(self) -> ComposeResult:
        yield LineView("status")
        yield TimeBar()
        yield Desk()
        yield LineView("hint", HINT)
        with Horizontal(id="prompt"):
            yield LineView("ask")
            yield Input(id="text", compact=True)

    def on_mount(self) -> None:
        self.worker.start()
        self.submit(jobs.start())
        self.pane(Pane.SOURCE).focus()
        self.set_interval(TICK, self._tick)

    def submit(self, job: Job) -> None:
        """Have the worker do something."""
        self.worker.submit(job)

    def pane(self, pane: Pane) -> PaneView:
        """The widget of a pane."""
        return self.query_one(f"#{pane.name.lower()}", PaneView)

    @property
    def desk(self) -> Desk:
        """Where the panes stand."""
        return self.query_one(Desk)

    # -- showing -------------------------------------------------------------------------------------------------------

    def on_debugger_app_reported(self, message: Reported) -> None:
        if message.report.is_finished:
            self.exit()
        if not self.query(PaneView):  # the screen is being taken down
            return
        before, self.view = self.view, message.report.view
        self._show_all(self.view, before)

    def on_debugger_app_failed(self, message: Failed) -> None:
        self.failure = message.error
        self.exit()

    def _show_all(self, view: View, before: View | None) -> None:
        is_new = before is None or _place(view) != _place(before)
        line = (view.source.current or 1) - 1 if is_new else None
        self.pane(Pane.SOURCE).show(source_rows(view.source), line)
        self.pane(Pane.CODE).show(CodeRows(view.code), view.code.current_row if is_new else None)
        for pane, rows in self._data_rows(view).items():
            self.pane(pane).show(rows)
        if not view.source.lines and before is None:
            self._go_to_pane(Pane.CODE)
        self._show_output()
        self.query_one(TimeBar).show(view.time)
        self._show_stop(view)

    def _data_rows(self, view: View) -> dict[Pane, Rows]:
        return {
            Pane.REGISTERS: register_rows(view.registers),
            Pane.VARIABLES: variable_rows(view.variables, view.variables_note),
            Pane.STACK: frame_rows(view.frames),
            Pane.MEMORY: byte_rows(view.memory, self.desk.width_of(Pane.MEMORY)),
            Pane.PACKET: packet_rows(view.packet, self.desk.width_of(Pane.PACKET)),
            Pane.MAPS: map_rows(view.maps),
            Pane.PROOF: proof_rows(view.proof, self.desk.width_of(Pane.PROOF)),
        }

    def _show_output(self) -> None:
        log = self.bench.log
        if log.count != self._output_shown:
            self._output_shown = log.count
            rows = output_rows(log.lines())
            self.pane(Pane.OUTPUT).show(rows, len(rows) - 1)

    def _show_stop(self, view: View) -> None:
        file, note = view.source.file, view.source.note
        remark = f"  [{short(file)}: {note}]" if file and note else ""
        self.query_one("#status", LineView).show(
            (f" {view.where}", Role.TITLE), (f"  {view.headline}", Role.HERE), (remark, Role.DIM)
        )

    def _tick(self) -> None:
        """What changes while a program runs.  A job that is done before the next look is not worth a word."""
        if not self.query(PaneView):
            return
        self._show_output()
        job, before = self.worker.running, self._last_job
        self._last_job = job
        if job is not None and job is before:
            waiting = f", {self.worker.waiting} waiting" if self.worker.waiting else ""
            text = f" RUNNING {job.name}: step {self.worker.step}{waiting}   Esc stops it"
            self.query_one("#status", LineView).show((text, Role.PLAIN), is_alert=True)
        elif self.view is not None:
            self._show_stop(self.view)

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._show_again)

    def _show_again(self) -> None:
        """Rows that depend on the width."""
        if self.view is not None:
            for pane, rows in self._data_rows(self.view).items():
                self.pane(pane).show(rows)

    # -- keys ----------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While the user is asked for something, keys are text."""
        return action != "press" or (self._asking is None and not isinstance(self.screen, Help))

    def action_press(self, name: str) -> None:
        """A key of `keys`.  They are looked at before all else, so that what is typed behind `/` goes to the prompt."""
        if name in PANE_KEYS:
            self._go_to_pane(PANE_KEYS[name])
            return
        key = BY_KEY[name]
        if key.move:
            self.submit(jobs.move(key.move))
        elif key.ask is not None:
            self.ask(key.ask)
        else:
            getattr(self, f"action_{key.call}")()

    def _go_to_pane(self, pane: Pane) -> None:
        self.desk.bring_to_front(pane)
        self.screen.set_focus(self.pane(pane))

    def action_escape(self) -> None:
        """Close what is open, else stop what runs."""
        if isinstance(self.screen, Help):
            self.screen.dismiss()
        elif self._asking is not None:
            self._close_prompt()
        else:
            self.action_interrupt()

    def action_interrupt(self) -> None:
        self.worker.interrupt()

    def action_leave(self) -> None:
        self.exit()

    def action_show_help(self) -> None:
        self.push_screen(Help())

    def action_next_timeline(self) -> None:
        self.submit(jobs.next_timeline())

    def action_run_to_cursor(self) -> None:
        if self.view is not None and self.view.source.file:
            self.submit(jobs.run_to_line(self.view.source.file, self.pane(Pane.SOURCE).cursor + 1))

    def action_toggle_breakpoint(self, condition: str = "") -> None:
        code = self.pane(Pane.CODE)
        if self.view is None:
            return
        target = code.target() if code.has_focus or not self.view.source.lines else self.pane(Pane.SOURCE).target()
        if target is not None:
            self._toggle(self.view, target, condition)

    def _toggle(self, view: View, target: Target, condition: str = "") -> None:
        if target.kind is Kind.SLOT:
            self.submit(jobs.toggle_slot(view.code.program, int(target.value), condition))
        elif target.kind is Kind.LINE:
            self.submit(jobs.toggle_line(view.source.file, int(target.value), condition))

    # -- choosing with the mouse or Enter ------------------------------------------------------------------------------

    def on_pane_view_chosen(self, message: PaneView.Chosen) -> None:
        target = message.target
        if self.view is None:
            return
        match target.kind:
            case Kind.FRAME:
                self.submit(jobs.select(int(target.value)))
            case Kind.OPEN:
                self.submit(jobs.open_variable(str(target.value)))
            case Kind.STEP:
                self.submit(jobs.to_step(int(target.value)))
            case _:
                self._toggle(self.view, target)

    def on_pane_view_tab_chosen(self, message: PaneView.TabChosen) -> None:
        self._go_to_pane(message.pane)

    def on_pane_view_shown(self, message: PaneView.Shown) -> None:
        """A program is verified when somebody looks at what comes of it."""
        if message.pane is Pane.PROOF and not self._shows_proof:
            self._shows_proof = True
            self.submit(jobs.show_proof())

    def on_time_bar_chosen(self, message: TimeBar.Chosen) -> None:
        self.submit(jobs.to_step(message.step))

    # -- the prompt ----------------------------------------------------------------------------------------------------

    def ask(self, ask: Ask) -> None:
        """Ask for a text; it is dealt with when it is entered."""
        self._asking, self._back = ask, 0
        label, text = self.query_one("#ask", LineView), self.query_one("#text", Input)
        label.show((ask.value, Role.TITLE))
        label.styles.width = len(ask.value)
        text.value = ""
        self._focused_before = self.focused
        self.query_one("#prompt").display = True
        self.query_one("#hint").display = False
        self.screen.set_focus(text)

    def on_input_submitted(self, message: Input.Submitted) -> None:
        ask, text = self._asking, message.value
        self._close_prompt()
        if ask is None or (not text.strip() and ask is not Ask.MEMORY):
            return
        self._history[ask].append(text)
        match ask:
            case Ask.EXPRESSION:
                self.submit(jobs.show_value(text))
            case Ask.COMMAND:
                self.submit(jobs.command(text))
            case Ask.GO_TO:
                self.submit(jobs.go_to(text))
            case Ask.MEMORY:
                self.submit(jobs.look_at_memory(text))
            case Ask.CONDITION:
                self.action_toggle_breakpoint(text)

    def on_key(self, event: events.Key) -> None:
        """Up and down at a prompt: what was entered before."""
        if self._asking is not None and event.key in ("up", "down"):
            known = self._history[self._asking]
            event.stop()
            self._back = min(max(self._back + (1 if event.key == "up" else -1), 0), len(known))
            prompt = self.query_one("#text", Input)
            prompt.value = known[-self._back] if self._back else ""
            prompt.cursor_position = len(prompt.value)

    def _close_prompt(self) -> None:
        self._asking = None
        self.query_one("#prompt").display = False
        self.query_one("#hint").display = True
        self.screen.set_focus(self._focused_before or self.pane(Pane.SOURCE))


def _place(view: View) -> tuple[object, ...]:
    """What makes the cursor go to the current line."""
    source = view.source
    return source.file, source.current, source.here, view.code.program, view.code.current, view.time.step
