"""BTF as C text.  The witness is clang: what we dump compiles, and has the sizes and offsets that we compute."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from program.btf_support import (
    SAMPLE,
    c_errors,
    committed_objects,
    compile_c,
    elf_section,
    need,
    run,
    sized_types,
    vmlinux_bytes,
)

from pybpftime.errors import InputError
from pybpftime.program.btf import (
    Array,
    Btf,
    BtfBuilder,
    BtfType,
    Const,
    DataSec,
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
    Volatile,
    c_name,
    declare,
    definition,
    dump_c,
    type_name,
)
from pybpftime.program.btf.dump import DumpWriter, builtin_size


def build(*records: BtfType) -> Btf:
    """Id 1 is int, 2 is char, `records` follow from 3."""
    builder = BtfBuilder()
    for record in (Int("int", 4, 32, IntEncoding.SIGNED), Int("char", 1, 8, IntEncoding.SIGNED), *records):
        builder.add(record)
    return builder.build()


DECLARATIONS: list[tuple[list[BtfType], str, str]] = [
    ([Ptr(0)], "void *", "void *x"),
    ([Ptr(4), Const(2)], "const char *", "const char *x"),
    ([Const(4), Ptr(2)], "char *const", "char *const x"),
    ([Const(4), Volatile(5), Restrict(6), Ptr(7), Const(1)], *["const int *const volatile restrict"] * 2),
    ([Array(1, 1, 4)], "int[4]", "int x[4]"),
    ([Array(4, 1, 5), Array(1, 1, 6)], "int[5][6]", "int x[5][6]"),
    ([Ptr(4), Array(1, 1, 4)], "int (*)[4]", "int (*x)[4]"),
    ([Ptr(4), Const(5), Array(1, 1, 4)], "const int (*)[4]", "const int (*x)[4]"),
    ([Array(4, 1, 3), Ptr(1)], "int *[3]", "int *x[3]"),
    ([Array(4, 1, 3), Ptr(5), FuncProto(0)], "void (*[3])(void)", "void (*x[3])(void)"),
    ([Ptr(4), FuncProto(1, (Param("", 5), Param("", 0))), Ptr(0)], "int (*)(void *, ...)", "int (*x)(void *, ...)"),
    ([Ptr(4), FuncProto(5), Ptr(6), FuncProto(1)], "int (*(*)(void))(void)", "int (*(*x)(void))(void)"),
    (
        [FuncProto(1, (Param("a", 1), Param("default", 2)))],
        *["int (int a, char default_)", "int x(int a, char default_)"],
    ),
    ([Ptr(4), Struct("flow", 0)], "struct flow *", "struct flow *x"),
    ([Union("", 0)], "union {...}", "union {...} x"),
    ([Enum("core::Kind", 4)], "enum core__Kind", "enum core__Kind x"),
    ([Fwd("f", is_union=True)], "union f", "union f x"),
    ([Typedef("u32", 1)], "u32", "u32 x"),
    ([Ptr(4), TypeTag("user", 1)], "int *", "int *x"),
    ([Float("", 4)], "int32", "int32 x"),
]


@pytest.mark.parametrize(("records", "name", "declaration"), DECLARATIONS)
def test_names_and_declarations(records: list[BtfType], name: str, declaration: str) -> None:
    btf = build(*records)
    assert type_name(btf, 3) == name
    assert declare(btf, 3, "x") == (declaration if "x" in declaration else f"{declaration} x")


def test_declarations_are_cs(tmp_path: Path) -> None:
    """clang takes each declaration, and the type's name in sizeof of what is declared."""
    lines = ["struct flow {}; enum core__Kind {A}; typedef int u32; union f {int a;};"]
    for number, (records, _, _) in enumerate(DECLARATIONS):
        if not any(isinstance(record, Union | Float | FuncProto) for record in records[:1]):
            btf = build(*records)
            lines.append(f"extern {declare(btf, 3, f'x{number}')};")
            lines.append(f'_Static_assert(__builtin_types_compatible_p(typeof(x{number}), {type_name(btf, 3)}), "");')
    assert c_errors(tmp_path, "\n".join(lines)) == ""


def test_definitions() -> None:
    btf = build(
        FuncProto(1, (Param("ctx", 4),)),
        Ptr(0),
        Func("prog", 3, Linkage.STATIC),
        Var("hits", 7, Linkage.EXTERN),
        Volatile(1),
        DataSec(".data", 12, (Placement(6, 8, 4),)),
        Typedef("handler_t", 10),
        Ptr(3),
        Struct("s", 12, (Member("a", 1, 0, 4), Member("", 12, 32), Member("p", 13, 64))),
        Union("", 4, (Member("x", 1, 0), Member("y", 2, 0))),
        Array(2, 1, 3),
        Enum("e", 1, (Enumerator("A", -1),), signed=True),
        Enum64("", 8, (Enumerator("B", (1 << 64) - 1), Enumerator("C", 1 << 31))),
        Enum64("f", 8, (Enumerator("D", -(1 << 63)), Enumerator("E", -(1 << 40))), signed=True),
        Enum("only_declared", 4),
        Fwd("later"),
        Typedef("anonymous_t", 12),
    )
    texts = {type_id: definition(btf, type_id) for type_id in btf.own_ids}
    assert texts == {
        1: "int",
        2: "char",
        3: "int (void *ctx)",
        4: "void *",
        5: "static int prog(void *ctx);",
        6: "extern volatile int hits;",
        7: "volatile int",
        8: "/* .data, size 12 */\nextern volatile int hits; /* offset 8, size 4 */",
        9: "typedef int (*handler_t)(void *ctx);",
        10: "int (*)(void *ctx)",
        11: ("struct s {\n\tint a : 4;\n\tunion {\n\t\tint x;\n\t\tchar y;\n\t};\n\tchar p[3];\n};"),
        12: "union {\n\tint x;\n\tchar y;\n};",
        13: "char[3]",
        14: "enum e {\n\tA = -1,\n} __attribute__((mode(QI)));",
        15: "enum {\n\tB = 18446744073709551615ULL,\n\tC = 2147483648,\n} __attribute__((mode(DI)));",
        16: ("enum f {\n\tD = (-9223372036854775807LL - 1),\n\tE = -1099511627776LL,\n} __attribute__((mode(DI)));"),
        17: "enum only_declared;",
        18: "struct later;",
        19: "typedef union {\n\tint x;\n\tchar y;\n} anonymous_t;",
    }


def test_padding_and_packing() -> None:
    btf = build(
        Struct("p", 5, (Member("c", 2, 0), Member("i", 1, 8))),
        Struct("gap", 12, (Member("c", 2, 0), Member("i", 1, 64))),
        Struct("bits", 8, (Member("a", 1, 0, 3), Member("b", 1, 13, 3), Member("c", 1, 40, 1))),
        Union("tail", 8, (Member("i", 1, 0),)),
        Struct("unsorted", 8, (Member("b", 1, 32), Member("a", 1, 0))),
    )
    assert definition(btf, 3) == "struct p {\n\tchar c;\n\tint i;\n} __attribute__((packed));"
    assert definition(btf, 4) == "struct gap {\n\tchar c;\n\tchar __pad1[7];\n\tint i;\n};"
    assert definition(btf, 5) == (
        "struct bits {\n\tint a : 3;\n\tchar : 5;\n\tchar : 5;\n\tint b : 3;\n\tchar __pad1[3];\n\tint c : 1;\n};"
    )
    assert definition(btf, 6) == "union tail {\n\tint i;\n\tchar __pad1[8];\n};"
    assert definition(btf, 7) == "struct unsorted {\n\tint a;\n\tint b;\n};"


def static_asserts(writer: DumpWriter) -> list[str]:
    """What our layout says of every named struct and union that the dump defines, for the compiler to check."""
    btf, found = writer.btf, []
    for type_id in btf.own_ids:
        record = btf[type_id]
        if not isinstance(record, Struct | Union) or not record.name:
            continue
        name = writer.reference(type_id)
        found.append(f'_Static_assert(sizeof({name}) == {btf.size_of(type_id)}, "");')
        found.append(f'_Static_assert(_Alignof({name}) == {btf.alignment_of(type_id)}, "");')
        found += [
            f'_Static_assert(__builtin_offsetof({name}, {c_name(field.name)}) == {field.offset}, "");'
            for field in btf.fields(type_id)
            if not field.bit_size
        ]
    return found


def judged_dump(btf: Btf, folder: Path) -> tuple[str, int]:
    """What clang finds wrong in the dump and in assertions of its layout, and how many assertions these are."""
    writer = DumpWriter(btf)
    text = writer.dump()
    asserts = static_asserts(writer)
    return c_errors(folder, text + "\n".join(asserts)), len(asserts)


def test_dump_compiles_to_the_same_layout(tmp_path: Path) -> None:
    btf = Btf.parse(elf_section(compile_c(tmp_path, SAMPLE), ".BTF"))
    errors, count = judged_dump(btf, tmp_path)
    assert errors == ""
    assert count > 40


def test_dump_compiled_again_is_the_same_btf(tmp_path: Path) -> None:
    """Bitfields too: members of what clang makes of the dump are the members of the original."""
    btf = Btf.parse(elf_section(compile_c(tmp_path, SAMPLE), ".BTF"))
    writer = DumpWriter(btf)
    text = writer.dump()
    names = {
        writer.reference(type_id): type_id
        for type_id in btf.own_ids
        if btf.kind(type_id) in (Kind.STRUCT, Kind.UNION) and btf[type_id].name
    }
    text += "".join(f"{name} variable{number};\n" for number, name in enumerate(names))
    again = Btf.parse(elf_section(compile_c(tmp_path, text), ".BTF"))
    for name, type_id in names.items():
        twin = again.require(name.split()[-1], btf.kind(type_id))
        ours = [(field.name, field.bit_offset, field.bit_size) for field in btf.fields(type_id)]
        theirs = [(field.name, field.bit_offset, field.bit_size) for field in again.fields(twin)]
        assert [field for field in theirs if not field[0].startswith("__pad")] == ours


def test_dump_of_committed_objects(repository: Path, tmp_path: Path) -> None:
    objects = committed_objects(repository)
    if not objects:
        pytest.skip("needs tests/programs/*.bpf.o")
    for path in objects:
        errors, _ = judged_dump(Btf.parse(elf_section(path, ".BTF")), tmp_path)
        assert errors == "", path


def test_dump_of_a_whole_kernel(tmp_path: Path) -> None:
    btf = Btf.parse(vmlinux_bytes())
    errors, count = judged_dump(btf, tmp_path)
    assert errors == ""
    assert count > 10_000


@settings(max_examples=12)
@given(sized_types())
def test_dump_of_made_up_types(tmp_path_factory: pytest.TempPathFactory, made: tuple[Btf, list[int]]) -> None:
    errors, _ = judged_dump(made[0], tmp_path_factory.mktemp("dump"))
    assert errors == ""


def test_order_and_names() -> None:
    """Declared before use, completed before containment, suffixes for what occurs twice, typedefs for Rust."""
    btf = build(
        Struct("user", 16, (Member("inner", 4, 0), Member("later", 7, 64))),
        Typedef("inner_t", 5),
        Struct("inner", 8, (Member("self", 6, 0),)),
        Ptr(4),
        Ptr(8),
        Fwd("later"),
        Struct("later", 4, (Member("kind", 11, 0),)),
        Struct("later", 1, (Member("b", 12, 0),)),
        Enum("kind", 4, (Enumerator("A", 0), Enumerator("inner_t", 1))),
        Int("u8", 1, 8),
        Int("char", 4, 32),
        Typedef("character", 13),
        Enum("", 4, (Enumerator("LOOSE", 3),)),
        FuncProto(12, (Param("arg", 6),)),
        Func("callee", 16),
    )
    text = dump_c(btf)
    assert text.split("\n\n") == [
        "struct inner;",
        "typedef struct inner inner_t;",
        "struct inner {\n\tinner_t *self;\n};",
        "struct later;",
        "struct user {\n\tinner_t inner;\n\tstruct later *later;\n};",
        "enum kind {\n\tA = 0,\n\tinner_t___2 = 1,\n};",
        "struct later {\n\tenum kind kind;\n};",
        "typedef unsigned char u8;",
        "struct later___2 {\n\tu8 b;\n};",
        "typedef unsigned int char_;",
        "typedef char_ character;",
        "enum {\n\tLOOSE = 3,\n};\n",
    ]
    assert dump_c(btf, [17]).split("\n\n") == [
        "typedef unsigned char u8;",
        "struct inner;",
        "typedef struct inner inner_t;",
        "u8 callee(inner_t *arg);\n",
    ]


def test_types_that_c_calls_otherwise(tmp_path: Path) -> None:
    bool_, i64, f32, u24, long_double, second, variable, func, proto, data, pointer, tag, composite = range(3, 16)
    members = tuple(Member(f"m{n}", target, 128 * n) for n, target in enumerate([bool_, i64, f32, long_double]))
    btf = build(
        Int("bool", 1, 8, IntEncoding.BOOL),
        Int("i64", 8, 64, IntEncoding.SIGNED),
        Float("f32", 4),
        Int("u24", 3, 24),
        Float("long double", 16),
        Typedef("2nd", 1),
        Var("variable", 1),
        Func("f", proto),
        FuncProto(f32),
        DataSec(".data", 4, (Placement(variable, 0, 4),)),
        Ptr(tag),
        TypeTag("noderef", 1, attribute=True),
        Struct("s", 64, members),
        Typedef("pointer", pointer),
    )
    text = dump_c(btf, [u24, second, func, data, composite, composite + 1])
    body = ["\tbool m0;", "\tchar __pad1[15];", "\ti64 m1;", "\tchar __pad2[8];", "\tf32 m2;", "\tlong_double m3;"]
    assert text.split("\n\n") == [
        "typedef char u24[3] __attribute__((aligned(1)));",
        "typedef int _2nd;",
        "typedef float f32;",
        "f32 f(void);",
        "int variable;",
        "typedef _Bool bool;",
        "typedef long long i64;",
        "typedef char long_double[16] __attribute__((aligned(16)));",
        "\n".join(["struct s {", *body, "};"]),
        "typedef int __attribute__((noderef)) *pointer;\n",
    ]
    assert c_errors(tmp_path, text + "\n".join(static_asserts(DumpWriter(btf)))) == ""


def test_dump_of_a_split_btf() -> None:
    base = build(Struct("base", 4, (Member("a", 1, 0),)), Struct("unused", 4))
    builder = BtfBuilder(base=base)
    builder.add(Struct("mine", 4, (Member("b", 3, 0),)))
    assert dump_c(builder.build()).split("\n\n") == [
        "struct base {\n\tint a;\n};",
        "struct mine {\n\tstruct base b;\n};\n",
    ]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *[("long unsigned int", 8), ("unsigned", 4), ("int short unsigned", 2), ("long long int", 8), ("signed", 4)],
        *[("signed char", 1), ("long signed", 8), ("_Bool", 1), ("unsigned __int128", 16), ("u32", None), ("", None)],
        *[("long double", None), ("double", 8), ("long long unsigned int", 8)],
    ],
)
def test_builtin_sizes(name: str, size: int | None, tmp_path: Path) -> None:
    assert builtin_size(name, 8) == size
    if size:
        assert c_errors(tmp_path, f'_Static_assert(sizeof({name}) == {size}, "");') == ""


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([Struct("s", 4, (Member("a", 3, 0),))], "contains itself"),
        ([Struct("s", 4, (Member("a", 4, 0),)), Typedef("t", 3)], "contains itself"),
        ([Typedef("t", 4), Ptr(3)], "refers to itself without a name"),
        ([Typedef("t", 4), FuncProto(0, (Param("", 5),)), Ptr(4)], "refers to itself without a name"),
        ([Struct("s", 8, (Member("a", 1, 0), Member("b", 1, 8)))], "C cannot overlap member 'b'"),
        ([Union("u", 8, (Member("a", 1, 32),))], "C cannot place union member 'a' at an offset"),
        ([Typedef("t", 4), Struct("", 8, (Member("a", 5, 0),)), Ptr(4)], "refers to itself without a name"),
    ],
)
def test_what_c_cannot_say(records: list[BtfType], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        dump_c(build(*records))


def test_texts_that_grow_without_end() -> None:
    btf = build(FuncProto(0), *[FuncProto(0, (Param("", 3 + n), Param("", 3 + n))) for n in range(25)])
    with pytest.raises(InputError, match="grows without end"):
        type_name(btf, len(btf) - 1)
    structs: list[BtfType] = [Struct("", 4, (Member("a", 1, 0),))]
    structs += [Union("", 4, (Member("", 3 + n, 0), Member("", 3 + n, 0))) for n in range(25)]
    btf = build(*structs, Typedef("t", 3 + 25))
    for attempt in (lambda: definition(btf, len(btf) - 1), lambda: dump_c(btf)):
        with pytest.raises(InputError, match="grows without end"):
            attempt()


def test_long_chain_of_typedefs() -> None:
    """However long a chain of needs is, it is not followed by recursion."""
    pointers: list[BtfType] = []
    for number in range(5000):
        pointers += [Typedef(f"t{number}", 4 + 2 * number), Ptr(5 + 2 * number)]
    text = dump_c(build(*pointers, Typedef("end", 1)))
    assert text.startswith("typedef int end;\n\ntypedef end *t4999;\n\ntypedef t4999 *t4998;")


def test_bpftool_names_the_same_types(tmp_path: Path) -> None:
    """Both dumps define the same structs, unions, enums and typedefs."""
    bpftool = need("bpftool")
    path = compile_c(tmp_path, SAMPLE)
    theirs = run(bpftool, "btf", "dump", "file", path, "format", "c")
    ours = dump_c(Btf.parse(elf_section(path, ".BTF")))
    assert _defined(ours) == _defined(theirs)


def _defined(text: str) -> set[str]:
    lines = [line for line in text.splitlines() if not line.startswith(("\t", "#", "}"))]
    opened = {" ".join(line.split()[:2]) for line in lines if line.endswith("{") and not line.startswith("typedef")}
    return opened | {line for line in lines if line.startswith("typedef") and line.endswith(";")}
