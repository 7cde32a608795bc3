"""The screen, driven as a user drives it: keys, mouse, prompts, at two sizes."""

from __future__ import annotations

from collections.abc import Callable
from threading import enumerate as enumerate_threads

import pytest
from debug.debug_support import TESTS, assembled, session_of
from debug.tui.tui_support import (
    FOREVER,
    LARGE,
    SMALL,
    enter,
    lines,
    output,
    parser,
    play,
    press,
    settled,
    status,
    tap,
    until,
)
from textual.pilot import Pilot
from textual.widgets import Input

from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason
from pybpftime.debug.tui import require_screen, run_tui
from pybpftime.debug.tui.app import DebuggerApp, Help
from pybpftime.debug.tui.arrangement import Pane
from pybpftime.debug.tui.rows import Kind
from pybpftime.debug.tui.view_code import Mark
from pybpftime.debug.tui.widgets import TimeBar
from pybpftime.errors import InputError

at_both_sizes = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "200x60"])


@at_both_sizes
def test_stepping_and_stepping_back(size: tuple[int, int]) -> None:
    """The lines that are marked are those that the same moves of a Session lead to."""
    keys = ["n", "s", "s", "i", "f", "n", "S", "I", "N", "F", "space", "right_square_bracket", "left_square_bracket"]
    same = parser()
    moves = [
        lambda: same.step_line(over=True), same.step_line, same.step_line, same.step_instruction, same.step_out,
        lambda: same.step_line(over=True), lambda: same.step_line(back=True), lambda: same.step_instruction(back=True),
        lambda: same.step_line(over=True, back=True), lambda: same.step_out(back=True), same.next_invocation,
        same.next_invocation, lambda: same.next_invocation(back=True),
    ]  # fmt: skip
    same.start()

    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        for key, move in zip(keys, moves, strict=True):
            move()
            await press(app, key)
            frame = same.selected
            assert app.view is not None
            assert app.view.time.step == same.world.step
            assert f"step {same.world.step} of" in app.query_one(TimeBar).render_line(0).text
            if frame is None:
                continue
            assert frame.line is not None
            (row,) = [row for row in lines(app, Pane.SOURCE)[1:] if "▶" in row]
            assert row[2:].lstrip("▶ ").startswith(str(frame.line.line))
            assert f"{frame.name} at xdp_parser.bpf.c:{frame.line.line}" in status(app)

    play(parser(), steps, size)


@at_both_sizes
def test_every_pane_can_be_seen(size: tuple[int, int]) -> None:
    wanted = {
        Pane.SOURCE: "parse_ipv4", Pane.CODE: "▶ 222", Pane.VARIABLES: "header_length",
        Pane.REGISTERS: "r10", Pane.STACK: "parse_frame at", Pane.MEMORY: "stack of parse_ipv4", Pane.MAPS: "protocols",
        Pane.PACKET: "02:00:00:00:00:01", Pane.OUTPUT: "breakpoint 1",
        Pane.PROOF: "",
    }  # fmt: skip

    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await enter(app, "colon", "break parse_ipv4")
        await press(app, "c")
        for number, pane in enumerate(Pane, 1):
            await press(app, str(number % 10))
            assert app.pane(pane).has_focus
            text = "\n".join(lines(app, pane))
            assert wanted[pane] in text
            assert pane in text.splitlines()[0]
            assert all(len(line) <= app.pane(pane).size.width for line in text.splitlines())

    play(parser(), steps, size)


def test_breakpoints_by_key_and_by_click() -> None:
    session = parser()

    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        source = app.pane(Pane.SOURCE)
        await press(app, "down", "down", "b")
        assert app.view is not None
        assert app.view.source.marks == {320: Mark.BREAK}
        assert [row[:7] for row in lines(app, Pane.SOURCE) if "●" in row] == ["●  320·"]
        await pilot.click("#source", offset=(10, source.cursor - source.top + 1))
        await settled(app)
        assert app.view.source.marks == {}
        await pilot.click("#source", offset=(10, source.cursor - source.top))
        await settled(app)
        assert app.view.source.marks == {319: Mark.BREAK}
        await press(app, "c")
        assert app.view.headline == "breakpoint 2"
        assert (app.view.source.current, app.view.time.step) == (319, 3)

    play(session, steps)
    assert [one.text for one in session.breakpoints.all.values()] == ["xdp_parser.bpf.c:319"]


def test_breakpoints_on_instructions() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await press(app, "2", "down", "down", "down", "b")
        assert app.view is not None
        (slot,) = app.view.code.marks
        await press(app, "c")
        assert app.view.code.current == slot
        assert app.view.headline == "breakpoint 1"
        await press(app, "enter")
        assert app.view.code.marks == {}

    play(parser(), steps)


def test_a_breakpoint_with_a_condition() -> None:
    session = parser()

    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await enter(app, "g", "parse_frame")
        assert app.view is not None
        assert app.view.where.startswith("parse_frame")
        await enter(app, "B", "$invocation == 5")
        assert list(app.view.source.marks.values()) == [Mark.CONDITION]
        await press(app, "c")
        assert app.view.headline.startswith("breakpoint")
        await enter(app, "B", "no_such_name == 1")
        assert "no_such_name" in output(app)[-1]

    play(session, steps)
    assert session.world.index == 5
    assert [one.condition for one in session.breakpoints.all.values()] == ["$invocation == 5"]


def test_going_to_steps_and_places() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        for text, step in [("20", 20), ("+5", 25), ("-3", 22), ("-100", 0)]:
            await enter(app, "g", text)
            assert app.view is not None
            assert app.view.time.step == step
        await enter(app, "g", ":326")
        assert app.view.source.current == 326
        await press(app, "down", "down", "down", "down", "u")
        assert app.view.source.current == 330
        assert app.view.headline == "step"

    play(parser(), steps)


def test_the_time_line_can_be_clicked() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await press(app, "space", "space")
        assert app.view is not None
        bar = app.query_one(TimeBar)
        starts, text = app.view.time.starts, bar.render_line(0).text
        await pilot.click("#time", offset=(text.index("┬", text.index("┬") + 1), 0))
        await settled(app)
        assert app.view.time.step == starts[1]
        await pilot.click("#time", offset=(0, 0))
        await pilot.click("#time", offset=(text.index("┬"), 0))
        await settled(app)
        assert app.view.time.step == 0

    play(parser(), steps)


def test_frames_are_selected_and_variables_opened() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await enter(app, "g", "parse_ipv4")
        assert app.view is not None
        await press(app, "5")
        await pilot.click("#stack", offset=(4, 3))
        await settled(app)
        assert [one.is_selected for one in app.view.frames] == [False, False, True]
        assert app.view.where.startswith("parse at")
        assert any("▷" in row for row in lines(app, Pane.SOURCE))
        await press(app, "3", "down", "enter")
        text = lines(app, Pane.VARIABLES)
        assert "▾ rest = " in text[2]
        assert " at = " in text[3]
        await press(app, "enter")
        assert "▸ rest = " in lines(app, Pane.VARIABLES)[2]
        await press(app, "9", "home", "enter")
        assert app.view.time.step == 0

    play(parser(), steps)


def test_expressions_are_printed_and_memory_is_shown() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await enter(app, "slash", "$invocation + 40 + 2")
        assert output(app)[-1].startswith("42 ")
        await enter(app, "slash", "flows")
        assert output(app)[-1] == "map flows with 0 entries"
        await enter(app, "m", "packet")
        assert app.view is not None
        assert app.view.memory.title.startswith("packet: packet")
        await enter(app, "m", "")
        assert app.view.memory.title == "stack of parse"
        await press(app, "slash", "up", "up", "enter")
        assert output(app)[-1].startswith("42 ")

    play(parser(), steps)


def test_changing_the_past_forks_the_time_line() -> None:
    """Another protocol in the Ethernet header; both courses of events stay."""
    session = parser(2)

    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await press(app, "c")
        assert app.view is not None
        end, maps = app.view.time.end, app.view.maps
        await enter(app, "g", "0")
        await enter(app, "colon", "set packet[12] = 0x12")
        assert app.view.time.number == 2
        assert app.view.packet.content.changed == {12}
        await press(app, "8")
        assert any(row.startswith("*") and " 12 06" in row for row in lines(app, Pane.PACKET))
        await press(app, "c")
        assert [one.entries for one in app.view.maps] != [one.entries for one in maps]
        await press(app, "t")
        assert (app.view.time.number, app.view.time.step, app.view.time.end) == (1, 0, end)
        assert "┴" in app.query_one(TimeBar).render_line(0).text or app.view.time.forks == ((0, 2),)

    play(session, steps)
    assert len(session.world.timelines) == 2


@pytest.mark.parametrize("key", ["c", "space", "g", "colon"])
def test_an_endless_loop_is_interrupted(key: str) -> None:
    """Meanwhile the step goes up on the screen, and the help can be read."""
    session = assembled(FOREVER, budget=1 << 60)

    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        if key in ("g", "colon"):
            await press(app, key)
            app.query_one("#text", Input).value = "1000000000000" if key == "g" else "continue 3"
            tap(app, "enter")
        else:
            tap(app, key)
        await until(lambda: "RUNNING" in status(app))
        shown = status(app)
        await until(lambda: "RUNNING" in status(app) and status(app) != shown)
        tap(app, "question_mark")
        await until(lambda: isinstance(app.screen, Help))
        tap(app, "escape")
        await until(lambda: not isinstance(app.screen, Help))
        assert app.worker.running is not None
        tap(app, "n", "n")  # these wait, and are forgotten
        await until(lambda: app.worker.waiting == 2)
        tap(app, "escape")
        await settled(app)
        assert app.view is not None
        assert app.view.stop.reason is Reason.PAUSED
        assert "RUNNING" not in status(app)
        step = app.view.time.step
        await press(app, "i")
        assert app.view.time.step == step + 1

    play(session, steps)


def test_leaving_while_a_program_runs() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        tap(app, "c")
        await until(lambda: app.worker.step > 0)
        tap(app, "q")
        await until(lambda: not app.is_running)
        assert app.failure is None

    play(assembled(FOREVER, budget=1 << 60), steps)


def test_quit_is_a_command_too() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await press(app, "colon")
        app.query_one("#text", Input).value = "quit"
        tap(app, "enter")
        await until(lambda: not app.is_running)
        assert app.failure is None

    play(parser(), steps)


def test_displays_and_commands_of_breakpoints_are_for_keys_too() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        for line in ("break parse_frame", "commands 1", "print 40 + 3", "end", "display $step"):
            await enter(app, "colon", line)
        await press(app, "c")
        assert any("43" in line for line in output(app)[-3:])
        assert app.view is not None
        assert any(str(app.view.time.step) in line and "$step" in line for line in output(app)[-4:])

    play(parser(), steps)


def test_a_fault_is_shown() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await press(app, "c")
        assert app.view is not None
        assert app.view.stop.reason is Reason.FAULT
        assert any("null pointer" in line for line in output(app))
        assert any("■" in row for row in lines(app, Pane.CODE))

    play(assembled("r1 = 0\nr0 = *(u64 *)(r1 + 0)\nexit"), steps)


def test_without_a_source_the_code_is_in_front() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        assert app.pane(Pane.CODE).display
        assert not app.pane(Pane.SOURCE).display
        await press(app, "down", "b", "c")
        assert app.view is not None
        assert (app.view.code.current, app.view.headline) == (1, "breakpoint 1")

    play(assembled("r0 = 1\nr0 = 2\nr0 = 3\nexit"), steps)


def test_what_the_program_prints_is_in_the_output() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await press(app, "c")
        printed = [line for line in app.bench.log.lines() if line.kind == "printk"]
        assert printed
        assert all(line.step > 0 for line in printed)
        await press(app, "9", "home", "down")
        target = app.pane(Pane.OUTPUT).target()
        assert target is not None and target.kind is Kind.STEP
        await press(app, "enter")
        assert app.view is not None and app.view.time.step == target.value

    play(session_of(TESTS / "programs" / "printk.bpf.o"), steps)


async def resize(app: DebuggerApp, pilot: Pilot[None], width: int, height: int) -> None:
    await pilot.resize_terminal(width, height)
    await until(lambda: tuple(app.size) == (width, height) and (height < 4 or app.desk.size.height == height - 3))
    await settled(app)


def test_resizing() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await enter(app, "g", "parse_ipv4")
        for width, height in [LARGE, (120, 40), (30, 8), (5, 2), (1, 1), (400, 100), SMALL]:
            await resize(app, pilot, width, height)
            seen = [pane for pane in app.desk.children if pane.display]
            assert sum(pane.size.area for pane in seen) == app.desk.size.area
            await press(app, "s", "S")
        assert any("▶" in row for row in lines(app, Pane.SOURCE))
        await resize(app, pilot, *LARGE)
        assert len([pane for pane in app.desk.children if pane.display]) == len(Pane)

    play(parser(), steps)


def test_tabs_and_the_wheel() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        title = lines(app, Pane.VARIABLES)[0]
        await pilot.click("#variables", offset=(title.index("Maps") + 1, 0))
        await settled(app)
        assert app.pane(Pane.MAPS).display and app.pane(Pane.MAPS).has_focus
        await press(app, "1", "home")
        source = app.pane(Pane.SOURCE)
        assert source.top == 0
        await press(app, "pagedown", "end", "right")
        assert source.cursor == len(source.rows) - 1
        assert source.top == len(source.rows) - source.page
        await press(app, "left", "home")
        source._scroll(3)
        assert (source.top, source.cursor) == (3, 0)

    play(parser(), steps)


def test_the_help_names_every_key() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await press(app, "question_mark")
        assert isinstance(app.screen, Help)
        await press(app, "x")
        assert not isinstance(app.screen, Help)

    play(parser(), steps)


GARBAGE = [
    "", "(" * 3000, "\x1b[31m\x07\x00", "🎉'" * 50, "9" * 25, "-", "a" * 100_000, "*(int*)0", "[red]x", "set", "1/0",
]  # fmt: skip


@pytest.mark.parametrize("key", ["slash", "colon", "g", "m", "B"])
def test_garbage_is_answered_with_a_sentence(key: str) -> None:
    session = parser(2)

    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        for text in GARBAGE:
            await enter(app, key, text)
            assert app.view is not None
        assert any(line.kind == "error" for line in app.bench.log.lines())
        assert all(line.isprintable() for line in lines(app, Pane.OUTPUT))
        await press(app, *"nsfbc", "escape", "x", "@", "ctrl+c", "tab", "enter", "delete", "f5")
        await enter(app, "slash", "6 * 7")
        assert output(app)[-1].startswith("42 ")

    play(session, steps)


def test_escape_closes_a_prompt() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        said = len(output(app))
        await press(app, "slash", "n", "q", "escape")
        assert len(output(app)) == said
        assert not app.query_one("#prompt").display
        assert app.pane(Pane.SOURCE).has_focus
        await press(app, "n")
        assert len(output(app)) == said + 1

    play(parser(), steps)


def test_a_mistake_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    def session_that_fails() -> Session:
        session = parser()
        monkeypatch.setattr(session, "step_line", fail)
        return session

    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        tap(app, "s")
        await until(lambda: app.failure is not None)

    with pytest.raises(ZeroDivisionError):
        play(session_that_fails(), steps)


def test_the_screen_needs_textual_and_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="needs a terminal"):
        run_tui(parser())
    find: Callable[..., None] = lambda name: None  # noqa: E731
    monkeypatch.setattr("importlib.util.find_spec", find)
    with pytest.raises(InputError, match=r"textual: pip install 'pybpftime\[debug\]'"):
        require_screen()


def test_nothing_is_verified_before_somebody_looks() -> None:
    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await press(app, "n", "s")
        assert not app.bench.look.proof and "verifier" not in [one.name for one in enumerate_threads()]
        await press(app, "0")
        assert app.bench.look.proof and app.pane(Pane.PROOF).display

    play(parser(), steps)


def test_what_the_verifier_knows_stands_beside_what_is_true() -> None:
    session = parser(path=TESTS / "programs" / "xdp_parser.bpf.o")

    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        await until(lambda: app.view is not None and len(app.view.proof.lines) > 0)
        await settled(app)
        assert any("the context (xdp_md)" in row for row in lines(app, Pane.PROOF))
        await press(app, "i", "i", "i", "i")
        assert app.view is not None
        true = {one.name: one.value for one in app.view.registers}
        for one in app.view.proof.lines:
            if one.name in true:
                value = true[one.name]
                assert value is not None and int(one.value, 0) == value
        assert any(one.changed for one in app.view.proof.lines)
        session.world.machine.registers[1] = 5  # no change by the user: as if the machine were wrong
        await press(app, "m", "enter")
        text = "\n".join(lines(app, Pane.PROOF))
        assert "outside of what the verifier expects" in text and "r1" in text and "is outside of" in text

    play(session, steps, LARGE)
