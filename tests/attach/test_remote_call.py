"""The instructions of a system call in the target, and that a tracer may die at any of its steps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from attach.build import BuildTarget
from attach.processes import running
from attach.workload import end

from pybpftime.attach import remote_call
from tools.process_state import state

capstone = pytest.importorskip("capstone", reason="needs capstone")

DIE_AT_EVERY_STEP = """
import os, sys
from pybpftime.attach import memory, session, tracee
from pybpftime.attach.cleanup import clean
from pybpftime.attach.probe import Probe
from pybpftime.attach.target import ProbeKind, ProbeTarget
pid, program = int(sys.argv[1]), sys.argv[2]
def counted(function):
    def call(*arguments):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), 9)
        return function(*arguments)
    return call
killed = 0
for step in range(1, 400, 3):
    child = os.fork()
    if not child:
        left = step
        tracee.binding.ptrace = counted(tracee.binding.ptrace)
        session.request = counted(session.request)
        memory.ProcessMemory.write = counted(memory.ProcessMemory.write)
        with session.BreakpointSession.attach(pid) as trace:
            for kind in ProbeKind:
                trace.add(Probe(ProbeTarget(kind, program, "probed", 0), lambda tid: None))
            trace.serve(duration=0.002)
        os._exit(0)
    killed += os.waitpid(child, 0)[1] == 9
    clean(pid)
print(killed)
"""


def test_the_code_gives_every_register_back_and_goes_to_where_the_thread_was() -> None:
    machine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    machine.detail = True
    syscall, *loads, jump = machine.disasm(remote_call._CODE, remote_call.CODE)
    assert syscall.mnemonic == "syscall"
    assert [one.op_str.split(",")[0] for one in loads] == [name for name, _ in remote_call._GIVEN_BACK]
    assert jump.mnemonic == "jmp"
    for index, one in enumerate([*loads, jump]):
        assert one.address + one.size + one.disp == remote_call.SLOTS + 8 * index
    assert remote_call.SLOTS + 8 * (len(loads) + 1) <= remote_call.CODE
    assert len(remote_call._CODE) + remote_call.CODE <= remote_call.SIZE


@pytest.mark.usefixtures("can_trace")
def test_a_tracer_that_dies_at_any_step(build_target: BuildTarget) -> None:
    """Before every third ptrace request or write to memory of attaching, serving and detaching."""
    program: Path = build_target("workload", "-O2")
    with running(program, "churn") as target:
        before = state(target.pid)
        assert target.process.stdin is not None
        assert target.process.stdout is not None
        target.process.stdin.write("g")
        target.process.stdin.flush()
        command = [sys.executable, "-c", DIE_AT_EVERY_STEP, str(target.pid), str(program)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.stderr == ""
        assert int(run.stdout) > 20
        target.process.stdin.write("\n")
        target.process.stdin.flush()
        assert target.process.stdout.readline().startswith("called")
        assert target.process.stdout.readline() == "right\n"
        after = state(target.pid)
        assert (after.changed_code, after.areas, after.caught) == ((), (), before.caught)
        assert end(target) == 0
