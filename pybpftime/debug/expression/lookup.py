"""Names in an expression: variables, maps, enumerators, the packet, registers, specials and types."""

from __future__ import annotations

import re

from pybpftime.debug.expression.arithmetic import INT, type_of
from pybpftime.debug.expression.nodes import Name, Special, TypeName
from pybpftime.debug.expression.operands import Computed, Located, MapOperand, Operand, Run, constant, failure, of_value
from pybpftime.debug.expression.scope import Scope
from pybpftime.debug.expression.type_words import BASE_WORDS, WELL_KNOWN
from pybpftime.debug.values import CType, Memory, Place, Register, TypedValue, c_type, c_types
from pybpftime.errors import InputError
from pybpftime.runtime.names import hint

_REGISTER = re.compile(r"r([0-9]|10)")
MORE_NAMES = ("packet",)


class Names:
    """Looks names up in a scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.order = scope.target.byteorder

    def name(self, node: Name) -> Operand:
        """What a name stands for; a variable hides a map, that an enumerator, that the packet and the registers."""
        name = node.name
        variable = self.scope.variable(name)
        if variable is not None:
            return of_value(node, variable)
        found = self.scope.map(name)
        if found is not None:
            return MapOperand(node, name, found)
        number = self.scope.enumerator(name)
        if number is not None:
            return constant(node, self._enumerator_type(number), number)
        if name == "packet":
            return self._packet(node)
        register = _REGISTER.fullmatch(name)
        if register:
            return self._register(node, int(register[1]))
        known = [*self.scope.names(), *MORE_NAMES]
        raise InputError(
            f"there is no variable, map or constant named {name[:60]}; {hint(name, known)}", column=node.column
        )

    def special(self, node: Special) -> Operand:
        """What `$name` stands for."""
        register = _REGISTER.fullmatch(node.name)
        if register:
            return self._register(node, int(register[1]))
        special, name = self.scope.special, node.name
        found = special(name)
        if found is None:
            raise InputError(f"${name[:60]} has no value: set it with ${name[:60]} = ...", column=node.column)
        if isinstance(found, TypedValue):
            return self._kept(node, found)

        def get() -> int:
            number = special(name)
            if not isinstance(number, int):
                raise failure(node, "it has no number any more")
            return number

        return Computed(node, c_type("long", self.order), get)

    def _kept(self, node: Special, first: TypedValue) -> Located:
        """A value that the user keeps: its type stays, what it holds is asked for each time."""
        special, name, text = self.scope.special, node.name, first.type_text

        def find() -> Place:
            now = special(name)
            if not isinstance(now, TypedValue) or now.type_text != text:
                raise failure(node, f"it is no longer of type {text}")
            return now.place

        return Located(node, first.type, find)

    def is_register(self, node: Special) -> bool:
        """Whether it is `$r0` to `$r10`."""
        return _REGISTER.fullmatch(node.name) is not None

    def _register(self, node: Name | Special, number: int) -> Located:
        place = Register(number)
        return Located(node, c_type("unsigned long", self.order), lambda: place, fixed=place)

    def _packet(self, node: Name) -> Run:
        packet = self.scope.packet

        def span() -> tuple[Place, int]:
            found = packet()
            if found is None:
                raise failure(node, "there is no packet here")
            return Memory(found[0]), found[1]

        return Run(node, c_type("unsigned char", self.order), span)

    def _enumerator_type(self, number: int) -> CType:
        if -(1 << 31) <= number < 1 << 31:
            return type_of(INT, self.order)
        name = "unsigned int" if 0 <= number < 1 << 32 else "long" if number < 1 << 63 else "unsigned long"
        return c_type(name, self.order)

    # Types

    def char(self) -> CType:
        """The program's `char`: whether it has a sign is the compiler's choice."""
        found = self.scope.find_type("", "char")
        return CType(*found) if found else c_type("char", self.order)

    def type(self, node: TypeName) -> CType:
        """The type that a name says; InputError if there is none."""
        kind = self._base(node)
        for _ in range(node.pointers):
            kind = kind.pointer()
        for count in reversed(node.counts):
            kind = kind.array(count)
        return kind

    def _base(self, node: TypeName) -> CType:
        if not node.keyword:
            if node.name == "void":
                return CType(c_types(self.order), 0)
            if node.name == "char":
                return self.char()
            if node.name.split()[0] in BASE_WORDS:
                return c_type(node.name, self.order)
        found = self.scope.find_type(node.keyword, node.name)
        if found:
            return CType(*found)
        if not node.keyword:
            if node.name in WELL_KNOWN:
                return c_type(node.name, self.order)
            for keyword in ("struct", "union", "enum"):
                if self.scope.find_type(keyword, node.name):
                    raise InputError(f"{node.name} needs its keyword: {keyword} {node.name}", column=node.column)
        raise InputError(f"there is no type {node.keyword} {node.name[:60]}".replace("  ", " "), column=node.column)

    def is_type(self, name: str) -> bool:
        """Whether a name behind a parenthesis begins a type: variables and maps hide types, as in C."""
        if self.scope.variable(name) is not None or self.scope.map(name) is not None:
            return False
        return name in WELL_KNOWN or self.scope.find_type("", name) is not None
