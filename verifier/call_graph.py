"""Which function calls which: chains of calls must fit into the frames and into the stack that Linux has.

`refuse_calls` looks at calls alone, before anything is explored.  `refuse_stack` is for the end, when it is known how
much of its stack each function uses: callbacks count there like calls.  Both count calls in code that is never reached
too.  Source: check_cfg and check_max_stack_depth of the kernel's verifier.c.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pybpftime.isa import Form, Immediate
from pybpftime.uapi import AttachType, ProgramType
from pybpftime.verifier.calls import TAIL_CALL
from pybpftime.verifier.functions import MAX_FRAMES
from pybpftime.verifier.state import STACK_SIZE
from pybpftime.verifier.subject import Malformed, Subject

STACK_GRANULARITY = 16
"""Frames are rounded up to it where programs are compiled (round_up_stack_depth)."""
TAIL_CALL_STACK = 256
"""Bytes below which the callers of a function with a tail call have to stay, because their frames remain."""
PRIVATE_STACK = 64
"""Functions that use as much get a stack of their own in some program types (BPF_PRIV_STACK_MIN_SIZE)."""
PRIVATE_STACK_TYPES = frozenset(  # bpf_enable_priv_stack, on x86-64
    {
        ProgramType.BPF_PROG_TYPE_KPROBE,
        ProgramType.BPF_PROG_TYPE_TRACEPOINT,
        ProgramType.BPF_PROG_TYPE_PERF_EVENT,
        ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT,
    }
)


class Edge(NamedTuple):
    """The function that begins at `callee` is called at `pc`, or, `by_address`, handed to a helper."""

    pc: int
    callee: int
    by_address: bool


class CallGraph:
    """The functions of a program, by their first slots, and what each calls."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        later = {target for target, _ in subject.later_callbacks}
        self.edges: dict[int, list[Edge]] = {start: [] for start in subject.starts}
        self.tail_calls: set[int] = set()
        self.packet_loads: dict[int, int] = {}
        self.roots = sorted({0, *later})
        for pc, row in enumerate(subject.rows):
            if row is None:
                continue
            start = subject.function_of(pc)
            if row.form is Form.CALL_LOCAL or row.immediate is Immediate.CODE:
                edge = Edge(pc, subject.target(pc), row.form is not Form.CALL_LOCAL)
                if not (edge.by_address and edge.callee in later):
                    self.edges[start].append(edge)
            elif row.form is Form.PACKET:
                self.packet_loads.setdefault(start, pc)
            elif row.form is Form.CALL_HELPER and _name(subject, pc) == TAIL_CALL:
                self.tail_calls.add(start)

    def callees_first(self, *, by_address: bool) -> list[int]:
        """The functions that run, callees before callers.  Malformed for a circle."""
        order: list[int] = []
        state: dict[int, int] = {}  # 1: its callees are being looked at; 2: done
        for root in self.roots:
            if root not in state:
                self._add_callees_first(root, order, state, by_address=by_address)
        return order

    def _add_callees_first(self, root: int, order: list[int], state: dict[int, int], *, by_address: bool) -> None:
        state[root] = 1
        path = [(root, iter(self.edges[root]))]
        while path:
            start, edges = path[-1]
            edge = next(edges, None)
            if edge is None:
                state[start] = 2
                order.append(start)
                path.pop()
            elif by_address or not edge.by_address:
                known = state.get(edge.callee)
                if known == 1:
                    sentence = (
                        f"the function at {edge.callee} is called again, at instruction {edge.pc}, before it returns"
                    )
                    raise Malformed("recursion", sentence, edge.pc)
                if known is None:
                    state[edge.callee] = 1
                    path.append((edge.callee, iter(self.edges[edge.callee])))

    def reachable(self) -> set[int]:
        """The functions that the first one leads to by calls and addresses."""
        seen, pending = {0}, [0]
        while pending:
            for edge in self.edges[pending.pop()]:
                if edge.callee not in seen:
                    seen.add(edge.callee)
                    pending.append(edge.callee)
        return seen


def _name(subject: Subject, pc: int) -> str | None:
    helper = subject.helper_at(pc)
    return None if helper is None else helper.name


def refuse_calls(subject: Subject) -> None:
    """Malformed for functions that nobody calls, circles, and chains of calls that are too long."""
    if not subject.has_calls:
        return
    graph = CallGraph(subject)
    reachable = graph.reachable()
    for start in subject.starts:
        if start not in reachable:
            raise Malformed("unreachable", f"the function at {start} is never called", start)
    _refuse_chains(graph, by_address=False)


def refuse_stack(subject: Subject) -> None:
    """Malformed for chains of calls and callbacks that take too many frames or too much stack, as it was explored."""
    if not subject.has_calls:
        return
    graph = CallGraph(subject)
    _refuse_chains(graph, by_address=True)
    _refuse_packet_loads(graph)
    sizes = _sizes(graph)
    above = dict.fromkeys(sizes, 0)  # the greatest size of all callers of a function
    for caller in reversed(graph.callees_first(by_address=True)):
        total = above[caller] + sizes[caller]
        if caller and caller in graph.tail_calls and above[caller] >= TAIL_CALL_STACK:
            sentence = f"the function at {caller} has a tail call, and its callers use {above[caller]} bytes of stack"
            raise Malformed("call-stack", f"{sentence}, which must be below {TAIL_CALL_STACK}", caller)
        if total > STACK_SIZE:
            sentence = f"the function at {caller} and its callers use {total} bytes of stack, there are {STACK_SIZE}"
            raise Malformed("call-stack", sentence, caller)
        for edge in graph.edges[caller]:
            above[edge.callee] = max(above[edge.callee], total)


def _refuse_chains(graph: CallGraph, *, by_address: bool) -> None:
    depths = dict.fromkeys(graph.edges, 1)
    for caller in reversed(graph.callees_first(by_address=by_address)):
        for edge in graph.edges[caller]:
            if edge.by_address and not by_address:
                continue
            depths[edge.callee] = max(depths[edge.callee], depths[caller] + 1)
            if depths[edge.callee] > MAX_FRAMES:
                sentence = f"the call of the function at {edge.callee} would be the {MAX_FRAMES + 1}th that is running"
                raise Malformed("call-depth", f"{sentence}, Linux has {MAX_FRAMES}", edge.pc)


def _refuse_packet_loads(graph: CallGraph) -> None:
    """Legacy packet access may end the program: not in a callback, and not in what a callback calls."""
    pending = [edge.callee for edges in graph.edges.values() for edge in edges if edge.by_address]
    pending += [root for root in graph.roots if root]
    seen = set(pending)
    while pending:
        start = pending.pop()
        if start in graph.packet_loads:
            pc = graph.packet_loads[start]
            raise Malformed("callback", "legacy packet access in a callback, from where the program cannot end", pc)
        for edge in graph.edges[start]:
            if edge.callee not in seen:
                seen.add(edge.callee)
                pending.append(edge.callee)


def _sizes(graph: CallGraph) -> Mapping[int, int]:
    """What each function takes of the stack that all share."""
    subject = graph.subject
    private = not graph.tail_calls and len(graph.roots) == 1 and _has_private_stacks(subject)
    sizes = {}
    for start in graph.edges:
        depth = subject.stack_depths.get(start, 0)
        size = depth + -depth % STACK_GRANULARITY
        sizes[start] = 0 if private and size >= PRIVATE_STACK else size
    return sizes


def _has_private_stacks(subject: Subject) -> bool:
    if subject.program_type is ProgramType.BPF_PROG_TYPE_TRACING:
        return subject.spec.attach_type is not AttachType.BPF_TRACE_ITER
    return subject.program_type in PRIVATE_STACK_TYPES
