"""What a client hears through the proxy is, byte for byte, what it hears from the server itself.

Each conversation is held twice, once directly and once through the proxy, and compared whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from proxy.wire.postgres import backend, tags
from proxy.wire.postgres.codec import message
from proxy.wire.postgres.frontend import (
    COPY_DONE,
    FLUSH,
    SYNC,
    bind,
    close,
    copy_data,
    copy_fail,
    describe,
    execute,
    function_call,
    parse,
    query,
)
from tests.integration.application import Application
from tests.integration.raw_client import Heard, RawClient, errors, rows, sqlstates

S, P = tags.STATEMENT, tags.PORTAL
INT4, TEXT = 23, 25

PREPARE = """
DROP TABLE IF EXISTS said, child;
CREATE TABLE said (id int PRIMARY KEY, word text);
DROP TYPE IF EXISTS mood;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE child (id int REFERENCES said DEFERRABLE INITIALLY DEFERRED);
"""
RESET = b"TRUNCATE said, child; INSERT INTO said SELECT i, 'w' || i FROM generate_series(1, 5) i"
READ = b"SELECT id, word FROM said ORDER BY id"
ONE = b"SELECT word FROM said WHERE id = $1"
LARGE = b"x" * 2_000_000


@dataclass(frozen=True, slots=True)
class Say:
    """What a client says at once, and the message whose coming it waits for."""

    data: bytes
    last: bytes = b"Z"
    times: int = 1


def say(*data: bytes, last: bytes = b"Z", times: int = 1) -> Say:
    return Say(b"".join(data), last, times)


def run(sql: bytes, *parameters: bytes, max_rows: int = 0) -> bytes:
    """The unnamed statement and the unnamed portal, without a Sync."""
    return b"".join(
        (parse(b"", sql), bind(b"", b"", parameters), describe(P, b""), execute(b"", max_rows))
    )


CONVERSATIONS: dict[str, Sequence[Say]] = {
    # The simple protocol.
    "nothing at all": [say(query(b"")), say(query(b" ; /* nothing */ ; "))],
    "several statements": [say(query(b"SELECT 1; SELECT 2, 'two'; UPDATE said SET word = 'x'"))],
    "several statements, one wrong, are one transaction": [
        say(query(b"UPDATE said SET word = 'lost' WHERE id = 1; SELECT 1/0; SELECT 3")),
        say(query(READ)),
    ],
    "a syntax error stops everything before it begins": [
        say(query(b"UPDATE said SET word = 'lost'; SELEC 1")),
        say(query(READ)),
    ],
    "begin inside keeps the transaction open": [
        say(query(b"INSERT INTO said VALUES (6, 'six'); BEGIN; INSERT INTO said VALUES (7, 'x')")),
        say(query(READ)),
        say(query(b"ROLLBACK")),
        say(query(READ)),
    ],
    "commit inside ends the implicit transaction": [
        say(query(b"BEGIN; INSERT INTO said VALUES (6, 'six'); COMMIT; SELECT 1/0")),
        say(query(READ)),
    ],
    "an error fails the transaction until it ends": [
        say(query(b"BEGIN")),
        say(query(b"SELECT 1/0")),
        say(query(b"SELECT 1")),
        say(query(b"COMMIT")),
        say(query(READ)),
    ],
    "savepoints": [
        say(query(b"BEGIN; SAVEPOINT a; INSERT INTO said VALUES (6, 'kept')")),
        say(query(b"SAVEPOINT b")),
        say(query(b"INSERT INTO said VALUES (1, 'twice')")),
        say(query(b"ROLLBACK TO b")),
        say(query(b"RELEASE a; COMMIT")),
        say(query(READ)),
    ],
    "a constraint that waits for the commit": [
        say(query(b"BEGIN; INSERT INTO child VALUES (77)")),
        say(query(b"COMMIT")),
        say(query(b"SELECT * FROM child")),
    ],
    "commit and chain": [
        say(query(b"BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO said VALUES (6, 'x')")),
        say(query(b"COMMIT AND CHAIN")),
        say(query(b"SHOW transaction_isolation")),
        say(query(b"ROLLBACK")),
        say(query(READ)),
    ],
    "warnings about transactions": [
        say(query(b"COMMIT")),
        say(query(b"ROLLBACK")),
        say(query(b"BEGIN")),
        say(query(b"BEGIN")),
        say(query(b"ROLLBACK")),
        say(query(b"SET LOCAL work_mem = '1MB'")),
        say(query(b"SAVEPOINT a")),
    ],
    "not inside a transaction": [
        say(query(b"BEGIN; VACUUM said")),
        say(query(b"ROLLBACK")),
        say(query(b"VACUUM said")),
        say(query(b"SELECT 1; VACUUM said")),
    ],
    "notices come where they arise": [
        say(query(b"DO $$BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END$$; SELECT 1")),
        say(query(b"DROP TABLE IF EXISTS no_such_table")),
    ],
    "two queries at once": [
        say(query(b"SELECT 1"), query(b"SELECT 2/0"), query(b"SELECT 3"), times=3)
    ],
    "a large query": [say(query(b"SELECT length('" + LARGE + b"')"))],
    "a large result": [say(query(b"SELECT repeat('y', 3000000), i FROM generate_series(1, 3) i"))],
    "many small rows": [say(query(b"SELECT i, 'row ' || i FROM generate_series(1, 20000) i"))],
    "a returning insert": [say(query(b"INSERT INTO said VALUES (6, 'x'), (7, 'y') RETURNING *"))],
    # The extended protocol.
    "one statement": [say(run(ONE, b"3"), SYNC)],
    "the same twice": [say(run(ONE, b"3"), SYNC), say(run(ONE, b"3"), SYNC)],
    "types given": [
        say(parse(b"", b"SELECT $1, $2", (INT4, TEXT)), describe(S, b""), SYNC),
        say(bind(b"", b"", (b"7", None)), execute(b""), SYNC),
    ],
    "binary both ways": [
        say(
            parse(b"", b"SELECT $1 + 1, $2 || 'x'", (INT4, TEXT)),
            bind(b"", b"", (b"\0\0\0\7", b"y"), parameter_formats=(1, 0), result_formats=(1, 0)),
            describe(P, b""),
            execute(b""),
            SYNC,
        )
    ],
    "an empty statement": [say(run(b""), SYNC), say(run(b"-- nothing"), SYNC)],
    "a statement is described before it is used": [
        say(parse(b"a", ONE), describe(S, b"a"), SYNC),
        say(bind(b"", b"a", (b"2",)), execute(b""), SYNC),
        say(bind(b"", b"a", (b"4",)), describe(P, b""), execute(b""), SYNC),
    ],
    "a named statement in the batch that prepares it": [
        say(parse(b"a", ONE), bind(b"", b"a", (b"2",)), describe(P, b""), execute(b""), SYNC),
        say(close(S, b"a"), SYNC),
        say(bind(b"", b"a", (b"2",)), SYNC),
    ],
    "a statement without a result": [
        say(parse(b"a", b"DELETE FROM said WHERE id = $1"), describe(S, b"a"), SYNC),
        say(bind(b"", b"a", (b"2",)), describe(P, b""), execute(b""), SYNC),
        say(query(READ)),
    ],
    "a name given twice": [
        say(parse(b"a", ONE), SYNC),
        say(parse(b"a", b"SELECT 1"), SYNC),
        say(bind(b"", b"a", (b"1",)), execute(b""), SYNC),
    ],
    "a name given twice in a transaction": [
        say(query(b"BEGIN")),
        say(parse(b"a", ONE), SYNC),
        say(parse(b"a", ONE), SYNC),
        say(query(b"ROLLBACK")),
        say(bind(b"", b"a", (b"1",)), execute(b""), SYNC),
    ],
    "a name that was never given": [
        say(bind(b"", b"nobody", ()), execute(b""), SYNC),
        say(describe(S, b"nobody"), SYNC),
        say(close(S, b"nobody"), SYNC),
        say(query(b"SELECT 1")),
    ],
    "a name is free again when its statement is closed": [
        say(parse(b"a", ONE), SYNC),
        say(close(S, b"a"), parse(b"a", b"SELECT 'other'"), SYNC),
        say(bind(b"", b"a"), execute(b""), SYNC),
    ],
    "a statement that can't be parsed has no name": [
        say(parse(b"a", b"SELEC 1"), describe(S, b"a"), SYNC),
        say(bind(b"", b"a"), execute(b""), SYNC),
        say(parse(b"a", b"SELECT 2"), bind(b"", b"a"), execute(b""), SYNC),
    ],
    "a statement outlives the transaction that prepared it": [
        say(query(b"BEGIN")),
        say(parse(b"a", ONE), SYNC),
        say(query(b"ROLLBACK")),
        say(bind(b"", b"a", (b"1",)), execute(b""), SYNC),
    ],
    "the unnamed statement is used by later batches": [
        say(parse(b"", ONE), SYNC),
        say(bind(b"", b"", (b"1",)), execute(b""), SYNC),
        say(bind(b"", b"", (b"2",)), execute(b""), SYNC),
        say(query(b"SELECT 1")),
        say(bind(b"", b"", (b"3",)), execute(b""), SYNC),
    ],
    "no unnamed statement": [
        say(query(b"SELECT 1")),
        say(bind(b"", b"", (b"1",)), execute(b""), SYNC),
        say(describe(S, b""), SYNC),
    ],
    "the unnamed statement is closed": [
        say(parse(b"", b"SELECT 1"), close(S, b""), SYNC),
        say(bind(b"", b""), execute(b""), SYNC),
    ],
    "a wrong unnamed statement leaves none": [
        say(parse(b"", b"SELECT 1"), SYNC),
        say(parse(b"", b"SELEC 1"), SYNC),
        say(bind(b"", b""), execute(b""), SYNC),
    ],
    "a wrong number of parameters": [
        say(parse(b"", ONE), bind(b"", b"", ()), execute(b""), SYNC),
        say(run(b"SELECT 1", b"1"), SYNC),
    ],
    "a value that is none": [say(run(ONE, b"three"), SYNC), say(run(ONE, b"3"), SYNC)],
    "an error skips to the sync": [
        say(
            run(b"SELECT 1"),
            run(b"SELECT 1/0"),
            run(b"SELECT 3"),
            SYNC,
            run(b"SELECT 4"),
            SYNC,
            times=2,
        )
    ],
    "a batch is one transaction": [
        say(run(b"UPDATE said SET word = 'lost'"), run(b"SELECT 1/0"), SYNC),
        say(query(READ)),
        say(run(b"UPDATE said SET word = 'kept'"), run(b"SELECT 1"), SYNC),
        say(query(READ)),
    ],
    "many batches at once": [
        say(*[run(ONE, b"%d" % (i % 7)) + SYNC for i in range(60)], times=60),
    ],
    "reads and writes at once": [
        say(
            *(run(b"UPDATE said SET word = word || $1", b"%d" % i) + SYNC for i in range(5)),
            run(READ),
            SYNC,
            times=6,
        ),
    ],
    "begin and commit in one pipeline": [
        say(
            *(run(b"BEGIN") + SYNC, run(b"INSERT INTO said VALUES (6, 'six')") + SYNC),
            *(run(READ) + SYNC, run(b"COMMIT") + SYNC, run(READ) + SYNC),
            times=5,
        ),
    ],
    "begin and commit in one batch": [
        say(run(b"BEGIN"), run(b"INSERT INTO said VALUES (6, 'six')"), run(b"COMMIT"), SYNC),
        say(run(b"BEGIN"), run(b"INSERT INTO said VALUES (7, 'seven')"), SYNC),
        say(run(b"ROLLBACK"), SYNC),
        say(query(READ)),
    ],
    "a portal is read in parts": [
        say(
            *(parse(b"", READ), bind(b"p", b""), describe(P, b"p")),
            *(execute(b"p", 2), execute(b"p", 2), execute(b"p", 2), execute(b"p", 2), SYNC),
        )
    ],
    "a portal is read in parts by several batches": [
        say(query(b"BEGIN")),
        say(parse(b"", READ), bind(b"p", b""), execute(b"p", 2), SYNC),
        say(execute(b"p", 2), SYNC),
        say(describe(P, b"p"), execute(b"p", 2), SYNC),
        say(close(P, b"p"), SYNC),
        say(execute(b"p", 2), SYNC),
        say(query(b"ROLLBACK")),
    ],
    "two portals side by side": [
        say(query(b"BEGIN")),
        say(parse(b"a", READ), bind(b"p", b"a"), bind(b"q", b"a"), execute(b"p", 1), SYNC),
        say(execute(b"q", 3), execute(b"p", 3), SYNC),
        say(query(b"COMMIT")),
        say(execute(b"p", 3), SYNC),
    ],
    "a portal ends with its transaction": [
        say(parse(b"a", READ), bind(b"p", b"a"), execute(b"p", 1), SYNC),
        say(execute(b"p", 1), SYNC),
        say(describe(P, b"p"), SYNC),
        say(close(P, b"p"), SYNC),
    ],
    "a portal's name given twice": [
        say(query(b"BEGIN")),
        say(parse(b"a", READ), bind(b"p", b"a"), bind(b"p", b"a"), SYNC),
        say(query(b"ROLLBACK")),
    ],
    "a cursor is a portal": [
        say(query(b"BEGIN; DECLARE c CURSOR FOR " + READ)),
        say(query(b"FETCH 2 FROM c")),
        say(execute(b"c", 2), SYNC),
        say(query(b"CLOSE c; COMMIT")),
    ],
    "flush without sync": [
        say(run(ONE, b"1"), FLUSH, last=b"C"),
        say(run(ONE, b"2"), FLUSH, last=b"C"),
        say(SYNC),
    ],
    "flush after every message": [
        say(parse(b"a", ONE), FLUSH, last=b"1"),
        say(describe(S, b"a"), FLUSH, last=b"T"),
        say(bind(b"", b"a", (b"3",)), FLUSH, last=b"2"),
        say(execute(b""), FLUSH, last=b"C"),
        say(close(S, b"a"), FLUSH, last=b"3"),
        say(SYNC),
        say(bind(b"", b"a", (b"3",)), SYNC),
    ],
    "a wrong statement is heard of at the flush": [
        say(parse(b"", b"SELEC 1"), describe(S, b""), FLUSH, last=b"E"),
        say(bind(b"", b""), execute(b""), SYNC),
        say(parse(b"a", b"SELEC 1"), FLUSH, last=b"E"),
        say(query(b"SELECT 1"), parse(b"a", b"SELECT 2"), SYNC),
        say(bind(b"", b"a"), execute(b""), SYNC),
    ],
    "an error is heard at the flush": [
        say(run(b"SELECT 1/0"), FLUSH, last=b"E"),
        say(run(b"SELECT 1"), SYNC),
        say(run(b"SELECT 2"), SYNC),
    ],
    "a write before a flush commits at the sync": [
        say(run(b"UPDATE said SET word = 'kept' WHERE id = 1"), FLUSH, last=b"C"),
        say(run(b"SELECT 1/0"), SYNC),
        say(query(READ)),
        say(run(b"UPDATE said SET word = 'kept' WHERE id = 1"), FLUSH, last=b"C"),
        say(SYNC),
        say(query(READ)),
    ],
    "sync alone": [say(SYNC), say(SYNC, SYNC, SYNC, times=3)],
    "flush alone": [say(FLUSH, FLUSH, SYNC)],
    "copy in, prepared by name": [
        say(parse(b"a", b"COPY said FROM STDIN"), SYNC),
        say(bind(b"", b"a"), execute(b""), SYNC, last=b"G"),
        say(copy_data(b"6\tsix\n"), COPY_DONE, SYNC),
        say(query(READ)),
        say(bind(b"", b"a"), execute(b""), SYNC, last=b"G"),
        say(copy_data(b"seven\n"), COPY_DONE, SYNC),
        say(query(READ)),
    ],
    "copy in of a wrong row, without waiting": [
        say(run(b"COPY said FROM STDIN"), SYNC, copy_data(b"six\n"), COPY_DONE, SYNC),
        say(query(READ)),
    ],
    "a failed batch leaves the unnamed statement that it made": [
        say(run(b"SELECT 'first'"), SYNC),
        say(run(b"SELECT 1 / $1::int", b"0"), SYNC),
        say(bind(b"", b"", (b"1",)), execute(b""), SYNC),
    ],
    "a sync in the middle of a copy": [
        say(query(b"COPY said FROM STDIN"), last=b"G"),
        say(SYNC, FLUSH, copy_data(b"6\tsix\n"), SYNC, COPY_DONE),
        say(run(b"COPY said FROM STDIN"), SYNC, last=b"G"),
        say(SYNC, FLUSH, copy_data(b"7\tseven\n"), SYNC, COPY_DONE, SYNC),
        say(query(READ)),
    ],
    "a large parameter": [
        say(run(b"SELECT length($1)", LARGE), SYNC),
        say(parse(b"a", b"SELECT length($1)"), SYNC),
        say(bind(b"", b"a", (LARGE,)), execute(b""), SYNC),
    ],
    "a large statement": [
        say(parse(b"a", b"SELECT length('" + LARGE + b"')"), describe(S, b"a"), SYNC),
        say(bind(b"", b"a"), execute(b""), SYNC),
        say(run(b"SELECT length('" + LARGE + b"')"), SYNC),
    ],
    "a long pipeline": [
        say(*[run(b"SELECT length($1)", b"z" * 1000) for _ in range(600)], SYNC),
    ],
    "a query behind a batch without its sync": [
        say(run(b"SELECT 1"), query(b"SELECT 2")),
        say(parse(b"a", ONE), bind(b"", b"a", (b"1",)), execute(b""), query(b"SELECT 2")),
    ],
    "an error in a batch skips the query behind it": [
        say(run(b"SELECT 1/0"), query(b"SELECT 2"), SYNC),
        say(run(b"SELECT 1/0"), query(b"SELECT 2"), last=b"E"),
        say(query(b"SELECT 3"), SYNC),
        say(query(b"SELECT 4")),
    ],
    "extended transaction control": [
        say(run(b"BEGIN"), SYNC),
        say(run(b"SELECT 1/0"), SYNC),
        say(run(b"SELECT 1"), SYNC),
        say(run(b"ROLLBACK"), SYNC),
        say(run(b"SELECT 1"), SYNC),
    ],
    # COPY.
    "copy in": [
        say(query(b"COPY said FROM STDIN"), last=b"G"),
        say(copy_data(b"6\tsix\n"), copy_data(b"7\tse"), copy_data(b"ven\n"), COPY_DONE),
        say(query(READ)),
    ],
    "copy in without waiting to be asked": [
        say(query(b"COPY said FROM STDIN"), copy_data(b"6\tsix\n"), COPY_DONE),
        say(query(READ)),
    ],
    "copy in by the extended protocol": [
        say(run(b"COPY said FROM STDIN"), SYNC, last=b"G"),
        say(copy_data(b"6\tsix\n"), COPY_DONE, SYNC),
        say(query(READ)),
    ],
    "copy in by the extended protocol, without waiting": [
        say(run(b"COPY said FROM STDIN"), copy_data(b"6\tsix\n"), COPY_DONE, SYNC),
        say(query(READ)),
    ],
    "copy in after a flush": [
        say(run(b"COPY said FROM STDIN"), FLUSH, last=b"G"),
        say(copy_data(b"6\tsix\n"), COPY_DONE, FLUSH, last=b"C"),
        say(SYNC),
        say(query(READ)),
    ],
    "copy in is given up": [
        say(query(b"COPY said FROM STDIN"), last=b"G"),
        say(copy_data(b"6\tsix\n"), copy_fail(b"changed my mind")),
        say(query(READ)),
        say(run(b"COPY said FROM STDIN"), SYNC, last=b"G"),
        say(copy_data(b"6\tsix\n"), copy_fail(b"changed my mind"), SYNC),
        say(query(READ)),
    ],
    "copy in with a wrong row": [
        say(query(b"COPY said FROM STDIN"), last=b"G"),
        say(copy_data(b"six\n"), copy_data(b"7\tseven\n"), COPY_DONE),
        say(query(READ)),
        say(run(b"COPY said FROM STDIN"), SYNC, last=b"G"),
        say(copy_data(b"six\n"), last=b"E"),
        say(copy_data(b"7\tseven\n"), COPY_DONE, SYNC),
        say(query(READ)),
    ],
    "copy data that nobody asked for": [
        say(copy_data(b"6\tsix\n"), COPY_DONE, copy_fail(b"x"), query(b"SELECT 1")),
        say(query(READ)),
    ],
    "copy in among other statements": [
        say(query(b"SELECT 1; COPY said FROM STDIN; SELECT 2; COPY said FROM STDIN"), last=b"G"),
        say(copy_data(b"6\tsix\n"), COPY_DONE, last=b"G"),
        say(copy_data(b"7\tseven\n"), COPY_DONE),
        say(query(READ)),
    ],
    "copy in inside a transaction": [
        say(query(b"BEGIN")),
        say(query(b"COPY said FROM STDIN"), last=b"G"),
        say(copy_data(b"1\ttwice\n"), COPY_DONE),
        say(query(b"SELECT 1")),
        say(query(b"ROLLBACK")),
        say(query(READ)),
    ],
    "copy in of much": [
        say(query(b"COPY said FROM STDIN"), last=b"G"),
        say(*[copy_data(b"%d\t%b\n" % (i, b"z" * 1000)) for i in range(10, 3000)], COPY_DONE),
        say(query(b"SELECT count(*), sum(length(word)) FROM said")),
    ],
    "copy in of one large message": [
        say(query(b"COPY said FROM STDIN"), last=b"G"),
        say(copy_data(b"6\t" + LARGE + b"\n"), COPY_DONE),
        say(query(b"SELECT length(word) FROM said WHERE id = 6")),
    ],
    "copy in, binary": [
        say(query(b"COPY said FROM STDIN (FORMAT binary)"), last=b"G"),
        say(
            copy_data(b"PGCOPY\n\xff\r\n\0" + bytes(8)),
            copy_data(b"\0\2\0\0\0\4\0\0\0\6\0\0\0\3six\xff\xff"),
            COPY_DONE,
        ),
        say(query(READ)),
    ],
    "copy out": [
        say(query(b"COPY said TO STDOUT")),
        say(query(b"COPY (" + READ + b") TO STDOUT (FORMAT csv, HEADER)")),
        say(query(b"COPY said TO STDOUT (FORMAT binary)")),
        say(run(b"COPY said TO STDOUT"), SYNC),
        say(parse(b"", b"COPY said TO STDOUT"), bind(b"", b""), execute(b""), SYNC),
    ],
    "copy out that fails": [
        say(query(b"COPY (SELECT 10 / (id - 3) FROM said ORDER BY id) TO STDOUT")),
        say(run(b"COPY (SELECT 10 / (id - 3) FROM said ORDER BY id) TO STDOUT"), SYNC),
        say(query(b"SELECT 1")),
    ],
    "copy out among other statements": [
        say(query(b"SELECT 1; COPY said TO STDOUT; SELECT 2")),
    ],
    "copy from nowhere": [
        say(query(b"COPY no_such_table FROM STDIN")),
        say(query(b"COPY said FROM '/tmp/x'")),
    ],
    # The rest.
    "a function call": [
        say(function_call(177, (b"2", b"3"))),
        say(function_call(177, (b"\0\0\0\2", b"\0\0\0\3"), argument_formats=(1,), result_format=1)),
        say(function_call(177, (b"two", b"3"))),
        say(function_call(1, ())),
        say(query(b"SELECT 1")),
    ],
    "a function call in a transaction": [
        say(query(b"BEGIN")),
        say(function_call(177, (b"2", b"3"))),
        say(function_call(177, (b"two", b"3"))),
        say(query(b"SELECT 1")),
        say(query(b"ROLLBACK")),
    ],
    "large objects": [
        say(query(b"BEGIN; SELECT lo_create(4242)")),
        say(query(b"SELECT lo_open(4242, 131072 + 262144)")),
        say(function_call(955, (b"\0\0\0\0", b"some bytes"), argument_formats=(1,))),
        say(query(b"SELECT lo_lseek(0, 0, 0)")),
        say(function_call(954, (b"\0\0\0\0", b"\0\0\0\4"), argument_formats=(1,), result_format=1)),
        say(query(b"SELECT lo_unlink(4242); COMMIT")),
    ],
    "settings that are reported": [
        say(query(b"SET DateStyle = 'German, DMY'; SELECT '2024-02-01'::date")),
        say(query(b"SET application_name = 'other'")),
        say(query(b"BEGIN; SET LOCAL IntervalStyle = 'iso_8601'; SELECT '1 day 2 h'::interval")),
        say(query(b"COMMIT")),
        say(query(b"SELECT '1 day 2 h'::interval, '2024-02-01'::date")),
        say(query(b"RESET DateStyle; SELECT '2024-02-01'::date")),
    ],
    "a client encoding": [
        say(query("SELECT 'é'".encode())),
        say(query(b"SET client_encoding = 'LATIN1'")),
        say(query(b"SELECT 'caf\xe9', length('caf\xe9')")),
        say(query("SELECT '€'".encode())),
        say(run(b"SELECT $1::text, length($1)", b"caf\xe9"), SYNC),
    ],
    "explain": [say(query(b"EXPLAIN (COSTS OFF) " + READ)), say(query(b"EXPLAIN SELEC"))],
    "show": [
        say(query(b"SHOW server_version; SHOW nothing_like_it")),
        say(query(b"SHOW work_mem")),
    ],
    "a type of its own": [
        say(query(b"SELECT 'ok'::mood, ARRAY['ok'::mood]")),
        say(run(b"SELECT $1::mood", b"sad"), SYNC),
        say(run(b"SELECT $1::mood", b"glad"), SYNC),
    ],
    "nulls and odd names": [
        say(query(b'SELECT NULL AS "a b", \'\' AS "", 1 AS "Select"')),
        say(run(b"SELECT $1::text IS NULL"), SYNC),
        say(parse(b"", b"SELECT $1::text"), bind(b"", b"", (None,)), execute(b""), SYNC),
    ],
    "a bind that is cut": [
        say(parse(b"", ONE), message(tags.BIND, b"\0\0\0"), SYNC),
        say(run(ONE, b"1"), SYNC),
    ],
    "an unknown kind of portal": [say(message(tags.EXECUTE, b"nobody\0\0\0\0\0"), SYNC)],
}


def hold(application: Application, conversation: Sequence[Say]) -> list[Heard]:
    """Hold a conversation, and return what was heard."""
    with application.raw() as client:
        client.query(RESET.decode())
        return [hear(client, step) for step in conversation]


def hear(client: RawClient, step: Say) -> Heard:
    client.send(step.data)
    return [message for _ in range(step.times) for message in client.hear(step.last)]


def test_anything_else_in_the_middle_of_a_copy_ends_the_connection(
    app: Application, direct: Application
) -> None:
    for application in (direct, app):
        for statement in (query(b"COPY said FROM STDIN"), run(b"COPY said FROM STDIN") + SYNC):
            with application.raw() as client:
                client.query(RESET.decode())
                client.ask(statement, copy_data(b"6\tsix\n"), last=b"G")
                client.send(run(b"SELECT 1"), SYNC)
                heard = client.hear_out()
            assert sqlstates(heard)[0] == "08P01"
            assert errors(heard)[-1][backend.SEVERITY] == b"FATAL"
            with application.raw() as another:
                assert len(rows(another.query(READ.decode()))) == 5


@pytest.fixture(scope="module", autouse=True)
def _tables(direct: Application) -> None:
    with direct.connect() as connection:
        connection.execute(PREPARE)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation_is_the_same_through_the_proxy(
    app: Application, direct: Application, name: str
) -> None:
    expected = hold(direct, CONVERSATIONS[name])
    assert hold(app, CONVERSATIONS[name]) == expected
