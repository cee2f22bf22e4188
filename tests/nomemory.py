"""No memory in CPython's allocators, while csqlite runs and only then.

asyncio itself does not survive everywhere that memory runs out, so coroutines are driven by a
loop that is as small as can be. Each call that it makes into csqlite is a window: the first
step of a coroutine, a turn of the reactor, the next step. In one window of one run the nth
allocation fails, or a lot of them from the nth on. What came of it is judged: a MemoryError or the right
result, an answer in any case, and a connection that goes on.
"""

import _testcapi
import asyncio
import contextvars
import gc
import os
import select
import sys
import traceback

HANG_MILLISECONDS = 20000
FOREVER = 200  # allocations: CPython's own exception handling would wait for memory for ever
MOST = 3000  # allocations in one window; more would be a window that never ends


class Hang(Exception):
    """Nobody would ever wake the task."""


class Handle:
    def cancel(self):
        pass


class Loop:
    """An event loop with one task and one reader."""

    def __init__(self):
        self.queue = []
        self.readers = {}
        self.poll = select.poll()
        self.handle = Handle()
        self.complaints = []
        self.woken = False
        self.windows = 0
        self.window = 0  # in which memory runs out; 0: in none
        self.start = 0
        self.stop = 0
        self.context = contextvars.copy_context()  # as a task has one

    # What csqlite asks of a loop.

    def create_future(self):
        return asyncio.Future(loop=self)

    def add_reader(self, descriptor, callback, *args):
        self.readers[descriptor] = callback
        self.poll.register(descriptor, select.POLLIN)

    def remove_reader(self, descriptor):
        self.poll.unregister(descriptor)
        return self.readers.pop(descriptor, None) is not None

    def call_soon(self, callback, *args, context=None):
        self.queue.append((callback, args))
        return self.handle

    def call_later(self, delay, callback, *args, context=None):
        return self.call_soon(callback, *args)

    def get_debug(self):
        return False

    def is_closed(self):
        return False

    # Windows.

    def run(self, function, *args):
        """Call a function of csqlite's; memory runs out if it is this one's turn."""
        self.windows += 1
        if self.windows != self.window:
            return function(*args)
        _testcapi.set_nomemory(self.start, self.stop)
        try:
            return function(*args)
        finally:
            _testcapi.remove_mem_hooks()

    def turn(self, waiting):
        """Let what is ready run, or wait; as a loop does, it notes what a callback raises."""
        try:
            if self.queue:
                callback, args = self.queue.pop(0)
                if type(callback).__module__.startswith("csqlite"):
                    self.run(callback, *args)
                else:
                    callback(*args)
            elif waiting and not self.woken:
                ready = self.run(self.poll.poll, HANG_MILLISECONDS)
                if not ready:
                    raise Hang
                self.run(self.readers[ready[0][0]])
            else:
                ready = self.poll.poll(HANG_MILLISECONDS)
                if not ready:
                    raise Hang
                self.run(self.readers[ready[0][0]])
        except MemoryError:
            pass
        except Hang:
            raise
        except BaseException as error:
            self.complaints.append(repr(error))

    def wake(self, future):
        self.woken = True

    def drive(self, coroutine, waiting=False):
        """Run a coroutine to its end and return its result."""
        while True:
            try:
                future = self.run(coroutine.send, None)
            except StopIteration as stop:
                return stop.value
            self.woken = False
            if future is not None:
                future._asyncio_future_blocking = False
                future.add_done_callback(self.wake, context=self.context)
                while not self.woken:
                    self.turn(waiting)
            elif self.queue:
                self.turn(waiting)


class Hunt:
    """One scenario, with memory running out at one allocation after the other."""

    def __init__(self, scenario, progress):
        self.scenario = scenario
        self.progress = progress
        self.loop = Loop()
        self.complaints = self.loop.complaints
        self.runs = 0
        asyncio._set_running_loop(self.loop)
        sys.unraisablehook = self.unraisable

    def unraisable(self, event):
        if not isinstance(event.exc_value, MemoryError) and event.exc_type is not MemoryError:
            self.complaints.append(f"unraisable {event.exc_value!r} in {event.object!r}")

    def attempt(self, window, start, stop):
        """Run the scenario once. Return ("right" | "wrong" | an exception, how many windows)."""
        loop = self.loop
        db = loop.drive(self.scenario.prepare())
        loop.windows, loop.window, loop.start, loop.stop = 0, window, start, stop
        try:
            result = loop.drive(self.scenario.act(db), self.scenario.waiting)
            outcome = "right" if result == self.expected else f"wrong: {result!r}"
        except Hang:
            raise
        except BaseException as error:
            outcome = self.judge(error)
            del error
        windows = loop.windows
        loop.window = 0
        loop.drive(self.scenario.end(db))
        self.runs += 1
        return outcome, windows

    def judge(self, error):
        if isinstance(error, MemoryError):
            return "MemoryError"
        if type(error) in self.scenario.others or isinstance(error.__cause__, MemoryError):
            return "another"
        return "wrong: " + "".join(traceback.format_exception(type(error), error, None)[-1:])

    def note(self, window, nth, forever):
        os.pwrite(self.progress, f"{self.scenario.name} {window} {nth} {forever}\n".encode(), 0)

    def check(self, window, nth, forever):
        """Return whether all went right, as if there had been memory."""
        self.note(window, nth, forever)
        where = f"{self.scenario.name}: window {window}, allocation {nth}, forever {forever}"
        try:
            outcome, _ = self.attempt(window, nth, nth + (FOREVER if forever else 1))
        except Hang:
            print(f"{where}: hangs")
            sys.exit(1)
        if self.complaints or outcome.startswith("wrong"):
            print(f"{where}: {outcome} {self.complaints}")
            sys.exit(1)
        return outcome == "right"

    def expect(self):
        """Learn what is right. Return in how many windows."""
        self.expected = None
        most = 0
        for _ in range(3):
            db = self.loop.drive(self.scenario.prepare())
            self.loop.windows = 0
            self.expected = self.loop.drive(self.scenario.act(db), self.scenario.waiting)
            most = max(most, self.loop.windows)
            self.loop.drive(self.scenario.end(db))
        return most

    def all(self, stride):
        """Try each `stride`th allocation of each window. Return how many blocks a run leaves."""
        windows = self.expect()
        self.runs = 0
        gc.collect()
        before = sys.getallocatedblocks()
        for window in range(1, windows + 1):
            nth = window % stride
            right = 0
            while right < 3 and nth < MOST:
                self.check(window, nth, False)
                right = right + 1 if self.check(window, nth, True) else 0
                nth += 1 if right else stride
        gc.collect()
        self.loop.drive(self.scenario.settle())
        gc.collect()
        grown = sys.getallocatedblocks() - before
        print(f"{self.scenario.name}: {self.runs} runs in {windows} windows, {grown} blocks more")
        return grown / (self.runs + 20)
