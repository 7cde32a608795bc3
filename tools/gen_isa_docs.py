"""Writes docs/reference/isa.md: every row of the ISA table, and how programs are written.

    python -m tools.gen_isa_docs [--check]

Nothing in that file is written by hand; `--check` says whether it is what this program would write.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pybpftime.isa import TABLE, Row
from pybpftime.isa.assembler import assemble, assemble_bytes
from pybpftime.isa.disassembler import disassemble
from pybpftime.isa.row import FIELDS, INCLUDES, RFC
from pybpftime.isa.syntax import Syntax, template
from tools.generated import write_or_check

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference" / "isa.md"

SECTIONS = {
    "4.1": "Arithmetic",
    "4.2": "Byte swaps",
    "4.3": "Jumps, calls and exit",
    "5.1": "Loads and stores",
    "5.2": "Sign-extending loads",
    "5.3": "Atomic operations",
    "5.4": "64-bit immediates",
    "5.5": "Legacy packet access",
}

SHOWN = {
    Syntax.PSEUDO_C: {"dst": "r_dst", "src": "r_src", "dst32": "w_dst", "src32": "w_src", "offset": "+ offset"},
    Syntax.MNEMONIC: {"dst": "%dst", "src": "%src", "offset": "+offset"},
}
COMMON = {"jump": "+target", "call": "+target", "helper": "id", "kfunc": "id", "module": "[, module offset]"}

EXAMPLE = """\
start:  r6 = *(u64 *)(r1 + 0)        ; pseudo-C, as llvm-objdump prints it
        ldxdw %r7, [%r1+8]           # mnemonics, as bpf_conformance has them
        if r6 == 0 goto end          // labels, or +N and -N slots
        r6 += -0x1
        call double                  ; a label: a function of the program
        call 5                       ; a number: a helper function
        goto start
end:    exit
double: add %r7, %r7
        exit
"""

INTRODUCTION = f"""\
# The instruction set

This file is written by `tools/gen_isa_docs.py` from the table in `pybpftime/isa`.

{len(TABLE)} instructions: {sum(row.origin == RFC for row in TABLE)} of [RFC 9669](https://www.rfc-editor.org/rfc/rfc9669)
and {sum(row.origin != RFC for row in TABLE)} that Linux or clang have beyond it.  Sections are those of the RFC.

## How to read the tables

*Encoding* is the opcode and every field with a fixed value; all other fields are operands. `dst_reg` and `src_reg`
are r0 to r10, and r10 is never written. *Pseudo-C* and *Mnemonic* are the two syntaxes: `r_dst` stands for a register
of 64 bits and `w_dst` for the lower half of one, `imm` and `offset` for numbers, `target` for slots from the next
instruction, or a label. In *Meaning*, src is the second operand, immediate or register. *Group* is a conformance
group (section 2.4) or, for what is not in the RFC, where it comes from.
"""

ASSEMBLY = """\
## Assembly

Both syntaxes can be mixed in one text, and what llvm-objdump or the kernel's verifier print can be pasted.

```
{example}```

assembles to

```
{code}```

which disassembles to the left, or with `syntax="mnemonic"` to the right:

```
{listing}```

- Comments begin with `;`, `//` or `#`.  A line may begin with labels (`name:`).
- Numbers are decimal or `0x` hexadecimal.  A 32-bit constant may be written with or without sign.
- `call name` calls a label, or a helper that the caller of `assemble` names; `call name#5` helper 5.
- A jump to `exit`, where no such label is, leads to the first exit instruction (as in bpf_conformance).
- `.byte` and `.8byte` stand for bytes and little-endian words, such as instructions that no row describes.
- A slot's number (`12:`) before an instruction is passed over.  An opcode (`(b7)`) or the bytes (`b7 00 ...`) before
  it choose between readings (`call 0x5` can be a helper or a function) and must agree with it.
"""


def document() -> str:
    """The whole text."""
    parts = [INTRODUCTION, _assembly(), _groups()]
    parts += [_section(number, title) for number, title in SECTIONS.items()]
    return "\n".join(parts)


def _assembly() -> str:
    program = assemble(EXAMPLE)
    code = "".join(f"{assemble_bytes(EXAMPLE)[at : at + 8].hex(' ')}\n" for at in range(0, 8 * len(program), 8))
    left, right = (disassemble(program, syntax=syntax).splitlines() for syntax in Syntax)
    listing = "".join(f"{a:<36}{b}".rstrip() + "\n" for a, b in zip(left, right, strict=True))
    return ASSEMBLY.format(example=EXAMPLE, code=code, listing=listing)


def _groups() -> str:
    lines = ["## Conformance groups", "", "| Group | Includes | Instructions |", "| --- | --- | --- |"]
    for group in sorted({group for row in TABLE for group in row.groups}):
        included = ", ".join(sorted(INCLUDES.get(group, ()))) or "-"
        lines.append(f"| {group} | {included} | {sum(group in row.groups for row in TABLE)} |")
    return "\n".join(lines) + "\n"


def _section(number: str, title: str) -> str:
    lines = [f"## {number} {title}", "", "| Name | Encoding | Pseudo-C | Mnemonic | Meaning | Group |"]
    lines += ["| --- " * 6 + "|", *(_table_row(row) for row in TABLE if row.section == number)]
    return "\n".join(lines) + "\n"


def _table_row(row: Row) -> str:
    cells = [_code(row.name), _encoding(row), *(_code(_shown(row, syntax)) for syntax in Syntax)]
    cells += [_escaped(row.meaning), ", ".join(sorted(row.groups)) or row.origin]
    return f"| {' | '.join(cells)} |"


def _encoding(row: Row) -> str:
    fixed = [(field, row.fixed[field]) for field in (*FIELDS, "next_imm") if field in row.fixed]
    fields = [f"{field} {value:#x}" if value > 9 else f"{field} {value}" for field, value in fixed]
    return ", ".join([f"`{row.opcode:#04x}`", *fields])


def _shown(row: Row, syntax: Syntax) -> str:
    names = COMMON | SHOWN[syntax]
    return re.sub(r"\{(\w+)\}", lambda match: names.get(match[1], match[1]), template(row, syntax))


def _code(text: str) -> str:
    return f"`{_escaped(text)}`"


def _escaped(text: str) -> str:
    """A bar ends a cell, in code too."""
    return text.replace("|", "\\|")


def main(arguments: list[str] | None = None) -> int:
    """0 when the file is (now) right, 1 when `--check` found it to differ."""
    return write_or_check(TARGET, document(), "tools.gen_isa_docs", arguments)


if __name__ == "__main__":
    sys.exit(main())
