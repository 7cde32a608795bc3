"""The runner: whatever a runtime does is a result, in the order of the cases."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_runtimes import PROFILE, RIGHT, case, opener, refusing_opener

from pybpftime.conformance.case import Case
from pybpftime.conformance.judge import Result, Status
from pybpftime.conformance.run import pool
from pybpftime.conformance.run.pool import serve
from pybpftime.conformance.run.runner import Options, read_profile, run_cases
from pybpftime.conformance.runtime import OutcomeKind
from pybpftime.conformance.runtimes.in_process import ReferenceRuntime
from pybpftime.isa import Group
from pybpftime.isa.assembler import assemble
from pybpftime.isa.encoding import encode_program


def run(*names: str, jobs: int = 1, retries: int = 0, log: object = "", **options: object) -> list[Result]:
    cases = [case(name) for name in names]
    return list(run_cases(cases, PROFILE, opener(log), Options(jobs=jobs, retries=retries), **options))


def statuses(results: list[Result]) -> list[Status]:
    return [result.status for result in results]


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pool, "GRACE", 0.3)
    monkeypatch.setattr(pool, "OPENING", 0.3)
    return


def test_results_come_in_the_order_of_the_cases() -> None:
    names = [f"{'slow' if number % 7 == 0 else 'right'}{number}" for number in range(60)]
    results = run(*names, jobs=3)
    assert [result.case.name for result in results] == names
    assert set(statuses(results)) == {Status.PASSED}


def test_a_wrong_answer_fails() -> None:
    [result] = run("wrong")
    assert (result.status, result.why) == (Status.FAILED, "r0 is 0x8, expected 0x7")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("raises", "InternalError: the adapter of the runtime failed: ZeroDivisionError: of the adapter"),
        ("dies", "the process that asked it ended (exit code 3)"),
        ("killed", "the process that asked it ended (signal 9, Killed)"),
        ("nothing", "InternalError: the adapter answered None"),
        ("unsendable", "InternalError: the adapter of the runtime failed"),
        ("nonsense", "InternalError: the adapter's answer cannot be judged"),
    ],
)
@pytest.mark.parametrize("jobs", [1, 2])
def test_what_an_adapter_does_wrong_costs_its_case_only(name: str, says: str, jobs: int) -> None:
    results = run("right1", "right2", f"{name}3", "right4", f"{name}5", "right6", jobs=jobs)
    passed, failed = Status.PASSED, Status.FAILED
    assert statuses(results) == [passed, passed, failed, passed, failed, passed]
    assert says in results[2].why
    assert says in results[4].why


@pytest.mark.usefixtures("short_grace")
def test_a_hang_is_a_timeout() -> None:
    results = list(run_cases([case("hangs1"), case("right2")], replace(PROFILE, timeout=0.2), opener(), Options()))
    assert statuses(results) == [Status.FAILED, Status.PASSED]
    assert results[0].outcome is not None
    assert results[0].outcome.kind is OutcomeKind.TIMED_OUT
    assert "no answer within 0.2 seconds" in results[0].why


def test_a_runtime_that_opens_no_more_fails_every_case() -> None:
    results = list(run_cases([case("a"), case("b")], PROFILE, refusing_opener, Options()))
    assert statuses(results) == [Status.FAILED] * 2
    assert "OSError: no such runtime" in results[1].why


def test_the_adapter_is_opened_anew_after_an_exception(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run("right1", "raises2", "right3", log=log)
    assert log.read_text().split() == ["right1", "raises2", "closed", "right3", "closed"]


def test_a_runtime_is_closed_in_every_process(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run(*(f"right{number}" for number in range(20)), jobs=2, log=log)
    assert log.read_text().split().count("closed") == 2


def test_what_is_excluded_is_not_asked(tmp_path: Path) -> None:
    log = tmp_path / "log"
    packet = case("packet", encode_program(assemble("r0 = *(u8 *)skb[0]\nexit")))
    assert Group.PACKET in packet.groups
    cases = [case("limited1"), packet, case("cannot"), case("right")]
    results = list(run_cases(cases, PROFILE, opener(log), Options()))
    assert [(result.status, result.why) for result in results] == [
        (Status.SKIPPED, "a known limit"),
        (Status.NOT_APPLICABLE, "fake does not claim packet"),
        (Status.SKIPPED, "not today"),
        (Status.PASSED, ""),
    ]
    assert log.read_text().split() == ["cannot", "right", "closed"]


def test_failures_are_asked_again_when_that_is_wanted(tmp_path: Path) -> None:
    assert statuses(run("once", "wrong")) == [Status.FAILED] * 2
    log = tmp_path / "log"
    once, wrong, right = run("once", "wrong", "right", retries=2, log=log)
    assert [(one.status, one.attempts) for one in (once, wrong, right)] == [
        (Status.PASSED, 2),
        (Status.FAILED, 3),
        (Status.PASSED, 1),
    ]
    assert log.read_text().split().count("wrong") == 3


def test_stopping_gives_what_is_there() -> None:
    names = [f"slow{number:03}" for number in range(500)]
    seen: list[str] = []

    def stopped() -> bool:
        return len(seen) >= 5

    for result in run_cases([case(name) for name in names], PROFILE, opener(), Options(jobs=2), stopped):
        seen.append(result.case.name)  # noqa: PERF401  # `stopped` looks at it meanwhile
    assert 5 <= len(seen) < 500
    assert seen[:5] == names[:5]
    assert seen == sorted(seen)


@pytest.mark.parametrize("name", ["slow", "hangs"])
def test_leaving_the_results_ends_the_processes(tmp_path: Path, name: str) -> None:
    log = tmp_path / "log"
    cases = [case("right0"), *(case(f"{name}{number}") for number in range(1, 50))]
    results = run_cases(cases, PROFILE, opener(log), Options())
    assert next(results).case.name == "right0"
    began = time.monotonic()
    results.close()
    assert time.monotonic() - began < pool.GRACE
    assert log.read_text().split()[-1] == "closed", "a case in the middle is left for the runtime to be closed"


class Children:
    """A runtime that starts a process, which does not end by itself."""

    profile = PROFILE

    def __init__(self, note: str) -> None:
        self.note = note

    def run(self, case: Case) -> object:
        pid = os.fork()
        if pid == 0:
            time.sleep(600)
            os._exit(0)
        Path(self.note).write_text(str(pid))
        return RIGHT

    def close(self) -> None:
        """Forgets the child."""


@pytest.mark.usefixtures("short_grace")
def test_children_that_a_runtime_forgets_end_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool.threading, "active_count", lambda: 1)  # the class of this file is not importable
    note = tmp_path / "pid"
    results = list(run_cases([case("right")], PROFILE, lambda: Children(str(note)), Options()))
    assert statuses(results) == [Status.PASSED]
    assert _gone(int(note.read_text()))


def _gone(pid: int) -> bool:
    """Whether a process has ended, or will have when its new parent looks."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_reading_the_profile_closes_the_runtime(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read_profile(opener(log)) == PROFILE
    assert log.read_text().split() == ["closed"]


def test_a_process_whose_parent_is_gone_before_it_begins_ends() -> None:
    """As when the command is killed between a fork and the first step of what was forked."""
    ours, theirs = multiprocessing.Pipe()
    gone = subprocess.Popen(["true"])
    gone.wait()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(theirs, ReferenceRuntime, [], gone.pid))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    ours.close()
    theirs.close()
