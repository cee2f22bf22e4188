"""jsonb_encode() and jsonb_decode(): SQLite's own jsonb(), json() and json_valid() say what is right."""

import enum
import json
import math
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import csqlite

HAS_JSONB = csqlite.sqlite_version_info >= (3, 45)
HAS_STRICT = csqlite.sqlite_version_info >= (3, 46)

pytestmark = pytest.mark.skipif(not HAS_JSONB, reason="this SQLite has no JSONB")

# Documents whose JSON and whose JSONB have one form each.
DOCUMENTS = [
    None,
    True,
    False,
    0,
    -1,
    7,
    2**31,
    -(2**63),
    2**64,
    10**40,
    0.0,
    -0.0,
    0.5,
    -1.25,
    1e300,
    1e-300,
    1.0,
    "",
    "x",
    "plain text, longer than eleven bytes",
    "naïve ☃ 😀",
    "it's",
    "x" * 11,
    "x" * 12,
    "x" * 255,
    "x" * 256,
    "x" * 65535,
    "x" * 65536,
    [],
    {},
    [[]],
    [{}],
    {"": {}},
    [1, 2, 3],
    [None, True, False, 1, 1.5, "a", [], {}],
    {"a": 1, "b": [1, 2], "c": {"d": None}},
    {"key " + str(i): list(range(i)) for i in range(60)},
    [["x" * n] for n in range(0, 300, 7)],
]

# Texts that JSON has to escape. SQLite keeps the escapes, csqlite the characters.
ESCAPED = ['"', "\\", "\n", "\t\r\b\f", "\0", "a\u001fb", '{"a": "b"}', "\x7f"]


@pytest.fixture
def aiosqlite():
    return csqlite


async def scalar(db, sql, *parameters):
    ((value,),) = await db.execute_fetchall(sql, parameters)
    return value


def names(document):
    return json.dumps(document)[:40]


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
async def test_encodes_the_bytes_that_sqlite_makes(db, document):
    text = json.dumps(document, ensure_ascii=False)
    assert csqlite.jsonb_encode(document) == await scalar(db, "SELECT jsonb(?)", text)


@pytest.mark.parametrize("document", DOCUMENTS + ESCAPED, ids=names)
async def test_decodes_what_sqlite_has_made(db, document):
    blob = await scalar(db, "SELECT jsonb(?)", json.dumps(document))
    result = csqlite.jsonb_decode(blob)
    assert result == document
    assert type(result) is type(document)


@pytest.mark.parametrize("document", DOCUMENTS + ESCAPED, ids=names)
async def test_sqlite_reads_what_is_encoded(db, document):
    blob = csqlite.jsonb_encode(document)
    if HAS_STRICT:
        assert await scalar(db, "SELECT json_valid(?, 8)", blob) == 1
    assert json.loads(await scalar(db, "SELECT json(?)", blob)) == document
    assert csqlite.jsonb_decode(blob) == document


@pytest.mark.parametrize("text", ESCAPED, ids=repr)
async def test_sqlite_extracts_the_very_text(db, text):
    blob = csqlite.jsonb_encode({"a": text})
    extracted = await scalar(db, "SELECT CAST(? ->> 'a' AS BLOB)", blob)
    assert extracted.decode() == text


@pytest.mark.parametrize(
    ("json5", "expected"),
    [
        ("0x1F", 31),
        ("-0xff", -255),
        ("+5", 5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.25e2", -25.0),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("NaN", None),
        ("'it\\'s'", "it's"),
        ("'\\x41\\v\\0'", "A\v\0"),
        ("'a\\\nb'", "ab"),
        ("'a\\\r\nb'", "ab"),
        ("'a\\\u2028b\\\u2029c'", "abc"),
        ('"tab\there"', "tab\there"),
        ("{a: 1, 'b c': [2,],}", {"a": 1, "b c": [2]}),
        ('"\\u0041\\ud83d\\ude00\\/"', "A😀/"),
    ],
)
async def test_json5_is_understood(db, json5, expected):
    assert csqlite.jsonb_decode(await scalar(db, "SELECT jsonb(?)", json5)) == expected


async def test_half_a_surrogate_pair_is_kept_as_the_json_module_keeps_it(db):
    text = '["\\ud800", "é\\udc00 \\ud800x", "\\ud83d\\u0041"]'
    blob = await scalar(db, "SELECT jsonb(?)", text)
    assert csqlite.jsonb_decode(blob) == json.loads(text)


def test_half_a_surrogate_pair_cannot_be_encoded():
    with pytest.raises(UnicodeEncodeError):
        csqlite.jsonb_encode("\ud800")


def test_a_raw_surrogate_beside_an_escaped_one_is_no_text():
    payload = b"\\ud800\xed\xa0\x80"
    blob = bytes([len(payload) << 4 | 8]) + payload
    with pytest.raises(UnicodeDecodeError):
        csqlite.jsonb_decode(blob)


async def test_infinity_and_nan_are_what_sqlite_makes_of_them(db):
    blob = csqlite.jsonb_encode([math.inf, -math.inf, math.nan])
    assert blob == await scalar(db, "SELECT jsonb('[Infinity, -Infinity, NaN]')")
    assert csqlite.jsonb_decode(blob) == [math.inf, -math.inf, None]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, {math.inf: 1}])
def test_infinity_and_nan_can_be_refused(value):
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        csqlite.jsonb_encode(value, allow_nan=False)


@pytest.mark.parametrize(
    "keyed", [{1: 0}, {True: 0}, {None: 0}, {1.5: 0}, {math.inf: 0, -math.inf: 1}, {2**70: 0}]
)
def test_keys_are_those_of_the_json_module(keyed):
    assert csqlite.jsonb_decode(csqlite.jsonb_encode(keyed)) == json.loads(json.dumps(keyed))


def test_other_keys_are_refused_or_skipped():
    with pytest.raises(TypeError, match="keys must be str, int, float, bool or None, not tuple"):
        csqlite.jsonb_encode({(1, 2): 3})
    assert csqlite.jsonb_encode({(1, 2): 3, "a": 1}, skipkeys=True) == csqlite.jsonb_encode(
        {"a": 1}
    )


def test_keys_can_be_sorted():
    assert csqlite.jsonb_encode({"b": 1, "a": 2}, sort_keys=True) == csqlite.jsonb_encode(
        {"a": 2, "b": 1}
    )
    with pytest.raises(TypeError, match="not supported between"):
        csqlite.jsonb_encode({"b": 1, 2: 2}, sort_keys=True)


def test_subclasses_are_encoded_as_what_they_are():
    class Colour(enum.IntEnum):
        RED = 3

    class Text(str):
        __slots__ = ()

    assert csqlite.jsonb_decode(csqlite.jsonb_encode([Colour.RED, Text("x"), (1, 2)])) == [
        3,
        "x",
        [1, 2],
    ]


def test_default_gives_what_is_encoded_instead():
    encoded = csqlite.jsonb_encode({"a": {1}, "b": 1j}, default=lambda o: [repr(o)])
    assert csqlite.jsonb_decode(encoded) == {"a": ["{1}"], "b": ["1j"]}


def test_what_json_does_not_have_is_refused():
    with pytest.raises(TypeError, match="Object of type set is not JSON serializable"):
        csqlite.jsonb_encode([{1}])
    with pytest.raises(TypeError, match="Object of type bytes is not JSON serializable"):
        csqlite.jsonb_encode(b"x", default=None)


def test_default_may_raise_and_may_change_what_is_being_encoded():
    items = [object(), 1, 2]

    def shrink(value):
        items.clear()
        return "gone"

    assert csqlite.jsonb_decode(csqlite.jsonb_encode(items, default=shrink)) == ["gone"]
    members = {"a": object(), "b": 1}

    def empty(value):
        members.clear()

    assert csqlite.jsonb_decode(csqlite.jsonb_encode(members, default=empty)) == {"a": None, "b": 1}
    with pytest.raises(ZeroDivisionError):
        csqlite.jsonb_encode([object()], default=lambda o: 1 / 0)


def test_default_that_leads_to_no_end():
    with pytest.raises(ValueError, match="no end"):
        csqlite.jsonb_encode(object(), default=lambda o: object())


def nested(depth, inner=()):
    value = list(inner)
    for _ in range(depth - 1):
        value = [value]
    return value


async def test_depth_is_sqlites(db):
    deep = nested(1000, [1])
    blob = csqlite.jsonb_encode(deep)
    assert blob == await scalar(db, "SELECT jsonb(?)", "[" * 1000 + "1" + "]" * 1000)
    assert csqlite.jsonb_encode(csqlite.jsonb_decode(blob)) == blob
    with pytest.raises(ValueError, match="nested deeper than the 1000 levels"):
        csqlite.jsonb_encode([deep])
    with pytest.raises(csqlite.OperationalError, match="malformed JSON"):
        await scalar(db, "SELECT jsonb(?)", "[" * 1001 + "]" * 1001)


def on_a_stack_of(size, function):
    """Call a function in a thread with so much stack; what it gives."""
    before = threading.stack_size(size)
    try:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(function).result()
    finally:
        threading.stack_size(before)


@pytest.mark.parametrize("kibibytes", [64, 128, 160])
def test_depth_takes_no_stack(kibibytes):
    def there_and_back():
        values = [
            nested(1000),
            nested(999, [{"a": [1, {}], "b": nested(500)}]),
            [nested(i) for i in range(1, 100)],
        ]
        chain = None
        for _ in range(1000):
            chain = {"": chain}
        values.append(chain)
        blobs = [csqlite.jsonb_encode(value) for value in values[:1] + values[2:]]
        again = [csqlite.jsonb_encode(csqlite.jsonb_decode(blob)) for blob in blobs]
        csqlite.jsonb_decode(blobs[-1], object_pairs_hook=tuple)
        with pytest.raises(ValueError, match="nested deeper"):
            csqlite.jsonb_encode(values[1])
        return blobs == again

    assert on_a_stack_of(kibibytes * 1024, there_and_back)


def test_what_holds_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="within itself"):
        csqlite.jsonb_encode(loop)


def test_decoding_refuses_what_is_too_deep():
    blob = b""
    for _ in range(1001):
        size = len(blob)
        blob = (bytes([size << 4 | 11]) if size <= 11 else b"\xdb" + size.to_bytes(2, "big")) + blob
    with pytest.raises(ValueError, match="malformed JSONB at byte [0-9]+: nested too deeply"):
        csqlite.jsonb_decode(blob)


def test_hooks_are_those_of_the_json_module():
    text = '{"a": 1, "b": 2.50, "c": {"d": -3}}'
    blob = csqlite.jsonb_encode(json.loads(text))
    for options in (
        {"object_hook": sorted},
        {"object_pairs_hook": list},
        {"parse_int": lambda s: "int " + s},
        {"parse_float": lambda s: "float " + str(float(s))},
        {"object_hook": len, "object_pairs_hook": tuple},
        {"object_hook": None, "parse_int": None},
    ):
        assert csqlite.jsonb_decode(blob, **options) == json.loads(text, **options)


def test_a_hook_that_raises():
    with pytest.raises(ZeroDivisionError):
        csqlite.jsonb_decode(csqlite.jsonb_encode([{"a": 1}]), object_hook=lambda d: 1 / 0)


def test_the_last_of_two_equal_keys_counts():
    pair = csqlite.jsonb_encode("a") + csqlite.jsonb_encode(1)
    again = csqlite.jsonb_encode("a") + csqlite.jsonb_encode(2)
    blob = bytes([(len(pair) + len(again)) << 4 | 12]) + pair + again
    assert csqlite.jsonb_decode(blob) == {"a": 2}
    assert csqlite.jsonb_decode(blob, object_pairs_hook=list) == [("a", 1), ("a", 2)]


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_any_buffer_is_decoded(wrap):
    assert csqlite.jsonb_decode(wrap(csqlite.jsonb_encode([1]))) == [1]


def test_headers_longer_than_they_need_be_are_allowed():
    for header in (
        b"\x13",
        b"\xc3\x01",
        b"\xd3\0\x01",
        b"\xe3\0\0\0\x01",
        b"\xf3" + bytes(7) + b"\x01",
    ):
        assert csqlite.jsonb_decode(header + b"7") == 7


@pytest.mark.parametrize(
    ("blob", "complaint"),
    [
        (b"", "byte 0: an element is missing"),
        (b"\xc3", "byte 0: the header is cut off"),
        (b"\xf3" + b"\xff" * 8, "byte 0: the element is longer"),
        (b"\x23", "byte 0: the element is longer"),
        (b"\x00\x00", "byte 1: more bytes than"),
        (b"\x10a", "byte 0: a constant with a payload"),
        (b"\xc0\x00", "byte 0: a constant with a payload"),
        (b"\x0d", "byte 0: no such type"),
        (b"\x03", "byte 0: not a number"),
        (b"\x13-", "byte 0: not a number"),
        (b"\x2307", "byte 0: not a number"),
        (b"\x33 12", "byte 0: not a number"),
        (b"\x331_2", "byte 0: not a number"),
        (b"\x240x", "byte 0: not a number"),
        (b"\x340xg", "byte 0: not a number"),
        (b"\x2512", "byte 0: not a number"),
        (b"\x251.", "byte 0: not a number"),
        (b"\x25.1", "byte 0: not a number"),
        (b"\x451.e5", "byte 0: not a number"),
        (b"\x16.", "byte 0: not a number"),
        (b"\x35nan", "byte 0: not a number"),
        (b'\x17"', "byte 1: a character that must be escaped"),
        (b"\x17\n", "byte 1: a character that must be escaped"),
        (b"\x18\n", "byte 1: a character that must be escaped"),
        (b"\x18\\", "byte 1: no such escape"),
        (b"\x28\\v", "byte 1: no such escape"),
        (b"\x48\\u12", "byte 1: no such escape"),
        (b"\x29\\q", "byte 1: no such escape"),
        (b"\x39\\01", "byte 1: no such escape"),
        (b"\x2c\x17a", "byte 3: an element is missing"),
        (b"\x2c\x00\x00", "byte 1: a key that is no text"),
        (b"\x2b\x27a", "byte 1: the element is longer"),
    ],
)
def test_what_is_no_jsonb(blob, complaint):
    with pytest.raises(ValueError, match="malformed JSONB at " + complaint):
        csqlite.jsonb_decode(blob)


def test_bytes_that_are_not_utf8():
    with pytest.raises(UnicodeDecodeError):
        csqlite.jsonb_decode(b"\x1a\xff")


def random_document(source, depth=0):
    kind = source.randrange(9 if depth < 4 else 7)
    if kind == 0:
        return source.choice([None, True, False])
    if kind in (1, 2):
        return source.choice([0, -1, source.randrange(-(10**6), 10**20), source.random() * 1e9])
    if kind in (3, 4, 5, 6):
        return "".join(source.choice('aé"\\\n☃😀 ') for _ in range(source.randrange(20)))
    items = [random_document(source, depth + 1) for _ in range(source.randrange(6))]
    return items if kind == 7 else {f"k{i}": item for i, item in enumerate(items)}


@pytest.mark.skipif(not HAS_STRICT, reason="this SQLite has no strict json_valid()")
async def test_mutated_bytes_never_crash_and_what_is_accepted_is_valid(db):
    source = random.Random(20240)
    sources = [csqlite.jsonb_encode(random_document(source)) for _ in range(300)]
    texts = ["[0x1f, .5, 'a\\x41\\\nb', \"\\u00e9\\ud83d\\ude00\"]", '{"a":{"b":[1,2.5e3,"x"]}}']
    sources += [await scalar(db, "SELECT jsonb(?)", text) for text in texts] * 30
    accepted = 0
    for _ in range(12000):
        blob = bytearray(source.choice(sources))
        for _ in range(source.randrange(1, 4)):
            action = source.randrange(4)
            at = source.randrange(len(blob)) if blob else 0
            if action == 0 and blob:
                blob[at] = source.randrange(256)
            elif action == 1 and blob:
                blob[at] ^= 1 << source.randrange(8)
            elif action == 2:
                blob.insert(at, source.randrange(256))
            elif blob:
                del blob[at : at + source.randrange(1, 4)]
        valid = await scalar(db, "SELECT json_valid(?, 8)", bytes(blob))
        try:
            value = csqlite.jsonb_decode(blob)
        except ValueError:
            # What SQLite calls valid is refused for what SQLite does not look at.
            if valid:
                with pytest.raises((csqlite.OperationalError, json.JSONDecodeError)):
                    json.loads(await scalar(db, "SELECT json(?)", bytes(blob)))
            continue
        accepted += 1
        assert valid == 1, bytes(blob)
        assert json.loads(await scalar(db, "SELECT json(?)", bytes(blob))) == value
    assert accepted > 500


@pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python has no limit of digits")
def test_more_digits_than_python_converts():
    digits = b"9" * 5000
    with pytest.raises(ValueError, match="4300 digits"):
        csqlite.jsonb_decode(b"\xd3" + len(digits).to_bytes(2, "big") + digits)
    assert csqlite.jsonb_decode(b"\xd3\x13\x88" + digits, parse_int=len) == 5000


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (csqlite.jsonb_encode, "missing required argument 'obj'"),
        (lambda: csqlite.jsonb_encode(1, 2), "at most 1 positional"),
        (lambda: csqlite.jsonb_encode(1, indent=2), "unexpected keyword argument 'indent'"),
        (csqlite.jsonb_decode, "missing required argument 'data'"),
        (lambda: csqlite.jsonb_decode("text"), "a bytes-like object is required"),
        (lambda: csqlite.jsonb_decode(b"\0", cls=1), "unexpected keyword argument 'cls'"),
    ],
)
def test_misuse(call, complaint):
    with pytest.raises(TypeError, match=complaint):
        call()
