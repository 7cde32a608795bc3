"""available(): one sentence for every way in which a host refuses bpf(2), tried on processes that are refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pybpftime import kernel

_ASK = "print(available())"

# A seccomp filter (classic BPF) that answers bpf(2) with {action} and lets everything else through.
_FILTER = """
import ctypes, struct
def instruction(code, jt, jf, k):
    return struct.pack("=HBBI", code, jt, jf, k)
filter = ctypes.create_string_buffer(
    instruction(0x20, 0, 0, 0) + instruction(0x15, 0, 1, system_call_number())
    + instruction(0x06, 0, 0, {action}) + instruction(0x06, 0, 0, 0x7FFF0000)
)
program = ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(filter)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong)
assert prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert prctl(22, 2, ctypes.addressof(program), 0, 0) == 0, ctypes.get_errno()  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
"""


def answer_after(preparation: str) -> str:
    """What available() says in a new process after `preparation`."""
    imports = "from pybpftime.kernel import available\nfrom pybpftime.kernel.syscall import system_call_number\n"
    script = f"{imports}\n{preparation}\n{_ASK}"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


@pytest.mark.usefixtures("bpf")
def test_available_here() -> None:
    assert kernel.available() is None


@pytest.mark.usefixtures("bpf")
def test_without_privileges() -> None:
    sentence = answer_after("import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)")
    assert sentence.startswith("bpf(2) is not permitted here")


@pytest.mark.usefixtures("bpf")
@pytest.mark.parametrize(
    ("action", "start"),
    [
        (0x80000000, "bpf(2) cannot be used: a seccomp filter kills processes"),  # SECCOMP_RET_KILL_PROCESS
        (0x00030000, "bpf(2) cannot be used: a seccomp filter kills processes"),  # SECCOMP_RET_TRAP
        (0x00050000 | 38, "this kernel has no bpf(2), or a sandbox hides it"),  # SECCOMP_RET_ERRNO, ENOSYS
        (0x00050000 | 1, "bpf(2) is not permitted here"),  # SECCOMP_RET_ERRNO, EPERM
        (0x7FFF0000, "None"),  # SECCOMP_RET_ALLOW: a filter that does not mind
    ],
)
def test_under_a_sandbox(action: int, start: str) -> None:
    assert answer_after(_FILTER.format(action=action)).startswith(start)
