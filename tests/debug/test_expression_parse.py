"""Text and nodes: precedence, the way back, and text that is no expression."""

from __future__ import annotations

import string
import sys

import pytest
from debug.values_support import sample_scope
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.debug.expression import compile_expression, parse, render_error, unparse
from pybpftime.debug.expression.nodes import (
    ASSIGNMENTS,
    BINDING,
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
    Item,
    Member,
    Name,
    Node,
    Real,
    SizeofType,
    Slice,
    Special,
    Text,
    TypeName,
    Unary,
)
from pybpftime.debug.expression.tokens import MAX_LENGTH
from pybpftime.errors import InputError


def test_nodes_of_each_form() -> None:
    a, b = Name("a"), Name("b")
    forms: list[tuple[str, Node]] = [
        ("a->b.c", Member(Member(a, "b", True), "c")),
        ("a[1:b]", Slice(a, Integer(1), b)),
        ("a[b ? 1 : 2]", Index(a, Conditional(b, Integer(1), Integer(2)))),
        ("*a[1]", Unary("*", Index(a, Integer(1)))),
        ("(__u16)a + b", Binary("+", Cast(TypeName("", "__u16"), a), b)),
        ("(a) + b", Binary("+", a, b)),
        ("(struct s *)a", Cast(TypeName("struct", "s", 1), a)),
        ("(const volatile struct s *const *)a", Cast(TypeName("struct", "s", 2), a)),
        ("(unsigned)a", Cast(TypeName("", "unsigned int"), a)),
        ("(long int unsigned)a", Cast(TypeName("", "unsigned long"), a)),
        ("(signed char)a", Cast(TypeName("", "signed char"), a)),
        ("sizeof(int[2][3])", SizeofType(TypeName("", "int", 0, (2, 3)))),
        ("sizeof(a)", Unary("sizeof", a)),
        ("sizeof a.b", Unary("sizeof", Member(a, "b"))),
        ("sizeof(a)->b", Unary("sizeof", Member(a, "b", True))),
        ("a = b += 1", Assign("=", a, Assign("+=", b, Integer(1)))),
        ("f(a, {1, .x = 2, [3] = 4})", Call("f", (a, Braces((Item(None, Integer(1)), Item("x", Integer(2)),
                                                             Item(3, Integer(4))))))),
        ("(struct s){1,}.x", Member(CompoundLiteral(TypeName("struct", "s"), Braces((Item(None, Integer(1)),))), "x")),
        ('"a" "\\x62\\"\\0"', Text(b'ab"\0')),
        ("'\\''", Character(39)),
        ("0x2aUL", Integer(42, True, 1, False)),
        ("1.5e3f", Real(1500.0, True)),
        (".5", Real(0.5)),
        ("$r1 - -a", Binary("-", Special("r1"), Unary("-", a))),
        ("a-b", Binary("-", a, b)),
        ("a&&b", Binary("&&", a, b)),
        ("a<b", Binary("<", a, b)),
    ]  # fmt: skip
    assert [parse(text) for text, _ in forms] == [node for _, node in forms]


@pytest.mark.parametrize(
    ("text", "reason", "column"),
    [
        ("", "a value is expected, here is the end", 1),
        ("1 +", "a value is expected, here is the end", 4),
        ("1 2", "an operator or the end is expected, here is '2'", 3),
        ("(1", "')' is expected, here is the end", 3),
        ("a[1", "']' is expected, here is the end", 4),
        ("a ? 1", "':' is expected, here is the end", 6),
        ("a.1", "an operator or the end is expected, here is '.1'", 2),
        ("a->", "the name of a member is expected, here is the end", 4),
        ("a++", "++ is not supported: write += 1", 2),
        ("--a", "-- is not supported: write -= 1", 1),
        ("a, b", "an operator or the end is expected, here is ','", 2),
        ("&&a", "&& has nothing on its left", 1),
        ("0x", "'0x' is not a number", 1),
        ("08", "'08' is not a number", 1),
        ("1lul", "'lul' is no suffix of an integer", 1),
        ("1lL", "'lL' is no suffix of an integer", 1),
        ("18446744073709551616", "18446744073709551616 does not fit 64 bits", 1),
        ("1" * 5000, f"{'1' * 40} does not fit 64 bits", 1),
        ("'ab'", "a character constant holds one byte", 1),
        ("''", "a character constant holds one byte", 1),
        ("'a", "the closing ' is missing", 1),
        ('"\\q"', "\\q is no escape sequence", 2),
        ("'\\400'", "the escape sequence \\400 is more than a byte", 2),
        ('"\\x' + "f" * 5000 + '"', "the escape sequence \\xffffffffff is more than a byte", 2),
        ("a $", "an operator or the end is expected, here is '$'", 3),
        ("a # b", "'#' is no part of an expression", 3),
        ("é", "'é' is no part of an expression", 1),
        ("(char short)a", "char short is no type of C", 2),
        ("struct s", "struct begins a type, and a value is expected", 1),
        ("(struct)a", "the name of the struct is expected, here is ')'", 8),
        ("(int[x])a", "a number of elements is expected", 6),
        ("(int", "')' is expected, here is the end", 5),
        ("(const", "the name of a type is expected, here is the end", 7),
    ],
)
def test_text_that_is_no_expression(text: str, reason: str, column: int) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert (caught.value.reason, caught.value.column) == (reason, column)


HOSTILE = (
    *("(", "-", "!", "~", "*", "{", "((int)", "a[", "a?", "f(", "sizeof ", "(int)", "-(", "a=", "{.x=", "&(", "a&&"),
    *("1+", "a.b", "a[0]", "a->b", "a:b", "1?2:", "a?b:", "'", '"', '"\\', "\\", "0x", "1e", "$", ".", "\0", "\n"),
    *("(*", "(struct "),
)  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("count", [60, 400, 3000, 200_000])
def test_long_hostile_text_is_an_error(piece: str, count: int) -> None:
    text = piece * count
    try:
        node = parse(text)
    except InputError as error:
        assert len(error.reason) < 200
        assert "\n" not in render_error(text, error).splitlines()[-1]
    else:
        assert count == 60 or piece == '"'  # texts one after the other are one text
        assert parse(unparse(node)) == node


def test_what_parses_at_the_limit_can_be_evaluated() -> None:
    scope = sample_scope()
    for text in ("1" + " + 1" * 64, "(" * 62 + "1" + ")" * 62, "-(" * 30 + "1" + ")" * 30, "0 ? 1 : " * 60 + "1"):
        assert compile_expression(text, scope).number() in (1, 65)
    with pytest.raises(InputError, match="more than 64 operations are nested"):
        parse("1" + " + 1" * 65)
    with pytest.raises(InputError, match=f"more than {MAX_LENGTH}"):
        parse(" " * MAX_LENGTH + "1")


def test_nested_conditionals_and_indices_do_not_double_the_work() -> None:
    scope = sample_scope()
    calls = 0
    variable = scope.variable

    def counted(name: str) -> object:
        nonlocal calls
        calls += 1
        return variable(name)

    scope.variable = counted  # type: ignore[method-assign, assignment]
    deep = "seven"
    for _ in range(20):
        deep = f"(1 ? {deep} : 2)"
    assert compile_expression(deep, scope).number() == 7
    deep = "seven"
    for _ in range(20):
        deep = f"({deep} += 1)"
    with pytest.raises(InputError):
        compile_expression(f"1[{deep}]", scope, allow_assignment=True)
    assert calls < 200


@given(st.text(alphabet=string.printable, max_size=80))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    scope = sample_scope()
    try:
        found = compile_expression(text, scope, allow_assignment=True)
        found.value()
    except InputError as error:
        assert error.reason
        assert render_error(text, error)


PIECES = (
    *("iph", "->", "ttl", ".", "points", "[", "]", "(", ")", "{", "}", "1", "0", "-1", "+", "-", "*", "&", "==", "="),
    *("+=", "?", ":", "&&", "!", "~", "(int)", "(struct iphdr *)", "(__u8)", "sizeof", "'a'", '"eth0"', "packet", ","),
    *("counts", "42", "flows", "name", "$r1", "$x", "list", "real", "2.5", "exists", "len", "ntohs", "<<", "/"),
    *("bits", "a"),
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_any_tokens_are_an_expression_or_an_error(pieces: list[str]) -> None:
    text = " ".join(pieces)
    try:
        compile_expression(text, sample_scope(), allow_assignment=True).value()
    except InputError as error:
        assert error.reason
        assert "\n" not in error.reason


NAMES = st.sampled_from(["a", "iph", "x1", "_y", "sizes"])
TYPES = st.builds(
    TypeName,
    *(st.just(""), st.sampled_from(["int", "unsigned long", "__u16", "size_t"]), st.integers(0, 3)),
    counts=st.lists(st.integers(0, 9), max_size=2).map(tuple),
) | st.builds(TypeName, st.sampled_from(["struct", "union", "enum"]), NAMES, st.integers(0, 2))
LEAVES = (
    st.builds(Integer, st.integers(1, 2**64 - 1), st.booleans(), st.integers(0, 2), st.booleans())
    | st.builds(Real, st.floats(0, 1e300, allow_nan=False), st.booleans())
    | st.builds(Character, st.integers(0, 255))
    | st.builds(Text, st.binary(max_size=6))
    | st.builds(Name, NAMES)
    | st.builds(Special, NAMES)
    | st.builds(SizeofType, TYPES)
)


def braces(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Braces]:
    where = st.none() | NAMES | st.integers(0, 99)
    return st.builds(Braces, st.lists(st.builds(Item, where, nodes), max_size=3).map(tuple))


def cast(type: TypeName, node: Node) -> Node:
    """What `(type)node` is."""
    return CompoundLiteral(type, node) if isinstance(node, Braces) else Cast(type, node)


def larger(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return (
        st.builds(Unary, st.sampled_from(["+", "-", "!", "~", "*", "&", "sizeof"]), nodes)
        | st.builds(Binary, st.sampled_from(sorted(BINDING)), nodes, nodes)
        | st.builds(Conditional, nodes, nodes, nodes)
        | st.builds(Assign, st.sampled_from(ASSIGNMENTS), nodes, nodes)
        | st.builds(Member, nodes, NAMES, st.booleans())
        | st.builds(Index, nodes, nodes)
        | st.builds(Slice, nodes, nodes, nodes)
        | st.builds(Call, NAMES, st.lists(nodes, max_size=3).map(tuple))
        | st.builds(cast, TYPES, nodes)
        | braces(nodes)
        | st.builds(CompoundLiteral, TYPES, braces(nodes))
    )


@given(st.recursive(LEAVES, larger, max_leaves=12))
def test_the_way_back(node: Node) -> None:
    assert parse(unparse(node)) == node


def test_parsing_leaves_room_on_the_stack() -> None:
    """The deepest nodes that there can be need less than half of Python's usual stack."""
    deep = "{" * 62 + "1" + "}" * 62
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(600)
    try:
        assert unparse(parse(deep)) == deep
    finally:
        sys.setrecursionlimit(usual)
