"""Assignment in expressions: what it writes, once, and what it refuses."""

from __future__ import annotations

import pytest
from debug.values_support import FakeScope, sample_scope

from pybpftime.debug.expression import compile_expression
from pybpftime.debug.values import TypedValue
from pybpftime.errors import InputError


@pytest.fixture
def scope() -> FakeScope:
    return sample_scope()


def shown(text: str, scope: FakeScope) -> str:
    value = compile_expression(text, scope).value()
    assert isinstance(value, TypedValue)
    return value.text()


ASSIGNMENTS = [
    ("seven = 9", "seven", "9"),
    ("seven = -1", "seven", "4294967295"),
    ("seven = 2.9", "seven", "2"),
    ("seven += 3", "seven", "10"),
    ("seven -= 8", "seven", "4294967295"),
    ("seven <<= 2", "seven", "28"),
    ("negative /= 2", "negative", "-2"),
    ("negative >>= 1", "negative", "-3"),
    ("negative %= 3", "negative", "-2"),
    ("byte *= 2", "byte", "144"),
    ("byte ^= 0xff", "byte", "55"),
    ("seven = negative = 3", "seven + negative", "6"),
    ("real = 1", "real", "1.0"),
    ("real /= 2", "real", "1.25"),
    ("flag = 5", "flag", "true"),
    ("iph->ttl -= 2", "iph->ttl", "255"),
    ("iph->ihl = 6", "*(__u8 *)iph", "70"),
    ("iph->version += 1", "*(__u8 *)iph", "85"),
    ("bits.a = 3", "bits.b * 10 + bits.a", "223"),
    ("bits.c = -1", "bits.c == 0xffffffffff && bits.b == 22", "1"),
    ("point = points[2]", "point", "{.x = 5, .y = 6}"),
    ("point = {.y = 7}", "point", "{.x = 0, .y = 7}"),
    ("points[1] = (struct point){1, 1}", "points[1].x", "1"),
    ("points[1:2][0].x = 9", "points[1].x", "9"),
    ('name = "lo"', "name", '"lo"'),
    ("packet[12] = 0x86", "eth->h_proto & 0xff", "134"),
    ("counts[42] += 1", "counts[42]", "4"),
    ("list = list->next", "list->value", "2"),
    ("list = 0", "list", "(struct node *) 0x0"),
    ("$r7 = -1", "$r7 == 0xffffffffffffffff", "1"),
    ("$r0 += 5", "r0", "7"),
    ("$mine = seven * 2", "$mine + 1", "15"),
    ("$mine = iph", "$mine->ttl", "1"),
    ("points[seven -= 6].x += 10", "points[1].x * 10 + seven", "131"),
    ("*(char *)&seven = 'a'", "seven", "97"),
]


@pytest.mark.parametrize(("text", "then", "wanted"), ASSIGNMENTS)
def test_assignment(text: str, then: str, wanted: str, scope: FakeScope) -> None:
    compile_expression(text, scope, allow_assignment=True).value()
    assert shown(then, scope) == wanted


def test_a_kept_value_can_be_counted_up(scope: FakeScope) -> None:
    compile_expression("$n = 1", scope, allow_assignment=True).number()
    more = compile_expression("$n += 1", scope, allow_assignment=True)
    assert [more.number(), more.number()] == [2, 3]


def test_an_assignment_is_done_once_for_each_evaluation(scope: FakeScope) -> None:
    found = compile_expression("seven += 1", scope, allow_assignment=True)
    value = found.value()
    assert isinstance(value, TypedValue)
    assert (value.text(), value.text(), value.expression) == ("8", "8", "seven")
    assert found.number() == 9


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("5 = 6", "5: it cannot be assigned to"),
        ("seven + 1 = 6", "seven + 1: it cannot be assigned to"),
        ('"abc"[0] = 1', '"abc"[0]: it is a constant here and cannot be changed'),
        ("counts = 6", "counts: it cannot be assigned to"),
        ("counts[43] = 6", "counts[43]: the map has no such element"),
        ("r10 = 6", "r10: r10 is read-only"),
        ("$step = 6", "$step cannot be changed"),
        ("*(char *)0x5000 = 1", "*(char *)0x5000: 1 bytes at 0x5000 cannot be written"),
        ("*(int *)16 = 1", "*(int *)16: 4 bytes at 0x10 cannot be written"),
        ("point = 5", "5"),
        ('seven = "16"', '"16": seven is of type __u32 and no text'),
        ("point = bits", "a value of type struct point is needed"),
        ("point = {1, 2, 3}", "point: 3 items are too many for struct point"),
        ("point = {.x = 5000000000}", "point.x: 5000000000 does not fit int"),
        ('name = "much too long"', "13 bytes of text do not fit char[8]"),
        ("point.x = point", "point: it is of type struct point and has no number"),
    ],
)
def test_what_cannot_be_assigned(text: str, reason: str, scope: FakeScope) -> None:
    before = {base: bytes(data) for base, data in scope.target.regions.items()}
    with pytest.raises(InputError) as caught:
        compile_expression(text, scope, allow_assignment=True).value()
    assert reason in caught.value.reason
    assert before == {base: bytes(data) for base, data in scope.target.regions.items()}
