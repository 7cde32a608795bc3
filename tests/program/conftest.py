"""Fixtures of the tests that read compiled programs."""

from __future__ import annotations

from attach.build import build_target

__all__ = ["build_target"]
