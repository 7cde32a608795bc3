"""Tokens -> nodes: a Pratt parser for C expressions (C11 6.5 without comma, `++`, `--` and generic selection).

Total: every text gives a node or an InputError with the column, in time linear in its length, and no tree is
higher than `MAX_HEIGHT`.
"""

from __future__ import annotations

from collections.abc import Callable

from pybpftime.debug.expression.nodes import (
    ASSIGNMENT,
    ASSIGNMENTS,
    BINDING,
    CONDITIONAL,
    UNARY,
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
    SizeofType,
    Slice,
    Special,
    Text,
    TypeName,
    Unary,
)
from pybpftime.debug.expression.numbers import parse_number
from pybpftime.debug.expression.tokens import Token, TokenKind, tokenise, unescape
from pybpftime.debug.expression.type_words import BASE_WORDS, QUALIFIERS, TAG_WORDS, base_type, looks_like_type
from pybpftime.errors import InputError

MAX_HEIGHT = 64
"""Operations that may be nested; a chain such as `1 + 1 + 1` counts each."""
MAX_ARRAY = 1 << 32


def parse(text: str, is_type: Callable[[str], bool] = looks_like_type) -> Node:
    """The expression that `text` says; InputError with `column` (from 1) if it says none.

    C cannot be parsed without knowing which names are types: `(name)(x)` is a cast or a call.  `is_type` says so for
    names behind an opening parenthesis; left out, well-known typedefs and names that end in `_t` count.
    """
    parser = _Parser(tokenise(text), is_type)
    node = parser.expression(ASSIGNMENT)
    if parser.token.kind is not TokenKind.END:
        raise parser.unexpected("an operator or the end")
    return node


def parse_type(text: str, is_type: Callable[[str], bool] = looks_like_type) -> TypeName | None:
    """The type that `text` names, None if it begins like an expression; InputError for what is neither."""
    parser = _Parser(tokenise(text), is_type)
    if not parser.type_follows(0):
        return None
    name = parser.type_name()
    if parser.token.kind is not TokenKind.END:
        raise parser.unexpected("the end of the type")
    return name


def render_error(text: str, error: InputError) -> str:
    """The expression, a line with `^` under the place of the error, and the reason."""
    flat = "".join(char if char.isprintable() else " " for char in text)
    if error.column is None:
        return error.reason
    at = min(max(error.column - 1, 0), len(flat))
    begin = max(at - 60, 0)
    return f"{flat[begin : at + 60]}\n{' ' * (at - begin)}^\n{error.reason}"


class _Parser:
    def __init__(self, tokens: list[Token], is_type: Callable[[str], bool]) -> None:
        self.tokens = tokens
        self.is_type = is_type
        self.at = 0
        self.depth = 0
        self.heights: dict[int, int] = {}  # by id of a node; the nodes are kept alive by the one that is being made

    # Tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def is_operator(self, *texts: str) -> bool:
        return self.token.kind is TokenKind.OPERATOR and self.token.text in texts

    def skip(self, text: str) -> bool:
        """Take this operator if it is next."""
        if self.is_operator(text):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> Token:
        if not self.is_operator(text):
            raise self.unexpected(f"{text!r}")
        return self.take()

    def expect_name(self, what: str) -> Token:
        if self.token.kind is not TokenKind.NAME:
            raise self.unexpected(what)
        return self.take()

    def unexpected(self, wanted: str) -> InputError:
        token = self.token
        if token.text in ("++", "--"):
            return InputError(f"{token.text} is not supported: write {token.text[0]}= 1", column=token.column)
        text = f"${token.text}" if token.kind is TokenKind.SPECIAL else token.text
        found = "the end" if token.kind is TokenKind.END else repr(text[:40])
        return InputError(f"{wanted} is expected, here is {found}", column=token.column)

    def made(self, node: Node, *parts: Node) -> Node:
        """`node`, if it is not too high on its parts."""
        height = 1 + max((self.heights.get(id(part), 0) for part in parts), default=0)
        if height > MAX_HEIGHT:
            raise InputError(f"more than {MAX_HEIGHT} operations are nested", column=node.column)
        self.heights[id(node)] = height
        return node

    # Expressions

    def expression(self, least: int) -> Node:
        """An expression whose operators bind at least as strongly as `least`."""
        self.depth += 1
        if self.depth > MAX_HEIGHT:
            raise InputError(f"more than {MAX_HEIGHT} levels are nested", column=self.token.column)
        left = self.prefix()
        while self.token.kind is TokenKind.OPERATOR:
            operator, column = self.token.text, self.token.column
            if BINDING.get(operator, 0) >= least:
                self.take()
                right = self.expression(BINDING[operator] + 1)
                left = self.made(Binary(operator, left, right, column=column), left, right)
            elif operator == "?" and least <= CONDITIONAL:
                self.take()
                yes = self.expression(ASSIGNMENT)
                self.expect(":")
                no = self.expression(CONDITIONAL)
                left = self.made(Conditional(left, yes, no, column=column), left, yes, no)
            elif operator in ASSIGNMENTS and least <= ASSIGNMENT:
                self.take()
                value = self.expression(ASSIGNMENT)
                left = self.made(Assign(operator, left, value, column=column), left, value)
            else:
                break
        self.depth -= 1
        return left

    def prefix(self) -> Node:
        """What stands before any binary operator."""
        token = self.token
        if token.kind is TokenKind.OPERATOR:
            if token.text in "+-!~*&" and len(token.text) == 1:
                self.take()
                operand = self.expression(UNARY)
                return self.made(Unary(token.text, operand, column=token.column), operand)
            if token.text == "&&":
                raise InputError("&& has nothing on its left", column=token.column)
            if token.text == "(" and self.type_follows(1):
                return self.cast()
        elif token.kind is TokenKind.NAME and token.text == "sizeof":
            return self.sizeof()
        return self.postfix(self.primary())

    def cast(self) -> Node:
        column = self.take().column
        name = self.type_name()
        self.expect(")")
        if self.is_operator("{"):
            braces = self.braces()
            return self.postfix(self.made(CompoundLiteral(name, braces, column=column), braces))
        operand = self.expression(UNARY)
        return self.made(Cast(name, operand, column=column), operand)

    def sizeof(self) -> Node:
        column = self.take().column
        if self.is_operator("(") and self.type_follows(1):
            self.take()
            name = self.type_name()
            self.expect(")")
            return self.made(SizeofType(name, column=column))
        operand = self.expression(UNARY)
        return self.made(Unary("sizeof", operand, column=column), operand)

    def primary(self) -> Node:
        token = self.token
        match token.kind:
            case TokenKind.NUMBER:
                return parse_number(self.take())
            case TokenKind.CHARACTER:
                data = unescape(self.take())
                if len(data) != 1:
                    raise InputError("a character constant holds one byte", column=token.column)
                return Character(data[0], column=token.column)
            case TokenKind.TEXT:
                parts = []
                while self.token.kind is TokenKind.TEXT:
                    parts.append(unescape(self.take()))
                return Text(b"".join(parts), column=token.column)
            case TokenKind.SPECIAL:
                return Special(self.take().text, column=token.column)
            case TokenKind.NAME:
                return self.name()
        if self.skip("("):
            node = self.expression(ASSIGNMENT)
            self.expect(")")
            return node
        if self.is_operator("{"):
            return self.braces()
        raise self.unexpected("a value")

    def name(self) -> Node:
        token = self.take()
        if token.text in TAG_WORDS or token.text in BASE_WORDS:
            raise InputError(f"{token.text} begins a type, and a value is expected", column=token.column)
        if not self.is_operator("("):
            return Name(token.text, column=token.column)
        self.take()
        arguments: list[Node] = []
        while not self.is_operator(")"):
            arguments.append(self.expression(ASSIGNMENT))
            if not self.skip(","):
                break
        self.expect(")")
        return self.made(Call(token.text, tuple(arguments), column=token.column), *arguments)

    def postfix(self, node: Node) -> Node:
        """`node` and the `[]`, `.` and `->` behind it."""
        while self.is_operator("[", ".", "->"):
            token = self.take()
            if token.text == "[":
                index = self.expression(ASSIGNMENT)
                if self.skip(":"):
                    stop = self.expression(ASSIGNMENT)
                    found: Node = Slice(node, index, stop, column=token.column)
                    node = self.made(found, node, index, stop)
                else:
                    node = self.made(Index(node, index, column=token.column), node, index)
                self.expect("]")
            else:
                name = self.expect_name("the name of a member")
                node = self.made(Member(node, name.text, token.text == "->", column=name.column), node)
        return node

    def braces(self) -> Braces:
        column = self.expect("{").column
        items: list[Item] = []
        while not self.is_operator("}"):
            items.append(self.item())
            if not self.skip(","):
                break
        self.expect("}")
        node = Braces(tuple(items), column=column)
        self.made(node, *(item.value for item in items))
        return node

    def item(self) -> Item:
        column = self.token.column
        where: str | int | None = None
        if self.skip("."):
            where = self.expect_name("the name of a member").text
            self.expect("=")
        elif self.skip("["):
            where = self.count()
            self.expect("]")
            self.expect("=")
        return Item(where, self.expression(ASSIGNMENT), column=column)

    # Types

    def type_follows(self, ahead: int) -> bool:
        """Whether a type begins `ahead` tokens from here."""
        token = self.tokens[min(self.at + ahead, len(self.tokens) - 1)]
        if token.kind is not TokenKind.NAME:
            return False
        if token.text in TAG_WORDS or token.text in BASE_WORDS or token.text in QUALIFIERS:
            return True
        return token.text != "sizeof" and self.is_type(token.text)

    def type_name(self) -> TypeName:
        column = self.token.column
        keyword = ""
        words: list[str] = []
        while self.token.kind is TokenKind.NAME:
            token = self.token
            if token.text in TAG_WORDS and not keyword and not words:
                keyword = self.take().text
                words.append(self.expect_name(f"the name of the {keyword}").text)
            elif token.text in QUALIFIERS:
                self.take()
            elif (token.text in BASE_WORDS and not keyword) or not words:
                words.append(self.take().text)
            else:
                break
        if not words:
            raise self.unexpected("the name of a type")
        name = words[0] if keyword or words[0] not in BASE_WORDS else base_type(words, column)
        pointers = 0
        while self.skip("*"):
            pointers += 1
            while self.token.kind is TokenKind.NAME and self.token.text in QUALIFIERS:
                self.take()
        if pointers > MAX_HEIGHT:
            raise InputError(f"more than {MAX_HEIGHT} levels are nested", column=column)
        counts: list[int] = []
        while self.skip("["):
            counts.append(self.count())
            self.expect("]")
        if len(counts) > MAX_HEIGHT:
            raise InputError(f"more than {MAX_HEIGHT} levels are nested", column=column)
        return TypeName(keyword, name, pointers, tuple(counts), column=column)

    def count(self) -> int:
        """A constant in square brackets."""
        token = self.token
        node = parse_number(self.take()) if token.kind is TokenKind.NUMBER else None
        if not isinstance(node, Integer) or node.value >= MAX_ARRAY:
            raise InputError("a number of elements is expected", column=token.column)
        return node.value
