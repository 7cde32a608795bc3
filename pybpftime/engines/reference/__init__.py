"""The reference interpreter."""

from pybpftime.engines.reference.engine import ReferenceEngine, ReferenceExecutable

__all__ = ["ReferenceEngine", "ReferenceExecutable"]
