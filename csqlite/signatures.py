"""What methods are to `inspect`, to frameworks and to `unittest.mock`.

The extension's methods look like functions of Python (src/binding/signature.c): most like
coroutine functions, as aiosqlite's are. The function that one looks like is made here, when
somebody asks for what only a function has. It can be called, but nobody needs to: the method
itself is.
"""

import inspect
from types import FunctionType
from typing import Any

# What a method gives: enum signature_kind of the extension.
COROUTINE, RESULT, OTHER = range(3)


def stand_in(method: Any, kind: int) -> FunctionType:
    """Return a function with the name, the signature and the documentation of `method`."""

    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        return await method(*args, **kwargs)

    def plain(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    functions: list[Any] = [coroutine] if kind == COROUTINE else [plain, coroutine]
    for function in functions:
        function.__name__ = method.__name__
        function.__qualname__ = method.__qualname__
        function.__module__ = "csqlite._csqlite"
        function.__doc__ = method.__doc__
        function.__signature__ = inspect.signature(method)
        function.__annotations__ = {}
    if kind == RESULT:
        # As aiosqlite's, which are decorated coroutine functions.
        functions[0].__wrapped__ = coroutine
    made: FunctionType = functions[0]
    return made
