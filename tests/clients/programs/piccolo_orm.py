"""Piccolo: tables, column types that need adapters and converters, transactions."""

import datetime
import decimal
import uuid

from piccolo.columns import UUID, Array, Boolean, Integer, Numeric, Timestamp, Varchar
from piccolo.engine.sqlite import SQLiteEngine, TransactionType
from piccolo.table import Table, create_db_tables

MOMENT = datetime.datetime(2024, 2, 29, 12, 30)
CODE = uuid.UUID(int=7)


async def main(path):
    engine = SQLiteEngine(path=path)

    class Band(Table, db=engine):
        name = Varchar(length=50, unique=True)
        popularity = Integer()
        active = Boolean()
        founded = Timestamp()
        code = UUID()
        price = Numeric(digits=(5, 2))
        tags = Array(base_column=Varchar())

    await create_db_tables(Band)
    band = Band(
        name="Pythonistas",
        popularity=1000,
        active=True,
        founded=MOMENT,
        code=CODE,
        price=decimal.Decimal("9.50"),
        tags=["a", "b"],
    )
    await band.save()
    await Band.insert(Band(name="Rustaceans", popularity=500, active=False, founded=MOMENT))

    row = await Band.select().where(Band.name == "Pythonistas").first()
    assert row["active"] is True
    assert row["founded"] == MOMENT
    assert row["code"] == CODE
    assert row["price"] == decimal.Decimal("9.50")
    assert row["tags"] == ["a", "b"]

    await Band.update({Band.popularity: Band.popularity + 1}).where(Band.active.eq(False))
    rows = await Band.select(Band.name, Band.popularity).order_by(Band.popularity)
    assert rows == [
        {"name": "Rustaceans", "popularity": 501},
        {"name": "Pythonistas", "popularity": 1000},
    ]
    found = await Band.objects().get(Band.name == "Rustaceans")
    assert found.popularity == 501

    try:
        async with engine.transaction(transaction_type=TransactionType.immediate):
            await Band.delete(force=True)
            raise LookupError
    except LookupError:
        pass
    assert await Band.count() == 2
    async with engine.transaction():
        await Band.delete().where(Band.name == "Rustaceans")
    assert await Band.count() == 1
