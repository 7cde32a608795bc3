"""The portable rooms run with the standard library alone, and with what Windows and macOS have of it.

tests/test_architecture.py says which modules those are and that they import nothing else; here they are run, in a
Python from which everything else was taken.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_architecture import POSIX_ONLY, ROOT, SOURCES, all_imports, is_portable

_WITHOUT_DEPENDENCIES = """
import importlib, sys

class WithoutDependencies:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top != "pybpftime" and top not in sys.stdlib_module_names and top not in ALLOWED:
            raise ImportError(f"{name} is not in the standard library")

sys.meta_path.insert(0, WithoutDependencies())
"""

# What Windows lacks.  Only names that the standard library itself does not need on this host once it is loaded.
_WITHOUT_POSIX = f"""
import mmap, os, random, signal, socket, subprocess, tempfile, threading, time

for module in {sorted(POSIX_ONLY - {"posix", "_posixsubprocess"})}:
    sys.modules[module] = None
for name in '''
    chown chroot ctermid eventfd fchmod fchown fork forkpty getegid geteuid getgid getgrouplist getgroups getloadavg
    getpgid getpgrp getpriority getresgid getresuid getsid getuid initgroups killpg lchown lockf memfd_create mkfifo
    mknod nice openpty pidfd_open pipe2 posix_fadvise posix_fallocate posix_spawn pread preadv process_cpu_count pwrite
    pwritev sched_getaffinity sched_setaffinity sched_yield sendfile setns setpriority setsid setuid splice sync sysconf
    uname unshare wait wait3 wait4 waitid writev
'''.split():
    if hasattr(os, name):
        delattr(os, name)
for name in [name for name in vars(mmap) if name.startswith(("MAP_", "PROT_", "MADV_"))]:
    delattr(mmap, name)
for name in [name for name in vars(time) if name.startswith(("CLOCK_", "clock_", "pthread_"))]:
    delattr(time, name)
for name in [name for name in vars(socket) if name.startswith(("AF_UNIX", "AF_NETLINK", "AF_PACKET", "SCM_"))]:
    delattr(socket, name)
for name in "SIGALRM SIGCHLD SIGHUP SIGKILL SIGSTOP SIGTRAP SIGUSR1 SIGUSR2 alarm setitimer sigwait".split():
    delattr(signal, name)
"""

# macOS has more than this leaves it: whoever asks the platform instead of the module that is needed is found out.
HOSTS = {
    "with-posix": "",
    "win32": _WITHOUT_POSIX + "sys.platform = 'win32'\n",
    "darwin": _WITHOUT_POSIX + "sys.platform = 'darwin'\n",
}
EVERY_HOST = pytest.mark.parametrize("host", HOSTS)


def _portable_modules() -> list[str]:
    """Every portable module but those that read ELF files, for which pyelftools is needed."""
    needs_elf = {module for module in SOURCES if fnmatchcase(module, "pybpftime.program.elf*")}
    needs_elf |= {module for module, target, _ in all_imports() if target.startswith("pybpftime.program.elf")}
    return [module for module in SOURCES if is_portable(module) and module not in needs_elf]


def _run_alone(code: str, *, host: str, dependencies: Iterable[str] = ()) -> str:
    """What `code` prints in a Python that has `dependencies` and of the standard library what `host` has."""
    origins = [spec.origin for name in dependencies if (spec := find_spec(name)) and spec.origin]
    places = [str(ROOT), *(str(Path(origin).parent.parent) for origin in origins)]
    script = f"ALLOWED = {list(dependencies)!r}\n{_WITHOUT_DEPENDENCIES}sys.path[:0] = {places!r}\n{HOSTS[host]}{code}"
    run = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


@EVERY_HOST
def test_portable_rooms_import_with_the_standard_library_alone(host: str) -> None:
    modules = _portable_modules()
    assert "pybpftime.errors" in modules
    _run_alone(f"for name in {modules!r}: importlib.import_module(name)\n", host=host)


@EVERY_HOST
def test_interpreter_runs_with_the_standard_library_alone(host: str) -> None:
    answer = """
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.helpers import HelperTable
from pybpftime.isa import decode_program
from pybpftime.machine import Machine
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import ProgramSpec

class NoContext:
    def enter(self, machine):
        return ()

code = bytes.fromhex(
    "b700000006000000"  # r0 = 6
    "7b0af8ff00000000"  # *(u64 *)(r10 - 8) = r0
    "79a1f8ff00000000"  # r1 = *(u64 *)(r10 - 8)
    "2701000007000000"  # r1 *= 7
    "bf10000000000000"  # r0 = r1
    "9500000000000000"  # exit
)
program = LoadedProgram(ProgramSpec("answer", decode_program(code)), {})
print(ReferenceEngine().compile(program, Machine(), HelperTable()).run(NoContext()))
"""
    assert _run_alone(answer, host=host) == "Outcome(r0=42, instructions=6)\n"


_WITH_MAPS = """
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.helpers import default_helpers
from pybpftime.machine import LINUX, Machine
from pybpftime.machine.machine import new_memory
from pybpftime.maps import MapSpec, create_map
from pybpftime.program.contexts import make_context
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import MapReference, ProgramSpec
from pybpftime.uapi import MapType

def run(spec, maps, **given):
    memory = new_memory(LINUX)
    live = {name: create_map(map) for name, map in maps.items()}
    for map in live.values():
        map.attach(memory, LINUX)
    executable = ReferenceEngine().compile(LoadedProgram(spec, live), Machine(memory, LINUX), default_helpers())
    return executable.run(make_context(spec.type, **given)).r0, live

def words(content):
    return list(memoryview(content).cast("Q"))
"""


_COUNTING = """
    *(u32 *)(r10 - 4) = 70000
    *(u64 *)(r10 - 16) = 41
    r1 = map_by_fd(0)  ; hash
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -16
    r4 = 0
    call 2  ; bpf_map_update_elem
    r1 = map_by_fd(0)  ; hash
    r2 = r10
    r2 += -4
    call 1  ; bpf_map_lookup_elem
    if r0 == 0 goto end
    r6 = *(u64 *)(r0 + 0)
    r6 += 1
    r1 = map_by_fd(0)  ; array
    r2 = r10
    r2 += -4
    call 1  ; bpf_map_lookup_elem
    if r0 == 0 goto end
    *(u64 *)(r0 + 0) = r6
    r0 = r6
end:
    exit
"""


@EVERY_HOST
def test_programs_use_large_maps_with_the_standard_library_alone(host: str) -> None:
    """Large enough that their memory comes from mmap."""
    counting = f"""
from pybpftime.isa.assembler import assemble
from pybpftime.maps.slab import LARGE

code = assemble({_COUNTING!r})
wide = [slot for slot, instruction in enumerate(code) if instruction and instruction.slots == 2]
references = {{slot: MapReference(name) for slot, name in zip(wide, ("hash", "hash", "array"), strict=True)}}
maps = {{
    "hash": MapSpec("hash", MapType.BPF_MAP_TYPE_HASH, 4, 8, 1 << 14),
    "array": MapSpec("array", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1 << 17),
}}
verdict, live = run(ProgramSpec("counting", code, references=references), maps)
assert all(map.layout.slab_size >= LARGE for map in live.values())
key = (70000).to_bytes(4, "little")
print(verdict, *(words(map.lookup(key)) for map in live.values()))
"""
    assert _run_alone(_WITH_MAPS + counting, host=host) == "42 [41] [42]\n"


@EVERY_HOST
def test_packets_run_through_an_object_with_pyelftools_alone(host: str) -> None:
    pytest.importorskip("elftools", reason="needs pyelftools")
    parsing = f"""
from pybpftime.program import load_object

spec = load_object({str(ROOT / "tests" / "programs" / "xdp_parser.bpf.o")!r})
[program] = spec.programs.values()
arp = bytes(12) + bytes.fromhex("0806") + bytes(28)
verdict, live = run(program, spec.maps, packet=arp)
print(verdict, words(live["protocols"].lookup(bytes(4))))  # protocol 0 is ARP: packets, bytes
"""
    assert _run_alone(_WITH_MAPS + parsing, host=host, dependencies=["elftools"]) == "2 [1, 42]\n"
