"""Locks and timers inside map values.  Source: kernel/bpf/helpers.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    Anything,
    ConstMap,
    Integer,
    SpinLock,
    Timer,
    TimerCallback,
    Void,
)


@helper(93, since="5.1", programs=programs.BASE)
def bpf_spin_lock(lock: SpinLock) -> Void:
    """Take the lock in a map value.  Until it is released no other lock may be taken and no helper called."""


@helper(94, since="5.1", programs=programs.BASE)
def bpf_spin_unlock(lock: SpinLock) -> Void:
    """Release the lock that bpf_spin_lock took."""


@helper(169, since="5.15", programs=programs.BASE, gpl_only=True)
def bpf_timer_init(timer: Timer, map: ConstMap, flags: Anything) -> Integer:
    """Initialise the timer in a value of `map`; flags is its clock.  0; EBUSY when it is initialised."""


@helper(170, since="5.15", programs=programs.BASE, gpl_only=True)
def bpf_timer_set_callback(timer: Timer, callback: TimerCallback) -> Integer:
    """Choose what the timer calls: `callback(map, key, value)`.  0; EINVAL before bpf_timer_init."""


@helper(171, since="5.15", programs=programs.BASE, gpl_only=True)
def bpf_timer_start(timer: Timer, nanoseconds: Anything, flags: Anything) -> Integer:
    """Let the timer fire once after that time.  0; EINVAL before it was initialised and has a callback."""


@helper(172, since="5.15", programs=programs.BASE, gpl_only=True)
def bpf_timer_cancel(timer: Timer) -> Integer:
    """Stop the timer and wait for its callback.  1 when it was running, 0 when not; EDEADLK in its own callback."""
