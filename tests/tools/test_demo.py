"""The guided tour comes to its end, on hosts too where not every stop can be shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from attach.tracing import PATIENCE, can_trace

__all__ = ["can_trace"]

ROOT = Path(__file__).resolve().parents[2]
END = "That was the tour."


def tour(*before: str) -> str:
    """What the tour prints; `before` is executed first."""
    script = ["import sys", *before, "from tools.demo import main", "main()"]
    command = [sys.executable, "-c", "\n".join(script)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=2 * PATIENCE)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    return result.stdout + result.stderr


def test_the_tour_ends_with_a_live_process(can_trace: None) -> None:
    shown = tour()
    assert END in shown
    assert "\nhello from the process\n" in shown
    assert "ended with exit code 0" in shown
    assert "\nallocations  hash, 1 of 1,024 entries\n" in shown


def test_a_missing_package_is_said_and_the_tour_goes_on(can_trace: None) -> None:
    shown = tour("sys.modules['ptrace'] = None")
    assert "live processes need the package python-ptrace" in shown
    assert END in shown


def test_another_system_is_said_and_the_tour_goes_on() -> None:
    shown = tour("sys.platform = 'sunos'")
    assert "Not here: it takes Linux on x86-64, this is sunos" in shown
    assert END in shown
