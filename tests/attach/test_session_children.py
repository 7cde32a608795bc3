"""Children and other programs of a traced process: they run on with clean code, and what is probed stays exact."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attach.build import BuildTarget
from attach.processes import running
from attach.state import is_traced
from attach.tracing import PROGRAMS, trace
from attach.workload import OBJECT, attached, begin, detach, end, places, result, runs, work

from pybpftime.attach import proc
from tools.process_state import changed_code, state

pytestmark = pytest.mark.usefixtures("can_trace")


@pytest.fixture
def workload(build_target: BuildTarget) -> Path:
    return build_target("workload", "-O2")


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_children_run_on_untraced(workload: Path, way: str) -> None:
    outcome = work(workload, way)
    assert outcome.right
    assert outcome.entered == outcome.returned == outcome.called
    assert outcome.after == outcome.before


def test_a_child_that_lives_on_has_clean_code(workload: Path) -> None:
    script = (
        "import os, time; print('ready', flush=True); input(); pid = os.fork(); print(pid, flush=True) if pid else 0"
    )
    script += "; input(); os.kill(pid, 9) if pid else 0"
    with running(sys.executable, "-c", script) as target:
        before = state(target.pid)
        with attached(target):
            assert target.process.stdin is not None
            assert target.process.stdout is not None
            target.process.stdin.write("go\n")
            target.process.stdin.flush()
            child = int(target.process.stdout.readline())
            assert not is_traced(child)
            assert state(child).areas == state(child).changed_code == ()
        assert state(target.pid) == before
        os.kill(child, signal.SIGKILL)


def test_threads_begin_and_end_while_tracers_come_and_go(workload: Path) -> None:
    with running(workload, "churn") as target:
        before = state(target.pid)
        assert target.process.stdin is not None
        target.process.stdin.write("g")  # it goes on until there is more
        target.process.stdin.flush()
        seen = 0
        script = f"""
import sys
from pathlib import Path
from pybpftime.attach.probe import Probe
from pybpftime.attach.session import BreakpointSession
from pybpftime.attach.target import ProbeKind, ProbeTarget
seen = 0
def hit(tid):
    global seen
    seen += 1
for round in range(20):
    with BreakpointSession.attach({target.pid}) as session:
        for kind in ProbeKind:
            session.add(Probe(ProbeTarget(kind, {str(workload)!r}, "probed", 0), hit))
        session.serve(duration=0.05)
        assert not session.notes, session.notes
print(seen)
"""
        seen = int(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
        assert seen > 0
        target.process.stdin.write("\n")
        target.process.stdin.flush()
        assert target.process.stdout is not None
        assert target.process.stdout.readline().startswith("called")
        assert target.process.stdout.readline() == "right\n"
        after = state(target.pid)
        assert (after.changed_code, after.areas, after.caught) == ((), (), before.caught)
        assert end(target) == 0


def test_a_program_that_is_executed_is_probed_again() -> None:
    ended = trace("--json", OBJECT, "--", "sh", "-c", "exec env env ls /", input="")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stderr.splitlines()[-1])
    alone = trace("--json", OBJECT, "--", "sh", "-c", ":", input="")
    assert runs(report)[0] > runs(json.loads(alone.stderr.splitlines()[-1]))[0] > 0
    assert runs(report)[0] == runs(report)[1]


def test_a_second_thread_executes_a_program() -> None:
    script = """
import os, sys, threading
print("ready", flush=True)
input()
threading.Thread(target=lambda: os.execv("/bin/sh", ["sh", "-c", "echo executed; read line; exit 9"])).start()
threading.Event().wait()
"""
    with running(sys.executable, "-c", script) as target, attached(target) as tracer:
        assert target.process.stdin is not None
        assert target.process.stdout is not None
        target.process.stdin.write("go\n")
        target.process.stdin.flush()
        assert target.process.stdout.readline() == "executed\n"
        assert state(target.pid).changed_code, "probed again"
        target.process.stdin.write("\n")
        target.process.stdin.flush()
        assert target.process.wait(20) == 9
        ended = tracer.event()
        assert ended["exit_code"] == 9
        assert runs(ended)[0] > 0


def test_a_script_is_executed(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nls / >/dev/null\nexit 4\n")
    script.chmod(0o755)
    ended = trace(PROGRAMS / "malloc.bpf.o", "--", script)
    assert ended.returncode == 4
    assert "malloc_entry" in ended.stderr


def test_a_probed_process_is_killed(workload: Path) -> None:
    source = random.Random(4)
    for _ in range(3):
        with (
            running(workload, "calls", "4", "1000000") as target,
            attached(target, *places(workload, "probed")) as tracer,
        ):
            assert target.process.stdin is not None
            target.process.stdin.write("go\n")
            target.process.stdin.flush()
            time.sleep(source.random() / 10)
            target.process.kill()
            ended = tracer.event()
            assert ended["signal"] == signal.SIGKILL
            assert tracer.finish() == 0
            assert tracer.errors() == ""


def test_detach_cleans_a_child_that_was_forked_after_the_tracer_was_killed(workload: Path) -> None:
    with running(workload, "fork") as target:
        before = state(target.pid)
        with attached(target, *places(workload, "probed")) as tracer:
            tracer.process.kill()
            tracer.finish()
        called, right = begin(target)
        assert right
        assert called == 10
        assert detach(target.pid).returncode == 0
        assert state(target.pid) == before
        assert end(target) == 0


def test_the_first_thread_ends(workload: Path) -> None:
    """Which hides what the process has mapped from those who ask by its number."""
    with running(workload, "headless") as target, attached(target, *places(workload, "probed")) as tracer:
        assert begin(target) == (100, True)
        assert end(target) == 0
        assert runs(tracer.event()) == (100, 100)
        assert tracer.finish() == 0


def test_detaching_after_the_first_thread_has_ended(workload: Path) -> None:
    with running(workload, "headless") as target, attached(target, *places(workload, "probed")) as tracer:
        assert begin(target) == (100, True)
        (thread,) = (tid for tid in proc.threads(target.pid) if tid != target.pid)
        tracer.process.terminate()
        assert runs(tracer.event()) == (100, 100)
        assert tracer.finish() == 0
        assert changed_code(thread, proc.read_mappings(thread)) == []
        assert end(target) == 0


SCRIPT = """
import os, random, signal, subprocess, sys, threading
from pybpftime.attach.probe import Probe
from pybpftime.attach.session import BreakpointSession
from pybpftime.attach.target import ProbeKind, ProbeTarget
from pybpftime.errors import HostError
program, way = sys.argv[1:]
source = random.Random(5)
for round in range(40):
    target = subprocess.Popen([program, way, "2", "100000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    target.stdout.readline()
    target.stdin.write(b"go" + bytes([10]))
    target.stdin.flush()
    end = threading.Timer(source.random() / 50, os.kill, (target.pid, signal.SIGKILL))
    end.start()
    try:
        with BreakpointSession.attach(target.pid) as session:
            session.add(Probe(ProbeTarget(ProbeKind.URETPROBE, program, "probed", 0), lambda tid: None))
            assert session.serve(duration=5).signal == signal.SIGKILL
    except HostError as error:
        assert "ended" in str(error), error
    end.join()
    target.communicate()
"""


@pytest.mark.parametrize("way", ["calls", "churn"])
def test_a_process_that_is_killed_while_it_is_attached_to(workload: Path, way: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(workload), way], capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert run.returncode == 0


FORKS = """
import os, sys, time
print("ready", flush=True)
sys.stdin.readline()
end, wrong = time.monotonic() + 2, 0
while time.monotonic() < end:
    pid = os.fork()
    if not pid:
        bytearray(1000)
        os._exit(7)
    wrong += os.waitpid(pid, 0)[1] != 7 << 8
    wrong += os.spawnv(os.P_WAIT, "/bin/true", ["true"]) != 0
    wrong += os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1]) != 0
print("called", wrong)
print("right" if not wrong else "wrong", flush=True)
sys.stdin.readline()
"""

COME_AND_GO = """
import sys, time
from pybpftime.attach.probe import Probe
from pybpftime.attach.session import BreakpointSession
from pybpftime.attach.target import ProbeKind, ProbeTarget
end, rounds = time.monotonic() + 1.5, 0
while time.monotonic() < end:
    with BreakpointSession.attach(int(sys.argv[1])) as session:
        for kind in ProbeKind:
            session.add(Probe(ProbeTarget(kind, "libc.so.6", "malloc", 0), lambda tid: None))
        session.serve(duration=0.02)
        assert not session.notes, session.notes
    rounds += 1
print(rounds)
"""


def test_children_are_made_while_tracers_come_and_go() -> None:
    with running(sys.executable, "-c", FORKS) as target:
        before = state(target.pid)
        assert target.process.stdin is not None
        target.process.stdin.write("go\n")
        target.process.stdin.flush()
        command = [sys.executable, "-c", COME_AND_GO, str(target.pid)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.stderr == ""
        assert int(run.stdout) > 3
        assert result(target) == (0, True)
        assert state(target.pid) == before
