"""Every call counts, once, at entry and return, and the process is as before."""

from __future__ import annotations

from pathlib import Path

import pytest
from attach.build import BuildTarget
from attach.processes import running
from attach.tracing import PROGRAMS, tracing
from attach.workload import Outcome, attached, begin, end, runs, work

from tools.process_state import state

pytestmark = pytest.mark.usefixtures("can_trace")


@pytest.fixture
def workload(build_target: BuildTarget) -> Path:
    return build_target("workload", "-O2", "-fno-builtin")


def check(outcome: Outcome, *, returned: int | None = None) -> None:
    """The target was right and is as before; entries are exact, and returns, but for those that there were not."""
    assert outcome.right
    assert outcome.entered == outcome.called
    assert outcome.returned == (outcome.called if returned is None else returned)
    assert (outcome.failures, outcome.notes) == (0, [])
    assert outcome.after == outcome.before
    assert outcome.after.changed_code == outcome.after.areas == ()


@pytest.mark.parametrize("flags", [("-static",), ("-pie", "-fPIE"), ("-no-pie",)], ids=["static", "pie", "no-pie"])
def test_calls_of_eight_threads(build_target: BuildTarget, flags: tuple[str, ...]) -> None:
    check(work(build_target("workload", "-O2", *flags), "calls", 8, 500))


def test_malloc_in_eight_threads(workload: Path) -> None:
    """100,000 calls, with `make campaign-probes` 1,000,000.  The threads are made by malloc, too."""
    times = 100_000 // 8
    with running(workload, "malloc", "8", str(times)) as target:
        before = state(target.pid)
        with attached(target) as tracer:
            _, right = begin(target)
            tracer.process.terminate()
            ended = tracer.event()
            assert tracer.finish() == 0
        assert right
        entered, returned = runs(ended)
        assert entered == returned
        assert ended["maps"]["allocations"]["entries"][0]["value"]["calls"] == entered
        assert 8 * times <= entered <= 8 * times + 16, "but for the few that the library makes"
        assert state(target.pid).changed_code == before.changed_code == ()
        assert state(target.pid).areas == ()
        assert end(target) == 0


def test_recursion(workload: Path) -> None:
    check(work(workload, "recursion", functions=("descend", "probed")))


def test_longjmp(workload: Path) -> None:
    outcome = work(workload, "longjmp", functions=("leap", "probed"))
    check(outcome, returned=50)


def test_tail_calls(workload: Path) -> None:
    check(work(workload, "tail", functions=("jumps_on", "probed")))


@pytest.mark.parametrize("way", ["altstack", "altstack-thread"])
def test_handlers_on_an_alternate_stack(workload: Path, way: str) -> None:
    check(work(workload, way, functions=("interrupted", "probed")))


def test_a_signal_between_trap_and_instruction_does_not_count_twice(workload: Path) -> None:
    check(work(workload, "signals", 1, 5000))


def test_exceptions_pass_probed_functions(build_target: BuildTarget) -> None:
    program = build_target("exceptions", "-O1")
    outcome = work(program, "throw", functions=("thrower", "between", "calm"))
    check(outcome, returned=100)


def test_without_probes_hit_nothing_changes(workload: Path) -> None:
    with running(workload, "calls", "2", "10") as target:
        before = state(target.pid)
        with tracing("--json", "--pid", target.pid, PROGRAMS / "malloc.bpf.o") as tracer:
            assert tracer.event()["event"] == "attached"
            during = state(target.pid)
            assert during.changed_code
            assert len(during.areas) == 1
        assert state(target.pid) == before
