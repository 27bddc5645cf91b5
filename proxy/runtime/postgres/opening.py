"""Connections to servers are opened here: transport, TLS, login, and what each new one is asked.

What becomes of one afterwards is the pools' affair; a tunnel logs in by the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from base64 import b64encode
from collections.abc import Callable, Generator, Mapping
from time import monotonic
from typing import Any, Final, cast, final

from proxy.errors import ClientVisibleError, RemoteProtocolError, ServerLost
from proxy.runtime.server import Address, Facts, ServerConnection
from proxy.wire.postgres import backend, frontend, packets, tags
from proxy.wire.postgres.exchange import Exchange
from proxy.wire.postgres.framer import Framer, watch
from proxy.wire.postgres.login import Credentials, LoginRefused, Welcome, log_in

PROBE: Final = b"""
SELECT pg_catalog.pg_is_in_recovery(),
       extract(epoch FROM me.backend_start),
       pg_catalog.current_setting('search_path'),
       pg_catalog.current_setting('default_transaction_isolation'),
       (SELECT pg_catalog.md5(pg_catalog.string_agg(
                   name OPERATOR(pg_catalog.||) '=' OPERATOR(pg_catalog.||)
                   coalesce(pg_catalog.current_setting(name, true), ''), ';' ORDER BY name))
        FROM (VALUES ('DateStyle'), ('IntervalStyle'), ('TimeZone'), ('extra_float_digits'),
                     ('bytea_output'), ('lc_monetary'), ('lc_numeric'),
                     ('lc_time'), ('xmlbinary'), ('xmloption'), ('array_nulls'),
                     ('standard_conforming_strings'), ('default_text_search_config'),
                     ('transform_null_equals'), ('client_encoding'), ('search_path'),
                     ('row_security'), ('session_replication_role'), ('quote_all_identifiers'),
                     ('timezone_abbreviations'), ('backslash_quote')) AS shaping(name)),
       me.datid
FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS me
"""
"""What is asked of each new connection: its role, its own start (so that this process and no
other can be ended later), the defaults that shape results, and which database its name led to:
not looked up by that name, which may be another's by now, or nobody's.
Qualified throughout: what a login's own search_path leads to must not answer."""


def _ask(sql: bytes) -> Generator[bytes, tuple[int, bytes], list[bytes | None]]:
    """The dialogue of one simple query with one row."""
    row: list[bytes | None] = []
    tag, message = yield frontend.query(sql)
    while tag != tags.READY_FOR_QUERY:
        if tag == tags.DATA_ROW:
            row = backend.read_data_row(message)
        elif tag == tags.ERROR_RESPONSE:
            text = backend.read_error(message).get(backend.MESSAGE, b"")
            raise ServerLost(f"a new connection can't be used: {text.decode('utf-8', 'replace')}")
        tag, message = yield b""
    return row


_WAYS: Final = {"disable": (False,), "allow": (False, True), "prefer": (True, False)}
"""By sslmode: whether to encrypt, first and then, if the server lets nobody in that way."""

_NOT_THIS_WAY: Final = b"28000"
"""What a server says whose pg_hba.conf has no place for a connection of this kind."""


async def reach(
    address: Address, parameters: Mapping[bytes, bytes], credentials: Credentials
) -> tuple[ServerConnection, Welcome]:
    """Connect to a server and log in, with TLS or without as `sslmode` says.

    Raises:
        ServerLost, OSError: It could not be reached, or broke.
        LoginRefused: The server said no; it has the server's own words.
    """
    is_local = address.server.unix_socket is not None  # TLS is not spoken there, as in libpq
    ways = (False,) if is_local else _WAYS.get(address.sslmode, (True,))
    for encrypted in ways[:-1]:
        try:
            return await _log_in(address, parameters, credentials, encrypted=encrypted)
        except LoginRefused as error:
            if error.ours or error.sqlstate != _NOT_THIS_WAY:
                raise
    return await _log_in(address, parameters, credentials, encrypted=ways[-1])


async def _connect(connection: ServerConnection) -> None:
    # It has a protocol's methods and not its class: see there.
    factory = cast("Callable[[], asyncio.Protocol]", lambda: connection)
    server = connection.server
    loop = asyncio.get_running_loop()
    if server.unix_socket is not None:
        await loop.create_unix_connection(factory, server.unix_socket)
    else:
        await loop.create_connection(factory, server.host, server.port)


async def _log_in(
    address: Address,
    parameters: Mapping[bytes, bytes],
    credentials: Credentials,
    *,
    encrypted: bool,
) -> tuple[ServerConnection, Welcome]:
    connection = ServerConnection(address)
    try:
        await _connect(connection)
        if encrypted:
            await _start_tls(connection)
        dialogue = log_in(
            parameters,
            credentials,
            nonce=b64encode(secrets.token_bytes(18)),
            channel_binding=connection.channel_binding,
            encrypted=connection.is_encrypted or address.server.unix_socket is not None,
        )
        welcome: Welcome = await connection.converse(dialogue)
    except BaseException:
        connection.abort("not opened")
        raise
    return connection, welcome


async def _start_tls(connection: ServerConnection) -> None:
    """Ask for TLS and begin it; a server that has none is borne with by `prefer` only."""
    address = connection.address
    if address.tls is None or connection.transport is None:
        return
    agreed = await connection.exchange_bytes(packets.SSL_REQUEST)
    if agreed == b"N":
        if address.sslmode == "prefer":
            return
        raise ServerLost(f"server {address.server.name} does not support TLS")
    if agreed != b"S":
        # More than the one byte could only come from someone in between (CVE-2021-23222).
        raise RemoteProtocolError(f"server {address.server.name} answered an SSLRequest wrongly")
    await connection.begin_tls()


class _Cutter:
    """Cuts messages, each with its tag."""

    def __init__(self) -> None:
        self._framer = Framer(_EVERYTHING)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """See `proxy.runtime.server.Cutter`."""
        try:
            passed = self._framer.feed(data)
        except ValueError as error:
            raise RemoteProtocolError(f"invalid message from the server: {error}") from None
        return [(tag, passed[start:stop]) for tag, start, stop in self._framer.found]


_EVERYTHING: Final = watch(bytes(range(256)))


@final
class PostgresTongue:
    """See `proxy.runtime.server.Tongue`."""

    goodbye = frontend.TERMINATE

    def new_cutter(self) -> _Cutter:
        """Cut a dialogue's messages."""
        return _Cutter()

    def words(self, farewell: bytes) -> str:
        """Say why a server hangs up."""
        return backend.read_error(farewell).get(backend.MESSAGE, b"").decode("utf-8", "replace")


def _abort(connection: ServerConnection | None) -> None:
    if connection is not None:
        connection.abort("not opened")


async def open_connection(
    address: Address,
    parameters: Mapping[bytes, bytes],
    credentials: Credentials,
    confirm: Callable[[], Any],
) -> ServerConnection:
    """Open a connection to a server and log in.

    Args:
        address: Where to, and how.
        parameters: Of the startup message: user, database, application_name.
        credentials: What the login answers with.
        confirm: Waits for a sign of life of the server's witness, asked for after the login;
            returns the incarnation. A connection that no incarnation vouches for is not used.

    Raises:
        ServerLost: It could not be reached, or broke.
        LoginRefused: The server said no; it has the server's own words.
    """
    server = address.server
    connection = None
    try:
        async with asyncio.timeout(address.timeout):
            connection, welcome = await reach(address, parameters, credentials)
            opened_at = monotonic()
            row = await connection.converse(_ask(PROBE))
            connection.incarnation = await confirm()
    except TimeoutError:
        _abort(connection)
        raise ServerLost(
            f"server {server.name} did not let us in within {address.timeout:g} s"
        ) from None
    except OSError as error:
        _abort(connection)
        raise ServerLost(f"server {server.name} can't be reached: {error}") from None
    except BaseException:
        _abort(connection)
        raise
    recovering, start, search_path, isolation, shape, database = (
        (value or b"").decode("utf-8", "replace") for value in row
    )
    begun = {"search_path": search_path, "default_transaction_isolation": isolation}
    connection.facts = Facts(recovering == "t", float(start), begun, shape, int(database))
    connection.shape = shape
    connection.exchange = Exchange(dict(welcome.parameters), address.max_prepared)
    connection.pid, connection.secret = welcome.pid, welcome.secret
    connection.opened_at = opened_at
    return connection


async def send_cancel(connection: ServerConnection, within: float) -> None:
    """Ask the server to stop what `connection` runs; returns when it has taken note.

    The server signals the process before it hangs up, so after this call no later statement
    on the connection can be hit.
    """
    address = connection.address
    loop = asyncio.get_running_loop()
    other = ServerConnection(address)
    with contextlib.suppress(OSError, TimeoutError, ClientVisibleError):
        async with asyncio.timeout(within):
            await _connect(other)
            if connection.is_encrypted:
                await _start_tls(other)
            gone: asyncio.Future[None] = loop.create_future()

            def hung_up(_: ServerConnection) -> None:
                if not gone.done():
                    gone.set_result(None)

            other.on_lost = hung_up
            other.write(packets.cancel_request(connection.pid, connection.secret))
            await gone
    other.abort("done")
