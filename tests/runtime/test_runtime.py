"""The library: load, run, maps and variables through their types, coverage and trace."""

from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import pybpftime
from pybpftime import Environment, Fault, InputError, LimitExceeded, assemble, load
from pybpftime.helpers import default_helpers, load_helper_module
from pybpftime.machine import Limits
from pybpftime.maps import MapError
from pybpftime.program.packets import read_packets
from pybpftime.runtime.coverage import Coverage, format_lcov, read_lcov
from pybpftime.runtime.load import installed_helpers
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
    assert loaded.maps["stages"][0] == "count_arp"
    loaded.maps["stages"][0] = "count_ipv6"
    assert loaded.maps["stages"][0] == "count_ipv6"
    del loaded.maps["stages"][0]
    assert 0 not in loaded.maps["stages"]
    assert before.verdict.value in range(5)
    for wrong in ("nothing", 1, b"abcd", [1], None, {"a": 1}):
        with pytest.raises(InputError, match="takes a program or the name of one"):
            loaded.maps["stages"][0] = wrong
    assert 0 not in loaded.maps["stages"]


def test_a_map_without_elements_says_so() -> None:
    with pytest.raises(InputError, match="it has no elements"):
        load(OBJECTS / "ringbuf.bpf.o").maps["events"][0] = b""


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


# --- limits, helpers, environments, arguments -------------------------------------------------------------------------

HELPERS = """
from pybpftime.helpers import helper, implements
from pybpftime.helpers.declarations.kinds import Integer

@helper()
def {name}() -> Integer:
    "The process."

@implements({name})
def implementation(machine):
    return machine.environment.pid
"""
CALL = assemble(f"call {0x4000_0000:#x}\nexit")


@pytest.fixture
def helper_file(tmp_path: Path) -> Path:
    file = tmp_path / "mine.py"
    file.write_text(HELPERS.format(name="user_pid"))
    return file


def test_limits_hold_for_every_program_of_an_object() -> None:
    nested = assemble("call pc+1\nexit\ncall pc+1\nexit\nr0 = 7\nexit")
    assert load(nested, limits=Limits(max_depth=3)).program.run().r0 == 7
    with pytest.raises(LimitExceeded, match="limited to 2 frames"):
        load(nested, limits=Limits(max_depth=2)).program.run()
    bottom = assemble("r1 = 1\n*(u64 *)(r10 - 1024) = r1\nr0 = *(u64 *)(r10 - 1024)\nexit")
    assert load(bottom, limits=Limits(frame_size=1024)).program.run().r0 == 1
    with pytest.raises(Fault, match="stack"):
        load(bottom).program.run()
    counting = assemble("r0 = 0\nagain: r0 += 1\nmay_goto +1\ngoto again\nexit")
    assert load(counting, limits=Limits(loops=4)).program.run().r0 == 5


@pytest.mark.parametrize("limit", [0, 2])
def test_tail_calls_beyond_the_limit_do_nothing(limit: int) -> None:
    loaded = load(OBJECTS / "tail_calls.bpf.o", limits=Limits(tail_calls=limit))
    dispatch = loaded["dispatch"]
    for index in range(len(loaded.maps["stages"].raw.spec.values) or 4):
        loaded.maps["stages"][index] = dispatch
    for frame in FRAMES:
        dispatch.run(frame)
        assert dispatch.machine.tail_calls == limit


def test_helpers_are_paths_modules_tables_and_lists_of_them(helper_file: Path) -> None:
    module = load_helper_module(helper_file)
    table = default_helpers().extended(module)
    alone: list[Any] = [helper_file, str(helper_file), module, table]
    forms = [*alone, [helper_file], (module,), [default_helpers(), module]]
    for helpers in forms:
        assert load(CALL, helpers=helpers, environment=Environment(pid=9)).program.run().r0 == 9
    for nothing in (None, [], ()):
        assert load(CALL, helpers=nothing).helpers is installed_helpers()


@pytest.mark.parametrize("helpers", [{"x": 5}, 5, b"mine.py", [5], [[]], {}, 1.5], ids=repr)
def test_other_helpers_are_refused(helpers: Any) -> None:
    with pytest.raises(InputError, match="helpers takes a HelperTable, a module, the path of one, or a list"):
        load(CALL, helpers=helpers)


def test_one_table_is_enough() -> None:
    with pytest.raises(InputError, match="takes one HelperTable"):
        load(CALL, helpers=[default_helpers(), default_helpers()])


def test_installed_helpers_are_there_unless_a_table_is_given(
    helper_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.py"
    other.write_text(HELPERS.format(name="other_pid"))
    installed = load_helper_module(helper_file)
    installed.environment = Environment(pid=5)  # type: ignore[attr-defined]
    point = SimpleNamespace(name="mine", value="mine", load=lambda: installed)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point])
    installed_helpers.cache_clear()
    try:
        assert load(CALL).program.run().r0 == 1, "an installed module's environment is not used"
        both = load(CALL, helpers=other).helpers
        assert both.find("user_pid") is not None
        assert both.find("other_pid") is not None
        with pytest.raises(Fault, match="there is no helper"):
            load(CALL, helpers=default_helpers()).program.run()
    finally:
        installed_helpers.cache_clear()


def test_a_module_offers_an_environment(helper_file: Path) -> None:
    text = HELPERS.format(name="user_pid") + "from pybpftime import Environment\n"
    helper_file.write_text(text + "environment = Environment(pid=41)\n")
    assert load(CALL, helpers=helper_file).program.run().r0 == 41
    assert load(CALL, helpers=helper_file, environment=Environment(pid=2)).program.run().r0 == 2
    helper_file.write_text(text + "def environment(): return Environment(pid=42)\n")
    module = load_helper_module(helper_file)
    first, second = (load(CALL, helpers=module) for _ in range(2))
    assert first.program.run().r0 == 42
    assert first.environment is not second.environment


def environments() -> list[tuple[object, str]]:
    return [(5, "its environment is a int"), (lambda: 5, "its environment is a int"),
            (lambda one: one, "its environment cannot be made: TypeError")]  # fmt: skip


@pytest.mark.parametrize(("offered", "message"), environments(), ids=["number", "wrong result", "takes arguments"])
def test_other_environments_are_refused(offered: object, message: str) -> None:
    module = ModuleType("mine")
    module.environment = offered  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=f"helper module mine: {message}"):
        load(CALL, helpers=module)
    load(assemble("exit"), helpers=module, environment=Environment())
    with pytest.raises(InputError, match="mine and helper module mine offer an environment each"):
        load(CALL, helpers=[module, module])


@pytest.mark.parametrize("packet", ["ffff", 60, [0] * 60, {}], ids=repr)
def test_packets_are_bytes(packet: Any) -> None:
    with pytest.raises(InputError, match="packet takes bytes, not"):
        load(OBJECTS / "xdp_parser.bpf.o").program.run(packet)
    with pytest.raises(InputError, match="mem takes bytes, not"):
        load(assemble("exit")).program.run(mem=packet)


def test_packets_are_bytes_of_any_kind() -> None:
    parser = load(OBJECTS / "xdp_parser.bpf.o").program
    wide: Any = memoryview(FRAMES[1]).cast("H")
    for packet in (bytearray(FRAMES[1]), memoryview(FRAMES[1]), wide):
        assert parser.run(packet).packet == FRAMES[1]


@pytest.mark.parametrize("budget", ["3", -1, 1.0, None, True, pytest.param(10**5000, id="huge")])
def test_budgets_are_numbers_of_instructions(budget: Any) -> None:
    with pytest.raises(InputError, match="a budget is a number of instructions from 0 to"):
        load(assemble("exit")).program.run(budget=budget)


@pytest.mark.parametrize("name", ["level", "environment", "limits"])
def test_options_of_another_kind_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} takes an object of the class"):
        load(CALL, **{name: 5})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no engine named"):
        load(CALL, engine=[])  # type: ignore[arg-type]


def test_assembly_calls_helpers_by_name(tmp_path: Path) -> None:
    file = tmp_path / "clock.s"
    file.write_text("call bpf_ktime_get_ns\nexit\n")
    assert load(file, type="xdp", environment=Environment(time_ns=41, tick_ns=1)).program.run(FRAMES[0]).r0 == 42


def test_a_type_that_the_object_does_not_name_is_refused() -> None:
    with pytest.raises(InputError, match="parse in section xdp is of type xdp"):
        load(OBJECTS / "xdp_parser.bpf.o", type="sched_cls")
    assert load(OBJECTS / "xdp_parser.bpf.o", type="xdp").program.name == "parse"
