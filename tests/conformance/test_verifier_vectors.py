"""The reader of verifier test data, the kernel that it came from as a witness, and a shard of it for our verifier."""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.conformance.verifier_fixtures import FIXTURES, fixture
from pybpftime.conformance.verifier_kernel import kernel_answer
from pybpftime.conformance.verifier_messages import RULES, SAFETY, MessageClass, class_of
from pybpftime.conformance.verifier_vectors import KernelAnswer, Vector, read_vector, read_vectors
from pybpftime.errors import InputError
from pybpftime.isa import Form, encode_program, lookup
from pybpftime.kernel import available
from pybpftime.maps.spec import MapSpec
from pybpftime.program.spec import Extern, MapReference
from pybpftime.uapi import AttachType, MapFlag, MapType, ProgramType
from tools import verifier_parity_docs
from tools.verifier_parity_workers import ERROR, Job, Limits, judge_all

RAW, COMPILED = "raw_dev.json.gz", "progs_dev.json.gz"
RETURN_ZERO = "b700000000000000" + "9500000000000000"
MAP_LOAD = "1811000000000000" + "0000000000000000"


@pytest.fixture(scope="module")
def vectors(shared_data: Path) -> dict[str, tuple[Vector, ...]]:
    folder = shared_data / "verifier"
    if not (folder / RAW).is_file() or not (folder / COMPILED).is_file():
        pytest.skip("needs the verifier test data in ../shared/data/verifier")
    return {name: read_vectors(folder / name) for name in (RAW, COMPILED)}


# --- entries ----------------------------------------------------------------------------------------------------------


def test_a_raw_vector() -> None:
    vector = read_vector(
        {
            "name": "a name",
            "file": "file.c",
            "insns": MAP_LOAD + "1822000000000000" + "0000000008000000" + RETURN_ZERO,
            "prog_type": 0,
            "flags": 2 | 16,
            "fixups": [{"insn": 0, "kind": "map_hash_48b"}, {"insn": 2, "kind": "map_array_48b"}],
            "linux_6_18": {"verdict": "reject", "msg": "R0 !read_ok", "insns_processed": 3, "verif_us": 20},
        }
    )
    assert vector.name == "file.c: a name"
    assert vector.kernel == KernelAnswer(False, "R0 !read_ok", 3, 20)
    assert vector.program is not None
    assert vector.program.type is ProgramType.BPF_PROG_TYPE_SOCKET_FILTER
    assert vector.program.references == {0: MapReference("map_hash_48b"), 2: MapReference("map_array_48b", 8)}
    assert vector.program.flags == {"sleepable"}
    assert vector.strict_alignment
    assert vector.maps["map_hash_48b"] == MapSpec("map_hash_48b", MapType.BPF_MAP_TYPE_HASH, 8, 48, 1, 1)


def test_a_compiled_program() -> None:
    vector = read_vector(
        {
            "file": "file.c",
            "function": "main",
            "section": "iter.s/task",
            "prog_type": 26,
            "expected_attach_type": 28,
            "flags": 1,
            "maps": [
                {"name": "m", "type": 1, "key_size": 4, "value_size": 8, "max_entries": 2, "flags": 0, "internal": 0},
                {"name": "m", "type": 2, "key_size": 4, "value_size": 9, "max_entries": 1, "flags": 128, "internal": 1},
            ],
            "map_insns": [0],
            "kfunc_calls": [{"insn": 2, "name": "bpf_kfunc"}],
            "ksyms": [{"insn": 3, "name": "runqueues"}],
            "insns": "1821000001000000" + "0000000003000000" + "8520000077000000" + "1832000007000000"
            "0000000000000000" + RETURN_ZERO,
            "linux_6_18": {"verdict": "accept", "excluded": None},
        }
    )
    program = vector.program
    assert program is not None
    assert (program.name, program.section, program.attach_to) == ("main", "iter.s/task", "task")
    assert program.attach_type is AttachType.BPF_TRACE_ITER
    assert program.flags == {"sleepable"}
    assert program.references == {
        0: MapReference("m#1", 3),
        2: Extern("bpf_kfunc", "kfunc"),
        3: Extern("runqueues", "ksym"),
    }
    assert [instruction.imm for instruction in program.instructions if instruction] == [0, 0, 0, 0, 0]
    assert vector.maps["m#1"].flags == MapFlag.BPF_F_RDONLY_PROG
    assert vector.maps["m#1"].contents is None
    assert vector.kfuncs
    assert vector.strict_alignment
    assert vector.unknown == (
        "locks, timers and kernel pointers in values of m",
        "the contents of m#1",
        "which functions are global, and the types of their arguments",
    )
    assert vector.kernel == KernelAnswer(True)


def test_missing_keys_mean_what_is_usual() -> None:
    vector = read_vector({"insns": RETURN_ZERO})
    assert vector.name == "without a name"
    assert vector.kernel is None
    assert vector.program is not None
    assert vector.program.attach_type is None
    assert not vector.maps
    compiled = read_vector({"function": "f", "insns": RETURN_ZERO, "linux_6_18": {}})
    assert compiled.program is not None
    assert compiled.program.name == "f"
    assert compiled.kernel is None


def test_packed_instructions() -> None:
    packed = base64.b64encode(zlib.compress(bytes.fromhex(RETURN_ZERO))).decode()
    vector = read_vector({"insns": None, "insns_zlib_b64": packed})
    assert vector.program is not None
    assert encode_program(vector.program.instructions).hex() == RETURN_ZERO
    assert vector.program == read_vector({"insns": RETURN_ZERO}).program


def test_what_is_no_program_is_a_vector_all_the_same() -> None:
    vector = read_vector({"name": "n", "insns": "1800000000000000" + "0000010000000000"})
    assert vector.program is None
    assert "second slot" in str(vector.malformed)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (7, "no JSON object"),
        ({"name": "n"}, "entry 'n' is not of the form: KeyError 'insns'"),
        ({"insns": "zz"}, "not of the form: ValueError"),
        ({"insns": None, "insns_zlib_b64": "AAAA"}, "insns_zlib_b64"),
        ({"insns": RETURN_ZERO, "prog_type": 999}, "program type 999 is unknown"),
        ({"insns": RETURN_ZERO, "expected_attach_type": -1}, "attach type -1 is unknown"),
        ({"insns": RETURN_ZERO, "fixups": [{"insn": 0, "kind": "map_x"}]}, "no kind of map 'map_x'"),
        ({"insns": RETURN_ZERO, "fixups": [{"insn": 9, "kind": "prog1"}]}, "there is no instruction 9"),
        ({"insns": RETURN_ZERO, "maps": [{"name": "m", "type": 99}]}, "map type 99 is unknown"),
        ({"insns": MAP_LOAD, "maps": [], "map_insns": [0]}, "instruction 0 refers to map 0 of 0"),
        ({"insns": RETURN_ZERO, "linux_6_18": "accept"}, "not of the form"),
    ],
)
def test_malformed_entries_are_refused_by_name(entry: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        read_vector(entry)
    assert text in str(caught.value)


JSON = st.recursive(st.none() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3))
KEYS = (
    "insns",
    "insns_zlib_b64",
    "maps",
    "map_insns",
    "fixups",
    "flags",
    "prog_type",
    "section",
    "linux_6_18",
    "ksyms",
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON | st.just(RETURN_ZERO) | st.dictionaries(st.text(), JSON)))
def test_whatever_an_entry_holds_it_is_read_or_refused(entry: dict[str, Any]) -> None:
    try:
        read_vector({"insns": RETURN_ZERO} | entry)
    except InputError as error:
        assert "entry" in str(error)


# --- files ------------------------------------------------------------------------------------------------------------


def test_files_compressed_or_not_and_names_that_differ(tmp_path: Path) -> None:
    text = json.dumps([{"name": "n", "insns": RETURN_ZERO}, {"name": "n", "insns": RETURN_ZERO}]).encode()
    (tmp_path / "plain.json").write_bytes(text)
    (tmp_path / "small.json.gz").write_bytes(gzip.compress(text, mtime=0))
    for path in tmp_path.iterdir():
        assert [vector.name for vector in read_vectors(path)] == ["n", "n #2"]


CUT_OFF = gzip.compress(b"[]", mtime=0)[:-9]  # without the time, so that the test has one name


@pytest.mark.parametrize("content", [b"{}", b"[", b"\xff", b"\x1f\x8b\x08", CUT_OFF, b"[" * 100_000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(InputError, match="file"):
        read_vectors(path)
    with pytest.raises(InputError):
        read_vectors(tmp_path / "none")


def test_fixtures_are_maps_by_their_name() -> None:
    assert all(spec.name == name for name, spec in FIXTURES.items())
    assert fixture("fixup_map_timer").timer_offset == 0
    contents = FIXTURES["map_array_48b"].contents
    assert contents is not None
    assert (contents[:4], contents[28:32], len(contents)) == (b"\x1c\0\0\0", b"\x12\xef\xcd\xab", 48)
    assert sum(contents[4:28]) + sum(contents[32:]) == 0


def test_the_data_is_read_completely(vectors: dict[str, tuple[Vector, ...]]) -> None:
    for entries in vectors.values():
        assert len({vector.name for vector in entries}) == len(entries)
        assert all(vector.kernel is not None for vector in entries)
        assert all((vector.program is None) is (vector.malformed is not None) for vector in entries)
        assert not [vector.name for vector in entries if vector.malformed and vector.kernel and vector.kernel.accepts]
    assert sum(vector.malformed is not None for vector in vectors[RAW]) <= 5
    assert all(
        slot < len(vector.program.instructions) and reference.name in vector.maps
        for entries in vectors.values()
        for vector in entries
        if vector.program is not None
        for slot, reference in vector.program.references.items()
        if isinstance(reference, MapReference)
    )


# --- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("R1 offset is outside of the packet", MessageClass.MEMORY),
        ("R0 min value is outside of the allowed memory range", MessageClass.MEMORY),
        ("invalid read from stack off -8+0 size 8", MessageClass.UNINITIALISED),
        ("invalid write to stack R1 off=-520 size=8", MessageClass.MEMORY),
        ("R3 !read_ok", MessageClass.UNINITIALISED),
        ("R0 invalid mem access 'map_value_or_null'", MessageClass.NULL),
        ("R6 invalid mem access 'scalar'", MessageClass.TYPE),
        ("invalid bpf_context access off=72 size=4", MessageClass.CONTEXT),
        ("misaligned stack access off 0+-4+0 size 8", MessageClass.ALIGNMENT),
        ("BPF_EXIT instruction in main prog would lead to reference leak", MessageClass.REFERENCE),
        ("tracing progs cannot use bpf_spin_lock yet", MessageClass.HELPER),
        ("cannot pass map_type 3 into func bpf_map_lookup_elem#1", MessageClass.HELPER),
        ("math between map_value pointer and 4294967295 is not allowed", MessageClass.ARITHMETIC),
        ("R0 pointer arithmetic on map_value_or_null prohibited, null-check it first", MessageClass.NULL),
        ("last insn is not an exit or jmp", MessageClass.STRUCTURE),
        ("infinite loop detected at insn 5", MessageClass.TERMINATION),
        ("At program exit the register R0 has smin=2 should have been in [0, 1]", MessageClass.RETURN),
        ("arg#0 expected pointer to allocated object", MessageClass.BTF),
        ("something new", MessageClass.OTHER),
        (None, MessageClass.UNKNOWN),
    ],
)
def test_messages_are_classed(message: str | None, expected: MessageClass) -> None:
    assert class_of(message) is expected


def test_most_messages_of_the_data_have_a_class(vectors: dict[str, tuple[Vector, ...]]) -> None:
    kernels = [vector.kernel for entries in vectors.values() for vector in entries]
    messages = [each.message for each in kernels if each is not None and not each.accepts and not each.excluded]
    classes = [class_of(message) for message in messages if message]
    assert classes.count(MessageClass.OTHER) <= len(classes) // 20
    used = {next((rule.pattern for rule in RULES if rule.pattern.search(text)), None) for text in messages if text}
    assert len(used) > len(RULES) // 2


# --- the kernel -------------------------------------------------------------------------------------------------------


def is_self_contained(vector: Vector) -> bool:
    """Whether the kernel judges its functions without BTF as it does with it: there is but one."""
    assert vector.program is not None
    return not any(
        instruction is not None
        and (instruction.src_reg == 4 if instruction.next_imm is not None else form_of(instruction) is Form.CALL_LOCAL)
        for instruction in vector.program.instructions
    )


def form_of(instruction: Any) -> Form | None:
    try:
        return lookup(instruction).form
    except InputError:
        return None


@pytest.mark.parametrize("file", [RAW, COMPILED])
def test_the_running_kernel_gives_the_recorded_answers(vectors: dict[str, tuple[Vector, ...]], file: str) -> None:
    """So an entry is read as what it is: type, attach type, flags, maps and their use."""
    if reason := available():
        pytest.skip(f"needs bpf(2): {reason}")
    chosen = random.Random(618).sample(vectors[file], 250)
    asked, unlike = 0, []
    for vector in chosen:
        recorded, program = vector.kernel, vector.program
        if program is None or recorded is None or recorded.excluded or not is_self_contained(vector):
            continue
        answer = kernel_answer(program, vector.maps, strict_alignment=vector.strict_alignment)
        if answer.excluded is None:
            asked += 1
            if answer.accepts is not recorded.accepts:
                unlike.append((vector.name, answer.message, recorded.message))
    assert asked > 80
    assert unlike == []


def test_the_kernel_is_not_asked_what_it_cannot_know() -> None:
    if reason := available():
        pytest.skip(f"needs bpf(2): {reason}")
    lock = read_vector({"insns": MAP_LOAD + RETURN_ZERO, "fixups": [{"insn": 0, "kind": "map_spin_lock"}]})
    kfunc = read_vector({"insns": "8520000000000000" + RETURN_ZERO, "kfuncs": [{"insn": 0, "kfunc": "f"}]})
    tracing = read_vector({"insns": RETURN_ZERO, "prog_type": 26})
    for vector, text in ((lock, "takes BTF"), (kfunc, "Extern"), (tracing, "takes the BTF of what")):
        assert vector.program is not None
        assert re.search(text, str(kernel_answer(vector.program, vector.maps).excluded))


# --- our verifier -----------------------------------------------------------------------------------------------------

SHARD = 60
LARGEST_OF_SHARD = 400


def test_a_shard_of_the_data_has_no_error_and_no_safe_program_without_a_cause(
    vectors: dict[str, tuple[Vector, ...]],
) -> None:
    verifier = pytest.importorskip("pybpftime.verifier", reason="needs the verifier")
    if not hasattr(verifier, "verify"):
        pytest.skip("needs the verifier")
    candidates = [
        Job(file, vector)
        for file, entries in vectors.items()
        for vector in entries
        if vector.kernel is not None
        and vector.kernel.excluded is None
        and (vector.program is None or len(vector.program.instructions) <= LARGEST_OF_SHARD)
    ]
    jobs = random.Random(2026).sample(candidates, SHARD)
    judgements = judge_all(jobs, verifier.verify, Limits(timeout=20.0, budget=20_000), processes=2)
    assert [(each.name, each.sentence) for each in judgements if each.verdict == ERROR] == []
    unexplained = verifier_parity_docs.unexplained(judgements, verifier_parity_docs.read_causes())
    assert [each for each in unexplained if each.get("class") in SAFETY] == []
