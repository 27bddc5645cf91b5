"""The seam between sessions, which know no engine, and MySQL's way of saying things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, final

from proxy.engines.mysql import copying
from proxy.engines.mysql.settings import SCHEMA, quote_name
from proxy.errors import ClientVisibleError
from proxy.routing.plan import Plan
from proxy.session.ports import Dialect
from proxy.session.state import Change, SessionState, Verb
from proxy.sql.mysql.transaction_control import read_begin
from proxy.sql.statement import Kind
from proxy.types import Position
from proxy.wire import exchange as wire
from proxy.wire.exchange import Heard
from proxy.wire.mysql import commands, requests
from proxy.wire.mysql.capabilities import STATUS_AUTOCOMMIT, STATUS_IN_TRANS
from proxy.wire.mysql.codec import HEADER
from proxy.wire.mysql.errors import error_packet
from proxy.wire.mysql.exchange import ANEW, SEPARATOR, Exchange
from proxy.wire.mysql.ok import EOF, ERROR, OK, Ok, ok_packet, with_status
from proxy.wire.mysql.resultset import Column, binary_result, prepare_ok, text_result
from proxy.wire.requests import Execution, Request
from proxy.wire.status import IDLE

_FIRST: Final = 1
"""The sequence id of the first packet that answers a command."""

_LARGEST_END: Final = 1024
"""Bytes of the packet that ends a result which only reads."""

BEGIN: Final = b"START TRANSACTION"
_SNAPSHOT: Final = b"START TRANSACTION WITH CONSISTENT SNAPSHOT"

_COMMITTING: Final = (Kind.COMMIT, Kind.WRITE, Kind.SCHEMA, Kind.BEGIN)
"""What commits under one numbering: `gtid_domain_id` and `gtid_next` can't be changed in a
transaction, a function or a trigger."""

_CONTRARY: Final = frozenset({"foreign_key_checks", "unique_checks"})
"""What DEFAULT switches off in MySQL (seen in 9.7), though it is on by default."""


class History(Protocol):
    """What is known of the servers' commits."""

    @property
    def by_log(self) -> bool:
        """Whether positions are places in the primary's log."""

    def told(self, gtids: str, /) -> Position | None:
        """Find the position of commits by the GTIDs that the primary gave them."""

    def shown(self, position: Position, /) -> str:
        """A position, for people."""

    def behind(self, lag: int, /) -> str:
        """By how much one position is behind another, for people."""


@final
class MySQLDialect(Dialect):
    """See the base.

    Args:
        reached: SQL with one row if a replica has replayed a position, or has it in some seconds.
        history: Of the servers' commits.
    """

    def __init__(self, reached: Callable[[Position, float], bytes], history: History) -> None:
        self._reached = reached
        self._history = history

    @property
    def can_wait(self) -> bool:
        """See the base: for a GTID. Who waits for a place in a log can't say whose log it is."""
        return not self._history.by_log

    def error(self, error: ClientVisibleError) -> bytes:
        """An ERR packet."""
        return error_packet(error, _FIRST)

    def ready(self, status: int) -> bytes:
        """See the base: an answer's end says that."""
        return b""

    def apply(self, changes: Iterable[Change]) -> bytes:
        """One SET for all variables, so that all are set or none; then the schema.

        A character set comes in front of its collation.
        """
        assigned: list[str] = []
        schema = ""
        for change in sorted(changes, key=lambda it: it.name):
            if change.name == SCHEMA:
                schema = change.value
            elif change.verb is Verb.SET:
                assigned.append(f"SESSION {change.name} = {change.value}")
            elif change.verb is Verb.RESET:
                default = f"@@GLOBAL.{change.name}" if change.name in _CONTRARY else "DEFAULT"
                assigned.append(f"SESSION {change.name} = {default}")
        statements = []
        if assigned:
            statements.append("SET " + ", ".join(assigned))
        if schema:
            statements.append(f"USE {schema}")
        return SEPARATOR.join(it.encode("utf-8", "surrogateescape") for it in statements)

    @property
    def anew(self) -> bytes:
        """See the base."""
        return ANEW

    def together(self, commands: Sequence[bytes]) -> bytes:
        """See the base: one by one."""
        return SEPARATOR.join(it for it in commands if it)

    def reached(self, position: Position, patience: float = 0.0) -> bytes:
        """See the base."""
        return self._reached(position, patience)

    def committed_at(self, plans: Sequence[Plan], exchange: wire.Exchange) -> Position | None:
        """See the base: the GTIDs that servers tell with the end of an answer.

        MySQL tells all that were given since the last answer, MariaDB the last; a statement that
        may switch to another numbering in its middle, or whose error tells nothing, is asked about.
        """
        gtids = self.committed_as(plans, exchange)
        return self._history.told(gtids) if gtids else None

    def committed_as(self, plans: Sequence[Plan], exchange: wire.Exchange) -> str:
        """See the base."""
        assert isinstance(exchange, Exchange)
        gtids = exchange.tracked.gtid
        if not gtids or exchange.error is not None or len(exchange.outcomes) != 1:
            return ""
        if len(plans) != 1 or plans[0].commits or plans[0].statement.kind not in _COMMITTING:
            return ""
        return gtids.decode("ascii", "replace").lower()

    def shown(self, position: Position) -> str:
        """See the base."""
        return self._history.shown(position)

    def behind(self, lag: int) -> str:
        """See the base."""
        return self._history.behind(lag)

    def opening(
        self,
        begin: bytes,
        savepoints: Sequence[str],
        *,
        has_read: bool,
        one_snapshot: bool,
        is_failed: bool,
    ) -> bytes:
        """See the base. Where a transaction begins by itself, it is begun all the same.

        By BEGIN no snapshot is taken, nor by a write: the first read would take it, later
        ("Consistent Nonlocking Reads" in the manual).
        """
        said = (_with_snapshot(begin) if one_snapshot else begin) or BEGIN
        names = [f"SAVEPOINT {quote_name(name)}".encode() for name in savepoints]
        return SEPARATOR.join([said, *names])

    @property
    def written(self) -> bytes:
        """See the base: servers are not asked yet."""
        return b""

    def closed(self, end: bytes, reply: bytes, heard: Heard | None) -> bytes:
        """See the base."""
        return reply if reply[HEADER : HEADER + 1] == bytes((ERROR,)) or not end else end

    def with_status(self, reply: bytes, status: int, *, begins_itself: bool = False) -> bytes:
        """See the base. The last packet of what only reads is found from behind."""
        start = _start_of_end(reply)
        if start < 0:
            return reply
        given, taken = (0, STATUS_IN_TRANS) if status == IDLE else (STATUS_IN_TRANS, 0)
        if begins_itself:
            taken |= STATUS_AUTOCOMMIT
        return reply[:start] + with_status(reply[start:], given, taken)

    def said(self, request: Request, tag: bytes, status: int) -> bytes:
        """An OK packet."""
        own = _own(request)
        flags = own.status | (0 if status == IDLE else STATUS_IN_TRANS)
        return ok_packet(_FIRST, Ok(status=flags), own.capabilities)

    def table(
        self,
        request: Request,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        status: int,
    ) -> bytes:
        """See the base."""
        own = _own(request)
        flags = own.status | (0 if status == IDLE else STATUS_IN_TRANS)
        named = [Column(name.encode()) for name in columns]
        if own.command == commands.STMT_PREPARE:
            number = int.from_bytes(own.name, "little")
            return prepare_ok(_FIRST, number, named, 0, own.capabilities, status=flags)
        values = [[field.encode() for field in row] for row in rows]
        make = text_result if own.simple else binary_result
        return make(_FIRST, named, values, own.capabilities, end=Ok(status=flags))

    def text(self, sql: bytes) -> Request:
        """A COM_QUERY."""
        return requests.text(sql)

    def failing_part(self, request: Request, error: ClientVisibleError) -> Request:
        """See the base: there are no batches."""
        raise error

    def copy_of(
        self, request: Request, execution: Execution, text: bytes, state: SessionState
    ) -> bytes:
        """See the base."""
        return copying.copy_of(_own(request), execution, text, state)


def _with_snapshot(begin: bytes) -> bytes:
    found = read_begin(begin)
    if found is None or found.read_only is None:
        return _SNAPSHOT
    return _SNAPSHOT + (b", READ ONLY" if found.read_only else b", READ WRITE")


def _start_of_end(reply: bytes) -> int:
    """Find the packet that ends a reply; -1: it is not told."""
    size = len(reply)
    for length in (7, 5, *range(8, min(_LARGEST_END, size - HEADER) + 1)):
        start = size - HEADER - length
        if start < 0:
            return -1
        is_header = reply[start : start + 3] == length.to_bytes(3, "little")
        if is_header and reply[start + HEADER] in (EOF, OK):
            found: int = start
            return found
    return -1


def _own(request: Request) -> requests.Request:
    assert isinstance(request, requests.Request)
    return request
