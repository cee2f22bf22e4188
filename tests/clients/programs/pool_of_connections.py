"""aiosqlitepool: connections that are lent, returned, reset and closed."""

import asyncio
import sys

import aiosqlite
from aiosqlitepool import SQLiteConnectionPool


async def main(path):
    async def connect():
        connection = await aiosqlite.connect(path)
        await connection.execute("pragma journal_mode = wal")
        return connection

    async with SQLiteConnectionPool(connect, pool_size=3) as pool:
        async with pool.connection() as connection:
            assert isinstance(connection, sys.modules["aiosqlite"].Connection)
            await connection.execute("create table t (a)")
            await connection.commit()

        async def insert(number):
            async with pool.connection() as connection:
                await connection.execute("insert into t values (?)", (number,))
                await connection.commit()

        await asyncio.gather(*[insert(number) for number in range(20)])

        # What is not committed is rolled back when the connection goes back to the pool.
        async with pool.connection() as connection:
            await connection.execute("delete from t")
        async with pool.connection() as connection:
            cursor = await connection.execute("select count(*), sum(a) from t")
            assert await cursor.fetchone() == (20, sum(range(20)))
