"""Contexts: what a program is run on, made from packets, fields given as JSON, or bytes.

`make_context` makes one for a program type.  The object is what an engine enters, what helpers find as
`machine.context` and what says afterwards what became of packet and fields.
"""

from __future__ import annotations

from pybpftime.program.contexts.context import Context
from pybpftime.program.contexts.make import make_context

__all__ = ["Context", "make_context"]
