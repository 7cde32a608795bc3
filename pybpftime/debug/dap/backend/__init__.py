"""The debugger behind the server of the Debug Adapter Protocol: handlers of its requests, in files by subject.

`debuggee` is what they share: the Session, and what the numbers in messages stand for.
"""

from __future__ import annotations

from pybpftime.debug.dap.backend.backend import SessionBackend

__all__ = ["SessionBackend"]
