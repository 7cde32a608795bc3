"""libbpf as second witness: what bpftool makes of an object, and what the kernel then has, is what we read from it.

bpftool runs in a mount namespace of its own, so that nothing that it pins outlives it.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from program.btf_support import need

from pybpftime.maps.spec import MapSpec, like_libbpf
from pybpftime.program import MapReference, ObjectSpec, load_object
from pybpftime.uapi import MapFlag, ProgramType

PROGRAMS = Path(__file__).parent.parent / "programs"
OBJECTS = sorted(path for path in PROGRAMS.glob("*.bpf.o") if ".v4." not in path.name or path.name.startswith("signed"))

LOAD = """
mount -t bpf bpf "$2" || exit 77
"$1" -d prog loadall "$3" "$2/programs" 2>&1
echo "exit code $?"
for program in "$2"/programs/*; do echo "json $("$1" -j prog show pinned "$program")"; done
echo "json $("$1" -j map show)"
"""


@dataclass(frozen=True)
class Witness:
    """What bpftool printed, its exit code, and the kernel's view of programs by name and maps by id."""

    log: str
    programs: dict[str, dict[str, Any]]
    maps: dict[int, dict[str, Any]]


def _witness(path: Path, folder: Path) -> Witness:
    bpftool, unshare = need("bpftool"), need("unshare")
    command = [unshare, "-m", "sh", "-c", LOAD, "sh", bpftool, str(folder), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 77 or "Operation not permitted" in done.stdout + done.stderr:
        pytest.skip("needs the permission to mount a bpf file system and to load programs")
    log = done.stdout
    if "exit code 0" not in log:
        pytest.skip("this libbpf or this kernel does not load the object")
    values = [json.loads(text) for text in re.findall(r"^json (.*)$", log, re.MULTILINE)]
    maps = {map["id"]: map for map in values.pop()}
    return Witness(log, {program["name"]: program for program in values}, maps)


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name.removesuffix(".bpf.o"))
def test_libbpf_agrees(path: Path, tmp_path: Path) -> None:
    witness = _witness(path, tmp_path)
    spec = load_object(path)
    _check_programs(spec, witness)
    _check_functions(spec, witness)
    _check_instructions(spec, witness)
    _check_maps(spec, witness)


def _check_programs(spec: ObjectSpec, witness: Witness) -> None:
    found = {name: program["type"] for name, program in witness.programs.items()}
    assert found == {
        name[:15]: program.type.name.removeprefix("BPF_PROG_TYPE_").lower() for name, program in spec.programs.items()
    }
    assert all(program.type is not ProgramType.BPF_PROG_TYPE_UNSPEC for program in spec.programs.values())
    compatible = "GPL" in spec.license
    assert {program["gpl_compatible"] for program in witness.programs.values()} == {compatible}


def _check_functions(spec: ObjectSpec, witness: Witness) -> None:
    """libbpf names each subprogram when it appends it."""
    appended: dict[str, list[tuple[str, int]]] = {name: [] for name in spec.programs}
    for program, slots, name in re.findall(r"prog '([^']*)': added (\d+) insns from sub-prog '([^']*)'", witness.log):
        appended[program].append((name, int(slots)))
    for name, program in spec.programs.items():
        assert [(f.name, f.end - f.start) for f in program.functions[1:]] == appended[name]


def _check_instructions(spec: ObjectSpec, witness: Witness) -> None:
    """The verifier of Linux 6.16 and later lists a program as it gets it, before it changes anything."""
    for name, listing in re.findall(r"prog '([^']*)': -- BEGIN PROG LOAD LOG --\n(.*?)-- END", witness.log, re.DOTALL):
        program = spec.programs[name]
        starts = [int(slot) for slot in re.findall(r"^func#\d+ @(\d+)$", listing, re.MULTILINE)]
        assert sorted(starts) == [function.start for function in program.functions]
        rows = re.findall(r"^[ \d]* (\d+): [.\d]{10} \(([0-9a-f]{2})\) (.*)$", listing, re.MULTILINE)
        if not rows:
            continue
        expected = {slot: i for slot, i in enumerate(program.instructions) if i is not None}
        assert {int(slot): int(opcode, 16) for slot, opcode, _ in rows} == {s: i.opcode for s, i in expected.items()}
        for slot, _, text in rows:
            if distance := re.fullmatch(r"call pc([+-]\d+)", text):
                assert expected[int(slot)].imm == int(distance[1])


def _check_maps(spec: ObjectSpec, witness: Witness) -> None:
    """Every map that the programs hold is one of ours, and every one that ours refer to is there."""
    ids = {id for program in witness.programs.values() for id in program.get("map_ids", ())}
    ignored = MapFlag(0) if _libbpf_version() >= (1, 5) else MapFlag.BPF_F_MMAPABLE  # 1.1 gave it to all global data
    found = sorted(_facts_of_kernel(witness.maps[id], ignored) for id in ids)
    expected = {name: _facts(map, ignored) for name, map in spec.maps.items()}
    references = [r for program in spec.programs.values() for r in program.references.values()]
    used = {reference.name for reference in references if isinstance(reference, MapReference)}
    extra = list(expected.values())
    for facts in found:
        assert facts in extra
        extra.remove(facts)
    assert not [name for name in used if expected[name] not in found]


Facts = tuple[str, int, int, int, int, bool]


def _facts_of_kernel(map: dict[str, Any], ignored: MapFlag) -> Facts:
    sizes = map["bytes_key"], map["bytes_value"], map["max_entries"]
    return (map["type"], *sizes, map["flags"] & ~ignored, bool(map["frozen"]))


def _facts(spec: MapSpec, ignored: MapFlag) -> Facts:
    spec = like_libbpf(spec, _possible_cpus())
    frozen = spec.contents is not None and bool(spec.flags & MapFlag.BPF_F_RDONLY_PROG)
    type = spec.type.name.removeprefix("BPF_MAP_TYPE_").lower()
    return (type, spec.key_size, spec.value_size, spec.max_entries, int(spec.flags & ~ignored), frozen)


def _possible_cpus() -> int:
    last = Path("/sys/devices/system/cpu/possible").read_text().strip().rpartition("-")[2]
    return int(last) + 1


def _libbpf_version() -> tuple[int, int]:
    text = subprocess.run([need("bpftool"), "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"libbpf v(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
