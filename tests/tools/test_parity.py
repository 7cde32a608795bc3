"""docs/parity.md says what the declarations say."""

from pybpftime.isa import BY_NAME, TABLE
from pybpftime.isa.row import RFC
from tools import gen_parity


def test_a_map_type_and_a_helper_that_are_here_are_marked() -> None:
    lines = list(gen_parity.lines())
    assert "| hash | yes | yes |" in lines
    assert "| 1 | bpf_map_lookup_elem | yes | yes |" in lines
    assert "| queue | yes | - |" in lines  # until there is one


def test_linux_has_no_instruction_of_clang_or_of_a_later_release() -> None:
    beyond = {row.name for row in TABLE if row.origin != RFC}
    assert {name for name in beyond if gen_parity.in_linux(BY_NAME[name])} == beyond - {"callx", "gotox"}
    assert all(gen_parity.in_linux(row) for row in TABLE if row.origin == RFC)
    [line] = [line for line in gen_parity.lines() if line.startswith("| instructions |")]
    assert line.startswith(f"| instructions | {len(TABLE) - 2} | by engine | {len(TABLE)} known")
