"""Copies of instructions of the C library, the C++ library and Python, as they are on this host."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import os
import random
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attach.processor import CODE, NEAR, OPERAND, Processor, check, started_processor
from elftools.elf.elffile import ELFFile

from pybpftime.attach.displace import LARGEST, Displaced, displace
from pybpftime.errors import InputError

capstone = pytest.importorskip("capstone", reason="needs capstone")
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine != "x86_64", reason="needs Linux on x86-64"
)

BASE = 0x7F00_0000_0000  # where the library is loaded, as it were
COPY = BASE + 0x4000_0000
U64 = (1 << 64) - 1
# What does not do the same twice.
CHANGING = {"rdtsc", "rdtscp", "rdrand", "rdseed", "rdpid", "cpuid", "syscall", "xsave", "xsavec", "xsaveopt", "xrstor"}


@functools.cache
def library(name: str) -> Path:
    """The file that is loaded into this process, or the test is skipped."""
    if name == "libstdc++" and (soname := ctypes.util.find_library("stdc++")):
        ctypes.CDLL(soname)
    pattern = re.compile(r"/(libpython|python)[0-9.]*(so[0-9.]*)?$" if name == "python" else rf"/{re.escape(name)}\.so")
    with open("/proc/self/maps", encoding="utf-8") as maps:
        found = {Path(line.split(maxsplit=5)[5].strip()) for line in maps if pattern.search(line.strip())}
    if not found:
        pytest.skip(f"needs {name}")
    return max(found, key=lambda path: path.stat().st_size)


@functools.cache
def functions(path: Path) -> dict[int, bytes]:
    """Address -> code of each function that a symbol names."""
    found: dict[int, bytes] = {}
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        segments = [segment for segment in elf.iter_segments("PT_LOAD") if segment["p_flags"] & 1]
        for section in elf.iter_sections():
            if section["sh_type"] not in ("SHT_SYMTAB", "SHT_DYNSYM"):
                continue
            for symbol in section.iter_symbols():
                start, size = symbol["st_value"], symbol["st_size"]
                if symbol["st_info"]["type"] not in ("STT_FUNC", "STT_GNU_IFUNC") or not size:
                    continue
                for segment in segments:
                    if segment["p_vaddr"] <= start < segment["p_vaddr"] + segment["p_filesz"]:
                        stream.seek(segment["p_offset"] + start - segment["p_vaddr"])
                        found[start] = stream.read(size)
    return found


def decode(code: bytes, address: int) -> capstone.CsInsn:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    return next(decoder.disasm(code, address, count=1))


def instructions(path: Path) -> Iterator[tuple[int, bytes]]:
    """(address, code) of each instruction of each function, as far as it can be decoded from its start."""
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    for start, code in functions(path).items():
        for address, size, _, _ in decoder.disasm_lite(code, start):
            yield address, code[address - start :][:size]


# --- what a copy says, by the disassembler ----------------------------------------------------------------------------


def words(instruction: capstone.CsInsn) -> tuple[str, str]:
    """(mnemonic, operands) with addresses in place of distances, and without prefixes that say nothing."""
    end = instruction.address + instruction.size

    def absolute(match: re.Match[str]) -> str:
        return f"[{(end + int(match[1].replace(' ', '') or '0', 16)) & U64:#x}]"

    operands = re.sub(r"\[rip((?: [+-] \w+)?)\]", absolute, instruction.op_str)
    return instruction.mnemonic.removeprefix("bnd ").removeprefix("notrack "), operands


def words_of_copy(displaced: Displaced) -> list[tuple[str, str]]:
    found = []
    for offset, _ in displaced.places:
        code = displaced.code[offset:]
        instruction = decode(code, displaced.address + offset)
        if code.startswith(b"\xff\x25\0\0\0\0") and len(code) >= 14:
            found.append(("jmp", hex(struct.unpack_from("<Q", code, 6)[0])))
        else:
            found.append(words(instruction))
    return found


def expected_words(code: bytes, displaced: Displaced) -> list[tuple[str, str]]:
    """What the copy of the instruction has to say."""
    instruction = decode(code, displaced.original)
    mnemonic, operands = words(instruction)
    end = displaced.original + displaced.length
    if mnemonic == "call":
        low = struct.unpack("<i", struct.pack("<I", end & 0xFFFF_FFFF))[0] & U64
        jump = re.sub(r"\[rsp( \+ \w+)?\]", _further, operands)
        return [("push", hex(low)), ("mov", f"dword ptr [rsp + 4], {end >> 32:#x}"), ("jmp", jump)]
    if mnemonic == "jmp" or mnemonic.endswith("ret"):
        return [(mnemonic, operands)]
    if instruction.group(capstone.CS_GRP_BRANCH_RELATIVE):
        taken = displaced.address + displaced.places[2][0]
        return [(mnemonic, hex(taken)), ("jmp", hex(end)), ("jmp", operands)]
    return [(mnemonic, operands), ("jmp", hex(end))]


def _further(match: re.Match[str]) -> str:
    return f"[rsp + {int((match[1] or ' + 0')[3:], 16) + 8:#x}]"


@pytest.mark.parametrize("name", ["libc", "libstdc++", "python"])
def test_functions_begin_with_what_can_be_moved(name: str) -> None:
    refused = []
    every = list(functions(library(name)).items())
    every = random.Random(0).sample(every, min(4000, len(every)))
    for start, code in every:
        try:
            displaced = displace(code[:15], BASE + start, COPY)
        except InputError as error:
            refused.append(str(error))
        else:
            assert len(displaced.code) <= LARGEST
            assert words_of_copy(displaced) == expected_words(code[:15], displaced)
    assert len(every) > 100
    assert len(refused) < len(every) / 100, refused


@pytest.mark.parametrize("address", [COPY, COPY + (1 << 40)], ids=["near", "far"])
def test_any_instruction_says_the_same_elsewhere(address: int) -> None:
    every = list(instructions(library("libc")))
    reasons = set()
    for start, code in random.Random(1).sample(every, min(4000, len(every))):
        try:
            displaced = displace(code, BASE + start, address)
        except InputError as error:
            reasons.add(str(error).rpartition(": ")[2])
        else:
            assert displaced.length == len(code)
            assert words_of_copy(displaced) == expected_words(code, displaced), code.hex()
    allowed = (
        r"it is privileged|it raises an exception .*|a breakpoint ends a transaction|its operand is out of reach .*"
    )
    assert not [reason for reason in reasons if not re.fullmatch(allowed, reason)]


# --- what it does, by the processor -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def processor() -> Iterator[Processor]:
    with started_processor() as started:
        yield started


def one_of_each_form(path: Path) -> dict[tuple[object, ...], bytes]:
    """An instruction for each combination of mnemonic, prefixes and kinds of operands."""
    forms: dict[tuple[object, ...], bytes] = {}
    every = list(instructions(path))
    for _, code in random.Random(2).sample(every, min(40_000, len(every))):
        instruction = decode(code, CODE)
        if instruction.mnemonic.split()[-1] in CHANGING:
            continue
        form = bytearray(code)
        of_rip = bool(instruction.modrm_offset and instruction.modrm & 0xC7 == 5)
        if of_rip:
            struct.pack_into("<i", form, instruction.modrm_offset + 1, OPERAND - CODE - len(code))
        kinds = tuple((operand.type, operand.size) for operand in instruction.operands)
        forms.setdefault((instruction.mnemonic, bytes(instruction.prefix), kinds, of_rip), bytes(form))
    return forms


def test_forms_of_the_c_library_do_the_same_elsewhere(processor: Processor) -> None:
    forms = one_of_each_form(library("libc"))
    refused = 0
    for code in forms.values():
        try:
            displace(code, CODE, NEAR)
        except InputError:
            refused += 1
        else:
            check(processor, code, NEAR, repetitions=3)
    assert refused < len(forms) / 20
    assert len(forms) > 100
