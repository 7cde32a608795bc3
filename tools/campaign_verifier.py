"""Random programs for the verifier: what it calls safe never faults and keeps inside its published states; and where
the running kernel's verifier answers otherwise there is a reason.
"""

from __future__ import annotations

import json
import signal
import time
import traceback
from pathlib import Path
from types import FrameType

from pybpftime.conformance.verifier_campaign import Tally, examine
from pybpftime.conformance.verifier_peer import VerifierPeer
from pybpftime.kernel import available
from tools import campaign

INPUTS = 50
EXAMPLE = ": program "
SECONDS = 120
"""Processor time that a program must not exceed: verification, runs and the search for a smaller one."""


class _TooLong(BaseException):
    """The time for a program is over."""


def _too_long(number: int, frame: FrameType | None) -> None:
    raise _TooLong


def work(seed: int, first: int, count: int) -> campaign.Shard:
    """Programs `first` to `first + count` of the seed."""
    before = signal.signal(signal.SIGPROF, _too_long)
    tally = Tally()
    findings: list[str] = []
    peer = None if available() else VerifierPeer()
    began = time.process_time()
    for index in range(first, first + count):
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            findings += examine(seed, index, tally, inputs=INPUTS, peer=peer)
        except (Exception, _TooLong):
            findings.append(f"program {index} of seed {seed}: {traceback.format_exc(limit=-8)}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)
    if peer is not None:
        peer.close()
    return {
        "programs": tally.programs,
        "slots": tally.slots,
        "runs": tally.runs,
        "verdicts": dict(tally.verdicts),
        "reasons": dict(tally.reasons),
        "differences": dict(tally.differences),
        "explained": dict(tally.explained),
        "examples": [f"{kind}{EXAMPLE}{index}" for kind, index in tally.examples.items()],
        "processor_seconds": time.process_time() - began,
        "findings": findings,
    }


def keep_one_example(record: Path) -> None:
    """Of the examples in a record, which every shard has added to, leave the first of each kind."""
    result = json.loads(record.read_text("utf-8"))
    examples = {one.partition(EXAMPLE)[0]: one for one in reversed(result["examples"])}
    result["examples"] = sorted(examples.values())
    record.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    options = campaign.arguments(__doc__ or "", count=100_000, shard=250)
    code = campaign.run("verifier", options, work)
    if not options.no_record:
        keep_one_example(campaign.ROOT / "docs" / "campaigns" / "verifier.json")
    raise SystemExit(code)
