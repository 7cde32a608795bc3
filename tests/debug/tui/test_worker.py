"""The thread that works with the session: jobs in their order, interrupts, failures."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable

import pytest
from debug.debug_support import assembled
from rich.console import Console

from pybpftime.debug.repl import Interpreter
from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason
from pybpftime.debug.tui import jobs
from pybpftime.debug.tui.bench import Bench, Job
from pybpftime.debug.tui.library import Library
from pybpftime.debug.tui.output import MOST_LINES, OutputLog
from pybpftime.debug.tui.worker import Report, Worker

FOREVER = "r0 = 0\nagain: r0 += 1\ngoto again\nexit"


class Desk:
    """A worker and what it told."""

    def __init__(self, session: Session) -> None:
        self.bench = Bench(session, Library(session))
        self.reports: list[Report] = []
        self.failures: list[BaseException] = []
        self.worker = Worker(self.bench, self.reports.append, self.failures.append)

    def settle(self) -> None:
        """Until all is done and reported."""
        self.until(lambda: self.worker.is_idle and bool(self.reports) and self.reports[-1].view is self.bench.shown)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < end, "nothing happens"
            time.sleep(0.001)


def test_jobs_are_done_in_their_order_and_the_last_is_shown() -> None:
    desk = Desk(assembled("r0 = 0\n" + "r0 += 1\n" * 20 + "exit"))
    for job in (jobs.start(), *[jobs.move("instruction")] * 9, jobs.move("instruction back")):
        desk.worker.submit(job)
    assert not desk.worker.is_idle
    desk.worker.start()
    desk.settle()
    desk.worker.close()
    assert desk.reports[-1].view.time.step == 8
    assert desk.failures == []


def test_an_interrupt_stops_what_runs_and_forgets_what_waits() -> None:
    desk = Desk(assembled(FOREVER, budget=1 << 60))
    done: list[str] = []
    desk.worker.start()
    desk.worker.submit(jobs.start())
    desk.worker.submit(jobs.move("continue"))
    desk.worker.submit(Job("late", lambda bench: done.append("late")))
    desk.until(lambda: desk.worker.step > 0)
    desk.worker.interrupt()
    desk.settle()
    assert desk.reports[-1].view.stop.reason is Reason.PAUSED
    assert done == []
    desk.worker.close()


def test_an_interrupt_that_comes_too_late_is_for_no_other_job() -> None:
    desk = Desk(assembled("r0 = 0\nr0 += 1\nr0 += 1\nexit"))
    desk.worker.start()
    desk.worker.submit(jobs.start())
    desk.settle()
    entered, go_on = threading.Event(), threading.Event()

    def slow(bench: Bench) -> None:
        entered.set()
        go_on.wait(120)

    desk.worker.submit(Job("slow", slow))
    desk.until(entered.is_set)
    desk.worker.interrupt()
    go_on.set()
    desk.worker.submit(jobs.move("continue"))
    desk.settle()
    desk.worker.interrupt()  # nothing runs
    assert desk.reports[-1].view.stop.reason is Reason.END
    desk.worker.submit(jobs.move("continue back"))
    desk.settle()
    assert desk.reports[-1].view.stop.reason is Reason.START
    desk.worker.close()


def test_what_is_no_failure_of_the_program_is_reported() -> None:
    desk = Desk(assembled("exit"))
    desk.worker.start()
    desk.worker.submit(Job("mistake", lambda bench: 1 // 0))  # type: ignore[arg-type, return-value]
    desk.until(lambda: bool(desk.failures))
    assert isinstance(desk.failures[0], ZeroDivisionError)
    desk.worker.close()


def test_the_output_goes_back_to_who_had_it() -> None:
    def put(kind: str, text: str) -> None:
        pass

    session = assembled("exit", output=put)
    bench = Bench(session, Library(session))
    assert session.output == bench.put
    bench.leave()
    assert session.output is put
    console = Console(file=io.StringIO())
    interpreter = Interpreter(session, console, print_maps=lambda console, views, btf: None)
    bench = Bench(session, Library(session), interpreter)
    assert interpreter.console is not console
    bench.leave()
    assert interpreter.console is console


@pytest.mark.parametrize("text", ["", "one", "one\ntwo"])
def test_the_log_keeps_lines(text: str) -> None:
    log = OutputLog()
    log.add("log", text, 3)
    assert [line.text for line in log.lines()] == (text.splitlines() or [""])
    for number in range(MOST_LINES):
        log.add("log", str(number), number)
    assert len(log.lines()) == MOST_LINES
    assert log.lines()[-1].step == MOST_LINES - 1
    assert log.count == MOST_LINES + len(text.splitlines() or [""])
