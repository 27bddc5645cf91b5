"""Prepared statements belong to a client, though few server connections serve them all."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from proxy.wire.postgres import tags
from proxy.wire.postgres.frontend import SYNC, bind, close, describe, execute, parse, query
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.raw_client import RawClient, command_tags, rows, shape, sqlstates


@pytest.fixture(scope="module")
def forgetful_proxy(start_module_proxy: StartProxy) -> int:
    """The port of a proxy whose only server connection holds two prepared statements at a time."""
    return start_module_proxy(default_pool_size=1, max_prepared_statements=2, cache=False).port


@pytest.fixture
def forgetful(direct: Application, forgetful_proxy: int) -> Application:
    return direct.at(forgetful_proxy)


@pytest.fixture(scope="module", autouse=True)
def _tables(direct: Application) -> None:
    with direct.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS thing")
        connection.execute("CREATE TABLE thing (id int PRIMARY KEY, word text)")
        connection.execute("INSERT INTO thing SELECT i, 'w' || i FROM generate_series(1, 9) i")


def prepare(client: RawClient, name: str, sql: str) -> None:
    heard = client.ask(parse(name.encode(), sql.encode()), SYNC)
    assert shape(heard) == "1Z"


def use(client: RawClient, name: str, *parameters: str) -> list[list[str | None]]:
    values = [value.encode() for value in parameters]
    heard = client.ask(bind(b"", name.encode(), values), execute(b""), SYNC)
    assert shape(heard)[0] == "2", heard
    return rows(heard)


def test_the_same_name_means_another_statement_to_another_client(narrow: Application) -> None:
    with narrow.raw() as one, narrow.raw() as two:
        prepare(one, "s", "SELECT 'one', $1::int")
        prepare(two, "s", "SELECT 'two', $1::text")
        for i in range(3):
            assert use(one, "s", str(i)) == [["one", str(i)]]
            assert use(two, "s", "x") == [["two", "x"]]


def test_the_same_text_is_prepared_once_for_all_clients(narrow: Application) -> None:
    clients = [narrow.raw() for _ in range(10)]
    text = "SELECT 'shared by all', $1::int"
    for i, client in enumerate(clients):
        prepare(client, f"my{i}", text)
        assert use(client, f"my{i}", "1") == [["shared by all", "1"]]
    with narrow.connect() as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement = %s", [text]
        ).fetchone()
    assert found in [(1,), (2,)]  # two, if a definition was found to have changed meanwhile
    for client in clients:
        client.close()


def test_closing_a_statement_does_not_take_it_from_others(narrow: Application) -> None:
    with narrow.raw() as one, narrow.raw() as two:
        prepare(one, "s", "SELECT 'both have it'")
        prepare(two, "s", "SELECT 'both have it'")
        assert shape(one.ask(close(tags.STATEMENT, b"s"), SYNC)) == "3Z"
        assert use(two, "s") == [["both have it"]]
        assert sqlstates(one.ask(bind(b"", b"s"), SYNC)) == ["26000"]


def test_a_client_that_leaves_does_not_take_it_from_others(narrow: Application) -> None:
    with narrow.raw() as one, narrow.raw() as two:
        prepare(one, "s", "SELECT 'still there'")
        prepare(two, "s", "SELECT 'still there'")
        one.send(b"X\0\0\0\4")
        assert one.hear_out() == []
        assert use(two, "s") == [["still there"]]


def test_another_clients_unnamed_statement_is_not_there(narrow: Application) -> None:
    with narrow.raw() as one, narrow.raw() as two:
        secret = "SELECT 'secret' FROM pg_catalog.pg_class LIMIT 1"
        heard = one.ask(parse(b"", secret.encode()), bind(b"", b""), execute(b""), SYNC)
        assert rows(heard) == [["secret"]]
        assert sqlstates(two.ask(bind(b"", b""), execute(b""), SYNC)) == ["26000"]
        assert sqlstates(two.ask(describe(tags.STATEMENT, b""), SYNC)) == ["26000"]
        assert rows(one.ask(bind(b"", b""), execute(b""), SYNC)) == [["secret"]]


def test_statements_beyond_what_a_connection_holds_are_prepared_anew(
    forgetful: Application,
) -> None:
    with forgetful.raw() as one, forgetful.raw() as two:
        for i in range(7):
            prepare(one, f"s{i}", f"SELECT {i}, word FROM thing WHERE id = $1 FOR SHARE")
            prepare(two, f"s{i}", f"SELECT {i + 100}, word FROM thing WHERE id = $1 FOR SHARE")
        for turn in (range(7), reversed(range(7)), [3, 3, 0, 6, 3, 1]):
            for i in turn:
                assert use(one, f"s{i}", "2") == [[str(i), "w2"]]
                assert use(two, f"s{i}", "3") == [[str(i + 100), "w3"]]
        with forgetful.connect() as connection:
            held = "SELECT count(*) FROM pg_prepared_statements"
            assert connection.execute(held).fetchone() == (2,)


def test_a_pipeline_of_more_statements_than_a_connection_holds(forgetful: Application) -> None:
    with forgetful.raw() as client:
        batch = b"".join(
            parse(b"p%d" % i, b"SELECT %d + $1::int" % i)
            + bind(b"", b"p%d" % i, (b"1",))
            + execute(b"")
            for i in range(9)
        )
        heard = client.ask(batch, SYNC)
        assert shape(heard) == "12DC" * 9 + "Z"
        assert rows(heard) == [[str(i + 1)] for i in range(9)]
        assert [use(client, f"p{i}", "5") for i in range(9)] == [[[str(i + 5)]] for i in range(9)]


async def test_drivers_with_many_statements_over_few_connections(forgetful: Application) -> None:
    async def with_asyncpg(number: int) -> None:
        async with forgetful.asyncpg() as connection:
            for i in range(15):
                assert await connection.fetchval(f"SELECT {i} + $1::int", number) == i + number

    async def with_psycopg(number: int) -> None:
        async with await forgetful.connect_async(prepare_threshold=0) as connection:
            for i in range(15):
                cursor = await connection.execute(f"SELECT {i} + %s::int", [number])
                assert await cursor.fetchone() == (i + number,)

    await asyncio.gather(
        *(with_asyncpg(number) for number in range(8)),
        *(with_psycopg(number) for number in range(8)),
    )


def test_an_error_in_the_pipeline_leaves_the_names_that_were_made_before_it(
    narrow: Application,
) -> None:
    with narrow.raw() as client:
        heard = client.ask(
            *(parse(b"before", b"SELECT 'before'"), parse(b"wrong", b"SELEC")),
            *(parse(b"behind", b"SELECT 'behind'"), SYNC),
        )
        assert shape(heard) == "1EZ"
        assert use(client, "before") == [["before"]]
        for name in (b"wrong", b"behind"):
            assert sqlstates(client.ask(bind(b"", name), SYNC)) == ["26000"]
            assert shape(client.ask(parse(name, b"SELECT 1"), SYNC)) == "1Z"


def test_a_close_behind_an_error_does_not_count(narrow: Application) -> None:
    with narrow.raw() as client:
        prepare(client, "kept", "SELECT 'kept'")
        heard = client.ask(bind(b"", b"nobody"), close(tags.STATEMENT, b"kept"), SYNC)
        assert shape(heard) == "EZ"
        assert use(client, "kept") == [["kept"]]


def test_deallocate_all_and_discard_all(narrow: Application) -> None:
    for command in ("DEALLOCATE ALL", "DISCARD ALL", "DEALLOCATE PREPARE ALL"):
        with narrow.raw() as one, narrow.raw() as two:
            prepare(one, "s", "SELECT 'mine'")
            prepare(two, "s", "SELECT 'mine'")
            one.query("PREPARE t AS SELECT 'in SQL'")
            assert rows(one.query("EXECUTE t")) == [["in SQL"]]
            assert sqlstates(one.query(command)) == []
            assert sqlstates(one.ask(bind(b"", b"s"), SYNC)) == ["26000"]
            assert sqlstates(one.query("EXECUTE t")) == ["26000"]
            assert use(two, "s") == [["mine"]]


ONE_OF_THEM = "(SELECT min(name) FROM pg_prepared_statements WHERE name LIKE 'tidegate%')"


@pytest.mark.parametrize("gone", ["'ALL'", ONE_OF_THEM])
def test_a_block_that_deallocates_takes_nothing_from_others(narrow: Application, gone: str) -> None:
    with narrow.raw() as one, narrow.raw() as two:
        for number in range(3):
            prepare(one, f"s{number}", f"SELECT 'kept {number}', $1::int")
            assert use(one, f"s{number}", "1") == [[f"kept {number}", "1"]]
        for _ in range(30):  # other tests have left some there
            two.query(f"DO $$ BEGIN EXECUTE 'DEALLOCATE ' || {gone}; END $$")
        for number in range(3):
            assert use(one, f"s{number}", "2") == [[f"kept {number}", "2"]]


def test_deallocate_of_a_statement_prepared_by_the_protocol(narrow: Application) -> None:
    with narrow.raw() as one, narrow.raw() as two:
        prepare(one, "S one", "SELECT 'mine'")
        prepare(two, "S one", "SELECT 'mine'")
        assert command_tags(one.query('DEALLOCATE "S one"')) == ["DEALLOCATE"]
        assert sqlstates(one.ask(bind(b"", b"S one"), SYNC)) == ["26000"]
        assert sqlstates(one.query('DEALLOCATE "S one"')) == ["26000"]
        assert use(two, "S one") == [["mine"]]


def test_sql_prepare_belongs_to_its_client(narrow: Application) -> None:
    with narrow.connect() as one, narrow.connect() as two:
        one.execute("PREPARE s (int) AS SELECT 'one', word FROM thing WHERE id = $1")
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            two.execute("EXECUTE s (1)")
        two.execute("PREPARE s AS INSERT INTO thing VALUES ($1, 'two') RETURNING id")
        assert one.execute("EXECUTE s (2)").fetchone() == ("one", "w2")
        assert two.execute("EXECUTE s (70)").fetchone() == (70,)
        assert one.execute("EXECUTE s (70)").fetchone() == ("one", "two")
        with pytest.raises(psycopg.errors.DuplicatePreparedStatement):
            one.execute("PREPARE s AS SELECT 1")
        one.execute("DEALLOCATE s")
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            one.execute("EXECUTE s (1)")
        assert two.execute("EXECUTE s (71)").fetchone() == (71,)
        two.execute("DELETE FROM thing WHERE id >= 70")


def test_sql_prepare_survives_a_rollback(narrow: Application) -> None:
    with narrow.connect() as one, narrow.connect() as two:
        one.execute("BEGIN")
        one.execute("PREPARE kept AS SELECT 'kept'")
        one.execute("ROLLBACK")
        two.execute("SELECT 1")
        assert one.execute("EXECUTE kept").fetchone() == ("kept",)


def test_a_definition_that_changes_does_not_break_statements_made_after_it(
    narrow: Application,
) -> None:
    with narrow.raw() as one, narrow.raw() as two:
        one.query("DROP TABLE IF EXISTS growing; CREATE TABLE growing (a int)")
        one.query("INSERT INTO growing VALUES (1)")
        prepare(one, "s", "SELECT * FROM growing")
        assert use(one, "s") == [["1"]]
        one.query("ALTER TABLE growing ADD COLUMN b int DEFAULT 2")
        prepare(two, "s", "SELECT * FROM growing")
        assert use(two, "s") == [["1", "2"]]
        # As directly: what was prepared before is told to be prepared again.
        prepare(one, "again", "SELECT * FROM growing")
        assert use(one, "again") == [["1", "2"]]


def test_a_definition_changed_behind_our_back_is_an_error_once_at_most(
    narrow: Application, direct: Application
) -> None:
    with narrow.raw() as one, direct.connect() as foreign:
        foreign.execute("DROP TABLE IF EXISTS growing")
        foreign.execute("CREATE TABLE growing (a int)")
        prepare(one, "s", "SELECT * FROM growing FOR UPDATE")
        assert use(one, "s") == []
        foreign.execute("ALTER TABLE growing ADD COLUMN b int DEFAULT 2")
        assert sqlstates(one.ask(bind(b"", b"s"), execute(b""), SYNC)) in (["0A000"], [])
        prepare(one, "again", "SELECT * FROM growing FOR UPDATE")
        assert use(one, "again") == []


@pytest.mark.parametrize("kind", ["", "TEMPORARY"])
def test_what_is_prepared_beside_a_definition_that_only_its_session_sees_is_its_own(
    narrow: Application, kind: str
) -> None:
    for kept, value in (("int", "1"), ("text", "a"), ("bigint", "1099511627776")):
        with narrow.raw() as client:
            client.query("BEGIN")
            client.query(f"CREATE {kind} TABLE passing (a {kept})")
            prepare(client, "put", "INSERT INTO passing VALUES ($1)")
            use(client, "put", value)
            prepare(client, "get", "SELECT a FROM passing")
            assert use(client, "get") == [[value]]
            client.query("ROLLBACK")


def test_a_savepoint_takes_back_what_a_statement_was_prepared_beside(narrow: Application) -> None:
    with narrow.raw() as client:
        client.query("DROP TABLE IF EXISTS growing; CREATE TABLE growing (a int)")
        client.query("BEGIN; SAVEPOINT before")
        client.query("ALTER TABLE growing ADD COLUMN b int")
        prepare(client, "wide", "SELECT * FROM growing FOR UPDATE")
        client.query("ROLLBACK TO before")
        prepare(client, "narrow", "SELECT * FROM growing FOR UPDATE")
        assert use(client, "narrow") == []
        client.query("ROLLBACK")


def test_a_temporary_table_hides_another_from_later_statements_of_its_session_only(
    narrow: Application, app: Application
) -> None:
    with app.raw() as one, app.raw() as two:
        one.query("DROP TABLE IF EXISTS growing; CREATE TABLE growing AS SELECT 1 AS a")
        for client in (one, two):
            prepare(client, "before", "SELECT * FROM growing ORDER BY 1")
            assert use(client, "before") == [["1"]]
        one.query("CREATE TEMPORARY TABLE growing AS SELECT 'x' AS b, 'y' AS c")
        prepare(one, "hidden", "SELECT * FROM growing ORDER BY 1")
        prepare(two, "seen", "SELECT * FROM growing ORDER BY 1")
        assert use(one, "hidden") == [["x", "y"]]
        assert use(two, "seen") == [["1"]]
        one.query("DROP TABLE growing")
        prepare(one, "seen", "SELECT * FROM growing ORDER BY 1")
        assert use(one, "seen") == [["1"]]


async def test_asyncpg_prepares_again_after_a_definition_has_changed(narrow: Application) -> None:
    async with narrow.asyncpg() as one, narrow.asyncpg() as two:
        await one.execute("DROP TABLE IF EXISTS growing; CREATE TABLE growing (a int)")
        await one.execute("INSERT INTO growing VALUES (1)")
        for _ in range(2):
            assert list(await one.fetchrow("SELECT * FROM growing")) == [1]
            assert list(await two.fetchrow("SELECT * FROM growing")) == [1]
        await one.execute("ALTER TABLE growing ADD COLUMN b int DEFAULT 2")
        for _ in range(2):
            assert list(await one.fetchrow("SELECT * FROM growing")) == [1, 2]
            assert list(await two.fetchrow("SELECT * FROM growing")) == [1, 2]


async def test_statements_of_the_same_text_mean_what_each_search_path_says(
    narrow: Application,
) -> None:
    with narrow.connect() as setup:
        setup.execute("DROP SCHEMA IF EXISTS here, there CASCADE")
        for schema, columns in (("here", "1 AS a"), ("there", "'x' AS b, 2 AS c")):
            setup.execute(f"CREATE SCHEMA {schema}")
            setup.execute(f"CREATE TABLE {schema}.place AS SELECT {columns}")
    async with (
        narrow.asyncpg(server_settings={"search_path": "here"}) as here,
        narrow.asyncpg(server_settings={"search_path": "there"}) as there,
    ):
        for _ in range(3):
            assert list(await here.fetchrow("SELECT * FROM place")) == [1]
            assert list(await there.fetchrow("SELECT * FROM place")) == ["x", 2]
            assert list(await here.fetchrow("SELECT * FROM place WHERE a = $1", 1)) == [1]


def test_pg_prepared_statements_as_simple_queries_go_on(narrow: Application) -> None:
    with narrow.raw() as client:
        prepare(client, "s", "SELECT $1::int")
        for i in range(5):
            heard = client.ask(query(b"SELECT 1"), bind(b"", b"s", (b"%d" % i,)), execute(b""))
            assert rows(heard) == [["1"]]
            assert rows(client.ask(SYNC)) == [[str(i)]]


@pytest.mark.parametrize("sql", [b"DEALLOCATE ALL", b"DISCARD ALL"])
def test_the_unnamed_statement_outlives_what_forgets_all_others(
    direct: Application, narrow: Application, sql: bytes
) -> None:
    for application in (direct, narrow):
        with application.raw() as one, application.raw() as two:
            one.ask(parse(b"all", sql), parse(b"", b"SELECT 'unnamed'"), SYNC)
            assert command_tags(one.ask(bind(b"", b"all"), execute(b""), SYNC)) == [sql.decode()]
            assert use(one, "") == [["unnamed"]]
            assert sqlstates(one.ask(bind(b"", b"all"), SYNC)) == ["26000"]
            assert sqlstates(two.ask(bind(b"", b""), SYNC)) == ["26000"]
            one.query(sql.decode())
            assert sqlstates(one.ask(bind(b"", b""), SYNC)) == ["26000"]
