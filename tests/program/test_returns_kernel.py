"""What programs may return, held against the running kernel's verifier."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from program.btf_support import vmlinux_bytes
from program.contexts_support import accepts, assembled, attach_types, named, need_kernel, need_type

from pybpftime.program.btf import Btf, Kind
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.program.types.layouts import ARGUMENTS
from pybpftime.uapi import AttachType, ProgramType

P, A = ProgramType, AttachType
BPF_KTIME_GET_NS = 5

WITHOUT_BTF = [
    (info.type, attach_type)
    for info in PROGRAM_TYPES.values()
    if info.layout not in (None, ARGUMENTS)
    for attach_type in dict.fromkeys((*attach_types(info), *info.returns.allowed_at))
]


@pytest.fixture(autouse=True)
def _kernel() -> None:
    need_kernel()


@pytest.fixture(scope="module")
def kernel_btf() -> Btf:
    return Btf.parse(vmlinux_bytes())


NUMBERS = (-(1 << 63), -(1 << 31) - 1, -(1 << 31), *range(-3, 9), (1 << 31) - 1, (1 << 32) - 1, 1 << 32)


def taken(judge: Callable[[bytes], bool]) -> list[int]:
    """Those of NUMBERS that a program may end with."""
    return [number for number in NUMBERS if judge(assembled([f"r0 = {number} ll", "exit"]))]


def inside(allowed: range | None) -> list[int]:
    return [number for number in NUMBERS if allowed is None or number in allowed]


def takes_unknown(judge: Callable[[bytes], bool]) -> bool:
    """Whether a program may end with a number of which nothing is known."""
    return judge(assembled([f"call {BPF_KTIME_GET_NS}", "exit"]))


@pytest.mark.parametrize(("program_type", "attach_type"), WITHOUT_BTF, ids=named)
def test_allowed_values_are_those_of_the_kernels_verifier(
    program_type: ProgramType, attach_type: AttachType | None
) -> None:
    need_type(program_type, attach_type)

    def judge(code: bytes) -> bool:
        return accepts(program_type, code, attach_type)

    allowed = PROGRAM_TYPES[program_type].returns.allowed_range(attach_type)
    assert taken(judge) == inside(allowed)
    assert takes_unknown(judge) == (allowed is None)
    assert not judge(assembled(["exit"]))
    assert judge(assembled(["r0 = r10", "exit"])) == (allowed is None)
    if allowed is not None:
        low = allowed.stop.bit_length() - 1  # so many bits make a number of the range
        masked = ["r0 &= " + str((1 << low) - 1), f"r0 |= {allowed.start}", "exit"]
        assert judge(assembled([f"call {BPF_KTIME_GET_NS}", *masked]))


@pytest.mark.parametrize(
    ("attach_type", "function"),
    [(A.BPF_TRACE_RAW_TP, "btf_trace_sched_switch"), (A.BPF_TRACE_ITER, "bpf_iter_bpf_map")],
)
def test_allowed_values_of_tracing_are_those_of_the_kernels_verifier(
    kernel_btf: Btf, attach_type: AttachType, function: str
) -> None:
    identifier = kernel_btf.find(function)
    if identifier is None:
        pytest.skip(f"needs a kernel with {function}")

    def judge(code: bytes) -> bool:
        return accepts(P.BPF_PROG_TYPE_TRACING, code, attach_type, attach_btf_id=identifier)

    allowed = PROGRAM_TYPES[P.BPF_PROG_TYPE_TRACING].returns.allowed_range(attach_type)
    assert taken(judge) == inside(allowed)
    assert takes_unknown(judge) == (allowed is None)


def test_a_function_that_returns_nothing_leaves_r0_alone(kernel_btf: Btf) -> None:
    identifier = kernel_btf.find("tcp_congestion_ops", Kind.STRUCT)
    if identifier is None:
        pytest.skip("needs a kernel with struct tcp_congestion_ops")
    members = [member.name for member in kernel_btf.fields(identifier)]
    assert PROGRAM_TYPES[P.BPF_PROG_TYPE_STRUCT_OPS].returns.of_function
    for name, returns_nothing in (("ssthresh", False), ("cong_avoid", True), ("undo_cwnd", False)):

        def judge(code: bytes, number: int = members.index(name)) -> bool:
            return accepts(P.BPF_PROG_TYPE_STRUCT_OPS, code, A(number), attach_btf_id=identifier)

        assert taken(judge) == inside(None)
        assert judge(assembled(["exit"])) == returns_nothing, name


def test_hooks_of_security_modules_return_error_numbers() -> None:
    returns = PROGRAM_TYPES[P.BPF_PROG_TYPE_LSM].returns
    assert returns.allowed_range(A.BPF_LSM_MAC) == range(-4095, 1)
    assert returns.allowed_range(A.BPF_LSM_CGROUP) == range(2)
    assert returns.narrow_at == {A.BPF_LSM_MAC}
