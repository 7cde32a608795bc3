"""Reading the log of Linux's verifier, and following it with the decisions of a run.  The logs are written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime import assemble
from pybpftime.conformance.claims.claim import Stated
from pybpftime.conformance.claims.kernel_log import KernelLog
from pybpftime.isa import Program
from pybpftime.verifier.published import Moment, Running

LOOP = assemble("""
        r6 = *(u32 *)(r1 + 0)
        r2 = 2
        r0 = 0
again:  r0 += 1
        if r6 > 100 goto end
        r2 += -1
        if r2 != 0 goto again
end:    exit
""")
LOOP_LOG = """\
func#0 @0
Live regs before insn:
      0: .1........ (61) r6 = *(u32 *)(r1 +0)
  1   3: 0.2...6... (07) r0 += 1
0: R1=ctx() R10=fp0
0: (61) r6 = *(u32 *)(r1 +0)          ; R1=ctx() R6=scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff))
1: (b7) r2 = 2                        ; R2=2
2: (b7) r0 = 0                        ; R0=0
3: (07) r0 += 1                       ; R0=1
4: (25) if r6 > 0x64 goto pc+2        ; R6=scalar(smin=smin32=0,smax=umax=smax32=umax32=100,var_off=(0x0; 0x7f))
5: (07) r2 += -1                      ; R2=1
6: (55) if r2 != 0x0 goto pc-4
mark_precise: frame0: last_idx 6 first_idx 0 subseq_idx -1
mark_precise: frame0: regs=r2 stack= before 5: (07) r2 += -1
6: R2=1
3: (07) r0 += 1                       ; R0=2
4: (25) if r6 > 0x64 goto pc+2        ; R6=scalar(smin=smin32=0,smax=umax=smax32=umax32=100,var_off=(0x0; 0x7f))
5: (07) r2 += -1                      ; R2=0
6: (55) if r2 != 0x0 goto pc-4
mark_precise: frame0: last_idx 6 first_idx 3 subseq_idx -1
6: R2=0
7: (95) exit

from 4 to 7: safe

from 4 to 7: R0=1 R1=ctx() R2=2 R6=scalar(smin=umin=umin32=101,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R10=fp0
7: R0=1 R1=ctx() R2=2 R6=scalar(smin=umin=umin32=101,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R10=fp0
7: (95) exit
processed 13 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

CALLS = assemble("""
        r6 = 1
        r1 = 7
        call f
        r0 += r6
        exit
f:      if r1 == 7 goto +0
        r6 = 3
        r0 = r1
        exit
""")
CALLS_LOG = """\
0: R1=ctx() R10=fp0
0: (b7) r6 = 1                        ; R6=1
1: (b7) r1 = 7                        ; R1=7
2: (85) call pc+2
caller:
 R6=1 R10=fp0
callee:
 frame1: R1=7 R10=fp0
5: frame1: R1=7 R10=fp0
5: (15) if r1 == 0x7 goto pc+0        ; frame1: R1=7
6: (b7) r6 = 3                        ; frame1: R6=3
7: (bf) r0 = r1                       ; frame1: R0=7 R1=7
8: (95) exit
returning from callee:
 frame1: R0=7 R1=7 R6=3 R10=fp0
to caller at 3:
 R0=7 R6=1 R10=fp0

from 8 to 3: R0=7 R6=1 R10=fp0
3: (0f) r0 += r6                      ; R0=8 R6=1
4: (95) exit
processed 9 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


def followed(
    log: str,
    program: Program,
    slots: Sequence[int],
    frames: Sequence[int] = (),
    values: Mapping[int, int] | Sequence[Mapping[int, int]] = (),
) -> list[Stated | None]:
    """What the log claims before each of the instructions that a run comes to.

    `values` are what registers hold then, or always.
    """
    follower = KernelLog.read(log, program).follow()
    found = []
    for step, slot in enumerate(slots):
        held = values if isinstance(values, Mapping) else values[step] if values else {}
        running = Running(0, None, [held.get(register) for register in range(11)], b"")
        depth = frames[step] if frames else 0
        found.append(follower.at(Moment(slot, [running] * (depth + 1), lambda region: None)))
    return found


def numbers(stated: Stated | None) -> dict[int, str] | None:
    return None if stated is None else {register: str(claim) for register, claim in stated.registers.items()}


def test_a_path_through_a_loop() -> None:
    stated = followed(LOOP_LOG, LOOP, [0, 1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 7])
    assert [one for one in stated if one is None] == []
    assert [numbers(stated[step])[0] for step in (3, 4, 8, 11)] == ["0", "1", "2", "2"]  # type: ignore[index]
    assert stated[11] is not None
    assert stated[11].source == "line 22 of the log: 7: (95) exit"


def test_a_branch_belongs_to_the_visit_that_put_it_off() -> None:
    """The last one that was put off is taken up first: that of the second round, which ends as safe."""
    stated = followed(LOOP_LOG, LOOP, [0, 1, 2, 3, 4, 7])
    assert stated[5] is not None
    assert stated[5].registers[0].constant == 1
    assert stated[5].registers[6].umin == 101


def test_a_run_loses_the_log_where_a_path_is_pruned() -> None:
    stated = followed(LOOP_LOG, LOOP, [0, 1, 2, 3, 4, 5, 6, 3, 4, 7])
    assert [one is None for one in stated] == [False] * 9 + [True]


def test_a_jump_that_was_decided_puts_nothing_off() -> None:
    """Of two rounds the second has a jump that is decided, says the log; what is taken up is the first one's."""
    second = "5: (07) r2 += -1                      ; R2=0"
    decided = f"mark_precise: frame0: last_idx 4 first_idx 3 subseq_idx -1\n{second}"
    log = LOOP_LOG.replace("\nfrom 4 to 7: safe\n", "").replace(second, decided)
    assert KernelLog.read(log, LOOP).lost == []
    stated = followed(log, LOOP, [0, 1, 2, 3, 4, 7])
    assert stated[5] is not None
    assert stated[5].registers[0].constant == 1


def test_a_branch_knows_what_the_visit_knew() -> None:
    """Without any mark the state says whose branch it is: r0 was 1 in the first round and 2 in the second."""
    log = LOOP_LOG.replace("\nfrom 4 to 7: safe\n", "")
    stated = followed(log, LOOP, [0, 1, 2, 3, 4, 7])
    assert stated[5] is not None
    assert stated[5].registers[0].constant == 1
    assert followed(log, LOOP, [0, 1, 2, 3, 4, 5, 6, 3, 4, 7])[-1] is None


def test_a_branch_of_nobody_hangs_nowhere() -> None:
    log = LOOP_LOG.replace("from 4 to 7: R0=1", "from 4 to 7: R0=9")
    assert KernelLog.read(log, LOOP).lost == [4]
    assert followed(log, LOOP, [0, 1, 2, 3, 4, 7])[-1] is None


def test_marks_of_a_path_that_joins_another_do_not_decide_a_jump() -> None:
    start, end = LOOP_LOG.index("5: (07) r2 += -1                      ; R2=0"), LOOP_LOG.index("\nfrom 4 to 7: safe")
    joined = "frame 0: propagating r6\nmark_precise: frame0: last_idx 4 first_idx 3 subseq_idx -1 \n5: safe\n"
    log = LOOP_LOG[:start] + joined + LOOP_LOG[end:]
    assert KernelLog.read(log, LOOP).lost == []
    assert followed(log, LOOP, [0, 1, 2, 3, 4, 7])[-1] is not None


def test_speculation_is_no_path_of_a_run() -> None:
    log = LOOP_LOG.replace("from 4 to 7: R0=1", "from 4 to 7 (speculative execution): R0=1")
    log = log.replace("from 4 to 7: safe", "from 4 to 7 (speculative execution): safe")
    assert KernelLog.read(log, LOOP).lost == []


def test_calls_have_registers_of_their_own() -> None:
    stated = followed(CALLS_LOG, CALLS, [0, 1, 2, 5], [0, 0, 0, 1])
    assert [numbers(one) for one in stated] == [{}, {6: "1"}, {6: "1", 1: "7"}, {1: "7"}]


def test_a_return_goes_on_in_the_caller() -> None:
    reader = KernelLog.read(CALLS_LOG, CALLS)
    visit = reader.start
    path = []
    while visit is not None:
        path.append((visit.slot, visit.frame, {register: claim.constant for register, claim in visit.numbers.items()}))
        visit = visit.next
    assert path[-3:] == [(8, 1, {0: 7, 1: 7, 6: 3}), (3, 0, {0: 7, 6: 1}), (4, 0, {0: 8, 6: 1})]


def test_a_run_in_another_frame_is_not_followed() -> None:
    assert followed(CALLS_LOG, CALLS, [0, 1, 2, 5], [0, 0, 0, 0])[-1] is None


TWO_WAYS = """\
0: R1=ctx() R10=fp0
0: (61) r6 = *(u32 *)(r1 +0)          ; R1=ctx() R6=scalar(umax=0xffffffff)
1: (15) if r6 == 0x5 goto pc+0        ; R6=scalar(umin=6,umax=0xffffffff)
2: (bf) r0 = r6                       ; R0=scalar(id=1,umin=6,umax=0xffffffff) R6=scalar(id=1,umin=6,umax=0xffffffff)
3: (95) exit

from 1 to 2: R1=ctx() R6=5 R10=fp0
2: R1=ctx() R6=5 R10=fp0
2: (bf) r0 = r6                       ; R0=5 R6=5
3: (95) exit
"""


@pytest.mark.parametrize(("value", "claims"), [(5, "5"), (6, None), (3, None)])
def test_of_two_ways_to_an_instruction_a_run_is_on_one_that_is_true(value: int, claims: str | None) -> None:
    """Of a run that is on neither, the first way is shown, which it contradicts."""
    program = assemble("r6 = *(u32 *)(r1 + 0)\nif r6 == 5 goto +0\nr0 = r6\nexit")
    stated = followed(TWO_WAYS, program, [0, 1, 2, 3], values={0: value, 6: value})
    assert None not in stated
    last = stated[3]
    assert last is not None
    assert last.registers[0].contains(value) is (value >= 5)
    assert claims is None or str(last.registers[0]) == claims


def test_where_one_of_two_ways_is_pruned_a_run_is_not_followed() -> None:
    program = assemble("r6 = *(u32 *)(r1 + 0)\nif r6 == 5 goto +0\nr0 = r6\nexit")
    log = TWO_WAYS[: TWO_WAYS.index("from 1 to 2")] + "from 1 to 2: safe\n"
    assert followed(log, program, [0, 1, 2], values={6: 5})[2] is None


FORK = """\
0: (85) call bpf_get_prandom_u32#7    ; R0=scalar(smin32=-1,smax32=0)
1: (54) w0 &= 38                      ; R0=38
2: (b7) r6 = 1                        ; R6=1
3: (95) exit

from 1 to 1: R0=0 R10=fp0
1: R0=0 R10=fp0
1: (54) w0 &= 38                      ; R0=0
2: (b7) r6 = 1                        ; R6=1
3: (95) exit
"""


@pytest.mark.parametrize(("before", "after"), [(0, 0), (0xFFFFFFFF, 38)])
def test_an_instruction_is_visited_again_for_another_number(before: int, after: int) -> None:
    program = assemble("call 7\nw0 &= 38\nr6 = 1\nexit")
    assert KernelLog.read(FORK, program).lost == []
    stated = followed(FORK, program, [0, 1, 2, 3], values=[{}, {0: before}, {0: after}, {0: after, 6: 1}])
    assert None not in stated
    assert stated[2] is not None
    assert stated[2].registers[0].constant == after


def test_nothing_is_followed_beyond_what_is_not_understood() -> None:
    """Some branch was put off at slot 1, nobody knows which: the run may be on that."""
    program = assemble("call 7\nw0 &= 38\nr6 = 1\nexit")
    log = FORK.replace("R0=scalar(smin32=-1,smax32=0)", "R0=7")
    assert [one is None for one in followed(log, program, [0, 1, 2], values={0: 7})] == [False, False, True]


def test_a_call_takes_its_arguments_away() -> None:
    program = assemble("r1 = 4\nr6 = 5\ncall 7\nexit")
    lines = ["0: (b7) r1 = 4 ; R1=4", "1: (b7) r6 = 5 ; R6=5", "2: (85) call bpf_get_prandom_u32#7 ; R0=scalar()"]
    log = "\n".join([*lines, "3: (95) exit"])
    stated = followed(log, program, [0, 1, 2, 3])
    assert stated[3] is not None
    assert sorted(stated[3].registers) == [0, 6]


def test_rounds_of_may_goto() -> None:
    program = assemble("r0 = 0\nl: may_goto e\nr0 += 1\ngoto l\ne: exit")
    log = """\
0: R1=ctx() R10=fp0
0: (b7) r0 = 0                        ; R0=0
1: (e5) may_goto pc+2
4: (95) exit

from 1 to 2: R0=0 R1=ctx() R10=fp0
2: R0=0 R1=ctx() R10=fp0
2: (07) r0 += 1                       ; R0=1
3: (05) goto pc-3
1: (e5) may_goto pc+2
4: (95) exit

from 1 to 2: safe
"""
    stated = followed(log, program, [0, 1, 2, 3, 1, 4])
    assert [numbers(one) for one in stated[2:]] == [{0: "0"}, {0: "1"}, {0: "1"}, {0: "1"}]


@pytest.mark.parametrize("log", ["", "\n\n", "processed 0 insns", "5: (95) exit", LOOP_LOG[len(LOOP_LOG) // 2 :]])
def test_a_log_without_its_beginning_is_not_followed(log: str) -> None:
    assert followed(log, LOOP, [0, 1]) == [None, None]


lines = st.sampled_from((LOOP_LOG + CALLS_LOG).splitlines())


@given(st.lists(lines | st.text(max_size=40), max_size=60), st.sampled_from([LOOP, CALLS]))
def test_any_log_is_read(log: list[str], program: Program) -> None:
    read = KernelLog.read("\n".join(log), program)
    assert 0 <= read.visits <= len("\n".join(log).splitlines())


@given(st.data())
def test_a_log_with_lines_missing_claims_nothing_else(data: st.DataObject) -> None:
    """Whatever is cut off at the end, what is still followed says the same."""
    end = data.draw(st.integers(0, len(LOOP_LOG)))
    slots = [0, 1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 7]
    whole, part = followed(LOOP_LOG, LOOP, slots), followed(LOOP_LOG[:end].rpartition("\n")[0], LOOP, slots)
    wrong = [step for step, one in enumerate(part) if one is not None and one != whole[step]]
    assert wrong == []
