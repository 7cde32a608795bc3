"""A campaign on disk: what it is, every shard that is done, and what was found.

    campaign.json     the plan, and the versions of the runtimes
    journal.jsonl     one line for each shard that is done; a line that was cut short is no line
    bugs/             one folder for each finding, see `reproducer`

A shard is done when its line is complete, and a number counts once however often it occurs: campaigns can be killed
at any time and go on, and folders of the same plan can be merged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pybpftime.conformance.fuzz.findings import Finding, merged
from pybpftime.conformance.fuzz.plan import Plan, plan_from_dict
from pybpftime.conformance.fuzz.reproducer import write_reproducers
from pybpftime.conformance.fuzz.shard import ShardResult, result_from_dict
from pybpftime.errors import HostError, InputError

FORMAT = "pybpftime-fuzz 1"
CAMPAIGN, JOURNAL, BUGS = "campaign.json", "journal.jsonl", "bugs"


class Journal:
    """The folder of a campaign, and the shards in it by number."""

    def __init__(self, folder: Path, plan: Plan, versions: Mapping[str, str]) -> None:
        self.folder = folder
        self.plan = plan
        self.versions = dict(versions)
        self.shards: dict[int, ShardResult] = {}

    def add(self, result: ShardResult) -> bool:
        """Write a shard down; False when it was there already."""
        if result.number in self.shards:
            return False
        self.shards[result.number] = result
        _append(self.folder / JOURNAL, json.dumps(result.as_dict()))
        return True

    @property
    def findings(self) -> list[Finding]:
        """What all shards found, each bug once."""
        return merged(finding for number in sorted(self.shards) for finding in self.shards[number].findings)

    def write_bugs(self) -> list[Path]:
        """Write the folder of every finding."""
        try:
            return write_reproducers(self.folder / BUGS, self.findings, self.versions)
        except OSError as error:
            raise HostError("cannot be written", errno=error.errno, file=str(self.folder / BUGS)) from None


def create(folder: Path, plan: Plan, versions: Mapping[str, str]) -> Journal:
    """A new campaign.  InputError when the folder has one already."""
    if (folder / CAMPAIGN).exists():
        raise InputError("there is a campaign already; go on with it (--resume), or choose another", file=str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": FORMAT, **plan.as_dict(), "versions": dict(versions)}, indent=1)
        draft = folder / f"{CAMPAIGN}.new"
        draft.write_text(text + "\n")
        draft.replace(folder / CAMPAIGN)
    except OSError as error:
        raise HostError("cannot be written", errno=error.errno, file=str(folder)) from None
    return Journal(folder, plan, versions)


def load(folder: Path) -> Journal:
    """The campaign of a folder.  InputError when there is none, or it is damaged."""
    path = folder / CAMPAIGN
    try:
        data = json.loads(path.read_text())
        if data["format"] != FORMAT:
            raise InputError(f"the format is {data['format']!r}, this version reads {FORMAT!r}", file=str(path))
        journal = Journal(folder, plan_from_dict(data), data["versions"])
    except OSError as error:
        raise InputError(f"no campaign: {error.strerror or error}", file=str(folder)) from None
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"no description of a campaign: {error}", file=str(path)) from None
    _read_shards(journal, folder / JOURNAL)
    return journal


def _read_shards(journal: Journal, path: Path) -> None:
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=str(path)) from None
    for number, line in enumerate(lines, 1):
        try:
            result = result_from_dict(json.loads(line))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if not line.endswith(b"\n"):  # the campaign was killed while it wrote
                return
            raise InputError(f"no shard: {error}", file=str(path), line=number) from None
        journal.shards.setdefault(result.number, result)


def merge(folders: Iterable[Path], target: Path) -> Journal:
    """One campaign of several of the same plan, in a new folder.  InputError when they are not."""
    journals = [load(folder) for folder in folders]
    if not journals:
        raise InputError("there is nothing to merge")
    first = journals[0]
    for other in journals[1:]:
        if other.plan != first.plan:
            raise InputError(f"is another campaign than {first.folder}: {_differing(first.plan, other.plan)}",
                             file=str(other.folder))  # fmt: skip
    versions: dict[str, str] = {}
    for journal in journals:
        for name, version in journal.versions.items():
            versions[name] = version if versions.get(name, version) == version else f"{versions[name]}, {version}"
    result = create(target, first.plan, versions)
    for journal in journals:
        for number in sorted(journal.shards):
            result.add(journal.shards[number])
    result.write_bugs()
    return result


def _differing(one: Plan, other: Plan) -> str:
    mine, theirs = one.as_dict(), other.as_dict()
    return ", ".join(f"{key} is {theirs[key]}, not {mine[key]}" for key in mine if mine[key] != theirs[key])


def _append(path: Path, text: str) -> None:
    """Write a line at the end, and make sure that it is on the disk; behind half a line it begins a new one."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                os.ftruncate(descriptor, _end_of_lines(descriptor, size))
            os.write(descriptor, text.encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HostError("cannot be written", errno=error.errno, file=str(path)) from None


def _end_of_lines(descriptor: int, size: int) -> int:
    return os.pread(descriptor, size, 0).rfind(b"\n") + 1


def summary(journal: Journal) -> dict[str, Any]:
    """The sums of a campaign, for JSON."""
    shards = journal.shards.values()
    runtimes: dict[str, dict[str, int]] = {}
    for shard in shards:
        for name, tally in shard.tallies.items():
            sums = runtimes.setdefault(name, {})
            for key, value in tally.as_dict().items():
                sums[key] = sums.get(key, 0) + value
    return {
        "plan": journal.plan.as_dict(),
        "versions": journal.versions,
        "shards": len(journal.shards),
        "cases": sum(shard.cases for shard in shards),
        "runtimes": runtimes,
        "findings": [finding.as_dict() for finding in journal.findings],
    }
