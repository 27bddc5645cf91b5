"""Rules that bind several settings together, and what can't be left out.

Each rule yields the settings it looked at and what is wrong. A rule is skipped when one of
those has a mistake of its own, so that one mistake is not told twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from proxy.settings.function import check_functions
from proxy.settings.model import STREAMS, Fleet, Log, ServerGroup, Settings, User, fields_of
from proxy.settings.problems import Problem, Where
from proxy.settings.rule_checks import check_mirrors, check_rules
from proxy.settings.stores import folder_of, why_no_bus, why_no_store
from proxy.settings.values import Address, AuthType, Engine, Fencing, SslMode, format_duration
from proxy.types import Consistency

Finding: TypeAlias = tuple[tuple[str, ...], str]
"""The names of the settings, the one to report first, and what is wrong."""

LONGEST_SOCKET: Final = 107
"""Bytes in the path of a Unix socket, by Linux (unix(7))."""

LONGEST_FETCH: Final = 1.0
"""Seconds: a fetch that takes longer is given up altogether."""

ONLY_POSTGRES: Final = 'is for engine = "postgres" only: take it out'

POSTGRES_ONLY: Final = (
    *("unix_socket_dir", "unix_socket_mode", "auth_database", "auth_query", "auth_type"),
    *("functions", "out_of_band_log_bytes"),
)
"""Settings of a group that mean nothing to MySQL."""

NAME = re.compile(r"[A-Za-z0-9_-]+")

LEAST_MARGIN: Final = 0.5
"""Seconds: what is lost on its way is sent again some times in that."""

MEMBER: Final = 21
"""Bytes that a member's name adds to the path of its folder."""

VERIFIER = re.compile(r"SCRAM-SHA-256\$\d+:[^$:]+\$[^$:]+:[^$:]+|md5[0-9a-f]{32}")


def check(settings: Settings, wrong: set[Where]) -> Iterator[Problem]:
    """Yield what is wrong between settings that are right by themselves.

    Args:
        settings: With defaults in the places of the wrong ones.
        wrong: Where a mistake was already found.
    """
    wrong = {where[:depth] for where in wrong for depth in range(1, len(where) + 1)}
    if not settings.server_groups and ("server_groups",) not in wrong:
        yield Problem(("server_groups",), "at least one table [server_groups.NAME] is needed")
    for name, group in settings.server_groups.items():
        where: Where = ("server_groups", name)
        if not NAME.fullmatch(name):
            yield Problem(where, "a group's name has letters, digits, - and _ only")
        yield from _at(where, _check_group(group), wrong)
        for user, own in group.users.items():
            yield from _at((*where, "users", user), _check_user(own, group.engine), wrong)
        for names, what in check_functions(group.functions):
            yield Problem((*where, "functions", *names), what)
        for place, setting, what in (*check_rules(group), *check_mirrors(settings, name)):
            yield from _at((*where, "rules", place), iter([((setting,), what)]), wrong)
    yield from _at(("fleet",), _check_fleet(settings.fleet), wrong)
    yield from _at(("log",), _check_log(settings.log), wrong)
    yield from _check_listeners(settings, wrong)


def _at(table: Where, findings: Iterator[Finding], wrong: set[Where]) -> Iterator[Problem]:
    for names, what in findings:
        if not any((*table, name) in wrong for name in names):
            yield Problem((*table, names[0]), what)


def _check_group(group: ServerGroup) -> Iterator[Finding]:
    if not group.servers:
        yield ("servers",), 'at least one "host:port" is needed'
    for address in sorted(set(group.servers)):
        if group.servers.count(address) > 1:
            yield ("servers",), f'"{address}" is listed more than once'
        if address.host == "*":
            yield ("servers",), f'"{address}" is no address to connect to'
        path = address.unix_socket or ""
        if (what := _why_too_long(path)) is not None:
            yield ("servers",), what
    if not group.auth_user:
        yield ("auth_user",), "the name of the control user is needed"
    if "$1" not in group.auth_query:
        yield ("auth_query",), "must ask for the user $1"
    if group.min_pool_size > group.default_pool_size:
        yield (
            ("min_pool_size", "default_pool_size"),
            f"must not be above default_pool_size ({group.default_pool_size})",
        )
    if group.consistency is not Consistency.STRONG and not group.max_staleness:
        yield (
            ("max_staleness", "consistency"),
            f'must be above 0 for "{group.consistency.value}"',
        )
    if group.max_entry_bytes > group.cache_size_bytes:
        yield (
            ("max_entry_bytes", "cache_size_bytes"),
            f"must not be above cache_size_bytes ({group.cache_size_bytes})",
        )
    if group.l2_timeout > LONGEST_FETCH:
        yield ("l2_timeout",), f"must not be above {format_duration(LONGEST_FETCH)}"
    if group.cache_url is not None:
        what = why_no_store(group.cache_url.get_secret_value(), is_cluster=group.cache_cluster)
        if what is None and not group.cache:
            what = "needs cache = true"
        if what is not None:
            yield ("cache_url", "cache", "cache_cluster"), what
    for name in (
        *("health_check_interval", "out_of_band_interval", "server_connect_timeout"),
        *("l2_timeout", "l2_ttl"),
    ):
        if getattr(group, name) <= 0:
            yield (name,), "must be above 0"
    if group.engine is Engine.MYSQL:
        yield from _check_mysql(group)
    yield from _check_client_tls(group)
    yield from _check_server_tls(group)
    yield from _check_files(group)
    yield from _check_socket(group)


def _check_mysql(group: ServerGroup) -> Iterator[Finding]:
    """Yield what is set and would do nothing."""
    fields = fields_of(ServerGroup)
    for name in POSTGRES_ONLY:
        default = fields[name].get_default(call_default_factory=True, validated_data={})
        if getattr(group, name) != default:
            yield (name, "engine"), ONLY_POSTGRES
    for address in group.servers:
        if address.unix_socket is not None:
            yield ("servers", "engine"), f'"{address}" must be "host:port" with engine = "mysql"'


def _check_client_tls(group: ServerGroup) -> Iterator[Finding]:
    mode, cert, key = "client_tls_sslmode", "client_tls_cert_file", "client_tls_key_file"
    yield from _check_pair(group, cert, key)
    needs_tls = group.client_tls_sslmode is SslMode.REQUIRE or group.client_tls_sslmode.verifies
    if needs_tls and group.client_tls_cert_file is None:
        yield (mode, cert), f'"{group.client_tls_sslmode.value}" needs {cert} and {key}'
    if group.client_tls_sslmode.verifies and group.client_tls_ca_file is None:
        yield (
            (mode, "client_tls_ca_file"),
            f'"{group.client_tls_sslmode.value}" needs client_tls_ca_file',
        )
    if group.engine is Engine.MYSQL:
        return
    if group.auth_type is AuthType.PLAIN and not needs_tls:
        yield ("auth_type", mode), f'"plain" needs {mode} "require", "verify-ca" or "verify-full"'
    if group.auth_type is AuthType.CERT and not group.client_tls_sslmode.verifies:
        yield ("auth_type", mode), f'"cert" needs {mode} "verify-ca" or "verify-full"'


def _check_server_tls(group: ServerGroup) -> Iterator[Finding]:
    yield from _check_pair(group, "server_tls_cert_file", "server_tls_key_file")
    if group.server_tls_sslmode.verifies and group.server_tls_ca_file is None:
        yield (
            ("server_tls_sslmode", "server_tls_ca_file"),
            f'"{group.server_tls_sslmode.value}" needs server_tls_ca_file',
        )


def _check_pair(group: ServerGroup, cert: str, key: str) -> Iterator[Finding]:
    if (getattr(group, cert) is None) != (getattr(group, key) is None):
        there, missing = (cert, key) if getattr(group, cert) is not None else (key, cert)
        yield (there, missing), f"needs {missing} beside it"


def _check_files(group: ServerGroup) -> Iterator[Finding]:
    for side in ("client", "server"):
        for kind in ("cert", "key", "ca"):
            name = f"{side}_tls_{kind}_file"
            file: Path | None = getattr(group, name)
            if file is not None and not file.is_file():
                yield (name,), f'no such file: "{file}"'


def _check_socket(group: ServerGroup) -> Iterator[Finding]:
    socket = group.unix_socket
    if socket is None:
        return
    if (what := _why_no_file(socket)) is not None:
        yield ("unix_socket_dir", "listen"), what
    if (what := _why_too_long(str(socket))) is not None:
        yield ("unix_socket_dir", "listen"), what


def _why_too_long(path: str) -> str | None:
    """Say why a path can't be a Unix socket's."""
    if len(os.fsencode(path)) <= LONGEST_SOCKET:
        return None
    return f'"{path}" is longer than the {LONGEST_SOCKET} bytes that a socket may have'


def _check_user(user: User, engine: Engine) -> Iterator[Finding]:
    if user.verifier is not None and engine is Engine.MYSQL:
        yield ("verifier",), ONLY_POSTGRES
        return
    if user.password is not None and user.verifier is not None:
        yield ("password", "verifier"), "give a password or a verifier, not both"
    if user.verifier is not None and not VERIFIER.fullmatch(user.verifier.get_secret_value()):
        yield ("verifier",), 'must look like "SCRAM-SHA-256$4096:...$...:..." or "md5..."'


def _check_fleet(fleet: Fleet) -> Iterator[Finding]:
    if not NAME.fullmatch(fleet.name):
        yield ("name",), "must have letters, digits, - and _ only"
    if fleet.fencing is Fencing.LEASE and fleet.fencing_margin < LEAST_MARGIN:
        yield ("fencing_margin",), f"must not be below {LEAST_MARGIN:g}s"
    if fleet.bus_url is None:
        return
    url = fleet.bus_url.get_secret_value()
    if (what := why_no_bus(url)) is not None:
        yield ("bus_url",), what
    elif (folder := folder_of(url)) is not None:
        what = _why_no_file(Path(folder)) if not Path(folder).is_dir() else None
        what = what or _why_not_ours(Path(folder)) or _why_too_long(folder + "/" * MEMBER)
        if what is not None:
            yield ("bus_url",), what


def _why_not_ours(folder: Path) -> str | None:
    """Say why a folder is not ours alone: who may write there could say anything in our name."""
    if not folder.is_dir():
        return f'is no folder: "{folder}"' if folder.exists() else None
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        return f'"{folder}" must belong to the user who runs this, with mode 0700'
    return None


def _check_log(log: Log) -> Iterator[Finding]:
    """Nothing is opened: a check must leave no file behind."""
    if log.destination in STREAMS:
        return
    file = Path(log.destination)
    if file.is_dir():
        yield ("destination",), f'is a folder: "{file}"'
    elif file.exists():
        if not os.access(file, os.W_OK):
            yield ("destination",), f'may not be written: "{file}"'
    elif (what := _why_no_file(file)) is not None:
        yield ("destination",), what


def _why_no_file(file: Path) -> str | None:
    """Say why no file can be made at a place."""
    if not file.parent.is_dir():
        return f'no such folder: "{file.parent}"'
    if not os.access(file.parent, os.W_OK | os.X_OK):
        return f'no file may be made in "{file.parent}"'
    return None


def _check_listeners(settings: Settings, wrong: set[Where]) -> Iterator[Problem]:
    """Two listeners on one port, or by one file, can't both start."""
    files: dict[Path, Where] = {}
    for name, group in settings.server_groups.items():
        where: Where = ("server_groups", name, "unix_socket_dir")
        socket = group.unix_socket
        if socket is None or where in wrong or (*where[:2], "listen") in wrong:
            continue
        if socket in files:
            yield Problem(where, f'"{socket}" is taken by {".".join(map(str, files[socket]))}')
        files.setdefault(socket, where)
    taken: list[tuple[Address, Where]] = []
    listeners: list[tuple[Where, Address]] = [
        (("server_groups", name, "listen"), group.listen)
        for name, group in settings.server_groups.items()
    ]
    for where, address in [*listeners, (("admin", "listen"), settings.admin.listen)]:
        if where in wrong:
            continue
        for other, owner in taken:
            if _collide(address, other):
                yield Problem(where, f'"{address}" is taken by {".".join(map(str, owner))}')
        taken.append((address, where))


def _collide(one: Address, other: Address) -> bool:
    return one.port == other.port and (one.host == other.host or "*" in (one.host, other.host))
