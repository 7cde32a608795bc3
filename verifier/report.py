"""What the verifier answers: a verdict, and everything that a person or a program wants to know about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pybpftime.errors import FaultKind
from pybpftime.program.proof import Proof
from pybpftime.uapi import ProgramType
from pybpftime.verifier.explanation import Explanation
from pybpftime.verifier.reasons import Category, Reason


class Verdict(StrEnum):
    """The three honest answers."""

    SAFE = "safe"  # no input makes it fault under the linux rules, and it ends
    UNSAFE = "unsafe"  # here is an input with which it does, and did
    NOT_PROVED = "not proved"  # here is what is missing


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a program is not safe: a reason of the table, in the words of this program."""

    reason: Reason
    sentence: str
    pc: int | None = None
    register: int | None = None

    @property
    def code(self) -> str:
        """The reason's name."""
        return self.reason.code

    @property
    def category(self) -> Category:
        """The class of the reason."""
        return self.reason.category

    @property
    def rule(self) -> bool:
        """Whether it is a rule of Linux rather than a fact about values."""
        return self.reason.rule


@dataclass(frozen=True, slots=True)
class Witness:
    """A concrete input: what the program is to be run on to see it go wrong.

    `context`: bytes of the context structure that are demanded, by offset.  `packet`: None where there is none.
    `maps`: key and value bytes of elements that must exist, by map name; maps not named are empty (arrays: zeros).
    `results`: what helpers return, in the order of the calls: (slot of the call, 64-bit value).
    `written`: likewise what helpers find that read other memory into the program's: (slot of the call, bytes).
    `pc` and `kind` are the fault that it leads to; `kind` is None for a program that does not end.
    """

    program_type: ProgramType
    pc: int
    kind: FaultKind | None
    context: Mapping[int, bytes]
    packet: bytes | None
    metadata: bytes
    maps: Mapping[str, tuple[tuple[bytes, bytes], ...]]
    results: tuple[tuple[int, int], ...]
    written: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Replayed:
    """How a run on a witness ended: the fault, if there was one, and where.

    A run that came to a `limit` (`instructions`: it was not over after as many as the replay allows; `depth`) counts as
    faulted, without a kind, at the instruction where it was given up.
    """

    faulted: bool
    pc: int | None = None
    kind: FaultKind | None = None
    sentence: str = ""
    limit: str | None = None


Replay = Callable[[Witness], Replayed]


@dataclass(frozen=True, slots=True)
class SolverProof:
    """Something that the solver proved and the abstract state alone did not show.

    `sentence` is what would be wrong at instruction `pc`; it cannot be because of `facts`: conditional jumps, by slot,
    and how each came out (True: taken).  `impossible`: the facts contradict each other, so no run comes here.
    """

    pc: int
    sentence: str
    facts: tuple[tuple[int, bool], ...]
    impossible: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The answer about one program.

    `objection` is None, and `proof` is there, exactly if the program is safe; `explanation` takes the objection apart.
    `witness` is there exactly if it is unsafe, and `replayed` says how the run on it ended.  `processed`: abstract
    instructions; `solver`: questions that went to the solver; `proofs`: what it proved; `seconds`: all of it.
    """

    program: str
    verdict: Verdict
    objection: Objection | None = None
    witness: Witness | None = None
    replayed: Replayed | None = None
    processed: int = 0
    solver: int = 0
    proofs: tuple[SolverProof, ...] = ()
    seconds: float = 0.0
    explanation: Explanation | None = None
    proof: Proof | None = None

    @property
    def pc(self) -> int | None:
        """The instruction that the objection is about."""
        return None if self.objection is None else self.objection.pc
