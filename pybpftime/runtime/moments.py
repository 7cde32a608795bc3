"""A machine as the states that the verifier published are asked about it (`verifier.published`)."""

from __future__ import annotations

from collections.abc import Sequence

from pybpftime.machine import Machine
from pybpftime.machine import Region as MemoryRegion
from pybpftime.machine import RegionKind as MemoryKind
from pybpftime.maps import Map, RingBuffer
from pybpftime.program.contexts.packet_context import PacketContext
from pybpftime.program.contexts.region import PacketRegion
from pybpftime.verifier.published import Moment, Running
from pybpftime.verifier.values import Region, RegionKind

_UNKNOWN_REGISTERS = (None,) * 6


class Moments:
    """Moments of a run whose context is at the address `context`."""

    def __init__(self, machine: Machine, context: int) -> None:
        self._machine = machine
        self._context = context
        self._packet: MemoryRegion | None = None

    def at(self, pc: int) -> Moment:
        """The run right before the instruction at `pc`."""
        machine = self._machine
        frames = machine.frames
        functions = [
            Running(
                frame.entry,
                None if frame.rounds is not None else frame.return_pc,
                (*_UNKNOWN_REGISTERS, *callee.saved) if callee is not None else machine.registers,
                frame.stack.data,
            )
            for frame, callee in zip(frames, (*frames[1:], None), strict=True)
        ]
        context = machine.context
        has_packet = isinstance(context, PacketContext)
        return Moment(
            pc,
            functions,
            self._places,
            context.length if has_packet else None,
            context.head - context.meta if has_packet else None,
            machine.held_lock is not None,
            len(machine.references),
        )

    def _places(self, region: Region) -> Sequence[range] | None:
        machine = self._machine
        match region.kind:
            case RegionKind.CONTEXT:
                return (_one(self._context),)
            case RegionKind.STACK:
                assert region.depth is not None
                stack = machine.frames[region.depth].stack
                return (_one(stack.base + len(stack.data)),)
            case RegionKind.MAP | RegionKind.MAP_VALUE:
                assert region.map is not None
                return self._in_map(machine, region.map.name, region.kind)
            case RegionKind.PACKET | RegionKind.PACKET_END | RegionKind.PACKET_META:
                return self._in_packet(machine, region.kind)
            case RegionKind.RECORD:
                rings = (one.owner for one in machine.memory if isinstance(one.owner, RingBuffer))
                return [_one(address) for ring in rings for address in ring.reserved]
            case RegionKind.FUNCTION:
                assert region.target is not None
                return (_one(machine.code_address(region.target)),)
        return None

    @staticmethod
    def _in_map(machine: Machine, name: str, kind: RegionKind) -> Sequence[range]:
        owners = (one.owner for one in machine.memory if one.kind is MemoryKind.MAP)
        map = next(one for one in owners if isinstance(one, Map) and one.name == name)
        if kind is RegionKind.MAP:
            return (_one(map.address),)
        layout, values = map.layout, map.region
        if values is None:  # programs cannot reach what it holds
            return ()
        first = values.base + layout.first_value
        return [
            range(first + cpu * layout.value_stride, first + layout.slot_count * layout.slot_stride, layout.slot_stride)
            for cpu in range(layout.cpu_count)
        ]

    def _in_packet(self, machine: Machine, kind: RegionKind) -> Sequence[range]:
        packet = self._packet
        if packet is None or machine.memory.find(packet.base) is not packet:
            found = (one for one in machine.memory if isinstance(one, PacketRegion))
            packet = self._packet = next(found, None)
        if not isinstance(packet, PacketRegion):
            return ()
        at = {RegionKind.PACKET: packet.head, RegionKind.PACKET_END: packet.end}.get(kind, packet.start)
        return (_one(packet.base + at),)


def _one(address: int) -> range:
    return range(address, address + 1)
