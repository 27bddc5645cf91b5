"""Which casts to a date or a time may read a text, and so keep a result out of the cache."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.sql.catalog import Catalog
from proxy.sql.catalog_queries import QUERIES
from proxy.sql.classify import classify
from proxy.sql.scanner import scan
from proxy.types import Reason

BUILTINS = (
    *(("date_trunc", "s", 2), ("max", "i", 1), ("count", "i", 1), ("lower", "i", 1)),
    *(("date", "s", 1), ("timestamp", "s", 1), ("timestamptz", "s", 1), ("to_char", "s", 2)),
    *(("tstzrange", "i", 2), ("timezone", "i", 2), ("extract", "s", 2), ("date_part", "s", 2)),
    *(("jsonb_to_recordset", "s", 1), ("jsonb_populate_recordset", "s", 2)),
    *(("string_to_array", "i", 2), ("generate_series", "s", 3), ("lag", "i", 1)),
    *(("to_timestamp", "s", 2), ("populate_record", "i", 2), ("sum", "i", 1), ("concat", "s", 2)),
)
EVENTS, WORDS, DAYS, SETTINGS = 20_001, 20_002, 20_003, 20_004
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "relations": [
        (oid, "public", name, kind, "p", False, False)
        for oid, name, kind in (
            *((EVENTS, "events", "r"), (WORDS, "words", "r"), (DAYS, "days", "v")),
            (SETTINGS, "settings", "r"),
        )
    ],
    "definitions": [(DAYS, "SELECT (events.at)::date AS day FROM public.events")],
    "routines": [
        (oid, "pg_catalog", name, volatility, arguments, 0, False, False, False, None)
        for oid, (name, volatility, arguments) in enumerate(BUILTINS)
    ],
    "types": [
        (30_001, "moment", 0, 1184, 0),
        (30_002, "mood", 0, 0, 0),
        (30_003, "events", 0, 0, EVENTS),
    ],
    "time_types": [
        (1082, "date"),
        *((oid, name) for oid, name in ((1083, "time"), (1114, "timestamp"))),
        *((1184, "timestamptz"), (1266, "timetz"), (3910, "tstzrange"), (1185, "_timestamptz")),
        *((30_001, "moment"), (30_003, "events")),
    ],
    "time_columns": [
        (EVENTS, "at", True),
        (EVENTS, "time", True),
        (EVENTS, "max", True),
        (EVENTS, "said", True),
        (WORDS, "said", False),
        (DAYS, "day", True),
        (SETTINGS, "at", True),
    ],
}


def cached(sql: str, **more: tuple[Any, ...]) -> bool:
    rows = {name: [*ROWS.get(name, []), *more.get(name, ())] for name in QUERIES}
    statement = classify(scan(sql.encode()).fingerprint)
    access = Catalog.build("db", **rows).resolve(statement, ("public",), "bob")
    assert access.replica is None, (access.replica, access.detail)
    assert access.cache in (None, Reason.CLOCK)
    return access.cache is None


KEPT = [
    "SELECT at::date, count(*) FROM events GROUP BY at::date",
    "SELECT at::date AS day, count(*)::int FROM events GROUP BY 1 ORDER BY 1",
    "SELECT e.at::date FROM events e JOIN words w ON w.id = e.id",
    "SELECT e.at::date FROM public.events AS e, settings WHERE e.at::date = settings.at::date",
    'SELECT "at"::"date", CAST(at AS timestamp(0) without time zone) FROM events',
    "SELECT at::timestamp with time zone::date FROM events",
    "SELECT date(at), date(e.at) FROM events e GROUP BY date(at)",
    'SELECT "timestamp"(at), pg_catalog.date(at) FROM events',
    "SELECT time::date, e.time::date FROM events e",
    "SELECT date_trunc('day', at)::date, max(at)::date, (at + interval '1 day')::date FROM events",
    "SELECT (at AT TIME ZONE 'UTC')::date, CAST(at AT TIME ZONE $1 AS date) FROM events",
    "SELECT ((date_trunc('day'::text, (e.at)::timestamp))::date) FROM events e",
    "SELECT coalesce(at, '2024-01-01')::date, coalesce(at, $1, null)::date FROM events",
    "SELECT to_timestamp(said, 'YYYY')::date FROM words",
    "SELECT w FROM words WHERE at = '2024-01-01'::date AND b = $1::timestamptz",
    "SELECT ($1)::date, $1::text::date, '{2024-01-01}'::date[], DATE '2024-01-01'::timestamp",
    "SELECT at FROM events WHERE at = ANY(ARRAY['2024-01-01', $1]::date[])",
    "SELECT at::text::date, array[at, at]::date[] FROM events",
    "SELECT said::int, said::mood, said::numeric(3, 1), upper::text, lower(said)::uuid FROM words",
    "WITH d AS (SELECT at::date AS day FROM events) SELECT day, said FROM d, words",
    "SELECT day FROM (SELECT at::date AS day FROM events) d",
    "(SELECT at::date FROM events) UNION (SELECT at::date FROM events) ORDER BY 1",
    "SELECT said FROM words w WHERE EXISTS (SELECT FROM events WHERE at::date = w.day)",
    "SELECT day::timestamp FROM days",
    "SELECT a, b FROM jsonb_to_recordset($1) AS x(a int, b text)",
    "SELECT at::moment FROM events",
]

NOT_KEPT = [
    "SELECT w::timestamptz FROM words",
    "SELECT CAST(w AS date) FROM words",
    "SELECT w::date[], w::time, w::timetz, w::timestamp(3), w::_timestamptz FROM words",
    "SELECT words.w::timestamp with time zone FROM words",
    "SELECT w::moment FROM words",
    "SELECT w::public.moment FROM words",
    "SELECT w::tstzrange FROM words",
    "SELECT w::events FROM words",
    "SELECT row(w)::events FROM words",
    "SELECT (w, 1)::events FROM words",
    "SELECT date(w) FROM words",
    'SELECT "timestamp"(w) FROM words',
    "SELECT pg_catalog.timestamptz(w) FROM words",
    "SELECT tstzrange(w) FROM words",
    "SELECT (w).date FROM words",
    "SELECT 1 FROM words ORDER BY w::date",
    "SELECT 1 FROM events WHERE at > (SELECT w::timestamptz FROM words)",
    # The same name is a text elsewhere.
    "SELECT said::date FROM events, words",
    "SELECT e.said::date FROM events e, words",
    "SELECT e.said::date FROM events e WHERE EXISTS (SELECT FROM words)",
    # What is made of literals, or of other texts.
    "SELECT ('n' || 'ow')::date",
    "SELECT lower(w)::date, concat('n', 'ow')::date FROM words",
    "SELECT 'nowhere'::varchar(3)::date",
    "SELECT ('nowhere'::char(3))::date",
    "SELECT $1::varchar(3)::date",
    "SELECT char 'nowhere'::date, (char 'nowhere')::date",
    "SELECT (data->>'at')::date FROM words",
    "SELECT to_char(at, 'YYYY-MM-01')::date FROM events",
    "SELECT (CASE WHEN true THEN w ELSE w END)::date FROM words",
    "SELECT (SELECT w FROM words)::date",
    "SELECT (VALUES ('n'))::date",
    "SELECT string_to_array(w, ',')::date[], array[w]::date[], a[1]::date FROM words",
    "SELECT max(w)::date, coalesce(w, '')::date, max(max(w))::date FROM words",
    "SELECT (at || w)::date, (at::text || '')::date FROM events, words",
    "SELECT at::text::public.text::date FROM events",
    'SELECT (w COLLATE "C")::date FROM words',
    "SELECT lag(at) OVER (ORDER BY id)::date FROM events",
    # A column that is none of a relation, whatever it is called.
    "SELECT at::date FROM (SELECT w AS at FROM words) x, events",
    "SELECT at::date FROM (SELECT w at FROM words) x, events",
    "SELECT at::date FROM (SELECT CASE WHEN true THEN w ELSE at::text END FROM words, events) x",
    "SELECT at::date FROM (SELECT at::text FROM events UNION SELECT w FROM words) x",
    "SELECT max::date FROM (SELECT max(w) FROM words, events) x",
    "WITH x AS (SELECT w AS at FROM words) SELECT at::date FROM x, events",
    "WITH x(at) AS (SELECT w FROM words) SELECT at::date FROM x, events",
    "WITH events AS (SELECT w AS at FROM words) SELECT at::date FROM events",
    "SELECT x.at::date FROM words AS x(at), events",
    "SELECT at::date FROM words x (at), events",
    "SELECT at::date FROM (words JOIN events ON true) AS x (at)",
    "SELECT at::date FROM generate_series(1, 2, 1) at, events",
    "SELECT at::date FROM string_to_array($1, ',') AS at, events",
    "SELECT d.day FROM (SELECT w AS at FROM words) x, LATERAL (SELECT at::date AS day) d, events",
    "SELECT (SELECT at::date FROM settings) FROM (SELECT w AS at FROM words) x",
    "SELECT 1 FROM events, (SELECT w AS at FROM words) x JOIN words ON x.at::date = words.d",
    "WITH a AS (WITH b AS (SELECT w AS at FROM words) SELECT at::date FROM b, events) TABLE a",
    "(SELECT w AS at FROM words, events) ORDER BY at::date",
    "VALUES (1), ((SELECT w::date FROM words))",
    # What makes rows.
    "SELECT a FROM jsonb_to_recordset($1) AS x(a timestamptz)",
    "SELECT a FROM jsonb_populate_recordset(null::events, $1)",
    "SELECT (jsonb_populate_recordset(e, $1)).* FROM events e",
]


@pytest.mark.parametrize("sql", KEPT)
def test_what_is_known_to_be_no_text_is_kept(sql: str) -> None:
    assert cached(sql)


@pytest.mark.parametrize("sql", NOT_KEPT)
def test_what_may_be_a_text_is_not_kept_once_it_is_cast_to_a_time(sql: str) -> None:
    assert not cached(sql)


def test_a_view_that_casts_a_text_is_not_kept() -> None:
    view = (20_009, "public", "v", "v", "p", False, False)
    definition = (20_009, "SELECT (words.w)::date AS day FROM public.words")
    assert not cached("SELECT * FROM v", relations=(view,), definitions=(definition,))


@pytest.mark.parametrize(
    ("sql", "name", "arguments", "takes_row"),
    [
        ("SELECT date_trunc('day', at)::date FROM events", "date_trunc", 1, False),
        ("SELECT max(at)::date FROM events", "max", 1, False),
        ("SELECT date(at)::timestamp FROM events", "date", 1, False),
        ("SELECT w.at::date FROM words w, events", "at", 1, True),
    ],
)
def test_a_function_of_ones_own_may_give_a_text(
    sql: str, name: str, arguments: int, takes_row: bool
) -> None:
    own = (40_000, "public", name, "i", arguments, 0, False, takes_row, False, None)
    assert cached(sql)
    assert not cached(sql, routines=(own,))
    assert cached(sql, routines=((40_000, "elsewhere", *own[2:]),))


def test_an_operator_or_a_type_of_ones_own_may_give_a_text() -> None:
    sql = "SELECT (at + $1)::date FROM events"
    own = (40_000, "public", "plus", "i", 2, 0, False, False, False, None)
    assert cached(sql)
    assert not cached(sql, routines=(own,), operators=(("+", 40_000),))
    sql = "SELECT said::date::timestamp FROM events"
    assert cached(sql)
    assert not cached(sql, types=((40_000, "date", 0, 25, 0),))


def test_a_cast_that_nobody_writes_keeps_everything_out() -> None:
    assert not cached("SELECT 1", implicit_casts=((1184,),))
    assert cached("SELECT 1", implicit_casts=((30_002,),))


def test_rows_that_are_made_by_an_extension_are_not_kept() -> None:
    hstore = (40_000, "public", "populate_record", "i", 2, 0, False, True, False, "hstore")
    assert not cached("SELECT populate_record(e, $1) FROM events e", routines=(hstore,))
    own = (40_000, "public", "populate_record", "i", 2, 0, False, True, False, None)
    assert cached("SELECT populate_record(e, $1) FROM events e", routines=(own,))
