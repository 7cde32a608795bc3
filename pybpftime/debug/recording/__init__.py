"""Recordings: a session in a file, which runs again anywhere, step by step as it did.

    save(session, "crash.bpfrec")
    session = open_recording("crash.bpfrec")
    session.start()

A recording has all that the runs depend on: the object file, maps and global variables at the start, what the programs
ran on, every answer of the clock, of random numbers and of user memory, and what the user changed, on every time line.
The format is described in docs/reference/recording-format.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from pybpftime.debug.recording.digest import Checksum, checksums, combined, digest, first_difference
from pybpftime.debug.recording.file import FORMAT, VERSION, write_lines
from pybpftime.debug.recording.read import SessionReader
from pybpftime.debug.recording.write import session_lines
from pybpftime.debug.session import Output, Session
from pybpftime.helpers import HelperTable
from pybpftime.runtime.load import installed_helpers

__all__ = ["FORMAT", "VERSION", "Check", "Recording", "digest", "open_recording", "read_recording", "save"]


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a session went as its recording says.

    `difference` is the first checksum of the recording that did not come out, None when all did; `digest` that of the
    session as it ran here; `count` how many checksums there are.  A recording without any cannot be checked.
    """

    count: int
    digest: str
    difference: Checksum | None

    @property
    def is_equal(self) -> bool:
        """Whether something was compared and all of it was equal."""
        return self.count > 0 and self.difference is None


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that was opened: the session, before its first step, and the checksums that the file has.

    `made_by` says which program wrote it, and of which version.
    """

    session: Session
    checksums: tuple[Checksum, ...] = ()
    made_by: str = ""

    def check(self) -> Check:
        """Execute every step of all time lines, and compare.  The session stays where it is."""
        found = checksums(self.session)
        return Check(len(self.checksums), combined(found), first_difference(self.checksums, found))


def save(session: Session, file: str | os.PathLike[str], *, with_digest: bool = True) -> None:
    """Write a session to `file`, as a whole: when it cannot be written, the file is what it was before.

    With `with_digest` every step is executed once more, for checksums that a replay can be compared with.  InputError
    when something of the session cannot be recorded, HostError when the file cannot be written.
    """
    found = checksums(session) if with_digest else []
    write_lines(os.fspath(file), session_lines(session, found))


def open_recording(
    file: str | os.PathLike[str], output: Output | None = None, *, helpers: HelperTable | None = None
) -> Session:
    """The session of a recording, before its first step; see `read_recording`."""
    return read_recording(file, output, helpers=helpers).session


def read_recording(
    file: str | os.PathLike[str], output: Output | None = None, *, helpers: HelperTable | None = None
) -> Recording:
    """The session of a recording, on the time line that was current, with its checksums.  Nothing is executed yet.

    `helpers` has what the programs call; Linux's and those of installed packages if left out.  InputError, which names
    file and line, for whatever is wrong with the file.
    """
    reader = SessionReader(os.fspath(file), output, installed_helpers() if helpers is None else helpers)
    session = reader.read()
    return Recording(session, tuple(reader.checksums), reader.made_by)
