"""Variables of a program that runs hold what the packet says, at -O0 and wherever -O2 still knows them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pybpftime import load
from pybpftime.debug.symbols import DebugFile, Frame, LocalVariable, ProgramSymbols, symbols_of
from pybpftime.errors import Fault
from pybpftime.machine import Machine, Observer
from pybpftime.program.btf import decode
from pybpftime.program.dwarf_expression import Constant, InRegister, Location, MemoryAt, Pieces

TCP = bytes(12) + b"\x08\x00" + struct.pack(
    "!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
) + struct.pack("!HH", 4660, 80) + bytes(8) + b"\x50" + bytes(7)  # fmt: skip


class Watcher(Observer):
    """Decodes the variables of the outermost function whenever `line` of it begins."""

    def __init__(self, symbols: ProgramSymbols, line: int) -> None:
        self._symbols = symbols
        self._line = line
        self.seen: dict[str, object] = {}

    def before(self, machine: Machine, pc: int) -> None:
        _, slot = machine.locate(pc)
        place = self._symbols.line_at(slot)
        if place is None or place.line != self._line or not place.is_statement or self.seen:
            return
        frame = Frame(machine.registers, lambda address, size: _read(machine, address, size))
        assert self._symbols.types is not None
        for variable in self._symbols.scopes_at(slot)[-1].variables:
            size = self._symbols.types.size_of(variable.type_id)
            data = _bytes(variable, variable.evaluate(frame), frame, size)
            if data is not None:
                self.seen[variable.name] = decode(self._symbols.types, variable.type_id, data)


def _read(machine: Machine, address: int, size: int) -> bytes | None:
    try:
        return bytes(machine.memory.read(address, size))
    except Fault:
        return None


def _bytes(variable: LocalVariable, place: Location | None, frame: Frame, size: int) -> bytes | None:
    match place:
        case MemoryAt(address):
            return frame.read(address, size)
        case InRegister(number):
            value = frame.registers[number]
            return None if value is None else value.to_bytes(8, "little")[:size]
        case Constant(data):
            return data[:size]
        case Pieces(parts):
            found = [_bytes(variable, part.location, frame, part.size) for part in parts]
            return None if None in found else b"".join(part for part in found if part is not None)
    return None


@pytest.mark.parametrize("name", ["xdp_parser.O0.bpf.o", "xdp_parser.bpf.o", "xdp_parser.v4.bpf.o"])
def test_variables_hold_what_the_packet_says(repository: Path, name: str) -> None:
    path = repository / "tests" / "programs" / name
    source = (repository / "tests" / "programs" / "xdp_parser.bpf.c").read_text().splitlines()
    line = next(number for number, text in enumerate(source, 1) if "counter = bpf_map_lookup_elem(&protocols" in text)
    program = load(path).program
    watcher = Watcher(symbols_of(program.spec, DebugFile(path)), line)
    program.run(TCP, observers=[watcher])
    flow = watcher.seen["flow"]
    assert isinstance(flow, dict)
    assert (flow["ip_version"], flow["protocol"]) == (4, 6)
    assert flow["source"][12:] == [10, 0, 0, 1]
    assert (flow["source_port"], flow["destination_port"]) in ((4660, 80), (0x3412, 0x5000))
    assert str(watcher.seen["protocol"]) == "IPV4_TCP"
    if ".O0." in name:
        assert watcher.seen["bytes"] == len(TCP)
        assert str(watcher.seen["verdict"]) == "XDP_PASS"
        assert isinstance(watcher.seen["rest"], dict)
