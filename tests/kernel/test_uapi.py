"""The numbers of `pybpftime.uapi` and the structures of `kernel.attributes`, against the kernel's own BTF."""

from __future__ import annotations

import ctypes
import platform
import re
import shutil
import subprocess
from enum import IntEnum
from pathlib import Path

import pytest

from pybpftime import uapi
from pybpftime.kernel import attributes

VMLINUX = Path("/sys/kernel/btf/vmlinux")
HEADERS = Path("/usr/include/linux")
WRITTEN_FOR = (6, 18)  # the Linux release whose numbers are complete

ENUMS = {
    "bpf_cmd": uapi.Command,
    "bpf_map_type": uapi.MapType,
    "bpf_prog_type": uapi.ProgramType,
    "bpf_attach_type": uapi.AttachType,
    "xdp_action": uapi.XdpAction,
}

# How each structure is called in C: the member of union bpf_attr with its dot, or a structure of its own.
STRUCTURES: dict[type[ctypes.Structure], tuple[str, str]] = {
    attributes.MapCreate: ("union bpf_attr", ""),
    attributes.MapElement: ("union bpf_attr", ""),
    attributes.ProgramLoad: ("union bpf_attr", ""),
    attributes.TestRunAttribute: ("union bpf_attr", "test."),
    attributes.GetId: ("union bpf_attr", ""),
    attributes.GetInfo: ("union bpf_attr", "info."),
    attributes.RawTracepointOpen: ("union bpf_attr", "raw_tracepoint."),
    attributes.LinkCreate: ("union bpf_attr", "link_create."),
    attributes.LinkDetach: ("union bpf_attr", "link_detach."),
    attributes.BtfLoad: ("union bpf_attr", ""),
    attributes.ProgramInfoStructure: ("struct bpf_prog_info", ""),
    attributes.MapInfoStructure: ("struct bpf_map_info", ""),
    attributes.BtfInfoStructure: ("struct bpf_btf_info", ""),
    attributes.PerfEvent: ("struct perf_event_attr", ""),
}
UNNAMED = {
    ("GetId", "id"): "prog_id",
    ("RawTracepointOpen", "padding"): None,
    ("ProgramInfoStructure", "gpl_compatible"): None,
    ("PerfEvent", "flags"): None,
}


def kernel_release() -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    assert found
    return int(found[1]), int(found[2])


@pytest.fixture(scope="module")
def kernel_types() -> str:
    """The kernel's types as a C header."""
    bpftool = shutil.which("bpftool")
    if bpftool is None or not VMLINUX.exists():
        pytest.skip("needs bpftool and a kernel with BTF")
    finished = subprocess.run(
        [bpftool, "btf", "dump", "file", str(VMLINUX), "format", "c"], capture_output=True, text=True, check=False
    )
    if finished.returncode:
        pytest.skip(f"needs a bpftool that reads this kernel's BTF: {finished.stderr.strip()}")
    return finished.stdout


@pytest.mark.parametrize("name", ENUMS)
def test_enums_equal_the_running_kernel(kernel_types: str, name: str) -> None:
    body = re.search(rf"^enum {name} \{{$(.*?)^\}};$", kernel_types, re.MULTILINE | re.DOTALL)
    assert body
    theirs = {
        enumerator: int(number)
        for enumerator, number in re.findall(r"(\w+) = (-?\d+)", body[1])
        if not enumerator.startswith("__MAX") and not enumerator.endswith("_DEPRECATED")
    }
    ours = {member: int(value) for member, value in ENUMS[name].__members__.items()}
    assert {member: number for member, number in ours.items() if member in theirs} == {
        member: number for member, number in theirs.items() if member in ours
    }
    release = kernel_release()
    if release <= WRITTEN_FOR:
        assert theirs.keys() <= ours.keys()
    if release >= WRITTEN_FOR:
        assert ours.keys() <= theirs.keys()


@pytest.mark.parametrize("flags", [uapi.MapFlag, uapi.UpdateFlag])
def test_flags_equal_the_running_kernel(kernel_types: str, flags: type[IntEnum]) -> None:
    missing = []
    for name, member in flags.__members__.items():
        found = re.search(rf"^\t{name} = (\d+),$", kernel_types, re.MULTILINE)
        if found is None:
            missing.append(name)
        else:
            assert int(found[1]) == member, name
    if kernel_release() >= WRITTEN_FOR:
        assert missing == []


@pytest.mark.parametrize(
    ("header", "kinds"),
    [("bpf.h", [uapi.ProgramFlag, uapi.RunFlag]), ("pkt_cls.h", [uapi.TcAction])],
)
def test_macros_equal_the_installed_headers(header: str, kinds: list[type[IntEnum]]) -> None:
    if not (HEADERS / header).exists():
        pytest.skip("needs the kernel's UAPI headers")
    text = (HEADERS / header).read_text()
    compared = 0
    for kind in kinds:
        for name, member in kind.__members__.items():
            found = re.search(rf"^#define\s+{name}\s+\(?(-?\d+)U?(?: << (\d+))?\)?(?:\s|$)", text, re.MULTILINE)
            if found:
                assert int(found[1]) << int(found[2] or 0) == member, name
                compared += 1
    assert compared >= 6


def test_layouts_equal_the_running_kernel(kernel_types: str, tmp_path: Path) -> None:
    clang = shutil.which("clang-19") or shutil.which("clang")
    if clang is None:
        pytest.skip("needs clang")
    if kernel_release() < WRITTEN_FOR:
        pytest.skip(f"needs Linux {WRITTEN_FOR[0]}.{WRITTEN_FOR[1]}, which has every field")
    lines = []
    for structure, (outer, member) in STRUCTURES.items():
        for name, *_ in structure._fields_:
            theirs = UNNAMED.get((structure.__name__, name), name)
            if theirs is None:
                continue
            field = getattr(structure, name)
            path = f"(({outer} *)0)->{member}{theirs}"
            lines.append(f'_Static_assert((unsigned long)&{path} == {field.offset}, "{structure.__name__}.{name}");')
            lines.append(f'_Static_assert(sizeof({path}) == {field.size}, "size of {structure.__name__}.{name}");')
    source = tmp_path / "layout.c"
    source.write_text(kernel_types + "\n" + "\n".join(lines))
    finished = subprocess.run(
        [clang, "-target", "bpf", "-w", "-fsyntax-only", str(source)], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr


def test_names_are_unique_numbers() -> None:
    """Only two names for one number are meant: the later name of a command."""
    aliases = {name for kind in ENUMS.values() for name, member in kind.__members__.items() if name != member.name}
    assert aliases == {"BPF_PROG_RUN"}
