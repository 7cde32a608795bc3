"""Finding a runtime: by a name that is built in, a profile in a TOML file, or the path of a program.

What a name may be:

    reference                    one of `BUILT_IN`
    my-runtime.toml              a profile, see `profile_file`
    ./my_plugin                  a program: a plugin of bpf_conformance
    line:./my_runtime            a program that speaks the line protocol
    library:./libmy.so           a shared library (a path that ends in .so needs no prefix)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pybpftime.conformance.case import Case
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Profile, Runtime
from pybpftime.conformance.runtimes.plugin_process import PluginRuntime, plugin_profile
from pybpftime.conformance.runtimes.process import Command, find_program
from pybpftime.conformance.runtimes.profile_file import Declaration, read_profile
from pybpftime.conformance.runtimes.worker_process import WorkerRuntime
from pybpftime.errors import HostError, InputError


@dataclass(frozen=True, slots=True)
class Options:
    """How a runtime is asked, where that differs from its profile.

    `arguments` are more words for its program; `timeout` is in seconds for a case, `memory_limit` in bytes;
    `retries` is how often a case is repeated after a crash, a time-out or garbage.
    """

    arguments: tuple[str, ...] = ()
    timeout: float | None = None
    memory_limit: int | None = None
    retries: int | None = None


def open_runtime(name: str, options: Options = Options()) -> Runtime:
    """The runtime that `name` means.  HostError or InputError in one sentence when there is none, or it is unusable."""
    if name in BUILT_IN:
        return BUILT_IN[name].open(options)
    prefix, colon, rest = name.partition(":")
    if colon and prefix in PROTOCOLS:
        return _open(Declaration(_short(rest), prefix, (rest,), {}), options)
    if name.endswith(".toml"):
        return _open(read_profile(Path(name)), options)
    if name.endswith(".so"):
        return _open(Declaration(_short(name), "library", (name,), {}), options)
    try:
        return _open(Declaration(_short(name), "plugin", (name,), {}), options)
    except HostError as error:
        if "/" in name:
            raise
        known = ", ".join(BUILT_IN)
        raise InputError(f"no runtime {name!r}: it is none of {known}, no .toml profile, and {error.reason}") from None


# --- what is built in -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A runtime that is part of this package: a sentence about it, and how it is opened (imports happen then)."""

    about: str
    open: Callable[[Options], Runtime]


def _reference(options: Options) -> Runtime:
    from pybpftime.conformance.runtimes.in_process import ReferenceRuntime

    return ReferenceRuntime()


def _verified(options: Options) -> Runtime:
    from pybpftime.conformance.runtimes.verified import VerifiedRuntime

    return VerifiedRuntime(options.timeout)


def _kernel(options: Options) -> Runtime:
    from pybpftime.conformance.runtimes.kernel import KernelRuntime

    return KernelRuntime()


def _dpdk(kind: Literal["interpreter", "jit"]) -> Callable[[Options], Runtime]:
    def opened(options: Options) -> Runtime:
        from pybpftime.conformance.runtimes.dpdk import DpdkRuntime

        return DpdkRuntime(kind, options.timeout or Profile("").timeout)

    return opened


BUILT_IN: dict[str, BuiltIn] = {
    "reference": BuiltIn("our reference engine, lenient: what RFC 9669 says", _reference),
    "verified": BuiltIn("our verifier, and behind it the reference engine", _verified),
    "kernel": BuiltIn("the running Linux kernel through bpf(2)", _kernel),
    "dpdk-interpreter": BuiltIn("DPDK's interpreter (needs libdpdk-dev and a C compiler)", _dpdk("interpreter")),
    "dpdk-jit": BuiltIn("DPDK's native code (needs libdpdk-dev and a C compiler)", _dpdk("jit")),
}


# --- programs and libraries -------------------------------------------------------------------------------------------


def _plugin(declared: Declaration, command: Command, timeout: float) -> Runtime:
    return PluginRuntime(plugin_profile(declared.name), command)


def _line(declared: Declaration, command: Command, timeout: float) -> Runtime:
    return WorkerRuntime(declared.command[0], command, timeout)


def _library(declared: Declaration, command: Command, timeout: float) -> Runtime:
    words = (sys.executable, "-m", "pybpftime.conformance.runtimes.shared_library", *command.words)
    return WorkerRuntime(declared.command[0], replace(command, words=words), timeout)


PROTOCOLS: Mapping[str, Callable[[Declaration, Command, float], Runtime]] = {
    "plugin": _plugin,
    "line": _line,
    "library": _library,
}


def _open(declared: Declaration, options: Options) -> Runtime:
    find = _find_library if declared.protocol == "library" else find_program
    command = Command(
        (find(declared.command[0], declared.folder), *declared.command[1:], *options.arguments),
        declared.memory_limit if options.memory_limit is None else options.memory_limit,
        declared.folder,
    )
    claims = dict(declared.claims)
    if options.timeout is not None:
        claims["timeout"] = options.timeout
    timeout = claims.setdefault("timeout", Profile("").timeout)
    runtime = PROTOCOLS[declared.protocol](declared, command, timeout)
    runtime.profile = replace(runtime.profile, **claims)
    retries = declared.retries if options.retries is None else options.retries
    return Retried(runtime, retries) if retries else runtime


def _find_library(name: str, folder: Path | None) -> str:
    path = (folder or Path()) / name
    if not os.path.isfile(path):
        raise HostError("there is no such library" if not os.path.exists(path) else "is no file", file=name)
    return str(path.absolute())


def _short(path: str) -> str:
    return Path(path).name


class Retried:
    """A runtime whose accidents are given another chance: what crashed, hung or answered garbage is asked again."""

    ACCIDENTS = frozenset({OutcomeKind.CRASHED, OutcomeKind.TIMED_OUT, OutcomeKind.GARBAGE})

    def __init__(self, runtime: Runtime, retries: int) -> None:
        self._runtime = runtime
        self._retries = retries
        self.profile = runtime.profile

    def run(self, case: Case) -> Outcome:
        """The first outcome that is no accident, else the last."""
        outcome = self._runtime.run(case)
        for _ in range(self._retries):
            if outcome.kind not in self.ACCIDENTS:
                break
            outcome = self._runtime.run(case)
        return outcome

    def close(self) -> None:
        """Close the runtime."""
        self._runtime.close()
