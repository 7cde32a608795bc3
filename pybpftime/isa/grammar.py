"""One line of assembly against the templates of every row.

The templates are merged into a trie whose edges are literal tokens and slots, and a line is matched along all its
paths at once.  What the deepest paths would have accepted is the error message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache

from pybpftime.errors import InputError
from pybpftime.isa.row import Row
from pybpftime.isa.syntax import SLOTS, NoMatch, Operand, Syntax, templates
from pybpftime.isa.table import TABLE
from pybpftime.isa.tokens import Kind, Token, tokenize

Operands = Mapping[str, Operand]


@dataclass(frozen=True, slots=True)
class Match:
    """One reading of a line: a row and what stood at its placeholders."""

    row: Row
    operands: Operands


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    slots: dict[str, _Node] = field(default_factory=dict)
    ends: list[Row] = field(default_factory=list)


@dataclass(slots=True)
class _Failure:
    """The furthest position at which no path went on: the nodes that stood there, and what their slots said."""

    position: int = -1
    nodes: list[_Node] = field(default_factory=list)
    reasons: list[NoMatch] = field(default_factory=list)

    def reach(self, position: int) -> bool:
        """Whether nothing is known of a later position; what was known of earlier ones is forgotten."""
        if position > self.position:
            self.position, self.nodes, self.reasons = position, [], []
        return position == self.position

    def expected(self) -> list[str]:
        words = ["the end of the line" for node in self.nodes if node.ends]
        words += [f"'{text}'" for node in self.nodes for text in node.literals]
        return list(dict.fromkeys([*words, *(reason.expected for reason in self.reasons)]))


_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@cache
def _trie(syntaxes: tuple[Syntax, ...], ambiguous: bool) -> _Node:
    root = _Node()
    for row in TABLE:
        for syntax in syntaxes:
            for template in templates(row, syntax):
                if ambiguous or not template.ambiguous:
                    _insert(root, row, template.text)
    return root


def _insert(root: _Node, row: Row, text: str) -> None:
    node = root
    for index, part in enumerate(_PLACEHOLDER.split(text)):
        if index % 2:
            node = node.slots.setdefault(part, _Node())
            continue
        for token in tokenize(part)[:-1]:
            node = node.literals.setdefault(token.text, _Node())
    if row not in node.ends:  # it may be written the same in both syntaxes
        node.ends.append(row)


def parse(tokens: Sequence[Token], syntaxes: tuple[Syntax, ...], *, ambiguous: bool) -> list[Match]:
    """Every reading of the tokens of a line, with or without ambiguous ones (see `Template`).

    Raises InputError, with a column, when there is none.
    """
    root, matches = _trie(syntaxes, ambiguous), list[Match]()
    _walk(root, tokens, 0, {}, None, matches)
    if not matches:
        failure = _Failure()
        _walk(root, tokens, 0, {}, failure, matches)  # once more, to say why
        raise _error(tokens, failure)
    return matches


def _walk(
    node: _Node,
    tokens: Sequence[Token],
    position: int,
    operands: Operands,
    failure: _Failure | None,
    matches: list[Match],
) -> None:
    """Add the readings that go on from `node` at `position` to `matches`; what did not match to `failure`, if given."""
    if failure is not None and failure.reach(position):
        failure.nodes.append(node)
    token = tokens[position]
    if token.kind is Kind.END:
        matches += [Match(row, operands) for row in node.ends]
    if literal := node.literals.get(token.text):
        _walk(literal, tokens, position + 1, operands, failure, matches)
    for name, following in node.slots.items():
        try:
            operand, after = SLOTS[name].read(tokens, position)
            if name in operands and operands[name].value != operand.value:
                raise NoMatch(position, "a register", f"{token} is not the register on the left")
        except NoMatch as reason:
            if failure is not None and failure.reach(reason.position):
                failure.reasons.append(reason)
            continue
        _walk(following, tokens, after, {**operands, name: operand}, failure, matches)


MANY = 7


def _error(tokens: Sequence[Token], failure: _Failure) -> InputError:
    found = tokens[failure.position]
    wrong = next((reason.wrong for reason in failure.reasons if reason.wrong), None)
    if wrong:
        return InputError(wrong, column=found.column)
    if found.kind is Kind.UNKNOWN:
        return InputError(f"unexpected character {found}", column=found.column)
    expected = failure.expected()
    near = _near(found.text, (text.strip("'") for text in expected if text.startswith("'")))
    if failure.position == 0:
        what = "instruction" if found.kind is Kind.NAME else "beginning of an instruction"
        return InputError(f"unknown {what} {found}{near}", column=found.column)
    before = tokens[failure.position - 1]
    if len(expected) >= MANY and near:
        return InputError(f"{found} cannot follow {before}{near}", column=found.column)
    return InputError(f"expected {_one_of(expected)} after {before}, found {found}", column=found.column)


def _near(text: str, words: Iterable[str]) -> str:
    matches = get_close_matches(text[:40], [word for word in words if word[0].isalpha()], n=2, cutoff=0.6)
    return f", did you mean {' or '.join(repr(match) for match in matches)}?" if matches else ""


def _one_of(expected: Sequence[str]) -> str:
    words = sorted(expected, key=lambda word: word.startswith("'"))  # kinds before literal tokens
    if len(words) > MANY:
        return f"{', '.join(words[:MANY])} or {len(words) - MANY} others"
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
