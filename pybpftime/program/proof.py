"""Proof: that the verifier found a program safe, and everything that this depends on.

A proof holds for exactly what was proved.  What it is bound to is written down as digests, one for each part, so that
whoever is shown the proof can compare, and say what is different.  It is no signature: who can make a `Proof` is
trusted to have asked the verifier.  See docs/decisions/0051-proof.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self

from pybpftime import __version__
from pybpftime.errors import InputError, InternalError
from pybpftime.helpers.declarations import HelperDeclaration
from pybpftime.isa import Program
from pybpftime.maps.spec import MapSpec
from pybpftime.program.spec import MapReference, ProgramSpec

if TYPE_CHECKING:  # a program without BTF runs without loading what reads it
    from pybpftime.program.btf import Btf

LINUX_LEVEL = "linux"
"""The level of strictness whose rules the verifier proves."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a verdict depends on.  All are hex digests (SHA-256) but `level` and `verifier`, which are names.

    `instructions`: with what their immediates refer to.  `maps`: the definitions of the maps that the program refers
    to; `read_only_data`: the contents of those among them that never change.  `helpers`: how the helpers differ from
    Linux's.  `program_type`: with what it is attached to, license, section flags and the extents of its functions.
    `level`: of strictness.  `btf`: of the object.  `verifier`: the version of this package.
    """

    instructions: str
    maps: str
    read_only_data: str
    helpers: str
    program_type: str
    level: str
    btf: str
    verifier: str

    def difference(self, other: Binding) -> str | None:
        """The name of the first part in which the two differ; None when they are equal."""
        names = (one.name for one in fields(self) if getattr(self, one.name) != getattr(other, one.name))
        return next((_NAMES.get(name, name) for name in names), None)


_NAMES = {
    "read_only_data": "read-only data",
    "program_type": "program type, attach type, license or functions",
    "level": "level of strictness",
    "btf": "BTF",
    "verifier": "version of the verifier",
}


@dataclass(frozen=True, slots=True)
class Proof:
    """The verifier found the program of this name safe.  The name is for people; `binding` says what was judged."""

    program: str
    binding: Binding

    def why_not(self, binding: Binding) -> str | None:
        """Why the proof does not hold for what `binding` describes; None when it does."""
        different = self.binding.difference(binding)
        return None if different is None else f"the {different} differ from what was proved"

    def covers(self, binding: Binding) -> bool:
        """Whether the proof holds for what `binding` describes."""
        return self.binding == binding

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """What `as_dict` gave.  InputError for data of another form."""
        names = {one.name for one in fields(Binding)}
        if not isinstance(data, dict) or data.keys() != {"program", "binding"}:
            raise InputError("a proof has the keys program and binding")
        program, parts = data["program"], data["binding"]
        if not isinstance(parts, dict) or parts.keys() != names or not isinstance(program, str):
            raise InputError(f"a proof names its program and binds {', '.join(sorted(names))}")
        if not all(isinstance(part, str) for part in parts.values()):
            raise InputError("what a proof is bound to is written as text")
        return cls(program, Binding(**parts))


def binding_of(
    program: ProgramSpec,
    maps: Mapping[str, MapSpec],
    *,
    helpers: Mapping[int, HelperDeclaration | None] | None = None,
    level: str = LINUX_LEVEL,
) -> Binding:
    """What a verdict on `program` depends on.

    `maps` has at least those that the program refers to.  `helpers` is the difference to Linux's: declarations by id,
    None for one of Linux's that is missing.
    """
    used = {one.name: maps.get(one.name) for one in program.references.values() if isinstance(one, MapReference)}
    return Binding(
        instructions=_digest((_listing(program.instructions), program.references)),
        maps=_digest({name: None if map is None else replace(map, contents=None) for name, map in used.items()}),
        read_only_data=_digest({name: _constant(map) for name, map in used.items() if map is not None}),
        helpers=_digest(helpers or {}),
        program_type=_digest(
            (
                program.type, program.attach_type, program.attach_to, program.license, program.flags,
                program.functions,
            )
        ),
        level=level,
        btf=_digest(tuple(_sections(program.btf))),
        verifier=__version__,
    )  # fmt: skip


def _listing(instructions: Program) -> str:
    """The instructions as numbers; unlike their encoding, this exists for whatever somebody put into them."""
    return ";".join(
        "" if one is None else f"{one.opcode},{one.dst_reg},{one.src_reg},{one.offset},{one.imm},{one.next_imm}"
        for one in instructions
    )


def _sections(btf: Btf | None) -> Iterator[bytes]:
    """The BTF, and what it continues."""
    while btf is not None:
        yield btf.to_bytes()
        btf = btf.base


def _constant(map: MapSpec) -> bytes | None:
    """The value of the only element when it is known and never changes, None otherwise."""
    return map.contents.ljust(map.value_size, b"\0") if map.is_constant and map.contents is not None else None


# --- digests ----------------------------------------------------------------------------------------------------------


def _digest(value: object) -> str:
    """Equal for equal values, whatever the order of mappings and sets; different for different ones."""
    digest = sha256()
    for part in _encoded(value):
        digest.update(part)
    return digest.hexdigest()


def _encoded(value: object) -> Iterator[bytes]:
    """Bytes from which the value could be read back: every text has its length and every group its count in front."""
    match value:
        case None:
            yield b"-"
        case int():  # bool and the enumerations of numbers too: they stand for their number
            yield b"i%d;" % int(value)
        case str():
            yield from _text(b"s", value.encode("utf-8", "surrogatepass"))
        case bytes():
            yield from _text(b"b", value)
        case Enum():
            yield from _text(b"e", f"{type(value).__name__}.{value.name}".encode())
        case tuple() | list():
            yield b"t%d;" % len(value)
            for member in value:
                yield from _encoded(member)
        case frozenset():
            yield from _sorted(b"f", (b"".join(_encoded(member)) for member in value))
        case Mapping():
            yield from _sorted(b"m", (b"".join(_encoded((key, member))) for key, member in value.items()))
        case _ if is_dataclass(value) and not isinstance(value, type):
            yield from _text(b"d", type(value).__name__.encode())
            yield from _encoded(tuple(getattr(value, one.name) for one in fields(value)))
        case _:
            raise InternalError(f"a proof cannot be bound to a {type(value).__name__}")


def _text(kind: bytes, content: bytes) -> Iterator[bytes]:
    yield b"%b%d;" % (kind, len(content))
    yield content


def _sorted(kind: bytes, members: Iterator[bytes]) -> Iterator[bytes]:
    ascending = sorted(members)
    yield b"%b%d;" % (kind, len(ascending))
    yield from ascending
