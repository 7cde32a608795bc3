"""Libraries that the target unloads, and loads again, while they have probes."""

from __future__ import annotations

from pathlib import Path

import pytest
from attach.build import BuildTarget
from attach.processes import running
from attach.workload import attached, begin, detach, end, places, runs

from tools.process_state import state

pytestmark = pytest.mark.usefixtures("can_trace")


@pytest.fixture
def loader(build_target: BuildTarget) -> Path:
    return build_target("loader", "-ldl")


@pytest.fixture
def plugin(build_target: BuildTarget) -> Path:
    return build_target("plugin", "-shared", "-fPIC", output="plugin.so")


def test_returns_into_a_library_that_was_loaded_again(loader: Path, plugin: Path) -> None:
    with running(loader, str(plugin)) as target:
        with attached(target, *places(loader, "probed")) as tracer:
            assert begin(target) == (50, True)
            tracer.process.terminate()
            ended = tracer.event()
            assert tracer.finish() == 0
        assert (runs(ended), ended["notes"]) == ((50, 50), [])
        assert state(target.pid).areas == ()
        assert end(target) == 0


def test_detach_where_a_probed_library_is_gone(loader: Path, plugin: Path) -> None:
    """The tracer was killed; what it has left in other code is taken out."""
    with running(loader, str(plugin)) as target:
        with attached(target, *places(plugin, "plug"), *places(loader, "probed")) as tracer:
            tracer.process.kill()
            tracer.finish()
        assert begin(target) == (50, True)
        assert state(target.pid).changed_code
        result = detach(target.pid)
        assert (result.returncode, result.stderr) == (0, "")
        assert (state(target.pid).changed_code, state(target.pid).areas) == ((), ())
        assert end(target) == 0
