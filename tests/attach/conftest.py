"""Fixtures of the tests that look at live processes."""

from __future__ import annotations

from attach.build import build_target
from attach.tracing import can_trace

__all__ = ["build_target", "can_trace"]
