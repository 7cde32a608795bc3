"""The packet of a run as people see it: where it is, its layers."""

from __future__ import annotations

from dataclasses import dataclass

from pybpftime.debug.world import World
from pybpftime.program.contexts.packet_context import PacketContext
from pybpftime.program.contexts.skb import SkbContext
from pybpftime.program.packet_headers import Header, field_text, headers_of
from pybpftime.program.packet_summary import summarise


@dataclass(frozen=True, slots=True)
class Layer:
    """A header at byte `offset` of the packet, with the fields that the UAPI struct of Linux has."""

    name: str
    offset: int
    fields: Header


@dataclass(frozen=True, slots=True)
class Packet:
    """The packet as it is now: `content` at `address`.  `frame` begins with its Ethernet header, `hidden` bytes before.

    Programs of most types see what is behind that header only.
    """

    address: int
    content: bytes
    frame: bytes
    hidden: int

    @property
    def summary(self) -> str:
        """What is in it, in a line."""
        return summarise(self.frame)

    @property
    def layers(self) -> list[Layer]:
        """The headers that the program can see, from the outermost on."""
        found = headers_of(self.frame)
        return [Layer(name, at - self.hidden, header) for name, at, header in found if at >= self.hidden]

    def lines(self) -> list[str]:
        """The layers field by field, a line each."""
        lines = []
        for layer in self.layers:
            rest = self.content[layer.offset :]
            fields = (f"{name} {field_text(name, rest[at : at + size])}" for name, (at, size) in layer.fields.items())
            lines.append(f"{layer.name:<5} {', '.join(fields)}")
        return lines


def packet_at(world: World) -> tuple[int, int] | None:
    """Address and length of the packet as it is now; None where there is none."""
    context = world.machine.context if world.has_begun else None
    if not isinstance(context, PacketContext):
        return None
    for region in world.machine.memory:
        if region.data is context.buffer:
            return region.base + context.head, context.length
    return None


def packet_of(world: World) -> Packet | None:
    """The packet as it is now; None where there is none."""
    found = packet_at(world)
    if found is None:
        return None
    context = world.machine.context
    first = context.field("mac_header") if isinstance(context, SkbContext) else context.head
    frame = bytes(context.buffer[first : context.end])
    return Packet(found[0], frame[context.head - first :], frame, context.head - first)
