"""Microsoft's client (npm: @vscode/debugadapter-testsupport) plays scenarios against a debugger."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from debug.dap.client import PATIENCE

from tools.install_dap_client import installed

DRIVER = Path(__file__).with_name("node") / "driver.js"


def call(method: str, *arguments: Any) -> dict[str, Any]:
    return {"call": method, "with": list(arguments)}


def expect(event: str) -> dict[str, Any]:
    return {"expect": event}


def play_on(adapter: dict[str, Any], *steps: dict[str, Any]) -> Any:
    """Play the steps; {results, events} of the driver, once it had no error."""
    node, folder = shutil.which("node"), installed()
    if node is None or folder is None:
        pytest.skip("needs node and python -m tools.install_dap_client")
    scenario = json.dumps({"adapter": adapter, "steps": steps})
    command = [node, str(DRIVER), str(folder)]
    ended = subprocess.run(command, input=scenario, capture_output=True, text=True, timeout=3 * PATIENCE, check=False)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    report = json.loads(ended.stdout)
    assert "error" not in report, report
    return report
