"""Values of C types in a stopped program: where they lie, what they say, how they are changed.

    value = TypedValue(types, type_id, Memory(address), target, "iph")
    value.text()                          # (struct iphdr *) 0xffff... <packet + 14>
    [(child.name, child.value.text()) for child in value.children()]
    value.child("ttl").assign(64)
    text_as(value, ViewFormat.parse("/x"))

`places` has where a value may lie and the `Target` through which everything is read and written; `types` has the
C types that no BTF records.
"""

from pybpftime.debug.values.initialise import initialise
from pybpftime.debug.values.places import (
    Bits,
    Constant,
    Memory,
    Moving,
    OptimisedOut,
    Pieces,
    Place,
    Register,
    Target,
    bit_field,
    laid_out,
)
from pybpftime.debug.values.text import ViewFormat, text_as
from pybpftime.debug.values.typed import Child, TypedValue, constant_value
from pybpftime.debug.values.types import (
    ByteOrder,
    CType,
    ExtendedBtf,
    Scalar,
    ScalarKind,
    c_type,
    c_types,
    extended,
)

__all__ = [
    "Bits",
    "ByteOrder",
    "CType",
    "Child",
    "Constant",
    "ExtendedBtf",
    "Memory",
    "Moving",
    "OptimisedOut",
    "Pieces",
    "Place",
    "Register",
    "Scalar",
    "ScalarKind",
    "Target",
    "TypedValue",
    "ViewFormat",
    "bit_field",
    "c_type",
    "c_types",
    "constant_value",
    "extended",
    "initialise",
    "laid_out",
    "text_as",
]
