"""Source files: what the debug information calls them, where editors find them, their text."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pybpftime.debug.dap.bodies import BreakpointLocationsBody, LoadedSourcesBody, LocationsBody, SourceBody
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.handling import request
from pybpftime.debug.dap.protocol import (
    BreakpointLocationsArguments,
    LocationsArguments,
    NoArguments,
    Source,
    SourceArguments,
)
from pybpftime.debug.session import Session
from pybpftime.debug.sources import Sources
from pybpftime.debug.symbols import DebugFile
from pybpftime.errors import InputError
from pybpftime.program.spec import ProgramSpec

if TYPE_CHECKING:
    from pybpftime.debug.dap.backend.debuggee import Debuggee


class SourceFiles:
    """The source files of an object, as editors and as the debug information name them."""

    def __init__(
        self,
        specs: Iterable[ProgramSpec],
        debug: DebugFile | None,
        files: Sequence[str] = (),
        *,
        directories: Sequence[str] = (),
        substitutions: Mapping[str, str] | None = None,
    ) -> None:
        self.files = list(files)
        self.texts = Sources(specs, debug, directories=directories, substitutions=tuple((substitutions or {}).items()))

    @classmethod
    def of(cls, session: Session, directories: Sequence[str], substitutions: Mapping[str, str]) -> SourceFiles:
        """Of the programs of a session."""
        specs = [program.spec for program in session.object]
        files = session.places.files()
        return cls(specs, session.debug, files, directories=directories, substitutions=substitutions)

    def source(self, file: str) -> Source:
        """The file for an editor: a path where it is on disk, else a number to ask for the text with."""
        text, name = self.texts.text(file), file.rpartition("/")[2]
        if text is None:
            return {"name": name, "path": file, "origin": "the file was not found", "presentationHint": "deemphasize"}
        if text.path is None:
            return {"name": name, "sourceReference": self._number(file), "origin": "lines with code, from BTF"}
        found: Source = {"name": name, "path": os.path.abspath(text.path)}
        if text.is_changed:
            found["origin"] = "not what was compiled"
        return found

    def _number(self, file: str) -> int:
        if file not in self.files:
            self.files.append(file)
        return self.files.index(file) + 1

    def changed(self) -> list[str]:
        """The files that are on disk, but not as they were compiled."""
        texts = [(file, self.texts.text(file)) for file in self.files]
        return [text.path for _, text in texts if text is not None and text.is_changed and text.path is not None]

    def by_number(self, number: int) -> str:
        """The file of a source reference; InputError if there is none."""
        if not 0 < number <= len(self.files):
            raise InputError(f"there is no source {number}")
        return self.files[number - 1]

    def content(self, file: str) -> str:
        """Its text; InputError if there is none."""
        text = self.texts.text(file)
        if text is None:
            raise InputError(f"{file} was not found; sourcePaths and sourceMap in the launch arguments say where it is")
        return "".join(f"{line}\n" for line in text.lines)

    def file_of(self, source: Source) -> str:
        """What the debug information calls a source of the client; InputError if no code comes from it.

        A path is a file if that is where its text was found, if one ends in the other, or, when nothing else fits, if
        it has the name of just one file.
        """
        if number := source.get("sourceReference", 0):
            return self.by_number(number)
        path = source.get("path") or source.get("name", "")
        real = os.path.realpath(path)
        for file in self.files:
            text = self.texts.text(file)
            if file == path or (text is not None and text.path is not None and os.path.realpath(text.path) == real):
                return file
        plain = path.replace("\\", "/")
        ends = [file for file in self.files if plain.endswith("/" + file) or file.endswith("/" + plain)]
        named = [file for file in self.files if file.rpartition("/")[2] == plain.rpartition("/")[2]]
        for found in (ends, named):
            if len(found) == 1:
                return found[0]
        raise InputError(f"no code comes from {path}; there is {', '.join(self.files) or 'no debug information'}")


class SourceHandlers:
    """Handlers of requests about source texts."""

    def __init__(self, debuggee: Debuggee) -> None:
        self._debuggee = debuggee

    @request("source")
    def source(self, client: Client, arguments: SourceArguments) -> SourceBody:
        """The text of a file; of one that is not on disk, the lines that BTF carries, at their places."""
        sources = self._debuggee.sources
        number = arguments["sourceReference"] or arguments.get("source", {}).get("sourceReference", 0)
        file = sources.by_number(number) if number else sources.file_of(arguments.get("source", {}))
        return {"content": sources.content(file), "mimeType": "text/x-c"}

    @request("loadedSources")
    def loaded_sources(self, client: Client, arguments: NoArguments) -> LoadedSourcesBody:
        """All files that code of the object comes from, those of inlined functions too."""
        sources = self._debuggee.sources
        return {"sources": [sources.source(file) for file in sources.files]}

    @request("locations")
    def locations(self, client: Client, arguments: LocationsArguments) -> LocationsBody:
        """Where a variable is declared."""
        file, line = self._debuggee.locations.get(arguments["locationReference"])
        return {"source": self._debuggee.sources.source(file), "line": line}

    @request("breakpointLocations")
    def breakpoint_locations(self, client: Client, arguments: BreakpointLocationsArguments) -> BreakpointLocationsBody:
        """The lines of a range that have code."""
        session, first = self._debuggee.session, arguments["line"]
        try:
            file = self._debuggee.sources.file_of(arguments["source"])
        except InputError:
            return {"breakpoints": []}
        last = arguments.get("endLine", first)
        found = {line for program in session.object for line in session.symbols_of(program.spec).lines_of_file(file)}
        return {"breakpoints": [{"line": line} for line in sorted(found) if first <= line <= last]}
