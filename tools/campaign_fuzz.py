"""Planted bugs, one of every kind of mistake: each is found, reduced to a few instructions, and filed under its row.

A bug is one that a valid program can meet.  `findings` are those that were not found in the shards given to them, that
were filed under another row, or whose program is longer than 6 instructions (12 for calls and returns).
"""

from __future__ import annotations

import random

from pybpftime.conformance.fuzz.dialect import dialect
from pybpftime.conformance.fuzz.listing import listing
from pybpftime.conformance.fuzz.shard import Judge
from pybpftime.isa import Form, decode_program
from tests.conformance.fuzz.planted import PROFILE, Planted, chosen_mutants
from tools import campaign

SHARDS = 12
CASES = 500
SHORT, LONG = 6, 12


def work(seed: int, first: int, count: int) -> campaign.Shard:
    """Rounds `first` to `first + count`: in each, one bug of every kind."""
    bugs, told = 0, []
    for number in range(first, first + count):
        for mutant in chosen_mutants(random.Random(f"{seed}/{number}")).values():
            bugs += 1
            found = []
            for shard in range(SHARDS):
                found = Judge([Planted(mutant.engine())], dialect([PROFILE])).judge(seed, shard, CASES).findings
                if found:
                    break
            most = LONG if mutant.row.form in (Form.CALL_LOCAL, Form.EXIT) else SHORT
            if not found:
                told.append(f"{mutant.id}: not found")
            told += [f"{mutant.id}: filed under {one.row}" for one in found if one.row != mutant.row.name]
            lengths = [len(listing(decode_program(one.code))) for one in found]
            told += [f"{mutant.id}: {length} instructions" for length in lengths if length > most]
    return {"bugs": bugs, "findings": told}


if __name__ == "__main__":
    campaign.main("fuzz", __doc__ or "", work, count=20, shard=1)
