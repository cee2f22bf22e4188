"""What the shell is given: streams that are closed, bytes that are no UTF-8, numbers of any size."""

import os
import shutil
import subprocess
import sys

import pytest
from shells import complaints, output, shell

SECONDS = 60
PYTHON = f'"{sys.executable}" -m csqlite'


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A directory of its own, which is the current one and the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def process(*argv, stdin=b"", command=None):
    """Run the shell in a process; command: by a line for sh."""
    return subprocess.run(
        [sys.executable, "-m", "csqlite", *argv] if command is None else ["sh", "-c", command],
        input=stdin,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )


# -- streams


@pytest.mark.parametrize(
    ("line", "status", "out"),
    [
        ("a.db <&-", 0, ""),
        ("a.db 'select 1' <&-", 0, "1\n"),
        ("a.db 'select 1' >&-", 0, ""),
        ("a.db 'selec' >&-", 1, ""),
        ("a.db 'selec' 2>&-", 1, ""),
        ("a.db 'select 1' 2>&-", 0, "1\n"),
        ("a.db <&- >&- 2>&-", 0, ""),
        ("-help <&- >&- 2>&-", 0, ""),
        ("-nosuch 2>&-", 2, ""),
        ("a.db '.shell cat' <&-", 0, ""),
        ("a.db '.shell echo hidden' >&-", 0, ""),
        ("a.db .help 2>&- <&-", 0, None),
    ],
)
def test_streams_that_are_closed(home, line, status, out):
    done = process(command=f"{PYTHON} {line}")
    assert done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr
    if out is not None:
        assert done.stdout.decode() == out


def test_database_never_takes_the_place_of_a_closed_stream(home):
    script = "create table t (a); insert into t values ('kept')"
    lines = [
        f'{PYTHON} a.db "{script}" <&- >&- 2>&-',
        f"{PYTHON} a.db '.shell echo damage; echo damage >&2' <&- >&- 2>&-",
        f"{PYTHON} a.db 'select * from t; pragma integrity_check'",
    ]
    assert process(command="\n".join(lines)).stdout == b"kept\nok\n"


@pytest.mark.parametrize("mode", ["list", "box", "json", "insert"])
def test_reader_that_goes_away_is_no_error(home, mode):
    rows = "with recursive c(x) as (select 1 union all select x + 1 from c limit 200000) select x from c"
    command = f"{{ {PYTHON} -{mode} :memory: '{rows}'; echo $? >&2; }} | head -1"
    done = process(command=command)
    assert done.stderr == b"141\n"
    assert done.stdout.count(b"\n") == 1


def test_reader_of_the_errors_that_goes_away(home):
    script = "selec;\n" * 20000
    done = process(
        command=f"{{ {PYTHON} -batch; }} 2>&1 >/dev/null | head -1", stdin=script.encode()
    )
    assert done.stdout.startswith(b"Parse error near line 1")


def test_input_that_cannot_be_read(home):
    done = process(command=f"{PYTHON} 0>/dev/null")
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: ")
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_output_that_takes_no_more(home):
    done = process(command=f"{PYTHON} :memory: 'select 1' >/dev/full")
    assert (done.returncode, done.stderr) == (1, b"Error: [Errno 28] No space left on device\n")


def test_input_may_begin_with_a_mark(home):
    done = process(stdin=b"\xef\xbb\xbf.print one\nselect 2;\n")
    assert (done.stdout, done.stderr) == (b"one\n2\n", b"")


# -- bytes


@pytest.mark.parametrize(
    "script",
    [
        b"select hex('a\xff');",
        b"select hex('\xff'), hex('it''s \xfe'), hex('fine \xc3\xbc');",
        b"select hex('a\xff' || 'b\xc3');",
        b"select 'a\xff', '\xe9t\xe9';",
        b"-- a remark \xff\nselect 1;",
        b"select 1 /* \xff */ + 1;",
        b"select '--', '\xff', '/*', 2 - 1, 6 / 2;",
        b"create table t (a default 'x\xff'); insert into t default values; select hex(a) from t;",
        b"create table t (a); insert into t values ('\xff'); select hex(a) from t where a = '\xff';",
        b"select hex('\xed\xa0\x80');",
        b"select hex('\xf4\x90\x80\x80');",
    ],
)
def test_bytes_in_sql_that_are_no_utf8(home, script):
    done = process(stdin=script)
    assert (done.returncode, done.stderr) == (0, b"")
    if shutil.which("sqlite3"):
        theirs = subprocess.run(["sqlite3"], input=script, capture_output=True, check=False)
        assert done.stdout == theirs.stdout
    assert process(":memory:", script).stdout == done.stdout


def test_bytes_in_sql_for_a_database_of_utf16(home):
    script = b"pragma encoding='UTF-16';create table t (a);insert into t values ('a\xff');select a from t;"
    done = process(stdin=script)
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, "a\ufffd\n", b"")


def test_what_was_written_with_such_bytes_is_read_again(home):
    made = process("a.db", b"create table t (a); insert into t values (cast(x'61ff62' as text))")
    assert made.returncode == 0
    dumped = process("a.db", "-insert", "select a from t").stdout.replace(b'"table"', b"t")
    done = process("b.db", stdin=b"create table t (a);\n" + dumped + b"select hex(a) from t;\n")
    assert (done.stdout, done.stderr) == (b"61FF62\n", b"")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            b"select 1;\nselect \xff;",
            b"Error near line 2: outside of texts in quotes SQL has to be UTF-8",
        ),
        (b'\n\ncreate table "a\xff" (a);', b"Error near line 3: outside of texts in quotes SQL"),
        (b"select 'open \xff", b"Error near line 1: outside of texts in quotes SQL"),
        (b"create table t (a);\n.tables \xff", b"Error: an argument is not UTF-8"),
        (
            b".parameter set :a \xff\nselect :a;",
            b"Error near line 2: the value of a parameter is not UTF-8",
        ),
        (b".nosuch\xff", b"Error: unknown command"),
        (b".read no\xffsuch", b'Error: cannot open "no\\udcffsuch"'),
        (b".dump \xff", b"Error: an argument is not UTF-8"),
        (b".mode \xff", b"Error: mode should be one of"),
    ],
)
def test_bytes_that_nothing_can_be_made_of(home, script, message):
    done = process(stdin=script)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert b"codec" not in done.stderr


# -- numbers


HUGE = ["999999999999", "-999999999999", "9" * 25, "9" * 5000, "0x" + "f" * 40]


@pytest.mark.parametrize("number", HUGE)
@pytest.mark.parametrize(
    "line",
    [".width {}", ".width 1 {}", ".mode box --wrap {}", ".timeout {}", ".import --skip {} x t"],
)
async def test_numbers_of_any_size(home, line, number):
    (home / "x").write_text("a\n1\n")
    result = await shell(stdin=f".mode column\n{line.format(number)}\nselect 1, 2;\n")
    assert "Traceback" not in result.err
    assert len(result.out) < 200
    assert len(result.err) < 200
    assert result.err.startswith("Error: ") or "--skip" in line


@pytest.mark.parametrize("word", ["", "x", "1e3", "1.5", "1_0", "٣", "--", "0x", "1 2x"])
async def test_what_is_no_number(home, word):
    assert (await complaints(f'.timeout "{word}"\n')).startswith("Error: not a number")


@pytest.mark.parametrize(("word", "width"), [("10", 10), ("010", 10), ("0xa", 10), ("+10", 10)])
async def test_ways_to_write_a_number(word, width):
    out = await output(f".mode column\n.width {word}\nselect 1 as a;\n")
    assert out.splitlines()[1] == "-" * width


@pytest.mark.parametrize("number", ["9" * 25, "9" * 5000, "00000", "٣", "1"])
@pytest.mark.parametrize("command", ["headers", "explain", "timer", "bail", "changes", "echo"])
async def test_switches_take_numbers_of_any_size(command, number):
    result = await shell(stdin=f".{command} {number}\n.show\n")
    assert result.status == 0
    assert f"{command}: {'off' if number == '00000' else 'on'}" in result.out


@pytest.mark.parametrize("number", ["99999999999", "2000000000", "9" * 5000, "250001"])
async def test_parameters_with_numbers_of_any_size(number):
    printed = await complaints(f"select ?{number};\n")
    assert printed.startswith("Parse error near line 1: variable number must be between ?1 and")


@pytest.mark.parametrize(("word", "status"), [("256", 0), ("-1", 255), ("99999999999", 255)])
async def test_exit_status_of_any_size(word, status):
    assert (await shell(stdin=f".exit {word}\n")).status == status


# -- words


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("tabels", "tables"),
        ("TABLES", "tables"),
        ("shema", "schema"),
        ("qiut", "quit"),
        ("exti", "exit"),
        ("hlep", "help"),
        ("header_s", "headers"),
        ("databasse", "databases"),
        ("dmup", "dump"),
    ],
)
async def test_a_command_that_is_misspelt(name, meant):
    assert await complaints(f".{name}\n") == (
        f'Error: unknown command or invalid arguments:  "{name}". Did you mean ".{meant}"?\n'
    )


@pytest.mark.parametrize("word", ["exit", "quit", "EXIT", " exit ", "exit;", "quit ; "])
async def test_words_that_end_a_conversation(word):
    result = await shell("-interactive", stdin=f"{word}\nselect 'never';\n")
    assert (result.status, result.err) == (0, "")
    assert "never" not in result.out


@pytest.mark.parametrize("word", ["help", "Help;"])
async def test_help_without_its_dot(word):
    result = await shell("-interactive", stdin=f"{word}\nselect 'on';\n")
    assert ".tables" in result.out
    assert "on" in result.out
    assert result.err == ""


@pytest.mark.parametrize("word", ["exit", "quit", "help"])
async def test_a_script_is_told_of_the_dot(word):
    printed = await complaints(f"{word};\n")
    assert printed.endswith(f'  Did you mean ".{word}"?\n')
    result = await shell("-interactive", stdin=f"select 1 as\n{word}\n;\n")
    assert word in result.out  # In the middle of a statement it is a name.
