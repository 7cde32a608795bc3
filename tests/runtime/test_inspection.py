"""What an object needs and what of it cannot be served, found without running it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pybpftime.helpers import Helper, default_helpers, helper
from pybpftime.helpers.declarations.kinds import Integer
from pybpftime.helpers.registry import FIRST_EXTERN_ID
from pybpftime.isa.assembler import assemble
from pybpftime.machine import LENIENT
from pybpftime.maps import MapSpec
from pybpftime.program import Extern, MapReference, ObjectSpec, ProgramSpec, Trap, load_object
from pybpftime.runtime.inspection import HelperUse, Problem, Relocation, problems, program_facts
from pybpftime.uapi import MapType, ProgramType

PROGRAMS = Path(__file__).resolve().parents[1] / "programs"
XDP = ProgramType.BPF_PROG_TYPE_XDP


def object_of(program: ProgramSpec, **maps: MapSpec) -> ObjectSpec:
    return ObjectSpec(None, {program.name: program}, maps)


def reasons(program: ProgramSpec, **maps: MapSpec) -> list[str]:
    return [problem.reason for problem in problems(object_of(program, **maps))]


def test_facts_count_what_is_referred_to() -> None:
    program = ProgramSpec(
        "p",
        assemble("call 1\ncall 1\ncall 147\nr1 = map_by_fd(0)\nr1 = map_by_fd(0)\nexit"),
        references={3: MapReference("counts"), 5: Extern("jiffies", "ksym", weak=True)},
    )
    facts = program_facts(program)
    assert facts.helpers == (HelperUse(1, "bpf_map_lookup_elem", 2), HelperUse(147, "bpf_d_path", 1))
    assert str(facts.helpers[0]) == "bpf_map_lookup_elem#1"
    assert facts.maps == {"counts": 1}
    assert facts.symbols == {"ksym jiffies (weak)": 1}
    assert facts.instructions == 6


@pytest.mark.parametrize("path", sorted(PROGRAMS.glob("*.bpf.o")), ids=lambda path: path.name)
def test_committed_objects_have_no_problems(path: Path) -> None:
    assert problems(load_object(path)) == []


def test_references_that_nobody_resolves() -> None:
    code = assemble("r1 = map_by_fd(0)\nr1 = map_by_fd(0)\nr1 = map_by_fd(0)\nr1 = map_by_fd(0)\nexit")
    references = {
        0: Trap("the field does not exist"),
        2: Extern("runqueues", "ksym"),
        4: Extern("CONFIG_HZ", "kconfig", weak=True),  # 0, as libbpf does it
    }
    found = reasons(ProgramSpec("p", code, references=references))
    assert found == [
        "the field does not exist",
        "ksym runqueues is defined neither by the object nor by this runtime",
        next(reason for reason in found if "number 0" in reason),  # the map at 6 that is none
    ]


def test_kernel_functions_and_arenas() -> None:
    code = assemble("call kernel-function#77\nr1 = addr_space_cast(r2, 1, 0)\nexit")
    first, second = reasons(ProgramSpec("p", code))
    assert "BTF id 77" in first
    assert "arena" in second


def test_kernel_functions_that_helpers_stand_for() -> None:
    @helper(programs=frozenset({XDP}))
    def answer() -> Integer:
        """42."""

    table = default_helpers().extended(Helper(FIRST_EXTERN_ID, answer, lambda machine: 42))
    references = {0: Extern("answer", "kfunc"), 1: Extern("question", "kfunc", weak=True)}
    program = ProgramSpec("p", assemble("call kfunc 1\ncall kfunc 2\nexit"), type=XDP, references=references)
    missing = Problem("kfunc question is defined neither by the object nor by this runtime", "p", (1,))
    assert problems(object_of(program), table) == [missing]
    assert [problem.slots for problem in problems(object_of(program))] == [(0,), (1,)]
    elsewhere = replace(program, type=ProgramType.BPF_PROG_TYPE_KPROBE)
    not_here = Problem("answer cannot be called by programs of type kprobe", "p", (0,))
    assert problems(object_of(elsewhere), table) == [not_here, missing]
    assert problems(object_of(elsewhere), table, LENIENT) == [missing]


def test_licenses_decide() -> None:
    program = ProgramSpec("p", assemble("call 35\ncall 5\nexit"), type=XDP, license="BSD")
    reason = "bpf_get_current_task#35 is for programs under a GPL-compatible license, not under 'BSD'"
    assert problems(object_of(program)) == [Problem(reason, "p", (0,))]
    assert problems(object_of(program), level=LENIENT) == []
    assert reasons(replace(program, license="")) == [reason.replace("not under 'BSD'", "and this one has none")]
    assert reasons(replace(program, license="Dual MPL/GPL")) == []


def test_constants_that_loading_refuses() -> None:
    program = ProgramSpec("p", assemble("r0 = 1\nr0 /= 0\nexit"))
    [reason] = reasons(program)
    assert "instruction 1" in reason
    assert problems(object_of(program), level=LENIENT) == []


def test_relocations_are_listed_by_slot() -> None:
    code = assemble("r1 = map_by_fd(0)\nr1 = map_val(map_by_fd(0)) + 8\nr1 = 0 ll\ncall kfunc 1\nr0 = 0\nexit")
    references = {
        7: Trap("the field does not exist"),
        6: Extern("answer", "kfunc"),
        4: Extern("CONFIG_HZ", "kconfig", weak=True),
        0: MapReference("counts"),
        2: MapReference(".rodata", 8),
    }
    assert program_facts(ProgramSpec("p", code, references=references)).relocations == (
        Relocation(0, "map", "counts"),
        Relocation(2, "map value", ".rodata", 8),
        Relocation(4, "kconfig", "CONFIG_HZ"),
        Relocation(6, "kfunc", "answer"),
        Relocation(7, "failed", None),
    )


def test_the_table_of_helpers_decides() -> None:
    program = ProgramSpec("p", assemble("call 5\nexit"), type=XDP)
    assert problems(object_of(program), default_helpers()) == []
    declaration = default_helpers().find("bpf_ktime_get_ns")
    assert declaration is not None
    without = [replace(helper, function=None) if helper.id == 5 else helper for helper in default_helpers()]
    table = type(default_helpers())(without)
    assert problems(object_of(program), table) == [Problem("bpf_ktime_get_ns#5 is not implemented", "p", (0,))]


def test_maps_that_cannot_be_made() -> None:
    program = ProgramSpec("p", assemble("exit"))
    trie = MapSpec("routes", MapType.BPF_MAP_TYPE_LPM_TRIE, 8, 4, 16)
    odd = MapSpec("odd", MapType.BPF_MAP_TYPE_ARRAY, 8, 4, 16)
    stages = MapSpec("stages", MapType.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2, values=((0, "p"), (1, "gone")))
    found = reasons(program, routes=trie, odd=odd, stages=stages)
    assert len(found) == 3
    assert "LPM_TRIE is not supported" in found[0]
    assert "key_size must be 4" in found[1]
    assert "entry 1 names gone" in found[2]


def test_problem_names_the_source_line() -> None:
    spec = load_object(PROGRAMS / "xdp_parser.bpf.o")
    as_socket = replace(spec.programs["parse"], type=ProgramType.BPF_PROG_TYPE_LSM)
    [problem] = problems(object_of(as_socket))
    assert "cannot be run" in problem.reason
    trapped = replace(spec.programs["parse"], references={2: Trap("no")})
    found = {problem.reason: problem for problem in problems(object_of(trapped))}
    assert found["no"].source is not None
    assert found["no"].source.startswith("xdp_parser.bpf.c:")
