"""The address of Redis, or of the like: what may be in it. Its text is secret, and not repeated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

SERVER: Final = '"redis://user:password@host:6379/0", "rediss://..." with TLS'
SENTINEL: Final = '"redis+sentinel://user:password@host:26379,host:26379/NAME/0"'

ALLOWED: Final = f'{SERVER}, {SENTINEL}, or "unix:///path/to/socket"'
BUS_ALLOWED: Final = f'{SERVER}, {SENTINEL}, or "unix:///path/to/folder"'

OPTIONS: Final = frozenset(("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"))
"""What may stand behind the ?, where there is TLS: files in PEM, by redis-py's names."""

SENTINEL_OPTIONS: Final = frozenset(("sentinel_username", "sentinel_password"))
"""What may stand there where Sentinels want to know who asks."""

SENTINEL_PORT: Final = 26379

_SENTINEL: Final = {"redis+sentinel": False, "rediss+sentinel": True}


class Sentinels(NamedTuple):
    """Who knows which server is the primary.

    Attributes:
        addresses: Of the Sentinels, to be asked in turn.
        service: What they call the primary.
        database: Its number.
        username: There.
        password: There.
        sentinel_username: At the Sentinels.
        sentinel_password: At the Sentinels.
        is_tls: Whether all are reached by TLS.
        tls: Options of that, by redis-py's names.
    """

    addresses: list[tuple[str, int]]
    service: str
    database: int
    username: str | None
    password: str | None
    sentinel_username: str | None
    sentinel_password: str | None
    is_tls: bool
    tls: tuple[tuple[str, str], ...]


def why_no_store(url: str, *, is_cluster: bool) -> str | None:
    """Say what is wrong with the address of a store; None: nothing.

    Args:
        url: The address.
        is_cluster: Whether it leads to a cluster, which has one database, and no sockets.
    """
    parts = _split(url)
    if parts is None or not _is_server(parts):
        return ALLOWED
    if is_cluster and (
        parts.scheme not in ("redis", "rediss") or parts.path not in ("", "/", "/0")
    ):
        return "must be redis://host:port or rediss://host:port with cache_cluster = true"
    return _why_no_options(parts)


def why_no_bus(url: str) -> str | None:
    """Say what is wrong with the address of a bus; None: nothing.

    As that of a store, but a path is that of a folder, with a socket for each member.
    """
    parts = _split(url)
    if parts is None or not _is_server(parts):
        return BUS_ALLOWED
    if parts.scheme == "unix":
        return BUS_ALLOWED if parts.netloc or parts.query else None
    return _why_no_options(parts)


def folder_of(url: str) -> str | None:
    """Find the folder in the address of a bus; None: it is not one of sockets."""
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "unix" else None


def sentinels_of(url: str) -> Sentinels | None:
    """Take an address of Sentinels apart; None: it is none.

    Raises:
        ValueError: It is, and something is wrong with it.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SENTINEL:
        return None
    service, _, database = parts.path[1:].partition("/")
    if not service or not (database or "0").isdecimal():
        raise ValueError("no name of a primary")
    options = dict(parse_qsl(parts.query))
    username, password = parts.username, parts.password
    return Sentinels(
        list(_addresses(parts.netloc.rpartition("@")[2])),
        unquote(service),
        int(database or 0),
        (username and unquote(username)) or None,
        (password and unquote(password)) or None,
        options.get("sentinel_username"),
        options.get("sentinel_password"),
        _SENTINEL[parts.scheme],
        tuple((name, value) for name, value in options.items() if name in OPTIONS),
    )


def passwords_of(url: str) -> Iterator[str]:
    """Find the passwords in an address, for what must never be printed."""
    try:
        parts = urlsplit(url)
        if parts.password:
            yield unquote(parts.password)
        for name, value in parse_qsl(parts.query):
            if name == "sentinel_password":
                yield value
    except ValueError:
        return


def public_part(url: str) -> str:
    """Take users, passwords and options out of an address: what is left may be shown."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parse_qsl(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        return None
    return None if parts.fragment else parts


def _is_server(parts: SplitResult) -> bool:
    try:
        if parts.scheme in _SENTINEL:
            return sentinels_of(parts.geturl()) is not None
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme == "unix":
        return len(parts.path) > 1 and not host
    is_number = parts.path in ("", "/") or parts.path[1:].isdecimal()
    return parts.scheme in ("redis", "rediss") and bool(host) and port != 0 and is_number


def _why_no_options(parts: SplitResult) -> str | None:
    known: frozenset[str] = frozenset()
    if parts.scheme.startswith("rediss"):
        known |= OPTIONS
    if parts.scheme in _SENTINEL:
        known |= SENTINEL_OPTIONS
    if parts.scheme == "unix":
        known = frozenset(("db",))
    if {name for name, _ in parse_qsl(parts.query)} - known:
        return f"may have {' and '.join(sorted(known)) or 'nothing'} behind the ?"
    return None


def _addresses(text: str) -> Iterator[tuple[str, int]]:
    for one in text.split(","):
        parts = urlsplit(f"//{one}")
        if not parts.hostname or parts.port == 0:
            raise ValueError("no address of a Sentinel")
        yield parts.hostname, parts.port or SENTINEL_PORT
