"""The pytest plugin, run as users run it: in a session of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pybpftime
import pybpftime.testing
from pybpftime.runtime.coverage import read_lcov

pytest_plugins = ["pytester"]

# Loaded by its module's name, whether or not the package is installed with its entry point.
PLUGIN = ("-p", "no:pybpftime", "-p", "pybpftime.testing.plugin", "-p", "no:cacheprovider")
GUIDE = "docs/how-to/test-with-pytest.md"

COUNTING = """
    import pybpftime

    def test_branch(bpf):
        bpf.assert_verdict(bpf.run("xdp_parser.bpf.o", bytes(60)), "XDP_PASS")

    def test_other_branch(bpf):
        bpf.assert_verdict(bpf.run("xdp_parser.bpf.o", bytes(12) + bytes.fromhex("0800")), "XDP_ABORTED")
"""


@pytest.fixture
def folder(pytester: pytest.Pytester, repository: Path) -> Path:
    """An empty folder with the objects that tests load, where pytest runs."""
    for name in ("xdp_parser.bpf.o", "xdp_forward.bpf.o", "latency.bpf.o"):
        shutil.copy(repository / "tests/programs" / name, pytester.path)
    return pytester.path


def test_guide_runs(pytester: pytest.Pytester, folder: Path, repository: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (repository / GUIDE).read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 3
    (folder / "test_guide.py").write_text("".join(blocks))
    result = pytester.runpytest_inprocess(*PLUGIN)
    result.assert_outcomes(passed="".join(blocks).count("def test_") + 1)  # one has two parameters


def test_failure_says_what_is_different(pytester: pytest.Pytester, folder: Path, repository: Path) -> None:
    guide = (repository / GUIDE).read_text("utf-8")
    [shown] = re.findall(r"```text\n(.*?)```", guide, re.DOTALL)
    [head] = re.findall(r"```python\n(.*?)\n\n\ndef test_web", guide, re.DOTALL)
    failing = 'def test(bpf):\n    parse = bpf.load("xdp_parser.bpf.o").program\n    parse.run(tcp(80))\n'
    failing += '    bpf.assert_map(parse.maps["protocols"], {"IPV4_TCP": {"packets": 2}})\n'
    (folder / "test_failing.py").write_text(f"{head}\n\n\n{failing}")
    result = pytester.runpytest_inprocess(*PLUGIN)
    result.assert_outcomes(failed=1)
    assert shown in result.stdout.str()
    assert "assertions.py" not in result.stdout.str(), "the traceback ends in the test"


def test_coverage_is_added_up_over_the_session(pytester: pytest.Pytester, folder: Path) -> None:
    pytester.makepyfile(COUNTING)
    result = pytester.runpytest_inprocess(*PLUGIN, "--bpf-coverage", "out.lcov")
    result.assert_outcomes(passed=2)
    records = read_lcov(folder / "out.lcov")
    source = records["./tests/programs/xdp_parser.bpf.c"]
    assert source.functions[321, "parse"] == 2
    assert any(count == 0 for count in source.lines.values())
    covered, known = sum(count > 0 for count in source.lines.values()), len(source.lines)
    result.stdout.fnmatch_lines([f"{covered} of {known} lines*written to *out.lcov"])
    listing = records[str(folder / "out.lcov.listings/xdp_parser.parse.s")]
    assert listing.lines[1] == 2


def test_coverage_is_collected_from_workers(
    pytester: pytest.Pytester, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xdist", reason="needs pytest-xdist")
    pytester.makepyfile(COUNTING)
    # Workers are processes of their own, and find the package where this process does.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(pybpftime.__path__[0]).parent), *sys.path]))
    result = pytester.runpytest_subprocess(*PLUGIN, "-p", "xdist", "-n", "2", "--bpf-coverage", "out.lcov")
    result.assert_outcomes(passed=2)
    source = read_lcov(folder / "out.lcov")["./tests/programs/xdp_parser.bpf.c"]
    assert source.functions[321, "parse"] == 2


def test_without_the_option_nothing_is_written(pytester: pytest.Pytester, folder: Path) -> None:
    pytester.makepyfile(COUNTING)
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=2)
    assert not list(folder.glob("*.lcov*"))


def test_coverage_of_programs_that_never_ran_is_reported(pytester: pytest.Pytester, folder: Path) -> None:
    pytester.makepyfile("def test(bpf): bpf.load('xdp_parser.bpf.o')")
    pytester.runpytest_inprocess(*PLUGIN, "--bpf-coverage", "out.lcov").assert_outcomes(passed=1)
    source = read_lcov(folder / "out.lcov")["./tests/programs/xdp_parser.bpf.c"]
    assert source.lines
    assert not any(source.lines.values())


def test_plugin_is_cheap_for_sessions_that_do_not_use_it() -> None:
    """pytest imports it in every project where the package is installed."""
    code = "import sys, pybpftime.testing.plugin; print(*(m for m in sys.modules if m.startswith('pybpftime')))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(run.stdout.split()) <= {
        *("pybpftime", "pybpftime.lazy", "pybpftime.testing", "pybpftime.testing.plugin")
    }


ROOT = Path(__file__).resolve().parents[2]
