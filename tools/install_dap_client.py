"""Installs Microsoft's client of the Debug Adapter Protocol, for tests/debug/dap/node_client.py.

    python -m tools.install_dap_client

Needs node and npm (Debian: nodejs, npm) and a network.  What is installed, and in which version, is said by
tests/debug/dap/node/package.json; it goes into a folder of the user's cache, never into the repository.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "tests" / "debug" / "dap" / "node" / "package.json"
CLIENT = Path("node_modules", "@vscode", "debugadapter-testsupport")
PROTOCOL_TYPES = Path("node_modules", "@vscode", "debugprotocol", "lib", "debugProtocol.d.ts")


def folder() -> Path:
    """Where it is installed."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "pybpftime", "dap-client")


def installed() -> Path | None:
    """The folder with node_modules; None if what package.json asks for is not there."""
    current = folder()
    same = (current / "package.json").is_file() and (current / "package.json").read_bytes() == PACKAGE.read_bytes()
    return current if same and (current / CLIENT).is_dir() and (current / PROTOCOL_TYPES).is_file() else None


def main() -> int:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        print("node and npm are not installed; on Debian: apt-get install nodejs npm", file=sys.stderr)
        return 1
    target = folder()
    target.mkdir(parents=True, exist_ok=True)
    (target / "package.json").unlink(missing_ok=True)
    shutil.copyfile(PACKAGE, target / "package.json")
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
    code = subprocess.run([npm, "install", *options], cwd=target, check=False).returncode
    if code or installed() is None:
        (target / "package.json").unlink(missing_ok=True)  # half an installation counts as none
        print("npm could not install the client", file=sys.stderr)
        return 1
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
