"""What the running kernel itself demands of helpers: its `struct bpf_func_proto`s, read from its memory.

The structures are constants that no interface shows.  They are found by their first member, the address of the
function, which /proc/kallsyms names; the kernel's BTF names the numbers in them.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pybpftime.errors import HostError
from pybpftime.isa import encode_program
from pybpftime.isa.assembler import assemble
from pybpftime.kernel import KernelMap, KernelProgram
from pybpftime.program.btf import Btf
from pybpftime.program.btf.types import Enum, Kind
from pybpftime.uapi import MapType, ProgramFlag, ProgramType
from support.helper_calls import call, load_number, load_value_address

SYMBOLS = Path("/proc/kallsyms")
VMLINUX = Path("/sys/kernel/btf/vmlinux")
ENUMS = ("bpf_arg_type", "bpf_return_type", "bpf_type_flag")
LAYOUT = struct.Struct("<Q4?I5I4x5QQ8x")  # struct bpf_func_proto on 64 bits
PROBE_READ_KERNEL = 113
CHUNK = 64 << 10
MOST = 32 << 20


@dataclass(frozen=True)
class Prototype:
    """One struct bpf_func_proto; `sizes`, `types` and `result_type` are what its pointers and sizes say, or None."""

    gpl_only: bool
    packet_access: bool
    may_sleep: bool
    returns: int
    arguments: tuple[int, ...]
    sizes: tuple[int | None, ...]
    types: tuple[str | None, ...]
    result_type: str | None


class KernelMemory:
    """Reads kernel memory with programs that are run once."""

    def __init__(self) -> None:
        self.map = KernelMap.create(MapType.BPF_MAP_TYPE_ARRAY, 4, CHUNK, 1)

    def read(self, address: int, size: int) -> bytes | None:
        """None where it cannot be read."""
        code = load_value_address(1, self.map) + load_number(2, size) + load_number(3, address)
        code += call(PROBE_READ_KERNEL) + encode_program(assemble("exit"))
        with KernelProgram.load(ProgramType.BPF_PROG_TYPE_SYSCALL, code, flags=ProgramFlag.BPF_F_SLEEPABLE) as program:
            failed = program.test_run(b"").retval
        return None if failed else (self.map.lookup(bytes(4)) or b"")[:size]


class KernelPrototypes:
    """`found`: the prototypes by the name of the function in them, for each of `functions` that has any."""

    def __init__(self, btf: Btf, functions: Collection[str]) -> None:
        self.btf = btf
        self.numbers = dict(_enumerators(btf))
        self.memory = KernelMemory()
        try:
            self.found = self._find(functions)
        finally:
            self.memory.map.close()

    def value(self, expression: str) -> int:
        """The number that an expression such as `ARG_PTR_TO_MEM | MEM_RDONLY` is in this kernel."""
        result = 0
        for name in expression.split(" | "):
            result |= self.numbers[name]
        return result

    def _find(self, functions: Collection[str]) -> dict[str, set[Prototype]]:
        names, start = _symbols(functions)
        content = b"".join(self._constants(start))
        found = defaultdict(set)
        for index, word in enumerate(struct.unpack(f"<{len(content) // 8}Q", content)):
            place = 8 * index
            if word in names and place + LAYOUT.size <= len(content):
                prototype = self._prototype(LAYOUT.unpack_from(content, place), content[place + 8 : place + 12])
                if prototype is not None:
                    found[names[word]].add(prototype)
        return dict(found)

    def _constants(self, start: int) -> Iterator[bytes]:
        for address in range(start, start + MOST, CHUNK):
            content = self.memory.read(address, CHUNK)
            if content is None:
                return
            yield content

    def _prototype(self, fields: tuple[int, ...], flags: bytes) -> Prototype | None:
        _, gpl_only, packet_access, may_sleep, _, returns, *others = fields
        arguments, details, result_detail = tuple(others[:5]), others[5:10], others[10]
        known = 2 * self.numbers["__BPF_TYPE_LAST_FLAG"] - 1
        bases = [argument & 0xFF for argument in arguments]
        if max(flags) > 1 or max(*arguments, returns) > known or max(bases) >= self.numbers["__BPF_ARG_TYPE_MAX"]:
            return None
        fixed, object_type = self.numbers["MEM_FIXED_SIZE"], self.numbers["ARG_PTR_TO_BTF_ID"]
        pairs = list(zip(arguments, details, strict=True))
        return Prototype(
            bool(gpl_only),
            bool(packet_access),
            bool(may_sleep),
            returns,
            arguments,
            tuple(detail if argument & fixed else None for argument, detail in pairs),
            tuple(self._type(detail) if argument & 0xFF == object_type else None for argument, detail in pairs),
            self._type(result_detail) if result_detail else None,
        )

    def _type(self, address: int) -> str | None:
        """The name of the type whose BTF id lies there; None for a type that depends (BPF_PTR_POISON)."""
        content = self.memory.read(address, 4)
        return None if content is None else self.btf[struct.unpack("<I", content)[0]].name


def _enumerators(btf: Btf) -> Iterator[tuple[str, int]]:
    for name in ENUMS:
        record = btf[btf.require(name, Kind.ENUM)]
        assert isinstance(record, Enum)
        yield from ((each.name, each.value) for each in record.values)


def _symbols(wanted: Collection[str]) -> tuple[dict[int, str], int]:
    """The names of the wanted functions by address, and where the constants begin."""
    functions: dict[int, str] = {}
    start = 0
    for line in SYMBOLS.read_text().splitlines():
        address, sort, name, *module = line.split()
        if name == "__start_rodata":
            start = int(address, 16)
        elif sort in "tT" and name in wanted and not module:
            functions[int(address, 16)] = name
    if not start:
        pytest.skip("needs addresses in /proc/kallsyms")
    return functions, start


def read_prototypes(functions: Collection[str]) -> KernelPrototypes:
    """Those of the functions with these names.  Skips where the kernel's memory cannot be read."""
    if not VMLINUX.is_file():
        pytest.skip("needs the kernel's BTF")
    try:
        return KernelPrototypes(Btf.parse(VMLINUX.read_bytes()), functions)
    except HostError as error:
        pytest.skip(f"needs bpf_probe_read_kernel: {error}")
