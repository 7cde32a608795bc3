"""A whole BTF as one C header, in an order that compiles: what `bpftool btf dump ... format c` does.

Declaring and completing a type are different needs: a pointer wants `struct flow;`, a member wants its body.  Each
need is met once, after the needs of its own (`DumpWriter._steps`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from pybpftime.errors import InputError
from pybpftime.program.btf.btf import Btf
from pybpftime.program.btf.declarator import c_name, short_name, tag_keyword
from pybpftime.program.btf.definition import DefinitionWriter
from pybpftime.program.btf.layout import Budget
from pybpftime.program.btf.types import (
    Array,
    Const,
    DataSec,
    Enum,
    Enum64,
    Float,
    Func,
    FuncProto,
    Fwd,
    Int,
    IntEncoding,
    Kind,
    Ptr,
    Restrict,
    Struct,
    Typedef,
    TypeTag,
    Union,
    Var,
    Volatile,
)

Need = tuple[int, bool]
"""A type id, and whether the type must be complete (its size known) or only declared."""

ROOTS = {Kind.STRUCT, Kind.UNION, Kind.TYPEDEF, Kind.FWD}

BUILTIN_SIZES = {
    "char": 1, "signed char": 1, "unsigned char": 1, "short": 2, "unsigned short": 2, "int": 4, "unsigned int": 4,
    "long long": 8, "unsigned long long": 8, "__int128": 16, "unsigned __int128": 16, "_Bool": 1,
    "float": 4, "double": 8,
}  # fmt: skip
RESERVED = ("__builtin_va_list",)


def dump_c(btf: Btf, type_ids: Iterable[int] | None = None) -> str:
    """The types as C, each after what it needs; left out, every struct, union, enum and typedef is written.

    Of a split BTF that is its own types and what they need of the base.  Functions and variables are written, as
    declarations, where `type_ids` has them.

    Compiling the text gives the sizes and offsets that the BTF records.  Names that occur twice get a suffix
    (`flow___2`); integer types that C does not know (Rust's `u32`) become typedefs.  InputError for types that C
    cannot say: structs that contain themselves, overlapping members, pointers to themselves.
    """
    return DumpWriter(btf).dump(type_ids)


class DumpWriter(DefinitionWriter):
    def __init__(self, btf: Btf) -> None:
        super().__init__(btf, Budget.of(btf, "the C text of the BTF"))
        self.chunks: list[str] = []
        self._done: dict[Need, bool] = {}
        self._declared: set[str] = set()
        self._tags: Counter[str] = Counter()  # struct, union, enum: one name space in C
        self._identifiers: Counter[str] = Counter(RESERVED)  # typedefs and enumerators: the other
        self._written_enums: set[int] = set()
        self._definitions = {
            (tag_keyword(btf[type_id]), btf[type_id].name): type_id
            for type_id in reversed(range(1, len(btf)))
            if btf.kind(type_id) in (Kind.STRUCT, Kind.UNION)
        }

    def dump(self, type_ids: Iterable[int] | None = None) -> str:
        if type_ids is None:
            type_ids = (type_id for type_id in self.btf.own_ids if self._is_root(type_id))
        anonymous_enums = []
        for type_id in type_ids:
            if self.btf.kind(type_id) in (Kind.ENUM, Kind.ENUM64) and not self.btf[type_id].name:
                anonymous_enums.append(type_id)
            else:
                self.satisfy(type_id)
        for type_id in anonymous_enums:  # for their constants, unless some member has brought them
            if type_id not in self._written_enums:
                self._emit(type_id)
        return "\n\n".join(self.chunks) + "\n"

    def _is_root(self, type_id: int) -> bool:
        kind = self.btf.kind(type_id)
        return kind in (Kind.ENUM, Kind.ENUM64) or (kind in ROOTS and bool(self.btf[type_id].name))

    # Order

    def satisfy(self, type_id: int) -> None:
        """Write a type and whatever it needs first.  A stack of our own, since hostile chains are long."""
        first = self._need(type_id, True)
        if first in self._done:
            return
        stack = [(first, self._steps(*first))]
        self._done[first] = False
        while stack:
            need, steps = stack[-1]
            following = next(steps, None)
            if following is None:
                self._done[need] = True
                stack.pop()
            elif following not in self._done:
                self._done[following] = False
                stack.append((following, self._steps(*following)))
            elif not self._done[following]:
                raise InputError(f"BTF type {following[0]} contains itself, or refers to itself without a name")

    def _need(self, type_id: int, complete: bool) -> Need:
        """The need in its one form: for most kinds there is no difference between declared and complete."""
        record = self.btf[type_id]
        if isinstance(record, Struct | Union):
            return type_id, complete or not record.name
        if isinstance(record, Typedef | Const | Volatile | Restrict | TypeTag):
            return type_id, complete
        return type_id, False

    def _steps(self, type_id: int, complete: bool) -> Iterator[Need]:
        """Yield the needs of a need, then write what meets it."""
        record = self.btf[type_id]
        match record:
            case Int() | Float():
                self._alias(type_id, record)
            case Ptr():
                yield self._need(record.type, False)
            case Array():
                yield self._need(record.element, True)
            case Const() | Volatile() | Restrict() | TypeTag():
                yield self._need(record.type, complete)
            case FuncProto():
                yield self._need(record.returns, False)
                for param in record.params:
                    yield self._need(param.type, False)
            case Typedef():
                if complete:
                    yield self._need(type_id, False)
                    yield self._need(record.type, True)
                else:
                    yield self._need(record.type, False)
                    self._emit(type_id)
            case Struct() | Union():
                if complete:
                    for member in record.members:
                        yield self._need(member.type, True)
                    if record.name:
                        self._emit(type_id)
                        self._declared.add(self.reference(type_id))
                else:
                    self._forward(type_id)
            case Fwd():
                self._forward(type_id)
            case Enum() | Enum64():
                if record.name:
                    self._emit(type_id)
            case Func() | Var():
                yield self._need(record.type, record.kind is Kind.VAR)
                self._emit(type_id)
            case DataSec():
                for place in record.variables:
                    yield self._need(place.type, False)

    def _forward(self, type_id: int) -> None:
        name = self.reference(type_id)
        if name not in self._declared:
            self._declared.add(name)
            self.chunks.append(f"{name};")

    def _emit(self, type_id: int) -> None:
        self.chunks.append(self.definition(type_id))

    def _alias(self, type_id: int, record: Int | Float) -> None:
        """An integer or float type that C does not know by this name and size becomes a typedef."""
        if builtin_size(record.name, self.btf.pointer_size) == record.size:
            self._names[type_id] = record.name
            return
        name = self._unique(self._identifiers, c_name(short_name(record)))
        self._names[type_id] = name
        for spelling, size in BUILTIN_SIZES.items():
            if size == record.size and _same_sort(record, spelling):
                self.chunks.append(f"typedef {spelling} {name};")
                return
        aligned = f" __attribute__((aligned({self.btf.alignment_of(type_id)})))"
        self.chunks.append(f"typedef char {name}[{record.size}]{aligned};")

    # Names

    def new_name(self, type_id: int) -> str:
        record = self.btf[type_id]
        keyword = tag_keyword(record)
        if isinstance(record, Fwd):
            defined = self._definitions.get((keyword, record.name))
            if defined is not None:
                return self.reference(defined)
            self._definitions[keyword, record.name] = type_id
        if keyword:
            return f"{keyword} {self._unique(self._tags, c_name(record.name))}"
        return self._unique(self._identifiers, c_name(record.name)) if record.name else short_name(record)

    def enumerator(self, name: str) -> str:
        return self._unique(self._identifiers, c_name(name))

    def body(self, type_id: int, depth: int = 0) -> str:
        if isinstance(self.btf[type_id], Enum | Enum64):
            self._written_enums.add(type_id)
        return super().body(type_id, depth)

    @staticmethod
    def _unique(taken: Counter[str], name: str) -> str:
        while True:
            taken[name] += 1
            if taken[name] == 1:
                return name
            name = f"{name}___{taken[name]}"


def builtin_size(name: str, pointer_size: int) -> int | None:
    """Size of a C arithmetic type by any spelling of its name (`long unsigned int`); None if it is not one."""
    words = Counter(name.split())
    if words["int"] and words.keys() & {"short", "long"}:
        del words["int"]
    if words["signed"] and not words["char"]:
        del words["signed"]
    if words.keys() <= {"unsigned"} and name.strip():
        words["int"] = 1
    if words == Counter({"long": 1}) or words == Counter({"unsigned": 1, "long": 1}):
        return pointer_size
    return next((size for spelling, size in BUILTIN_SIZES.items() if Counter(spelling.split()) == words), None)


def _same_sort(record: Int | Float, spelling: str) -> bool:
    if isinstance(record, Float) or spelling in ("float", "double"):
        return isinstance(record, Float) and spelling in ("float", "double")
    if record.encoding is IntEncoding.BOOL or spelling == "_Bool":
        return record.encoding is IntEncoding.BOOL and spelling == "_Bool"
    return spelling.startswith("unsigned") != record.signed and spelling != "char"
