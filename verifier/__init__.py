"""The verifier: proves that a program cannot fault, shows how it does, or says what is missing.

Imported as `pybpftime.verifier`, through a symbolic link (docs/decisions/0001-symbolic-links.md).
"""

if __name__ != "pybpftime.verifier":
    # A second copy of every class under another name would pass no isinstance check.
    raise ImportError("this package is imported as pybpftime.verifier", name=__name__)

from pybpftime.verifier.report import Objection, Replay, Replayed, Report, Verdict, Witness
from pybpftime.verifier.verify import DEFAULT_BUDGET, solver_is_there, verify

__all__ = [
    "DEFAULT_BUDGET",
    "Objection",
    "Replay",
    "Replayed",
    "Report",
    "Verdict",
    "Witness",
    "solver_is_there",
    "verify",
]
