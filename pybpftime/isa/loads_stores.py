"""Loads, stores and atomic operations (RFC 9669 sections 5.1 to 5.3), and what Linux has beyond them.

The pure part of a load is what happens to the value between memory and register.  The pure part of an atomic
operation says what replaces the old value; the read and the write around it are one step for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pybpftime.isa.algebra import Algebra, B, V
from pybpftime.isa.encoding import Class, Mode, Size
from pybpftime.isa.row import Form, Group, Row

GROUPS = {Size.B: Group.BASE32, Size.H: Group.BASE32, Size.W: Group.BASE32, Size.DW: Group.BASE64}
FETCH = 0x01
Combine = Callable[..., Any]

_atomic_rows: list[Row] = []


def rows() -> tuple[Row, ...]:
    """The rows of these chapters."""
    return (*_load_and_store_rows(), *_atomic_rows, *_ordered_rows())


def zero_extended(m: Algebra[V, B], value: V) -> V:
    """dst = *(unsigned size *)(src + offset)."""
    return value


def sign_extended(bits: int) -> Combine:
    """dst = *(signed size *)(src + offset)."""

    def extend(m: Algebra[V, B], value: V) -> V:
        return m.sign_extend(value, bits)

    return extend


def _load_and_store_rows() -> Iterator[Row]:
    for size in (Size.W, Size.H, Size.B, Size.DW):
        bits, letter, r = size.size * 8, size.name.lower(), "" if size is Size.DW else "32"
        common: dict[str, Any] = {"size": size.size, "groups": frozenset({GROUPS[size]})}
        yield Row(
            name=f"ldx{letter}", opcode=Class.LDX | Mode.MEM | size, form=Form.LOAD, fixed={"imm": 0},
            pseudo_c=f"{{dst{r}}} = *(u{bits} *)({{src}} {{offset}})",
            mnemonic=f"ldx{letter} {{dst}}, [{{src}}{{offset}}]", section="5.1",
            meaning=f"dst = *(u{bits} *)(src + offset)", compute=zero_extended, reads=("src",), writes=("dst",),
            **common,
        )  # fmt: skip
        yield Row(
            name=f"st{letter}", opcode=Class.ST | Mode.MEM | size, form=Form.STORE, fixed={"src_reg": 0},
            pseudo_c=f"*(u{bits} *)({{dst}} {{offset}}) = {{imm}}", mnemonic=f"st{letter} [{{dst}}{{offset}}], {{imm}}",
            section="5.1", meaning=f"*(u{bits} *)(dst + offset) = imm", operand="imm", reads=("dst",), **common,
        )  # fmt: skip
        yield Row(
            name=f"stx{letter}", opcode=Class.STX | Mode.MEM | size, form=Form.STORE, fixed={"imm": 0},
            pseudo_c=f"*(u{bits} *)({{dst}} {{offset}}) = {{src{r}}}",
            mnemonic=f"stx{letter} [{{dst}}{{offset}}], {{src}}", section="5.1",
            meaning=f"*(u{bits} *)(dst + offset) = src", operand="src_reg", reads=("dst", "src"), **common,
        )  # fmt: skip
        if size is not Size.DW:
            yield Row(
                name=f"ldxs{letter}", opcode=Class.LDX | Mode.MEMSX | size, form=Form.LOAD, fixed={"imm": 0},
                pseudo_c=f"{{dst}} = *(s{bits} *)({{src}} {{offset}})",
                mnemonic=f"ldxs{letter} {{dst}}, [{{src}}{{offset}}]", section="5.2", size=size.size,
                groups=frozenset({Group.BASE64}), meaning=f"dst = *(s{bits} *)(src + offset)",
                compute=sign_extended(bits), reads=("src",), writes=("dst",),
            )  # fmt: skip


def atomic(
    name: str, imm: int, pseudo_c: str, *, fetch: bool = False, compares: bool = False
) -> Callable[[Combine], Combine]:
    """Declare an atomic operation with a 32-bit and a 64-bit row.

    In `pseudo_c`, BITS stands for the width, W for "32" in the 32-bit row and nothing in the other, R0 for r0 or w0.
    """

    def declare(combine: Combine) -> Combine:
        for size, suffix, group in ((Size.W, "32", Group.ATOMIC32), (Size.DW, "", Group.ATOMIC64)):
            bits = size.size * 8
            row = Row(
                name=f"lock_{name}{suffix}",
                opcode=Class.STX | Mode.ATOMIC | size,
                form=Form.ATOMIC,
                fixed={"imm": imm},
                pseudo_c=_fill(pseudo_c, bits, suffix),
                mnemonic=f"lock {name.replace('_', ' ')}{suffix} [{{dst}}{{offset}}], {{src}}",
                section="5.3",
                groups=frozenset({group}),
                meaning=(combine.__doc__ or "").strip().splitlines()[0].removesuffix("."),
                width=bits,
                size=size.size,
                compute=combine,
                fetch=fetch,
                reads=("dst", "src", "r0") if compares else ("dst", "src"),
                writes=("r0",) if compares else ("src",) if fetch else (),
            )
            _atomic_rows.append(row)
        return combine

    return declare


def _fill(template: str, bits: int, suffix: str) -> str:
    r0 = "w0" if suffix else "r0"
    text = template.replace("BITS", str(bits)).replace("W_", f"{suffix}_").replace("R0", r0)
    return text.replace("{src}", f"{{src{suffix}}}")


LOCKED = "lock *(uBITS *)({{dst}} {{offset}}) {} {{src}}"
FETCHED = "{{src}} = atomic_fetch_{}((uBITS *)({{dst}} {{offset}}), {{src}})"


@atomic("add", 0x00, LOCKED.format("+="))
@atomic("fetch_add", 0x00 | FETCH, FETCHED.format("add"), fetch=True)
def atomic_add(m: Algebra[V, B], old: V, src: V, r0: V) -> V:
    """*(size *)(dst + offset) += src."""
    return m.add(old, src)


@atomic("or", 0x40, LOCKED.format("|="))
@atomic("fetch_or", 0x40 | FETCH, FETCHED.format("or"), fetch=True)
def atomic_or(m: Algebra[V, B], old: V, src: V, r0: V) -> V:
    """*(size *)(dst + offset) |= src."""
    return m.bitwise_or(old, src)


@atomic("and", 0x50, LOCKED.format("&="))
@atomic("fetch_and", 0x50 | FETCH, FETCHED.format("and"), fetch=True)
def atomic_and(m: Algebra[V, B], old: V, src: V, r0: V) -> V:
    """*(size *)(dst + offset) &= src."""
    return m.bitwise_and(old, src)


@atomic("xor", 0xA0, LOCKED.format("^="))
@atomic("fetch_xor", 0xA0 | FETCH, FETCHED.format("xor"), fetch=True)
def atomic_xor(m: Algebra[V, B], old: V, src: V, r0: V) -> V:
    """*(size *)(dst + offset) ^= src."""
    return m.bitwise_xor(old, src)


@atomic("xchg", 0xE0 | FETCH, "{src} = xchgW_BITS({dst} {offset}, {src})", fetch=True)
def exchange(m: Algebra[V, B], old: V, src: V, r0: V) -> V:
    """src and *(size *)(dst + offset) change places."""
    return src


@atomic("cmpxchg", 0xF0 | FETCH, "R0 = cmpxchgW_BITS({dst} {offset}, R0, {src})", fetch=True, compares=True)
def compare_exchange(m: Algebra[V, B], old: V, src: V, r0: V) -> V:
    """*(size *)(dst + offset) = src if it equals r0; r0 = what it was, in either case."""
    return m.select(m.equal(old, r0), src, old)


def _ordered_rows() -> Iterator[Row]:
    for size in (Size.B, Size.H, Size.W, Size.DW):
        bits, r = size.size * 8, "" if size is Size.DW else "32"
        common: dict[str, Any] = {
            "opcode": Class.STX | Mode.ATOMIC | size, "section": "5.3", "groups": frozenset(), "size": size.size,
            "origin": "Linux 6.15",
        }  # fmt: skip
        yield Row(
            name=f"load_acquire{bits}", form=Form.LOAD_ACQUIRE, fixed={"imm": 0x100},
            pseudo_c=f"{{dst{r}}} = load_acquire((u{bits} *)({{src}} {{offset}}))",
            mnemonic=f"load_acquire{bits} {{dst}}, [{{src}}{{offset}}]", compute=zero_extended,
            meaning=f"dst = *(u{bits} *)(src + offset), acquire", reads=("src",), writes=("dst",), **common,
        )  # fmt: skip
        yield Row(
            name=f"store_release{bits}", form=Form.STORE_RELEASE, fixed={"imm": 0x110},
            pseudo_c=f"store_release((u{bits} *)({{dst}} {{offset}}), {{src{r}}})",
            mnemonic=f"store_release{bits} [{{dst}}{{offset}}], {{src}}", operand="src_reg",
            meaning=f"*(u{bits} *)(dst + offset) = src, release", reads=("dst", "src"), **common,
        )  # fmt: skip
