"""Contexts of programs that watch: registers, trace events, arguments, perf events."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program.contexts_support import enter

from pybpftime.errors import Fault, InputError
from pybpftime.machine import LENIENT
from pybpftime.program.contexts import Context, make_context
from pybpftime.program.contexts.trace_format import parse_format
from pybpftime.program.types.layouts import PT_REGS_ARM64, PT_REGS_X86_64
from pybpftime.uapi import ProgramType

KPROBE, TRACEPOINT, RAW_TRACEPOINT, PERF_EVENT = (
    ProgramType.BPF_PROG_TYPE_KPROBE,
    ProgramType.BPF_PROG_TYPE_TRACEPOINT,
    ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT,
    ProgramType.BPF_PROG_TYPE_PERF_EVENT,
)


def load(context: Context, offset: int, size: int) -> int:
    machine, r1 = enter(context)
    return machine.memory.load(r1 + offset, size)


@pytest.mark.parametrize(
    ("given", "offset", "value"),
    [
        ({"di": 24}, 112, 24),
        ({"rdi": 24}, 112, 24),
        ({"parm1": 24, "sp": 1}, 112, 24),
        ({"parm6": -1}, 64, (1 << 64) - 1),
        ({"rc": 7}, 80, 7),
        ({"arch": "arm64", "parm2": 9}, 8, 9),
        ({"arch": "arm64", "pc": 0x400000}, 256, 0x400000),
    ],
)
def test_registers_by_name(given: dict[str, Any], offset: int, value: int) -> None:
    context = make_context(KPROBE, ctx=given)
    assert load(context, offset, 8) == value
    assert load(context, offset, 1) == value & 0xFF


def test_registers_are_read_only_and_named_in_faults() -> None:
    machine, r1 = enter(make_context(KPROBE, ctx=bytes(PT_REGS_X86_64.size)))
    with pytest.raises(Fault, match=r"store of 8 bytes at pt_regs\.di: it is read-only"):
        machine.memory.store(r1 + 112, 8, 0)
    with pytest.raises(Fault, match=r"at pt_regs.di\+4 is not aligned"):
        machine.memory.load(r1 + 116, 8)
    assert machine.memory.read(r1 + 1, 3) == bytes(3)
    lenient, r1 = enter(make_context(KPROBE, ctx={"di": 1 << 32}), LENIENT)
    assert lenient.memory.load(r1 + 116, 8) == 1
    assert load(make_context(KPROBE, ctx=bytes(PT_REGS_ARM64.size)), 264, 8) == 0


def test_what_helpers_ask_of_a_probe() -> None:
    for program_type in (KPROBE, PERF_EVENT, TRACEPOINT, RAW_TRACEPOINT):
        context: Any = make_context(program_type, ctx={"attach_cookie": 5})
        assert (context.attach_cookie, context.function_address) == (5, 0)


def test_a_perf_event() -> None:
    context = make_context(PERF_EVENT, ctx={"ip": 5, "sample_period": 0x1122, "addr": 3})
    assert [load(context, offset, size) for offset, size in ((128, 8), (168, 8), (169, 1), (176, 4))] == [
        5,
        0x1122,
        0x11,
        3,
    ]
    with pytest.raises(Fault, match="has 8 bytes"):
        load(context, 128, 4)


FORMAT = """name: sched_process_exec
ID: 365
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:__data_loc char[] filename;	offset:8;	size:4;	signed:0;
	field:pid_t pid;	offset:12;	size:4;	signed:1;
	field:char comm[16];	offset:16;	size:16;	signed:0;
	field:unsigned long args[2];	offset:32;	size:16;	signed:0;
	field:const char * path;	offset:48;	size:8;	signed:0;
	field:__rel_loc u8[] blob;	offset:56;	size:4;	signed:0;
	field:u8 address[(sizeof(int) + 2)];	offset:60;	size:6;	signed:0;
	field:char tail[];	offset:66;	size:0;	signed:0;

print fmt: "filename=%s"
"""


def test_a_trace_event_by_its_format() -> None:
    values = {
        "filename": "/bin/ls",
        "pid": -2,
        "comm": "ls",
        "args": [1, -1],
        "path": 9,
        "blob": "aabb",
        "common_pid": 3,
    }
    context = make_context(TRACEPOINT, ctx={"format": FORMAT, "address": "010203040506", **values})
    machine, r1 = enter(context)
    assert parse_format(FORMAT).name == "sched_process_exec"
    where = machine.memory.load(r1 + 8, 4)
    assert machine.memory.read(r1 + (where & 0xFFFF), where >> 16) == b"/bin/ls\0"
    assert machine.memory.load(r1 + 12, 4) == 0xFFFF_FFFE
    assert machine.memory.read(r1 + 16, 16) == b"ls".ljust(16, b"\0")
    assert [machine.memory.load(r1 + offset, 8) for offset in (32, 40, 48)] == [1, (1 << 64) - 1, 9]
    relative = machine.memory.load(r1 + 56, 4)
    assert machine.memory.read(r1 + 60 + (relative & 0xFFFF), relative >> 16) == b"\xaa\xbb"
    assert machine.memory.read(r1 + 60, 6) == bytes(range(1, 7))
    with pytest.raises(Fault):
        machine.memory.load(r1 + 4, 4)


def test_system_calls_need_no_format() -> None:
    entered = make_context(TRACEPOINT, ctx={"id": 257, "args": [0xFFFFFF9C, 4096]})
    assert [load(entered, offset, 8) for offset in (8, 16, 24, 56)] == [257, 0xFFFFFF9C, 4096, 0]
    left = make_context(TRACEPOINT, ctx={"id": 257, "ret": -2})
    assert load(left, 16, 8) == (1 << 64) - 2
    with pytest.raises(Fault, match="8 bytes past the end"):
        load(left, 24, 8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "here is none"),
        ("field:int x", "no field of a trace event: 'field:int x'"),
        ("field:;\toffset:0;\tsize:4;", "no field"),
        ("field:int x[3];\toffset:0;\tsize:4;", "4 bytes for 3 elements"),
        ("field:int x;\toffset:9000;\tsize:4;", "offset 9000 and size 4"),
        ("field:__data_loc char[] x;\toffset:0;\tsize:8;", "offset 0 and size 8"),
        ("field:" + "a " * 600, "more than 1000 characters"),
    ],
)
def test_text_that_is_no_format_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_context(TRACEPOINT, ctx={"format": text})


@given(st.text() | st.from_regex(r"(field:[ a-z\[\]0-9]*;\toffset:\d{1,6};\tsize:\d{1,6};\n)+"))
def test_whatever_text_is_a_format_or_an_input_error(text: str) -> None:
    with suppress(InputError):
        assert isinstance(parse_format(text).encode({}), bytes)


def test_data_behind_a_record_has_a_limit() -> None:
    with pytest.raises(InputError, match="filename: a record has at most 8192 bytes"):
        make_context(TRACEPOINT, ctx={"format": FORMAT, "filename": "x" * 8192})


def test_every_format_of_this_kernel_is_read() -> None:
    events = Path("/sys/kernel/tracing/events")
    formats = sorted(events.glob("s*/*/format")) if os.access(events, os.R_OK) else []
    if not formats:
        pytest.skip("needs tracefs")
    for path in formats:
        assert len(parse_format(path.read_text()).encode({})) >= 8
