"""Programs that use every register as dst and as src of an operation.

Native code treats registers unlike: x86-64 shifts by cl, divides rdx and rax, has byte registers that need a prefix
and bases that need a displacement.  Every step adds its result to an accumulator; another register that changed is
seen by later steps, or in the end, where all registers are folded into r0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pybpftime.conformance.corpus import folds
from pybpftime.conformance.corpus.atomics import COMBINATIONS
from pybpftime.conformance.corpus.bits import BINARY, CONDITIONS, add, extended, low, negative, swapped
from pybpftime.conformance.corpus.memory import SIZES, loaded, stored
from pybpftime.conformance.corpus.operands import DIVISIONS, SHIFTS, drawn
from pybpftime.conformance.corpus.text import CaseText, Table, document, little, shown

REGISTERS = range(10)
PHASES = (
    (9, [(dst, src) for dst in range(9) for src in range(9)]),
    (0, [(dst, src) for dst in range(1, 10) for src in range(1, 10) if 9 in (dst, src)]),
    (5, [(0, 9), (9, 0)]),
)
"""All pairs (dst, src), each with an accumulator that is neither."""
SLOT = 8 * len(REGISTERS)
"""Accumulators are kept on the stack below the place where all registers go in the end."""

DATA = -512
"""Where data is in the frame, from r10: far enough that displacements of one byte do not reach."""


def files() -> Iterator[tuple[str, str]]:
    """Paths below conformance/cases, and their text."""
    about = "Every register as dst and as src, in one program."
    yield "arithmetic/registers.case", document(about, "RFC 9669 4.1", [_binary(), _immediate(), _unary()])
    yield "jumps/registers.case", document(about, "RFC 9669 4.3", [_jumps()])
    loads = _loads("base", [(f"ldx{letter}", size, False) for letter, size in SIZES.items()] + _SIGNED)
    stores = _stores([(f"stx{letter}", size) for letter, size in SIZES.items()])
    yield "loads_stores/registers.case", document(about, "RFC 9669 5.1 and 5.2", [loads, stores])
    loads = _loads("load_acquire", [(f"load_acquire{8 * size}", size, False) for size in SIZES.values()])
    stores = _stores([(f"store_release{8 * size}", size) for size in SIZES.values()])
    yield "extensions/registers.case", document(about, "Linux 6.15", [loads, stores])
    yield "atomics/registers.case", document(about, "RFC 9669 5.3", list(_atomics()))


_SIGNED = [(f"ldxs{letter}", size, True) for letter, size in SIZES.items() if size < 8]


def _numbers() -> list[int]:
    """What the registers hold at first."""
    return drawn("registers", len(REGISTERS), 64)


def _prelude() -> list[str]:
    return [f"lddw %r{register}, {number:#x}" for register, number in zip(REGISTERS, _numbers(), strict=True)]


def _phases(step: Callable[[int, int, int, int], Sequence[str]], pairs: Callable[[int, int], bool]) -> list[str]:
    """The instructions of all steps; `step` is asked with a running number, the accumulator, dst and src."""
    lines: list[str] = []
    number = 0
    for phase, (accumulator, members) in enumerate(PHASES):
        lines.append(f"mov %r{accumulator}, 0")
        for dst, src in members:
            if pairs(dst, src):
                lines += step(number, accumulator, dst, src)
            number += 1
        lines.append(f"stxdw [%r10-{SLOT + 8 * phase + 8}], %r{accumulator}")
    return lines


def _finish() -> list[str]:
    """Folds all registers and accumulators into r0, by way of the stack."""
    lines = [f"stxdw [%r10-{8 * register + 8}], %r{register}" for register in REGISTERS]
    return [*lines, *_fold_stack(0, len(REGISTERS) + len(PHASES))]


def _fold_stack(first: int, last: int) -> list[str]:
    lines = ["mov %r0, 0"]
    for slot in range(first, last):
        lines += [f"ldxdw %r6, [%r10-{8 * slot + 8}]", *folds.fold(6)]
    return [*lines, "exit"]


def _always(dst: int, src: int) -> bool:
    return True


def _distinct(dst: int, src: int) -> bool:
    return dst != src


# --- arithmetic ---

Operation = Callable[[int, int], int]


def _at_width(operation: Callable[[int, int, int], int], width: int) -> Operation:
    return lambda dst, src: operation(low(dst, width), low(src, width), width)


def _copy(bits: int, width: int) -> Operation:
    return lambda dst, src: extended(src, bits, width)


def _operations() -> Iterator[tuple[str, Operation]]:
    for name, operation in BINARY.items():
        yield name, _at_width(operation, 64)
        yield f"{name}32", _at_width(operation, 32)
    yield "mov", lambda dst, src: src
    yield "mov32", lambda dst, src: low(src, 32)
    for bits, width in ((8, 64), (16, 64), (32, 64), (8, 32), (16, 32)):
        yield f"movsx{bits}{width}", _copy(bits, width)


def _binary() -> CaseText:
    constants = drawn("registers binary", 100, 64)

    def step(number: int, accumulator: int, dst: int, src: int) -> Sequence[str]:
        return f"lddw %r{dst}, {constants[number]:#x}", f"{{op}} %r{dst}, %r{src}", f"add %r{accumulator}, %r{dst}"

    rows = []
    for name, operation in _operations():
        values, kept, number = _numbers(), [], 0
        for accumulator, members in PHASES:
            values[accumulator] = 0
            for dst, src in members:
                values[dst] = constants[number]
                values[dst] = operation(values[dst], values[src])
                values[accumulator] = add(values[accumulator], values[dst], 64)
                number += 1
            kept.append(values[accumulator])
        rows.append((name, name, shown(folds.folded(values + kept))))
    return CaseText(
        "binary", "operations on two registers", (*_prelude(), *_phases(step, _always), *_finish()),
        table=Table(("name", "op"), ("r0",), tuple(rows)),
    )  # fmt: skip


def _immediate() -> CaseText:
    """Operations of a register and an immediate, and those of one register, whose text has nothing behind it."""
    lines = _prelude()
    for register in REGISTERS:
        lines.append(f"{{op}} %r{register}, {{imm}}")
    rows = []
    for name, operation in BINARY.items():
        imm = 3 if name in (*DIVISIONS, *SHIFTS) else -0x123_4567
        for width, op in ((64, name), (32, f"{name}32")):
            values = [operation(low(value, width), extended(imm, 32, width), width) for value in _numbers()]
            rows.append((op, op, shown(imm), shown(folds.folded([*values, 0, 0, 0]))))
    return CaseText(
        "immediate", "operations on a register and an immediate", (*lines, *_no_accumulators(), *_finish()),
        table=Table(("name", "op", "imm"), ("r0",), tuple(rows)),
    )  # fmt: skip


def _unary() -> CaseText:
    lines = [*_prelude(), *(f"{{op}} %r{register}" for register in REGISTERS)]
    results = {"neg": [negative(value, 64) for value in _numbers()]}
    results["neg32"] = [negative(low(value, 32), 32) for value in _numbers()]
    for bits in (16, 32, 64):
        results[f"le{bits}"] = [low(value, bits) for value in _numbers()]
        results[f"be{bits}"] = results[f"swap{bits}"] = [swapped(value, bits) for value in _numbers()]
    rows = [(op, op, shown(folds.folded([*values, 0, 0, 0]))) for op, values in results.items()]
    return CaseText(
        "unary",
        "operations on a register alone",
        (*lines, *_no_accumulators(), *_finish()),
        cite="RFC 9669 4.1 and 4.2",
        table=Table(("name", "op"), ("r0",), tuple(rows)),
    )


def _no_accumulators() -> list[str]:
    return [f"stdw [%r10-{SLOT + 8 * phase + 8}], 0" for phase in range(len(PHASES))]


# --- jumps ---


def _jumps() -> CaseText:
    """Operands are loaded anew for each step: what one comparison tells a verifier is nothing to the next."""
    additions = drawn("registers jumps", 100, 30)
    lines = [f"stxdw [%r10{DATA:+d}], %r1", *_prelude()]

    def step(number: int, accumulator: int, dst: int, src: int) -> Sequence[str]:
        loads: list[str] = []
        for register in dict.fromkeys((dst, src)):
            loads += [f"ldxdw %r{register}, [%r10{DATA:+d}]", f"ldxdw %r{register}, [%r{register}+{8 * register}]"]
        return *loads, f"{{op}} %r{dst}, %r{src}, +1", f"add %r{accumulator}, {additions[number]:#x}"

    numbers = _numbers()
    numbers[3] = numbers[2]  # so that some are equal
    rows = []
    for name, holds in CONDITIONS.items():
        for width, op in ((64, name), (32, f"{name}32")):
            values, kept, number = _numbers(), [], 0
            for accumulator, members in PHASES:
                values[accumulator] = 0
                for dst, src in members:
                    values[dst], values[src] = numbers[dst], numbers[src]
                    if not holds(low(numbers[dst], width), low(numbers[src], width), width):
                        values[accumulator] = add(values[accumulator], additions[number], 64)
                    number += 1
                kept.append(values[accumulator])
            rows.append((op, op, shown(folds.folded(values + kept))))
    return CaseText(
        "conditions", "comparisons of two registers", (*lines, *_phases(step, _always), *_finish()),
        mem=little(*numbers), table=Table(("name", "op"), ("r0",), tuple(rows)),
    )  # fmt: skip


# --- memory ---


def _data() -> list[int]:
    return drawn("registers data", 16, 64)


def _loads(name: str, operations: Sequence[tuple[str, int, bool]]) -> CaseText:
    """Bases are copies of r10."""

    def step(number: int, accumulator: int, dst: int, src: int) -> Sequence[str]:
        return (
            f"mov %r{src}, %r10",
            f"{{op}} %r{dst}, [%r{src}{DATA + 8 * (number % 16):+d}]",
            f"add %r{accumulator}, %r{dst}",
        )

    rows = []
    for op, size, sign in operations:
        words, number, kept = _data(), 0, []
        for _, members in PHASES:
            total = 0
            for _ in members:
                word = words[number % 16].to_bytes(8, "little")
                total = add(total, loaded(0, size, sign=sign, block=word), 64)
                number += 1
            kept.append(total)
        rows.append((op, op, shown(folds.folded(kept))))
    accumulators = _fold_stack(len(REGISTERS), len(REGISTERS) + len(PHASES))
    return CaseText(
        f"{name}.loads", "loads to every register from every base",
        (*_fill_data(), *_phases(step, _always), *accumulators),
        table=Table(("name", "op"), ("r0",), tuple(rows)),
    )  # fmt: skip


def _stores(operations: Sequence[tuple[str, int]]) -> CaseText:
    """Bases are copies of r10; what was stored is loaded back with its neighbours."""
    constants = drawn("registers stores", 100, 64)

    def step(number: int, accumulator: int, dst: int, src: int) -> Sequence[str]:
        return (
            f"mov %r{dst}, %r10",
            f"lddw %r{src}, {constants[number]:#x}",
            f"stdw [%r10{DATA:+d}], 0x5a5a5a5a",
            f"{{op}} [%r{dst}{DATA:+d}], %r{src}",
            f"ldxdw %r{src}, [%r10{DATA:+d}]",
            f"add %r{accumulator}, %r{src}",
        )

    rows = []
    for op, size in operations:
        number, kept = 0, []
        for _, members in PHASES:
            total = 0
            for dst, src in members:
                if dst != src:
                    block = stored(0, size, constants[number], bytes.fromhex("5a5a5a5a00000000"))
                    total = add(total, loaded(0, 8, sign=False, block=block), 64)
                number += 1
            kept.append(total)
        rows.append((op, op, shown(folds.folded(kept))))
    accumulators = _fold_stack(len(REGISTERS), len(REGISTERS) + len(PHASES))
    return CaseText(
        "stores", "stores of every register to every base", (*_phases(step, _distinct), *accumulators),
        table=Table(("name", "op"), ("r0",), tuple(rows)),
    )  # fmt: skip


# --- atomic operations ---


def _fill_data() -> list[str]:
    lines = []
    for place, word in enumerate(_data()):
        lines += [f"lddw %r0, {word:#x}", f"stxdw [%r10{DATA + 8 * place:+d}], %r0"]
    return lines


def _fold_data() -> list[str]:
    """Folds the accumulators and then the data into r0."""
    lines = _fold_stack(len(REGISTERS), len(REGISTERS) + len(PHASES))[:-1]
    for place in range(len(_data())):
        lines += [f"ldxdw %r6, [%r10{DATA + 8 * place:+d}]", *folds.fold(6)]
    return [*lines, "exit"]


def _atomics() -> Iterator[CaseText]:
    constants = drawn("registers atomics", 100, 64)
    for fetch, name, about in ((False, "plain", "nothing is fetched"), (True, "fetch", "the old value goes to src")):
        rows = []
        for op, combine in COMBINATIONS.items():
            if fetch or op != "xchg":
                rows += [(op, op, shown(_atomic_result(combine, 64, fetch, constants)))]
                rows += [(f"{op}32", f"{op}32", shown(_atomic_result(combine, 32, fetch, constants)))]
        lines = _phases(_atomic_step(f"lock {'fetch ' if fetch else ''}{{op}}", constants), _distinct)
        yield CaseText(
            name, f"all registers as base and as src; {about}", (*_fill_data(), *lines, *_fold_data()),
            table=Table(("name", "op"), ("r0",), tuple(rows)),
        )  # fmt: skip
    yield _compare_exchanges(constants)


def _atomic_step(operation: str, constants: Sequence[int]) -> Callable[[int, int, int, int], Sequence[str]]:
    def step(number: int, accumulator: int, dst: int, src: int) -> Sequence[str]:
        return (
            f"mov %r{dst}, %r10",
            f"lddw %r{src}, {constants[number]:#x}",
            f"{operation} [%r{dst}{DATA + 8 * (number % 16):+d}], %r{src}",
            f"mov32 %r{src}, %r{src}",
            f"add %r{accumulator}, %r{src}",
        )

    return step


def _atomic_result(combine: Callable[[int, int, int], int], width: int, fetch: bool, constants: Sequence[int]) -> int:
    words, kept, number = _data(), [], 0
    for _, members in PHASES:
        total = 0
        for dst, src in members:
            if dst != src:
                old, operand = low(words[number % 16], width), low(constants[number], width)
                words[number % 16] += combine(old, operand, width) - old  # the upper half stays
                total += low(old if fetch else operand, 32)
            number += 1
        kept.append(total)
    return folds.folded([*kept, *words])


def _compare_exchanges(constants: Sequence[int]) -> CaseText:
    """r0 is no operand here, but what is compared: with memory's own value at every other step."""
    pairs = [(dst, src) for dst in range(1, 9) for src in range(1, 9) if dst != src]
    lines = ["mov %r9, 0"]
    for number, (dst, src) in enumerate(pairs):
        place = f"%r10{DATA + 8 * (number % 16):+d}"
        lines += [
            f"ldxdw %r0, [{place}]" if number % 2 else f"lddw %r0, {constants[-1 - number]:#x}",
            f"mov %r{dst}, %r10",
            f"lddw %r{src}, {constants[number]:#x}",
            f"lock {{op}} [%r{dst}{DATA + 8 * (number % 16):+d}], %r{src}",
            "add %r9, %r0",
            f"add %r9, %r{src}",
        ]
    lines += [f"stxdw [%r10-{SLOT + 8}], %r9", f"stdw [%r10-{SLOT + 16}], 0", f"stdw [%r10-{SLOT + 24}], 0"]
    rows = []
    for op, width in (("cmpxchg", 64), ("cmpxchg32", 32)):
        words, total = _data(), 0
        for number in range(len(pairs)):
            old = low(words[number % 16], width)
            if number % 2 or old == low(constants[-1 - number], width):
                words[number % 16] += low(constants[number], width) - old
            total += old + constants[number]
        rows.append((op, op, shown(folds.folded([low(total, 64), 0, 0, *words]))))
    return CaseText(
        "compared", "all registers but r0 and r9 as base and as src", (*_fill_data(), *lines, *_fold_data()),
        table=Table(("name", "op"), ("r0",), tuple(rows)),
    )  # fmt: skip
