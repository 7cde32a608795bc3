"""What the BTF tests share: C compiled for BPF, bpftool, and BTF that hypothesis makes up."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import strategies as st

from pybpftime.program.btf import (
    Array,
    Btf,
    BtfBuilder,
    Const,
    Enum,
    Enum64,
    Enumerator,
    Float,
    Int,
    IntEncoding,
    Member,
    Ptr,
    Struct,
    Typedef,
    Union,
    Volatile,
)

VMLINUX = Path("/sys/kernel/btf/vmlinux")

# Every kind, and what is easily got wrong: bitfields, packing, nesting, signed and wide enumerations.
SAMPLE = r"""
typedef unsigned char __u8; typedef unsigned int __u32; typedef unsigned long long __u64;
#define SEC(name) __attribute__((section(name), used))
enum color { RED, GREEN = -5, BLUE };
enum wide { HUGE = 0x1ffffffffULL };
enum signed_wide { LOW = -0x1ffffffffLL };
enum tiny { T1, T2 } __attribute__((packed));
enum { LOOSE_CONSTANT = 0xffffffff };
struct only_declared;
union also_only_declared;
struct flow {
    __u32 saddr; __u8 mac[6]; char name[16];
    int a : 3; unsigned b : 5; long long c : 40;
    struct { int x; union { int y; float f; }; };
    enum color color;
    struct only_declared *p; union also_only_declared *q;
    int (*callback)(void *, const char *, ...);
    const volatile int *const restrict r;
    __int128 i; _Bool ok; double d;
    __u8 matrix[2][3];
    __u64 flexible[];
} __attribute__((btf_decl_tag("hello")));
struct __attribute__((packed)) packed {
    char c; __u32 d; struct flow *f; int bits : 7; struct { short s; long l; } in;
};
struct aligned { char c; int x __attribute__((aligned(32))); } __attribute__((aligned(64)));
struct gaps { int a : 4; int : 9; int b : 4; short : 0; char c; long : 3; long d : 60; } ;
struct odd { unsigned char a : 5, b : 2, : 0, c : 7; _Bool e : 1; enum color f : 5; };
union mix { __u8 bytes[13]; struct { __u32 u; char c; }; __u64 wide; int bits : 5; };
typedef struct node { struct node *next; struct { struct node *prev; } link; union mix mix[2]; } node_t;
typedef int (*handler_t)(node_t *node, int (*compare)(const node_t *, const node_t *), char name[4]);
typedef struct { handler_t handlers[3]; } table_t;
int __attribute__((btf_type_tag("user"))) *tagged;
struct flow flow; struct packed packed; struct aligned aligned; struct gaps gaps; struct odd odd; table_t table;
static volatile __u32 hits; const int limit = 4; enum wide wide; enum signed_wide signed_wide; enum tiny tiny;
__u64 loose = LOOSE_CONSTANT;
extern int kfunc(int a) SEC(".ksyms");
extern const int kconfig SEC(".kconfig");
static __attribute__((noinline)) int helper(int a __attribute__((btf_decl_tag("argument")))) { return a + hits; }
SEC("xdp") int prog(void *ctx)
{
    hits++;
    return helper(3) + flow.saddr + tiny + wide + kfunc(2) + kconfig + *tagged + packed.d;
}
SEC("license") char _license[] = "GPL";
"""


def need(program: str) -> str:
    """The path of a tool; skips the test where it is missing."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"needs {program}")
    return found


def run(*command: str | Path) -> str:
    """Run a command that must succeed; its output."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    return done.stdout


def compile_c(folder: Path, source: str, *flags: str) -> Path:
    """A BPF object with BTF; skips without clang-19."""
    clang = need("clang-19")
    (folder / "source.c").write_text(source)
    run(clang, "-target", "bpf", "-g", "-O2", "-w", *flags, "-c", folder / "source.c", "-o", folder / "source.o")
    return folder / "source.o"


def c_errors(folder: Path, source: str) -> str:
    """What clang finds wrong in the source, "" for nothing; skips without clang-19."""
    (folder / "check.c").write_text(source)
    command = (need("clang-19"), "-target", "bpf", "-std=gnu11", "-fsyntax-only", "-w", str(folder / "check.c"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr[:4000] or f"exit status {done.returncode}"


def elf_section(path: Path, name: str) -> bytes:
    with path.open("rb") as file:
        section = ELFFile(file).get_section_by_name(name)
        assert section is not None, f"{path.name} has no section {name}"
        return bytes(section.data())


def vmlinux_bytes() -> bytes:
    """The running kernel's BTF; skips without."""
    try:
        return VMLINUX.read_bytes()
    except OSError as error:
        pytest.skip(f"needs {VMLINUX}: {error.strerror}")


def kernel_judge() -> Callable[[bytes], bool]:
    """A function that says whether the running kernel takes a `.BTF`; skips where bpf(2) cannot be used."""
    kernel = pytest.importorskip("pybpftime.kernel", reason="needs Linux", exc_type=ImportError)
    if (reason := kernel.available()) is not None:
        pytest.skip(f"needs bpf(2): {reason}")

    def accepts(data: bytes) -> bool:
        try:
            kernel.KernelBtf.load(data).close()
        except kernel.KernelRejection:
            return False
        return True

    return accepts


def committed_objects(repository: Path) -> list[Path]:
    return sorted((repository / "tests" / "programs").glob("*.bpf.o"))


# --- BTF from hypothesis ----------------------------------------------------------------------------------------------

INTEGERS = [
    Int("char", 1, 8, IntEncoding.SIGNED),
    Int("signed char", 1, 8, IntEncoding.SIGNED),
    Int("unsigned char", 1, 8),
    Int("short", 2, 16, IntEncoding.SIGNED),
    Int("unsigned short", 2, 16),
    Int("int", 4, 32, IntEncoding.SIGNED),
    Int("unsigned int", 4, 32),
    Int("long", 8, 64, IntEncoding.SIGNED),
    Int("unsigned long", 8, 64),
    Int("__int128", 16, 128, IntEncoding.SIGNED),
    Int("unsigned __int128", 16, 128),
    Int("_Bool", 1, 8, IntEncoding.BOOL),
    Float("float", 4),
    Float("double", 8),
]


@st.composite
def sized_types(draw: st.DrawFn) -> tuple[Btf, list[int]]:
    """A BTF whose types are laid out as C allows, packed or not, and the ids of those that have values.

    Structs have distinct field names throughout, so that anonymous members never clash.
    """
    builder = BtfBuilder(byteorder=draw(st.sampled_from(["little", "big"])))
    values = [builder.add(record) for record in INTEGERS]
    numbers = itertools.count()
    for _ in range(draw(st.integers(1, 8))):
        target = draw(st.sampled_from(values))
        btf = builder.build()
        make = draw(st.sampled_from(["array", "pointer", "typedef", "qualifier", "enum", "struct", "struct", "union"]))
        match make:
            case "array":
                if btf.size_of(target) > 256:
                    continue
                record = Array(target, 7, draw(st.integers(0, 5)))
            case "pointer":
                record = Ptr(draw(st.sampled_from([0, target])))
            case "typedef":
                record = Typedef(f"t{next(numbers)}", target)
            case "qualifier":
                record = draw(st.sampled_from([Const, Volatile]))(target)
            case "enum":
                record = draw(enumerations(numbers))
            case _:
                record = draw(composites(make, btf, values, numbers))
        values.append(builder.add(record))
    return builder.build(), values


@st.composite
def enumerations(draw: st.DrawFn, numbers: itertools.count[int]) -> Enum | Enum64:
    signed = draw(st.booleans())
    kind, size, bits = draw(st.sampled_from([(Enum, 1, 8), (Enum, 2, 16), (Enum, 4, 32), (Enum64, 8, 64)]))
    lowest = -(1 << bits - 1) if signed else 0
    chosen = draw(st.lists(st.integers(lowest, lowest + (1 << bits) - 1), min_size=1, max_size=4, unique=True))
    return kind(f"e{next(numbers)}", size, tuple(Enumerator(f"E{next(numbers)}", value) for value in chosen), signed)


@st.composite
def composites(
    draw: st.DrawFn, make: str, btf: Btf, candidates: list[int], numbers: itertools.count[int]
) -> Struct | Union:
    """A struct or union: members one after the other, with gaps; aligned as C does it, or not at all."""
    packed = draw(st.booleans())
    members: list[Member] = []
    cursor = end = 0
    for target in draw(st.lists(st.sampled_from(candidates), max_size=4)):
        resolved = btf[btf.resolve(target)]
        size, alignment = btf.size_of(target), 1 if packed else btf.alignment_of(target)
        if size > 512:
            continue
        bits = 0
        if isinstance(resolved, Int | Enum) and resolved.name != "_Bool" and size <= 8 and draw(st.booleans()):
            bits = draw(st.integers(1, 8 * size - 1))
            if not packed and cursor % (8 * alignment) + bits > 8 * size:
                cursor = _round_up(cursor, 8 * alignment)
        else:
            cursor = _round_up(cursor, 8 * alignment)
        named = not isinstance(resolved, Struct | Union) or resolved.name or draw(st.booleans())
        offset = 0 if make == "union" else cursor
        members.append(Member(f"f{next(numbers)}" if named else "", target, offset, bits))
        cursor = offset + (bits or 8 * size)
        end = max(end, cursor)
        cursor += 8 * draw(st.sampled_from([0, 0, 0, 1, 5])) * (make != "union")
    alignments = [1 if packed else btf.alignment_of(member.type) for member in members]
    size = _round_up(end, 8 * max(alignments, default=1)) // 8
    name = draw(st.sampled_from(["", f"s{next(numbers)}"]))
    return (Union if make == "union" else Struct)(name, size, tuple(members))


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
