"""Database files of varied content, and ways of damaging them; for tests/test_corruption.py."""

import sqlite3
from contextlib import closing
from pathlib import Path

# What each base file is made of: page size, pragmas, and what lies beside it.
BASES = {
    "plain": (1024, "", ""),
    "auto_vacuum": (1024, "pragma auto_vacuum = full;", ""),
    "incremental": (512, "pragma auto_vacuum = incremental;", ""),
    "utf16": (2048, "pragma encoding = 'utf-16le';", ""),
    "wal": (1024, "", "-wal"),
    "journal": (1024, "", "-journal"),
}

COLUMNS = "a integer, b text collate nocase, c real, d blob"

SCHEMA = f"""
    create table t (id integer primary key, {COLUMNS});
    create table auto (id integer primary key autoincrement, a text unique, b default (1 + 1));
    create table pairs (a, b, c, primary key (a, b)) without rowid;
    create table made (a integer, b as (a * 2), c text as ('x' || a) stored);
    create table child (id integer primary key, parent integer references t (id), note text);
    create table log (id integer primary key, what text);
    create index t_b on t (b, a desc);
    create index t_c on t (c) where c > 10;
    create index t_d on t (length(d));
    create index made_b on made (b);
    create view v as select t.id, t.b, count(child.id) as children
        from t left join child on child.parent = t.id group by t.id;
    create trigger t_insert after insert on t begin
        insert into log (what) values ('insert ' || new.id); end;
    create trigger t_update after update on t when new.a != old.a begin
        insert into log (what) values ('update ' || new.id); end;
    create trigger t_delete after delete on t begin
        delete from child where parent = old.id; end;
"""

MODULES = {
    "fts5": "create virtual table f using fts5 (a, b)",
    "rtree": "create virtual table r using rtree (id, x1, x2)",
}


def modules(connection):
    """Return which of MODULES a connection's SQLite has."""
    return [name for (name,) in connection.execute("pragma module_list") if name in MODULES]


def fill(connection):
    """Fill the tables: small and large rows, texts, numbers, blobs that need overflow pages."""
    rows = [
        (i, i * 7 % 50, f"text {i} " * (i % 9), i / 3, bytes([i % 256]) * (i * 37 % 3000))
        for i in range(1, 61)
    ]
    connection.executemany("insert into t values (?, ?, ?, ?, ?)", rows)
    connection.executemany("insert into auto (a) values (?)", [(f"name {i}",) for i in range(40)])
    connection.executemany(
        "insert into pairs values (?, ?, ?)", [(i % 7, f"key {i}", i * 1.5) for i in range(80)]
    )
    connection.executemany("insert into made (a) values (?)", [(i,) for i in range(50)])
    connection.executemany(
        "insert into child values (?, ?, ?)", [(i, i % 60 + 1, "é" * (i % 20)) for i in range(90)]
    )
    for name in modules(connection):
        connection.execute(MODULES[name])
        if name == "fts5":
            texts = [(f"alpha word{i} beta", f"gamma {i % 5}") for i in range(60)]
            connection.executemany("insert into f values (?, ?)", texts)
        else:
            boxes = [(i, i, i + 2.5) for i in range(1, 60)]
            connection.executemany("insert into r values (?, ?, ?)", boxes)
    # Pages for the freelist.
    connection.execute("create table gone (a)")
    connection.execute("insert into gone values (zeroblob(20000))")
    connection.execute("drop table gone")
    connection.execute("analyze")


def build(path, base):
    """Write a base file; return its files as {suffix: bytes}, "" for the database itself."""
    size, pragmas, beside = BASES[base]
    with closing(sqlite3.connect(str(path))) as connection:
        connection.isolation_level = None
        connection.executescript(f"pragma page_size = {size}; {pragmas} {SCHEMA}")
        connection.execute("begin")
        fill(connection)
        connection.execute("commit")
        if beside == "-wal":
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma wal_autocheckpoint = 0")
            connection.execute("update t set b = b || ' in the log', a = a + 1")
            connection.execute("insert into auto (a) select 'more ' || id from t")
        elif beside == "-journal":
            connection.execute("pragma cache_size = 5")
            connection.execute("begin")
            connection.execute("update t set b = b || ' undone', d = zeroblob(2000)")
            connection.execute("delete from pairs")
        suffixes = [suffix for suffix in ("", beside, "-shm") if Path(f"{path}{suffix}").exists()]
        return {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in suffixes}


# -- damaging: each takes the bytes, the page size and the dice, and changes the bytes in place

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def page_of(data, size, dice):
    """Return where a page begins, and where it ends."""
    start = dice.randrange(max(1, (len(data) + size - 1) // size)) * size
    return start, min(start + size, len(data))


def flip(data, start, end, dice):
    """Flip a bit between two places."""
    if start < min(end, len(data)):
        data[dice.randrange(start, min(end, len(data)))] ^= 1 << dice.randrange(8)


def flip_bits(data, size, dice):
    for _ in range(dice.choice((1, 1, 2, 5, 30))):
        flip(data, 0, len(data), dice)


def flip_header(data, size, dice):
    for _ in range(dice.choice((1, 2, 5))):
        flip(data, 0, 100, dice)


def flip_page_header(data, size, dice):
    for _ in range(dice.choice((1, 2, 5))):
        start, _ = page_of(data, size, dice)
        flip(data, start + (100 if start == 0 else 0), start + 40, dice)


def flip_schema(data, size, dice):
    for _ in range(dice.choice((1, 2, 5))):
        flip(data, 100, size, dice)


def put_number(data, size, dice):
    for _ in range(dice.choice((1, 1, 3))):
        width = dice.choice((1, 2, 4))
        if len(data) > width:
            place = dice.randrange(len(data) - width)
            if dice.random() < 0.5:
                start, _ = page_of(data, size, dice)
                place = min(start + dice.randrange(16), len(data) - width)
            number = dice.choice(NUMBERS) & (256**width - 1)
            data[place : place + width] = number.to_bytes(width, "big")


def truncate(data, size, dice):
    end = dice.randrange(len(data) + 1)
    del data[end - end % size if dice.random() < 0.5 else end :]


def zero_page(data, size, dice):
    start, end = page_of(data, size, dice)
    data[start:end] = bytes(end - start)


def fill_page(data, size, dice):
    start, end = page_of(data, size, dice)
    data[start:end] = dice.randbytes(end - start)


def swap_pages(data, size, dice):
    one, _ = page_of(data, size, dice)
    two, _ = page_of(data, size, dice)
    first, second = data[one : one + size], data[two : two + size]
    if len(first) == len(second):
        data[one : one + size], data[two : two + size] = second, first


def copy_page(data, size, dice):
    one, end = page_of(data, size, dice)
    two, _ = page_of(data, size, dice)
    data[two : two + size] = data[one:end]


def append(data, size, dice):
    data += dice.randbytes(dice.choice((1, size - 1, size, 3 * size)))


def empty(data, size, dice):
    del data[:]


WAYS = [
    *[flip_bits, flip_page_header, put_number] * 4,
    *[flip_header, flip_schema, zero_page, fill_page, swap_pages, copy_page, truncate] * 2,
    append,
    empty,
]


def damage(files, size, dice):
    """Return damaged copies of the files, and what was done to them."""
    damaged = {suffix: bytearray(data) for suffix, data in files.items()}
    done = []
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        suffix = dice.choice(["", "", "", *files])
        way = dice.choice(WAYS)
        if way is empty and suffix == "":
            continue
        if damaged[suffix]:
            way(damaged[suffix], size, dice)
            done.append(f"{way.__name__} of {suffix or 'the database'}")
    return damaged, done
