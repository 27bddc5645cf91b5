"""Who gets in, by which method, and what is said to those who don't."""

from __future__ import annotations

import itertools

import psycopg
import pytest

from proxy.demo.certificates import Authority
from proxy.demo.local_postgres import PostgresCluster
from proxy.wire.postgres.credentials import md5_hash
from proxy.wire.postgres.scram import Verifier
from tests.integration.application import PASSWORD, Application
from tests.integration.conftest import StartProxy

_numbers = itertools.count(1)


@pytest.fixture
def role(direct: Application, shared_cluster: PostgresCluster) -> str:
    """A role of a test's own, that may log in with `PASSWORD`."""
    name = f"somebody_{next(_numbers)}"
    shared_cluster.primary.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    return name


def refusal(application: Application) -> tuple[object, ...]:
    """Log in in vain; what was said, in the words that matter."""
    with pytest.raises(psycopg.OperationalError) as failed:
        application.connect().close()
    text = str(failed.value).rpartition("FATAL:  ")[2].strip()
    return (text,)


def who(application: Application) -> object:
    with application.connect() as connection:
        (row,) = connection.execute("SELECT session_user").fetchall()
        return row[0]


# ---- auth_query ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "wrong"},
        {"password": ""},
        {"user": "nobody_at_all"},
        {"user": "nobody_at_all", "password": "x"},
        {"database": "nowhere"},
        {"user": "nobody_at_all", "database": "nowhere"},
    ],
    ids=str,
)
def test_who_is_not_let_in_hears_what_the_server_would_say(
    app: Application, direct: Application, wrong: dict[str, str]
) -> None:
    if wrong.get("password") == "":
        assert "no password supplied" in str(refusal(app.like(**wrong)))
    else:
        assert refusal(app.like(**wrong)) == refusal(direct.like(**wrong))


def test_any_role_of_the_servers_gets_in(app: Application, role: str) -> None:
    assert who(app.like(user=role)) == role
    assert who(app) == "app"


def test_odd_names_get_in(app: Application, direct: Application, cluster: PostgresCluster) -> None:
    name = """O'Brien "é" \\ x"""
    quoted = name.replace('"', '""')
    cluster.primary.execute(f"""CREATE ROLE "{quoted}" LOGIN PASSWORD '{PASSWORD}'""")
    cluster.primary.execute(f'CREATE DATABASE "{quoted}"')
    found = []
    for application in (direct, app):
        odd = application.like(user=name, database=name)
        with odd.raw() as client:
            found.append(client.value("SELECT session_user || current_database()"))
    assert found == [name * 2] * 2
    cluster.primary.execute(f'DROP DATABASE "{quoted}" WITH (FORCE)')
    cluster.primary.execute(f'DROP ROLE "{quoted}"')


def test_a_role_that_may_not_log_in_is_refused(
    app: Application, role: str, cluster: PostgresCluster
) -> None:
    cluster.primary.execute(f"ALTER ROLE {role} NOLOGIN")
    assert role in str(refusal(app.like(user=role)))


def test_an_expired_password_is_refused(
    app: Application, direct: Application, role: str, cluster: PostgresCluster
) -> None:
    cluster.primary.execute(f"ALTER ROLE {role} VALID UNTIL '2020-01-01'")
    assert refusal(app.like(user=role)) == refusal(direct.like(user=role))


def test_a_role_without_a_password_is_refused(
    app: Application, direct: Application, role: str, cluster: PostgresCluster
) -> None:
    cluster.primary.execute(f"ALTER ROLE {role} PASSWORD NULL")
    assert refusal(app.like(user=role)) == refusal(direct.like(user=role))


def test_a_database_that_a_role_may_not_connect_to_is_refused(
    app: Application, direct: Application, role: str, cluster: PostgresCluster
) -> None:
    cluster.primary.execute("REVOKE CONNECT ON DATABASE app FROM PUBLIC")
    try:
        assert refusal(app.like(user=role)) == refusal(direct.like(user=role))
    finally:
        cluster.primary.execute("GRANT CONNECT ON DATABASE app TO PUBLIC")


def test_a_changed_password_counts(app: Application, role: str, cluster: PostgresCluster) -> None:
    somebody = app.like(user=role)
    assert who(somebody) == role
    cluster.primary.execute(f"ALTER ROLE {role} PASSWORD 'another'")
    cluster.wait_replayed()
    assert who(somebody.like(password="another")) == role
    with somebody.like(password="another").connect() as connection:
        # A new server connection logs in with the new password too.
        connection.execute("CREATE TEMP TABLE pinned (a int)")
        with somebody.like(password="another").connect() as second:
            second.execute("CREATE TEMP TABLE pinned (a int)")
    assert "password authentication failed" in str(refusal(somebody))


def test_a_role_that_was_dropped_is_refused_at_once_and_another_by_its_name_is_another(
    app: Application, role: str, cluster: PostgresCluster
) -> None:
    somebody = app.like(user=role)
    assert who(somebody) == role
    cluster.primary.execute(f"DROP ROLE {role}")
    assert "password authentication failed" in str(refusal(somebody))
    cluster.primary.execute(f"CREATE ROLE {role} LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
    cluster.wait_replayed()
    with somebody.connect() as connection:
        # On a connection of the dropped role's, this would be denied.
        connection.execute(f"CREATE ROLE {role}_child".encode())
        connection.execute(f"DROP ROLE {role}_child".encode())


def test_settings_of_a_role_count(app: Application, role: str, cluster: PostgresCluster) -> None:
    cluster.primary.execute(
        f"ALTER ROLE {role} SET work_mem = '7MB';"
        f" ALTER ROLE {role} IN DATABASE app SET application_name = 'by role'"
    )
    with app.like(user=role).connect() as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("7MB",)
        connection.execute("SET work_mem = '8MB'")
        connection.execute("RESET work_mem")
        assert connection.execute("SHOW work_mem").fetchone() == ("7MB",)


def test_the_control_users_own_login_works_too(
    app: Application, shared_cluster: PostgresCluster
) -> None:
    control = app.like(user="postgres", password=shared_cluster.password, database="postgres")
    assert who(control) == "postgres"


# ---- listed users --------------------------------------------------------------------------


def test_listed_users_need_no_auth_query(
    direct: Application, start_module_proxy: StartProxy
) -> None:
    verifier = bytes(Verifier.make(PASSWORD.encode(), b"0123456789abcdef")).decode()
    proxy = start_module_proxy(
        auth_query="SELECT NULL, NULL WHERE $1 = ''",
        users={"app": {"password": PASSWORD}, "other": {"verifier": verifier}},
    )
    listed = direct.at(proxy.port)
    assert who(listed) == "app"
    assert "password authentication failed" in str(refusal(listed.like(password="wrong")))
    assert "password authentication failed" in str(refusal(listed.like(user="postgres")))
    # Let in by its verifier; but the keys of that salt are none to the server, where there is
    # no such role either.
    assert "other" in str(refusal(listed.like(user="other")))


def test_a_listed_verifier_that_is_the_servers_own_logs_in(
    direct: Application, start_module_proxy: StartProxy, shared_cluster: PostgresCluster
) -> None:
    stored = shared_cluster.primary.fetch_value(
        "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'"
    )
    proxy = start_module_proxy(
        auth_query="SELECT NULL, NULL WHERE $1 = ''", users={"app": {"verifier": str(stored)}}
    )
    assert who(direct.at(proxy.port)) == "app"


# ---- the other methods ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def elsewhere(tls_cluster: PostgresCluster) -> Application:
    """Directly to the server that knows every method."""
    return Application(tls_cluster.primary.port, database="postgres")


def test_scram_logs_in_to_servers_that_ask_for_scram_or_nothing(
    elsewhere: Application, tls_cluster: PostgresCluster, start_module_proxy: StartProxy
) -> None:
    through = elsewhere.at(start_module_proxy(before=tls_cluster).port)
    for user in ("scram_user", "trust_user"):
        assert who(through.like(user=user)) == user
    # SCRAM leaves no password with the proxy, so it can't say it to a server.
    assert "the password itself" in str(refusal(through.like(user="clear_user")))


@pytest.mark.parametrize("user", ["scram_user", "md5_user", "clear_user", "trust_user"])
def test_a_password_said_in_clear_logs_in_to_every_server(
    elsewhere: Application,
    tls_cluster: PostgresCluster,
    start_module_proxy: StartProxy,
    plain_proxy: int,
    user: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGSSLMODE", "require")  # or libpq would try again in the open
    through = elsewhere.at(plain_proxy).like(user=user)
    assert who(through) == user
    assert "password authentication failed" in str(refusal(through.like(password="wrong")))


@pytest.fixture(scope="module")
def plain_proxy(
    tls_cluster: PostgresCluster,
    start_module_proxy: StartProxy,
    tmp_path_factory: pytest.TempPathFactory,
) -> int:
    pair = Authority(tmp_path_factory.mktemp("tls")).issue_server("proxy")
    proxy = start_module_proxy(
        before=tls_cluster,
        auth_type="plain",
        client_tls_sslmode="require",
        client_tls_cert_file=str(pair.certificate),
        client_tls_key_file=str(pair.key),
    )
    return proxy.port


def test_md5_asks_for_what_is_stored(
    elsewhere: Application, tls_cluster: PostgresCluster, start_module_proxy: StartProxy
) -> None:
    listed = md5_hash(PASSWORD.encode(), b"md5_user").decode()
    proxy = start_module_proxy(
        before=tls_cluster, auth_type="md5", users={"md5_user": {"verifier": listed}}
    )
    through = elsewhere.at(proxy.port)
    for user in ("md5_user", "scram_user"):
        assert who(through.like(user=user)) == user
        wrong = through.like(user=user, password="wrong")
        assert "password authentication failed" in str(refusal(wrong))


def test_trust_lets_everybody_in_who_can_log_in_to_the_servers(
    elsewhere: Application, tls_cluster: PostgresCluster, start_module_proxy: StartProxy
) -> None:
    proxy = start_module_proxy(
        before=tls_cluster, auth_type="trust", users={"scram_user": {"password": PASSWORD}}
    )
    through = elsewhere.at(proxy.port).like(password="whatever")
    assert who(through.like(user="trust_user")) == "trust_user"
    assert who(through.like(user="scram_user")) == "scram_user"
    assert 'of user "any_user"' in str(refusal(through.like(user="any_user")))
    assert "nobody_at_all" in str(refusal(through.like(user="nobody_at_all")))
