"""The names that a generated program may use, beside Python's own.

Nothing in here may depend on which module runs the program. What a callback is called with goes
into `LOG`, which is compared after each line.
"""

import array
import collections
import datetime
import decimal
import enum
import sqlite3
import types

LOG = []


def note(name, *args):
    LOG.append((name, *(repr(item) for item in args)))


class Boom(Exception):
    """What is raised in here."""


class Plain:
    """An object that no database stores."""

    def __repr__(self):
        return "Plain()"


class Conform(Plain):
    """Adapts itself to `value`."""

    def __init__(self, value):
        self.value = value

    def __conform__(self, protocol):
        note("conform", protocol is sqlite3.PrepareProtocol)
        return self.value


class ConformRaises(Plain):
    def __init__(self, error=Boom):
        self.error = error

    def __conform__(self, protocol):
        raise self.error("conform")


class Adapted(Plain):
    """Has an adapter, which gives `value`."""

    def __init__(self, value):
        self.value = value


class AdaptedChild(Adapted):
    """Has none of its own."""


class AdaptedRaises(Plain):
    def __init__(self, error=Boom):
        self.error = error


def adapt(adapted):
    note("adapt")
    return adapted.value


def adapt_raises(adapted):
    raise adapted.error("adapter")


class Int(int):
    pass


class AdaptedInt(int):
    pass


class Str(str):
    pass


class Bytes(bytes):
    pass


class Float(float):
    pass


class Color(enum.IntEnum):
    RED = 1


class Word(str, enum.Enum):
    A = "a"


class Index:
    """No int, but it can be one."""

    def __index__(self):
        return 1

    def __repr__(self):
        return "Index()"


class Length:
    """A sequence with no items to be had, or of a length that is not so."""

    def __init__(self, length, items=(), error=Boom):
        self.length, self.items, self.error = length, items, error

    def __len__(self):
        if isinstance(self.length, int):
            return self.length
        raise self.error("len")

    def __getitem__(self, index):
        try:
            return self.items[index]
        except IndexError:
            raise self.error("item") from None


class Missing(dict):
    """A dict that has a value for every name."""

    def __missing__(self, key):
        note("missing", key)
        return f"missing {key}"


class MissingRaises(dict):
    def __missing__(self, key):
        raise Boom("missing")


class List(list):
    pass


class Tuple(tuple):
    pass


Pair = collections.namedtuple("Pair", "x y")


def raising(*items):
    """Give the items, then raise."""
    yield from items
    raise Boom("iterator")


def dict_factory(cursor, row):
    return {column[0]: value for column, value in zip(cursor.description, row)}


def list_factory(cursor, row):
    note("list_factory", row)
    return list(row)


def none_factory(cursor, row):
    return None


def raising_factory(cursor, row):
    raise Boom("row factory")


def picky_factory(cursor, row):
    if row[0] == 2:
        raise Boom("row factory")
    return row


def narrow_factory(row):
    return row


def upper_text(data):
    note("upper_text", data)
    return data.decode("utf-8", "replace").upper()


def raising_text(data):
    raise Boom("text factory")


def point(data):
    note("point", data)
    x, y = data.split(b";")
    return float(x), float(y)


def none(data):
    return None


def raising_converter(data):
    raise Boom("converter")


def narrow_converter():
    return 1


def nested(data):
    return [data, {"x": Plain()}]


# User functions. What they are called with is noted, so they stand only in statements that run
# to their end at once.


def echo(*args):
    note("echo", *args)
    return args[0] if args else None


def noted(*args):
    note("noted", *args)
    return len(args)


def broken(*args):
    raise Boom("function")


def broken_base(*args):
    raise KeyError("function")


def odd(kind):
    """Give a value that SQLite cannot take, or barely."""
    return {
        0: None,
        1: 2**63,
        2: Plain(),
        3: "\ud800",
        4: float("nan"),
        5: [1],
        6: bytearray(b"ba"),
        7: memoryview(b"abcdef")[::2],
        8: True,
        9: Int(3),
        10: "a\0b",
        11: Str("s"),
        12: -(2**63),
        13: memoryview(b"mv"),
        14: float("inf"),
        15: b"",
        16: "",
        17: array.array("i", [1]),
        18: Word.A,
        19: Index(),
    }.get(kind, "?")


class Sum:
    def __init__(self):
        self.total = 0

    def step(self, value):
        note("step", value)
        self.total += value

    def finalize(self):
        return self.total

    def inverse(self, value):
        self.total -= value

    def value(self):
        return self.total


class NoStep:
    def finalize(self):
        return 1


class NoFinalize:
    def step(self, value):
        pass


class InitRaises:
    def __init__(self):
        raise Boom("init")

    def step(self, value):
        pass

    def finalize(self):
        return 1


class StepRaises(Sum):
    def step(self, value):
        raise Boom("step")


class FinalizeRaises(Sum):
    def finalize(self):
        raise Boom("finalize")


class FinalizeOdd(Sum):
    def finalize(self):
        return Plain()


class ValueRaises(Sum):
    def value(self):
        raise Boom("value")


class InverseRaises(Sum):
    def inverse(self, value):
        raise Boom("inverse")


def reverse(a, b):
    return (a < b) - (a > b)


def length(a, b):
    return len(a) - len(b)


def broken_collation(a, b):
    raise Boom("collation")


def text_collation(a, b):
    return "x"


def none_collation(a, b):
    return None


def huge_collation(a, b):
    return 2**40 if a > b else -(2**40)


def allow(*args):
    return sqlite3.SQLITE_OK


def deny(*args):
    return sqlite3.SQLITE_DENY


def deny_b(action, first, second, schema, source):
    return sqlite3.SQLITE_DENY if second == "b" else sqlite3.SQLITE_OK


def ignore_b(action, first, second, schema, source):
    return sqlite3.SQLITE_IGNORE if second == "b" else sqlite3.SQLITE_OK


def deny_select(action, *args):
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_SELECT else sqlite3.SQLITE_OK


def deny_insert(action, *args):
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_INSERT else sqlite3.SQLITE_OK


def deny_transaction(action, *args):
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_TRANSACTION else sqlite3.SQLITE_OK


def odd_authorizer(*args):
    return "x"


def broken_authorizer(*args):
    raise Boom("authorizer")


def go_on(*args):
    return 0


def stop(*args):
    return 1


def broken_progress(*args):
    raise Boom("progress")


def trace(statement):
    note("trace", statement)


def broken_trace(statement):
    raise Boom("trace")


def backup_progress(status, remaining, total):
    note("backup", status, remaining == 0)


def broken_backup_progress(*args):
    raise Boom("backup")


def fresh():
    """Return a namespace for one program."""
    names = dict(globals())
    for name in ("fresh", "sqlite3"):
        del names[name]
    names["inf"], names["nan"] = float("inf"), float("nan")
    names["Row"] = sqlite3.Row
    names["array"], names["date"] = array.array, datetime.date
    names["datetime"], names["Decimal"] = datetime.datetime, decimal.Decimal
    names["deque"], names["Proxy"] = collections.deque, types.MappingProxyType
    for name in dir(sqlite3):
        if name.startswith(("SQLITE_", "PARSE_", "LEGACY")) or isinstance(
            getattr(sqlite3, name), type
        ):
            names.setdefault(name, getattr(sqlite3, name))
    return names


# The names of these types are nobody else's, so they may stay registered.
CONVERTERS = {
    "dx_point": point,
    "DX_UPPER": bytes.upper,
    "dx_None": none,
    "dx_raises": raising_converter,
    "dx_narrow": narrow_converter,
    "dx_nested": nested,
    "dx_int": int,
}

for key, converter in CONVERTERS.items():
    sqlite3.register_converter(key, converter)
for kind in (Adapted, AdaptedInt):
    sqlite3.register_adapter(kind, adapt if kind is Adapted else lambda value: f"int {value!r}")
sqlite3.register_adapter(AdaptedRaises, adapt_raises)
