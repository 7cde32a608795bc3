"""Assembly text: what is accepted, what it means, and how errors point at it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.instructions import has_target

from pybpftime.errors import InputError
from pybpftime.isa import TABLE, Instruction, Program, encode_program, jump_offset, lookup
from pybpftime.isa.assembler import MAX_LINE, MAX_TEXT, assemble, assemble_bytes
from pybpftime.isa.encoding import MAX_SLOTS

HELPERS = {"bpf_map_lookup_elem": 1, "bpf_ktime_get_ns": 5}


def one(text: str, **options: str) -> Instruction:
    """The only instruction of a text."""
    program = [slot for slot in assemble(text, helpers=HELPERS, **options) if slot is not None]
    assert len(program) == 1
    return program[0]


def names(program: Program) -> list[str]:
    return [lookup(slot).name for slot in program if slot is not None]


def error_of(text: str, **options: str) -> InputError:
    with pytest.raises(InputError) as caught:
        assemble(text, helpers=HELPERS, **options)
    return caught.value


# --- by hand, so that a mistake that printing and parsing share is seen ---

BY_HAND = [
    ("r1 += r2", "0f 21 00 00 00 00 00 00"),
    ("w1 += 0x5", "04 01 00 00 05 00 00 00"),
    ("r3 s/= -3", "37 03 01 00 fd ff ff ff"),
    ("w3 s%= w4", "9c 43 01 00 00 00 00 00"),
    ("r0 = r10", "bf a0 00 00 00 00 00 00"),
    ("r7 = (s16)r2", "bf 27 10 00 00 00 00 00"),
    ("w7 = (s8)w2", "bc 27 08 00 00 00 00 00"),
    ("r5 = -r5", "87 05 00 00 00 00 00 00"),
    ("r5 s>>= 63", "c7 05 00 00 3f 00 00 00"),
    ("r1 = be16 r1", "dc 01 00 00 10 00 00 00"),
    ("r1 = bswap64 r1", "d7 01 00 00 40 00 00 00"),
    ("r1 = 0x600000005 ll", "18 01 00 00 05 00 00 00 00 00 00 00 06 00 00 00"),
    ("r1 = map_by_fd(7)", "18 11 00 00 07 00 00 00 00 00 00 00 00 00 00 00"),
    ("r1 = map_val(map_by_fd(7)) + 8", "18 21 00 00 07 00 00 00 00 00 00 00 08 00 00 00"),
    ("r1 = map_val(map_by_idx(0)) + -8", "18 61 00 00 00 00 00 00 00 00 00 00 f8 ff ff ff"),
    ("w1 = *(u32 *)(r2 - 0x8)", "61 21 f8 ff 00 00 00 00"),
    ("r1 = *(s8 *)(r2 + 1)", "91 21 01 00 00 00 00 00"),
    ("*(u64 *)(r10 - 8) = r1", "7b 1a f8 ff 00 00 00 00"),
    ("*(u16 *)(r1 + 2) = -1", "6a 01 02 00 ff ff ff ff"),
    ("lock *(u64 *)(r1 + 0) += r2", "db 21 00 00 00 00 00 00"),
    ("r2 = atomic_fetch_or((u64 *)(r1 + 0), r2)", "db 21 00 00 41 00 00 00"),
    ("w0 = cmpxchg32_32(r1 + 4, w0, w2)", "c3 21 04 00 f1 00 00 00"),
    ("r2 = xchg_64(r1 + 4, r2)", "db 21 04 00 e1 00 00 00"),
    ("r0 = load_acquire((u64 *)(r1 + 8))", "db 10 08 00 00 01 00 00"),
    ("store_release((u8 *)(r1 + 8), w2)", "d3 21 08 00 10 01 00 00"),
    ("if r1 s> r2 goto +0x1", "6d 21 01 00 00 00 00 00"),
    ("if w1 & 4 goto -2", "46 01 fe ff 04 00 00 00"),
    ("goto -1", "05 00 ff ff 00 00 00 00"),
    ("gotol +70000", "06 00 00 00 70 11 01 00"),
    ("may_goto +3", "e5 00 03 00 00 00 00 00"),
    ("gotox r3", "0d 03 00 00 00 00 00 00"),
    ("call 5", "85 00 00 00 05 00 00 00"),
    ("call pc+5", "85 10 00 00 05 00 00 00"),
    ("call kfunc 5, module 2", "85 20 02 00 05 00 00 00"),
    ("callx r2", "8d 02 00 00 00 00 00 00"),
    ("exit", "95 00 00 00 00 00 00 00"),
    ("r0 = *(u16 *)skb[12]", "28 00 00 00 0c 00 00 00"),
    ("r0 = *(u8 *)skb[r7 + 14]", "50 70 00 00 0e 00 00 00"),
    ("r1 = addr_space_cast(r2, 0, 1)", "bf 21 01 00 01 00 00 00"),
    ("add %r0, %r1", "0f 10 00 00 00 00 00 00"),
    ("movsx832 %r7, %r2", "bc 27 08 00 00 00 00 00"),
    ("swap16 %r1", "d7 01 00 00 10 00 00 00"),
    ("le32 %r1", "d4 01 00 00 20 00 00 00"),
    ("lddw %r1, 0x600000005", "18 01 00 00 05 00 00 00 00 00 00 00 06 00 00 00"),
    ("ldxw %r0, [%r1+4]", "61 10 04 00 00 00 00 00"),
    ("ldxsh %r0, [%r1-4]", "89 10 fc ff 00 00 00 00"),
    ("stxdw [%r10-8], %r1", "7b 1a f8 ff 00 00 00 00"),
    ("stb [%r1], 5", "72 01 00 00 05 00 00 00"),
    ("lock add [%r1], %r2", "db 21 00 00 00 00 00 00"),
    ("lock fetch add32 [%r1+0], %r0", "c3 01 00 00 01 00 00 00"),
    ("lock cmpxchg32 [%r10-8], %r1", "c3 1a f8 ff f1 00 00 00"),
    ("jeq32 %r0, 5, +3", "16 00 03 00 05 00 00 00"),
    ("jsle %r0, %r1, -3", "dd 10 fd ff 00 00 00 00"),
    ("ja32 +3", "06 00 00 00 03 00 00 00"),
    ("call local +5", "85 10 00 00 05 00 00 00"),
    ("call runtime 5", "85 20 00 00 05 00 00 00"),
    ("call %r2", "8d 02 00 00 00 00 00 00"),
    ("ldindh %r3, 9", "48 30 00 00 09 00 00 00"),
    (".8byte 0x95", "95 00 00 00 00 00 00 00"),
    (".byte 0x95, 0, 0, 0, 0, 0, 0, 0", "95 00 00 00 00 00 00 00"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code"), BY_HAND)
def test_by_hand(text: str, code: str) -> None:
    assert assemble_bytes(text).hex(" ") == code


# --- other ways to write the same ---

SAME = [
    ("r0 = *(u8 *)(r2 +0)", "w0 = *(u8 *)(r2 + 0x0)"),  # the kernel's verifier names no w registers here
    ("r0 = *(u32 *)(r2)", "w0 = *(u32 *)(r2 + 0)"),
    ("*(u16 *)(r1 -2) = r3", "*(u16 *)(r1 - 2) = w3"),
    ("r3 = atomic_fetch_add((u32 *)(r1 +0), r3)", "w3 = atomic_fetch_add((u32 *)(r1 + 0x0), w3)"),
    ("r3 = atomic64_fetch_add((u64 *)(r1 +0), r3)", "r3 = atomic_fetch_add((u64 *)(r1 + 0x0), r3)"),
    ("r0 = atomic64_cmpxchg((u64 *)(r1 +8), r0, r2)", "r0 = cmpxchg_64(r1 + 0x8, r0, r2)"),
    ("r0 = atomic_cmpxchg((u32 *)(r1 +8), r0, r2)", "w0 = cmpxchg32_32(r1 + 0x8, w0, w2)"),
    ("r2 = atomic_xchg((u32 *)(r1 +8), r2)", "w2 = xchg32_32(r1 + 0x8, w2)"),
    ("lock *(u32 *)(r1 +0) ^= r2", "lock *(u32 *)(r1 + 0) ^= w2"),
    ("r0 = load_acquire((u8 *)(r1 +0))", "w0 = load_acquire((u8 *)(r1 + 0x0))"),
    ("goto pc+3", "goto +0x3"),
    ("if w1 == 0xfffffff6 goto pc-4", "if w1 == -0xa goto -0x4"),
    ("gotol pc+3", "gotol +3"),
    ("may_goto pc+3", "may_goto +3"),
    ("call pc-3", "call -3"),
    ("call bpf_map_lookup_elem#1", "call 1"),
    ("call bpf_map_lookup_elem", "call 1"),
    ("call unknown#195896080", "call 195896080"),
    ("call kernel-function#77", "call kfunc 77"),
    ("call kfunc bpf_iter_num_new#77", "call runtime 77"),
    ("r0 = *(u8 *)skb[r3]", "r0 = *(u8 *)skb[r3 + 0]"),  # llvm-objdump leaves the number out
    ("ld_pseudo r1, 0x1, 0x7", "r1 = map_by_fd(7)"),
    ("ld_pseudo r1, 5, 7", "r1 = map_by_idx(7)"),
    ("r0+=r1", "  r0   +=   r1  "),
    ("r0=-5", "r0 = -5"),
    ("r0 = +5", "r0 = 5"),
    ("r0 = 4294967295", "r0 = -1"),
    ("r0 = 0XFF", "r0 = 255"),
    ("mov r0, 1", "mov %r0, 1"),
    ("bswap32 %r1", "swap32 %r1"),
    ("lock fetch xchg [%r1], %r2", "lock xchg [%r1], %r2"),
    ("call helper 5", "call 5"),
    ("callx %r2", "callx r2"),
    ("ldxw %r0, [ %r1 + 0x4 ]", "ldxw %r0, [%r1+4]"),
    ("exit ; done", "exit"),
    ("exit # done", "exit"),
    ("exit // done", "exit"),
    ("mov %r0, 5# five", "mov %r0, 5"),
    ("exit\r", "exit"),
    ("12: exit", "exit"),
    ("start: again: exit", "exit"),
    ("(b7) r1 = 5", "r1 = 5"),
    ("3: (b7) r1 = 5  ; R1_w=5", "r1 = 5"),
    ("(18) r1 = 0x600000005", "r1 = 0x600000005 ll"),
    ("(18) r1 = 0x5", "r1 = 5 ll"),
    ("(85) call bpf_iter_num_new#77", "call 77"),  # the opcode does not tell a kfunc
    ("85 20 00 00 4d 00 00 00 call bpf_iter_num_new#77", "call kfunc 77"),
    ("  26:\t85 10 00 00 04 00 00 00\tcall 0x4", "call +4"),
    ("   1:\t18 01 00 00 05 00 00 00 00 00 00 00 06 00 00 00\tr1 = 0x600000005 ll", "r1 = 0x600000005 ll"),
    ("a8: 95 00 00 00 00 00 00 00 exit", "exit"),  # GNU objdump counts bytes, in hexadecimal
    ("goto +0x1f <prog+0x148>", "goto +31"),
    ("  36:\tc3 30 44 00 40 00 00 00\t<unknown>", "lock *(u32 *)(r0 + 68) |= w3"),  # llvm-objdump -mcpu=v1
]  # fmt: skip


@pytest.mark.parametrize(("text", "usual"), SAME)
def test_same(text: str, usual: str) -> None:
    assert one(text) == one(usual)


def test_syntaxes_mix_unless_one_is_chosen() -> None:
    text = "r0 = 1\nadd %r0, 2\nexit"
    assert names(assemble(text)) == ["mov_imm", "add_imm", "exit"]
    assert error_of(text, syntax="pseudo-c").line == 2
    assert error_of(text, syntax="mnemonic").line == 1
    assert error_of(text, syntax="intel").reason == "there is no syntax 'intel', there are pseudo-c and mnemonic"


def test_empty_text_is_an_empty_program() -> None:
    assert assemble("") == assemble("\n  ; nothing\n\n# here\n") == ()


def test_wide_instructions_take_two_slots() -> None:
    program = assemble("lddw %r1, 5\nja +1\nlddw %r2, 6\nexit")
    assert [slot is None for slot in program] == [False, True, False, False, True, False]


# --- labels ---


def test_labels_count_slots() -> None:
    program = assemble("""
        start:  lddw %r1, 1      ; two slots
                jeq %r1, 1, end
                goto start
                if w1 s< w2 goto middle
        middle: call local f
                call f
        end:    exit
        f:
                r1 = code_addr(f)
                goto start
                ja32 end
                exit
    """)
    jumps = {
        pc: jump_offset(row, slot)
        for pc, slot in enumerate(program)
        if slot is not None and has_target(row := lookup(slot))
    }
    assert jumps == {2: 4, 3: -4, 4: 0, 5: 2, 6: 1, 8: -1, 10: -11, 11: -5}


def test_exit_is_the_first_exit_unless_it_is_a_label() -> None:
    program = assemble("jeq %r1, 0, exit\nmov %r0, 1\nexit\nexit")
    assert program[0] == Instruction(0x15, dst_reg=1, offset=1)
    program = assemble("jeq %r1, 0, exit\nexit\nexit: exit")
    assert program[0] == Instruction(0x15, dst_reg=1, offset=1)
    assert error_of("goto exit").reason == "there is no label 'exit'"
    assert error_of("exit\ncall local exit").reason == "there is no label 'exit'"


def test_a_label_at_the_end_is_a_slot_of_its_own() -> None:
    assert one("goto end\nend:").offset == 0


def test_a_label_hides_a_helper_of_the_same_name() -> None:
    program = assemble("call bpf_ktime_get_ns\nbpf_ktime_get_ns: exit", helpers=HELPERS)
    assert program[0] == Instruction(0x85, src_reg=1, imm=0)


def test_far_labels() -> None:
    exits = ".8byte " + ", ".join(["0x95"] * 0x1000) + "\n"
    far = exits * 8
    assert assemble(f"gotol end\n{far}end: exit")[0] == Instruction(0x06, imm=0x8000)
    assert assemble(f"goto end\n{exits * 7}end: exit")[0] == Instruction(0x05, offset=0x7000)
    error = error_of(f"\ngoto end\n{far}end: exit")
    assert str(error) == "line 2, column 6: the target is +32768 slots away and offset has 16 bits"
    assert error_of("if r1 == 2 goto -32769").column == 17
    assert error_of("gotol +0x80000000").reason == "the target is +2147483648 slots away and imm has 32 bits"


# --- what tools print ---

OBJDUMP = """

prog.o:	file format elf64-bpf

Disassembly of section .text:

0000000000000000 <prog>:
; int prog(struct context *c) {
       0:	bf 16 00 00 00 00 00 00	r6 = r1
       1:	18 01 00 00 bc 9a 78 56 00 00 00 00 34 12 00 00	r1 = 0x123456789abc ll
       3:	15 06 02 00 00 00 00 00	if r6 == 0x0 goto +0x2 <LBB0_2>
       4:	85 10 00 00 02 00 00 00	call 0x2
       5:	85 00 00 00 05 00 00 00	call 0x5

0000000000000030 <LBB0_2>:
       6:	95 00 00 00 00 00 00 00	exit

Disassembly of section xdp:

0000000000000000 <f>:
       0:	b4 00 00 00 02 00 00 00	w0 = 0x2
       1:	95 00 00 00 00 00 00 00	exit
"""

VERIFIER = """
0: (bf) r6 = r1                       ; R1=ctx() R6_w=ctx()
1: (18) r1 = 0x123456789abc           ; R1_w=0x123456789abc
3: (15) if r6 == 0x0 goto pc+2
4: (85) call pc+2
5: (85) call bpf_ktime_get_ns#5
; return XDP_PASS;
6: (95) exit
7: (b4) w0 = 2
8: (95) exit
"""


def test_pasted_listings() -> None:
    plain = assemble("""
        mov %r6, %r1
        lddw %r1, 0x123456789abc
        jeq %r6, 0, out
        call local f
        call 5
        out: exit
        f: mov32 %r0, 2
        exit
    """)
    assert assemble(OBJDUMP) == plain
    assert assemble(VERIFIER) == plain


def test_bytes_and_text_must_agree() -> None:
    error = error_of("exit\n 1: b7 01 00 00 05 00 00 00 r1 = 6")
    assert str(error) == (
        "line 2, column 29: the bytes say b7 01 00 00 05 00 00 00 and the text b7 01 00 00 06 00 00 00"
    )
    assert error_of("b7 01 00 00 05 00 00 00 w1 = 5").reason == "the opcode says 0xb7 and the text 0xb4"
    assert error_of("(b7) w1 = 5").reason == "the opcode says 0xb7 and the text 0xb4"


def test_relocations_are_refused() -> None:
    error = error_of("call -1\n\t\t0000000000000048:  R_BPF_64_32\tkf")
    assert str(error).startswith("line 2, column 3: relocations are not applied")


# --- errors ---

ERRORS = [
    ("r1 += foo", 7, "expected a number or a register after '+=', found 'foo'"),
    ("r1 +=", 6, "expected a number or a register after '+=', found the end of the line"),
    ("movq %r0, 1", 1, "unknown instruction 'movq', did you mean 'mov' or 'mov32'?"),
    ("qqq", 1, "unknown instruction 'qqq'"),
    ("5", 1, "unknown beginning of an instruction '5'"),
    ("lock ad [%r1], %r2", 6, "'ad' cannot follow 'lock', did you mean 'and' or 'add'?"),
    ("w1 = *(u64 *)(r2 + 0)", 8, "expected 'u32', 'u16' or 'u8' after '(', found 'u64'"),
    ("if w1 == r2 goto +1", 10, "expected a number or a 32-bit register after '==', found 'r2'"),
    ("r1 foo 3", 4, "expected '+=', '-=', '*=', '/=', 's/=', '|=', '&=' or 7 others after 'r1', found 'foo'"),
    ("add %r1", 8, "expected ',' after '%r1', found the end of the line"),
    ("exit 5", 6, "expected the end of the line after 'exit', found '5'"),
    ("r1 = -r2", 7, "'r2' is not the register on the left"),
    ("le16 %r11", 6, "there is no register '%r11', there are r0 to r10"),
    ("w1 = w99999999999999999999", 6, "there is no register 'w99999999999999999999', there are w0 to w10"),
    ("r1 = 0x600000005", 17, "expected 'll' after '0x600000005', found the end of the line"),
    ("mov %r1, 0x100000000", 10,
     "0x100000000 does not fit the 32 bits of imm (64 bits are loaded by `r1 = N ll` or `lddw %r1, N`)"),
    ("r1 += -0x80000001", 7,
     "-0x80000001 does not fit the 32 bits of imm (64 bits are loaded by `r1 = N ll` or `lddw %r1, N`)"),
    ("lddw %r1, 0x10000000000000000", 11, "0x10000000000000000 does not fit 64 bits"),
    ("lddw %r1, 0x" + "9" * 5000, 11, "the number does not fit 64 bits"),
    ("call 0x100000000", 6, "0x100000000 does not fit the 32 bits of imm"),
    ("call f#0x100000000", 8, "0x100000000 does not fit the 32 bits of imm"),
    ("call kfunc 1, module 32768", 22, "0x8000 does not fit the 16 bits of offset"),
    ("ldxw %r0, [%r1+32768]", 15, "+0x8000 does not fit the 16 bits of offset (-0x8000 to 0x7fff)"),
    ("ldxw %r0, [%r1-32769]", 15, "-0x8001 does not fit the 16 bits of offset (-0x8000 to 0x7fff)"),
    ("ldxw %r0, [%r1+x]", 16, "expected a number after '+', found 'x'"),
    ("r1 = addr_space_cast(r2, 65536, 0)", 26, "0x10000 does not fit 16 bits"),
    ("r1 = 12abc", 6, "'12abc' is not a number"),
    ("r1 = 0x", 6, "'0x' is not a number"),
    ("r1 = 0xfg", 6, "'0xfg' is not a number"),
    ("goto 3", 6, "a distance has a sign: write +3 or -3, or a label"),
    ("goto (", 6, "expected a label, +N or -N after 'goto', found '('"),
    ("goto nowhere", 6, "there is no label 'nowhere'"),
    ("call nothing", 6, "there is no label or helper function 'nothing'"),
    ("call kfunc f", 12, "the BTF id of 'f' is not known, write f#ID"),
    ("call bpf_map_lookup_elem#2", 6, "helper function bpf_map_lookup_elem has id 1, not 2"),
    ("r1: exit", 1, "'r1' cannot be a label"),
    ("pc: exit", 1, "'pc' cannot be a label"),
    ("@", 1, "unexpected character '@'"),
    ("r0 = \u0663", 6, "unexpected character '\u0663'"),
    (".word 5", 1, "unknown directive '.word', there are .byte and .8byte"),
    (".byte", 6, "expected a number, found the end of the line"),
    (".byte 1 2", 9, "expected ',', found '2'"),
    (".byte 256", 7, "0x100 does not fit a byte"),
    (".8byte -9223372036854775809", 8, "-0x8000000000000001 does not fit 64 bits"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "reason"), ERRORS, ids=[text[:30] for text, _, _ in ERRORS])
def test_errors_point_at_the_token(text: str, column: int, reason: str) -> None:
    error = error_of(f"\n  exit\n{text}\n")
    assert (error.line, error.column, error.reason) == (3, column, reason)
    assert error_of(f"\t{text}").column == column + 1


def test_errors_name_the_file() -> None:
    assert str(error_of("exit\nfoo", file="a.s")) == "a.s:2:1: unknown instruction 'foo'"
    assert str(error_of("goto x", file="a.s")) == "a.s:1:6: there is no label 'x'"
    assert str(error_of(".8byte 0x18", file="a.s")).startswith("a.s:1: instruction 0: the program ends in the middle")


def test_duplicate_labels() -> None:
    assert str(error_of("x: exit\n  x: exit")) == "line 2, column 3: label 'x' is already defined in line 1"


def test_directives_fill_slots() -> None:
    wide = assemble_bytes("lddw %r1, 0x1122334455667788")
    low, high = (int.from_bytes(wide[at : at + 8], "little") for at in (0, 8))
    assert assemble(f".8byte {low:#x}, {high:#x}\nexit") == assemble("lddw %r1, 0x1122334455667788\nexit")
    assert assemble(".byte 0x95, 0\n.byte 0, 0, 0, 0, 0, 0") == assemble("exit")
    error = error_of(".byte 1, 2, 3\nexit")
    assert str(error) == "line 2: the bytes before this line end in the middle of a slot (3 of 8 bytes)"
    assert error_of("exit\n.8byte 0x18\nexit").line == 2  # the exit would be its second slot
    assert assemble_bytes(".byte 1, -1") == b"\x01\xff"


def test_sizes_are_limited() -> None:
    assert (
        error_of(" " * (MAX_TEXT + 1)).reason == f"the text has {MAX_TEXT + 1} characters, at most {MAX_TEXT} are read"
    )
    error = error_of("exit\n" + " " * (MAX_LINE + 1))
    assert str(error) == f"line 2: the line has {MAX_LINE + 1} characters, at most {MAX_LINE} are read"
    ten_thousand = ".8byte " + "0," * 9_999 + "0\n"
    assert len(assemble_bytes(ten_thousand * (MAX_SLOTS // 10_000))) == 8 * MAX_SLOTS
    error = error_of(ten_thousand * (MAX_SLOTS // 10_000) + "exit")
    assert str(error) == f"line {MAX_SLOTS // 10_000 + 1}: the program has more than {MAX_SLOTS} slots"


def test_lines_of_the_same_text_mean_what_they_mean_where_they_stand() -> None:
    program = assemble("goto end\nr0 += 1\nlddw %r1, 5\nr0 += 1\ngoto end\nend: exit")
    assert [one.offset for one in program if one is not None and one.opcode == 0x05] == [5, 0]
    assert program[1] == program[4]
    assert str(error_of("r0 += 1\nr0 += 1\ngoto +1\n r0 += x\n r0 += x")).startswith("line 4, column 8: ")
    assert str(error_of("goto a\na: exit\ngoto b\ngoto b")) == "line 3, column 6: there is no label 'b'"


LONG = [
    " " * 60_000 + "@", "x:" + " " * 60_000 + "@", ":" * 60_000, ": " * 30_000, "0" * 60_000 + "x", "a" * 60_000,
    "r" + "1" * 60_000, "<" * 60_000, " <" * 30_000, "#" * 60_000, "ja exit\n" * 9_000, "call#" * 10_000,
    "00 " * 20_000,
]  # fmt: skip


@pytest.mark.parametrize("text", LONG, ids=[text.lstrip()[:8] for text in LONG])
def test_long_lines_are_read_in_linear_time(text: str) -> None:
    try:
        assemble(text)
    except InputError as error:
        assert len(str(error)) < 500


# --- anything at all ---

TEXTS = [text for row in TABLE for text in (row.pseudo_c, row.mnemonic)]
OPERANDS = """( ) [ ] , + - * = : # ; < > % . 0 1 5 0x 0xffffffff 0x100000000 r0 w1 r2 %r2 r11 pc skb label label: .byte
.8byte (b7) (18) 0: <x>"""
WORDS = sorted({word for text in [*TEXTS, OPERANDS] for word in text.split() if "{" not in word} | {"\n"})


@given(st.text(max_size=60) | st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=12).map(" ".join))
@example("\x85exit")
@example("call#1")
@example("1:")
@example("<a>:")
@example("r1 = code_addr(")
def test_any_text_is_a_program_or_an_input_error(text: str) -> None:
    try:
        program = assemble(text)
    except InputError as error:
        assert "\n" not in str(error)
        return
    assert encode_program(program) == assemble_bytes(text)


def test_headings_of_llvm_objdump_are_passed_over_whatever_they_name() -> None:
    text = "a//b#c.o:\tfile format elf64-bpf\n\nDisassembly of section uretprobe//bin/bash:readline:\n\nexit\n"
    assert assemble(text) == assemble("exit")
