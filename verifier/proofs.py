"""Proves the scalar domain sound: for all abstract operands and all their members, the result has the concrete result.

    python -m pybpftime.verifier.proofs

Each function of the domain has a contract (`proofs_deduction`, `proofs_operators`).  Its own source is run on symbols,
along every path, and z3 is asked for a counterexample to the contract at the end of each path; what it calls is run too
or, where the contract says so, only known by its own contract.  The meaning that an operator is held against is that of
the ISA's row, over `Z3Algebra`.

What was proved is kept in proofs.json with a hash of the source that it is about, so that tests prove only
what changed.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import os
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pybpftime.verifier import proofs_deduction, proofs_operators, terms
from pybpftime.verifier.proofs_hash import bare, fingerprint
from pybpftime.verifier.proofs_setting import Contract, Setting

CACHE = Path(__file__).resolve().parent / "proofs.json"
ENGINE = ("proofs_symbols", "proofs_setting", "proofs_source", "proofs_deduction", "proofs_operators")
HASTY, QUICK, LONG = 300, 2_000, 1_800_000
"""Milliseconds for a promise at first, for a question along a path, and for a promise that was too hard at first."""
CLASSES = ((1, "under 1 s"), (10, "under 10 s"), (60, "under 1 min"), (600, "minutes"))


def name_of(contract: Contract) -> str:
    """The name of a contract in proofs.json: the function, and which of its cases."""
    return f"{contract.function} {contract.case}".strip()


CONTRACTS: Mapping[str, Contract] = {
    name_of(contract): contract for contract in (*proofs_deduction.CONTRACTS, *proofs_operators.CONTRACTS)
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the proof of one contract at one width went: number of paths, time class, and what could not be proved."""

    name: str
    width: int
    paths: int
    time: str
    failures: tuple[str, ...]

    @property
    def key(self) -> str:
        """Its name in proofs.json."""
        return f"{self.name} @{self.width}"


def proofs() -> Iterator[tuple[str, int]]:
    """Every contract and width to be proved."""
    for name, contract in CONTRACTS.items():
        for width in contract.widths:
            yield name, width


def prove(name: str, width: int, contract: Contract | None = None) -> Outcome:
    """Look for a counterexample to a contract at a width, on every path."""
    contract = contract or CONTRACTS[name]
    started = time.process_time()
    setting = Setting(width, CONTRACTS, contract, QUICK)
    arguments = contract.inputs(setting)
    numbers = contract.numbers(setting, arguments)
    for fact in contract.facts(setting, arguments, numbers):
        setting.paths.assume(fact)
    failures = []
    reached = False
    for result in setting.paths.runs(lambda: setting.function(contract.function)(*arguments)):
        if result is None and not contract.none_is_a_result:
            promises = [terms.truth(False)]
        else:
            promises = contract.promises(setting, arguments, numbers, result)
            reached = reached or setting.paths.possible()
        for at, promise in enumerate(promises):
            answer = _refuted(setting.paths.solver, promise)
            if answer != "unsat":
                failures.append(f"path {setting.paths.count}, promise {at}: {answer}")
    if not reached:
        failures.append("no path has a result: what is assumed contradicts itself")
    seconds = time.process_time() - started
    return Outcome(name, width, setting.paths.count, _time_class(seconds), tuple(failures))


def _refuted(solver: Any, promise: Any) -> str:
    """z3's answer to whether a promise can be broken, asked twice when it is hard."""
    solver.set("timeout", HASTY)
    answer = str(solver.check(terms.negation(promise)))
    solver.set("timeout", QUICK)
    if answer == "unknown":
        patient = terms.fresh_solver(LONG)
        patient.add(*solver.assertions(), terms.negation(promise))
        answer = str(patient.check())
    return "counterexample" if answer == "sat" else answer


def _time_class(seconds: float) -> str:
    return next((text for limit, text in CLASSES if seconds < limit), "more than 10 min")


def key_of(name: str, width: int) -> str:
    """The name of a proof in proofs.json."""
    return f"{name} @{width}"


@cache
def hash_of(name: str) -> str:
    """What has to stay the same for a proof to stay one."""
    contract = CONTRACTS[name]
    uses = frozenset(use.partition(" ")[0] for use in contract.uses)
    return fingerprint(contract.function, uses, f"{_engine()}\n{_semantics(contract.case)}")


@cache
def _engine() -> str:
    """The proving side: contracts, symbols, and the algebra."""
    folder = Path(__file__).resolve().parent
    parts = [bare(ast.parse((folder / f"{module}.py").read_text("utf-8"))) for module in ENGINE]
    parts.append(bare(ast.parse(inspect.getsource(terms.Z3Algebra))))
    return "\n".join(parts)


def _semantics(case: str) -> str:
    """The source of the ISA's definition of the operation in a case."""
    base = case.partition(" ")[0]
    computes = {row.compute for (name, _), row in proofs_operators.ROWS.items() if name == base}
    texts = [textwrap.dedent(inspect.getsource(compute)) for compute in computes if compute is not None]
    return "\n".join(sorted(bare(ast.parse(text)) for text in texts))


def recorded() -> dict[str, dict[str, Any]]:
    """The contents of proofs.json: proof -> width, paths, time and hash."""
    if not CACHE.is_file():
        return {}
    contents: dict[str, dict[str, Any]] = json.loads(CACHE.read_text("utf-8"))
    return contents


def _record(known: dict[str, dict[str, Any]]) -> None:
    """Write proofs.json; after each proof, so that `--stale` goes on where a run was stopped."""
    CACHE.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", "utf-8")


def stale() -> list[tuple[str, int]]:
    """The proofs that were not done for the source as it is."""
    known = recorded()
    return [
        (name, width) for name, width in proofs() if known.get(key_of(name, width), {}).get("hash") != hash_of(name)
    ]


def prove_all(wanted: list[tuple[str, int]]) -> Iterator[Outcome]:
    """The outcomes of proofs, as they come, from as many processes as there are processors."""
    wanted = sorted(wanted, key=lambda proof: not proof[0].startswith(("bitwise", "arithmetic")))  # the long ones first
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for future in as_completed([pool.submit(prove, name, width) for name, width in wanted]):
            yield future.result()


def main(arguments: list[str]) -> int:
    """Prove everything, or with `--stale` what changed, and write proofs.json; 1 when something could not be proved."""
    parser = argparse.ArgumentParser(description="Prove every operator of the verifier, and write proofs.json.")
    parser.add_argument("--stale", action="store_true", help="prove only what changed since the record was written")
    only_stale = parser.parse_args(arguments).stale
    wanted = stale() if only_stale else list(proofs())
    known = recorded() if only_stale else {}
    current = {key_of(name, width) for name, width in proofs()}
    failed = 0
    for count, outcome in enumerate(prove_all(wanted), 1):
        print(f"[{count}/{len(wanted)}] {outcome.key}: {outcome.paths} paths, {outcome.time}", flush=True)
        for failure in outcome.failures:
            print(f"    NOT PROVED: {failure}")
        failed += bool(outcome.failures)
        known.pop(outcome.key, None)
        if not outcome.failures:
            known[outcome.key] = {"paths": outcome.paths, "time": outcome.time, "hash": hash_of(outcome.name)}
        _record({key: entry for key, entry in known.items() if key in current})
    print(f"{len(wanted) - failed} proved, {failed} not; {CACHE.name} has {len(recorded())} of {len(current)} proofs")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
