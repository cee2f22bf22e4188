"""Reading input line by line: which lines are dot-commands, and where statements end."""

from __future__ import annotations

from .command import dispatch
from .errors import Interrupted, Quit
from .lines import Lines
from .session import Session
from .statements import Splitter, Statement, bare_command


class Script:
    """One source of lines.

    name: of the file, for messages; "": it has none. located: messages tell the line.
    """

    def __init__(self, session: Session, name: str = "", located: bool = True) -> None:
        self._session = session
        self._name = name
        self._located = located
        self._splitter = Splitter()
        self._line = 0

    async def run(self, lines: Lines) -> None:
        """Run all lines. Raises Quit, and Interrupted where nobody types them."""
        prompting = self._is_typed
        while True:
            try:
                if not await self._step(lines):
                    return
            except (KeyboardInterrupt, Interrupted) as error:
                if not prompting:
                    if isinstance(error, KeyboardInterrupt):
                        self._session.fail("Error: interrupted")
                    raise Interrupted from None
                if isinstance(error, KeyboardInterrupt):
                    self._session.output.write("\n")
                self._splitter.clear()

    @property
    def _is_typed(self) -> bool:
        """Whether somebody types the lines."""
        return self._session.interactive and not self._name

    async def _step(self, lines: Lines) -> bool:
        """Read and run what is read at once. False: there is nothing left."""
        settings = self._session.settings
        text = await lines.read(settings.prompt, settings.continuation, self._splitter.pending)
        if text is None:
            if self._session.interactive and not self._name:
                self._session.output.write("\n")
            await self._run(self._splitter.finish())
            return False
        for line in text.split("\n"):
            await self.feed(line)
        return True

    async def feed(self, line: str) -> None:
        """Run what a line completes."""
        self._line += 1
        if not self._splitter.pending and line.startswith("#"):
            return
        if not self._splitter.pending and line.startswith("."):
            if self._session.settings.echo:
                self._session.output.write(line + "\n")
            self._end(await dispatch(self._session, line))
        elif not self._splitter.pending and self._is_typed and bare_command(line):
            await dispatch(self._session, f".{bare_command(line)}")
        elif self._splitter.pending and self._splitter.ends_with(line):
            await self._run(self._splitter.feed(";", self._line))
        else:
            await self._run(self._splitter.feed(line + "\n", self._line))

    async def finish(self) -> None:
        """Run what no semicolon has ended."""
        await self._run(self._splitter.finish())

    async def _run(self, found: list[Statement]) -> None:
        """Run the statements of one line, up to the first that fails."""
        for statement in found:
            where = ""
            if self._located:
                where = f" near line {statement.line}"
                where += f" of {self._name}" if self._name else ""
            done = await self._session.run(statement, where)
            self._end(done)
            if not done:
                return

    def _end(self, done: bool) -> None:
        """End a script at its first error, where that is asked for."""
        if not done and self._session.settings.bail and not self._session.interactive:
            raise Quit(1)
