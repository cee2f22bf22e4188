"""Virtual tables: what Connection.create_module() makes of a source of rows.

The extension asks for a Table when SQLite connects one, and reads its `description`. It
calls `scan` with the parameters that SQL gives, and the methods of Target to write.
"""

import inspect
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from time import monotonic
from typing import Any, Callable, NamedTuple, Optional, Union

# Kinds of modules, as the extension counts them: those that have a table of their own name
# and nothing else, those of which CREATE VIRTUAL TABLE makes more, those that can be written.
EPONYMOUS, CREATABLE, WRITABLE = range(3)

# As many as the extension has bits for.
MOST_PARAMETERS = 30

# A type and constraints, as in "DECIMAL(10, 2) NOT NULL"; nothing that begins another column.
TYPE = re.compile(r"[\w ]*(\([\w ,.+-]*\))?[\w ]*")

Columns = Union[Mapping[str, str], Iterable[Union[str, tuple[str, str]]]]


class Description(NamedTuple):
    """What the extension declares to SQLite."""

    sql: str
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    rowid: int
    directonly: bool


class Table:
    """One table that SQLite has connected."""

    def __init__(self, scan: Callable[..., Any], description: Description, target: Any) -> None:
        self.scan = scan
        self.description = description
        self.target = target

    def insert(self, rowid: Optional[int], values: tuple[Any, ...]) -> Any:
        """Insert a row; return its rowid."""
        return self.write("insert", rowid, values)

    def update(self, rowid: int, new_rowid: int, values: tuple[Any, ...]) -> Any:
        """Change all values of a row."""
        return self.write("update", rowid, new_rowid, values)

    def delete(self, rowid: int) -> Any:
        """Delete a row."""
        return self.write("delete", rowid)

    def write(self, name: str, *args: Any) -> Any:
        """Call a method of the source, which may not have it."""
        method = getattr(self.target, name, None)
        if method is None:
            raise TypeError(f"{type(self.target).__name__} has no method {name}()")
        return method(*args)


def connector(
    source: Any,
    columns: Optional[Columns],
    parameters: Optional[Iterable[str]],
    directonly: bool,
) -> tuple[Callable[..., Table], int]:
    """Return what gives a Table for the arguments of CREATE VIRTUAL TABLE, and its kind."""
    if inspect.isclass(source) and hasattr(source, "rows"):
        writes = any(hasattr(source, name) for name in ("insert", "update", "delete"))

        def connect(*args: str) -> Table:
            made: Any = source(*args)
            description = describe(
                getattr(made, "columns", columns),
                getattr(made, "parameters", parameters),
                made.rows,
                getattr(made, "rowid", None),
                directonly,
            )
            if writes and description.rowid < 0:
                raise TypeError(
                    "a table that can be written to needs `rowid`, the name of the column that "
                    "tells its rows apart by an integer"
                )
            return Table(made.rows, description, made)

        return connect, WRITABLE if writes else CREATABLE

    table = plain(source, columns, parameters, directonly)
    return lambda: table, EPONYMOUS


def plain(
    source: Any,
    columns: Optional[Columns],
    parameters: Optional[Iterable[str]],
    directonly: bool,
) -> Table:
    """Return the Table of a callable or of an iterable."""
    if columns is None:
        columns = getattr(source, "columns", None)
    if callable(source):
        return Table(source, describe(columns, parameters, source, None, directonly), source)
    if hasattr(source, "__aiter__"):
        once = hasattr(source, "__anext__") and source.__aiter__() is source
    elif hasattr(source, "__iter__"):
        once = hasattr(source, "__next__") and iter(source) is source
    else:
        raise TypeError(f"rows do not come from {type(source).__name__!r}, which is no iterable")
    if once:
        raise TypeError("an iterator can be read only once: give a callable that makes one")
    return Table(lambda: source, describe(columns, (), source, None, directonly), source)


def describe(
    columns: Optional[Columns],
    parameters: Optional[Iterable[str]],
    function: Any,
    rowid: Optional[str],
    directonly: bool,
) -> Description:
    """Return what a table looks like. `function` tells the parameters where nobody else does."""
    if columns is None or isinstance(columns, str):
        raise TypeError("columns must be a list of names, of (name, type), or a dict of types")
    pairs = columns.items() if isinstance(columns, Mapping) else columns
    declared = [(pair, "") if isinstance(pair, str) else pair for pair in pairs]
    if not declared:
        raise ValueError("a table needs at least one column")
    hidden = tuple(parameters_of(function) if parameters is None else parameters)
    names = tuple(name for name, _ in declared)
    everything = names + hidden
    if not all(isinstance(name, str) for name in everything):
        raise TypeError("names of columns and parameters must be str")
    if any("\0" in name for name in everything):
        raise ValueError("embedded null character")
    for _, kind in declared:
        if not isinstance(kind, str) or not TYPE.fullmatch(kind):
            raise ValueError(f"{kind!r} is no type of a column")
    if len({name.lower() for name in everything}) < len(everything):
        raise ValueError("columns and parameters must have different names")
    if len(hidden) > MOST_PARAMETERS:
        raise ValueError(f"a table has at most {MOST_PARAMETERS} parameters")
    if rowid is not None and rowid not in names:
        raise ValueError(f"rowid is {rowid!r}, which is no column")
    lines = [f"{quoted(name)} {kind}" for name, kind in declared]
    lines += [f"{quoted(name)} HIDDEN" for name in hidden]
    return Description(
        f"CREATE TABLE x({', '.join(lines)})",
        names,
        hidden,
        -1 if rowid is None else names.index(rowid),
        directonly,
    )


def parameters_of(function: Any) -> list[str]:
    """Return the names of the parameters that a callable can be given by name."""
    try:
        found = inspect.signature(function).parameters.values()
    except ValueError:
        raise TypeError(
            f"{function!r} does not tell its parameters: give `parameters`, or a function of your own"
        ) from None
    return [one.name for one in found if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


async def collect(
    rows: AsyncIterator[Any], most: int, seconds: float
) -> tuple[list[Any], bool, Optional[BaseException]]:
    """Fetch some rows: at least one, then more while they come quickly.

    Return them, whether they were the last, and the exception that came behind them.
    """
    fetched: list[Any] = []
    end = monotonic() + seconds
    try:
        while len(fetched) < most and (not fetched or monotonic() < end):
            fetched.append(await rows.__anext__())
    except StopAsyncIteration:
        return fetched, True, None
    except Exception as error:
        return fetched, True, error
    return fetched, False, None
