"""Writes that only the server can tell the tables of: triggers and functions with dynamic SQL.

To the client there is no difference: random scripts are answered byte by byte as directly. And what
was cached of other tables stays, while nothing that was written is read as it was before.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import psycopg
import pytest
from psycopg import Connection as PsycopgConnection

from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import wait_until
from proxy.wire.postgres import tags
from proxy.wire.postgres.frontend import (
    COPY_DONE,
    FLUSH,
    SYNC,
    bind,
    copy_data,
    describe,
    execute,
    parse,
    query,
)
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.raw_client import Heard

Connection = PsycopgConnection[Any]

SCRIPTS = 300 if "TIDEGATE_SOAK_SECONDS" in os.environ else 120

PREPARE = """
DROP VIEW IF EXISTS disc_view, disc_gone;
DROP TABLE IF EXISTS disc_orders, disc_log, disc_other, disc_child, disc_quiet CASCADE;
CREATE TABLE disc_orders (id int PRIMARY KEY, note text);
CREATE TABLE disc_log (n int);
CREATE TABLE disc_other (n int);
CREATE TABLE disc_quiet (n int);
CREATE TABLE disc_child (id int REFERENCES disc_orders DEFERRABLE INITIALLY DEFERRED);
CREATE VIEW disc_view AS SELECT 1 AS n;
CREATE OR REPLACE FUNCTION disc_fires() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'INSERT INTO ' || TG_ARGV[0] || ' VALUES ($1)' USING NEW.id;
    IF NEW.id < 0 THEN RAISE EXCEPTION 'no %', NEW.id USING HINT = 'positive'; END IF;
    IF NEW.note = 'aloud' THEN RAISE NOTICE 'heard %', NEW.id; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fires BEFORE INSERT OR UPDATE ON disc_orders
    FOR EACH ROW EXECUTE FUNCTION disc_fires('disc_log');
CREATE OR REPLACE FUNCTION disc_later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'INSERT INTO ' || TG_ARGV[0] || ' VALUES (-1)';
    IF OLD.id < 3 THEN
        RAISE NOTICE 'later';
        PERFORM set_config('TimeZone', 'Etc/GMT-' || length(OLD.note) % 9, false);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER later AFTER DELETE ON disc_orders DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION disc_later('disc_other');
CREATE OR REPLACE FUNCTION disc_does(sql text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN EXECUTE sql; RETURN 7; END $$;
CREATE OR REPLACE FUNCTION disc_rows(n int, target text DEFAULT 'disc_log') RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..n LOOP
        EXECUTE 'INSERT INTO ' || target || ' VALUES ($1)' USING i;
        RETURN NEXT repeat('x', 500);
    END LOOP;
END $$;
CREATE OR REPLACE PROCEDURE disc_runs(sql text, INOUT n int DEFAULT 7) LANGUAGE plpgsql AS $$
BEGIN EXECUTE sql; n := n + 1; END $$;
CREATE OR REPLACE PROCEDURE disc_commits(sql text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE sql;
    COMMIT;
    INSERT INTO disc_other VALUES (6);
    IF sql LIKE '%(8)' THEN RAISE EXCEPTION 'behind'; END IF;
END $$;
CREATE OR REPLACE PROCEDURE disc_plain(id int) LANGUAGE sql AS
    'INSERT INTO disc_other VALUES (id)';
"""
RESET = [
    "DELETE FROM disc_child",
    "DELETE FROM disc_orders",
    "INSERT INTO disc_orders SELECT i, 'n' || i FROM generate_series(1, 3) i",
    "DELETE FROM disc_log",
    "DELETE FROM disc_other",
]
"""No TRUNCATE: it writes to a system catalog, which would count for what comes behind it."""
LOOK = b"""SELECT (SELECT array_agg((id, note) ORDER BY id) FROM disc_orders),
    (SELECT array_agg(n ORDER BY n) FROM disc_log),
    (SELECT array_agg(n ORDER BY n) FROM disc_other),
    (SELECT array_agg(id ORDER BY id) FROM disc_child)"""
TEXTS = [
    b"INSERT INTO disc_orders VALUES (10, 'ten')",
    b"INSERT INTO disc_orders VALUES (1, 'twice')",
    b"INSERT INTO disc_orders VALUES (-1, 'refused')",
    b"INSERT INTO disc_orders VALUES (11, 'aloud') RETURNING id, note",
    b"INSERT INTO disc_orders SELECT i, 'many' FROM generate_series(20, 25) i"
    b" ON CONFLICT DO NOTHING",
    b"UPDATE disc_orders SET note = note || '!' WHERE id = 1 RETURNING *",
    b"UPDATE disc_orders SET note = note || '!'",
    b"DELETE FROM disc_orders WHERE id = 2",
    b"INSERT INTO disc_child VALUES (1)",
    b"INSERT INTO disc_child VALUES (404)",
    b"SELECT disc_does('INSERT INTO disc_child VALUES (404)')",
    b"SELECT disc_does('INSERT INTO disc_other VALUES (5)')",
    b"SELECT disc_does('INSERT INTO nowhere VALUES (5)')",
    b"SELECT disc_does('SELECT 1 / 0')",
    b"SELECT disc_does('SET LOCAL bytea_output TO escape')",
    b"SELECT disc_does('SET timezone TO ''CET''')",
    b"SELECT disc_does('SELECT 1')",
    b"SELECT count(*), sum(length(r)) FROM disc_rows(100) r",
    b"SELECT disc_rows(60)",
    b"WITH w AS (INSERT INTO disc_orders VALUES (12, 'with') RETURNING id) SELECT id FROM w",
    b"CALL disc_runs('INSERT INTO disc_other VALUES (5)')",
    b"CALL disc_runs('INSERT INTO disc_child VALUES (404)', 2)",
    b"CALL disc_runs('COMMIT')",
    b"CALL disc_runs('CALL disc_commits(''SELECT 1'')')",
    b"CALL disc_runs('CALL disc_plain(4)', disc_does('INSERT INTO disc_log VALUES (2)'))",
    b"CALL disc_commits('INSERT INTO disc_log VALUES (7)')",
    b"CALL disc_commits('INSERT INTO disc_log VALUES (8)')",
    b"CALL disc_commits('INSERT INTO disc_child VALUES (404)')",
    b"CALL disc_plain(3)",
    b"DO $$BEGIN INSERT INTO disc_other VALUES (30); END$$",
    b"DO 'BEGIN EXECUTE ''INSERT INTO disc_log VALUES ('' || 31 || '')''; END' LANGUAGE plpgsql",
    b"DO $$BEGIN INSERT INTO disc_log VALUES (32); COMMIT; DELETE FROM disc_other; END$$",
    b"DO $$BEGIN EXECUTE 'DELETE FROM ' || 'disc_log'; COMMIT; DELETE FROM disc_other; END$$",
    b"DO $$BEGIN PERFORM 1 / 0; END$$",
    b"CALL disc_nothing(3)",
    b"SELECT disc_does('INSERT INTO disc_log VALUES (9)'); SELECT 2",
    b"INSERT INTO disc_orders VALUES (13, 'two'); INSERT INTO disc_child VALUES (404)",
    b"SELECT disc_does('INSERT INTO disc_log VALUES (9)'); ROLLBACK",
]
INSIDE = [
    *(b"SAVEPOINT a", b"ROLLBACK TO a", b"RELEASE a", b"SET CONSTRAINTS ALL IMMEDIATE"),
    b"SELECT disc_does('SET CONSTRAINTS ALL DEFERRED')",
]
ENDS = [b"COMMIT", b"COMMIT", b"ROLLBACK", b"COMMIT AND CHAIN", b"END; SELECT 1"]


def run(sql: bytes, *, max_rows: int = 0, end: bytes = SYNC) -> bytes:
    return (
        parse(b"", sql) + bind(b"", b"") + describe(tags.PORTAL, b"") + execute(b"", max_rows) + end
    )


def copy(*rows: bytes) -> bytes:
    return b"".join(map(copy_data, rows)) + COPY_DONE


def say(dice: random.Random, sql: bytes) -> bytes:
    if b";" in sql or dice.random() < 0.5:
        return query(sql)
    choice = dice.random()
    if choice < 0.15:
        return run(sql, max_rows=2)
    if choice < 0.3:
        return run(sql, end=b"") + run(LOOK)
    if choice < 0.4:
        return run(sql, end=FLUSH) + SYNC
    return run(sql)


def scripts() -> Iterator[list[bytes]]:
    for seed in range(SCRIPTS):
        dice = random.Random(seed)
        script: list[bytes] = []
        for _ in range(dice.randint(2, 4)):
            if dice.random() < 0.5:
                script.append(say(dice, dice.choice(TEXTS)))
            elif dice.random() < 0.1:
                script.append(
                    query(b"COPY disc_orders FROM STDIN")
                    + copy(b"30\tcopied\n", dice.choice((b"31\tcopied\n", b"1\ttwice\n")))
                )
            else:
                script.append(query(b"BEGIN"))
                for _ in range(dice.randint(1, 4)):
                    texts = INSIDE if dice.random() < 0.2 else TEXTS
                    script.append(say(dice, dice.choice(texts)))
                script += [say(dice, dice.choice(ENDS)), query(b"ROLLBACK")]
            script.append(query(LOOK))
        yield script


def play(application: Application) -> list[list[Heard]]:
    """Run every script from the same beginnings; what is heard is listed by script and step."""
    answers = []
    with application.raw() as resetter:
        for script in scripts():
            for statement in RESET:
                resetter.query(statement)
            with application.raw() as client:
                answers.append([client.ask(said) for said in script])
    return answers


@pytest.fixture(scope="module")
def module_proxy(start_module_proxy: StartProxy) -> ProxyUnderTest:
    """Rows that triggers write are counted by the servers only, as if somebody else had."""
    return start_module_proxy(out_of_band="none")


@pytest.fixture(scope="module", autouse=True)
def _schema(direct: Application, shared_cluster: PostgresCluster) -> None:
    with direct.connect() as connection:
        connection.execute(PREPARE.encode())
    shared_cluster.wait_replayed()


def test_every_script_is_answered_as_directly(
    direct: Application, app: Application, module_proxy: ProxyUnderTest
) -> None:
    expected = play(direct)
    heard = play(app)
    for number, script in enumerate(scripts()):
        for step in range(len(script)):
            assert heard[number][step] == expected[number][step], (number, step, script)
    assert count_commits(module_proxy, "discovered") > SCRIPTS


def count_commits(proxy: ProxyUnderTest, tables: str) -> float:
    return proxy.metric("tidegate_commits_total", tables=tables)


def until_cached(proxy: ProxyUnderTest, connection: Connection, *texts: bytes) -> None:
    def are_hits() -> bool:
        return all(is_hit(proxy, connection, text) for text in texts)

    wait_until(are_hits, "answers from the cache")


def begin_anew(proxy: ProxyUnderTest, connection: Connection, *texts: bytes) -> None:
    for statement in RESET:
        connection.execute(statement.encode())
    until_cached(proxy, connection, *texts)


def is_hit(proxy: ProxyUnderTest, connection: Connection, text: bytes) -> bool:
    before = proxy.metric("tidegate_reads_total", server="cache")
    connection.execute(text).fetchall()
    return proxy.metric("tidegate_reads_total", server="cache") > before


LOG, OTHER = b"SELECT sum(n) FROM disc_log", b"SELECT sum(n) FROM disc_other"
QUIET = b"SELECT sum(n) FROM disc_quiet"


@pytest.mark.parametrize("in_block", [False, True], ids=["by itself", "in a transaction"])
def test_what_was_not_written_stays_cached(
    app: Application, module_proxy: ProxyUnderTest, in_block: bool
) -> None:
    with app.connect(prepare_threshold=None) as connection:
        begin_anew(module_proxy, connection, LOG, OTHER)
        before = count_commits(module_proxy, "discovered")
        with connection.transaction() if in_block else nullcontext():
            connection.execute("INSERT INTO disc_orders VALUES (77, 'fires')")
        assert count_commits(module_proxy, "discovered") == before + 1
        assert is_hit(module_proxy, connection, OTHER)
        assert not is_hit(module_proxy, connection, LOG)
        assert connection.execute(LOG).fetchone() == (77,)


def test_what_a_trigger_writes_at_the_commit_is_seen(
    app: Application, module_proxy: ProxyUnderTest
) -> None:
    with app.connect(prepare_threshold=None) as connection:
        begin_anew(module_proxy, connection, LOG, OTHER)
        connection.execute("DELETE FROM disc_orders WHERE id = 3")
        assert connection.execute(OTHER).fetchone() == (-1,)


DEFINES = [
    "CREATE OR REPLACE VIEW disc_view AS SELECT 2 AS n",
    "DROP VIEW disc_view; CREATE VIEW disc_view AS SELECT 3 AS n",
    "ALTER VIEW disc_view RENAME TO disc_gone; CREATE VIEW disc_view AS SELECT 4 AS n",
    "CREATE OR REPLACE FUNCTION disc_constant() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 5'",
    "ALTER TABLE disc_other ENABLE ROW LEVEL SECURITY; ALTER TABLE disc_other FORCE ROW LEVEL"
    " SECURITY; CREATE POLICY p ON disc_other USING (false)",
    "GRANT SELECT ON disc_other TO PUBLIC",
    "COMMENT ON TABLE disc_other IS 'x'",
]


RUNS = [
    "CALL disc_runs('INSERT INTO disc_log VALUES (5)')",
    "DO $$BEGIN EXECUTE 'INSERT INTO ' || 'disc_log VALUES (5)'; END$$",
]
COMMITS = [
    "CALL disc_commits('INSERT INTO disc_log VALUES ({})')",
    "DO $$BEGIN EXECUTE 'INSERT INTO ' || 'disc_log VALUES ({0})'; COMMIT;"
    " INSERT INTO disc_other VALUES (6); PERFORM 1 / (8 - {0}); END$$",
]


@pytest.mark.parametrize("in_block", [False, True], ids=["by itself", "in a transaction"])
@pytest.mark.parametrize("runs", RUNS, ids=["call", "do"])
def test_what_a_procedure_does_not_write_stays_cached(
    app: Application, module_proxy: ProxyUnderTest, in_block: bool, runs: str
) -> None:
    with app.connect(prepare_threshold=None) as connection:
        begin_anew(module_proxy, connection, LOG, QUIET)
        before = count_commits(module_proxy, "discovered")
        with connection.transaction() if in_block else nullcontext():
            answer = connection.execute(runs.encode())
            assert answer.description is None or answer.fetchall() == [(8,)]
        assert count_commits(module_proxy, "discovered") == before + 1
        assert is_hit(module_proxy, connection, QUIET)
        assert not is_hit(module_proxy, connection, LOG)
        assert connection.execute(LOG).fetchone() == (5,)


@pytest.mark.parametrize("number", [7, 8], ids=["to its end", "until it fails"])
@pytest.mark.parametrize("commits", COMMITS, ids=["call", "do"])
def test_what_a_procedure_commits_in_its_middle_is_seen(
    app: Application, module_proxy: ProxyUnderTest, number: int, commits: str
) -> None:
    with app.connect(prepare_threshold=None) as connection:
        begin_anew(module_proxy, connection, LOG, OTHER)
        before = count_commits(module_proxy, "everything")
        with nullcontext() if number == 7 else pytest.raises(psycopg.Error):
            connection.execute(commits.format(number).encode())
        assert count_commits(module_proxy, "everything") == before + 1
        assert connection.execute(LOG).fetchone() == (number,)
        assert connection.execute(OTHER).fetchone() == (6 if number == 7 else None,)


@pytest.mark.parametrize("sql", DEFINES)
def test_definitions_that_a_function_changes_are_seen_at_once(
    direct: Application, app: Application, module_proxy: ProxyUnderTest, sql: str
) -> None:
    look = b"SELECT (SELECT n FROM disc_view), disc_constant(), (SELECT count(*) FROM disc_other)"
    with direct.connect() as owner, app.connect(prepare_threshold=None) as connection:
        owner.execute(PREPARE.encode())
        owner.execute(
            "CREATE OR REPLACE FUNCTION disc_constant() RETURNS int IMMUTABLE"
            " LANGUAGE sql AS 'SELECT 1'"
        )
        owner.execute("INSERT INTO disc_other VALUES (1)")
        until_cached(module_proxy, connection, look)
        before = count_commits(module_proxy, "everything")
        connection.execute("SELECT disc_does(%s)", (sql,))
        assert count_commits(module_proxy, "everything") == before + 1
        assert connection.execute(look).fetchall() == owner.execute(look).fetchall()


@pytest.mark.parametrize("way", ["SELECT disc_defines()", "CALL disc_defining()"])
def test_definitions_in_a_plain_string_are_seen_at_once(
    direct: Application, app: Application, module_proxy: ProxyUnderTest, way: str
) -> None:
    look = b"SELECT n FROM disc_view"
    body = "BEGIN EXECUTE 'CREATE OR REPLACE VIEW disc_view AS SELECT 8 AS n'; {} END"
    with direct.connect() as owner, app.connect(prepare_threshold=None) as connection:
        owner.execute(PREPARE.encode())
        owner.execute(
            "CREATE OR REPLACE FUNCTION disc_defines() RETURNS int LANGUAGE plpgsql"
            f" AS $${body.format('RETURN 1;')}$$;"
            " CREATE OR REPLACE PROCEDURE disc_defining() LANGUAGE plpgsql"
            f" AS $${body.format('COMMIT;')}$$".encode()
        )
        until_cached(module_proxy, connection, look)
        connection.execute(way.encode())
        assert connection.execute(look).fetchall() == [(8,)]


def test_what_a_temporary_view_writes_is_seen(
    app: Application, module_proxy: ProxyUnderTest
) -> None:
    writes = "disc_does('INSERT INTO disc_log VALUES (5)')"
    with (
        app.connect(prepare_threshold=None) as connection,
        app.connect(prepare_threshold=None) as other,
    ):
        connection.execute(f"CREATE TEMP VIEW disc_other AS SELECT {writes} AS n".encode())
        until_cached(module_proxy, other, LOG, OTHER)
        [(before,)] = other.execute(LOG).fetchall()
        assert connection.execute(OTHER).fetchone() == (7,)
        assert other.execute(LOG).fetchone() == ((before or 0) + 5,)


@pytest.mark.parametrize(
    ("hides", "uses"),
    [
        ("VIEW disc_other AS SELECT {} AS n", "SELECT disc_reads()"),
        ("VIEW disc_other AS SELECT {} AS n", "INSERT INTO disc_quiet SELECT disc_reads()"),
        ("TABLE disc_quiet (n int, m int DEFAULT {})", "INSERT INTO disc_quiet VALUES (1)"),
        ("TABLE disc_quiet (n int, m int DEFAULT 0 + {})", "INSERT INTO disc_quiet VALUES (1)"),
        ("TABLE disc_quiet (n int, m disc_domain)", "INSERT INTO disc_quiet VALUES (1, 2)"),
    ],
)
def test_what_is_temporary_may_hide_what_others_name(
    app: Application, direct: Application, module_proxy: ProxyUnderTest, hides: str, uses: str
) -> None:
    with (
        direct.connect() as owner,
        app.connect(prepare_threshold=None) as connection,
        app.connect(prepare_threshold=None) as other,
    ):
        owner.execute(
            "CREATE OR REPLACE FUNCTION disc_reads() RETURNS bigint LANGUAGE sql"
            " AS 'SELECT n FROM disc_other LIMIT 1'"
        )
        writes = "disc_does('INSERT INTO disc_log VALUES (5)')"
        owner.execute("DROP DOMAIN IF EXISTS disc_domain")
        owner.execute(f"CREATE DOMAIN disc_domain AS int CHECK ({writes} = VALUE + 5)".encode())
        connection.execute(f"CREATE TEMP {hides.format(writes)}".encode())
        until_cached(module_proxy, other, LOG, OTHER)
        [(before,)] = other.execute(LOG).fetchall()
        connection.execute(uses.encode())
        assert other.execute(LOG).fetchone() == ((before or 0) + 5,)


def test_what_goes_past_the_transaction_counts_for_every_table(
    direct: Application, app: Application, module_proxy: ProxyUnderTest, cluster: PostgresCluster
) -> None:
    """A connection of a function's own is another transaction: no lock of this one tells of it."""
    superuser = psycopg.connect(cluster.primary.dsn(direct.database), autocommit=True)
    with superuser, app.connect(prepare_threshold=None) as connection:
        superuser.execute("CREATE EXTENSION IF NOT EXISTS dblink")
        superuser.execute(
            "CREATE OR REPLACE FUNCTION disc_elsewhere(way text, sql text) RETURNS text"
            " LANGUAGE plpgsql AS 'BEGIN RETURN dblink_exec(way, sql); END'"
        )
        until_cached(module_proxy, connection, LOG)
        [(before,)] = connection.execute(LOG).fetchall()
        connection.execute(
            "SELECT disc_elsewhere(%s, 'INSERT INTO disc_log VALUES (3)')", (direct.dsn(),)
        )
        assert connection.execute(LOG).fetchone() == ((before or 0) + 3,)
