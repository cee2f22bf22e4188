"""Who has called a method, where another task goes on with what it gives.

What is called on a connection goes by the task that calls: docs/transactions.md. The extension's methods note
it by themselves. A coroutine function of Python's calls them only when it is awaited, which a task of
gather() or wait_for() may do; so who has called it is noted here, and each of its steps acts for that task.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Coroutine, Generator
from types import FunctionType, MethodType
from typing import Any, Callable, TypeVar, cast

from . import _csqlite

_F = TypeVar("_F", bound=Callable[..., Any])


class _Acting(Coroutine[Any, Any, Any]):
    """A coroutine each of whose steps acts for a task: what it calls is called by that."""

    def __init__(self, coroutine: Any, caller: Any) -> None:
        self._coroutine = coroutine
        self._caller = caller

    def __getattr__(self, name: str) -> Any:
        """Look like the coroutine, as far as asyncio and others show one."""
        return getattr(self._coroutine, name)

    def __await__(self) -> Generator[Any, Any, Any]:
        """Be awaited: by the task itself as the coroutine is, by another one step by step."""
        own = _csqlite._caller() is self._caller
        return cast("Generator[Any, Any, Any]", self._coroutine.__await__() if own else self)

    def __iter__(self) -> "_Acting":
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """Go on, as a coroutine does."""
        before = _csqlite._act(self._caller)
        try:
            return self._coroutine.send(value)
        finally:
            _csqlite._act(before)

    def throw(self, *error: Any) -> Any:
        """Raise an exception where the coroutine waits."""
        before = _csqlite._act(self._caller)
        try:
            return self._coroutine.throw(*error)
        finally:
            _csqlite._act(before)

    def close(self) -> None:
        """Give the coroutine up."""
        self._coroutine.close()


class _ActingGenerator(AsyncGenerator[Any, Any]):
    """The same of an asynchronous generator."""

    def __init__(self, generator: Any, caller: Any) -> None:
        self._generator = generator
        self._caller = caller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def __anext__(self) -> Any:
        return _Acting(self._generator.__anext__(), self._caller)

    def asend(self, value: Any) -> Any:
        """Go on, as a generator does."""
        return _Acting(self._generator.asend(value), self._caller)

    def athrow(self, *error: Any) -> Any:
        """Raise an exception where the generator has stopped."""
        return _Acting(self._generator.athrow(*error), self._caller)

    def aclose(self) -> Any:
        """Give the generator up."""
        return _Acting(self._generator.aclose(), self._caller)


async def _coroutine() -> None:
    """Have the code that a coroutine function has."""


class _Function:
    """A function that looks like the one which it is made of, and does what it is told to.

    The code of a coroutine function is what inspect, mocks and frameworks know one by.
    """

    # Of FunctionType, for what asks isinstance().
    __class__ = property(lambda self: FunctionType)

    def __init__(self, function: Any, call: Callable[..., Any], code: Any) -> None:
        functools.update_wrapper(self, function)
        self.__code__ = code
        self.__defaults__ = function.__defaults__
        self.__kwdefaults__ = function.__kwdefaults__
        self.__globals__ = function.__globals__
        self.__signature__ = inspect.signature(function)
        self._call = call

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._call(*arguments, **named)

    def __reduce__(self) -> str:
        """Be pickled and copied as a function is: by name."""
        return self.__qualname__  # type: ignore[attr-defined,no-any-return]

    def __repr__(self) -> str:
        return f"<function {self.__qualname__}>"  # type: ignore[attr-defined]


def noted(function: _F) -> _F:
    """Decorate a coroutine function: what it calls is called by who has called it.

    That is, by the task in which it is called, whichever awaits it. An asynchronous generator function as well.
    """
    kind = _ActingGenerator if inspect.isasyncgenfunction(function) else _Acting

    def call(*arguments: Any, **named: Any) -> Any:
        coroutine = function(*arguments, **named)
        caller = _csqlite._caller()
        return coroutine if caller is None else kind(coroutine, caller)

    return cast("_F", _Function(function, call, function.__code__))


def coroutine_function(function: _F) -> _F:
    """Decorate a function that gives a coroutine: it looks like a coroutine function."""
    return cast("_F", _Function(function, function, _coroutine.__code__))
