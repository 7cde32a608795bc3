"""Context structures as programs see them: which bytes may be loaded and stored, and what they are.

A context is no memory: the kernel's verifier checks every access against a table and rewrites it into loads from
its own structures.  These are the values that such tables are made of.  The runtime (`program.contexts`) serves
accesses by them and the verifier judges by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

from pybpftime.errors import FaultKind, InternalError


class FieldKind(StrEnum):
    """What a load of the field gives: a number, or an address and of what.  Beside it the kernel's register type."""

    SCALAR = "scalar"
    PACKET = "packet"  # the packet's first byte, or that of a socket option's value: PTR_TO_PACKET
    PACKET_META = "packet metadata"  # the first byte of metadata in front of the packet: PTR_TO_PACKET_META
    PACKET_END = "packet end"  # the byte behind the packet's last: PTR_TO_PACKET_END
    SOCKET = "socket"  # a struct bpf_sock: PTR_TO_SOCKET
    SOCKET_OR_NULL = "socket or null"  # PTR_TO_SOCKET_OR_NULL
    SOCK_COMMON_OR_NULL = "common part of a socket or null"  # PTR_TO_SOCK_COMMON_OR_NULL
    FLOW_KEYS = "flow keys"  # a struct bpf_flow_keys: PTR_TO_FLOW_KEYS
    BUFFER = "buffer"  # memory whose size the attach point knows: PTR_TO_TP_BUFFER
    OBJECT = "object"  # a structure of the kernel, which `Field.type_name` names: PTR_TO_BTF_ID | PTR_TRUSTED
    ARGUMENT = "argument"  # number or address, as BTF types that parameter of the function: btf_ctx_access

    @property
    def nullable(self) -> bool:
        """Whether a load may give 0 instead of an address.  An argument may, if its prototype says so."""
        return self in (FieldKind.SOCKET_OR_NULL, FieldKind.SOCK_COMMON_OR_NULL, FieldKind.ARGUMENT)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a context structure.

    `offset` and `size` are bytes in the UAPI structure.  An access is allowed exactly if its size is one of
    `loads` (or `stores`), its offset is a multiple of its size and it lies wholly inside the field, beginning in the
    first `starts` bytes of it (0: anywhere).

    `width` is how many bytes the kernel's own field has, where that is less than `size` (else 0).  A load of that
    many bytes or more gives the whole value wherever in the field it begins; a store changes that many bytes.

    A load of an address gives all 64 bits of it, also where it has 4 bytes in the structure.  Loads that extend the
    sign give no address and are refused.  `type_name` is the kernel's name for the structure behind an OBJECT.
    """

    name: str
    offset: int
    size: int
    kind: FieldKind = FieldKind.SCALAR
    loads: tuple[int, ...] = ()
    stores: tuple[int, ...] = ()
    width: int = 0
    starts: int = 0
    type_name: str = ""

    @property
    def end(self) -> int:
        """The offset behind the field."""
        return self.offset + self.size

    @property
    def readable(self) -> bool:
        """Whether programs may load it at all."""
        return bool(self.loads)

    @property
    def writable(self) -> bool:
        """Whether programs may store to it at all."""
        return bool(self.stores)

    @property
    def narrow_loads_ok(self) -> bool:
        """Whether parts of it may be loaded."""
        return any(size < self.size for size in self.loads)

    def sizes(self, access: str) -> tuple[int, ...]:
        """The sizes that `access`, which is load or store, may have."""
        return self.loads if access == "load" else self.stores


@dataclass(frozen=True, slots=True, eq=False)
class ContextLayout:
    """A context structure of `size` bytes as one program type sees it.  Bytes in no field are padding.

    `plain`: it is memory, and programs access any 1, 2, 4 or 8 bytes inside it, whatever fields they belong to.
    """

    name: str
    size: int
    fields: tuple[Field, ...]
    plain: bool = False

    def field(self, name: str) -> Field:
        """The field called `name`."""
        return _by_name(self)[name]

    def field_at(self, offset: int) -> Field | None:
        """The field that the byte at `offset` belongs to; None for padding and outside."""
        return next((field for field in self.fields if field.offset <= offset < field.end), None)

    def __contains__(self, name: object) -> bool:
        return name in _by_name(self)

    @property
    def loads(self) -> Mapping[tuple[int, int], Field]:
        """(offset, size) of every load that is allowed, and the field that it reads."""
        return accesses(self, "load")

    @property
    def stores(self) -> Mapping[tuple[int, int], Field]:
        """(offset, size) of every store that is allowed, and the field that it writes."""
        return accesses(self, "store")

    def objection(self, offset: int, size: int, access: str) -> tuple[FaultKind, str] | None:
        """Why a `load` or `store` is refused: the kind of fault, and the rule as a clause; None when it is allowed."""
        field = self.field_at(offset)
        if not 0 <= offset < self.size or (self.plain and offset + size > self.size):
            return FaultKind.MEMORY, f"outside struct {self.name}, which has {self.size} bytes"
        if self.plain:
            return None
        if field is None:
            return FaultKind.PERMISSION, f"struct {self.name} has padding there"
        sizes = field.sizes(access)
        if not sizes:
            other = " (it is read-only)" if access == "store" and field.loads else ""
            return FaultKind.PERMISSION, f"programs of this type may not {access} field {field.name}{other}"
        if size not in sizes:
            return FaultKind.PERMISSION, f"a {access} of field {field.name} has {_enumerate(sizes)} bytes"
        if offset % size:
            return FaultKind.ALIGNMENT, f"a {access} of field {field.name} is aligned to its size"
        if field.starts and offset >= field.offset + field.starts:
            return FaultKind.PERMISSION, f"a {access} of field {field.name} begins at its start"
        if offset + size > field.end:
            return FaultKind.PERMISSION, f"it reaches beyond field {field.name}"
        return None

    def place(self, offset: int) -> str:
        """The byte at `offset` for people: `xdp_md.data`, `__sk_buff.cb+4`, `xdp_md+40`."""
        field = self.field_at(offset)
        if field is None:
            return f"{self.name}{offset:+d}"
        return f"{self.name}.{field.name}{f'{offset - field.offset:+d}' if offset != field.offset else ''}"

    def allowing(
        self,
        *,
        unreadable: tuple[str, ...] = (),
        writable: tuple[str, ...] = (),
        loads: Mapping[str, tuple[int, ...]] | None = None,
        stores: Mapping[str, tuple[int, ...]] | None = None,
    ) -> ContextLayout:
        """The same structure for a program type with other permissions.

        Fields named in `unreadable` can be neither loaded nor stored; of the others those named in `writable` can
        be stored, whole, or like loads where a field is an array; `loads` and `stores` give sizes of their own.
        """
        loads, stores = loads or {}, stores or {}
        for name in (*unreadable, *writable, *loads, *stores):
            if name not in self:
                raise InternalError(f"struct {self.name} has no field {name}")
        fields = []
        for field in self.fields:
            sizes = () if field.name in unreadable else loads.get(field.name, field.loads)
            written = () if field.name not in writable else sizes if field.size > 8 else (field.size,)
            fields.append(replace(field, loads=sizes, stores=stores.get(field.name, written)))
        return replace(self, fields=tuple(fields))


@cache
def accesses(layout: ContextLayout, access: str) -> Mapping[tuple[int, int], Field]:
    """(offset, size) of every `load` or `store` that is allowed; also for whoever walks all of them."""
    if layout.plain:
        inside = ((offset, size) for size in (1, 2, 4, 8) for offset in range(layout.size - size + 1))
        return {place: field for place in inside if (field := layout.field_at(place[0]))}
    return {
        (offset, size): field
        for field in layout.fields
        for size in field.sizes(access)
        for offset in range(field.offset + -field.offset % size, field.end - size + 1, size)
        if not field.starts or offset < field.offset + field.starts
    }


@cache
def _by_name(layout: ContextLayout) -> dict[str, Field]:
    return {field.name: field for field in layout.fields}


def _enumerate(sizes: tuple[int, ...]) -> str:
    *most, last = map(str, sizes)
    return f"{', '.join(most)} or {last}" if most else last
