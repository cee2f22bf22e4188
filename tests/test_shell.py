"""The shell, within this process: arguments, output modes, dot-commands, errors and exit status.

What is expected is what SQLite's own shell (3.40) prints, but where a test says that it differs.
"""

import csv
import io
import json
import math
import os
import random
import struct
from pathlib import Path

import pytest
from shells import complaints, output, shell

import csqlite
from csqlite.shell import statements, values
from csqlite.shell.arguments import parse
from csqlite.shell.command import COMMANDS, Command, Commands, words
from csqlite.shell.modes import MODES
from csqlite.shell.tables import PIECE_ROWS
from csqlite.shell.vocabulary import Vocabulary

TABLE = """
create table t (a integer primary key, b text, c);
insert into t values (1, 'one', 1.5), (2, 'two words', null), (3, 'quo"te', x'4142'),
    (4, 'new' || char(10) || 'line', 1e100), (5, '', 9223372036854775807), (6, 'ünï', -0.0);
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A directory of its own, which is the current one and the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def file(home):
    """Make a file with this content and return its name."""

    def make(name, content):
        with open(home / name, "w", encoding="utf-8", newline="") as made:
            made.write(content)
        return name

    return make


# -- statements


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("select 1;", [("select 1;", 1)]),
        ("select 1; select 2;\n select 3", [("select 1;", 1), ("select 2;", 1), ("select 3", 2)]),
        (";;; ;select 1;;", [("select 1;", 1)]),
        ("select ';';\nselect 2;", [("select ';';", 1), ("select 2;", 2)]),
        ("select 'it''s; ';", [("select 'it''s; ';", 1)]),
        ('select ";", `;`, [;];', [('select ";", `;`, [;];', 1)]),
        ("-- c ; \nselect -- ;\n 1;", [("select -- ;\n 1;", 2)]),
        ("/* ; */ select /* ;\n */ 1;", [("/* ; */ select /* ;\n */ 1;", 1)]),
        ("/* a\n b */\nselect 1;", [("select 1;", 3)]),
        ("select 1 /", [("select 1 /", 1)]),
        ("select 'open\n;", [("select 'open\n;", 1)]),
        ("-- nothing", []),
        ("/* nothing", []),
        (
            "create trigger r after insert on t begin select 1; select ';'; end; select 2;",
            [
                ("create trigger r after insert on t begin select 1; select ';'; end;", 1),
                ("select 2;", 1),
            ],
        ),
    ],
)
def test_text_is_cut_into_statements(script, expected):
    splitter = statements.Splitter()
    found = []
    for number, line in enumerate(script.split("\n"), 1):
        found += splitter.feed(line + "\n", number)
    found += splitter.finish()
    assert [(statement.sql, statement.line) for statement in found] == expected
    assert not splitter.pending


def test_pending_tells_whether_a_statement_has_begun():
    splitter = statements.Splitter()
    for line, pending in [
        ("\n", False),
        ("-- c\n", False),
        ("/* c\n", True),
        ("*/\n", False),
        ("select\n", True),
        ("1; select\n", True),
        ("2;\n", False),
    ]:
        splitter.feed(line)
        assert splitter.pending is pending, line
    splitter.feed("select 'x")
    splitter.clear()
    assert not splitter.pending
    assert splitter.feed("select 1;")[0].sql == "select 1;"


def test_long_statements_are_read_in_linear_time():
    splitter = statements.Splitter()
    lines = [f"({number}, 'x;y'),\n" for number in range(20_000)]
    assert splitter.feed("insert into t values\n") == []
    for line in lines:
        assert splitter.feed(line) == []
    (statement,) = splitter.feed("(0, 'z');\n")
    assert statement.sql.count("\n") == 20_001


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select ?, ?5, :a, @b, $c", ["?", "?5", ":a", "@b", "$c"]),
        ("select ':a', \":b\", [:c], `:d` -- :e\n, /* :f */ :g", [":g"]),
        ("select a$b, 'it''s :x', x", []),
        ("select :über", [":über"]),
    ],
)
def test_parameters_are_found(sql, expected):
    assert statements.parameters(sql) == expected


async def test_parameters_found_are_those_that_sqlite_wants():
    letters = [
        "?",
        "?3",
        ":a",
        "@b",
        "'",
        '"',
        "--",
        "/*",
        "*/",
        " ",
        "\n",
        "[",
        "]",
        "1",
        "x",
        ",",
    ]
    chance = random.Random(1)
    tried = 0
    async with csqlite.connect(":memory:", isolation_level=None) as db:
        for _ in range(3000):
            sql = "select " + "".join(chance.choices(letters, k=8))
            try:
                program = await db.execute_fetchall("explain " + sql, Always())
            except csqlite.ProgrammingError:
                continue  # It has parameters without names, for which a mapping is no good.
            except csqlite.Error:
                continue
            wanted = sum(row[1] == "Variable" for row in program)
            tried += 1
            assert bool(statements.parameters(sql)) == bool(wanted), sql
    assert tried > 50


class Always(dict):
    def __missing__(self, name):
        return None


# -- values


def test_real_reads_back_as_the_same_number():
    chance = random.Random(1)
    for _ in range(5000):
        (number,) = struct.unpack("d", chance.randbytes(8))
        if math.isfinite(number):
            assert float(values.real(number)) == number


REALS = [0.0, -0.0, 1.0, -1.5, 0.1, 1e-5, 0.0001, 123456.789, 1e15, 1e16, 1e17, 1e100, 1e-300]


@pytest.mark.parametrize("number", [*REALS, math.inf, -math.inf])
async def test_real_has_the_form_that_sqlite_gives_it(number):
    if csqlite.sqlite_version_info < (3, 52) and abs(number) in (1e15, 1e16):
        pytest.skip("SQLite wrote an exponent earlier, when it had fewer digits")
    async with csqlite.connect(":memory:") as db:
        rows = await db.execute_fetchall("select cast(? as text)", (number,))
    assert values.real(number) == rows[0][0]


TEXTS = ["", "it's", "a\nb", "ü", "a\0b", b"", b"\0\xff'"]


@pytest.mark.parametrize(
    "value", [*TEXTS, *REALS, None, 0, -(2**63), 2**63 - 1, math.inf, -math.inf]
)
async def test_literal_reads_back_as_the_same_value(value):
    async with csqlite.connect(":memory:") as db:
        rows = await db.execute_fetchall(f"select {values.literal(value)}")
    assert rows[0][0] == value
    assert type(rows[0][0]) is type(value)


def test_width_is_that_on_a_terminal():
    assert values.width("abc") == 3
    assert values.width("ü") == 1
    assert values.width("u\u0308") == 1
    assert values.width("漢字") == 4
    assert values.padded("漢", 4) == "漢  "
    assert values.padded("ab", 5, ">") == "   ab"
    assert values.padded("ab", 5, "^") == " ab  "
    assert values.padded("abc", 2) == "abc"


def test_visible_text_has_nothing_that_a_terminal_acts_upon():
    assert values.visible("a\x1b[31mb\x07\x7f\x9b2J\r") == "a^[[31mb^G^?\\x9b2J^M"
    assert values.visible("tab\tline\nü漢") == "tab\tline\nü漢"


def test_identifiers_are_quoted_where_they_have_to_be():
    assert values.identifier("abc_1") == "abc_1"
    assert values.identifier("select") == '"select"'
    assert values.identifier("a b") == '"a b"'
    assert values.identifier('a"b') == '"a""b"'
    assert values.identifier("1a") == '"1a"'


async def test_keywords_are_what_sqlite_does_not_take_for_names():
    """Not every keyword needs quotes, but whatever needs them must be one."""
    async with csqlite.connect(":memory:") as db:
        for word in sorted({*csqlite.SQLITE_KEYWORDS, "ABC", "ROWID", "TRUE"}):
            try:
                await db.execute_fetchall(f"select 1 as {word} from (select 1) as {word}")
            except csqlite.OperationalError:
                assert word in csqlite.SQLITE_KEYWORDS


# -- output modes


MODES_OUTPUT = {
    "list": 'a|b|c\n1|one|1.5\n2|two words|\n3|quo"te|AB\n4|new\nline|1.0e+100\n'
    "5||9223372036854775807\n6|ünï|0.0\n",
    "tabs": 'a\tb\tc\n1\tone\t1.5\n2\ttwo words\t\n3\tquo"te\tAB\n4\tnew\nline\t1.0e+100\n'
    "5\t\t9223372036854775807\n6\tünï\t0.0\n",
    "csv": 'a,b,c\r\n1,one,1.5\r\n2,"two words",\r\n3,"quo""te",AB\r\n4,"new\nline",1.0e+100\r\n'
    '5,"",9223372036854775807\r\n6,"ünï",0.0\r\n',
    "ascii": "a\x1fb\x1fc\x1e1\x1fone\x1f1.5\x1e2\x1ftwo words\x1f\x1e"
    '3\x1fquo"te\x1fAB\x1e4\x1fnew\nline\x1f1.0e+100\x1e5\x1f\x1f9223372036854775807\x1e'
    "6\x1fünï\x1f0.0\x1e",
    "line": "    a = 1\n    b = one\n    c = 1.5\n\n    a = 2\n    b = two words\n    c = \n\n"
    '    a = 3\n    b = quo"te\n    c = AB\n\n    a = 4\n    b = new\nline\n    c = 1.0e+100\n\n'
    "    a = 5\n    b = \n    c = 9223372036854775807\n\n    a = 6\n    b = ünï\n    c = 0.0\n",
    "tcl": '"a" "b" "c"\n"1" "one" "1.5"\n"2" "two words" ""\n"3" "quo\\"te" "AB"\n'
    '"4" "new\\nline" "1.0e+100"\n"5" "" "9223372036854775807"\n'
    '"6" "\\303\\274n\\303\\257" "0.0"\n',
    "column": "a  b          c                  \n-  ---------  -------------------\n"
    "1  one        1.5                \n\n2  two words                     \n\n"
    '3  quo"te     AB                 \n\n4  new        1.0e+100           \n'
    "   line                          \n\n5             9223372036854775807\n\n"
    "6  ünï        0.0                \n",
    "markdown": "| a |     b     |          c          |\n|---|-----------|---------------------|\n"
    "| 1 | one       | 1.5                 |\n| 2 | two words |                     |\n"
    '| 3 | quo"te    | AB                  |\n| 4 | new       | 1.0e+100            |\n'
    "|   | line      |                     |\n| 5 |           | 9223372036854775807 |\n"
    "| 6 | ünï       | 0.0                 |\n",
    "html": "<TR><TH>a</TH>\n<TH>b</TH>\n<TH>c</TH>\n</TR>\n"
    "<TR><TD>1</TD>\n<TD>one</TD>\n<TD>1.5</TD>\n</TR>\n"
    "<TR><TD>2</TD>\n<TD>two words</TD>\n<TD></TD>\n</TR>\n"
    "<TR><TD>3</TD>\n<TD>quo&quot;te</TD>\n<TD>AB</TD>\n</TR>\n"
    "<TR><TD>4</TD>\n<TD>new\nline</TD>\n<TD>1.0e+100</TD>\n</TR>\n"
    "<TR><TD>5</TD>\n<TD></TD>\n<TD>9223372036854775807</TD>\n</TR>\n"
    "<TR><TD>6</TD>\n<TD>ünï</TD>\n<TD>0.0</TD>\n</TR>\n",
}


@pytest.mark.parametrize("mode", MODES_OUTPUT)
async def test_output_mode(mode):
    script = TABLE + f".mode {mode}\n.headers on\nselect * from t;\nselect * from t where 0;\n"
    assert await output(script) == MODES_OUTPUT[mode]


async def test_table_mode():
    script = ".mode table\nselect 1 as a, 'text' as longer, null as c union all select 2, 'x', 3;\n"
    assert await output(script) == (
        "+---+--------+---+\n"
        "| a | longer | c |\n"
        "+---+--------+---+\n"
        "| 1 | text   |   |\n"
        "| 2 | x      | 3 |\n"
        "+---+--------+---+\n"
    )


async def test_box_mode():
    script = "select 1 as a, 'two' || char(10) || 'lines' as b union all select 22, 'x';\n"
    assert await output(script, "-box") == (
        "┌────┬───────┐\n"
        "│ a  │   b   │\n"
        "├────┼───────┤\n"
        "│ 1  │ two   │\n"
        "│    │ lines │\n"
        "├────┼───────┤\n"
        "│ 22 │ x     │\n"
        "└────┴───────┘\n"
    )


async def test_qbox_mode_shows_literals():
    out = await output("select 'it''s' as a, null as b, x'ff' as c, 1.5 as d;\n", "-qbox")
    assert "│ 'it''s' │ NULL │ X'ff' │ 1.5 │" in out


async def test_wrapping():
    script = "select 1 as a, 'some long text with words that is long' as b;\n"
    plain = await output(".mode box --wrap 10\n" + script)
    assert (
        "│ 1 │ some long  │\n│   │ text with  │\n│   │ words that │\n│   │  is long   │\n" in plain
    )
    words_only = await output(".mode box --wrap 8 --wordwrap on\n" + script)
    assert "│ 1 │ some     │\n│   │ long     │\n│   │ text     │\n" in words_only
    assert await output(".mode box --wrap 5 --ww\n.mode\n") == (
        "current output mode: box --wrap 5 --wordwrap on --noquote\n"
    )
    assert "┌─────┐" in await output(".mode box --quote\nselect 'a' as a;\n")


async def test_csv_reads_back(home):
    script = TABLE + "insert into t values (7, 'a,b;c|d', 'x'), (8, ' ', '\"');\nselect b from t;\n"
    rows = list(csv.reader(io.StringIO(await output(script, "-csv"), newline="")))
    expected = ["one", "two words", 'quo"te', "new\nline", "", "ünï", "a,b;c|d", " "]
    assert [row[0] for row in rows] == expected


async def test_json_reads_back():
    rows = json.loads(await output(TABLE + "select * from t;\n", "-json"))
    assert [row["a"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[1] == {"a": 2, "b": "two words", "c": None}
    assert rows[2]["c"] == "AB"
    assert rows[3] == {"a": 4, "b": "new\nline", "c": 1e100}
    assert rows[4]["c"] == 2**63 - 1


async def test_json_has_one_row_a_line_and_an_array_where_there_are_none():
    """SQLite's own shell prints nothing for a result without rows, which no parser takes."""
    assert await output("select 1 as a union select 2;\n", "-json") == '[{"a":1},\n{"a":2}]\n'
    assert await output("select 1 where 0;\ncreate table t (a);\n", "-json") == "[]\n"


async def test_json_of_what_is_no_text():
    script = "select x'00ff' as a, cast(x'61ff' as text) as b, 9e999 as c, -9e999 as d, 0.1 as e;\n"
    out = await output(script, "-json")
    assert out == '[{"a":"\\u0000\\u00ff","b":"a\ufffd","c":1e999,"d":-1e999,"e":0.1}]\n'
    assert json.loads(out)[0]["c"] == math.inf


@pytest.mark.parametrize("mode", ["insert", "quote"])
async def test_sql_reads_back(home, mode):
    """Text and numbers are written so that SQLite reads the same; its own shell is less exact."""
    out = await output(TABLE + ".mode insert copy\nselect * from t;\n")
    again = "create table copy (a, b, c);\n" + out + ".mode quote\nselect * from copy;\n"
    assert await output(again) == await output(TABLE + ".mode quote\nselect * from t;\n")
    assert "X'4142'" in out


async def test_insert_mode():
    script = ".mode insert\nselect 1 as a, 'x' as \"b c\";\n.headers on\n.mode insert my tab\n"
    result = await shell(stdin=script)
    assert result.out == "INSERT INTO \"table\" VALUES(1,'x');\n"
    assert result.err == "Error: extra argument: tab\n"
    script = '.mode insert "my tab"\n.headers on\nselect 1 as a, \'x\' as "b c";\n'
    assert await output(script) == 'INSERT INTO "my tab"(a,"b c") VALUES(1,\'x\');\n'


async def test_headers():
    script = "select 1 as a;\n.headers on\nselect 1 as a;\n.headers off\nselect 1 as a;\n"
    assert await output(script) == "1\na\n1\n1\n"
    assert await output("select 1 as a;\n", "-header") == "a\n1\n"
    assert await output("select 1 as a;\n", "-header", "-noheader") == "1\n"
    assert await output(".mode column\n.headers off\nselect 1 as abc;\n") == "1  \n"


async def test_separators_and_null():
    script = ".separator ; X\n.nullvalue nothing\nselect 1, null;\n"
    assert await output(script) == "1;nothingX"
    assert await output("select 1, null;\n", "-separator", "\t", "-nullvalue", "N") == "1\tN\n"
    assert await output("select 1;\nselect 2;\n", "-newline", "!") == "1!2!"
    # A mode brings its own.
    assert await output(".separator ;\n.mode csv\nselect 1, 2;\n.mode list\nselect 1, 2;\n") == (
        "1,2\r\n1|2\n"
    )


async def test_widths():
    script = ".mode column\n.width 5 -6\nselect 1 as a, 2 as b, 3 as c;\n.width\nselect 1 as a;\n"
    assert await output(script) == "a           b  c\n-----  ------  -\n1           2  3\na\n-\n1\n"


@pytest.mark.parametrize("mode", sorted(MODES))
async def test_every_mode_takes_many_rows_in_little_memory(mode):
    """No mode keeps more than a piece of a result."""
    rows = PIECE_ROWS * 2 + 10
    script = f"""
        with recursive c(x) as (select 1 union all select x + 1 from c where x < {rows})
        select x, case when x = {PIECE_ROWS + 5} then 'a wide one' else 'x' end as y from c;
    """
    out = await output(script, f"-{mode}")
    # The name of each row stands in it once.
    assert out.count("a wide one") == 1
    assert str(rows) in out
    if mode == "json":
        assert len(json.loads(out)) == rows


async def test_wider_rows_further_down_get_a_rule():
    script = f"""
        with recursive c(x) as (select 1 union all select x + 1 from c where x <= {PIECE_ROWS})
        select case when x > {PIECE_ROWS} then 'wide' else 'x' end as y from c;
    """
    lines = (await output(script, "-table")).splitlines()
    assert lines[:4] == ["+---+", "| y |", "+---+", "| x |"]
    assert lines[-4:] == ["| x |", "+------+", "| wide |", "+------+"]


async def test_explain_query_plan_is_a_tree():
    script = """
        create table p (a primary key, b); create index i on p (b);
        explain query plan select * from p where b in (select a from p where a > 1) order by a;
    """
    lines = (await output(script)).splitlines()
    assert lines[0] == "QUERY PLAN"
    assert lines[1].startswith("|--SEARCH p")
    assert any(line.startswith("|  `--") for line in lines)
    assert lines[-1].startswith("`--")


async def test_explain_is_a_listing_with_loops():
    out = await output("create table p (a);\nexplain select a from p where a > 1;\n")
    lines = out.splitlines()
    assert lines[0].split() == ["addr", "opcode", "p1", "p2", "p3", "p4", "p5", "comment"]
    assert lines[1].startswith("----  -------------  ----  ----")
    assert any("    Column  " in line for line in lines), "the loop is not indented"
    assert "  Rewind" in out


async def test_explain_can_be_had_as_rows():
    script = "create table p (a);\n.explain off\nexplain query plan select * from p;\n"
    assert (await output(script)).count("|") >= 3
    # A program that reads JSON gets JSON.
    out = await output("create table p (a);\nexplain query plan select * from p;\n", "-json")
    assert json.loads(out)[0]["detail"].startswith("SCAN")


async def test_eqp_shows_the_plan_first():
    script = "create table p (a);\ninsert into p values (5);\n.eqp on\nselect * from p;\n"
    assert await output(script) == "QUERY PLAN\n`--SCAN p\n5\n"


# -- errors and exit status


ERRORS = {
    "selec 1;": (
        'Parse error near line 1: near "selec": syntax error\n  selec 1;\n  ^--- error here\n'
    ),
    "\n\nselect 1,\n  absent;": (
        "Parse error near line 3: no such column: absent\n"
        "  select 1,   absent;\n              ^--- error here\n"
    ),
    "select * from nosuch;": "Parse error near line 1: no such table: nosuch\n",
    "select (": "Parse error near line 1: incomplete input\n",
    "select abs(-9223372036854775808);": "Runtime error near line 1: integer overflow\n",
    "create table u (a unique); insert into u values (1), (1);": (
        "Runtime error near line 1: UNIQUE constraint failed: u.a (19)\n"
    ),
    "select 1; select 2 3 4; select 5;": (
        'Parse error near line 1: near "3": syntax error\n'
        "  select 2 3 4;\n           ^--- error here\n"
    ),
    "select 'a long line before the mistake stands here', absent as x;": (
        "Parse error near line 1: no such column: absent\n"
        "  ect 'a long line before the mistake stands here', absent as x;\n"
        "                                      error here ---^\n"
    ),
    "select 'üüü', absent;": (
        "Parse error near line 1: no such column: absent\n"
        "  select 'üüü', absent;\n                ^--- error here\n"
    ),
    "select 'a\0b';": "Runtime error near line 1: the query contains a null character\n",
    'select "\udcff";': "Error near line 1: outside of texts in quotes SQL has to be UTF-8\n",
    "exit;": (
        'Parse error near line 1: near "exit": syntax error\n  exit;\n  ^--- error here\n'
        '  Did you mean ".exit"?\n'
    ),
}


@pytest.mark.parametrize("sql", ERRORS)
async def test_error_of_sql(sql):
    if csqlite.sqlite_version_info < (3, 38) and "error here" in ERRORS[sql]:
        pytest.skip("SQLite tells no offset before 3.38")
    assert await complaints(sql + "\n") == ERRORS[sql]


async def test_script_goes_on_after_an_error():
    result = await shell(stdin="select 1;\nselec 2;\nselect 3;\n")
    assert (result.status, result.out) == (1, "1\n3\n")


async def test_rest_of_a_line_behind_an_error_is_not_run():
    result = await shell(stdin="select 1; selec 2; select 3;\nselect 4;\n")
    assert (result.status, result.out) == (1, "1\n4\n")


@pytest.mark.parametrize("script", ["selec 2;", ".nosuch", ".read nosuch"])
async def test_bail_ends_a_script(script):
    result = await shell("-bail", stdin=f"select 1;\n{script}\nselect 3;\n")
    assert (result.status, result.out) == (1, "1\n")
    result = await shell(stdin=f".bail on\nselect 1;\n{script}\nselect 3;\n")
    assert (result.status, result.out) == (1, "1\n")


async def test_rows_before_an_error_are_printed():
    script = "select abs(column1) from (values (1), (2), (-9223372036854775808));\n"
    result = await shell("-json", stdin=script)
    assert result.status == 1
    assert result.out.endswith("]\n")
    assert result.err == "Runtime error near line 1: integer overflow\n"


async def test_exit_status_can_be_chosen():
    assert (await shell(stdin=".exit 7\nselect 1;\n")).status == 7
    assert (await shell(stdin="selec;\n.exit 0\n")).status == 0
    result = await shell(stdin="selec;\n.quit\n")
    assert result.status == 1
    assert (await shell(stdin=".quit 3\nselect 1;\n")).out == ""
    assert (await shell(stdin=".exit x\n")).err == 'Error: not a number: "x"\n'


async def test_an_interactive_shell_ends_well_whatever_was_typed():
    result = await shell("-interactive", stdin="selec;\nselect 2;\n")
    assert result.status == 0
    assert "Parse error: near" in result.err
    assert "sqlite> " in result.out


@pytest.mark.parametrize("argv", [["-nosuch"], ["--mode", "box"], ["-separator"], ["-json=1"]])
def test_wrong_arguments_end_with_status_2(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(argv)
    assert caught.value.code == 2
    assert "usage: python -m csqlite" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["-h", "--help", "-help", "-v", "--version", "-version"])
def test_help_and_version(option, capsys):
    with pytest.raises(SystemExit) as caught:
        parse([option])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert "--readonly" in printed if "h" in option else csqlite.sqlite_version in printed


async def test_database_that_cannot_be_opened(home):
    result = await shell("nowhere/x.db", "select 1")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        'Error: unable to open database "nowhere/x.db": unable to open database file\n'
    )


# -- the command line


async def test_sql_as_arguments(home):
    result = await shell(
        "x.db", "create table t (a); insert into t values (5)", ".tables", "select * from t"
    )
    assert (result.status, result.out, result.err) == (0, "t\n5\n", "")


async def test_first_argument_that_fails_is_the_last():
    result = await shell(":memory:", "select 1", "select * from nosuch", "select 3")
    assert (result.status, result.out) == (1, "1\n")
    assert result.err == "Parse error: no such table: nosuch\n"
    assert (await shell(":memory:", ".nosuch", "select 3")).out == ""


async def test_options_stand_anywhere(home):
    for argv in (
        ["-json", "x.db", "select 1 as a"],
        ["x.db", "--json", "select 1 as a"],
        ["x.db", "select 1 as a", "-json"],
    ):
        assert (await shell(*argv)).out == '[{"a":1}]\n'


async def test_options_of_sqlites_shell():
    assert (await shell("-cmd", ".mode quote", "-cmd", "select 'x'", stdin="select 'y';")).out == (
        "'x'\n'y'\n"
    )
    assert (await shell("-echo", stdin="select 1;\n.print x\n")).out == (
        "select 1;\n1\n.print x\nx\n"
    )


async def test_initial_file(home, file):
    file("init.sql", ".mode quote\nselect 'from init';\n")
    assert (await shell("-init", "init.sql", stdin="select 'x';")).out == "'from init'\n'x'\n"
    assert (await shell("-init", "nosuch", stdin="")).status == 1


async def test_users_file_is_for_people_not_for_scripts(home, file):
    file(".csqliterc", ".mode quote\n")
    assert (await shell(stdin="select 'x';")).out == "x\n"
    assert "'x'" in (await shell("-interactive", stdin="select 'x';")).out


async def test_readonly(home):
    await shell("x.db", "create table t (a)")
    result = await shell("-readonly", "x.db", "insert into t values (1)")
    assert (result.status, result.err) == (
        1,
        "Runtime error: attempt to write a readonly database (8)\n",
    )
    result = await shell("-readonly", "a?b#c.db", "select 1")
    assert result.status == 1
    assert not os.path.exists("a?b#c.db")
    assert (await shell("-readonly", "file:x.db?cache=private", "drop table t")).status == 1
    assert "r/o" in (await shell("-readonly", "x.db", ".databases")).out


async def test_uri(home):
    await shell("file:x.db?mode=rwc", "create table t (a)")
    assert os.listdir(home) == ["x.db"]
    assert (await shell("file:nosuch.db?mode=ro", "select 1")).status == 1


async def test_nothing_is_read_when_there_is_sql():
    assert (await shell(":memory:", "select 1", stdin="select 2;")).out == "1\n"


# -- lines


async def test_dot_commands_stand_at_the_beginning_of_a_line():
    result = await shell(stdin="  .tables\n")
    assert "Parse error near line 1" in result.err
    result = await shell(stdin="select 1; .tables\n")
    assert (result.out, result.status) == ("1\n", 1)


async def test_lines_that_are_no_sql():
    assert (
        await output("# comment\nselect 1\n/\nselect 2\nGO\n-- .tables\n/*\n.nosuch\n*/\n")
        == "1\n2\n"
    )


async def test_statement_without_semicolon_at_the_end():
    assert await output("select 1;\nselect 2") == "1\n2\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a b  c", ["a", "b", "c"]),
        ("a 'b c' \"d e\"", ["a", "b c", "d e"]),
        (r"""'a\tb' "a\tb" a\tb""", [r"a\tb", "a\tb", "a\tb"]),
        (r'"a\"b\\c\101"', ['a"b\\cA']),
        ("'' \"\"", ["", ""]),
        ("'open", ["open"]),
        ("", []),
    ],
)
def test_words_of_a_command(line, expected):
    assert words(line) == expected


def test_two_commands_cannot_have_one_name():
    commands = Commands()
    commands.add(Command("one", print, "The first"))
    with pytest.raises(ValueError, match="two commands .one"):
        commands.add(Command("two", print, "Another"), Command("one", print, "The second"))
    assert {name: command.name for name, command in COMMANDS.all.items()} == {
        name: name for name in COMMANDS.all
    }


async def test_commands_may_be_shortened():
    assert await output(".head on\n.mo csv\nselect 1 as a;\n") == "a\r\n1\r\n"
    assert await complaints(".s\n") == (
        'Error: ambiguous command: ".s" may be .save, .shell, .system, .schema, .separator, .show, .stats\n'
    )
    assert await complaints(".nosuch\n") == (
        'Error: unknown command or invalid arguments:  "nosuch". Enter ".help" for help\n'
    )
    assert (await shell(stdin=".\n")).status == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (".headers", "Usage: .headers on|off\n"),
        (".tables a b", "Usage: .tables ?PATTERN?\n"),
        (".separator", "Usage: .separator COL ?ROW?\n"),
        (".mode nosuch", f"Error: mode should be one of: {' '.join(MODES)}\n"),
        (".mode box --nosuch", "Error: unknown option: --nosuch\n"),
        (".mode box --wrap", "Error: missing argument on --wrap\n"),
        (".mode box --wrap x", 'Error: not a number: "x"\n'),
        (".width x", 'Error: not a number: "x"\n'),
        (".read nosuch.sql", 'Error: cannot open "nosuch.sql"\n'),
        (".read /", 'Error: cannot open "/"\n'),
        (".output /nonexistent/x", 'Error: cannot open "/nonexistent/x"\n'),
        (".cd /nonexistent", 'Error: "/nonexistent": No such file or directory\n'),
        (".schema a b", "Usage: .schema ?--indent? ?--nosys? ?LIKE-PATTERN?\n"),
        (".schema --nosuch", "Error: unknown option: --nosuch\n"),
        (".open --nosuch", "Error: unknown option: --nosuch\n"),
        (".backup", "Usage: .backup ?DB? FILE\n"),
        (".restore nosuch.db", 'Error: cannot open "nosuch.db"\n'),
        (".restore temp x", 'Error: only "main" can be restored\n'),
        (
            ".load /nonexistent/x",
            "Error: /nonexistent/x.so: cannot open shared object file: No such file or directory\n",
        ),
        (".help nosuch", "Nothing matches 'nosuch'\n"),
        (".import x", "Usage: .import FILE TABLE\n"),
        (".import --foo x y", "Error: unknown option: --foo\n"),
        (".import --skip", "Error: missing argument on --skip\n"),
        (".import nosuch t", 'Error: cannot open "nosuch"\n'),
        (".param set", None),
        (".param set x 1", "Error: a parameter begins with one of $ : @ ?, not x\n"),
    ],
)
async def test_command_that_fails(home, line, message):
    printed = await complaints(line + "\n")
    if message is not None:
        assert printed == message
    # A mistake leaves no half of it behind.
    assert (await shell(stdin=f"{line}\nselect 1, 2;\n")).out == "1|2\n"


async def test_what_is_neither_on_nor_off_is_off():
    result = await shell(stdin=".headers maybe\nselect 1 as a;\n")
    assert (result.status, result.out) == (0, "1\n")
    assert result.err == 'ERROR: Not a boolean value: "maybe". Assuming "no".\n'


# -- commands that show


SCHEMA = """
create table people (id integer primary key, name text not null, check (length(name) > 0));
create view grown as select name as "full name" from people;
create index by_name on people (name);
create trigger watch after insert on people begin select 1; end;
create table "odd name" (x);
attach ':memory:' as other;
create table other.far (q);
"""


async def test_tables_and_indexes():
    out = await output(SCHEMA + ".tables\n.tables p%\n.tables G*\n.indexes\n.indexes people\n")
    assert out == "grown      odd name   other.far  people   \npeople\ngrown\nby_name\nby_name\n"
    many = "".join(f"create table table_{number} (a);\n" for number in range(20))
    lines = (await output(many + ".tables\n")).splitlines()
    assert (
        lines[0].split() == ["table_0", "table_12", "table_16", "table_2", "table_6"][:0]
        or len(lines) == 3
    )
    assert lines[1].startswith("table_1")
    assert await output(".tables\n") == ""


async def test_schema():
    out = await output(SCHEMA + ".schema\n")
    assert out == (
        "CREATE TABLE people (id integer primary key, name text not null, check (length(name) > 0));\n"
        'CREATE VIEW grown as select name as "full name" from people\n/* grown("full name") */;\n'
        "CREATE INDEX by_name on people (name);\n"
        "CREATE TRIGGER watch after insert on people begin select 1; end;\n"
        'CREATE TABLE "odd name" (x);\n'
        "CREATE TABLE other.far (q);\n"
    )
    out = await output(SCHEMA + ".schema PEOPLE\n")
    assert out.splitlines()[0].startswith("CREATE TABLE people")
    assert len(out.splitlines()) == 3
    assert await output(SCHEMA + ".schema 'odd_name'\n") == 'CREATE TABLE "odd name" (x);\n'
    assert await output(SCHEMA + ".schema o*\n") == 'CREATE TABLE "odd name" (x);\n'


async def test_schema_indented():
    out = await output(SCHEMA + ".schema --indent people\n")
    assert out.startswith(
        "CREATE TABLE people (\n  id integer primary key,\n  name text not null,\n"
        "  check (length(name) > 0)\n);\n"
    )


async def test_schema_of_what_sqlite_makes():
    script = "create table t (a integer primary key autoincrement);\n.schema\n.schema --nosys\n"
    out = await output(script)
    assert out.count("sqlite_sequence") == 1
    script = "create table t (a);\ncreate view v as select * from t;\ndrop table t;\n.schema\n"
    assert await output(script) == "CREATE VIEW v as select * from t;\n"


async def test_databases(home):
    out = await output(".databases\nattach 'b.db' as b;\n.databases\n", "a.db")
    assert out == f"main: {home}/a.db r/w\nmain: {home}/a.db r/w\nb: {home}/b.db r/w\n"
    assert await output(".databases\n") == 'main: "" r/w\n'


async def test_dump_makes_the_database_anew(home):
    made = TABLE + SCHEMA.partition("attach")[0] + "update t set c = 1 where a = 6;\n"
    out = await output(made + ".dump\n")
    assert out.startswith("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n")
    assert out.endswith("COMMIT;\n")
    assert out.count("BEGIN TRANSACTION;") == out.count("COMMIT;") == 1
    again = ".mode quote\nselect * from t;\nselect type, name from sqlite_master order by 2;\n"
    assert await output(out + again) == await output(made + again)


async def test_dump_of_some_tables():
    script = "create table a (x);\ncreate table b (y);\ncreate table c (z);\n.dump a c\n"
    out = await output(script)
    assert "CREATE TABLE a" in out
    assert "CREATE TABLE b" not in out
    assert "CREATE TABLE c" in out
    assert out.count("COMMIT;") == 1


async def test_show():
    out = await output(".mode csv\n.width 3 -4\n.nullvalue 'a\"b'\n.show\n")
    settings = dict(line.split(": ", 1) for line in out.splitlines())
    settings = {name.strip(): value for name, value in settings.items()}
    assert settings["mode"] == "csv"
    assert settings["rowseparator"] == '"\\r\\n"'
    assert settings["nullvalue"] == '"a\\"b"'
    assert settings["width"] == "3 -4"
    assert settings["filename"] == ":memory:"
    assert settings["output"] == "stdout"


async def test_help_names_every_command():
    out = await output(".help\n")
    names = [line.split()[0] for line in out.splitlines()]
    wanted = """.backup .bail .changes .databases .dump .echo .exit .explain .headers .help .import .indexes
        .load .mode .nullvalue .once .open .output .parameter .print .quit .read .schema .separator
        .show .tables .timer .width"""
    assert set(wanted.split()) <= set(names)
    assert names == sorted(names)
    assert "--skip N" not in out
    assert "--skip N" in await output(".help import\n")
    assert "--skip N" in await output(".help -all\n")
    assert ".tables" in await output(".help .tables\n")
    assert ".separator" in await output(".help separators\n")


async def test_print_and_version():
    assert await output(".print a 'b  c' \"\\t\"\n.print\n") == "a b  c \t\n\n"
    assert csqlite.sqlite_version in await output(".version\n")


async def test_timer_and_changes():
    script = "create table t (a);\n.changes on\ninsert into t values (1), (2);\ndelete from t;\n"
    assert await output(script) == "changes: 2   total_changes: 2\nchanges: 2   total_changes: 4\n"
    out = await output(".timer on\nselect 1;\n")
    assert out.startswith("1\nRun Time: real 0.")
    assert " user " in out
    assert " sys " in out


async def test_timeout():
    assert await output(".timeout 1234\npragma busy_timeout;\n") == "1234\n"


# -- parameters


async def test_parameters():
    script = """.mode quote
.param set :x 5
.param set $y "hello"
.param set @z "'a'||'b'"
.param list
select :x, $y, @z, :nope;
.param unset :x
.param list
.param clear
.param list
.param init
select :x;
"""
    assert await output(script) == (
        "$y 'hello'\n:x 5\n@z 'ab'\n5,'hello','ab',NULL\n$y 'hello'\n@z 'ab'\nNULL\n"
    )


async def test_parameters_by_number():
    script = ".param set ?1 5\n.param set ?3 7\nselect ?, ?3, ?1, ?, ?2;\n"
    assert await output(".mode quote\n" + script) == "5,7,5,NULL,NULL\n"


# -- files


async def test_read(home, file):
    file("b.sql", ".print in b\nselect 'b'")
    file("a.sql", "select 'a';\n.read b.sql\nselec;\nselect 'a again';\n")
    result = await shell(stdin="select 1;\n.read a.sql\nselect 2;\n")
    assert result.out == "1\na\nin b\nb\na again\n2\n"
    assert result.err.startswith("Parse error near line 3 of a.sql: ")
    assert result.status == 1
    assert await output(".read '|echo \"select 7;\"'\n") == "7\n"


async def test_scripts_that_read_themselves_come_to_an_end(home, file):
    file("a.sql", ".read a.sql\n")
    assert await complaints(".read a.sql\n") == (
        "Error: scripts read one another more than 25 times\n"
    )


async def test_quit_in_a_script_ends_all(home, file):
    file("a.sql", ".exit 4\n")
    result = await shell(stdin=".read a.sql\nselect 1;\n")
    assert (result.status, result.out) == (4, "")


async def test_output_and_once(home):
    script = """.mode csv
.once once.csv
select 1, 2;
select 3;
.output all.txt
select 4;
.print five
.output
select 6;
.once | tr a-z A-Z > upper.txt
.print shout
.output off
select 7;
.output stdout
select 8;
"""
    assert await output(script) == "3\r\n6\r\n8\r\n"
    assert Path("once.csv").read_bytes() == b"1,2\r\n"
    assert Path("all.txt").read_bytes() == b"4\r\nfive\n"


async def test_output_goes_to_a_command(home):
    await output(".output '|cat > copied.txt'\nselect 'x';\n.output\n")
    assert Path("copied.txt").read_text() == "x\n"


async def test_command_that_reads_only_some_of_the_output(home):
    script = """.output '|head -n 2 > some.txt'
with recursive c(x) as (select 1 union all select x + 1 from c) select x from c;
.output
select 'after';
.once |true
select 1;
"""
    assert await output(script) == "after\n"
    assert Path("some.txt").read_text() == "1\n2\n"
    for mode in ("json", "box"):
        assert await output(f".mode {mode}\n" + script.replace("'after'", "1 where 0")) in (
            "",
            "[]\n",
        )


async def test_file_that_cannot_be_written(home):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    script = """.output /dev/full
with recursive c(x) as (select 1 union all select x + 1 from c where x < 20000) select x from c;
select 'after';
"""
    result = await shell(stdin=script)
    assert result.status == 1
    assert "after\n" in result.out
    message = 'Error: cannot write to "/dev/full": No space left on device\n'
    assert result.err == message
    # What fits into a buffer is not lost without a word.
    for script in (
        ".output /dev/full\nselect 1;\n",
        ".once /dev/full\n.print 1\n",
        ".output /dev/full\n.print 1\n.output\n",
        ".output /dev/full\n.print 1\n",
    ):
        assert await complaints(script) == message


async def test_bytes_that_are_no_text_come_out_as_they_went_in(home):
    await output(".output x.txt\nselect cast(x'61ff62' as text);\nselect x'fffe00ff';\n")
    assert Path("x.txt").read_bytes() == b"a\xffb\n\xff\xfe\n"


async def test_backup_and_restore(home):
    script = (
        TABLE
        + """.backup copy.db
delete from t;
.save main again.db
.restore copy.db
select count(*) from t;
.open copy.db
select count(*) from t;
.open again.db
select count(*) from t;
"""
    )
    assert await output(script) == "6\n6\n0\n"


async def test_open(home):
    script = """create table t (a);
.open x.db
.tables
create table u (a);
.open --readonly x.db
.tables
insert into u values (1);
.open --new x.db
.tables
.open nowhere/y.db
.print still
.databases
.open
.databases
"""
    result = await shell(stdin=script)
    assert result.out == f'u\nstill\nmain: {home}/x.db r/w\nmain: "" r/w\n'
    assert "readonly" in result.err
    assert 'unable to open database "nowhere/y.db"' in result.err


async def test_cd_and_shell(home):
    (home / "inner").mkdir()
    assert (
        await output(".cd inner\n.once here.txt\nselect 1;\n.shell cat here.txt > there.txt\n")
        == ""
    )
    assert (home / "inner" / "there.txt").read_text() == "1\n"
    result = await shell(stdin=".system exit 3\n")
    assert (result.status, result.err) == (0, "System command returns 3\n")


async def test_load(home):
    path = pytest.importorskip("sqlite_vec").loadable_path()
    out = await output(
        f".load {path}\nselect vec_length('[1, 2, 3]');\n.load {path} sqlite3_vec_init\n"
    )
    assert out == "3\n"
    # Only the command loads, not SQL.
    assert "not authorized" in await complaints(f".load {path}\nselect load_extension('{path}');\n")


# -- .import


CSV = 'a,b,c\n1,"x,y",z\n2,only\n3,p,q,r\n"4","he said ""hi""","multi\nline"\n'


async def test_import_makes_a_table(home, file):
    file("i.csv", CSV)
    result = await shell(stdin=".import --csv i.csv n\n.schema n\n.mode quote\nselect * from n;\n")
    assert result.out == (
        'CREATE TABLE "n"(\n"a" TEXT, "b" TEXT, "c" TEXT);\n'
        "'1','x,y','z'\n'2','only',NULL\n'3','p','q'\n'4','he said \"hi\"','multi\nline'\n"
    )
    assert result.err == (
        "i.csv:3: expected 3 columns but found 2 - filling the rest with NULL\n"
        "i.csv:4: expected 3 columns but found 4 - extras ignored\n"
    )
    assert result.status == 0


async def test_import_into_a_table(home, file):
    file("i.csv", CSV)
    script = """create table e (a integer primary key, b, c);
insert into e values (3, 'old', 'old');
.import --csv --skip 1 -v i.csv e
.mode quote
select * from e;
"""
    result = await shell(stdin=script)
    assert "1,'x,y','z'\n2,'only',NULL\n3,'old','old'\n4,'he said" in result.out
    assert "i.csv:4: INSERT failed: UNIQUE constraint failed: e.a\n" in result.err
    assert "Added 3 rows with 1 errors\n" in result.out
    assert result.status == 1


async def test_import_of_more_than_a_batch(home, file):
    lines = [f"{number % 2500},x" for number in range(5000)]
    file("big.csv", "\n".join(lines))
    result = await shell(
        stdin="create table t (a primary key, b);\n.import --csv big.csv t\nselect count(*) from t;\n"
    )
    assert result.out == "2500\n"
    failed = result.err.splitlines()
    assert len(failed) == 2500
    assert failed[0] == "big.csv:2501: INSERT failed: UNIQUE constraint failed: t.a"


async def test_import_follows_the_mode(home, file):
    file("i.txt", "a|b\n1|2\n")
    assert await output(".import i.txt k\nselect * from k;\n") == "1|2\n"
    file("i.tsv", "a\tb\n1\t2\n")
    assert await output(".mode tabs\n.import i.tsv k\n.mode list\nselect * from k;\n") == "1|2\n"
    file("i.asc", "a\x1fb\x1e1\x1f2\x1e")
    assert await output(".import --ascii i.asc k\nselect * from k;\n") == "1|2\n"
    assert "of one character" in await complaints(".separator ::\n.import i.txt k\n")


async def test_import_from_a_command_and_into_a_schema():
    script = """attach ':memory:' as other;
.import --csv --schema other '|echo a,b; echo 1,2' t
select * from other.t;
"""
    assert await output(script) == "1|2\n"


async def test_import_gives_columns_names(home, file):
    file("dup.csv", "a,A,,b\n1,2,3,4\n")
    result = await shell("-header", stdin=".import --csv dup.csv k\nselect * from k;\n")
    assert result.out == "a_1|A_2|?|b\n1|2|3|4\n"
    assert result.err == 'Columns of dup.csv renamed: "a_1", "A_2", "?", "b"\n'


async def test_import_of_nothing(home, file):
    file("empty.csv", "")
    assert await complaints(".import --csv empty.csv k\n") == "empty.csv: empty file\n"
    assert await output("create table k (a);\n.import --csv empty.csv k\nselect * from k;\n") == ""


async def test_import_in_an_open_transaction(home, file):
    file("i.csv", "1\n2\n")
    script = (
        "create table t (a);\nbegin;\n.import --csv i.csv t\nselect count(*) from t;\nrollback;\n"
    )
    assert await output(script + "select count(*) from t;\n") == "2\n0\n"


async def test_import_that_cannot_be_read_leaves_nothing(home):
    Path("bad.csv").write_bytes(b"1\n" * 3000 + b"\xff\n")
    script = "create table t (a);\n.import --csv bad.csv t\nselect count(*) from t;\n"
    result = await shell(stdin=script)
    assert result.out == "0\n"
    assert "cannot read bad.csv" in result.err


# -- completion


async def vocabulary(script):
    known = Vocabulary(["tables", "timer", "mode", "quit"])
    async with csqlite.connect(":memory:", isolation_level=None) as db:
        await db.executescript(script)
        await known.refresh(db)
    return known


async def test_completion():
    known = await vocabulary(SCHEMA)

    def offers(before, text=None):
        return known.complete(before, text if text is not None else before)

    assert offers(".t") == (2, [".tables", ".timer"])
    assert offers(".mode c") == (1, ["column", "csv"])
    assert offers(".tables p") == (1, ["people"])
    assert offers(".read p") == (1, [])
    assert "select" in offers("sel")[1]
    assert "SELECT" in offers("SEL")[1]
    assert offers("select * from peo") == (3, ["people"])
    assert '"odd name"' not in offers("select * from odd")[1]
    assert offers("select people.n") == (1, ["name"])
    assert offers("select p.", "select p. from people as p") == (0, ["id", "name"])
    assert offers("select p.i", "select p.i from people p") == (1, ["id"])
    assert offers("select nobody.x") == (1, [])
    assert offers("select na", "select na from people")[1][0] == "name"
    assert "abs(" in offers("select ab")[1]
    assert offers("select ") == (0, [])


async def test_completion_learns_of_changes_outside_transactions_only():
    known = Vocabulary([])
    async with csqlite.connect(":memory:", isolation_level=None) as db:
        await known.refresh(db)
        await db.execute("create table first_one (a)")
        await known.refresh(db)
        assert known.complete("fir", "fir")[1][:2] == ["first_one", "first"]
        await db.execute("begin")
        await db.execute("create table first_two (a)")
        await known.refresh(db)
        assert "first_two" not in known.complete("fir", "fir")[1]
        await db.execute("commit")
        await known.refresh(db)
        assert "first_two" in known.complete("fir", "fir")[1]


async def test_completion_knows_one_database_from_another():
    known = Vocabulary([])
    for table in ("first_one", "first_two"):
        async with csqlite.connect(":memory:", isolation_level=None) as db:
            await db.execute(f"create table {table} (a)")
            await known.refresh(db)
        assert known.complete("first_", "first_")[1][0] == table


async def test_completion_does_not_wait_for_a_locked_database(home):
    known = Vocabulary([])
    async with csqlite.connect("x.db", isolation_level=None) as one:
        await one.execute("create table t (a)")
        await one.execute("begin exclusive")
        async with csqlite.connect("x.db", isolation_level=None, timeout=60) as two:
            await known.refresh(two)
        await one.execute("rollback")
    assert known.complete("t", "t")[1][0] != "t"
