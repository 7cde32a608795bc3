"""The same object on the same program, attached by the running kernel and by `pybpftime trace`: the same maps.

Both attach while the program waits for input, and let go after it has done its work.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from attach.build import BuildTarget
from attach.processes import running

from pybpftime import kernel
from pybpftime.attach.locate import locate
from pybpftime.attach.target import ProbeKind, parse_target
from pybpftime.kernel.objects import KernelObjectFile
from pybpftime.program import load_object
from pybpftime.program.btf import decode

COMMAND = (sys.executable, "-c", "from pybpftime.cli.main import main; main()")
ROUNDS = 50
Entries = dict[Any, Any]
"""What a map holds, as BTF names it; keys that are the process are called "process"."""


@pytest.fixture(params=["one thread", "four threads"])
def threads(request: pytest.FixtureRequest) -> int:
    return 1 if request.param == "one thread" else 4


@pytest.fixture
def target(build_target: BuildTarget, threads: int) -> tuple[str, ...]:
    """The command line of a program whose every thread makes 3 calls of malloc and 2 of read in a round."""
    return (str(build_target("allocating")), str(ROUNDS), str(threads))


@pytest.fixture
def kernels(target: tuple[str, ...], repository: Path, uprobes: None) -> Any:
    """`kernels(name)`: the maps after the kernel has run that object of tests/programs on a process."""

    def run(name: str) -> dict[str, Entries]:
        spec = load_object(object_file(repository, name))
        assert spec.btf is not None
        with KernelObjectFile(spec) as loaded, running(*target) as process:
            with ExitStack() as links:
                for one in spec.programs.values():
                    probe = parse_target(one)
                    place = locate(process.pid, probe)
                    at_return = probe.kind is ProbeKind.URETPROBE
                    program = loaded.program(one.name)
                    links.enter_context(
                        kernel.attach_uprobe(program, place.path, place.offset, pid=process.pid, at_return=at_return)
                    )
                process.work()
            found = {}
            for map, content in loaded.maps.items():
                definition = spec.maps[map]
                entries = {
                    decode(spec.btf, definition.key_type_id, key): decode(spec.btf, definition.value_type_id, value)
                    for key, value in content.items()
                }
                found[map] = named(entries, process.pid)
            return found

    return run


@pytest.fixture
def uprobes() -> None:
    reason = kernel.uprobes_available()
    if reason is not None:
        pytest.skip(f"needs uprobes: {reason}")
    pytest.importorskip("ptrace", reason="needs python-ptrace")
    pytest.importorskip("capstone", reason="needs capstone")


def object_file(repository: Path, name: str) -> Path:
    return repository / "tests" / "programs" / f"{name}.bpf.o"


def named(entries: Entries, pid: int) -> Entries:
    return {"process" if key == pid else key: value for key, value in entries.items()}


def ours(target: tuple[str, ...], source: Path) -> tuple[dict[str, Entries], dict[str, int]]:
    """The maps, and how often each program ran, after `pybpftime trace` has run that object on a process."""
    with running(*target) as process:
        command = [*COMMAND, "trace", "--json", "--pid", str(process.pid), str(source)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tracer:
            try:
                assert tracer.stdout is not None
                first = tracer.stdout.readline()
                assert first, tracer.communicate()[1]
                assert json.loads(first)["event"] == "attached"
                process.work()
                assert process.process.stdin is not None
                process.process.stdin.close()  # and it ends
                report = json.loads(tracer.communicate(timeout=60)[0])
            finally:
                tracer.kill()
    assert (report["event"], report["exit_code"], report["notes"]) == ("ended", 0, [])
    assert [probe["failures"] for probe in report["probes"]] == [0, 0]
    maps = {
        name: named({one["key"]: one["value"] for one in map["entries"]}, process.pid)
        for name, map in report["maps"].items()
    }
    return maps, {probe["program"]: probe["runs"] for probe in report["probes"]}


def test_malloc_counts_the_same(kernels: Any, target: tuple[str, ...], threads: int, repository: Path) -> None:
    calls = 3 * ROUNDS * threads
    impossible = (1 << 63) - 1
    requested = threads * (sum(range(1, ROUNDS + 1)) + ROUNDS * (5000 + impossible))
    expected = {
        "calls": calls,
        "bytes": requested % (1 << 64),
        "largest": impossible,
        "failures": ROUNDS * threads,
    }
    maps, runs = ours(target, object_file(repository, "malloc"))
    assert maps == kernels("malloc") == {"allocations": {"process": expected}}
    assert runs == {"malloc_entry": calls, "malloc_return": calls}


def test_latency_counts_the_same(kernels: Any, target: tuple[str, ...], threads: int, repository: Path) -> None:
    """How long a call took differs, how many calls and failures there were does not."""
    calls = 2 * ROUNDS * threads
    maps, runs = ours(target, object_file(repository, "latency"))
    assert runs == {"begin": calls, "end": calls}
    for found in (maps, kernels("latency")):
        assert found["started"] == {}
        assert sum(found["histogram"].values()) == calls
        summary = found["summary"][0]
        assert (summary["calls"], summary["failures"]) == (calls, ROUNDS * threads)
        assert summary["nanoseconds"] > 0
