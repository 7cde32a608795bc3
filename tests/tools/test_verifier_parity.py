"""The parity tool, on a verifier that says what it is told and that fails in every way."""

from __future__ import annotations

import io
import json
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pybpftime.conformance.verifier_messages import SAFETY, MessageClass
from pybpftime.conformance.verifier_vectors import KernelAnswer, Vector
from pybpftime.errors import InputError
from pybpftime.program.spec import ProgramSpec
from tools import verifier_parity_docs as docs
from tools.verifier_parity import main, select
from tools.verifier_parity_report import Run, print_report
from tools.verifier_parity_workers import MEMORY, Job, Judgement, Limits, judge_all

EXIT = "b700000000000000" + "9500000000000000"


@dataclass(frozen=True)
class Reason:
    code: str = "packet-bounds"
    category: str = "memory"
    rule: bool = False
    sentence: str = "the access lies outside"


@dataclass(frozen=True)
class Report:
    verdict: str
    objection: Reason | None = None
    pc: int | None = None
    processed: int = 2


def verify(program: ProgramSpec, maps: Any, **options: Any) -> Report:
    """The name of a program says what becomes of it."""
    match program.name:
        case "safe":
            return Report("safe")
        case "unsafe":
            return Report("unsafe", Reason(), 3)
        case "rule":
            return Report("not proved", Reason("return-value", "return value", rule=True))
        case "not proved":
            return Report("not proved", Reason())
        case "undecided":
            return Report("perhaps")
        case "without":
            return Report("not proved")
        case "raises":
            raise KeyError("r7")
        case "dies":
            os.kill(os.getpid(), 9)
        case "hangs":
            time.sleep(60)
        case "eats":
            bytearray(2 * MEMORY)
    raise AssertionError(program.name)


def job(name: str, *, accepts: bool = True, message: str | None = None) -> Job:
    program = ProgramSpec(name, ())
    return Job("some.json", Vector(name, program, kernel=KernelAnswer(accepts, message, 5, 100)))


def judged(*jobs: Job, timeout: float = 60.0) -> list[Judgement]:
    return judge_all(jobs, verify, Limits(timeout, 1000), processes=2)


def test_verdicts_come_back_in_the_order_of_the_jobs() -> None:
    names = ["safe", "unsafe", "rule", "not proved"] * 5
    results = judged(*(job(name) for name in names))
    assert [each.verdict for each in results] == names
    assert results[1].pc == 3
    assert results[1].code == "packet-bounds"
    assert results[0].kernel_microseconds == 100


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("undecided", "", "the verdict is 'perhaps'"),
        ("without", "", "a verdict without a reason"),
        ("raises", "KeyError", "r7"),
        ("dies", "crash", "the process ended with -9"),
        ("eats", "memory", "bytes of memory"),
    ],
)
def test_a_verifier_that_fails_is_an_error_of_that_program_only(name: str, code: str, sentence: str) -> None:
    first, failed, last = judged(job("safe"), job(name), job("unsafe"))
    assert (first.verdict, failed.verdict, last.verdict) == ("safe", "error", "unsafe")
    assert failed.code == code
    assert sentence in failed.sentence


def test_a_verifier_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.verifier_parity_workers.GRACE", 0.0)
    [hung, other] = judged(job("hangs"), job("safe"), timeout=0.5)
    assert (hung.verdict, hung.code) == ("error", "hang")
    assert other.verdict == "safe"


def test_what_is_no_program_breaks_a_rule_of_form() -> None:
    vector = Vector("v", None, kernel=KernelAnswer(False, "invalid bpf_ld_imm64 insn"), malformed="second slot")
    [result] = judged(Job("some.json", vector))
    assert (result.verdict, result.code, result.sentence) == ("rule", "malformed", "second slot")
    assert result.message_class is MessageClass.STRUCTURE


def mixed() -> Run:
    out_of_packet, type_of_helper = "R1 offset is outside of the packet", "cannot use helper bpf_x#1"
    accepted = [job(name) for name in ("safe", "safe", "not proved", "raises")]
    rejected = [job(name, accepts=False, message=out_of_packet) for name in ("safe", "unsafe", "not proved")]
    rules = [job("rule", accepts=False, message=type_of_helper)]
    return Run(judged(*accepted, *rejected, *rules), 7, 1.25)


def test_the_report_adds_up() -> None:
    out = io.StringIO()
    print_report(mixed(), out)
    lines = out.getvalue().splitlines()
    assert json.loads(lines[-1]) == {
        "programs": 8,
        "errors": 1,
        "kernel_accepts": 4,
        "accepts_safe": 2,
        "kernel_rejects": 4,
        "rejects_safe": 1,
        "witnessed": 1,
        "rule": 1,
        "not_proved": 1,
        "seconds": 1.2,
    }
    table = {cells[0]: cells[1:] for cells in (re.split(r" {2,}", line.strip()) for line in lines[:12])}
    assert table["kernel accepts"] == ["2 (50.0 %)", "-", "-", "1 (25.0 %)", "1 (25.0 %)", "4"]
    assert table["memory"] == ["1 (33.3 %)", "1 (33.3 %)", "-", "1 (33.3 %)", "-", "3"]
    assert table["helper"] == ["-", "-", "1 (100.0 %)", "-", "-", "1"]
    assert "left out, because the kernel could not judge them: 7" in lines
    assert "accepted by the kernel, not called safe: 1 (1 packet-bounds)" in lines
    assert "rejected by the kernel and called safe: 1" in lines
    assert "  safe: safe; the kernel: R1 offset is outside of the packet" in lines
    assert any(line.startswith("time of the kernel's, ms: median 0.1,") for line in lines)


def test_a_run_of_nothing_has_a_report() -> None:
    out = io.StringIO()
    print_report(Run([], 0, 0.0), out)
    assert json.loads(out.getvalue().splitlines()[-1])["programs"] == 0


def entry(name: str, verdict: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "file": "f.c", "insns": EXIT, "fixups": [], "linux_6_18": {"verdict": verdict, **more}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "some.json"
    entries = [
        entry("safe", "accept"),
        entry("unsafe", "reject", msg="R0 !read_ok"),
        entry("rule", "reject", excluded="no such thing there"),
        {"name": "safe", "insns": EXIT},
    ]
    path.write_text(json.dumps(entries))
    return path


def test_entries_without_an_answer_are_left_out(data: Path) -> None:
    jobs, excluded = select([data], "", None)
    assert [each.vector.name for each in jobs] == ["f.c: safe", "f.c: unsafe"]
    assert excluded == 2
    assert len(select([data, data], "unsafe", None)[0]) == 2
    assert select([data], "", 1)[1] == 0


def test_the_command_prints_and_writes(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out" / "all.json"
    assert main([str(data), "--json", str(target), "--jobs", "1"], verify) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["programs"], summary["witnessed"]) == (2, 1)
    assert [each["verdict"] for each in json.loads(target.read_text())] == ["safe", "unsafe"]
    assert main([str(tmp_path / "none.json")], verify) == 2
    assert "none.json" in capsys.readouterr().err


def test_an_error_shows_in_the_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text(json.dumps([entry("raises", "accept")]))
    assert main([str(path)], verify) == 1


# --- causes and the document ------------------------------------------------------------------------------------------

CAUSES = """
[[cause]]
kernel = "accepts"
code = "packet-bounds"
argument = '''The relation
is lost.'''

[[cause]]
kernel = "rejects"
class = "memory"
pattern = "of the packet"
argument = "The kernel forgets the check."
programs = ["safe", "other"]
"""


@pytest.fixture
def causes(tmp_path: Path) -> tuple[docs.Cause, ...]:
    path = tmp_path / "causes.toml"
    path.write_text(CAUSES)
    return docs.read_causes(path)


def test_causes_explain_disagreements(causes: tuple[docs.Cause, ...]) -> None:
    run = mixed()
    assert docs.unexplained(run.judgements, causes) == []
    assert len(docs.unexplained(run.judgements, ())) == 2
    other = [replace(each, message="R1 unbounded memory access") for each in run.judgements]
    [left] = docs.unexplained(other, causes)
    assert (left["kernel"], left["class"], left["name"]) == ("rejects", "memory", "safe")
    renamed = [replace(each, name="a third") for each in run.judgements]
    assert [each["kernel"] for each in docs.unexplained(renamed, causes)] == ["rejects"]


def test_the_document_has_every_disagreement(causes: tuple[docs.Cause, ...]) -> None:
    record = json.loads(json.dumps(docs.record_of(mixed())))
    text = docs.document(record, causes)
    assert "| kernel accepts | 2 (50.0 %) | - | - | 1 (25.0 %) | 1 (25.0 %) | 4 |" in text
    assert "### packet-bounds: 1\n\nThe relation is lost.\n\n```text\nnot proved\n```" in text
    assert "### memory: 1\n\nThe kernel forgets the check.\n\n```text\nsafe\n```" in text
    assert "No cause is written yet." not in text
    assert "No cause is written yet." in docs.document(record, ())


@pytest.mark.parametrize(
    "text",
    [
        "[[cause]]\nkernel = 1",
        "[[cause]]\nkernel = 'accepts'\nargument = 'a'",
        "[[",
        "cause = 1",
        "cause = [1]",
        "[[cause]]\nkernel = 'rejects'\nclass = 'null'\nargument = 'a'\nprograms = 'p'",
    ],
)
def test_malformed_causes_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "causes.toml"
    path.write_text(text)
    with pytest.raises(InputError):
        docs.read_causes(path)


def test_the_committed_causes_can_be_read() -> None:
    causes = docs.read_causes()
    assert all(cause.argument for cause in causes)
    assert {cause.message_class for cause in causes} <= {"", *MessageClass}


def test_what_concerns_safety_is_argued_program_by_program() -> None:
    assert not [cause for cause in docs.read_causes() if cause.message_class in SAFETY and not cause.programs]


def test_the_committed_document_is_that_of_the_committed_record() -> None:
    if not docs.RECORD.is_file():
        pytest.skip("needs a recorded run: python -m tools.verifier_parity FILE... --write-docs")
    record = json.loads(docs.RECORD.read_text("utf-8"))
    assert docs.TARGET.read_text("utf-8") == docs.document(record, docs.read_causes())
