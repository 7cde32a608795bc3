"""Ways to execute programs: `reference`, the readable interpreter that defines the others."""

from pybpftime.engines.engine import DEFAULT_BUDGET, Context, Engine, Executable, Outcome

__all__ = ["DEFAULT_BUDGET", "Context", "Engine", "Executable", "Outcome"]
