"""How strict the machine is: one table, check by level.

Region bounds and permissions are no entry of it: they are never relaxed.  `linux` does what a program may do
after the kernel's verifier let it in (for a privileged user, on x86-64); `strict` faults on everything that is
undefined or unportable; `lenient` gives every operation the result that RFC 9669 gives it, for programs that no
verifier ever saw.  See docs/decisions/ for the kernel functions behind each entry.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strictness:
    """One column of the table; True means that the deed is a Fault (refused constants are refused at load)."""

    name: str
    uninitialised_register: bool  # reading a register never written, or r0 unset at exit; else it reads as 0
    uninitialised_stack: bool  # reading a stack byte never written; else it reads as 0
    unaligned_stack_and_context: bool
    unaligned_memory: bool  # map values, packets, other memory; Linux leaves this to the host, x86-64 allows it
    unaligned_atomic: bool
    untrusted_load: bool  # load through an untrusted BTF pointer that faults; else it reads 0
    tracked_pointers: bool  # a pointer stored to a map, handed over as data, returned, or mixed into a scalar
    refused_constants: bool  # immediate shift >= width and division by immediate 0 are refused at load
    unreleased: bool  # exit or tail call with a spin lock held or a ring buffer record neither submitted nor discarded
    checked_calls: bool  # what the verifier admits in no call: arguments, program types, licenses, callback results
    call_by_number: bool  # callx with the number of a helper in the register; else it calls that helper


# fmt: off
#                                uninit uninit stack  memory atomic load   point- const  un-    calls  call
#                                reg    stack  align  align  align  untr.  ers    refuse freed  check  by no.
LENIENT = Strictness("lenient",  False, False, False, False, False, True,  False, False, False, False, False)
LINUX   = Strictness("linux",    True,  False, True,  False, True,  False, False, True,  True,  True,  True)
STRICT  = Strictness("strict",   True,  True,  True,  True,  True,  True,  True,  True,  True,  True,  True)
# fmt: on

LEVELS = {level.name: level for level in (LENIENT, LINUX, STRICT)}
