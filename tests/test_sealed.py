"""What a callback may do with its connection, by where SQLite calls it.

sealing.py has the moments and the uses. Each moment is a process of its own: none may
crash, whatever is tried there, and the database is whole behind it.
"""

from pathlib import Path

import pytest
from processes import run_program
from sealing import ACTIONS, MOMENTS, OTHERS

import csqlite

SEALED = "ProgrammingError: The connection cannot be used in a callback of this kind."
PROGRAM = Path(__file__).with_name("sealing.py")


def outcomes(moment, directory):
    source = f"""
        import runpy, sys
        sys.argv = ["sealing", {moment!r}]
        sys.path.insert(0, {str(PROGRAM.parent)!r})
        runpy.run_path({str(PROGRAM)!r}, run_name="__main__")
    """
    result = run_program(source, directory, options=(), seconds=120)
    assert result.returncode == 0, (result.returncode, result.stdout[-300:], result.stderr[-3000:])
    return dict(line.split("\t", 1) for line in result.stdout.splitlines())


@pytest.mark.parametrize("moment", MOMENTS)
def test_every_use_at_a_moment(moment, tmp_path):
    allowed = MOMENTS[moment][1]
    seen = outcomes(moment, tmp_path)
    assert list(seen) == list(ACTIONS)
    assert [action for action, outcome in seen.items() if outcome == "not called"] == []
    refused = {action for action, outcome in seen.items() if outcome == SEALED} - set(OTHERS)
    permitted = {action for effect in allowed for action in effect}
    assert refused == set(ACTIONS) - set(OTHERS) - permitted
    assert [item for item in seen.items() if item[1].startswith("left behind")] == []
    if moment != "batch":
        assert seen["close"] == "ProgrammingError: Recursive use of cursors not allowed."


async def test_a_write_whose_transaction_is_gone_does_not_go_on():
    async with csqlite.connect(":memory:", isolation_level=None) as db:
        await db.executescript(
            "create table t (a integer primary key, b); insert into t values (1, 1)"
        )

        def undo(value):
            try:
                db._conn.execute("insert or rollback into t (a) values (1)")
            except csqlite.IntegrityError:
                return value

        await db.create_function("undo", 1, undo)
        await db.set_preupdate_hook(lambda change: None)
        await db.execute("begin")
        await db.execute("alter table t add column c")
        with pytest.raises(csqlite.OperationalError, match="rolled back within a callback"):
            await db.execute("update t set b = undo(5)")
        assert not db.in_transaction
        assert await db.execute_fetchall("select * from t") == [(1, 1)]


async def test_a_read_goes_on_behind_a_rollback():
    async with csqlite.connect(":memory:", isolation_level=None) as db:
        await db.execute("create table t (a)")
        await db.create_function("f", 0, db._conn.rollback)
        await db.execute("begin")
        assert await db.execute_fetchall("select f(), 7") == [(None, 7)]
        assert not db.in_transaction
