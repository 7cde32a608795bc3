"""BTF in the running kernel: a hand-made one, malformed ones, and what it says of a program."""

from __future__ import annotations

import errno
import struct

import pytest

from pybpftime.errors import HostError, InputError
from pybpftime.kernel import DebugInfo, KernelBtf, KernelMap, KernelProgram, KernelRejection, btf_ids
from pybpftime.uapi import MapType, ProgramType

pytestmark = pytest.mark.usefixtures("bpf")

RETURN_ZERO = bytes.fromhex("b700000000000000 9500000000000000")

STRINGS = b"\0int\0answer\0answer.c\0return 0;\0"


def string(text: bytes) -> int:
    return STRINGS.index(b"\0" + text + b"\0") + 1


TYPES = (
    struct.pack("=IIII", string(b"int"), 1 << 24, 4, 1 << 24 | 32)  # 1: INT int, 32 bits, signed
    + struct.pack("=III", 0, 13 << 24, 1)  # 2: FUNC_PROTO int (void)
    + struct.pack("=III", string(b"answer"), 12 << 24 | 1, 2)  # 3: FUNC answer, global
)


def btf(types: bytes = TYPES, strings: bytes = STRINGS) -> bytes:
    """A .BTF section: `struct btf_header`, then types, then strings."""
    return struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings


def test_load_and_info() -> None:
    with KernelBtf.load(btf()) as loaded:
        info = loaded.info()
        assert (info.name, info.is_kernel, info.data) == ("", False, btf())
        assert info.id in list(btf_ids())
        with KernelBtf.from_id(info.id) as same:
            assert same.info() == info


def test_kernels_own() -> None:
    first = next(btf_ids())
    with KernelBtf.from_id(first) as vmlinux:
        info = vmlinux.info()
    assert (info.name, info.is_kernel) == ("vmlinux", True)
    assert info.data[:2] == struct.pack("=H", 0xEB9F)


def test_rejection_carries_the_log() -> None:
    too_wide = TYPES[:8] + struct.pack("=I", 2) + TYPES[12:]  # 32 bits in 2 bytes
    with pytest.raises(KernelRejection, match=r"refused to load BTF: .*nr_bits exceeds type_size") as caught:
        KernelBtf.load(btf(too_wide))
    assert caught.value.errno == errno.EINVAL
    assert caught.value.log


@pytest.mark.parametrize("data", [b"\0", btf()[:20], btf()[:-1], b"\xff" * 100])
def test_garbage(data: bytes) -> None:
    with pytest.raises(KernelRejection):
        KernelBtf.load(data)


def test_empty() -> None:
    with pytest.raises(InputError, match="0 bytes are no BTF"):
        KernelBtf.load(b"")
    with pytest.raises(HostError):
        KernelBtf.from_id(0xFFFF_FFFE)


def test_program_with_function_and_line_info() -> None:
    func_info = struct.pack("=II", 0, 3)
    line_info = struct.pack("=IIII", 0, string(b"answer.c"), string(b"return 0;"), 7 << 10 | 3)
    with KernelBtf.load(btf()) as loaded:
        debug_info = DebugInfo(loaded, func_info, 8, line_info, 16)
        with KernelProgram.load(
            ProgramType.BPF_PROG_TYPE_XDP, RETURN_ZERO, debug_info=debug_info, log_level=2
        ) as program:
            assert program.info().btf_id == loaded.info().id
            assert "; return 0;" in program.log
        with pytest.raises(KernelRejection, match=r"func_info|type"):
            KernelProgram.load(
                ProgramType.BPF_PROG_TYPE_XDP, RETURN_ZERO, debug_info=DebugInfo(loaded, struct.pack("=II", 0, 1))
            )
        with pytest.raises(InputError, match="7 bytes of func_info are no records of 8 bytes"):
            KernelProgram.load(ProgramType.BPF_PROG_TYPE_XDP, RETURN_ZERO, debug_info=DebugInfo(loaded, func_info[:7]))


def test_map_with_types() -> None:
    with (
        KernelBtf.load(btf()) as loaded,
        KernelMap.create(
            MapType.BPF_MAP_TYPE_HASH, 4, 4, 1, btf=loaded, btf_key_type_id=1, btf_value_type_id=1
        ) as typed,
    ):
        info = typed.info()
        assert (info.btf_id, info.btf_key_type_id, info.btf_value_type_id) == (loaded.info().id, 1, 1)
