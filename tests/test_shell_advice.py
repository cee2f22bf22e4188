"""What the shell tells about statements: `.stats` and `.expert`."""

import re

import pytest
from shells import complaints, output, shell

import csqlite

TABLES = """
create table t (a, b, c, d);
create table u (x integer primary key, y text collate nocase, z);
create index ui on u (z);
create view v as select * from t where c = 1;
"""

has_counters = pytest.mark.skipif(
    "ENABLE_STMTVTAB" not in csqlite.compile_options, reason="SQLite has no table sqlite_stmt"
)


def counters(text):
    """Return {label: number} of what `.stats` prints."""
    return {label: int(number) for label, number in re.findall(r"^([^:\n|]+): +(\d+)", text, re.M)}


# -- .stats


@has_counters
async def test_counters_are_those_of_one_run():
    script = "insert into t values (1, 2, 3, 4), (5, 6, 7, 8);\n.stats on\n"
    select = "select * from t order by b;\n"
    out = await output(TABLES + script + select + select)
    first, second = (counters(part) for part in out.split("5|6|7|8\n")[1:])
    for found in (first, second):
        assert found["Number of times run"] == 1
        assert found["Fullscan Steps"] == 1
        assert found["Sort Operations"] == 1
        assert found["Autoindex Inserts"] == 0
    assert first["Virtual Machine Steps"] == second["Virtual Machine Steps"] > 0
    assert second["Page cache hits"] < 100


@has_counters
async def test_steps_alone():
    out = await output(TABLES + ".stats vmstep\nselect 1;\nselect count(*) from t;\n")
    assert re.fullmatch(r"1\nVM-steps: \d+\n0\nVM-steps: \d+\n", out)


async def test_columns_of_a_result():
    out = await output(TABLES + ".stats stmt\nselect y, z + 1 as n from u;\n")
    for line in (
        "Number of output columns:            2",
        "Column 0 name:                       y",
        "Column 0 declared type:              TEXT",
        "Column 1 name:                       n",
        "Column 1 origin name:                (null)",
    ):
        assert line.lower() in out.lower()


async def test_stats_alone_and_off():
    out = await output(TABLES + ".stats on\n.stats off\nselect 1;\n.stats\n")
    assert out.startswith("1\n")
    assert "Page cache hits:" in out
    assert "Virtual Machine" not in out


async def test_stats_of_what_fails_or_gives_nothing():
    result = await shell(stdin=TABLES + ".stats on\nselec;\ncreate table w (a);\ndrop table w;\n")
    assert result.err.startswith("Parse error near line")
    assert "Schema Heap Usage" in result.out
    assert "Not a boolean" in (await shell(stdin=".stats some\n")).err


# -- .expert

PLANS = [
    ("select * from t where a = 1", ["t(a)"]),
    ("select * from t where a = 1 and b = 2", ["t(a, b)"]),
    ("select * from t where b = 5 and c > 3", ["t(b, c)"]),
    ("select * from t where b = 1 and c = 2 and d > 3", ["t(b, c, d)"]),
    ("select * from t order by c", ["t(c)"]),
    ("select * from t order by c, d", ["t(c, d)"]),
    ("select * from t order by c desc, d", ["t(c, d DESC)"]),
    ("select a from t order by b, c, d", ["t(b, c, d)"]),
    ("select * from t, u where t.a = u.y and u.z = 5", ["t(a)"]),
    ("select * from t where a = 1 or b = 2", ["t(a)", "t(b)"]),
    ("select count(*) from t group by b", ["t(b)"]),
    ("select distinct c from t", ["t(c)"]),
    ("select max(d) from t", ["t(d)"]),
    ("select * from t where a is null", ["t(a)"]),
    ("select * from t where a in (1, 2, 3)", ["t(a)"]),
    ("select * from u where y = 'a'", ["u(y)"]),
    ("select * from u where y = 'a' collate binary", ["u(y COLLATE BINARY)"]),
    ("select * from t where a like 'x%'", ["t(a COLLATE NOCASE)"]),
    ("select * from t where a = :a and b > :b", ["t(a, b)"]),
    ("with q as (select * from t where b = 1) select * from q", ["t(b)"]),
    ("select * from v", ["t(c)"]),
    ("select * from u where x in (select a from t where b = 1)", ["t(b)"]),
    ("update t set a = 1 where c = 4", ["t(c)"]),
    ("delete from t where d between 1 and 4", ["t(d)"]),
    ("insert into u(y) select a from t where b = 1", ["t(b)"]),
    # Nothing would help.
    ("select * from t", []),
    ("select a, b from t", []),
    ("select * from u where x = 4", []),
    ("select * from u where z = 4", []),
    ("select * from t where lower(a) = 'x'", []),
    ("select 1", []),
    ("insert into t values (1, 2, 3, 4)", []),
    ("create table w (a)", []),
]


@pytest.mark.skipif(csqlite.sqlite_version_info < (3, 36), reason="plans were said otherwise")
@pytest.mark.parametrize(("sql", "expected"), PLANS)
async def test_expert_suggests(sql, expected):
    out = await output(f"{TABLES}.expert\n{sql};\nselect count(*) from t;\n")
    assert [
        line.partition(" ON ")[2] for line in out.splitlines() if line.startswith("CREATE")
    ] == [f"{index};" for index in expected]
    assert ("(no new indexes)" in out) is not expected
    assert bool(expected) is not out.startswith("(no new indexes)\n")
    assert out.endswith("\n0\n")  # The statement behind it is run, and this one is not.


@pytest.mark.skipif(csqlite.sqlite_version_info < (3, 36), reason="plans were said otherwise")
@pytest.mark.parametrize(("sql", "expected"), [case for case in PLANS if case[1]])
async def test_suggestions_are_used_when_they_are_followed(sql, expected):
    out = await output(f"{TABLES}.expert\n{sql};\n")
    made, plan = out.split("\n\n")[:2]
    names = re.findall(r"CREATE INDEX (\S+) ON", made)
    explained = await output(f"{TABLES}{made}\nexplain query plan {sql};\n")
    for line in plan.splitlines():
        assert line in explained
    assert all(name in plan for name in names)
    # And nothing more is suggested then.
    again = await output(f"{TABLES}{made}\n.expert\n{sql};\n")
    assert again.startswith("(no new indexes)")


async def test_expert_knows_what_analyze_has_found():
    # A column of two values is not worth looking up; SQLite knows that from ANALYZE alone.
    rows = (
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 500)"
        " insert into t select i, i % 2, i, i from n;\n"
    )
    index = "create index few on t (b);\n"
    script = f"{TABLES}{rows}{index}analyze;\n.expert\nselect * from t where b = 1 and a = 7;\n"
    out = await output(script)
    assert "t(a" in out


async def test_expert_of_other_schemas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = (
        "attach 'o.db' as o;\ncreate table o.far (a, b);\ncreate temp table near (a, \"b c\");\n"
        '.expert\nselect * from far where a = 1;\n.expert\nselect * from near where "b c" = 1;\n'
    )
    out = await output(script, "m.db")
    assert re.search(r"CREATE INDEX o\.far_idx_\w+ ON far\(a\);", out)
    assert re.search(r'CREATE INDEX "?temp"?\.near_idx_\w+ ON near\("b c"\);', out)


@pytest.mark.parametrize("sql", ["selec", "select * from nosuch", "select nosuch(a) from t"])
async def test_expert_of_what_is_not_understood(sql):
    printed = await complaints(f"{TABLES}.expert\n{sql};\n")
    assert printed.startswith("Parse error near line")


async def test_expert_leaves_the_database_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    await output(TABLES, "a.db")
    before = (tmp_path / "a.db").read_bytes()
    await output(".expert\ndelete from t where a = 1;\n", "a.db", "-readonly")
    assert (tmp_path / "a.db").read_bytes() == before
