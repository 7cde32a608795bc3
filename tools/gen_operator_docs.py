"""Writes docs/reference/verifier-operators.md: what the verifier's scalar domain rests on, and how it was proved.

    python -m tools.gen_operator_docs [--check]

Nothing in that file is written by hand; `--check` says whether it is what this program would write.  The proofs are not
run: verifier/proofs.json says what came of them (`make proofs`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pybpftime.verifier import proofs
from pybpftime.verifier.proofs_setting import Contract
from tools.generated import write_or_check

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference" / "verifier-operators.md"

INTRODUCTION = """\
# The verifier's scalar domain and its proofs

This file is written by `tools/gen_operator_docs.py` from the contracts in `verifier/proofs_*.py` and from
`verifier/proofs.json`, which `make proofs` writes.

What the verifier knows about a number is a `Range`: known bits, and the intervals of the number and of its low half,
each read as unsigned and as signed. For every instruction that computes or compares there is an operator on ranges, and
each operator is sound: whatever numbers the operands' ranges contain, the result's range contains the instruction's
result. z3 proves that of the very source that runs.

- The source is run on symbols instead of integers, along every path that its branches allow. At the end of each path z3
  looks for a counterexample: members of the operands' ranges of which the result is no member of the result's range, or
  any members where the path says that there are none.
- What the instruction does is the ISA table's own definition, over z3 bit vectors (`Z3Algebra`). Tests hold that
  against the integers of the reference interpreter.
- A proof may rest on the contract of another function, which has its own proof (*rests on*).
- `verifier/proofs.json` has the hash of everything that a proof is about. The test suite proves what changed since.

A width of 64 or 32 means all inputs there are. The widths of 5 and 8 bits are the named gaps at the end.
"""

GAPS = """\
## Gaps

z3 does not end on products and quotients of 64 unknown bits. {names} are proved for all inputs
of the small width in the table instead. Their source knows the width as an argument only and computes with unbounded
integers, and tests sample it at 32 and 64 bits around all edges. The frames around them (`operators.binary`) are proved
at 64 bits for any operator that keeps the contract.

Not proved, but tested: that widening ends, that results are canonical, how precise they are, and how they are written.
"""

TABLES = (
    ("Canonicalisation", "What views of a range tell each other; the lattice.", ("deduction", "ranges", "widening")),
    ("Operators on words", "One operation at one width.", ("arithmetic", "bitwise", "operators.move")),
    ("Instructions", "The frame: narrow, apply, extend, tighten.", ("operators.binary", "operators.unary")),
    ("Conditions", "What a jump, taken or not, says of its operands.", ("operators.refined", "operators.decided")),
)


def document() -> str:
    """The whole text."""
    parts = [INTRODUCTION]
    for title, about, prefixes in TABLES:
        rows = [line for name, contract in proofs.CONTRACTS.items() for line in _rows(name, contract, prefixes)]
        head = ["| Function | Case | Width | Paths | Time | Rests on |", "| --- | --- | --- | --- | --- | --- |"]
        parts.append("\n".join([f"## {title}", "", about, "", *head, *rows]) + "\n")
    small = sorted({contract.case for contract in proofs.CONTRACTS.values() if max(contract.widths) < 32})
    parts.append(GAPS.format(names=", ".join(f"`{name}`" for name in small)))
    return "\n".join(parts)


def _rows(name: str, contract: Contract, prefixes: tuple[str, ...]) -> Iterator[str]:
    if not any(contract.function == prefix or contract.function.startswith(f"{prefix}.") for prefix in prefixes):
        return
    known = proofs.recorded()
    for width in contract.widths:
        found = known.get(proofs.key_of(name, width), {})
        uses = ", ".join(f"`{use.partition(' ')[0]}`" for use in contract.uses) or "-"
        cells = (f"`{contract.function}`", contract.case or "-", str(width), str(found.get("paths", "not proved")))
        yield f"| {' | '.join((*cells, found.get('time', '-'), uses))} |"


def main(arguments: list[str] | None = None) -> int:
    """0 when the file is (now) right, 1 when `--check` found it to differ."""
    return write_or_check(TARGET, document(), "tools.gen_operator_docs", arguments)


if __name__ == "__main__":
    sys.exit(main())
