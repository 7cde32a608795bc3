"""Plugins of bpf_conformance, good and hostile: each case ends in an outcome, and nothing of them stays."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pybpftime.conformance.case import Case
from pybpftime.conformance.runtime import Outcome, OutcomeKind
from pybpftime.conformance.runtimes.profiles import Options, open_runtime
from pybpftime.errors import BpfError, HostError

Script = Callable[..., str]
MakeCase = Callable[..., Case]
OURS = f'exec {sys.executable} -c "from pybpftime.cli.plugin import main; main()" "$@"\n'


def ask(path: str, case: Case, timeout: float = 60, **options: object) -> Outcome:
    runtime = open_runtime(path, Options(timeout=timeout, **options))
    try:
        return runtime.run(case)
    finally:
        runtime.close()


def lives(pid: int) -> bool:
    """Whether the process runs: one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def ends(pid: int) -> bool:
    """Whether the process ends, for which the kernel takes a moment after a signal."""
    for _ in range(200):
        if not lives(pid):
            return True
        time.sleep(0.02)
    return False


def test_a_real_plugin_works_unchanged(script: Script, make_case: MakeCase) -> None:
    runtime = open_runtime(script(OURS), Options(timeout=60))
    try:
        assert runtime.run(make_case("r0 = -2\nexit")).signature.r0 == (1 << 64) - 2
        with_memory = make_case("r0 = *(u16 *)(r1 + 1)\nr0 += r2\nexit", memory=b"\x01\x02\x03")
        assert runtime.run(with_memory).signature.r0 == 0x302 + 3
        failed = runtime.run(make_case("r0 = *(u8 *)(r1 + 0)\nexit"))
        assert failed.kind is OutcomeKind.FAILED and "null pointer" in failed.message
    finally:
        runtime.close()


def test_what_a_plugin_is_given(script: Script, make_case: MakeCase) -> None:
    """The memory in front of the options, two spaces between bytes; the program on standard input."""
    path = script('read line; echo "$#|$1|$2|$line"; exit 1\n')
    said = ask(path, make_case(b"\x95" + bytes(7), memory=b"\x01\xff"), arguments=("--jit",)).message
    assert said == "2|01 ff |--jit|95 00 00 00 00 00 00 00"  # of white space one blank is quoted
    assert ask(path, make_case(b"\x95" + bytes(7))).message.startswith("0||")


@pytest.mark.parametrize(
    ("text", "r0"),
    [("echo 2a", 0x2A), ("echo 0x2A", 0x2A), ("printf 2a", 0x2A), ("echo '2a trailing junk'", 0x2A), ("echo ' 0 '", 0)],
)
def test_results(script: Script, make_case: MakeCase, text: str, r0: int) -> None:
    outcome = ask(script(text + "\n"), make_case("exit"))
    assert outcome.kind is OutcomeKind.RETURNED and outcome.signature.r0 == r0


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("exit 3", OutcomeKind.FAILED, "ended with exit code 3"),
        ("echo no; exit 1", OutcomeKind.FAILED, "no"),
        ("echo no >&2; exit 1", OutcomeKind.FAILED, "no"),
        ("kill -SEGV $$", OutcomeKind.CRASHED, "ended by SIGSEGV"),
        ("echo here >&2; kill -ABRT $$", OutcomeKind.CRASHED, "ended by SIGABRT: here"),
        ("exit 0", OutcomeKind.GARBAGE, "nothing on standard output"),
        ("echo hello", OutcomeKind.GARBAGE, "no hexadecimal number of 64 bits: hello"),
        ("echo 10000000000000000", OutcomeKind.GARBAGE, "no hexadecimal number of 64 bits: 10000000000000000"),
        ("exec >&-; exit 0", OutcomeKind.GARBAGE, "nothing on standard output"),
        ("printf '\\033[31m\\000'; exit 1", OutcomeKind.FAILED, "\N{REPLACEMENT CHARACTER}[31m"),
    ],
)
def test_accidents(script: Script, make_case: MakeCase, text: str, kind: OutcomeKind, message: str) -> None:
    outcome = ask(script(text + "\n"), make_case("exit"))
    assert outcome.kind is kind
    assert outcome.message.startswith(message) and "\n" not in outcome.message


@pytest.mark.parametrize("stream", ["1", "2"])
def test_endless_output_ends_the_process(script: Script, make_case: MakeCase, stream: str) -> None:
    outcome = ask(script(f"exec cat /dev/zero >&{stream}\n"), make_case("exit"))
    assert outcome.kind is OutcomeKind.GARBAGE
    assert outcome.message.startswith("wrote more than any answer has")


@pytest.mark.parametrize(
    "text", ["exec sleep 600", "printf 'half a li'; exec sleep 600", "exec >&- 2>&-; exec sleep 600"]
)
def test_a_process_that_hangs_is_killed(script: Script, make_case: MakeCase, text: str) -> None:
    outcome = ask(script(text + "\n"), make_case("exit"), timeout=0.3)
    assert outcome.kind is OutcomeKind.TIMED_OUT
    assert outcome.message.startswith("not over after 0.3 s")


def test_input_that_nobody_reads(script: Script, make_case: MakeCase) -> None:
    long = make_case(bytes(200_000))  # more than a pipe holds
    assert ask(script("exec <&-; echo 7\n"), long).signature.r0 == 7
    assert ask(script("echo 7\n"), long).signature.r0 == 7


def test_children_that_stay_are_killed(script: Script, make_case: MakeCase, tmp_path: Path) -> None:
    """In the process's own group when the case is over, in another session when the runtime is closed."""
    text = f"""sleep 600 & echo $! >{tmp_path}/child
setsid sleep 600 </dev/null >/dev/null 2>&1 & sleep 0.1
echo 7
"""
    runtime = open_runtime(script(text), Options(timeout=60))
    try:
        outcome = runtime.run(make_case("exit"))
        assert outcome.signature.r0 == 7  # though the child holds the pipes open
        assert ends(int((tmp_path / "child").read_text()))
        mark = f"PYBPFTIME_RUNTIME={runtime._mark}".encode()
        stayed = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if has(int(pid), mark)]
        assert stayed
    finally:
        runtime.close()
    assert all(ends(int(pid)) for pid in stayed)


def has(pid: int, word: bytes) -> bool:
    try:
        return word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def test_memory_limit(script: Script, make_case: MakeCase) -> None:
    path = script(
        "import sys\nsys.stdin.read()\ntry:\n    bytes(1 << 30)\nexcept MemoryError:\n    print('c0ffee')\n", "python"
    )
    assert ask(path, make_case("exit"), memory_limit=512 << 20).signature.r0 == 0xC0FFEE


def test_what_the_protocol_cannot_say(script: Script, make_case: MakeCase) -> None:
    outcome = ask(script("echo 7\n"), make_case("exit", memory=bytes(100_000)))
    assert outcome == Outcome(
        OutcomeKind.UNSUPPORTED, message="a memory of 100000 bytes is too long for a command line"
    )


def test_retries_are_off_unless_asked_for(script: Script, make_case: MakeCase, tmp_path: Path) -> None:
    path = script(f"echo x >>{tmp_path}/runs\n[ $(wc -l <{tmp_path}/runs) -gt 2 ] && echo 7 || kill -KILL $$\n")
    assert ask(path, make_case("exit")).kind is OutcomeKind.CRASHED
    assert (tmp_path / "runs").read_text() == "x\n"
    assert ask(path, make_case("exit"), retries=5).signature.r0 == 7
    assert (tmp_path / "runs").read_text() == "x\n" * 3


def test_a_program_that_goes_away_is_an_outcome(script: Script, make_case: MakeCase) -> None:
    path = script("echo 7\n")
    runtime = open_runtime(path)
    os.unlink(path)
    outcome = runtime.run(make_case("exit"))
    runtime.close()
    assert outcome == Outcome(OutcomeKind.CRASHED, message="cannot be started: No such file or directory")


def test_what_is_no_program_is_refused_at_once(script: Script, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("echo 7\n")
    for path, complaint in (
        (str(tmp_path / "absent"), "there is no such program"),
        (str(tmp_path), "is a folder, not a program"),
        (str(plain), "is not executable"),
        (script("echo 7\n", ""), "is no program: a text file needs a first line that begins with #!"),
    ):
        with pytest.raises(HostError, match=complaint):
            open_runtime(path)
    with pytest.raises(BpfError, match="no runtime 'nothing-of-that-name': it is none of reference, "):
        open_runtime("nothing-of-that-name")
