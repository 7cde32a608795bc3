"""Planted bugs, one of every kind of mistake: each is found, reduced to a few instructions, and filed under its row.

A bug is one that a valid program can meet.  `findings` are those that were not found in the shards given to them or
took longer than 30 seconds of one CPU, that were filed under another row, or whose program is longer than 6
instructions (12 for calls and returns).  Those that no program can tell from the right semantics are `equivalent`.
"""

from __future__ import annotations

import random
import time

from pybpftime.conformance.fuzz.dialect import dialect
from pybpftime.conformance.fuzz.listing import listing
from pybpftime.conformance.fuzz.shard import Judge
from pybpftime.isa import decode_program
from tests.conformance.fuzz.planted import LONG, PROFILE, Planted, chosen_mutants, rows_of
from tools import campaign, campaign_mutate

SHARDS = 24
CASES = 500
SECONDS = 30
MOST, MOST_OF_CALLS = 6, 12


def work(seed: int, first: int, count: int) -> campaign.Shard:
    """Rounds `first` to `first + count`: in each, one bug of every kind."""
    bugs, equivalents, told = 0, 0, []
    for number in range(first, first + count):
        for mutant in chosen_mutants(random.Random(f"{seed}/{number}")).values():
            bugs += 1
            began = time.process_time()
            found = []
            for shard in range(SHARDS):
                found = Judge([Planted(mutant.engine())], dialect([PROFILE])).judge(seed, shard, CASES).findings
                if found:
                    break
            most = MOST_OF_CALLS if mutant.row.form in LONG else MOST
            if not found:
                equivalent = campaign_mutate.is_equivalent(mutant)
                equivalents += equivalent
                told += [] if equivalent else [f"{mutant.id}: not found"]
            if time.process_time() - began > SECONDS:
                told.append(f"{mutant.id}: {time.process_time() - began:.0f} s")
            told += [f"{mutant.id}: filed under {one.row}" for one in found if one.row not in rows_of(mutant)]
            lengths = [len(listing(decode_program(one.code))) for one in found]
            told += [f"{mutant.id}: {length} instructions" for length in lengths if length > most]
    return {"bugs": bugs, "equivalent": equivalents, "findings": told}


if __name__ == "__main__":
    campaign.main("fuzz", __doc__ or "", work, count=20, shard=1)
