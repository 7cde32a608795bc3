"""Addresses in live processes, compared with what the programs say themselves."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attach.build import BuildTarget
from attach.processes import running
from program.test_elf_symbols import KINDS

from pybpftime.attach.locate import Place, locate
from pybpftime.attach.proc import read_mappings
from pybpftime.attach.target import ProbeKind, ProbeTarget, parse_place
from pybpftime.errors import BpfError, HostError, InputError
from pybpftime.program.elf_symbols import read_binary

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")


def find(pid: int, place: str, kind: ProbeKind = ProbeKind.UPROBE) -> Place:
    """`locate` for a place as --at takes it."""
    return locate(pid, ProbeTarget(kind, *parse_place(place)))


def refusal(pid: int, place: str, kind: ProbeKind = ProbeKind.UPROBE) -> str:
    with pytest.raises(BpfError) as error:
        find(pid, place, kind)
    assert isinstance(error.value, HostError | InputError)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("kind", [kind for kind, (name, _, _) in KINDS.items() if name == "functions"])
def test_functions_of_the_program(build_target: BuildTarget, kind: str) -> None:
    name, flags, _ = KINDS[kind]
    path = build_target(name, *flags)
    with running(path) as process:
        for symbol in ("work", "hidden", "weak_work", "main"):
            place = find(process.pid, f"{path}:{symbol}")
            offset = read_binary(str(path)).offset_of(symbol)
            assert place == Place(process.number(symbol), str(path), offset, symbol)
            assert find(process.pid, f"{path}:{symbol}+3") == Place(
                place.address + 3, str(path), offset + 3, f"{symbol}+0x3"
            )
            assert find(process.pid, f"{path}:{offset:#x}") == place
            assert locate(process.pid, ProbeTarget(ProbeKind.URETPROBE, str(path), None, offset)) == place


LIBRARY = ("-shared", "-fPIC", "-Wl,-soname,libwork.so.1")


@contextlib.contextmanager
def _user_of(library: Path, build_target: BuildTarget) -> Iterator[tuple[int, int]]:
    """A process that has mapped the library, and where that has its function, as the process says."""
    link = library.with_name("libwork.so.1")
    if not link.exists():
        link.symlink_to(library.name)
    folder = str(library.parent)
    with running(build_target("user_of_library", str(library)), environment={"LD_LIBRARY_PATH": folder}) as process:
        yield process.pid, process.number("library_work")


@pytest.mark.parametrize("moved", [(), ("-Wl,-Ttext-segment=0x10000000",)])
def test_a_library_by_each_of_its_names(build_target: BuildTarget, moved: tuple[str, ...]) -> None:
    """By path, by a link to it, by its name, its soname, and its name without the end."""
    library = build_target("library", *LIBRARY, *moved, output="libwork-1.0.so")
    with _user_of(library, build_target) as (pid, address):
        names = [
            library,
            library.with_name("libwork.so.1"),
            os.path.relpath(library),
            library.name,
            "libwork.so.1",
            "libwork",
        ]
        for name in names:
            place = find(pid, f"{name}:library_work")
            assert (place.address, place.path, place.symbol) == (address, str(library), "library_work")


def test_the_program_by_name_and_as_itself(build_target: BuildTarget) -> None:
    path = build_target("functions")
    with running(path) as process:
        for name in ("functions", "/proc/self/exe"):
            assert find(process.pid, f"{name}:work").address == process.number("work")


def test_the_bytes_in_memory_are_those_of_the_file(build_target: BuildTarget) -> None:
    """In the C library of this host, which nobody built for the test."""
    with running(build_target("functions")) as process:
        try:
            place = find(process.pid, "libc.so.6:malloc")
        except HostError as error:
            assert "has not mapped" in str(error)
            pytest.skip("needs the C library of GNU")
        assert find(process.pid, "libc:malloc") == place
        with open(f"/proc/{process.pid}/mem", "rb") as memory, open(place.path, "rb") as file:
            memory.seek(place.address)
            file.seek(place.offset)
            assert memory.read(32) == file.read(32)


def test_python_itself() -> None:
    """Python finds its own allocator and says where that is."""
    code = (
        "import ctypes, sys; address = ctypes.cast(ctypes.pythonapi.PyObject_Malloc, ctypes.c_void_p).value;"
        "print('PyObject_Malloc', hex(address)); print('ready', flush=True); sys.stdin.read()"
    )
    with running(sys.executable, "-c", code) as process:
        mapped = {mapping.path for mapping in read_mappings(process.pid) if mapping.executable}
        path = next((path for path in mapped if re.search("libpython", path)), "/proc/self/exe")
        assert find(process.pid, f"{path}:PyObject_Malloc").address == process.number("PyObject_Malloc")


# --- files that are not what they were --------------------------------------------------------------------------------


@pytest.fixture
def copy(build_target: BuildTarget, tmp_path: Path) -> Path:
    """A program that the test may spoil."""
    return Path(shutil.copy(build_target("functions"), tmp_path / "victim"))


def test_a_deleted_program(copy: Path) -> None:
    with running(copy) as process:
        before = find(process.pid, f"{copy}:work")
        copy.unlink()
        assert find(process.pid, f"{copy}:work") == before
        assert find(process.pid, "victim:work").address == process.number("work")


def test_a_replaced_program_is_read_as_it_is_mapped(copy: Path, build_target: BuildTarget) -> None:
    with running(copy) as process:
        copy.unlink()
        shutil.copy(build_target("functions", "-no-pie", "-DFILLER", "-O0"), copy)
        assert find(process.pid, f"{copy}:work").address == process.number("work")


def test_a_deleted_library_is_roots_to_read(build_target: BuildTarget, tmp_path: Path) -> None:
    library = Path(shutil.copy(build_target("library", *LIBRARY, output="libwork-1.0.so"), tmp_path / "libwork-1.0.so"))
    with _user_of(library, build_target) as (pid, address):
        library.unlink()
        try:
            assert find(pid, f"{library}:library_work").address == address
        except HostError as error:
            assert os.geteuid() != 0
            assert "was deleted or replaced since; only root can read what is mapped" in str(error)


def test_a_replaced_library_is_not_read_instead(
    build_target: BuildTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for those whom the kernel does not show map_files."""
    library = Path(shutil.copy(build_target("library", *LIBRARY, output="libwork-1.0.so"), tmp_path / "libwork-1.0.so"))
    monkeypatch.setattr("pybpftime.attach.locate._can_be_read", lambda path: False)
    with _user_of(library, build_target) as (pid, address):
        assert find(pid, f"{library}:library_work").address == address
        library.unlink()
        shutil.copy(build_target("library", *LIBRARY, output="libwork-1.0.so"), library)
        assert f"it has mapped {library}, which was deleted or replaced since" in refusal(
            pid, f"{library}:library_work"
        )


def test_a_path_inside_another_root(build_target: BuildTarget, tmp_path: Path) -> None:
    """A path is seen from the process's root, where that is another."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to change the root of a process")
    if shutil.which("chroot") is None:
        pytest.skip("needs chroot")
    shutil.copy(build_target("functions", "-static"), tmp_path / "victim")
    with running("chroot", str(tmp_path), "/victim") as process:
        place = find(process.pid, "/victim:work")
        assert place.address == process.number("work")


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_what_is_not_mapped(build_target: BuildTarget) -> None:
    path = build_target("functions")
    with running(path) as process:
        pid = process.pid
        assert f"process {pid}: it has not mapped function as code; did you mean {path}?" in refusal(
            pid, "function:work"
        )
        assert "it has not mapped libwork.so.1 as code; " in refusal(pid, "libwork.so.1:library_work")
        assert "it has not mapped /bin/absent as code; there is " in refusal(pid, "/bin/absent:main")
        other = build_target("twins", "-DTWIN=", str(Path(__file__).parent / "targets/twins_other.c"))
        assert f"it has not mapped {other} as code" in refusal(pid, f"{other}:main")


def test_what_is_not_code(build_target: BuildTarget) -> None:
    path = build_target("functions")
    with running(path) as process:
        pid = process.pid
        assert f"{path}: there is no function named wrok; did you mean " in refusal(pid, f"{path}:wrok")
        assert f"{path}: counter is data, not a function" in refusal(pid, f"{path}:counter")
        assert f"{path}: byte 0x0 of the file is not code" in refusal(pid, f"{path}:0")
        assert f"{path}: byte 0x7fff of the file is not code" in refusal(pid, f"{path}:0x7fff")
        assert "work+0x1000 lies outside the function, which has " in refusal(pid, f"{path}:work+0x1000")
        assert "byte 0x" in refusal(pid, f"{path}:_init+0x7fffffff")


def test_a_return_probe_inside_a_function(build_target: BuildTarget) -> None:
    path = build_target("functions")
    offset = read_binary(str(path)).offset_of("work") + 1
    with running(path) as process:
        reason = refusal(process.pid, f"{path}:{offset:#x}", ProbeKind.URETPROBE)
        assert (
            f"byte {offset:#x} of the file is work+0x1, and a uretprobe finds the return address only where" in reason
        )


@contextlib.contextmanager
def _mapped(path: Path, times: int = 1) -> Iterator[None]:
    """The file is mapped as code in this process."""
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(path.open("rb"))
        for _ in range(times):
            protection = mmap.PROT_READ | mmap.PROT_EXEC
            stack.enter_context(mmap.mmap(stream.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=protection))
        yield


def test_two_files_of_one_name_in_one_process(build_target: BuildTarget, tmp_path: Path) -> None:
    library = build_target("library", *LIBRARY, output="libwork-1.0.so")
    other = Path(shutil.copy(library, tmp_path / library.name))
    with _mapped(library), _mapped(other):
        reason = refusal(os.getpid(), f"{library.name}:library_work")
        assert f"{library.name} may be any of 2 files that it has mapped: " in reason
        assert str(other) in reason
        assert find(os.getpid(), f"{other}:library_work").path == str(other)


def test_a_file_that_is_mapped_twice(build_target: BuildTarget) -> None:
    library = build_target("library", *LIBRARY, output="libwork-1.0.so")
    with _mapped(library, 2):
        assert re.search("is mapped several times, at 0x.* and 0x", refusal(os.getpid(), f"{library}:library_work"))


def test_32_bit_files(build_target: BuildTarget) -> None:
    path = build_target("pause32", "-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-pie", "-no-pie")
    with _mapped(path):
        assert f"{path}: is for i386, 32-bit; only 64-bit x86-64 is served" in refusal(os.getpid(), f"{path}:_start")


def test_a_file_that_is_no_binary(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no code at all")
    with _mapped(path):
        assert f"{path}: is no ELF file" in refusal(os.getpid(), f"{path}:main")


def test_a_process_that_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert f"process {process.pid}: it has ended, or never was" in refusal(process.pid, "libc.so.6:malloc")
