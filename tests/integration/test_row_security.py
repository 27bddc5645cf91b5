"""Row security through the proxy: kept in the cache, and never for anybody else."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import wait_until
from tests.integration.application import Application, Row
from tests.integration.proxy_under_test import ProxyUnderTest

TENANTS = ("tenant_a", "tenant_b")
SUPER = "tenant_admin"
ROWS = "SELECT string_agg(note, ',' ORDER BY note) FROM vault.notes"


@pytest.fixture(scope="module", autouse=True)
def _vault(direct: Application, shared_cluster: PostgresCluster) -> Iterator[None]:
    run = shared_cluster.primary.execute
    for role in TENANTS:
        run(f"CREATE ROLE {role} LOGIN PASSWORD '{direct.password}'")
    run(f"CREATE ROLE {SUPER} LOGIN BYPASSRLS PASSWORD '{direct.password}'")
    run(f"GRANT {', '.join(TENANTS)} TO {direct.user}")
    with direct.connect() as connection:
        connection.execute(
            """
            CREATE SCHEMA vault;
            CREATE TABLE vault.notes (tenant text, note text, secret text);
            INSERT INTO vault.notes VALUES ('1', 'one', 'x'), ('2', 'two', 'y'),
                ('tenant_a', 'a', 'z'), ('tenant_b', 'b', 'z');
            CREATE FUNCTION vault.tenant() RETURNS text STABLE LANGUAGE sql
                AS $$ SELECT nullif(current_setting('vault.tenant', true), '') $$;
            CREATE TABLE vault.by_function AS TABLE vault.notes;
            CREATE TABLE vault.by_any AS TABLE vault.notes;
            ALTER TABLE vault.notes ENABLE ROW LEVEL SECURITY;
            ALTER TABLE vault.by_function ENABLE ROW LEVEL SECURITY;
            ALTER TABLE vault.by_any ENABLE ROW LEVEL SECURITY;
            CREATE POLICY p ON vault.notes
                USING (tenant = current_setting('vault.tenant', true) OR tenant = current_user);
            CREATE POLICY p ON vault.by_function USING (tenant = vault.tenant());
            CREATE POLICY p ON vault.by_any
                USING (tenant = current_setting('vault.' || 'tenant', true));
            CREATE FUNCTION vault.all_notes() RETURNS text STABLE SECURITY DEFINER LANGUAGE sql
                AS $$ SELECT string_agg(note, ',' ORDER BY note) FROM vault.notes $$;
            CREATE VIEW vault.seen AS SELECT * FROM vault.notes;
            CREATE FUNCTION vault.become(text) RETURNS void LANGUAGE plpgsql
                AS $$ BEGIN PERFORM set_config('vault.' || 'tenant', $1, false); END $$;
            GRANT USAGE ON SCHEMA vault TO PUBLIC;
            """
        )
        for role in TENANTS:
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA vault TO {role}")
    yield
    with direct.connect() as connection:
        connection.execute("DROP SCHEMA vault CASCADE")
    run(f"DROP OWNED BY {', '.join((*TENANTS, SUPER))}")
    run(f"DROP ROLE {', '.join((*TENANTS, SUPER))}")


def hits(proxy: ProxyUnderTest) -> float:
    return proxy.metric("tidegate_reads_total", server="cache")


def fetch(connection: psycopg.Connection[Row], sql: str) -> object:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def ask_until_hit(
    connection: psycopg.Connection[Row], proxy: ProxyUnderTest, sql: str, expected: object
) -> None:
    """Ask until the cache answers; every answer must be the expected one."""

    def is_hit() -> bool:
        before = hits(proxy)
        assert fetch(connection, sql) == expected
        return hits(proxy) > before

    wait_until(is_hit, "an answer from the cache")


def never_hits(
    connection: psycopg.Connection[Row], proxy: ProxyUnderTest, sql: str, expected: object
) -> None:
    before = hits(proxy)
    for _ in range(10):
        assert fetch(connection, sql) == expected
    assert hits(proxy) == before


def test_what_a_policy_shows_is_kept_by_what_the_session_has_set(
    app: Application, module_proxy: ProxyUnderTest
) -> None:
    tenant = app.like(user="tenant_a")
    with tenant.connect(autocommit=True) as one, tenant.connect(autocommit=True) as two:
        one.execute("SET vault.tenant = '1'")
        two.execute("SET vault.tenant = '2'")
        for sql in (ROWS, ROWS.replace("notes", "seen"), ROWS.replace("notes", "by_function")):
            mine, yours = ("one", "two") if "by_function" in sql else ("a,one", "a,two")
            if "seen" in sql:  # the owner of the view is that of the table
                mine = yours = "a,b,one,two"
            ask_until_hit(one, module_proxy, sql, mine)
            ask_until_hit(two, module_proxy, sql, yours)
            ask_until_hit(one, module_proxy, sql, mine)
        one.execute("SET vault.tenant = '2'")
        ask_until_hit(one, module_proxy, ROWS, "a,two")
        one.execute("SELECT set_config('vault.tenant', '1', false)")
        ask_until_hit(one, module_proxy, ROWS, "a,one")
        one.execute("RESET vault.tenant")
        never_hits(one, module_proxy, ROWS, "a")


def test_roles_never_share_what_a_policy_shows(
    app: Application, module_proxy: ProxyUnderTest
) -> None:
    for role, shown in (("tenant_a", "a,one"), ("tenant_b", "b,one"), ("app", "a,b,one,two")):
        with app.like(user=role).connect(autocommit=True) as connection:
            connection.execute("SET vault.tenant = '1'")
            ask_until_hit(connection, module_proxy, ROWS, shown)
    with app.connect(autocommit=True) as connection:
        connection.execute("SET vault.tenant = '1'")
        for role, shown in (("tenant_a", "a,one"), ("tenant_b", "b,one")):
            connection.execute(f"SET ROLE {role}")
            ask_until_hit(connection, module_proxy, ROWS, shown)
        connection.execute("RESET ROLE")
        ask_until_hit(connection, module_proxy, ROWS, "a,b,one,two")


def test_without_a_setting_of_its_own_a_session_is_served_by_the_primary(
    app: Application, module_proxy: ProxyUnderTest, shared_cluster: PostgresCluster
) -> None:
    with app.like(user="tenant_b").connect(autocommit=True) as connection:
        never_hits(connection, module_proxy, ROWS, "b")
    run = shared_cluster.primary.execute
    run("ALTER ROLE tenant_b SET vault.tenant = '2'")
    try:
        with app.like(user="tenant_b").connect(autocommit=True) as connection:
            # Connections that were open before still have no such default.
            before = hits(module_proxy)
            assert {fetch(connection, ROWS) for _ in range(10)} <= {"b", "b,two"}
            assert hits(module_proxy) == before
    finally:
        run("ALTER ROLE tenant_b RESET vault.tenant")


def test_what_may_ask_for_any_setting_is_never_kept(
    app: Application, module_proxy: ProxyUnderTest
) -> None:
    with app.like(user="tenant_a").connect(autocommit=True) as connection:
        connection.execute("SET vault.tenant = '1'")
        never_hits(connection, module_proxy, ROWS.replace("notes", "by_any"), "one")


def test_a_setting_made_in_a_function_shows_the_other_tenant(
    app: Application, module_proxy: ProxyUnderTest
) -> None:
    with app.like(user="tenant_a").connect(autocommit=True) as connection:
        connection.execute("SET vault.tenant = '1'")
        ask_until_hit(connection, module_proxy, ROWS, "a,one")
        connection.execute("SELECT vault.become('2')")
        assert fetch(connection, ROWS) == "a,two"
        ask_until_hit(connection, module_proxy, ROWS, "a,two")


def test_row_security_that_is_off_or_bypassed_shares_nothing(
    app: Application, module_proxy: ProxyUnderTest, direct: Application
) -> None:
    with direct.connect() as connection:
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA vault TO {SUPER}")
    everything = "a,b,one,two"
    with app.like(user=SUPER).connect(autocommit=True) as connection:
        connection.execute("SET vault.tenant = '1'")
        ask_until_hit(connection, module_proxy, ROWS, everything)
        connection.execute("SET row_security = off")
        ask_until_hit(connection, module_proxy, ROWS, everything)
    with app.like(user="tenant_a").connect(autocommit=True) as connection:
        connection.execute("SET vault.tenant = '1'")
        ask_until_hit(connection, module_proxy, ROWS, "a,one")
        connection.execute("SET row_security = off")
        for _ in range(3):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(ROWS)
        connection.execute("SET row_security = on")
        ask_until_hit(connection, module_proxy, ROWS, "a,one")


def test_a_function_of_the_owner_shows_what_the_owner_sees(
    app: Application, module_proxy: ProxyUnderTest
) -> None:
    with app.like(user="tenant_a").connect(autocommit=True) as connection:
        connection.execute("SET vault.tenant = '1'")
        ask_until_hit(connection, module_proxy, "SELECT vault.all_notes()", "a,b,one,two")
        ask_until_hit(connection, module_proxy, ROWS, "a,one")


def test_rights_on_columns_are_not_shared(app: Application, module_proxy: ProxyUnderTest) -> None:
    sql = "SELECT string_agg(secret, ',') FROM vault.notes WHERE note = 'one'"
    with app.connect(autocommit=True) as owner:
        owner.execute("SET vault.tenant = '1'")
        owner.execute("REVOKE SELECT ON vault.notes FROM tenant_b")
        owner.execute("GRANT SELECT (tenant, note) ON vault.notes TO tenant_b")
        ask_until_hit(owner, module_proxy, sql, "x")
        with app.like(user="tenant_a").connect(autocommit=True) as first:
            first.execute("SET vault.tenant = '1'")
            ask_until_hit(first, module_proxy, sql, "x")
        with app.like(user="tenant_b").connect(autocommit=True) as second:
            second.execute("SET vault.tenant = '1'")
            ask_until_hit(second, module_proxy, ROWS, "b,one")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                second.execute(sql)
