"""The example programs: they run; the search says the same on csqlite as on aiosqlite."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import http.client
import importlib.util
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PROGRAM = EXAMPLES / "library_search.py"
FILES = 90
TIMEOUT = 120  # Seconds.
WRITERS = 4


def search(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the example in a folder and return what it printed."""
    return subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def answers(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the part of the output that depends on the files alone."""
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    return lines[lines.index("Answers") :]


@pytest.fixture(scope="module")
def on_csqlite(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The output of one run on csqlite."""
    return search(tmp_path_factory.mktemp("search"), "--limit", str(FILES), "--quiet")


def test_it_answers_every_question(on_csqlite: subprocess.CompletedProcess[str]) -> None:
    *found, total = answers(on_csqlite)
    assert re.fullmatch(rf"12 questions answered from {FILES} files, [\d,]+ lines\.", total)
    assert len([line for line in found if re.fullmatch(r"  \S.*: [\d,]+ lines", line)]) == 12
    # asyncio is among the first files of every version's library.
    assert any(re.match(r"    asyncio/\w+\.py:\d+: .*\[", line) for line in found)


def test_it_prints_what_it_measures(on_csqlite: subprocess.CompletedProcess[str]) -> None:
    first, *figures = on_csqlite.stdout.partition("Answers")[0].splitlines()
    assert re.fullmatch(r"csqlite \S+, SQLite \S+, Python \S+", first)
    assert len(figures) == 4
    for figure, pattern in zip(
        figures,
        (
            r"  loading  .* files/s, .* lines/s",
            r"  meanwhile  .* searches by 8 tasks: median .*, p99 .*, worst .*",
            r"  afterwards  .* searches/s \(960 .*",
            r"  loop stalls .*: median .*, p99 .*, worst .*",
        ),
    ):
        assert re.match(pattern, figure)
    assert on_csqlite.stderr == ""


def test_aiosqlite_gives_the_same_answers(
    on_csqlite: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    if importlib.util.find_spec("aiosqlite") is None:
        pytest.skip("aiosqlite is not installed")
    done = search(tmp_path, "--limit", str(FILES), "--quiet", "--driver", "aiosqlite")
    if "has no FTS5" in done.stdout:
        pytest.skip("the sqlite3 module's SQLite has no FTS5")
    assert answers(done) == answers(on_csqlite)


def test_it_keeps_the_database_where_it_is_told(tmp_path: Path) -> None:
    arguments = ("--limit", "3", "--searchers", "2", "--quiet", "--database", "library.db")
    assert answers(search(tmp_path, *arguments))[-1] == "The database is kept in library.db."
    assert os.listdir(tmp_path) == ["library.db"]
    again = search(tmp_path, *arguments)
    assert again.returncode == 2
    assert "library.db exists already" in again.stderr


def test_it_stops_cleanly_on_an_interrupt(tmp_path: Path) -> None:
    # A shell without job control starts what it puts in the background deaf to this signal.
    launch = (
        "import pathlib, runpy, signal, time; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        # Slow enough that it tells how far it is before it is done.
        "read = pathlib.Path.read_text; "
        "pathlib.Path.read_text = lambda *a, **b: time.sleep(0.001) or read(*a, **b); "
        f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", launch, "--database", "library.db"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert re.match(r"[\d,]+ of ", process.stderr.readline())  # Half a second after the first.
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert re.search(r"Stopped after [\d,]+ of [\d,]+ files\.", output)
    assert "Traceback" not in errors
    assert "Warning" not in errors
    assert os.listdir(tmp_path) == ["library.db"], "a connection was left open"


def test_it_names_a_driver_that_is_missing(tmp_path: Path) -> None:
    done = search(tmp_path, "--driver", "no_such_driver")
    assert done.returncode == 2
    assert "cannot import no_such_driver" in done.stderr


# -- the web service


class Service:
    """A service in a process of its own, and what is asked of it."""

    def __init__(self, folder: Path, program: str = "notes_service.py") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "default", str(EXAMPLES / program), "--port", "0"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        self.host, self.port = re.fullmatch(r"serving on http://(.*):(\d+)\n", line).groups()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        """Send a request; return the status and the JSON of the answer."""
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=TIMEOUT)
        with contextlib.closing(connection):
            content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            connection.request(method, path, content)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it by a signal; return its status and what it has complained of."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, errors


def texts(service: Service, tenant: str) -> list[str]:
    """Return the notes of a tenant; the total agrees."""
    status, answer = service.ask("GET", f"/{tenant}/notes")
    assert status == 200
    assert answer["total"] == len(answer["notes"])
    return [note["text"] for note in answer["notes"]]


def test_the_service_keeps_notes(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        assert service.ask("GET", "/") == (200, {"tenants": []})
        for tenant in ("alice", "bob"):
            assert service.ask("PUT", f"/{tenant}") == (201, {"tenant": tenant})
        assert service.ask("POST", "/alice/notes", {"text": "milk"}) == (201, {"id": 1})
        assert service.ask("POST", "/alice/notes", {"text": "bread"}) == (201, {"id": 2})
        assert texts(service, "alice") == ["milk", "bread"]
        moved = service.ask("POST", "/alice/notes/2/move", {"to": "bob"})
        assert moved == (200, {"tenant": "bob", "id": 1})
        assert (texts(service, "alice"), texts(service, "bob")) == (["milk"], ["bread"])
        assert service.ask("PUT", "/carol/copy-of/alice")[0] == 201
        assert service.ask("DELETE", "/alice/notes/1") == (204, None)
        assert (texts(service, "alice"), texts(service, "carol")) == ([], ["milk"])
        assert service.ask("DELETE", "/carol") == (204, None)
        assert service.ask("GET", "/") == (200, {"tenants": ["alice", "bob"]})
        assert service.stop() == (0, "")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nobody/notes", None, 404),
        ("GET", "/nobody/live", None, 404),
        ("POST", "/nobody/notes", {"text": "x"}, 404),
        ("DELETE", "/nobody", None, 404),
        ("PUT", "/alice", None, 409),
        ("PUT", "/ALICE", None, 400),
        ("PUT", "/..", None, 400),
        ("PUT", "/%2e%2e%2fevil", None, 404),
        ("PUT", "/a%00b", None, 400),
        ("PUT", "/.registry", None, 400),
        ("POST", "/alice/notes", None, 400),
        ("POST", "/alice/notes", b"{", 400),
        ("POST", "/alice/notes", b"\xff", 400),
        ("POST", "/alice/notes", {"text": 1}, 400),
        ("POST", "/alice/notes", {"text": ""}, 400),
        ("POST", "/alice/notes", b"x" * 100_000, 413),
        ("DELETE", "/alice/notes/7", None, 404),
        ("POST", "/alice/notes/7/move", {"to": "bob"}, 404),
        ("POST", "/alice/notes/1/move", {"to": "alice"}, 400),
        ("POST", "/alice/notes/1/move", {"to": "nobody"}, 404),
        ("PATCH", "/alice/notes", None, 405),
        ("GET", "/a/b/c/d", None, 404),
    ],
)
def test_the_service_refuses(
    refusing: Service, method: str, path: str, body: object, status: int
) -> None:
    assert refusing.ask(method, path, body)[0] == status
    assert texts(refusing, "alice") == ["milk"]
    assert texts(refusing, "bob") == []


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service in which nothing is changed any more."""
    with Service(tmp_path_factory.mktemp("service")) as service:
        for tenant in ("alice", "bob"):
            service.ask("PUT", f"/{tenant}")
        service.ask("POST", "/alice/notes", {"text": "milk"})
        yield service
        assert service.stop(signal.SIGINT) == (0, "")


def posted_until_killed(service: Service, path: str, name: str) -> list[str]:
    """Post from several threads until the service is killed; return what was acknowledged."""
    answered: list[str] = []

    def write(writer: int) -> None:
        for number in itertools.count():
            text = f"{writer} {number}"
            try:
                status, _ = service.ask("POST", path, {name: text})
            except (OSError, http.client.HTTPException):
                return  # Killed: what has become of this one is not known.
            assert status == 201
            answered.append(text)
            if len(answered) >= 40:
                service.process.kill()

    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        for done in [pool.submit(write, writer) for writer in range(WRITERS)]:
            done.result()
    return answered


def test_what_the_service_has_answered_is_committed(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        assert service.ask("PUT", "/alice")[0] == 201
        answered = posted_until_killed(service, "/alice/notes", "text")
    with Service(tmp_path) as service:
        found = texts(service, "alice")
        assert set(answered) <= set(found)
        assert len(found) <= len(answered) + WRITERS
        assert service.stop() == (0, "")


def test_what_the_log_has_answered_is_committed(tmp_path: Path) -> None:
    with Service(tmp_path, "event_log.py") as service:
        assert service.ask("GET", "/events") == (200, [])
        answered = posted_until_killed(service, "/events", "event")
    with Service(tmp_path, "event_log.py") as service:
        status, events = service.ask("GET", "/events")
        found = [event["event"]["event"] for event in events]
        assert status == 200
        assert [event["id"] for event in events] == [*range(1, len(found) + 1)]
        assert len(set(found)) == len(found) <= len(answered) + WRITERS
        assert set(answered) <= set(found)
        assert service.ask("POST", "/events", "x") == (201, {"id": len(found) + 1})
        last = [{"id": len(found) + 1, "event": "x"}]
        assert service.ask("GET", f"/events?after={len(found)}") == (200, last)
        for method, path, expected in (
            *(("GET", "/events?after=x", 400), ("GET", "/", 404), ("PUT", "/events", 405)),
        ):
            assert service.ask(method, path)[0] == expected
        assert service.stop() == (0, "")


def test_the_service_tells_who_watches(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        service.ask("PUT", "/alice")
        connection = http.client.HTTPConnection(service.host, int(service.port), timeout=TIMEOUT)
        with contextlib.closing(connection):
            connection.request("GET", "/alice/live")
            events = connection.getresponse()
            seen = []
            while len(seen) < 4:
                line = events.readline().decode()
                if line.startswith("data: "):
                    seen.append([note["text"] for note in json.loads(line[6:])["notes"]])
                    service.ask("POST", "/alice/notes", {"text": str(len(seen))})
            assert seen == [[], ["1"], ["1", "2"], ["1", "2", "3"]]
            assert service.stop() == (0, "")  # Also while somebody watches.


def test_a_tenant_that_is_watched_can_be_removed(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        service.ask("PUT", "/alice")
        connection = http.client.HTTPConnection(service.host, int(service.port), timeout=TIMEOUT)
        with contextlib.closing(connection):
            connection.request("GET", "/alice/live")
            events = connection.getresponse()
            assert events.readline().startswith(b"data: ")
            assert service.ask("DELETE", "/alice") == (204, None)
            assert events.read().strip() == b""  # It has ended.
            assert service.ask("GET", "/") == (200, {"tenants": []})
            assert service.stop() == (0, "")


def test_the_service_is_an_asgi_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("notes_service")

    async def run() -> list[dict[str, object]]:
        application = example.Service(str(tmp_path / "notes"))
        incoming: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        sent: list[dict[str, object]] = []
        started = asyncio.Event()

        async def send(message: dict[str, object]) -> None:
            sent.append(message)
            started.set()

        living = asyncio.ensure_future(application({"type": "lifespan"}, incoming.get, send))
        incoming.put_nowait({"type": "lifespan.startup"})
        await started.wait()
        requests: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        requests.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        await application({"type": "http", "method": "PUT", "path": "/alice"}, requests.get, send)
        incoming.put_nowait({"type": "lifespan.shutdown"})
        await living
        return sent

    sent = asyncio.run(run())
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "http.response.start",
        "http.response.body",
        "lifespan.shutdown.complete",
    ]
    assert sent[1]["status"] == 201
