"""Connections to MySQL's servers are opened here: transport, TLS, login, and what each is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from time import monotonic
from typing import Any, Final, cast, final

from proxy.errors import ServerLost
from proxy.runtime.server import Address, Facts, ServerConnection
from proxy.wire.mysql import capabilities as can
from proxy.wire.mysql import commands
from proxy.wire.mysql.codec import HEADER, packet
from proxy.wire.mysql.credentials import Credentials
from proxy.wire.mysql.events import Encryption, TlsBegins
from proxy.wire.mysql.exchange import SEPARATOR, Exchange
from proxy.wire.mysql.login import Channel, Welcome, Wish, log_in
from proxy.wire.mysql.ok import read_error
from proxy.wire.mysql.turns import packet_size

OURS: Final = (
    can.LONG_PASSWORD
    | can.LONG_FLAG
    | can.PROTOCOL_41
    | can.TRANSACTIONS
    | can.SECURE_CONNECTION
    | can.PLUGIN_AUTH
    | can.CONNECT_ATTRS
    | can.PLUGIN_AUTH_LENENC_CLIENT_DATA
    | can.SESSION_TRACK
    | can.DEPRECATE_EOF
)
"""What every connection to a server can do, whoever uses it."""

THEIRS: Final = (
    can.FOUND_ROWS
    | can.IGNORE_SPACE
    | can.LOCAL_FILES
    | can.MULTI_STATEMENTS
    | can.MULTI_RESULTS
    | can.PS_MULTI_RESULTS
    | can.OPTIONAL_RESULTSET_METADATA
    | can.QUERY_ATTRIBUTES
    | can.MARIADB_BULK
    | can.MARIADB_EXTENDED_METADATA
)
"""What a connection can do if its client can: clients that differ in this don't share any."""

_TRACK: Final = (
    b"SET SESSION session_track_system_variables = '*', session_track_schema = ON, "
    b"session_track_state_change = ON"
)
_MYSQL_TRACKS: Final = _TRACK + b", session_track_gtids = OWN_GTID"
_CHARSET: Final = b"SET NAMES utf8mb4"

_SHAPING: Final = (
    *("auto_increment_increment", "big_tables", "default_week_format", "div_precision_increment"),
    *("group_concat_max_len", "lc_time_names", "max_allowed_packet", "max_sort_length"),
    *("sql_auto_is_null", "sql_mode", "sql_select_limit", "system_time_zone", "time_zone"),
)
_PROBE: Final = (
    "SELECT @@GLOBAL.read_only OR @@GLOBAL.innodb_read_only, @@sql_mode, @@%s, @@autocommit, "
    "SHA2(CONCAT_WS(';', " + ", ".join(f"@@{name}" for name in _SHAPING) + "), 256)"
)
"""What is asked of each new connection: its role, and the defaults that shape results."""


def setup(*, is_mariadb: bool) -> bytes:
    """What each session on a server begins with, as statements of ours."""
    return SEPARATOR.join((_CHARSET, _TRACK if is_mariadb else _MYSQL_TRACKS))


class _Cutter:
    """Cuts packets."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[bytes]:
        """See `proxy.runtime.server.Cutter`."""
        data = self._held + data
        found: list[bytes] = []
        while len(data) >= HEADER and len(data) >= (size := packet_size(data)):
            found.append(data[:size])
            data = data[size:]
        self._held = data
        return found


@final
class MySQLTongue:
    """See `proxy.runtime.server.Tongue`."""

    goodbye = packet(0, bytes((commands.QUIT,)))

    def new_cutter(self) -> _Cutter:
        """Cut a dialogue's packets."""
        return _Cutter()

    def words(self, farewell: bytes) -> str:
        """Say why a server hangs up."""
        return read_error(farewell).message.decode("utf-8", "replace")


def _until_tls(
    dialogue: Generator[Any, bytes, Welcome], heard: Any
) -> Generator[bytes, bytes, Any]:
    """Hold a dialogue up to where TLS begins, or to its end."""
    try:
        said = dialogue.send(heard)
        while not isinstance(said, TlsBegins):
            heard = yield said
            said = dialogue.send(heard)
    except StopIteration as stop:
        return stop.value
    return said


def _ask(exchange: Exchange, sql: bytes) -> Generator[bytes, bytes, list[list[bytes | None]]]:
    """Hold the dialogue of statements of ours; the rows of the last."""
    exchange.feed((yield exchange.ask(sql)))
    while not exchange.done:
        exchange.feed((yield b""))
    if exchange.error is not None:
        text = read_error(exchange.error).message.decode("utf-8", "replace")
        raise ServerLost(f"a new connection can't be used: {text}")
    return exchange.rows


_ENCRYPTION: Final = {
    "disable": Encryption.NEVER,
    "allow": Encryption.OFFERED,
    "prefer": Encryption.OFFERED,
}


async def reach(
    address: Address, wish: Wish, credentials: Credentials
) -> tuple[ServerConnection, Welcome]:
    """Connect to a server and log in, with TLS or without as `sslmode` says.

    Raises:
        ServerLost, OSError: It could not be reached, or broke.
        LoginRefused: The server said no; it has the server's own words.
    """
    connection = ServerConnection(address)
    server = address.server
    # It has a protocol's methods and not its class: see there.
    factory = cast("Callable[[], asyncio.Protocol]", lambda: connection)
    try:
        encryption = Encryption.NEVER
        if address.tls is not None:
            encryption = _ENCRYPTION.get(address.sslmode, Encryption.REQUIRED)
        # Who is in the middle could give us a key of their own; so the password itself is said
        # without TLS only where the operator does without it.
        channel = Channel(encryption=encryption, fetches_key=encryption is Encryption.NEVER)
        dialogue = log_in(wish, credentials, channel)
        greeted = connection.listen(_until_tls(dialogue, None))
        await asyncio.get_running_loop().create_connection(factory, server.host, server.port)
        outcome = await greeted
        if isinstance(outcome, TlsBegins):
            connection.write(outcome.answer)
            await connection.begin_tls()
            outcome = await connection.converse(_until_tls(dialogue, b""))
    except BaseException:
        connection.abort("not opened")
        raise
    return connection, outcome


async def open_connection(
    address: Address, wish: Wish, credentials: Credentials, confirm: Callable[[], Any]
) -> ServerConnection:
    """Open a connection to a server and log in.

    Args:
        address: Where to, and how.
        wish: Who wants what.
        credentials: What the login answers with.
        confirm: Waits for a sign of life of the server's witness, asked for after the login;
            returns the incarnation. A connection that no incarnation vouches for is not used.

    Raises:
        ServerLost: It could not be reached, or broke.
        LoginRefused: The server said no; it has the server's own words.
    """
    server = address.server
    connection: ServerConnection | None = None
    began_at = time.time()
    try:
        async with asyncio.timeout(address.timeout):
            connection, welcome = await reach(address, wish, credentials)
            opened_at = monotonic()
            begins = setup(is_mariadb=welcome.is_mariadb)
            exchange = Exchange(welcome.capabilities, address.max_prepared, begins)
            isolation = "tx_isolation" if welcome.is_mariadb else "transaction_isolation"
            question = SEPARATOR.join((begins, (_PROBE % isolation).encode()))
            rows = await connection.converse(_ask(exchange, question))
            connection.incarnation = await confirm()
    except BaseException as error:
        if connection is not None:
            connection.abort("not opened")
        if isinstance(error, TimeoutError):
            raise ServerLost(
                f"server {server.name} did not let us in within {address.timeout:g} s"
            ) from None
        if isinstance(error, OSError):
            raise ServerLost(f"server {server.name} can't be reached: {error}") from None
        raise
    is_read_only, modes, level, commits, shape = ((it or b"").decode() for it in rows[-1])
    begun = {
        "sql_mode": modes,
        "isolation": level,
        "autocommit": commits,
        "character_set_client": "utf8mb4",
    }
    connection.facts = Facts(is_read_only != "0", began_at, begun, shape, 0)
    connection.shape = shape
    connection.exchange = exchange
    connection.pid = welcome.connection_id
    connection.opened_at = opened_at
    return connection


async def say(address: Address, wish: Wish, credentials: Credentials, sql: bytes) -> None:
    """Have a server do something, by a connection that is there for nothing else.

    Raises:
        ServerLost, OSError: It could not be reached, or refused to.
        LoginRefused: The server said no.
    """
    connection, welcome = await reach(address, wish, credentials)
    try:
        await connection.converse(_ask(Exchange(welcome.capabilities, 1), sql))
    finally:
        connection.close()
