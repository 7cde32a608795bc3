"""The nineteen kinds of BTF as values.

Source: `include/uapi/linux/btf.h` and `Documentation/bpf/btf.rst`.  A type refers to other types by id, a number
that means something in one `Btf` only; id 0 is void.  Every class has `kind`, and a `name` that is "" where the
kind has none or the source gave none.  Sizes are bytes, offsets and widths within structs are bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class Kind(IntEnum):
    """`BTF_KIND_*`, plus VOID for id 0."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


class IntEncoding(IntEnum):
    """`BTF_INT_*`: at most one of them.  Compilers mark C's `char` SIGNED or NONE; CHAR exists and is rare."""

    NONE = 0
    SIGNED = 1
    CHAR = 2
    BOOL = 4


class Linkage(IntEnum):
    """`BTF_FUNC_*` and `BTF_VAR_*`, which agree."""

    STATIC = 0
    GLOBAL = 1
    EXTERN = 2


@dataclass(frozen=True, slots=True)
class Void:
    """Id 0.  The only type that no record describes."""

    kind: ClassVar[Kind] = Kind.VOID
    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Int:
    """An integer.  `bits` of the `size` bytes count, from bit `offset` on; compilers give all of them and 0."""

    kind: ClassVar[Kind] = Kind.INT
    name: str
    size: int
    bits: int
    encoding: IntEncoding = IntEncoding.NONE
    offset: int = 0

    @property
    def signed(self) -> bool:
        return self.encoding is IntEncoding.SIGNED

    @property
    def is_char(self) -> bool:
        """C's `char`, as against a number of one byte: told by encoding or name."""
        return self.size == 1 and self.bits == 8 and (self.encoding is IntEncoding.CHAR or self.name == "char")


@dataclass(frozen=True, slots=True)
class Ptr:
    kind: ClassVar[Kind] = Kind.PTR
    name: ClassVar[str] = ""
    type: int


@dataclass(frozen=True, slots=True)
class Array:
    """`count` may be 0: a flexible array member."""

    kind: ClassVar[Kind] = Kind.ARRAY
    name: ClassVar[str] = ""
    element: int
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a struct or union, as recorded.  `bit_size` is 0 unless the member is a bitfield."""

    name: str
    type: int
    bit_offset: int
    bit_size: int = 0


@dataclass(frozen=True, slots=True)
class Struct:
    kind: ClassVar[Kind] = Kind.STRUCT
    name: str
    size: int
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Union:
    kind: ClassVar[Kind] = Kind.UNION
    name: str
    size: int
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Enumerator:
    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Enum:
    """An enumeration with values of 32 bits, signed or not.  Without values it is a forward declaration."""

    kind: ClassVar[Kind] = Kind.ENUM
    name: str
    size: int
    values: tuple[Enumerator, ...] = ()
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Fwd:
    """A struct or union that is declared, not defined."""

    kind: ClassVar[Kind] = Kind.FWD
    name: str
    is_union: bool = False


@dataclass(frozen=True, slots=True)
class Typedef:
    kind: ClassVar[Kind] = Kind.TYPEDEF
    name: str
    type: int


@dataclass(frozen=True, slots=True)
class Volatile:
    kind: ClassVar[Kind] = Kind.VOLATILE
    name: ClassVar[str] = ""
    type: int


@dataclass(frozen=True, slots=True)
class Const:
    kind: ClassVar[Kind] = Kind.CONST
    name: ClassVar[str] = ""
    type: int


@dataclass(frozen=True, slots=True)
class Restrict:
    kind: ClassVar[Kind] = Kind.RESTRICT
    name: ClassVar[str] = ""
    type: int


@dataclass(frozen=True, slots=True)
class Func:
    """A function, not a type: `type` is its FUNC_PROTO."""

    kind: ClassVar[Kind] = Kind.FUNC
    name: str
    type: int
    linkage: Linkage = Linkage.GLOBAL


@dataclass(frozen=True, slots=True)
class Param:
    name: str
    type: int


@dataclass(frozen=True, slots=True)
class FuncProto:
    kind: ClassVar[Kind] = Kind.FUNC_PROTO
    name: ClassVar[str] = ""
    returns: int
    params: tuple[Param, ...] = ()

    @property
    def variadic(self) -> bool:
        """True for `(..., ...)`, which BTF writes as a last parameter of type void without a name."""
        return bool(self.params) and self.params[-1] == Param("", 0)


@dataclass(frozen=True, slots=True)
class Var:
    """A variable, not a type."""

    kind: ClassVar[Kind] = Kind.VAR
    name: str
    type: int
    linkage: Linkage = Linkage.GLOBAL


@dataclass(frozen=True, slots=True)
class Placement:
    """`struct btf_var_secinfo`: where a VAR (in `.ksyms` also a FUNC) lies in its section, in bytes."""

    type: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class DataSec:
    """An ELF section.  Compilers leave `size` and every offset 0 for the loader: see `Btf.with_section_layout`."""

    kind: ClassVar[Kind] = Kind.DATASEC
    name: str
    size: int
    variables: tuple[Placement, ...] = ()


@dataclass(frozen=True, slots=True)
class Float:
    kind: ClassVar[Kind] = Kind.FLOAT
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class DeclTag:
    """`__attribute__((btf_decl_tag(name)))` on a declaration, its member or parameter number `component`, or -1.

    With `attribute` the text is a whole attribute of C, not the argument of btf_decl_tag.
    """

    kind: ClassVar[Kind] = Kind.DECL_TAG
    name: str
    type: int
    component: int = -1
    attribute: bool = False


@dataclass(frozen=True, slots=True)
class TypeTag:
    """`__attribute__((btf_type_tag(name)))` on a type, or with `attribute` the attribute `name` itself."""

    kind: ClassVar[Kind] = Kind.TYPE_TAG
    name: str
    type: int
    attribute: bool = False


@dataclass(frozen=True, slots=True)
class Enum64:
    """An enumeration with values of 64 bits."""

    kind: ClassVar[Kind] = Kind.ENUM64
    name: str
    size: int
    values: tuple[Enumerator, ...] = ()
    signed: bool = False


Modifier = Typedef | Volatile | Const | Restrict | TypeTag
"""What `Btf.resolve` looks through."""

BtfType = (
    Void
    | Int
    | Ptr
    | Array
    | Struct
    | Union
    | Enum
    | Fwd
    | Typedef
    | Volatile
    | Const
    | Restrict
    | Func
    | FuncProto
    | Var
    | DataSec
    | Float
    | DeclTag
    | TypeTag
    | Enum64
)
