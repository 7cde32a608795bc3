"""Files that are replaced in one step, so that what is there is always whole."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from pybpftime.errors import HostError


def replace_file(name: str | os.PathLike[str], text: str) -> None:
    """Make the file hold `text`, written beside it first.  A link is followed; what is no file (a pipe) is written to.

    HostError when it cannot be.
    """
    content = text.encode("utf-8", "backslashreplace")
    try:
        if os.path.exists(name) and not os.path.isfile(name):
            Path(name).write_bytes(content)
            return
        path = Path(os.path.realpath(name))
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".writing.")
        try:
            with open(handle, "wb") as stream:
                stream.write(content)
            os.chmod(beside, path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask())
            os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
    except OSError as error:
        raise HostError("cannot be written", errno=error.errno, file=os.fspath(name)) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
