"""A fast read that is to be repeated on the primary, and what its two answers say. Pure."""

from __future__ import annotations

from typing import Final, final

from proxy.errors import RemoteProtocolError
from proxy.freshness.tables import ReadSet
from proxy.session.profile import Profile
from proxy.session.state import SessionState
from proxy.sql.looseness import may_differ
from proxy.sql.statement import Statement
from proxy.types import Audited
from proxy.wire.requests import Request

ROOM: Final = 256 * 1024
"""Bytes of an answer that is compared: a larger one is not worth its time at the primary."""


@final
class Sample:
    """See the module.

    Attributes:
        request: As the client sent it.
        statement: What it runs.
        served_by: The replica's name, or `cache`.
        profile: Of the session that has asked.
        state: What that had set.
        shape: Of the defaults that it began with.
        read_set: What the read depends on.
        version: The version of that, when the fast answer was decided on.
        generation: Of the catalogs, then.
    """

    __slots__ = (
        "_pieces",
        "_room",
        "generation",
        "profile",
        "read_set",
        "request",
        "served_by",
        "shape",
        "state",
        "statement",
        "version",
    )

    def __init__(
        self,
        request: Request,
        statement: Statement,
        read_set: ReadSet,
        version: int,
        generation: int,
        *,
        served_by: str,
        profile: Profile,
        state: SessionState,
    ) -> None:
        self.request = request
        self.statement = statement
        self.read_set = read_set
        self.version = version
        self.generation = generation
        self.served_by = served_by
        self.profile = profile
        self.state = state
        self.shape = profile.shape
        self._pieces: list[bytes] = []
        self._room = ROOM

    def add(self, data: bytes) -> None:
        """Take a piece of the fast answer."""
        self._room -= len(data)
        if self._room >= 0:
            self._pieces.append(data)

    @property
    def is_whole(self) -> bool:
        """Whether the fast answer is here, and not too large."""
        return bool(self._pieces) and self._room >= 0

    def compare(self, reply: bytes) -> Audited:
        """Judge the fast answer by the primary's, between which nothing was written.

        Rows are compared, and nothing around them; in any order, since most statements leave that
        to the server, and what is stale has other rows.
        """
        request = self.request
        try:
            fast, now = request.rows_in(b"".join(self._pieces)), request.rows_in(reply)
        except RemoteProtocolError:
            return Audited.SKIPPED
        if fast == now or sorted(fast) == sorted(now):
            return Audited.SAME
        # What reads no table tells of its server: of its version, for one.
        is_loose = not self.read_set.tables or may_differ(self.statement, len(fast), len(now))
        return Audited.LOOSE if is_loose else Audited.DIFFERENT
