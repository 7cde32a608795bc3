"""docs/parity.md says what the declarations say."""

from tools import gen_parity


def test_parity_is_up_to_date() -> None:
    assert gen_parity.TARGET.read_text(encoding="utf-8") == "\n".join(gen_parity.lines()) + "\n"


def test_a_map_type_and_a_helper_that_are_here_are_marked() -> None:
    lines = list(gen_parity.lines())
    assert "| hash | yes | yes |" in lines
    assert "| 1 | bpf_map_lookup_elem | yes | yes |" in lines
    assert "| queue | yes | - |" in lines  # until there is one
