"""Lines as prompt_toolkit lets them be edited: history, completion, statements over several lines.

Imported only where prompt_toolkit is installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.lexers import Lexer

from .lines import history_path
from .statements import Splitter, bare_command

if TYPE_CHECKING:
    from .vocabulary import Vocabulary


class LineHistory(History):
    """A history in a file of plain lines, which readline reads as well."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def load_history_strings(self) -> Iterable[str]:
        """Return what is in the file, the newest first."""
        with suppress(OSError):
            return self.path.read_text(encoding="utf-8", errors="replace").splitlines()[::-1]
        return []

    def store_string(self, string: str) -> None:
        """Append to the file; several lines become several entries when it is read again."""
        with suppress(OSError):
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(string.rstrip("\n") + "\n")


class VocabularyCompleter(Completer):
    """Offers what the vocabulary knows."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """See Completer."""
        length, found = self._vocabulary.complete(
            document.current_line_before_cursor, document.text
        )
        for word in found:
            yield Completion(word, start_position=-length)


def is_finished(text: str) -> bool:
    """Whether Enter runs a text, rather than beginning another line of it."""
    if text.startswith((".", "#")) or not text.strip() or bare_command(text):
        return True
    splitter = Splitter()
    splitter.feed(text)
    return not splitter.pending


def sql_lexer() -> Lexer | None:
    """Return what colours SQL, if Pygments is installed: rich brings it."""
    try:
        from prompt_toolkit.lexers import PygmentsLexer

        lexers = importlib.import_module("pygments.lexers.sql")
    except ImportError:
        return None
    return PygmentsLexer(lexers.SqlLexer)


class EditedLines:
    """Statements as somebody types and edits them. See lines.Lines.

    options: for PromptSession.
    """

    def __init__(self, vocabulary: Vocabulary, **options: Any) -> None:
        path = history_path()
        self._begun = False
        self._session: PromptSession[str] = PromptSession(
            history=InMemoryHistory() if path is None else LineHistory(path),
            completer=VocabularyCompleter(vocabulary),
            complete_while_typing=False,
            lexer=sql_lexer(),
            multiline=Condition(self._goes_on),
            **options,
        )

    async def read(self, prompt: str, continuation: str, begun: bool) -> str | None:
        """See Lines."""
        self._begun = begun
        try:
            return await self._session.prompt_async(
                continuation if begun else prompt, prompt_continuation=continuation
            )
        except EOFError:
            return None

    def close(self) -> None:
        """Nothing is left to keep."""

    def _goes_on(self) -> bool:
        return not self._begun and not is_finished(self._session.default_buffer.text)
