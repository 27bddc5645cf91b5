"""The address of a store such as Redis: what may be in it. Its text is secret, and not repeated."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

ALLOWED: Final = (
    '"redis://user:password@host:6379/0", "rediss://..." with TLS, or "unix:///path/to/socket"'
)

OPTIONS: Final = frozenset(("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"))
"""What may stand behind the ?, where there is TLS: files in PEM, by redis-py's names."""


def why_no_store(url: str, *, is_cluster: bool) -> str | None:
    """Say what is wrong with an address; None: nothing.

    Args:
        url: The address.
        is_cluster: Whether it leads to a cluster, which has one database, and no sockets.
    """
    try:
        parts = urlsplit(url)
        options = {name for name, _ in parse_qsl(parts.query, strict_parsing=bool(parts.query))}
        is_reachable = _is_reachable(parts.scheme, parts.hostname, parts.port, parts.path)
    except ValueError:
        return ALLOWED
    if not is_reachable or parts.fragment:
        return ALLOWED
    if is_cluster and (parts.scheme == "unix" or parts.path not in ("", "/", "/0")):
        return "must be redis://host:port or rediss://host:port with cache_cluster = true"
    known = OPTIONS if parts.scheme == "rediss" else frozenset(())
    if parts.scheme == "unix":
        known = frozenset(("db",))
    if options - known:
        return f"may have {' and '.join(sorted(known)) or 'nothing'} behind the ?"
    return None


def password_of(url: str) -> str | None:
    """Find the password in an address, for what must never be printed."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return None
    return password and unquote(password)


def _is_reachable(scheme: str, host: str | None, port: int | None, path: str) -> bool:
    if scheme == "unix":
        return len(path) > 1 and not host
    is_number = path in ("", "/") or path[1:].isdecimal()
    return scheme in ("redis", "rediss") and bool(host) and port != 0 and is_number
