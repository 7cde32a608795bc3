"""A folder for each finding, with everything that somebody needs who has only their runtime.

README.txt      what is wrong, where the rule stands, who agrees with whom, the first diverging step, the command
case.case       the case in our format; `pybpftime conformance run --suite case.case --runtime NAME` judges it
case.data       the same for bpf_conformance, where its format can say it
program.s       assembly           program.hex    the bytes           program.h    a C array
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pybpftime.conformance.case import Case
from pybpftime.conformance.formats.case_text import write_case
from pybpftime.conformance.formats.data_file import write_data
from pybpftime.conformance.fuzz.comparison import Kind
from pybpftime.conformance.fuzz.findings import Finding
from pybpftime.errors import InputError
from pybpftime.isa import BY_NAME, decode_program
from pybpftime.isa.disassembler import disassemble
from pybpftime.isa.encoding import SLOT_BYTES


def write_reproducers(folder: Path, findings: Sequence[Finding], versions: Mapping[str, str]) -> list[Path]:
    """Write the folders; OSError when that is not possible."""
    paths = []
    for finding in findings:
        path = folder / folder_name(finding)
        path.mkdir(parents=True, exist_ok=True)
        for name, text in files(finding, versions).items():
            (path / name).write_text(text)
        paths.append(path)
    return paths


def folder_name(finding: Finding) -> str:
    """`dpdk-lock_xchg-value`"""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", f"{finding.runtime}-{finding.row}-{finding.kind.name.lower()}")


def files(finding: Finding, versions: Mapping[str, str]) -> dict[str, str]:
    """The content of a finding's folder."""
    case = finding.case("reproducer")
    program = decode_program(finding.code)
    texts = {
        "README.txt": readme(finding, versions),
        "case.case": write_case(case, "reproducer"),
        "program.s": disassemble(program).rstrip("\n") + "\n",
        "program.hex": "".join(f"{slot}\n" for slot in _slots(finding.code)),
        "program.h": c_array(finding),
    }
    data = _data(case)
    return texts if data is None else texts | {"case.data": data}


def _data(case: Case) -> str | None:
    try:
        return write_data(case)
    except InputError:  # bpf_conformance has no word for it
        return None


def _slots(code: bytes) -> list[str]:
    return [code[at : at + SLOT_BYTES].hex() for at in range(0, len(code), SLOT_BYTES)]


def readme(finding: Finding, versions: Mapping[str, str]) -> str:
    """What a maintainer reads first."""
    lines = [finding.title(), ""]
    row = BY_NAME.get(finding.row)
    if row is not None:
        lines += [f"{row.name}: {row.meaning} ({finding.clause})", ""]
    lines += disassemble(decode_program(finding.code)).rstrip("\n").splitlines()
    memory = "none (r1 = 0, r2 = 0)" if not finding.memory else finding.memory.hex()
    lines += ["", f"memory, whose address is in r1 and length in r2: {memory}"]
    right = f"right: r0 = {finding.expected:#x}"
    if finding.kind is Kind.MEMORY and finding.left is not None:
        right += f", and in memory then {finding.left.hex()}"
    lines += [right, ""]
    lines += [f"{answer}: {', '.join(names)}" for answer, names in finding.agreement]
    if finding.steps:
        lines += ["", "first diverging step", *(f"  {step}" for step in finding.steps)]
    lines += ["", "versions", *(f"  {name} {version}" for name, version in versions.items())]
    command = f"pybpftime conformance run --suite case.case --runtime {finding.runtime}"
    lines += ["", f"met by {finding.count} generated cases, the first of which is {finding.origin}; to repeat:", ""]
    return "\n".join([*lines, f"  {command}", ""])


def c_array(finding: Finding) -> str:
    """The program and its memory as C."""
    rows = "\n".join(
        "    " + " ".join(f"0x{slot[at : at + 2]}," for at in range(0, len(slot), 2)) for slot in _slots(finding.code)
    )
    memory = finding.memory or b""
    cells = ", ".join(f"0x{byte:02x}" for byte in memory) or "0"
    return (
        f"/* {finding.title()} */\n"
        f"static const unsigned char program[{len(finding.code)}] = {{\n{rows}\n}};\n"
        f"static const unsigned char memory[{max(len(memory), 1)}] = {{ {cells} }};\n"
        f"static const unsigned long memory_length = {len(memory)};\n"
        f"static const unsigned long long expected_r0 = {finding.expected:#x}ULL;\n"
    )
