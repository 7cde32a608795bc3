"""Testing eBPF programs with pytest: the fixture `bpf`, and assertions that say what is different.

Installed with the package as a pytest plugin; docs/how-to/test-with-pytest.md is the guide.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pybpftime.testing.assertions import assert_map, assert_packet, assert_verdict
    from pybpftime.testing.bpf import Bpf

__all__ = ["Bpf", "assert_map", "assert_packet", "assert_verdict"]


def __getattr__(name: str) -> Any:
    """pytest imports this package in every session, so the rest is imported when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "bpf" if name == "Bpf" else "assertions"
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
