"""What all handlers share: the session, and what the numbers in messages stand for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pybpftime.debug.belief import Beliefs
from pybpftime.debug.dap.backend.handles import CodeSpace, Handles
from pybpftime.debug.dap.backend.sources import SourceFiles
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.handling import CancelledError
from pybpftime.debug.frames import Frame
from pybpftime.debug.session import Session
from pybpftime.errors import InputError

if TYPE_CHECKING:
    from pybpftime.debug.dap.backend.rows import Container


class Debuggee:
    """The session, from `launch` on, and what belongs to it."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._beliefs: Beliefs | None = None
        self._interrupted = threading.Event()
        self.code = CodeSpace(())
        self.sources = SourceFiles((), None)
        self.containers: Handles[Container] = Handles("list of variables")
        self.frames: Handles[Frame | None] = Handles("frame")
        self.frame_ids: list[int] = []
        """Of the frames of this stop, once somebody asked for them."""
        self.locations: Handles[tuple[str, int]] = Handles("location")
        self.end_was_told = False
        """Whether the client knows that the last run is over: then going on ends the session."""
        self.without_debugging = False
        self.stop_on_entry = True

    @property
    def session(self) -> Session:
        """The session; InputError before there is one."""
        if self._session is None:
            raise InputError("nothing is being debugged")
        return self._session

    @property
    def beliefs(self) -> Beliefs:
        """The verifier's side of the session; nothing is verified before somebody asks."""
        if self._beliefs is None:
            self._beliefs = Beliefs(self.session)
        return self._beliefs

    @property
    def has_session(self) -> bool:
        """Whether there is one."""
        return self._session is not None

    @property
    def is_live(self) -> bool:
        """Whether it runs at the probes of a live process."""
        return self.session.world.source is not None

    def take(self, session: Session, sources: SourceFiles) -> None:
        """From now on it is this session."""
        self._forget_beliefs()
        self._session, self.sources = session, sources
        self.code = CodeSpace(program.spec for program in session.object)
        self.end_was_told = False
        self.leave()

    def drop(self) -> None:
        """No session any more; a process that was debugged goes on without us."""
        self._forget_beliefs()
        if self._session is not None and self._session.world.source is not None:
            self._session.world.source.close()
        self._session = None
        self.leave()

    def _forget_beliefs(self) -> None:
        if self._beliefs is not None:
            self._beliefs.close()
        self._beliefs = None

    def leave(self) -> None:
        """The program moves: what was known of the place where it stood is void."""
        self.containers.clear()
        self.frames.clear()
        self.locations.clear()
        self.frame_ids = []

    def frame(self, number: int | None) -> Frame | None:
        """The frame of that id; without one the innermost; None where no function is active."""
        return self.session.selected if number is None else self.frames.get(number)

    @property
    def thread(self) -> int:
        """The thread of the run that is under way: that of the live process, or the number of its cpu, from 1 on."""
        environment = self.session.object.environment
        return environment.tid if self.is_live else environment.cpu + 1

    # -- interruption --------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """What runs now ends soon.  May be called from any thread."""
        self._interrupted.set()
        session = self._session
        if session is not None:
            session.interrupt()

    def rearm(self) -> None:
        """Forget interruptions."""
        self._interrupted.clear()
        if self._session is not None:
            self._session.world.paused = False

    def check_interrupted(self) -> None:
        """CancelledError if somebody interrupted."""
        if self._interrupted.is_set():
            raise CancelledError

    # -- changes -------------------------------------------------------------------------------------------------------

    @contextmanager
    def editing(self, client: Client, *, tell: bool = True) -> Iterator[None]:
        """Within, the user changes something: the client learns of it, and if it began a new time line, that too."""
        world = self.session.world
        line, edits = world.timeline, len(world.timeline.edits)
        try:
            yield
        finally:
            if world.timeline is not line:
                client.output(
                    f"This change is in the past: time line {world.timeline.number} begins at step {world.step}. "
                    f"Time line {line.number} is kept (`timeline {line.number}` goes there)."
                )
                self.end_was_told = False
            if tell and (world.timeline is not line or len(line.edits) != edits):
                client.event("invalidated", {"areas": ["variables"]})
