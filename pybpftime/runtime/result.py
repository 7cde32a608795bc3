"""What a run gave."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pybpftime.program.types import Verdict

SHOWN_BYTES = 16
"""How many bytes of a packet the representation of a Result shows."""


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """The outcome of one run that did not fault.

    `verdict` is r0 as the program type reads it (`XDP_PASS`, a packet length, a plain number); `packet` the
    packet's bytes afterwards, None where there was none; `context` the context's fields afterwards; `printk` the
    lines of bpf_printk; `redirect` where bpf_redirect sent the packet; `instructions` how many were executed.
    """

    verdict: Verdict
    r0: int
    instructions: int
    packet: bytes | None = None
    context: Mapping[str, Any] = field(default_factory=dict, hash=False)
    printk: tuple[str, ...] = ()
    redirect: tuple[str, int] | None = None

    def __repr__(self) -> str:
        """What is not empty, of a packet the length and the first bytes."""
        parts = [f"r0={self.r0:#x}", f"{self.instructions} instructions"]
        if self.packet is not None:
            more = " ..." if len(self.packet) > SHOWN_BYTES else ""
            parts.append(f"packet of {len(self.packet)} bytes {self.packet[:SHOWN_BYTES].hex(' ')}{more}".rstrip())
        if self.context:
            parts.append(f"context {reprlib.repr(dict(self.context))}")
        if self.printk:
            parts.append(f"printk {reprlib.repr(list(self.printk))}")
        if self.redirect is not None:
            parts.append(f"redirect to {self.redirect[0]} {self.redirect[1]}")
        return f"<result {self.verdict}: {', '.join(parts)}>"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`: numbers, strings, hex for bytes."""
        data: dict[str, Any] = {
            "verdict": self.verdict.name or self.verdict.value,
            "value": self.verdict.value,
            "r0": self.r0,
            "instructions": self.instructions,
        }
        if self.packet is not None:
            data["packet"] = self.packet.hex()
        if self.context:
            data["context"] = dict(self.context)
        if self.printk:
            data["printk"] = list(self.printk)
        if self.redirect is not None:
            data["redirect"] = {"to": self.redirect[0], "value": self.redirect[1]}
        return data
