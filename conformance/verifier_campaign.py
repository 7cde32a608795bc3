"""One generated program after the other: verified, run against its published states, shown to the kernel.

What must not be is a finding, with a smaller program that shows the same where one is found.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from pybpftime.conformance.verifier_chosen import Ends
from pybpftime.conformance.verifier_draft import MAPS, GeneratedProgram
from pybpftime.conformance.verifier_facts import BUDGET, TIMEOUT
from pybpftime.conformance.verifier_generator import generate
from pybpftime.conformance.verifier_peer import Difference, VerifierPeer, differs, explanation, label
from pybpftime.conformance.verifier_soundness import Runs, Violation, random_input
from pybpftime.errors import InputError
from pybpftime.isa import BY_NAME, Instruction
from pybpftime.isa.disassembler import disassemble
from pybpftime.verifier import Report, Verdict, verify
from pybpftime.verifier.published import Published
from pybpftime.verifier.report import Witness
from pybpftime.verifier.subject import Malformed

CHOSEN = 3
"""Inputs of a program that the solver chooses, each the way to an end of a path."""
NOTHING = Instruction(BY_NAME["ja"].opcode)


@dataclass(slots=True)
class Tally:
    """What a run of the campaign counted."""

    programs: int = 0
    slots: int = 0
    runs: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)  # ours, and beside the kernel's where it was asked
    reasons: Counter[str] = field(default_factory=Counter)  # ours, for programs that are not safe
    differences: Counter[str] = field(default_factory=Counter)  # our reason / the class of the kernel's
    explained: Counter[str] = field(default_factory=Counter)  # by the argument
    examples: dict[str, int] = field(default_factory=dict)  # of each kind of difference: a program of the seed


def verified(program: GeneratedProgram) -> tuple[Report, Published]:
    """The verdict on a program, and the states on the way."""
    return followed(program)[:2]


def followed(program: GeneratedProgram) -> tuple[Report, Published, Ends | None]:
    """The verdict on a program, the states on the way, and where its paths end; None for one that cannot be read."""
    spec = program.spec()
    published = Published(spec, MAPS)
    try:
        ends = Ends(program, published)
    except Malformed:
        ends = None
    watch = published.watch if ends is None else ends.watch
    return verify(spec, MAPS, budget=BUDGET, timeout=TIMEOUT, watch=watch), published, ends


def examine(
    seed: int, index: int, tally: Tally, *, inputs: int, peer: VerifierPeer | None = None, every: int = 1
) -> Iterator[str]:
    """Findings about program number `index` of a seed, on so many inputs; `every`: see StateCheck."""
    program = generate(seed, index)
    name = f"program {index} of seed {seed}"
    tally.programs += 1
    tally.slots += len(program.instructions)
    report, published, ends = followed(program)
    if report.objection is not None:
        tally.reasons[report.objection.code] += 1
    if report.verdict is Verdict.SAFE:
        runs = Runs(program, published, every)
        source = random.Random(f"inputs/{seed}/{index}")
        for number, input in enumerate(_inputs(program, ends, inputs, source)):
            tally.runs += 1
            violation = runs.run(input, number)
            if violation is not None and not isinstance(violation.error, InputError):  # such an input cannot be
                yield f"{name}: {smallest(violation)}"
                break
    if peer is None:
        tally.verdicts[str(report.verdict)] += 1
    else:
        yield from _compared(name, index, Difference(program, report, peer.refusal(program), peer), tally)


def _inputs(program: GeneratedProgram, ends: Ends | None, count: int, source: random.Random) -> Iterator[Witness]:
    """So many inputs: a few that the solver chose, for the most part random ones."""
    chosen = 0
    if ends is not None:
        for input in ends.inputs(random_input(program, source), min(CHOSEN, count), source):
            chosen += 1
            yield input
    for _ in range(count - chosen):
        yield random_input(program, source)


def _compared(name: str, index: int, difference: Difference, tally: Tally) -> Iterator[str]:
    program, report, refusal = difference.program, difference.report, difference.refusal
    tally.verdicts[f"{report.verdict} / {'accepted' if refusal is None else 'refused'}"] += 1
    if not differs(report, refusal):
        return
    kind = label(report, refusal)
    tally.differences[kind] += 1
    tally.examples.setdefault(kind, index)
    found = explanation(difference)
    if found is not None:
        tally.explained[found.argument] += 1
        return
    ours = report.objection.sentence if report.objection else "safe"
    yield f"{name}: not explained: {kind}\n  ours   {ours}\n  kernel {refusal}\n{disassemble(program.instructions)}"


# --- smaller programs -------------------------------------------------------------------------------------------------


def smallest(violation: Violation) -> Violation:
    """A violation on the same input, of the program with as many instructions taken out as can be."""
    return smaller(violation, lambda program: _violation(program, violation.input, violation.seed))


def smaller(violation: Violation, attempt: Callable[[GeneratedProgram], Violation | None]) -> Violation:
    """Replace instructions by one that does nothing, one after the other, as long as `attempt` finds a violation."""
    changed = True
    while changed:
        changed = False
        for slot in reversed(range(len(violation.program.instructions))):
            program = _without(violation.program, slot)
            found = None if program is None else attempt(program)
            if found is not None:
                violation, changed = found, True
    return violation


def _without(program: GeneratedProgram, slot: int) -> GeneratedProgram | None:
    instructions = list(program.instructions)
    instruction = instructions[slot]
    if instruction is None or instruction == NOTHING or slot + instruction.slots == len(instructions):
        return None
    for place in range(slot, slot + instruction.slots):
        instructions[place] = NOTHING
    references = {at: one for at, one in program.references.items() if at != slot}
    return replace(program, instructions=tuple(instructions), references=references)


def _violation(program: GeneratedProgram, input: Witness, seed: int) -> Violation | None:
    report, published = verified(program)
    if report.verdict is not Verdict.SAFE:
        return None
    used = {getattr(one, "name", None) for one in program.references.values()}
    maps = {name: elements for name, elements in input.maps.items() if name in used}
    return Runs(program, published).run(replace(input, maps=maps), seed)
