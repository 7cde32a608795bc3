"""How long the verifier takes for real programs, beside the kernel's verifier on the same programs in the same run.

    python -m tools.bench_verifier [--json OUT] [--write] [--timeout S] [--budget N] [PATH...]

A PATH is an object file, a program that has objects embedded, a folder of these, or verifier test data (.json,
.json.gz).  Without one: our own tests/programs, the installed ones of PACKAGES, and the data beside the checkout.  Our
times are seconds of the processor, the kernel's what its verifier says in its log.  --write records the sums in
docs/campaigns/verifier-time.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pybpftime.conformance.verifier_kernel import ATTACHED_BY_BTF
from pybpftime.conformance.verifier_vectors import read_vectors
from pybpftime.errors import BpfError
from pybpftime.kernel import KernelRejection
from pybpftime.kernel.objects import KernelObjectFile
from pybpftime.maps.spec import MAX_STACK_DEPTH, MapSpec
from pybpftime.program.elf import load_object
from pybpftime.program.spec import ObjectSpec
from pybpftime.runtime.verification import verify_program
from pybpftime.uapi import MapType
from tools.bench_verifier_report import summaries, summary_lines
from tools.embedded_objects import elf_files, embedded_objects, files_of_package
from tools.libbpf_relocation import as_libbpf_loads, load_relocated

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "docs/campaigns/verifier-time.json"
OWN_PROGRAMS = ROOT / "tests/programs"
DATA = ROOT.parent / "shared/data/verifier"
PACKAGES = ("xdp-tools", "libxdp1", "libbpf-tools", "libknot13", "bpftool", "systemd")
"""Debian packages that have BPF objects, as files or embedded in programs."""

DEFAULT_TIMEOUT = 60.0
STATISTICS_LEVEL = 4  # BPF_LOG_STATS
_KERNEL_TIME = re.compile(r"^verification time (\d+) usec", re.MULTILINE)
_KERNEL_PROCESSED = re.compile(r"^processed (\d+) insns", re.MULTILINE)
ERROR = "error"
SIZED_BY_TOOLS = frozenset(
    {
        MapType.BPF_MAP_TYPE_ARRAY,
        MapType.BPF_MAP_TYPE_PERCPU_ARRAY,
        MapType.BPF_MAP_TYPE_HASH,
        MapType.BPF_MAP_TYPE_PERCPU_HASH,
        MapType.BPF_MAP_TYPE_DEVMAP,
        MapType.BPF_MAP_TYPE_CPUMAP,
        MapType.BPF_MAP_TYPE_STACK_TRACE,
    }
)
"""Types of maps that tools are seen to leave without max_entries in their objects."""
WARM_UP = "ringbuf.bpf.o"


@dataclass(frozen=True, slots=True)
class KernelTime:
    """What the kernel said: `microseconds` and instructions `processed` are None where its log has them not."""

    accepts: bool
    processed: int | None = None
    microseconds: int | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One program.  `verdict` is the verifier's, or ERROR when it failed.  `seconds` are of the processor; `code` and
    `sentence` say why it is not safe, and are empty else.

    `kernel` is None where the kernel could not be asked.
    """

    group: str
    file: str
    program: str
    slots: int
    verdict: str
    code: str
    sentence: str
    processed: int
    seconds: float
    kernel: KernelTime | None


@dataclass(frozen=True, slots=True)
class Source:
    """An object to measure, and the group that it counts for."""

    group: str
    spec: ObjectSpec


# --- what is measured -------------------------------------------------------------------------------------------------


def default_paths() -> Iterator[tuple[str, Path]]:
    """(group, path) of everything that is here."""
    yield from (("tests/programs", path) for path in sorted(OWN_PROGRAMS.glob("*.bpf.o")))
    for package in PACKAGES:
        yield from ((package, path) for path in files_of_package(package))
    if DATA.is_dir():
        yield from ((path.name, path) for path in sorted(DATA.glob("*.json.gz")))


def sources(paths: Iterable[tuple[str, Path]]) -> Iterator[Source]:
    """The objects behind the paths, each once; one that cannot be loaded is named on stderr and left out."""
    seen: set[bytes] = set()
    for group, path in paths:
        if path.name.endswith((".json", ".json.gz")):
            yield from _vectors(group, path)
            continue
        for file in elf_files([path]):
            for data in embedded_objects(file.read_bytes()):
                if data not in seen:
                    seen.add(data)
                    yield from _loaded(group, data, file.name)


def _vectors(group: str, path: Path) -> Iterator[Source]:
    for vector in read_vectors(path):
        if vector.program is not None and not vector.strict_alignment:
            program = vector.program
            yield Source(group, ObjectSpec(vector.name, {program.name: program}, vector.maps, program.btf))


def _loaded(group: str, data: bytes, file: str) -> Iterator[Source]:
    """The object as our loader reads it; what needs CO-RE relocation is relocated by libbpf."""
    try:
        spec = load_object(data, name=file)
    except BpfError as first:
        try:
            spec = load_relocated(data, file)
        except BpfError as second:
            print(f"left out: {first}; {second}", file=sys.stderr)
            return
    yield Source(group, replace(spec, maps={name: _with_sizes(map) for name, map in spec.maps.items()}))


def _with_sizes(map: MapSpec) -> MapSpec:
    """The map with sizes for those that a tool sets when it loads its object, by its options or the number of cpus."""
    if map.type is MapType.BPF_MAP_TYPE_STACK_TRACE and not map.value_size:
        map = replace(map, value_size=8 * MAX_STACK_DEPTH)
    if map.type in SIZED_BY_TOOLS and not map.max_entries:
        map = replace(map, max_entries=1)
    return map


# --- measuring --------------------------------------------------------------------------------------------------------


def measure(source: Source, *, timeout: float, budget: int) -> Iterator[Measurement]:
    """Judge each program of the object, here and in the kernel."""
    answers = dict(_kernel_answers(source.spec))
    for program in source.spec.programs.values():
        began = time.process_time()
        try:
            report = verify_program(source.spec, program, timeout=timeout, budget=budget)
            reason, processed = report.objection, report.processed
            said = str(report.verdict), "" if reason is None else reason.code, "" if reason is None else reason.sentence
        except Exception as error:  # whatever a verifier does wrong is a finding
            said, processed = (ERROR, type(error).__name__, str(error)), 0
        yield Measurement(
            source.group,
            source.spec.file or "",
            program.name,
            len(program.instructions),
            *said,
            processed,
            time.process_time() - began,
            answers.get(program.name),
        )


def _kernel_answers(spec: ObjectSpec) -> Iterator[tuple[str, KernelTime]]:
    """The kernel's answers by program, of those that it can be asked about.  Nothing stays in the kernel."""
    spec = replace(spec, programs={name: as_libbpf_loads(program) for name, program in spec.programs.items()})
    try:
        with KernelObjectFile(spec, log_level=STATISTICS_LEVEL) as loaded:
            for name, program in spec.programs.items():
                if program.type in ATTACHED_BY_BTF:
                    continue
                try:
                    yield name, _kernel_time(loaded.program(name).log, accepts=True)
                except KernelRejection as rejection:
                    yield name, _kernel_time(rejection.log or "", accepts=False)
                except BpfError:
                    continue  # refused before the verifier looked at it
    except BpfError:
        return  # a map that this host does not make, or no bpf(2)


def _kernel_time(log: str, *, accepts: bool) -> KernelTime:
    numbers = [pattern.findall(log) for pattern in (_KERNEL_PROCESSED, _KERNEL_TIME)]
    processed, microseconds = (int(found[-1]) if found else None for found in numbers)
    return KernelTime(accepts, processed, microseconds)


# --- the command ------------------------------------------------------------------------------------------------------


def measure_all(paths: Iterable[tuple[str, Path]], *, timeout: float, budget: int) -> list[Measurement]:
    """Measure everything, in this process and one after the other; a line for each program while it goes on."""
    _warm_up()
    found: list[Measurement] = []
    for source in sources(paths):
        for each in measure(source, timeout=timeout, budget=budget):
            found.append(each)
            print(line_of(each), flush=True)
            if sys.stderr.isatty():
                print(f"\r{len(found)} programs", end="", file=sys.stderr, flush=True)
    return found


def _warm_up() -> None:
    """What a process does once (imports, tables) is not counted for the first program."""
    spec = load_object((OWN_PROGRAMS / WARM_UP).read_bytes(), name=WARM_UP)
    for program in spec.programs.values():
        verify_program(spec, program)


def line_of(one: Measurement) -> str:
    """file, program, slots, verdict, processed, milliseconds, the kernel's verdict, processed and milliseconds."""
    kernel = "-"
    if one.kernel is not None:
        microseconds = one.kernel.microseconds
        spent = "" if microseconds is None else f"{one.kernel.processed:>8} {microseconds / 1e3:>10.3f} ms"
        kernel = f"{'accepted' if one.kernel.accepts else 'rejected':8} {spent}".rstrip()
    why = f"  {one.sentence}" if one.sentence else ""
    ours = f"{one.slots:>6} {one.verdict:10} {one.processed:>8} {1e3 * one.seconds:>10.3f} ms"
    return f"{one.file:32} {one.program:32} {ours}  kernel: {kernel}{why}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0, or 2 when nothing could be read."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every measurement there")
    parser.add_argument("--write", action="store_true", help="record the sums in docs/campaigns/verifier-time.json")
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, help="seconds a program (%(default)s)")
    parser.add_argument("--budget", type=int, default=1_000_000, help="instructions a program (%(default)s)")
    chosen = parser.parse_args(arguments)
    paths = [(path.name, path) for path in chosen.paths] or list(default_paths())
    try:
        found = measure_all(paths, timeout=chosen.timeout, budget=chosen.budget)
    except (BpfError, OSError) as error:
        print(f"bench_verifier: {error}", file=sys.stderr)
        return 2
    if not found:
        print("bench_verifier: no BPF program found", file=sys.stderr)
        return 2
    groups = summaries(found, not_real={path.name for path in DATA.glob("*.json.gz")})
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n", "utf-8")
    if chosen.write:
        record = {"kernel": platform.release(), "python": platform.python_version(), "groups": groups}
        RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    for line in summary_lines(groups):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
