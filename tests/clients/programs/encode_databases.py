"""databases: queries, iteration, transactions and many tasks."""

import asyncio
import sqlite3

from databases import Database


async def main(path):
    async with Database(f"sqlite:///{path}") as database:
        await database.execute("create table note (id integer primary key, body text unique)")
        assert (
            await database.execute("insert into note (body) values (:body)", {"body": "one"}) == 1
        )
        await database.execute_many(
            "insert into note (body) values (:body)", [{"body": f"note {n}"} for n in range(5)]
        )
        rows = await database.fetch_all("select id, body from note where id > :id", {"id": 4})
        assert [(row["id"], row["body"]) for row in rows] == [(5, "note 3"), (6, "note 4")]
        row = await database.fetch_one("select body from note where id = :id", {"id": 1})
        assert row.body == "one"
        assert await database.fetch_val("select count(*) from note") == 6
        assert await database.fetch_one("select 1 from note where id = 99") is None
        assert [row.id async for row in database.iterate("select id from note")] == [
            1,
            2,
            3,
            4,
            5,
            6,
        ]

        try:
            async with database.transaction():
                await database.execute("delete from note")
                await database.execute("insert into note (body) values ('a'), ('a')")
        except sqlite3.IntegrityError:
            pass
        else:
            raise AssertionError("equal notes were accepted")
        assert await database.fetch_val("select count(*) from note") == 6

        async def count():
            return await database.fetch_val("select count(*) from note")

        assert await asyncio.gather(*[count() for _ in range(10)]) == [6] * 10
