"""A shard of `make campaign-streams`: random instruction streams end in a result or one clear error."""

from tools.campaign_streams import work


def test_random_streams_raise_nothing_but_clear_errors() -> None:
    shard = work(seed=2026, first=0, count=250)
    assert shard["findings"] == []
    outcomes = shard["outcomes"]
    assert sum(outcomes.values()) == 250
    # The shard is worth something only if it reaches every stage.
    assert {"not decoded", "InputError", "Fault", "ran"} <= outcomes.keys()
