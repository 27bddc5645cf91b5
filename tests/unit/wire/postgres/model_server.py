"""A server that knows prepared statements and portals, and nothing else: PostgreSQL in small.

What it says of a statement names the statement, so that an answer to another one shows.
"""

from __future__ import annotations

from proxy.wire.postgres import backend, frontend, tags
from proxy.wire.postgres.framer import Splitter
from proxy.wire.status import IDLE, IN_FAILED, IN_TRANSACTION

BAD_TEXT = b"bad"
"""A statement that can't be parsed."""

FAILING = b"fails"
"""One that fails when it is run."""

BAD_VALUE = b"bad"
"""A parameter that can't be bound."""


class ModelServer:
    """One server session.

    Attributes:
        status: May be set from outside: a transaction keeps its portals.
        in_doubt: Whether it has settings that nobody knows; may be set from outside.
        doubtful: Names of statements that were prepared under such.
    """

    def __init__(self) -> None:
        self.statements: dict[bytes, bytes] = {}
        self.portals: dict[bytes, bytes] = {}
        self.status = IDLE
        self.is_skipping = False
        self.in_doubt = False
        self.doubtful: set[bytes] = set()
        self._splitter = Splitter(1 << 20)

    def say(self, data: bytes) -> bytes:
        """Answer what a client sends."""
        return b"".join(self._answer(tag, message) for tag, message in self._splitter.feed(data))

    def _answer(self, tag: int, message: bytes) -> bytes:
        if tag == tags.SYNC:
            self.is_skipping = False
            return self._ready()
        if self.is_skipping or tag == tags.FLUSH:
            return b""
        try:
            return _HANDLERS[tag](self, message)
        except Refused as refusal:
            said = backend.error_response(b"ERROR", refusal.sqlstate, refusal.text)
            if self.status == IN_TRANSACTION:
                self.status = IN_FAILED
            if tag == tags.QUERY:
                return said + self._ready()
            self.is_skipping = True
            return said

    def _ready(self) -> bytes:
        if self.status == IDLE:
            self.portals.clear()
        return {
            IDLE: backend.READY_IDLE,
            IN_TRANSACTION: backend.READY_TRANSACTION,
            IN_FAILED: backend.READY_FAILED,
        }[self.status]

    def _query(self, message: bytes) -> bytes:
        self.statements.pop(b"", None)
        sql = frontend.read_query(message)
        if sql.startswith(b"SELECT 1 WHERE"):
            return _columns(sql) + _rows(sql) + backend.READY_IDLE
        return _columns(sql) + _run(sql) + self._ready()

    def _parse(self, message: bytes) -> bytes:
        name, sql, _ = frontend.read_parse(message)
        if not name:
            self.statements.pop(b"", None)  # even if what follows fails
        if sql == BAD_TEXT:
            raise Refused(b"42601", b"syntax error")
        if name in self.statements:
            raise Refused(b"42P05", b"prepared statement exists: " + name)
        self.statements[name] = sql
        (self.doubtful.add if self.in_doubt else self.doubtful.discard)(name)
        return backend.PARSE_COMPLETE

    def _bind(self, message: bytes) -> bytes:
        bind = frontend.read_bind(message)
        sql = self._find(bind.statement)
        if BAD_VALUE in bind.parameters:
            raise Refused(b"22P02", b"invalid input syntax")
        self.portals[bind.portal] = sql
        return backend.BIND_COMPLETE

    def _describe(self, message: bytes) -> bytes:
        kind, name = frontend.read_describe(message)
        if kind == tags.STATEMENT:
            return backend.parameter_description(()) + _columns(self._find(name))
        return _columns(self._portal(name))

    def _execute(self, message: bytes) -> bytes:
        name, _ = frontend.read_execute(message)
        return _run(self._portal(name))

    def _close(self, message: bytes) -> bytes:
        kind, name = frontend.read_close(message)
        (self.statements if kind == tags.STATEMENT else self.portals).pop(name, None)
        return backend.CLOSE_COMPLETE

    def _find(self, name: bytes) -> bytes:
        if name not in self.statements:
            raise Refused(b"26000", b"prepared statement does not exist: " + name)
        return self.statements[name]

    def _portal(self, name: bytes) -> bytes:
        if name not in self.portals:
            raise Refused(b"34000", b"portal does not exist: " + name)
        return self.portals[name]


class Refused(Exception):
    """An error that goes to the client."""

    def __init__(self, sqlstate: bytes, text: bytes) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate
        self.text = text


def _columns(sql: bytes) -> bytes:
    return backend.row_description([backend.Column(sql)])


def _run(sql: bytes) -> bytes:
    if sql == FAILING:
        raise Refused(b"22012", b"division by zero")
    return _rows(sql)


def _rows(sql: bytes) -> bytes:
    return backend.data_row([sql]) + backend.command_complete(b"SELECT 1")


_HANDLERS = {
    tags.QUERY: ModelServer._query,
    tags.PARSE: ModelServer._parse,
    tags.BIND: ModelServer._bind,
    tags.DESCRIBE: ModelServer._describe,
    tags.EXECUTE: ModelServer._execute,
    tags.CLOSE: ModelServer._close,
}
