"""Tortoise ORM: models, relations, a transaction that fails, a raw query."""

import sys

from tortoise import Tortoise, fields
from tortoise.exceptions import IntegrityError, OperationalError
from tortoise.models import Model
from tortoise.transactions import in_transaction


class Author(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=50, unique=True)


class Book(Model):
    id = fields.IntField(primary_key=True)
    title = fields.CharField(max_length=50)
    pages = fields.IntField()
    published = fields.DatetimeField(auto_now_add=True)
    cover = fields.BinaryField()
    author = fields.ForeignKeyField("models.Author", related_name="books")


async def main(path):
    this = sys.modules.setdefault("bookshelf", type(sys)("bookshelf"))
    this.Author, this.Book = Author, Book
    Author.__module__ = Book.__module__ = "bookshelf"
    await Tortoise.init(db_url=f"sqlite://{path}", modules={"models": ["bookshelf"]})
    await Tortoise.generate_schemas()

    ada = await Author.create(name="Ada")
    await Book.bulk_create(
        Book(title=f"Volume {n}", pages=n * 100, cover=b"\0" * n, author=ada) for n in range(1, 4)
    )
    assert await Book.filter(pages__gte=200).count() == 2
    assert await Book.filter(author__name="Ada").order_by("-pages").values_list(
        "title", flat=True
    ) == [
        "Volume 3",
        "Volume 2",
        "Volume 1",
    ]
    book = await Book.get(title="Volume 2").prefetch_related("author")
    assert (book.author.name, book.cover) == ("Ada", b"\0\0")

    assert await Book.filter(pages__lt=150).update(pages=150) == 1
    try:
        async with in_transaction() as connection:
            await Author.create(name="Bob", using_db=connection)
            await Author.create(name="Ada", using_db=connection)
    except IntegrityError:
        pass
    else:
        raise AssertionError("the second Ada was accepted")
    assert await Author.all().count() == 1

    connection = Tortoise.get_connection("default")
    _, rows = await connection.execute_query("select title, pages from book where pages = ?", [150])
    assert [dict(row) for row in rows] == [{"title": "Volume 1", "pages": 150}]
    try:
        await connection.execute_query("select * from nowhere")
    except OperationalError:
        pass
    else:
        raise AssertionError("a table that does not exist was read")
    await Tortoise.close_connections()
