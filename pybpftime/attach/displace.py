"""Copies of single x86-64 instructions that lie elsewhere and do what the original does where it stands.

A breakpoint takes the first byte of an instruction, and the thread that hits it runs the copy instead: one instruction,
rewritten where its meaning depends on its address, and a jump behind the original.  A copy changes no register, no flag
and no byte of the stack that the original does not change, the 128 bytes below rsp (the red zone of the System V ABI)
included; a call pushes the address behind the original, so that unwinders, longjmp and whoever put a breakpoint on the
return address see what they expect.

Traces of the copy remain: `syscall` leaves the address behind the copy in rcx, x87 instructions note where they stood,
and a signal finds rip in the copy, for which `Displaced.resume` names the place in the original.  A process with a
shadow stack (`x86_Thread_features` in /proc/PID/status) cannot return from a call that was pushed by hand.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pybpftime.errors import HostError, InputError

LARGEST = 64
"""Bytes that a copy takes at most."""
LONGEST_INSTRUCTION = 15

_U64 = (1 << 64) - 1
_OPERAND_SIZE, _ADDRESS_SIZE = 0x66, 0x67
_SEGMENTS = frozenset({0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65})
_LEGACY_PREFIXES = _SEGMENTS | {_OPERAND_SIZE, _ADDRESS_SIZE, 0xF0, 0xF2, 0xF3}
_REX = range(0x40, 0x50)
_REX_B, _REX_W = 1, 8
_MOV_SREG = 0x8E

_RAISES = "it raises an exception on purpose, and whoever handles that looks at where it stands"
_FAR = "it changes the code segment"
_REFUSED: Mapping[str, str] = {
    "int3": "a breakpoint is there already: another debugger or tracer?",
    **dict.fromkeys(("int", "int1", "ud0", "ud1", "ud2"), _RAISES),
    **dict.fromkeys(("retf", "retfq", "iret", "iretd", "iretq"), _FAR),
    **dict.fromkeys(("xbegin", "xabort"), "a breakpoint ends a transaction"),
    "sysenter": "it returns where the kernel chooses",
    "rdmsr": "it is privileged",
}
# The decoder calls these and the loading of segment registers privileged, but programs may execute them.
_NOT_PRIVILEGED = frozenset({"pop", "rdpmc", "rdtscp", "str"})


@dataclass(frozen=True, slots=True)
class Resumed:
    """A place in the original code: `rip`, and what to add to rsp."""

    rip: int
    stack_delta: int = 0


@dataclass(frozen=True, slots=True)
class Displaced:
    """An instruction of `length` bytes at `original` and its copy: `code`, to be written at `address`.

    `places` holds for each instruction of the copy its offset and the equivalent place in the original code.
    """

    original: int
    length: int
    address: int
    code: bytes
    places: tuple[tuple[int, Resumed], ...]

    def resume(self, rip: int) -> Resumed | None:
        """Where a thread that stands at `rip`, inside the copy, continues without it; None where no thread can stand.

        What the copy has done so far counts: before the copied instruction that is `original`, after it the address
        behind or the destination of a branch.  A call that is half done is undone.
        """
        return dict(self.places).get(rip - self.address)


def first_instruction(code: bytes, address: int) -> tuple[int, str]:
    """(length, text) of the instruction that `code`, read at `address`, begins with; InputError when there is none."""
    instruction = _decode(code, address)
    return len(instruction.code), instruction.text


def is_whole(code: bytes, address: int) -> bool:
    """Whether `code`, read at `address`, consists of whole instructions: another one begins behind it."""
    sizes: list[int] = [size for _, size, _, _ in _decoder().disasm_lite(code, address)]
    return sum(sizes) == len(code)


def displace(code: bytes, original: int, address: int) -> Displaced:
    """The copy, to lie at `address`, of the instruction that `code`, read at `original`, begins with.

    `code` holds at least the instruction; 15 bytes are always enough.  Jumps reach any address; an operand relative to
    rip must lie within 2 GiB of the copy.  InputError names the instruction that cannot be moved, and why; HostError
    says that the decoder is not installed.
    """
    instruction = _decode(code, original)
    if reason := _objection(instruction):
        raise _refused(instruction, reason)
    copy = _Copy(instruction, address)
    if instruction.opcode[0] in (0xE9, 0xEB):
        copy.jump(instruction.destination, rip=original)
    elif instruction.opcode[0] == 0xE8:
        _push_return_address(copy, instruction)
        copy.jump(instruction.destination)
    elif instruction.distance_size:
        _branch(copy, instruction)
    elif instruction.is_call_through:
        _call_through(copy, instruction)
    else:
        _other(copy, instruction)
    return Displaced(original, len(instruction.code), address, bytes(copy.code), tuple(copy.places))


# --- decoding ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Instruction:
    """One decoded instruction.  `modrm_offset` is 0 where there is no ModRM byte."""

    address: int
    code: bytes
    mnemonic: str
    text: str
    prefixes: bytes  # legacy and REX
    opcode: bytes  # what follows the prefixes
    modrm_offset: int
    is_privileged: bool
    is_branch: bool  # relative, near, as the decoder says

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.address + len(self.code)

    @property
    def rex(self) -> int:
        """The REX prefix, which counts directly before the opcode only; 0 without."""
        return self.prefixes[-1] if self.prefixes and self.prefixes[-1] in _REX else 0

    @property
    def kept_prefixes(self) -> bytes:
        """The prefixes that still say something on a rewritten branch: how memory or rcx is addressed."""
        legacy = bytes(byte for byte in self.prefixes if byte in _SEGMENTS or byte == _ADDRESS_SIZE)
        return legacy + bytes([self.rex] if self.rex else [])

    @property
    def distance_size(self) -> int:
        """How many bytes, the last ones, are the distance of a near branch; 0 for everything else."""
        first = self.opcode[0]
        if first in (0xE8, 0xE9) or (first == 0x0F and self.opcode[1] & 0xF0 == 0x80):
            return 4
        return 1 if first == 0xEB or first & 0xF0 == 0x70 or 0xE0 <= first <= 0xE3 else 0

    @property
    def destination(self) -> int:
        """Where a near branch goes."""
        return (self.end + int.from_bytes(self.code[-self.distance_size :], "little", signed=True)) & _U64

    def _is_group_5(self, *forms: int) -> bool:
        return self.opcode[0] == 0xFF and self.opcode[1] >> 3 & 7 in forms

    @property
    def is_call_through(self) -> bool:
        """call r/m64"""
        return self._is_group_5(2)

    @property
    def is_jump_through(self) -> bool:
        """jmp r/m64"""
        return self._is_group_5(4)

    @property
    def is_far(self) -> bool:
        """call or jmp m16:32, m16:64"""
        return self._is_group_5(3, 5)


def _decoder() -> Any:
    try:
        import capstone
    except ImportError:
        raise HostError("breakpoint probes need the decoder capstone: pip install 'pybpftime[trace]'") from None
    return capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)


def _decode(code: bytes, address: int) -> _Instruction:
    decoder = _decoder()
    import capstone

    decoder.detail = True
    code = code[:LONGEST_INSTRUCTION]
    found = next(decoder.disasm(code, address, count=1), None)
    if found is None:
        longer = next(decoder.disasm(code.ljust(LONGEST_INSTRUCTION, b"\0"), address, count=1), None)
        reason = "are no instruction that the decoder knows" if longer is None else "end inside an instruction"
        raise InputError(f"the bytes at {address:#x} ({code.hex(' ')}) {reason}")
    code = code[: found.size]
    opcode = 0
    while code[opcode] in _LEGACY_PREFIXES or code[opcode] in _REX:
        opcode += 1
    return _Instruction(
        address=address,
        code=code,
        mnemonic=found.mnemonic.split()[-1],
        text=f"{found.mnemonic} {found.op_str}".strip(),
        prefixes=code[:opcode],
        opcode=code[opcode:],
        modrm_offset=found.modrm_offset,
        is_privileged=found.group(capstone.CS_GRP_PRIVILEGE),
        is_branch=found.group(capstone.CS_GRP_BRANCH_RELATIVE),
    )


def _refused(instruction: _Instruction, reason: str) -> InputError:
    what = f"{instruction.code.hex(' ')}, {instruction.text}"
    return InputError(f"the instruction at {instruction.address:#x} ({what}) takes no breakpoint: {reason}")


def _objection(instruction: _Instruction) -> str | None:
    """Why an instruction does not work elsewhere, as far as that does not depend on where; None when it does."""
    if reason := _REFUSED.get(instruction.mnemonic):
        return reason
    if instruction.is_privileged and instruction.mnemonic not in _NOT_PRIVILEGED and instruction.opcode[0] != _MOV_SREG:
        return "it is privileged"
    if instruction.is_far:
        return _FAR
    if instruction.is_branch and not instruction.distance_size:
        return "it is a branch that is not known here"
    branches = instruction.distance_size or instruction.is_call_through or instruction.is_jump_through
    if branches and _OPERAND_SIZE in instruction.prefixes and not instruction.rex & _REX_W:
        return "with an operand-size prefix, processors disagree about the length of a branch"
    return None


# --- writing the copy -------------------------------------------------------------------------------------------------


class _Copy:
    """The copy while it grows: its bytes, and the place in the original that each of its instructions stands for."""

    def __init__(self, instruction: _Instruction, address: int) -> None:
        self.code = bytearray()
        self.places: list[tuple[int, Resumed]] = []
        self._instruction = instruction
        self._address = address

    @property
    def here(self) -> int:
        """The address of the next byte."""
        return self._address + len(self.code)

    def add(self, code: bytes, rip: int, stack_delta: int = 0) -> None:
        """One instruction; a thread before it is at `rip` of the original code, when rsp is moved by `stack_delta`."""
        self.places.append((len(self.code), Resumed(rip & _U64, stack_delta)))
        self.code += code

    def jump(self, destination: int, *, rip: int | None = None) -> None:
        """A jump to `destination`, which leaves the copy: a thread before it is at `rip`, else at the destination."""
        self.add(_jump(self.here, destination), destination if rip is None else rip)

    def with_operand(self, prefixes: bytes, rest: bytes, modrm: int) -> bytes:
        """`prefixes` and `rest` as one instruction that is added next; an operand relative to rip is the original's.

        `rest` begins with an opcode and is as long as the original's; at `modrm` it has its ModRM byte.
        """
        if rest[modrm] & 0xC7 != 0x05:
            return prefixes + rest
        original = self._instruction
        behind = self.here + len(prefixes) + len(rest)
        place = slice(modrm + 1, modrm + 5)
        distance = int.from_bytes(rest[place], "little", signed=True) + original.end - behind
        if _ADDRESS_SIZE in prefixes:  # the operand's address has 32 bits
            distance = _signed(distance, 32)
        moved = _rel32(distance)
        if moved is None:
            raise _refused(original, f"its operand is out of reach of a copy at {self._address:#x}")
        return prefixes + rest[: place.start] + moved + rest[place.stop :]


def _signed(number: int, bits: int) -> int:
    """The lowest `bits` of a number, as two's complement."""
    sign = 1 << bits - 1
    return ((number + sign) & (1 << bits) - 1) - sign


def _rel32(distance: int) -> bytes | None:
    """The four bytes of a distance between addresses; None when it needs more."""
    distance = _signed(distance, 64)
    return struct.pack("<i", distance) if -(1 << 31) <= distance < 1 << 31 else None


def _jump(address: int, destination: int) -> bytes:
    """A jump that lies at `address`: 5 bytes, or 14 beyond 2 GiB."""
    near = _rel32(destination - (address + 5))
    if near is not None:
        return b"\xe9" + near
    return b"\xff\x25\0\0\0\0" + struct.pack("<Q", destination & _U64)  # jmp [rip+0], and what it reads


def _branch(copy: _Copy, instruction: _Instruction) -> None:
    """jcc, jrcxz, loop: the same condition skips the jump back; behind it stands a jump to the destination."""
    opcode = instruction.opcode
    condition = 0x70 | opcode[1] & 0x0F if opcode[0] == 0x0F else opcode[0]
    prefixes = instruction.kept_prefixes
    back = _jump(copy.here + len(prefixes) + 2, instruction.end)
    copy.add(prefixes + bytes([condition, len(back)]), instruction.address)
    copy.add(back, instruction.end)
    copy.jump(instruction.destination)


def _push_return_address(copy: _Copy, instruction: _Instruction) -> None:
    """Push the address behind the original call.  push has 32 bits, extends their sign, and leaves the flags alone."""
    end = struct.pack("<Q", instruction.end & _U64)
    copy.add(b"\x68" + end[:4], instruction.address)  # push low half
    copy.add(b"\xc7\x44\x24\x04" + end[4:], instruction.address, 8)  # mov dword [rsp+4], high half


def _call_through(copy: _Copy, instruction: _Instruction) -> None:
    """call r/m64: push, and a jump through the same operand, which is 8 bytes further from rsp now.

    The jump reads its operand behind the push.  Only a call that reads less than 16 bytes below its rsp could tell.
    """
    opcode, modrm, rest = instruction.opcode[:1], instruction.opcode[1], instruction.opcode[2:]
    extended = instruction.rex & _REX_B
    modrm = modrm & ~0x38 | 4 << 3  # /2, call, becomes /4, jmp
    if modrm == 0xE4 and not extended:
        raise _refused(instruction, "it calls its own stack")
    if modrm >> 6 != 3 and modrm & 7 == 4 and rest[0] & 7 == 4 and not extended:
        distance = int.from_bytes(rest[1:], "little", signed=True)
        if -16 < distance < 0:
            raise _refused(instruction, "it reads where it writes")
        moved = _rel32(distance + 8)
        if moved is None:
            raise _refused(instruction, "its operand is out of reach")
        modrm, rest = 0x80 | modrm & 0x3F, rest[:1] + moved
    _push_return_address(copy, instruction)
    jump = copy.with_operand(instruction.kept_prefixes, opcode + bytes([modrm]) + rest, 1)
    copy.add(jump, instruction.address, 8)


def _other(copy: _Copy, instruction: _Instruction) -> None:
    """What only its operand can tie to its address; and the jump back, unless it never gets there."""
    code = instruction.code
    if instruction.modrm_offset:
        modrm = instruction.modrm_offset - len(instruction.prefixes)
        code = copy.with_operand(instruction.prefixes, instruction.opcode, modrm)
    copy.add(code, instruction.address)
    if instruction.opcode[0] not in (0xC2, 0xC3) and not instruction.is_jump_through:
        copy.jump(instruction.end)
