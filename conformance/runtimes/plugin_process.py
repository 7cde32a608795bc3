"""The plugin protocol of bpf_conformance: one process for each case, so every plugin there works as it is.

    PLUGIN ["<memory>"] [options]      the program on standard input; all is hex text
    exit code 0                        r0 in hex on standard output, with or without 0x
    any other                          a message on standard output, else on standard error

The plugin says nothing about why a case failed, so it is FAILED: a trap, a refusal, or the end of a budget.  See
docs/reference/runtime-protocol.md.
"""

from __future__ import annotations

import errno
import re
from dataclasses import replace

from pybpftime.conformance.case import Case, Feature, Signature
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Profile
from pybpftime.conformance.runtimes.process import Child, Command, Talk, end_marked, ending, new_mark, quoted

RESULT = re.compile(rb"\s*(?:0[xX])?([0-9a-fA-F]{1,16})(?:\s|\Z)")
FLOOD = "wrote more than any answer has"


class PluginRuntime:
    """A program that is started with each case.  The words of `command` behind its first follow the memory."""

    def __init__(self, profile: Profile, command: Command) -> None:
        self.profile = profile
        self._command = command
        self._mark = new_mark()

    def run(self, case: Case) -> Outcome:
        """Start it, give it the case, and read what it says.  All that it started is killed with it."""
        if case.maps:
            return Outcome(OutcomeKind.UNSUPPORTED, message="the plugin protocol has no maps")
        words = list(self._command.words)
        if case.memory:
            words.insert(1, _hex(case.memory))
        try:
            child = Child(replace(self._command, words=tuple(words)), self._mark)
        except OSError as error:
            if error.errno == errno.E2BIG:
                message = f"a memory of {len(case.memory or b'')} bytes is too long for a command line"
                return Outcome(OutcomeKind.UNSUPPORTED, message=message)
            return Outcome(OutcomeKind.CRASHED, message=f"cannot be started: {error.strerror or error}")
        try:
            talk = child.talk((_hex(case.code) + "\n").encode(), self.profile.timeout, None)
            return self._outcome(child, talk)
        finally:
            child.close()

    def close(self) -> None:
        """Kill what its processes left behind."""
        end_marked(self._mark)

    def _outcome(self, child: Child, talk: Talk) -> Outcome:
        said = quoted(bytes(child.out)) or quoted(bytes(child.err))
        if talk is Talk.SILENT:
            message = f"not over after {self.profile.timeout:g} s" + (f": {said}" if said else "")
            return Outcome(OutcomeKind.TIMED_OUT, message=message)
        if talk is Talk.FLOOD:
            return Outcome(OutcomeKind.GARBAGE, message=f"{FLOOD}: {said}")
        code = child.exit_code
        assert code is not None
        if code < 0:
            return Outcome(OutcomeKind.CRASHED, message=ending(code) + (f": {said}" if said else ""))
        if code > 0:
            return Outcome(OutcomeKind.FAILED, message=said or ending(code))
        result = RESULT.match(child.out)
        if result is None:
            message = f"no hexadecimal number of 64 bits: {said}" if said else "nothing on standard output"
            return Outcome(OutcomeKind.GARBAGE, message=message)
        return Outcome(OutcomeKind.RETURNED, Signature({0: int(result[1], 16)}))


def _hex(content: bytes) -> str:
    """As bpf_conformance writes bytes."""
    return content.hex(" ").replace(" ", "  ") + "  "


def plugin_profile(name: str) -> Profile:
    """What a plugin is taken to be of which nothing is declared: one of the plugins of bpf_conformance."""
    return Profile(
        name, "plugin of bpf_conformance", features=frozenset({Feature.CALLS, Feature.UNWIND, Feature.CALLX})
    )
