"""The running kernel's verifier on generated programs, and why its answer may differ from ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from pybpftime.conformance.verifier_draft import MAPS, TYPES, GeneratedProgram
from pybpftime.conformance.verifier_facts import BUDGET, TIMEOUT, Facts
from pybpftime.conformance.verifier_messages import MessageClass, class_of
from pybpftime.conformance.verifier_rewriting import without_callbacks
from pybpftime.conformance.verifier_soundness import RUN_BUDGET
from pybpftime.helpers.declarations import KNOWN
from pybpftime.isa import Form, Instruction, Row, lookup
from pybpftime.kernel import KernelMap
from pybpftime.kernel.objects import KernelObjectFile
from pybpftime.kernel.syscall import KernelRejection
from pybpftime.maps.spec import MapSpec
from pybpftime.program.spec import ObjectSpec
from pybpftime.runtime.replay import replayer
from pybpftime.uapi import MapType
from pybpftime.verifier import Report, Verdict, verify

NO_REASON = "no reason given"
NOT_COMPILED = re.compile(r"verifier bug: No program to jit")
"""What Linux says of a function that no path enters, when all paths have been found to be safe."""


class VerifierPeer(KernelObjectFile):
    """The maps of generated programs in the kernel, so that it can be asked about one program after the other.

    A program array belongs to the type of the first program that uses it, so each program gets one of its own.
    """

    def __init__(self) -> None:
        shared = {name: map for name, map in MAPS.items() if map.type is not MapType.BPF_MAP_TYPE_PROG_ARRAY}
        super().__init__(ObjectSpec(None, {}, shared, TYPES))
        self._shared = self.maps

    def refusal(self, program: GeneratedProgram) -> str | None:
        """Why the kernel does not take the program: the last line of its verifier's log; None if it takes it."""
        with ExitStack() as stack:
            own = {name: stack.enter_context(_create(map)) for name, map in MAPS.items() if name not in self._shared}
            self.maps = {**self._shared, **own}
            try:
                stack.enter_context(self._load(program.spec()))
            except KernelRejection as rejection:
                return rejection.reason.partition(": ")[2] or NO_REASON
        return None


def _create(map: MapSpec) -> KernelMap:
    return KernelMap.create(map.type, map.key_size, map.value_size, map.max_entries)


# --- why answers differ -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """A program of which the kernel and we do not say the same.  `refusal` is what `peer` said of it."""

    program: GeneratedProgram
    report: Report
    refusal: str | None
    peer: VerifierPeer


Condition = Callable[[Difference], bool]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the two answers differ, for a class of programs.

    `safe`: programs that we call safe and the kernel refuses with a `message` of these words; else those that the
    kernel takes and we do not.  `when` is what else has to be so: of the program, of our report, or of the kernel's
    answer to the program written in another way.
    """

    safe: bool
    message: re.Pattern[str]
    when: Condition
    argument: str

    def explains(self, difference: Difference) -> bool:
        """Whether it is why the kernel and we differ on the program."""
        refusal = difference.refusal
        fits = self.safe is (refusal is not None) and self.message.search(refusal or "") is not None
        return fits and self.when(difference)


def always(difference: Difference) -> bool:
    """The message says enough."""
    return True


def solved(difference: Difference) -> bool:
    """The solver was needed."""
    return bool(difference.report.proofs)


def excluded(difference: Difference) -> bool:
    """The solver showed that a path cannot be taken."""
    return any(one.impossible for one in difference.report.proofs)


def has(*names: str) -> Condition:
    """An instruction whose row has a name that begins with one of these."""
    return lambda difference: any(row.name.startswith(names) for row, _ in _rows(difference))


def calls(helper: str) -> Condition:
    """A call of the helper."""
    return lambda difference: any(
        row.form is Form.CALL_HELPER and KNOWN[one.imm] == helper for row, one in _rows(difference)
    )


def compares_with_itself(difference: Difference) -> bool:
    """A comparison of a register with itself."""
    return any(
        row.form is Form.JUMP_IF and row.operand == "src_reg" and one.dst_reg == one.src_reg
        for row, one in _rows(difference)
    )


def _rows(difference: Difference) -> Iterator[tuple[Row, Instruction]]:
    return ((lookup(one), one) for one in difference.program.instructions if one is not None)


# --- ... with the kernel asked once more


def taken_with_facts(difference: Difference) -> bool:
    """The kernel takes the program, which does the same, with the numbers and directions that our states show."""
    facts = _facts(difference)
    return facts is not None and any(
        refusal is None or NOT_COMPILED.search(refusal)
        for refusal in (difference.peer.refusal(facts.written_out(bounds=bounds)) for bounds in (False, True))
    )


def refused_with_facts(difference: Difference) -> bool:
    """We miss a rule of Linux, which refuses the program, too, with the numbers that our states show."""
    objection, facts = difference.report.objection, _facts(difference)
    if objection is None or not objection.rule or facts is None:
        return False
    return difference.peer.refusal(facts.written_out(bounds=False)) is not None


def refused_with_addresses_first(difference: Difference) -> bool:
    """The kernel refuses the program, which does the same, with `address + number` for `number + address`."""
    facts = _facts(difference)
    program = None if facts is None else facts.with_addresses_first()
    return program is not None and difference.peer.refusal(program) is not None


def endless_without_callbacks(difference: Difference) -> bool:
    """A run of the program does not end, and the kernel sees that where no helper in the loop calls back."""
    objection, spec = difference.report.objection, difference.program.spec()
    if objection is None or objection.code != "infinite-loop":
        return False
    replay = replayer(spec, MAPS, budget=RUN_BUDGET)
    if verify(spec, MAPS, budget=BUDGET, timeout=TIMEOUT, replay=replay).verdict is not Verdict.UNSAFE:
        return False
    refusal = difference.peer.refusal(without_callbacks(difference.program))
    return class_of(refusal) is MessageClass.TERMINATION


def _facts(difference: Difference) -> Facts | None:
    try:
        return Facts(difference.program)
    except ValueError:
        return None


def _safe(message: str, when: Condition, argument: str) -> Explanation:
    return Explanation(True, re.compile(message), when, argument)


def _accepted(when: Condition, argument: str) -> Explanation:
    return Explanation(False, re.compile(""), when, argument)


_BOUNDS = r"min value is negative|unbounded|outside of the allowed|(read from|write to) stack|variable-offset"
_PATHS = (
    rf"{_BOUNDS}|!read_ok|prohibited|forbidden|null-check|_or_null|invalid mem access|misaligned|outside of the"
    "|context access"
)
"""What may be wrong on a path that cannot be taken: anything but references, locks and the structure of the program."""

EXPLANATIONS = (
    # --- we say safe, the kernel refuses
    _safe(
        _BOUNDS + "|misaligned|outside of the packet",
        solved,
        "The solver proved what no interval of one number shows: a bound by way of another register.",
    ),
    _safe("", excluded, "The solver proved that the comparisons on the way contradict each other."),
    _safe(
        r"offset is outside of the packet",
        has("add_reg"),
        "A bounded number is added to a packet pointer that was compared with the end before: Linux forgets how far "
        "the packet reaches behind it (a new id), we keep the sum of both bounds.",
    ),
    _safe(
        r"variable offset stack pointer cannot be passed into helper",
        always,
        "An atomic operation or a helper works on the stack at an offset that is known by its bounds only: Linux does "
        "not take that, although every place between the bounds lies in the frame.",
    ),
    _safe(
        _PATHS,
        has("mod", "smod"),
        "A bound, a constant or the direction of a jump comes from a remainder, of which Linux 6.18 knows nothing.",
    ),
    _safe(
        _PATHS,
        has("div", "sdiv"),
        "A bound, a constant or the direction of a jump comes from a quotient, of which Linux 6.18 knows nothing.",
    ),
    _safe(
        r"max value is outside",
        has("lsh"),
        "A bounded number is a multiple of a power of two: the greatest such number below the bound is what counts for "
        "us, the bound for Linux.",
    ),
    _safe(
        _PATHS,
        has("lsh_reg", "rsh_reg", "arsh_reg", "lsh32_reg", "rsh32_reg", "arsh32_reg"),
        "A shift by a register of at least the width: Linux takes the result for unknown, RFC 9669 masks the distance.",
    ),
    _safe(
        _PATHS,
        has("le", "be", "bswap", "neg", "movsx"),
        "A number comes through a byte swap, a negation or a sign extension, after which Linux knows less.",
    ),
    _safe(
        _PATHS,
        has("lddw_code_addr"),
        "The index that bpf_loop gives its callback is below the count of rounds; for Linux it is any number.",
    ),
    _safe(_PATHS, has("ldabs", "ldind"), "What a legacy load leaves has 1, 2 or 4 bytes; for Linux it is any number."),
    _safe(
        _PATHS, compares_with_itself, "A register is compared with itself, of which Linux does not know the outcome."
    ),
    _safe(
        _PATHS,
        has("ldxs", "ldxb", "ldxh", "ldxw"),
        "A part of a constant is loaded from the stack: Linux knows it when it is loaded as it was stored.",
    ),
    _safe(
        r"combined stack size",
        has("lddw_code_addr", "call_local"),
        "A function that no run enters, such as a callback of no rounds, takes no stack for us; Linux counts it.",
    ),
    _safe(NOT_COMPILED.pattern, always, "A defect of Linux: it says so itself."),
    _safe(
        "",
        taken_with_facts,
        "Linux does not know a number or the direction of a jump that our states show: it takes the program with that "
        "written into it.",
    ),
    # --- we do not say safe, the kernel accepts
    _accepted(
        calls("bpf_get_smp_processor_id"),
        "Linux knows how many processors the machine has on which it verifies, so the number of one is bounded; our "
        "verdict holds on every machine.",
    ),
    _accepted(
        has("may_goto"),
        "A loop with may_goto: after a few rounds we take what changes for anything between its bounds, and a test for "
        "inequality bounds nothing.",
    ),
    _accepted(
        refused_with_facts,
        "A rule of Linux depends on a number that we know and Linux does not: it refuses the program with that number "
        "written into it.",
    ),
    _accepted(
        refused_with_addresses_first,
        "A defect of Linux, corrected later: after number + address it takes the stack of a function that is called "
        "for that of the program; it refuses the program with address + number in the place of that.",
    ),
    _accepted(
        endless_without_callbacks,
        "A defect of Linux: where a helper is called that calls back it looks for no endless loop, and takes another "
        "round of the program's for one of the callback.  A run shows that the program does not end; without the "
        "callbacks Linux sees it.",
    ),
)
"""The first that fits a difference explains it."""


def differs(report: Report, refusal: str | None) -> bool:
    """Whether one of the two takes the program for safe and the other does not."""
    return (report.verdict is Verdict.SAFE) is not (refusal is None)


def explanation(difference: Difference) -> Explanation | None:
    """The explanation of a difference."""
    return next((one for one in EXPLANATIONS if one.explains(difference)), None)


def label(report: Report, refusal: str | None) -> str:
    """What answers are counted by: our reason and the class of the kernel's."""
    ours = report.objection.code if report.objection else "safe"
    return f"{ours} / {'accepted' if refusal is None else class_of(refusal)}"
