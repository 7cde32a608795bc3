"""Classes of the kernel's reasons: what its verifier complains about, by the words of its message.

Messages change from release to release and carry registers and numbers, so they are classed by patterns.  A *fact*
is about values: some input makes the program go wrong, so that it can be shown.  The others are rules: Linux does not
take such a program, whatever its input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class MessageClass(StrEnum):
    """What a message is about."""

    STRUCTURE = "structure"  # encoding, reserved fields, jumps, depth and size of stacks
    TERMINATION = "termination"  # endless loops, too much to look at
    UNINITIALISED = "uninitialised"  # registers and stack that were never written
    MEMORY = "memory"  # outside of memory, or in a way that it does not allow
    NULL = "null"  # a pointer that may be NULL
    TYPE = "type"  # a number, or a pointer of another type, as the address of memory
    CONTEXT = "context"  # fields of the context and of sockets
    ALIGNMENT = "alignment"
    ARITHMETIC = "pointer arithmetic"  # what may be computed with pointers, and leaks of them
    REFERENCE = "references and locks"  # references, locks, dynptrs, iterators: what must be in a certain state
    HELPER = "helper"  # who may call it, and with what arguments
    RETURN = "return value"
    BTF = "BTF and kfuncs"  # whatever is known by its BTF type: kernel functions, kptrs, lists, global functions
    OTHER = "other"
    UNKNOWN = "no message"


FACTS = frozenset({MessageClass.UNINITIALISED, MessageClass.MEMORY, MessageClass.NULL, MessageClass.TYPE})
"""Classes about values: a witness can show what goes wrong."""

SAFETY = FACTS | {
    MessageClass.CONTEXT,
    MessageClass.REFERENCE,
    MessageClass.TERMINATION,
    MessageClass.OTHER,
}
"""Classes whose rejections may be called safe with a written argument only."""


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    message_class: MessageClass


def _rules(*rows: tuple[MessageClass, str]) -> tuple[_Rule, ...]:
    return tuple(_Rule(re.compile(pattern), message_class) for message_class, pattern in rows)


_C = MessageClass

# The first pattern found anywhere in the message decides.
RULES = _rules(
    (_C.STRUCTURE, r"unknown opcode|uses reserved fields|ld_imm64 insn|ldimm64 insn|frame pointer is read only"),
    (_C.STRUCTURE, r"^R\d+ is invalid$|jump out of range|last insn is not|unreachable insn|div by zero|invalid shift"),
    (_C.STRUCTURE, r"jump into the middle|call to invalid destination|is not pointing to valid bpf_map"),
    (_C.STRUCTURE, r"combined stack size|call stack of \d+ frames|recursive call|no exit"),
    (_C.STRUCTURE, r"same insn cannot be used with different pointers"),
    (_C.TERMINATION, r"infinite loop|^old state:|^cur state:|too complex|program is too large|back-edge|too many"),
    (
        _C.BTF,
        r"Caller passes invalid args into func|invalid kptr access|calling kernel function|kernel function .* args#",
    ),
    (_C.HELPER, r"tracing progs cannot use|invalid zero-sized|helper access to the packet"),
    (_C.RETURN, r"At (program exit|callback return|async callback return)|should have been in|R0 not a scalar"),
    (_C.ALIGNMENT, r"misaligned"),
    (_C.NULL, r"invalid mem access '\w*_or_null|null-check it first|Possibly NULL pointer|type=\w*_or_null"),
    (_C.ARITHMETIC, r"^math between|pointer arithmetic|pointer \+= pointer|pointer offset -?\d+ is not allowed"),
    (_C.ARITHMETIC, r"makes \w+ pointer be out of|subtract pointer|subtraction from stack|operator .* on pointer"),
    (_C.ARITHMETIC, r"leaks addr|partial copy of pointer|size of register fill|cannot spill"),
    (_C.REFERENCE, r"reference leak|Unreleased reference|unacquired reference|must be referenced|-ed region"),
    (_C.REFERENCE, r"spin_lock|spin_unlock|dynptr|iter_\w+ as arg|iterator|release function|refcounted|must be held"),
    (_C.REFERENCE, r"must be a rcu pointer|rcu_read|preempt_|local_irq|irq flag|expected an (un)?initialized"),
    (_C.HELPER, r"cannot use helper|invalid func unknown|cannot pass map_type"),
    (_C.HELPER, r"type=\S+ expected=|get_local_storage\(\)|must be a known constant|might sleep|for tail call"),
    (_C.HELPER, r"GPL[- ]|does(n't| not) point to|function calls are not allowed|is of type .* is expected"),
    (_C.BTF, r"kptr|kfunc|kernel function|bpf_list|bpf_rb|bpf_obj|type ID|\bstruct\b|STRUCT|\bBTF\b|kernel symbol"),
    (
        _C.BTF,
        r"arg#\d|only read (is|from)|attach to|allocated object|global func|static function|must be referenced or",
    ),
    (_C.CONTEXT, r"bpf_context access|variable ctx access|ctx ptr|sock\w* access|into R\d+ (ctx|sock|flow_keys)"),
    (_C.CONTEXT, r"cannot write into sock|invalid access to flow keys"),
    (_C.UNINITIALISED, r"!read_ok|invalid (indirect )?read from stack|invalid indirect access to stack"),
    (_C.TYPE, r"invalid mem access '"),
    (_C.MEMORY, r"outside of the|unbounded memory access|min value is negative|unbounded (min|variable)"),
    (_C.MEMORY, r"invalid (access to|write to stack)|direct value offset|map forbidden|cannot write into"),
    (_C.MEMORY, r"variable-offset|variable buffer offset|beyond|writes to packet data"),
    (_C.MEMORY, r"negative (offset|access)|ATOMIC stores into|leads to invalid memory access|invalid \w+ access"),
    (_C.BTF, r"ptr_"),
)


def class_of(message: str | None) -> MessageClass:
    """The class of a rejection's message; UNKNOWN for none, OTHER for one that no pattern fits."""
    if not message:
        return MessageClass.UNKNOWN
    return next((rule.message_class for rule in RULES if rule.pattern.search(message)), MessageClass.OTHER)
