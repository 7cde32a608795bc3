"""What the flags that a program is loaded with must be.

Source: check_attach_btf_id and can_be_sleepable of the kernel's verifier.c.
"""

from __future__ import annotations

from pybpftime.program.sections import SLEEPABLE
from pybpftime.uapi import AttachType, ProgramType
from pybpftime.verifier.subject import Malformed, Subject

SLEEPING_TYPES = frozenset(
    {
        ProgramType.BPF_PROG_TYPE_KPROBE,  # of user functions
        ProgramType.BPF_PROG_TYPE_LSM,
        ProgramType.BPF_PROG_TYPE_STRUCT_OPS,
        ProgramType.BPF_PROG_TYPE_EXT,  # follows the program that it replaces a function of
        ProgramType.BPF_PROG_TYPE_SYSCALL,
    }
)
SLEEPING_TRACING = frozenset(
    {
        AttachType.BPF_TRACE_FENTRY,
        AttachType.BPF_TRACE_FEXIT,
        AttachType.BPF_MODIFY_RETURN,
        AttachType.BPF_TRACE_ITER,
    }
)


def refuse_flags(subject: Subject) -> None:
    """Malformed for a program that sleeps and may not, and one that must and does not."""
    type, attach_type = subject.program_type, subject.spec.attach_type
    sleeps = SLEEPABLE in subject.spec.flags
    may_sleep = type in SLEEPING_TYPES or (
        type is ProgramType.BPF_PROG_TYPE_TRACING and attach_type in SLEEPING_TRACING
    )
    if sleeps and not may_sleep:
        raise Malformed("program-flags", f"programs of type {subject.info.name} cannot be sleepable there")
    if not sleeps and type is ProgramType.BPF_PROG_TYPE_SYSCALL:
        raise Malformed("program-flags", f"programs of type {subject.info.name} must be sleepable")
