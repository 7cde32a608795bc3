"""BPF Type Format: the types of an object file or a kernel, and values of those types.

    btf = Btf.parse(section_bytes)
    flow = btf.require("flow", Kind.STRUCT)
    btf.size_of(flow)                                   # 16
    decode(btf, flow, value_bytes)                      # {"saddr": 167772161, "port": 80}
    encode(btf, flow, {"port": 80})                     # the bytes, the rest zero
    definition(btf, flow)                               # "struct flow {...};"
    BtfExt.parse(ext_bytes, btf).lines["xdp"]           # source lines by byte offset

`types` has the classes of the nineteen kinds; `BtfBuilder` makes BTF.  Everything raises InputError for malformed
input, and nothing else.
"""

from pybpftime.program.btf.btf import Btf
from pybpftime.program.btf.builder import BtfBuilder
from pybpftime.program.btf.declarator import c_name, declare, type_name
from pybpftime.program.btf.definition import definition
from pybpftime.program.btf.dump import dump_c
from pybpftime.program.btf.encode import encode
from pybpftime.program.btf.ext import BtfExt, CoreKind, CoreRelocation, FuncInfo, LineInfo
from pybpftime.program.btf.format import format_bytes, format_value
from pybpftime.program.btf.layout import Field
from pybpftime.program.btf.raw import describe, raw_text
from pybpftime.program.btf.types import (
    Array,
    BtfType,
    Const,
    DataSec,
    DeclTag,
    Enum,
    Enum64,
    Enumerator,
    Float,
    Func,
    FuncProto,
    Fwd,
    Int,
    IntEncoding,
    Kind,
    Linkage,
    Member,
    Param,
    Placement,
    Ptr,
    Restrict,
    Struct,
    Typedef,
    TypeTag,
    Union,
    Var,
    Void,
    Volatile,
)
from pybpftime.program.btf.values import EnumValue, Value, decode

__all__ = [
    "Array",
    "Btf",
    "BtfBuilder",
    "BtfExt",
    "BtfType",
    "Const",
    "CoreKind",
    "CoreRelocation",
    "DataSec",
    "DeclTag",
    "Enum",
    "Enum64",
    "EnumValue",
    "Enumerator",
    "Field",
    "Float",
    "Func",
    "FuncInfo",
    "FuncProto",
    "Fwd",
    "Int",
    "IntEncoding",
    "Kind",
    "LineInfo",
    "Linkage",
    "Member",
    "Param",
    "Placement",
    "Ptr",
    "Restrict",
    "Struct",
    "TypeTag",
    "Typedef",
    "Union",
    "Value",
    "Var",
    "Void",
    "Volatile",
    "c_name",
    "declare",
    "decode",
    "definition",
    "describe",
    "dump_c",
    "encode",
    "format_bytes",
    "format_value",
    "raw_text",
    "type_name",
]
