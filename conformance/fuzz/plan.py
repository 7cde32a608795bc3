"""What a campaign is: which runtimes, which programs, cut into shards that anybody may do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from pybpftime.conformance.fuzz.comparison import Kind
from pybpftime.conformance.fuzz.dialect import Dialect, dialect
from pybpftime.conformance.fuzz.findings import Finding
from pybpftime.conformance.fuzz.generator import SHARD
from pybpftime.conformance.fuzz.shard import Judge, ShardResult
from pybpftime.conformance.runtime import Profile, Runtime
from pybpftime.conformance.runtimes.profiles import open_runtime
from pybpftime.errors import InputError
from pybpftime.isa import Group

Opener = Callable[[str], Runtime]
"""Opens a runtime by its name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The cases of a campaign: shard n holds `shard` of them and depends on nothing but this.

    `runtimes` are names for `opener`; `groups` limits the instructions, all that every runtime claims when empty.
    """

    runtimes: tuple[str, ...]
    seed: int = 1
    groups: tuple[str, ...] = ()
    shard: int = SHARD
    opener: Opener = field(default=open_runtime, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"runtimes": list(self.runtimes), "seed": self.seed, "groups": list(self.groups), "shard": self.shard}

    def open(self) -> Bench:
        """The runtimes, opened.  HostError or InputError when one is not there, or they have too little in common."""
        if not self.runtimes:
            raise InputError("a campaign needs a runtime")
        runtimes: list[Runtime] = []
        try:
            runtimes += (self.opener(name) for name in self.runtimes)
            profiles = [runtime.profile for runtime in runtimes]
            names = [profile.name for profile in profiles]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise InputError(f"more than one runtime is called {', '.join(twice)}")
            return Bench(self, runtimes, dialect(profiles, [Group(group) for group in self.groups]))
        except BaseException:
            for runtime in runtimes:
                runtime.close()
            raise


def plan_from_dict(data: Mapping[str, Any]) -> Plan:
    """What `as_dict` wrote; KeyError, TypeError or ValueError for anything else."""
    return Plan(tuple(data["runtimes"]), int(data["seed"]), tuple(data["groups"]), int(data["shard"]))


class Bench:
    """The runtimes of a plan, open; it does shards.  A context manager."""

    def __init__(self, plan: Plan, runtimes: Sequence[Runtime], dialect: Dialect) -> None:
        self.plan = plan
        self.runtimes = runtimes
        self.dialect = dialect

    @property
    def profiles(self) -> list[Profile]:
        """What the runtimes claim."""
        return [runtime.profile for runtime in self.runtimes]

    def judge(
        self,
        number: int,
        known: Collection[Finding] = (),
        *,
        crashed: Mapping[int, Kind] = MappingProxyType({}),
        at: Callable[[int], None] = lambda index: None,
    ) -> ShardResult:
        """Do a shard; see `shard.Judge`."""
        judge = Judge(self.runtimes, self.dialect, known)
        return judge.judge(self.plan.seed, number, self.plan.shard, crashed=crashed, at=at)

    def close(self) -> None:
        """Close the runtimes."""
        for runtime in self.runtimes:
            runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def do_shard(plan: Plan, number: int) -> dict[str, Any]:
    """A shard from nothing but its plan and number, as data: for other machines."""
    with plan.open() as bench:
        return bench.judge(number).as_dict()
