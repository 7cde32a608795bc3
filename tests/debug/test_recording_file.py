"""The lines of a recording: whole or not there, of a known version, and never believed."""

from __future__ import annotations

import base64
import copy
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from debug.recording_support import PROGRAMS, SCHEMA, TESTS, VALIDATOR, open_object, open_text, run_to_end
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftime.debug.recording import file as recording_file
from pybpftime.debug.recording import open_recording, read_recording, save
from pybpftime.debug.timeline import Change
from pybpftime.errors import BpfError, HostError, InputError
from pybpftime.machine import Environment, HostEnvironment

Lines = list[dict[str, Any]]


def lines_of(file: Path) -> Lines:
    return [json.loads(line) for line in file.read_text().splitlines()]


def write(file: Path, lines: Lines) -> Path:
    """The lines as a file, whose end record is right."""
    lines = [*lines[:-1], {"record": "end", "lines": len(lines)}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """A recording that has every kind of record but maps."""
    text = "r6 = r1\ncall bpf_ktime_get_ns\ncall bpf_get_prandom_u32\nr0 = *(u8 *)(r6 + 0)\nexit\n"
    environment = HostEnvironment(cpu_count=2)
    session = run_to_end(open_text(text, 3, environment=environment, mem=b"\x05" * 40))
    session.goto(4)
    session.change(Change.REGISTER, 2, 5)
    session.change(Change.MEMORY, session.world.machine.registers[6], b"\x09")
    run_to_end(session)
    file = tmp_path_factory.mktemp("small") / "small.bpfrec"
    save(session, file)
    return lines_of(file)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A recording of an object with maps that were filled before."""

    def fill(loaded: Any) -> None:
        for number in range(6):
            loaded.maps["recent"].raw.update(number.to_bytes(6, "little"), bytes([number]) * 16)

    session = run_to_end(open_object(PROGRAMS / "lru.bpf.o", 3, Environment(), maps=fill))
    file = tmp_path_factory.mktemp("large") / "large.bpfrec"
    save(session, file)
    return file.read_bytes()


# --- format -----------------------------------------------------------------------------------------------------------


def test_the_first_line_says_what_it_is(small: Lines) -> None:
    assert small[0]["format"] == "bpfrec"
    assert small[0]["version"] == 1
    assert small[0]["made_by"].startswith("pybpftime ")
    kinds = {line.get("record") for line in small[1:]}
    wanted = {"content", "session", "invocation", "times", "numbers", "timeline", "starts", "edit", "position"}
    assert kinds == wanted | {"checksum", "end"}


def test_every_line_is_as_the_schema_says(small: Lines) -> None:
    VALIDATOR.check_schema(SCHEMA)
    for line in small:
        VALIDATOR.validate(line)


def test_every_record_is_described() -> None:
    text = (TESTS.parent / "docs" / "reference" / "recording-format.md").read_text("utf-8")
    named = {name for heading in re.findall(r"^## (.*)$", text, re.MULTILINE) for name in heading.split(", ")}
    assert named == {one["$ref"].rpartition("/")[2] for one in SCHEMA["oneOf"]}


def test_unknown_fields_and_records_are_ignored(small: Lines, tmp_path: Path) -> None:
    lines = [line | {"of_tomorrow": [1]} for line in small]
    lines.insert(-1, {"record": "of_tomorrow", "number": "x"})
    assert read_recording(write(tmp_path / "one.bpfrec", lines)).check().is_equal


def test_a_newer_version_is_refused_in_one_sentence(small: Lines, tmp_path: Path) -> None:
    lines = [small[0] | {"version": 2}, *small[1:]]
    with pytest.raises(InputError) as caught:
        open_recording(write(tmp_path / "one.bpfrec", lines))
    assert caught.value.line == 1
    assert caught.value.reason == "is of version 2 of the format, and this pybpftime reads up to version 1"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty, and no recording"),
        (b"\x7fELF\x02\x01", "is no recording of pybpftime"),
        (b"{}\n", "is no recording of pybpftime"),
        (b'{"format": "bpfrec"}\n', "version is a number"),
        (b'{"format": "bpfrec", "version": true}\n', "version is a number"),
        (b'{"format": "bpfrec", "version": 1}\n', "the recording is not whole: it ends here"),
        (b'{"format": "bpfrec", "version": 1}\n{"record": "end", "lines": 2}\n', "has no session record"),
        (b'{"format": "bpfrec", "version": 1}\n{"record": "end", "lines": 7}\n', "lines are missing"),
        (b'{"format": "bpfrec", "version": 1}\n{"record": "end", "lines": 2}\n{}\n', "something follows the end"),
        (b'{"format": "bpfrec", "version": 1}\n{"record": "map", "name": "x"}\n', "the session record comes before"),
        (b'{"format": "bpfrec", "version": 1}\n[]\n', "is no JSON object"),
        (b'{"format": "bpfrec", "version": 1}\n{"a": NaN}\n', "is no JSON object"),
        (b'{"format": "bpfrec", "version": 1}\n{"a": 1e999}\n', "is no JSON object"),
        (b'{"format": "bpfrec", "version": 1}\n{"a": ' + b"9" * 5000 + b"}\n", "is no JSON object"),
        (b'{"format": "bpfrec", "version": 1}\n' + b"[" * 100_000 + b"\n", "is no JSON object"),
        (b'{"format": "bpfrec", "version": 1}\n\xff\n', "is no JSON object"),
        (b'{"format": "bpfrec", "version": 1}\n{"record": "\\ud800"}\n', "record is text"),
    ],
)
def test_what_is_no_recording_is_refused_by_file_and_line(content: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "one.bpfrec"
    file.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        open_recording(file)
    assert caught.value.file == str(file)


def test_a_line_without_end_takes_no_more_memory_than_a_line_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_file, "LONGEST_LINE", 1000)
    file = tmp_path / "one.bpfrec"
    file.write_bytes(b'{"format": "bpfrec", "version": 1, "made_by": "' + b"x" * 5000)
    with pytest.raises(InputError, match="a line has at most"):
        open_recording(file)


def test_files_beyond_the_largest_are_refused(small: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_file, "LARGEST_FILE", 1000)
    with pytest.raises(InputError, match="a recording has at most"):
        open_recording(write(tmp_path / "one.bpfrec", small))


@pytest.mark.parametrize("name", ["", "no/such/file", "a\0b", "."])
def test_files_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        open_recording(os.path.join(tmp_path, name) if name else name)


# --- hostile records --------------------------------------------------------------------------------------------------

Break = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("kind", "broken", "reason"),
    [
        ("content", lambda line: line.update(bytes="AAAA"), "the content is damaged"),
        ("content", lambda line: line.update(bytes="???"), "bytes is no base64"),
        ("session", lambda line: line.update(level="easy"), "there is no level"),
        ("session", lambda line: line.update(budget=1 << 80), "budget is a number"),
        ("session", lambda line: line["object"].update(content="00"), "does not stand before it"),
        ("session", lambda line: line["object"].update(kind="elf"), "no ELF"),
        ("session", lambda line: line["types"].update(other="xdp"), "types says the type"),
        ("session", lambda line: line["types"].update(program="nonsense"), "there is no program type"),
        ("session", lambda line: line["limits"].update(max_depth=1 << 40), "the limit max_depth"),
        ("session", lambda line: line["limits"].update(max_depth=300, frame_size=1 << 20), "MiB of stack"),
        ("session", lambda line: line["environment"].update(cpu_count=0), "cpu_count is a number"),
        ("session", lambda line: line["environment"].update(cpu=2), "there is no cpu 2"),
        ("session", lambda line: line.update(helpers=[{"id": 1}]), "name is text"),
        ("invocation", lambda line: line.update(program="other"), "the object has no program 'other'"),
        ("invocation", lambda line: line.update(environment={"cpu": 2}), "there is no cpu 2"),
        ("invocation", lambda line: line.update(environment={"cpu_count": 4}), "the same number of cpus"),
        ("invocation", lambda line: line.update(label="\ud800"), "label is text"),
        ("invocation", lambda line: line.update(packet=7), "packet is text in base64"),
        ("times", lambda line: line.update(values=[-1]), "values are numbers of 64 bits"),
        ("numbers", lambda line: line.update(values=["x"]), "values are numbers of 32 bits"),
        ("numbers", lambda line: line.update(values=7), "values is a list"),
        ("timeline", lambda line: line.update(number=9), "number is a number from"),
        ("timeline", lambda line: line.update(end=-1), "end is a number from"),
        ("starts", lambda line: line.update(steps=[3]), "the first invocation starts at step 0"),
        ("starts", lambda line: line.update(steps=[0, 0]), "the start of an invocation is a number"),
        ("starts", lambda line: line.update(timeline=3), "there is no time line 3"),
        ("edit", lambda line: line.update(step=1 << 70), "step is a number"),
        ("edit", lambda line: line.update(register=11), "register is a number from 0 to 10"),
        ("edit", lambda line: line.update(value=1 << 64), "value is a number from"),
        ("edit", lambda line: line.update(map="x"), None),
        ("edit", lambda line: (line.pop("register"), line.update(map="x")), "the object has no map 'x'"),
        ("edit", lambda line: line.pop("register"), "an edit is of a register, of memory or of an element"),
        ("checksum", lambda line: line.update(value=7), "value is text"),
    ],
)
def test_a_broken_record_is_named(kind: str, broken: Break, reason: str | None, small: Lines, tmp_path: Path) -> None:
    lines = copy.deepcopy(small)
    at = next(number for number, line in enumerate(lines) if line.get("record") == kind)
    broken(lines[at])
    file = write(tmp_path / "one.bpfrec", lines)
    if reason is None:
        open_recording(file)  # what is behind the first way to read it does not count
        return
    with pytest.raises(InputError, match=reason) as caught:
        open_recording(file)
    assert (caught.value.file, caught.value.line) == (str(file), at + 1)


def test_two_session_records_are_one_too_many(small: Lines, tmp_path: Path) -> None:
    at = next(number for number, line in enumerate(small) if line.get("record") == "session")
    with pytest.raises(InputError, match="two session records"):
        open_recording(write(tmp_path / "one.bpfrec", [*small[: at + 1], small[at], *small[at + 1 :]]))


JUNK = st.one_of(
    st.none(), st.booleans(), st.text(max_size=5), st.integers(-2, 12),
    st.sampled_from([1 << 31, 1 << 32, 1 << 63, (1 << 64) - 1, 1 << 64, 1 << 200, -(1 << 70)]),
    st.lists(st.integers(-1, 3), max_size=3), st.just({}), st.just({"content": "x"}), st.just([[0, "AA=="]]),
    st.binary(max_size=8).map(lambda content: base64.b64encode(content).decode()),
)  # fmt: skip


def replay_a_while(file: Path) -> str:
    """Open it and run a few thousand steps: "" or the error that is meant for users; nothing else comes out."""
    try:
        session = open_recording(file)
        session.world.budget = min(session.world.budget, 4000)
        session.start()
        while not session.world.is_over and session.world.step < 20_000:
            session.world.advance(session.world.step + 2000)
        for timeline in session.world.timelines:
            session.world.switch(timeline.number, min(timeline.end, 500))
    except InputError as error:
        return str(error)
    except BpfError as error:
        return f"unexpected: {error}"
    return ""


@settings(max_examples=150)
@given(data=st.data())
def test_records_with_anything_in_them_are_refused_or_run(
    data: st.DataObject, small: Lines, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = copy.deepcopy(small)
    for _ in range(data.draw(st.integers(1, 3))):
        line = data.draw(st.sampled_from(lines[1:]))
        places = [line, *(value for value in line.values() if isinstance(value, dict))]
        place = data.draw(st.sampled_from(places))
        if place:
            place[data.draw(st.sampled_from(sorted(place)))] = copy.deepcopy(data.draw(JUNK))
    assert "unexpected" not in replay_a_while(write(tmp_path_factory.getbasetemp() / "mutated.bpfrec", lines))


@settings(max_examples=60)
@given(cut=st.integers(0, 1 << 20), byte=st.integers(0, 255), at=st.integers(0, 1 << 20), whole=st.booleans())
def test_damaged_files_are_refused_or_run(
    cut: int, byte: int, at: int, whole: bool, large: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(large if whole else large[: cut % len(large)])
    if content:
        content[at % len(content)] = byte
    file = tmp_path_factory.getbasetemp() / "damaged.bpfrec"
    file.write_bytes(content)
    assert "unexpected" not in replay_a_while(file)


def test_every_truncation_at_a_line_is_seen(small: Lines, tmp_path: Path) -> None:
    file = tmp_path / "one.bpfrec"
    for count in range(1, len(small)):
        file.write_text("".join(json.dumps(line) + "\n" for line in small[:count]))
        with pytest.raises(InputError, match="not whole"):
            open_recording(file)


# --- writing ----------------------------------------------------------------------------------------------------------


def test_a_file_stays_as_it_was_when_the_recording_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = run_to_end(open_text("r0 = 0\nexit\n"))
    file = tmp_path / "one.bpfrec"
    file.write_text("what was there")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match="cannot be written"):
        save(session, file)
    assert file.read_text() == "what was there"
    assert os.listdir(tmp_path) == ["one.bpfrec"]


def test_a_session_that_cannot_be_recorded_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    session = run_to_end(open_text("r0 = 0\nexit\n"))
    session.world.invocations[0].fields["label"] = object()  # type: ignore[index]
    file = tmp_path / "one.bpfrec"
    file.write_text("what was there")
    with pytest.raises(Exception):  # noqa: B017, PT011  # whatever it is
        save(session, file)
    assert file.read_text() == "what was there"
    assert os.listdir(tmp_path) == ["one.bpfrec"]


@pytest.mark.parametrize("name", ["no/such/folder/one.bpfrec", "."])
def test_places_that_take_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be written"):
        save(open_text("r0 = 0\nexit\n"), tmp_path / name)


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.bpfrec").write_text("old")
    (tmp_path / "link.bpfrec").symlink_to("real.bpfrec")
    save(open_text("r0 = 0\nexit\n"), tmp_path / "link.bpfrec")
    assert (tmp_path / "link.bpfrec").is_symlink()
    assert (tmp_path / "real.bpfrec").read_text().startswith('{"format": "bpfrec"')


def test_large_contents_stand_in_pieces(tmp_path: Path) -> None:
    memory = bytes(range(256)) * 10_000
    session = run_to_end(open_text("r0 = *(u8 *)(r1 + 77)\nexit\n", 2, mem=memory))
    file = tmp_path / "one.bpfrec"
    save(session, file)
    assert max(len(line) for line in file.read_bytes().splitlines()) < 2 << 20
    recording = read_recording(file)
    assert [one.mem for one in recording.session.world.invocations] == [memory, memory]
    assert recording.check().is_equal
    assert file.stat().st_size < 1.5 * len(memory)  # once for both
