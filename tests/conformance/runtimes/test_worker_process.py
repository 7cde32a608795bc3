"""Runtimes that stay, good and hostile: an answer, an outcome instead of one, and the next case all the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pybpftime.conformance.case import Case, Signature
from pybpftime.conformance.runtime import Outcome, OutcomeKind
from pybpftime.conformance.runtimes.process import Command
from pybpftime.conformance.runtimes.profiles import Options, open_runtime
from pybpftime.conformance.runtimes.worker_process import WorkerRuntime
from pybpftime.errors import BpfError, FaultKind, HostError
from pybpftime.isa import Group

Script = Callable[..., str]
MakeCase = Callable[..., Case]
PATIENT = Options(timeout=60)
HELLO = "pybpftime-runtime 1 name=fake groups=base32,atomic32 budget=yes"

GOOD = f"""echo '{HELLO}'
while read run id rest; do
  echo "asked $run $rest" >>$LOG
  echo "$id return r0=0x7"
done
"""


def answering(text: str) -> str:
    """A runtime that does `text` with the first case of each process, and answers 7 to others."""
    return f"""echo '{HELLO}'
read run id rest
{text}
while read run id rest; do echo "$id return r0=0x7"; done
"""


def test_one_process_answers_all_cases(script: Script, make_case: MakeCase, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    runtime = open_runtime("line:" + script(GOOD), PATIENT)
    try:
        assert runtime.profile.name == "fake" and runtime.profile.budget
        assert runtime.profile.groups == {Group.BASE32, Group.ATOMIC32}
        outcomes = [runtime.run(make_case(b"\x95" + bytes(7), memory=b"\x01", budget=9)) for _ in range(3)]
    finally:
        runtime.close()
        runtime.close()
    assert outcomes == [Outcome(OutcomeKind.RETURNED, Signature({0: 7}))] * 3
    assert (tmp_path / "log").read_text() == "asked run code=9500000000000000 mem=01 budget=9\n" * 3


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('echo "$id exhausted"', Outcome(OutcomeKind.EXHAUSTED)),
        ('echo "$id refused too long"', Outcome(OutcomeKind.REFUSED, message="too long")),
        ('echo "$id failed"', Outcome(OutcomeKind.FAILED)),
        ('echo "$id unsupported no maps"', Outcome(OutcomeKind.UNSUPPORTED, message="no maps")),
        (
            'echo "$id trap class=memory pc=3 past the end"',
            Outcome(OutcomeKind.TRAPPED, trap=FaultKind.MEMORY, pc=3, message="past the end"),
        ),
        (
            'echo "$id return r0=0x1 r6=0xff mem=0102 stack=-"',
            Outcome(OutcomeKind.RETURNED, Signature({0: 1, 6: 255}, b"\x01\x02", b"")),
        ),
        ('printf "$id return r0=0x2\\r\\n"', Outcome(OutcomeKind.RETURNED, Signature({0: 2}))),
    ],
)
def test_answers(script: Script, make_case: MakeCase, text: str, outcome: Outcome) -> None:
    runtime = open_runtime("line:" + script(answering(text)), PATIENT)
    try:
        assert runtime.run(make_case("exit")) == outcome
        assert runtime.run(make_case("exit")).signature.r0 == 7
    finally:
        runtime.close()


SLEEP = "exec sleep 600"


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("kill -SEGV $$", OutcomeKind.CRASHED, "ended by SIGSEGV"),
        ("echo sorry >&2; exit 4", OutcomeKind.CRASHED, "ended with exit code 4: sorry"),
        ("exit 0", OutcomeKind.CRASHED, "ended with exit code 0"),
        ('printf "$id ret"; exit 0', OutcomeKind.CRASHED, "ended with exit code 0 in the middle of a line: 1 ret"),
        (f"exec >&-; {SLEEP}", OutcomeKind.GARBAGE, "closed its standard output"),
        ("echo hello", OutcomeKind.GARBAGE, "no answer to request 1"),
        ('echo "9 return r0=0x7"', OutcomeKind.GARBAGE, "no answer to request 1"),
        ('echo "$id return r0=seven"', OutcomeKind.GARBAGE, "r0: 'seven' is no hex"),
        ("exec cat /dev/zero", OutcomeKind.GARBAGE, "wrote more than any answer has: "),
        ("cat /dev/zero >&2", OutcomeKind.GARBAGE, "wrote more than any answer has: "),
    ],
)
def test_accidents_cost_one_case(
    script: Script, make_case: MakeCase, tmp_path: Path, text: str, kind: OutcomeKind, message: str
) -> None:
    """The process that failed is gone; another one answers the next case."""
    once = f"""if [ -e {tmp_path}/done ]; then echo "$id return r0=0x7"; else touch {tmp_path}/done; {text}; fi"""
    runtime = open_runtime("line:" + script(answering(once)), Options(timeout=60))
    try:
        first = runtime.run(make_case("exit"))
        assert first.kind is kind
        assert first.message.startswith(message) and (first.message == message or message.endswith(": "))
        assert runtime.run(make_case("exit")).signature.r0 == 7
    finally:
        runtime.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"echo thinking >&2; {SLEEP}", "no answer after 3 s: thinking"),
        (f'printf "$id retu"; {SLEEP}', "half a line after 3 s: 1 retu"),
    ],
)
def test_a_hang_is_an_outcome(script: Script, make_case: MakeCase, text: str, message: str) -> None:
    runtime = WorkerRuntime("fake", Command((script(answering(text)),)), 60)
    runtime.timeout = 3
    try:
        assert runtime.run(make_case("exit")) == Outcome(OutcomeKind.TIMED_OUT, message=message)
    finally:
        runtime.close()


def test_an_answer_too_many_is_not_taken_for_the_next(script: Script, make_case: MakeCase) -> None:
    runtime = open_runtime("line:" + script(answering('echo "$id return r0=0x1"; echo "$id return r0=0x2"')), PATIENT)
    try:
        assert runtime.run(make_case("exit")).signature.r0 == 1
        assert runtime.run(make_case("exit")).kind is OutcomeKind.GARBAGE
        assert runtime.run(make_case("exit")).signature.r0 == 1  # of a new process
    finally:
        runtime.close()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("echo hello", "should begin with `pybpftime-runtime 1`"),
        ("echo 'pybpftime-runtime 1 groups=base128'", "groups: 'base128' is none of"),
        ("exit 3", "does not greet as a runtime does: ended with exit code 3"),
        ("kill -KILL $$", "ended by SIGKILL"),
        ("exec cat /dev/zero", "wrote more than any answer has"),
        (f"exec >&-; {SLEEP}", "closed its standard output"),
    ],
)
def test_who_does_not_greet_is_no_runtime(script: Script, text: str, complaint: str) -> None:
    with pytest.raises(BpfError) as caught:
        open_runtime("line:" + script(text + "\n"), Options(timeout=60))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_who_does_not_greet_in_time_is_no_runtime(script: Script) -> None:
    with pytest.raises(HostError, match=r"does not greet as a runtime does: no answer after 0.3 s"):
        open_runtime("line:" + script(SLEEP), Options(timeout=0.3))


def test_a_runtime_that_does_not_start_again_is_an_outcome_each_time(script: Script, make_case: MakeCase) -> None:
    path = script(answering("exit 1"))
    runtime = open_runtime("line:" + path, PATIENT)
    try:
        assert runtime.run(make_case("exit")).message == "ended with exit code 1"
        Path(path).unlink()
        for _ in range(2):
            outcome = runtime.run(make_case("exit"))
            assert outcome == Outcome(OutcomeKind.CRASHED, message="cannot be started: No such file or directory")
    finally:
        runtime.close()


def test_a_case_longer_than_a_pipe(script: Script, make_case: MakeCase) -> None:
    text = f"print({HELLO!r}, flush=True)\nprint(f'1 return r0={{len(input()):#x}}', flush=True)\n"
    runtime = open_runtime("line:" + script(text, "python"), Options(timeout=60))
    try:
        assert runtime.run(make_case(bytes(800_000))).signature.r0 == len("run 1 code= mem=- budget=-") + 1_600_000
    finally:
        runtime.close()


def test_closing_waits_for_nobody(script: Script) -> None:
    runtime = open_runtime("line:" + script(f"trap '' TERM HUP INT\necho '{HELLO}'\nexec sleep 600\n"), PATIENT)
    began = time.monotonic()
    runtime.close()
    assert time.monotonic() - began < 60
