"""PostgreSQL's own programs do through the proxy what they do directly."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from proxy.demo.local_postgres import SUPERUSER, PostgresCluster
from tests.integration.application import Application

# ---- psql ----------------------------------------------------------------------------------

META = [
    r"\d",
    r"\d+ everything",
    r"\dt+",
    r"\di",
    r"\dv+ seen",
    r"\ds",
    r"\df",
    r"\dn+",
    r"\du",
    r"\dT",
    r"\dp everything",
    r"\l",
    r"\sf add_one",
    r"\sv seen",
    r"\dd",
    r"\drds",
    r"\conninfo",
    r"\encoding",
    r"\echo :DBNAME :USER :ENCODING",
    r"\gdesc",
    "SELECT 1 AS a, 'x' AS b \\gx",
    "SELECT 1 AS a, 'x' AS b \\gdesc",
    "SELECT format('SELECT %s', i) FROM generate_series(1, 3) i \\gexec",
    "SELECT 5 AS five \\gset\n\\echo :five",
    "SELECT i, i % 2 AS odd, i * 2 AS n FROM generate_series(1, 4) i \\crosstabview",
    "\\copy everything (id, word) TO STDOUT",
    "COPY everything TO STDOUT WITH (FORMAT csv, HEADER)",
    "BEGIN;\nINSERT INTO everything VALUES (99, 'x');\nROLLBACK;\nSELECT count(*) FROM everything;",
    "SELECT 1/0;\nSELECT 'still here';",
    r"SELECT $1::int + 1 \bind 41 \g",
    "\\set FETCH_COUNT 2\nSELECT id FROM everything ORDER BY id;",
    "\\set ON_ERROR_ROLLBACK on\nBEGIN;\nSELECT 1/0;\nSELECT 'lives';\nCOMMIT;",
    "\\timing off\n\\x on\nSELECT * FROM everything WHERE id = 1;",
    "SELECT 1\\; SELECT 2\\; SELECT 3;",
    "\\lo_import /etc/hostname\n\\lo_list\nSELECT lo_unlink(oid) FROM pg_largeobject_metadata;",
    "EXPLAIN (COSTS off) SELECT * FROM everything WHERE id = 1;",
    "SET search_path = nowhere;\n\\d\nRESET search_path;\n\\dt",
    "LISTEN a;\nNOTIFY a, 'hello';\nSELECT 1;",
]

SCHEMA = """
DROP VIEW IF EXISTS seen;
DROP TABLE IF EXISTS everything;
CREATE TABLE everything (id serial PRIMARY KEY, word text NOT NULL DEFAULT 'w', n numeric(9, 2));
COMMENT ON TABLE everything IS 'all there is';
INSERT INTO everything (word, n) SELECT 'w' || i, i / 3.0 FROM generate_series(1, 50) i;
CREATE INDEX everything_word ON everything (word) WHERE n > 1;
CREATE VIEW seen AS SELECT id, word FROM everything WHERE id < 10;
CREATE OR REPLACE FUNCTION add_one(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1';
"""


@pytest.fixture(scope="module", autouse=True)
def _tables(direct: Application) -> None:
    with direct.connect() as connection:
        connection.execute(SCHEMA)


def run(
    cluster: PostgresCluster,
    application: Application,
    program: str,
    *arguments: str,
    said: str | None = None,
    status: int = 0,
) -> str:
    """Run a program; returns what it printed, errors included."""
    done = subprocess.run(
        [cluster.postgres.path(program), *arguments],
        input=said,
        env={**application.environment, "PGOPTIONS": "-c client_min_messages=warning"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


@pytest.mark.parametrize("command", META)
def test_psql_prints_the_same(
    app: Application, direct: Application, shared_cluster: PostgresCluster, command: str
) -> None:
    printed = []
    for application in (direct, app):
        text = run(
            shared_cluster, application, "psql", "--no-psqlrc", "--quiet", said=f"{command}\n"
        )
        text = text.replace(str(application.port), "PORT")
        # Numbers of processes and of large objects are never the same twice.
        printed.append(
            re.sub(r"(?<=PID )\d+|lo_import \d+|^ *\d+ \| app.*$", "N", text, flags=re.M)
        )
    assert printed[1] == printed[0]
    assert printed[0]


# ---- pgbench -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(direct: Application, shared_cluster: PostgresCluster) -> None:
    shared_cluster.primary.execute("CREATE DATABASE bench OWNER app")


def test_pgbench_loads_its_tables(
    app: Application, bench: None, shared_cluster: PostgresCluster
) -> None:
    through = app.like(database="bench")
    for step in ("dtgvpf", "dtGvpf"):
        run(shared_cluster, through, "pgbench", "-i", "-s", "1", "-I", step, "-q")
    with through.connect() as connection:
        found = connection.execute("SELECT count(*) FROM pgbench_accounts").fetchone()
        assert found == (100_000,)


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("script", ["tpcb-like", "simple-update", "select-only"])
def test_pgbench_runs_its_scripts(
    app: Application, bench: None, shared_cluster: PostgresCluster, mode: str, script: str
) -> None:
    through = app.like(database="bench")
    text = run(
        shared_cluster,
        through,
        "pgbench",
        *("--protocol", mode, "--builtin", script, "--no-vacuum"),
        *("--client", "8", "--transactions", "40"),
    )
    assert "number of transactions actually processed: 320/320" in text
    assert "failed transactions: 0 " in text
    if script == "tpcb-like":
        with through.connect() as connection:
            sums = connection.execute(
                "SELECT (SELECT sum(abalance) FROM pgbench_accounts)"
                " = (SELECT sum(tbalance) FROM pgbench_tellers),"
                " (SELECT sum(bbalance) FROM pgbench_branches)"
                " = (SELECT sum(tbalance) FROM pgbench_tellers)"
            ).fetchone()
        assert sums == (True, True)


PIPELINE = r"""
\set aid random(1, 100000)
\startpipeline
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
\endpipeline
"""


@pytest.mark.parametrize("mode", ["extended", "prepared"])
def test_pgbench_runs_pipelines(
    app: Application,
    bench: None,
    shared_cluster: PostgresCluster,
    tmp_path: Path,
    mode: str,
) -> None:
    script = tmp_path / "pipeline.sql"
    script.write_text(PIPELINE)
    text = run(
        shared_cluster,
        app.like(database="bench"),
        "pgbench",
        *("--protocol", mode, "--file", str(script), "--no-vacuum"),
        *("--client", "8", "--transactions", "25", "--connect"),
    )
    assert "number of transactions actually processed: 200/200" in text


ASKING = r"""
\set aid random(1, 100000)
BEGIN;
SELECT abalance, bid FROM pgbench_accounts WHERE aid = :aid FOR UPDATE \gset old_
SELECT count(*) AS branches FROM pgbench_branches \aset
\if :branches < 1 or :old_bid <> 1
SELECT 1/0;
\endif
UPDATE pgbench_accounts SET abalance = :old_abalance + 1 WHERE aid = :aid;
SELECT abalance - :old_abalance - 1 AS off FROM pgbench_accounts WHERE aid = :aid \gset
\if :off <> 0
SELECT 1/0;
\endif
END;
"""
"""What is read decides what is sent next; a wrong answer is a failed transaction."""


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize(
    "pace",
    [(), ("--connect",), ("--rate", "400", "--latency-limit", "5000"), ("--jobs", "4")],
    ids=lambda pace: "".join(pace) or "plain",
)
def test_pgbench_acts_on_what_it_reads_at_any_pace(
    app: Application,
    bench: None,
    shared_cluster: PostgresCluster,
    tmp_path: Path,
    mode: str,
    pace: tuple[str, ...],
) -> None:
    script = tmp_path / "asking.sql"
    script.write_text(ASKING)
    text = run(
        shared_cluster,
        app.like(database="bench"),
        "pgbench",
        *("--protocol", mode, "--file", str(script), "--no-vacuum"),
        *("--client", "8", "--transactions", "10", *pace),
    )
    assert "number of transactions actually processed: 80/80" in text
    assert "failed transactions: 0 " in text


# ---- pg_dump -------------------------------------------------------------------------------

RICH = """
CREATE SCHEMA other;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE parent (id int PRIMARY KEY, mood mood, at timestamptz DEFAULT '2024-01-01', raw bytea);
CREATE TABLE other.child (id positive, parent int REFERENCES parent ON DELETE CASCADE, doc jsonb);
CREATE TABLE parts (id int, region text) PARTITION BY LIST (region);
CREATE TABLE parts_eu PARTITION OF parts FOR VALUES IN ('eu');
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
CREATE MATERIALIZED VIEW totals AS SELECT mood, count(*) FROM parent GROUP BY mood;
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN NEW.at := '2025-01-01'; RETURN NEW; END$$;
CREATE TRIGGER touch BEFORE UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION touched();
INSERT INTO parent SELECT i, 'ok', '2024-01-01', decode('00ff' || lpad(to_hex(i), 4, '0'), 'hex')
  FROM generate_series(1, 2000) i;
INSERT INTO other.child SELECT i, i, jsonb_build_object('i', i, 's', E'a\\tb\\n☃')
  FROM generate_series(1, 2000) i;
INSERT INTO parts SELECT i, CASE WHEN i % 2 = 0 THEN 'eu' ELSE 'us' END
  FROM generate_series(1, 500) i;
SELECT lo_from_bytea(4711, 'a large object');
REFRESH MATERIALIZED VIEW totals;
"""


def dump(cluster: PostgresCluster, application: Application, *arguments: str) -> str:
    """A dump as text, without what differs each time."""
    text = run(cluster, application, "pg_dump", *arguments)
    return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.M)


def test_a_dump_is_the_same_and_can_be_restored(
    app: Application, direct: Application, shared_cluster: PostgresCluster, tmp_path: Path
) -> None:
    primary = shared_cluster.primary
    for name in ("rich", "restored", "copied"):
        primary.execute(f"CREATE DATABASE {name} OWNER app")
    with direct.like(database="rich").connect() as connection:
        connection.execute(RICH)
    shared_cluster.wait_replayed()
    rich, through = direct.like(database="rich"), app.like(database="rich")
    expected = dump(shared_cluster, rich)
    assert dump(shared_cluster, through) == expected
    inserts = ["--inserts", "--rows-per-insert", "50"]
    assert dump(shared_cluster, through, *inserts) == dump(shared_cluster, rich, *inserts)

    restored = app.like(database="restored")
    run(
        shared_cluster,
        restored,
        "psql",
        *("--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--single-transaction"),
        said=expected,
    )
    assert dump(shared_cluster, direct.like(database="restored")) == expected

    folder = tmp_path / "folder"
    run(
        shared_cluster,
        through,
        "pg_dump",
        *("--format", "directory", "--jobs", "3", "--file", str(folder)),
    )
    copied = app.like(database="copied")
    run(
        shared_cluster,
        copied,
        "pg_restore",
        *("--dbname", "copied", "--jobs", "3", "--exit-on-error", str(folder)),
    )
    assert dump(shared_cluster, direct.like(database="copied")) == expected


def test_a_dump_of_everything_is_the_same(
    direct: Application, app: Application, shared_cluster: PostgresCluster
) -> None:
    dumps = []
    for application in (direct, app):
        everyone = application.like(user=SUPERUSER, password=shared_cluster.password)
        text = run(shared_cluster, everyone, "pg_dumpall", "--no-role-passwords")
        dumps.append(re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.M))
    assert dumps[1] == dumps[0]
    assert "CREATE ROLE app" in dumps[0]
