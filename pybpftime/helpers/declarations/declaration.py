"""HelperDeclaration, and the decorator that reads one from an annotated signature."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

from pybpftime.errors import InputError
from pybpftime.helpers.declarations.kinds import ArgumentKind, ResultKind, Role
from pybpftime.maps.kinds import Operation
from pybpftime.uapi import AttachType, ProgramType

MAX_PARAMETERS = 5
GPL_COMPATIBLE = frozenset(  # license_is_gpl_compatible
    {"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"}
)
"""Licenses of programs that may call helpers with `gpl_only`."""
FIRST_USER_ID = 0x10000
"""Linux will hardly come to these: helpers of users have ids from here on."""

_UNRESTRICTED = frozenset(
    {
        ProgramType.BPF_PROG_TYPE_UNSPEC,  # a bare program, of no type
        ProgramType.BPF_PROG_TYPE_EXT,  # follows the program that it replaces a function of
        ProgramType.BPF_PROG_TYPE_STRUCT_OPS,  # follows the struct that it is an operation of
    }
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One register of the call: r1 to r5 in the order of the declaration."""

    name: str
    kind: ArgumentKind


@dataclass(frozen=True, slots=True)
class Variant:
    """Other parameters of a helper, of the same names, for programs of some types."""

    programs: frozenset[ProgramType]
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True)
class HelperDeclaration:
    """What is to be known of a helper by whoever calls, checks, implements or describes it.

    `id` is the number in the call instruction, None for a user's helper that is called by name only (an extern).
    `map_operation` is what the map argument must support (`maps.kinds.illegal`).  `programs`: the program types that
    may call it, None for all; `not_attached_to`: the expected attach types with which programs of these types may not;
    ask `allows`.  `variants`: what it takes instead in some of them; ask `parameters_for`.  `changes_packet`: every
    packet pointer is invalid afterwards.  `packet_access`: its memory arguments may lie in the packet.  `gpl_only`:
    for programs under a GPL-compatible licence.  `since`: the Linux release that has it, "" for users'.
    `documentation` is the contract, as plain text.
    """

    id: int | None
    name: str
    parameters: tuple[Parameter, ...]
    returns: ResultKind
    map_operation: Operation | None = None
    programs: frozenset[ProgramType] | None = None
    not_attached_to: frozenset[AttachType] = frozenset()
    variants: tuple[Variant, ...] = ()
    changes_packet: bool = False
    packet_access: bool = False
    gpl_only: bool = False
    may_sleep: bool = False
    since: str = ""
    documentation: str = ""

    @property
    def arguments(self) -> tuple[Parameter, ...]:
        """What an implementation gets besides the machine: the parameters, a size being part of its memory."""
        return tuple(parameter for parameter in self.parameters if parameter.kind.role is not Role.SIZE)

    def allows(self, program_type: ProgramType, attach_type: AttachType | None = None) -> bool:
        """Whether a program of this type, loaded with this expected attach type (None: any), may call the helper."""
        if program_type in _UNRESTRICTED:
            return True
        return (self.programs is None or program_type in self.programs) and attach_type not in self.not_attached_to

    def parameters_for(self, program_type: ProgramType) -> tuple[Parameter, ...]:
        """What the helper takes when a program of this type calls it."""
        found = (variant.parameters for variant in self.variants if program_type in variant.programs)
        return next(found, self.parameters)

    @property
    def writes(self) -> bool:
        """Whether it writes memory that the program hands to it, in a program of any type."""
        lists = (self.parameters, *(variant.parameters for variant in self.variants))
        return any(parameter.kind.writes for parameters in lists for parameter in parameters)

    @property
    def signature(self) -> str:
        """`bpf_map_lookup_elem(map: ConstMap, key: MapKey) -> MapValueOrNull`"""
        parameters = ", ".join(f"{parameter.name}: {parameter.kind.name}" for parameter in self.parameters)
        return f"{self.name}({parameters}) -> {self.returns.name}"


Variants = Mapping[frozenset[ProgramType], Mapping[str, Any]]
"""Program types to kinds (the names of `kinds`) by the parameter that is different there."""

_NO_VARIANTS: Variants = MappingProxyType({})


def helper(
    id: int | None = None,
    *,
    map_operation: Operation | None = None,
    programs: frozenset[ProgramType] | None = None,
    not_attached_to: frozenset[AttachType] = frozenset(),
    variants: Variants = _NO_VARIANTS,
    changes_packet: bool = False,
    packet_access: bool = False,
    gpl_only: bool = False,
    may_sleep: bool = False,
    since: str = "",
) -> Callable[[Callable[..., Any]], HelperDeclaration]:
    """Decorator: the function's name, annotations (names of `kinds`) and docstring are a helper's declaration.

    The function is never called.  InputError when the signature is none of a helper.  A user's helper has an `id`
    from FIRST_USER_ID on, or none and is then an extern function that programs call by name.
    """

    def declare(function: Callable[..., Any]) -> HelperDeclaration:
        parameters, returns = _read_signature(function)
        return HelperDeclaration(
            id,
            function.__name__,
            parameters,
            returns,
            map_operation,
            programs,
            not_attached_to,
            _variants(function.__name__, parameters, variants),
            changes_packet,
            packet_access,
            gpl_only,
            may_sleep,
            since,
            inspect.getdoc(function) or "",
        )

    return declare


def _read_signature(function: Callable[..., Any]) -> tuple[tuple[Parameter, ...], ResultKind]:
    name = function.__name__
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise InputError(f"helper {name}: its annotations cannot be read: {error}") from error
    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            raise InputError(f"helper {name}: {parameter} is no plain parameter")
        kind = _kind_of(hints.get(parameter.name), ArgumentKind)
        if kind is None:
            raise InputError(f"helper {name}: parameter {parameter.name} is not annotated with a kind of argument")
        parameters.append(Parameter(parameter.name, kind))
    returns = _kind_of(hints.get("return"), ResultKind)
    if returns is None:
        raise InputError(f"helper {name}: the result is not annotated with a kind of result")
    _check_parameters(name, parameters)
    return tuple(parameters), returns


def _variants(name: str, parameters: tuple[Parameter, ...], variants: Variants) -> tuple[Variant, ...]:
    read = []
    for programs, others in variants.items():
        kinds = {parameter: _kind_of(annotation, ArgumentKind) for parameter, annotation in others.items()}
        known = {parameter.name for parameter in parameters}
        wrong = next((parameter for parameter, kind in kinds.items() if kind is None or parameter not in known), None)
        if wrong is not None:
            raise InputError(
                f"helper {name}: a variant's {wrong} is none of its parameters, or has no kind of argument"
            )
        replaced = [Parameter(each.name, kinds.get(each.name) or each.kind) for each in parameters]
        _check_parameters(name, replaced)
        read.append(Variant(programs, tuple(replaced)))
    return tuple(read)


def _check_parameters(name: str, parameters: list[Parameter]) -> None:
    if len(parameters) > MAX_PARAMETERS:
        raise InputError(f"helper {name}: {len(parameters)} parameters do not fit into r1 to r{MAX_PARAMETERS}")
    before: Role | None = None
    has_map = False
    for parameter in parameters:
        role = parameter.kind.role
        if (role is Role.SIZE) is not (before is Role.MEMORY):
            raise InputError(f"helper {name}: {parameter.name}: a size and memory of that size come as a pair")
        if role in (Role.MAP_KEY, Role.MAP_VALUE) and not has_map:
            raise InputError(f"helper {name}: {parameter.name}: there is no map before it that says how large it is")
        has_map = has_map or role is Role.MAP
        before = role
    if before is Role.MEMORY:
        raise InputError(f"helper {name}: {parameters[-1].name} has no size")


_Kind = TypeVar("_Kind", ArgumentKind, ResultKind)


def _kind_of(annotation: object, kind: type[_Kind]) -> _Kind | None:
    metadata = getattr(annotation, "__metadata__", ())
    return next((item for item in metadata if isinstance(item, kind)), None)


def declarations_of(*modules: ModuleType) -> Mapping[str, HelperDeclaration]:
    """The helpers declared in `modules`, by name.  InputError when an id or a name is declared twice."""
    found: dict[str, HelperDeclaration] = {}
    ids: dict[int, str] = {}
    for module in modules:
        for value in vars(module).values():
            if not isinstance(value, HelperDeclaration) or found.get(value.name) is value:
                continue
            if value.name in found:
                raise InputError(f"helper {value.name} is declared twice")
            if value.id is not None and ids.setdefault(value.id, value.name) != value.name:
                raise InputError(f"helper id {value.id} is declared for both {ids[value.id]} and {value.name}")
            found[value.name] = value
    return found
