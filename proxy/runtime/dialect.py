"""The seam between sessions, which know no engine, and PostgreSQL's way of saying things."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

from proxy.errors import ClientVisibleError
from proxy.session.state import Change, Verb
from proxy.types import Position
from proxy.wire.postgres import dialect
from proxy.wire.postgres.errors import error_message
from proxy.wire.postgres.exchange import Heard
from proxy.wire.postgres.requests import Request


@final
class PostgresDialect:
    """See `proxy.session.ports.Dialect`."""

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

    def reached(self, position: Position) -> bytes:
        """Whether a replica has replayed a position."""
        return dialect.reached(position)

    def opening(
        self, begin: bytes, savepoints: Sequence[str], *, has_read: bool, is_failed: bool
    ) -> bytes:
        """SQL that begins what was held back."""
        return dialect.opening(begin, savepoints, has_read=has_read, is_failed=is_failed)

    @property
    def written(self) -> bytes:
        """SQL that asks what the open transaction has written."""
        return dialect.LOCKED

    def closed(self, end: bytes, reply: bytes, heard: Heard | None) -> bytes:
        """The end of an answer, behind a commit."""
        return dialect.closed(end, reply, heard)

    def with_status(self, reply: bytes, status: int) -> bytes:
        """A reply with another status at its end."""
        return dialect.with_status(reply, status)

    def said(self, request: Request, tag: bytes, status: int) -> bytes:
        """A reply that something was done."""
        return dialect.said(request, tag, status)

    def table(
        self,
        request: Request,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        status: int,
    ) -> bytes:
        """A reply with rows of our own."""
        return dialect.table(request, columns, rows, status)


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
