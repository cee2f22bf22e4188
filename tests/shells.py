"""Runs the shell within this process."""

import io

from csqlite.shell.application import Application
from csqlite.shell.arguments import parse


class Result:
    """What a run of the shell gave."""

    def __init__(self, status, out, err):
        self.status = status
        self.out = out
        self.err = err

    def __repr__(self):
        return f"status {self.status}\n{self.out}{self.err}"


async def shell(*argv, stdin=""):
    """Run the shell with this command line and standard input."""
    out, err = io.StringIO(), io.StringIO()
    status = await Application(parse(argv), io.StringIO(stdin), out, err).run()
    return Result(status, out.getvalue(), err.getvalue())


async def output(script, *argv):
    """Return what a script prints; nothing may fail."""
    result = await shell(*argv, stdin=script)
    assert (result.status, result.err) == (0, ""), result
    return result.out


async def complaints(script, *argv):
    """Return what a script that fails prints as errors."""
    result = await shell(*argv, stdin=script)
    assert result.status == 1, result
    return result.err
