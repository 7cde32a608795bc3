"""BTF types as plain data and as one line each, in the words of `bpftool btf dump` (`--json` and `format raw`).

Tools read that output, so names and order of keys are its, not ours.
"""

from __future__ import annotations

from typing import Any

from pybpftime.program.btf.btf import Btf
from pybpftime.program.btf.types import (
    Array,
    BtfType,
    Const,
    DataSec,
    DeclTag,
    Enum,
    Enum64,
    Float,
    Func,
    FuncProto,
    Fwd,
    Int,
    IntEncoding,
    Member,
    Ptr,
    Restrict,
    Struct,
    Typedef,
    TypeTag,
    Union,
    Var,
    Volatile,
)

Plain = dict[str, Any]


def describe(btf: Btf, type_id: int) -> Plain:
    """One type as plain data: `id`, `kind`, `name` ("(anon)" if it has none), then what its kind has."""
    record = btf[type_id]
    return {"id": type_id, "kind": record.kind.name, "name": _name(record.name)} | _details(record)


def _name(name: str) -> str:
    return name or "(anon)"


def _details(record: BtfType) -> Plain:
    match record:
        case Int():
            encoding = "(none)" if record.encoding is IntEncoding.NONE else record.encoding.name
            return {"size": record.size, "bits_offset": record.offset, "nr_bits": record.bits, "encoding": encoding}
        case Ptr() | Typedef() | Volatile() | Const() | Restrict() | TypeTag():
            return {"type_id": record.type}
        case Array():
            return {"type_id": record.element, "index_type_id": record.index, "nr_elems": record.count}
        case Struct() | Union():
            members = [_member(member) for member in record.members]
            return {"size": record.size, "vlen": len(members), "members": members}
        case Enum() | Enum64():
            values = [{"name": _name(value.name), "val": value.value} for value in record.values]
            encoding = "SIGNED" if record.signed else "UNSIGNED"
            return {"encoding": encoding, "size": record.size, "vlen": len(values), "values": values}
        case Fwd():
            return {"fwd_kind": "union" if record.is_union else "struct"}
        case Func():
            return {"type_id": record.type, "linkage": record.linkage.name.lower()}
        case FuncProto():
            params = [{"name": _name(param.name), "type_id": param.type} for param in record.params]
            return {"ret_type_id": record.returns, "vlen": len(params), "params": params}
        case Var():
            return {"type_id": record.type, "linkage": record.linkage.name.lower()}
        case DataSec():
            places = [{"type_id": at.type, "offset": at.offset, "size": at.size} for at in record.variables]
            return {"size": record.size, "vlen": len(places), "vars": places}
        case Float():
            return {"size": record.size}
        case DeclTag():
            return {"type_id": record.type, "component_idx": record.component}
    return {}


def _member(member: Member) -> Plain:
    found: Plain = {"name": _name(member.name), "type_id": member.type, "bits_offset": member.bit_offset}
    return found | {"bitfield_size": member.bit_size} if member.bit_size else found


def raw_text(btf: Btf, type_id: int) -> str:
    """One type as text: `[3] INT 'int' size=4 ...`, with a line for each member, value, parameter or variable."""
    facts = describe(btf, type_id)
    record = btf[type_id]
    items: list[Plain] = next((facts.pop(key) for key in ("members", "values", "params", "vars") if key in facts), [])
    head = f"[{facts.pop('id')}] {facts.pop('kind')} '{facts.pop('name')}'"
    separator = ", " if isinstance(record, Var) else " "
    lines = [" ".join(part for part in (head, separator.join(f"{key}={facts[key]}" for key in facts)) if part)]
    for item in items:
        if isinstance(record, DataSec):
            target = btf[item["type_id"]]
            facts_of_item = " ".join(f"{key}={item[key]}" for key in item)
            lines.append(f"\t{facts_of_item} ({target.kind.name} '{target.name}')")
        else:
            name = item.pop("name")
            rest = [f"{key}={_number(record, item[key])}" for key in item]
            lines.append("\t" + " ".join([f"'{name}'", *rest]))
    return "\n".join(lines)


def _number(record: BtfType, value: int) -> str:
    if isinstance(record, Enum64):
        return f"{value}{'LL' if record.signed else 'ULL'}"
    return str(value)
