"""What statements leave in a session: a seam, by an engine's own rules.

A session knows that something may be left behind, and when it must be seen to; what it is, how a
server is asked about it and how it is taken away is known to the engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from proxy.routing.plan import Plan
from proxy.session.belongings import Belongings
from proxy.session.ports import Link
from proxy.session.state import SessionState
from proxy.sql.statement import Statement
from proxy.wire.requests import Request


class Traces(ABC):
    """See the module."""

    @abstractmethod
    def apply(self, belongings: Belongings, link: Link, statement: Statement, text: bytes) -> None:
        """Take in what a statement that succeeded has left behind, on both sides."""

    def is_replicated(self, belongings: Belongings) -> bool:
        """Tell whether replicas will ever hear of what a session commits now."""
        return True

    @abstractmethod
    def failed(self, belongings: Belongings, link: Link) -> None:
        """A request has failed, which may be asked about."""

    @abstractmethod
    def tainted(
        self, belongings: Belongings, plan: Plan, text: bytes, values: Sequence[bytes | None]
    ) -> None:
        """Something may have been left behind unseen.

        Args:
            belongings: Of whose session.
            plan: Of what was run.
            text: The same, as it was sent.
            values: What was bound to parameters in its request.
        """

    @abstractmethod
    def question(self, belongings: Belongings, plans: Sequence[Plan], link: Link) -> bytes | None:
        """Say what the server must be asked before others have the connection; None: nothing."""

    @abstractmethod
    def whole_question(self, belongings: Belongings, link: Link) -> bytes:
        """Ask the server for everything that may live in its session."""

    @abstractmethod
    def take_word(
        self, belongings: Belongings, link: Link, rows: Sequence[Sequence[bytes | None]]
    ) -> None:
        """Take the server's word for what lives in its session.

        Args:
            belongings: Of whose session.
            link: Whose word it is.
            rows: The answer to a question; empty: there was none.
        """

    @abstractmethod
    def must_come_first(
        self, owner: object, belongings: Belongings, plans: Sequence[Plan], link: Link
    ) -> list[bytes]:
        """Say what makes a connection fit for what others have left there, and is not a setting.

        Args:
            owner: Who is about to use it: a session.
            belongings: The session's.
            plans: Of what it runs.
            link: The connection.
        """

    @abstractmethod
    def wash(self, link: Link) -> list[bytes]:
        """Say what takes away settings that nobody knows the names of; its state follows."""

    @abstractmethod
    def restore(
        self,
        request: Request,
        plans: Sequence[Plan],
        texts: Sequence[bytes],
        startup: SessionState,
    ) -> bool:
        """Have what a client said when it came count again behind what resets it in a text.

        Args:
            request: It is changed.
            plans: Of its statements.
            texts: The same statements, as they were sent.
            startup: What the client said when it came.

        Returns:
            False: there is nothing of that kind.
        """

    @abstractmethod
    def say_default(self, sql: bytes, startup: SessionState) -> bytes:
        """Say a text that is prepared, and resets something, as what it means to its client."""
