"""The pytest plugin: fixture `bpf`, option --bpf-coverage.  Little is imported before a test asks for the fixture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pybpftime.runtime.coverage import FileRecord
    from pybpftime.testing.bpf import Bpf

OPTION = "--bpf-coverage"
WORKER_KEY = "pybpftime_coverage"


class SessionCoverage:
    """What all tests of the session covered together."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, FileRecord] = {}


COVERAGE = pytest.StashKey[SessionCoverage]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pybpftime", "eBPF programs")
    group.addoption(OPTION, metavar="FILE", help="write which lines of eBPF programs the tests ran, as an lcov file")


def pytest_configure(config: pytest.Config) -> None:
    file = config.getoption(OPTION, default=None)
    if file is not None:
        config.stash[COVERAGE] = SessionCoverage(Path(config.invocation_params.dir, file))


@pytest.fixture
def bpf(request: pytest.FixtureRequest) -> Iterator[Bpf]:
    """Load and run eBPF programs: see pybpftime.testing.Bpf."""
    from pybpftime.runtime.coverage import Coverage, listings_beside, merge
    from pybpftime.testing.bpf import Bpf

    session = request.config.stash.get(COVERAGE, None)
    coverage = None if session is None else Coverage()
    yield Bpf(request.path.parent, coverage)
    if session is not None and coverage is not None:
        merge(session.records, coverage.records(listings_beside(session.path)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the file; a worker of pytest-xdist hands its part to the controller instead."""
    coverage = session.config.stash.get(COVERAGE, None)
    if coverage is None:
        return
    from pybpftime.runtime.coverage import format_lcov, write_lcov

    output = getattr(session.config, "workeroutput", None)
    if output is None:
        write_lcov(coverage.path, coverage.records)
    else:
        output[WORKER_KEY] = format_lcov(coverage.records)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker of pytest-xdist is done: add what it covered."""
    coverage = node.config.stash.get(COVERAGE, None)
    text = getattr(node, "workeroutput", {}).get(WORKER_KEY)
    if coverage is not None and text:
        from pybpftime.runtime.coverage import merge, parse_lcov

        merge(coverage.records, parse_lcov(text, str(coverage.path)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    coverage = config.stash.get(COVERAGE, None)
    if coverage is None:
        return
    lines = [
        count for name, record in coverage.records.items() if not name.endswith(".s") for count in record.lines.values()
    ]
    ran = sum(1 for count in lines if count)
    share = f" ({ran / len(lines):.0%})" if lines else ""
    terminalreporter.write_sep("-", "coverage of eBPF programs")
    terminalreporter.write_line(f"{ran} of {len(lines)} lines{share}, written to {coverage.path}")
