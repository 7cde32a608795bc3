"""The reference with one bug, as a runtime under test."""

from __future__ import annotations

from dataclasses import replace

from pybpftime.conformance.case import Case
from pybpftime.conformance.mutation.mutant import Mutant
from pybpftime.conformance.runtime import Outcome
from pybpftime.conformance.runtimes.in_process import REFERENCE, ReferenceRuntime
from pybpftime.helpers import HelperTable


class MutantRuntime:
    """A runtime like any other: what is wrong with it is its mutant.  `helpers` as for `ReferenceRuntime`."""

    def __init__(self, mutant: Mutant, helpers: HelperTable | None = None) -> None:
        self.profile = replace(REFERENCE, name=mutant.id, description=mutant.sentence)
        self._mutant = mutant
        self._reference = ReferenceRuntime(mutant.engine(), helpers)

    def run(self, case: Case) -> Outcome:
        """Ask it.  Never raises."""
        return self._reference.run(replace(case, code=self._mutant.read(case.code)))

    def close(self) -> None:
        """Nothing is held between cases."""
