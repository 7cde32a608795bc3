"""The running Linux kernel as a peer, through bpf(2): maps, programs, test runs, BTF.

    with KernelProgram.load(ProgramType.BPF_PROG_TYPE_XDP, instructions) as program:
        result = program.test_run(packet)
        print(result.retval, result.data_out)

Only the standard library is used, and importing works on every platform; `available()` says in one sentence why
the kernel cannot serve, where it cannot.  What the kernel refuses is a HostError with its errno, a program or BTF
that it does not accept a KernelRejection with its log, and an argument that cannot be handed over an InputError.
All objects are context managers that close their descriptor.
"""

from __future__ import annotations

from pybpftime.kernel.availability import available
from pybpftime.kernel.btf import KernelBtf, btf_ids
from pybpftime.kernel.info import BtfInfo, MapInfo, ProgramInfo
from pybpftime.kernel.links import KernelLink
from pybpftime.kernel.maps import PER_CPU_MAP_TYPES, KernelMap, map_ids, possible_cpu_count
from pybpftime.kernel.programs import DebugInfo, KernelProgram, TestRun, program_ids
from pybpftime.kernel.ringbuf import KernelRingBuffer, drain_ringbuf
from pybpftime.kernel.runner import ProgramRunner, RunResult, SharedValue
from pybpftime.kernel.syscall import KernelRejection
from pybpftime.kernel.uprobes import attach_uprobe, uprobes_available

__all__ = [
    "PER_CPU_MAP_TYPES",
    "BtfInfo",
    "DebugInfo",
    "KernelBtf",
    "KernelLink",
    "KernelMap",
    "KernelProgram",
    "KernelRejection",
    "KernelRingBuffer",
    "MapInfo",
    "ProgramInfo",
    "ProgramRunner",
    "RunResult",
    "SharedValue",
    "TestRun",
    "attach_uprobe",
    "available",
    "btf_ids",
    "drain_ringbuf",
    "map_ids",
    "possible_cpu_count",
    "program_ids",
    "uprobes_available",
]
