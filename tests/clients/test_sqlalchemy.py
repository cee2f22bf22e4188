"""SQLAlchemy's asyncio engine for `sqlite+aiosqlite`, on either module."""

import asyncio
import sqlite3
import sys

import pytest

sqlalchemy = pytest.importorskip("sqlalchemy", minversion="2.0")
pytest.importorskip("greenlet")

from sqlalchemy import ForeignKey, event, func, select, text  # noqa: E402
from sqlalchemy.exc import IntegrityError, OperationalError  # noqa: E402
from sqlalchemy.ext.asyncio import (  # noqa: E402
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import (  # noqa: E402
    DeclarativeBase,
    Mapped,
    mapped_column,
    relationship,
    selectinload,
)


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    books: Mapped[list["Book"]] = relationship(back_populates="author")


class Book(Base):
    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    cover: Mapped[bytes]
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")


@pytest.fixture
def engine_for(aiosqlite, monkeypatch):
    """Create engines whose driver is the module under test, and check that it really is."""
    # The dialect imports its driver by this name when an engine is created, and keeps it.
    monkeypatch.setitem(sys.modules, "aiosqlite", aiosqlite)

    def create(url="sqlite+aiosqlite://", **options):
        return create_async_engine(url, **options)

    return create


async def driver_of(connection):
    return (await connection.get_raw_connection()).driver_connection


async def create_tables(engine):
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


async def add_authors(engine, *names):
    async with AsyncSession(engine) as session, session.begin():
        session.add_all(
            Author(name=name, books=[Book(title=f"{name} {n}", cover=b"\0cover") for n in range(3)])
            for name in names
        )


async def names(engine):
    async with engine.connect() as connection:
        return list(await connection.scalars(select(Author.name).order_by(Author.name)))


async def test_engine_uses_the_module(engine_for, aiosqlite):
    engine = engine_for()
    async with engine.connect() as connection:
        driver = await driver_of(connection)
        assert isinstance(driver, aiosqlite.Connection)
        version = await connection.scalar(text("select sqlite_version()"))
        assert version == aiosqlite.sqlite_version
    await engine.dispose()


async def test_orm_creates_inserts_and_selects(engine_for):
    engine = engine_for()
    await create_tables(engine)
    await add_authors(engine, "Ada", "Bob")
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with sessions() as session:
        query = select(Author).options(selectinload(Author.books)).order_by(Author.name)
        authors = (await session.scalars(query)).all()
        assert [author.name for author in authors] == ["Ada", "Bob"]
        assert [book.title for book in authors[1].books] == ["Bob 0", "Bob 1", "Bob 2"]
        assert authors[0].books[0].cover == b"\0cover"
        assert await session.scalar(select(func.count()).select_from(Book)) == 6
    await engine.dispose()


async def test_orm_updates_and_deletes(engine_for):
    engine = engine_for()
    await create_tables(engine)
    await add_authors(engine, "Ada", "Bob")
    async with AsyncSession(engine) as session, session.begin():
        ada = (await session.scalars(select(Author).where(Author.name == "Ada"))).one()
        ada.name = "Ada L."
        bob = (
            await session.scalars(
                select(Author).where(Author.name == "Bob").options(selectinload(Author.books))
            )
        ).one()
        for book in bob.books:
            await session.delete(book)
        await session.delete(bob)
    assert await names(engine) == ["Ada L."]
    await engine.dispose()


async def test_stream_reads_through_a_server_side_cursor(engine_for):
    engine = engine_for()
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 500) select i from n"
    async with engine.connect() as connection:
        result = await connection.stream(text(numbers))
        assert [row.i async for row in result] == list(range(1, 501))
        result = await connection.stream(text(numbers))
        sizes = [len(part) async for part in result.partitions(50)]
        assert sizes == [50] * 10
        result = await connection.stream(text(numbers))
        assert (await result.fetchone()).i == 1
        await result.close()
    await engine.dispose()


async def test_rollback_undoes(engine_for):
    engine = engine_for()
    await create_tables(engine)
    await add_authors(engine, "Ada")
    with pytest.raises(LookupError):
        async with AsyncSession(engine) as session, session.begin():
            session.add(Author(name="Bob"))
            await session.flush()
            raise LookupError
    assert await names(engine) == ["Ada"]
    await engine.dispose()


async def test_savepoint_undoes_its_part(engine_for):
    engine = engine_for()
    await create_tables(engine)
    async with AsyncSession(engine) as session, session.begin():
        session.add(Author(name="Ada"))
        await session.flush()
        with pytest.raises(IntegrityError):
            async with session.begin_nested():
                session.add(Author(name="Ada"))
        session.add(Author(name="Bob"))
    assert await names(engine) == ["Ada", "Bob"]
    await engine.dispose()


async def test_integrity_error_is_wrapped_around_that_of_sqlite3(engine_for):
    engine = engine_for()
    await create_tables(engine)
    await add_authors(engine, "Ada")
    with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: author\.name"):
        await add_authors(engine, "Ada")
    with pytest.raises(OperationalError, match=r"no such table: nowhere"):
        async with engine.connect() as connection:
            await connection.execute(text("select * from nowhere"))
    assert await names(engine) == ["Ada"]
    await engine.dispose()


async def test_autocommit_isolation_level_commits_each_statement(engine_for, path):
    engine = engine_for(f"sqlite+aiosqlite:///{path}")
    await create_tables(engine)
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        driver = await driver_of(autocommit)
        assert driver.isolation_level is None
        await autocommit.execute(text("insert into author (name) values ('Ada')"))
        assert not driver.in_transaction
        assert await names(engine) == ["Ada"]
    async with engine.connect() as connection:
        assert (await driver_of(connection)).isolation_level == ""
        await connection.execute(text("insert into author (name) values ('Bob')"))
        assert (await driver_of(connection)).in_transaction
    assert await names(engine) == ["Ada"]
    await engine.dispose()


async def test_read_uncommitted_isolation_level(engine_for):
    engine = engine_for(isolation_level="READ UNCOMMITTED")
    async with engine.connect() as connection:
        assert await connection.scalar(text("pragma read_uncommitted")) == 1
        assert await connection.get_isolation_level() == "READ UNCOMMITTED"
    await engine.dispose()


async def test_regexp_is_installed_by_the_dialect(engine_for):
    engine = engine_for()
    await create_tables(engine)
    await add_authors(engine, "Ada", "Bob", "Adele")
    async with engine.connect() as connection:
        query = select(Author.name).where(Author.name.regexp_match("^Ad.{2,}"))
        assert list(await connection.scalars(query)) == ["Adele"]
    await engine.dispose()


async def test_connections_of_a_pool_work_side_by_side_on_a_file(engine_for, path):
    engine = engine_for(f"sqlite+aiosqlite:///{path}", connect_args={"timeout": 25}, pool_size=5)
    await create_tables(engine)
    arrived, everyone = 0, asyncio.Event()
    drivers = set()

    async def work(number):
        nonlocal arrived
        async with engine.connect() as connection:
            drivers.add(await driver_of(connection))
            arrived += 1
            if arrived == 5:
                everyone.set()
            await everyone.wait()
            await connection.execute(
                text("insert into author (name) values (:name)"), {"name": str(number)}
            )
            await connection.commit()

    await asyncio.gather(*[work(number) for number in range(5)])
    assert len(drivers) == 5
    assert await names(engine) == ["0", "1", "2", "3", "4"]
    await engine.dispose()


async def test_dispose_closes_the_connections(engine_for, path):
    engine = engine_for(f"sqlite+aiosqlite:///{path}")
    async with engine.connect() as connection:
        driver = await driver_of(connection)
        assert driver._connection
    await engine.dispose()
    assert driver._connection is None
    await asyncio.to_thread(driver._thread.join)
    async with engine.connect() as connection:
        assert await driver_of(connection) is not driver
    await engine.dispose()


async def test_executemany_and_returning(engine_for):
    engine = engine_for()
    await create_tables(engine)
    async with engine.begin() as connection:
        insert = sqlalchemy.insert(Author)
        await connection.execute(insert, [{"name": f"author {n}"} for n in range(50)])
        result = await connection.execute(
            insert.values(name="last").returning(Author.id, Author.name)
        )
        assert result.one() == (51, "last")
        result = await connection.execute(sqlalchemy.update(Author).values(name=Author.name + "!"))
        assert result.rowcount == 51
    await engine.dispose()


async def test_pragma_in_a_connect_event(engine_for):
    engine = engine_for()

    @event.listens_for(engine.sync_engine, "connect")
    def switch_on_foreign_keys(connection, record):
        cursor = connection.cursor()
        cursor.execute("pragma foreign_keys = on")
        cursor.close()

    await create_tables(engine)
    with pytest.raises(IntegrityError, match=r"FOREIGN KEY constraint failed"):
        async with engine.begin() as connection:
            await connection.execute(
                text("insert into book (title, cover, author_id) values ('x', x'', 99)")
            )
    await engine.dispose()


async def test_function_created_on_the_driver_connection(engine_for):
    engine = engine_for()
    async with engine.connect() as connection:
        driver = await driver_of(connection)
        await driver.create_function("twice", 1, lambda number: number * 2)
        assert await connection.scalar(text("select twice(21)")) == 42
    await engine.dispose()


async def test_invalidated_connection_is_replaced(engine_for, path):
    engine = engine_for(f"sqlite+aiosqlite:///{path}")
    async with engine.connect() as connection:
        before = await driver_of(connection)
        await connection.invalidate()
        assert await connection.scalar(text("select 1")) == 1
        assert await driver_of(connection) is not before
    await engine.dispose()
    await asyncio.to_thread(before._thread.join, 20)
    assert not before._thread.is_alive()


async def test_connection_closed_behind_the_engines_back_is_noticed(engine_for, path):
    engine = engine_for(f"sqlite+aiosqlite:///{path}")
    async with engine.connect() as connection:
        await (await driver_of(connection)).close()
        with pytest.raises(OperationalError, match=r"(?i)no active connection|connection closed"):
            await connection.execute(text("select 1"))
    async with engine.connect() as connection:
        assert await connection.scalar(text("select 2")) == 2
    await engine.dispose()


async def test_dates_json_and_decimals_go_through_sqlalchemys_own_types(engine_for):
    import datetime
    import decimal

    engine = engine_for()
    table = sqlalchemy.Table(
        "typed",
        sqlalchemy.MetaData(),
        sqlalchemy.Column("moment", sqlalchemy.DateTime),
        sqlalchemy.Column("flag", sqlalchemy.Boolean),
        sqlalchemy.Column("data", sqlalchemy.JSON),
        sqlalchemy.Column("price", sqlalchemy.Numeric(10, 2, asdecimal=True)),
    )
    row = (
        datetime.datetime(2024, 2, 29, 1, 2, 3, 4),
        True,
        {"a": [1, None]},
        decimal.Decimal("9.50"),
    )
    async with engine.begin() as connection:
        await connection.run_sync(table.create)
        await connection.execute(table.insert().values(row))
        assert (await connection.execute(table.select())).one() == row
    await engine.dispose()


def test_engine_in_one_loop_after_another(engine_for):
    async def use():
        engine = engine_for()
        async with engine.connect() as connection:
            value = await connection.scalar(text("select 1"))
        await engine.dispose()
        return value

    assert [asyncio.run(use()) for _ in range(3)] == [1, 1, 1]


def test_dialect_knows_the_exceptions_of_sqlite3(engine_for):
    engine = engine_for()
    for name in ("Error", "OperationalError", "IntegrityError", "ProgrammingError"):
        assert getattr(engine.dialect.dbapi, name) is getattr(sqlite3, name)
