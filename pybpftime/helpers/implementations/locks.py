"""bpf_spin_lock and bpf_spin_unlock.

A machine is one thread, so a lock is never waited for.  The lock word is written as Linux's queued spin lock has it,
1 while held, and a program is held to the verifier's rule: one lock at a time, released by the one who took it.
"""

from __future__ import annotations

from pybpftime.errors import Fault, FaultKind
from pybpftime.helpers.registry import implements
from pybpftime.machine import Machine


@implements("bpf_spin_lock")
def spin_lock(machine: Machine, lock: int) -> None:
    if machine.held_lock is not None:
        reason = f"bpf_spin_lock at {machine.memory.describe(lock)}: another lock is held already"
        raise Fault(FaultKind.HELPER, reason, address=lock)
    machine.held_lock = lock
    machine.memory.store(lock, 4, 1)


@implements("bpf_spin_unlock")
def spin_unlock(machine: Machine, lock: int) -> None:
    if machine.held_lock != lock:
        reason = f"bpf_spin_unlock at {machine.memory.describe(lock)}: this lock is not held"
        raise Fault(FaultKind.HELPER, reason, address=lock)
    machine.held_lock = None
    machine.memory.store(lock, 4, 0)
