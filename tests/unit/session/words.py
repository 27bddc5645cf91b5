"""How an engine's clients and servers say what those of every engine can say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from proxy.engines.mysql.dialect import MySQLDialect
from proxy.engines.mysql.grammar import MySQLGrammar
from proxy.engines.mysql.traces import MySQLTraces
from proxy.engines.postgres.dialect import PostgresDialect
from proxy.engines.postgres.grammar import PostgresGrammar
from proxy.engines.postgres.grammar import defaults as begun
from proxy.engines.postgres.traces import PostgresTraces
from proxy.session.grammar import Defaults
from proxy.session.state import UNTOUCHED, SessionState
from proxy.sql.language import MySQLLanguage, PostgresLanguage
from proxy.topology.gtid_history import GtidHistory
from proxy.wire.client import ClientEngine
from proxy.wire.exchange import Exchange
from proxy.wire.mysql import client_engine as mysql_client
from proxy.wire.mysql import commands, ok
from proxy.wire.mysql import exchange as mysql_exchange
from proxy.wire.mysql import prepared as mysql_prepared
from proxy.wire.mysql.capabilities import (
    DEPRECATE_EOF,
    SESSION_TRACK,
    STATUS_AUTOCOMMIT,
    STATUS_IN_TRANS,
)
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.resultset import Column, binary_result, prepare_ok, text_result
from proxy.wire.postgres import backend, frontend
from proxy.wire.postgres import client_engine as postgres_client
from proxy.wire.postgres import exchange as postgres_exchange
from proxy.wire.postgres import prepared as postgres_prepared
from proxy.wire.prepared import Library

SHAPE = "0"

DUPLICATE, CONFLICT, CANCELLED = "duplicate", "conflict", "cancelled"
SYNTAX = "syntax"

_STATES = {DUPLICATE: b"23505", CONFLICT: b"40001", CANCELLED: b"57014", SYNTAX: b"42601"}
_CODES = {DUPLICATE: 1062, CONFLICT: 1205, CANCELLED: 1317, SYNTAX: 1064}


class Words(ABC):
    """See the module.

    Attributes:
        fresh: What a connection is like that this client can use as it is.
        counts_rows: Whether answers to changes tell which rows were written.
        keeps_failed: Whether a client keeps the connection on which something failed, to ask why.
        one_snapshot: Defaults by which a transaction reads of one snapshot.
        prepares_ahead: Whether a connection must have prepared something before it is asked to run
            it, as only its answer says under which number.
        prepared_in_batch: The answer to what has it prepared otherwise.
        goodbye: What a client says last.
        opens_snapshot: SQL that opens a transaction, and takes its snapshot.
    """

    language: Any
    dialect: Any
    grammar: Any
    defaults: Defaults
    fresh: SessionState = UNTOUCHED
    counts_rows: bool
    keeps_failed: bool
    one_snapshot: Defaults
    opens_snapshot: str
    prepares_ahead: bool
    prepared_in_batch: bytes
    goodbye: bytes

    @abstractmethod
    def traces(self) -> Any: ...

    @abstractmethod
    def library(self, generation: Callable[[], int], momentary: Callable[[bytes], bool]) -> Any: ...

    @abstractmethod
    def client(self, library: Library) -> ClientEngine: ...

    @abstractmethod
    def exchange(self, room: int) -> Exchange: ...

    @abstractmethod
    def is_query(self, data: bytes) -> bool: ...

    @abstractmethod
    def query(self, sql: str) -> bytes: ...

    @abstractmethod
    def done(self, tag: str, *, block: bool = False) -> bytes:
        """Something was done; `block`: in a transaction."""

    @abstractmethod
    def parts(self, *values: str, block: bool = False) -> list[bytes]:
        """An answer with rows, cut behind what proves that its snapshot was taken."""

    def result(self, *values: str, block: bool = False) -> bytes:
        return b"".join(self.parts(*values, block=block))

    @abstractmethod
    def error(self, what: str, *, block: bool = False) -> bytes: ...

    @abstractmethod
    def done_together(self, *tags: str, block: bool = False) -> bytes:
        """The answers to statements of ours that were sent together."""

    @abstractmethod
    def opened_snapshot(self) -> bytes:
        """The answer to `opens_snapshot`."""

    @abstractmethod
    def prepare(self, number: int, sql: str) -> bytes:
        """Prepare a statement: the client's first, second and so on."""

    @abstractmethod
    def prepared(self, number: int) -> bytes:
        """The answer to that; `number`: of the statement, among the server connection's."""

    @abstractmethod
    def run(self, number: int) -> bytes:
        """Run what was prepared."""

    @abstractmethod
    def ran(self, *values: str) -> bytes:
        """The answer to that, of one column."""

    @abstractmethod
    def prepares(self, data: bytes, sql: str) -> bool:
        """Whether this has a server prepare a text."""


class PostgresWords(Words):
    language = PostgresLanguage()
    dialect = PostgresDialect()
    grammar = PostgresGrammar()
    defaults = begun(search_path="public", isolation="read committed", encoding="UTF8", shape=SHAPE)
    counts_rows = True
    keeps_failed = False
    one_snapshot = begun(
        search_path="public", isolation="repeatable read", encoding="UTF8", shape=SHAPE
    )
    opens_snapshot = "begin;SELECT"
    prepares_ahead = False
    prepared_in_batch = backend.PARSE_COMPLETE
    goodbye = frontend.TERMINATE

    def traces(self) -> Any:
        return PostgresTraces(self.dialect)

    def library(self, generation: Callable[[], int], momentary: Callable[[bytes], bool]) -> Any:
        return postgres_prepared.Library(generation, momentary)

    def client(self, library: Library) -> ClientEngine:
        return postgres_client.ClientEngine(library)  # type: ignore[arg-type]

    def exchange(self, room: int) -> Exchange:
        return postgres_exchange.Exchange({}, room)

    def is_query(self, data: bytes) -> bool:
        return data[:1] == b"Q"

    def query(self, sql: str) -> bytes:
        return frontend.query(sql.encode())

    def done(self, tag: str, *, block: bool = False) -> bytes:
        ready = backend.READY_TRANSACTION if block else backend.READY_IDLE
        return backend.command_complete(tag.encode()) + ready

    def parts(self, *values: str, block: bool = False) -> list[bytes]:
        rows = b"".join(backend.data_row([value.encode()]) for value in values)
        end = self.done(f"SELECT {len(values)}", block=block)
        return [backend.row_description([backend.Column(b"a")]), rows + end]

    def error(self, what: str, *, block: bool = False) -> bytes:
        said = backend.error_response(b"ERROR", _STATES[what], what.encode())
        return said + (backend.READY_FAILED if block else backend.READY_IDLE)

    def done_together(self, *tags: str, block: bool = False) -> bytes:
        *first, last = tags
        done = [backend.command_complete(tag.encode()) for tag in first]
        return b"".join(done) + self.done(last, block=block)

    def opened_snapshot(self) -> bytes:
        return self.done_together("BEGIN", "SELECT 0", block=True)

    def prepare(self, number: int, sql: str) -> bytes:
        return frontend.parse(b"s%d" % number, sql.encode()) + frontend.SYNC

    def prepared(self, number: int) -> bytes:
        return backend.PARSE_COMPLETE + backend.READY_IDLE

    def run(self, number: int) -> bytes:
        return frontend.bind(b"", b"s%d" % number, []) + frontend.execute(b"", 0) + frontend.SYNC

    def ran(self, *values: str) -> bytes:
        rows = b"".join(backend.data_row([value.encode()]) for value in values)
        return backend.BIND_COMPLETE + rows + self.done(f"SELECT {len(values)}")

    def prepares(self, data: bytes, sql: str) -> bool:
        return sql.encode() in data and data[:1] == b"P"


class MySQLWords(Words):
    language = MySQLLanguage()
    dialect = MySQLDialect(
        lambda position, _: b"SELECT 1 FROM DUAL WHERE %d" % position, GtidHistory([])
    )
    grammar = MySQLGrammar()
    defaults = Defaults(
        {"sql_mode": "", "isolation": "READ-COMMITTED", "character_set_client": "utf8mb4"}, SHAPE
    )
    fresh = SessionState.of({"schema": "`public`"}, {})
    counts_rows = False
    keeps_failed = True
    one_snapshot = Defaults({**defaults.settings, "isolation": "REPEATABLE-READ"}, SHAPE)
    opens_snapshot = "START TRANSACTION WITH CONSISTENT SNAPSHOT"
    prepares_ahead = True
    prepared_in_batch = b""
    goodbye = packet(0, bytes((commands.QUIT,)))

    _agreed = DEPRECATE_EOF | SESSION_TRACK

    def traces(self) -> Any:
        return MySQLTraces()

    def library(self, generation: Callable[[], int], momentary: Callable[[bytes], bool]) -> Any:
        return mysql_prepared.Library(generation, momentary)

    def client(self, library: Library) -> ClientEngine:
        return mysql_client.ClientEngine(library, self._agreed, 1 << 30)  # type: ignore[arg-type]

    def exchange(self, room: int) -> Exchange:
        return mysql_exchange.Exchange(self._agreed, room)

    def is_query(self, data: bytes) -> bool:
        return data[4] == commands.QUERY

    def query(self, sql: str) -> bytes:
        return packet(0, bytes((commands.QUERY,)) + sql.encode())

    def _ok(self, rows: int, block: bool) -> ok.Ok:
        return ok.Ok(rows, status=STATUS_AUTOCOMMIT | (STATUS_IN_TRANS if block else 0))

    def done(self, tag: str, *, block: bool = False) -> bytes:
        last = tag.split()[-1]
        rows = int(last) if last.isdigit() else 0
        return ok.ok_packet(1, self._ok(rows, block), self._agreed)

    def parts(self, *values: str, block: bool = False) -> list[bytes]:
        rows = [[value.encode()] for value in values]
        columns, end = [Column(b"a")], self._ok(0, block)
        whole = text_result(1, columns, rows, self._agreed, end=end)
        if not values:
            return [whole]
        cut = whole.index(packet(3, bytes((len(values[0]),)) + values[0].encode()))
        cut += 5 + len(values[0])
        return [whole[:cut], whole[cut:]]

    def error(self, what: str, *, block: bool = False) -> bytes:
        return ok.error_packet(1, ok.Error(_CODES[what], b"HY000", what.encode()))

    def done_together(self, *tags: str, block: bool = False) -> bytes:
        return b"".join(self.done(tag, block=block) for tag in tags)

    def opened_snapshot(self) -> bytes:
        return self.done("BEGIN", block=True)

    def prepare(self, number: int, sql: str) -> bytes:
        return packet(0, bytes((commands.STMT_PREPARE,)) + sql.encode())

    def prepared(self, number: int) -> bytes:
        return prepare_ok(1, number, [Column(b"a")], 0, self._agreed)

    def run(self, number: int) -> bytes:
        head = bytes((commands.STMT_EXECUTE,)) + number.to_bytes(4, "little")
        return packet(0, head + b"\0\1\0\0\0")

    def ran(self, *values: str) -> bytes:
        rows = [[value.encode()] for value in values]
        return binary_result(1, [Column(b"a")], rows, self._agreed, end=self._ok(0, False))

    def prepares(self, data: bytes, sql: str) -> bool:
        return data[4] == commands.STMT_PREPARE and data.endswith(sql.encode())


POSTGRES = PostgresWords()
MYSQL = MySQLWords()
