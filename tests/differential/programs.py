"""Strategies that make programs: lists of lines of Python in the names of vocabulary.py.

A line stands alone: whatever lines are taken out of a program, it remains one. So Hypothesis
shrinks a failing program to the few lines that matter.
"""

import sqlite3
import sys

from hypothesis import strategies as st

CURSORS = ["c0", "c1", "c2"]
cursors = st.sampled_from(CURSORS)

SETUP = [
    (
        'db.executescript("create table t(a, b, c);'
        " create table k(id integer primary key, u text unique, n int not null default 0"
        " check(n < 100), ref int references k(id) deferrable initially deferred);"
        " create table s(i int, x text, r real, b blob, y any) strict;"
        " create table d(p dx_point, u DX_Upper, z [dx_none], f dx_raises, i dx_int(10), w dx_narrow,"
        ' q date, v timestamp, n [dx_nested]);")'
    ),
    "db.execute(\"insert into t values(1, 'x', 1.5), (2, 'y', x'00ff'), (3, null, 'é')\")",
    "db.execute(\"insert into k(id, u) values(1, 'one'), (2, 'two')\")",
    (
        "db.execute(\"insert into d values('1;2', 'abc', 'z', 'f', '12', 'w', '2020-01-02',"
        " '2020-01-02 03:04:05.678', x'00')\")"
    ),
    "db.commit()",
]

GOOD = [
    "None",
    "0",
    "1",
    "-1",
    "2",
    "2**31",
    "2**53+1",
    "2**63-1",
    "-2**63",
    "True",
    "False",
    "0.0",
    "-0.0",
    "1.5",
    "1e308",
    "inf",
    "nan",
    "''",
    "'abc'",
    "'é€😀'",
    "'a\\0b'",
    "b''",
    "b'\\0\\xff'",
    "bytearray(b'ba')",
    "memoryview(b'mv')",
    "memoryview(bytearray(6)).cast('H')",
    "array('i', [1, 2])",
    "Int(5)",
    "Str('s')",
    "Bytes(b'x')",
    "Float(2.5)",
    "Color.RED",
    "Word.A",
    "AdaptedInt(3)",
    "Conform('1')",
    "Adapted(1)",
    "date(2020, 1, 2)",
    "datetime(2020, 1, 2, 3, 4, 5, 678)",
]
BAD = [
    "2**63",
    "-2**63-1",
    "2**100",
    "Int(2**64)",
    "'\\ud800'",
    "Str('\\ud800')",
    "memoryview(b'abcdef')[::2]",
    "Conform(Conform(1))",
    "Conform(None)",
    "Conform(2**63)",
    "Conform('\\ud800')",
    "Conform(Plain())",
    "ConformRaises()",
    "ConformRaises(TypeError)",
    "ConformRaises(AttributeError)",
    "ConformRaises(ProgrammingError)",
    "Adapted(Plain())",
    "Adapted(Adapted(1))",
    "Adapted(Conform(1))",
    "AdaptedChild(1)",
    "AdaptedRaises()",
    "AdaptedRaises(TypeError)",
    "AdaptedRaises(MemoryError)",
    "Plain()",
    "Index()",
    "Decimal('1.5')",
    "[]",
    "(1,)",
    "{}",
    "1j",
    "...",
    "int",
    "range(3)",
    "iter([])",
]
good = st.sampled_from(GOOD)
values = st.one_of(good, good, good, st.sampled_from(BAD))


def joined(items, opening="(", closing=")"):
    text = ", ".join(items)
    return f"{opening}{text}{',' if opening == '(' and len(items) == 1 else ''}{closing}"


def sequences(size):
    """Sequences of `size` values, of many types; rarely one of another size."""
    sizes = st.one_of(*[st.just(size)] * 9, st.integers(0, 4))
    items = sizes.flatmap(lambda n: st.lists(values, min_size=n, max_size=n))
    return st.one_of(
        items.map(joined),
        items.map(joined),
        items.map(joined),
        items.map(lambda x: joined(x, "[", "]")),
        items.map(lambda x: f"Tuple({joined(x, '[', ']')})"),
        items.map(lambda x: f"List({joined(x, '[', ']')})"),
        items.map(lambda x: f"deque({joined(x, '[', ']')})"),
        items.map(lambda x: f"Length({len(x)}, {joined(x)})"),
        st.sampled_from(
            [
                "'ab'",
                "'a'",
                "b'ab'",
                "range(2)",
                "range(1)",
                "array('i', [1, 2])",
                "Pair(1, 2)",
                "bytearray(b'x')",
                "memoryview(b'xy')",
                "Length(2, (1,))",
                "Length(1, (1, 2))",
                "Length(1, error=IndexError)",
                "Length(None)",
                "Length(-1)",
                "{1, 2}",
                "{1}",
                "frozenset()",
                "iter([1])",
                "(x for x in [1, 2])",
                "None",
                "5",
                "Plain()",
                "{1: 2}.keys()",
                "dict",
            ]
        ),
    )


def mappings(names):
    """Dicts with a value for each name; rarely one is missing, or there are others."""

    def filled(drawn):
        items, left_out, more, kind = drawn
        pairs = [f"{name!r}: {item}" for name, item in zip(names, items)]
        if left_out < len(pairs):
            del pairs[left_out]
        text = "{" + ", ".join(pairs + more) + "}"
        return f"{kind}({text})" if kind else text

    return st.tuples(
        st.lists(values, min_size=len(names), max_size=len(names)),
        st.integers(0, 12),
        st.lists(st.sampled_from(["'more': 1", "1: 2", "None: 3", "':a': 4", "Str('a'): 5"])),
        st.sampled_from(["", "", "", "dict", "Missing", "MissingRaises"]),
    ).map(filled)


# Placeholders in order, and the names that SQLite gives them.
BINDING = [
    ("select ?", [None]),
    ("select ?, ?", [None, None]),
    ("values(?), (?)", [None, None]),
    ("select typeof(?), ?", [None, None]),
    ("select typeof(?1), ?1, quote(?1)", ["1"]),
    ("select ?2", ["1", "2"]),
    ("select ?3, ?", [None] * 4),
    ("select :a", ["a"]),
    ("select :a, :b, :a", ["a", "b"]),
    ("select @a, $b", ["a", "b"]),
    ("select $a::b(c)", ["a::b(c)"]),
    ("select ?, :a", [None, "a"]),
    ("select :é", ["é"]),
    ("select '?', ? -- ?", [None]),
    ("select /* :x */ :a", ["a"]),
    ("select [:x], \"?\", :a from (select 1 as [:x], 2 as '?')", ["a"]),
    ("select 1", []),
    ("select null where ? is null", [None]),
    ("insert into t values(?, ?, ?)", [None] * 3),
    ("insert into t(a) values(:a)", ["a"]),
    ("insert into k(u, n) values(?, ?)", [None] * 2),
    ("insert into s(i) values(?)", [None]),
    ("insert into s(x, r) values(?, ?)", [None] * 2),
    ("insert into s(b, y) values(?, ?)", [None] * 2),
    ("insert into t values(?, ?, 1) returning a, b", [None] * 2),
    ("update t set b = ? where a = ?", [None] * 2),
    ("delete from t where a = ?", [None]),
    ("insert into k(id, n) values(?, 1) on conflict do update set n = n + excluded.n", [None]),
    ("with x(v) as (values(?)) select v, typeof(v) from x", [None]),
    ("with x(v) as (values(?)) insert into t(a) select v from x", [None]),
    ("select * from t where a = ?", [None]),
    ("selct ?", [None]),
    ("select * from nothing where a = ?", [None]),
    ("create table v(x default (?))", [None]),
    ("pragma user_version = ?", [None]),
    ("select x from (select ? as x) limit ?", [None] * 2),
    ("explain select ?", [None]),
]

QUERIES = [
    "select 1",
    "select 1, 2.5, 'x', x'00', null",
    "select a from t order by rowid",
    "select * from t order by rowid",
    "select a, a from t order by rowid",
    "select count(*) from t",
    "select id, u from k order by id",
    "values(1), (2), (3)",
    "with recursive n(i) as (values(1) union all select i + 1 from n where i < 9) select i from n",
    "select 1 where 0",
    "select cast(x'ff41' as text)",
    "select cast(x'ff41' as text) as bad, 2",
    "select 'a' || char(0) || 'b'",
    "select 9e999, -9e999",
    "select abs(-9223372036854775808)",
    "select a, 10 / (a - 2) from t order by rowid",
    "select 1 as [a b]",
    "select 1 as ''",
    'select 1 as "é"',
    "select 1 as x, 2 as X",
    "pragma table_info(t)",
    "pragma user_version",
    "pragma nothing",
    "/* c */ select 5",
    "-- c\nselect 6",
    "  select 7 ;  ",
    "select 8; -- done",
    "select 9;;",
    "select changes(), total_changes()",
    "select last_insert_rowid()",
]
WRITES = [
    "insert into t values(4, 5, 6)",
    "insert into t select a + 10, b, c from t",
    "insert into t values(7, 8, 9) returning a",
    "insert into t(a) values(10), (11), (12) returning a, b",
    "insert or replace into k(id, u) values(1, 'other')",
    "insert or ignore into k(id, u) values(1, 'other')",
    "replace into k(id, u) values(9, 'nine')",
    "insert into k(id, u) values(1, 'x') on conflict(id) do update set n = n + 1 returning n",
    "insert into k(id, u) values(1, 'x') on conflict do nothing",
    "update t set b = a",
    "update t set b = a where a > 1 returning a, b",
    "update t set b = 1 where 0",
    "delete from t where a = 2",
    "delete from t where a > 100",
    "delete from t returning a",
    "with x as (select 1) insert into t(a) select * from x",
    "/* c */ insert into t values(0, 0, 0)",
    "-- c\ninsert into t values(0, 0, 1)",
    "INSERT INTO t DEFAULT VALUES",
    "  \n\tupdate t set c = 1",
    ";insert into t values(1, 1, 1)",
    "insert into t values(1, 2)",
]
REFUSED = [
    "insert into k(id, u) values(1, 'one')",
    "insert into k(u) values('one')",
    "insert into k(u, n) values('three', null)",
    "insert into k(u, n) values('three', 100)",
    "insert into k(u, ref) values('three', 77)",
    "insert into s(i) values('x')",
    "insert into s(r) values(x'00')",
    "insert or rollback into k(id) values(1)",
    "insert or abort into k(id) values(3), (1)",
    "insert or fail into k(id) values(4), (1)",
    "update k set id = 1",
    "update k set rowid = 'x'",
    "insert into t values(abs(-9223372036854775808), 1, 1)",
    "create table t(a)",
    "create table sqlite_x(a)",
    "drop table nothing",
    "drop view t",
    "alter table t add column a",
    "create unique index i on t(c)",
    "create index i on nothing(x)",
    "select nothing from t",
    "select * from nothing",
    "select nothing(1)",
    "select abs()",
    "select count(*), from t",
    "selct",
    "select 'unterminated",
    'select "unterminated',
    "select [unterminated",
    "select #",
    "select 1 2",
    "select (",
    "insert",
    "select 1; select 2",
    "select 1; insert into t values(1, 1, 1)",
    "insert into t values(1, 1, 1); select 1",
    "select 1; selct",
    "select 1\\0",
    "select 1; \\0",
    "\\0",
    "select '\\ud800'",
    "select 1 union select 1, 2",
    "select json('[')",
    "select x'0'",
    "select 1 limit 'x'",
    "pragma user_version = (",
    "select max(count(*)) from t",
    "select row_number() over (order by 1) + nothing",
    "select * from t where a in (1, 2",
    "attach ':memory:' as main",
    "detach nothing",
    "reindex nothing",
    "select zeroblob(2000000000)",
    "select load_extension('x')",
]
EMPTY = ["", " ", ";", ";;", "-- c", "/* c */", "/* unterminated", "-- c\n;", "\\n\\t"]
CONTROL = [
    "begin",
    "BEGIN IMMEDIATE",
    "begin exclusive",
    "begin deferred transaction",
    "commit",
    "end",
    "rollback",
    "savepoint a",
    "release a",
    "rollback to a",
    "release nothing",
]
DDL = [
    "create table if not exists n(x, y)",
    "create table n(x, y)",
    "drop table if exists n",
    "drop table n",
    "alter table t add column d default 4",
    "alter table t rename column b to bb",
    "alter table t rename to tt",
    "create index if not exists ix on t(a)",
    "create view if not exists w as select a from t",
    "create temp table tmp as select 1 as x",
    "create trigger if not exists g before delete on t begin select raise(abort, 'no'); end",
    "create trigger if not exists g before delete on t begin select raise(ignore); end",
    "create trigger if not exists g before delete on t begin select raise(rollback, 'gone'); end",
    "create trigger if not exists g before delete on t begin select raise(fail, 'éè'); end",
    "drop trigger if exists g",
    "vacuum",
    "reindex",
    "attach ':memory:' as extra",
    "create table extra.t(x)",
    "detach extra",
    "pragma user_version = 7",
    "pragma foreign_keys = on",
    "pragma foreign_keys",
    "pragma recursive_triggers = 1",
    "pragma defer_foreign_keys = on",
    "pragma query_only = 1",
    "pragma query_only = 0",
    "explain query plan select 1",
    "create virtual table nothing using nothing(x)",
    "create table n as select * from t",
]
TYPED = [
    "select p from d",
    "select p as x, u, i from d",
    "select z, q from d",
    "select q, v from d",
    "select f from d",
    "select n from d",
    "select w from d",
    "select max(p) from d",
    "select p || '' from d",
    'select p as "p [dx_upper]" from d',
    "select 'ab' as \"x [dx_upper]\"",
    'select \'ab\' as "x [DX_UPPER]", 2 as "[dx_int]"',
    "select '1;2' as \"x [dx_point] y\"",
    "select '1;2' as \"x [dx_point\"",
    "select '1;2' as \"x dx_point]\"",
    "select '1;2' as \"[dx_raises][dx_point]\"",
    'select null as "x [dx_raises]"',
    'select 5 as "x [dx_int]", 5.5 as "y [dx_upper]", x\'61\' as "z [dx_upper]"',
    "select 'x' as \"x [dx_int]\"",
    "select 'x' as \"x [dx_narrow]\"",
    "select 'x' as \"x [dx_nested]\"",
    "select 'x' as \"x [date]\"",
    "select '2020-01-02' as \"x [date]\", '2020-01-02 03:04:05' as \"y [timestamp]\"",
    "select '2020-01-02' as \"y [timestamp]\"",
    'select 1 as "x [nothing]"',
    'select 1 as " [dx_int]"',
    'select 1 as "  x [dx_int]"',
    "insert into d(p, u) values('3;4', 'q') returning p, u",
    "insert into d(u) values('q') returning u as \"u [dx_point]\"",
]


def quoted(sql):
    """Return SQL as a Python literal; what it has escaped itself stays so."""
    if "\\" in sql:
        return '"' + sql.replace('"', '\\"').replace("\n", "\\n") + '"'
    return repr(sql)


queries = st.sampled_from(QUERIES)
writes = st.sampled_from(WRITES)
refused = st.sampled_from(REFUSED)
empty = st.sampled_from(EMPTY)
control = st.sampled_from(CONTROL)
ddl = st.sampled_from(DDL)
typed = st.sampled_from(TYPED)
statements = st.one_of(queries, writes, refused, empty, control, ddl)


def calls(sql, target=cursors):
    """Lines that execute one statement at a cursor, or by the connection's shortcut."""

    def line(drawn):
        sql, cursor, shortcut = drawn
        if shortcut:
            return f"{cursor} = db.execute({quoted(sql)})"
        return f"{cursor}.execute({quoted(sql)})"

    return st.tuples(sql, target, st.booleans()).map(line)


def once(sql):
    """Lines that execute a statement and read all its rows."""
    return sql.map(lambda sql: f"db.execute({quoted(sql)}).fetchall()")


@st.composite
def bindings(draw):
    """Lines that execute a statement with parameters, and read all its rows."""
    sql, names = draw(st.sampled_from(BINDING))
    named = [name for name in names if name is not None]
    by_name = len(named) == len(names) and names and draw(st.integers(0, 3)) > 0
    if by_name:
        parameters = draw(mappings(named))
    elif draw(st.integers(0, 15)) == 0:
        parameters = draw(mappings(["a", "b"]))
    else:
        parameters = draw(sequences(len(names)))
    how = draw(st.integers(0, 5))
    if how == 0:
        return f"db.execute_insert({quoted(sql)}, {parameters})"
    if how == 1:
        return f"db.execute_fetchall({quoted(sql)}, {parameters})"
    return f"c0.execute({quoted(sql)}, {parameters}).fetchall()"


@st.composite
def many(draw):
    """Lines with executemany()."""
    sql, names = draw(st.sampled_from([item for item in BINDING if "returning" not in item[0]]))
    named = [name for name in names if name is not None]
    by_name = len(named) == len(names) and names
    row = st.deferred(lambda: mappings(named) if by_name else sequences(len(names)))
    rows = draw(st.lists(row, max_size=4))
    kind = draw(
        st.sampled_from(["[{}]", "[{}]", "iter([{}])", "raising({})", "({},)", "deque([{}])"])
    )
    odd = ["None", "5", "''", "{}", "{1: 2}", "'ab'", "[1]", "Plain()", "raising", "b'ab'"]
    given = draw(st.sampled_from(odd)) if draw(st.integers(0, 9)) == 0 else None
    if given is None:
        given = kind.format(", ".join(rows)) if rows else "[]"
    target = draw(st.sampled_from(["c0", "c1", "db"]))
    return f"{target}.executemany({quoted(sql)}, {given})"


@st.composite
def scripts(draw):
    """Lines with executescript()."""
    parts = draw(st.lists(statements, max_size=4))
    text = draw(st.sampled_from([";", "; ", ";\\n"])).join(parts)
    target = draw(st.sampled_from(["c0", "c1", "db"]))
    return f"{target}.executescript({quoted(text)})"


fetches = st.tuples(
    cursors,
    st.sampled_from(
        [
            "{}.fetchone()",
            "{}.fetchone()",
            "{}.fetchall()",
            "{}.fetchmany()",
            "{}.fetchmany(2)",
            "{}.fetchmany(size=2)",
            "{}.fetchmany(0)",
            "{}.fetchmany(-1)",
            "{}.fetchmany(1000)",
            "next({})",
            "list({})",
            "{}.close()",
            "{}.arraysize = 2",
            "[tuple(r) for r in {}]",
        ]
    ),
).map(lambda drawn: drawn[1].format(drawn[0]))

cursor_lines = cursors.map(lambda name: f"{name} = db.cursor()")

FACTORIES = [
    "None",
    "Row",
    "dict_factory",
    "list_factory",
    "none_factory",
    "raising_factory",
    "picky_factory",
    "narrow_factory",
    "5",
    "tuple",
    "dict",
    "lambda c, r: r[::-1]",
    "lambda c, r: {}[1]",
    "lambda c, r: Row(c, r)",
    "lambda c, r: len(c.description)",
]
TEXTS = [
    "str",
    "bytes",
    "bytearray",
    "upper_text",
    "raising_text",
    "5",
    "None",
    "Str",
    "int",
    "lambda b: b.decode('latin-1')",
    "lambda b: [b]",
    "OptimizedUnicode if 0 else str",
]
row_factories = st.tuples(st.sampled_from([*CURSORS, "db", "db"]), st.sampled_from(FACTORIES)).map(
    lambda drawn: f"{drawn[0]}.row_factory = {drawn[1]}"
)
text_factories = st.sampled_from(TEXTS).map(lambda text: f"db.text_factory = {text}")
rows = st.tuples(cursors, cursors).map(
    lambda drawn: (
        f"(lambda r, s: (r == s, r != s, r.keys(), r[0], r['a'], r['A'], r[-1], len(r), list(r)))"
        f"({drawn[0]}.fetchone(), {drawn[1]}.fetchone())"
    )
)

LEVELS = [
    "None",
    "''",
    "'DEFERRED'",
    "'IMMEDIATE'",
    "'EXCLUSIVE'",
    "'deferred'",
    "'Immediate'",
    "'x'",
    "5",
    "b''",
    "Str('DEFERRED')",
    "'\\ud800'",
    "'DEFERRED\\0'",
    "'DEFERRED '",
]
levels = st.sampled_from(LEVELS).map(lambda level: f"db.isolation_level = {level}")
endings = st.sampled_from(["db.commit()", "db.rollback()"])

CONTROLS = ["True", "False", "-1", "LEGACY_TRANSACTION_CONTROL", "1", "0", "None", "'x'", "5"]
autocommits = st.sampled_from(CONTROLS).map(lambda value: f"db.autocommit = {value}")

# Not None, which removes a function or an aggregate, where sqlite3 registers it.
FUNCTIONS = ["echo", "noted", "broken", "broken_base", "odd", "len", "5", "str"]
AGGREGATES = [
    "Sum",
    "NoStep",
    "NoFinalize",
    "InitRaises",
    "StepRaises",
    "FinalizeRaises",
    "FinalizeOdd",
    "5",
]
WINDOWS = [*AGGREGATES, "ValueRaises", "InverseRaises", "None"]
COLLATIONS = [
    "reverse",
    "length",
    "broken_collation",
    "text_collation",
    "none_collation",
    "huge_collation",
    "None",
    "5",
    "len",
]
AUTHORIZERS = [
    "None",
    "allow",
    "deny",
    "deny_b",
    "ignore_b",
    "deny_select",
    "deny_insert",
    "deny_transaction",
    "odd_authorizer",
    "broken_authorizer",
    "5",
]
numbers = st.sampled_from(["-1", "0", "1", "2", "1", "2"])
wide_numbers = st.sampled_from(["-2", "2**31", "'x'", "1.5", "None"])
callback_names = st.sampled_from(["'f'", "'F'", "'abs'", "'é'"])
odd_names = st.sampled_from(["''", "5", "b'f'", "'a\\0b'", "'\\ud800'", "'x' * 300", "None"])


@st.composite
def registrations(draw):
    """Lines that set or remove a callback."""
    kind = draw(st.integers(0, 8))
    name = draw(odd_names) if draw(st.integers(0, 11)) == 0 else draw(callback_names)
    number = draw(wide_numbers) if draw(st.integers(0, 11)) == 0 else draw(numbers)
    if kind <= 2:
        flags = draw(st.sampled_from(["", "", ", deterministic=True", ", deterministic=0"]))
        function = draw(st.sampled_from(FUNCTIONS))
        return f"db.create_function({name}, {number}, {function}{flags})"
    if kind == 3:
        return f"db.create_aggregate({name}, {number}, {draw(st.sampled_from(AGGREGATES))})"
    if kind == 4:
        return f"db.create_window_function({name}, {number}, {draw(st.sampled_from(WINDOWS))})"
    if kind == 5:
        return f"db.create_collation({name}, {draw(st.sampled_from(COLLATIONS))})"
    if kind == 6:
        return f"db.set_authorizer({draw(st.sampled_from(AUTHORIZERS))})"
    if kind == 7:
        handler = draw(st.sampled_from(["None", "go_on", "stop", "broken_progress", "5"]))
        steps = draw(st.sampled_from(["1", "10", "0", "-1", "'x'", "2**31"]))
        return f"db.set_progress_handler({handler}, {steps})"
    handler = draw(st.sampled_from(["None", "trace", "broken_trace", "5"]))
    return f"db.set_trace_callback({handler})"


USES = [
    "select f(1)",
    "select f()",
    "select f(1, 2)",
    "select f(1, 'x', 2.5, x'00', null)",
    "select f(a) from t order by rowid",
    "select sum(f(a)) from t",
    "select f(a) over (order by rowid) from t",
    "select f(a) over (order by rowid rows between 1 preceding and current row) from t",
    "select f(a) from t where 0",
    "select abs(-1)",
    "select é(1)",
    "select f(cast(x'ff' as text))",
    "select f('a' || char(0))",
    *[f"select f({number})" for number in range(20)],
    "select a from t order by b collate f",
    "select 'a' = 'b' collate F",
    "select b from t order by b collate é",
    "select max(a collate f) from t",
    "select b from t order by rowid",
    "select t.a, k.id from t, k order by t.rowid, k.id",
    "insert into t(a) select f(a) from t",
    "insert into t(a) values(f(1))",
    "update t set b = f(a)",
    "delete from t where f(a)",
    "create index fx on t(f(a))",
    "create table fg(x default (f(1)), y as (f(x)))",
    (
        "with recursive n(i) as (values(1) union all select i + 1 from n where i < 99)"
        " select count(*) from n"
    ),
]
uses = once(st.sampled_from(USES))

# Half-read results, and what happens to the table meanwhile.
PENDING = [
    "select a from t order by rowid",
    "select a, b from t order by rowid",
    "select rowid, a from t where a < 100 order by rowid",
    "select id, u from k order by id",
    "select a from t order by a desc",
    "values(1), (2), (3)",
    "with recursive n(i) as (values(1) union all select i + 1 from n where i < 300) select i from n",
    "insert into t(a) values(10), (11), (12) returning a, b",
    "update t set b = a returning a",
    "delete from t where a > 1 returning a",
]
MEANWHILE = [
    "insert into t values(4, 5, 6)",
    "insert into t values(0, 0, 0) returning a",
    "update t set a = a + 100 where a < 100",
    "delete from t where a = 2",
    "delete from t",
    "insert into k(u) values('meanwhile')",
    "insert or rollback into k(id) values(1)",
    "begin",
    "commit",
    "rollback",
    "savepoint a",
    "rollback to a",
    "release a",
    "drop table t",
    "drop table k",
    "alter table t add column z",
    "create table n(x)",
    "create index ix on t(a)",
    "vacuum",
    "select a from t order by rowid",
]

LARGE = [
    "with recursive n(i) as (values(1) union all select i + 1 from n where i < {}) select i from n",
    (
        "with recursive n(i) as (values(1) union all select i + 1 from n where i < {})"
        " select i, 'text ' || i, zeroblob(i), i / 2.0, null from n"
    ),
    (
        "with recursive n(i) as (values(1) union all select i + 1 from n where i < {})"
        " select i, printf('%.*c', 3000, 'x') from n"
    ),
    (
        "with recursive n(i) as (values(1) union all select i + 1 from n where i < {})"
        ' select i as "i [dx_int]", i || \';1\' as "p [dx_point]" from n'
    ),
]
FAILING = (
    "with recursive n(i) as (values(1) union all select i + 1 from n where i < 999)"
    " select abs(case i when {} then -9223372036854775808 else i end) from n"
)
large = st.one_of(
    st.tuples(st.sampled_from(LARGE), st.sampled_from([63, 64, 65, 128, 200, 2000])),
    st.tuples(st.just(FAILING), st.sampled_from([2, 64, 65, 66, 130, 500])),
).map(lambda drawn: drawn[0].format(drawn[1]))
large_fetches = st.tuples(
    cursors,
    st.sampled_from(
        [
            "{}.fetchone()",
            "{}.fetchmany(63)",
            "{}.fetchmany(64)",
            "{}.fetchmany(100)",
            "{}.fetchall()",
            "list({})",
            "next({})",
            "{}.arraysize = 70",
            "{}.fetchmany()",
        ]
    ),
).map(lambda drawn: drawn[1].format(drawn[0]))
large_factories = st.tuples(
    st.sampled_from([*CURSORS, "db"]),
    st.sampled_from(
        [
            "None",
            "Row",
            "dict_factory",
            "lambda c, r: r if r[0] != 64 else 1 / 0",
            "lambda c, r: r if r[0] != 100 else 1 / 0",
        ]
    ),
).map(lambda drawn: f"{drawn[0]}.row_factory = {drawn[1]}")

blobs = st.sampled_from(
    [
        "blob = db.blobopen('t', 'c', 2)",
        "blob = db.blobopen('t', 'c', 2, readonly=True)",
        "blob = db.blobopen('t', 'b', 1)",
        "blob = db.blobopen('t', 'a', 1)",
        "blob = db.blobopen('t', 'c', 99)",
        "blob = db.blobopen('t', 'nothing', 1)",
        "blob = db.blobopen('nothing', 'c', 1)",
        "blob = db.blobopen('t', 'c', 2, name='nothing')",
        "blob = db.blobopen('t', 'c', 2, name='main', readonly=1)",
        "blob = db.blobopen('t', 'c')",
        "blob = db.blobopen('t', 'c', 2**63)",
        "blob = db.blobopen('t', 'c', 'x')",
        "blob = db.blobopen('t', 'c\\0', 1)",
        "blob = db.blobopen('t', '\\ud800', 1)",
        "blob = db.blobopen(table='t', column='c', row=2)",
        'db.execute("update t set c = zeroblob(10) where a = 2")',
        "db.execute(\"update t set c = 'text' where a = 2\")",
        'db.execute("delete from t where a = 2")',
        "db.commit()",
        "db.rollback()",
        "blob.read()",
        "blob.read(1)",
        "blob.read(0)",
        "blob.read(-5)",
        "blob.read('x')",
        "blob.read(2**40)",
        "blob.write(b'x')",
        "blob.write(b'')",
        "blob.write(bytearray(b'abc'))",
        "blob.write(b'x' * 100)",
        "blob.write('x')",
        "blob.write(memoryview(b'abcdef')[::2])",
        "blob.seek(0)",
        "blob.seek(1)",
        "blob.seek(-1, 2)",
        "blob.seek(1, 1)",
        "blob.seek(5, 7)",
        "blob.seek(100)",
        "blob.seek(-1)",
        "blob.seek('x')",
        "blob.seek(2**40)",
        "blob.tell()",
        "len(blob)",
        "blob[0]",
        "blob[-1]",
        "blob[50]",
        "blob['x']",
        "blob[1.5]",
        "blob[Index()]",
        "blob[2**70]",
        "blob[0:1]",
        "blob[:]",
        "blob[::2]",
        "blob[5:2]",
        "blob[::0]",
        "blob[0] = 65",
        "blob[0] = 256",
        "blob[0] = -1",
        "blob[0] = b'x'",
        "blob[0] = 'x'",
        "blob[0] = None",
        "blob[99] = 1",
        "blob['x'] = 1",
        "blob[0:2] = b'zz'",
        "blob[0:2] = b'z'",
        "blob[0:2] = 'zz'",
        "blob[::2] = b'12345'",
        "blob.close()",
        "blob.close(1)",
        "blob.nothing",
        "c0.execute('select * from t order by rowid').fetchall()",
    ]
)

tools = st.sampled_from(
    [
        "db.interrupt()",
        "list(db.iterdump())",
        "db.getlimit(SQLITE_LIMIT_LENGTH)",
        "db.getlimit(99)",
        "db.getlimit(-1)",
        "db.getlimit('x')",
        "db.setlimit(SQLITE_LIMIT_SQL_LENGTH, 40)",
        "db.setlimit(SQLITE_LIMIT_SQL_LENGTH, 1000000)",
        "db.setlimit(SQLITE_LIMIT_LENGTH, 100)",
        "db.setlimit(SQLITE_LIMIT_LENGTH, 1000000)",
        "db.setlimit(SQLITE_LIMIT_COLUMN, 2)",
        "db.setlimit(SQLITE_LIMIT_VARIABLE_NUMBER, 1)",
        "db.setlimit(SQLITE_LIMIT_COMPOUND_SELECT, 1)",
        "db.setlimit(SQLITE_LIMIT_EXPR_DEPTH, 2)",
        "db.setlimit(SQLITE_LIMIT_ATTACHED, 0)",
        "db.setlimit(99, 1)",
        "db.setlimit(SQLITE_LIMIT_COLUMN, -1)",
        "db.setlimit(SQLITE_LIMIT_COLUMN, 'x')",
        "len(db.serialize())",
        "db.serialize(name='nothing')",
        "db.serialize(5)",
        "db.serialize(name='temp')",
        "db.deserialize(db.serialize())",
        "db.deserialize(b'x')",
        "db.deserialize('x')",
        "db.deserialize(bytearray(db.serialize()), name='main')",
        "db.execute('select ?, ?', (1, 2)).fetchall()",
        "db.execute('select 1 union select 2').fetchall()",
        "db.execute('select \\'' + 'x' * 200 + '\\'').fetchall()",
        "db.execute('select ?', ('x' * 200,)).fetchall()",
        "db.execute('select zeroblob(101)').fetchall()",
        "db.execute(\"select * from t\" + ' ' * 100).fetchall()",
        "db.executescript(\"select * from t;\" + ' ' * 100)",
        "db.backup(other)",
        "db.backup(other, pages=1, progress=backup_progress)",
        "db.backup(other, pages=0)",
        "db.backup(other, progress=broken_backup_progress)",
        "db.backup(other, progress=5)",
        "db.backup(other, name='nothing')",
        "db.backup(other, name='temp')",
        "db.backup(other, pages='x')",
        "db.backup(other, sleep='x')",
        "db.backup(db)",
        "db.backup()",
        "db.backup(None)",
        "other.execute('select count(*) from sqlite_master').fetchall()",
        "other.execute('create table if not exists o(x)')",
        "list(other.iterdump())",
        "other.execute('begin')",
        "other.close()",
        "other = connect(':memory:')",
    ]
)

# Deleting a factory, sqlite3 crashes when it needs it.
MISUSE = [
    "{d}.execute()",
    "{d}.execute(5)",
    "{d}.execute(None)",
    "{d}.execute(b'select 1')",
    "{d}.execute(Str('select 1'))",
    "{d}.execute('select 1', (), ())",
    "{d}.execute('select 1', nothing=1)",
    "{d}.executemany()",
    "{d}.executemany('select 1')",
    "{d}.executemany(5, [])",
    "{d}.executemany('select 1', [])",
    "{d}.executemany('select 1', [()])",
    "{d}.executemany('pragma user_version', [])",
    "{d}.executemany('', [()])",
    "{d}.executemany('select 1; select 2', [])",
    "{d}.executemany('insert into t values(?, 1, 1)', [], [])",
    "{d}.executescript()",
    "{d}.executescript(5)",
    "{d}.executescript(b'')",
    "{d}.executescript('select 1', 2)",
    "{d}.executescript('\\ud800')",
    "{d}.executescript('select 1;\\0')",
    "{d}.close(1)",
    "c0.fetchone(1)",
    "c0.fetchone(size=1)",
    "c0.fetchmany('x')",
    "c0.fetchmany(1, 2)",
    "c0.fetchmany(1.5)",
    "c0.fetchmany(2**40)",
    "c0.fetchmany(Index())",
    "c0.fetchmany(number=1)",
    "c0.fetchall(1)",
    "c0.arraysize = 'x'",
    "c0.arraysize = -1",
    "c0.arraysize = 1.5",
    "c0.arraysize = Index()",
    "c0.arraysize = None",
    "c0.description = 1",
    "c0.rowcount = 1",
    "c0.lastrowid = 1",
    "c0.connection = 1",
    "del c0.arraysize",
    "c0.nothing",
    "db.nothing",
    "db.total_changes = 1",
    "db.in_transaction = 1",
    "del db.isolation_level",
    "db.commit(1)",
    "db.rollback(1)",
    "db.commit(nothing=1)",
    "db.interrupt(1)",
    "db.cursor(5)",
    "db.cursor(1, 2)",
    "db.create_function()",
    "db.create_function('f')",
    "db.create_function('f', 1)",
    "db.create_function('f', 1, len, nothing=True)",
    "db.create_function('f', narg=1)",
    "db.create_function('f', 1, len, deterministic=Plain())",
    "db.create_aggregate('f', 1)",
    "db.create_aggregate('f', 1, Sum, 1)",
    "db.create_collation('f')",
    "db.create_collation('f', len, 1)",
    "db.create_window_function('f', 1)",
    "db.create_window_function('f', 1, Sum, 1)",
    "db.set_authorizer()",
    "db.set_authorizer(allow, 1)",
    "db.set_authorizer(nothing=allow)",
    "db.set_progress_handler()",
    "db.set_progress_handler(go_on)",
    "db.set_progress_handler(go_on, 1, 1)",
    "db.set_trace_callback()",
    "db.set_trace_callback(trace, 1)",
    "db.set_trace_callback(None)",
    "db.iterdump(1)",
    "db.serialize('main', 1)",
    "db.deserialize()",
    "db.deserialize(b'', 1)",
    "db.getlimit()",
    "db.setlimit(1)",
    "db.setlimit(1, 2, 3)",
    "c0.setinputsizes()",
    "c0.setinputsizes([1])",
    "c0.setoutputsize(1)",
    "c0.setoutputsize(1, 2)",
    "bool(c0), bool(db)",
    "db.execute_insert()",
    "db.execute_fetchall()",
]
# Some Pythons are built without these.
if hasattr(sqlite3.Connection, "load_extension"):
    MISUSE += [
        "db.enable_load_extension()",
        "db.load_extension()",
        "db.load_extension(5)",
        "db.load_extension('nothing')",
    ]
misuse = st.tuples(st.sampled_from(MISUSE), st.sampled_from(["c0", "c1", "db"])).map(
    lambda drawn: drawn[0].format(d=drawn[1])
)
closing = st.sampled_from(["db.close()", "c0.close()", "c1.close()"])

OPTIONS = {
    "isolation_level": LEVELS,
    "detect_types": [
        "0",
        "PARSE_DECLTYPES",
        "PARSE_COLNAMES",
        "PARSE_DECLTYPES | PARSE_COLNAMES",
        "'x'",
    ],
    "cached_statements": ["0", "1", "5", "-1", "'x'"],
    "timeout": ["0", "0.1", "'x'", "None", "Decimal(0)", "Index()"],
    "check_same_thread": ["False"],
    "uri": ["True", "0"],
    "nothing": ["'x'"],
}
if sys.version_info >= (3, 12):
    OPTIONS["autocommit"] = CONTROLS


def opening(*names, odd=False, database="':memory:'"):
    """The line that connects, with some of these options."""

    def line(drawn):
        chunk, options = drawn
        given = [f"{name}={value}" for name, value in options.items() if value]
        chunk = [f"iter_chunk_size={chunk}"] if chunk else []
        return f"db = connect({', '.join([database, *given, *chunk])})"

    def is_odd(name, value):
        return value in ODD_OPTIONS or (name == "autocommit" and value in ODD_CONTROLS)

    def choices(name):
        return [value for value in OPTIONS[name] if odd or not is_odd(name, value)]

    def bad(options):
        return [name for name in options if is_odd(name, options[name])]

    options = st.fixed_dictionaries(
        {
            name: st.one_of(st.just(""), st.sampled_from(choices(name)))
            for name in names
            if name in OPTIONS
        }
    ).map(lambda drawn: {x: y for x, y in drawn.items() if x not in bad(drawn)[1:]})
    return st.tuples(st.sampled_from([None, None, 1, 2]), options).map(line)


# What is refused; which of two such options is told of first is not compared.
ODD_OPTIONS = {"'x'", "5", "b''", "'\\ud800'", "'DEFERRED\\0'", "'DEFERRED '"}
ODD_CONTROLS = {"1", "0", "None"}


def by_other(lines):
    """The same lines, run by the other connection."""
    return lines.map(lambda line: line.replace("db.", "other."))


def programs(opening, *lines, longest=12, more=()):
    """Whole programs: a connection, tables with rows, three cursors, and some of the lines."""
    cursors = [f"{name} = db.cursor()" for name in CURSORS]
    body = st.lists(st.one_of(*lines), min_size=1, max_size=longest)
    return st.tuples(opening, body).map(
        lambda drawn: [drawn[0], *SETUP, *more, *cursors, *drawn[1]]
    )


pending = calls(st.sampled_from(PENDING))
meanwhile = once(st.sampled_from(MEANWHILE))
pragmas = once(
    st.sampled_from(["pragma journal_mode = wal", "pragma journal_mode = delete", "vacuum"])
)
autocommit = [autocommits] if sys.version_info >= (3, 12) else []

SUBJECTS = {
    "parameters": programs(opening("isolation_level"), bindings(), bindings(), many()),
    "statements": programs(
        opening("isolation_level", "autocommit", "cached_statements"),
        once(statements),
        once(statements),
        scripts(),
        endings,
        levels,
    ),
    "transactions": programs(
        opening("isolation_level", "autocommit"),
        *[once(control), once(writes), once(refused), endings, levels, scripts(), many()],
        *autocommit,
    ),
    "locks": programs(
        opening("isolation_level", "autocommit", database="path, timeout=0"),
        *[once(control), once(writes), endings, pragmas],
        *[by_other(once(control)), by_other(once(writes)), by_other(endings)],
        more=["other = connect(path, timeout=0)"],
    ),
    "types": programs(opening("detect_types"), once(typed), calls(typed), fetches, text_factories),
    "factories": programs(
        opening("detect_types"),
        *[calls(queries), calls(typed), fetches, fetches, text_factories, row_factories, rows],
    ),
    "cursors": programs(
        opening("isolation_level", "autocommit"),
        *[calls(queries), calls(writes), calls(statements), fetches, fetches, endings],
        cursor_lines,
    ),
    "interleaved": programs(
        opening("isolation_level", "autocommit"),
        *[pending, pending, meanwhile, meanwhile, fetches, fetches, endings],
    ),
    "large results": programs(
        opening("detect_types"),
        *[calls(large), large_fetches, large_fetches, large_fetches, large_factories],
        text_factories,
    ),
    "callbacks": programs(opening(), registrations(), registrations(), uses, uses),
    "blobs": programs(opening(), blobs, longest=16),
    "tools": programs(opening("isolation_level"), tools, once(writes), endings),
    "misuse": programs(
        opening(*OPTIONS, odd=True),
        *[misuse, misuse, misuse, closing, fetches, calls(queries), registrations(), tools, blobs],
    ),
}
