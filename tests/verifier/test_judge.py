"""The solver's part: what it proves, and that no proof is used where it does not hold."""

from __future__ import annotations

import pytest
from support.verification import MAPS, Case, code_of, kernel_contradicts, program

from pybpftime.runtime.replay import replayer
from pybpftime.verifier import Report, Verdict, verify

terms = pytest.importorskip("pybpftime.verifier.terms", reason="needs z3")

# --- what must not be proved ------------------------------------------------------------------------------------------

RELATED = """
    r9 = r1
    r6 = *(u32 *)(r9 + 8)
    r7 = *(u32 *)(r9 + 32)
    r6 &= 63
    r7 &= 63
    r8 = *(u32 *)(r9 + 48)
"""
STORE = """
    r3 = r10
    r3 += -512
    r3 += r2
    *(u8 *)(r3 - 1) = 0
out:
    r0 = 0
    exit
"""
"""At r10 - 513 + r2: right for 1 <= r2 <= 512."""

# Each is wrong on one of two paths that meet; the solver proves the other one, which is followed first.
UNSAFE = {
    "the relation was checked on one path only": f"""
        {RELATED}
        if r8 == 0 goto other
        if r6 >= r7 goto out
        goto join
    other:
        r8 = 1
    join:
        r2 = r7
        r2 -= r6
        {STORE}""",
    "the relation was checked on one path only, and shows in no range": f"""
        {RELATED}
        r5 = r6
        r5 -= r7
        if r8 == 0 goto other
        if r5 s>= 0 goto out
        goto join
    other:
        r8 = 1
    join:
        r2 = r7
        r2 -= r6
        {STORE}""",
    "the very number was proved on a path with a fact that this one lacks": f"""
        {RELATED}
        r2 = r7
        r2 -= r6
        if r8 == 0 goto other
        if r2 s<= 0 goto out
        goto join
    other:
        r8 = 1
    join:
        {STORE}""",
    "the register holds another number of the same range": f"""
        {RELATED}
        if r6 >= r7 goto out
        if r8 == 0 goto other
        r2 = r7
        r2 -= r6
        goto join
    other:
        r2 = *(u32 *)(r9 + 52)
        r2 &= 63
    join:
        {STORE}""",
    "the register holds another number, of which a comparison has shown the same": f"""
        {RELATED}
        if r6 >= r7 goto out
        if r8 == 0 goto other
        r2 = r7
        r2 -= r6
        if r2 s> 62 goto out
        goto join
    other:
        r2 = *(u32 *)(r9 + 52)
        r2 &= 63
        r2 -= 32
        if r2 s> 62 goto out
    join:
        if r2 s< -60 goto out
        {STORE}""",
    "one of the two was loaded anew": f"""
        {RELATED}
        if r6 >= r7 goto out
        if r8 == 0 goto other
        goto join
    other:
        r6 = *(u32 *)(r9 + 52)
        r6 &= 63
    join:
        r2 = r7
        r2 -= r6
        {STORE}""",
    "the number was changed and bounded again": f"""
        {RELATED}
        if r6 >= r7 goto out
        if r8 == 0 goto other
        goto join
    other:
        r7 >>= 1
    join:
        r2 = r7
        r2 -= r6
        {STORE}""",
    "a slot was overwritten on one path": f"""
        {RELATED}
        *(u64 *)(r10 - 8) = r6
        if r6 >= r7 goto out
        if r8 == 0 goto other
        goto join
    other:
        *(u64 *)(r10 - 8) = r7
    join:
        r6 = *(u64 *)(r10 - 8)
        r2 = r7
        r2 -= r6
        {STORE}""",
    "the relation holds in the first round of a loop": f"""
        {RELATED}
        if r6 >= r7 goto out
        r8 &= 3
    again:
        r2 = r7
        r2 -= r6
        r3 = r10
        r3 += -512
        r3 += r2
        *(u8 *)(r3 - 1) = 0
        r6 += 1
        r8 += 1
        if r8 < 4 goto again
    out:
        r0 = 0
        exit""",
    "the relation is that of another call": f"""
        {RELATED}
        if r8 == 0 goto other
        if r6 >= r7 goto out
        r1 = r6
        r2 = r7
        call put
        goto out
    other:
        r1 = r7
        r2 = r6
        call put
    out:
        r0 = 0
        exit
    put:
        r2 -= r1
        r3 = r10
        r3 += -512
        r3 += r2
        *(u8 *)(r3 - 1) = 0
        r0 = 0
        exit""",
    "the context was written to": f"""
        {RELATED}
        r6 = *(u32 *)(r9 + 8)
        if r6 > 63 goto out
        *(u32 *)(r9 + 8) = 600
        r2 = *(u32 *)(r9 + 8)
        r2 += 1
        {STORE}""",
    "the context was written to on one path": f"""
        {RELATED}
        r6 = *(u32 *)(r9 + 8)
        if r6 > 63 goto out
        if r8 == 0 goto other
        goto join
    other:
        *(u32 *)(r9 + 8) = 600
    join:
        r2 = *(u32 *)(r9 + 8)
        r2 += 1
        {STORE}""",
    "a helper may have written to the packet": """
        r9 = r1
        r2 = *(u32 *)(r9 + 76)
        r3 = *(u32 *)(r9 + 80)
        r4 = r2
        r4 += 20
        if r4 > r3 goto out
        r6 = *(u8 *)(r2 + 14)
        if r6 > 63 goto out
        *(u64 *)(r10 - 8) = 0xff
        r1 = r9
        r2 = 14
        r3 = r10
        r3 += -8
        r4 = 1
        r5 = 0
        call bpf_skb_store_bytes
        r2 = *(u32 *)(r9 + 76)
        r3 = *(u32 *)(r9 + 80)
        r4 = r2
        r4 += 20
        if r4 > r3 goto out
        r6 = *(u8 *)(r2 + 14)
        r2 = r10
        r2 += -64
        r2 += r6
        *(u8 *)(r2 + 0) = 0
    out:
        r0 = 0
        exit""",
    "the packet was written to": """
        r2 = *(u32 *)(r1 + 76)
        r3 = *(u32 *)(r1 + 80)
        r4 = r2
        r4 += 20
        if r4 > r3 goto out
        r6 = *(u8 *)(r2 + 14)
        if r6 > 63 goto out
        *(u8 *)(r2 + 14) = 200
        r6 = *(u8 *)(r2 + 14)
        r2 = r10
        r2 += -64
        r2 += r6
        *(u8 *)(r2 + 0) = 0
    out:
        r0 = 0
        exit""",
    "a map value may be another the second time": """
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map[array]
        call bpf_map_lookup_elem
        r6 = *(u32 *)(r0 + 0)
        if r6 > 63 goto out
        r6 = *(u32 *)(r0 + 0)
        r2 = r10
        r2 += -64
        r2 += r6
        *(u8 *)(r2 + 0) = 0
    out:
        r0 = 0
        exit""",
    "addresses are negative numbers": """
        if r10 s> 0 goto out
        *(u64 *)(r10 + 0) = 0
    out:
        r0 = 0
        exit""",
    "the packet is another one": """
        r6 = r1
        r2 = *(u32 *)(r6 + 76)
        r7 = *(u32 *)(r6 + 80)
        r7 -= r2
        r2 = 60
        r3 = 0
        call bpf_skb_change_tail
        r2 = *(u32 *)(r6 + 76)
        if r7 < 100 goto out
        r3 = *(u8 *)(r2 + 90)
    out:
        r0 = 0
        exit""",
    "the difference is that of two other pointers": """
        r2 = *(u32 *)(r1 + 76)
        r3 = *(u32 *)(r1 + 80)
        r4 = r3
        r4 -= r10
        if r4 < 14 goto out
        r5 = *(u8 *)(r2 + 13)
    out:
        r0 = 0
        exit""",
    "the difference is negative where it is read as unsigned": """
        r2 = *(u32 *)(r1 + 76)
        r3 = *(u32 *)(r1 + 80)
        r2 += 100
        r4 = r3
        r4 -= r2
        if r4 < 14 goto out
        r5 = *(u8 *)(r2 + 13)
    out:
        r0 = 0
        exit""",
}


NOT_SHOWN = {
    "the context was written to",
    "the context was written to on one path",
    "the packet was written to",
    "a map value may be another the second time",
}
"""What is stored there is not followed, or somebody else stores it."""


def case(name: str, text: str) -> Case:
    return Case(name, "not safe", text, type="tc")


def judged(text: str, *, budget: int = 100_000) -> Report:
    return verify(program(text, "tc"), MAPS, budget=budget)


@pytest.mark.parametrize("name", UNSAFE)
def test_what_was_proved_on_one_path_is_not_used_on_another(name: str) -> None:
    report = judged(UNSAFE[name])
    assert report.objection is not None
    assert report.objection.category in ("memory", "bounds"), report.objection


@pytest.mark.parametrize("name", sorted(UNSAFE.keys() - NOT_SHOWN))
def test_it_goes_wrong_on_an_input(name: str) -> None:
    spec = program(UNSAFE[name], "tc")
    assert verify(spec, MAPS, replay=replayer(spec, MAPS)).verdict is Verdict.UNSAFE


@pytest.mark.parametrize("name", UNSAFE)
def test_the_kernel_refuses_it_too(name: str) -> None:
    assert kernel_contradicts(case(name, UNSAFE[name])) is None


class GivesUp:
    """In the place of the solver that is asked first: it never knows, so that the patient one is asked everything."""

    def push(self) -> None: ...
    def pop(self) -> None: ...
    def add(self, *formulas: object) -> None: ...

    def check(self, *labels: object) -> object:
        return terms.z3.unknown


def test_the_patient_solver_is_taken_to_have_used_all_that_it_was_told() -> None:
    x, told = terms.variable("x", 64), []
    told.append(terms.unsigned_less(x, 7))
    told.append(terms.negation(terms.unsigned_less(x, 9)))
    told.append(terms.unsigned_less(x, 100))
    assert terms.refuted(GivesUp(), [], told, 5_000) == [0, 1, 2]
    assert terms.refuted(GivesUp(), [], told, 0) is None
    assert terms.refuted(GivesUp(), [], told[:1], 5_000) is None
    assert terms.refuted(terms.new_solver(), [], told) == [0, 1]


@pytest.mark.parametrize("name", UNSAFE)
def test_proofs_of_the_patient_solver_are_not_used_on_another_path(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "new_solver", lambda milliseconds=0: GivesUp())
    assert judged(UNSAFE[name]).verdict is not Verdict.SAFE


def test_a_relation_that_holds_on_both_paths_is_used_behind_where_they_meet() -> None:
    report = judged(f"""
        {RELATED}
        if r6 >= r7 goto out
        if r8 == 0 goto other
        r8 = 1
        goto join
    other:
        r8 = 2
    join:
        r2 = r7
        r2 -= r6
        {STORE}""")
    assert report.verdict is Verdict.SAFE, report.objection
    assert len(report.proofs) == 1, "the second path is covered by the first"


def test_what_was_proved_is_not_asked_again() -> None:
    again = STORE.replace("out:", "*(u8 *)(r3 - 1) = 1\nr4 = *(u8 *)(r3 - 1)\nout:")
    report = judged(f"{RELATED}\nif r6 >= r7 goto out\nr2 = r7\nr2 -= r6\n{again}")
    assert report.verdict is Verdict.SAFE, report.objection
    assert report.solver == 1
    assert len(report.proofs) == 3
    assert len({proof.facts for proof in report.proofs}) == 1


READ_TWICE = """
    r2 = *(u64 *)(r1 + 0)
    r3 = *(u64 *)(r1 + 8)
    r4 = r2
    r4 += 1
    if r4 > r3 goto out
    r5 = *(u8 *)(r2 + 0)
    if r5 > 63 goto out
    r5 = *(u8 *)(r2 + 0)
    r2 = r10
    r2 += -64
    r2 += r5
    *(u8 *)(r2 + 0) = 1
out:
    r0 = 1
    exit
"""


def test_what_others_may_write_to_is_another_number_each_time() -> None:
    assert code_of(verify(program(READ_TWICE, "sk_msg"), {})) == "stack-bounds"
    of_an_skb = READ_TWICE.replace("u64 *)(r1 + 0)", "u32 *)(r1 + 76)").replace("u64 *)(r1 + 8)", "u32 *)(r1 + 80)")
    assert code_of(verify(program(of_an_skb, "tc"), {})) == "safe"


# --- differences of packet pointers -----------------------------------------------------------------------------------

DIFFERENCES = {
    "end and start": ("r6 = r3\nr6 -= r2", "if r6 < 14 goto out", "r2 + 13"),
    "end and start, in 32 bits": ("r6 = r3\nw6 -= w2", "if w6 < 14 goto out", "r2 + 13"),
    "end and a place in the packet": ("r2 += 4\nr6 = r3\nr6 -= r2", "if r6 s< 10 goto out", "r2 + 9"),
    "start and end": ("r6 = r2\nr6 -= r3", "if r6 s> -14 goto out", "r2 + 13"),
    "start and metadata": ("r6 = r2\nr6 -= r4", "if r6 < 4 goto out", "r4 + 3"),
    "end and metadata": ("r6 = r3\nr6 -= r4\nr7 = r2\nr7 -= r4\nr6 -= r7", "if r6 < 14 goto out", "r2 + 13"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_of_packet_pointers_is_a_number(name: str) -> None:
    compute, check, place = DIFFERENCES[name]
    pointers = "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = *(u32 *)(r1 + 8)"
    text = f"{pointers}\n{compute}\n{check}\nr0 = *(u8 *)({place})\nout:\nr0 = 2\nexit"
    assert code_of(verify(program(text, "xdp"), {})) == "safe"
    register, _, last = place.partition(" + ")
    beyond = text.replace(place, f"{register} + {int(last) + 1}")
    assert code_of(verify(program(beyond, "xdp"), {})) == "packet-bounds"
