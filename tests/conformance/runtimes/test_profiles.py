"""Runtimes by name, path and profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pybpftime.conformance.case import Case, Feature, Verdict
from pybpftime.conformance.runtime import Limit
from pybpftime.conformance.runtimes.profiles import BUILT_IN, Options, open_runtime
from pybpftime.errors import BpfError, InputError
from pybpftime.isa import Group

Script = Callable[..., str]

FULL = """
name = "my-vm"
description = "a virtual machine"
version = "1.0"
protocol = "line"
command = ["./runtime", "--jit"]
groups = ["base64", "atomic32"]
features = ["calls"]
refuses = ["malformed"]
shows = ["memory"]
budget = true
timeout = 60
memory-limit = 512
retries = 2

[[limits]]
pattern = "atomic/*"
reason = "not yet"

[[limits]]
reason = "it is afraid of loops"
refusal = "back-edge"
"""


def profile(folder: Path, text: str) -> str:
    path = folder / "vm.toml"
    path.write_text(text, "utf-8")
    return str(path)


def test_built_in_runtimes_have_a_name_and_a_sentence() -> None:
    assert {"reference", "verified", "kernel"} <= set(BUILT_IN)
    assert all(one.about for one in BUILT_IN.values())
    runtime = open_runtime("reference")
    assert runtime.profile.name == "reference" and runtime.profile.version


def test_a_profile_says_everything(script: Script, tmp_path: Path, make_case: Callable[..., Case]) -> None:
    script('echo "pybpftime-runtime 1 name=says-otherwise groups=base32 shows=stack"\nread run id rest\n'
           'echo "$id unsupported $1 $(pwd)"\nread rest\n')  # fmt: skip
    runtime = open_runtime(profile(tmp_path, FULL))
    try:
        said = runtime.profile
        assert runtime.run(make_case("exit")).message == f"--jit {tmp_path}"
    finally:
        runtime.close()
    assert (said.name, said.description, said.version) == ("my-vm", "a virtual machine", "1.0")
    assert said.groups == {Group.BASE64, Group.ATOMIC32} and said.features == {Feature.CALLS}
    assert said.refuses == {Verdict.MALFORMED} and said.shows == {"memory"}
    assert (said.budget, said.timeout) == (True, 60)
    assert said.limits == (Limit("atomic/*", "not yet"), Limit("*", "it is afraid of loops", "back-edge"))


def test_what_a_profile_leaves_out_the_runtime_says(script: Script, tmp_path: Path) -> None:
    script("echo 'pybpftime-runtime 1 name=says groups=base32 budget=yes'\nexec sleep 600\n")
    runtime = open_runtime(profile(tmp_path, 'command = ["./runtime"]\nprotocol = "line"\n'), Options(timeout=60))
    runtime.close()
    assert (runtime.profile.name, runtime.profile.groups, runtime.profile.budget) == ("says", {Group.BASE32}, True)
    assert runtime.profile.timeout == 60


def test_a_profile_of_a_plugin(script: Script, tmp_path: Path, make_case: Callable[..., Case]) -> None:
    script('[ "$1" = --flag ] && [ "$2" = --more ] && echo 7\n')
    path = profile(tmp_path, 'command = ["./runtime", "--flag"]\n')
    runtime = open_runtime(path, Options(("--more",), timeout=60))
    assert runtime.profile.name == "vm"
    assert runtime.run(make_case("exit")).signature.r0 == 7


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("command = [", "no TOML"),
        ("", "either `command` or `library` says what is called, and not both"),
        ('command = ["a"]\nlibrary = "b.so"', "either `command` or `library`"),
        ('command = "a"', "command: is a list of texts, not 'a'"),
        ("command = []", "command: begins with the program"),
        ('command = ["a"]\ncolour = "red"', "'colour' is none of name, description"),
        ('command = ["a"]\nprotocol = "smoke"', "protocol: 'smoke' is none of plugin, line"),
        ('command = ["a"]\ngroups = ["base128"]', "groups: 'base128' is none of base32"),
        ('command = ["a"]\ntimeout = 0', "timeout: is a number of seconds above 0, not 0"),
        ('command = ["a"]\nretries = true', "retries: is a number from 0, not True"),
        ('command = ["a"]\nbudget = 1', "budget: is true or false, not 1"),
        ('command = ["a"]\nlimits = [1]', "limits: are tables, written"),
        ('command = ["a"]\n[[limits]]\npattern = "x"', "limits: each has a reason"),
        ('command = ["a"]\n[[limits]]\nreason = "x"\nwhy = "y"', "limits: 'why' is none of pattern, reason, refusal"),
    ],
)
def test_a_broken_profile_names_the_file_and_the_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = profile(tmp_path, text)
    with pytest.raises(InputError) as caught:
        open_runtime(path)
    assert str(caught.value).startswith(f"{path}: ") and complaint in str(caught.value)


def test_what_a_profile_names_has_to_be_there(tmp_path: Path) -> None:
    for text, complaint in (
        ('command = ["./absent"]', "./absent: there is no such program"),
        ('library = "absent.so"', "absent.so: there is no such library"),
    ):
        with pytest.raises(BpfError, match=complaint):
            open_runtime(profile(tmp_path, text))
    with pytest.raises(InputError, match=r"absent\.toml: cannot be read: No such file"):
        open_runtime(str(tmp_path / "absent.toml"))
