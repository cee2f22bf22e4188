"""Sessions and changesets: what is recorded, what applying it does, and what is done with bytes alone."""

import asyncio
import contextvars
import gc
import random
import threading
import weakref

import pytest

import csqlite
from csqlite import Changeset, no_change


def has_sessions():
    try:
        Changeset.concat()
    except csqlite.NotSupportedError:
        return False
    return True


@pytest.fixture(autouse=True)
def needs_sessions(request):
    if not has_sessions() and request.node.name != "test_without_sessions_there_is_a_clear_answer":
        pytest.skip("this SQLite has no sessions")


@pytest.mark.skipif(has_sessions(), reason="this SQLite has sessions")
async def test_without_sessions_there_is_a_clear_answer(db):
    for call in (
        db.session,
        lambda: db.apply_changeset(b""),
        lambda: Changeset.iter(b""),
        lambda: Changeset.invert(b""),
        csqlite.Rebaser,
    ):
        with pytest.raises(csqlite.NotSupportedError, match="an SQLite without sessions"):
            call()


SCHEMA = """
    CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, age REAL);
    CREATE TABLE tag (person INTEGER, word TEXT, note BLOB, PRIMARY KEY (person, word));
    INSERT INTO person VALUES (1, 'Ada', 36.5), (2, 'Bob', NULL), (3, 'Cyd', 20.0);
    INSERT INTO tag VALUES (1, 'x', x'00ff'), (2, 'y', NULL);
"""

EVERYTHING = """
    SELECT * FROM (SELECT 'p', id, name, age FROM person ORDER BY id)
    UNION ALL SELECT * FROM (SELECT 't', person, word, note FROM tag ORDER BY 2, 3)
"""


@pytest.fixture
def aiosqlite():
    return csqlite


@pytest.fixture
def other():
    return csqlite.connect(":memory:")


async def everything(db):
    return await db.execute_fetchall(EVERYTHING)


async def filled(db):
    await db.executescript(SCHEMA)
    return db


async def record(db, *statements, patchset=False):
    """Give the changeset of some statements, which are committed."""
    async with db.session() as session:
        await session.attach()
        for statement in statements:
            await db.execute(statement)
        await db.commit()
        return await (session.patchset() if patchset else session.changeset())


def changes(changeset, **options):
    return [change[:4] for change in Changeset.iter(changeset, **options)]


# -- recording


async def test_every_kind_of_change_is_recorded(db):
    await filled(db)
    changeset = await record(
        db,
        "INSERT INTO person VALUES (4, 'Dee', 1.5)",
        "UPDATE person SET name = 'Ann' WHERE id = 1",
        "DELETE FROM tag WHERE person = 1",
    )
    assert sorted(changes(changeset), key=repr) == [
        ("person", "INSERT", csqlite.SQLITE_INSERT, None),
        ("person", "UPDATE", csqlite.SQLITE_UPDATE, (1, "Ada", no_change)),
        ("tag", "DELETE", csqlite.SQLITE_DELETE, (1, "x", b"\0\xff")),
    ]
    by_op = {change.op: change for change in Changeset.iter(changeset)}
    assert by_op["INSERT"].new == (4, "Dee", 1.5)
    assert by_op["UPDATE"].new == (no_change, "Ann", no_change)
    assert by_op["DELETE"].new is None
    assert by_op["UPDATE"].primary_key == (True, False, False)
    assert by_op["DELETE"].primary_key == (True, True, False)
    assert not any(change.indirect for change in by_op.values())
    assert all(change.conflict is change.fk_conflicts is None for change in by_op.values())


async def test_a_row_changed_twice_is_one_change_and_one_changed_back_is_none(db):
    await filled(db)
    changeset = await record(
        db,
        "UPDATE person SET age = 1 WHERE id = 1",
        "UPDATE person SET age = 2 WHERE id = 1",
        "INSERT INTO person VALUES (9, 'x', 0)",
        "DELETE FROM person WHERE id = 9",
        "UPDATE person SET name = 'Bo' WHERE id = 2",
        "UPDATE person SET name = 'Bob' WHERE id = 2",
    )
    (change,) = Changeset.iter(changeset)
    assert (change.old, change.new) == ((1, no_change, 36.5), (no_change, no_change, 2.0))


async def test_a_patchset_has_only_the_keys_of_what_was(db):
    await filled(db)
    statements = "UPDATE person SET age = 1 WHERE id = 1", "DELETE FROM person WHERE id = 2"
    patchset = await record(db, *statements, patchset=True)
    update, delete = sorted(Changeset.iter(patchset), key=lambda change: change.opcode)[::-1]
    assert (update.op, update.old) == ("UPDATE", (1, no_change, no_change))
    assert (delete.op, delete.old) == ("DELETE", (2, no_change, no_change))


async def test_only_attached_tables_are_recorded(db):
    await filled(db)
    async with db.session() as session:
        await session.attach("tag")
        await db.execute("DELETE FROM person")
        await db.execute("DELETE FROM tag WHERE person = 2")
        assert changes(await session.changeset()) == [("tag", "DELETE", 9, (2, "y", None))]


async def test_nothing_is_recorded_before_attach(db):
    await filled(db)
    async with db.session() as session:
        await db.execute("DELETE FROM person")
        assert await session.is_empty()
        assert await session.changeset() == b""
        assert changes(b"") == []


async def test_tables_made_later_are_recorded_too(db):
    async with db.session() as session:
        await session.attach()
        await db.execute("CREATE TABLE later (a PRIMARY KEY)")
        await db.execute("INSERT INTO later VALUES ('x')")
        assert [c.table for c in Changeset.iter(await session.changeset())] == ["later"]


async def test_a_filter_is_asked_once_for_each_table(db):
    await filled(db)
    asked = []

    def is_wanted(table):
        asked.append((table, threading.current_thread() is threading.main_thread()))
        return table == "tag"

    async with db.session() as session:
        await session.attach(is_wanted)
        await db.execute("UPDATE person SET age = age + 1")
        await db.execute("DELETE FROM tag")
        await db.execute("DELETE FROM person")
        assert {c.table for c in Changeset.iter(await session.changeset())} == {"tag"}
    assert asked == [("person", False), ("tag", False)]


async def test_a_filter_may_be_a_coroutine_function_and_sees_context_variables(db):
    await filled(db)
    variable = contextvars.ContextVar("variable", default=None)
    seen = []

    async def is_wanted(table):
        await asyncio.sleep(0)
        seen.append((table, variable.get(), threading.current_thread()))
        return True

    async with db.session() as session:
        await session.attach(is_wanted)
        variable.set("mine")
        await db.execute("DELETE FROM tag")
        assert len(changes(await session.changeset())) == 2
    assert seen == [("tag", "mine", threading.main_thread())]


async def test_a_filter_that_raises_is_heard_of_with_the_changeset(db):
    await filled(db)

    def is_wanted(table):
        if table == "person":
            raise ZeroDivisionError(table)
        return True

    async with db.session() as session:
        await session.attach(is_wanted)
        await db.execute("DELETE FROM person")
        await db.execute("DELETE FROM tag")
        with pytest.raises(ZeroDivisionError, match="person"):
            await session.changeset()
        assert {c.table for c in Changeset.iter(await session.patchset())} == {"tag"}


async def test_a_session_can_be_switched_off_and_on(db):
    await filled(db)
    async with db.session() as session:
        await session.attach()
        assert await session.enabled() is True
        assert await session.enabled(False) is False
        await db.execute("DELETE FROM tag")
        assert await session.is_empty() is True
        assert await session.enabled(True) is True
        await db.execute("DELETE FROM person WHERE id = 1")
        assert await session.is_empty() is False
        assert [c.table for c in Changeset.iter(await session.changeset())] == ["person"]


async def test_changes_of_triggers_are_indirect_and_others_can_be(db):
    await filled(db)
    await db.execute(
        "CREATE TRIGGER gone AFTER DELETE ON person BEGIN DELETE FROM tag WHERE person = old.id; END"
    )
    async with db.session() as session:
        await session.attach()
        await db.execute("DELETE FROM person WHERE id = 1")
        assert await session.indirect() is False
        assert await session.indirect(True) is True
        await db.execute("DELETE FROM person WHERE id = 3")
        found = {c.old[:2]: c.indirect for c in Changeset.iter(await session.changeset())}
    assert found == {(1, "Ada"): False, (1, "x"): True, (3, "Cyd"): True}


async def test_memory_is_counted(db):
    await filled(db)
    async with db.session() as session:
        await session.attach()
        before = await session.memory_used()
        await db.executemany(
            "INSERT INTO person (name) VALUES (?)", (("x" * 100,) for _ in range(50))
        )
        assert await session.memory_used() >= before + 4000


async def test_several_sessions_record_side_by_side(db):
    await filled(db)
    async with db.session() as one, db.session() as two:
        await one.attach("person")
        await two.attach("tag")
        await db.execute("DELETE FROM person WHERE id = 1")
        await db.execute("DELETE FROM tag WHERE person = 1")
        assert [c.table for c in Changeset.iter(await one.changeset())] == ["person"]
        await one.close()
        await db.execute("DELETE FROM tag")
        assert len(changes(await two.changeset())) == 2


async def test_another_schema_is_recorded_by_its_name(db):
    await db.execute("ATTACH ':memory:' AS aux")
    await db.execute("CREATE TABLE aux.t (a PRIMARY KEY)")
    await db.execute("CREATE TABLE main.t (a PRIMARY KEY)")
    async with db.session("aux") as session:
        await session.attach("t")
        await db.execute("INSERT INTO main.t VALUES (1)")
        await db.execute("INSERT INTO aux.t VALUES (2)")
        (change,) = Changeset.iter(await session.changeset())
        assert change.new == (2,)


async def test_what_is_rolled_back_is_not_recorded(db):
    await filled(db)
    async with db.session() as session:
        await session.attach()
        await db.execute("DELETE FROM person")
        await db.rollback()
        assert await session.changeset() == b""


async def test_diff_records_what_turns_one_table_into_another(db, other):
    await filled(db)
    await db.execute("ATTACH ':memory:' AS aux")
    await db.execute("CREATE TABLE aux.person (id INTEGER PRIMARY KEY, name TEXT, age REAL)")
    await db.execute(
        "INSERT INTO aux.person VALUES (1, 'Ada', 36.5), (2, 'Rob', NULL), (7, 'Gus', 1)"
    )
    await db.commit()
    async with db.session() as session:
        await session.diff("aux", "person")
        changeset = await session.changeset()
    found = {(c.op, (c.old or c.new)[0]) for c in Changeset.iter(changeset)}
    assert found == {("INSERT", 3), ("UPDATE", 2), ("DELETE", 7)}
    async with other:
        await other.execute("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, age REAL)")
        await other.execute(
            "INSERT INTO person VALUES (1, 'Ada', 36.5), (2, 'Rob', NULL), (7, 'Gus', 1)"
        )
        await other.commit()
        await other.apply_changeset(changeset)
        assert await other.execute_fetchall("SELECT * FROM person") == await db.execute_fetchall(
            "SELECT * FROM main.person"
        )


async def test_diff_of_what_does_not_match(db):
    await filled(db)
    await db.execute("ATTACH ':memory:' AS aux")
    await db.execute("CREATE TABLE aux.person (id INTEGER PRIMARY KEY, name TEXT)")
    async with db.session() as session:
        with pytest.raises(csqlite.OperationalError, match="table schemas do not match"):
            await session.diff("aux", "person")
        with pytest.raises(csqlite.OperationalError, match="no such table: aux.tag"):
            await session.diff("aux", "tag")


# -- tables without a primary key


async def test_naming_a_table_without_primary_key_is_an_error(db):
    await db.execute("CREATE TABLE log (x)")
    async with db.session() as session:
        with pytest.raises(
            csqlite.ProgrammingError, match="nothing of the table Log, which has no"
        ):
            await session.attach("Log")
        await session.attach("made later")


async def test_attaching_all_tables_warns_of_those_without_primary_key(db):
    await filled(db)
    await db.execute("CREATE TABLE log (x)")
    await db.execute('CREATE TABLE "o\'dd" (x)')
    async with db.session() as session:
        with pytest.warns(RuntimeWarning, match="here \\['log', \"o'dd\"\\]"):
            await session.attach()
        await db.execute("INSERT INTO log VALUES (1)")
        assert await session.is_empty()


@pytest.mark.filterwarnings("error")
async def test_nothing_is_warned_of_where_all_tables_have_keys(db):
    await filled(db)
    await db.execute("CREATE TABLE w (a, b, PRIMARY KEY (b, a)) WITHOUT ROWID")
    await db.execute("CREATE TABLE auto (a INTEGER PRIMARY KEY AUTOINCREMENT)")
    await db.execute("CREATE VIEW v AS SELECT 1 AS x")
    await db.execute("ANALYZE")
    async with db.session() as session:
        await session.attach()
        await session.attach("w")


@pytest.mark.filterwarnings("error")
async def test_rowid_records_tables_without_primary_key(db, other):
    async with other:
        for each in (db, other):
            await each.execute("CREATE TABLE log (x)")
            await each.execute("INSERT INTO log VALUES ('a')")
            await each.commit()
        async with db.session(rowid=True) as session:
            await session.attach()
            await session.attach("log")
            await db.execute("INSERT INTO log VALUES ('b')")
            await db.execute("DELETE FROM log WHERE x = 'a'")
            changeset = await session.changeset()
        assert {(c.op, c.old or c.new) for c in Changeset.iter(changeset)} == {
            ("INSERT", (2, "b")),
            ("DELETE", (1, "a")),
        }
        await other.apply_changeset(changeset)
        assert await other.execute_fetchall("SELECT rowid, x FROM log") == [(2, "b")]


async def test_an_authorizer_that_denies_the_question_is_no_error(db):
    await filled(db)

    def authorize(action, first, second, schema, trigger):
        return csqlite.SQLITE_DENY if second == "pragma_table_info" else csqlite.SQLITE_OK

    await db.set_authorizer(authorize)
    async with db.session() as session:
        await session.attach()
        await session.attach("person")


# -- applying


async def test_applying_makes_the_other_database_the_same(db, other):
    await filled(db)
    async with other:
        await filled(other)
        for patchset in (False, True):
            changeset = await record(
                db,
                "INSERT INTO person (name, age) VALUES ('Dee', 1.5), ('é ☃', NULL)",
                "UPDATE person SET age = 1 + coalesce(age, 0)",
                "DELETE FROM tag WHERE person = 1",
                "INSERT INTO tag VALUES (1, 'x', zeroblob(3)), (2, 'z', 5)",
                "DELETE FROM person WHERE id = 3",
                patchset=patchset,
            )
            assert await everything(other) != await everything(db)
            assert await other.apply_changeset(changeset) is None
            assert await everything(other) == await everything(db)
            await db.execute("DELETE FROM tag WHERE word = 'z'")
            await other.execute("DELETE FROM tag WHERE word = 'z'")
            await other.execute("INSERT INTO person VALUES (3, 'Cyd', 20.0)")
            await db.execute("INSERT INTO person VALUES (3, 'Cyd', 20.0)")
            await db.commit()
            await other.commit()


async def test_inverting_undoes(db):
    await filled(db)
    before = await everything(db)
    changeset = await record(
        db,
        "DELETE FROM tag",
        "UPDATE person SET name = name || '!'",
        "INSERT INTO person (name) VALUES ('x')",
    )
    inverted = Changeset.invert(changeset)
    assert changes(inverted) == changes(changeset, flags=csqlite.SQLITE_CHANGESETSTART_INVERT)
    await db.apply_changeset(inverted)
    assert await everything(db) == before
    await db.apply_changeset(changeset)
    await db.apply_changeset(changeset, flags=csqlite.SQLITE_CHANGESETAPPLY_INVERT)
    assert await everything(db) == before


async def test_concatenated_changesets_are_one(db, other):
    await filled(db)
    one = await record(db, "UPDATE person SET age = 1 WHERE id = 1", "DELETE FROM tag")
    two = await record(db, "UPDATE person SET age = 2 WHERE id = 1")
    three = await record(db, "INSERT INTO tag VALUES (9, 'n', NULL)")
    whole = Changeset.concat(one, bytearray(two), memoryview(three))
    assert {(c.op, c.table) for c in Changeset.iter(whole)} == {
        ("UPDATE", "person"),
        ("DELETE", "tag"),
        ("INSERT", "tag"),
    }
    async with other:
        await filled(other)
        await other.apply_changeset(whole)
        assert await everything(other) == await everything(db)
    assert changes(Changeset.concat(one)) == changes(one)
    assert Changeset.concat() == b""


async def test_the_filter_of_apply_chooses_tables(db, other):
    await filled(db)
    changeset = await record(db, "DELETE FROM tag", "DELETE FROM person")
    asked = []
    async with other:
        await filled(other)

        def is_wanted(table):
            asked.append(table)
            return table == "person"

        await other.apply_changeset(changeset, filter=is_wanted)
        assert [row[0] for row in await everything(other)] == ["t", "t"]
    assert sorted(asked) == ["person", "tag"]


async def test_a_filter_of_apply_that_raises_changes_nothing(db, other):
    await filled(db)
    changeset = await record(db, "DELETE FROM tag", "DELETE FROM person")
    async with other:
        await filled(other)
        before = await everything(other)
        seen = []

        async def is_wanted(table):
            if seen:
                raise KeyError(table)
            seen.append(table)
            return True

        with pytest.raises(KeyError):
            await other.apply_changeset(changeset, filter=is_wanted)
        assert await everything(other) == before
        assert not other.in_transaction


CONFLICTS = {
    "data": ("UPDATE person SET name = 'Zoe' WHERE id = 1", csqlite.SQLITE_CHANGESET_DATA),
    "not found": ("DELETE FROM person WHERE id = 1", csqlite.SQLITE_CHANGESET_NOTFOUND),
    "conflict": ("INSERT INTO person VALUES (4, 'Eve', 2)", csqlite.SQLITE_CHANGESET_CONFLICT),
    "constraint": (
        "CREATE UNIQUE INDEX one_name ON person (name); INSERT INTO person VALUES (5, 'Dee', 2)",
        csqlite.SQLITE_CHANGESET_CONSTRAINT,
    ),
}


@pytest.mark.parametrize("name", CONFLICTS)
@pytest.mark.parametrize("answer", ["OMIT", "REPLACE", "ABORT"])
@pytest.mark.parametrize("how", ["callable", "constant", "coroutine"])
async def test_conflicts_are_answered(db, other, name, answer, how):
    script, reason = CONFLICTS[name]
    value = getattr(csqlite, "SQLITE_CHANGESET_" + answer)
    may_replace = name in ("data", "conflict")
    seen = []

    def plain(reason, change):
        seen.append((reason, change))
        return value

    async def coroutine(reason, change):
        await asyncio.sleep(0)
        return plain(reason, change)

    handler = {"callable": plain, "constant": value, "coroutine": coroutine}[how]
    await filled(db)
    changeset = await record(
        db,
        "UPDATE person SET name = 'Ann' WHERE id = 1",
        "INSERT INTO person VALUES (4, 'Dee', 1.5)",
        "DELETE FROM tag",
    )
    async with other:
        await filled(other)
        await other.executescript(script)
        before = await everything(other)
        applying = other.apply_changeset(changeset, conflict=handler)
        if answer == "ABORT":
            with pytest.raises(csqlite.OperationalError, match="a conflict has aborted") as caught:
                await applying
            assert caught.value.sqlite_errorcode == 4
            assert await everything(other) == before
        elif answer == "REPLACE" and not may_replace and how != "constant":
            with pytest.raises(
                csqlite.ProgrammingError, match="an answer to SQLITE_CHANGESET_DATA"
            ):
                await applying
            assert await everything(other) == before
        else:
            await applying
            names = {row[1]: row[2] for row in await everything(other) if row[0] == "p"}
            replaced = answer == "REPLACE" and may_replace
            if name == "data":
                assert names[1] == ("Ann" if replaced else "Zoe")
            if name == "conflict":
                assert names[4] == ("Dee" if replaced else "Eve")
            assert (1 in names) == (name != "not found")
            assert not [row for row in await everything(other) if row[0] == "t"]
        assert not other.in_transaction
    if how != "constant":
        assert [found for found, _ in seen] == [reason]
        (change,) = [change for _, change in seen]
        conflicting = {"data": (1, "Zoe", 36.5), "conflict": (4, "Eve", 2.0)}
        assert change.conflict == conflicting.get(name)
        assert change.table == "person"


async def test_without_a_handler_a_conflict_aborts(db, other):
    await filled(db)
    changeset = await record(db, "UPDATE person SET name = 'Ann' WHERE id = 1")
    async with other:
        await filled(other)
        await other.execute("DELETE FROM person")
        await other.commit()
        with pytest.raises(csqlite.OperationalError, match="aborted"):
            await other.apply_changeset(changeset)


async def test_foreign_keys_are_looked_at_in_the_end(db, other):
    script = """
        PRAGMA foreign_keys = ON;
        CREATE TABLE parent (id INTEGER PRIMARY KEY);
        CREATE TABLE child (id INTEGER PRIMARY KEY, parent REFERENCES parent);
        INSERT INTO parent VALUES (1), (2);
    """
    await db.executescript(script)
    changeset = await record(
        db, "INSERT INTO child VALUES (1, 1), (2, 2)", "INSERT INTO child VALUES (3, 1)"
    )
    seen = []
    async with other:
        await other.executescript(script)
        await other.execute("DELETE FROM parent WHERE id = 1")
        await other.commit()

        def handler(reason, change):
            seen.append((reason, change))
            return csqlite.SQLITE_CHANGESET_ABORT

        with pytest.raises(csqlite.IntegrityError, match="the changeset violates foreign keys"):
            await other.apply_changeset(changeset, conflict=handler)
        assert await other.execute_fetchall("SELECT * FROM child") == []
        await other.apply_changeset(changeset, conflict=csqlite.SQLITE_CHANGESET_OMIT)
        assert len(await other.execute_fetchall("SELECT * FROM child")) == 3
    ((reason, change),) = seen
    assert reason == csqlite.SQLITE_CHANGESET_FOREIGN_KEY
    assert change.fk_conflicts >= 1
    assert (change.table, change.op, change.old, change.new) == ("", "", None, None)


@pytest.mark.parametrize(
    ("answer", "error"),
    [(None, TypeError), ("x", TypeError), (3, ValueError), (-1, ValueError), (2**70, ValueError)],
)
async def test_a_wrong_answer_aborts(db, other, answer, error):
    await filled(db)
    changeset = await record(db, "DELETE FROM tag", "DELETE FROM person")
    async with other:
        await filled(other)
        await other.execute("DELETE FROM tag WHERE person = 2")
        await other.commit()
        before = await everything(other)
        with pytest.raises(error, match="the conflict handler must give"):
            await other.apply_changeset(changeset, conflict=lambda reason, change: answer)
        assert await everything(other) == before


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_handler_that_raises_aborts_and_is_heard(db, other, is_async):
    await filled(db)
    changeset = await record(db, "DELETE FROM tag", "DELETE FROM person")

    def plain(reason, change):
        raise LookupError(change.table)

    async def coroutine(reason, change):
        plain(reason, change)

    async with other:
        await filled(other)
        await other.execute("DELETE FROM person WHERE id = 2")
        await other.commit()
        before = await everything(other)
        with pytest.raises(LookupError, match="person"):
            await other.apply_changeset(changeset, conflict=coroutine if is_async else plain)
        assert await everything(other) == before


async def test_applying_is_part_of_an_open_transaction(db, other):
    await filled(db)
    changeset = await record(db, "DELETE FROM person")
    async with other:
        await filled(other)
        before = await everything(other)
        await other.execute("INSERT INTO person (name) VALUES ('x')")
        await other.apply_changeset(changeset)
        assert other.in_transaction
        await other.rollback()
        assert await everything(other) == before


async def test_a_cancelled_coroutine_handler_leaves_nothing_applied(db, other):
    await filled(db)
    changeset = await record(db, "DELETE FROM person")
    started = asyncio.Event()
    cancelled = asyncio.Event()

    async def handler(reason, change):
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with other:
        await filled(other)
        await other.execute("UPDATE person SET name = 'Zoe' WHERE id = 1")
        await other.commit()
        before = await everything(other)
        task = asyncio.create_task(other.apply_changeset(changeset, conflict=handler))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await cancelled.wait()
        assert await everything(other) == before


async def test_applying_is_recorded_by_sessions_of_the_other(db, other):
    await filled(db)
    changeset = await record(db, "DELETE FROM person WHERE id = 1")
    async with other:
        await filled(other)
        async with other.session() as session:
            await session.attach()
            await other.apply_changeset(changeset)
            assert await session.changeset() == changeset


async def test_rebasing_lets_two_who_changed_the_same_row_agree(db, other):
    await filled(db)
    async with other:
        await filled(other)
        mine = await record(db, "UPDATE person SET name = 'Mine' WHERE id = 1")
        theirs = await record(
            other, "UPDATE person SET name = 'Theirs' WHERE id = 1", "DELETE FROM tag"
        )
        # Theirs came first at the centre; here it is applied on top, and mine wins.
        rebase = await db.apply_changeset(
            theirs, conflict=csqlite.SQLITE_CHANGESET_OMIT, rebase=True
        )
        assert type(rebase) is bytes
        rebaser = csqlite.Rebaser()
        assert rebaser.configure(rebase) is None
        rebased = rebaser.rebase(mine)
        (change,) = Changeset.iter(rebased)
        assert change.old == (1, "Theirs", no_change)
        await other.apply_changeset(rebased)
        assert await everything(other) == await everything(db)


async def test_without_conflicts_there_is_nothing_to_rebase(db, other):
    await filled(db)
    changeset = await record(db, "DELETE FROM tag")
    async with other:
        await filled(other)
        assert await other.apply_changeset(changeset, rebase=True) == b""


# -- bytes that are no changesets, and misuse


async def test_a_table_that_is_not_there_is_skipped_as_sqlite_does(db, other):
    await filled(db)
    changeset = await record(db, "DELETE FROM tag")
    async with other:
        await other.apply_changeset(changeset)


@pytest.mark.parametrize("data", [b"x", b"T", b"T\x03", b"\0" * 20, b"T\x01\x01t\0\x99"])
async def test_malformed_changesets(db, data):
    await filled(db)
    with pytest.raises(csqlite.DatabaseError, match="malformed changeset"):
        list(Changeset.iter(data))
    with pytest.raises(csqlite.DatabaseError, match="malformed changeset"):
        Changeset.invert(data)
    with pytest.raises(csqlite.DatabaseError, match="malformed changeset"):
        Changeset.concat(data)
    with pytest.raises(csqlite.DatabaseError, match="malformed"):
        await db.apply_changeset(data)
    with pytest.raises(csqlite.DatabaseError, match="malformed"):
        await db.apply_changeset(data, filter=lambda table: True)


@pytest.mark.parametrize("change", ["INSERT INTO a VALUES (2, {})", "UPDATE a SET b = {}"])
@pytest.mark.parametrize("patchset", [False, True])
async def test_changesets_of_text_that_is_not_utf8(db, change, patchset):
    await db.executescript("CREATE TABLE a (i INTEGER PRIMARY KEY, b); INSERT INTO a VALUES (1, 1)")
    changeset = await record(db, change.format("CAST(x'66ff' AS TEXT)"), patchset=patchset)
    changes = Changeset.iter(changeset)
    with pytest.raises(csqlite.DatabaseError, match="its text is not UTF-8") as caught:
        next(changes)
    assert isinstance(caught.value.__cause__, UnicodeDecodeError)
    assert Changeset.concat(changeset, changeset)


async def test_conflicts_of_text_that_is_not_utf8(db, other):
    schema = "CREATE TABLE a (i INTEGER PRIMARY KEY, b); INSERT INTO a VALUES (1, 1)"
    await db.executescript(schema)
    changeset = await record(db, "INSERT INTO a VALUES (2, CAST(x'ff' AS TEXT))")
    async with other:
        await other.executescript(schema + "; INSERT INTO a VALUES (2, 2)")
        with pytest.raises(csqlite.DatabaseError, match="its text is not UTF-8"):
            await other.apply_changeset(changeset, conflict=lambda reason, change: 0)


async def test_what_cannot_be_combined(db):
    await filled(db)
    changeset = await record(db, "DELETE FROM tag")
    patchset = await record(db, "DELETE FROM person", patchset=True)
    with pytest.raises(csqlite.OperationalError, match="a changeset and a patchset"):
        Changeset.concat(changeset, patchset)
    with pytest.raises(csqlite.DatabaseError, match="malformed changeset"):
        Changeset.invert(patchset)
    await db.executescript("DROP TABLE tag; CREATE TABLE tag (one PRIMARY KEY)")
    another = await record(db, "INSERT INTO tag VALUES (1)")
    with pytest.raises(csqlite.OperationalError, match="tables that do not match"):
        Changeset.concat(changeset, another)


async def test_mutated_changesets_never_crash(db):
    await filled(db)
    source = random.Random(4711)
    original = await record(
        db,
        "INSERT INTO person VALUES (4, 'Dee', 1.5)",
        "UPDATE person SET name = 'Ann' WHERE id = 1",
        "DELETE FROM tag",
    )
    read = 0
    for _ in range(3000):
        data = bytearray(original)
        for _ in range(source.randrange(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        if source.randrange(3) == 0:
            del data[source.randrange(len(data)) :]
        try:
            read += len(list(Changeset.iter(data)))
            Changeset.concat(Changeset.invert(data), data)
        except (csqlite.DatabaseError, UnicodeDecodeError, MemoryError):
            continue
    assert read > 500


def test_an_iterator_at_its_end_stays_there():
    iterator = Changeset.iter(b"")
    assert iter(iterator) is iterator
    assert list(iterator) == []
    assert list(iterator) == []
    broken = Changeset.iter(b"\0" * 20)
    with pytest.raises(csqlite.DatabaseError):
        next(broken)
    assert list(broken) == []


async def test_an_iterator_half_read_is_let_go(db):
    await filled(db)
    changeset = bytearray(await record(db, "DELETE FROM person"))
    iterator = Changeset.iter(changeset)
    first = next(iterator)
    changeset[:] = b"\0" * len(changeset)
    assert {first.table, next(iterator).table} == {"person"}
    del iterator


def test_no_change_is_one_object_and_false():
    assert repr(no_change) == "csqlite.no_change"
    assert not no_change
    with pytest.raises(TypeError, match="cannot create"):
        type(no_change)()


@pytest.mark.parametrize(
    "call",
    [
        Changeset.iter,
        lambda: Changeset.iter("text"),
        lambda: Changeset.iter(b"", flags="x"),
        lambda: Changeset.iter(b"", option=1),
        lambda: Changeset.invert("text"),
        lambda: Changeset.concat(b"", None),
        Changeset,
        csqlite.Session,
        lambda: csqlite.Rebaser(1),
        lambda: csqlite.Rebaser().configure("x"),
        lambda: csqlite.Rebaser().rebase(5),
    ],
)
def test_misuse_of_bytes(call):
    with pytest.raises(TypeError):
        call()


def test_a_rebaser_that_is_told_nonsense():
    rebaser = csqlite.Rebaser()
    with pytest.raises(csqlite.DatabaseError, match="malformed changeset"):
        rebaser.configure(b"nonsense")
    assert rebaser.rebase(b"") == b""


async def test_misuse_of_methods(db):
    with pytest.raises(TypeError, match="argument 1 must be str, not int"):
        db.session(5)
    with pytest.raises(TypeError, match="unexpected keyword"):
        db.session(schema="main")
    with pytest.raises(TypeError, match="bytes-like object is required, not 'str'"):
        db.apply_changeset("x")
    with pytest.raises(TypeError, match="filter must be callable"):
        db.apply_changeset(b"", filter="x")
    with pytest.raises(TypeError, match="conflict must be callable"):
        db.apply_changeset(b"", conflict="x")
    with pytest.raises(ValueError, match="conflict must be SQLITE_CHANGESET_OMIT"):
        db.apply_changeset(b"", conflict=3)
    with pytest.raises(ValueError, match="no such flags"):
        db.apply_changeset(b"", flags=1 << 20)
    with pytest.raises(TypeError):
        db.apply_changeset(b"", flags="x")
    session = await db.session()
    with pytest.raises(TypeError, match="must be str, a callable or None, not int"):
        session.attach(5)
    with pytest.raises(TypeError):
        session.attach("a", "b")
    with pytest.raises(TypeError):
        session.diff("aux")
    with pytest.raises(TypeError):
        session.enabled(True, False)
    await session.close()


# -- the end of things


async def test_a_closed_session(db):
    session = await db.session()
    await session.attach()
    await session.close()
    await session.close()
    for call in (
        session.attach,
        session.enabled,
        session.indirect,
        session.is_empty,
        session.memory_used,
        session.changeset,
        session.patchset,
        lambda: session.diff("main", "t"),
    ):
        with pytest.raises(csqlite.ProgrammingError, match="Cannot operate on a closed session"):
            await call()


async def test_a_session_is_a_context_manager_of_its_own(db):
    session = await db.session()
    async with session as same:
        assert same is session
    with pytest.raises(csqlite.ProgrammingError, match="closed session"):
        await session.is_empty()


async def test_closing_the_connection_closes_its_sessions():
    db = await csqlite.connect(":memory:")
    await filled(db)
    session = await db.session()
    await session.attach(lambda table: True)
    await db.execute("DELETE FROM person")
    await db.close()
    with pytest.raises(ValueError, match="no active connection"):
        await session.changeset()
    await session.close()
    with pytest.raises(ValueError, match="no active connection"):
        await db.session()
    with pytest.raises(ValueError, match="no active connection"):
        await db.apply_changeset(b"")


async def test_a_session_closed_together_with_its_connection():
    db = await csqlite.connect(":memory:")
    session = await db.session()
    await asyncio.gather(db.close(), session.close(), session.close())


async def test_a_session_that_is_forgotten_records_no_more(db):
    await filled(db)

    class Filter:
        def __call__(self, table):
            return True

    wanted = Filter()
    gone = weakref.ref(wanted)
    session = await db.session()
    await session.attach(wanted)
    await db.execute("DELETE FROM tag")
    del session, wanted
    gc.collect()
    await db.execute("DELETE FROM person")
    assert gone() is None


async def test_a_session_that_outlives_its_connection():
    db = await csqlite.connect(":memory:")
    session = await db.session()
    await session.attach(lambda table: True)
    await db.close()
    del db
    gc.collect()
    del session
    gc.collect()


async def cancelled_while_it_waits(db, awaitable):
    """Cancel what stands behind a call that holds the worker up until then."""
    go_on = threading.Event()
    before = asyncio.create_task(awaiting(db._execute(go_on.wait)))
    await asyncio.sleep(0)
    task = asyncio.create_task(awaiting(awaitable))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await before


async def awaiting(awaitable):
    return await awaitable


async def test_a_session_request_that_is_cancelled(db):
    await filled(db)
    session = await db.session()
    await session.attach()
    await cancelled_while_it_waits(db, session.changeset())
    assert await session.changeset() == b""
    await session.close()


async def test_a_cancelled_opening_leaves_no_session(db):
    await filled(db)
    await cancelled_while_it_waits(db, db.session())
    await db.execute("DELETE FROM person")


# -- callbacks


async def test_nothing_of_a_session_works_within_a_callback():
    async with csqlite.connect(":memory:", check_same_thread=False) as db:
        await filled(db)
        session = await db.session()
        answers = []

        def call(make):
            try:
                db._run(make())
            except csqlite.ProgrammingError as error:
                answers.append(str(error))

        def is_wanted(table):
            call(session.close)
            call(session.changeset)
            call(db.session)
            call(lambda: db.apply_changeset(b""))
            return True

        await session.attach(is_wanted)
        await db.execute("DELETE FROM person WHERE id = 1")
        assert len(changes(await session.changeset())) == 1
    refused = "The connection cannot be used in a callback of this kind."
    assert answers == [refused] * 4


async def test_nothing_of_a_session_works_within_a_function():
    async with csqlite.connect(":memory:", check_same_thread=False) as db:
        await filled(db)
        session = await db.session()
        answers = []

        def call():
            for make in (session.changeset, db.session, lambda: db.apply_changeset(b"")):
                try:
                    db._run(make())
                except csqlite.ProgrammingError as error:
                    answers.append(str(error))

        await db.create_function("f", 0, call)
        await db.execute_fetchall("SELECT f()")
    assert answers == [
        "A session cannot be used within a callback.",
        "A session cannot be opened within a callback.",
        "A changeset cannot be applied within a callback.",
    ]


async def test_a_conflict_handler_may_read_its_connection(db, other):
    await filled(db)
    changeset = await record(db, "UPDATE person SET name = 'Ann'")
    async with other:
        await filled(other)
        await other.execute("UPDATE person SET name = 'Zoe'")
        await other.commit()
        seen = []

        def handler(reason, change):
            seen.extend(other._conn.execute("SELECT count(*) FROM person").fetchall())
            return csqlite.SQLITE_CHANGESET_REPLACE

        await other.apply_changeset(changeset, conflict=handler)
        assert await everything(other) == await everything(db)
    assert seen == [(3,)] * 3


async def test_a_callback_that_closes_the_connection():
    db = await csqlite.connect(":memory:")
    await filled(db)
    session = await db.session()

    def is_wanted(table):
        db._conn.close()

    await session.attach(is_wanted)
    await db.execute("DELETE FROM person")
    with pytest.raises(csqlite.ProgrammingError, match="Recursive use of cursors"):
        await session.changeset()
    await db.close()

    async with csqlite.connect(":memory:") as db:
        await filled(db)
        changeset = await record(db, "DELETE FROM person WHERE id = 1")
        with pytest.raises(csqlite.ProgrammingError, match="Recursive use of cursors"):
            await db.apply_changeset(changeset, conflict=lambda *_: db._conn.close())


async def test_a_coroutine_needs_a_task_that_awaits():
    async with csqlite.connect(":memory:", check_same_thread=False) as db:
        await filled(db)
        changeset = await record(db, "DELETE FROM person")

        async def handler(reason, change):
            return csqlite.SQLITE_CHANGESET_OMIT

        with pytest.raises(csqlite.ProgrammingError, match="needs an event loop"):
            db._run(db.apply_changeset(changeset, conflict=handler))


async def test_foreign_connections_have_no_sessions():
    import sqlite3

    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        with pytest.raises(csqlite.NotSupportedError, match="session\\(\\) needs csqlite"):
            db.session()
        with pytest.raises(csqlite.NotSupportedError, match="apply_changeset\\(\\) needs csqlite"):
            db.apply_changeset(b"")
