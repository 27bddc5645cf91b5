"""Transactions whose BEGIN is held back: to the client there is no difference.

Random scripts are run twice, directly and through the proxy, and what is heard is compared byte by
byte. What is served beside a transaction is counted, so that the scripts are known to reach it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from proxy.demo.local_postgres import PostgresCluster
from proxy.wire.postgres import tags
from proxy.wire.postgres.frontend import SYNC, bind, close, describe, execute, parse, query
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.raw_client import Heard

SCRIPTS = 400 if "TIDEGATE_SOAK_SECONDS" in os.environ else 150
PREPARE = "DROP TABLE IF EXISTS held; CREATE TABLE held (id int PRIMARY KEY, word text)"
RESET = "TRUNCATE held; INSERT INTO held SELECT i, 'w' || i FROM generate_series(1, 3) i"
READ = b"SELECT id, word FROM held ORDER BY id"


def run(sql: bytes, *parameters: bytes, max_rows: int = 0) -> bytes:
    return b"".join(
        (
            parse(b"", sql),
            bind(b"", b"", parameters),
            describe(tags.PORTAL, b""),
            execute(b"", max_rows),
            SYNC,
        )
    )


BEGINS = [
    *(b"BEGIN", b"BEGIN", b"START TRANSACTION", b"begin isolation level read committed"),
    *(b"BEGIN READ ONLY", b"BEGIN READ WRITE, NOT DEFERRABLE"),
    *(b"BEGIN ISOLATION LEVEL REPEATABLE READ", b"BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"),
]
ENDS = [
    *(b"COMMIT", b"ROLLBACK", b"END", b"ABORT", b"COMMIT WORK", b"COMMIT AND CHAIN"),
    *(b"ROLLBACK AND CHAIN", b"COMMIT AND NO CHAIN"),
]
INSIDE = [
    *(b"SAVEPOINT a", b"SAVEPOINT b", b'SAVEPOINT "A"', b"RELEASE a", b"RELEASE SAVEPOINT b"),
    *(b"ROLLBACK TO a", b"ROLLBACK TO a", b"ROLLBACK TRANSACTION TO SAVEPOINT b"),
    *(b"SELECT 1 / (id - 1) FROM held", b"SELECT nothing FROM held", b"SELEC 1", b""),
    *(b"UPDATE held SET word = word || 'x' WHERE id = 1", b"DELETE FROM held WHERE id = 2"),
    *(b"INSERT INTO held VALUES (4, 'four')", b"INSERT INTO held VALUES (1, 'twice')"),
    *(b"SELECT word FROM held WHERE id = 1 FOR UPDATE", b"LOCK TABLE held IN SHARE MODE"),
    *(b"SET LOCAL datestyle TO 'German'", b"SET timezone TO 'CET'", b"RESET timezone"),
    *(b"SET TRANSACTION READ ONLY", b"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
    *(b"SHOW transaction_read_only", b"SHOW transaction_isolation", b"SHOW timezone"),
    *(b"SELECT now() = transaction_timestamp() FROM held", b"SELECT 'now'::timestamptz = now()"),
    *(b"SELECT pg_current_xact_id_if_assigned() IS NULL", b"COPY held TO STDOUT", b"VACUUM held"),
    *(b"DECLARE c CURSOR FOR SELECT id FROM held ORDER BY id", b"FETCH 2 FROM c", b"CLOSE c"),
    *(b"PREPARE p AS SELECT id FROM held ORDER BY id", b"EXECUTE p", b"DEALLOCATE p"),
    *(b"BEGIN; SELECT id FROM held", b"SELECT 1; ROLLBACK; SELECT 2", b"COMMIT; BEGIN READ ONLY"),
    *(b"SELECT id FROM held; SELECT word FROM held WHERE id = 2", b"DISCARD ALL"),
]
BATCHES = [
    parse(b"s", b"SELECT word FROM held WHERE id = $1") + describe(tags.STATEMENT, b"s") + SYNC,
    bind(b"", b"s", (b"2",)) + execute(b"") + SYNC,
    bind(b"", b"s", (b"two",)) + execute(b"") + SYNC,
    close(tags.STATEMENT, b"s") + SYNC,
    run(b"SELECT word FROM held WHERE id = $1", b"3"),
    run(READ, max_rows=1),
    parse(b"", READ) + bind(b"portal", b"") + execute(b"portal", 2) + SYNC,
    execute(b"portal", 1) + SYNC,
    parse(b"", b"SELEC") + SYNC,
    SYNC,
]


def scripts() -> Iterator[list[bytes]]:
    for seed in range(SCRIPTS):
        dice = random.Random(seed)
        script: list[bytes] = []
        for _ in range(dice.randint(2, 4)):
            begin = dice.choice(BEGINS)
            if dice.random() < 0.25:
                behind = dice.choice([READ, READ, *INSIDE])
                script.append(run(begin).removesuffix(SYNC) + run(behind))
            else:
                script.append(said(dice, begin))
            for _ in range(dice.randint(0, 6)):
                choice = dice.random()
                if choice < 0.35:
                    script.append(said(dice, READ))
                elif choice < 0.8:
                    script.append(said(dice, dice.choice(INSIDE)))
                else:
                    script.append(dice.choice(BATCHES))
            script.append(said(dice, dice.choice(ENDS)))
            script.append(said(dice, READ))
        yield [*script, query(b"ROLLBACK"), query(READ)]


def said(dice: random.Random, sql: bytes) -> bytes:
    return run(sql) if dice.random() < 0.3 and b";" not in sql else query(sql)


def hold(application: Application) -> list[list[Heard]]:
    """Run every script from the same beginnings; what is heard is listed by script and step."""
    answers = []
    with application.raw() as resetter:
        for script in scripts():
            resetter.query(RESET)
            with application.raw() as client:
                answers.append([client.ask(said) for said in script])
    return answers


@pytest.fixture(scope="module")
def module_proxy(start_module_proxy: StartProxy) -> ProxyUnderTest:
    return start_module_proxy(repeatable_read="versioned")


@pytest.fixture(scope="module", autouse=True)
def _table(direct: Application, shared_cluster: PostgresCluster) -> None:
    with direct.connect(autocommit=True) as connection:
        connection.execute(PREPARE.encode())
    shared_cluster.wait_replayed()


def test_every_script_is_answered_as_directly(
    direct: Application, app: Application, module_proxy: ProxyUnderTest
) -> None:
    expected = hold(direct)
    heard = hold(app)
    for number, script in enumerate(scripts()):
        for step in range(len(script)):
            assert heard[number][step] == expected[number][step], (number, step, script)
    for outcome in ("opened", "spared"):
        assert module_proxy.metric("tidegate_transactions_total", outcome=outcome) > SCRIPTS / 4
