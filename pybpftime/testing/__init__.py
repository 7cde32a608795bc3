"""Testing eBPF programs with pytest: the fixture `bpf`, and assertions that say what is different.

Installed with the package as a pytest plugin; docs/how-to/test-with-pytest.md is the guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpftime.lazy import lazy_names

if TYPE_CHECKING:
    from pybpftime.testing.assertions import assert_map, assert_packet, assert_verdict
    from pybpftime.testing.bpf import Bpf

__all__ = ["Bpf", "assert_map", "assert_packet", "assert_verdict"]

# pytest imports this package in every session, so the rest is imported when it is first used.
_HOMES = {
    "Bpf": "bpf",
    "assert_map": "assertions",
    "assert_packet": "assertions",
    "assert_verdict": "assertions",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
