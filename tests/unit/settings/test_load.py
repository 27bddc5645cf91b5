"""A configuration file becomes settings, or every problem that it has."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from proxy.errors import ConfigError
from proxy.settings import Address, Fleet, PoolMode, Settings, load, parse, secrets
from proxy.settings.stores import public_part, sentinels_of

SMALLEST = """
[server_groups.app]
engine = "postgres"                        # or "mysql" (MariaDB included)
listen = "127.0.0.1:6432"                  # 6432 and 6033 are the defaults
servers = ["10.0.0.1:5432", "10.0.0.2:5432", "10.0.0.3:5432"]   # roles are asked, not told
auth_user = "tidegate"                     # reads verifiers, positions, the catalog
auth_password = "${TIDEGATE_AUTH_PASSWORD}"

[admin]
listen = "127.0.0.1:9127"                  # /metrics /healthz /readyz, later REST and dashboard
"""

ENVIRONMENT = {"TIDEGATE_AUTH_PASSWORD": "hunter2", "SECRET": "hunter3"}

VERIFIER = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy"


def problems(text: str, base: Path = Path()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, ENVIRONMENT, base=base)
    return list(caught.value.problems)


def group(*lines: str) -> str:
    """A file with one good group and some lines more."""
    return "\n".join(
        ["[server_groups.app]", 'servers = ["db:5432"]', 'auth_user = "tidegate"', *lines]
    )


def test_smallest_file_is_enough() -> None:
    settings = parse(SMALLEST, ENVIRONMENT)
    app = settings.server_groups["app"]
    assert app.name == "app"
    assert app.servers[2] == Address("10.0.0.3", 5432)
    assert app.auth_password is not None
    assert app.auth_password.get_secret_value() == "hunter2"
    assert (app.pool_mode, app.default_pool_size) == (PoolMode.TRANSACTION, 20)
    assert settings.admin.listen == Address("127.0.0.1", 9127)


def test_mysql_listens_on_a_port_of_its_own() -> None:
    group_only = group('engine = "mysql"')
    assert parse(group_only, {}).server_groups["app"].listen == Address("127.0.0.1", 6033)
    other = group('engine = "mysql"', 'listen = "*:3306"')
    assert parse(other, {}).server_groups["app"].listen == Address("*", 3306)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("auth_query", 'auth_query = "SELECT $1"'),
        ("auth_type", 'auth_type = "plain"'),
        ("auth_type", 'auth_type = "cert"'),
        ("auth_database", 'auth_database = "app"'),
        ("unix_socket_dir", 'unix_socket_dir = "/tmp"'),
        ("unix_socket_mode", 'unix_socket_mode = "0770"'),
        ("out_of_band_log_bytes", 'out_of_band_log_bytes = "1MB"'),
        ("functions", '[server_groups.app.functions."app.f"]\nreads = ["app.t"]'),
        ("users.joe.verifier", f'[server_groups.app.users.joe]\nverifier = "{VERIFIER}"'),
    ],
)
def test_what_mysql_does_not_have_is_said(name: str, lines: str) -> None:
    (problem,) = problems(group('engine = "mysql"', lines))
    assert problem == f'server_groups.app.{name}: is for engine = "postgres" only: take it out'


def test_mysql_servers_are_not_reached_by_a_socket() -> None:
    text = group('engine = "mysql"').replace("db:5432", "/run/mysqld:3306")
    assert problems(text) == [
        'server_groups.app.servers: "/run/mysqld:3306" must be "host:port" with engine = "mysql"'
    ]


def test_file_is_read_with_the_environment_given(tmp_path: Path) -> None:
    file = tmp_path / "tidegate.toml"
    file.write_text(SMALLEST)
    assert load(file, ENVIRONMENT) == parse(SMALLEST, ENVIRONMENT)


def test_every_mistake_is_told_once_with_its_place_and_what_is_allowed() -> None:
    found = problems(
        """
        [server_groups.app]
        servers = ["db:5432"]
        auth_user = "tidegate"
        pool_mode = "transactions"
        default_pool_szie = 3
        query_wait_timeout = "5 parsecs"
        default_pool_size = 0

        [server_groups.app.users.joe]
        password = 12

        [log]
        level = "loud"
        """
    )
    where = "server_groups.app"
    assert sorted(found) == [
        'log.level: must be one of "debug", "info", "warning", "error", not "loud"',
        f"{where}.default_pool_size: must be 1 or more, not 0",
        f"{where}.default_pool_szie: unknown setting; did you mean default_pool_size?",
        f'{where}.pool_mode: must be one of "transaction", "session", "statement",'
        ' not "transactions"',
        f'{where}.query_wait_timeout: must be a duration like "500ms", "5s", "2m", "1h30m",'
        ' or a number of seconds, not "5 parsecs"',
        f"{where}.users.joe.password: must be a text in quotes",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('engine = "mariadb"', 'engine: must be one of "postgres", "mysql", not "mariadb"'),
        ("engine = []", 'engine: must be one of "postgres", "mysql"'),
        (
            'consistency = "bounded"\nmax_staleness = 0',
            'max_staleness: must be above 0 for "bounded"',
        ),
        (
            'out_of_band = "guess"',
            'out_of_band: must be one of "watch", "cdc", "strict", "none", not "guess"',
        ),
        ("default_pool_size = true", "default_pool_size: must be a whole number, not true"),
        ("min_pool_size = 21", "min_pool_size: must not be above default_pool_size (20)"),
        (
            'max_entry_bytes = "1GiB"',
            "max_entry_bytes: must not be above cache_size_bytes (67108864)",
        ),
        ("health_check_interval = 0", "health_check_interval: must be above 0"),
        ("l2_timeout = 0", "l2_timeout: must be above 0"),
        ('l2_timeout = "2s"', "l2_timeout: must not be above 1s"),
        (
            'cache = false\ncache_url = "redis://10.0.0.9"',
            "cache_url: needs cache = true",
        ),
        ('auth_query = "SELECT 1"', "auth_query: must ask for the user $1"),
        ('name = "other"', "name: unknown setting"),
        ("users = 3", "users: must be a table"),
        (
            'auth_type = "plain"',
            'auth_type: "plain" needs client_tls_sslmode "require", "verify-ca" or "verify-full"',
        ),
        (
            'auth_type = "cert"',
            'auth_type: "cert" needs client_tls_sslmode "verify-ca" or "verify-full"',
        ),
        (
            'client_tls_sslmode = "require"',
            'client_tls_sslmode: "require" needs client_tls_cert_file and client_tls_key_file',
        ),
        (
            'server_tls_sslmode = "verify-full"',
            'server_tls_sslmode: "verify-full" needs server_tls_ca_file',
        ),
    ],
)
def test_problem_says_what_is_allowed(line: str, problem: str) -> None:
    assert problems(group(line)) == [f"server_groups.app.{problem}"]


def test_what_cannot_be_left_out_is_asked_for() -> None:
    assert problems("") == ["server_groups: at least one table [server_groups.NAME] is needed"]
    assert problems("[server_groups.app]") == [
        'server_groups.app.servers: at least one "host:port" is needed',
        "server_groups.app.auth_user: the name of the control user is needed",
    ]


def test_wrong_server_is_named_by_its_number_and_only_it_is_told() -> None:
    (problem,) = problems('[server_groups.app]\nservers = ["a:1", "b"]\nauth_user = "tidegate"\n')
    assert problem.startswith("server_groups.app.servers[1]: must be an address like")
    assert problem.endswith('not "b"')


def test_server_listed_twice_is_a_mistake() -> None:
    text = '[server_groups.app]\nservers = ["a:1", "a:1"]\nauth_user = "tidegate"\n'
    assert problems(text) == ['server_groups.app.servers: "a:1" is listed more than once']


def test_two_listeners_on_one_port_are_a_mistake() -> None:
    two = SMALLEST + SMALLEST.partition("[admin]")[0].replace("app", "web").replace(
        "127.0.0.1:6432", "*:6432"
    )
    assert problems(two) == [
        'server_groups.web.listen: "*:6432" is taken by server_groups.app.listen'
    ]


def test_missing_variable_is_a_problem_at_its_setting() -> None:
    assert problems(group('auth_password = "${NOPE}"')) == [
        "server_groups.app.auth_password: the environment variable NOPE is not set"
    ]


def test_variable_may_be_part_of_a_text_and_stand_for_a_number() -> None:
    lines = ['auth_database = "db_${ENV}"', 'default_pool_size = "${SIZE}"']
    app = parse(group(*lines), {"ENV": "prod", "SIZE": "7"}).server_groups["app"]
    assert (app.auth_database, app.default_pool_size) == ("db_prod", 7)


def test_value_of_a_variable_is_never_shown() -> None:
    (problem,) = problems(group('pool_mode = "${SECRET}"'))
    assert "hunter3" not in problem
    assert "${SECRET}" in problem


def test_connection_string_in_the_wrong_place_is_never_shown() -> None:
    (problem,) = problems(group('listen = "postgres://joe:hunter2@db"'))
    assert "hunter2" not in problem


@pytest.mark.parametrize("line", ["password = 12345", 'verifier = "hunter2"'])
def test_secret_in_a_problem_is_never_shown(line: str) -> None:
    (problem,) = problems(group("[server_groups.app.users.joe]", line))
    assert "12345" not in problem
    assert "hunter2" not in problem


def test_settings_print_no_secret() -> None:
    text = group('auth_password = "hunter2"', "[server_groups.app.users.joe]", 'password = "pw3"')
    settings = parse(text, {})
    assert sorted(secrets(settings)) == ["hunter2", "pw3"]
    assert "hunter2" not in f"{settings!r} {settings}"
    assert "pw3" not in f"{settings!r} {settings}"


def test_the_password_in_an_address_is_a_secret_too() -> None:
    url = "rediss://cache:p%40ss@10.0.0.9:6379/0?ssl_ca_certs=/etc/ca.pem"
    settings = parse(group(f'cache_url = "{url}"'), {})
    assert {url, "p@ss"} <= set(secrets(settings))
    assert "p%40ss" not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    "url",
    [
        "redis://10.0.0.9",
        "redis://:secret@cache.internal:6379",
        "redis://user:secret@[::1]:6379/15",
        "rediss://cache.internal:6379/0",
        "unix:///run/redis/redis.sock",
        "unix://user:secret@/run/redis/redis.sock?db=1",
        "redis+sentinel://:secret@10.0.0.9,10.0.0.10:26380/app/2",
    ],
)
def test_addresses_of_stores(url: str) -> None:
    app = parse(group(f'cache_url = "{url}"'), {}).server_groups["app"]
    assert app.cache_url is not None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "10.0.0.9:6379",
        "http://secret@10.0.0.9",
        "redis://",
        "redis://secret@10.0.0.9:port",
        "redis://10.0.0.9/name",
        "redis://10.0.0.9?socket_timeout=secret",
        "redis://10.0.0.9?ssl_ca_certs=/secret",
        "unix://secret",
        "unix:",
        "redis+sentinel://10.0.0.9:26379",
        "redis+sentinel://10.0.0.9:secret/app",
        "redis+sentinel://10.0.0.9/app/secret",
        "redis+sentinel://10.0.0.9,/app",
        "redis+sentinel://10.0.0.9/app?ssl_ca_certs=/secret",
    ],
)
def test_other_addresses_of_stores_are_refused_and_not_repeated(url: str) -> None:
    (problem,) = problems(group(f'cache_url = "{url}"'))
    assert problem.startswith("server_groups.app.cache_url: ")
    assert "secret" not in problem


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", "redis://10.0.0.9/1"])
def test_a_cluster_has_one_database_and_no_sockets(url: str) -> None:
    (problem,) = problems(group("cache_cluster = true", f'cache_url = "{url}"'))
    assert "with cache_cluster = true" in problem


def fleet(*lines: str) -> str:
    return "\n".join([SMALLEST, "[fleet]", *lines])


def test_a_margin_must_leave_time_to_send_again() -> None:
    (problem,) = problems(fleet('fencing = "lease"', 'fencing_margin = "100ms"'))
    assert "fencing_margin" in problem
    assert parse(fleet('fencing = "lease"'), ENVIRONMENT).fleet.fencing_margin == 10.0
    assert parse(fleet('fencing_margin = "100ms"'), ENVIRONMENT).fleet.fencing_margin == 0.1


def test_a_fleet_has_a_name_and_no_bus() -> None:
    settings = parse(SMALLEST, ENVIRONMENT)
    assert settings.fleet.name == "tidegate"
    assert settings.fleet.bus_url is None


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:secret@[::1]:6379",
        "rediss://cache.internal:6379?ssl_ca_certs=/etc/ca.pem",
        "rediss+sentinel://:secret@a:1,b/app?ssl_ca_certs=/ca.pem&sentinel_password=word",
    ],
)
def test_addresses_of_buses(url: str) -> None:
    assert parse(fleet(f'bus_url = "{url}"'), ENVIRONMENT).fleet.bus_url is not None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://",
        "http://secret@10.0.0.9",
        "redis://10.0.0.9?socket_timeout=secret",
        "redis+sentinel://10.0.0.9",
        "unix:",
        "unix://secret",
        "unix://user:secret@/run/tidegate",
        "unix:///run/tidegate?db=secret",
    ],
)
def test_other_addresses_of_buses_are_refused_and_not_repeated(url: str) -> None:
    (problem,) = problems(fleet(f'bus_url = "{url}"'))
    assert problem.startswith("fleet.bus_url: ")
    assert "secret" not in problem


def test_the_folder_of_a_bus_must_be_ours_alone(tmp_path: Path) -> None:
    ours, others, missing = tmp_path / "ours", tmp_path / "others", tmp_path / "a" / "b"
    ours.mkdir(mode=0o700)
    others.mkdir(mode=0o755)
    for good in (ours, tmp_path / "made"):
        parse(fleet(f'bus_url = "unix://{good}"'), ENVIRONMENT)
    file = tmp_path / "file"
    file.touch()
    for wrong, why in (
        (others, "mode 0700"),
        (missing, "no such folder"),
        (file, "is no folder"),
        (ours / ("x" * 90), "bytes that a socket may have"),
    ):
        (problem,) = problems(fleet(f'bus_url = "unix://{wrong}"'))
        assert why in problem


def test_a_fleets_name_is_part_of_others() -> None:
    (problem,) = problems(fleet('name = "a:b"'))
    assert problem == "fleet.name: must have letters, digits, - and _ only"


def test_the_passwords_in_an_address_of_sentinels_are_secrets() -> None:
    url = "redis+sentinel://user:p%40ss@a:1,b:2/app?sentinel_password=other+word"
    settings = parse(fleet(f'bus_url = "{url}"'), ENVIRONMENT)
    assert {url, "p@ss", "other word"} <= set(secrets(settings))
    assert "p%40ss" not in f"{settings!r} {settings}"
    place = sentinels_of(url)
    assert place is not None
    assert place.addresses == [("a", 1), ("b", 2)]
    assert (place.service, place.database, place.is_tls) == ("app", 0, False)
    assert (place.username, place.password) == ("user", "p@ss")
    assert (place.sentinel_username, place.sentinel_password) == (None, "other word")


def test_user_has_a_password_or_a_verifier() -> None:
    user = "[server_groups.app.users.joe]"
    both = group(user, 'password = "x"', f'verifier = "{VERIFIER}"')
    assert problems(both) == [
        "server_groups.app.users.joe.password: give a password or a verifier, not both"
    ]
    joe = parse(group(user, f'verifier = "{VERIFIER}"'), {}).server_groups["app"].users["joe"]
    assert joe.verifier is not None


def test_user_may_have_a_pool_of_its_own() -> None:
    text = group("[server_groups.app.users.joe]", 'pool_mode = "session"', "default_pool_size = 3")
    app = parse(text, {}).server_groups["app"]
    assert (app.pool_mode_of("joe"), app.pool_size_of("joe")) == (PoolMode.SESSION, 3)
    assert (app.pool_mode_of("ann"), app.pool_size_of("ann")) == (PoolMode.TRANSACTION, 20)


def test_user_may_have_no_minimum_where_the_group_has_one() -> None:
    text = group("min_pool_size = 5", "[server_groups.app.users.joe]", "min_pool_size = 0")
    app = parse(text, {}).server_groups["app"]
    assert (app.min_pool_size_of("joe"), app.min_pool_size_of("ann")) == (0, 5)


def test_certificate_files_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    pair = ['client_tls_cert_file = "a.crt"', 'client_tls_key_file = "a.key"']
    (tmp_path / "a.crt").touch()
    assert problems(group(*pair), tmp_path) == [
        f'server_groups.app.client_tls_key_file: no such file: "{tmp_path / "a.key"}"'
    ]
    (tmp_path / "a.key").touch()
    app = parse(group(*pair), {}, base=tmp_path).server_groups["app"]
    assert app.client_tls_cert_file == tmp_path / "a.crt"
    assert problems(group(pair[0]), tmp_path) == [
        "server_groups.app.client_tls_cert_file: needs client_tls_key_file beside it"
    ]


def test_unix_socket_is_named_as_libpq_expects(tmp_path: Path) -> None:
    text = group('unix_socket_dir = "run"', 'unix_socket_mode = "0770"', 'listen = "*:7000"')
    (tmp_path / "run").mkdir()
    app = parse(text, {}, base=tmp_path).server_groups["app"]
    assert app.unix_socket == tmp_path / "run" / ".s.PGSQL.7000"
    assert app.unix_socket_mode == 0o770
    assert parse(group(), {}).server_groups["app"].unix_socket is None


def test_unix_socket_needs_a_folder_to_be_in(tmp_path: Path) -> None:
    text = group('unix_socket_dir = "run"')
    assert problems(text, tmp_path) == [
        f'server_groups.app.unix_socket_dir: no such folder: "{tmp_path / "run"}"'
    ]


def test_unix_socket_has_a_path_that_the_system_can_take(tmp_path: Path) -> None:
    name = "/.s.PGSQL.6432"
    longest = tmp_path / ("x" * (107 - len(str(tmp_path)) - 1 - len(name)))
    longer = tmp_path / f"{longest.name}x"
    for folder in (longest, longer):
        folder.mkdir()
    parse(group(f'unix_socket_dir = "{longest}"'), {})
    assert problems(group(f'unix_socket_dir = "{longer}"')) == [
        f'server_groups.app.unix_socket_dir: "{longer}{name}" is longer than the 107 bytes that'
        " a socket may have"
    ]


def test_server_by_its_socket_has_a_path_that_the_system_can_take() -> None:
    folder = "/" + "x" * 100
    text = f'[server_groups.app]\nservers = ["{folder}:5432"]\nauth_user = "tidegate"\n'
    assert problems(text) == [
        f'server_groups.app.servers: "{folder}/.s.PGSQL.5432" is longer than the 107 bytes that'
        " a socket may have"
    ]


def test_two_groups_cannot_have_one_unix_socket(tmp_path: Path) -> None:
    one = group(f'unix_socket_dir = "{tmp_path}"')
    two = one.replace(".app]", ".two]") + '\nlisten = "127.0.0.2:6432"'
    assert problems(f"{one}\n{two}") == [
        f'server_groups.two.unix_socket_dir: "{tmp_path}/.s.PGSQL.6432" is taken by'
        " server_groups.app.unix_socket_dir"
    ]


def test_log_file_is_beside_the_file_too(tmp_path: Path) -> None:
    settings = parse(group("[log]", 'destination = "t.log"'), {}, base=tmp_path)
    assert settings.log.destination == str(tmp_path / "t.log")
    assert not (tmp_path / "t.log").exists()


@pytest.mark.parametrize(
    ("destination", "problem"),
    [("", 'is a folder: "{}"'), ("logs/t.log", 'no such folder: "{}/logs"')],
)
def test_log_file_needs_a_folder_to_be_in(tmp_path: Path, destination: str, problem: str) -> None:
    text = group("[log]", f'destination = "{destination}"')
    assert problems(text, tmp_path) == [f"log.destination: {problem.format(tmp_path)}"]


def test_log_file_must_be_ours_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anything
    text = group("[log]", 'destination = "t.log"')
    assert problems(text, tmp_path) == [f'log.destination: no file may be made in "{tmp_path}"']
    (tmp_path / "t.log").touch()
    assert problems(text, tmp_path) == [
        f'log.destination: may not be written: "{tmp_path / "t.log"}"'
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "No such file"), (b"a = ", "Invalid value"), (b"\xff", "is not UTF-8 text")],
)
def test_file_that_cannot_be_read_is_one_problem(
    content: bytes | None, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "tidegate.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=problem) as caught:
        load(file, {})
    assert len(caught.value.problems) == 1
    assert str(file) in str(caught.value)


toml_values = st.recursive(
    st.one_of(st.booleans(), st.integers(-5, 5), st.sampled_from(["", "x", "${X}", "a:1", "on"])),
    lambda children: st.one_of(
        st.lists(children, max_size=2),
        st.dictionaries(
            st.sampled_from(["servers", "users", "joe", "password", "name", "cache", "listen"]),
            children,
            max_size=3,
        ),
    ),
)


def to_toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {to_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@given(
    st.dictionaries(
        st.sampled_from(["server_groups", "admin", "log", "other"]), toml_values, max_size=4
    )
)
def test_any_file_is_settings_or_problems(tree: dict[str, object]) -> None:
    text = "\n".join(f"{key} = {to_toml(value)}" for key, value in tree.items())
    assert tomllib.loads(text) == tree
    found: tuple[str, ...] = ()
    try:
        assert isinstance(parse(text, {}), Settings)
    except ConfigError as error:
        found = error.problems
    assert len(set(found)) == len(found)


def test_a_function_is_named_with_its_schema() -> None:
    table = '[server_groups.app.functions."{}"]'
    text = group(table.format("app.price"), 'reads = ["public.rates"]', 'volatility = "stable"')
    price = parse(text, {}).server_groups["app"].functions["app.price"]
    assert price.reads == ("public.rates",)
    assert price.writes == ()
    assert problems(group(table.format("price"))) == [
        "server_groups.app.functions.price: a function is named schema.name"
    ]
    for setting in ("reads", "writes"):
        (problem,) = problems(group(table.format("app.price"), f'{setting} = ["rates"]'))
        assert problem.endswith(f'{setting}: "rates" is not schema.name')
    (problem,) = problems(group(table.format("app.price"), 'volatility = "sometimes"'))
    assert "immutable" in problem


@pytest.mark.parametrize(
    ("url", "shown", "is_secret"),
    [
        ("redis://10.0.0.9:6379/0", "redis://10.0.0.9:6379/0", False),
        ("rediss://me:hunter2@10.0.0.9?ssl_ca_certs=/ca", "rediss://10.0.0.9", True),
        (
            "redis+sentinel://me:hunter2@a:1,b:2/app?sentinel_password=hunter3",
            "redis+sentinel://a:1,b:2/app",
            True,
        ),
        ("unix:///run/bus", "unix:///run/bus", False),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str, is_secret: bool) -> None:
    """Who is to find out why two members are apart must see it."""
    assert public_part(url) == shown
    found = set(secrets(Fleet(bus_url=SecretStr(url))))
    assert (url in found) == is_secret
    assert ("hunter2" in found) == is_secret
