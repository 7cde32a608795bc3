"""Why a program is not called safe: the table of reasons.

Every obligation names its reason by code.  A `rule` is no fact about values: it is broken or kept by how the program is
written, whatever the input.  Documents (`docs/errors/`), the command line and the parity report
read this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """The classes of reasons that reports count by."""

    STRUCTURE = "structure"
    TERMINATION = "termination"
    UNINITIALISED = "uninitialised"
    MEMORY = "memory"
    TYPE = "type"
    NULL = "null"
    CONTEXT = "context"
    ALIGNMENT = "alignment"
    POINTER = "pointer arithmetic"
    CALL = "call"
    REFERENCE = "reference"
    LOCK = "lock"
    RETURN = "return value"
    UNSUPPORTED = "unsupported"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason.  `title` is what went wrong in general; `fix` is what a C programmer does about it."""

    code: str
    category: Category
    title: str
    fix: str
    rule: bool = False


def _table(*reasons: Reason) -> Mapping[str, Reason]:
    return {reason.code: reason for reason in reasons}


_C = Category

REASONS = _table(
    # --- memory
    Reason("packet-bounds", _C.MEMORY, "a packet access that no check against data_end covers",
           "compare the end of the access with data_end right before it: if (p + 1 > data_end) return"),
    Reason("map-value-bounds", _C.MEMORY, "an access outside a map value",
           "bound the index before it is used: if (i >= ARRAY_SIZE) return, or mask it with i &= SIZE - 1"),
    Reason("map-value-address", _C.MEMORY, "a constant address outside a map's value",
           "refer to a global variable that exists", rule=True),
    Reason("stack-bounds", _C.MEMORY, "an access outside the stack frame",
           "keep indices into local arrays inside the array, and locals of a function below 512 bytes"),
    Reason("memory-bounds", _C.MEMORY, "an access outside the memory that a pointer leads to",
           "bound the offset before it is used, and stay below the size that was reserved"),
    Reason("read-only", _C.MEMORY, "a store to memory that may only be read",
           "copy what has to be changed to the stack or to a map", rule=True),
    Reason("write-only", _C.MEMORY, "a load from memory that may only be written",
           "do not read from a map with BPF_F_WRONLY_PROG", rule=True),
    Reason("special-field", _C.MEMORY, "an access to a lock, timer or kernel pointer inside a map value",
           "touch such fields through their helpers only, and copy values field by field", rule=True),
    # --- types
    Reason("uninitialised-register", _C.UNINITIALISED, "a register that was never set",
           "initialise the variable on every path; arguments are gone after a call (r1 to r5)"),
    Reason("uninitialised-return", _C.UNINITIALISED, "the program ends with r0 unset",
           "return a value on every path"),
    Reason("not-a-pointer", _C.TYPE, "a number used as an address",
           "follow a pointer that the kernel gave; a number does not become one by a cast"),
    Reason("not-memory", _C.TYPE, "a pointer that leads to no memory that programs may access",
           "compare with it, or hand it to a helper that takes it; load through pointers to memory", rule=True),
    Reason("null", _C.NULL, "a pointer that may be NULL",
           "check the result before it is used: if (!value) return"),
    Reason("context-access", _C.CONTEXT, "a context access that this program type does not have",
           "use a field of the context structure that the program type may access, in its own size", rule=True),
    Reason("context-pointer", _C.CONTEXT, "an access through a changed context pointer",
           "access the context's fields by name, with constant offsets", rule=True),
    Reason("object-access", _C.CONTEXT, "an access to a kernel object that its type does not have",
           "use the fields of the kernel's structure, as vmlinux.h has them", rule=True),
    Reason("alignment", _C.ALIGNMENT, "an access that is not aligned",
           "align locals to their size; read unaligned fields byte by byte or with memcpy"),
    Reason("spill-size", _C.TYPE, "a pointer stored in other than 8 bytes",
           "store pointers whole", rule=True),
    Reason("fill-size", _C.TYPE, "a part of a pointer loaded from the stack",
           "load pointers whole, and reuse no stack memory for other things", rule=True),
    # --- pointers
    Reason("pointer-arithmetic", _C.POINTER, "arithmetic that pointers do not allow",
           "add to or subtract from pointers only; use numbers for everything else", rule=True),
    Reason("pointer-null-arithmetic", _C.POINTER, "arithmetic on a pointer that may be NULL",
           "check the pointer first, then add to it", rule=True),
    Reason("pointer-range", _C.POINTER, "a pointer moved by more than Linux follows",
           "bound the number before it is added to a pointer", rule=True),
    Reason("atomic-result", _C.TYPE, "an atomic operation whose result replaces its own address",
           "let the result go to another register", rule=True),
    Reason("pointer-mix", _C.TYPE, "one instruction that accesses different kinds of memory",
           "use separate code for the two kinds of pointer", rule=True),
    # --- calls
    Reason("unknown-helper", _C.CALL, "a helper that does not exist",
           "call a helper that exists: pybpftime helpers lists them", rule=True),
    Reason("helper-not-allowed", _C.CALL, "a helper that this program type may not call",
           "call one that this program type has; pybpftime helpers NAME lists the types of each", rule=True),
    Reason("helper-argument", _C.CALL, "an argument that the helper does not take",
           "pass what the helper's declaration says: pybpftime helpers NAME shows it", rule=True),
    Reason("helper-argument-rule", _C.CALL, "an argument that Linux does not let the helper have",
           "pass what the helper's declaration says: pybpftime helpers NAME shows it", rule=True),
    Reason("frame-pointer", _C.STRUCTURE, "a write to r10, the frame pointer",
           "keep what has to change in another register", rule=True),
    Reason("program-flags", _C.STRUCTURE, "flags that programs of this type do not have",
           "use the section name that libbpf has for this kind of program", rule=True),
    Reason("map-use", _C.CALL, "a map that this program may not use", "use another type of map", rule=True),
    Reason("helper-map", _C.CALL, "a map that the helper does not take", "use the helpers of this map type", rule=True),
    Reason("helper-memory", _C.MEMORY, "memory for a helper that is not wholly there",
           "bound the size before the call, and let it fit the buffer"),
    Reason("helper-size-zero", _C.CALL, "a size for a helper that may be 0",
           "check the size before the call: if (!size) return", rule=True),
    Reason("stack-escape", _C.POINTER, "a pointer to a function's stack that outlives it",
           "let the caller own the memory", rule=True),
    Reason("helper-size", _C.MEMORY, "a size for a helper that is not bounded",
           "bound the size before the call: if (size > sizeof(buffer)) size = sizeof(buffer)"),
    Reason("license", _C.CALL, "a GPL-only helper in a program under another licence",
           "give the program a GPL-compatible licence", rule=True),
    Reason("callback", _C.CALL, "a callback that does not fit",
           "write it as the helper's documentation says", rule=True),
    Reason("call-depth", _C.STRUCTURE, "calls nested deeper than 8",
           "flatten the calls, or inline functions", rule=True),
    Reason("call-stack", _C.STRUCTURE, "more than 512 bytes of stack in nested calls",
           "use fewer or smaller locals, or a per-cpu array as scratch space", rule=True),
    # --- lifetime
    Reason("unreleased", _C.REFERENCE, "a reference that is not released",
           "release it on every path, early returns included", rule=True),
    Reason("not-acquired", _C.REFERENCE, "a release of what was not acquired",
           "release what the helper returned, unchanged and once", rule=True),
    Reason("lock", _C.LOCK, "a spin lock used against its rules",
           "take one lock at a time, call no helper while it is held, release it on every path", rule=True),
    Reason("lock-held", _C.LOCK, "the program ends with a spin lock held", "release the lock on every path", rule=True),
    # --- control flow
    Reason("return-value", _C.RETURN, "a return value that this program type does not allow",
           "return one of the values that the attach type defines", rule=True),
    Reason("callback-return", _C.RETURN, "a return value that callbacks do not have",
           "return 0 to go on, 1 to stop", rule=True),
    Reason("unreachable", _C.STRUCTURE, "code that can never be reached", "remove it", rule=True),
    Reason("malformed", _C.STRUCTURE, "an instruction that Linux does not take",
           "remove the instruction; a compiler does not make it", rule=True),
    Reason("falls-through", _C.STRUCTURE, "a function that runs past its last instruction",
           "end the function with a return", rule=True),
    Reason("jump-out", _C.STRUCTURE, "a jump from one function into another", "call functions", rule=True),
    Reason("recursion", _C.STRUCTURE, "functions that call each other in a circle", "write a loop", rule=True),
    Reason("infinite-loop", _C.TERMINATION, "a loop that never ends",
           "let a counter with a constant bound decide, or use bpf_loop"),
    Reason("unlinked", _C.CALL, "something that the program refers to and that is not there",
           "guard it with bpf_core_*_exists or a weak symbol", rule=True),
    # --- limits of this verifier
    Reason("budget", _C.BUDGET, "not decided within the instruction budget",
           "raise --budget, bound loops more tightly, or move the loop's body into a bpf_loop callback"),
    Reason("timeout", _C.BUDGET, "not decided in time", "raise --timeout"),
    Reason("unsupported", _C.UNSUPPORTED, "something that this verifier does not model yet",
           "ask the kernel's verifier by loading it; --no-verify runs it here"),
)  # fmt: skip
