"""Regions behind r1: structures whose every field has rules of its own."""

from __future__ import annotations

from collections.abc import Callable

from pybpftime.errors import Fault
from pybpftime.machine import Region, RegionKind
from pybpftime.machine.memory import count, place
from pybpftime.program.types.layout import ContextLayout, FieldKind

AddressOf = Callable[[FieldKind], int]


class StructureRegion(Region):
    """A context that is memory, such as struct pt_regs: any load inside it; faults name its fields."""

    __slots__ = ("layout",)

    def __init__(
        self,
        layout: ContextLayout,
        data: bytearray | memoryview,
        *,
        aligned: bool,
        writable: bool = False,
        start: int = 0,
    ) -> None:
        super().__init__(
            RegionKind.CONTEXT, layout.name, data, start=start, writable=writable, aligned=aligned, atomic=False
        )
        self.layout = layout

    def describe(self, offset: int) -> str:
        return self.layout.place(offset)


class TranslatedRegion(StructureRegion):
    """A context that is no memory, such as struct __sk_buff: exactly the loads and stores of its layout.

    `data` is the structure's image, kept up to date by the context; `address_of` gives what fields hold that are
    addresses.  Bytes of an image beyond the `width` of a field are 0.
    """

    __slots__ = ("_address_of", "_loads", "_stores")

    def __init__(self, layout: ContextLayout, data: bytearray | memoryview, address_of: AddressOf) -> None:
        super().__init__(layout, data, aligned=True, writable=True)
        self._address_of = address_of
        self._loads = layout.loads
        self._stores = layout.stores

    def load(self, offset: int, size: int) -> int:
        field = self._loads.get((offset, size))
        if field is None:
            raise self.refuse(offset, size, "load")
        if field.kind is not FieldKind.SCALAR:
            return self._address_of(field.kind)
        # The kernel shifts the part that was asked for into place only if its own field has more bytes than that.
        start = field.offset if 0 < field.width <= size else offset
        return int.from_bytes(self.data[start : start + size], "little")

    def store(self, offset: int, size: int, value: int) -> None:
        field = self._stores.get((offset, size))
        if field is None:
            raise self.refuse(offset, size, "store")
        if field.name == "queue_mapping" and value >= NO_QUEUE_MAPPING:
            return
        size = field.width or size
        self.data[offset : offset + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")

    def read(self, offset: int, length: int) -> bytes:
        raise self._no_memory(offset, length, "read")

    def write(self, offset: int, content: bytes) -> None:
        raise self._no_memory(offset, len(content), "write")

    def refuse(self, offset: int, size: int, access: str) -> Fault:
        objection = self.layout.objection(offset, size, access)
        assert objection is not None
        kind, rule = objection
        reason = f"{access} of {count(size)} at {self.describe(offset)}: {rule}"
        return Fault(kind, reason, address=self.base + offset, size=size, region=self.name)

    def _no_memory(self, offset: int, length: int, access: str) -> Fault:
        fault = Region.refuse(self, offset, length, access)
        fault.reason = f"{access} of {count(length)} at {self.describe(offset)}: a helper takes no context as memory"
        return fault


# Stores of it and of anything above to __sk_buff.queue_mapping are ignored (bpf_convert_ctx_access).
NO_QUEUE_MAPPING = 0xFFFF


# Where alignment counts, packets lie so that what follows an Ethernet header is aligned (check_pkt_ptr_alignment).
NET_IP_ALIGN = 2


class PacketRegion(Region):
    """A packet with its metadata in front; places are told from the packet's first byte."""

    __slots__ = ("head",)

    def __init__(self, buffer: bytearray, *, meta: int, head: int, end: int, writable: bool, aligned: bool) -> None:
        super().__init__(
            RegionKind.PACKET, "packet", buffer, start=meta, end=end, writable=writable,
            aligned=aligned, atomic=False, phase=NET_IP_ALIGN - head,
        )  # fmt: skip
        self.head = head

    def describe(self, offset: int) -> str:
        return f"{self.name}{place(offset - self.head)}"

    def misaligned(self, offset: int, size: int, access: str) -> Fault:
        fault = super().misaligned(offset, size, access)
        why = f"a packet begins {NET_IP_ALIGN} bytes behind an aligned address (NET_IP_ALIGN)"
        fault.reason += f": {why}, which aligns what follows its Ethernet header"
        return fault
