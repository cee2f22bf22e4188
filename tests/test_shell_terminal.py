"""The shell as people and scripts meet it: processes, terminals, Ctrl-C, and both ways of editing.

Tests of a terminal wait for what is printed, never for time to pass.
"""

import asyncio
import contextlib
import fcntl
import importlib
import io
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest

import csqlite
from csqlite.shell import commands, interrupts  # noqa: F401 (the commands register)
from csqlite.shell.command_import import Import
from csqlite.shell.errors import Interrupted
from csqlite.shell.lines import FileLines, history_path
from csqlite.shell.modes import Settings
from csqlite.shell.output import Output
from csqlite.shell.script import Script
from csqlite.shell.session import Session
from csqlite.shell.statements import Statement
from csqlite.shell.vocabulary import Vocabulary

SECONDS = 30
PROMPT = "sqlite>"
# Stands for the escape with which prompt_toolkit begins to listen; `type` is heeded from then on.
LISTENS = "\0"
FOREVER = "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"

# Hides what is optional, where it is installed.
HIDE = "import sys; sys.modules.update(prompt_toolkit=None, rich=None); "
RUN = "from csqlite.shell import main; sys.exit(main())"


def environment(home, **more):
    """Return the variables for a process whose home is a directory of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CSQLITE")}
    return {**kept, "HOME": str(home), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **more}


def heed_interrupts():
    """In a new process: Ctrl-C is ignored in what a shell has put into the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(home, *argv, stdin=""):
    """Run the shell in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "csqlite", *argv],
        input=stdin,
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        preexec_fn=heed_interrupts,
    )


# -- processes


def test_importing_csqlite_imports_no_shell(tmp_path):
    code = (
        "import sys, csqlite; "
        "print([m for m in sys.modules if m.startswith(('csqlite.shell', 'prompt_toolkit', 'rich'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_process_runs_sql(tmp_path):
    done = run(
        tmp_path, "x.db", "create table t (a); insert into t values ('ü')", "select * from t"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ü\n", "")
    done = run(tmp_path, "x.db", "--json", stdin="select a from t;\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, '[{"a":"ü"}]\n', "")
    assert not (tmp_path / ".csqlite_history").exists()


@pytest.mark.parametrize(
    ("argv", "stdin", "status"),
    [
        ([], "select 1;", 0),
        ([], "selec;", 1),
        ([":memory:", "selec"], "", 1),
        (["-nosuch"], "", 2),
        ([], ".exit 9", 9),
        (["--version"], "", 0),
    ],
)
def test_exit_status_of_the_process(tmp_path, argv, stdin, status):
    assert run(tmp_path, *argv, stdin=stdin).returncode == status


def test_bytes_pass_unchanged(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "csqlite", ":memory:", "select cast(x'61ff62' as text)"],
        cwd=tmp_path,
        env=environment(tmp_path, LC_ALL="C"),
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a\xffb\n", b"")


def test_reader_that_goes_away_ends_the_shell(tmp_path):
    rows = "with recursive c(x) as (select 1 union all select x + 1 from c) select x from c"
    with subprocess.Popen(
        [sys.executable, "-m", "csqlite", ":memory:", rows],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    ) as process:
        assert process.stdout.readline() == b"1\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(SECONDS) == 141


def test_interrupted_script_ends_with_status_130(tmp_path):
    script = f"select 'begun'; {FOREVER};\nselect 'never';\n"
    with subprocess.Popen(
        [sys.executable, "-m", "csqlite"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
        preexec_fn=heed_interrupts,  # noqa: PLW1509
    ) as process:
        process.stdin.write(script)
        process.stdin.close()
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
        assert process.stderr.read() == "Runtime error near line 1: interrupted (9)\n"
        assert process.wait(SECONDS) == 130


def test_interrupt_ends_a_script_that_waits_for_input(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "csqlite"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
        preexec_fn=heed_interrupts,  # noqa: PLW1509
    ) as process:
        process.stdin.write(".system echo begun\n")
        process.stdin.flush()
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "Error: interrupted\n"
        assert process.wait(SECONDS) == 130


# -- a terminal


class Terminal:
    """A shell on a terminal of its own. edited: with prompt_toolkit."""

    def __init__(self, home, *argv, edited=False, code="", **variables):
        self.edited = edited
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        command = ["-c", code] if code else ["-m", "csqlite"]
        self.process = subprocess.Popen(
            [sys.executable, *command, *argv],
            cwd=home,
            env=environment(home, **variables),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=self._take_terminal,  # noqa: PLW1509
        )
        os.close(slave)
        self.seen = ""

    @staticmethod
    def _take_terminal():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        heed_interrupts()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def type(self, text):
        os.write(self.master, text.encode())

    def wait(self, pattern):
        """Wait until this is printed; return what was printed up to there, without escapes."""
        end = time.monotonic() + SECONDS
        while True:
            match = re.search(pattern, self.seen)
            if match:
                found, self.seen = self.seen[: match.end()], self.seen[match.end() :]
                return found
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"waited for {pattern!r}, got {self.seen!r}")
            try:
                fresh = os.read(self.master, 65536).decode(errors="replace")
            except OSError:  # What Linux says when nobody has the other side open any more.
                raise AssertionError(f"ended before {pattern!r}, with {self.seen!r}") from None
            self.seen = (self.seen + fresh).replace("\x1b[?2004h", LISTENS)
            self.seen = re.sub(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[=>])", "", self.seen)

    def interrupt(self):
        """Press Ctrl-C once the shell waits for a key.

        The readline module of CPython does not notice a signal between printing its prompt and
        waiting, a moment that is too short for fingers but not for a test.
        """
        quiet = 0
        while quiet < 5 and os.path.exists("/proc/self/stat"):
            with open(f"/proc/{self.process.pid}/stat") as stat:
                quiet = quiet + 1 if stat.read().rpartition(")")[2].split()[0] == "S" else 0
            time.sleep(0.001)
        self.type("\x03")

    def prompt(self):
        """Wait until the shell asks for a line; return what was printed up to there."""
        return self.wait(f"{LISTENS}(?s:.)*{PROMPT}" if self.edited else f"{PROMPT} ")

    def status(self):
        """Wait for the end and return the exit status."""
        end = time.monotonic() + SECONDS
        with contextlib.suppress(OSError):
            while select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
                if not os.read(self.master, 65536):
                    break
        return self.process.wait(max(1, end - time.monotonic()))


def on_terminal(kind, home, **variables):
    """Return a shell on a terminal: with prompt_toolkit and rich, told to do without, without them."""
    if kind == "hidden":
        return Terminal(home, code=HIDE + RUN, **variables)
    if kind == "plain":
        return Terminal(home, "--plain", **variables)
    pytest.importorskip("prompt_toolkit")
    pytest.importorskip("rich")
    return Terminal(home, edited=True, **variables)


@pytest.fixture(params=["edited", "plain", "hidden"])
def terminal(request, tmp_path):
    """A shell on a terminal, of each kind."""
    with on_terminal(request.param, tmp_path) as made:
        made.kind = request.param
        yield made


def test_terminal_shows_a_table(terminal):
    banner = terminal.prompt()
    assert f"csqlite {csqlite.__version__}, SQLite {csqlite.sqlite_version}" in banner
    assert "transient in-memory" in banner
    hint = 'Without prompt_toolkit and rich the shell is plain; pip install "csqlite[shell]"'
    assert (hint in banner) == (terminal.kind == "hidden")
    terminal.type("select 41 + 1 as answer, null as nil;\r")
    shown = terminal.wait("└[^\n]*┘")
    assert re.search(r"│ +answer +│ +nil +│", shown)
    assert re.search(r"│ +42 +│ +(NULL)? +│", shown)
    terminal.prompt()
    terminal.type(".quit\r")
    assert terminal.status() == 0


def test_terminal_takes_statements_over_several_lines(terminal):
    terminal.prompt()
    terminal.type(".mode list\r")
    terminal.prompt()
    terminal.type("select 'one'\r")
    terminal.wait(r"\.\.\.>")
    terminal.type(" || ' and two';\r")
    terminal.wait(r"\none and two\r?\n")
    terminal.prompt()
    terminal.type("\x04")
    assert terminal.status() == 0


def test_interrupt_at_the_prompt_ends_nothing(terminal):
    terminal.prompt()
    terminal.type(".mode list\r")
    terminal.prompt()
    terminal.interrupt()
    terminal.prompt()
    terminal.type("selec")
    terminal.wait("selec")
    terminal.interrupt()
    terminal.prompt()
    terminal.type("select 'unfinished'\r")
    terminal.wait(r"\.\.\.>")
    terminal.interrupt()
    terminal.prompt()
    terminal.type("select 'go' || 'es on';\r")
    terminal.wait(r"\ngoes on\r?\n")
    terminal.prompt()
    terminal.type("\x04")
    assert terminal.status() == 0


def test_interrupt_stops_the_statement_and_keeps_the_session(terminal):
    terminal.prompt()
    terminal.type(".mode list\r")
    terminal.prompt()
    terminal.type("create table kept (a); insert into kept values ('still here');\r")
    terminal.prompt()
    # The statement is echoed when it is about to run. Before, Ctrl-C would drop the line.
    terminal.type(".echo on\r")
    terminal.prompt()
    terminal.type(FOREVER + ";\r")
    terminal.wait(r"\nwith recursive[^\n]* from c;\r?\n(with recursive)?")
    if terminal.kind != "edited":
        terminal.type("\x03")
    else:
        # The editor has left the terminal to the statement once this is printed.
        os.kill(terminal.process.pid, signal.SIGINT)
    terminal.wait(r"Runtime error: interrupted \(9\)\r?\n")
    terminal.prompt()
    terminal.type("select a from kept;\r")
    terminal.wait(r"\nstill here\r?\n")
    terminal.prompt()
    terminal.type("\x04")
    assert terminal.status() == 0


def test_errors_do_not_end_the_session(terminal):
    terminal.prompt()
    terminal.type("selec 1;\r")
    shown = terminal.wait(r"\^--- error here")
    assert 'Parse error: near "selec": syntax error' in shown
    terminal.prompt()
    terminal.type(".nosuch\r")
    terminal.wait("unknown command")
    terminal.prompt()
    terminal.type(".exit 5\r")
    assert terminal.status() == 5


@pytest.mark.parametrize("kind", ["edited", "plain"])
def test_history_is_kept(tmp_path, kind):
    pytest.importorskip("readline")
    with on_terminal(kind, tmp_path) as terminal:
        terminal.prompt()
        terminal.type("select 'remember';\r")
        terminal.wait("┘")
        terminal.prompt()
        terminal.type(".quit\r")
        assert terminal.status() == 0
    assert (tmp_path / ".csqlite_history").read_text() == "select 'remember';\n.quit\n"
    with on_terminal(kind, tmp_path) as terminal:
        terminal.prompt()
        terminal.type("\x1b[A\x1b[A\r")
        terminal.wait("│ remember")
        terminal.prompt()
        terminal.type("\x04")
        assert terminal.status() == 0


@pytest.mark.parametrize("kind", ["edited", "plain"])
def test_tab_completes(tmp_path, kind):
    pytest.importorskip("readline")
    with on_terminal(kind, tmp_path) as terminal:
        terminal.prompt()
        terminal.type("create table distinguished (a); insert into distinguished values (77);\r")
        terminal.prompt()
        terminal.type("select a from distingu\t")
        terminal.wait("distinguished")
        terminal.type(";\r")
        terminal.wait("│ +77")
        terminal.prompt()
        terminal.type("\x04")
        assert terminal.status() == 0


def test_pasted_lines_are_run_one_by_one(tmp_path):
    with on_terminal("edited", tmp_path) as terminal:
        terminal.prompt()
        terminal.type(
            "\x1b[200~.mode list\rselect 'first';\r.print second\rselect 'third';\x1b[201~\r"
        )
        terminal.wait(r"first\r?\nsecond\r?\nthird\r?\n")
        terminal.prompt()
        terminal.type("\x04")
        assert terminal.status() == 0


def test_dumb_terminal_is_no_place_for_editing(tmp_path):
    with Terminal(tmp_path, TERM="dumb") as terminal:
        terminal.prompt()
        terminal.type("select 1 as a;\r")
        assert "\x1b" not in terminal.wait("┘")
        terminal.type(".quit\r")
        assert terminal.status() == 0


# -- Ctrl-C, within this process


class Screen(io.StringIO):
    """What passes for a terminal."""

    def isatty(self):
        return True


async def session(stdout=None, **options):
    """Return a session with an open database in memory."""
    made = Session(stdout or io.StringIO(), io.StringIO(), **options)
    await made.open(":memory:")
    return made


def press():
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)
    return 1


@contextlib.asynccontextmanager
async def heeding():
    """Give a session that heeds Ctrl-C, and in whose SQL press() presses it."""
    shell = await session(interactive=True)
    before = signal.getsignal(signal.SIGINT)
    shell.interrupts.install()
    try:
        await shell.db.create_function("press", 0, press)
        yield shell
    finally:
        shell.interrupts.remove()
        await shell.close()
    assert signal.getsignal(signal.SIGINT) is before


async def test_interrupt_stops_a_query():
    async with heeding() as shell:
        with pytest.raises(Interrupted):
            await shell.run(Statement(f"select press() union all select * from ({FOREVER})", 1))
        assert shell.stderr.getvalue() == "Runtime error: interrupted (9)\n"
        assert await shell.run(Statement("select 'fine'", 1))
        assert shell.output.stdout.getvalue().endswith("fine\n")


async def test_second_interrupt_stops_a_write_in_a_transaction(monkeypatch):
    monkeypatch.setattr(interrupts, "PATIENCE", 0.01)
    async with heeding() as shell:
        for sql in ("create table t (a)", "begin", "insert into t values (1)"):
            assert await shell.run(Statement(sql, 1))
        told = []

        def tell(text):
            told.append(text)
            press()

        monkeypatch.setattr(shell.interrupts, "_tell", tell)
        with pytest.raises(Interrupted):
            await shell.run(
                Statement(f"insert into t select press() union all select * from ({FOREVER})", 1)
            )
        assert told == [interrupts.HINT]
        # SQLite undoes the whole transaction, as the hint says.
        assert not shell.db.in_transaction
        assert await shell.run(Statement("select count(*) from t", 1))
        assert shell.output.stdout.getvalue() == "0\n"


async def test_one_interrupt_lets_a_write_in_a_transaction_end(monkeypatch):
    monkeypatch.setattr(interrupts, "PATIENCE", 0.01)
    async with heeding() as shell:
        told = threading.Event()
        monkeypatch.setattr(shell.interrupts, "_tell", lambda text: told.set())
        await shell.db.create_function("hold", 0, lambda: told.wait(SECONDS) and 2)
        for sql in ("create table t (a)", "begin"):
            assert await shell.run(Statement(sql, 1))
        with pytest.raises(Interrupted):
            await shell.run(Statement("insert into t select press() + hold()", 1))
        assert shell.db.in_transaction
        assert await shell.run(Statement("select a from t", 1))
        assert shell.output.stdout.getvalue() == "3\n"


async def test_interrupt_between_two_statements_stops_the_next():
    async with heeding() as shell:
        press()
        with pytest.raises(Interrupted):
            await shell.run(Statement(FOREVER, 1))
        press()
        with pytest.raises(KeyboardInterrupt):
            await FileLines(io.StringIO("line\n"), shell.interrupts).read("", "", False)
        assert (
            await FileLines(io.StringIO("line\n"), shell.interrupts).read("", "", False) == "line"
        )


async def test_interrupt_ends_what_is_being_read(tmp_path):
    script = tmp_path / "a.sql"
    script.write_text("select 'before';\nselect press();\nselect 'after';\n")
    async with heeding() as shell:
        with pytest.raises(Interrupted):
            await Script(shell).feed(f".read {script}")
        assert "before" in shell.output.stdout.getvalue()
        assert "after" not in shell.output.stdout.getvalue()


async def test_interrupted_import_leaves_nothing(tmp_path, monkeypatch):
    rows = tmp_path / "i.csv"
    rows.write_text("1\n2\n")
    async with heeding() as shell:
        # The rows wait until Ctrl-C was heard, else they may all be there before it is.
        heard = threading.Event()
        serve = shell.interrupts._serve
        monkeypatch.setattr(shell.interrupts, "_serve", lambda: serve() or heard.set())
        await shell.db.create_function("hold", 0, lambda: heard.wait(SECONDS))
        for sql in (
            "create table t (a)",
            "create trigger pressed after insert on t begin select press() + hold(); end",
        ):
            assert await shell.run(Statement(sql, 1))
        with pytest.raises(Interrupted):
            await Script(shell).feed(f".import --csv {rows} t")
        assert not shell.db.in_transaction
        assert await shell.db.execute_fetchall("select count(*) from t") == [(0,)]


@pytest.mark.parametrize("in_transaction", [False, True])
async def test_another_interrupt_does_not_stop_the_undoing(tmp_path, monkeypatch, in_transaction):
    rows = tmp_path / "i.csv"
    rows.write_text("1\n2\n")
    undo = Import.undo

    async def pressed_again(self, begun):
        for _ in range(2):
            heard.clear()
            press()
            while not heard.is_set():
                await asyncio.sleep(0)
        await undo(self, begun)

    heard = threading.Event()
    monkeypatch.setattr(Import, "undo", pressed_again)
    async with heeding() as shell:
        serve = shell.interrupts._serve
        monkeypatch.setattr(shell.interrupts, "_serve", lambda: serve() or heard.set())
        await shell.db.create_function("hold", 0, lambda: heard.wait(SECONDS))
        before = ["begin", "insert into t values ('before')"] if in_transaction else []
        for sql in (
            "create table t (a)",
            *before,
            "create trigger pressed after insert on t begin select press() + hold(); end",
        ):
            assert await shell.run(Statement(sql, 1))
        with pytest.raises(Interrupted):
            await Script(shell).feed(f".import --csv {rows} t")
        assert shell.db.in_transaction == in_transaction
        expected = [("before",)] if in_transaction else []
        assert await shell.db.execute_fetchall("select a from t") == expected


# -- what a terminal gets


async def screen(*lines, plain=False, mode="box"):
    """Return what lines print on a terminal."""
    stdout = Screen()
    shell = await session(stdout, interactive=True, plain=plain)
    shell.settings.set_mode(mode)
    for line in lines:
        await Script(shell).feed(line)
    await shell.close()
    assert shell.errors == 0, shell.stderr.getvalue()
    return stdout.getvalue()


def unstyled(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture
def colours(monkeypatch):
    """A terminal of a known kind."""
    pytest.importorskip("rich")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


async def test_rich_draws_tables(colours):
    shown = await screen("select 1 as number, 'text' as word, null as nil;")
    assert "\x1b[" in shown
    assert "│ number │ word │  nil │" in unstyled(shown)
    assert "│      1 │ text │ NULL │" in unstyled(shown)


async def test_rich_takes_no_text_for_markup(colours):
    shown = unstyled(await screen("select '[bold]x[/bold] :smile:' as \"[red]\";"))
    assert "│ [red]" in shown
    assert "│ [bold]x[/bold] :smile: │" in shown


async def test_rich_draws_every_row_of_a_long_result(colours):
    sql = "with recursive c(x) as (select 1 union all select x + 1 from c where x < 2500) select x from c;"
    shown = unstyled(await screen(sql))
    numbers = [int(number) for number in re.findall(r"│ +(\d+) │", shown)]
    assert numbers == list(range(1, 2501))


@pytest.mark.parametrize("mode", ["table", "qbox"])
async def test_rich_draws_the_other_tables(colours, mode):
    shown = unstyled(await screen("select 'a' as a, x'00' as b;", mode=mode))
    assert ("'a'" in shown) == (mode == "qbox")
    assert ("+" in shown) == (mode == "table")


async def test_plain_tables_where_that_is_asked_for(colours):
    assert "\x1b" not in await screen("select 1 as a;", plain=True)


async def test_plain_tables_without_rich(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.delitem(sys.modules, "csqlite.shell.pretty", raising=False)
    shown = await screen("select 1 as a, null as b;")
    assert shown == "┌───┬───┐\n│ a │ b │\n├───┼───┤\n│ 1 │   │\n└───┴───┘\n"


@pytest.mark.parametrize(
    "mode", ["list", "line", "column", "csv", "box", "quote", "insert", "html"]
)
@pytest.mark.parametrize("plain", [False, True])
async def test_terminal_does_not_act_upon_what_the_database_holds(mode, plain):
    sql = "select char(27) || '[31m' || char(7) || char(155) as \"\x1b]0;t\x07\", x'1b5b' as b;"
    shown = unstyled(await screen(sql, mode=mode, plain=plain))
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", shown.replace("\x1b[?25", ""))
    assert "^[[31m^G\\x9b" in shown


async def test_files_get_what_the_database_holds(tmp_path):
    path = tmp_path / "out"
    await screen(f".output {path}", "select char(27);", mode="list")
    assert path.read_text() == "\x1b\n"


def test_output_knows_whether_somebody_looks():
    assert Output(Screen()).is_terminal
    assert not Output(io.StringIO()).is_terminal


# -- editing with prompt_toolkit, within this process


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """Keys for a prompt, and the prompt, whose history is in a directory of its own."""
    pytest.importorskip("prompt_toolkit")
    monkeypatch.setenv("CSQLITE_HISTORY", str(tmp_path / "history"))
    keys = importlib.import_module("prompt_toolkit.input")
    prompting = importlib.import_module("csqlite.shell.prompting")
    nowhere = importlib.import_module("prompt_toolkit.output").DummyOutput()
    with keys.create_pipe_input() as pipe:
        vocabulary = Vocabulary(["tables", "quit"])
        yield pipe, prompting.EditedLines(vocabulary, input=pipe, output=nowhere)


async def read(lines, begun=False):
    settings = Settings()
    return await lines.read(settings.prompt, settings.continuation, begun)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("select 1;\r", "select 1;"),
        ("select\r1;\r", "select\n1;"),
        ("select ';\r';\r", "select ';\n';"),
        (".tables\r", ".tables"),
        ("\r", ""),
        ("-- comment\r", "-- comment"),
    ],
)
async def test_enter_runs_what_is_complete(edited, keys, text):
    pipe, lines = edited
    pipe.send_text(keys)
    assert await read(lines) == text


async def test_tab_offers_what_the_vocabulary_knows(edited):
    pipe, lines = edited
    answer = asyncio.ensure_future(read(lines))
    pipe.send_text(".ta\t")
    while lines._session.default_buffer.text != ".tables":
        await asyncio.sleep(0.001)
    pipe.send_text("\r")
    assert await answer == ".tables"


async def test_enter_goes_on_with_what_has_begun(edited):
    pipe, lines = edited
    pipe.send_text("still not complete\r")
    assert await read(lines, begun=True) == "still not complete"


async def test_keys_that_end(edited):
    pipe, lines = edited
    pipe.send_text("selec\x03")
    with pytest.raises(KeyboardInterrupt):
        await read(lines)
    pipe.send_text("\x04")
    assert await read(lines) is None
    lines.close()


async def test_history_of_prompt_toolkit_is_plain_lines(edited):
    pipe, lines = edited
    path = history_path()
    pipe.send_text("select\r1;\r")
    await read(lines)
    assert path.read_text() == "select\n1;\n"
    pipe.send_text("\x1b[A\r")
    assert await read(lines) == "select\n1;"


def test_history_can_be_off(monkeypatch):
    monkeypatch.setenv("CSQLITE_HISTORY", "")
    assert history_path() is None


def test_standard_library_takes_the_same_arguments(tmp_path):
    """Since 3.12 `python -m sqlite3 [-h] [-v] [FILE [SQL]]` is a shell; csqlite's takes as much."""
    if sys.version_info < (3, 12):
        pytest.skip("sqlite3 has no shell before Python 3.12")
    for argv in (["x.db", "create table if not exists t (a)"], [":memory:", "selec"], ["--nosuch"]):
        theirs = subprocess.run(
            [sys.executable, "-m", "sqlite3", *argv], cwd=tmp_path, capture_output=True, check=False
        )
        assert run(tmp_path, *argv).returncode == theirs.returncode
