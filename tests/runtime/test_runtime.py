"""The library: load, run, maps and variables through their types, coverage and trace."""

from pathlib import Path

import pytest

import pybpftime
from pybpftime import Environment, Fault, InputError, LimitExceeded, assemble, load
from pybpftime.maps import MapError
from pybpftime.program.packets import read_packets
from pybpftime.runtime.coverage import Coverage, format_lcov, read_lcov
from pybpftime.runtime.trace import Tracer, TraceStep

TESTS = Path(__file__).resolve().parent.parent
OBJECTS = TESTS / "programs"
FRAMES = [packet.data for packet in read_packets(TESTS / "captures" / "tiny.pcap")]


def test_public_names_are_what_they_say() -> None:
    for name in pybpftime.__all__:
        assert getattr(pybpftime, name).__name__ == name
        assert name in dir(pybpftime)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = pybpftime.no_such_name


def test_a_program_runs_on_packets_and_counts_in_typed_maps() -> None:
    parser = load(OBJECTS / "xdp_parser.bpf.o").program
    results = [parser.run(frame) for frame in FRAMES]
    assert [str(result.verdict) for result in results] == ["XDP_PASS"] * 3
    assert [result.packet for result in results] == FRAMES
    protocols = parser.maps["protocols"]
    assert protocols["IPV4_TCP"] == {"packets": 1, "bytes": len(FRAMES[1])}
    assert protocols["ARP"]["packets"] == 1
    flows = dict.fromkeys(key["protocol"] for key, _ in parser.maps["flows"].items())
    assert set(flows) == {6, 17}


def test_two_loads_share_nothing_and_runs_are_reproducible() -> None:
    first, second = (load(OBJECTS / "xdp_parser.bpf.o").program for _ in range(2))
    ours = [first.run(frame) for frame in FRAMES]
    assert len(second.maps["flows"]) == 0
    assert [second.run(frame) for frame in FRAMES] == ours


def test_global_variables_by_name() -> None:
    loaded = load(OBJECTS / "globals.bpf.o", variables={"maximum_length": 65})
    measure = loaded["measure"]
    assert [str(measure.run(frame).verdict) for frame in FRAMES] == ["XDP_PASS", "XDP_DROP", "XDP_DROP"]
    assert loaded.globals["packets"] == 3
    assert loaded.globals["smallest"] == 60
    assert loaded.globals["statistics"] == {"version": 3, "balance": -1000 + 205, "bytes": 205}
    loaded.globals["packets"] = 40
    measure.run(FRAMES[0])
    assert measure.globals["packets"] == 41
    assert "packets" in loaded.globals
    assert {"packets", "longest", "maximum_length"} <= set(loaded.globals)


def test_read_only_data_is_frozen_once_loaded() -> None:
    loaded = load(OBJECTS / "globals.bpf.o")
    with pytest.raises(MapError):
        loaded.globals["maximum_length"] = 5
    with pytest.raises(InputError, match="no global variable named nothing"):
        load(OBJECTS / "globals.bpf.o", variables={"nothing": 1})


def test_maps_look_like_dictionaries() -> None:
    maps = load(OBJECTS / "xdp_parser.bpf.o").maps
    flows, protocols = maps["flows"], maps["protocols"]
    key = {"source": [0] * 16, "destination": [0] * 16, "source_port": 7, "destination_port": 9, "ip_version": 4}
    flows[key] = {"packets": 5}
    assert flows[key] == {"packets": 5, "bytes": 0}
    assert len(flows) == 1
    assert key in flows
    del flows[key]
    assert key not in flows
    assert flows.get(key) is None
    with pytest.raises(KeyError):
        _ = flows[key]
    with pytest.raises(KeyError):
        del flows[key]
    protocols["IPV6_TCP"] = {"packets": 2, "bytes": 3}
    assert protocols.to_dict()["IPV6_TCP"] == {"packets": 2, "bytes": 3}
    with pytest.raises(InputError, match="verdicts: value"):
        maps["verdicts"]["XDP_PASS"] = -1
    with pytest.raises(InputError, match=r"key has 3 bytes, it takes 4"):
        _ = maps["verdicts"][b"abc"]
    with pytest.raises(InputError, match="no records"):
        flows.drain()


def test_per_cpu_values_are_lists() -> None:
    loaded = load(OBJECTS / "percpu.bpf.o", environment=Environment(cpu_count=4, cpu=2))
    loaded.program.run(FRAMES[0])
    totals = loaded.maps["totals"][0]
    assert len(totals) == 4
    assert [bool(any(one.values())) for one in totals] == [False, False, True, False]
    loaded.maps["types"][0x0806] = 9
    assert loaded.maps["types"][0x0806] == [9] * 4


def test_ring_buffer_records_are_drained_once() -> None:
    loaded = load(OBJECTS / "ringbuf.bpf.o")
    for frame in FRAMES:
        loaded["output"].run(frame)
    records = loaded.maps["events"].drain()
    assert len(records) == 3
    assert all(isinstance(record, bytes) for record in records)
    assert loaded.maps["events"].drain() == []


def test_prog_arrays_take_programs() -> None:
    loaded = load(OBJECTS / "tail_calls.bpf.o")
    before = loaded["dispatch"].run(FRAMES[1])
    loaded.maps["stages"][0] = loaded["count_arp"]
    del loaded.maps["stages"][0]
    assert before.verdict.value in range(5)


def test_raw_programs_from_text_bytes_and_instructions(tmp_path: Path) -> None:
    program = assemble("r0 = r2\nr0 += 40\nexit")
    file = tmp_path / "sum.s"
    file.write_text("r0 = r2\nr0 += 40\nexit\n")
    for source in (program, file, file.read_bytes(), str(file)):
        assert load(source).program.run(mem=b"ab").r0 == 42
    drop = load(assemble("r0 = 1\nexit"), type="xdp").program
    assert str(drop.run(FRAMES[0]).verdict) == "XDP_DROP"


def test_levels() -> None:
    program = assemble("r0 = r3\nexit")
    assert load(program, level="lenient").program.run().r0 == 0
    with pytest.raises(Fault, match="r3 is read and was never written"):
        load(program).program.run()
    with pytest.raises(InputError, match="no level named lax"):
        load(program, level="lax")


def test_what_cannot_be_loaded_or_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.o: cannot be read"):
        load(tmp_path / "nothing.o")
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path)
    with pytest.raises(InputError, match="no engine named warp"):
        load(assemble("exit"), engine="warp")
    several = load(OBJECTS / "globals.bpf.o")
    with pytest.raises(InputError, match="measure, describe"):
        _ = several.program
    with pytest.raises(InputError, match="no program named missing"):
        _ = several["missing"]
    with pytest.raises(InputError, match="runs on a packet"):
        several["measure"].run()
    with pytest.raises(LimitExceeded):
        load(assemble("loop: goto loop")).program.run(budget=100)


def test_a_fault_says_where_in_the_source() -> None:
    loaded = load(OBJECTS / "xdp_parser.bpf.o")
    parser = loaded.program
    with pytest.raises(LimitExceeded) as caught:
        parser.run(FRAMES[1], budget=20)
    assert (caught.value.program, caught.value.limit, caught.value.amount) == ("parse", "instructions", 20)
    assert parser.run(FRAMES[1]).verdict.value == 2  # a run that failed leaves nothing behind


def test_trace_shows_every_instruction() -> None:
    steps: list[TraceStep] = []
    program = load(assemble("r0 = 1\ncall pc+1\nexit\nr0 = 5\nexit")).program
    result = program.run(observers=[Tracer(steps.append)])
    assert len(steps) == result.instructions == 5
    assert [step.pc for step in steps] == [0, 1, 3, 4, 2]
    assert [step.depth for step in steps] == [0, 0, 1, 1, 0]
    assert steps[0].changes == {0: 1}
    assert steps[2].as_dict() == {"program": "program", "pc": 3, "instruction": "r0 = 0x5", "registers": {"r0": 5}}


def test_trace_of_a_fault_ends_with_the_instruction_that_faulted() -> None:
    steps: list[TraceStep] = []
    with pytest.raises(Fault):
        load(assemble("r1 = 0\nr0 = *(u8 *)(r1 + 0)\nexit")).program.run(observers=[Tracer(steps.append)])
    assert [step.pc for step in steps] == [0, 1]


def test_trace_shows_helper_calls_and_source() -> None:
    steps: list[TraceStep] = []
    load(OBJECTS / "xdp_parser.bpf.o").program.run(FRAMES[1], observers=[Tracer(steps.append)])
    calls = [step.call[0] for step in steps if step.call is not None]
    assert "bpf_map_lookup_elem" in calls
    assert any(step.source and "xdp_parser.bpf.c:" in step.source for step in steps)


def test_coverage_counts_lines_branches_and_instructions(tmp_path: Path) -> None:
    file = tmp_path / "coverage.lcov"
    parser = load(OBJECTS / "xdp_parser.bpf.o").program
    for frame in FRAMES[:2]:
        coverage = Coverage([parser.spec])
        parser.run(frame, observers=[coverage])
        records = coverage.write(file)
    source = next(record for name, record in records.items() if name.endswith("xdp_parser.bpf.c"))
    assert max(source.lines.values()) >= 2
    assert min(source.lines.values()) == 0
    assert source.functions.total() == 2
    taken = {branch: count for branch, count in source.branches.items() if count}
    assert 0 < len(taken) < len(source.branches)
    listing = next(record for name, record in records.items() if name.endswith("parse.s"))
    assert listing.lines[1] == 2
    assert Path(next(name for name in records if name.endswith("parse.s"))).read_text().startswith("    0: ")
    assert read_lcov(file) == records
    assert format_lcov(read_lcov(file)) == file.read_text()


def test_coverage_is_merged_into_what_is_there_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.lcov"
    file.write_text("not lcov\n")
    coverage = Coverage([load(assemble("r0 = 0\nexit")).program.spec])
    with pytest.raises(InputError, match=r"other\.lcov:1: is no lcov file"):
        coverage.write(file)
    with pytest.raises(InputError, match="cannot be written"):
        coverage.write(tmp_path / "missing" / "x.lcov")
    assert file.read_text() == "not lcov\n"
