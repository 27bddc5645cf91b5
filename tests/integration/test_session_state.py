"""What a client sets stays its own, though all clients here share one server connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest
from psycopg import sql

from proxy.demo.local_postgres import PostgresCluster
from proxy.wire.postgres import backend
from proxy.wire.postgres.frontend import SYNC, bind, close, execute, parse
from proxy.wire.postgres.tags import STATEMENT
from tests.integration.application import PASSWORD, Application, Row
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.raw_client import Heard, command_tags, rows, sqlstates

Connection = psycopg.Connection[Row]


@pytest.fixture(scope="module", autouse=True)
def _roles(direct: Application, shared_cluster: PostgresCluster) -> None:
    primary = shared_cluster.primary
    primary.execute("CREATE ROLE reader; CREATE ROLE writer; GRANT reader, writer TO app")
    primary.execute(f"CREATE ROLE boss LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
    with direct.connect() as connection:
        connection.execute("DROP SCHEMA IF EXISTS here, there CASCADE")
        for schema in ("here", "there"):
            connection.execute(f"CREATE SCHEMA {schema}")
            connection.execute(f"CREATE TABLE {schema}.place AS SELECT '{schema}' AS name")
            connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO PUBLIC")
        connection.execute("GRANT SELECT ON here.place TO reader")
    shared_cluster.wait_replayed()


@pytest.fixture
def clients(narrow: Application) -> Iterator[list[Connection]]:
    with ExitStack() as open_clients:
        yield [open_clients.enter_context(narrow.connect()) for _ in range(3)]


def value(connection: Connection, text: str) -> object:
    row = connection.execute(text.encode()).fetchone()
    assert row is not None
    return row[0]


def show(connection: Connection, name: str) -> object:
    return value(connection, f"SHOW {name}")


def process(connection: Connection) -> object:
    return value(connection, "SELECT pg_backend_pid() + 0 * txid_current()")


def test_the_clients_share_one_connection(clients: list[Connection]) -> None:
    assert len({process(client) for client in clients}) == 1


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("work_mem", ["1MB", "2MB", "3MB"]),
        ("statement_timeout", ["11s", "12s", "13s"]),
        ("application_name", ["one", "two; drop", "it's three"]),
        ("DateStyle", ["ISO, DMY", "German, DMY", "SQL, MDY"]),
        ("TimeZone", ["UTC", "Asia/Kathmandu", "America/New_York"]),
        ("search_path", ["here", "there, public", '"$user", here']),
        ("my.own", ["1", "two", ""]),
        ("enable_seqscan", ["on", "off", "on"]),
    ],
)
def test_settings_are_each_clients_own(
    clients: list[Connection], name: str, values: list[str]
) -> None:
    for client, setting in zip(clients, values, strict=True):
        is_list = name == "search_path"
        client.execute(
            sql.SQL("SET {} TO {}").format(
                sql.SQL(name), sql.SQL(setting) if is_list else sql.Literal(setting)
            )
        )
    for _ in range(2):
        for client, setting in zip(clients, values, strict=True):
            assert show(client, name) == setting


def test_every_way_to_set(clients: list[Connection]) -> None:
    one, two, _ = clients
    default = show(two, "work_mem")
    ways = [
        ("SET work_mem = 2048", "2MB"),
        ("SET work_mem TO '3MB'", "3MB"),
        ("SET SESSION work_mem = '4100kB'", "4100kB"),
        ("set /* a comment */ WORK_MEM='5MB' -- another\n;", "5MB"),
        ("SELECT set_config('work_mem', '6MB', false)", "6MB"),
        ("SELECT set_config('work_' || 'mem', '7MB', false) WHERE true", "7MB"),
        ("UPDATE pg_settings SET setting = '8MB' WHERE name = 'work_mem'", "8MB"),
        ("DO $$BEGIN PERFORM set_config('work_mem', '9MB', false); END$$", "9MB"),
        ("DO 'BEGIN SET work_mem = ''10MB''; END'", "10MB"),
    ]
    for way, expected in ways:
        one.execute(way.encode())
        assert show(two, "work_mem") == default, way
        assert show(one, "work_mem") == expected, way


def test_every_way_to_go_back(clients: list[Connection]) -> None:
    one, two, _ = clients
    default = show(two, "work_mem")
    for way in ("RESET work_mem", "SET work_mem TO DEFAULT", "RESET ALL", "DISCARD ALL"):
        one.execute("SET work_mem = '5MB'")
        assert show(two, "work_mem") == default
        one.execute(way.encode())
        assert show(two, "work_mem") == default
        assert show(one, "work_mem") == default, way


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_what_is_set_for_a_transaction_ends_with_it(clients: list[Connection], end: str) -> None:
    """The server says of them that they were set in its session."""
    client = clients[0]
    for way in (
        "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
        "BEGIN; SET transaction_read_only = on",
        "BEGIN; SELECT set_config('transaction_read_only', 'on', false)",
    ):
        client.execute(way.encode())
        client.execute("SELECT pg_current_xact_id_if_assigned()")
        client.execute(end.encode())
        assert show(client, "transaction_read_only") == "off"
        assert show(client, "transaction_isolation") == "read committed"
        assert value(client, "SELECT name FROM here.place") == "here"


def test_special_ways_to_set(clients: list[Connection]) -> None:
    one, two, _ = clients
    for way, name, expected in [
        ("SET TIME ZONE 'Asia/Kathmandu'", "timezone", "Asia/Kathmandu"),
        ("SET TIME ZONE -7", "timezone", "<-07>+07"),
        ("SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE", "timezone", "<+02>-02"),
        ("SET TIME ZONE LOCAL", "timezone", show(two, "timezone")),
        ("SET SCHEMA 'here'", "search_path", "here"),
        ("SET NAMES 'UTF8'", "client_encoding", "UTF8"),
        ("SET search_path = here, \"There\", 'x y'", "search_path", 'here, "There", "x y"'),
        ("SET XML OPTION DOCUMENT", "xmloption", "document"),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "default_transaction_isolation",
            "repeatable read",
        ),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "default_transaction_read_only",
            "on",
        ),
        ("SET SEED TO 0.5", "work_mem", show(two, "work_mem")),
    ]:
        before = show(two, name)
        one.execute(way.encode())
        assert show(two, name) == before, way
        assert show(one, name) == expected, way
        one.execute("RESET ALL")


def test_search_path_decides_what_a_name_means(clients: list[Connection]) -> None:
    one, two, three = clients
    one.execute("SET search_path = here")
    two.execute("SET search_path = there")
    for _ in range(4):
        assert value(one, "SELECT name FROM place") == "here"
        assert value(two, "SELECT name FROM place") == "there"
        with pytest.raises(psycopg.errors.UndefinedTable):
            three.execute("SELECT name FROM place")
    one.execute("SET search_path = there")
    assert value(one, "SELECT name FROM place") == "there"
    two.execute("RESET search_path")
    with pytest.raises(psycopg.errors.UndefinedTable):
        two.execute("SELECT name FROM place")


def test_prepared_statements_follow_their_clients_settings(narrow: Application) -> None:
    with narrow.raw() as one, narrow.raw() as two:
        one.query("SET search_path = here; SET DateStyle = German")
        two.query("SET search_path = there; SET DateStyle = ISO")
        for client in (one, two):
            client.ask(parse(b"s", b"SELECT name, '2024-02-01'::date FROM place"), SYNC)
        for _ in range(3):
            use = bind(b"", b"s") + execute(b"") + SYNC
            assert rows(one.ask(use)) == [["here", "01.02.2024"]]
            assert rows(two.ask(use)) == [["there", "2024-02-01"]]


def test_roles_are_each_clients_own(clients: list[Connection]) -> None:
    one, two, three = clients
    who = "SELECT current_user::text"
    one.execute("SET ROLE reader")
    two.execute("SET SESSION ROLE writer")
    for _ in range(3):
        assert [value(client, who) for client in clients] == ["reader", "writer", "app"]
        assert value(one, "SELECT name FROM here.place") == "here"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            two.execute("SELECT name FROM here.place")
        assert value(three, "SELECT name FROM there.place") == "there"
    one.execute("RESET ROLE")
    two.execute("SET ROLE NONE")
    assert [value(client, who) for client in clients] == ["app"] * 3


def test_set_role_with_settings_that_the_role_may_not_make(
    narrow: Application, narrow_proxy: ProxyUnderTest
) -> None:
    boss = narrow.like(user="boss")
    with boss.connect() as one, boss.connect() as two:
        one.execute("SET log_min_duration_statement = 77")
        one.execute("SET ROLE reader")
        for _ in range(2):
            assert show(two, "log_min_duration_statement") == "-1"
            assert value(one, "SELECT current_user::text") == "reader"
            assert show(one, "log_min_duration_statement") == "77ms"


def test_session_authorization_is_each_clients_own(narrow: Application) -> None:
    boss = narrow.like(user="boss")
    who = "SELECT session_user || '/' || current_user"
    with boss.connect() as one, boss.connect() as two:
        one.execute("SET SESSION AUTHORIZATION app")
        for _ in range(2):
            assert value(two, who) == "boss/boss"
            assert value(one, who) == "app/app"
        one.execute("SET ROLE reader")
        assert value(two, who) == "boss/boss"
        assert value(one, who) == "app/reader"
        one.execute("RESET SESSION AUTHORIZATION")
        assert value(two, who) == "boss/boss"
        assert value(one, who) == "boss/boss"


def test_a_set_that_is_rolled_back_does_not_count(clients: list[Connection]) -> None:
    one, two, _ = clients
    default = show(two, "work_mem")
    one.execute("SET work_mem = '2MB'")
    for end in ("ROLLBACK", "ABORT", "COMMIT"):
        one.execute("BEGIN")
        one.execute("SET work_mem = '9MB'")
        if end == "COMMIT":  # of a transaction that has failed
            with pytest.raises(psycopg.errors.DivisionByZero):
                one.execute("SELECT 1 / 0")
        else:
            assert show(one, "work_mem") == "9MB"
        one.execute(end.encode())
        assert show(one, "work_mem") == "2MB", end
        assert show(two, "work_mem") == default
        assert show(one, "work_mem") == "2MB", end
    one.execute("BEGIN; SET work_mem = '9MB'; COMMIT")
    assert show(two, "work_mem") == default
    assert show(one, "work_mem") == "9MB"


def test_a_set_in_an_implicit_transaction_that_fails_does_not_count(
    clients: list[Connection],
) -> None:
    one, two, _ = clients
    default = show(two, "work_mem")
    with pytest.raises(psycopg.errors.DivisionByZero):
        one.execute("SET work_mem = '9MB'; SELECT 1 / 0")
    assert show(two, "work_mem") == default
    assert show(one, "work_mem") == default


def test_a_set_behind_a_savepoint_that_is_rolled_back(clients: list[Connection]) -> None:
    one, two, _ = clients
    default = show(two, "work_mem")
    one.execute("BEGIN; SET work_mem = '2MB'; SAVEPOINT a; SET work_mem = '9MB'")
    assert show(one, "work_mem") == "9MB"
    one.execute("ROLLBACK TO a")
    assert show(one, "work_mem") == "2MB"
    one.execute("COMMIT")
    assert show(two, "work_mem") == default
    assert show(one, "work_mem") == "2MB"


def test_set_local_ends_with_its_transaction(clients: list[Connection]) -> None:
    one, two, _ = clients
    default = show(two, "work_mem")
    for begin in ("SET LOCAL work_mem = '9MB'", "SELECT set_config('work_mem', '9MB', true)"):
        one.execute("BEGIN")
        one.execute(begin.encode())
        assert show(one, "work_mem") == "9MB"
        one.execute("COMMIT")
        assert show(two, "work_mem") == default
        assert show(one, "work_mem") == default


def test_set_local_over_a_set_in_the_same_transaction(clients: list[Connection]) -> None:
    one, two, _ = clients
    default = show(two, "work_mem")
    one.execute("BEGIN; SET work_mem = '2MB'; SET LOCAL work_mem = '9MB'; COMMIT")
    assert show(two, "work_mem") == default
    assert show(one, "work_mem") == "2MB"


def test_a_role_taken_on_in_a_transaction_that_is_rolled_back(clients: list[Connection]) -> None:
    one, two, _ = clients
    one.execute("BEGIN; SET ROLE reader; ROLLBACK")
    assert value(two, "SELECT current_user::text") == "app"
    assert value(one, "SELECT current_user::text") == "app"
    one.execute("BEGIN; SET LOCAL ROLE reader")
    assert value(one, "SELECT current_user::text") == "reader"
    one.execute("COMMIT")
    assert value(one, "SELECT current_user::text") == "app"


def test_what_is_set_by_a_function_counts(clients: list[Connection]) -> None:
    one, two, _ = clients
    default = show(two, "work_mem")
    one.execute(
        "CREATE OR REPLACE FUNCTION sets_it() RETURNS int LANGUAGE plpgsql AS"
        " $$BEGIN SET work_mem = '9MB'; RETURN 1; END$$"
    )
    one.execute("SELECT sets_it()")
    assert show(two, "work_mem") == default
    assert show(one, "work_mem") == "9MB"


def test_settings_in_the_middle_of_a_pipeline(narrow: Application) -> None:
    with narrow.connect() as one, narrow.connect() as two:
        default = show(two, "work_mem")
        with one.pipeline() as pipeline:
            one.execute("SET work_mem = '7MB'")
            first = one.execute("SHOW work_mem")
            pipeline.sync()
            one.execute("SET work_mem = '8MB'")
            second = one.execute("SHOW work_mem")
            pipeline.sync()
            seen = (first.fetchone(), second.fetchone())
        assert seen == (("7MB",), ("8MB",))
        assert show(two, "work_mem") == default
        assert show(one, "work_mem") == "8MB"


def test_a_setting_that_is_refused_does_not_count(clients: list[Connection]) -> None:
    one, two, _ = clients
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        one.execute("SET work_mem = 'much'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        one.execute("SET ROLE postgres")
    assert show(one, "work_mem") == show(two, "work_mem")


def test_a_setting_that_can_no_longer_be_made_is_told(
    narrow: Application, shared_cluster: PostgresCluster
) -> None:
    with narrow.connect() as one, narrow.connect() as two:
        one.execute("SET ROLE reader")
        two.execute("SELECT 1 FROM pg_class LIMIT 1")
        shared_cluster.primary.execute("REVOKE reader FROM app")
        try:
            with pytest.raises(psycopg.Error, match="permission denied to set role"):
                one.execute("CREATE TEMP TABLE x (a int)")
            assert value(two, "SELECT current_user::text") == "app"
        finally:
            shared_cluster.primary.execute("GRANT reader TO app")
        assert value(one, "SELECT current_user::text") == "reader"


def test_client_encoding_is_each_clients_own(narrow: Application) -> None:
    with narrow.raw() as one, narrow.raw(client_encoding="LATIN1") as two:
        two_says = parse(b"", b"SELECT 'caf\xe9', length($1)") + bind(b"", b"", (b"caf\xe9",))
        for _ in range(2):
            assert rows(one.query("SELECT 'café', length('café')")) == [["café", "4"]]
            heard = two.ask(two_says + execute(b""), SYNC)
            assert b"caf\xe9\0\0\0\x014" in heard[2][1]
        assert sqlstates(two.query("SELECT '€'")) == []


def test_random_seeds_and_last_values_stay_with_their_session(narrow: Application) -> None:
    with narrow.connect() as one, narrow.connect() as two:
        one.execute("DROP SEQUENCE IF EXISTS counter")
        one.execute("CREATE SEQUENCE counter")
        assert value(one, "SELECT nextval('counter')") == 1
        assert value(two, "SELECT nextval('counter')") == 2
        assert value(one, "SELECT nextval('counter')") == 3


def test_a_commit_that_fails_takes_back_what_was_set(clients: list[Connection]) -> None:
    one, two, _ = clients
    one.execute("CREATE TABLE here.once (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    one.execute("INSERT INTO here.once VALUES (1)")
    one.execute("BEGIN")
    one.execute("SET search_path TO here")
    one.execute("INSERT INTO once VALUES (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        one.execute("COMMIT")
    two.execute("SET search_path TO here")
    assert show(two, "search_path") == "here"
    assert show(one, "search_path") == '"$user", public'


def believed(*answers: Heard) -> bytes | None:
    """What a client is told last of its time zone."""
    told = [
        backend.read_parameter_status(m) for heard in answers for t, m in heard if t == ord("S")
    ]
    return dict(told).get(b"TimeZone")


ONE_STATEMENT = [
    "RESET ALL",
    "RESET timezone",
    "SET TIME ZONE DEFAULT",
    "DISCARD ALL",
    "DO 'BEGIN RESET timezone; END'",
]
SEVERAL = [
    "ROLLBACK; RESET ALL",
    "BEGIN; SET timezone = 'UTC'; ROLLBACK; RESET timezone",
    "BEGIN; SET timezone = 'UTC'; COMMIT; RESET ALL",
    "SELECT 1; RESET ALL; SELECT 2; RESET timezone; SELECT 3",
]


@pytest.mark.parametrize(
    ("way", "prepared"),
    [*[(way, True) for way in ONE_STATEMENT], *[(way, False) for way in ONE_STATEMENT + SEVERAL]],
)
def test_a_reset_leads_back_to_what_the_client_said_when_it_came(
    direct: Application, narrow: Application, way: str, prepared: bool
) -> None:
    said = {"timezone": "Asia/Kathmandu", "my.own": "5"}
    with narrow.raw() as other, narrow.raw(**said) as one, direct.raw(**said) as alone:
        default = other.value("SHOW timezone")
        for client in (alone, one):
            client.query("SET timezone = 'America/New_York'")
            first = (
                client.ask(parse(b"", way.encode()), bind(b"", b""), execute(b""), SYNC)
                if prepared
                else client.query(way)
            )
            second = client.query("SHOW timezone")
            assert rows(second) == [["Asia/Kathmandu"]]
            assert believed(first, second) == b"Asia/Kathmandu"
            assert client.value("SHOW my.own") == "5"
        assert other.value("SHOW timezone") == default


def test_a_reset_in_a_transaction_leads_back_as_well(
    direct: Application, narrow: Application
) -> None:
    said = {"timezone": "Asia/Kathmandu"}
    with narrow.raw() as other, narrow.raw(**said) as one, direct.raw(**said) as alone:
        default = other.value("SHOW timezone")
        for client in (alone, one):
            client.query("SET timezone = 'America/New_York'")
            for end, then in (("ROLLBACK", "America/New_York"), ("COMMIT", "Asia/Kathmandu")):
                client.query("BEGIN")
                reset = parse(b"", b"RESET timezone") + bind(b"", b"") + execute(b"")
                heard = [client.ask(reset, SYNC), client.query("SHOW timezone")]
                assert rows(heard[1]) == [["Asia/Kathmandu"]]
                assert believed(*heard) == b"Asia/Kathmandu"
                heard += [client.query(end), client.query("SHOW timezone")]
                assert rows(heard[3]) == [[then]]
                assert believed(*heard) == then.encode()
        assert other.value("SHOW timezone") == default


def test_what_follows_a_reset_finds_what_the_client_said_when_it_came(
    direct: Application, narrow: Application
) -> None:
    texts = [
        "RESET ALL; SHOW timezone",
        "BEGIN; RESET timezone; SHOW timezone; SHOW work_mem; COMMIT",
        "SELECT 1; SET TIME ZONE DEFAULT /* ; */; SELECT 2; RESET ALL -- ;\n; SHOW timezone",
        "BEGIN; SET LOCAL timezone TO DEFAULT; SHOW timezone; COMMIT",
        "RESET ALL; SELECT 1 / 0; SHOW timezone",
        "ROLLBACK; RESET ALL; SHOW timezone",
    ]
    said = {"timezone": "Asia/Kathmandu", "work_mem": "3MB"}
    with narrow.raw(**said) as one, direct.raw(**said) as alone, narrow.raw() as other:
        default = other.value("SHOW timezone")
        for text in texts:
            heard, expected = [], []
            for client, told in ((one, heard), (alone, expected)):
                client.query("SET timezone = 'America/New_York'; SET work_mem = '1MB'")
                answer = client.query(text)
                told += [rows(answer), command_tags(answer), sqlstates(answer)]
            assert heard == expected, text
            assert one.value("SHOW timezone") == alone.value("SHOW timezone"), text
            assert other.value("SHOW timezone") == default, text


def test_a_local_setting_to_its_default_is_as_the_client_said_when_it_came(
    narrow: Application,
) -> None:
    with narrow.raw(timezone="Asia/Kathmandu") as one:
        one.query("SET timezone = 'America/New_York'")
        one.query("BEGIN")
        assert command_tags(one.query("SET LOCAL timezone TO DEFAULT")) == ["SET"]
        assert one.value("SHOW timezone") == "Asia/Kathmandu"
        one.query("COMMIT")
        assert one.value("SHOW timezone") == "America/New_York"


@pytest.mark.parametrize("scope", ["LOCAL", "SESSION"])
@pytest.mark.parametrize("name", [b"", b"s"], ids=["unnamed", "named"])
def test_a_prepared_set_to_the_default_is_as_the_client_said_when_it_came(
    direct: Application, narrow: Application, scope: str, name: bytes
) -> None:
    said = {"timezone": "Asia/Kathmandu"}
    reset = f"/* again */ SET {scope} TIME ZONE DEFAULT".encode()
    show = parse(b"", b"SHOW timezone") + bind(b"", b"") + execute(b"")
    with narrow.raw(**said) as one, direct.raw(**said) as alone, narrow.raw() as other:
        default = other.value("SHOW timezone")
        heard: list[list[object]] = [[], []]
        for client, told in zip((one, alone), heard, strict=True):
            client.query("SET timezone = 'America/New_York'")
            for _ in range(2):
                client.query("BEGIN")
                answer = client.ask(
                    parse(name, reset),
                    bind(b"", name),
                    execute(b""),
                    show,
                    close(STATEMENT, name),
                    SYNC,
                )
                told += [rows(answer), command_tags(answer), believed(answer)]
                told += [client.value("SHOW timezone"), command_tags(client.query("COMMIT"))]
                told.append(client.value("SHOW timezone"))
        assert heard[0] == heard[1]
        assert other.value("SHOW timezone") == default


def test_what_is_prepared_in_sql_means_what_it_meant_wherever_it_is_prepared_again(
    direct: Application, clients: list[Connection]
) -> None:
    one, two, _ = clients
    date = "SELECT extract(month FROM '01/02/2024'::date), name FROM place"
    two.execute("SET search_path = there; SET DateStyle = 'ISO, DMY'")
    texts = [
        "SET search_path = here",
        "SET DateStyle = 'ISO, MDY'",
        f"PREPARE p AS {date}",
        "SET DateStyle = 'ISO, DMY'",
        f"PREPARE q AS {date}",
    ]
    with direct.connect() as alone:
        for client in (alone, one):
            for text in texts:
                client.execute(text.encode())
        # Where names mean something else, a server reads the text again, with its literals.
        for path, month in (("here", 1), ("here", 1), ("there", 2), ("there", 2)):
            for client in (alone, one):
                client.execute(f"SET search_path = {path}".encode())
                assert value(two, "SELECT name FROM place") == "there"
                found = [client.execute(f"EXECUTE {name}".encode()).fetchone() for name in "pq"]
                assert found == [(month, path), (2, path)]


@pytest.mark.parametrize(
    ("way", "is_known"),
    [
        ("SET my.secret = 'x'", True),
        ("SELECT set_config('my.secret', 'x', false)", True),
        ("SELECT set_config('my.secret', 'x', false), 1", True),
        ("SELECT set_config('my.secret', 'x', false) FROM generate_series(1, 1)", True),
        ("BEGIN; SELECT set_config('my.secret', 'x', false); SELECT txid_current(); COMMIT", True),
        ("SELECT set_config('my.' || 'secret', 'x', false)", False),
        ("DO $$BEGIN PERFORM set_config('my.secret', 'x', false); END$$", False),
        ("SELECT tells_secret()", False),
    ],
)
def test_nobody_sees_the_value_of_anothers_custom_setting(
    clients: list[Connection], way: str, is_known: bool
) -> None:
    """That there was one is seen, as docs/operating.md says."""
    one, two, three = clients
    one.execute(
        "CREATE OR REPLACE FUNCTION tells_secret() RETURNS text LANGUAGE sql VOLATILE AS"
        " $$SELECT set_config('my.' || 'secret', 'x', false)$$"
    )
    shown = "SELECT current_setting('my.secret', true) FROM pg_class LIMIT 1"
    one.execute(way.encode())
    for client in (two, three):
        assert value(client, shown) in (None, "")
        assert value(client, "SELECT current_setting('my.secret', true)") in (None, "")
    if is_known:
        assert value(one, shown) == "x"
        assert value(two, shown) == ""


def test_a_custom_setting_whose_name_is_a_parameter(narrow: Application) -> None:
    with narrow.raw() as one, narrow.raw() as two:
        text = parse(b"", b"SELECT set_config($1, $2, false)")
        one.ask(text, bind(b"", b"", (b"my.parameter", b"x")), execute(b""), SYNC)
        shown = "SELECT current_setting('my.parameter', true) FROM pg_class LIMIT 1"
        assert two.value(shown) in (None, "")
        assert one.value(shown) == "x"
        assert two.value(shown) == ""
