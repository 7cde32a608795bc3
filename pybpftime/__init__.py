"""pybpftime: a user-space eBPF runtime in Python."""

from __future__ import annotations

import os.path

__version__ = "0.1.0.dev0"

# `pybpftime/verifier` and `pybpftime/conformance` are symbolic links; git without `core.symlinks` writes small text
# files in their place.
if os.path.isfile(os.path.join(os.path.dirname(__file__), "verifier")):
    raise ImportError(
        "this checkout of pybpftime has no symbolic links: clone it again with `git clone -c core.symlinks=true`"
    )
