"""A runtime in a shared library, called through ctypes in a process that speaks the line protocol.

    python -m pybpftime.conformance.runtimes.shared_library LIBRARY

The library has one function, and may have more (docs/reference/runtime-protocol.md):

    int bpf_run(const void *code, size_t slots, void *mem, size_t mem_len, uint64_t *r0);   0: returned
    const char *bpf_message(void);                    why the last run did not return, or NULL
    const char *bpf_claims(void);                     words of the line protocol's first line
    void bpf_set_budget(uint64_t instructions);       before each run; 0: none of its own

A crash of the library ends the process, and so is an outcome.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TextIO

from pybpftime.conformance.case import Signature
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Profile
from pybpftime.conformance.runtimes.line_protocol import Request, answer_line, claims, hello_line, read_request
from pybpftime.errors import BpfError, HostError
from pybpftime.isa.encoding import SLOT_BYTES

KINDS = (
    OutcomeKind.RETURNED,
    OutcomeKind.TRAPPED,
    OutcomeKind.EXHAUSTED,
    OutcomeKind.REFUSED,
    OutcomeKind.FAILED,
    OutcomeKind.UNSUPPORTED,
)
"""What the numbers mean that bpf_run returns."""


class Library:
    """A loaded library.  HostError when it cannot be loaded or has no bpf_run, InputError for claims that are none."""

    def __init__(self, path: str) -> None:
        try:
            library = ctypes.CDLL(path)
            self._run = library.bpf_run
        except AttributeError:
            raise HostError("the library has no function bpf_run", file=path) from None
        except OSError as error:
            raise HostError(f"cannot be loaded: {error}", file=path) from None
        self._run.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
        self._message = getattr(library, "bpf_message", None)
        if self._message is not None:
            self._message.restype = ctypes.c_char_p
        self._set_budget = getattr(library, "bpf_set_budget", None)
        if self._set_budget is not None:
            self._set_budget.argtypes = (ctypes.c_uint64,)
            self._set_budget.restype = None
        profile = Profile(os.path.basename(path), shows=frozenset({"memory"}), budget=self._set_budget is not None)
        said = getattr(library, "bpf_claims", None)
        if said is not None:
            said.restype = ctypes.c_char_p
            profile = claims((said() or b"").decode("utf-8", "replace").split(), profile)
        self.profile = profile

    def run(self, request: Request) -> Outcome:
        """Call bpf_run on copies."""
        slots, rest = divmod(len(request.code), SLOT_BYTES)
        if rest:
            return Outcome(OutcomeKind.REFUSED, message=f"{len(request.code)} bytes are no whole slots")
        if request.maps:
            return Outcome(OutcomeKind.UNSUPPORTED, message="the library's interface has no maps")
        if self._set_budget is not None:
            self._set_budget(request.budget or 0)
        memory = None if request.memory is None else ctypes.create_string_buffer(request.memory, len(request.memory))
        r0 = ctypes.c_uint64()
        length = 0 if memory is None else len(memory)
        answer = self._run(request.code, slots, memory, length, ctypes.byref(r0))
        if not 0 <= answer < len(KINDS):
            return Outcome(OutcomeKind.FAILED, message=f"bpf_run returned {answer}")
        if KINDS[answer] is OutcomeKind.RETURNED:
            return Outcome(OutcomeKind.RETURNED, Signature({0: r0.value}, None if memory is None else memory.raw))
        text = self._message() if self._message is not None else None
        return Outcome(KINDS[answer], message=(text or b"").decode("utf-8", "replace"))


def main() -> None:
    """Serve the library that the command line names, until the input ends."""
    # What the library prints goes to standard error: the protocol keeps the real standard output for itself.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        library = Library(sys.argv[1])
        _say(output, hello_line(library.profile))
        for line in sys.stdin:
            request = read_request(line)
            _say(output, answer_line(request.id, library.run(request)))
    except BpfError as error:
        sys.exit(str(error))
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(1)


def _say(output: TextIO, line: str) -> None:
    output.write(line + "\n")
    output.flush()


if __name__ == "__main__":
    main()
