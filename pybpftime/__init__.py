"""pybpftime: a user-space eBPF runtime in Python.

    import pybpftime

    parser = pybpftime.load("xdp_parser.bpf.o").program
    result = parser.run(packet=frame)
    print(result.verdict, parser.maps["protocols"][3])

The names in `__all__` are the public interface: they keep their meaning from one minor version to the next, and
what changes is in CHANGELOG.md.  Everything else may be used, and may move.
"""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

from pybpftime.lazy import lazy_names

__version__ = "0.1.0.dev0"

# `pybpftime/verifier` and `pybpftime/conformance` are symbolic links; git without `core.symlinks` writes small text
# files in their place.
if os.path.isfile(os.path.join(os.path.dirname(__file__), "verifier")):
    raise ImportError(
        "this checkout of pybpftime has no symbolic links: clone it again with `git clone -c core.symlinks=true`"
    )

if TYPE_CHECKING:
    from pybpftime.errors import BpfError, Fault, HostError, InputError, LimitExceeded, VerificationError
    from pybpftime.isa.assembler import assemble
    from pybpftime.isa.disassembler import disassemble
    from pybpftime.machine.environment import Environment
    from pybpftime.machine.machine import Limits
    from pybpftime.program.packets import read_packets
    from pybpftime.runtime.load import load
    from pybpftime.runtime.objects import Object, Program
    from pybpftime.runtime.result import Result

__all__ = [
    "BpfError",
    "Environment",
    "Fault",
    "HostError",
    "InputError",
    "LimitExceeded",
    "Limits",
    "Object",
    "Program",
    "Result",
    "VerificationError",
    "assemble",
    "disassemble",
    "load",
    "read_packets",
]

# Where each public name lives.  They are imported when they are first used: `import pybpftime` costs nothing.
_HOMES = {
    "BpfError": "errors",
    "Environment": "machine.environment",
    "Fault": "errors",
    "HostError": "errors",
    "InputError": "errors",
    "LimitExceeded": "errors",
    "Limits": "machine.machine",
    "Object": "runtime.objects",
    "Program": "runtime.objects",
    "Result": "runtime.result",
    "VerificationError": "errors",
    "assemble": "isa.assembler",
    "disassemble": "isa.disassembler",
    "load": "runtime.load",
    "read_packets": "program.packets",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
