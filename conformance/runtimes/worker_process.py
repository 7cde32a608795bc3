"""A runtime that stays: a process that speaks the line protocol, started again whenever it had to be killed."""

from __future__ import annotations

from pybpftime.conformance.case import Case
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Profile
from pybpftime.conformance.runtimes.line_protocol import read_answer, read_hello, request_line
from pybpftime.conformance.runtimes.process import (
    OUTPUT_LIMIT,
    Child,
    Command,
    Talk,
    end_marked,
    ending,
    new_mark,
    quoted,
)
from pybpftime.errors import HostError, InputError

LEAVE = 0.5
"""Seconds that a process which closed its output has to end, before it is taken to live on."""


class NoAnswer(Exception):  # an outcome on its way, not an error
    """The process gave no answer, and cannot be asked again."""

    def __init__(self, kind: OutcomeKind, message: str) -> None:
        super().__init__(message)
        self.outcome = Outcome(kind, message=message)


class WorkerRuntime:
    """`command` speaks the line protocol.  HostError or InputError when it cannot be started or greets otherwise.

    `name` is what messages call it; `timeout` is in seconds, for an answer.
    The process is idle between cases; it is killed when an answer does not come or is none, and the next case starts
    another one.
    """

    def __init__(self, name: str, command: Command, timeout: float) -> None:
        self._command = command
        self._mark = new_mark()
        self.timeout = timeout
        self._child: Child | None = None
        self._asked = 0
        self.profile = Profile(name)
        try:
            self.profile = self._start()
        except NoAnswer as error:
            self.close()
            raise HostError(f"does not greet as a runtime does: {error}", file=name) from None
        except InputError as error:
            self.close()
            raise error.at(file=name) from None

    def run(self, case: Case) -> Outcome:
        """Send the case and wait for its line."""
        try:
            if self._child is None:
                self._start()
            self._asked += 1
            line = self._line(request_line(str(self._asked), case), 4 * len(case.memory or b""))
            if self._child is not None and self._child.unsent:
                self._stop()
            return read_answer(line, str(self._asked))
        except NoAnswer as error:
            self._stop()
            return error.outcome
        except InputError as error:
            self._stop()
            return Outcome(OutcomeKind.GARBAGE, message=str(error))

    def close(self) -> None:
        """End it, and what it left behind."""
        self._stop()
        end_marked(self._mark)

    def _start(self) -> Profile:
        """A new process, and what it claims."""
        try:
            self._child = Child(self._command, self._mark)
        except OSError as error:
            raise NoAnswer(OutcomeKind.CRASHED, f"cannot be started: {error.strerror or error}") from None
        return read_hello(self._line("", 0))

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _line(self, request: str, expected: int) -> str:
        """Send a line if there is one, and read one, of about `expected` bytes."""
        child = self._child
        assert child is not None
        child.err.clear()
        talk = child.talk(
            f"{request}\n".encode() if request else b"",
            self.timeout,
            lambda out: b"\n" in out,
            OUTPUT_LIMIT + expected,
        )
        if talk is Talk.ENOUGH:
            line, _, rest = bytes(child.out).partition(b"\n")
            child.out[:] = rest
            return line.decode("utf-8", "replace").rstrip("\r")
        raise self._no_answer(child, talk)

    def _no_answer(self, child: Child, talk: Talk) -> NoAnswer:
        said = [text for text in (quoted(bytes(child.out)), quoted(bytes(child.err))) if text]
        behind = "".join(f": {text}" for text in said)
        if talk is Talk.FLOOD:
            return NoAnswer(OutcomeKind.GARBAGE, f"wrote more than any answer has{behind}")
        if talk is Talk.SILENT:
            what = "half a line" if child.out else "no answer"
            return NoAnswer(OutcomeKind.TIMED_OUT, f"{what} after {self.timeout:g} s{behind}")
        if not child.wait(LEAVE):
            return NoAnswer(OutcomeKind.GARBAGE, f"closed its standard output{behind}")
        code = child.exit_code
        assert code is not None
        where = " in the middle of a line" if child.out else ""
        return NoAnswer(OutcomeKind.CRASHED, f"{ending(code)}{where}{behind}")
