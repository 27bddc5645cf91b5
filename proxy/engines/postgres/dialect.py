"""The seam between sessions, which know no engine, and PostgreSQL's way of saying things."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, final

from proxy.errors import ClientVisibleError
from proxy.routing.plan import Plan
from proxy.session.ports import Dialect
from proxy.session.state import Change, SessionState, Verb
from proxy.types import Position
from proxy.wire.exchange import Exchange, Heard
from proxy.wire.postgres import dialect, frontend, tags
from proxy.wire.postgres import requests as postgres
from proxy.wire.postgres.codec import message
from proxy.wire.postgres.errors import error_message
from proxy.wire.postgres.items import Item
from proxy.wire.requests import END_READY, Execution, Request


@final
class PostgresDialect(Dialect):
    """See `proxy.session.ports.Dialect`."""

    @property
    def can_wait(self) -> bool:
        """See the base."""
        return False

    def error(self, error: ClientVisibleError) -> bytes:
        """An ErrorResponse."""
        return error_message(error)

    def ready(self, status: int) -> bytes:
        """A ReadyForQuery."""
        return dialect.ready(status)

    def apply(self, changes: Iterable[Change]) -> bytes:
        """One simple query that makes all changes, or none of them.

        Roles come last in each stage, since what was set before a SET ROLE may not be allowed
        after it.
        """
        # On lines of their own: what a client prepared may end with a comment.
        return "\n;".join(_say(change) for change in sorted(changes, key=_order)).encode(
            "utf-8", "surrogateescape"
        )

    @property
    def anew(self) -> bytes:
        """See the base."""
        return b"DISCARD ALL"

    def together(self, commands: Sequence[bytes]) -> bytes:
        """One simple query; on lines of their own, as in `apply`."""
        return b"\n;".join(commands)

    def reached(self, position: Position, patience: float = 0.0) -> bytes:
        """Whether a replica has replayed a position."""
        return dialect.reached(position)

    def committed_at(self, plans: Sequence[Plan], exchange: Exchange) -> Position | None:
        """See the base: it must be asked."""
        return None

    def committed_as(self, plans: Sequence[Plan], exchange: Exchange) -> str:
        """See the base: it tells no ids."""
        return ""

    def shown(self, position: Position) -> str:
        """A log sequence number, as PostgreSQL writes it."""
        return f"{position >> 32:X}/{position & 0xFFFF_FFFF:X}"

    def behind(self, lag: int) -> str:
        """In bytes of the log."""
        return f"{lag} bytes behind"

    def opening(
        self,
        begin: bytes,
        savepoints: Sequence[str],
        *,
        has_read: bool,
        one_snapshot: bool,
        is_failed: bool,
    ) -> bytes:
        """SQL that begins what was held back; the first query takes its snapshot."""
        return dialect.opening(begin, savepoints, has_read=has_read, is_failed=is_failed)

    @property
    def written(self) -> bytes:
        """SQL that asks what the open transaction has written."""
        return dialect.LOCKED

    def closed(self, end: bytes, reply: bytes, heard: Heard | None) -> bytes:
        """The end of an answer, behind a commit."""
        return dialect.closed(end, reply, heard)

    def with_status(self, reply: bytes, status: int, *, begins_itself: bool = False) -> bytes:
        """A reply with another status at its end."""
        return dialect.with_status(reply, status)

    def said(self, request: Request, tag: bytes, status: int) -> bytes:
        """A reply that something was done."""
        return dialect.said(_own(request), tag, status)

    def table(
        self,
        request: Request,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        status: int,
    ) -> bytes:
        """A reply with rows of our own."""
        return dialect.table(_own(request), columns, rows, status)

    def text(self, sql: bytes) -> Request:
        """A simple query."""
        return postgres.text(sql)

    def failing_part(self, request: Request, error: ClientVisibleError) -> Request:
        """A Describe of a portal that is named by the error's words."""
        words = f"{error.message} ({error.detail})" if error.detail else error.message
        name = words.encode("utf-8", "replace").replace(b"\0", b"")
        is_last = request.end is END_READY
        tag, end = (tags.SYNC, frontend.SYNC) if is_last else (tags.FLUSH, frontend.FLUSH)
        items = [
            Item(tags.DESCRIBE, frontend.describe(tags.PORTAL, name), None, b""),
            Item(tag, end, None, b""),
        ]
        return postgres.Request(request.end, items)

    def copy_of(
        self, request: Request, execution: Execution, text: bytes, state: SessionState
    ) -> bytes:
        """A simple query, or a whole batch, with its parameters as they came."""
        prepared = execution.prepared
        if prepared is None:
            return frontend.query(text)
        pieces = (
            frontend.parse(b"", prepared.sql, prepared.oids),
            message(tags.BIND, _UNNAMED, execution.tail),
            frontend.execute(b""),
            frontend.SYNC,
        )
        return b"".join(pieces)


_UNNAMED: Final = bytes(2)
"""The unnamed portal, and the unnamed statement."""


def _own(request: Request) -> postgres.Request:
    assert isinstance(request, postgres.Request)
    return request


def _order(change: Change) -> tuple[int, int]:
    return change.stage, _order_in_stage(change)


def _order_in_stage(change: Change) -> int:
    """Drop roles, then everything else, then take on roles: authorization before role."""
    is_role = change.name == "role"
    is_authorization = change.name == "session_authorization"
    if change.verb is Verb.RESET and (is_role or is_authorization):
        return 0 if is_role else 1
    if is_authorization:
        return 4
    if is_role:
        return 5
    return 2 if change.verb in (Verb.DEALLOCATE, Verb.RESET) else 3


def _say(change: Change) -> str:
    match change.verb:
        case Verb.SET:
            return dialect.set_setting(change.name, change.value)
        case Verb.RESET:
            return dialect.reset_setting(change.name)
        case Verb.PREPARE:
            return change.value
        case Verb.DEALLOCATE:
            return f"DEALLOCATE {dialect.quote_name(change.name)}"
