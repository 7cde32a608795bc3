"""What a session finds in a process from tracers that were killed, and the signal masks that children get back."""

from __future__ import annotations

from pathlib import Path

import pytest
from attach.build import BuildTarget
from attach.processes import running
from attach.workload import attached, begin, detach, end, places, runs

from tools.process_state import state

pytestmark = pytest.mark.usefixtures("can_trace")


@pytest.fixture
def workload(build_target: BuildTarget) -> Path:
    return build_target("workload", "-O2")


def test_a_trace_after_one_that_was_killed(workload: Path) -> None:
    with running(workload, "calls", "1", "100") as target:
        before = state(target.pid)
        with attached(target, *places(workload, "probed")) as tracer:
            tracer.process.kill()
            tracer.finish()
        with attached(target, *places(workload, "probed")) as tracer:
            assert begin(target) == (100, True)
            tracer.process.terminate()
            assert runs(tracer.event()) == (100, 100)
            tracer.finish()
        assert state(target.pid) == before
        assert end(target) == 0


def test_two_traces_that_were_killed(workload: Path) -> None:
    with running(workload, "calls", "1", "100") as target:
        before = state(target.pid)
        for function in ("probed", "descend"):
            with attached(target, *places(workload, function)) as tracer:
                tracer.process.kill()
                tracer.finish()
        assert begin(target) == (100, True)
        detach(target.pid)
        assert state(target.pid) == before
        assert end(target) == 0


def test_a_child_has_the_signal_mask_of_its_parent(build_target: BuildTarget) -> None:
    program = build_target("masked_fork")
    with running(program) as target, attached(target, *places(program, "probed")):
        assert target.process.stdin is not None
        assert target.process.stdout is not None
        target.process.stdin.write("\n")
        target.process.stdin.flush()
        assert target.process.stdout.readline() == "blocked\n"
