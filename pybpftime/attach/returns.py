"""Which function calls of a thread are still to return, for uretprobes.

The return address on the target's stack is left as it is, so that unwinding, longjmp and exceptions work as ever: a
return is a breakpoint at the return address, and it belongs to the call that was made with the same stack pointer.
Calls that never return (a longjmp or an exception passed them) are recognised as Linux does: their stack pointer lies
below one that is in use again (cleanup_return_instances, arch_uretprobe_is_alive).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

REACH: Final = 8 << 20
"""Bytes: calls further down than that are on another stack (of a coroutine, of a signal handler), and stay."""

OneStack = Callable[[int, int], bool]
"""Whether two stack pointers that are less than REACH apart are of one stack."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has not returned: the stack pointer after its return, where it returns to, and who wants to know."""

    stack_pointer: int
    return_address: int
    function: int
    exits: tuple[Callable[[int], None], ...]


class PendingReturns:
    """The calls of one thread, outermost first."""

    __slots__ = ("_calls", "_one_stack")

    def __init__(self, one_stack: OneStack = lambda _, __: True) -> None:
        self._calls: list[Call] = []
        self._one_stack = one_stack

    def __len__(self) -> int:
        return len(self._calls)

    def called(self, call: Call) -> None:
        """A probed function was entered.

        Calls further down the stack are over.  One with the same stack pointer is, too, unless the function came here
        by a jump: then both return at once (RP_CHECK_CHAIN_CALL), and they have the same return address.
        """
        self._drop_dead(call.stack_pointer)
        calls = self._calls
        while calls and calls[-1].stack_pointer == call.stack_pointer and not _is_tail_call(calls[-1], call):
            calls.pop()
        calls.append(call)

    def returned(self, stack_pointer: int, address: int) -> list[Call]:
        """A thread is at a return address: the calls that have returned now, innermost first; often none."""
        self._drop_dead(stack_pointer)
        calls = self._calls
        found = []
        for index in range(len(calls) - 1, -1, -1):
            call = calls[index]
            if call.stack_pointer == stack_pointer:
                del calls[index]
                if call.return_address == address:
                    found.append(call)
            elif found:
                break
        return found

    def _drop_dead(self, stack_pointer: int) -> None:
        calls = self._calls
        while calls and stack_pointer - REACH < calls[-1].stack_pointer < stack_pointer:
            if not self._one_stack(calls[-1].stack_pointer, stack_pointer):
                break
            calls.pop()


def _is_tail_call(outer: Call, inner: Call) -> bool:
    """Whether `outer` may have jumped to `inner` as its last deed."""
    return outer.return_address == inner.return_address and outer.function != inner.function
