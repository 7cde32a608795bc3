"""Random valid programs in the reference interpreter and in the running kernel: zero differences.

`kernel_defects` counts programs that the kernel itself runs in two ways (docs/decisions/0018-kernel-defects.md).
"""

from __future__ import annotations

from pybpftime.conformance.differential import Tally, compare
from pybpftime.kernel import available
from tools import campaign


def work(seed: int, first: int, count: int) -> campaign.Shard:
    """Programs `first` to `first + count` of the seed."""
    tally = Tally()
    findings = [str(difference) for difference in compare(seed, count, tally, first=first)]
    return {
        "programs": tally.programs,
        "runs": tally.runs,
        "instructions": tally.instructions,
        "differences": len(findings),
        "kernel_defects": tally.kernel_defects,
        "rows": dict(tally.rows),
        "findings": findings,
    }


if __name__ == "__main__":
    if reason := available():
        raise SystemExit(f"the kernel cannot serve as a peer: {reason}")
    campaign.main("differential", __doc__ or "", work, count=200_000, shard=1000)
