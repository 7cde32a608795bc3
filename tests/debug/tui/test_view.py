"""What is shown of a session: a value that is right, and making it changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from debug.debug_support import PROGRAMS, TESTS, assembled, everything, session_of
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.debug.session import Session
from pybpftime.debug.timeline import Change, Invocation
from pybpftime.debug.tui.arrangement import Pane, arrange
from pybpftime.debug.tui.library import Library
from pybpftime.debug.tui.rows import clean, columns
from pybpftime.debug.tui.rows_code import CodeRows, SourceRows, frame_rows, source_rows
from pybpftime.debug.tui.rows_data import byte_rows, map_rows, packet_rows, register_rows, variable_rows
from pybpftime.debug.tui.timebar import bar, column_of, step_at
from pybpftime.debug.tui.view import Look, View, view
from pybpftime.debug.tui.view_code import Here, Mark
from pybpftime.debug.tui.view_time import TimeView
from pybpftime.machine import STRICT
from pybpftime.program.packets import read_packets

CAPTURE = TESTS / "captures" / "mixed.pcap"
PARSER = TESTS / "programs" / "xdp_parser.O0.bpf.o"


def parser(count: int = 6, path: Path = PARSER) -> Session:
    frames = [packet.data for packet in read_packets(str(CAPTURE))][:count]
    return session_of(
        path, [Invocation("parse", data, label=f"packet {number}") for number, data in enumerate(frames, 1)]
    )


def see(session: Session, before: View | None = None, **look: object) -> View:
    return view(session, Library(session), Look(**look), before)  # type: ignore[arg-type]


def rows_of(seen: View, width: int) -> list[str]:
    """Every row of every pane."""
    parts = (
        source_rows(seen.source), CodeRows(seen.code), frame_rows(seen.frames), register_rows(seen.registers),
        variable_rows(seen.variables, seen.variables_note), byte_rows(seen.memory, width),
        packet_rows(seen.packet, width), map_rows(seen.maps),
    )  # fmt: skip
    return [row.text for part in parts for row in part]


@pytest.mark.parametrize("path", PROGRAMS[::5], ids=lambda path: path.name.removesuffix(".bpf.o"))
def test_looking_changes_nothing(path: Path) -> None:
    session = session_of(path)
    library = Library(session)
    session.start()
    seen = None
    for _ in range(12):
        state = everything(session.world)
        seen = view(session, library, Look(frozenset(row.key for row in seen.variables) if seen else frozenset()), seen)
        assert everything(session.world) == state
        assert rows_of(seen, 40)
        assert seen.stop is session.stop
        session.step_instruction(11)


def test_the_source_around_the_line() -> None:
    session = parser()
    session.start()
    session.break_at("parse_ipv4")
    session.resume()
    seen = see(session)
    assert seen.where == "parse_ipv4 at xdp_parser.bpf.c:149"
    assert seen.headline == "breakpoint 1"
    assert (seen.source.current, seen.source.here) == (149, Here.NEXT)
    assert seen.source.marks == {149: Mark.BREAK}
    assert seen.source.lines == tuple((TESTS / "programs" / "xdp_parser.bpf.c").read_text().splitlines())
    assert 149 in seen.source.code and 2 not in seen.source.code
    row = SourceRows(seen.source)[148]
    assert row.text == "●▶ 149·" + seen.source.lines[148].expandtabs(4)
    assert SourceRows(seen.source)[1].text == "     2 " + seen.source.lines[1]


def test_the_instructions_with_their_lines() -> None:
    session = parser()
    session.start()
    session.break_at("*4")
    seen = see(session)
    rows = CodeRows(seen.code)
    assert [row.text for row in rows[:3]] == [
        "   xdp_parser.bpf.c:318  {",
        " ▶   0  parse: *(u64 *)(r10 - 0x8) = r1",
        "   xdp_parser.bpf.c:320  .at = (void *)(long)ctx->data,",
    ]
    index = next(index for index, one in enumerate(seen.code.rows) if one.slot == 4)
    assert rows[index].text.startswith("●  ")
    assert seen.code.current_row == 1
    assert sum(row.slot is not None for row in seen.code.rows) == sum(
        one is not None for one in session.object.program.spec.instructions
    )


def test_a_caller_is_marked_in_another_way() -> None:
    session = parser()
    session.start()
    session.break_at("parse_ipv4")
    session.resume()
    session.select(1)
    seen = see(session)
    assert [(one.name, one.is_selected) for one in seen.frames] == [
        ("parse_ipv4", False), ("parse_frame", True), ("parse", False),
    ]  # fmt: skip
    assert (seen.source.here, seen.source.current) == (Here.CALLER, 272)
    assert [one.value for one in seen.registers[:6]] == [None] * 6


def test_what_changed_is_marked() -> None:
    session = parser()
    session.start()
    session.step_instruction()
    before = see(session)
    session.step_instruction(2)
    after = see(session, before)
    changed = [one.name for one in after.registers if one.changed]
    assert changed == [f"r{n}" for n in range(11) if before.registers[n].value != after.registers[n].value]
    assert changed == ["r1"]
    assert [row.text for row in register_rows(after.registers)][1].startswith("*r1 ")
    assert not any(one.changed for one in see(session).registers)


def test_stack_bytes_that_change_are_marked() -> None:
    session = assembled("*(u64 *)(r10 - 16) = 7\n*(u64 *)(r10 - 16) = 9\nr0 = 0\nexit", level=STRICT)
    session.start()
    session.step_instruction()
    before = see(session)
    session.step_instruction()
    after = see(session, before)
    at = -16 - after.memory.first
    assert after.memory.changed == {at}
    assert after.memory.data[at : at + 8] == (9).to_bytes(8, "little")
    (row,) = [row.text for row in byte_rows(after.memory, 40) if row.text.startswith("*")]
    assert row.startswith("*-16 09 00 00")
    (other,) = [row.text for row in byte_rows(after.memory, 40) if "-24" in row.text]
    assert other.count("??") == 8


def test_memory_at_an_expression() -> None:
    session = parser()
    session.start()
    seen = see(session, memory="packet")
    frame = session.world.invocation.packet
    assert frame is not None
    assert seen.memory.data[: len(frame)] == frame
    assert "no" in see(session, memory="nonsense").memory.note
    assert "0x10" in see(session, memory="(char *)16").memory.note


def test_maps_are_tables_with_changes() -> None:
    session = parser()
    session.start()
    before = see(session)
    session.next_invocation()
    after = {one.name: one for one in see(session, before).maps}
    assert after["flows"].columns[:2] == ("source", "destination")
    (entry,) = [one for one in after["protocols"].entries if one.changed]
    assert entry.cells == ("ARP", "1", "60")
    assert after["protocols"].note == "11 of 11, 10 of zeros not shown"
    text = [row.text for row in map_rows(tuple(after.values()))]
    assert any(line.startswith("* ARP") for line in text)
    assert ".rodata" not in after


@pytest.mark.parametrize("name", ["ringbuf", "perf_output", "percpu", "tail_calls", "lru", "stack_trace"])
def test_maps_of_every_type(name: str) -> None:
    session = session_of(TESTS / "programs" / f"{name}.bpf.o")
    session.resume()
    state = everything(session.world)
    tables = see(session).maps
    assert {one.name for one in tables} == {
        view.name for view in session.object.maps.values() if view.spec.contents is None
    }
    assert any(one.entries for one in tables), [one.note for one in tables]
    assert everything(session.world) == state


def test_the_packet_and_who_points_into_it() -> None:
    session = parser(path=TESTS / "programs" / "xdp_parser.bpf.o")
    session.start()
    while not (seen := see(session)).packet.content.pointers:
        session.step_instruction()
    frame = session.world.invocation.packet
    assert frame is not None
    assert seen.packet.content.data == frame
    assert seen.packet.layers[1].startswith(f"eth   dest {frame[:6].hex(':')}, source {frame[6:12].hex(':')}, ")
    offset, name = seen.packet.content.pointers[0]
    rows = packet_rows(seen.packet, 40)
    row = rows[len(rows) - -(-len(frame) // 8) + offset // 8]
    assert row.text.rstrip().endswith(f"← {name}")
    session.change(Change.MEMORY, session.value("(void *)packet").number(), b"\x55")  # type: ignore[union-attr]
    assert see(session, seen).packet.content.changed == {0}


def test_variables_open() -> None:
    session = parser()
    session.start()
    session.break_at("parse_ipv4")
    session.resume()
    closed = {one.name: one for one in see(session).variables}
    assert closed["rest"].can_open and not closed["rest"].is_open
    key = closed["flow"].key
    seen = see(session, opened=frozenset({key, f"{key}/source", "globals"}))
    names = [(one.depth, one.name) for one in seen.variables]
    assert (1, "source") in names and (2, "[0]") in names and (1, "blocked_ports") in names
    assert all(one.expression for one in seen.variables if one.depth == 1)
    text = [row.text for row in variable_rows(seen.variables, "")]
    assert " ▾ flow = " in "\n".join(text)


def test_long_arrays_open_in_parts() -> None:
    session = session_of(TESTS / "programs" / "globals.O0.bpf.o")
    session.start()
    found = [one for one in see(session, opened=frozenset({"globals"})).variables if one.can_open and one.depth]
    assert found
    seen = see(session, opened=frozenset({"globals", *(one.key for one in found)}))
    assert len(seen.variables) > len(found) + 1


def test_after_the_end_the_last_line_is_shown() -> None:
    session = parser(1)
    session.start()
    session.resume()
    seen = see(session)
    assert seen.where == "parse has returned XDP_PASS"
    assert seen.source.here is Here.ENDED
    assert seen.frames == ()
    assert seen.registers[0].value == 2


def test_nothing_has_begun() -> None:
    seen = see(parser())
    assert seen.where == "not begun"
    assert rows_of(seen, 40)


def test_a_source_that_is_not_on_disk_comes_from_the_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(shutil.copy(TESTS / "programs" / "xdp_parser.bpf.o", tmp_path))
    monkeypatch.chdir(tmp_path)
    session = parser(path=path)
    session.start()
    seen = see(session)
    assert "not found on disk" in seen.source.note
    assert seen.source.current is not None
    real = (TESTS / "programs" / "xdp_parser.bpf.c").read_text().splitlines()
    assert seen.source.lines[seen.source.current - 1] == real[seen.source.current - 1]


def test_without_line_information_there_is_code_only() -> None:
    session = assembled("r0 = 7\nexit")
    session.start()
    seen = see(session)
    assert seen.source.lines == ()
    assert "no line information" in source_rows(seen.source)[0].text
    assert [row.text for row in CodeRows(seen.code)] == [" ▶ 0  r0 = 0x7", "   1  exit"]
    assert "no debug information" in variable_rows(seen.variables, seen.variables_note)[-1].text


def test_forks_are_in_the_time_line() -> None:
    session = parser()
    session.start()
    session.next_invocation()
    here = session.world.step
    session.goto(5)
    session.change(Change.REGISTER, 3, 1)
    assert see(session).time.forks == ((5, 1),)
    session.switch(1)
    time = see(session).time
    assert (time.forks, time.number, time.lines, time.end) == (((5, 2),), 1, 2, here)


# --- rows and places --------------------------------------------------------------------------------------------------


@given(st.text())
def test_no_text_acts_on_the_terminal(text: str) -> None:
    assert all(char >= " " and not "\x7f" <= char < "\xa0" for char in clean(text))


@given(st.lists(st.lists(st.text(max_size=50), min_size=3, max_size=3), max_size=5))
def test_columns_are_as_wide_in_every_line(cells: list[list[str]]) -> None:
    made = columns(cells, 12)
    assert len({tuple(map(len, line)) for line in made}) <= 1
    assert all(len(cell) <= 12 for line in made for cell in line)


@given(st.integers(1, 400), st.integers(1, 150))
def test_areas_cover_the_screen_once(width: int, height: int) -> None:
    areas = arrange(width, height)
    cells = [
        (x, y)
        for area in areas
        for x in range(area.x, area.x + area.width)
        for y in range(area.y, area.y + area.height)
    ]
    assert len(cells) == len(set(cells)) == width * height
    assert sorted(pane for area in areas for pane in area.panes) == sorted(Pane)


@given(
    st.integers(0, 10**12), st.integers(0, 10**6), st.lists(st.integers(0, 10**12), max_size=20), st.integers(1, 300)
)
def test_the_bar_of_the_time_line(end: int, step: int, starts: list[int], width: int) -> None:
    step = min(step, end)
    begun = tuple(sorted({0, *(start % (end + 1) for start in starts)}))
    time = TimeView(step, end, 0, len(begun), "", begun, ((end // 2, 2),), 1, 2)
    cells = bar(time, width)
    assert len(cells) == width
    assert cells[column_of(time, step, width)][0] == "●"
    for column in range(width):
        there = step_at(time, column, width)
        assert 0 <= there <= end
        if end >= width - 1 and width > 1:
            assert column_of(time, there, width) == column
