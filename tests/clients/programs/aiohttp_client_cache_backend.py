"""aiohttp-client-cache: the SQLite backend as a dictionary of pickled values."""

import os

from aiohttp_client_cache.backends.sqlite import SQLiteCache, SQLitePickleCache


async def main(path):
    cache = SQLiteCache(path, table_name="plain")
    for number in range(5):
        await cache.write(f"key {number}", f"value {number}")
    assert await cache.read("key 3") == "value 3"
    assert await cache.read("missing") is None
    assert await cache.contains("key 1")
    assert await cache.size() == 5
    keys = cache.keys()
    assert sorted([key async for key in keys]) == [f"key {n}" for n in range(5)]
    assert sorted([value async for value in cache.values()]) == [f"value {n}" for n in range(5)]
    await cache.delete("key 0")
    await cache.bulk_delete({"key 1", "key 2"})
    assert await cache.size() == 2
    await cache.clear()
    assert await cache.size() == 0
    await cache.close()

    pickled = SQLitePickleCache(path, table_name="pickled", fast_save=True)
    value = {"status": 200, "body": b"\0" * 1000, "headers": [("a", "b")]}
    async with pickled.bulk_commit():
        for number in range(20):
            await pickled.write(f"key {number}", value)
    assert await pickled.read("key 19") == value
    assert await pickled.size() == 20
    await pickled.close()
    assert os.path.exists(path)
