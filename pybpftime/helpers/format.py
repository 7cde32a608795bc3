"""The kernel's printf for programs: one formatter for bpf_trace_printk, bpf_trace_vprintk and bpf_snprintf.

Linux works in two passes and so does this module: `bpf_bprintf_prepare` (kernel/bpf/helpers.c) accepts or refuses
the format and copies what pointers lead to; `bstr_printf` (lib/vsprintf.c) makes the text.  The language:

    %% %c %d %i %u %x %X with l or ll for 64 bits, flags `0 + -` and space, and a width
    %s %pks %pus        strings: of the kernel or user by address, of the kernel, of user space
    %p %pK %px          an address hashed, hashed, or as it is
    %pi4 %pI4 %pi6 %pI6 an IP address by pointer
    %ps %pS %pB         a symbol by address; no symbols are known here, so the address itself

Two things differ from Linux, both on purpose.  It hashes addresses with a key of its own; here the digits of %p are
the same in every run.  And where a text does not fit, its second pass forgets to step over what %pks, %pI4 and %pB
made in the first: the length that it returns then, not the text, is wrong there and right here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pybpftime.helpers.errors import EINVAL, ENOSPC
from pybpftime.helpers.reading import (
    is_user_address,
    read_kernel,
    read_kernel_string,
    read_user_string,
)
from pybpftime.machine import Machine
from pybpftime.uapi import MAX_ERRNO

MAX_ARGUMENTS = 12  # MAX_BPRINTF_VARARGS
ARGUMENT_SPACE = 512  # MAX_BPRINTF_BIN_ARGS: bytes for all arguments, strings copied

LEFT, PLUS, SPACE, ZERO = b"-"[0], b"+"[0], b" "[0], b"0"[0]
_FLAGS = frozenset({LEFT, PLUS, SPACE, ZERO})
_DIGITS = frozenset(b"0123456789")
_INTEGERS = frozenset(b"diuxX")


class FormatError(Exception):
    """The kernel refuses the format; `errno` says how."""

    def __init__(self, errno: int) -> None:
        super().__init__(errno)
        self.errno = errno


@dataclass(frozen=True, slots=True)
class Conversion:
    """One conversion of a format.

    `letter` is the conversion itself (`d`, `s`, ... or `p`), `suffix` what follows a p, `long` whether a number has
    64 bits.  `width` is as written, None when there is none.
    """

    letter: str
    suffix: str = ""
    flags: frozenset[int] = frozenset()
    width: int | None = None
    long: bool = False


def parse(text: bytes, arguments: int) -> Iterator[bytes | Conversion]:
    """The parts of the format `text` (without terminating 0) for `arguments` values: literal text and conversions.

    FormatError (EINVAL) when a bad one is reached, as in the kernel's pass.
    """
    count = position = 0
    while position < len(text):
        byte = text[position]
        if byte != 0x25:
            if not (byte >= 0x80 or _is_printable(byte) or _is_space(byte)):
                raise FormatError(EINVAL)
            position += 1
            yield text[position - 1 : position]
        elif text[position + 1 : position + 2] == b"%":
            yield b"%"
            position += 2
        else:
            if count >= arguments:
                raise FormatError(EINVAL)
            conversion, position = _parse_conversion(text, position + 1)
            yield conversion
            count += 1


def _parse_conversion(text: bytes, position: int) -> tuple[Conversion, int]:
    start = position
    while _at(text, position) in _FLAGS:
        position += 1
    flags = frozenset(text[start:position])
    start = position
    while _at(text, position) in _DIGITS:
        position += 1
    width = _width(text[start:position])
    letter = chr(_at(text, position))
    if letter == "p":
        return _parse_pointer(text, position + 1, flags, width)
    if letter in "sc":
        if letter == "s":
            _require_end(text, position + 1)
        return Conversion(letter, "", flags, width), position + 1
    long = letter == "l"
    if long:
        position += 2 if _at(text, position + 1) == ord("l") else 1
    if _at(text, position) not in _INTEGERS:
        raise FormatError(EINVAL)
    return Conversion(chr(text[position]), "", flags, width, long), position + 1


def _parse_pointer(text: bytes, position: int, flags: frozenset[int], width: int | None) -> tuple[Conversion, int]:
    suffix = ""
    if not _ends_conversion(text, position):
        for known in ("ks", "us", "K", "x", "s", "S", "B", "i4", "I4", "i6", "I6"):
            if text.startswith(known.encode(), position):
                suffix = known
                break
        else:
            raise FormatError(EINVAL)
    position += len(suffix)
    if suffix in ("ks", "us"):
        _require_end(text, position)
    # The second pass takes all letters and digits behind %p for a suffix, those of the text too.  The first pass
    # has a look at them all the same, and they are all harmless to it.
    while _is_alphanumeric(_at(text, position)):
        position += 1
    return Conversion("p", suffix, flags, width), position


def _at(text: bytes, position: int) -> int:
    return text[position] if position < len(text) else 0


def _ends_conversion(text: bytes, position: int) -> bool:
    byte = _at(text, position)
    return byte == 0 or _is_space(byte) or _is_punctuation(byte)


def _require_end(text: bytes, position: int) -> None:
    if not _ends_conversion(text, position):
        raise FormatError(EINVAL)


def _width(digits: bytes) -> int | None:
    """A width as struct printf_spec keeps it: 32 bits while reading, then a signed field of 24."""
    if not digits:
        return None
    width = 0
    for digit in digits:
        width = (width * 10 + digit - 0x30) & 0xFFFF_FFFF
    return ((width & 0xFF_FFFF) ^ 0x80_0000) - 0x80_0000


# The kernel's ctype is that of Latin-1 (lib/ctype.c).
def _is_space(byte: int) -> bool:
    return byte in b"\t\n\v\f\r \xa0"


def _is_punctuation(byte: int) -> bool:
    if byte < 0x80:
        return 0x20 < byte < 0x7F and not chr(byte).isalnum()
    return 0xA1 <= byte <= 0xBF or byte in (0xD7, 0xF7)


def _is_alphanumeric(byte: int) -> bool:
    return chr(byte).isalnum() if byte < 0x80 else byte >= 0xC0 and not _is_punctuation(byte)


def _is_printable(byte: int) -> bool:
    return 0x20 <= byte < 0x7F or byte >= 0xA0


# --- the second pass --------------------------------------------------------------------------------------------------


def format_text(machine: Machine, text: bytes, values: Sequence[int]) -> bytes:
    """The whole text, without terminating 0.

    `text` ends before its terminating 0; `values` are 64-bit numbers.  FormatError: EINVAL for a bad format, ENOSPC
    when strings use up the space for arguments.
    """
    arguments = _Arguments(machine, values)
    result = bytearray()
    for part in parse(text, len(values)):
        result += part if isinstance(part, bytes) else arguments.render(part)
    return bytes(result)


class _Arguments:
    """The values, and how much of the space for arguments they took so far."""

    def __init__(self, machine: Machine, values: Sequence[int]) -> None:
        self._machine = machine
        self._values = iter(values)
        self._used = 0

    def render(self, conversion: Conversion) -> bytes:
        value = next(self._values)
        suffix = conversion.suffix
        if conversion.letter == "c":
            self._take(1)
            return _pad(bytes([value & 0xFF]), conversion)
        if conversion.letter == "s" or suffix in ("ks", "us"):
            # Widths hold for %s only: %pks was made to text in the first pass.
            text = self._string(value, suffix)
            return text if suffix else _pad(text, conversion)
        if conversion.letter != "p":
            return _integer(value, conversion, self)
        if suffix in ("i4", "I4", "i6", "I6"):
            return self._address(value, suffix)
        if suffix == "B":
            text = b"%#x" % value
            self._used += len(text) + 1
            return text
        self.take_number(8)
        if suffix in ("s", "S"):
            return _pad(b"%#x" % value, conversion)
        return _pointer(value if suffix == "x" else _hashed(value), conversion)

    def take_number(self, size: int) -> None:
        """Numbers lie at multiples of 4."""
        self._used += -self._used % 4
        self._take(size)

    def _take(self, size: int) -> None:
        if ARGUMENT_SPACE - self._used < size:
            raise FormatError(ENOSPC)
        self._used += size

    def _string(self, address: int, suffix: str) -> bytes:
        room = ARGUMENT_SPACE - self._used
        if room <= 0:
            raise FormatError(ENOSPC)
        from_user = suffix == "us" or (suffix == "" and is_user_address(address))
        read = read_user_string if from_user else read_kernel_string
        content = read(self._machine, address, room)
        if isinstance(content, int):
            content = b"\0"  # what cannot be read is an empty string
        self._used += len(content)
        return content[:-1]

    def _address(self, pointer: int, suffix: str) -> bytes:
        size = 4 if suffix[1] == "4" else 16
        if ARGUMENT_SPACE - self._used < size:
            raise FormatError(ENOSPC)
        content = read_kernel(self._machine, pointer, size)
        text = ip_address(bytes(size) if isinstance(content, int) else content, padded=suffix[0] == "i")
        self._used += len(text) + 1
        return text


def ip_address(address: bytes, *, padded: bool) -> bytes:
    """An IPv4 (4 bytes) or IPv6 address: `1.2.3.4`, `001.002.003.004`; `0001:...:0008`, `0001...0008`."""
    if len(address) == 4:
        return b".".join(b"%03d" % byte if padded else b"%d" % byte for byte in address)
    return (address.hex() if padded else address.hex(":", 2)).encode()


def _integer(value: int, conversion: Conversion, arguments: _Arguments) -> bytes:
    bits = 64 if conversion.long else 32
    arguments.take_number(bits // 8)
    value &= (1 << bits) - 1
    sign = b""
    if conversion.letter in "di":
        if value >> bits - 1:
            value, sign = (1 << bits) - value, b"-"
        elif PLUS in conversion.flags:
            sign = b"+"
        elif SPACE in conversion.flags:
            sign = b" "
    base = {"x": b"%x", "X": b"%X"}.get(conversion.letter, b"%d")
    return _pad_number(sign, base % value, conversion.flags, conversion.width)


def _pointer(value: int, conversion: Conversion) -> bytes:
    """pointer_string: 16 digits, unless there is a width."""
    flags, width = conversion.flags, conversion.width
    if width in (None, -1):
        flags, width = flags | {ZERO}, 16
    return _pad_number(b"", b"%x" % value, flags, width)


def _pad_number(sign: bytes, digits: bytes, flags: frozenset[int], width: int | None) -> bytes:
    width = width or 0
    if LEFT in flags:
        return (sign + digits).ljust(max(width, 0))
    if ZERO in flags:
        return sign + digits.rjust(max(width - len(sign), 0), b"0")
    return (sign + digits).rjust(max(width, 0))


def _pad(text: bytes, conversion: Conversion) -> bytes:
    width = max(conversion.width or 0, 0)
    return text.ljust(width) if LEFT in conversion.flags else text.rjust(width)


def _hashed(address: int) -> int:
    """ptr_to_id: addresses are shown by a hash of 32 bits, NULL and error values as they are."""
    if address == 0 or address >= (1 << 64) - MAX_ERRNO:
        return address
    return zlib.crc32(address.to_bytes(8, "little"))
