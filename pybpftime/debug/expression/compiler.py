"""Nodes -> operands: types and names are resolved here, once; what remains is closures."""

from __future__ import annotations

from collections.abc import Callable

from pybpftime.debug.expression import arithmetic, pointers
from pybpftime.debug.expression.arithmetic import COMPARISONS, INT, folded, promoted_operand, type_of
from pybpftime.debug.expression.assignment import Once, assign, is_contents, number_bytes
from pybpftime.debug.expression.contents import compare_contents, initialiser
from pybpftime.debug.expression.functions import call
from pybpftime.debug.expression.lookup import Names
from pybpftime.debug.expression.nodes import (
    Assign,
    Binary,
    Braces,
    Call,
    Cast,
    Character,
    CompoundLiteral,
    Conditional,
    Index,
    Integer,
    Member,
    Name,
    Node,
    Real,
    SizeofType,
    Slice,
    Special,
    Text,
    Unary,
)
from pybpftime.debug.expression.operands import (
    Computed,
    Located,
    MapOperand,
    Operand,
    Run,
    constant,
    failure,
    in_memory,
    placed,
    rvalue,
)
from pybpftime.debug.expression.scope import Scope
from pybpftime.debug.values import Constant, ScalarKind, c_type, constant_value
from pybpftime.errors import InputError


class Compiler:
    """Compiles the nodes of one expression in a scope."""

    def __init__(self, scope: Scope, *, allow_assignment: bool) -> None:
        self.scope = scope
        self.target = scope.target
        self.order = scope.target.byteorder
        self.names = Names(scope)
        self.allow_assignment = allow_assignment

    def compile(self, node: Node) -> Operand:
        """The operand that a node is; InputError with the column if types or names do not fit."""
        try:
            return self._compile(node)
        except InputError as error:
            raise error.at(column=node.column or None) from None

    def number(self, node: Node) -> Computed:
        """The node as a number."""
        return rvalue(self.target, self.compile(node))

    def promoted(self, operand: Operand) -> Computed:
        """The operand as a number after the integer promotions; pointers stay."""
        number = rvalue(self.target, operand)
        if number.scalar.kind is ScalarKind.POINTER:
            return number
        return promoted_operand(operand, number, self.order)

    def _compile(self, node: Node) -> Operand:
        match node:
            case Name():
                return self.names.name(node)
            case Special():
                return self.names.special(node)
            case Unary():
                return self.unary(node)
            case Binary():
                return self.binary(node)
            case Conditional():
                return self.conditional(node)
            case Assign():
                return self.assignment(node)
            case Member():
                return pointers.member(node, self.compile(node.owner), self.target)
            case Index():
                return self.index(node)
            case Slice():
                return pointers.slice_of(
                    node, self.compile(node.owner), self.number(node.start), self.number(node.stop), self.target
                )
            case Call():
                return self.call(node)
            case Cast():
                return self.cast(node)
            case CompoundLiteral():
                kind = self.names.type(node.type)
                make = initialiser(node.braces, kind, kind.text, self.compile, self.target)
                return Located(node, kind, lambda: Constant(make()))
            case SizeofType():
                return self.size(node, self.names.type(node.type).size)
            case Braces():
                raise failure(node, "a list in braces needs a type here: (struct name){...}")
        return self.literal(node)

    def literal(self, node: Integer | Real | Character | Text) -> Operand:
        match node:
            case Integer():
                return constant(node, c_type(integer_type(node), self.order), node.value)
            case Real():
                value = arithmetic.rounded(node.value, 32) if node.single else node.value
                return constant(node, c_type("float" if node.single else "double", self.order), value)
            case Character():
                char = self.names.char()
                signed = (scalar := char.scalar()) is not None and scalar.signed
                number = node.byte - 256 if signed and node.byte > 127 else node.byte
                return constant(node, type_of(INT, self.order), number)
            case Text():
                data = node.data + b"\0"
                place = Constant(data)
                return Located(node, self.names.char().array(len(data)), lambda: place, fixed=place)

    # Operators

    def unary(self, node: Unary) -> Operand:
        match node.operator:
            case "sizeof":
                return self.sizeof(node)
            case "&":
                return pointers.address(node, self.compile(node.operand))
            case "*":
                return pointers.dereference(node, self.number(node.operand))
            case "!":
                get = self.number(node.operand)
                test = get.get
                return folded(Computed(node, type_of(INT, self.order), lambda: 0 if test() else 1), get)
        number = self.promoted(self.compile(node.operand))
        if number.scalar.kind is ScalarKind.POINTER:
            raise failure(node, f"{node.operator} is not for pointers")
        return arithmetic.negated(node, node.operator, number)

    def binary(self, node: Binary) -> Operand:
        if node.operator in ("&&", "||"):
            return self.logical(node)
        if node.operator in ("==", "!="):
            for operand, wanted in ((node.left, node.right), (node.right, node.left)):
                if isinstance(wanted, Text | Braces):
                    side = self.compile(operand)
                    return compare_contents(node, node.operator, side, wanted, self.compile, self.target)
        left, right = self.promoted(self.compile(node.left)), self.promoted(self.compile(node.right))
        return self.numeric(node, node.operator, left, right)

    def numeric(self, node: Node, symbol: str, left: Computed, right: Computed) -> Computed:
        """A binary operator on promoted numbers or pointers."""
        if ScalarKind.POINTER in (left.scalar.kind, right.scalar.kind):
            if symbol in COMPARISONS:
                return pointers.compare(node, symbol, left, right, self.order)
            return pointers.arithmetic(node, symbol, left, right, self.order)
        return arithmetic.arithmetic(node, symbol, left, right, self.order)

    def logical(self, node: Binary) -> Computed:
        left, right = self.number(node.left), self.number(node.right)
        first, second = left.get, right.get
        if node.operator == "&&":
            found = Computed(node, type_of(INT, self.order), lambda: 1 if first() and second() else 0)
        else:
            found = Computed(node, type_of(INT, self.order), lambda: 1 if first() or second() else 0)
        return folded(found, left, right)

    def conditional(self, node: Conditional) -> Operand:
        test = self.number(node.test)
        choose = test.get
        first_side, second_side = self.compile(node.yes), self.compile(node.no)
        if all(isinstance(side, Located) and side.type.is_aggregate for side in (first_side, second_side)):
            return self._conditional_aggregate(node, test, first_side, second_side)
        yes, no = self.promoted(first_side), self.promoted(second_side)
        if ScalarKind.POINTER in (yes.scalar.kind, no.scalar.kind):
            kind = pointers.common_pointer(node, yes, no)
        else:
            kind = type_of(arithmetic.common(yes.scalar, no.scalar), self.order)
        yes, no = arithmetic.convert(yes, kind), arithmetic.convert(no, kind)
        first, second = yes.get, no.get
        return folded(Computed(node, kind, lambda: first() if choose() else second()), test, yes, no)

    def _conditional_aggregate(self, node: Conditional, test: Computed, yes: Operand, no: Operand) -> Located:
        assert isinstance(yes, Located) and isinstance(no, Located)
        if yes.type.text != no.type.text:
            raise failure(node, f"{yes.type.text} and {no.type.text} are different types")
        choose, first, second = test.get, yes.find, no.find
        return Located(node, yes.type, lambda: first() if choose() else second())

    def assignment(self, node: Assign) -> Operand:
        if not self.allow_assignment:
            advice = "; == compares" if node.operator == "=" else ""
            raise InputError(
                f"{node.operator} changes something, which is not allowed here{advice}", column=node.column
            )
        symbol = node.operator[:-1]
        if isinstance(node.target, Special) and not self.names.is_register(node.target):
            return self._set_special(node, node.target, symbol)
        found = self.compile(node.target)
        if not symbol:
            contents = isinstance(found, Located) and is_contents(node.value, found.type)
            return assign(node, found, None if contents else self.number(node.value), self.compile, self.target)
        if not isinstance(found, Located):
            raise failure(node.target, "it cannot be assigned to")
        once = Once(found)
        value = self.numeric(node, symbol, self.promoted(once.again), self.promoted(self.compile(node.value)))
        return assign(node, once.first, value, self.compile, self.target)

    def _set_special(self, node: Assign, name: Special, symbol: str) -> Computed:
        value = self.number(node.value)
        if symbol:
            old = self.promoted(self.names.special(name))
            value = self.numeric(node, symbol, old, self.promoted(value))
        make, scope, target = number_bytes(value), self.scope, self.target

        def get() -> int | float:
            kept = constant_value(value.type, make(), target, f"${name.name}")
            scope.set_special(name.name, kept)
            return kept.number()

        return Computed(node, value.type, get)

    # Types

    def cast(self, node: Cast) -> Computed:
        kind = self.names.type(node.type)
        number = self.number(node.operand)
        if kind.scalar() is None:
            raise failure(node, f"a cast to {kind.text} has no value")
        found = arithmetic.convert(number, kind)
        return Computed(node, kind, found.get, found.constant)

    def sizeof(self, node: Unary) -> Computed:
        operand = self.compile(node.operand)
        match operand:
            case MapOperand():
                raise failure(node, f"{operand.name} is a map and has no size; len({operand.name}) counts its elements")
            case Run():
                size, span = operand.element.size, operand.span
                return Computed(node, c_type("unsigned long", self.order), lambda: size * span()[1])
            case Located(bits=bits) if bits is not None:
                raise failure(node, "a bit field has no size")
        return self.size(node, operand.type.size)

    def size(self, node: Node, size: int) -> Computed:
        return constant(node, c_type("unsigned long", self.order), size)

    # Elements

    def index(self, node: Index) -> Operand:
        owner = self.compile(node.owner)
        if isinstance(owner, MapOperand):
            return self.map_element(node, node, owner)
        other = self.compile(node.index)
        if not isinstance(other, MapOperand) and is_integral(owner) and not is_integral(other):
            owner, other = other, owner  # C has 2[array], too
        return pointers.element(node, owner, self.promoted(other), self.target)

    def map_element(self, node: Node, index: Index, owner: MapOperand, cpu: Computed | None = None) -> Located:
        """The value of the element whose key is the index; on a cpu, if one is named."""
        find = self._find_element(index, owner, cpu)

        def address() -> int:
            found = find()
            if found is None:
                raise failure(node, "the map has no such element")
            return found

        return in_memory(node, owner.map.value_type, address)

    def _find_element(self, node: Index, owner: MapOperand, cpu: Computed | None = None) -> Callable[[], int | None]:
        """The address of the element whose key is the index, None if the map has none."""
        element = owner.map.element
        key = initialiser(node.index, owner.map.key_type, f"the key of {owner.name}", self.compile, self.target)

        def find() -> int | None:
            try:
                return element(key()) if cpu is None else element(key(), _checked_cpu(cpu, owner))
            except InputError as error:
                raise placed(node, error) from None

        return find

    def call(self, node: Call) -> Operand:
        if node.arguments and isinstance(node.arguments[0], Index):
            index = node.arguments[0]
            if node.name == "exists" and len(node.arguments) == 1:
                owner = self.compile(index.owner)
                if isinstance(owner, MapOperand):
                    find = self._find_element(index, owner)
                    return Computed(node, type_of(INT, self.order), lambda: int(find() is not None))
            if node.name == "per_cpu" and len(node.arguments) == 2:
                owner = self.compile(index.owner)
                if isinstance(owner, MapOperand):
                    return self.map_element(node, index, owner, self._cpu(owner, node.arguments[1]))
        return call(node, self.compile, self.target)

    def _cpu(self, owner: MapOperand, node: Node) -> Computed:
        if owner.map.cpu_count is None:
            raise failure(owner.node, "it has one value for all cpus")
        cpu = self.number(node)
        if not cpu.scalar.is_integral:
            raise failure(node, f"a cpu is an integer, and this is of type {cpu.type.text}")
        return cpu


def _checked_cpu(cpu: Computed, owner: MapOperand) -> int:
    number, count = int(cpu.get()), owner.map.cpu_count or 0
    if not 0 <= number < count:
        raise failure(cpu.node, f"there is no cpu {number}: {owner.name} has values of the cpus 0 to {count - 1}")
    return number


def is_integral(operand: Operand) -> bool:
    """Whether it is an integer."""
    if isinstance(operand, Run | MapOperand):
        return False
    scalar = operand.type.scalar()
    return scalar is not None and scalar.is_integral


def integer_type(node: Integer) -> str:
    """The type of an integer constant (6.4.4.1): the first in which it fits; only non-decimal ones may be unsigned.

    A decimal constant beyond `long long` is unsigned, as clang has it.
    """
    widths = ((31, "int"), (63, "long"), (63, "long long"))[node.longs :]
    for bits, name in widths:
        if not node.unsigned and node.value >> bits == 0:
            return name
        if (node.unsigned or not node.decimal) and node.value >> bits + 1 == 0:
            return f"unsigned {name}"
    return "unsigned long long"
