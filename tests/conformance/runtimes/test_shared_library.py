"""A runtime in a shared library: what it returns, what it leaves out, and that its crash is an outcome."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pybpftime.conformance.case import Case, Signature
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Runtime
from pybpftime.conformance.runtimes.profiles import Options, open_runtime
from pybpftime.errors import HostError

MakeCase = Callable[..., Case]

SOURCE = r"""
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t budget;
static const char *message;

const char *bpf_claims(void) { return "name=lib version=2 groups=base32"; }
const char *bpf_message(void) { return message; }
void bpf_set_budget(uint64_t instructions) { budget = instructions; }

/* The first byte of the program says what to do. */
int bpf_run(const void *code, size_t slots, void *mem, size_t mem_len, uint64_t *r0)
{
    const uint8_t *bytes = code;
    printf("noise on standard output\n");
    fflush(stdout);
    message = NULL;
    switch (bytes[0]) {
    case 0: *r0 = slots; if (mem_len) ((uint8_t *)mem)[mem_len - 1] = 9; return 0;
    case 1: message = "class=memory pc=4 too far"; return 1;
    case 2: *r0 = budget; return 0;
    case 3: abort();
    case 4: for (;;) ;
    case 5: exit(3);
    default: return 77;
    }
}
"""


@pytest.fixture(scope="module")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")

    def compile(source: str) -> str:
        folder = tmp_path_factory.mktemp("library")
        (folder / "lib.c").write_text(source, "utf-8")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", "lib.so", "lib.c"], cwd=folder, check=True, timeout=60)
        return str(folder / "lib.so")

    return compile


@pytest.fixture(scope="module")
def library(compile_c: Callable[[str], str]) -> str:
    return compile_c(SOURCE)


@pytest.fixture
def runtime(library: str):
    runtime = open_runtime(library, Options(timeout=60))
    yield runtime
    runtime.close()


def program(first: int, slots: int = 1) -> bytes:
    return bytes([first]) + bytes(8 * slots - 1)


def test_what_it_claims(runtime: Runtime) -> None:
    profile = runtime.profile
    assert (profile.name, profile.version, profile.budget, profile.shows) == ("lib", "2", True, {"memory"})
    assert profile.groups == {"base32"}


def test_results_and_memory(runtime: Runtime, make_case: MakeCase) -> None:
    assert runtime.run(make_case(program(0, 3))) == Outcome(OutcomeKind.RETURNED, Signature({0: 3}))
    changed = runtime.run(make_case(program(0), memory=b"\x01\x02"))
    assert changed.signature == Signature({0: 1}, b"\x01\x09")
    assert runtime.run(make_case(program(2), budget=50)).signature.r0 == 50
    assert runtime.run(make_case(program(2))).signature.r0 == 0


def test_failures(runtime: Runtime, make_case: MakeCase) -> None:
    trapped = runtime.run(make_case(program(1)))
    assert (trapped.kind, trapped.trap, trapped.pc, trapped.message) == (OutcomeKind.TRAPPED, "memory", 4, "too far")
    assert runtime.run(make_case(program(9))) == Outcome(OutcomeKind.FAILED, message="bpf_run returned 77")
    assert runtime.run(make_case(program(0) + b"\0")).kind is OutcomeKind.REFUSED


def test_a_crash_is_an_outcome(runtime: Runtime, make_case: MakeCase) -> None:
    crashed = runtime.run(make_case(program(3)))
    assert crashed.kind is OutcomeKind.CRASHED and crashed.message.startswith("ended by SIGABRT")
    assert runtime.run(make_case(program(5))).message.startswith("ended with exit code 3")
    assert runtime.run(make_case(program(0))).signature.r0 == 1


def test_a_hang_is_an_outcome(library: str, make_case: MakeCase) -> None:
    runtime = open_runtime(library, Options(timeout=60))
    try:
        runtime.timeout = 1
        assert runtime.run(make_case(program(4))).kind is OutcomeKind.TIMED_OUT
        runtime.timeout = 60
        assert runtime.run(make_case(program(0))).signature.r0 == 1
    finally:
        runtime.close()


def test_what_is_no_runtime(compile_c: Callable[[str], str], tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("hello")
    for path, complaint in (
        (compile_c("int nothing;"), "the library has no function bpf_run"),
        (compile_c('int bpf_run; const char *bpf_claims(void) { return "colour=red"; }'), "'colour=red' means nothing"),
        (str(text), "cannot be loaded"),
    ):
        with pytest.raises(HostError) as caught:
            open_runtime(path, Options(timeout=60))
        assert complaint in str(caught.value) and "\n" not in str(caught.value)
