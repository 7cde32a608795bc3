"""The prompt on a terminal: completion, history, colours.  The only module that knows prompt_toolkit."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from pybpftime.debug.repl.shell import Complete


class PromptLines:
    """Lines that are typed at a prompt."""

    is_interactive = True

    def __init__(self, complete: Complete, history: Path | None) -> None:
        self._session: PromptSession[str] = PromptSession(
            history=_history(history),
            completer=_Completer(complete),
            complete_while_typing=False,
            auto_suggest=AutoSuggestFromHistory(),
            enable_history_search=True,
        )

    def read(self, prompt: str) -> str | None:
        try:
            return self._session.prompt(FormattedText([("bold ansigreen", prompt)]))
        except EOFError:
            return None


class _Completer(Completer):
    def __init__(self, complete: Complete) -> None:
        self._complete = complete

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        start, words = self._complete(text)
        for word in words:
            yield Completion(word, start_position=start - len(text))


class _FileHistory(FileHistory):
    """A history that goes on without its file when that cannot be read or written."""

    def load_history_strings(self) -> Iterable[str]:
        found: list[str] = []
        with suppress(OSError):
            found = list(super().load_history_strings())
        return found

    def store_string(self, string: str) -> None:
        with suppress(OSError):
            super().store_string(string)


def _history(file: Path | None) -> History:
    return InMemoryHistory() if file is None else _FileHistory(str(file))
